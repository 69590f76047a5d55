"""Erasures from asking to the end: what forbids one, what is said in the log, what is destroyed, and going on after a breakdown.

Everything is found again each time, so nothing is remembered that could be lost. It is said first, story by story, in a step that fails
if a hold came in between; destroying follows from what was said. The address itself stands only in what asked for it, and goes last.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters import acts
from adapters.accounts import CONSOLE, Accounts
from adapters.acts import Act
from adapters.erasing import beside, finding
from adapters.erasing.beside import HELD
from adapters.erasing.finding import Finder, Subject
from adapters.erasing.saying import STAYS, Progress, Saying, destroy, draft, refuse, say
from adapters.erasing.views import STATES, Erasure, Numbers, Preview, State
from adapters.keeping import Covering
from adapters.lanes import Lanes
from adapters.outbox import OPEN, ActRefusedError
from adapters.quarantine import Quarantine
from adapters.tasks.store import Tasks
from ledger import erasing
from ledger.application import Ledger, pages
from ledger.database import Database
from ledger.erasing import Erased
from ledger.errors import NotFoundError
from ledger.events import Event, parse_time
from projections.queries import Queries

ACCOUNT = "erasures"
"""Whose stream, besides the day's, it stands in that an erasure was carried out."""
RULES = {"recipient": "erasure.recipient", "message": "erasure.message"}
FEW_MESSAGES, FEW_ACTS = 100, 20_000
"""An erasure that looks at no more is done while somebody waits for it."""
PAGE = 500
MAX_HELD = 1_000
"""Messages that an event names, of which something stays for somebody on hold."""


@dataclass(frozen=True)
class Eraser:
    """Erases for one ledger; one erasure at a time in a process.

    Attributes:
        privileged: the database under a login that may destroy; raises ConfigurationError where there is none.
        oldest_kek: since when the oldest key-encryption key is in use, UTC; "" where nobody knows.
    """

    accounts: Accounts
    queries: Queries
    lanes: Lanes
    quarantine: Quarantine
    tasks: Tasks
    privileged: Callable[[], AbstractContextManager[Database]]
    oldest_kek: Callable[[], str]
    _one: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ledger(self) -> Ledger:
        return self.queries.ledger

    def preview(self, tenant: str, subject: Subject, cursor: str = "", limit: int = 100) -> Preview:
        """What an erasure would do; nothing is changed.

        Raises:
            NotFoundError: no such message, or a cursor that is not one of ours.
            InvalidError: nobody is named.
        """
        finder = self._finder(tenant, subject)
        return finding.preview(finder, cursor, limit, self.oldest_kek())

    def _finder(self, tenant: str, subject: Subject, spared: str = "") -> Finder:
        finder = Finder(self.queries, self.quarantine, self.tasks, tenant, subject, spared)
        self.queries.runner.run()  # what the read models do not know yet could not be judged
        return finder

    # --- asking

    def ask(self, tenant: str, subject: Subject, reason: str, actor: str = CONSOLE) -> Erasure:
        """Ask for an erasure; the same again while it is open is the same one. Nothing is erased by this.

        Raises:
            NotFoundError: no such message.
            InvalidError: nobody is named, or no reason is given.
            ActRefusedError: a hold forbids it, or something of it is still to be sent.
        """
        finder = self._finder(tenant, subject)
        rule, clear, said = _asked(subject)
        for act in self._open(tenant):
            if (act.rule, act.said, act.about.get("streams", [])) == (rule, said, clear.get("streams", [])):
                return self._view(tenant, act)
        self._require_free(finder)
        act = acts.ask(self.accounts, self.queries, tenant, rule, reason, actor, clear=clear, said=said)
        return self._view(tenant, act)

    def _open(self, tenant: str) -> Iterator[Act]:
        return (act for act in self._acts(tenant) if act.state in {"waiting", "ready", "approved"})

    def _acts(self, tenant: str) -> Iterator[Act]:
        before = 0
        while page := acts.acts(self.queries, tenant, before=before):
            yield from (act for act in page if act.rule in RULES.values())
            before = page[-1].position

    def _require_free(self, finder: Finder) -> None:
        """Look at everything that is meant before anything is said of it.

        Raises:
            ActRefusedError: a hold forbids it, or something of it is still to be sent.
        """
        covering, after = Covering(self.queries, finder.tenant), ""
        while messages := finder.messages(after):
            refuse(*finder.forbidding(messages, covering))
            after = messages[-1]

    def is_short(self, tenant: str, subject: Subject) -> bool:
        """Whether it can be carried out while somebody waits."""
        if not subject.recipient:
            return True
        finder = self._finder(tenant, subject)
        few = len(finder.messages(limit=FEW_MESSAGES + 1)) <= FEW_MESSAGES
        return few and beside.count(self.queries, tenant, FEW_ACTS + 1) <= FEW_ACTS

    # --- carrying out

    def carry_out(self, tenant: str, erasure: str, progress: Progress = lambda _done, _total: None) -> Erasure:
        """Do what was asked for, or go on with it; what was done is not done again.

        Raises:
            NotFoundError: the tenant has no such erasure.
            ActRefusedError: it waits for a second person or was declined; or a hold forbids it, or something is still to be sent.
            ConfigurationError: everything is said in the log, and this process has no login that may destroy it.
        """
        with self._one:
            act = self._act(tenant, erasure)
            if act.state != "done":
                self._carry_out(tenant, act, progress)
            with self.privileged() as database:
                self._forget(tenant, act, database)
                database.settle()
            return self.get(tenant, erasure)

    def _carry_out(self, tenant: str, act: Act, progress: Progress) -> None:
        if not act.may_go:
            msg = f"erasure {act.act} {STATES[_state(act)]}"
            raise ActRefusedError(msg)
        counted, destroyed = Counter[str](), set[str]()
        if (subject := _subject(act)) is not None:
            finder = self._finder(tenant, subject, act.act)
            self._require_free(finder)
            saying = Saying(finder, self.lanes, act, progress)
            saying.everything(self.privileged)
            counted, destroyed = saying.stays, saying.destroyed
        said = self._destroy(tenant, act, destroyed)
        numbers = sum((_numbers(event) for event in said), Numbers())
        if subject is not None and finder.person is not None:
            numbers += self._clear(finder)
        self._complete(tenant, act, numbers, counted, said)

    def _destroy(self, tenant: str, act: Act, destroyed: Collection[str]) -> list[Event]:
        """Destroy all that was said for an act, and was not destroyed just now; returns what that was."""
        said = list(self.parts(tenant, act))
        with self.privileged() as database:
            for event in (each for each in said if each.id not in destroyed):
                destroy(self.ledger, database, erasing.told(event))
        self._drop_payloads(sorted({event.stream for event in said}))
        return said

    def _drop_payloads(self, messages: Sequence[str]) -> None:
        """What was sent to several of whom one is erased is kept no longer than it is to be sent."""
        still = ", ".join(f"'{state}'" for state in OPEN)
        sql = f"UPDATE outbox SET sealed = NULL WHERE message = ? AND sealed IS NOT NULL AND state NOT IN ({still})"
        with self.ledger.database.writing() as cursor:
            cursor.executemany(sql, [(message,) for message in messages])

    def _clear(self, finder: Finder) -> Numbers:
        """Clear what lies beside the log."""
        person = finder.person
        if person is None:
            return Numbers()
        refused = list(beside.quarantined(self.quarantine, finder.tenant, person))
        self.quarantine.drop(finder.tenant, refused)
        tasked = beside.tasked(self.tasks, finder.tenant, person)
        beside.remove(self.tasks, tasked)
        return Numbers(quarantined=len(refused), tasks=len(tasked.removed))

    def _complete(self, tenant: str, act: Act, numbers: Numbers, stays: Counter[str], said: Sequence[Event]) -> None:
        told = {name: count for name, count in msgspec.structs.asdict(numbers).items() if count}
        kept = Counter({STAYS + why: count for why, count in stays.items()})
        for event in said:
            kept += Counter({n: c for n, c in event.fields.get("numbers", {}).items() if n.startswith(STAYS)})
        told |= kept
        held = sorted({event.stream for event in said if STAYS + HELD in event.fields.get("numbers", {})})
        if oldest := self.oldest_kek():
            told["oldest_kek_s"] = int(parse_time(oldest).timestamp())
        clear: dict[str, Any] = {"rule": act.rule, "events": [act.act]} | ({"numbers": told} if told else {})
        clear |= {"streams": held[:MAX_HELD]} if held else {}
        once = ("erasure.completed", act.act)
        self.accounts.record("erasure.completed", tenant, ACCOUNT, act.asked_by, clear, once=once)

    def _forget(self, tenant: str, act: Act, database: Database) -> None:
        """Take away the address that asked for it, once all else is done."""
        if act.rule == RULES["recipient"]:
            event = self.ledger.event(act.position)
            mine = Erased(event.stream, events=(event.id,))
            if erasing.left(database, mine).values:
                say(self.ledger, [draft(self.ledger, tenant, act, mine, "act")], Numbers(), {}, {})
                destroy(self.ledger, database, mine)

    def parts(self, tenant: str, act: Act) -> Iterator[Event]:
        """What was said for an act, in the order of the log."""
        sql = "SELECT position FROM read_erasures WHERE tenant = ? AND position > ? ORDER BY position LIMIT ?"

        def fetch(after: int) -> list[Event]:
            rows = self.ledger.database.read(sql, (tenant, after, PAGE))
            return self.ledger.events_at(position for (position,) in rows)

        self.queries.runner.run()
        for event in pages(fetch, lambda each: each.position, act.position):
            if event.fields.get("code") == act.act:
                yield event

    # --- looking

    def get(self, tenant: str, erasure: str) -> Erasure:
        """One erasure.

        Raises:
            NotFoundError: the tenant has none of that id.
        """
        return self._view(tenant, self._act(tenant, erasure))

    def _act(self, tenant: str, erasure: str) -> Act:
        act = acts.get(self.queries, tenant, erasure)
        if act.rule not in RULES.values():
            msg = f"there is no erasure {erasure}"
            raise NotFoundError(msg)
        return act

    def newest(self, tenant: str, before: int = 0, limit: int = 100) -> tuple[list[Erasure], int]:
        """Erasures, the newest first, and the position to go on before; 0 at the end."""
        page = acts.acts(self.queries, tenant, before=before, limit=limit)
        found = [self._view(tenant, act) for act in page if act.rule in RULES.values()]
        return found, page[-1].position if len(page) == limit else 0

    def ready(self, tenant: str) -> Iterator[Erasure]:
        """Those that may be carried out now, and those that were and were broken off before the address was taken away."""
        self.queries.runner.run()
        yield from (self._view(tenant, act) for act in self._open(tenant) if act.may_go)
        yield from (self.get(tenant, erasure) for whose, erasure in self._remembered() if whose == tenant)

    def all_ready(self) -> list[tuple[str, str]]:
        """Organisation and id of what may be carried out now, or gone on with."""
        self.queries.runner.run()
        sql = "SELECT DISTINCT tenant FROM read_acts WHERE rule IN (?, ?) AND done_at = '' ORDER BY tenant"
        tenants = [str(tenant) for (tenant,) in self.ledger.database.read(sql, tuple(RULES.values()))]
        ready = [(tenant, act.act) for tenant in tenants for act in self._open(tenant) if act.may_go]
        return ready + self._remembered()

    def _remembered(self) -> list[tuple[str, str]]:
        """Organisation and id of what was carried out, where the address that asked for it is there still."""
        sql = (
            "SELECT tenant, act FROM read_acts AS a WHERE rule = ? AND done_at <> '' "
            "AND EXISTS (SELECT 1 FROM sealed_values AS s WHERE s.position = a.position) ORDER BY a.position"
        )
        return [(str(tenant), str(act)) for tenant, act in self.ledger.database.read(sql, (RULES["recipient"],))]

    def said(self, tenant: str, erasure: str) -> Iterator[Event]:
        """The events that said what goes, until it was carried out."""
        act, done = self._act(tenant, erasure), self.completed(tenant, erasure)
        return (event for event in self.parts(tenant, act) if done is None or event.position < done.position)

    def completed(self, tenant: str, erasure: str) -> Event | None:
        """The event that says that it was carried out."""
        key = self.ledger.keyring.duplicate(None, tenant, ACCOUNT, "erasure.completed", erasure)
        return next((self.ledger.event(position) for position in self.ledger.known([key]).values()), None)

    def _view(self, tenant: str, act: Act) -> Erasure:
        done = self.completed(tenant, act.act)
        state = _state(act)
        return Erasure(
            erasure=act.act,
            of="message" if act.rule == RULES["message"] else "recipient",
            state=state,
            meaning=STATES[state],
            asked_at=act.asked_at,
            asked_by=act.asked_by,
            expires_at=act.expires_at if state == "waiting" else "",
            decided_at=act.decided_at,
            decided_by=act.decided_by,
            done_at=act.done_at,
            message="".join(act.about.get("streams", [])[:1]),
            numbers=_numbers(done) if done else Numbers(),
        )


def _asked(subject: Subject) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Rule, clear fields and sealed values of the act that asks."""
    if subject.message:
        return RULES["message"], {"streams": [subject.message]}, {}
    return RULES["recipient"], {}, msgspec.to_builtins(subject)


def _subject(act: Act) -> Subject | None:
    """What an act asks to be erased; None when nobody can open that any more."""
    if act.rule == RULES["message"]:
        return Subject(message=str(act.about["streams"][0]))
    return msgspec.convert(act.said, Subject) if act.said.get("recipient") else None


def _state(act: Act) -> State:
    return "ready" if act.may_go else act.state  # type: ignore[return-value]  # `approved` may go


def _numbers(event: Event) -> Numbers:
    told = event.fields.get("numbers", {})
    return Numbers(**{name: told[name] for name in Numbers.__struct_fields__ if name in told})
