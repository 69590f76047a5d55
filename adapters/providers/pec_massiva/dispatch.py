"""POST /send: which call comes next, and its body exactly as the OpenAPI document has it.

One call for each recipient, unless the account or the send asks for a joint one: only then is it clear whose message_id it is.
Leaves out: asking what became of an unclear call. The service finds a mail by its message_id only, which such an answer lacks.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.providers.calling import Access, Answer, Document, Exchange, Request, Row, Submission
from adapters.providers.pec_massiva import sending, statuses
from adapters.providers.pec_massiva.answers import fields_of
from adapters.providers.pec_massiva.settings import Settings
from ledger.observations import Address

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_TEXT_TYPES = frozenset({"text/html", "text/plain"})


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one send.

    Attributes:
        joint: all recipients in one call; null: as the account says.
    """

    joint: bool | None = None


def check(submission: Submission, access: Access) -> str:
    """Why this cannot be sent from this mailbox, or ""."""
    settings: Settings = access.settings
    held = {
        "there is no recipient": not submission.recipients,
        "every recipient must be an e-mail address": not all(map(_is_address, submission.recipients)),
        f"the sender can only be the mailbox of the account, {settings.mailbox}": submission.sender
        and submission.sender.casefold() != settings.mailbox.casefold(),
        "the subject must be one line: the service writes its message_id behind it": not submission.subject.isprintable(),
        "the text must be text/html or text/plain": submission.text_type not in _TEXT_TYPES,
    }
    return next((why for why, holds in held.items() if holds), "")


def _is_address(recipient: Address) -> bool:
    return recipient.kind == "email" and re.fullmatch(r"[^\s@]+@[^\s@]+", recipient.value) is not None


def next_request(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The call for the first recipient without one, or the joint call; None when all are made."""
    settings: Settings = access.settings
    options: Options = submission.options or Options()
    if settings.joint if options.joint is None else options.joint:
        return None if done else _request(submission, None, access)
    made = {step.recipient for step in done}
    index = next((i for i in range(len(submission.recipients)) if i not in made), None)
    return None if index is None else _request(submission, index, access)


def _request(submission: Submission, index: int | None, access: Access) -> Request:
    people = submission.recipients if index is None else submission.recipients[index : index + 1]
    kept: dict[str, Any] = {
        "sender": access.settings.mailbox,
        "recipient": [each.value for each in people],
        "subject": submission.subject,
        "body": submission.text if submission.text_type == "text/html" else _as_html(submission.text),
    }
    if submission.documents:
        kept["attachments"] = [_attachment(each) for each in submission.documents]
    opened = {**kept, "username": access.secrets["username"], "password": access.secrets["password"]}
    headers = {"content-type": "application/json", "accept": "application/json"}
    body, as_kept = json.dumps(opened).encode(), json.dumps(kept).encode()
    return Request(operation="send", url="/send", headers=headers, body=body, kept=as_kept, recipient=index)


def _as_html(plain: str) -> str:
    """The service's text is HTML: plain text with its lines."""
    return html.escape(plain, quote=False).replace("\r\n", "\n").replace("\n", "<br>\n")


def _attachment(document: Document) -> dict[str, str]:
    """As in the published example: base64 behind the head of a `data:` address."""
    said = document.media_type.partition(";")[0].strip().lower()
    media_type = said if _MEDIA_TYPE.fullmatch(said) else "application/octet-stream"
    return {"name": document.name, "file": f"data:{media_type};base64,{base64.b64encode(document.data).decode()}"}


ANSWERS = (
    Row("2xx", "ok", "sent", "the service took it and gave it a message_id", source="R"),
    Row("2xx", "partial", "unclear", "sent to fewer than were asked for; receipts will tell to whom", source="R"),
    Row("", "contradiction", "unclear", "it says that something was sent, and is not what was promised for that"),
    *(Row("", e.reason, sending.VERDICTS[e.retry], e.meaning, "hour", source=e.source) for e in statuses.ERRORS),
    Row("429", "", "later", "more than one send a second", "retry_after"),
    *(Row(h.word, "", sending.VERDICTS[h.retry], h.meaning, "hour", source=h.source) for h in statuses.HTTP),
)
"""What an answer to a send means. The errors come from the same tables as the words of events, so that what is done after an
answer and what is said of it agree."""


def code(request: Request, answer: Answer) -> str:
    """What ANSWERS calls an answer to a send."""
    if request.operation != "send":
        return ""
    return sending.judged(fields_of(answer.body), answer.status, len(sending.addresses(request.kept))).code
