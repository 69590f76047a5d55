"""A person who is easy to find, planted into everything a provider may write; and the search for her.

Planting keeps the shape of what it changes: e-mail addresses stay addresses, phone numbers stay phone numbers, and equal
ids stay equal, so that the wire modules go on understanding most of it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from adapters.providers import registry
from ledger.observations import Arrival

NAME = "Quörvexel Zamfyrion"
MAIL = "qyzzveldrun.hjax"
PHONE = "151973846"
"""Of a German mobile number, whose last digits tell numbers apart."""
STREET = "Zwiebelfurtxgränd 8817"
NUMBER = "871993-5624"
IDENT = "kx7wQd9zJv"
DOCUMENT = "Kündigung-Xarvolde"
PERSON = {
    "name": NAME,
    "mail": MAIL,
    "phone": PHONE,
    "street": STREET,
    "number": NUMBER,
    "ident": IDENT,
    "document": DOCUMENT,
}

_MAIL = re.compile(r"([\w.+-]+)@(?=[\w-])")
_PHONE = re.compile(r"(?:\+|00)?[\d ()-]{8,17}")
_NUMBER = re.compile(r"\d{5,7}-\d{4}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d.*|\d{2}/\d{2}/\d{4}|[\d:]{5,8}|\w{3}, \d+ \w{3} \d{4} .*")
_STRUCTURE = re.compile(r"^\$|time$|^jobid$|^message_id$", re.IGNORECASE)
"""Members whose form decides what the rest means."""
_PLACES = frozenset({"street", "city", "postal_code", "address", "country"})
_FILES = frozenset({"data", "file", "attachment", "content_base64"})


def words(provider: str) -> frozenset[str]:
    """What of a provider's texts is its vocabulary, as `_plain` leaves it, and what only means yes or no."""
    rows = (row.word for table in registry()[provider].tables.values() for row in table)
    return frozenset(map(_plain, (*rows, "true", "false", "rek")))


def _plain(word: str) -> str:
    return re.sub(r"[\W_]", "", word.casefold())


def planted(arrival: Arrival, *, everywhere: bool) -> Arrival:
    """The arrival with the person in every text it carries.

    Args:
        everywhere: also in place of words, times, and whole numbers, and as names of members; else the provider's
            vocabulary and its times stay.
    """
    kept = frozenset[str]() if everywhere else words(arrival.provider)
    planter = _Planter(kept, everywhere=everywhere)
    path, mark, query = arrival.name.partition("?")
    is_path = "/" in path
    return dataclasses.replace(
        arrival,
        body=planter.body(arrival.body),
        request=None if arrival.request is None else planter.body(arrival.request),
        headers={name: f"{value}; name={NAME}, {MAIL}" for name, value in arrival.headers.items()},
        name=f"{path}{IDENT if is_path else NAME}{mark}{query}{'&' if mark else '?'}to={MAIL}@post.example&tel=+49{PHONE}01",
    )


@dataclasses.dataclass(frozen=True)
class _Planter:
    kept: frozenset[str]
    everywhere: bool

    def body(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "surrogateescape")
        if "daticert" in text or "X-Ricevuta" in text:
            return self._mail(text).encode("utf-8", "surrogateescape")
        if "<biljet" in text:
            return self._xml(text).encode("utf-8", "surrogateescape")
        try:
            value = json.loads(text)
        except ValueError:
            return (text + f"\n{NAME} <{MAIL}@post.example> {STREET} +49{PHONE}02 {NUMBER}").encode(
                "utf-8", "surrogateescape"
            )
        is_escaped = "\\u" in text  # half a character can only be written as an escape
        return json.dumps(self.value("", value), ensure_ascii=is_escaped).encode("utf-8", "surrogateescape")

    def value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            inner = {k: self.value(k, v) for k, v in value.items()}
            return inner | ({NAME: NAME, MAIL: None} if self.everywhere else {})
        if isinstance(value, list):
            return [self.value(name, v) for v in value]
        if isinstance(value, str):
            return self.text(name, value)
        if self.everywhere and type(value) is int:
            return int(f"49{PHONE}{value % 100:02}")
        return value

    def text(self, name: str, value: str) -> str:  # noqa: PLR0911  a table of shapes, the first that fits
        """One text with the person in it, in the shape it had."""
        if not self.everywhere and (_plain(value) in self.kept or _TIME.fullmatch(value) or _STRUCTURE.search(name)):
            return value
        if name in _FILES:
            head, comma, _ = value.rpartition(",")
            return head + comma + b64encode(f"{NAME}, {STREET}, {MAIL}".encode()).decode()
        if _MAIL.search(value):
            return _MAIL.sub(lambda found: f"{MAIL}.{found[1]}@", value)
        if _NUMBER.fullmatch(value):
            return f"{NUMBER}{value[-1]}"
        if _PHONE.fullmatch(value):
            return f"{'00' if value.startswith('00') else '+'}49{PHONE}{value[-2:]}"
        if name in _PLACES:
            return f"{STREET} {value}"
        if "file" in name or name.endswith("_name"):
            return f"{DOCUMENT} {value}"
        return value + (f" {NAME}" if " " in value or not re.search(r"\d", value) else IDENT)

    def _xml(self, text: str) -> str:
        """XML with the person in its attributes; the declaration and digests stay."""
        kept = "version|encoding" if self.everywhere else "version|encoding|hash"
        attribute = re.compile(rf"(?<=\s)(?!(?:{kept})=)([\w-]+)=\"([^\"]*)\"")
        return attribute.sub(lambda found: f'{found[1]}="{self.text(found[1], found[2])}"', text)

    def _mail(self, text: str) -> str:
        """A certified mail with the person in header fields, display names and the texts of the certification data."""
        text = _MAIL.sub(lambda found: f"{MAIL}.{found[1]}@", text)
        text = re.sub(r"(?im)^(Subject:.*)$", rf"\1 {NAME}", text)
        text = re.sub(r"(?im)^(From|To): ([^\"\s]\S*)$", rf'\1: "{NAME}" <\2>', text)
        text = re.sub(r"(?im)(\bname=)\"?(daticert.xml)\"?", rf'\1"\2"; x-owner="{DOCUMENT}"', text)
        text = re.sub(r">([^<>\s][^<>]*)</(?!giorno|ora\b)", lambda f: f">{self._leaf(f[1])}</", text)
        if self.everywhere:
            text = re.sub(r"(tipo|errore|zona)=\"([^\"]*)\"", rf'\1="\2 {NAME}"', text)
            text = re.sub(r"(?im)^(X-Ricevuta|X-Trasporto|X-Tiporicevuta): (.*)$", rf"\1: \2 {NAME}", text)
            text = re.sub(r"(<(?:giorno|ora)>)([^<]*)<", rf"\1\2 {NAME}<", text)
        return re.sub(r"\A", f"X-Indirizzo: {STREET} {NUMBER} +49{PHONE}03\r\n", text)

    @staticmethod
    def _leaf(text: str) -> str:
        return text if "@" in text else f"{text} {NAME}"


def spellings(secret: str | bytes) -> Iterator[bytes]:
    """Bytes that would betray a secret: as it is, case-folded, escaped, encoded."""
    if isinstance(secret, bytes):
        yield secret
        yield secret.hex().encode()
        yield from _base64(secret)
        return
    for text in {secret, secret.casefold(), secret.upper()}:
        raw = text.encode()
        yield raw
        yield text.encode("utf-16-le")
        yield text.encode("utf-16-be")
        yield text.encode("latin-1")
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield quote(text, safe="").encode()
        yield quote(text).replace("%20", "+").encode()
        yield json.dumps(text)[1:-1].encode()
        yield json.dumps(text)[1:-1].replace("\\u", "\\\\u").encode()
        yield from _base64(raw)


def _base64(raw: bytes) -> Iterator[bytes]:
    """What base64 of any text around these bytes has in common, for each of the three ways they may be aligned."""
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        whole = (before + len(raw)) // 3 * 4
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + raw)[skipped:whole]


def needles(secrets: Mapping[str, str | bytes]) -> dict[bytes, str]:
    """Spelling -> whose it is."""
    found = {spelling: name for name, secret in secrets.items() for spelling in spellings(secret)}
    assert min(map(len, found)) >= 8  # shorter ones are found in random bytes by accident
    return found


def betrayed(haystack: bytes, wanted: Mapping[bytes, str]) -> set[str]:
    """Names of the secrets that stand in these bytes in any spelling."""
    return {name for needle, name in wanted.items() if needle in haystack}


def joined(cells: Iterable[Any]) -> bytes:
    """Cells of a database as bytes: binary ones as they are, others as text."""
    return b"\n".join(bytes(c) if isinstance(c, bytes | memoryview) else str(c).encode() for c in cells)
