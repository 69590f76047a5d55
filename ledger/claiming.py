"""Decides a person's word that what waits belongs to a message, and takes it back.

What is claimed stands in a stream of its own, which `lane.claimed` begins; the message tells it as its own story while the claim holds.
Nothing of it enters the message's streams or the look-ups by which arrivals find their message, so when the claim is taken back the
message is as if it had never been made. What the item says of whole batches and accounts, it says without anybody's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from ledger.appender import Item
from ledger.application import Ledger
from ledger.contents import TELLING
from ledger.decision import Decision
from ledger.errors import ClaimError, NotFoundError, VersionTakenError
from ledger.events import Event, delivery_stream, message_of
from ledger.names import Claim, claim_key
from ledger.observations import Observation
from ledger.placing import ALONE
from ledger.rereading import is_told
from ledger.streams import WHOLE_MESSAGE, Message, Planned, clean, evolve
from ledger.writer import probe_joins

CLAIMED, UNCLAIMED, PARTED = "lane.claimed", "lane.unclaimed", "streams.parted"
TRIES = 10


class Claiming(Decision):
    """Decides one claim; used once. The reading names the message, and its observations are those that waited."""

    def item(self) -> Item | None:
        """The item to store; None when it can still not be read, or is claimed for this message already.

        Raises:
            NotFoundError: there is no such message.
            ClaimError: it is claimed for another message, or was erased there.
        """
        claim = self.reading.claim
        if claim is None or self.reading.unreadable or self._is_unverified():
            return None
        message = self._target()
        vessel, holder = self._vessel()
        if holder:
            self._repeat(vessel, holder, message)
            return None
        self.writer.expect(message)
        if not message.keeps(WHOLE_MESSAGE) or self.placing.names_erased(message, self.reading.observations):
            msg = f"message {message.stream}, or whom the item names in it, was erased; dismiss the item: delivery-ledger lanes dismiss"
            raise ClaimError(msg)
        self._act(vessel, message, claim)
        if not vessel.version:
            self._tell(vessel)
        source = _source(self.placing.source(), self.reading.actor)
        pairs = self.writer.tell_together(vessel, message, source, CLAIMED)
        self.outcome.messages = [message.stream]
        self._note_receipts(vessel, message, pairs)
        item = self._finish(is_held=True)
        self.outcome.facts = self.outcome.facts or [event.id for event in self._told(vessel)]
        return item

    def _target(self) -> Message:
        message = self.context.messages.get(self.context.canonical(self.reading.message))
        if message is None or not message.version or message.tenant != self.reading.tenant:
            msg = f"there is no message {self.reading.message}"
            raise NotFoundError(msg)
        return message

    def _vessel(self) -> tuple[Message, str]:
        """Where the item's facts stand, or are to stand, and for which message they are claimed."""
        position = self.context.known.get(self.names.claim_key or b"")
        if not position:
            return self.writer.open_message(), ""
        events = self.ledger.stream(self.ledger.event(position).stream)
        vessel = reduce(evolve, events, Message(events[0].stream))
        self.plan.expect[vessel.stream] = vessel.version
        self.context.messages[vessel.stream] = vessel
        return vessel, _holder(events)

    def _repeat(self, vessel: Message, holder: str, message: Message) -> None:
        probe_joins(self.ledger, self.context, [holder])
        if self.context.canonical(holder) != message.stream:
            msg = f"it is claimed for message {holder}; take that back first: delivery-ledger lanes unclaim ITEM --note WHY"
            raise ClaimError(msg)
        self.outcome.messages = [message.stream]
        self.outcome.facts = [event.id for event in self._told(vessel)]

    def _act(self, vessel: Message, message: Message, claim: Claim) -> None:
        source = _source(self.placing.source(), self.reading.actor)
        clear = {**source, "events": [claim.item.id], "streams": [message.stream]}
        act = self.plan.add(Planned(CLAIMED, vessel.stream, clear, {WHOLE_MESSAGE: {"note": clean(claim.note)}}))
        self.context.messages[vessel.stream] = evolve(vessel, {**clear, "type": CLAIMED})
        if self.names.claim_key and not vessel.version:
            self._claim(act, [self.names.claim_key])

    def _tell(self, vessel: Message) -> None:
        """Plan the facts of the item."""
        for index, seen in enumerate(self.reading.observations):
            if seen.about == "account" or (seen.about == "batch" and seen.batch):
                self._decide(index, seen)
                continue
            self._new_word(index)
            key, identity = self.names.fact_keys[index], self.names.identity_keys[index]
            is_rival = identity is not None and self._is_known(identity) and not self._is_known(key)
            like = self._rival(identity) if identity and is_rival else ALONE
            event = self.placing.place_in(self.context.messages[vessel.stream], _nameless(seen), like)
            self._facts.append(event)
            self._claim(event, [self.names.claimed_key(index)])
            self.writer.absorb()
        if self.reading.attested:
            self._attest(self.reading.attested, ())

    def _note_receipts(self, vessel: Message, message: Message, pairs: Sequence[Sequence[int]]) -> None:
        """Have receipts that tell what was delivered compared with what the message sent."""
        paired = {delivery_stream(vessel.stream, a): delivery_stream(message.stream, b) for a, b in pairs}
        self.outcome.beside = {vessel.stream: message.stream, **paired}
        planned = [self.plan.events[index] for index in self._facts]
        telling = [p.stream for p in planned if p.kind in TELLING]
        telling += [e.stream for e in self._told(vessel) if e.type in TELLING]
        self.outcome.contents = [(message.stream, s) for s in dict.fromkeys(telling) if s in self.outcome.beside]

    def _told(self, vessel: Message) -> list[Event]:
        """The facts that stand there since an earlier claim."""
        streams = [vessel.stream, *(delivery_stream(vessel.stream, index) for index in range(vessel.recipients))]
        return [event for stream in streams if vessel.version for event in self.ledger.stream(stream) if is_told(event)]


def _nameless(seen: Observation) -> Observation:
    """An observation whose names find it, and lead nothing else to it."""
    return replace(seen, references=tuple(name._replace(exclusive=False) for name in seen.references))


def _holder(events: Sequence[Event]) -> str:
    """The message for which a claim holds; "" when it was taken back."""
    acts = [event for event in events if event.type in {CLAIMED, UNCLAIMED}]
    return str(acts[-1].fields["streams"][0]) if acts[-1].type == CLAIMED else ""


def _source(fields: Mapping[str, Any], actor: str) -> dict[str, Any]:
    """Whose act it is, and of which account."""
    said = {**fields, "actor": actor}
    return {name: said[name] for name in ("provider", "account", "actor") if said.get(name)}


def unclaim(ledger: Ledger, tenant: str, item: Event, note: str, actor: str = "") -> str:
    """Take a claim back: the item's facts count no longer, and it waits again. The same again is once.

    Args:
        item: the event that opened it.

    Returns:
        The message it was claimed for.

    Raises:
        ClaimError: it was never claimed.
    """
    key = claim_key(ledger.keyring, tenant, item.id)
    position = ledger.known([key]).get(key)
    if position is None:
        msg = "it was never claimed: there is nothing to take back"
        raise ClaimError(msg)
    stream = ledger.event(position).stream
    for _ in range(TRIES):
        events = ledger.stream(stream)
        holder = _holder(events)
        if not holder:
            return str(next(e for e in reversed(events) if e.type == UNCLAIMED).fields["streams"][0])
        try:
            ledger.append(_parting(ledger, events, holder, item, note, actor))
        except VersionTakenError as error:
            failure = error
        else:
            return holder
    raise failure


def _parting(ledger: Ledger, events: Sequence[Event], holder: str, item: Event, note: str, actor: str) -> Item:  # noqa: PLR0917
    first, vessel = events[0], events[0].stream
    source = _source(first.fields, actor)
    parted = {**source, "rule": UNCLAIMED}
    acted = {**source, "events": [item.id], "streams": [holder]}
    said = [(ledger.person_key(message_of(vessel), WHOLE_MESSAGE), {"note": clean(note)})]
    drafts = [
        ledger.draft(PARTED, first.tenant, holder, {**parted, "streams": [vessel]}),
        ledger.draft(PARTED, first.tenant, vessel, {**parted, "streams": [holder]}),
        ledger.draft(UNCLAIMED, first.tenant, vessel, acted, said),
    ]
    return Item(drafts, needs={holder}, expect={vessel: len(events)})
