"""Arrivals handed in by the tenant's own systems: one record, a stream of them, or an uploaded receipt.

Where the provider signs an operation, a record of it is taken only if the account's keys verify its headers and bytes. One bad
line of a stream hurts only itself.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import IO, Any, NamedTuple

import msgspec
from aiohttp import web

from adapters import records
from adapters.http.admission import ADMISSION
from adapters.http.dispatch import STATE, THREADS, body_parts, in_thread, read_body, require_media, respond, too_large
from adapters.http.errors import AccountClosedError, SignatureError
from adapters.http.guards import open_account, require_message
from adapters.http.problems import problem_of
from adapters.http.routes import JSON, NDJSON, Answer, Call, NoQuery, route
from adapters.http.telemetry import Metrics
from adapters.http.types import Admitted, ForReceipt, LineResult
from adapters.providers import registry
from adapters.receiving import read, verified
from adapters.records import ArrivalRecord
from adapters.strictjson import refuse
from ledger.decision import Outcome
from ledger.names import Reading
from ledger.observations import Arrival, ArrivalKind, Verdict

KINDS = frozenset({ArrivalKind.API, ArrivalKind.IMPORT})
"""What others hand in is second-hand, whatever it is called: a poll is what we asked ourselves, and proves more."""
MAX_CHUNK_RECORDS = 500
MAX_CHUNK_BYTES = 4 * 1024 * 1024
RESULTS_IN_MEMORY_BYTES = 1024 * 1024
ANSWER_PART_BYTES = 256 * 1024
MAX_AHEAD = timedelta(minutes=5)
RECEIPT = "receipt"
RFC822 = "message/rfc822"


class Lines:
    """Splits a stream of bytes into lines; one that is over the limit is given as None and costs no memory.

    Bytes in, lines out; no I/O.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._is_too_long = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that end in `data`."""
        *ended, rest = data.split(b"\n")
        lines = [self._end_with(part) for part in ended]
        self._keep(rest)
        return lines

    def end(self) -> list[bytes | None]:
        """The last line, if it has no line break."""
        return [self._end_with(b"")] if self._rest or self._is_too_long else []

    def _end_with(self, part: bytes) -> bytes | None:
        self._keep(part)
        line = None if self._is_too_long else bytes(self._rest)
        self._rest.clear()
        self._is_too_long = False
        return line

    def _keep(self, part: bytes) -> None:
        self._is_too_long = self._is_too_long or len(self._rest) + len(part) > self._limit
        if self._is_too_long:
            self._rest.clear()
        else:
            self._rest += part


class _Numbered(NamedTuple):
    """A line and its number; None for one that is too long."""

    number: int
    line: bytes | None


@route(
    "POST /v1/observations",
    scopes=("ingest",),
    reads={JSON: ArrivalRecord, NDJSON: str},
    answers={201: Admitted, 200: {JSON: Admitted, NDJSON: LineResult}},
    problems=(404, 409),
    example={
        "account": "sms-1",
        "operation": "send",
        "observed_at": "2026-03-01T09:00:00Z",
        "status": 200,
        "request": '{"messages":[{"content":"Your parcel is on its way","mobile_number":"0612345678"}],"sender":"Example"}',
        "body": '{"document_id":"5b7b1fd6-6f3a-4a3c-9a55-0f1f6a1c9e11","status":"OK"}',
    },
)
async def observe(request: web.Request, call: Call[NoQuery, None]) -> web.StreamResponse:
    """Hand in what a provider said: one arrival record as JSON, or any number as NDJSON, one a line.

    One record is answered 201 when it was stored and 200 when all of it was known. A stream is answered 200 with one result a line, in
    order, each with its own status; what was stored before a stream breaks off stays, and sending all of it again stores nothing twice.
    Streams take turns. As many are let in at a time as fit; a further one is answered 503, or 429 where they are all of one key, with
    Retry-After, and nothing of it was read.
    """
    if require_media(request, (JSON, NDJSON)) == NDJSON:
        return await _observe_stream(request, call)
    data = await read_body(request)
    return await respond(request, await in_thread(request, _observe_one, request.app[STATE].metrics, call, data))


def _observe_one(metrics: Metrics, call: Call[Any, Any], data: bytes) -> Answer:
    result = admit(metrics, call, [data])[0]
    if isinstance(result, Exception):
        raise result
    return Answer(msgspec.json.encode(_admitted(result)), 201 if result.is_new else 200)


async def _observe_stream(request: web.Request, call: Call[NoQuery, None]) -> web.StreamResponse:
    """Admit chunk by chunk, each in its turn; results wait in a file, because many a client reads the answer only when all is sent."""
    state, admission = request.app[STATE], request.app[ADMISSION]
    request[THREADS] = state.bulk
    with admission.entered(call.actor), tempfile.SpooledTemporaryFile(RESULTS_IN_MEMORY_BYTES) as results:
        async for chunk in _chunks(request):
            async with admission.turn:
                await in_thread(request, _admit_chunk, state.metrics, call, chunk, results)
        results.seek(0)
        parts = iter(functools.partial(results.read, ANSWER_PART_BYTES), b"")
        return await respond(request, Answer(parts, media_type=NDJSON))


async def _chunks(request: web.Request) -> AsyncIterator[list[_Numbered]]:
    lines = Lines(request.app[STATE].services.limits.body_bytes)
    chunk: list[_Numbered] = []
    number = size = 0
    async for part in body_parts(request):
        for line in lines.feed(part):
            number += 1
            if line is None or line.strip():
                chunk.append(_Numbered(number, line))
                size += len(line or b"")
            if len(chunk) >= MAX_CHUNK_RECORDS or size >= MAX_CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    chunk += [_Numbered(number + 1, line) for line in lines.end() if line is None or line.strip()]
    if chunk:
        yield chunk


def _admit_chunk(metrics: Metrics, call: Call[Any, Any], chunk: Sequence[_Numbered], results: IO[bytes]) -> None:
    for numbered, result in zip(chunk, admit(metrics, call, [each.line for each in chunk]), strict=True):
        results.write(msgspec.json.encode(_result(numbered.number, result)) + b"\n")


def _result(number: int, result: Outcome | Exception) -> LineResult:
    if isinstance(result, Exception):
        problem, _ = problem_of(result)
        return LineResult(number, problem.status, problem=problem)
    return LineResult(number, 201 if result.is_new else 200, admitted=_admitted(result))


def _admitted(outcome: Outcome) -> Admitted:
    return Admitted(
        facts=tuple(outcome.facts),
        seen=outcome.seen,
        copies=outcome.copies,
        unmatched=outcome.unmatched,
        unreadable=outcome.unreadable,
        unverified=outcome.unverified,
        messages=tuple(outcome.messages),
        position=outcome.position,
    )


# --- from records to the ledger


def admit(metrics: Metrics, call: Call[Any, Any], lines: Sequence[bytes | None]) -> list[Outcome | Exception]:
    """Decode, verify, read and admit records, each for itself.

    Returns:
        One outcome or error for each, in order; what is acknowledged is durable.
    """
    desk = _Desk(call)
    found: list[Reading | Outcome | Exception] = [desk.attempt(line) for line in lines]
    readings = [each for each in found if isinstance(each, Reading)]
    outcomes = iter(call.services.intake.admit(readings) if readings else ())
    results = [next(outcomes) if isinstance(each, Reading) else each for each in found]
    providers = (each.arrival.provider if isinstance(each, Reading) else "" for each in found)
    for (provider, word), count in Counter(zip(providers, map(_word, results), strict=True)).items():
        metrics.arrivals.labels(provider, "api", word).inc(count)
    return results


def _word(result: Outcome | Exception) -> str:
    return "refused" if isinstance(result, Exception) else "new" if result.is_new else "known"


class _Desk:
    """Takes the records of one call; knows the accounts and their keys, read once."""

    def __init__(self, call: Call[Any, Any]) -> None:
        self._call = call
        self._services = call.services
        self._now = call.services.ledger.clock()
        self._accounts = {a.account: a for a in call.services.accounts.list(call.tenant)}
        self._keys: dict[str, dict[str, bytes]] = {}

    def attempt(self, line: bytes | None) -> Reading | Exception:
        """One record as a reading, or why it is refused."""
        try:
            return self._take(line)
        except Exception as error:  # noqa: BLE001  one bad record hurts only itself; the table of problems says how it is answered
            return error

    def _take(self, line: bytes | None) -> Reading:
        if line is None:
            raise too_large(self._services.limits.body_bytes)
        record = records.decode(line, self._now, self._provider_of)
        arrival = record.arrival
        if arrival.provider != self._provider_of(arrival.account):
            refuse("provider", f"the account is at {self._provider_of(arrival.account)}")
        if arrival.kind not in KINDS:
            refuse(
                "kind",
                "a webhook is sent to /v1/hooks; a poll is asked, and a mailbox read, by us; write api or import",
            )
        if arrival.observed_at > self._now + MAX_AHEAD:
            refuse("observed_at", "lies in the future; set your clock, or leave it out")
        if record.message:
            require_message(self._services, self._call.tenant, record.message)
        arrival = self._verified(arrival)
        return read(self._call.tenant, arrival, message=record.message, actor=self._call.actor)

    def _provider_of(self, account: str) -> str:
        found = self._accounts.get(account) or self._services.accounts.get(self._call.tenant, account)
        if found.is_disabled:
            raise AccountClosedError
        return found.provider

    def _verified(self, arrival: Arrival) -> Arrival:
        if arrival.operation not in registry()[arrival.provider].signed_operations:
            return arrival
        if arrival.account not in self._keys:
            self._keys[arrival.account] = self._services.accounts.secrets(self._call.tenant, arrival.account)
        arrival, checked = verified(arrival, self._keys[arrival.account], arrival.observed_at)
        if checked.verdict is not Verdict.VERIFIED:
            msg = f"the provider signs this operation, and it does not verify: {checked.why}; send the signature's headers as they came"
            raise SignatureError(msg)
        return arrival


# --- receipts


@route(
    "POST /v1/receipts",
    scopes=("ingest",),
    reads={RFC822: bytes},
    answers={201: Admitted, 200: Admitted},
    problems=(404, 409),
)
def upload(call: Call[ForReceipt, bytes]) -> Answer:
    """Upload a receipt of certified e-mail, as the exact bytes of the message."""
    account = open_account(call.services, call.tenant, call.query.account)
    if RECEIPT not in {o.name for o in registry()[account.provider].operations if o.use == "used"}:
        able = [p.name for p in registry().values() if any(o.name == RECEIPT and o.use == "used" for o in p.operations)]
        refuse("account", f"it is at {account.provider}, which has no receipts; accounts at {' and '.join(able)} do")
    if call.query.message:
        require_message(call.services, call.tenant, call.query.message)
    arrival = Arrival(
        provider=account.provider,
        account=account.account,
        operation=RECEIPT,
        kind=ArrivalKind.IMPORT,
        observed_at=call.services.ledger.clock(),
        headers={"content-type": RFC822},
        body=call.body,
    )
    reading = read(call.tenant, arrival, message=call.query.message or "", actor=call.actor)
    outcome = call.services.intake.admit([reading])[0]
    if isinstance(outcome, Exception):
        raise outcome
    return Answer(_admitted(outcome), 201 if outcome.is_new else 200)
