"""Intake: arrivals and registrations in, items out; the same thing twice is once, in any order.

An arrival is stored whole or not at all. Duplicate keys decide what is new, references decide which message it
belongs to, and messages that turn out to be one are joined. A decision that was overtaken by another append is taken again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Condition
from typing import Any, NamedTuple

from ledger import contents, regions
from ledger.appender import Appended, Item, Outcomes
from ledger.application import Ledger
from ledger.claiming import Claiming
from ledger.decision import Decision, Outcome, PendingError
from ledger.errors import ConflictError, IdempotencyError, InvalidEventError, ReferenceTakenError, TooLargeError
from ledger.events import message_of, time_text
from ledger.known import Known
from ledger.names import Attestation, Reading
from ledger.observations import Arrival
from ledger.recorders import OutboxRow
from ledger.rereading import Rereading
from ledger.sealing import seal_artifact
from ledger.streams import WHOLE_MESSAGE, Message, Registration, plan_registration
from ledger.writer import Context, Writer, probe_digests

TRIES = 10
AHEAD = 64
"""Items of one call that may wait to be appended: whoever appends a single one waits behind no more."""


class Registered(NamedTuple):
    """A registered send: its message, the position that made it durable, and whether this call did."""

    message: str
    position: int
    is_new: bool


class _Submitted(NamedTuple):
    """A decision on its way.

    Attributes:
        number: of its item among those of the call; None when there was nothing to write.
        leans: see `Decision`.
        stored: ids of the originals that it keeps.
    """

    outcome: Outcome
    number: int | None
    leans: bool
    stored: tuple[str, ...]


class _Queued:
    """The items of one call, and what came of each: nobody is woken more than once for those of one commit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told = Condition()
        self._came: dict[int, Appended | BaseException] = {}
        self._number = 0

    def add(self, item: Item) -> int:
        """Queue an item, behind no more of the call than may wait; its number."""
        self._wait(AHEAD - 1)
        self._ledger.queue(item, self._number, self._tell)
        self._number += 1
        return self._number - 1

    def outcome(self, number: int) -> Appended:
        """What came of an item, once all have their outcome; raises why nothing of it was stored."""
        self._wait(0)
        came = self._came[number]
        if isinstance(came, BaseException):
            raise came
        return came

    def _wait(self, number: int) -> None:
        """Until so few have no outcome yet."""
        if self._number - len(self._came) > number:
            with self._told:
                self._told.wait_for(lambda: self._number - len(self._came) <= number)

    def _tell(self, outcomes: Outcomes) -> None:
        with self._told:
            self._came.update(outcomes)
            self._told.notify()


class Intake:
    """Decides and appends; any number of threads may use one.

    Args:
        attest: checks the signature of an arrival's original; None for one that carries none.
    """

    def __init__(self, ledger: Ledger, attest: Callable[[Arrival], Attestation | None] = lambda _arrival: None) -> None:
        self.ledger = ledger
        self.attest = attest
        self._known = Known(ledger)

    def admit(self, readings: Sequence[Reading]) -> list[Outcome | Exception]:
        """Admit arrivals, each for itself.

        Returns:
            One outcome or error for each, in order; when this returns, what is acknowledged is durable.
        """
        results: list[Outcome | Exception] = []
        readings = regions.read_there(self.ledger, readings)
        while len(results) < len(readings):
            results += self._admit_some(readings[len(results) :])
        return results

    def _admit_some(self, readings: Sequence[Reading]) -> list[Outcome | Exception]:
        """Admit arrivals up to the first that cannot be decided: nothing may lean on what it would have written."""
        readings = [self._attested(each) for each in readings]
        context = self._known.of(readings)
        queued, submitted = _Queued(self.ledger), list[_Submitted | Exception]()
        for reading in readings:
            submitted.append(self._submit(context, reading, queued))
            if isinstance(submitted[-1], Exception):
                break
        results = [self._settle(each, queued) for each in submitted]
        failed = any(isinstance(result, Exception) for result in results)
        for index, (reading, each) in enumerate(zip(readings, submitted, strict=False)):
            if isinstance(results[index], ConflictError | PendingError):
                results[index] = self._admit_alone(reading)
            result = results[index]
            if isinstance(result, InvalidEventError | TooLargeError) and not reading.unreadable:
                # What a wire module read cannot stand in an event: the bytes are kept and wait for a person.
                results[index] = self._admit_alone(reading._replace(observations=(), unreadable=str(result)))
            elif failed and isinstance(each, _Submitted) and each.leans:
                results[index] = self._lean_no_more(reading, each)
        for outcome in (result for result in results if isinstance(result, Outcome)):
            for message, stream in outcome.contents:
                contents.check(self.ledger, message, [stream], outcome.beside)
        return results

    def _attested(self, reading: Reading) -> Reading:
        found = reading.attested if reading.unreadable else self.attest(reading.arrival)
        return reading if found is reading.attested else reading._replace(attested=found)

    def foresee(self, readings: Sequence[Reading]) -> list[Outcome | Exception]:
        """What admitting these arrivals would do, each for itself; nothing is written."""
        found: list[Outcome | Exception] = []
        for reading in regions.read_there(self.ledger, readings):
            attested = self._attested(reading)
            try:
                decision = self._decision(self._known.of([attested]), attested)
                decision.item()
                found.append(decision.outcome)
            except Exception as error:  # noqa: BLE001  one bad arrival hurts only itself; the caller gets the error
                found.append(error)
            self._known.forget()
        return found

    def _decision(self, context: Context, reading: Reading) -> Decision:
        kind = Claiming if reading.claim else Decision if reading.told is None else Rereading
        return kind(self.ledger, context, reading)

    def _submit(self, context: Context, reading: Reading, queued: _Queued) -> _Submitted | Exception:
        try:
            decision = self._decision(context, reading)
            item = decision.item()
            number = queued.add(item) if item else None
            stored = tuple([row.artifact_id for _, row in item.artifacts]) if item else ()
            return _Submitted(decision.outcome, number, decision.leans, stored)
        except Exception as error:  # noqa: BLE001  one bad arrival hurts only itself; the caller gets the error
            return error

    def _settle(self, each: _Submitted | Exception, queued: _Queued) -> Outcome | Exception:
        if isinstance(each, Exception):
            return each
        try:
            if each.number is not None:
                each.outcome.position = queued.outcome(each.number).positions[-1]
        except Exception as error:  # noqa: BLE001  as above
            return error
        self._known.forget(each.outcome.messages)
        return each.outcome

    def _lean_no_more(self, reading: Reading, each: _Submitted) -> Outcome | Exception:
        """Decide again what left something out because another arrival was about to write it, which then failed."""
        again = self._admit_alone(reading._replace(stored=each.stored))
        if isinstance(again, Outcome) and each.stored:
            again.facts = each.outcome.facts + again.facts
            again.is_new = True
        return again

    def _admit_alone(self, reading: Reading) -> Outcome | Exception:
        result: Outcome | Exception = ConflictError()
        for _ in range(TRIES):
            self._known.forget()
            queued = _Queued(self.ledger)
            result = self._settle(self._submit(self._known.of([reading]), reading, queued), queued)
            if not isinstance(result, ConflictError):
                break
        return result

    # --- registrations

    def register(
        self,
        tenant: str,
        registration: Registration,
        clear: Mapping[str, Any],
        idempotency: tuple[str, str] = ("", ""),
        payload: bytes = b"",
    ) -> Registered:
        """Write a send that the organisation declares; orphans that carry its references join it.

        Args:
            clear: source fields (`arrival`, `actor`, `occurred_at`, `zone` …).
            idempotency: (key, digest of the request body); a repetition is answered as the first time.
            payload: what the outbox is to send; durable with the request for it. Empty: somebody else sends.

        Raises:
            ReferenceTakenError: an exclusive reference belongs to another registered message; nothing moves.
            IdempotencyError: the key was used with another body.
        """
        failure = ConflictError()
        for _ in range(TRIES):
            known = self._repeated(tenant, idempotency)
            if known:
                return known
            try:
                return self._register(tenant, registration, clear, idempotency, payload)
            except ConflictError as error:
                if isinstance(error, ReferenceTakenError) and error.is_settled:
                    raise
                failure = error
                self._known.forget()
        raise failure

    def _idempotency_keys(self, tenant: str, idempotency: tuple[str, str]) -> list[bytes]:
        key, body_digest = idempotency
        if not key:
            return []
        duplicate = self.ledger.keyring.duplicate
        return [
            duplicate(None, tenant, "", "idempotency", key),
            duplicate(None, tenant, "", "idempotent body", key, body_digest),
        ]

    def _repeated(self, tenant: str, idempotency: tuple[str, str]) -> Registered | None:
        keys = self._idempotency_keys(tenant, idempotency)
        known = self.ledger.known(keys)
        if not keys or keys[0] not in known:
            return None
        if keys[1] not in known:
            raise IdempotencyError
        event = self.ledger.event(known[keys[0]])
        return Registered(message_of(event.stream), event.position, is_new=False)

    def _register(
        self,
        tenant: str,
        registration: Registration,
        clear: Mapping[str, Any],
        idempotency: tuple[str, str],
        payload: bytes,
    ) -> Registered:
        context = Context()
        writer = Writer(self.ledger, context, tenant, registration.account)
        source = {"provider": registration.provider, "account": registration.account, **clear}
        orphans = self._orphans(writer, registration, source)
        whose = (tenant, registration.account, registration.provider)
        recipients, protected = (
            regions.placed(self.ledger, *whose, each) for each in (registration.recipients, registration.protected)
        )
        registration = replace(registration, recipients=recipients)
        message = writer.open_message(registered=True)
        batch = writer.batch_stream(registration.batch, source, message.stream) if registration.batch else ""
        requested = len(writer.plan.events)
        whom = writer.protected(recipients, protected)
        plan_registration(writer.plan, message, registration, source, batch, whom)
        writer.absorb()
        for orphan in orphans:
            message = writer.join(orphan, message, source, "reference_exact")
        item = writer.item()
        item.duplicates = [(requested, key) for key in self._idempotency_keys(tenant, idempotency)]
        key = writer.key(message.stream, WHOLE_MESSAGE)
        if payload and key:
            now, sealed = time_text(self.ledger.clock()), seal_artifact(key.key, payload, message.stream.encode())
            waits = (message.stream, tenant, registration.account, registration.provider, "queued", now)
            item.outbox.append(OutboxRow(*waits, key.key_id, sealed))
        position = self.ledger.append(item).positions[-1]
        if orphans:
            contents.check(self.ledger, message.stream)
        return Registered(message.stream, position, is_new=True)

    def _orphans(self, writer: Writer, registration: Registration, source: Mapping[str, Any]) -> list[Message]:
        """Messages that only receipts have told of and that carry this registration's references."""
        digests = [writer.reference_digest(r) for r in registration.references if r.exclusive]
        context = writer.context
        probe_digests(self.ledger, context, digests)
        streams = sorted({context.canonical(s) for d in digests for s in context.lookups.get(d, ())})
        self._known.read_messages(context, streams)
        for stream in streams:
            if context.messages[stream].registered:
                self._note_conflict(writer, stream, digests, source)
                msg = f"a reference of this send belongs to message {stream} already; nothing moves"
                raise ReferenceTakenError(msg, is_settled=True)
        return [context.messages[stream] for stream in streams]

    def _note_conflict(self, writer: Writer, stream: str, digests: Sequence[bytes], source: Mapping[str, Any]) -> None:
        """Write, once, that somebody claimed a name which belongs to another message."""
        claim = sorted(digest.hex() for digest in digests)
        key = self.ledger.keyring.duplicate(None, writer.tenant, writer.account, "conflict", stream, *claim)
        if not self.ledger.known([key]):
            conflict = self.ledger.draft("reference.conflict", writer.tenant, stream, dict(source))
            self.ledger.append(Item([conflict], needs={stream}, duplicates=[(0, key)]))
