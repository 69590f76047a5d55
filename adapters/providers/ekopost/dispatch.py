"""How a message is sent: campaign, envelope, contents, close the envelope, close the campaign; each step follows from the answers before.

Only the last step can cause a letter, so only it is never repeated while unclear: it is asked about. What comes before may be
repeated: a second envelope is refused by its `unique_id` (126, then it is looked up), a second document by 103, and of a second
campaign, which stays empty, nothing is printed. An attachment alone has no such guard; an unclear one waits for a person.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from adapters.providers.calling import Access, Answer, Document, Exchange, Request, Row, Submission, Verdict
from adapters.providers.ekopost import statuses
from adapters.providers.ekopost.channels import CHANNELS, address_object
from adapters.providers.ekopost.objects import fields_of, id_of
from adapters.providers.ekopost.options import Options, content_type, is_sms, signs, type_of
from adapters.providers.reading import json_value, text, time_iso
from ledger.observations import UnreadableError, ZoneBasis

HEADERS = {"content-type": "application/json; charset=UTF-8", "accept": "application/json"}
LOOK_BACK = timedelta(days=31)

# --- the chain of requests

Chain = Generator[Request, Exchange, None]
Part = Generator[Request, Exchange, str]


def next_request(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The first request of the chain that is not answered; None at its end, after a refusal, and while one is unclear."""
    if any(step.verdict == "unclear" for step in done):
        return None
    return _after(submission, done, access)


def _after(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The request that the chain comes to after these answers."""
    chain = _sms(submission) if is_sms(submission) else _letter(submission, access)
    try:
        request = next(chain)
        for step in done:
            if step.verdict == "refused":
                return None
            request = chain.send(step)
    except StopIteration:
        return None
    return request


def _letter(submission: Submission, access: Access) -> Chain:
    options: Options = submission.options or Options()
    kind = type_of(submission)
    if options.ask_reachable:
        said = yield _reachable(kind, submission)
        kind = "" if said.answer and said.answer.status == 404 else kind
    campaign = yield from _campaign(submission, options, access)
    place = f"/campaigns/{campaign}"
    envelope = (yield from _envelope(place, submission, options, kind)) if campaign else ""
    if envelope:
        yield from _finish(place, f"{place}/envelopes/{envelope}", submission, options)


def _campaign(submission: Submission, options: Options, access: Access) -> Part:
    """The id of the campaign that is joined or made."""
    if options.campaign:
        listed = yield _named_campaigns(options.campaign, access)
        joined = _open_one(listed.answer, options.campaign)
        if joined:
            return joined
    made = yield _create_campaign(submission, options)
    return _id(made.answer)


def _envelope(place: str, submission: Submission, options: Options, kind: str) -> Part:
    """The id of the envelope that is made, or was made by an earlier call with this unique_id (126)."""
    address = _address(submission, options, kind) if kind else {"$type": "postal", **options.fallback}
    made = yield _create_envelope(place, submission, options, address)
    known = _id(made.answer)
    if known:
        return known
    listed = yield _get("envelope", f"{place}/envelopes?{urlencode({'name': submission.message})}")
    return _ours(listed.answer, submission.message)


def _finish(place: str, envelope: str, submission: Submission, options: Options) -> Chain:
    """Add the contents and close; a campaign that others still fill stays open."""
    is_main = True
    for document in submission.documents:
        kind = content_type(document, options)
        if kind == "document":
            kind, is_main = ("document", False) if is_main else ("attachment", is_main)
        yield _content(f"{envelope}/content", document, kind, options)
    closed = yield _post("envelope", f"{envelope}/close", may_send=not options.close)
    if options.close and _state(closed.answer) != "closed":
        seen = yield _get("envelope", envelope)
        if _state(seen.answer) != "closed":
            yield _post("envelope", f"{envelope}/close", may_send=True)
    if options.close:
        yield _post("campaign", f"{place}/close", may_send=True)


def _sms(submission: Submission) -> Chain:
    """One call (assumed: only the error codes 128 to 134 are known of it)."""
    body = {
        "FromName": submission.sender,
        "mime": "text/plain",
        "data": base64.b64encode(submission.text.encode()).decode(),
        "recipients": [each.value for each in submission.recipients],
    }
    yield _post("sms_send", "/sms", body, may_send=True)


# --- its requests


def _post(operation: str, url: str, body: object = None, *, may_send: bool = False) -> Request:
    data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    return Request(operation=operation, url=url, headers=HEADERS, body=data, may_send=may_send)


def _get(operation: str, url: str) -> Request:
    return Request(operation=operation, method="GET", url=url, headers=HEADERS, may_send=False)


def _reachable(kind: str, submission: Submission) -> Request:
    """Asked by POST, so that no personal number stands in a path (that it takes a body is assumed)."""
    return _post("reachable", f"/reachable/{CHANNELS[kind].reachable}", {"recipient": submission.recipients[0].value})


def _named_campaigns(name: str, access: Access) -> Request:
    """The open campaigns of that name; what is kept of the call is without the name."""
    asked = {"name": name, "state": "opened", "start": _day(access.now - LOOK_BACK), "stop": _day(access.now, 1)}
    return replace(_get("campaign", f"/campaigns?{urlencode(asked)}"), name="/campaigns")


def _day(at: datetime, later: int = 0) -> str:
    return f"{at.astimezone(UTC) + timedelta(days=later):%Y-%m-%d}"


def _create_campaign(submission: Submission, options: Options) -> Request:
    given = time_iso(options.output_date, ZoneBasis.DOCUMENTED) if options.output_date else None
    output = given.at if given else submission.requested_at.astimezone(UTC)
    body: dict[str, Any] = {
        "name": options.campaign or submission.message,
        "output_date": f"{output:%Y-%m-%d %H:%M:%S}",
        "cost_center": options.cost_center,
        "signing": signs(type_of(submission)),
    }
    return _post("campaign", "/campaigns", body | ({"replymail": "true"} if options.reply_mail else {}))


def _create_envelope(place: str, submission: Submission, options: Options, address: dict[str, Any] | None) -> Request:
    """Named as the message is: the name serves to find it, and tells nobody anything."""
    body: dict[str, Any] = {
        "name": submission.message,
        "address": address,
        "postage": options.postage,
        "plex": options.plex,
        "color": options.color,
        "unique_id": submission.message,
    }
    if options.postage == "rek":
        body |= {"pu": options.pu, "kb": options.kb}
    texts = {"consignor_contact": options.consignor_contact, "agent": options.agent}
    body |= {name: value for name, value in texts.items() if value}
    return _post("envelope_create", f"{place}/envelopes", body)


def _address(submission: Submission, options: Options, kind: str) -> dict[str, Any] | None:
    address = address_object(kind, submission.recipients, options.address, submission.subject)
    for number, signer in enumerate(address.get("signers", ()) if address and signs(kind) else ()):
        signer |= {"email": options.signer_emails[number], "issuer": number == options.issuer}
    return address


def _content(url: str, document: Document, kind: str, options: Options) -> Request:
    body: dict[str, Any] = {
        "data": base64.b64encode(document.data).decode(),
        "mime": document.media_type.partition(";")[0].strip().lower(),
        "length": len(document.data),
        "type": kind,
    }
    body |= {"return_address": True} if options.return_address and kind == "document" else {}
    return _post("content", url, body, may_send=kind not in {"document", "markup"})


# --- what answers say


def _said(answer: Answer | None) -> Any:
    try:
        return json_value(answer.body) if answer else None
    except UnreadableError:
        return None


def _id(answer: Answer | None) -> str:
    said = fields_of(_said(answer))
    return "" if said.get("error_code") else id_of(said)


def _state(answer: Answer | None) -> str:
    return text(fields_of(_said(answer)).get("state"))


def _open_one(answer: Answer | None, name: str) -> str:
    """The campaign of exactly that name that is open; the list is newest first."""
    listed = _said(answer)
    found = (fields_of(each) for each in (listed if isinstance(listed, list) else ()))
    return next((id_of(c) for c in found if c.get("name") == name and c.get("state") == "opened"), "")


def _ours(answer: Answer | None, message: str) -> str:
    """The envelope with our unique_id, or, where that is not shown, with our name."""
    listed = _said(answer)
    found = (fields_of(each) for each in (listed if isinstance(listed, list) else ()))
    return next((id_of(e) for e in found if (e.get("unique_id") or e.get("name")) == message), "")


def code(request: Request, answer: Answer) -> str:
    """Ekopost's error code, also inside a 2xx; else `ok` for what was promised, `again` for what may be repeated."""
    said = _said(answer)
    error = text(fields_of(said).get("error_code")).strip()
    if answer.status == 400 and error not in _KEEPS_OPEN and _is_first_close(request):
        return "look"
    if error:
        return error if error in _WORDS else ""
    if request.operation == "reachable" and answer.status == 404:
        return "not_reachable"
    if answer.status // 100 == 2 and _is_promised(request, said):
        return "ok"
    return "again" if not request.may_send and answer.status // 100 in {2, 5} else ""


def _is_first_close(request: Request) -> bool:
    """An envelope's close that may have been made before, when its answer was lost: then a refusal may mean that it is closed."""
    return request.operation == "envelope" and request.url.endswith("/close") and not request.may_send


def _is_promised(request: Request, said: Any) -> bool:
    if request.method == "GET" and "?" in request.url:
        return isinstance(said, list)
    return bool(text(fields_of(said).get("recipient")) if request.operation == "reachable" else id_of(said))


_KEEPS_OPEN = frozenset({"0", "100A", "100B", "105", "107", "111", "113", "137", "142", "143"})
"""Refusals of a close that leave no doubt that the envelope is open."""

_WORDS = {row.word for row in statuses.ERROR}

ANSWERS = (
    Row("2xx", "ok", "sent", "Ekopost took it", source="R"),
    Row("404", "not_reachable", "sent", "the recipient has no such mailbox", source="R"),
    Row("", "again", "later", "Ekopost failed or did not answer as promised; what was asked may be asked again"),
    Row("400", "look", "sent", "it may be closed already; that is looked at next", source="A"),
    Row("", "0", "later", "Ekopost does not accept our credentials", "hour", "R"),
    Row("", "102", "later", "another envelope of the campaign is still open", "minute", "R"),
    Row("", "113", "later", "the credit limit of the month is used up", "month", "R"),
    Row("", "143", "later", "more than 50 documents over 8 MB today", "day", "R"),
    Row("", "103", "sent", "the document is there already, from a call whose answer was lost", source="R"),
    Row("", "110", "sent", "the markup is there already, from a call whose answer was lost", source="R"),
    Row("", "126", "sent", "the envelope is there already, from a call whose answer was lost", source="R"),
    *(Row("", row.word, "refused", row.meaning, source="R") for row in statuses.ERROR),
)
"""What an answer means, the first row that fits. Days and months are Ekopost's, in Stockholm."""


# --- an unclear step


def ask(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """Whether the envelope or campaign of an unclear close is closed; nothing else can be asked about."""
    unclear = next((number for number, step in enumerate(done) if step.verdict == "unclear"), len(done))
    request = _after(submission, done[:unclear], access)
    if request is None or unclear == len(done) or not request.url.endswith("/close"):
        return None
    return _get(request.operation, request.url.removesuffix("/close"))


def found(_submission: Submission, answer: Answer) -> Verdict:
    """An open one was not closed; one in any other state was."""
    state = _state(answer) if answer.status == 200 else ""
    return "unclear" if not state else "later" if state == "opened" else "sent"
