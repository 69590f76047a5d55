"""Reads the answer to POST /send, together with our own request: recipients, and digests of what went out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from adapters.providers.calling import Verdict
from adapters.providers.contract import Retry, Word
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
    """What the answer to one send call says: accepted, refused, not now, or unclear.

    A call for one recipient is about that recipient: of a message's recipients each has a call and an id of its own.
    """
    asked, answer = _request(arrival.request), answer_of(arrival)
    told = judged(answer, arrival.status, len(asked.addresses))
    alone = asked.addresses[0] if len(asked.addresses) == 1 else None
    base = Observation(
        type=_TYPES[told.verdict],
        about="recipient" if alone else "message",
        recipient=alone,
        declares=asked.addresses,
        documents=asked.documents,
        texts={"subject": asked.subject, "sender": asked.sender},
        numbers={**({"asked": len(asked.addresses)} if asked.addresses else {}), **told.counts},
        notes=(*(() if asked.is_whole else ("request_unreadable",)), *told.notes),
    )
    return [_taken(base, told, arrival.status) if told.message_id else _failed(base, told, arrival)]


class Judged(NamedTuple):
    """What an answer to a send call means.

    Attributes:
        code: in the client's table of answers: `ok`, `partial`, `contradiction`, the reason of an error, or "".
        message_id: "" unless the call was taken.
        row: of the table of errors or of HTTP, if one of them fits.
        said: its words, wherever they stood.
    """

    verdict: Verdict
    code: str = ""
    message_id: str = ""
    row: Word | None = None
    said: str = ""
    counts: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()


def judged(answer: Mapping[str, Any], status: int | None, asked: int) -> Judged:
    """What an answer to a send call means.

    Taken for fewer than it was asked for: the id is good, and of everybody it is unclear whether they are among the sent.

    Args:
        asked: for how many recipients; 0 when that is not known.
    """
    counts = _counts(answer)
    sent = counts.get("sent")
    message_id = value(answer, "message_id")
    if answer.get("success") is True and is_success(status) and statuses.MESSAGE_ID.fullmatch(message_id):
        joint = ("joint_call",) if asked > 1 else ()
        if sent is not None and sent < asked:
            return Judged("unclear", "partial", message_id, None, "", counts, (*joint, "partial_send"))
        return Judged("sent", "ok", message_id, None, "", counts, joint)
    error = error_row(value(answer, "message")) or error_row(message_id)
    row, said = error or http_row(status), value(answer, "message") or message_id
    held = {"answer_unreadable": answer.get("success") is not False, "partial_send": bool(sent)}
    notes = tuple(note for note, holds in held.items() if holds)
    if sent or answer.get("success") is True:
        return Judged("unclear", "contradiction", "", row, said, counts, notes)
    verdict = VERDICTS[row.retry] if row else "unclear"
    return Judged(verdict, error.reason if error else "", "", row, said, counts, notes)


VERDICTS: dict[Retry, Verdict] = {
    "": "unclear",
    "unclear": "unclear",
    "never": "refused",
    "person": "later",
    "later": "later",
}
"""Retry class of an error -> what became of the call."""

_TYPES: dict[Verdict, str] = {
    "sent": "submission.accepted",
    "refused": "submission.rejected",
    "later": "dispatch.attempted",
    "unclear": "dispatch.unclear",
}


def _counts(answer: Mapping[str, Any]) -> dict[str, int]:
    sent = answer.get("sent")
    if not isinstance(sent, int) or isinstance(sent, bool) or not 0 <= sent < _MAX_COUNT:
        return {}
    return {"sent": sent}


def _taken(base: Observation, told: Judged, status: int | None) -> Observation:
    return replace(
        base,
        references=(Reference("message_id", told.message_id),),
        code="" if status is None else str(status),
        identity=("send", told.message_id),
        content=(str(told.counts.get("sent", "")),),
    )


def _failed(base: Observation, told: Judged, arrival: Arrival) -> Observation:
    return replace(
        base,
        code=told.row.word if told.row else "",
        reason=told.row.reason if told.row else "",
        # Two calls may be refused in the same words: each call is one fact.
        identity=("send", hashlib.sha256(arrival.request or b"").hexdigest(), arrival.observed_at.isoformat()),
        texts={**base.texts, "error_text": told.said, "code": "" if told.row else str(arrival.status or "")},
    )


def addresses(request: bytes | None) -> tuple[Address, ...]:
    """Whom a call of ours was for."""
    return _request(request).addresses


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
        tuple(dict.fromkeys(address(one) for one in addresses if one)),
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
