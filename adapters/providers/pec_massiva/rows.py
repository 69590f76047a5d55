"""Reads rows of the mailbox: GET /send/{code}, GET /inbox and GET /inbox/{id}.

A row is a subject, a time and a text. The numbers of rows move and are not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from adapters.providers.contract import Word
from adapters.providers.pec_mailbox.mime import decoded
from adapters.providers.pec_mailbox.statuses import subject_kind
from adapters.providers.pec_massiva import facts, sending, statuses
from adapters.providers.pec_massiva.answers import answer_of, error_row, http_row, is_success, value
from adapters.providers.reading import repaired, time_rfc2822
from ledger.observations import Arrival, Observation, Reference, UnreadableError

_CODE_IN_PATH = re.compile(r"/send/([0-9A-Za-z_-]+)/?$")


class Row(NamedTuple):
    """One e-mail of the mailbox as the API shows it, whichever way the fields are spelt; "" for what is missing."""

    subject: str
    sender: str
    mailbox: str
    text: str
    written: str


def read(arrival: Arrival) -> Iterator[Observation]:
    """What the rows of the mailbox say; nothing when there is nothing yet."""
    answer = answer_of(arrival)
    if answer.get("success") is False or not is_success(arrival.status):
        yield from _not_answered(answer, arrival)
        return
    code = _CODE_IN_PATH.search(arrival.name)
    whom = sending.addresses(arrival.request)
    alike: Counter[tuple[str, ...]] = Counter()
    for row in rows(answer):
        seen = _observation(row, code[1] if code else "", [a.value for a in whom] if len(whom) == 1 else [])
        # Without a recipient two deliveries of one second look alike: they are told apart by counting.
        number = 0 if seen.declares else alike[seen.identity]
        yield replace(seen, identity=(*seen.identity, str(number))) if seen.identity and number else seen
        alike[seen.identity] += 1


def rows(answer: dict[str, Any]) -> list[Row]:
    """The rows of an answer; the text of a single message is form-encoded."""
    data = answer.get("data")
    if isinstance(data, dict):
        row = _row(data)
        # Encoded text holds no white space; the published example is plain text, and must not lose its plus signs.
        return [row if re.search(r"\s", row.text) else row._replace(text=repaired(unquote_plus(row.text)))]
    if not isinstance(data, list):
        msg = "an answer without data"
        raise UnreadableError(msg)
    return [_row(one if isinstance(one, dict) else {}) for one in data]


def _row(fields: dict[str, Any]) -> Row:
    return Row(
        subject=decoded(value(fields, "subject", "object")),
        sender=value(fields, "sender"),
        mailbox=value(fields, "recipient"),
        text=value(fields, "body", "message"),
        written=value(fields, "date", "data"),
    )


def _not_answered(answer: dict[str, Any], arrival: Arrival) -> Iterator[Observation]:
    said = value(answer, "message")
    row = error_row(said) or http_row(arrival.status)
    if row and row.reason == "nothing_yet":
        return
    yield Observation(
        type="dispatch.attempted",
        about="account",
        code=row.word if row else "",
        reason=row.reason if row else "",
        texts={"error_text": said, "code": "" if row else str(arrival.status or "")},
    )


def _observation(row: Row, asked: str, whom: list[str]) -> Observation:
    """What one row says of the message whose id ends its subject; of the one asked for when no id does.

    Args:
        whom: the one recipient of the send that was asked about, as our own question says; else nobody.
    """
    kind, occurred = subject_kind(row.subject), time_rfc2822(row.written)
    in_subject = facts.message_id(row.subject)
    name = in_subject or asked
    word = kind.word if kind else " ".join(row.subject.partition(":")[0].split())
    base = Observation(
        type="channel.unmapped",
        references=(Reference("message_id", name),) if name else (),
        occurred=occurred,
        texts={
            "code": "" if kind else word,
            "subject": row.subject,
            "sender": row.sender,
            "mailbox": row.mailbox,
            "text": row.text,
            "time": "" if occurred else row.written,
        },
        notes=_notes(row, kind, asked, in_subject) + (() if occurred else ("time_unreadable",)),
    )
    named = _named(kind, row.text) if kind else []
    is_by_call = not named and name == asked and whom and kind is not None and kind.type != "inbound.received"
    base = replace(base, notes=(*base.notes, "recipient_by_call")) if is_by_call else base
    seen = facts.told(base, kind, name, whom if is_by_call else named, occurred) if kind else base
    person = seen.recipient.value if seen.recipient else ""
    by_row = ("row", name or row.subject, word, person, row.written) if name or row.subject else ()
    return replace(seen, identity=seen.identity or by_row)


def _notes(row: Row, kind: Word | None, asked: str, in_subject: str) -> tuple[str, ...]:
    is_receipt = kind is not None and kind.type != "inbound.received"
    held = {
        "row_unreadable": not row.subject,
        "id_not_in_subject": asked and not in_subject,
        "other_message": asked and in_subject and asked != in_subject,
        "not_a_receipt": kind is not None and not is_receipt,
        "sender_unexpected": is_receipt and statuses.RECEIPT_SENDER not in row.sender.casefold(),
    }
    return tuple(note for note, holds in held.items() if holds)


def _named(kind: Word, receipt: str) -> list[str]:
    """Whom the text of a receipt names: all recipients of its call, or the one that it is about."""
    if kind.type in facts.ABOUT_CALL and (listed := statuses.LISTED.findall(receipt)):
        return listed
    found = {one.casefold(): one for one in statuses.RECIPIENT.findall(receipt)}
    return list(found.values()) if len(found) == 1 else []
