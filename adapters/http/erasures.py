"""Erasing a person or a message: what would go, asking for it, how far it is, and the certificate. Names stand in bodies only."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.erasing import certificates
from adapters.erasing.certificates import Certificate
from adapters.erasing.finding import Subject
from adapters.erasing.views import Erasure, Preview
from adapters.http.acts import Why
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import AddressKind, Given, Position, Text
from adapters.records import MessageId
from ledger.errors import ConfigurationError
from ledger.tenants import working_for

OFFICER = ("privacy",)
SEERS = ("privacy", "compliance")
PDF = "application/pdf"
PAGE = 100


class Whom(Given):
    """Who, or what: an address or a message.

    Attributes:
        recipient: an address, in any spelling: every message to it goes, and whatever names it.
        kind: of the address; absent: whatever it may be.
        message: id of a message, which goes with all its recipients.
    """

    recipient: Text | None = None
    kind: AddressKind | None = None
    message: MessageId | None = None

    def subject(self) -> Subject:
        return Subject(recipient=self.recipient or "", kind=self.kind or "", message=self.message or "")


class Seen(Whom):
    """What is to be seen of an erasure before it is asked for.

    Attributes:
        cursor: `next` of the page before.
    """

    cursor: Annotated[str, Meta(max_length=300)] = ""


class NewErasure(Whom, kw_only=True):
    """An erasure.

    Attributes:
        reason: sealed; of the erasure of a person it goes with the address at the end.
    """

    reason: Why


class ErasureQuery(Given):
    """Query of the list of erasures.

    Attributes:
        before: `next` of the page before.
    """

    before: Position = 0


class ErasureList(msgspec.Struct, frozen=True):
    """Erasures, the newest first; `next` continues the list, 0 at its end."""

    erasures: tuple[Erasure, ...]
    next: int


@route(
    "POST /v1/erasures/preview",
    scopes=OFFICER,
    answers={200: Preview},
    problems=(404,),
    access="erasure.preview",
    example={"recipient": "+31 6 1234 0001"},
    reads_only=True,
)
def preview_erasure(call: Call[NoQuery, Seen]) -> Answer:
    """What an erasure would do, what stays and why, and what forbids it. Nothing is changed."""
    with working_for(""):  # it searches what no other request may look through
        found = call.services.eraser.preview(call.tenant, call.body.subject(), call.body.cursor, PAGE)
    return Answer(found)


@route(
    "POST /v1/erasures",
    scopes=OFFICER,
    answers={201: Erasure, 202: Erasure},
    problems=(404, 409),
    example={"recipient": "+31 6 1234 0001", "reason": "request of 2026-03-02"},
)
def ask_erasure(call: Call[NoQuery, NewErasure]) -> Answer:
    """Erase. 201: it is done. 202: it waits for a second person, or is carried out in the background. 409: a hold forbids it, and which."""
    eraser, subject = call.services.eraser, call.body.subject()
    with working_for(""):  # what is erased was checked to be this organisation's
        found = eraser.ask(call.tenant, subject, call.body.reason, call.actor)
        if found.state == "ready" and eraser.is_short(call.tenant, subject):
            try:
                found = eraser.carry_out(call.tenant, found.erasure)
            except ConfigurationError:  # said in the log; destroyed by whoever may
                found = eraser.get(call.tenant, found.erasure)
    return Answer(found, 201 if found.state == "done" else 202, {"Location": f"/v1/erasures/{found.erasure}"})


@route("GET /v1/erasures", scopes=SEERS, answers={200: ErasureList})
def list_erasures(call: Call[ErasureQuery, None]) -> Answer:
    """The erasures that were asked for; they name no one."""
    found, before = call.services.eraser.newest(call.tenant, call.query.before)
    return Answer(ErasureList(tuple(found), before))


@route("GET /v1/erasures/{erasure}", scopes=SEERS, answers={200: Erasure})
def show_erasure(call: Call[NoQuery, None]) -> Answer:
    """How far an erasure is."""
    return Answer(call.services.eraser.get(call.tenant, call.path["erasure"]))


@route("GET /v1/erasures/{erasure}/certificate", scopes=SEERS, answers={200: Certificate}, problems=(409,))
def erasure_certificate(call: Call[NoQuery, None]) -> Answer:
    """What was erased, what remains and why, and where the log says so; the same whenever it is asked for."""
    return Answer(_certificate(call))


@route("GET /v1/erasures/{erasure}/certificate.pdf", scopes=SEERS, answers={200: {PDF: bytes}}, problems=(409,))
def erasure_certificate_pdf(call: Call[NoQuery, None]) -> Answer:
    """The same as PDF/A, with the operator's seal."""
    found = _certificate(call)
    name = f"erasure-{found.erasure}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(call.services.seal(certificates.pdf(found)), headers=headers, media_type=PDF)


def _certificate(call: Call[Any, Any]) -> Certificate:
    with working_for(""):  # the read models are brought up to the event that says that it was done
        return certificates.certificate(call.services.eraser, call.tenant, call.path["erasure"])
