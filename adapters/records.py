"""The arrival record: one JSON object that carries an arrival between programs (API, import, demo).

    {"provider": "kpn_sms", "account": "sms-1", "operation": "webhook.dlr", "kind": "webhook",
     "observed_at": "2026-03-01T09:00:00Z", "headers": {…}, "status": 200, "name": "/hooks/…",
     "request": "…" or "request_base64": "…", "body": "…" or "body_base64": "…", "message": "…"}

`body` (or `body_base64`, for bytes that are not UTF-8 text), `account` and `operation` are required. Nothing here
reads what the body means.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from adapters.providers import registry
from adapters.providers.reading import json_object
from ledger.errors import LedgerError
from ledger.observations import Arrival, ArrivalKind, UnreadableError


class RecordError(LedgerError):
    """Not an arrival record; the text names the field."""


class Record(NamedTuple):
    """An arrival and the message its sender says it belongs to ("" when it does not say)."""

    arrival: Arrival
    message: str


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    operation: str
    provider: str = ""
    kind: ArrivalKind = ArrivalKind.API
    observed_at: datetime | None = None
    headers: dict[str, str] = {}
    status: int | None = None
    name: str = ""
    request: str | None = None
    request_base64: str | None = None
    body: str | None = None
    body_base64: str | None = None
    message: str = ""


def decode(data: bytes, now: datetime, provider_of: Callable[[str], str]) -> Record:
    """Decode one record.

    Args:
        now: `observed_at` where the record gives none; aware.
        provider_of: account name -> provider name, for records that name no provider.

    Raises:
        RecordError: names the field and what is wrong with it.
    """
    try:
        raw = msgspec.convert(json_object(data), _Record, str_keys=True, strict=True)
    except (msgspec.ValidationError, UnreadableError) as error:
        raise RecordError(str(error)) from error
    provider = raw.provider or provider_of(raw.account)
    known = registry().get(provider)
    if known is None:
        msg = f"provider: unknown provider {provider!r}; there are {', '.join(registry())}"
        raise RecordError(msg)
    if raw.operation not in {o.name for o in known.operations if o.use == "used"}:
        used = ", ".join(o.name for o in known.operations if o.use == "used")
        msg = f"operation: {provider} has no operation {raw.operation!r} that can be read; there are {used}"
        raise RecordError(msg)
    observed_at = raw.observed_at or now
    if observed_at.tzinfo is None:
        msg = "observed_at: a time without a zone; write 2026-03-01T09:00:00Z or with an offset"
        raise RecordError(msg)
    body = _bytes("body", raw.body, raw.body_base64)
    if body is None:
        msg = "body: give body or body_base64"
        raise RecordError(msg)
    arrival = Arrival(
        provider=provider,
        account=raw.account,
        operation=raw.operation,
        kind=raw.kind,
        observed_at=observed_at,
        body=body,
        headers={k.lower(): v for k, v in raw.headers.items() if k.lower() in known.headers},
        status=raw.status,
        request=_bytes("request", raw.request, raw.request_base64),
        name=raw.name,
    )
    return Record(arrival, raw.message)


def _bytes(field: str, text: str | None, base64_text: str | None) -> bytes | None:
    if text is not None and base64_text is not None:
        msg = f"{field}: give {field} or {field}_base64, not both"
        raise RecordError(msg)
    try:
        return (
            text.encode()
            if text is not None
            else b64decode(base64_text, validate=True)
            if base64_text is not None
            else None
        )
    except (UnicodeEncodeError, Base64Error, ValueError) as error:
        msg = f"{field}: neither UTF-8 text nor base64"
        raise RecordError(msg) from error


def encode(arrival: Arrival) -> bytes:
    """One line of JSON that `decode` reads back to the same arrival."""
    plain: dict[str, Any] = {
        "provider": arrival.provider,
        "account": arrival.account,
        "operation": arrival.operation,
        "kind": str(arrival.kind),
        "observed_at": arrival.observed_at.isoformat().replace("+00:00", "Z"),
    }
    optional = {"headers": dict(arrival.headers), "status": arrival.status, "name": arrival.name}
    plain |= {k: v for k, v in optional.items() if v}
    for field, data in (("request", arrival.request), ("body", arrival.body)):
        if data is not None:
            try:
                plain[field] = data.decode()
            except UnicodeDecodeError:
                plain[f"{field}_base64"] = b64encode(data).decode()
    return json.dumps(plain, ensure_ascii=False).encode()
