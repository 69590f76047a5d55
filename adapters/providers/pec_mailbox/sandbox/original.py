"""The sender's own message: what the formal checks look at, and the forms in which a receipt gives it back.

Works on the bytes of the header; the parts are read with the standard library's parser.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from typing import Literal

ReceiptType = Literal["completa", "breve", "sintetica"]
HashForm = Literal["base64", "decoded"]

MAX_TOTAL_BYTES = 30 * 1024 * 1024
"""RFC 6109 section 3.1.1: message size times recipients that Italian law makes every provider accept."""

VIRUS = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!"
"""The harmless string that virus scanners agree to find (eicar.org)."""

_BLANK = re.compile(rb"\r\n\r\n")
_MESSAGE_ID = re.compile(rb"^Message-ID[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?", re.IGNORECASE | re.MULTILINE)
_NOT_XML = re.compile("[^ -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_TYPES: tuple[ReceiptType, ...] = ("completa", "breve", "sintetica")
_RAW = policy.compat32.clone(linesep="\r\n", max_line_length=0)


@dataclass(frozen=True)
class Original:
    """An e-mail as the sender handed it in.

    Attributes:
        raw: with CRLF line ends.
        msgid: the sender's Message-ID with its angle brackets, or "".
        to, cc: addresses in lower case.
        wanted: the kind of delivery receipt asked for by X-TipoRicevuta.
    """

    raw: bytes
    subject: str
    msgid: str
    sender: str
    reply_to: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    has_bcc: bool
    wanted: ReceiptType

    def identified(self, identifier: str) -> bytes:
        """With the PEC message id in place of the sender's, which is kept beside it (RFC 6109 section 2.2.1)."""
        at = _BLANK.search(self.raw)
        head, rest = (self.raw[: at.start() + 2], self.raw[at.start() + 2 :]) if at else (self.raw, b"\r\n")
        added = f"Message-ID: <{identifier}>\r\n"
        added += f"X-Riferimento-Message-ID: {self.msgid}\r\n" if self.msgid else ""
        return added.encode() + _MESSAGE_ID.sub(b"", head) + rest


def read(raw: bytes) -> Original:
    """Read what a sender handed in; nothing in it makes this fail."""
    crlf = re.sub(rb"\r?\n", b"\r\n", raw)
    fields = message_from_bytes(crlf.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    said = str(fields.get("X-TipoRicevuta", "")).strip().casefold()
    senders = _addresses(fields, "From")
    return Original(
        raw=crlf,
        subject=_text(fields, "Subject"),
        msgid=_text(fields, "Message-ID"),
        sender=senders[0] if len(senders) == 1 else "",
        reply_to=next(iter(_addresses(fields, "Reply-To")), ""),
        to=_addresses(fields, "To"),
        cc=_addresses(fields, "Cc"),
        has_bcc=bool(_text(fields, "Bcc")),
        wanted=next((one for one in _TYPES if one == said), "completa"),
    )


def objection(original: Original, sender: str, recipients: tuple[str, ...]) -> str:
    """What the formal checks of RFC 6109 section 3.1.1 find wrong, or ""."""
    routed, named = {one.casefold() for one in recipients}, {*original.to, *original.cc}
    checks = (
        (not original.sender, "il campo From non contiene un indirizzo valido"),
        (original.sender != sender.casefold(), "il mittente non coincide con il campo From"),
        (not original.to, "il campo To non contiene alcun indirizzo valido"),
        (original.has_bcc, "il campo Bcc non e' ammesso"),
        (routed != named, "i destinatari non coincidono con i campi To e Cc"),
        (len(original.raw) * len(routed) > MAX_TOTAL_BYTES, "superata la dimensione massima di 30 MB"),
    )
    return next((why for fails, why in checks if fails), "")


def has_virus(original: Original) -> bool:
    """Whether any part, its transfer encoding undone, holds the test string of virus scanners."""
    parts = message_from_bytes(original.raw).walk()
    return any(VIRUS in _decoded(part) for part in parts if not part.is_multipart())


def brief(identified: bytes, form: HashForm) -> bytes:
    """The message with each named part replaced by the SHA-1 of its content (RFC 6109 section 3.3.2.2).

    An encrypted or opaque S/MIME message stays as it is; of a signed one, the signature does.
    """
    message = message_from_bytes(identified, policy=_RAW)
    if message.get_content_type() in {"application/pkcs7-mime", "application/x-pkcs7-mime"}:
        return identified
    _shorten(message, form, is_signed=message.get_content_type() == "multipart/signed")
    return message.as_bytes(policy=_RAW)


def _shorten(part: Message, form: HashForm, *, is_signed: bool) -> None:
    if part.get_content_type() == "message/rfc822" or (part.get_filename() and not part.is_multipart()):
        _replace(part, form)
    elif part.is_multipart():
        held = part.get_payload()
        parts = [one for one in held if isinstance(one, Message)] if isinstance(held, list) else []
        for one in parts[:1] if is_signed else parts:
            _shorten(one, form, is_signed=False)


def _replace(part: Message, form: HashForm) -> None:
    name, content = part.get_filename() or "messaggio.eml", _content(part, form)
    for field in list(part):
        del part[field]
    part["Content-Type"] = "text/plain"
    part.set_param("name", f"{name}.hash")
    part["Content-Disposition"] = "attachment"
    part.set_param("filename", f"{name}.hash", header="Content-Disposition")
    part.set_payload(hashlib.sha1(content, usedforsecurity=False).hexdigest())


def _content(part: Message, form: HashForm) -> bytes:
    held = part.get_payload()
    if isinstance(held, list):
        inner = held[0]
        return inner.as_bytes(policy=_RAW) if isinstance(inner, Message) else b""
    return _decoded(part) if form == "decoded" else str(held).encode("ascii", "surrogateescape")


def _decoded(part: Message) -> bytes:
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def _addresses(fields: Message, name: str) -> tuple[str, ...]:
    found = getaddresses([str(value) for value in fields.get_all(name, [])])
    return tuple(dict.fromkeys(address.casefold() for _, address in found if "@" in address))


def _text(fields: Message, name: str) -> str:
    """The field's text, fit for a header line and for XML whatever was encoded in it."""
    value = str(fields.get(name, ""))
    try:
        value = str(make_header(decode_header(" ".join(value.split()))))
    except (LookupError, ValueError):  # an unknown or a wrong character set
        value = value.encode("ascii", "replace").decode()
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", " ".join(value.split()))
