"""Registering a send, as the organisation itself declares it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from adapters import sending
from adapters.http.guards import open_account, require_message
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import NewDispatch, NewDocument, NewMessage, NewReference, Registered
from adapters.providers.calling import Document, Submission
from adapters.records import utc
from adapters.strictjson import refuse
from ledger.events import time_text
from ledger.observations import Address, ArrivalKind, Fingerprint, Reference, ZoneBasis
from ledger.streams import Registration

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_KEY_CHARS = 255


@route(
    "POST /v1/messages",
    scopes=("ingest",),
    answers={201: Registered, 200: Registered},
    problems=(404, 409),
    example={
        "account": "sms-1",
        "recipients": [{"kind": "phone", "address": "0612345678"}],
        "references": [{"kind": "own_reference", "value": "claim-2026-0042/3"}],
        "labels": ["claim-2026-0042"],
        "subject": "Your claim",
        "occurred_at": "2026-03-01T09:00:00+01:00",
    },
    headers={
        IDEMPOTENCY_KEY: "your own name of this request, at most 255 printable ASCII characters: sent again with the same body it is "
        "answered as the first time (200), with another body it is refused (422)"
    },
)
def register(call: Call[NoQuery, NewMessage]) -> Answer:
    """Register a send: who is to get what through which account; receipts that came before it join it.

    With `dispatch` it is also sent: the request is durable before the provider is called, and GET /v1/messages/{message}/dispatch tells
    how far it is. Without it somebody else sends; then the documents themselves are never handed in here, only their digests.
    """
    services, new = call.services, call.body
    account = open_account(services, call.tenant, new.account)
    for link in new.links:
        require_message(services, call.tenant, link.message)
    registration = Registration(
        account=account.account,
        provider=account.provider,
        recipients=_recipients(new),
        protected=tuple(Address(each.kind, each.address) for each in new.recipients if each.protected),
        references=tuple(map(_reference, new.references)),
        batch=Reference(new.batch.kind, new.batch.value, exclusive=False) if new.batch else None,
        labels=new.labels,
        texts={name: text for name, text in (("subject", new.subject), ("sender", new.sender)) if text},
        documents=tuple(map(_fingerprint, new.documents)),
        follows=tuple((link.relation, link.message) for link in new.links),
    )
    if new.dispatch is None:
        done = services.intake.register(call.tenant, registration, _clear(call), _idempotency(call))
    else:
        submission = _submission(new, new.dispatch, services.ledger.clock())
        done = sending.dispatch(
            services.intake,
            services.accounts,
            call.tenant,
            registration,
            submission,
            clear=_clear(call),
            idempotency=_idempotency(call),
        )
        services.outbox.wake()
    position = done.position if done.is_new else services.ledger.head().size
    headers = {"Location": f"/v1/messages/{done.message}", "Ledger-Position": str(position)}
    return Answer(Registered(done.message), 201 if done.is_new else 200, headers)


def _recipients(new: NewMessage) -> tuple[Address, ...]:
    return tuple(Address(given.kind, given.address) for given in new.recipients)


def _submission(new: NewMessage, said: NewDispatch, now: datetime) -> Submission:
    if new.documents or new.occurred_at is not None:
        refuse("documents" if new.documents else "occurred_at", "leave it out: what `dispatch` sends is known here")
    return Submission(
        message="",
        recipients=_recipients(new),
        sender=new.sender,
        subject=new.subject,
        text=said.text,
        text_type=said.text_type,
        documents=tuple(Document(d.name, d.media_type, d.data) for d in said.documents),
        options=said.options,
        requested_at=now,
    )


def _fingerprint(new: NewDocument) -> Fingerprint:
    size = -1 if new.size is None else new.size
    return Fingerprint(new.name, new.sha256, new.sha1 or "", new.sha256_base64 or "", new.sha1_base64 or "", size)


def _clear(call: Call[NoQuery, NewMessage]) -> dict[str, Any]:
    clear = {"arrival": str(ArrivalKind.API), "actor": call.actor}
    if call.body.occurred_at is None:
        return clear
    occurred_at = time_text(utc("occurred_at", call.body.occurred_at))
    return {**clear, "occurred_at": occurred_at, "zone": str(ZoneBasis.STATED)}


def _reference(new: NewReference) -> Reference:
    """Own names are shared unless the caller says otherwise; a provider's id names one message."""
    is_own = new.kind.startswith("own_")
    return Reference(new.kind, new.value, exclusive=not is_own if new.exclusive is None else new.exclusive)


def _idempotency(call: Call[NoQuery, NewMessage]) -> tuple[str, str]:
    """The caller's key and the digest of what was said, white space and the order of fields apart."""
    key = call.headers.get(IDEMPOTENCY_KEY.lower(), "")
    if key and not (len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        refuse(IDEMPOTENCY_KEY, f"at most {MAX_KEY_CHARS} printable ASCII characters")
    return key, hashlib.sha256(msgspec.json.encode(call.body)).hexdigest()
