"""Whether a text, or bytes, name somebody by an address: in any spelling, in the parts of a mail, behind base64. Pure.

What cannot be searched is said to be so. A person who is named by something else than an address, or a line of one, is not found.
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
from email.message import Message
from typing import NamedTuple

from ledger.addresses import forms
from ledger.observations import Address

MAX_DEPTH = 6
PHONE_DIGITS = 8
PERSON_DIGITS = 10
"""Of a Swedish personal number without its century, as it is often written."""
LINE_CHARS = 4
"""A line of a postal address that is shorter names nobody."""
SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
BINARY = (b"%PDF", b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0")
"""How files begin that hold their text packed."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
HEADER = re.compile(rb"\A(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}\r?\n")
_SEPARATORS = re.compile(r"[\s().\-/]+")
_URL_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


class UnsearchableError(Exception):
    """Bytes in which nobody can look for a name."""


def fold(text: str) -> str:
    """The form in which texts are compared: no case, one width, one space."""
    normal = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return re.sub(r"\s+", " ", normal).casefold()


class Needles(NamedTuple):
    """What to look for of some people.

    Attributes:
        words: in folded texts.
        numbers: digits, in texts without what separates digits.
    """

    words: frozenset[str]
    numbers: frozenset[str]

    def are_in(self, texts: Iterable[str]) -> bool:
        """Whether some text names one of them."""
        for text in texts:
            folded = fold(text)
            bare = _SEPARATORS.sub("", folded) if self.numbers else ""
            if any(word in folded for word in self.words) or any(number in bare for number in self.numbers):
                return True
        return False


def texts_in(value: object) -> Iterator[str]:
    """The texts of a value as it is committed, names of members among them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)
    else:
        yield str(value)


def spelled(address: Address) -> set[str]:
    """An address as it may stand in a folded text."""
    return {word for each in (address.value, *forms(address)) if (word := fold(each).strip())}


def digits_of(address: Address) -> str:
    """The end of a telephone number, which all its spellings share; "" for other addresses."""
    return _end(address, PHONE_DIGITS) if address.kind in {"phone", "fax"} else ""


def _end(address: Address, count: int) -> str:
    digits = re.sub(r"\D", "", forms(address)[0].partition(";")[0])
    return digits[-count:] if len(digits) >= count else ""


def needles(addresses: Iterable[Address]) -> Needles:
    """What to look for so that none of these people is named: of a postal address, each of its lines."""
    words, numbers = set[str](), set[str]()
    for address in addresses:
        words |= spelled(address)
        if address.kind == "postal":
            words |= {line for each in address.value.splitlines() if len(line := fold(each).strip()) >= LINE_CHARS}
        numbers |= {digits_of(address), _end(address, PERSON_DIGITS) if address.kind == "person_number" else ""}
    return Needles(frozenset(words), frozenset(numbers - {""}))


def texts(body: bytes, depth: int = 0) -> Iterator[str]:
    """Every text in some bytes: as it stands, as mail parts, unescaped, and behind base64.

    Raises:
        UnsearchableError: a part is no text, or lies too deep.
    """
    if depth > MAX_DEPTH:
        raise UnsearchableError
    if HEADER.match(body[:200_000]):
        yield from _mail(email.message_from_bytes(body, policy=email.policy.compat32), depth)
    else:
        yield from _plain(body, depth)


def _mail(message: Message, depth: int) -> Iterator[str]:
    for name, value in message.items():
        yield f"{name}: {decoded(value)}"
    yield from (text for text in (message.preamble, message.epilogue) if text)
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


def decoded(value: object) -> str:
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
    if len(data) > 1024 or HEADER.match(data) or data.isascii():
        yield from texts(data, depth + 1)
