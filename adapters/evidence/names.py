"""Whom an original names: an original cannot be redacted, so one that names a withheld person stays out of a pack.

Looks at text, at what mail parts and base64 hide, and at spellings of telephone numbers. It errs towards leaving out: what cannot be
searched, or names an address that is neither a chosen recipient's nor known as a sender or reference, counts as naming somebody. A
person who is named by something else than an address is not found.
"""

from __future__ import annotations

import binascii
import email
import email.header
import email.policy
import html
import json
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from ledger.addresses import normal
from ledger.observations import Address

MAX_DEPTH = 6
PHONE_DIGITS = 8
SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_SENDERS = ("From", "Sender", "Reply-To", "Return-Path")
EMAIL = re.compile(r"(?<![\w.+~-])[\w.+~-][\w.+'~-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63})+")  # linear in hostile text
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_HEADER = re.compile(rb"\A(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}\r?\n")
_SEPARATORS = re.compile(r"[\s().\-/]+")
_URL_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


class UnsearchableError(Exception):
    """Bytes in which nobody can look for a name."""


@dataclass(frozen=True, slots=True)
class People:
    """Who may be seen and who may not.

    Attributes:
        shown: normal forms of the addresses that may be seen.
        hidden: addresses that must not be.
        known: e-mail addresses that name no recipient: senders, providers, message ids.
        is_strict: somebody was left out, so an address that nobody knows counts as theirs.
    """

    shown: frozenset[str]
    hidden: tuple[Address, ...]
    known: frozenset[str]
    is_strict: bool

    def may_see(self, address: Address) -> bool:
        return normal(address) in self.shown

    def names_hidden(self, texts: Iterable[str], senders: frozenset[str] = frozenset()) -> bool:
        """Whether a text names somebody who must not be seen.

        Args:
            senders: addresses that sent these texts, and so name no recipient unless they are hidden.
        """
        wanted = [needle for address in self.hidden for needle in _needles(address)]
        numbers = [n for address in self.hidden if (n := _digits(address))]
        for text in texts:
            folded = fold(text)
            bare = _SEPARATORS.sub("", folded)
            if any(needle in folded for needle in wanted) or any(number in bare for number in numbers):
                return True
            if self.is_strict and any(not self._is_known(found) for found in set(EMAIL.findall(folded)) - senders):
                return True
        return False

    def _is_known(self, found: str) -> bool:
        return found in self.known or normal(Address("email", found)) in self.shown | self.known


def fold(text: str) -> str:
    """The form in which texts are compared: no case, one width, one space."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).casefold()


def _needles(address: Address) -> set[str]:
    return {n for n in (fold(address.value).strip(), fold(normal(address)).strip()) if n}


def _digits(address: Address) -> str:
    """The end of a telephone number, which all its spellings share; "" for other addresses."""
    digits = re.sub(r"\D", "", normal(address))
    return digits[-PHONE_DIGITS:] if address.kind in {"phone", "fax"} and len(digits) >= PHONE_DIGITS else ""


def emails_in(values: Iterable[Any]) -> frozenset[str]:
    """Every e-mail address (and message id) in some values."""
    return frozenset(found for value in values for found in EMAIL.findall(fold(str(value))))


def senders_of(body: bytes) -> frozenset[str]:
    """The addresses that a mail says it comes from; none for other bytes."""
    if not _HEADER.match(body[:200_000]):
        return frozenset()
    message = email.message_from_bytes(body, policy=email.policy.compat32)
    return emails_in(_decoded(value) for name in _SENDERS for value in message.get_all(name, ()))


def texts(body: bytes, depth: int = 0) -> Iterator[str]:
    """Every text in some bytes: as it stands, as mail parts, unescaped, and behind base64.

    Raises:
        UnsearchableError: a part is no text, or lies too deep.
    """
    if depth > MAX_DEPTH:
        raise UnsearchableError
    if _HEADER.match(body[:200_000]):
        yield from _mail(email.message_from_bytes(body, policy=email.policy.compat32), depth)
    else:
        yield from _plain(body, depth)


def _mail(message: Message, depth: int) -> Iterator[str]:
    for name, value in message.items():
        yield f"{name}: {_decoded(value)}"
    payload = message.get_payload()
    if isinstance(payload, list):
        for part in payload:
            if depth > MAX_DEPTH or not isinstance(part, Message):
                raise UnsearchableError
            yield from _mail(part, depth + 1)
        return
    if message.get_content_type() not in SIGNATURES:
        data = message.get_payload(decode=True)
        yield from texts(data if isinstance(data, bytes) else str(payload).encode("utf-8", "replace"), depth + 1)


def _decoded(value: object) -> str:
    try:
        return str(email.header.make_header(email.header.decode_header(str(value))))
    except (LookupError, ValueError):
        return str(value)


def _plain(body: bytes, depth: int) -> Iterator[str]:
    if b"\0" in body[:1_000_000]:
        raise UnsearchableError
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
        if sum(c < " " and c not in "\t\r\n\f" for c in text) > 0:
            raise UnsearchableError from None
    yield text
    yield html.unescape(text)
    if _URL_ENCODED.search(text):
        yield _URL_ENCODED.sub(lambda m: chr(int(m[0][1:], 16)), text).replace("+", " ")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        yield json.dumps(parsed, ensure_ascii=False)
    for found in _BASE64.findall(text):
        yield from _behind_base64(found, depth)


def _behind_base64(text: str, depth: int) -> Iterator[str]:
    """What a long run of base64 holds; a run that is none, or a digest or signature, holds no text."""
    try:
        data = b64decode(text.rstrip("=").translate({45: 43, 95: 47}) + "==")
    except (ValueError, binascii.Error):
        return
    if len(data) > 1024 or _HEADER.match(data) or data.isascii():
        yield from texts(data, depth + 1)
