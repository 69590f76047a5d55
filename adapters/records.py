"""The arrival record: one JSON object that carries an arrival between programs (API, import, demo).

    {"account": "sms-1", "operation": "webhook.dlr", "provider": "kpn_sms", "kind": "import",
     "observed_at": "2026-03-01T09:00:00Z", "headers": {…}, "status": 200, "name": "dlr-1.json",
     "request": "…" or "request_base64": "…", "body": "…" or "body_base64": "…", "message": "…"}

`account`, `operation` and `body` (or `body_base64`, for bytes that are not UTF-8 text) are required. Nothing here reads what
the body means, and no signature is checked: `adapters.receiving` does both. The verdict of a check cannot be said in a record.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from adapters.providers import registry
from adapters.providers.contract import Provider
from adapters.strictjson import RefusedError, refuse
from adapters.strictjson import decode as decode_json
from ledger.observations import Arrival, ArrivalKind

RecordError = RefusedError
"""What `decode` raises; the text names the field and quotes nothing."""

END = r"$(?!\n)"  # in Python `$` alone also fits before a last line break; in JSON Schema this means the same
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"

Name = Annotated[str, Meta(pattern=f"^{NAME}{END}", description="lower-case letters, digits, `_`, `-`, `.`")]
MessageId = Annotated[str, Meta(pattern=f"^{UUID}{END}", description="id of a message, as the API gave it")]
AwareTime = Annotated[datetime, Meta(tz=True, description="with a zone: `Z` or an offset")]


class Record(NamedTuple):
    """An arrival and the message its sender says it belongs to ("" when it does not say)."""

    arrival: Arrival
    message: str


class ArrivalRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exact bytes from a provider and how they came.

    Attributes:
        provider: only needed where the account alone does not say it.
        kind: `api` when your own system tells us, `import` for what was collected elsewhere; at the console also how it came there.
        observed_at: when your system got it; now, if absent.
        headers: those of the provider's answer or webhook; only those the provider's allow-list names are kept.
        status: HTTP status, when the body answers a call.
        request: the body of that call, without credentials.
        name: file name or URL path it came by, where the provider's reader needs it.
        message: the message it belongs to, when you know it.
    """

    account: Name
    operation: Annotated[str, Meta(min_length=1, max_length=63)]
    provider: Name | None = None
    kind: ArrivalKind = ArrivalKind.API
    observed_at: AwareTime | None = None
    headers: dict[str, str] = {}
    status: Annotated[int, Meta(ge=100, le=599)] | None = None
    name: Annotated[str, Meta(max_length=500)] = ""
    message: MessageId | None = None
    request: str | None = None
    request_base64: bytes | None = None
    body: str | None = None
    body_base64: bytes | None = None


_record = msgspec.json.Decoder(ArrivalRecord)


def decode(data: bytes, now: datetime, provider_of: Callable[[str], str]) -> Record:
    """Decode one record.

    Args:
        now: `observed_at` where the record gives none; aware.
        provider_of: account name -> provider name ("" when unknown), for records that name no provider.

    Raises:
        RecordError: names the field and what is wrong with it.
    """
    record = decode_json(_record, data)
    name = record.provider or provider_of(record.account)
    provider = registry().get(name)
    if provider is None:
        why = f"unknown; there are {', '.join(registry())}"
        refuse("provider" if record.provider else "account", why)
    _check_operation(provider, record.operation)
    body = _bytes("body", record.body, record.body_base64)
    if body is None:
        refuse("body", "give body or body_base64")
    arrival = Arrival(
        provider=provider.name,
        account=record.account,
        operation=record.operation,
        kind=record.kind,
        observed_at=utc("observed_at", record.observed_at or now),
        body=body,
        headers={k.lower(): v for k, v in record.headers.items() if k.lower() in provider.headers},
        status=record.status,
        request=_bytes("request", record.request, record.request_base64),
        name=record.name,
    )
    return Record(arrival, record.message or "")


def _check_operation(provider: Provider, operation: str) -> None:
    if not any(o.name == operation and o.use == "used" for o in provider.operations):
        used = [o.name for o in provider.operations if o.use == "used"]
        refuse("operation", f"{provider.name} has no such operation that is read; there are {', '.join(used)}")


def utc(field: str, at: datetime) -> datetime:
    """An aware time in UTC.

    Raises:
        InvalidError: it is outside the years 1 to 9999 there.
    """
    try:
        return at.astimezone(UTC)
    except OverflowError:
        refuse(field, "outside the years 1 to 9999")


def _bytes(field: str, text: str | None, raw: bytes | None) -> bytes | None:
    if text is not None and raw is not None:
        refuse(field, f"give {field} or {field}_base64, not both")
    return text.encode() if text is not None else raw


def encode(arrival: Arrival, message: str = "") -> bytes:
    """One line of JSON that `decode` reads back to the same arrival, apart from its verdict."""
    body, body_base64 = _text(arrival.body)
    request, request_base64 = _text(arrival.request)
    record = ArrivalRecord(
        account=arrival.account,
        operation=arrival.operation,
        provider=arrival.provider,
        kind=arrival.kind,
        observed_at=arrival.observed_at,
        headers=dict(arrival.headers),
        status=arrival.status,
        name=arrival.name,
        message=message or None,
        request=request,
        request_base64=request_base64,
        body=body,
        body_base64=body_base64,
    )
    return msgspec.json.encode(record)


def _text(data: bytes | None) -> tuple[str | None, bytes | None]:
    """Bytes as text where they are UTF-8, else as they are."""
    try:
        return (None if data is None else data.decode()), None
    except UnicodeDecodeError:
        return None, data
