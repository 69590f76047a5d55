"""Whether something names a person who is known by an address: in any spelling, in texts, in what mail parts and base64 hide.

It errs neither way on purpose: an address that is part of a longer one is another's. What cannot be searched is told, never guessed. A
person who is named by something else than the address is not found.
"""

from __future__ import annotations

import email
import email.policy
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import phonenumbers

from ledger.addresses import normal
from ledger.observations import Address
from projections.naming import UnsearchableError, fold, texts

MIN_CHARS = 5
"""What is shorter is found by its keyed digest only: in texts it would be found in other words."""
_BETWEEN = r"[\s().\-/\u2010-\u2015]{0,3}"
_ABROAD = re.compile(r"(?:\+|(?<!\d)00) ?\d{1,3}[ ().\-/]{1,3}\Z")
"""A number's country, right before what was found."""
_ABROAD_CHARS = 12
_PHONES = frozenset({"phone", "fax"})
_IDENTIFIERS = frozenset({"person_number", "organisation"})


class Person:
    """One person, by the addresses that are known to be theirs.

    Args:
        addresses: spellings of one address, and of others of the same person.
    """

    def __init__(self, addresses: Iterable[Address]) -> None:
        self.addresses = tuple(dict.fromkeys(addresses))
        self.normals = frozenset(normal(address) for address in self.addresses)
        patterns = dict.fromkeys(pattern for address in self.addresses if (pattern := _pattern(address)))
        self._searches = [re.compile(pattern) for pattern in patterns]

    @property
    def is_searchable(self) -> bool:
        """Whether texts can be searched for them at all."""
        return bool(self._searches)

    def in_texts(self, given: Iterable[str]) -> bool:
        """Whether a text names them."""
        folded = (fold(text) for text in given)
        return any(_finds(search, text) for text in folded for search in self._searches)

    def in_values(self, values: Any) -> bool:
        """Whether a value, as it is committed, names them, whatever its texts hide."""
        return any(self.in_bytes(text.encode()) for text in _strings(values))

    def in_bytes(self, body: bytes) -> bool:
        """Whether some bytes name them; what no text can be made of is searched as it stands."""
        try:
            return self.in_texts(texts(body))
        except (UnsearchableError, RecursionError):
            return any(self._in_part(part) for part in _mail_parts(body))

    def _in_part(self, part: bytes) -> bool:
        try:
            return self.in_texts(texts(part))
        except (UnsearchableError, RecursionError):
            return self.in_texts(_raw(part))


def _finds(search: re.Pattern[str], text: str) -> bool:
    """Whether a search finds something that is not the end of another country's number."""
    return any(not _ABROAD.search(text[max(0, f.start() - _ABROAD_CHARS) : f.start()]) for f in search.finditer(text))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)


def _mail_parts(body: bytes) -> Iterator[bytes]:
    """Bytes of which some cannot be searched, and the parts of the mail that they may be."""
    yield body
    for part in email.message_from_bytes(body, policy=email.policy.compat32).walk():
        payload = None if part.is_multipart() else part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield payload


def _raw(body: bytes) -> Iterator[str]:
    """Bytes that are no text, in the encodings in which a text may stand in them."""
    yield body.decode("utf-8", "replace")
    yield body.decode("latin-1")
    yield body.decode("utf-16-le", "replace")
    yield body[1:].decode("utf-16-le", "replace")


def _pattern(address: Address) -> str:
    """What finds the address in a folded text; "" when it is too short to be looked for."""
    text = fold(normal(address)).strip()
    if len(text) < MIN_CHARS:
        return ""
    if address.kind in _PHONES:
        return _number(address)
    if address.kind in _IDENTIFIERS:
        return rf"(?<!\w){_BETWEEN.join(map(re.escape, text))}(?!\w)"
    forms = {text, fold(address.value).strip()}
    return "|".join(_bounded(form, address.kind) for form in sorted(forms) if len(form) >= MIN_CHARS)


def _bounded(form: str, kind: str) -> str:
    """The form where it is not part of a longer one."""
    escaped = re.escape(form).replace(r"\ ", r"[\s,;]+") if kind == "postal" else re.escape(form)
    if kind == "email":
        return rf"(?<![\w.+~-]){escaped}(?![\w-]|\.\w)"
    return rf"(?<!\w){escaped}(?!\w)"


def _number(address: Address) -> str:
    """A telephone number with its country, with 00 for the +, or as it is written at home; with whatever between the digits."""
    try:
        number = phonenumbers.parse(normal(address))
    except phonenumbers.NumberParseException:
        digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", address.value))
        return rf"(?<!\d){_spaced(digits)}(?!\d)" if len(digits) >= MIN_CHARS else ""
    country = (
        rf"(?:(?:\+|00)?{_BETWEEN}{_spaced(str(number.country_code))}{_BETWEEN}(?:\(?0\)?{_BETWEEN})?|0{_BETWEEN})?"
    )
    return rf"(?<!\d){country}{_spaced(phonenumbers.national_significant_number(number))}(?!\d)"


def _spaced(digits: Sequence[str]) -> str:
    return _BETWEEN.join(digits)
