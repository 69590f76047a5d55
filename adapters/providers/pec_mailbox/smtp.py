"""Certified e-mail on its way out: the message as it is submitted, what its server's replies mean, and what is read from them.

One message goes to all recipients, and all of them stand in its header (RFC 6109 section 3.1.1). Its bytes are a function of the
submission alone, Message-ID and boundary included, so a repeat is the same message. A reply is kept as the command it answers and
its lines, `RCPT TO:<…>` and `550 5.1.1 …`, without credentials. Pure; the dialogue itself is in client.py.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from adapters.providers.calling import Access, Answer, Document, Exchange, Request, Row, Submission, Verdict
from adapters.providers.contract import Word
from adapters.providers.pec_mailbox.daticert import bare_id
from ledger.observations import Arrival, Observation, Reference, UnreadableError

SUBMIT_TIMEOUT_S = 600.0
"""RFC 5321 section 4.5.3.2.6: ten minutes for the reply to a whole message; who gives up sooner never knows."""

TEXT_TYPES = ("text/plain", "text/html")

_HEADERS = SMTP.clone(cte_type="7bit")
"""A longer Message-ID or address than fits into 78 characters is left in one piece: folded as an encoded word it would be another."""
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+"
)
_MEDIA_TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]+)/([A-Za-z0-9!#$&^_.+-]+)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_COMPOSITE = frozenset({"multipart", "message"})

REPLIES = (  # what a submission server says last; RFC 5321 section 4.2
    Word("250", "production.advanced", "the submission server took it; its provider's acceptance is still to come", "R"),
    Word("4xx", "", "not now; nothing was sent", "R", retry="later"),
    Word("5xx", "submission.rejected", "the submission server refused it; nothing was sent", "R", retry="never",
         note="530, 534, 535, 538 and any 5xx before MAIL FROM are about our access and say nothing of the message"),
    Word("trace", "production.advanced", "a receipt or copy in the mailbox names it, so the server had taken it", "A",
         note="no word of a server: what `search` found after a submission that was not answered"),
)  # fmt: skip

_ROWS = {row.word: row for row in REPLIES}

SESSION = "session"
"""Code of a reply that is about us and not about the message."""
_SESSION_COMMANDS = frozenset({b"CONNECT", b"EHLO", b"STARTTLS", b"AUTH"})
_CREDENTIALS = frozenset({530, 534, 535, 538})

ANSWERS = (
    Row("unreachable", "", "later", "the connection did not last until the message was complete, so nothing was sent", "minute", "R"),
    Row("4xx", SESSION, "later", "the submission server does not let us in now", "minute", "R"),
    Row("5xx", SESSION, "later", "the submission server does not let us in, or does not accept our credentials", "hour", "R"),
    Row("4xx", "", "later", "the submission server did not take it now", "minute", "R"),
    Row("5xx", "", "refused", "the submission server refused it", source="R"),
    Row("250", "", "sent", "the submission server took it", source="R"),
)  # fmt: skip
"""A reply of 4xx or 5xx says that the message was not taken, also after its last line (RFC 5321 section 4.2.5)."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sender may choose.

    Attributes:
        cc: indexes of recipients that stand in Cc; their delivery receipts are always short.
        receipt: kind of the delivery receipts; "" = the provider's default, which is the complete one.
    """

    cc: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    receipt: Literal["", "completa", "breve", "sintetica"] = ""


class Envelope(NamedTuple):
    """Whom the server is told; RFC 6109 asks that it be what the header says."""

    sender: str
    recipients: tuple[str, ...]


# --- what goes out


def sender_of(submission: Submission, access: Access) -> str:
    return submission.sender or str(access.settings.address)


def msgid(submission: Submission, sender: str) -> str:
    """The Message-ID without angle brackets; of the same message always the same, and telling nothing of it."""
    return f"{_token(submission, 'msgid')}@{sender.rpartition('@')[2].lower()}"


def compose(submission: Submission, access: Access) -> bytes:
    """The message, 7 bit, lines ending in CR LF; the same bytes each time."""
    sender = sender_of(submission, access)
    options: Options = submission.options
    message = EmailMessage(policy=SMTP)
    message["From"] = Mailbox(addr_spec=sender)
    addresses = [Mailbox(addr_spec=recipient.value.strip()) for recipient in submission.recipients]
    message["To"] = [address for index, address in enumerate(addresses) if index not in options.cc]
    if options.cc:
        message["Cc"] = [address for index, address in enumerate(addresses) if index in options.cc]
    message["Subject"] = submission.subject
    message["Date"] = submission.requested_at
    message["Message-ID"] = f"<{msgid(submission, sender)}>"
    if options.receipt:
        message["X-TipoRicevuta"] = options.receipt
    message.set_content(submission.text, subtype=submission.text_type.partition("/")[2], cte="quoted-printable")
    for document in submission.documents:
        kind, _, subtype = document.media_type.partition("/")
        message.add_attachment(document.data, maintype=kind, subtype=subtype, filename=document.name)
    if submission.documents:
        message.set_boundary(f"=_{_token(submission, 'boundary')}")
    return message.as_bytes(policy=_HEADERS)


def check(submission: Submission, access: Access) -> str:
    """Why a submission cannot be sent through this account; "" when it can."""
    listed, documents = submission.recipients, submission.documents
    values = [recipient.value.strip() for recipient in listed]
    cc = frozenset(submission.options.cc)
    bad = [i for i, each in enumerate(listed) if each.kind != "email" or not _is_address(values[i])]
    doubled = [value for value, count in Counter(map(str.casefold, values)).items() if count > 1]
    unusable = [i for i, each in enumerate(documents) if not (each.name and _is_line(each.name) and _is_media(each))]
    reasons = {
        "the account has no smtp_host: nothing is sent from it": not access.settings.smtp_host,
        "the sender is no e-mail address; the setting `address` names the account's own": not _is_address(
            sender_of(submission, access)
        ),
        f"recipients {bad} are no e-mail addresses in ASCII": bad,
        "a recipient is there twice": doubled,
        "cc names a recipient that is not there": not cc <= set(range(len(values))),
        "no recipient stands in To": len(cc) >= len(values),
        "the subject holds a line break, or what cannot be written": not _is_line(submission.subject),
        f"the text is one of {', '.join(TEXT_TYPES)}": submission.text_type not in TEXT_TYPES,
        "the text holds half a character": _SURROGATE.search(submission.text),
        f"documents {unusable} have no name or no media type of a file": unusable,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def next_request(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The one step there is."""
    if done:
        return None
    return Request(operation="submission", method="SMTP", body=compose(submission, access), timeout_s=SUBMIT_TIMEOUT_S)


def envelope(mail: bytes) -> Envelope:
    """Sender and recipients of a message of ours, from its header."""
    header = BytesHeaderParser(policy=SMTP).parsebytes(mail)
    listed = [
        address.addr_spec for name in ("To", "Cc") for field in header.get_all(name, ()) for address in field.addresses
    ]
    return Envelope(header["From"].addresses[0].addr_spec, tuple(listed))


# --- what came back


def code(request: Request, answer: Answer) -> str:
    """`session` for a reply that is not about the message."""
    return SESSION if request.method == "SMTP" and _is_about_us(answer.status, answer.body) else ""


def submitted(arrival: Arrival) -> tuple[Observation, ...]:
    """What the last reply of a submission server says of the message; nothing where it may be submitted again.

    It took the message: that is not the certified acceptance, which comes as a receipt and is found by the Message-ID named here.

    Raises:
        UnreadableError: our message is not there, or it has no Message-ID.
    """
    name = bare_id(str(BytesHeaderParser().parsebytes(arrival.request or b"").get("message-id", "")))
    row = _ROWS.get(str(arrival.status)) or _ROWS.get(f"{(arrival.status or 0) // 100}xx")
    if row is None or not name:
        msg = f"answer {arrival.status} to a submission, which SMTP does not know, or without the message that was submitted"
        raise UnreadableError(msg)
    if not row.type or _is_about_us(arrival.status, arrival.body):
        return ()
    return (
        Observation(
            type=row.type,
            references=(Reference("msgid", name),),
            code=row.word,
            identity=("submission", name, row.word),
            texts={"text": arrival.body.decode("utf-8", "replace")},
        ),
    )


# --- what became of an unclear one


class Search(msgspec.Struct, frozen=True):
    """A question to the mailbox.

    Attributes:
        msgid: of our message, without angle brackets.
        since: day, YYYY-MM-DD; nothing older is looked at.
    """

    msgid: str
    since: str


class Hit(msgspec.Struct, frozen=True):
    """A message of the mailbox that names ours in this header field."""

    folder: str
    uid: int
    field: str


def ask(submission: Submission, _done: Sequence[Exchange], access: Access) -> Request | None:
    """Ask the mailbox for a receipt that names the message, or for a copy of the message itself."""
    if not access.settings.imap_host:
        return None
    since = submission.requested_at - timedelta(days=2)  # the mailbox counts days in a zone of its own
    question = Search(msgid(submission, sender_of(submission, access)), since.date().isoformat())
    return Request(operation="search", method="IMAP", body=msgspec.json.encode(question), may_send=False)


def found(_submission: Submission, answer: Answer) -> Verdict:
    """A trace of it in the mailbox proves that it was taken; no trace proves nothing."""
    if answer.failure or answer.status != 200:
        return "unclear"
    return "sent" if msgspec.json.decode(answer.body, type=list[Hit]) else "unclear"


def traced(arrival: Arrival) -> tuple[Observation, ...]:
    """What a search of the mailbox tells of the message it was for; the receipts themselves are read from there as they are.

    Raises:
        UnreadableError: question or answer is not ours.
    """
    try:
        name = msgspec.json.decode(arrival.request or b"", type=Search).msgid
        hits = msgspec.json.decode(arrival.body, type=list[Hit])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = "neither a search of the mailbox nor what it found"
        raise UnreadableError(msg) from error
    if not hits:
        return ()
    row = _ROWS["trace"]
    seen = Observation(
        type=row.type,
        references=(Reference("msgid", name),),
        code=row.word,
        identity=("search", name),
        texts={"text": "; ".join(f"{hit.field} in {hit.folder}" for hit in hits[:10])},
    )
    return (seen,)


# --- small things


def _is_about_us(status: int | None, said: bytes) -> bool:
    return said.partition(b"\r\n")[0] in _SESSION_COMMANDS or status in _CREDENTIALS


def _token(submission: Submission, purpose: str) -> str:
    return hashlib.sha256(f"delivery-ledger/{purpose}/{submission.message}".encode()).hexdigest()[:32]


def _is_address(value: str) -> bool:
    return len(value) <= 254 and _ADDRESS.fullmatch(value) is not None


def _is_line(value: str) -> bool:
    return _NOT_A_LINE.search(value) is None


def _is_media(document: Document) -> bool:
    found_type = _MEDIA_TYPE.fullmatch(document.media_type)
    return found_type is not None and found_type[1].lower() not in _COMPOSITE
