"""Normal forms of addresses and names, so that two spellings of one recipient are found as one.

The form as given is kept among the sealed values; the normal form only feeds keyed digests.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import phonenumbers

from ledger.observations import Address

DEFAULT_REGION = "NL"
"""Region of national phone numbers: the telephone providers served here are Dutch."""

_SPACE = re.compile(r"\s+")


@lru_cache(maxsize=256)
def _phone(value: str) -> str:
    digits = _SPACE.sub("", value)
    candidates = (digits, f"+{digits}") if digits[:1].isdigit() and not digits.startswith("0") else (digits,)
    for candidate in candidates[::-1]:
        try:
            number = phonenumbers.parse(candidate, DEFAULT_REGION)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return digits.casefold()


def _email(value: str) -> str:
    local, at, domain = value.strip().strip("<>").rpartition("@")
    if not at:
        return domain.casefold()
    with contextlib.suppress(UnicodeError):
        domain = domain.encode("idna").decode() if not domain.isascii() else domain
    return f"{local.casefold()}@{domain.casefold().rstrip('.')}"


def _loose(value: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", value)).strip().casefold()


def _identifier(value: str) -> str:
    return re.sub(r"[\s.-]+", "", value).casefold()


_NORMAL: dict[str, Callable[[str], str]] = {
    "email": _email,
    "phone": _phone,
    "fax": _phone,
    "person_number": _identifier,
    "organisation": _identifier,
}


def normal(address: Address) -> str:
    """The form under which two spellings are equal; total: any text has one.

    06…, +316… and 0031… are one number; e-mail addresses compare without case; postal addresses without
    case and white space.
    """
    return _NORMAL.get(address.kind, _loose)(address.value)


def guess(value: str) -> list[Address]:
    """What a person may have meant who typed an address without saying its kind."""
    if "@" in value:
        return [Address("email", value)]
    if re.fullmatch(r"[+\d][\d\s().-]{5,}", value):
        return [Address(kind, value) for kind in ("phone", "fax", "person_number", "organisation")]
    return [Address(kind, value) for kind in ("postal", "email", "other", "person_number", "organisation")]
