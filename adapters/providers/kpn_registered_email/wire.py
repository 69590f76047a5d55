"""Reads what KPN Registered E-mail gives: answers to our calls, and the status document `biljet` of a ticket.

The rows of a biljet are a history that only grows; each row is one observation, whichever poll or upload brought it. The provider's
e-mails are read in `mails.py`; how anything is fetched is not here.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

from adapters.providers.contract import Word
from adapters.providers.kpn_platform import (
    Product,
    Request,
    bounded,
    filled,
    fingerprints,
    read_send,
    sunset,
    time_said,
)
from adapters.providers.kpn_registered_email import mails, persons
from adapters.providers.kpn_registered_email.statuses import ACCEPTED, ATTACHMENT, SIGN_FIRST, STATUS, description
from adapters.providers.reading import json_object, text, time_iso, xml_root
from ledger.observations import Address, Arrival, Fingerprint, Observation, Reference, UnreadableError, ZoneBasis

SECRET_BODIES = frozenset({"send", "biljet", mails.OPERATION, persons.OPERATION})
"""They carry the ticket token, which opens the ticket's page to its holder; the answer to send has the URL too."""

NOTES = (
    {
        "attachments_accepted": "read from the attachments: the recipient accepted every one of them, and no row says so yet",
        "hash_unreadable": "the hash of an attachment is not the base64 form of 32 bytes",
        "no_ticket_token": "the answer names no ticket, so nobody knows whether the message was taken",
        "signature_required": "the recipient must sign digitally: until then, taking the mail is a step and not the end",
        "user_created": "a sender was created at the provider, who has yet to activate the account by e-mail",
    }
    | mails.NOTES
    | persons.NOTES
)

_STATUS = {row.word: row for row in STATUS}
_ATTACHMENT = {row.word: row for row in ATTACHMENT}
_SHA256_BYTES = 32


def _send_request(body: dict[str, Any]) -> Request:
    listed = body.get("attachments")
    attachments = [a for a in listed if isinstance(a, dict)] if isinstance(listed, list) else []
    documents, notes = fingerprints((text(a.get("attachment_name")), text(a.get("attachment"))) for a in attachments)
    said = {name: text(value).strip() for name, value in body.items()}
    own = {"own_id": said.get("x-own-id", ""), "own_guid": said.get("x-own-guid", "")}
    campaign, recipient = said.get("x-own-campaign", ""), said.get("recipient_email", "")
    return Request(
        references=tuple(Reference(kind, value, exclusive=False) for kind, value in own.items() if value),
        batch=Reference("own_campaign", campaign, exclusive=False) if campaign else None,
        declares=(Address("email", recipient),) if recipient else (),
        documents=documents,
        texts={
            "subject": said.get("subject", ""),
            "sender": said.get("sender_email", ""),
            "sender_name": said.get("sender_real_name", ""),
        },
        notes=notes,
    )


PRODUCT = Product(
    id_kind="ticket_token",
    read_id=lambda body: text(body.get("ticket_token")).strip(),
    read_request=_send_request,
    without_id=("dispatch.unclear", "no_ticket_token"),
    ok_field="message",
    texts=("ticket_url",),
)


def _send(arrival: Arrival) -> tuple[Observation, ...]:
    return read_send(arrival, PRODUCT)


def _user(arrival: Arrival) -> tuple[Observation, ...]:
    """The id of a sender who was created, beside the address that was asked for; whatever else was answered is for a person."""
    said = json_object(arrival.body)
    number = text(said.get("id")).strip()
    if arrival.status not in (None, 200, 201) or not number:
        msg = f"HTTP {arrival.status} instead of a user"
        raise UnreadableError(msg)
    asked = json_object(arrival.request) if arrival.request else {}
    told = filled({"user_id": number, "address": text(asked.get("email_address"))})
    created = Observation(
        type="account.setting_changed",
        about="account",
        identity=("user", number),
        texts=told,
        notes=("user_created",),
    )
    return (created, *sunset(arrival))


def _hashed(attachment: Element) -> Fingerprint | None:
    """KPN calls the hash a fingerprint of the file as submitted; its 32 bytes are taken as SHA-256."""
    try:
        digest = b64decode(attachment.get("hash", "").strip().encode("ascii"), validate=True)
    except (Base64Error, ValueError):
        return None
    name = attachment.get("bijlage", "")
    return Fingerprint(name, digest.hex()) if len(digest) == _SHA256_BYTES else None


def _ticket(ticket: Element, attachments: list[Element]) -> tuple[str, Observation]:
    """Name of the ticket in identities, and what all its observations share."""
    token, recipient = ticket.get("id", "").strip(), ticket.get("ontvanger", "").strip()
    sender, subject = ticket.get("afzender", ""), ticket.get("onderwerp", "")
    prints = [_hashed(attachment) for attachment in attachments]
    notes = {
        "hash_unreadable": None in prints,
        "signature_required": ticket.get("handtekening_nodig", "").strip() == "1",
    }
    address = Address("email", recipient) if recipient else None
    shared = Observation(
        type="channel.unmapped",
        references=(Reference("ticket_token", token),) if token else (),
        about="recipient",
        recipient=address,
        declares=(address,) if address else (),
        texts=filled({"subject": subject, "sender": sender, "customer_id": ticket.get("customer_id", "")}),
        numbers={"attachments": len(attachments)},
        notes=tuple(note for note, holds in notes.items() if holds),
        documents=tuple(found for found in prints if found),
    )
    return token or f"{sender} {recipient} {subject}", shared


def _kind(word: Word | None, notes: tuple[str, ...]) -> str:
    """Our type of a word; who must sign has not accepted before that."""
    if word is None:
        return "channel.unmapped"
    return SIGN_FIRST if word.type == ACCEPTED and "signature_required" in notes else word.type


def _status(row: Element, name: str, shared: Observation) -> Observation:
    code, words = row.get("statuscode", "").strip(), row.get("statusomschrijving", "").strip()
    detail, time = row.get("statusdetail", "").strip(), row.get("statusdatumtijd", "")
    word = _STATUS.get(code) or description(words)
    occurred = time_iso(time, ZoneBasis.DOCUMENTED)
    time_text, time_notes = time_said(time, occurred)
    unknown = "" if word and word.word == code else code
    return replace(
        shared,
        type=_kind(word, shared.notes),
        occurred=occurred,
        code=word.word if word else "",
        # The description follows the language that was asked for, so it identifies only where there is no code.
        # A row never changes: the row is the object, and its state is that it stands there.
        identity=("biljet", name, "status", code or words, detail, time.strip(), "stated"),
        texts=filled({**shared.texts, "code": unknown, "text": words, "detail": detail, **time_text}),
        notes=shared.notes + time_notes,
    )


def _accepted(attachment: Element, name: str, shared: Observation) -> Iterator[Observation]:
    said = attachment.get("geaccepteerd", "").strip()
    word = _ATTACHMENT.get(said)
    if not said or (word and not word.type):
        return
    file_name, digest = attachment.get("bijlage", ""), attachment.get("hash", "").strip()
    found = _hashed(attachment)
    yield replace(
        shared,
        type=word.type if word else "channel.unmapped",
        code=word.word if word else "",
        # Without times, the states of one object follow each other: each attachment is an object.
        identity=("biljet", name, f"attachment {file_name} {digest}", said),
        texts=filled({**shared.texts, "code": "" if word else said, "file_name": file_name}),
        documents=(found,) if found else (),
    )


def _rows(ticket: Element) -> Iterator[Observation]:
    attachments = list(ticket.iter("bijlage"))
    name, shared = _ticket(ticket, attachments)
    rows = [_status(row, name, shared) for row in ticket.iter("status")]
    yield from rows
    for attachment in attachments:
        yield from _accepted(attachment, name, shared)
    said = {attachment.get("geaccepteerd", "").strip() for attachment in attachments}
    if said == {"1"} and not {"signature_required"} & set(shared.notes) and ACCEPTED not in {row.type for row in rows}:
        yield replace(
            shared,
            type=ACCEPTED,
            identity=("biljet", name, "attachments", "accepted"),
            notes=(*shared.notes, "attachments_accepted"),
        )


def _biljet(arrival: Arrival) -> tuple[Observation, ...]:
    if arrival.status not in (None, 200):
        msg = f"HTTP {arrival.status} instead of a biljet"
        raise UnreadableError(msg)
    root = xml_root(arrival.body)
    if root.tag not in ("biljetten", "biljet"):
        msg = "the root element is neither biljetten nor biljet"
        raise UnreadableError(msg)
    bounded(list(root.iter()))
    tickets = [root] if root.tag == "biljet" else root.findall("biljet")
    return tuple(seen for ticket in tickets for seen in _rows(ticket))


_READERS: Mapping[str, Callable[[Arrival], tuple[Observation, ...]]] = {
    "send": _send,
    "user_create": _user,
    "biljet": _biljet,
    mails.OPERATION: mails.parse,
    persons.OPERATION: persons.parse,
}


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What the provider says in this arrival.

    Raises:
        UnreadableError: the bytes are not what this operation gives, or the operation is not one that is read.
    """
    reader = _READERS.get(arrival.operation)
    if reader is None:
        msg = f"{arrival.operation} is not read"
        raise UnreadableError(msg)
    return reader(arrival)


def recognise(file_name: str, body: bytes) -> str:  # noqa: ARG001 (none of them has a usual file name)
    """The operation that gives such a body, or ""."""
    try:
        if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            return "biljet" if xml_root(body).tag in ("biljetten", "biljet") else ""
        if mails.is_one(body):
            return mails.OPERATION
        return "send" if "ticket_token" in json_object(body) else ""
    except UnreadableError:
        return ""
