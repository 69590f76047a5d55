"""What each address type of Ekopost is: whom it takes, by which way it goes, what happens where that way is closed, and what it can prove.

Builds the address object of a new envelope. Leaves out which fields an e-invoice needs: they are given as options, as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adapters.providers.contract import Word
from ledger.observations import Address


class Channel(NamedTuple):
    """A row of the table.

    Attributes:
        takes: kinds of addresses, as in `ledger.observations.Address`.
        way: how the content travels.
        fallback: what Ekopost does by itself when the recipient has no such mailbox; "" = the envelope fails.
        best_grade: the highest evidence grade that Ekopost's statements can reach on this way.
        reachable: the `type` under which reachability can be asked; "" = it cannot.
        field: of the address object, that holds the recipient.
    """

    takes: frozenset[str]
    way: str
    fallback: str
    best_grade: str
    reachable: str = ""
    field: str = "recipient"


_PERSON, _FIRM = frozenset({"person_number"}), frozenset({"person_number", "organisation", "other"})

CHANNELS: dict[str, Channel] = {
    "postal": Channel(frozenset({"postal"}), "letter", "", "E2, of a registered letter E3"),
    "protected": Channel(_PERSON, "letter by the tax agency", "", "E2"),
    "lookup": Channel(_PERSON, "letter to the registered address", "", "E2"),
    "email": Channel(frozenset({"email"}), "e-mail", "", "E2"),
    "einbox": Channel(_PERSON, "digital mailbox (Digipost, Mina meddelanden)", "letter", "E2", "einbox"),
    "einbox_kivra": Channel(_PERSON, "digital mailbox (Kivra)", "letter", "E2", "einbox"),
    "einbox_signer": Channel(_PERSON, "digital mailbox and e-mail, to be signed", "e-mail link", "E2"),
    "einvoice": Channel(_FIRM, "e-invoice", "", "E2", "einvoice"),
    "ebank": Channel(frozenset({"other"}), "invoice in the bank", "", "E2", "ebank"),
    "einvoice_mastercard": Channel(
        _FIRM, "e-invoice (Mastercard)", "", "E2", "mastercard", field="social_security_number"
    ),
}
"""Address type -> what it is. E2, because Ekopost says `posted` and nothing after it; only a registered letter is tracked by its
carrier."""

USUAL = {"postal": "postal", "email": "email", "person_number": "einbox", "organisation": "einvoice", "other": "ebank"}
"""Kind of address -> the type that is taken where the sender names none."""

ROW_CHARS = 35
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_TOWN = re.compile(r"(\d{3} ?\d{2}|\d{4})\s+(\S.*)")
_FIVE_DIGITS = re.compile(r"\d{3} ?\d{2}")


def rows() -> tuple[Word, ...]:
    """The table as words, for people."""
    return tuple(
        Word(kind, "", f"{each.way}; {_else(each)}; evidence up to {each.best_grade}", "R")
        for kind, each in CHANNELS.items()
    )


def _else(channel: Channel) -> str:
    return (
        f"goes as {channel.fallback} where that is not possible"
        if channel.fallback
        else "fails where that is not possible"
    )


def postal_fields(value: str) -> dict[str, Any]:
    """A postal address written in rows (name, street …, code and town[, country]) as fields; empty when it is not written so."""
    rows = [row.strip() for row in value.splitlines() if row.strip()]
    country = rows.pop().upper() if rows and _COUNTRY.fullmatch(rows[-1]) else "SE"
    town = _TOWN.fullmatch(rows[-1]) if len(rows) >= 2 else None
    if town is None:
        return {}
    code, city = town.groups()
    return {"name": rows[:1], "street": rows[1:-1], "postal_code": code, "city": city, "country": country}


def too_long(fields: Mapping[str, Any]) -> str:
    """Why a registered letter cannot go to these fields of a postal address, or ""."""
    rows = [str(row) for name in ("name", "street") for row in fields.get(name) or ()]
    if any(len(row) > ROW_CHARS for row in rows):
        return f"rows of the name and street of a registered letter have at most {ROW_CHARS} characters"
    if fields and not _FIVE_DIGITS.fullmatch(str(fields.get("postal_code", ""))):
        return "the postal code of a registered letter has five digits"
    return ""


def address_object(
    address_type: str, recipients: Sequence[Address], given: Mapping[str, Any], subject: str = ""
) -> dict[str, Any] | None:
    """The address object, `$type` first as the page demands; None where the address stands only in the document.

    Args:
        given: further fields as Ekopost names them. Only a postal address may be told better by them (see `is_elsewhere`): whom
            it goes to follows from the recipients, and from nothing else.
    """
    further = {name: value for name, value in given.items() if name != "$type"}
    if address_type == "postal":
        postal = {**postal_fields(recipients[0].value), **further}
        return {"$type": address_type, **postal} if postal else None
    if address_type == "einbox_signer":
        fields: dict[str, Any] = {"signers": [{"recipient": each.value} for each in recipients]}
    else:
        fields = {CHANNELS[address_type].field: recipients[0].value}
    shown = {"subject": subject} if subject and address_type in {"email", "einbox", "einbox_kivra"} else {}
    return {"$type": address_type, **shown, **further, **fields}


def is_elsewhere(recipient: Address, given: Mapping[str, Any]) -> bool:
    """Whether the fields of a postal address name a person or place that the recipient's own rows do not hold."""
    whole = "".join(recipient.value.casefold().split())
    told = [given.get(name) or "" for name in ("name", "street", "postal_code", "city")]
    rows = [str(row) for value in told for row in (value if isinstance(value, list) else [value])]
    return any("".join(row.casefold().split()) not in whole for row in rows)
