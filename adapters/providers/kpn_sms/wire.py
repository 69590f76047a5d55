"""Reads what KPN SMS sends: answers to our send call, delivery reports, incoming messages; and checks signatures.

Delivery reports come at least once and in any order; nothing here decides which is the last. The text of an outgoing
message is read only when the call carries a single text; a call with many keeps them in its bytes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from adapters.providers.contract import Checked
from adapters.providers.kpn_platform import (
    Product,
    Request,
    bounded,
    count,
    filled,
    json_repaired,
    read_send,
    time_said,
)
from adapters.providers.kpn_sms.statuses import DLR_MEMBERS, REASON, STATUS
from adapters.providers.reading import json_object, text, time_epoch, time_iso
from ledger.mac import hmac_sha256
from ledger.observations import (
    Address,
    Arrival,
    Observation,
    Reference,
    UnreadableError,
    Verdict,
    ZoneBasis,
)

SIGNATURE = "x-kpn-webhook-signature"
TIMESTAMP = "x-kpn-webhook-timestamp"
KEY_ID = "x-kpn-webhook-key-id"
WEBHOOK_HEADERS = frozenset({SIGNATURE, TIMESTAMP, KEY_ID, "x-kpn-webhook-attempt"})

TIMESTAMP_TOLERANCE_S = 300
"""How far KPN's clock and ours may be apart."""

RETRY_SPAN_S = 60 + 120 + 240
"""The fourth and last attempt comes this long after the first; nobody says whether each has its own time-stamp."""

NOTES = {
    "no_document_id": "the answer names no document_id; KPN says that then the request did not succeed",
    "number_missing": "the report names no number, so it belongs to one recipient of the call and nobody knows which",
    "status_missing": "the report names no status",
}

_STATUS = {row.word: row for row in STATUS}
_REASONS = {row.word for row in REASON}
_INBOUND_MEMBERS = frozenset({"sender", "recipient", "message_id", "content", "timestamp_utc", "type"})


def _refused(key_id: str, why: str) -> Checked:
    return Checked(Verdict.REFUSED, key_id, why)


def _is_fresh(stamp: str, now: datetime, tolerance_s: int) -> bool:
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
        return False
    age_s = now.timestamp() - int(stamp)
    return -tolerance_s <= age_s <= tolerance_s + RETRY_SPAN_S


def verify(
    arrival: Arrival, secrets: Mapping[str, bytes], now: datetime, tolerance_s: int = TIMESTAMP_TOLERANCE_S
) -> Checked:
    """Check that KPN signed these exact bytes, lately.

    Args:
        arrival: with its headers in lower case.
        secrets: by key id; the id in the header chooses one, and without that header each is tried.
        now: our clock, aware.
        tolerance_s: how far the two clocks may be apart.

    Source: SwaggerHub `Webhook Signing Keys - KPN` 4.0.0: lower-case hex of HMAC-SHA256 over the raw body.
    """
    claimed = arrival.headers.get(KEY_ID, "").strip()
    given = arrival.headers.get(SIGNATURE, "").strip().lower().encode("utf-8", "replace")
    if not given:
        return _refused(claimed, "no signature")
    if not _is_fresh(arrival.headers.get(TIMESTAMP, "").strip(), now, tolerance_s):
        return _refused(claimed, "no time-stamp, or one too far from our clock")
    if claimed and claimed not in secrets:
        return _refused(claimed, "no secret for this key id")
    for key_id in [claimed] if claimed else sorted(secrets):
        due = hmac_sha256(secrets[key_id], arrival.body).hex().encode()
        # Anybody can sign with an empty secret.
        if secrets[key_id] and hmac.compare_digest(due, given):
            return Checked(Verdict.VERIFIED, key_id)
    return _refused(claimed, "the signature does not belong to these bytes")


def _send_request(body: dict[str, Any]) -> Request:
    listed = body.get("messages")
    messages = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    numbers = bounded([n.strip() for m in messages for n in text(m.get("mobile_number")).split(",")])
    contents = {text(m.get("content")) for m in messages}
    return Request(
        declares=tuple(Address("phone", number) for number in dict.fromkeys(numbers) if number),
        texts={"sender": text(body.get("sender")), "content": contents.pop() if len(contents) == 1 else ""},
    )


PRODUCT = Product(
    id_kind="document_id",
    read_id=lambda body: text(body.get("document_id")).strip(),
    read_request=_send_request,
    without_id=("submission.rejected", "no_document_id"),
    ok_field="status",
)


def _send(arrival: Arrival) -> tuple[Observation, ...]:
    answered, *more = read_send(arrival, PRODUCT)
    return (*_each(answered), *more)


def _each(answered: Observation) -> tuple[Observation, ...]:
    """What an answer says of each number of its call: a message may take several calls, and they may end differently."""
    if answered.type == "dispatch.unclear" or not answered.declares:
        return (answered,)
    *named, kind = answered.identity
    all_of_them = answered.declares
    return tuple(
        replace(answered, about="recipient", recipient=one, declares=declared, identity=(*named, one.value, kind))
        for one, declared in zip(all_of_them, (all_of_them, *[()] * len(all_of_them)), strict=False)
    )


def _whole(value: object) -> str:
    """A code as text; a JSON number without fraction as its digits."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else text(value).strip()


def _part(report: Mapping[str, Any]) -> tuple[int, int] | None:
    part, parts = count(report["part"]), count(report["parts"])
    return (part, parts) if part and parts and part <= parts else None


def _dlr(arrival: Arrival) -> tuple[Observation, ...]:
    body, notes = json_repaired(arrival.body)
    if body.keys().isdisjoint(DLR_MEMBERS.values()):
        msg = "no member of a delivery report"
        raise UnreadableError(msg)
    report = {ours: body.get(theirs) for ours, theirs in DLR_MEMBERS.items()}
    said = {name: text(value) for name, value in report.items()}
    status, failure = _whole(report["status"]), said["failure"].strip()
    number, ident = said["number"].strip(), said["document_id"].strip()
    reason = failure.zfill(3) if failure.isdecimal() else failure
    row = _STATUS.get(status)
    occurred = time_epoch(report["time"])
    time_text, time_notes = time_said(said["time"], occurred)
    missing = tuple(note for note, value in {"number_missing": number, "status_missing": status}.items() if not value)
    # Without a number two recipients may be reported in the same second: then only equal bytes are the same report.
    stamped = tuple(filter(None, [said["time"], said["part"] and f"part {said['part']}"]))
    identity = ("dlr", ident, number, status, *stamped) if ident and number else ()
    return (
        Observation(
            type=row.type if row else "channel.unmapped",
            references=(Reference("document_id", ident),) if ident else (),
            about="recipient",
            recipient=Address("phone", number) if number else None,
            occurred=occurred,
            code=row.word if row else "",
            reason=reason if reason in _REASONS else "",
            identity=identity,
            content=(failure,) if identity else (),
            texts=filled(
                {
                    "code": "" if row else status,
                    "reason": "" if reason in _REASONS else failure,
                    **{name: said[name] for name in ("message", "message_type", "customer_id")},
                    **time_text,
                }
            ),
            notes=notes + missing + time_notes,
            part=_part(report),
        ),
    )


def _inbound(arrival: Arrival) -> tuple[Observation, ...]:
    body, notes = json_repaired(arrival.body)
    if body.keys().isdisjoint(_INBOUND_MEMBERS):
        msg = "no member of an incoming message"
        raise UnreadableError(msg)
    said = {name: text(body.get(name)) for name in _INBOUND_MEMBERS}
    occurred = time_iso(said["timestamp_utc"], ZoneBasis.DOCUMENTED)
    time_text, time_notes = time_said(said["timestamp_utc"], occurred)
    ident, recipient = said["message_id"].strip(), said["recipient"].strip()
    return (
        Observation(
            type="inbound.received",
            references=(Reference("message_id", ident),) if ident else (),
            declares=(Address("phone", recipient),) if recipient else (),
            occurred=occurred,
            identity=("inbound", ident) if ident else (),
            texts=filled({name: said[name] for name in ("sender", "content", "type")} | time_text),
            notes=notes + time_notes,
        ),
    )


_READERS: Mapping[str, Callable[[Arrival], tuple[Observation, ...]]] = {
    "send": _send,
    "webhook.dlr": _dlr,
    "webhook.inbound": _inbound,
}


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What KPN says in this arrival.

    Raises:
        UnreadableError: the bytes are not what this operation gives, or the operation is not one that is read.
    """
    reader = _READERS.get(arrival.operation)
    if reader is None:
        msg = f"{arrival.operation} is not read"
        raise UnreadableError(msg)
    return reader(arrival)


_TELLING = {"DLRID": "webhook.dlr", "timestamp_utc": "webhook.inbound", "document_id": "send"}


def recognise(file_name: str, body: bytes) -> str:  # noqa: ARG001 (KPN names no files)
    """The operation that gives such a body, or ""."""
    try:
        members = json_object(body).keys()
    except UnreadableError:
        return ""
    return next((operation for member, operation in _TELLING.items() if member in members), "")
