"""Decides one arrival: what in it is new, where each observation belongs, and what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.addresses import normal
from ledger.appender import Item
from ledger.application import Ledger, Words, digest_value
from ledger.errors import NotFoundError
from ledger.events import delivery_stream, message_of, time_text
from ledger.names import Reading
from ledger.observations import Address, Observation, Reference
from ledger.recorders import ArtifactRow
from ledger.streams import WHOLE_MESSAGE, Message, Planned, clean, clean_texts, evolve, plan_names, plan_recipients
from ledger.writer import Context, Writer

CHAIN_PAGE = 32
NO_WORDS = Words("none/0", frozenset())
WITHOUT_ORIGINAL = frozenset({"recipients.declared", "streams.joined", "reference.conflict"})


class PendingError(Exception):
    """The decision needs the position of something that is still being written; decide again after it."""


@dataclass(slots=True)
class Outcome:
    """What became of one arrival.

    Attributes:
        facts: event ids of new facts.
        seen: observations that were there already.
        copies: further originals of known facts.
        unmatched, unreadable: lane items opened.
        messages: streams of the messages concerned.
        is_new: its bytes were not held before and are now.
        position: last position written, 0 when nothing was.
    """

    facts: list[str] = field(default_factory=list)
    seen: int = 0
    copies: int = 0
    unmatched: int = 0
    unreadable: int = 0
    messages: list[str] = field(default_factory=list)
    is_new: bool = False
    position: int = 0


class Decision:
    """Decides one arrival; used once."""

    def __init__(self, ledger: Ledger, context: Context, reading: Reading) -> None:
        self.ledger = ledger
        self.context = context
        self.reading = reading
        self.arrival = reading.arrival
        self.names = context.names[id(reading)]
        self.writer = Writer(ledger, context, reading.tenant, reading.arrival.account, self.names)
        self.plan = self.writer.plan
        self.outcome = Outcome()
        self.fact_events: list[int] = []
        self.keys: list[tuple[int, bytes]] = []
        self.words = ledger.vocabulary.get(self.arrival.provider, NO_WORDS)

    def item(self) -> Item | None:
        """The item to store, or None when there is nothing new in this arrival.

        Raises:
            PendingError: see there.
            NotFoundError: the caller named a message that does not exist.
        """
        if not self.reading.stored and any(k in self.context.known for k in self.names.body_keys):
            self.outcome.seen = max(1, len(self.reading.observations))
            return None
        if self.reading.unreadable:
            self._open_lane("unreadable", {"text": self.reading.unreadable})
            self.outcome.unreadable += 1
        repeated = [self._decide(index, seen) for index, seen in enumerate(self.reading.observations)]
        if not self.plan.events:
            self._keep_copy([p for p in repeated if p is not None])
        return self._finish() if self.plan.events else None

    def _decide(self, index: int, seen: Observation) -> int | None:
        """Plan one observation.

        Returns:
            The position of the fact that it repeats (0 while that is still being written), or None when it is new.
        """
        new = [self.names.fact_keys[index]]
        if self.names.is_chained(seen):
            new = self._next_link(seen)
        elif new[0] in self.context.known:
            self.outcome.seen += 1
            return self.context.known[new[0]]
        if not new:
            self.outcome.seen += 1
            return 0
        identity = self.names.identity_keys[index]
        rival = self.context.known.get(identity) if identity else None
        event = self._place(seen, rival, self.names.lane_keys[index])
        if event is None:
            return None
        self.fact_events.append(event)
        new += [identity] if identity and rival is None else []
        self.keys += [(event, key) for key in new]
        self.context.known |= dict.fromkeys(new, 0)
        self.writer.absorb()
        return None

    def _next_link(self, seen: Observation) -> list[bytes]:
        """Keys of the next state of a timeless polled object; empty when the last one seen is this very state."""
        last = 0
        while True:
            links = [self.names.chain_key(seen, n, with_state=False) for n in range(last + 1, last + CHAIN_PAGE + 1)]
            found = len({*self.ledger.known(links), *(k for k in links if k in self.context.known)})
            last += found
            if found < CHAIN_PAGE:
                break
        state = self.names.chain_key(seen, last, with_state=True)
        if last and (state in self.context.known or self.ledger.known([state])):
            return []
        return [self.names.chain_key(seen, last + 1, with_state=w) for w in (False, True)]

    # --- where it belongs

    def _place(self, seen: Observation, rival: int | None, lane_key: bytes) -> int | None:
        """Plan the event of one observation; None when it waits, once, in the lane of the unmatched."""
        clear, texts = self._said(seen)
        if rival == 0:
            raise PendingError
        if rival is not None:
            clear["notes"] = sorted({*clear.get("notes", ()), "same_identity_other_content"})
            clear["events"] = [self.ledger.event(rival).id]
        if seen.about == "account":
            return self.plan.add(Planned(seen.type, self.writer.account_stream(), clear, {WHOLE_MESSAGE: texts}))
        if seen.about == "batch" and seen.batch:
            return self.plan.add(
                Planned(seen.type, self.writer.batch_stream(seen.batch), clear, {WHOLE_MESSAGE: texts})
            )
        message = self._message(seen)
        if message is None:
            if lane_key in self.context.known:
                self.outcome.seen += 1
                return None
            self.keys.append((self._open_lane("unmatched", texts), lane_key))
            self.context.known[lane_key] = 0
            self.outcome.unmatched += 1
            return None
        return self._place_in(message, seen, clear, texts)

    def _place_in(self, message: Message, seen: Observation, clear: dict[str, Any], texts: dict[str, Any]) -> int:
        message = self._declare(message, seen)
        if seen.batch and not message.batch:
            clear["streams"] = [self.writer.batch_stream(seen.batch, message.stream)]
        person, stream = WHOLE_MESSAGE, message.stream
        if seen.about == "recipient" and seen.recipient:
            index = self.writer.recipient(message.stream, seen.recipient)
            if index is None:
                clear["about"] = "other_recipient"
                texts["recipient"] = {"kind": seen.recipient.kind, "address": clean(seen.recipient.value)}
            else:
                clear["recipient"] = person = index
                stream = delivery_stream(message.stream, index)
        event = self.plan.add(Planned(seen.type, stream, clear, {person: texts}))
        names = [r for r in seen.references if self._is_new_name(message.stream, r)]
        if names or seen.documents:
            plan_names(
                self.plan, event, message.stream, self.arrival.account, references=names, documents=seen.documents
            )
        fields = (
            {**clear, "type": seen.type}
            if stream == message.stream
            else {**clear, "type": "", "version": message.version}
        )
        self.context.messages[message.stream] = evolve(message, fields)
        if message.stream not in self.outcome.messages:
            self.outcome.messages.append(message.stream)
        return event

    def _is_new_name(self, stream: str, reference: Reference) -> bool:
        streams = self.context.lookups.get(self.writer.reference_digest(reference), set())
        return not streams if reference.exclusive else stream not in streams

    def _declare(self, message: Message, seen: Observation) -> Message:
        """Declare recipients that the arrival names, unless the sender has already said who they are."""
        named = [*seen.declares, *([seen.recipient] if seen.recipient and seen.about == "recipient" else [])]
        fresh: dict[tuple[str, str], Address] = {}
        for address in named:
            if self.writer.recipient(message.stream, address) is None:
                fresh.setdefault((address.kind, normal(address)), address)
        if not fresh or message.registered:
            return message
        self._expect(message)
        message = plan_recipients(self.plan, message, list(fresh.values()), self._source())
        self.writer.absorb()
        self.context.messages[message.stream] = message
        return message

    def _expect(self, message: Message) -> None:
        """The decision rests on the message's version: what it will be when this item's turn comes."""
        if message.stream not in self.plan.opened:
            mine = sum(1 for e in self.plan.events if e.stream == message.stream)
            self.plan.expect.setdefault(message.stream, message.version - mine)

    def _message(self, seen: Observation) -> Message | None:
        """The message this is about: known, joined of several, or opened now; None without a usable reference."""
        if self.reading.message:
            hinted = self.context.messages.get(self.context.canonical(self.reading.message))
            if hinted is None or not hinted.version:
                msg = f"there is no message {self.reading.message}"
                raise NotFoundError(msg)
            return hinted
        exclusive = [r for r in seen.references if r.exclusive]
        found = self._candidates(exclusive)
        if found:
            return self._one_of(found)
        if exclusive:
            return self.writer.open_message()
        shared = self._candidates([r for r in seen.references if not r.exclusive])
        return shared[0] if len(shared) == 1 else None

    def _candidates(self, references: Sequence[Reference]) -> list[Message]:
        digests = [self.writer.reference_digest(r) for r in references]
        streams = dict.fromkeys(
            self.context.canonical(s) for d in digests for s in sorted(self.context.lookups.get(d, ()))
        )
        return [self.context.messages[s] for s in streams]

    def _one_of(self, found: list[Message]) -> Message:
        """Of several messages that one arrival names: registered ones are never merged, orphans join."""
        registered = [m for m in found if m.registered]
        into = registered[0] if registered else min(found, key=lambda m: m.stream)
        if len(registered) > 1:
            others = [m.stream for m in registered[1:]]
            self.plan.add(Planned("reference.conflict", into.stream, {**self._source(), "streams": others}))
            self.context.messages[into.stream] = into = evolve(into, {"type": "reference.conflict"})
        for other in found:
            if other.stream != into.stream and not other.registered:
                self._expect(into)
                before = len(self.plan.events)
                self.writer.join(other, into, self._source(), "reference_exact")
                for planned in self.plan.events[before:]:
                    if planned.stream == into.stream:
                        into = evolve(into, {**planned.clear, "type": planned.kind, "streams": []})
                self.context.messages[into.stream] = into
        return into

    # --- what it says

    def _source(self) -> dict[str, Any]:
        clear: dict[str, Any] = {
            "observed_at": time_text(self.arrival.observed_at),
            "provider": self.arrival.provider,
            "account": self.arrival.account,
            "arrival": str(self.arrival.kind),
            "operation": self.arrival.operation,
            "verdict": str(self.arrival.verdict),
        }
        optional = {"key_id": self.arrival.key_id, "actor": self.reading.actor}
        return clear | {name: value for name, value in optional.items() if value}

    def _said(self, seen: Observation) -> tuple[dict[str, Any], dict[str, Any]]:
        """Clear fields and committed texts of one observation."""
        clear = self._source() | {"mapping": self.words.mapping, "about": seen.about}
        said = dict(seen.texts)
        for name, word in (("code", seen.code), ("reason", seen.reason)):
            if word in self.words.words:
                clear[name] = word
            elif word:
                said[name] = word
        if seen.occurred is not None:
            clear |= {"occurred_at": time_text(seen.occurred.at), "zone": str(seen.occurred.zone)}
            said["occurred"] = seen.occurred.original
        texts, cleaned = clean_texts(said)
        optional = {
            "notes": sorted({*cleaned, *seen.notes}),
            "numbers": dict(seen.numbers),
            "part": list(seen.part or ()),
        }
        return clear | {name: value for name, value in optional.items() if value}, dict(texts)

    def _open_lane(self, lane: str, texts: Mapping[str, Any]) -> int:
        values = {WHOLE_MESSAGE: {k: clean(v) if isinstance(v, str) else v for k, v in texts.items()}}
        clear = {**self._source(), "rule": f"lane.{lane}"}
        return self.plan.add(Planned("lane.opened", self.writer.account_stream(), clear, values))

    def _keep_copy(self, known: Sequence[int]) -> None:
        """Another original of facts we hold (certified mail: the same receipt in other bytes) is kept beside the first."""
        if not known or not any(seen.content for seen in self.reading.observations):
            return
        if 0 in known:
            raise PendingError
        facts = [self.ledger.event(position) for position in sorted(set(known))]
        clear = self._source() | {"events": [fact.id for fact in facts], "rule": "evidence.copy"}
        self.plan.add(Planned("evidence.ingested", facts[0].stream, clear))
        self.outcome.copies += 1
        self.outcome.messages.append(self.context.canonical(message_of(facts[0].stream)))

    # --- its bytes

    def _finish(self) -> Item:
        artifacts = self._seal_originals() if not self.reading.stored else []
        for planned in self.plan.events if self.reading.stored else ():
            if planned.kind not in WITHOUT_ORIGINAL:
                planned.clear["artifacts"] = list(self.reading.stored)
        item = self.writer.item()
        item.artifacts = [(0, row) for row in artifacts]
        item.duplicates = list(self.keys)
        if not self.reading.stored:
            item.duplicates.append((0, self.names.body_keys[0]))
            self.context.known[self.names.body_keys[0]] = 0
        self.outcome.facts = [item.drafts[index].id for index in self.fact_events]
        self.outcome.is_new = True
        return item

    def _seal_originals(self) -> list[ArtifactRow]:
        """The body, and our request, sealed once; every event says which and commits to their digests."""
        originals = [("body", self.arrival.body)]
        if self.arrival.request is not None:
            originals.append(("request", self.arrival.request))
        key = self.writer.original_key()
        if key is None:
            return []
        media_type = self.arrival.headers.get("content-type", "").partition(";")[0].strip()[:100]
        media_type = clean(media_type) or "application/octet-stream"
        rows = [self.ledger.seal_original(key, body, media_type) for _, body in originals]
        values: dict[str, Any] = {
            f"artifact.{i}": digest_value(body, media_type, clean(self.arrival.name), role)
            for i, (role, body) in enumerate(originals)
        }
        if self.arrival.headers:
            values["headers"] = clean_texts({k: v for k, v in self.arrival.headers.items() if k.isascii()})[0]
        for planned in self.plan.events:
            if planned.kind not in WITHOUT_ORIGINAL:
                planned.clear["artifacts"] = [row.artifact_id for row in rows]
                planned.values.setdefault(WHOLE_MESSAGE, {}).update(values)
        return rows
