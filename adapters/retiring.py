"""Applies retention: erases, message by message, what is due and what nothing keeps.

A message goes as a whole, or not at all: when the policy for each of its deliveries says so, each has its final status, none is on hold
and nothing of it is still to be sent. What was judged is expected of the log by the very append that says that it goes, so a hold, a
policy, a recipient or what is told of the whole message wins when it comes in between; what is told of one delivery then is late. What is
said is destroyed at once where a login may, else by `erase carry-out`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from adapters.accounts import Accounts
from adapters.erasing import stories
from adapters.erasing.stories import Going, MovedError
from adapters.keeping import RETENTION, Covering, versions
from adapters.retaining import Carried, Due, Retaining, erased
from ledger import erasing
from ledger.appender import Item
from ledger.application import Ledger
from ledger.database import Database
from ledger.erasing import Erased
from ledger.errors import BusyError, ConfigurationError, ConflictError
from ledger.events import Draft, time_text
from ledger.streams import WHOLE_MESSAGE
from projections.queries import Queries

WHY = "retention"
AT_ONCE = 50
DELIVERIES_AT_ONCE = 500
TRIES = 10
INBOUND = "inbound.received"
"""First type of what arrived for us: it has no recipients of ours, and is final as it is."""


class Applied(msgspec.Struct, frozen=True):
    """What a run did, or would do, under one policy.

    Attributes:
        position: of the policy's event.
        messages: that were erased, or would be.
        held: that are due, and on hold.
        kept: of which something is due, and that something else keeps: another delivery that is not due, has no final status, or is
            still to be sent; or the seven days after a change.
    """

    provider: str
    label: str
    keep: str
    position: int
    messages: int = 0
    held: int = 0
    kept: int = 0


class Message(NamedTuple):
    """A message that tells its own story."""

    message: str
    provider: str
    opened_at: str
    opened_position: int
    first_type: str


class Judged(NamedTuple):
    """What is to become of a message.

    Attributes:
        due: the last of what its deliveries' policies say.
        what: `messages`, `held` or `kept`, as in `Applied`; "": nothing of it is due.
    """

    message: str
    due: Due | None
    what: str


@dataclass(slots=True)
class _Run:
    """One run for one tenant.

    Attributes:
        now: by which something must be due, UTC.
        found: policy's position -> what became of how many messages.
        destroys: the database under a login that may destroy; None where there is none.
    """

    tenant: str
    now: str
    actor: str
    database: Database | None = None
    found: dict[int, Counter[str]] = field(default_factory=dict)
    policies: dict[int, Due] = field(default_factory=dict)

    def count(self, judged: Judged) -> None:
        if judged.due is not None and judged.what:
            position = judged.due.policy.position
            self.policies[position] = judged.due
            self.found.setdefault(position, Counter())[judged.what] += 1

    def applied(self) -> list[Applied]:
        told = ((self.policies[position].policy, counted) for position, counted in sorted(self.found.items()))
        return [Applied(p.provider, p.label, p.keep, p.position, **counted) for p, counted in told]


@dataclass(frozen=True)
class Retirer:
    """Applies retention on one ledger.

    Attributes:
        privileged: the database under a login that may destroy; raises ConfigurationError where there is none.
    """

    accounts: Accounts
    queries: Queries
    privileged: Callable[[], AbstractContextManager[Database]]

    def tenants(self) -> list[str]:
        """Organisations that ever said how long to keep."""
        rows = self.queries.ledger.database.read("SELECT DISTINCT tenant FROM read_policies ORDER BY tenant")
        return [str(tenant) for (tenant,) in rows]

    def preview(self, tenant: str) -> list[Applied]:
        """What a run would do now, by policy."""
        run = self._begin(tenant, "")
        judge = _Judge(self.queries, run)
        for page in self._pages(run):
            for message in page:
                run.count(judge.of(message))
        return run.applied()

    def apply(self, tenant: str, actor: str = "", go_on: Callable[[], None] = lambda: None) -> list[Applied]:
        """Erase what is due; broken off, the next run does the rest.

        Args:
            actor: who asked for it; "": the clock.
            go_on: called after each batch; raises when this process is not to go on.

        Returns:
            What was done, by policy; it also stands in the log.
        """
        run = self._begin(tenant, actor)
        with ExitStack() as stack:
            try:
                run.database = stack.enter_context(self.privileged())
            except ConfigurationError:
                run.database = None  # what is said waits for a login that may destroy
            try:
                for page in self._pages(run):
                    self._retire(run, page)
                    go_on()
            finally:
                self._tell(run)
                if run.database is not None:
                    run.database.settle()
        return run.applied()

    def _begin(self, tenant: str, actor: str) -> _Run:
        self.queries.runner.run()  # what the read models do not know yet could not be judged
        return _Run(tenant, time_text(self.queries.ledger.clock()), actor)

    def _pages(self, run: _Run) -> Iterator[list[Message]]:
        """Messages old enough that something of them may be due and that are there still, oldest first."""
        bound = Retaining(self.queries, run.tenant).opened_before(run.now)
        sql = (
            "SELECT m.message, m.provider, m.opened_at, m.opened_position, m.first_type FROM read_messages AS m WHERE m.tenant = ? "
            "AND m.opened_position > ? AND m.joined_into = '' AND (m.recipients > 0 OR m.first_type = ?) AND NOT EXISTS "
            "(SELECT 1 FROM read_erasures AS e WHERE e.stream = m.message AND e.recipient = ?) ORDER BY m.opened_position LIMIT ?"
        )
        after = 0
        while bound:
            asked = (run.tenant, after, INBOUND, WHOLE_MESSAGE, AT_ONCE)
            rows = [Message(*row) for row in self.queries.ledger.database.read(sql, asked)]
            page = [row for row in rows if row.opened_at < bound]
            if page:
                yield page
            if len(rows) < AT_ONCE or len(page) < len(rows):
                return
            after = rows[-1].opened_position

    # --- one batch

    def _retire(self, run: _Run, page: Sequence[Message]) -> None:
        """Judge a batch and erase what goes; what moved meanwhile is judged again."""
        waiting: Sequence[Message] = page
        for _ in range(TRIES):
            waiting = self._try(run, waiting)
            if not waiting:
                return
            self.queries.runner.run()
        raise BusyError

    def _try(self, run: _Run, page: Sequence[Message]) -> list[Message]:
        """Erase what goes of a batch; returns what must be judged again."""
        ledger, expect = self.queries.ledger, versions(self.queries.ledger, run.tenant)  # first; see there
        judge, ready, again = _Judge(self.queries, run), list[_Ready](), list[Message]()
        for message in page:
            judged = judge.of(message)
            if judged.what == "messages":
                try:
                    going = stories.judge(self.queries, run.tenant, message.message, None, ())
                except MovedError:
                    again.append(message)
                    continue
                judged = judge.of(message)  # once more, now that the versions are known on which it rests
                if judged.what == "messages" and going.erased and not going.sends:
                    drafts = self._drafts(run, going.erased, judged)
                    ready.append(_Ready(message, judged, going, Item(drafts, expect={**going.expect, **expect})))
                    continue
                judged = judged._replace(what="kept" if going.sends else "" if not going.erased else judged.what)
            run.count(judged)
        done = set[str]()
        for each in _said(ledger, ready):
            done.add(each.message.message)
            run.count(each.judged)
            self._destroy(run, each.going.erased)
        return again + [each.message for each in ready if each.message.message not in done]

    def _drafts(self, run: _Run, erased: Iterable[Erased], judged: Judged) -> list[Draft]:
        """What says that a message goes, and under which policy."""
        drafts = [erasing.draft(self.queries.ledger, run.tenant, each, WHY, run.actor) for each in erased]
        if judged.due is not None:
            policy = self.queries.ledger.event(judged.due.policy.position).id
            for draft in drafts:
                draft.fields["code"] = policy
        return drafts

    def _destroy(self, run: _Run, erased: Iterable[Erased]) -> None:
        if run.database is not None:
            for each in erased:
                erasing.destroy(run.database, self.queries.ledger.artifact_folder, each)

    def _tell(self, run: _Run) -> None:
        """Say in the log what a run did under each policy of which something was erased."""
        for each in run.applied():
            if each.messages:
                policy = self.queries.ledger.event(each.position).id
                numbers = {"messages": each.messages, "held": each.held, "kept": each.kept}
                clear = {"rule": "retention.applied", "provider": each.provider, "events": [policy], "numbers": numbers}
                self.accounts.record("retention.applied", run.tenant, RETENTION, run.actor, clear)


class _Ready(NamedTuple):
    """A message that goes, and what says so."""

    message: Message
    judged: Judged
    going: Going
    item: Item


def _said(ledger: Ledger, ready: Sequence[_Ready]) -> Iterator[_Ready]:
    """Say together in the log what goes; where something moved meanwhile, what did not is said without it."""
    if not ready:
        return
    together = Item([draft for each in ready for draft in each.item.drafts])
    for each in ready:
        together.expect |= each.item.expect
    try:
        ledger.append(together)
    except ConflictError:  # a hold, a policy, an arrival, another process
        middle = len(ready) // 2
        if middle:
            yield from _said(ledger, ready[:middle])
            yield from _said(ledger, ready[middle:])
        return
    yield from ready


class _Judge:
    """The policies and holds of a tenant as they are now, and what they say of messages."""

    def __init__(self, queries: Queries, run: _Run) -> None:
        self._reads = queries.ledger.database
        self._now = run.now
        self._retaining = Retaining(queries, run.tenant)
        self._covering = Covering(queries, run.tenant)

    def of(self, message: Message) -> Judged:
        """What is to become of a message."""
        last: Due | None = None
        is_due = is_kept = is_held = False
        for deliveries, final in self._deliveries(message):
            places = [(each.message, each.recipient) for each in deliveries]
            holds, gone = self._covering.of(places), erased(self._reads, places)
            is_held = is_held or any(holds.values())
            for place, due, is_final in zip(places, self._retaining.due(deliveries), final, strict=True):
                if place not in gone:
                    is_due = is_due or (due is not None and due.due_at <= self._now)
                    is_kept = is_kept or due is None or due.applies_at > self._now or not is_final
                    last = max((d for d in (last, due) if d), key=lambda d: (d.due_at, d.policy.position), default=None)
        what = "" if not is_due else "held" if is_held else "kept" if is_kept else "messages"
        return Judged(message.message, last, what)

    def _deliveries(self, message: Message) -> Iterator[tuple[list[Carried], list[bool]]]:
        """A message's deliveries and whether each is final, in parts; of what arrived for us, itself."""
        if message.first_type == INBOUND:
            yield [Carried(message.message, WHOLE_MESSAGE, message.provider, message.opened_at)], [True]
        sql = (
            "SELECT recipient, provider, opened_at, is_final FROM read_deliveries WHERE (message, recipient) > (?, ?) "
            "AND message <= ? ORDER BY message, recipient LIMIT ?"
        )
        after = -1
        while rows := self._reads.read(sql, (message.message, after, message.message, DELIVERIES_AT_ONCE)):
            yield [Carried(message.message, r, p, o) for r, p, o, _ in rows], [bool(final) for *_, final in rows]
            after = rows[-1][0]
