"""Decides one arrival: what in it is new, and what is written of it.

Where an observation belongs is decided in `ledger.placing`, how often a state without a time was seen in `ledger.chains`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ledger.appender import Item
from ledger.application import Ledger, digest_value
from ledger.chains import Sightings
from ledger.contents import TELLING
from ledger.events import Event, delivery_stream, message_of
from ledger.names import Attestation, Reading, Settled
from ledger.observations import ArrivalKind, Observation
from ledger.placing import ALONE, CONTRADICTS, Like, Placing
from ledger.recorders import ArtifactRow
from ledger.streams import WHOLE_MESSAGE, Planned, about, clean, clean_texts, evolve, person_of, plan_names
from ledger.writer import WITHOUT_ORIGINAL, Context, Writer

MEDIA_TYPES = frozenset(
    {
        "application/json",
        "application/pdf",
        "application/x-www-form-urlencoded",
        "application/xml",
        "message/rfc822",
        "text/html",
        "text/plain",
        "text/xml",
    }
)
"""What is said in the clear of the form of an original; any other word of a header may be somebody's name."""
UNKNOWN_MEDIA = "application/octet-stream"
SECOND_HAND = frozenset({ArrivalKind.API, ArrivalKind.IMPORT})
"""Ways by which somebody tells us what a provider said; we did not see it come."""


class PendingError(Exception):
    """The decision needs the position of something that is still being written; decide again after it."""


class Change(NamedTuple):
    """Something that is read otherwise than before.

    Attributes:
        message, stream: where it stands.
        type, word: what it was read as ("" when it was not); word: the reason, else the code.
        new_type, new_word: what it is read as now ("" when it is no longer told).
    """

    message: str
    stream: str
    type: str
    word: str
    new_type: str
    new_word: str


@dataclass(slots=True)
class Outcome:
    """What became of one arrival.

    Attributes:
        facts: event ids of new facts.
        seen: observations that were there already.
        copies: further originals of known facts.
        unmatched, unreadable, unverified: lane items opened.
        messages: streams of the messages concerned.
        is_new: its bytes were not held before and are now.
        position: last position written, 0 when nothing was.
        contents: (message, stream) of the receipts that tell what was delivered.
        reread: what an original that was read again tells otherwise.
        settled: ids of the waiting items that need nobody any more.
        beside: stream of a receipt -> stream of its delivery, where a person said which that is.
    """

    facts: list[str] = field(default_factory=list)
    seen: int = 0
    copies: int = 0
    unmatched: int = 0
    unreadable: int = 0
    unverified: int = 0
    messages: list[str] = field(default_factory=list)
    is_new: bool = False
    position: int = 0
    contents: list[tuple[str, str]] = field(default_factory=list)
    reread: list[Change] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)


class Decision:
    """Decides one arrival; used once.

    Attributes:
        outcome: what becomes of it.
        leans: it left out what another arrival of the same call is about to write.
    """

    def __init__(self, ledger: Ledger, context: Context, reading: Reading) -> None:
        self.ledger = ledger
        self.context = context
        self.reading = reading
        self.arrival = reading.arrival
        self.names = context.names[id(reading)]
        self.writer = Writer(ledger, context, reading.tenant, reading.arrival.account, self.names)
        self.placing = Placing(ledger, context, reading, self.writer)
        self.sightings = Sightings(ledger, context, self.names, self.placing.observed_at)
        self.plan = self.writer.plan
        self.outcome = Outcome()
        self.leans = False
        self._facts: list[int] = []
        self._mine: dict[bytes, int] = {}

    def item(self) -> Item | None:
        """The item to store, or None when there is nothing new in this arrival.

        Raises:
            PendingError: see there.
            NotFoundError: the caller named a message that does not exist.
        """
        body_keys = (*self.names.body_keys, *self.names.undated_body_keys)
        if not self.reading.stored and any(map(self._is_known, body_keys)):
            self.outcome.seen = max(1, len(self.reading.observations))
            for index, seen in enumerate(self.reading.observations):
                if self._may_be_earlier(index, seen):
                    self._sight(index, is_held=True)
                self._witness(index)
            return self._finish(is_held=True) if self.plan.events else None
        if self.reading.unreadable:
            said = {"text": self.reading.unreadable}
            self.outcome.unreadable += self._wait("unreadable", said, self.names.unreadable_key)
        if self.reading.settles and self.names.answer_key and not self._is_known(self.names.answer_key):
            self._settle(self.reading.settles, self.names.answer_key)
        if self._is_unverified():
            return self._wait_unverified()
        repeated = [self._decide(index, seen) for index, seen in enumerate(self.reading.observations)]
        known = [key for key in repeated if key is not None]
        if not self.plan.events and not self.reading.stored:
            self._keep_copy(known)
        if self.reading.attested and self.plan.events:
            self._attest(self.reading.attested, known)
        self._note_contents(known)
        self.outcome.messages += self.placing.messages
        return self._finish(is_held=bool(self.reading.stored)) if self.plan.events else None

    # --- what is new

    def _decide(self, index: int, seen: Observation) -> bytes | None:
        """Plan one observation.

        Returns:
            The key of the fact that it repeats, or None when it is new.
        """
        key = self.names.fact_keys[index]
        if self.reading.item and self.context.known.get(self.names.lane_keys[index]) != self.reading.item:
            return None
        is_chained, is_known = self.names.is_chained(seen), self._is_known(key)
        if is_known:
            self.placing.learn(seen, self.context.homes[key])
        links = self.sightings.next_keys(seen) if is_chained else []
        if links or not (is_chained or is_known):
            self._add(index, seen, links)
            return None
        self.outcome.seen += 1
        if is_chained and not is_known:  # the state it was in, in other words
            self.placing.learn(seen, self.context.homes[self.names.chain_key(seen, 1, with_state=False)])
        if self._may_be_earlier(index, seen):
            self._sight(index)
        self._witness(index)
        return None if is_chained else key

    def _may_be_earlier(self, index: int, seen: Observation) -> bool:
        """Whether we saw a known fact without a time before we saw the one that is stored."""
        if self.names.is_chained(seen):
            return False
        key, sighted = self.names.fact_keys[index], self.names.sighting_key(index)
        is_known = key in self.context.known and sighted not in self.context.known
        return seen.occurred is None and is_known and self.sightings.is_earlier(key)

    def _sight(self, index: int, *, is_held: bool = False) -> None:
        """Write an earlier sighting of a known fact; `is_held`: these bytes are stored already, beside it."""
        first = self._event(self.names.fact_keys[index])
        marks = [note for note in first.fields.get("notes", ()) if note == CONTRADICTS]
        like = Like(marks, first.fields.get("events", ()) if marks else ())
        event = self.placing.place(self.reading.observations[index], like)
        if event is not None:
            self._claim(event, [self.names.sighting_key(index)])
            held = list(first.fields.get("artifacts", ()))
            self.plan.events[event].clear |= {"artifacts": held} if is_held and held else {}

    def _witness(self, index: int) -> None:
        """Write that a fact which somebody told us has now come from the provider itself: that proves more."""
        key, told, seen = (
            keys[index] for keys in (self.names.fact_keys, self.names.told_keys, self.names.witnessed_keys)
        )
        if self.arrival.kind in SECOND_HAND or not self._is_known(told) or self._is_known(seen):
            return
        first = self._event(key)
        clear = {**self.placing.source(), "rule": "evidence.witnessed", "events": [first.id], **about(first.stream)}
        self._claim(self._plan(Planned("evidence.ingested", first.stream, clear)), [seen])
        self.outcome.messages.append(self.context.canonical(message_of(first.stream)))

    def _add(self, index: int, seen: Observation, links: list[bytes]) -> None:
        """Plan the event of a new fact; what nobody can place waits, once, in the lane of the unmatched.

        Args:
            links: further keys under which it is known from now on.
        """
        key, identity = self.names.fact_keys[index], self.names.identity_keys[index]
        is_rival = identity is not None and self._is_known(identity) and not self._is_known(key)
        if identity and is_rival:
            self.placing.learn(seen, self.context.homes[identity])
        self._new_word(index)
        event = self.placing.place(seen, self._rival(identity) if identity and is_rival else ALONE)
        if event is None:
            self.outcome.unmatched += self._wait("unmatched", seen.texts, self.names.lane_keys[index])
            return
        self._facts.append(event)
        told = self.names.told_keys[index] if self.arrival.kind in SECOND_HAND else None
        own = [k for k in (key, identity, told) if k and k not in self.context.known]
        self._claim(event, [*own, *links])
        self.writer.absorb()

    def _new_word(self, index: int) -> None:
        """Write, once for each tenant, that a provider uses a word which its tables do not have."""
        key, word = self.names.word_keys[index], self.names.new_words[index]
        if key is None or self._is_known(key):
            return
        stream = self.writer.account_stream()
        clear = {**self.placing.source(), "mapping": self.placing.words.mapping, "rule": "vocabulary.unknown"}
        values = {WHOLE_MESSAGE: {"word": clean(word)}}
        event = self.plan.add(Planned("vocabulary.new", stream, clear, values))
        self.plan.lookups.append((event, "vocabulary", (self.arrival.provider,), stream, WHOLE_MESSAGE, False))
        self._claim(event, [key])

    def _rival(self, key: bytes) -> Like:
        """The fact with the same identity that says something else."""
        if key in self._mine:
            return Like((CONTRADICTS,), planned=(self._mine[key],))
        return Like((CONTRADICTS,), (self._event(key).id,))

    def _wait(self, lane: str, texts: Mapping[str, str], key: bytes) -> int:
        """Open an item of a lane, unless it waits there already; returns how many were opened."""
        if self._is_known(key):
            self.outcome.seen += 1
            return 0
        self._claim(self.placing.wait(lane, texts), [key])
        return 1

    def _is_known(self, key: bytes) -> bool:
        self.leans |= self.context.known.get(key) == 0 and key not in self._mine
        return key in self.context.known

    def _claim(self, event: int, keys: Sequence[bytes]) -> None:
        """From now on, these keys stand for an event of this plan."""
        self._mine |= dict.fromkeys(keys, event)
        self.context.homes |= dict.fromkeys(keys, message_of(self.plan.events[event].stream))
        self.context.known |= dict.fromkeys(keys, 0)
        self.sightings.note(keys)

    def _event(self, key: bytes) -> Event:
        position = self.context.known[key]
        if not position:
            raise PendingError
        return self.ledger.event(position)

    def _keep_copy(self, known: Sequence[bytes]) -> None:
        """Another original of facts we hold (certified mail: the same receipt in other bytes) is kept beside the first."""
        # The answer to a poll is no further original: it says again and again what it said before.
        is_poll = self.arrival.kind is ArrivalKind.POLL
        if is_poll or not known or not any(seen.content for seen in self.reading.observations):
            return
        facts = {fact.position: fact for fact in map(self._event, known)}
        first = facts[min(facts)]
        named = [facts[position].id for position in sorted(facts)]
        clear = self.placing.source() | {"events": named, "rule": "evidence.copy"}
        shown = next((seen for seen in self.reading.observations if seen.documents), None)
        if shown and shown.notes:
            clear["notes"] = sorted(shown.notes)
        copy = self._plan(Planned("evidence.ingested", first.stream, clear))
        if shown:
            plan_names(self.plan, copy, message_of(first.stream), self.arrival.account, documents=shown.documents)
        self.outcome.copies += 1
        self.outcome.messages.append(self.context.canonical(message_of(first.stream)))

    # --- its signature, and the call it answers

    def _is_unverified(self) -> bool:
        """Whether its signature keeps it from telling anything: wrong, or absent where nobody vouches for the bytes."""
        attested, is_claimed = self.reading.attested, bool(self.reading.stored and self.reading.message)
        if attested is None or attested.holds:
            return False
        return attested.holds is False or (self.arrival.kind is ArrivalKind.MAILBOX and not is_claimed)

    def _wait_unverified(self) -> Item | None:
        attested = self.reading.attested
        said = {**attested.texts, "text": attested.why} if attested else {}
        key = self.names.unverified_key
        if self._is_known(key):
            self.outcome.seen += 1
            return None
        self._claim(self.placing.wait("unverified", said, attested.verdicts if attested else ()), [key])
        self.outcome.unverified += 1
        return self._finish(is_held=bool(self.reading.stored))

    def _attest(self, attested: Attestation, known: Sequence[bytes]) -> None:
        """Write the verdict on the original beside the facts that rest on it."""
        repeated = [self._event(key) for key in known if self.context.known[key]]
        streams = [self.plan.events[index].stream for index in self._facts] + [fact.stream for fact in repeated]
        if not streams:
            return
        is_one = len(set(streams)) == 1
        stream = streams[0] if is_one else message_of(streams[0])
        rule = {True: "attest.good", False: "attest.wrong", None: "attest.absent"}[attested.holds]
        clear = {**self.placing.source(), "rule": rule, "mapping": self.placing.words.mapping}
        clear |= {
            k: v for k, v in {"notes": sorted(attested.verdicts), "events": [f.id for f in repeated]}.items() if v
        }
        texts = clean_texts({**attested.texts, **({"text": attested.why} if attested.why else {})})[0]
        clear |= about(stream)
        self._plan(Planned("evidence.verified", stream, clear, {person_of(stream): dict(texts)}, tuple(self._facts)))

    def _note_contents(self, known: Sequence[bytes]) -> None:
        """Remember which receipts tell what was delivered, new or seen: a comparison may have been cut off."""
        if any(seen.type in TELLING and seen.documents for seen in self.reading.observations):
            streams = [self.plan.events[index].stream for index in self._facts]
            streams += [self._event(key).stream for key in known if self.context.known[key]]
            self.outcome.contents += [(self.context.canonical(message_of(s)), s) for s in dict.fromkeys(streams)]

    def _settle(self, settled: Settled, key: bytes) -> None:
        """Write, once, what an answer to a call of ours means."""
        message = self.context.canonical(self.reading.message)
        stream = message if settled.recipient is None else delivery_stream(message, settled.recipient)
        clear = {**self.placing.source(), "rule": settled.rule, "events": [settled.attempt], **about(stream)}
        clear |= {"numbers": dict(settled.numbers)} if settled.numbers else {}
        values = {person_of(stream): dict(clean_texts(settled.texts)[0])}
        self._claim(self._plan(Planned(settled.kind, stream, clear, values)), [key])

    def _plan(self, planned: Planned) -> int:
        """Plan an event beside the facts; what is decided next knows that its stream moved on."""
        message = self.context.messages.get(planned.stream)
        if message is not None:
            self.context.messages[planned.stream] = evolve(message, {"type": planned.kind})
        return self.plan.add(planned)

    # --- its bytes

    def _finish(self, *, is_held: bool) -> Item:
        naming = [i for i, planned in enumerate(self.plan.events) if planned.kind not in WITHOUT_ORIGINAL]
        is_held = is_held or not naming
        artifacts = [] if is_held else self._seal_originals()
        for index in naming if self.reading.stored else ():
            self.plan.events[index].clear["artifacts"] = list(self.reading.stored)
        item = self.writer.item()
        item.artifacts = [(naming[0], row) for row in artifacts]
        item.duplicates = [(event, key) for key, event in self._mine.items()]
        if not is_held:
            item.duplicates.append((0, self.names.body_keys[0]))
            self.context.known[self.names.body_keys[0]] = 0
        self.outcome.facts = [item.drafts[index].id for index in self._facts]
        self.outcome.is_new = not is_held or bool(self.reading.stored)
        return item

    def _seal_originals(self) -> list[ArtifactRow]:
        """The body, and our request, sealed once; every event says which and commits to their digests."""
        originals = [("body", self.arrival.body)]
        if self.arrival.request is not None:
            originals.append(("request", self.arrival.request))
        message = self.context.messages.get(self.writer.sole_owner())
        if message is not None and self.placing.names_erased(message, self.reading.observations):
            return []
        key = self.writer.original_key()
        if key is None:
            return []
        said = self.arrival.headers.get("content-type", "").partition(";")[0].strip().lower()
        media_type = said if said in MEDIA_TYPES else UNKNOWN_MEDIA
        rows = [self.ledger.seal_original(key, body, media_type) for _, body in originals]
        values: dict[str, Any] = {
            f"artifact.{i}": digest_value(body, media_type, clean(self.arrival.name), role)
            for i, (role, body) in enumerate(originals)
        }
        if self.arrival.headers:
            values["headers"] = clean_texts({k: v for k, v in self.arrival.headers.items() if k.isascii()})[0]
        if self.arrival.status is not None:
            values["artifact.0"]["status"] = self.arrival.status
        for planned in self.plan.events:
            if planned.kind not in WITHOUT_ORIGINAL:
                planned.clear["artifacts"] = [row.artifact_id for row in rows]
                planned.values.setdefault(WHOLE_MESSAGE, {}).update(values)
        return rows
