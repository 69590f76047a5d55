"""The events that tell a message's story up to a tree size.

Found in the log alone, without the read models, so that a size gives the same answer today and in ten years. What was joined,
declared or grouped after that size is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ledger.application import Ledger
from ledger.errors import NotFoundError
from ledger.events import Event, message_of, read
from ledger.writer import TOLD_ELSEWHERE
from projections.facts import seen_as, to_fact
from projections.fold import Folded, fold
from projections.runner import channels
from projections.stories import MessageRow, Story, Told, note


@dataclass(slots=True)
class Trail:
    """A story as far as it was told at a tree size.

    Attributes:
        message: the message that tells it; another than was asked for when that one was joined.
        recipients: indexes that it is told for.
        is_whole: for all of them.
        declared: how many recipients the message has.
        streams: the streams that tell it -> last version, 0 where nothing stands.
        events: in the order of the log.
        persons: (stream of a message, index in it) -> index in `message`; joined messages have indexes of their own.
        folded: index -> status and reasons.
    """

    message: str
    recipients: tuple[int, ...]
    is_whole: bool
    declared: int
    streams: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    persons: dict[tuple[str, int], int] = field(default_factory=dict)
    folded: dict[int, Folded] = field(default_factory=dict)


def tell(ledger: Ledger, tenant: str, message: str, size: int, recipients: Sequence[int] | None) -> Trail:
    """The story of a message, or of some of its deliveries, as of a tree size.

    Args:
        recipients: indexes; None for all.

    Raises:
        NotFoundError: at that size the tenant had no such message or recipient.
    """
    log = _Log(ledger, size)
    row = log.teller(tenant, message)
    unknown = sorted(set(recipients or ()) - set(range(row.recipients)))
    if unknown or (recipients is not None and not recipients):
        msg = f"message {message} has no recipient {unknown[0]}" if unknown else "no recipient was chosen"
        raise NotFoundError(msg)
    chosen = tuple(sorted(set(recipients))) if recipients is not None else tuple(range(row.recipients))
    story = Story(row, log.rows)
    told = {index: story.of(index) for index in chosen}
    every = [*story.shared(), *(t for each in told.values() for t in each)]
    # What is told of recipients whom nobody declared comes with the whole message only.
    streams = dict.fromkeys(each.stream for each in every if recipients is None or each.scope != "other")
    if recipients is None:
        streams |= dict.fromkeys(story.all())
    log.load([*streams, *(each.stream for each in every)])
    trail = Trail(row.message, chosen, recipients is None, row.recipients)
    trail.streams = {s: len(log.events[s]) for s in sorted(streams)}
    trail.events = sorted((e for s in streams for e in log.events[s]), key=lambda e: e.position)
    trail.persons = log.persons(row)
    channel = channels(ledger).get(row.provider, "")
    trail.folded = {i: _folded(log, told[i], sole=row.recipients == 1, channel=channel) for i in chosen}
    return trail


def _folded(log: _Log, told: Iterable[Told], *, sole: bool, channel: str) -> Folded:
    facts = [(to_fact(event, scope), scope) for stream, scope in told for event in log.events[stream]]
    return fold([seen_as(fact, scope) for fact, scope in facts if fact is not None], sole=sole, channel=channel)


class _Log:
    """The streams read so far, cut at the tree size."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        self.ledger = ledger
        self.size = size
        self.events: dict[str, list[Event]] = {}
        self.rows: dict[str, MessageRow] = {}

    def load(self, streams: Iterable[str]) -> None:
        missing = sorted(set(streams) - self.events.keys())
        self.events |= {stream: [] for stream in missing}
        columns = f"{self.ledger.position_column}, state"
        rows = self.ledger.database.probe("stored_events", columns, "originator_id", missing)
        for position, state in sorted((p, bytes(s)) for p, s in rows if p <= self.size):
            event = read(position, state)
            self.events[event.stream].append(event)

    def teller(self, tenant: str, message: str) -> MessageRow:
        """The row of the message that tells the story, with those of all that were joined into it."""
        passed: set[str] = set()
        self.load([message])
        if message_of(message) != message or not self.events[message] or self.events[message][0].tenant != tenant:
            msg = f"there is no message {message}"
            raise NotFoundError(msg)
        while message not in passed:
            passed.add(message)
            message = self._told_by(message)
        waiting = [message]
        while waiting:
            stream = waiting.pop()
            self.load([stream])
            if stream not in self.rows:
                self.rows[stream] = _row(stream, tenant, self.events[stream])
                waiting += [joined.stream for joined in self.rows[stream].joined]
        return self.rows[message]

    def _told_by(self, message: str) -> str:
        """Where the message's story is told from now on: itself, or the one it was joined into and not parted from."""
        self.load([message])
        into = message
        for event in self.events[message]:
            if event.type == "streams.joined" and event.fields.get("rule") == TOLD_ELSEWHERE:
                into = event.fields["streams"][0]
            elif event.type == "streams.parted" and into in event.fields.get("streams", ()):
                into = message
        return into

    def persons(self, row: MessageRow) -> dict[tuple[str, int], int]:
        """Who is who: indexes of joined messages as indexes of this one."""
        found = {(row.message, index): index for index in range(row.recipients)}
        waiting, passed = [row], {row.message}
        while waiting:
            into = waiting.pop()
            for joined in into.joined:
                pairs = {
                    (joined.stream, a): found[into.message, b]
                    for a, b in joined.recipients
                    if (into.message, b) in found
                }
                found |= pairs
                if joined.stream not in passed:
                    passed.add(joined.stream)
                    waiting.append(self.rows[joined.stream])
        return found


def _row(message: str, tenant: str, events: Sequence[Event]) -> MessageRow:
    """What a message's own stream says of its shape."""
    row = MessageRow(message, tenant)
    for event in events:
        with suppress(ValueError):  # the read model files such an event as one that it could not apply
            note(row, event)
    return row
