"""The stories of messages as the log told them at a size: read from the log alone, up to there.

What was joined, declared or grouped later is not known here, so a size gives the same answer today and in ten years. Of the read models
only the terms that organisations set are used: those that hold for a message were set before it was first heard of.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ledger.application import Ledger
from ledger.errors import NotFoundError
from ledger.events import Event, message_of, read
from ledger.writer import TOLD_ELSEWHERE
from projections.deadlines import Term, in_force
from projections.facts import Fact, home, seen_as, to_fact
from projections.fold import Folded, fold
from projections.rulesets import Ruleset
from projections.runner import channels
from projections.stories import MessageRow, Story, Told, is_claim, note, root

ABOUT_FACTS = frozenset(
    {
        "dispatch.resolved",
        "dispute.resolved",
        "evidence.erased",
        "evidence.ingested",
        "evidence.verified",
        "observation.reread",
        "provider.corrected",
    }
)
"""Types that say something of other facts. When such a thing was learned says nothing of when anything happened to the message, so as of
a time of occurrence they hold as soon as they are known."""


class Replay:
    """The streams read so far, cut at a size of the log.

    Args:
        size: of the log; what follows is not known.
        rules: the versions of the tables that judge.
        occurred_by: facts that happened later are left out; "" for none.

    Attributes:
        events: stream -> its events, in order.
        rows: of the messages looked at; one that was not heard of yet has no `opened_position`.
    """

    def __init__(self, ledger: Ledger, size: int, rules: Ruleset, occurred_by: str = "") -> None:
        self.ledger = ledger
        self.size = size
        self.rules = rules
        self.occurred_by = occurred_by
        self.events: dict[str, list[Event]] = {}
        self.rows: dict[str, MessageRow] = {}
        self._moved: dict[str, list[Event]] = {}
        self._told_by: dict[str, set[str]] = {}
        self._terms: dict[str, list[Term]] = {}
        self._channels = channels(ledger)

    def load(self, streams: Iterable[str]) -> None:
        """Read streams that were not read yet."""
        fresh = sorted(set(streams) - self.events.keys())
        self.events |= {stream: [] for stream in fresh}
        columns = f"{self.ledger.position_column}, state"
        rows = self.ledger.database.probe("stored_events", columns, "originator_id", fresh)
        for position, state in sorted((p, bytes(s)) for p, s in rows):
            if position <= self.size:
                event = read(position, state)
                self.events[event.stream].append(event)
                if (told_in := _home(event)) != event.stream:
                    self._moved.setdefault(told_in, []).append(event)
            elif TOLD_ELSEWHERE.encode() not in state:
                continue
            else:
                event = read(position, state)
            # A joining is two events; that of the joined message may stand just behind the size.
            if event.type == "streams.joined" and event.fields.get("rule") == TOLD_ELSEWHERE:
                self._told_by.setdefault(event.stream, set()).update(event.fields["streams"])

    # --- which message tells what

    def row(self, message: str) -> MessageRow:
        """What the message's own stream said of its shape."""
        if message not in self.rows:
            self.load([message])
            events = self.events[message]
            self.rows[message] = row = MessageRow(message, events[0].tenant if events else "")
            for event in events:
                with suppress(ValueError):  # the read model files such an event as one that it could not apply
                    note(row, event)
        return self.rows[message]

    def teller(self, tenant: str, message: str) -> MessageRow:
        """The row of the message that tells the story.

        Raises:
            NotFoundError: the tenant had no such message; says since when it has, if it has now.
        """
        row = self.row(message)
        if message_of(message) != message or not row.opened_position or row.tenant != tenant:
            raise NotFoundError(self._why(tenant, message))
        return self.row(self.told_by(message))

    def _why(self, tenant: str, message: str) -> str:
        first = self.ledger.stream(message)[:1] if message_of(message) == message else []
        if not first or first[0].tenant != tenant:
            return f"there is no message {message}"
        at = first[0].fields["recorded_at"]
        return (
            f"message {message} was first heard of at {at} (position {first[0].position}), after position {self.size}"
        )

    def told_by(self, message: str) -> str:
        """The message that told its story."""
        waiting, seen = [message], {message}
        while waiting:
            row = self.row(waiting.pop())
            near = self._told_by.get(row.message, set()) | {joined.stream for joined in row.joined}
            waiting += sorted(near - seen)
            seen |= near
        parents = {joined.stream: each for each in sorted(seen) for joined in self.rows[each].joined}
        return root(message, parents)

    def deliveries(self, row: MessageRow) -> range:
        """The recipients of a message that told its own story; what a person claimed for others tells none by itself."""
        return range(0 if is_claim(row) else row.recipients)

    def story(self, row: MessageRow) -> Story:
        """The streams that told the story of a message that told it itself."""
        waiting, seen = [row.message], {row.message}
        while waiting:
            joined = {each.stream for each in self.row(waiting.pop()).joined} - seen
            waiting += sorted(joined)
            seen |= joined
        return Story(row, self.rows)

    # --- what they say

    def facts(self, told: Iterable[Told]) -> list[Fact]:
        """The facts of some streams, as their delivery sees them."""
        streams = list(told)
        self.load(stream for each in streams for stream in {each.stream, message_of(each.stream)})
        found = []
        for stream, scope in streams:
            for event in (*self.events[stream], *self._moved.get(stream, ())):
                fact = _fact(event, scope) if _home(event) == stream else None
                if fact is not None and self.is_by_then(fact):
                    found.append(seen_as(fact, scope))
        return found

    def is_by_then(self, fact: Fact) -> bool:
        """Whether a fact had happened by the time of occurrence that is asked for."""
        return not self.occurred_by or fact.type in ABOUT_FACTS or fact.at() <= self.occurred_by

    def is_told(self, event: Event) -> bool:
        """Whether an event stands in a trail as of the time of occurrence that is asked for."""
        fact = _fact(event, "message")
        return fact is None or self.is_by_then(fact)

    def folded(self, row: MessageRow, facts: Iterable[Fact]) -> Folded:
        """The status of a delivery of a message."""
        return fold(
            facts,
            sole=row.recipients == 1,
            channel=self._channels.get(row.provider, ""),
            terms=in_force(self._terms_of(row.tenant), row.account, row.opened_position),
            rules=self.rules,
        )

    def _terms_of(self, tenant: str) -> list[Term]:
        if tenant not in self._terms:
            sql = f"SELECT {', '.join(Term._fields)} FROM read_terms WHERE tenant = ? ORDER BY position"
            self._terms[tenant] = [Term(*row) for row in self.ledger.database.read(sql, (tenant,))]
        return self._terms[tenant]


def _home(event: Event) -> str:
    """The stream whose story an event tells; its own where the read model could not apply it."""
    with suppress(ValueError):
        return home(event)
    return event.stream


def _fact(event: Event, scope: str) -> Fact | None:
    """The fact in an event; None also where the read model could not apply it."""
    with suppress(ValueError):
        fact = to_fact(event, scope)
        if fact is not None and scope != "batch":
            note(MessageRow(event.stream, event.tenant), event)  # both must be readable
        return fact
    return None
