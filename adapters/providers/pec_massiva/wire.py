"""Reads what comes of PEC Massiva into observations: answers of its API, and the e-mails of the mailbox behind it.

The API shows receipts by subject only: there is no certification data and no signature, so who is delivered to is
known only when the text names them. The e-mails themselves have both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from adapters.providers.pec_mailbox import PROVIDER as MAILBOX
from adapters.providers.pec_massiva import facts, mails, quota, rows, sending
from adapters.providers.pec_massiva.answers import decode
from ledger.observations import Arrival, Observation, UnreadableError

NOTES = {
    **MAILBOX.notes,
    "joint_call": "one call for several recipients: one message_id, and a receipt is about whom it names",
    "recipient_by_call": "the row names nobody; its message_id was given to a call for one recipient",
    "mailbox_quota": "how full the mailbox is, in steps",
    "subject_differs": "the subject of a receipt says something else than its certification data, which was followed",
    "time_differs": "the e-mail's Date is not the certified time, which stands in the texts",
    "partial_send": "fewer were sent than addresses asked for; which ones is not said",
    "answer_unreadable": "the answer to a send call is not what was promised",
    "request_unreadable": "our own request, or an attachment in it, could not be read",
    "id_not_in_subject": "the subject does not end with the message_id that was asked for",
    "other_message": "a row of another message than the one asked for; it was filed under its own message_id",
    "sender_unexpected": "a receipt that does not come from a provider's posta-certificata mailbox",
    "not_a_receipt": "a message that came in, not a statement about one that was sent",
    "row_unreadable": "a row of the mailbox without a subject",
    "text_repaired": "characters that could not be read or stored stand as U+FFFD",
    "time_unreadable": "the time could not be read; it stands in the texts",
}


def recognise(_file_name: str, body: bytes) -> str:
    """The operation whose answer a bare JSON file looks like, or ""."""
    try:
        answer = decode(body)
        if "success" in answer and "message_id" in answer:
            return "send"
        found = rows.rows(answer)
    except UnreadableError:
        return ""
    if not found or not all(row.subject and row.sender and row.mailbox for row in found):
        return ""
    return "inbox" if "n_of_pages" in answer or isinstance(answer["data"], dict) else "send_status"


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What one answer of the API says; nothing when it says that there is nothing yet.

    Raises:
        UnreadableError: not an answer of this operation, and no HTTP status tells more.
    """
    reader = _OPERATIONS.get(arrival.operation)
    if reader is None:
        msg = f"operation {arrival.operation!r} is not read"
        raise UnreadableError(msg)
    return tuple(_finished(each) for seen in reader(arrival) for each in facts.each_named(seen))


def _finished(observation: Observation) -> Observation:
    texts = {path: value for path, value in observation.texts.items() if value}
    broken = "\N{REPLACEMENT CHARACTER}" in "".join(texts.values())
    return replace(observation, texts=texts, notes=observation.notes + (("text_repaired",) if broken else ()))


_OPERATIONS: dict[str, Callable[[Arrival], Iterable[Observation]]] = {
    "send": sending.read,
    "send_status": rows.read,
    "inbox": rows.read,
    "quota": quota.read,
    "receipt": mails.read,
}
