"""What PEC Massiva does, without the network: calls in, (HTTP status, JSON) out. In front of a certified-mail provider.

Source: the OpenAPI documents "PEC Massiva 1.0", "oauth" and "oauthv2" of openapi.com. Assumptions, where they are silent:

- a send too soon after the last is answered 429 with Retry-After;
- a token without the scope, a wrong token and wrong mailbox credentials are all answered alike, 401;
- pages are counted from 1 (`first_page`), the newest mails stand on the first, and n_of_pages is rounded down, as in the example;
- a recipient whose address begins with `unsent` is not sent to and not counted; if nobody is left, `message_id` holds the
  text of an SMTP error, as an old client of openapi.com met it;
- the numbers of the quota are KiB.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import SMTP
from functools import lru_cache
from random import Random
from typing import Any, Literal
from urllib.parse import quote_plus

from adapters.providers.pec_mailbox.sandbox import Mail, Provider, behaviour
from adapters.providers.pec_mailbox.sandbox.receipts import ROME

Reply = tuple[int, dict[str, Any]]

PAGE = 25
SCOPES = frozenset({"POST send", "GET send", "DELETE send", "GET inbox", "DELETE inbox", "GET quota"})
UNSENT = "unsent"
SMTP_ERROR = "error occurred connecting to SMTP: timed out"
NOT_AUTHORISED: Reply = (401, {"success": False, "message": "Authorization is not valid or empty"})
NOT_VALID: Reply = (400, {"success": False, "message": "Post parameter is not valid"})

_SCOPE = re.compile(r"(\*|[A-Z]+):([^/]+)/(\*|\w+)")
_ADDRESS = re.compile(r"[^\s@,<>]+@[^\s@,<>]+")
_YEAR_S = 365 * 86_400


@dataclass(frozen=True)
class Sent:
    """A send that was accepted.

    Attributes:
        marker: SHA-256 of the request without the credentials; the same request again has the same one.
    """

    marker: str
    message_id: str
    subject: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Manners:
    """In which of its known or suspected ways the service answers.

    Attributes:
        rows: `live` = date, subject, body, as a client met them; `documented` = data, object, message in GET /send/{code}.
        texts: a receipt's own text, or, as in the published example, the text of the original and nothing in ACCETTAZIONE.
        letters: `replaced` = U+FFFD for each letter beyond ASCII, as in the published example; `raw` = Latin-1 bytes in JSON.
        scope_host: of the scopes that are given; "" = any.
        gap: least time between two sends.
    """

    rows: Literal["live", "documented"] = "live"
    texts: Literal["receipt", "original"] = "receipt"
    letters: Literal["right", "replaced", "raw"] = "right"
    first_page: Literal[0, 1] = 1
    scope_host: str = ""
    gap: timedelta = timedelta(seconds=1)


class Service:
    """The HTTP service of one account at openapi.com.

    Attributes:
        tokens: token -> (scopes as in SCOPES, end); may be emptied to take all back.
        sends: every accepted send, in order.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        email: str = "conto@cliente.example",
        api_key: str = "chiave-di-prova",
        manners: Manners | None = None,
    ) -> None:
        self.provider, self.manners = provider, manners or Manners()
        self.tokens: dict[str, tuple[frozenset[str], datetime]] = {}
        self.sends: list[Sent] = []
        self._login = f"{email}:{api_key}"
        self._draw = Random(len(api_key))  # noqa: S311 - ids of a sandbox, repeatable on purpose
        self._last_send: datetime | None = None
        self._used: set[str] = set()

    def times_accepted(self, text: str) -> int:
        """How many accepted sends have this marker, or this text in their subject."""
        return sum(text == sent.marker or text in sent.subject for sent in self.sends)

    # --- tokens

    def token_v1(self, login: str, asked: Any) -> Reply:
        """`POST /token` of "oauth"."""
        made = self._token(login, asked)
        if isinstance(made, str):
            return 406, {"success": False, "message": made, "error": 110, "data": None}
        token, scopes, until = made
        said = {"scopes": scopes, "expire": int(until.timestamp()), "token": token}
        return 200, {**said, "success": True, "message": "", "error": None}

    def token_v2(self, login: str, asked: Any) -> Reply:
        """`POST /tokens` of "oauthv2"."""
        made = self._token(login, asked)
        if isinstance(made, str):
            code = 70 if made == "missing scopes array" else 90
            return 422, {"success": False, "message": made, "error": code, "data": None}
        token, scopes, until = made
        now = self.provider.clock.now()
        times = {"createdAt": _iso(now), "expireAt": _iso(until), "updatedAt": _iso(now)}
        return 200, {"token": token, "name": "", **times, "scopes": scopes, "refreshToken": self._hex(), "limits": []}

    def _token(self, login: str, asked: Any) -> tuple[str, list[str], datetime] | str:
        scopes = asked.get("scopes") if isinstance(asked, dict) else None
        if not isinstance(scopes, list):
            return "missing scopes array"
        given = frozenset().union(*map(self._given, scopes))
        if login != self._login or not given:
            return "Invalid scopes specified or API not enabled"
        ttl = asked.get("ttl")
        until = self.provider.clock.now() + timedelta(
            seconds=ttl if isinstance(ttl, int) and 0 < ttl < _YEAR_S else _YEAR_S
        )
        token = self._hex()
        self.tokens[token] = (given, until)
        return token, scopes, until

    def _given(self, scope: object) -> frozenset[str]:
        """The operations that a scope opens, such as `POST:test.ws.pecmassiva.com/send` or with asterisks."""
        found = _SCOPE.fullmatch(scope) if isinstance(scope, str) else None
        if not found or (self.manners.scope_host and found[2] not in {"*", self.manners.scope_host}):
            return frozenset()
        pairs = (one.split() for one in SCOPES)
        return frozenset(f"{m} {path}" for m, path in pairs if found[1] in {"*", m} and found[3] in {"*", path})

    def is_authorised(self, token: str, method: str, path: str) -> bool:
        """Whether a token opens an operation (`POST`, `send`) now."""
        scopes, until = self.tokens.get(token, (frozenset[str](), datetime.min.replace(tzinfo=UTC)))
        return f"{method} {path}" in scopes and self.provider.clock.now() < until

    # --- sending

    def send(self, asked: Any) -> Reply:
        """`POST /send`."""
        mail = _mail(asked)
        if mail is None:
            return NOT_VALID
        if not self.provider.is_customer(str(asked.get("username")), str(asked.get("password"))):
            return NOT_AUTHORISED
        if asked["sender"] != asked["username"]:
            return NOT_VALID
        now = self.provider.clock.now()
        if self._last_send is not None and now - self._last_send < self.manners.gap:
            return 429, {"success": False, "message": "Too many requests"}
        self._last_send = now
        return self._sent(asked, mail, now)

    def _sent(self, asked: dict[str, Any], mail: EmailMessage, now: datetime) -> Reply:
        recipients = tuple(one for one in _listed(asked["recipient"]) if behaviour.word(one) != UNSENT)
        if not recipients:
            return 201, {"success": False, "sent": 0, "message": "", "message_id": SMTP_ERROR}
        message_id = self._message_id(now)
        mail["To"], mail["Subject"] = ", ".join(recipients), f"{asked['subject']} {message_id}"
        mail["Message-ID"] = f"<{message_id}.{self._hex()}@pecmassiva.example>"
        kept = {name: value for name, value in asked.items() if name not in {"username", "password"}}
        marker = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        self.sends.append(Sent(marker, message_id, asked["subject"], recipients))
        self.provider.submit(asked["sender"], recipients, mail.as_bytes())
        return 201, {"success": True, "sent": len(recipients), "message": "", "message_id": message_id}

    def _message_id(self, now: datetime) -> str:
        """As in the examples: the second in legal time, and one or two digits."""
        second = f"{now.astimezone(ROME):%Y%m%d%H%M%S}"
        drawn = next(one for one in iter(lambda: f"{second}{self._draw.randrange(100)}", "") if one not in self._used)
        self._used.add(drawn)
        return drawn

    # --- the mailbox

    def status(self, mailbox: str, code: str) -> Reply:
        """`GET /send/{code}`."""
        found = [self._row(mail, full=True) for mail in self._of(mailbox, code)]
        if not found:
            return 404, {"success": False, "message": "Result empty"}
        if self.manners.rows == "documented":
            names = {"date": "data", "subject": "object", "body": "message"}
            found = [{names.get(name, name): value for name, value in row.items()} for row in found]
        return 200, {"data": found, "success": True, "message": ""}

    def delete_status(self, mailbox: str, code: str) -> Reply:
        """`DELETE /send/{code}`."""
        found = self._of(mailbox, code)
        if not found:
            return 404, {"success": False, "message": "Email not found"}
        for mail in found:
            self.provider.remove(mailbox, mail)
        return 200, {"success": True, "message": "Operation succefull"}

    def inbox(self, mailbox: str, page: int | None, sought: str) -> Reply:
        """`GET /inbox`; the number of a mail is its place in the mailbox, so it moves when one before it is deleted."""
        numbered = [(number, self._row(mail)) for number, mail in enumerate(self.provider.mailboxes[mailbox], 1)]
        found = [each for each in reversed(numbered) if sought.casefold() in str(each[1]).casefold()]
        asked = self.manners.first_page if page is None else page
        first = max(0, asked - self.manners.first_page) * PAGE
        data = [{**_renamed(row), "id": number} for number, row in reversed(found[first : first + PAGE])]
        counts = {"total": len(found), "page": asked, "n_of_pages": len(found) // PAGE}
        return 200, {"data": data, "success": True, "message": "", **counts}

    def message(self, mailbox: str, number: int) -> Reply:
        """`GET /inbox/{id}`."""
        mail = self._numbered(mailbox, number)
        if mail is None:
            return 404, {"success": False, "message": "Message not found"}
        row = self._row(mail, full=True)
        return 200, {"data": {**_renamed(row), "body": quote_plus(row["body"])}, "success": True, "message": ""}

    def delete_message(self, mailbox: str, number: int) -> Reply:
        """`DELETE /inbox/{id}`."""
        mail = self._numbered(mailbox, number)
        if mail is None:
            return 404, {"success": False, "message": "Message not found"}
        self.provider.remove(mailbox, mail)
        return 200, {"success": True, "message": "Message deleted"}

    def quota(self, mailbox: str, name: str) -> Reply:
        """`GET /quota/{mailbox}`."""
        if name.casefold() != "inbox":
            return 400, {
                "success": False,
                "message": "An error occured: the requested mailbox might be unavailable",
            }
        data = {"usage": -(-self.provider.usage(mailbox) // 1024), "limit": self.provider.mailbox_bytes // 1024}
        return 200, {"data": data, "success": True, "message": ""}

    def _of(self, mailbox: str, code: str) -> list[Mail]:
        return [m for m in self.provider.mailboxes[mailbox] if _subject(m).endswith(f" {code}")]

    def _numbered(self, mailbox: str, number: int) -> Mail | None:
        mails = self.provider.mailboxes[mailbox]
        return mails[number - 1] if 0 < number <= len(mails) else None

    def _row(self, mail: Mail, *, full: bool = False) -> dict[str, str]:
        read = _read(mail)
        subject = _field(read, "Subject")
        told = {"receipt": _text, "original": _original_text}[self.manners.texts]
        row = {
            "sender": re.sub(r" <.*>$", " ", _field(read, "From")),
            "recipient": _field(read, "To"),
            "date": _field(read, "Date"),
            "subject": subject,
            **({"body": told(read)} if full else {}),
        }
        if self.manners.letters == "replaced":
            return {name: re.sub(r"[^\x00-\x7f]", "\N{REPLACEMENT CHARACTER}", value) for name, value in row.items()}
        return row

    def encoded(self, reply: dict[str, Any]) -> bytes:
        """The bytes of an answer."""
        if self.manners.letters == "raw":
            return json.dumps(reply, ensure_ascii=False).encode("iso-8859-1", "replace")
        return json.dumps(reply).encode()

    def _hex(self) -> str:
        return f"{self._draw.getrandbits(96):024x}"


def _renamed(row: Mapping[str, str]) -> dict[str, str]:
    """The spelling of both inbox calls."""
    return {"object" if name == "subject" else name: value for name, value in row.items()}


def _listed(given: object) -> list[str]:
    """What may be one text or a list of them; empty when it is neither."""
    many = given if isinstance(given, list) else [given]
    found = [one for one in many if isinstance(one, str) and _ADDRESS.fullmatch(one)]
    return found if len(found) == len(many) else []


def _mail(asked: Any) -> EmailMessage | None:
    """The e-mail that a request asks for, without To and Subject; None when a parameter is not valid."""
    if not isinstance(asked, dict) or not _listed(asked.get("recipient")):
        return None
    texts = [asked.get(name) for name in ("sender", "subject", "body", "username", "password")]
    if not all(isinstance(text, str) for text in texts) or re.search(r"[\r\n]", asked["sender"] + asked["subject"]):
        return None
    mail = EmailMessage(SMTP)
    mail["From"] = asked["sender"]
    mail.set_content(asked["body"], subtype="html")
    attached = asked.get("attachments") or []
    for one in attached if isinstance(attached, list) else [attached]:
        content = _content(one)
        if content is None:
            return None
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=one["name"])
    return mail


def _content(attachment: object) -> bytes | None:
    """The bytes of an attachment: base64, with or without the head of a `data:` address."""
    if not isinstance(attachment, dict) or not isinstance(attachment.get("name"), str):
        return None
    try:
        return base64.b64decode(str(attachment.get("file")).rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return None


def _read(mail: Mail) -> Message:
    return message_from_bytes(mail.raw)


@lru_cache(maxsize=100_000)
def _subject(mail: Mail) -> str:
    return _field(_read(mail), "Subject")


def _field(read: Message, name: str) -> str:
    written = " ".join(str(read.get(name, "")).split())
    try:
        return str(make_header(decode_header(written)))
    except (LookupError, ValueError):  # an unknown or a wrong character set
        return written


def _text(read: Message) -> str:
    """The first text of a mail."""
    return next((_decoded(part) for part in read.walk() if part.get_content_maintype() == "text"), "")


def _original_text(read: Message) -> str:
    """The text of the original that a mail holds, or ""."""
    inside = (part for part in read.walk() if part.get_content_type() == "message/rfc822")
    return next((_text(part) for part in inside), "")


def _decoded(part: Message) -> str:
    raw = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    return raw.decode(charset, "replace") if isinstance(raw, bytes) else ""


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
