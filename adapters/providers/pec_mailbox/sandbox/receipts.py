"""Certified e-mails as bytes: every kind of RFC 6109 section 3, the anomaly envelope, and ordinary bounces (RFC 3464).

`FORMS` holds what the kinds do not share. Leaves out: when which of them is issued (provider.py, behaviour.py), and the fields
`Received` and `Return-Path`, which envelopes inherit.
Assumption: the sentences are in the Italian that published receipts of real providers share; the RFC gives them in
English only.
"""

from __future__ import annotations

import base64
import quopri
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from random import Random
from typing import NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from adapters.providers.pec_mailbox.sandbox import authority, signing
from adapters.providers.pec_mailbox.sandbox.original import HashForm, Original, ReceiptType, brief, read

ROME = ZoneInfo("Europe/Rome")
"""RFC 6109 section 4.2: legal time."""

PROVIDER_NAME = "Fornitore di prova S.p.A."
SERVICE_MAILBOX = f"ricevute@{authority.DOMAIN}"
"""Where providers send each other what users never see (mailReceipt in RFC 6109 section 4.5.4)."""


class Form(NamedTuple):
    """What sets one kind of certified message apart.

    Attributes:
        kind: `tipo` in the certification data and value of the header field.
        prefix: of the subject.
        opening: of the sentence, before the quoted subject.
        addressed: what stands before the recipients; with a colon behind it all are listed, else one is quoted.
        outcome: the end of the sentence; `{error}` is the error's text.
        is_virus: X-VerificaSicurezza is set.
    """

    kind: str
    prefix: str
    title: str
    opening: str
    addressed: str
    outcome: str
    is_virus: bool = False


_SINGLE = "ed indirizzato a"
_ALL = "ed indirizzato a:"
_USER = "e destinato all'utente"
FORMS = {
    "accepted": Form("accettazione", "ACCETTAZIONE", "Ricevuta di accettazione", "il messaggio", _ALL,
                     "è stato accettato dal sistema ed inoltrato."),
    "not_accepted": Form("non-accettazione", "AVVISO DI NON ACCETTAZIONE", "Errore nell'accettazione del messaggio",
                         "nel messaggio", _ALL, "è stato rilevato un problema che ne impedisce l'accettazione: {error}\n"
                         "Il messaggio non è stato accettato."),
    "not_accepted_virus": Form("non-accettazione", "AVVISO DI NON ACCETTAZIONE PER VIRUS",
                               "Errore nell'accettazione del messaggio per presenza di virus", "nel messaggio", _ALL,
                               "è stato rilevato un problema di sicurezza: {error}\n"
                               "Il messaggio non è stato accettato.", is_virus=True),
    "taken": Form("presa-in-carico", "PRESA IN CARICO", "Ricevuta di presa in carico", "il messaggio", _ALL,
                  "è stato accettato dal sistema."),
    "delivered": Form("avvenuta-consegna", "CONSEGNA", "Ricevuta di avvenuta consegna", "il messaggio", _SINGLE,
                      "è stato consegnato nella casella di destinazione."),
    "failed": Form("errore-consegna", "AVVISO DI MANCATA CONSEGNA", "Avviso di mancata consegna", "nel messaggio", _USER,
                   "è stato rilevato un errore: {error}\nIl messaggio è stato rifiutato dal sistema."),
    "failed_virus": Form("errore-consegna", "AVVISO DI MANCATA CONSEGNA PER VIRUS",
                         "Avviso di mancata consegna per virus", "nel messaggio", _USER,
                         "è stato rilevato un problema di sicurezza: {error}\n"
                         "Il messaggio non è stato consegnato.", is_virus=True),
    "warned": Form("preavviso-errore-consegna", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO",
                   "Avviso di mancata consegna", "il messaggio", _USER,
                   "non è stato consegnato nelle prime dodici ore dal suo invio. Non escludendo che questo possa "
                   "avvenire in seguito, si ritiene utile considerare che l'invio potrebbe non andare a buon fine."),
    "expired": Form("preavviso-errore-consegna", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO",
                    "Avviso di mancata consegna", "il messaggio", _USER,
                    "non è stato consegnato nelle ventiquattro ore successive al suo invio. Si ritiene che la "
                    "spedizione debba considerarsi non andata a buon fine."),
    "virus_found": Form("rilevazione-virus", "PROBLEMA DI SICUREZZA", "Rilevazione di virus", "nel messaggio", _USER,
                        "è stato rilevato un problema di sicurezza: {error}", is_virus=True),
    "envelope": Form("posta-certificata", "POSTA CERTIFICATA", "Messaggio di posta certificata", "il messaggio", _ALL,
                     "è stato inviato. Il messaggio originale è incluso in allegato."),
}  # fmt: skip


class Recipient(NamedTuple):
    """One of a message's recipients; `kind` is `certificato` or `esterno`."""

    address: str
    kind: str


@dataclass(frozen=True)
class Sending:
    """A message that was handed in.

    Attributes:
        identifier: the provider's own id of it, without angle brackets.
        at: when it was handed in.
    """

    original: Original
    sender: str
    recipients: tuple[Recipient, ...]
    identifier: str
    at: datetime

    def receipt_type(self, recipient: str) -> ReceiptType:
        """RFC 6109 section 3.3.2: who is in Cc only gets the concise kind."""
        is_copy = recipient.casefold() in self.original.cc and recipient.casefold() not in self.original.to
        return "sintetica" if is_copy else self.original.wanted


def same_bytes(given: bytes) -> bytes:
    return given


def same_name(given: str) -> str:
    return given


@dataclass(frozen=True)
class Style:
    """How a provider writes, and what goes wrong on the way.

    Attributes:
        signer: one of authority.SIGNERS; "" = not signed at all.
        header: what is done to the names of header fields.
        certification: what is done to daticert.xml before it is signed.
        transit: what is done to the e-mail after it was signed.
        daticert: file name of the certification data; "" = left out.
        with_html: the text comes in two versions.
    """

    signer: str = "provider"
    digest: signing.Digest = "sha256"
    hash_form: HashForm = "base64"
    header: Callable[[str], str] = same_name
    certification: Callable[[bytes], bytes] = same_bytes
    transit: Callable[[bytes], bytes] = same_bytes
    daticert: str = "daticert.xml"
    with_html: bool = False


@dataclass(frozen=True)
class Receipt:
    """One certified message to be written.

    Attributes:
        form: key in FORMS.
        at: when what it says happened.
        recipient: whom it is about, or "".
        received: for `taken`: whom the receiving provider took it for.
        error: `errore` in the certification data.
    """

    form: str
    at: datetime
    recipient: str = ""
    received: tuple[str, ...] = ()
    error: str = "nessuno"
    error_text: str = ""
    style: Style = field(default_factory=Style)


def write(sending: Sending, receipt: Receipt, draw: Random) -> bytes:
    """The e-mail."""
    form, style = FORMS[receipt.form], receipt.style
    is_envelope = receipt.form == "envelope"
    parts = [_text(_sentence(sending, receipt), form.title, draw, with_html=style.with_html)]
    if style.daticert:
        parts.append(_xml_part(style.certification(certification(sending, receipt)), style.daticert))
    original = _original(sending, receipt)
    parts += [_original_part(original)] if original is not None else []
    fields = {
        "X-Trasporto" if is_envelope else "X-Ricevuta": form.kind,
        **({"X-VerificaSicurezza": "errore"} if form.is_virus else {}),
        **({"X-Mittente": sending.sender} if receipt.form == "virus_found" else {}),
        **({"X-TipoRicevuta": sending.original.wanted} if is_envelope else {}),
        "Date": format_datetime(receipt.at.astimezone(ROME)),
        "Subject": f"{form.prefix}: {sending.original.subject}",
        "From": _from(sending.sender) if is_envelope else authority.MAILBOX,
        **({"Reply-To": sending.original.reply_to or sending.sender} if is_envelope else {}),
        "To": _to(sending, receipt),
        **({"Cc": ", ".join(sending.original.cc)} if is_envelope and sending.original.cc else {}),
        "Message-ID": f"<{sending.identifier if is_envelope else new_id(receipt.at, draw)}>",
        **({"X-Riferimento-Message-ID": sending.original.msgid} if sending.original.msgid else {}),
        "MIME-Version": "1.0",
    }
    entity = _multipart("mixed", parts, draw)
    return style.transit(_head(fields, style.header) + _wrapped(entity, receipt.at, style, draw))


def anomaly(mail: bytes, to: str, why: str, at: datetime, draw: Random) -> bytes:
    """An ordinary e-mail in the envelope that says so; it has no certification data (RFC 6109 section 3.2.2)."""
    told = read(mail)
    day, hour, zone = _moment(at)
    said = (
        f'Il giorno {day} alle ore {hour} ({zone}) è stato ricevuto il messaggio\n"{told.subject}" proveniente da\n'
        f'"{told.sender}" ed indirizzato a:\n{to}\nTali dati non sono stati certificati per il seguente errore:\n{why}\n'
        "Il messaggio originale è incluso in allegato."
    )
    fields = {
        "X-Trasporto": "errore",
        "Date": format_datetime(at.astimezone(ROME)),
        "Subject": f"ANOMALIA MESSAGGIO: {told.subject}",
        "From": _from(told.sender),
        "Reply-To": told.reply_to or told.sender,
        "To": to,
        "Message-ID": told.msgid or f"<{new_id(at, draw)}>",
        "MIME-Version": "1.0",
    }
    parts = [_text(said, "Anomalia messaggio", draw, with_html=False), _original_part(mail)]
    return _head(fields, same_name) + _wrapped(_multipart("mixed", parts, draw), at, Style(), draw)


def bounce(sending: Sending, receipt: Receipt, draw: Random) -> bytes:
    """The delivery status notification of an ordinary mail server; `error` is the status of RFC 3463."""
    at, recipient, status, why = receipt.at, receipt.recipient, receipt.error, receipt.error_text
    own_id = new_id(at, draw)
    fields = {
        "Date": format_datetime(at.astimezone(ROME)),
        "From": f"Mail Delivery System <MAILER-DAEMON@{authority.DOMAIN}>",
        "To": sending.sender,
        "Subject": "Undelivered Mail Returned to Sender",
        "Auto-Submitted": "auto-replied",
        "Message-ID": f"<{own_id}>",
        "MIME-Version": "1.0",
    }
    report = (
        f"Reporting-MTA: dns; mail.{authority.DOMAIN}\r\n"
        f"Arrival-Date: {format_datetime(sending.at.astimezone(ROME))}\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; 550 {status} {why}\r\n"
    )
    header = sending.original.identified(sending.identifier).partition(b"\r\n\r\n")[0] + b"\r\n"
    parts = [
        _entity("text/plain; charset=us-ascii", f"I could not deliver your message to {recipient}:\n{why}\n".encode()),
        _entity("message/delivery-status", report.encode()),
        _entity("text/rfc822-headers", header),
    ]
    return _head(fields, same_name) + _multipart("report; report-type=delivery-status", parts, draw)


def certification(sending: Sending, receipt: Receipt) -> bytes:
    """daticert.xml by the DTD of RFC 6109 section 4.4."""
    form, (day, hour, zone) = FORMS[receipt.form], _moment(receipt.at)
    typed = {"envelope": sending.original.wanted, "delivered": sending.receipt_type(receipt.recipient)}
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<postacert tipo="{form.kind}" errore="{receipt.error}">',
        "<intestazione>",
        _element("mittente", sending.sender),
        *(f'<destinatari tipo="{one.kind}">{escape(one.address)}</destinatari>' for one in sending.recipients),
        _element("risposte", sending.original.reply_to or sending.sender),
        *([_element("oggetto", sending.original.subject)] if sending.original.subject else []),
        "</intestazione>",
        "<dati>",
        _element("gestore-emittente", PROVIDER_NAME),
        f'<data zona="{zone}"><giorno>{day}</giorno><ora>{hour}</ora></data>',
        _element("identificativo", sending.identifier),
        *([_element("msgid", sending.original.msgid)] if sending.original.msgid else []),
        *([f'<ricevuta tipo="{typed[receipt.form]}"/>'] if receipt.form in typed else []),
        *([_element("consegna", receipt.recipient)] if receipt.recipient else []),
        *(_element("ricezione", one) for one in receipt.received),
        *([_element("errore-esteso", receipt.error_text)] if receipt.error_text else []),
        "</dati>",
        "</postacert>",
    ]
    return "\r\n".join(lines).encode() + b"\r\n"


def new_id(at: datetime, draw: Random) -> str:
    """`[alphanumeric string]@[provider mail domain]` (RFC 6109 section 2.2.1)."""
    return f"prova.{at.astimezone(ROME):%Y%m%d%H%M%S}.{draw.randrange(10**6):06}.{draw.randrange(10**4)}@{authority.DOMAIN}"


def _moment(at: datetime) -> tuple[str, str, str]:
    local = at.astimezone(ROME)
    return f"{local:%d/%m/%Y}", f"{local:%H:%M:%S}", f"{local:%z}"


def _sentence(sending: Sending, receipt: Receipt) -> str:
    form, (day, hour, zone) = FORMS[receipt.form], _moment(receipt.at)
    means = {"certificato": "posta certificata", "esterno": "posta ordinaria"}
    listed = "".join(f'\n{one.address} ("{means[one.kind]}")' for one in sending.recipients)
    return (
        f'Il giorno {day} alle ore {hour} ({zone}) {form.opening}\n"{sending.original.subject}" proveniente da '
        f'"{sending.sender}"\n{form.addressed}'
        + (listed if form.addressed == _ALL else f' "{receipt.recipient}"')
        + "\n"
        f"{form.outcome.format(error=receipt.error_text)}\nIdentificativo messaggio: {sending.identifier}"
    )


def _original(sending: Sending, receipt: Receipt) -> bytes | None:
    if receipt.form not in {"envelope", "delivered"}:
        return None
    kind = "completa" if receipt.form == "envelope" else sending.receipt_type(receipt.recipient)
    if kind == "sintetica":
        return None
    identified = sending.original.identified(sending.identifier)
    return brief(identified, receipt.style.hash_form) if kind == "breve" else identified


def _to(sending: Sending, receipt: Receipt) -> str:
    if receipt.form == "envelope":
        return ", ".join(sending.original.to)
    return SERVICE_MAILBOX if receipt.form in {"taken", "virus_found"} else sending.sender


def _from(author: str) -> str:
    return f'"Per conto di: {author}" <{authority.MAILBOX}>'


def _head(fields: dict[str, str], rename: Callable[[str], str]) -> bytes:
    lines = (f"{rename(name)}: {_folded(name, value)}\r\n" for name, value in fields.items())
    return "".join(lines).encode("utf-8")


def _folded(name: str, value: str) -> str:
    if name != "Subject":
        return value
    prefix, _, subject = value.partition(": ")
    written = Header(f"{prefix}:", "us-ascii", header_name=name, maxlinelen=76)
    written.append(subject, "us-ascii" if subject.isascii() else "utf-8")
    return written.encode(linesep="\r\n")


def _wrapped(entity: bytes, at: datetime, style: Style, draw: Random) -> bytes:
    if not style.signer:
        return entity
    signer = authority.signer(style.signer)
    return signing.multipart_signed(entity, signer, at, digest=style.digest, boundary=_boundary(draw))


def _boundary(draw: Random) -> str:
    return f"----{draw.getrandbits(128):032X}"


def _multipart(kind: str, parts: list[bytes], draw: Random) -> bytes:
    mark = _boundary(draw)
    held = b"".join(f"--{mark}\r\n".encode() + part + b"\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{mark}"\r\n\r\n'.encode() + held + f"--{mark}--\r\n".encode()


def _entity(kind: str, body: bytes, *fields: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"Content-Type: {kind}", *fields)).encode() + b"\r\n" + body


def _text(sentence: str, title: str, draw: Random, *, with_html: bool) -> bytes:
    """RFC 6109 section 4.3.1: Latin-1, in quoted-printable to stay within seven bits."""
    plain = _latin("plain", f"{title}\n\n{sentence}\n")
    if not with_html:
        return plain
    lines = escape(sentence, {'"': "&quot;"}).replace("\n", "<br>\n")
    html = f"<html><head><title>{escape(title)}</title></head><body><h3>{escape(title)}</h3>\n{lines}\n</body></html>\n"
    return _multipart("alternative", [plain, _latin("html", html)], draw)


def _latin(kind: str, text: str) -> bytes:
    encoded = quopri.encodestring(text.encode("iso-8859-1", "replace")).replace(b"\n", b"\r\n")
    return _entity(f'text/{kind}; charset="iso-8859-1"', encoded, "Content-Transfer-Encoding: quoted-printable")


def _xml_part(xml: bytes, name: str) -> bytes:
    return _entity(
        f'application/xml; name="{name}"',
        base64.encodebytes(xml).replace(b"\n", b"\r\n"),
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: inline; filename="{name}"',
    )


def _original_part(mail: bytes) -> bytes:
    return _entity(
        'message/rfc822; name="postacert.eml"',
        mail,
        f"Content-Transfer-Encoding: {'7bit' if mail.isascii() else '8bit'}",
        'Content-Disposition: inline; filename="postacert.eml"',
    )


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"
