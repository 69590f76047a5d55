"""Where an observation belongs: which message, batch or account; and what its event says.

A message is found by exclusive references, or because the caller names it. A name that several messages may share finds nothing:
whether it points to one message or to more depends on what comes later, so it is left to a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ledger.addresses import normal, value_of
from ledger.application import Ledger, Words
from ledger.errors import NotFoundError
from ledger.events import delivery_stream, time_text
from ledger.names import Reading
from ledger.observations import Address, Observation, Reference
from ledger.streams import WHOLE_MESSAGE, Message, Planned, clean, clean_texts, evolve, plan_names
from ledger.writer import Context, Writer

NO_WORDS = Words("none/0", frozenset())
CONTRADICTS = "same_identity_other_content"
"""Note of a fact that shares a provider's identifiers with another one and says something else."""


class Like(NamedTuple):
    """An earlier fact that an observation names.

    Attributes:
        notes, events: of its event.
        planned: index of that event, when this item writes it too.
    """

    notes: Sequence[str] = ()
    events: Sequence[str] = ()
    planned: tuple[int, ...] = ()


ALONE = Like()


class Placing:
    """Plans the events of one arrival's observations.

    Attributes:
        messages: streams of the messages that it placed something in.
        observed_at: when the arrival came, as it stands in events.
    """

    def __init__(self, ledger: Ledger, context: Context, reading: Reading, writer: Writer) -> None:
        self.context = context
        self.reading = reading
        self.arrival = reading.arrival
        self.writer = writer
        self.plan = writer.plan
        self.words = ledger.vocabulary.get(self.arrival.provider, NO_WORDS)
        self.messages: list[str] = []
        self.observed_at = time_text(self.arrival.observed_at)
        self._source: dict[str, Any] = {
            "observed_at": self.observed_at,
            "provider": self.arrival.provider,
            "account": self.arrival.account,
            "arrival": str(self.arrival.kind),
            "operation": self.arrival.operation,
            "verdict": str(self.arrival.verdict),
        }
        for name, value in (("key_id", self.arrival.key_id), ("actor", reading.actor)):
            if value:
                self._source[name] = value

    def place(self, seen: Observation, like: Like = ALONE) -> int | None:
        """Plan the event of one observation.

        Returns:
            Its index in the plan; None when nobody knows which message it is about.

        Raises:
            NotFoundError: the caller named a message that does not exist.
        """
        clear, texts = self.said(seen, like)
        planned = Planned(seen.type, "", clear, {WHOLE_MESSAGE: texts}, like.planned)
        if seen.about == "account":
            planned.stream = self.writer.account_stream()
        elif seen.about == "batch" and seen.batch:
            planned.stream = self.writer.batch_stream(seen.batch, self.source())
        else:
            message = self._message(seen)
            return None if message is None else self._place_in(message, seen, planned)
        return self.plan.add(planned)

    def place_in(self, message: Message, seen: Observation, like: Like = ALONE) -> int:
        """Plan the event of an observation in a message, whatever it says itself of where it belongs."""
        clear, texts = self.said(seen, like)
        return self._place_in(message, seen, Planned(seen.type, "", clear, {WHOLE_MESSAGE: texts}, like.planned))

    def _place_in(self, message: Message, seen: Observation, planned: Planned) -> int:
        message = self._protect(self._declare(message, seen), seen)
        clear, texts = planned.clear, planned.values.pop(WHOLE_MESSAGE)
        person, planned.stream = WHOLE_MESSAGE, message.stream
        if seen.about == "recipient" and seen.recipient:
            index = self.writer.recipient(message.stream, seen.recipient)
            if index is None and not message.erased:
                clear["about"] = "other_recipient"
                texts["recipient"] = value_of(seen.recipient._replace(value=clean(seen.recipient.value)))
            elif index is not None:
                clear["recipient"] = person = index
                planned.stream = delivery_stream(message.stream, index)
        planned.values[person] = texts
        withheld = self.names_erased(message, [seen])
        is_whole = planned.stream == message.stream
        batch = self._new_batch(message, seen)
        if batch and is_whole:
            clear["streams"] = [batch]
        event = self.plan.add(planned)
        names = [r for r in seen.references if not (r.exclusive and self._is_held(r))]
        account = self.arrival.account
        if withheld:
            plan_names(self.plan, event, message.stream, account, references=[r for r in names if r.exclusive])
            planned.values.clear()
        else:
            plan_names(self.plan, event, message.stream, account, references=names, documents=seen.documents)
        if is_whole:
            message = evolve(message, {**clear, "type": seen.type})
        elif batch:  # which batches a message belongs to is said in its own stream
            linked = {**self.source(), "rule": "batch", "streams": [batch]}
            self.plan.add(Planned("message.linked", message.stream, linked))
            message = evolve(message, {**linked, "type": "message.linked"})
        self.context.messages[message.stream] = message
        if message.stream not in self.messages:
            self.messages.append(message.stream)
        return event

    def names_erased(self, message: Message, told: Sequence[Observation]) -> bool:
        """Whether somebody is named who may be a recipient that was erased: nobody can say that it is another."""
        named = [each for seen in told for each in _named(seen)]
        if None not in [self.writer.recipient(message.stream, each) for each in named]:
            return False
        self.writer.expect(message)  # who erases a recipient meanwhile has it decided again
        return bool(message.erased)

    def _new_batch(self, message: Message, seen: Observation) -> str:
        """The stream of the batch that an observation names, when the message is not yet known to belong to it."""
        batch = self.writer.batch_stream(seen.batch, self.source(), message.stream) if seen.batch else ""
        return "" if batch in message.batches else batch

    def _declare(self, message: Message, seen: Observation) -> Message:
        """Declare recipients that the arrival names, unless it is known already who they are, or one of them was erased."""
        if message.registered or message.erased:
            return message
        unknown = [a for a in _named(seen) if self.writer.recipient(message.stream, a) is None]
        if not unknown:
            return message
        fresh = {(a.kind, normal(a)): a for a in reversed(unknown)}
        self.writer.expect(message)
        return self.writer.declare(message, list(fresh.values())[::-1], self.source())

    def _protect(self, message: Message, seen: Observation) -> Message:
        """Say that the identity of whom an arrival names is protected, where it says so."""
        return self.writer.protect_whole(message, seen.declares, self.source()) if seen.protected else message

    def learn(self, seen: Observation, home: str) -> None:
        """What the repetition of a known fact tells of its message: other names, recipients, a batch.

        Args:
            home: the message in which the fact stands.
        """
        if seen.about in {"account", "batch"}:
            return
        exclusive = [r for r in seen.references if r.exclusive]
        unnamed = [r for r in exclusive if not self._is_held(r)]
        own = self.context.messages[self.context.canonical(home)]
        found = list({m.stream: m for m in (*self._named(exclusive), own)}.values())
        before = len(self.plan.events)
        message = self._protect(self._declare(self._one_of(found, is_new=False), seen), seen)
        batch = self._new_batch(message, seen)
        if len(self.plan.events) > before or unnamed or batch:
            clear = {**self.source(), "rule": "evidence.names"} | ({"streams": [batch]} if batch else {})
            event = self.plan.add(Planned("evidence.ingested", message.stream, clear))
            plan_names(self.plan, event, message.stream, self.arrival.account, references=unnamed)
            self.context.messages[message.stream] = evolve(message, {**clear, "type": "evidence.ingested"})
            self.messages += [] if message.stream in self.messages else [message.stream]
            self.writer.absorb()

    # --- which message

    def _message(self, seen: Observation) -> Message | None:
        """The message this is about: known, joined of several, or opened now; None without a usable reference."""
        exclusive = [r for r in seen.references if r.exclusive]
        found = self._named(exclusive)
        if found:
            return self._one_of(found, is_new=True)
        return self.writer.open_message() if exclusive else None

    def _named(self, exclusive: Sequence[Reference]) -> list[Message]:
        """The messages that the caller or exclusive references name, the caller's first."""
        hinted = [self.context.canonical(self.reading.message)] if self.reading.message else []
        found = [self.context.messages[s] for s in dict.fromkeys([*hinted, *self._streams(exclusive)])]
        if hinted and (not found[0].version or found[0].tenant not in {"", self.reading.tenant}):
            msg = f"there is no message {self.reading.message}"
            raise NotFoundError(msg)
        return found

    def _streams(self, references: Sequence[Reference]) -> list[str]:
        """The messages that exclusive references lead to."""
        streams: dict[str, None] = {}
        for reference in references:
            held = self.context.lookups.get(self.writer.reference_digest(reference), ())
            streams |= dict.fromkeys(map(self.context.canonical, sorted(held)))
        return list(streams)

    def _is_held(self, reference: Reference) -> bool:
        """Whether a reference leads to a message."""
        return bool(self.context.lookups.get(self.writer.reference_digest(reference)))

    def _one_of(self, found: list[Message], *, is_new: bool) -> Message:
        """Of several messages that one arrival names: registered ones are never merged, others join; one that is erased joins none.

        Args:
            is_new: the arrival tells a new fact, so a second registered message is a conflict that was not told yet.
        """
        if len(found) == 1:
            return found[0]
        gone = next((m for m in found if not m.keeps(WHOLE_MESSAGE)), None)
        if gone is not None:
            return gone
        registered = [m for m in found if m.registered]
        into = registered[0] if registered else min(found, key=lambda m: m.stream)
        if len(registered) > 1 and is_new:
            others = [m.stream for m in registered[1:]]
            self.plan.add(Planned("reference.conflict", into.stream, {**self.source(), "streams": others}))
            self.context.messages[into.stream] = into = evolve(into, {"type": "reference.conflict"})
        for other in found:
            if other.stream != into.stream and not other.registered:
                into = self.writer.join(other, into, self.source(), "reference_exact")
        return into

    # --- what it says

    def source(self) -> dict[str, Any]:
        """How the arrival came, as clear fields."""
        return dict(self._source)

    def said(self, seen: Observation, like: Like = ALONE) -> tuple[dict[str, Any], dict[str, Any]]:
        """Clear fields and committed texts of one observation."""
        clear = {**self._source, "mapping": self.words.mapping, "about": seen.about}
        said = dict(seen.texts)
        for name, word in (("code", seen.code), ("reason", seen.reason)):
            if word in self.words.words:
                clear[name] = word
            elif word:
                said[name] = word
        if seen.occurred is not None:
            clear["occurred_at"], clear["zone"] = time_text(seen.occurred.at), str(seen.occurred.zone)
            said["occurred"] = seen.occurred.original
        texts, cleaned = clean_texts(said)
        if notes := {*cleaned, *seen.notes, *like.notes}:
            clear["notes"] = sorted(notes)
        if like.events:
            clear["events"] = list(like.events)
        if seen.numbers:
            clear["numbers"] = dict(seen.numbers)
        if seen.part:
            clear["part"] = list(seen.part)
        return clear, texts

    def wait(self, lane: str, texts: Mapping[str, str], notes: Sequence[str] = ()) -> int:
        """Plan the event that opens an item of a lane."""
        values = {WHOLE_MESSAGE: dict(clean_texts(texts)[0])}
        clear = {**self.source(), "rule": f"lane.{lane}"} | ({"notes": sorted(notes)} if notes else {})
        return self.plan.add(Planned("lane.opened", self.writer.account_stream(), clear, values))


def _named(seen: Observation) -> list[Address]:
    """The recipients that an observation names."""
    return [*seen.declares, *([seen.recipient] if seen.recipient and seen.about == "recipient" else [])]
