"""Reads a delivery e-mail: what the provider writes to the sender of a registered e-mail when something happened to it.

Its form is not published. It is known by the ticket token in it, taken as a whole; what it says is read from the beginning of its
subject. Anybody can write such an e-mail, and nothing here checks its DKIM signature, so it counts as ordinary mail. Leaves out: fetching.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from itertools import islice
from urllib.parse import unquote

from adapters.providers.kpn_platform import filled, time_said
from adapters.providers.kpn_registered_email.statuses import description
from adapters.providers.reading import MAX_BODY_BYTES, repaired, time_rfc2822
from ledger.observations import Arrival, Observation, Reference, UnreadableError

OPERATION = "delivery_mail"

NOTES = {
    "ordinary_mail": "an e-mail whose sender nobody checked: it shows what is said, and proves little of it",
    "dkim_unchecked": "the DKIM signature of the e-mail, if there is one, was not checked",
    "several_tickets": "the e-mail names more than one ticket, so it belongs to none",
}

MAX_PARTS = 64
MAX_TEXT_BYTES = 1024 * 1024
"""Of each text part; a notice is short."""

_FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?\s*[A-Za-z][A-Za-z0-9-]{0,75}[ \t]*:")
_IN_ADDRESS = re.compile(r"[?&;]ticket_token=([\w.~%-]{1,200})", re.ASCII)
_BY_ITSELF = re.compile(r"(?<![\w.~%=-])K\.[A-Za-z0-9]{1,64}-[A-Za-z0-9]{1,64}(?![\w~%-]|\.\w)")
"""Of the form of the published example."""


def is_one(body: bytes) -> bool:
    """Whether these bytes are an e-mail that may name a ticket."""
    return _FIRST_FIELD.match(body) is not None and b"ticket_token" in body


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What one delivery e-mail says.

    Raises:
        UnreadableError: it is no e-mail, or names no ticket.
    """
    subject, date, ident, sender, said = _read(arrival.body)
    tokens = tickets(f"{subject}\n{said}")
    if not tokens:
        msg = "the e-mail names no ticket"
        raise UnreadableError(msg)
    words, _, detail = (piece.strip() for piece in subject.partition(":"))
    word = description(words)
    occurred = time_rfc2822(date) if date else None
    time_text, time_notes = time_said(date, occurred)
    alone = len(tokens) == 1
    seen = Observation(
        type=word.type if word else "channel.unmapped",
        references=(Reference("ticket_token", tokens[0]),) if alone else (),
        about="recipient",
        occurred=occurred,
        code=word.word if word else "",
        # Not by Message-ID alone: who knows one could write another e-mail with it first.
        identity=(OPERATION, ident, subject, date, *tokens),
        texts=filled({"text": words, "detail": detail, "sender": sender, **time_text}),
        notes=("ordinary_mail", "dkim_unchecked", *(() if alone else ("several_tickets",)), *time_notes),
    )
    return (seen,)


def tickets_in(body: bytes) -> list[str]:
    """The different ticket tokens that an e-mail names; none when it cannot be read."""
    try:
        subject, *_, said = _read(body)
    except UnreadableError:
        return []
    return tickets(f"{subject}\n{said}")


def _read(body: bytes) -> tuple[str, str, str, str, str]:
    """Subject, Date, Message-ID and From of an e-mail, and its texts."""
    if len(body) > MAX_BODY_BYTES or not _FIRST_FIELD.match(body):
        msg = "not an e-mail, or too large"
        raise UnreadableError(msg)
    try:
        mail = message_from_bytes(body)
        said: str = repaired("\n".join(_texts(mail)))
        return _field(mail, "Subject"), _field(mail, "Date"), _field(mail, "Message-ID"), _field(mail, "From"), said
    except (MessageError, ValueError, LookupError, RecursionError) as error:
        msg = f"not an e-mail that can be read: {type(error).__name__}"
        raise UnreadableError(msg) from error


def tickets(said: str) -> list[str]:
    """The different ticket tokens in a text, each as a whole."""
    named = [unquote(found).rstrip(".") for found in _IN_ADDRESS.findall(said)]
    return sorted({*named, *_BY_ITSELF.findall(said)})


def _texts(mail: Message) -> Iterator[str]:
    """The text parts; HTML with its references resolved, tags and all, because addresses stand in them."""
    for part in islice(mail.walk(), MAX_PARTS):
        if part.get_content_maintype() == "text":
            raw = part.get_payload(decode=True)
            charset = part.get_content_charset("utf-8")
            shown = (raw if isinstance(raw, bytes) else b"")[:MAX_TEXT_BYTES].decode(charset, "replace")
            yield html.unescape(shown) if part.get_content_subtype() == "html" else shown


def _field(mail: Message, name: str) -> str:
    """A header field in one line, decoded where that is possible."""
    written = " ".join(str(mail.get(name, ""))[:8192].split())
    try:
        shown = str(make_header(decode_header(written)))
    except (LookupError, ValueError, MessageError):
        shown = written
    fit: str = repaired(" ".join(shown.split()))
    return fit
