"""What the log knows of the calls by which a message is sent: announced, answered, unclear, resolved. Writes them, and reads them back.

A call is announced before it is made (`dispatch.attempted`, in the message's stream); what became of it stands in the stream of the
recipient it was for, and is found by the id of the announcement. Nothing here makes a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from adapters.providers.calling import Answer, Exchange, Judged, Request, Verdict
from ledger.appender import Item
from ledger.application import Ledger
from ledger.errors import DuplicateError, ErasedError, NotFoundError
from ledger.events import Event, delivery_stream, message_of, parse_time
from ledger.names import Settled, answer_key
from ledger.observations import ArrivalKind
from ledger.streams import about, clean_texts, person_of

ATTEMPTED, ANSWERED, UNCLEAR, RESOLVED = (
    "dispatch.attempted",
    "dispatch.answered",
    "dispatch.unclear",
    "dispatch.resolved",
)
CUT_OFF = Judged("unclear", "the process ended before the answer; the provider may have taken it")


@dataclass(frozen=True, slots=True)
class Call:
    """One announced call.

    Attributes:
        number: from 1, in the message.
        recipient: index of the one recipient it was for; None: all.
        may_send: see `Request.may_send`.
        outcome: the event that says what became of it; None while that is not known.
        resolution: the event that settled an unclear one.
    """

    event: Event
    number: int
    operation: str
    recipient: int | None
    may_send: bool
    outcome: Event | None = None
    resolution: Event | None = None

    @property
    def verdict(self) -> Verdict:
        """What became of it by now; `later` for whatever proved not sent and may be tried again."""
        if self.outcome is None:
            return "unclear" if self.may_send else "later"
        if self.resolution is not None:
            return "sent" if self.resolution.fields["rule"] == "dispatch.sent" else "later"
        if self.outcome.type == UNCLEAR:
            return "unclear" if self.may_send else "later"
        verdict: Verdict = self.outcome.fields["rule"].removeprefix("dispatch.")
        return verdict

    @property
    def at(self) -> datetime:
        return parse_time(self.event.fields["observed_at"])


class Journal:
    """The calls of one message."""

    def __init__(self, ledger: Ledger, tenant: str, account: str, provider: str, message: str) -> None:
        self.ledger = ledger
        self.tenant = tenant
        self.message = message
        self.source = {"provider": provider, "account": account}
        self._answers: dict[str, Answer | None] = {}
        self.calls = self._read()

    def _read(self) -> list[Call]:
        events = self.ledger.stream(self.message)
        self.requested_at = parse_time(events[0].fields["observed_at"])
        announced = (e for e in events if e.type == ATTEMPTED)
        return self._known([_call(e) for e in announced if "attempt" in e.fields.get("numbers", {})])

    def _known(self, calls: Sequence[Call]) -> list[Call]:
        """Calls with what the log knows of their outcomes by now."""
        outcomes = self._found({c.event.id: answer_key(self.ledger.keyring, self.tenant, c.event.id) for c in calls})
        unclear = {c.event.id: outcomes[c.event.id].id for c in calls if c.event.id in outcomes}
        resolved = self._found({attempt: self._resolved_key(outcome) for attempt, outcome in unclear.items()})
        return [replace(c, outcome=outcomes.get(c.event.id), resolution=resolved.get(c.event.id)) for c in calls]

    def _found(self, keys: Mapping[str, bytes]) -> dict[str, Event]:
        known = self.ledger.known(keys.values())
        return {name: self.ledger.event(known[key]) for name, key in keys.items() if key in known}

    def _resolved_key(self, outcome: str) -> bytes:
        return self.ledger.keyring.duplicate(None, self.tenant, "", "resolved", outcome)

    # --- reading

    def exchanges(self) -> list[Exchange]:
        """The steps of the send so far, without those that are to be tried again."""
        return [
            Exchange(operation=c.operation, recipient=c.recipient, verdict=c.verdict, answer=self.answer(c))
            for c in self.calls
            if c.verdict != "later"
        ]

    def unclear(self) -> list[Call]:
        return [c for c in self.calls if c.verdict == "unclear"]

    def answer(self, call: Call) -> Answer | None:
        """The stored answer to a call; None when there is none, or it is erased."""
        if call.outcome is None or not call.outcome.fields.get("artifacts"):
            return None
        if call.outcome.id not in self._answers:
            self._answers[call.outcome.id] = self._load(call.outcome)
        return self._answers[call.outcome.id]

    def _load(self, outcome: Event) -> Answer | None:
        try:
            body = self.ledger.artifact(outcome.fields["artifacts"][0]).body
        except (ErasedError, NotFoundError):
            return None
        f = outcome.fields
        return Answer(at=parse_time(f["observed_at"]), status=f.get("numbers", {}).get("status", 0), body=body)

    # --- writing

    def announce(self, request: Request) -> Call:
        """Say, durably, that a call is about to be made.

        Raises:
            DuplicateError: another process announced it first.
        """
        number = len(self.calls) + 1
        numbers = {"attempt": number, "may_send": int(request.may_send)}
        numbers |= {} if request.recipient is None else {"recipient": request.recipient}
        clear = {**self.source, "operation": request.operation, "numbers": numbers}
        call = _call(self._append(ATTEMPTED, self.message, clear, {}, self._next_key()))
        self.calls.append(call)
        return call

    def _next_key(self) -> bytes:
        number = str(len(self.calls) + 1)
        return self.ledger.keyring.duplicate(None, self.tenant, "", "attempt", self.message, number)

    def settled(self, call: Call, judged: Judged, status: int = 0) -> Settled:
        """What the answer to a call means, to be written with the answer itself."""
        kind = UNCLEAR if judged.verdict == "unclear" else ANSWERED
        texts = {"text": judged.why} | ({"code": judged.code} if judged.code else {})
        numbers = {"status": status} if status else {}
        return Settled(call.event.id, kind, f"dispatch.{judged.verdict}", call.recipient, texts, numbers)

    def settle(self, call: Call, judged: Judged) -> Call:
        """Write what became of a call that brought no answer."""
        said = self.settled(call, judged)
        clear = {**self.source, "operation": call.operation, "rule": said.rule, "events": [call.event.id]}
        key = answer_key(self.ledger.keyring, self.tenant, call.event.id)
        try:
            outcome = self._append(said.kind, self._stream(call), clear, dict(said.texts), key)
        except DuplicateError:
            return self.refresh(call)
        return self._replace(replace(call, outcome=outcome))

    def resolve(self, call: Call, *, was_sent: bool, rule_text: str, actor: str = "") -> Call:
        """Write what became of an unclear call.

        Args:
            rule_text: why: what a person noted, or what the provider said.
        """
        if call.outcome is None:
            call = self.settle(call, CUT_OFF)
        outcome = call.outcome
        if outcome is None or call.verdict != "unclear":
            return call
        rule = "dispatch.sent" if was_sent else "dispatch.not_sent"
        clear = {**self.source, "operation": call.operation, "rule": rule, "events": [outcome.id]}
        clear |= {"actor": actor} if actor else {}
        try:
            event = self._append(RESOLVED, outcome.stream, clear, {"note": rule_text}, self._resolved_key(outcome.id))
        except DuplicateError:
            return self.refresh(call)
        return self._replace(replace(call, resolution=event))

    def refresh(self, call: Call) -> Call:
        """The call as the log knows it now."""
        return self._replace(self._known([call])[0])

    def withdraw(self, note: str, actor: str) -> None:
        """Write that the send is withdrawn; competes with the announcement of the next call for one key: one of the two happens.

        Raises:
            DuplicateError: that call was announced first.
        """
        clear = {**self.source, "arrival": str(ArrivalKind.API)} | ({"actor": actor} if actor else {})
        self._append("submission.cancelled", self.message, clear, {"note": note}, self._next_key())

    def _replace(self, call: Call) -> Call:
        self.calls = [call if c.event.id == call.event.id else c for c in self.calls]
        return call

    def _stream(self, call: Call) -> str:
        return self.message if call.recipient is None else delivery_stream(self.message, call.recipient)

    def _append(self, kind: str, stream: str, clear: Mapping[str, Any], texts: Mapping[str, str], key: bytes) -> Event:
        said = clean_texts(texts)[0]
        values = [(self.ledger.person_key(message_of(stream), person_of(stream)), said)] if said else []
        draft = self.ledger.draft(kind, self.tenant, stream, {**clear, **about(stream)}, values)
        done = self.ledger.append(Item([draft], needs={message_of(stream)}, duplicates=[(0, key)]))
        return self.ledger.event(done.positions[0])


def _call(event: Event) -> Call:
    numbers = event.fields["numbers"]
    return Call(
        event=event,
        number=numbers["attempt"],
        operation=event.fields["operation"],
        recipient=numbers.get("recipient"),
        may_send=bool(numbers["may_send"]),
    )
