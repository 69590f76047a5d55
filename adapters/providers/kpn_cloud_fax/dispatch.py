"""Which call of a send comes next: the job, and then, where it was asked for, a receipt from each recipient.

One job takes all recipients. Leaves out: asking what became of an unclear send. A job has no name of ours by which it could be
found; KPN's list (`reconciling`) shows it to a person.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from adapters.providers import kpn_calling
from adapters.providers.calling import Access, Answer, Exchange, Request, Row, Submission
from adapters.providers.kpn_cloud_fax.sending import PRODUCT
from adapters.providers.reading import json_object
from ledger.observations import UnreadableError

_NUMBER = re.compile(r"\+?\d[\d ()./-]{3,30}", re.ASCII)
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_JSON = {"content-type": "application/json", "accept": "application/json"}
_JOB_TYPES = {"pcifax": "PCIFax", "securefax": "SecureFax"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one send.

    Attributes:
        job: `pcifax` and `securefax` are held at KPN for the recipient, who may be asked for a receipt.
        receipt_to: e-mail address that is told of the receipt; "" = none is asked for.
        remind_after_days: when KPN reminds the recipient of it; 0 = never.
    """

    job: Literal["fax", "pcifax", "securefax"] = "fax"
    receipt_to: str = ""
    remind_after_days: Annotated[int, msgspec.Meta(ge=0, le=30)] = 0


def _is_text(submission: Submission) -> bool:
    return all(each.kind == "phone" for each in submission.recipients)


def check(submission: Submission, _access: Access) -> str:
    """Why this cannot be sent, or ""."""
    options: Options = submission.options or Options()
    kinds = {each.kind for each in submission.recipients}
    is_text = _is_text(submission)
    held = {
        "there is no recipient": not submission.recipients,
        "recipients are fax numbers (a fax) or phone numbers (a text message), not both": kinds
        not in ({"fax"}, {"phone"}),
        "a number has digits only, after a + or not": not all(
            _NUMBER.fullmatch(each.value) for each in submission.recipients
        ),
        "the sender is set at KPN, for the account": submission.sender,
        "a text message is plain text without documents": is_text and (not submission.text or submission.documents),
        "a text message has no subject, and takes no options": is_text and (submission.subject or options != Options()),
        "a fax is made of documents; put the text into one": not is_text
        and (submission.text or not submission.documents),
        "an empty document cannot be faxed": not all(each.data for each in submission.documents),
        "the text must be text/plain": submission.text and submission.text_type != "text/plain",
        "the subject must be one line": not submission.subject.isprintable(),
        "receipts are given for pcifax and securefax only": options.receipt_to and options.job == "fax",
        "receipt_to must be an e-mail address": options.receipt_to and not _ADDRESS.fullmatch(options.receipt_to),
        "remind_after_days needs receipt_to": options.remind_after_days and not options.receipt_to,
    }
    return next((why for why, holds in held.items() if holds), "")


def next_request(submission: Submission, done: Sequence[Exchange], access: Access) -> Request | None:
    """The job, then each receipt; nothing more where the job was not taken or its answer is gone."""
    if not done:
        return _job(submission, access)
    options: Options = submission.options or Options()
    jobid = _jobid(done[0])
    if not options.receipt_to or not jobid:
        return None
    asked = {step.recipient for step in done[1:]}
    index = next((i for i in range(len(submission.recipients)) if i not in asked), None)
    return None if index is None else _receipt(submission, index, jobid)


def _jobid(step: Exchange) -> str:
    if step.verdict != "sent" or step.answer is None:
        return ""
    try:
        return PRODUCT.read_id(json_object(step.answer.body))
    except UnreadableError:
        return ""


def _job(submission: Submission, access: Access) -> Request:
    options: Options = submission.options or Options()
    numbers = [each.value for each in submission.recipients]
    if _is_text(submission):
        said: dict[str, Any] = {"targets": numbers, "text": submission.text}
        return Request(operation="send_sms", url="/sendsms", headers=_JSON, body=_encoded(said))
    said = {"subject": submission.subject} if submission.subject else {}
    said |= {"jobType": _JOB_TYPES[options.job]} if options.job in _JOB_TYPES else {}
    if access.settings.upload == "raw":
        return _form(submission, said)
    papers = [{"name": each.name, "content": b64encode(each.data).decode()} for each in submission.documents]
    body = _encoded({"targets": numbers, **said, "documents": papers})
    return Request(operation="send", url="/sendfax", headers=_JSON, body=body, timeout_s=300.0)


def _encoded(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def _form(submission: Submission, said: dict[str, Any]) -> Request:
    """RFC 7578; the boundary is a digest of the documents, so that none of them holds it."""
    boundary = hashlib.sha256(b"\0".join(each.data for each in submission.documents)).hexdigest()
    fields = [*(("target", each.value) for each in submission.recipients), *said.items()]
    parts = [f'form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields]
    parts += [
        f'form-data; name="document"; filename="{_file_name(each.name)}"\r\ncontent-type: {_media(each.media_type)}'.encode()
        + b"\r\n\r\n"
        + each.data
        for each in submission.documents
    ]
    body = b"".join(f"--{boundary}\r\ncontent-disposition: ".encode() + part + b"\r\n" for part in parts)
    headers = {"content-type": f"multipart/form-data; boundary={boundary}", "accept": "application/json"}
    return Request(
        operation="send_raw",
        url="/sendfax/raw",
        headers=headers,
        body=body + f"--{boundary}--\r\n".encode(),
        timeout_s=300.0,
    )


def _file_name(name: str) -> str:
    """RFC 7578 section 4.2, percent-encoded where it is not plain."""
    return quote(name, safe=" .,()+-_", errors="replace")


def _media(said: str) -> str:
    media_type = said.partition(";")[0].strip().lower()
    return media_type if re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", media_type) else "application/octet-stream"


def _receipt(submission: Submission, index: int, jobid: str) -> Request:
    options: Options = submission.options
    said: dict[str, Any] = {
        "jobid": jobid,
        "target": submission.recipients[index].value,
        "notifyTo": options.receipt_to,
    }
    said |= {"jobRemainder": options.remind_after_days} if options.remind_after_days else {}
    return Request(operation="ackreceipt", url="/ackreceipt", headers=_JSON, body=_encoded(said), recipient=index)


# --- what an answer means

ANSWERS = (
    Row("2xx", "receipt", "sent", "the recipient is asked for a receipt", source="R"),
    # The fax is under way: that its recipient is not asked for a receipt must not stop it, nor count as its failure.
    Row("4xx", "no_receipt", "sent", "KPN does not ask for a receipt; the fax itself is under way"),
    *kpn_calling.answers(PRODUCT),
)
_ASK_AGAIN = frozenset({401, 429})
_code = kpn_calling.code(PRODUCT)


def code(request: Request, answer: Answer) -> str:
    """What ANSWERS calls an answer to a send or to a request for a receipt."""
    if request.operation != "ackreceipt" or answer.status in _ASK_AGAIN:
        return _code(request, answer)
    return {2: "receipt", 4: "no_receipt"}.get(answer.status // 100) or _code(request, answer)
