"""Normal forms of addresses and names, so that two spellings of one recipient are found as one.

The form as given is kept among the sealed values; the normal form only feeds keyed digests. Numbers are read by `phonenumbers`, e-mail
addresses by `email-validator`; whatever these do not take is compared as text, so every input has a form. Which accounts write numbers
of which country is not known here (`ledger.regions`).
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import phonenumbers

from ledger.observations import Address

NO_REGION = "NL"
"""Where a national number belongs of which nobody said where; so were all read that came before a region could be said."""
PHONES = frozenset({"phone", "fax"})
MAX_EMAIL_CHARS = 512
"""What is longer is no address (RFC 5321 section 4.5.3.1: 64 and 255) and is compared as text."""
STEPS = 8
"""Of reading a form again until it stays the same; two were the most that was seen."""

_SPACE = re.compile(r"\s+")
_SCHEME = re.compile(r"\s*(?:(?:tel|sms|fax|mailto):\s*)+(?=\S)", re.IGNORECASE)
"""What a link that was copied begins with (RFC 3966, RFC 5724, RFC 2806, RFC 6068)."""
_E164 = re.compile(r"\+[0-9]+")
_PLAIN_PHONE = re.compile(r"\+31[1-9][0-9]{8}")
"""Nearly all there are where we are. They are their own form, as the library says too, in a hundredth of the time."""
_PLAIN_EMAIL = re.compile(r"[a-z0-9]([a-z0-9._+-]{0,62}[a-z0-9])?@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
"""Nearly all there are, in lower case. They are their own form, as the library says too, in a twentieth of the time."""
_EMAIL_OPTIONS: Mapping[str, Any] = {
    "check_deliverability": False,  # nothing is asked of anybody
    "allow_display_name": True,
    "allow_quoted_local": True,
    "allow_domain_literal": True,
    "allow_empty_local": True,
    "test_environment": True,  # domains under .test are compared like others
}


def _visible(value: str) -> str:
    """Without marks that nobody sees (direction, joiners), with every decimal digit written as ASCII does."""
    if value.isascii() and value.isprintable():
        return value
    shown = (
        c for c in unicodedata.normalize("NFKC", value) if unicodedata.category(c) not in {"Cf", "Cc"} or c.isspace()
    )
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in shown)


def _candidates(digits: str, region: str) -> Iterator[phonenumbers.PhoneNumber]:
    """What a number may be, likeliest first.

    Without 0 or + in front it begins with its country, unless the region writes national numbers without a 0 and this is one of them.
    """
    is_bare = digits[:1].isdigit() and not digits.startswith("0")
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if is_bare and metadata is not None and metadata.national_prefix != "0":
        yield from (n for n in _parsed(digits, region) if phonenumbers.is_valid_number(n))
    if is_bare:
        yield from _parsed(f"+{digits}", region)
    yield from _parsed(digits, region)


def _parsed(digits: str, region: str) -> Iterator[phonenumbers.PhoneNumber]:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return
    if phonenumbers.is_possible_number(number):
        yield number


def _number(number: phonenumbers.PhoneNumber) -> str:
    """E.164, and the extension as in RFC 3966: behind one number sit many people."""
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) + extension


def _phone(value: str, region: str) -> str:
    if _PLAIN_PHONE.fullmatch(value):
        return value
    digits = _SPACE.sub("", _visible(value)).casefold()
    number = next(_candidates(digits, region or NO_REGION), None)
    form = digits if number is None else _number(number)
    # A zero in front may be one that is only dialled; it falls off when it is read again.
    is_read = number is None or not number.italian_leading_zero or form == value
    return form if is_read else _phone(form, region)


def _email(value: str, _region: str) -> str:
    text = _visible(value).strip()
    inner = text.strip("<>").rstrip(".")
    text = text if "<" in inner else inner  # a name and then the address: the library reads that
    if text.isascii() and _PLAIN_EMAIL.fullmatch(text.lower()):
        return text.lower()
    local, _, domain = text.rpartition("@")
    if len(text) <= MAX_EMAIL_CHARS:
        with contextlib.suppress(ValueError):  # no address: compared as text
            from email_validator import validate_email  # noqa: PLC0415  few addresses come here, and it compiles a lot

            read = validate_email(text, **_EMAIL_OPTIONS)
            local, domain = read.local_part or "", read.ascii_domain or read.domain
    folded = unicodedata.normalize("NFC", local.casefold())
    return f"{folded}@{domain.casefold()}" if "@" in text else domain.casefold()


def _loose(value: str, _region: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", value)).strip().casefold()


def _identifier(value: str, _region: str) -> str:
    return re.sub(r"[\s.-]+", "", value).casefold()


_STEP: dict[str, Callable[[str, str], str]] = {
    "email": _email,
    "phone": _phone,
    "fax": _phone,
    "person_number": _identifier,
    "organisation": _identifier,
}


@lru_cache(maxsize=8192)
def _settled(kind: str, value: str, region: str) -> str:
    step = _STEP.get(kind, _loose)
    for _ in range(STEPS):
        before, value = value, step(value, region)
        if value == before or _E164.fullmatch(value):
            break
    return value


def normal(address: Address) -> str:
    """The form under which two spellings are equal; total: any text has one, and a form is its own form.

    06…, +316… and 0031… are one number; an extension makes another one. E-mail addresses compare without case, their domain as IDNA 2008
    writes it in ASCII (UTS 46); what follows a + in them names another mailbox. Postal addresses compare without case and white space.
    """
    return _settled(address.kind, address.value, address.region)


def located(address: Address, region: str) -> Address:
    """The address with the region it was written in, where that makes it another number."""
    if address.kind not in PHONES or address.region or region in {"", NO_REGION}:
        return address
    there = address._replace(region=region)
    return there if normal(there) != normal(address) else address


def is_region(text: object) -> bool:
    """Whether this is a country whose telephone numbers are known."""
    return text in phonenumbers.SUPPORTED_REGIONS


def is_national(address: Address) -> bool:
    """Whether which number this is may depend on the region."""
    return address.kind in PHONES and not address.region and not address.value.strip().startswith("+")


def value_of(address: Address) -> dict[str, str]:
    """What is kept of an address, as given."""
    return {"kind": address.kind, "address": address.value} | ({"region": address.region} if address.region else {})


def kept(value: Mapping[str, Any]) -> Address:
    """The address that `value_of` kept."""
    return Address(str(value["kind"]), str(value["address"]), str(value.get("region", "")))


# --- what a person may have meant


def guess(value: str) -> list[Address]:
    """What a person may have meant who typed an address, or copied a link to it, without saying its kind; the likeliest first."""
    if link := _SCHEME.match(value):
        return [*guess(value[link.end() :]), Address("other", value)]
    if "@" in value:
        return [Address("email", value)]
    if re.fullmatch(r"[+\d][\d\s().-]{5,}", value):
        return [Address(kind, value) for kind in ("phone", "fax", "person_number", "organisation")]
    others = [Address(kind, value) for kind in ("postal", "email", "other", "person_number", "organisation")]
    is_number = re.match(r"[+(]?\d", _visible(value).strip())  # short codes, letters for digits
    return others + ([Address(kind, value) for kind in sorted(PHONES)] if is_number else [])


def candidates(value: str, kind: str = "", regions: Iterable[str] = ()) -> list[Address]:
    """Every address that a person may have meant.

    Args:
        kind: of the address; "" tries what it may be.
        regions: where a number without a country may belong.
    """
    given = [Address(kind, value)] if kind else guess(value)
    return list(dict.fromkeys(a for each in given for a in (each, *(located(each, region) for region in regions))))


def forms(address: Address) -> tuple[str, ...]:
    """The normal form, and the one of earlier versions where that was another: what they filed is found without being written again.

    They left extensions out; that form is the number of somebody else, and nobody is found by it.
    """
    form = normal(address)
    step = _FORMER.get(address.kind)
    former = step(address.value) if step else _STEP.get(address.kind, _loose)(address.value, "")
    if ";ext=" in form and form.startswith(former):
        return (form,)
    return tuple(dict.fromkeys((form, former)))


# --- as it was done before regions, extensions and IDNA 2008; must never change


@lru_cache(maxsize=8192)
def _former_phone(value: str) -> str:
    if _PLAIN_PHONE.fullmatch(value):
        return value
    digits = _SPACE.sub("", value)
    candidates = (f"+{digits}", digits) if digits[:1].isdigit() and not digits.startswith("0") else (digits,)
    found = (number for each in candidates for number in _parsed(each, NO_REGION))
    return next((phonenumbers.format_number(n, phonenumbers.PhoneNumberFormat.E164) for n in found), digits.casefold())


def _former_email(value: str) -> str:
    local, at, domain = value.strip().strip("<>").rpartition("@")
    if not at:
        return domain.casefold()
    with contextlib.suppress(UnicodeError):
        domain = domain.encode("idna").decode() if not domain.isascii() else domain
    return f"{local.casefold()}@{domain.casefold().rstrip('.')}"


_FORMER: dict[str, Callable[[str], str]] = {
    "email": _former_email,
    "phone": _former_phone,
    "fax": _former_phone,
}
"""Kind -> how it was done; the others were read as they are today, once."""
