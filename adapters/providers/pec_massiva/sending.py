"""Reads the answer to POST /send, together with our own request: recipients, and digests of what went out."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, NamedTuple

from adapters.providers.pec_massiva import statuses
from adapters.providers.pec_massiva.answers import address, answer_of, error_row, http_row, is_success, value
from adapters.providers.reading import fingerprint, json_object, repaired, text
from ledger.observations import Address, Arrival, Fingerprint, Observation, Reference, UnreadableError

_MAX_COUNT = 1_000_000


class Request(NamedTuple):
    """What is taken from our own send call; the mailbox credentials it may hold are not looked at."""

    addresses: tuple[Address, ...] = ()
    documents: tuple[Fingerprint, ...] = ()
    subject: str = ""
    sender: str = ""
    is_whole: bool = True


def read(arrival: Arrival) -> list[Observation]:
    """What the answer to one send call says: accepted, refused, or unclear."""
    asked, answer = _request(arrival.request), answer_of(arrival)
    sent = answer.get("sent")
    counts = {"asked": len(asked.addresses)} if asked.addresses else {}
    if isinstance(sent, int) and not isinstance(sent, bool) and 0 <= sent < _MAX_COUNT:
        counts["sent"] = sent
    base = Observation(
        type="submission.accepted",
        declares=tuple(dict.fromkeys(asked.addresses)),
        documents=asked.documents,
        texts={"subject": asked.subject, "sender": asked.sender},
        numbers=counts,
        notes=() if asked.is_whole else ("request_unreadable",),
    )
    message_id = value(answer, "message_id")
    if answer.get("success") is True and is_success(arrival.status) and statuses.MESSAGE_ID.fullmatch(message_id):
        return [_accepted(base, message_id, arrival.status)]
    return [_failed(base, answer, arrival)]


def _accepted(base: Observation, message_id: str, status: int | None) -> Observation:
    sent = base.numbers.get("sent")
    is_partial = sent is not None and sent < base.numbers.get("asked", 0)
    return replace(
        base,
        references=(Reference("message_id", message_id),),
        code="" if status is None else str(status),
        identity=("send", message_id),
        content=("" if sent is None else str(sent),),
        notes=(*base.notes, "partial_send") if is_partial else base.notes,
    )


def _failed(base: Observation, answer: dict[str, Any], arrival: Arrival) -> Observation:
    """Refused, or perhaps sent: an answer that contradicts itself is unclear too."""
    said, beside = value(answer, "message"), value(answer, "message_id")
    row = error_row(said) or error_row(beside) or http_row(arrival.status)
    sent = base.numbers.get("sent", 0)
    is_unclear = row is None or row.retry == "unclear" or sent > 0 or answer.get("success") is True
    notes = {"answer_unreadable": answer.get("success") is not False, "partial_send": sent > 0}
    return replace(
        base,
        type="dispatch.unclear" if is_unclear else "submission.rejected",
        code=row.word if row else "",
        reason=row.reason if row else "",
        # Two calls may be refused in the same words: each call is one fact.
        identity=("send", hashlib.sha256(arrival.request or b"").hexdigest(), arrival.observed_at.isoformat()),
        texts={**base.texts, "error_text": said or beside, "code": "" if row else str(arrival.status or "")},
        notes=base.notes + tuple(note for note, holds in notes.items() if holds),
    )


def _request(body: bytes | None) -> Request:
    if body is None:
        return Request()
    try:
        asked = repaired(json_object(body))
    except UnreadableError:
        return Request(is_whole=False)
    addresses = [text(one).strip() for one in _listed(asked.get("recipient"))]
    documents = [_document(one) for one in _listed(asked.get("attachments"))]
    return Request(
        tuple(address(one) for one in addresses if one),
        tuple(one for one in documents if one),
        value(asked, "subject"),
        value(asked, "sender"),
        is_whole=None not in documents,
    )


def _listed(given: Any) -> list[Any]:
    """What is documented as one thing in one place and as a list of them in another."""
    return given if isinstance(given, list) else [given] if given else []


def _document(attachment: object) -> Fingerprint | None:
    """Digests of an attachment; its base64 may stand behind the head of a `data:` address."""
    if not isinstance(attachment, dict):
        return None
    file = text(attachment.get("file"))
    head, _, content = file.partition(",") if file.startswith("data:") else (";base64", "", file)
    if not head.endswith(";base64"):
        return None
    try:
        return fingerprint(value(attachment, "name"), content)
    except UnreadableError:
        return None
