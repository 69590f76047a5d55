"""What goes of the messages when a person, or a message, is erased: story by story, judged from what the log says now.

A message whose every recipient is erased goes as a whole, with all streams that tell its story. Of any other only what is the person's
goes: their key; the originals that tell of nobody else; the values of the whole message that name them. An original that others' deliveries
rest on stays sealed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from adapters.erasing.spellings import Person
from adapters.evidence.names import People
from adapters.evidence.originals import names_others
from adapters.keeping import Covering
from adapters.outbox import OPEN
from ledger import erasing
from ledger.addresses import kept, normal
from ledger.application import Ledger, Opened
from ledger.database import Reads
from ledger.erasing import Destroyed, Erased
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event, delivery_stream, read
from ledger.observations import Address
from ledger.streams import WHOLE_MESSAGE
from projections.originals import Concern, concerns, of_messages, resting_on
from projections.queries import Queries
from projections.status import stories
from projections.stories import Story

MAX_NAMED = 400
"""Originals, or events, that one event names."""
MAX_LOOKED_FOR = 2_000
"""Further recipients of a message whose names are looked for in an original; beyond, what is read in it decides."""
PAGE = 200
LAST_RECIPIENT = 2**31 - 1
"""Behind all recipients of a message."""

Delivery = tuple[str, int]
"""A stream of a message, and the index of a recipient in it."""


class Going(NamedTuple):
    """What goes of one story.

    Attributes:
        message: tells the story; `streams`: of the messages that belong to it.
        is_whole: all of it goes.
        erased: what is to be said, in the streams where it is to be said; empty: it was said before.
        recipients: how many of the message's recipients go now.
        held: how many keys, values, originals and look-ups there are of it.
        stays: why an original that is about it stays -> how many.
        deliveries: of the message that tells the story, which are touched; what a hold on one of them forbids.
        sends: messages that are still to be sent.
        expect: streams and their last versions; what was judged holds as long as they are these.
        gone: deliveries that are erased by this, or were before; a message that was erased before stands there as WHOLE_MESSAGE.
    """

    message: str
    streams: tuple[str, ...]
    is_whole: bool
    erased: tuple[Erased, ...]
    recipients: int
    held: Destroyed
    stays: Mapping[str, int]
    deliveries: tuple[Delivery, ...]
    sends: tuple[str, ...]
    expect: Mapping[str, int]
    gone: frozenset[Delivery]

    def covers(self, concern: Concern) -> bool:
        """Whether what an original tells of is erased by this, or was before."""
        return self.is_whole or bool({(concern.owner, concern.recipient), (concern.owner, WHOLE_MESSAGE)} & self.gone)


class MovedError(Exception):
    """The story moved while it was judged, or the read models are behind it; judge again."""


# --- whose


def found(reads: Reads, digests: Sequence[bytes], after: str = "", limit: int = PAGE) -> list[str]:
    """Streams of messages that have the person among their recipients, by id, after one."""
    # Said as a place in the index: PostgreSQL, which guesses that a value has few rows, would sort all of them for each page.
    near = "WHERE (digest, stream, recipient) > (?, ?, ?) AND digest <= ? ORDER BY digest, stream, recipient LIMIT ?"
    sql = f"SELECT stream FROM (SELECT digest, stream, recipient FROM lookups {near}) AS near WHERE digest = ?"
    asked = [(digest, after, LAST_RECIPIENT, digest, limit, digest) for digest in digests]
    return sorted({str(stream) for each in asked for (stream,) in reads.read(sql, each)})[:limit]


def judge(  # noqa: PLR0917  whose, of what, who, as what is held
    queries: Queries,
    tenant: str,
    message: str,
    person: Person | None,
    digests: Sequence[bytes],
    covering: Covering | None = None,
) -> Going:
    """What goes of the story that a message tells, or is told in.

    Args:
        person: who is erased; None: the message is, with all its recipients.
        digests: under which the person is found.
        covering: what is on hold; of a message with others, what they share stays while one of them is.

    Raises:
        NotFoundError: the tenant has no such message.
        MovedError: see there.
    """
    position = queries.position()
    row = queries.message_row(tenant, message)
    story = stories(queries.ledger.database, [row.message])[row.message]
    judged = _Judged(queries.ledger, tenant, story, person, covering)
    if judged.last > position:
        raise MovedError
    mine = judged.everybody() if person is None else judged.closed(found_in(queries.ledger.database, story, digests))
    return judged.going(mine)


def found_in(reads: Reads, story: Story, digests: Sequence[bytes]) -> set[Delivery]:
    """The deliveries of a story's messages that are found under some digests."""
    pairs = [(digest, stream) for digest in digests for stream in story.messages]
    rows = reads.probe_pairs("lookups", "stream, recipient", ("digest", "stream"), pairs)
    return {(str(stream), int(recipient)) for stream, recipient in rows if recipient >= 0}


class _Judged:
    """One story, read from the log.

    Attributes:
        events: of the streams of its messages, without those of its deliveries.
        declared: message -> how many recipients it has.
        before: deliveries that were erased before; `gone`: messages that were, as a whole.
        last: the newest position that was read.
    """

    def __init__(
        self, ledger: Ledger, tenant: str, story: Story, person: Person | None, covering: Covering | None
    ) -> None:
        self.covering = covering
        self.ledger, self.reads = ledger, ledger.database
        self.tenant, self.story, self.person = tenant, story, person
        self.teller = story.teller.message
        self.events = {stream: ledger.stream(stream) for stream in story.messages}
        self.last = max((events[-1].position for events in self.events.values() if events), default=0)
        self.declared = {stream: _declared(events) for stream, events in self.events.items()}
        told = [erasing.told(e) for events in self.events.values() for e in events if e.type == "evidence.erased"]
        self.gone = {each.stream for each in told if each.is_message}
        self.before = {(each.stream, each.recipient) for each in told if each.recipient != WHOLE_MESSAGE}
        self.expect = {stream: len(events) for stream, events in self.events.items()}

    # --- who

    def everybody(self) -> set[Delivery]:
        return {(stream, index) for stream, count in self.declared.items() for index in range(count)}

    def closed(self, found: Iterable[Delivery]) -> set[Delivery]:
        """These deliveries, and those of the story's other messages that are the same."""
        mine = set(found)
        indexes = {self._index(each) for each in mine} - {None}
        same = {
            (stream.partition("/")[0], int(stream.partition("/")[2]))
            for stream, index in self.story.index_of.items()
            if index in indexes
        }
        return mine | same | {(self.teller, index) for index in indexes if index is not None}

    def _index(self, delivery: Delivery) -> int | None:
        """Which recipient of the message that tells the story it is."""
        stream, index = delivery
        return index if stream == self.teller else self.story.index_of.get(delivery_stream(stream, index))

    # --- what

    def going(self, mine: set[Delivery]) -> Going:
        now = mine - self.before - {each for each in mine if each[0] in self.gone}
        erased = mine | self.before
        is_whole = self.person is None or (bool(mine) and self.everybody() <= self.closed(erased))
        if is_whole and self.gone >= set(self.story.messages):
            return self._told((), now, is_whole=True)
        return self._whole(now) if is_whole else self._part(now, erased)

    def _whole(self, now: set[Delivery]) -> Going:
        streams = [stream for stream in self.story.messages if stream not in self.gone]
        held = concerns(self.reads, of_messages(self.reads, [*self.story.messages, *self.story.batches]))
        others = {a: self._others(told) for a, told in held.items()}
        sealed = self._sealed_here(held)
        if any(others[artifact] for artifact in sealed):
            return self._whole_but_shared(now, others)
        named = sorted(a for a in held if a not in sealed and not others[a])
        stays = Counter(why for a, why in others.items() if why and any(c.owner in self.events for c in held[a]))
        parts = _parts(named) or [()]
        erased = [*(Erased(streams[0], originals=part) for part in parts), *map(Erased, streams[1:])]
        return self._told(tuple(erased), now, stays=stays, is_whole=True)

    def _sealed_here(self, artifacts: Collection[str]) -> set[str]:
        """The originals that are sealed under keys of this story's messages."""
        rows = self.reads.probe("artifacts", "artifact_id, key_id", "artifact_id", sorted(artifacts))
        keys = sorted({bytes(key) for _, key in rows})
        owners = {bytes(k): str(s) for k, s in self.reads.probe("person_keys", "key_id, stream", "key_id", keys)}
        return {str(name) for name, key in rows if owners.get(bytes(key)) in self.events}

    def _others(self, told: Iterable[Concern], erased: Collection[Delivery] | None = None) -> str:
        """Why an original is not this story's alone; "" when it is, or when whoever else it concerns is erased.

        Args:
            erased: of this story; None: all of it.
        """
        elsewhere = [c for c in told if c.owner not in self.events and c.is_message]
        batches = {c.owner for c in told if c.owner.startswith("batch/")}
        elsewhere += [Concern("", message, WHOLE_MESSAGE, 0) for message in self._in_batches(batches)]
        if not self._are_erased(elsewhere):
            return "other_messages"
        here = [c for c in told if c.owner in self.events and c.owner not in self.gone]
        if erased is not None and (batches or any((c.owner, c.recipient) not in erased for c in here)):
            return "other_persons"
        return ""

    def _in_batches(self, batches: Collection[str]) -> list[str]:
        """The other messages of some batches: what is told of a batch is told of each."""
        rows = self.reads.probe("read_batch_messages", "message", "batch", sorted(batches))
        return sorted({str(message) for (message,) in rows} - self.events.keys())

    def _are_erased(self, wanted: Sequence[Concern]) -> bool:
        """Whether deliveries of other messages were all erased."""
        streams = sorted({c.owner for c in wanted})
        columns = f"{self.ledger.position_column}, state"
        only = "AND topic = 'evidence.erased/1'"
        rows = self.reads.probe("stored_events", columns, "originator_id", streams, only)
        told = [erasing.told(read(position, bytes(state))) for position, state in rows]
        gone = {each.stream for each in told if each.is_message}
        parts = {(each.stream, each.recipient) for each in told}
        return all(c.owner in gone or (c.recipient >= 0 and (c.owner, c.recipient) in parts) for c in wanted)

    def _whole_but_shared(self, now: set[Delivery], others: Mapping[str, str]) -> Going:
        """A message under whose own key something is sealed that others need: all goes but that key and what it is needed for."""
        stays = Counter(why for why in others.values() if why)
        everybody = sorted(self.everybody() - self.before)
        if not everybody:
            return self._told((), now, stays=stays)
        named = [artifact for artifact, why in sorted(others.items()) if not why]
        events = [e for each in self.events.values() for e in each] + self._deliveries(everybody)
        return self._told(self._chunked(everybody, named, events), now, stays=stays)

    def _part(self, now: set[Delivery], erased: set[Delivery]) -> Going:
        """One of several recipients."""
        # Where she was erased before, what she shared may have stayed for somebody who was on hold then.
        ordered = sorted(now) or [(self.teller, self.declared[self.teller])]
        stays: Counter[str] = Counter()
        named = []
        for artifact, told in concerns(self.reads, resting_on(self.reads, now)).items():
            why = self._others(told, erased) or self._names_others(artifact, told, now)
            if why:
                stays[why] += 1
            else:
                named.append(artifact)
        shared = self._naming()
        if shared and self._keeps_others(erased):
            stays["held"] += len(shared)
            shared = []
        goes = self._chunked(ordered, named, self._deliveries(now) + shared) if now or shared else ()
        return self._told(goes, now, stays=stays)

    def _keeps_others(self, erased: Collection[Delivery]) -> bool:
        """Whether a hold is on somebody of the message who is not erased."""
        others = [each for each in sorted(self.everybody() - set(erased)) if each[0] == self.teller]
        return self.covering is not None and any(self.covering.of(others).values())

    def _names_others(self, artifact: str, told: Sequence[Concern], now: Collection[Delivery]) -> str:
        """Whether what came with it is about others; where some of them were erased before, nobody can say any more."""
        if self.person is None or any((c.owner, c.recipient) not in now for c in told if c.is_message):
            return ""
        event = self.ledger.event(min(c.position for c in told))
        people = People(self.person.normals, tuple(self._hidden(now)), frozenset(), is_strict=False)
        try:
            return names_others(self.ledger, self.tenant, artifact, event, set(self.events), people)
        except (ErasedError, NotFoundError, FileNotFoundError, KeyError):
            return ""  # there is nothing left that others could need

    def _hidden(self, now: Collection[Delivery]) -> Iterator[Address]:
        """The other recipients, where there are not too many of them."""
        others = sorted(self.everybody() - set(now))
        if len(others) > MAX_LOOKED_FOR or self.person is None:
            return
        declaring = [e for each in self.events.values() for e in each if e.type == "recipients.declared"]
        for said in self.ledger.values(declaring).values():
            for path, value in said.items():
                if path.startswith("recipient.") and normal(address := kept(value)) not in self.person.normals:
                    yield address

    def _deliveries(self, wanted: Iterable[Delivery]) -> list[Event]:
        """The events of some deliveries' own streams."""
        streams = [delivery_stream(*each) for each in wanted]
        found = [event for stream in streams for event in self.ledger.stream(stream)]
        self.expect |= dict.fromkeys(streams, 0) | Counter(event.stream for event in found)
        self.last = max([self.last, *(event.position for event in found)])
        return found

    def _naming(self) -> list[Event]:
        """Events of the message whose values that are the whole message's name the person."""
        shared = [e for each in self.events.values() for e in each if e.type != "recipients.declared"]
        opened = self.ledger.disclosures(shared)
        return [e for e in shared if self._is_named(opened.get(e.position, {}).values())]

    def _is_named(self, opened: Iterable[Opened]) -> bool:
        values = [each.value for each in opened if each.person < 0]
        return self.person is not None and self.person.in_values(values)

    # --- how it is told

    def _chunked(
        self, wanted: Sequence[Delivery], originals: Sequence[str], events: Sequence[Event]
    ) -> tuple[Erased, ...]:
        """One for each delivery, and further ones where it names much; an event is named in the stream of its message."""
        named: dict[Delivery, list[str]] = {each: [] for each in wanted}
        whose = dict(reversed(wanted))
        for event in events:
            if "commit" in event.fields:
                message, _, index = event.stream.partition("/")
                # A stream of the story in which the person is no recipient: nobody's index, which nobody will have any more.
                recipient = int(index) if index else whose.get(message, self.declared[message])
                named.setdefault((message, recipient), []).append(event.id)
        found = []
        for delivery, ids in named.items():
            mine = originals if delivery == wanted[0] else ()
            parts = zip_longest(_parts(mine), _parts(ids), fillvalue=()) if mine or ids else [((), ())]
            found += [Erased(*delivery, originals=a, events=e) for a, e in parts]
        return tuple(found)

    def _told(
        self,
        erased: tuple[Erased, ...],
        now: Collection[Delivery],
        *,
        stays: Mapping[str, int] | None = None,
        is_whole: bool = False,
    ) -> Going:
        touched = {index for each in now if (index := self._index(each)) is not None}
        if is_whole:
            touched = set(range(self.declared[self.teller]))
        still = "AND state IN (" + ", ".join(f"'{state}'" for state in OPEN) + ")"
        sends = self.reads.probe("outbox", "message", "message", sorted(self.events), still)
        return Going(
            message=self.teller,
            streams=tuple(self.events),
            is_whole=is_whole,
            erased=erased,
            recipients=len({self._index(each) for each in now}),
            held=sum((erasing.left(self.ledger.database, each) for each in erased), Destroyed()),
            stays=stays or {},
            deliveries=tuple((self.teller, index) for index in sorted(touched)) or ((self.teller, WHOLE_MESSAGE),),
            sends=tuple(str(message) for (message,) in sends),
            expect=self.expect,
            gone=frozenset(self.before | set(now) | {(message, WHOLE_MESSAGE) for message in self.gone}),
        )


def _declared(events: Iterable[Event]) -> int:
    return max((e.fields["first"] + e.fields["count"] for e in events if e.type == "recipients.declared"), default=0)


def _parts(named: Sequence[str]) -> list[tuple[str, ...]]:
    """As many as one event may name."""
    return [tuple(named[start : start + MAX_NAMED]) for start in range(0, len(named), MAX_NAMED)]
