"""What of an event the fold may look at. Pure; all of it stands in the clear."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from ledger.events import Event, delivery_stream, parse_time
from projections.rules import EFFECTS

ERASED = "evidence.erased"
NO_FACT = frozenset({"evidence.copy", "evidence.names"})
"""Rules of evidence.ingested that tell nothing new: a further original, a further name. The one that counts is `evidence.witnessed`."""


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One fact of a delivery, its message or its batch.

    Attributes:
        occurred_at: the provider's clock, "" when it gave none.
        scope: `recipient`, `message` or `batch`: the stream it stands in.
        events: event ids it names.
        part: [number, total] or empty.
        arrival: how it came (`ledger.observations.ArrivalKind`); "" when it is our own.
        operation: of the provider, that it came by.
        rule: why it was written, of facts of our own: which deadline, which verdict, what became of a call.
    """

    event_id: str
    position: int
    type: str
    scope: str
    about: str
    occurred_at: str
    zone: str
    observed_at: str
    code: str
    reason: str
    provider: str
    notes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    part: tuple[int, ...] = ()
    arrival: str = ""
    operation: str = ""
    rule: str = ""

    def at(self) -> str:
        return self.occurred_at or self.observed_at

    def order(self) -> tuple[str, ...]:
        """For display and ties: by what is said before when we heard of it, which depends on the way it came."""
        return (self.at(), self.type, self.code, self.reason, self.observed_at, self.event_id)

    def said(self) -> tuple[object, ...]:
        """What it says; two facts without a time that say the same are one, seen twice."""
        return (self.type, self.scope, self.about, self.code, self.reason, self.part)


class _Clear(msgspec.Struct, kw_only=True):
    """The clear fields of a fact, in the shapes they must have; in the order of the last fields of `Fact`."""

    about: str = "message"
    occurred_at: str = ""
    zone: str = ""
    observed_at: str
    code: str = ""
    reason: str = ""
    provider: str = ""
    notes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    part: tuple[int, ...] = ()
    arrival: str = ""
    operation: str = ""
    rule: str = ""


_is_written_so = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII).fullmatch


def to_fact(event: Event, scope: str) -> Fact | None:
    """The fact in an event, or None when its type says nothing about a delivery.

    Raises:
        ValueError: a field does not have the shape that is expected of it.
    """
    kind = event.type
    if kind not in EFFECTS or event.fields.get("rule") in NO_FACT:
        return None
    said = msgspec.convert(event.fields, _Clear)
    for at in filter(None, (said.occurred_at, said.observed_at)):
        parse_time(at)
        if not _is_written_so(at):
            msg = f"a time of {len(at)} characters that is not written as times are"
            raise ValueError(msg)
    if len(said.part) not in {0, 2}:
        msg = f"a part of {len(said.part)} numbers"
        raise ValueError(msg)
    return Fact(event.id, event.position, kind, scope, *msgspec.structs.astuple(said))


def home(event: Event) -> str:
    """The stream whose story an event tells: of a recipient who was erased it is the delivery's, though it stands in the message's.

    Raises:
        ValueError: whom it is about does not have the shape that is expected of it.
    """
    recipient = event.fields.get("recipient")
    if recipient is None or event.type != ERASED:
        return event.stream
    return delivery_stream(event.stream, msgspec.convert(recipient, Annotated[int, msgspec.Meta(ge=0)]))


def seen_as(fact: Fact, scope: str) -> Fact:
    """A fact as a delivery sees it; scope `other`: it is about a recipient whom the message does not have."""
    return msgspec.structs.replace(fact, scope="message", about="other_recipient") if scope == "other" else fact
