"""Ekopost's bytes in, observations out; the check of its webhook signature; calls that failed.

A campaign is a batch, an envelope a message (`objects.py`). Leaves out what Ekopost does not publish: states of a
single signer, and whether a digital address fell back to print.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from adapters.providers.contract import Checked, Word
from adapters.providers.ekopost import beside, objects, receipts, statuses
from adapters.providers.ekopost.objects import Reading, batch_of, described, fields_of, rows_of
from adapters.providers.reading import json_object, json_value, repaired, text
from ledger.observations import Arrival, Observation, Reference, UnreadableError, Verdict

SIGNATURE_HEADER = "x-ekopost-signature"
CREATING = frozenset({"envelope_create", "sms_send"})
SUCCESS = range(200, 300)
NOT_FOUND = 404
ERROR, HTTP = rows_of(statuses.ERROR), rows_of(statuses.HTTP)

_PLACE = re.compile(r"/campaigns/([^/?#\s]+)(?:/envelopes/([^/?#\s]+))?")
_ERROR_TEXTS = {"error_message": "text", "developer_message": "developer_message"}


# --- who sent it, and what it is


def verify(arrival: Arrival, secrets: Mapping[str, bytes], _now: datetime) -> Checked:
    """Check the signature of a webhook: HMAC-SHA1 in hex over the raw body.

    Ekopost names no key and signs no time, so every secret is tried and nothing can be stale: a repeated delivery is
    recognised by what it says.
    """
    given = arrival.headers.get(SIGNATURE_HEADER, "").strip().lower().removeprefix("sha1=").encode("utf-8", "replace")
    for key_id, secret in secrets.items():
        due = hmac.new(secret, arrival.body, "sha1").hexdigest().encode()
        # An empty secret is one that anybody knows.
        if secret and hmac.compare_digest(due, given):
            return Checked(Verdict.VERIFIED, key_id)
    why = f"none of {len(secrets)} secrets gives this signature" if given else f"no {SIGNATURE_HEADER} header"
    return Checked(Verdict.REFUSED, why=why)


SHAPES = (
    ("error", {"error_code", "error_message", "developer_message"}),
    ("webhook", set(statuses.WEBHOOK_FIELDS.values())),
    ("campaign", {"id", "output_date", "envelope_count", "state"}),
    ("envelope", {"id", "postage", "plex", "state"}),
    ("content", {"id", "mime", "length", "type", "created_at"}),
    ("edi_invitations", {"receiver_cin", "receiver_gln", "date_sent", "status"}),
    ("edi_invitations", {"ReceiverCin", "ReceiverGln", "DateSent", "Status"}),
)
"""Keys that tell an object of Ekopost from anybody else's; an SMS has none that could."""


def recognise(_file_name: str, body: bytes) -> str:
    """The operation whose answer a bare file looks like, or ""."""
    try:
        value = json_value(body)
    except UnreadableError:
        return ""
    keys = set(fields_of(value[0] if isinstance(value, list) and value else value))
    return next((operation for operation, shape in SHAPES if shape <= keys), "")


# --- from bytes to observations


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """Read one arrival.

    A call of ours (`request` is given) whose answer cannot be read may have been obeyed: it becomes what the HTTP
    status alone says. Anything else that cannot be read is an error.

    Raises:
        UnreadableError: the bytes are not what the operation promises.
    """
    if arrival.operation == "receipt":
        return receipts.read(arrival)
    reader = READERS.get(arrival.operation)
    if reader is None:
        msg = f"the operation {arrival.operation} is not read"
        raise UnreadableError(msg)
    request, notes = _request(arrival.request)
    place = _PLACE.search(arrival.name)
    campaign, envelope = place.groups("") if place else ("", "")
    asked = parse_qs(urlsplit(arrival.name).query) if arrival.name.startswith("/") else {}
    reading = Reading({}, request, campaign, envelope, arrival.observed_at, *asked.get("name", ())[:1])
    try:
        given = json_value(arrival.body)
        reading = replace(reading, value=repaired(given))
        notes += ("text_repaired",) if reading.value != given else ()
        seen = _answered(arrival, reading, reader)
    except UnreadableError:
        if arrival.request is None:
            raise
        seen = (_by_status(arrival, reading),)
    return tuple(replace(one, notes=one.notes + notes) for one in seen) if notes else seen


def _request(body: bytes | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not body:
        return {}, ()
    try:
        return repaired(json_object(body)), ()
    except UnreadableError:
        return {}, ("request_unreadable",)


Reader = Callable[[Reading], Iterable[Observation]]


def _answered(arrival: Arrival, reading: Reading, reader: Reader) -> tuple[Observation, ...]:
    """An error object is an error whatever the HTTP status; without one, only a 2xx is read."""
    code = text(fields_of(reading.value).get("error_code"))
    if code:
        return (_failed(arrival, reading, ERROR.get(code), code),)
    if arrival.status == NOT_FOUND and arrival.operation == "reachable":
        return beside.not_reachable(reading)
    if arrival.status is not None and arrival.status not in SUCCESS:
        msg = f"HTTP {arrival.status} without an error object"
        raise UnreadableError(msg)
    return tuple(reader(reading))


def _error(_: Reading) -> tuple[Observation, ...]:
    msg = "an error without an error_code"
    raise UnreadableError(msg)


READERS: dict[str, Reader] = {
    "campaign": objects.campaigns,
    "envelope": objects.envelopes,
    "envelope_create": objects.created,
    "envelope_failed": objects.rescheduled,
    "content": objects.content,
    "edi_invitations": beside.invitations,
    "reachable": beside.reachable,
    "sms": beside.sms,
    "sms_send": beside.sms,
    "webhook": objects.webhook,
    "error": _error,
}


# --- calls that failed


def _by_status(arrival: Arrival, reading: Reading) -> Observation:
    """What the HTTP status alone says of a call whose answer is not the promised object."""
    status = arrival.status or 200
    row = HTTP.get(str(status)) or HTTP.get(f"{status // 100}xx")
    return _failed(arrival, reading, row, row.word if row else str(status))


def _failed(arrival: Arrival, reading: Reading, row: Word | None, code: str) -> Observation:
    """A call that failed, or may have.

    Only the call that creates an envelope can be refused as a submission; any other refused call leaves what exists
    as it was. A refused envelope never took its unique_id; after an unclear answer it may have.
    """
    creating = arrival.operation in CREATING
    kind = row.type if row else "channel.unmapped"
    kind = "dispatch.attempted" if kind == "submission.rejected" and not creating else kind
    unique = text(reading.request.get("unique_id")).strip()
    names = (("envelope_id", reading.envelope, True), ("unique_id", unique, kind == "dispatch.unclear"))
    asked = described(Observation(type=kind), reading.request if creating else {})
    error = fields_of(reading.value)
    said = {ours: text(error.get(theirs)) for theirs, ours in _ERROR_TEXTS.items() if text(error.get(theirs))}
    request = hashlib.sha256(arrival.request or b"").hexdigest()
    return replace(
        asked,
        references=tuple(Reference(*name) for name in names if name[1]),
        batch=batch_of(reading.campaign),
        about="message" if creating or reading.envelope else "batch" if reading.campaign else "account",
        code=row.word if row else "",
        # Two calls may be refused in the same words: each call is one fact.
        identity=("answer", arrival.name, request, code, arrival.observed_at.isoformat()),
        texts={**asked.texts, **said, **({} if row else {"code": code})},
    )
