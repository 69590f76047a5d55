"""Which streams tell the story of a message, and of each of its deliveries. Pure.

A message tells its own story and those of the messages that were joined into it, directly or through others. Recipients are paired by
the indexes that the joining events give, never by comparing addresses, so erasure changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ledger.events import MAX_DECLARED, Event, delivery_stream
from ledger.streams import PROTECTED, UNPROTECTED, WHOLE_MESSAGE, indexes
from ledger.writer import TOLD_ELSEWHERE


class Joined(msgspec.Struct, frozen=True, array_like=True):
    """A message that was joined into another; `recipients` pairs its indexes with the other's."""

    stream: str
    recipients: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class MessageRow:
    """What is known of a message as a whole.

    Attributes:
        registered: 1 when the sender declared it.
        recipients: how many it has.
        batches: streams of the batches it belongs to.
        joined: messages that were joined into it directly.
        joined_into: the message that tells its story, or "".
        first_type: type of its first event, declarations apart.
        protected: indexes of the recipients whose identity is protected, as its own stream says; WHOLE_MESSAGE: everybody's.
    """

    message: str
    tenant: str
    account: str = ""
    provider: str = ""
    opened_position: int = 0
    opened_at: str = ""
    registered: int = 0
    recipients: int = 0
    batches: tuple[str, ...] = ()
    joined_into: str = ""
    joined: tuple[Joined, ...] = ()
    first_type: str = ""
    updated_position: int = 0
    protected: tuple[int, ...] = ()


class _Clear(msgspec.Struct):
    """The clear fields that say something of a message's shape, in the shapes they must have."""

    recorded_at: str
    account: str = ""
    provider: str = ""
    rule: str = ""
    first: int = 0
    count: int = 0
    streams: tuple[str, ...] = ()
    recipients: tuple[tuple[int, int], ...] = ()


def note(row: MessageRow, event: Event) -> None:
    """Bring a row up to the next event of its message, in whichever of its streams.

    Raises:
        ValueError: the event does not have the shape that is expected of its type; the row is as it was.
    """
    kind, said = event.type, msgspec.convert(event.fields, _Clear)
    is_declared = kind == "recipients.declared"
    if is_declared and not (said.first == row.recipients and 0 < said.count <= MAX_DECLARED):
        msg = f"recipients {said.first} + {said.count} of a message that has {row.recipients}"
        raise ValueError(msg)
    if not row.opened_position:
        row.opened_position, row.opened_at = event.position, said.recorded_at
    row.account = row.account or said.account
    row.provider = row.provider or said.provider
    row.first_type = row.first_type or ("" if is_declared else kind)
    row.updated_position = event.position
    row.registered |= kind == "submission.requested"
    row.recipients += said.count if is_declared else 0
    batches = [stream for stream in said.streams if stream.startswith("batch/")]
    row.batches = tuple(dict.fromkeys([*row.batches, *batches]))
    if kind == "streams.joined" and said.rule != TOLD_ELSEWHERE:
        row.joined += tuple(Joined(stream, said.recipients) for stream in said.streams if stream != row.message)
    elif kind == "streams.parted":
        row.joined = tuple(joined for joined in row.joined if joined.stream not in said.streams)
    elif kind == PROTECTED:
        row.protected = tuple(sorted({*row.protected, *indexes(event.fields)}))
    elif kind == UNPROTECTED:
        row.protected = tuple(sorted(set(row.protected) - set(indexes(event.fields))))


CLAIM = "lane.claimed"
"""First type of what a person said belongs to another message; by itself it tells nothing (`ledger.claiming`)."""


def is_claim(row: MessageRow) -> bool:
    """Whether it holds what a person said belongs to another message."""
    return row.first_type == CLAIM


class Told(NamedTuple):
    """A stream that tells a delivery's story.

    Attributes:
        scope: whom its facts are about: `recipient`, `message`, `batch`, or `other`: a recipient whom the sender never declared.
    """

    stream: str
    scope: str


class Story:
    """The streams behind one message that tells its story itself.

    Attributes:
        messages: the message, then those joined into it.
        batches: of all of them.
        others: delivery streams of joined messages whose recipients this one does not have.
        index_of: delivery stream of a joined message -> recipient of this one.
    """

    def __init__(self, teller: MessageRow, rows: Mapping[str, MessageRow]) -> None:
        self.teller = teller
        self.messages = [teller.message]
        self.others: list[str] = []
        self.index_of: dict[str, int] = {}
        batches = set(teller.batches)
        waiting: list[tuple[MessageRow, Mapping[int, int] | None]] = [(teller, None)]
        while waiting:
            row, indexes = waiting.pop()
            for stream, pairs in _pairs(row).items():
                if stream in self.messages:
                    continue
                self.messages.append(stream)
                mapped = pairs if indexes is None else {a: indexes[b] for a, b in pairs.items() if b in indexes}
                self.index_of |= {delivery_stream(stream, a): b for a, b in mapped.items()}
                other = rows.get(stream)
                if other is not None:
                    self.others += [delivery_stream(stream, a) for a in range(other.recipients) if a not in mapped]
                    batches |= set(other.batches)
                    waiting.append((other, mapped))
        self.batches = sorted(batches)
        self._joined: dict[int, list[str]] = {}
        for stream, index in self.index_of.items():
            self._joined.setdefault(index, []).append(stream)

    def of(self, recipient: int) -> list[Told]:
        """The streams that tell the story of one delivery."""
        return [*(Told(stream, "recipient") for stream in self.own(recipient)), *self.shared()]

    def own(self, recipient: int) -> list[str]:
        """The streams that tell of one delivery alone."""
        return [delivery_stream(self.teller.message, recipient), *self._joined.get(recipient, ())]

    def shared(self) -> list[Told]:
        """The streams that tell something of every delivery."""
        whole = [Told(stream, "message") for stream in self.messages]
        others = [Told(stream, "other") for stream in self.others]
        return [*whole, *others, *(Told(stream, "batch") for stream in self.batches)]

    def all(self) -> list[str]:
        """Every stream of the story, deliveries included."""
        own = [delivery_stream(self.teller.message, i) for i in range(self.teller.recipients)]
        return [*own, *self.index_of, *(told.stream for told in self.shared())]


def protected(story: Story, rows: Mapping[str, MessageRow]) -> dict[str, set[int]]:
    """Whose identity is protected in each message of a story: who is in one of them is so in all.

    WHOLE_MESSAGE stands beside them where that is everybody.
    """
    own = {(stream, index) for stream in story.messages if stream in rows for index in rows[stream].protected}
    if not own:
        return {}
    told = story.teller.message
    of_teller = {story.index_of.get(delivery_stream(stream, i), -1) if stream != told else i for stream, i in own}
    own |= {(told, index) for index in of_teller if index >= 0}
    for stream, index in story.index_of.items():
        message, _, number = stream.partition("/")
        own |= {(message, int(number))} if index in of_teller else set()
    everybody = {(told, index) for index in range(story.teller.recipients)}
    if any(index == WHOLE_MESSAGE for _, index in own) or (everybody and everybody <= own):
        own |= {(stream, WHOLE_MESSAGE) for stream in story.messages} | everybody
    found: dict[str, set[int]] = {}
    for stream, index in own:
        found.setdefault(stream, set()).add(index)
    return found


def _pairs(row: MessageRow) -> dict[str, dict[int, int]]:
    """Per joined message its pairs of indexes; long lists come in several events."""
    found: dict[str, dict[int, int]] = {}
    for joined in row.joined:
        found.setdefault(joined.stream, {}).update(joined.recipients)
    return found


def missing(rows: Mapping[str, MessageRow]) -> set[str]:
    """Messages that these rows speak of and that are not among them."""
    spoken: Iterable[str] = (
        s for row in rows.values() for s in (row.joined_into, *(j.stream for j in row.joined)) if s
    )
    return set(spoken) - rows.keys()


def root(message: str, parents: Mapping[str, str]) -> str:
    """The message that tells the story; of a circle, which nobody should write, the first by name."""
    passed = [message]
    while message in parents:
        message = parents[message]
        if message in passed:
            return min(passed[passed.index(message) :])
        passed.append(message)
    return message
