"""Who an envelope goes to: the recipients in an Ekopost address object, by its `$type`.

Says nothing of what became of them; whether a digital type fell back to print is not visible here.
"""

from __future__ import annotations

from typing import Any

import phonenumbers

from adapters.providers.ekopost.statuses import IDENTIFIER_KIND, RECIPIENT_FIELDS, SIGNER_FIELDS
from adapters.providers.reading import text
from ledger.observations import Address

REGION = "SE"
"""Of national phone numbers: the service is Swedish."""

UNKNOWN_FIELDS = (("other", "recipient"),)


def recipients(address: Any) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """The recipients that an address object names, and notes on what is odd about it.

    Args:
        address: the decoded value of `address`; null means postal, with the address in the document only.
    """
    if not isinstance(address, dict):
        return (), ("address_in_document" if address is None else "unknown_address_type",)
    kind = text(address.get("$type"))
    match kind:
        case "postal":
            found = _postal(address)
            return found, () if found else ("address_in_document",)
        case "einvoice":
            identifier = IDENTIFIER_KIND.get(text(address.get("recipient_type")), "other")
            return _first(address, ((identifier, "recipient"),)), ()
        case "einbox_signer":
            signers = address.get("signers")
            people = signers if isinstance(signers, list) else ()
            return tuple(a for signer in people for a in _first(signer, SIGNER_FIELDS)), ()
        case "protected":
            return _first(address, RECIPIENT_FIELDS[kind]), ("protected_identity",)
    known = kind in RECIPIENT_FIELDS
    return _first(address, RECIPIENT_FIELDS.get(kind, UNKNOWN_FIELDS)), () if known else ("unknown_address_type",)


def _first(holder: Any, fields: tuple[tuple[str, str], ...]) -> tuple[Address, ...]:
    """The first of the fields that has a value, as one address."""
    values = holder if isinstance(holder, dict) else {}
    found = (Address(kind, text(values.get(field)).strip()) for kind, field in fields)
    return next(((address,) for address in found if address.value), ())


def _lines(value: Any) -> list[str]:
    return [text(line).strip() for line in (value if isinstance(value, list) else [value])]


def _postal(address: dict[str, Any]) -> tuple[Address, ...]:
    town = " ".join((*_lines(address.get("postal_code")), *_lines(address.get("city")))).strip()
    rows = [*_lines(address.get("name")), *_lines(address.get("street")), town, *_lines(address.get("country"))]
    value = "\n".join(row for row in rows if row)
    return (Address("postal", value),) if value else ()


def one_spelling(number: str) -> str:
    """A phone number with its country; as it was written where it is none. Identities hold it, so it must never change."""
    try:
        read = phonenumbers.parse(number, REGION)
    except phonenumbers.NumberParseException:
        return number
    is_one = phonenumbers.is_possible_number(read)
    return phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164) if is_one else number


def used(address: Any) -> str:
    """The postal address that Ekopost says it prints or looked up; "" when it says none."""
    is_postal = isinstance(address, dict) and text(address.get("$type")) == "postal"
    return "\n".join(each.value for each in _postal(address)) if is_postal else ""
