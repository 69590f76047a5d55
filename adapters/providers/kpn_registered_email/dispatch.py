"""POST /webservice/mailsender/send: one call, one recipient, one ticket; its body exactly as the OpenAPI document has it.

`x-own-guid` is the message's own id. KPN cannot be asked for a call by it: an unclear one is settled by a delivery e-mail, which names
the ticket, or by a person.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.providers import kpn_calling
from adapters.providers.calling import DEFAULTS, Access, Document, Exchange, Request, Row, Submission
from adapters.providers.kpn_registered_email.settings import Settings
from adapters.providers.kpn_registered_email.wire import PRODUCT

PATH = "/webservice/mailsender/send"
HEADERS = {"content-type": "application/json", "accept": "application/json"}

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_NOT_YET = {
    "wanted": "is not created at the provider yet",
    "created": "has not activated the account yet, by the link in the provider's e-mail",
    "removed": "was removed",
}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one send.

    Attributes:
        own_id: of the sender's own user or file, shown in the provider's lists.
        campaign: by which the provider's lists can be filtered.
        language: of the announcement and the ticket's page.
    """

    own_id: Annotated[str, Meta(max_length=200)] = ""
    campaign: Annotated[str, Meta(max_length=200)] = ""
    language: Annotated[str, Meta(pattern=r"^([a-z]{2})?$")] = ""


def check(submission: Submission, access: Access) -> str:
    """Why this cannot be sent through this account, or ""."""
    settings: Settings = access.settings
    who = settings.sender(submission.sender)
    state = who.state if who else ""
    held = {
        "there is exactly one recipient in a registered e-mail": len(submission.recipients) != 1,
        "the recipient must be an e-mail address": not all(
            each.kind == "email" and _ADDRESS.fullmatch(each.value) for each in submission.recipients
        ),
        f"the sender {submission.sender!r} is not among the account's senders; the provider would refuse it": who
        is None,
        f"the sender {submission.sender!r} {_NOT_YET.get(state, '')}": state in _NOT_YET,
        "there is no subject": not submission.subject.strip(),
        "the subject must be one line": not submission.subject.isprintable(),
        "there is no text": not submission.text.strip(),
        "the text must be text/plain": submission.text_type != "text/plain",
        "every document needs a name": not all(each.name.strip() for each in submission.documents),
    }
    return next((why for why, holds in held.items() if holds), "")


def next_request(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The one call, unless it was made."""
    if done:
        return None
    settings: Settings = access.settings
    who = settings.sender(submission.sender)
    return Request(
        operation="send",
        url=PATH,
        headers=HEADERS,
        body=json.dumps(_body(submission, who.name if who else submission.sender)).encode(),
        recipient=0,
    )


def _body(submission: Submission, sender_name: str) -> dict[str, Any]:
    options: Options = submission.options or Options()
    own = {
        "x-own-id": options.own_id,
        "x-own-guid": submission.message,
        "x-own-campaign": options.campaign,
        "recipient_language": options.language,
    }
    return {
        "message_body": submission.text,
        "sender_email": submission.sender,
        "sender_real_name": sender_name,
        "subject": submission.subject,
        "recipient_email": submission.recipients[0].value,
        **{name: value for name, value in own.items() if value},
        "attachments": [_attachment(each) for each in submission.documents],
    }


def _attachment(document: Document) -> dict[str, str]:
    said = document.media_type.partition(";")[0].strip().lower()
    return {
        "attachment": base64.b64encode(document.data).decode(),
        "attachment_name": document.name,
        "attachment_type": said if _MEDIA_TYPE.fullmatch(said) else "application/octet-stream",
    }


def _unasked(row: Row) -> Row:
    """The row with what follows from there being nobody to ask."""
    told = f"{row.why}; KPN cannot be asked: a delivery e-mail or a person settles it"
    return replace(row, why=told) if row.verdict == "unclear" else row


ANSWERS = tuple(map(_unasked, (*kpn_calling.answers(PRODUCT), *DEFAULTS)))
