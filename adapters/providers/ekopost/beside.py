"""What Ekopost tells beside letters, as observations: invitations to exchange e-invoices, text messages, reachability."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from adapters.providers.contract import Word
from adapters.providers.ekopost import statuses
from adapters.providers.ekopost.addresses import one_spelling
from adapters.providers.ekopost.objects import Reading, batch_of, each, fact, fields_of, required_id, rows_of, word_of
from adapters.providers.reading import text
from ledger.observations import Address, Observation, Reference, UnreadableError

INVITATION, SMS, REACHABLE = (rows_of(table) for table in (statuses.INVITATION, statuses.SMS, statuses.REACHABLE))


def invitations(reading: Reading) -> Iterator[Observation]:
    """The status of each invitation to exchange e-invoices."""
    return each(reading.value, _invitation, None)


def _invitation(item: Any) -> tuple[Observation]:
    """One invitation; its keys may be PascalCase, as the page prints them, or snake_case, as answers are."""
    flat = {key.replace("_", "").lower(): text(value).strip() for key, value in fields_of(item).items()}
    cin, gln, date = (flat.get(key, "") for key in ("receivercin", "receivergln", "datesent"))
    if not cin and not gln:
        msg = "an invitation without a receiver"
        raise UnreadableError(msg)
    name, word = f"{cin}/{gln}/{date}", word_of(flat, "status")
    base = Observation(
        type="",
        references=(Reference("invitation", name),),
        declares=(Address("organisation", cin or gln),),
        texts={"date_sent": date} if date else {},
    )
    time = date if word in statuses.SENT else ""
    return (fact(base, INVITATION, word, ("invitation", name, "status"), time),)


def sms(reading: Reading) -> Iterator[Observation]:
    """The state of each number of an SMS (an assumed shape)."""
    fields = statuses.SMS_FIELDS
    message = required_id(reading.value, "an SMS", fields["message"])
    numbers = reading.value.get(fields["recipients"])
    if not isinstance(numbers, list):
        msg = "an SMS without a list of recipients"
        raise UnreadableError(msg)
    base = Observation(
        type="", references=(Reference("sms_id", message),), batch=batch_of(reading.campaign), about="recipient"
    )
    return each(numbers, lambda item: _sms_recipient(item, base, message), base.batch)


def _sms_recipient(item: Any, base: Observation, message: str) -> tuple[Observation]:
    fields = statuses.SMS_FIELDS
    address = Address("phone", required_id(item, "a recipient of an SMS", fields["number"]))
    person = replace(base, recipient=address, declares=(address,))
    about = ("sms", message, one_spelling(address.value), "state")
    return (fact(person, SMS, word_of(item, fields["state"]), about, item.get(fields["time"])),)


def reachable(reading: Reading) -> tuple[Observation]:
    """That the recipient has such a mailbox. Who it is stands in our request, and is not repeated."""
    if not text(fields_of(reading.value).get("recipient")):
        msg = "an answer about a mailbox that does not repeat whose"
        raise UnreadableError(msg)
    return (_reachability(reading, REACHABLE["reachable"]),)


def not_reachable(reading: Reading) -> tuple[Observation]:
    """That the recipient has none: 404 is an answer here, not an error."""
    return (_reachability(reading, REACHABLE["not_reachable"]),)


def _reachability(reading: Reading, row: Word) -> Observation:
    asked = hashlib.sha256(repr(reading.request).encode()).hexdigest()
    at = reading.at.isoformat() if reading.at else ""
    return Observation(type=row.type, code=row.word, identity=("reachable", asked, at))
