"""How KPN SMS is called: a text to many numbers, a slice of them in each call.

One text goes to at most AT_ONCE numbers in a call, which has one document_id; a message to more of them takes several calls. KPN takes no
reference of ours and has no operation that shows what it was asked: an unclear call, whose document_id we do not know, is settled by a
person, and the next slice waits for that. Leaves out: several texts in one call.

Source: SwaggerHub `SMS - KPN` 1.0.6 (2025) and 1.3 (2020); limits from developer.kpn.com/documentation/kpn-sms-api-documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.providers import kpn_calling
from adapters.providers.calling import DEFAULTS, Access, Client, Exchange, Request, Row, Submission
from adapters.providers.kpn_sms.settings import SENDER_MAX, Generation, Settings
from adapters.providers.kpn_sms.wire import PRODUCT
from ledger.addresses import normal
from ledger.observations import Address

PATHS: dict[Generation, str] = {"2025": "/communication/kpn/sms/send", "2020": "/messaging/sms-kpn/v1/send"}

AT_ONCE = 200
"""Messages times numbers in a call. Sends under way count their calls by it: it must never change."""

ABROAD_EXPIRES_S = 21
"""The shortest validity that KPN takes for numbers abroad."""

_NUMBER = re.compile(r"\+[1-9][0-9]{5,14}")
_NEVER_MOBILE = re.compile(r"\+316[079]")
_DUTCH = "+31"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one send.

    Attributes:
        expires_in_s: after so many seconds the network stops trying; null: as KPN does by default.
    """

    expires_in_s: Annotated[int, Meta(ge=1, le=604_800)] | None = None


def number(recipient: Address) -> str:
    """A recipient's number as it is sent: `+`, country, number."""
    return normal(recipient._replace(kind="phone"))


def check(submission: Submission, access: Access) -> str:
    """Why this cannot be sent through this account, or ""."""
    settings: Settings = access.settings
    numbers = [number(each) for each in submission.recipients]
    first_of = {each: index for index, each in reversed(list(enumerate(numbers)))}
    twice = next((index for index, each in enumerate(numbers) if first_of[each] < index), None)
    is_2020 = settings.generation == "2020"
    expires_in_s = _options(submission).expires_in_s
    held = {
        "webhook_url is plain http://, on which everybody on the way reads the reports; use https://": not settings.allow_plain_http
        and settings.webhook_url.startswith("http://"),
        "there is no recipient": not numbers,
        "every recipient must be a phone number": any(each.kind != "phone" for each in submission.recipients)
        or not all(map(_NUMBER.fullmatch, numbers)),
        "060, 067 and 069 are no mobile numbers": any(map(_NEVER_MOBILE.match, numbers)),
        f"recipient {twice} has the number of an earlier one": twice is not None,
        "the API of 2020 sends to Dutch numbers only": is_2020 and not all(n.startswith(_DUTCH) for n in numbers),
        "the API of 2020 knows no expires_in_s": is_2020 and expires_in_s is not None,
        f"expires_in_s is at least {ABROAD_EXPIRES_S} for numbers abroad": expires_in_s is not None
        and expires_in_s < ABROAD_EXPIRES_S
        and not all(n.startswith(_DUTCH) for n in numbers),
        "there is no text": not submission.text.strip(),
        f"the text has {len(submission.text)} characters, at most {settings.text_max} are sent": len(submission.text)
        > settings.text_max,
        "the text must be text/plain": submission.text_type != "text/plain",
        "a text message has no subject": bool(submission.subject),
        "a text message carries no documents": bool(submission.documents),
        f"the sender has at most {SENDER_MAX} characters": len(submission.sender) > SENDER_MAX,
    }
    return next((why for why, holds in held.items() if holds), "")


def _options(submission: Submission) -> Options:
    return submission.options or Options()


def next_request(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The call for the next slice; None when all are made, or while one is unclear.

    Which slice is next follows from the calls that were made, and so only while each of them is settled: were a later slice sent past an
    unclear one that then proves not sent, nobody could tell which of the two is missing.
    """
    if any(step.verdict == "unclear" for step in done):
        return None
    settings: Settings = access.settings
    first = sum(AT_ONCE if step.recipient is None else 1 for step in done)
    people = submission.recipients[first : first + (AT_ONCE if settings.generation == "2025" else 1)]
    if not people:
        return None
    headers = {"content-type": "application/json", "accept": "application/json"}
    return Request(
        operation="send",
        url=PATHS[settings.generation],
        headers=headers | ({"subaccount": settings.sub_account} if settings.sub_account else {}),
        body=json.dumps(_body(submission, people, settings)).encode(),
        recipient=first if len(people) == 1 else None,
    )


def _body(submission: Submission, people: Sequence[Address], settings: Settings) -> dict[str, Any]:
    """As published; what is not set is left out, and the API of 2020 knows the first two members only."""
    numbers = ",".join(number(each) for each in people)
    body = {
        "messages": [{"content": submission.text, "mobile_number": numbers}],
        "sender": submission.sender or settings.sender,
    }
    if settings.generation == "2025":
        expires_in_s = _options(submission).expires_in_s
        body |= {"webhook_url": settings.webhook_url, "expirein": str(expires_in_s or "")}
    return {name: value for name, value in body.items() if value}


def _unasked(row: Row) -> Row:
    """The row with what follows from there being nobody to ask."""
    told = f"{row.why}; KPN cannot be asked: a person settles it, perhaps by a report under a document_id that nobody knows"
    return replace(row, why=told) if row.verdict == "unclear" else row


ANSWERS = tuple(map(_unasked, (*kpn_calling.answers(PRODUCT), *DEFAULTS)))

CLIENT = Client(
    settings=Settings,
    secrets=kpn_calling.SECRETS,
    options=Options,
    check=check,
    next_request=next_request,
    answers=ANSWERS,
    code=kpn_calling.code(PRODUCT),
    token_request=kpn_calling.token_request,
    read_token=kpn_calling.read_token,
    authorise=kpn_calling.authorise,
)
