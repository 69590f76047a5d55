"""What is to be sent, between the caller who asks for it and the provider's client: its payload, its fingerprints, its checks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from adapters.accounts import Accounts
from adapters.providers import registry
from adapters.providers.calling import Access, Client, Document, Submission
from adapters.providers.contract import Provider
from ledger import regions
from ledger.errors import ConfigurationError, LedgerError
from ledger.intake import Intake, Registered
from ledger.observations import Address, Fingerprint
from ledger.streams import Registration


class NotSendableError(LedgerError):
    """This cannot be sent through this account; the text says why, and nothing was written."""


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """A submission as the outbox keeps it, sealed.

    Attributes:
        recipients: (kind, value) or (kind, value, region) in the order of their index.
        documents: (name, media type, bytes).
        options: of the provider's client, as JSON values.
    """

    recipients: tuple[tuple[str, ...], ...]
    sender: str
    subject: str
    text: str
    text_type: str
    documents: tuple[tuple[str, str, bytes], ...]
    options: dict[str, Any]


def fingerprint(document: Document, channel: str) -> Fingerprint:
    """The digests of a document as it goes out.

    In e-mail its base64 form has lines of 76 characters (RFC 2045 section 6.8), in the JSON of the other services it has none. A brief
    receipt quotes the SHA-1 of one of the forms (RFC 6109 section 3.3.2.2), and providers differ in the line breaks they count.
    """
    in_mail = channel == "certified_email"
    text = base64.encodebytes(document.data).replace(b"\n", b"\r\n") if in_mail else base64.b64encode(document.data)
    return Fingerprint(
        document.name,
        sha256=hashlib.sha256(document.data).hexdigest(),
        sha1=_sha1(document.data),
        sha256_base64=hashlib.sha256(text).hexdigest(),
        sha1_base64=_sha1(text),
        size=len(document.data),
        sha1_forms=tuple(map(_sha1, _other_forms(text))) if in_mail else (),
    )


def _other_forms(text: bytes) -> tuple[bytes, ...]:
    """The base64 text without its last line end, with bare line feeds, both, and without any line break."""
    bare = text.replace(b"\r\n", b"\n")
    return text.removesuffix(b"\r\n"), bare, bare.removesuffix(b"\n"), bare.replace(b"\n", b"")


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def encode(submission: Submission) -> bytes:
    """The payload of a submission; `options` as the caller gave them."""
    return msgspec.msgpack.encode(
        Payload(
            tuple(tuple(a) if a.region else (a.kind, a.value) for a in submission.recipients),
            submission.sender,
            submission.subject,
            submission.text,
            submission.text_type,
            tuple((d.name, d.media_type, d.data) for d in submission.documents),
            submission.options,
        )
    )


def decode(payload: bytes, client: Client, message: str, requested_at: datetime) -> Submission:
    """The submission that a payload holds, as the provider's client takes it.

    Raises:
        NotSendableError: the client no longer takes the options.
    """
    said = msgspec.msgpack.decode(payload, type=Payload)
    return Submission(
        message=message,
        recipients=tuple(Address(*each) for each in said.recipients),
        sender=said.sender,
        subject=said.subject,
        text=said.text,
        text_type=said.text_type,
        documents=tuple(Document(*each) for each in said.documents),
        options=options(client, said.options),
        requested_at=requested_at,
    )


def options(client: Client, given: dict[str, Any]) -> Any:
    """The options as the client's own type.

    Raises:
        NotSendableError: names the option that does not fit.
    """
    try:
        return msgspec.convert(given, client.options)
    except msgspec.ValidationError as error:
        msg = f"dispatch.options: {error}; there are {', '.join(client.options.__struct_fields__) or 'none'}"
        raise NotSendableError(msg) from error


def sender_of(provider: Provider) -> Client:
    """The client of a provider through which something can be sent.

    Raises:
        NotSendableError: there is none.
    """
    if provider.client is None or not provider.client.can_send():
        msg = f"nothing is sent through {provider.title} from here; leave `dispatch` out to register what you send yourself"
        raise NotSendableError(msg)
    return provider.client


def dispatch(
    intake: Intake,
    accounts: Accounts,
    tenant: str,
    registration: Registration,
    submission: Submission,
    *,
    clear: Mapping[str, Any],
    idempotency: tuple[str, str] = ("", ""),
) -> Registered:
    """Have a registered send sent from here: checked, then durable with its payload; the outbox does the rest.

    Of two spellings of one recipient the first is sent to; national numbers are those of the account's region.

    Args:
        registration: without documents; their digests are taken from the submission, as they will go out.
        submission: without message and time; `options` as the caller gave them.
        clear, idempotency: see `Intake.register`.

    Raises:
        NotSendableError: the provider or the account cannot send this; the text says why, and nothing was written.
        ConfigurationError: the account's settings or credentials are not complete; the text says how to repair it.
    """
    provider = registry()[registration.provider]
    client = sender_of(provider)
    access = accounts.access(tenant, registration.account, submission.requested_at)
    check_secrets(client, access, registration.account)
    whose = (tenant, registration.account, registration.provider)
    recipients = regions.placed(intake.ledger, *whose, registration.recipients)
    submission = replace(submission, recipients=recipients)
    read = replace(submission, options=options(client, submission.options))
    why = client.check(read, access)
    if why:
        raise NotSendableError(why)
    protected = recipients if client.protects(read) else registration.protected
    documents = tuple(fingerprint(document, provider.channel) for document in submission.documents)
    whole = replace(registration, documents=documents, recipients=recipients, protected=protected)
    return intake.register(tenant, whole, clear, idempotency, encode(submission))


def check_secrets(client: Client, access: Access, account: str) -> None:
    """Refuse an account without its credentials.

    Raises:
        ConfigurationError: names them and the command that sets them.
    """
    missing = client.missing(access.settings, access.secrets)
    if missing:
        given = " ".join(f"--secret {name}=@FILE" for name in missing)
        msg = f"account {account!r} lacks credentials: {', '.join(missing)}; delivery-ledger accounts configure {account} {given}"
        raise ConfigurationError(msg)
