"""Pure, bounded readers shared by the wire modules: text, JSON, XML, times.

Every function takes untrusted input and either returns a value or raises UnreadableError.
Nothing here knows a provider's words.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from ledger.observations import Fingerprint, ProviderTime, UnreadableError, ZoneBasis

MAX_DEPTH = 32
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_NODES = 1_000_000
"""Objects and lists of JSON, and tags of XML: each takes a hundred times the memory of the three bytes that it may stand in."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "the same JSON key stands twice in one object"
        raise UnreadableError(msg)
    return found


def _refuse_constant(name: str) -> Any:
    msg = f"JSON has no {name}"
    raise UnreadableError(msg)


_strict = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_refuse_constant)


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        msg = f"nested deeper than {MAX_DEPTH} levels"
        raise UnreadableError(msg)
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, depth + 1)


def _check_size(body: bytes, *nodes: bytes) -> None:
    if len(body) > MAX_BODY_BYTES:
        msg = f"{len(body)} bytes; at most {MAX_BODY_BYTES} are read"
        raise UnreadableError(msg)
    if sum(map(body.count, nodes)) > MAX_NODES:
        msg = f"more than {MAX_NODES} values within values"
        raise UnreadableError(msg)


def json_value(body: bytes) -> Any:
    """Decode strict JSON: UTF-8 (a BOM is forgiven), no duplicate keys, no NaN, at most 32 levels."""
    _check_size(body, b"[", b"{")
    try:
        value = _strict.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {type(error).__name__}"
        raise UnreadableError(msg) from error
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:  # with fewer it cannot be nested deeper
        _check_depth(value)
    return value


def json_object(body: bytes) -> dict[str, Any]:
    """Decode strict JSON whose top is an object."""
    value = json_value(body)
    if not isinstance(value, dict):
        msg = f"expected a JSON object, got {type(value).__name__}"
        raise UnreadableError(msg)
    return value


_NOT_TEXT = re.compile("[\\x00\\ud800-\\udfff]")


def repaired(value: Any) -> Any:
    """The same JSON value with U+0000 and lone surrogates, which no stored text may hold, as U+FFFD.

    It differs from what was given exactly when something was replaced.
    """
    if isinstance(value, str):
        return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [repaired(item) for item in value]
    if isinstance(value, dict):
        return {repaired(key): repaired(item) for key, item in value.items()}
    return value


def xml_root(body: bytes) -> Element:
    """Parse XML without entities, external references or DTD processing instructions that could expand."""
    _check_size(body, b"<")
    try:
        root: Element = defusedxml.ElementTree.fromstring(
            body, forbid_dtd=False, forbid_entities=True, forbid_external=True
        )
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        msg = f"not XML: {type(error).__name__}"
        raise UnreadableError(msg) from error
    return root


def text(value: object) -> str:
    """A scalar as the text it was; None and containers give ""."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def time_iso(original: str, zone: ZoneBasis) -> ProviderTime | None:
    """`YYYY-MM-DD[T ]HH:MM:SS[.f][offset]`; without an offset it is UTC on the given basis."""
    try:
        read = datetime.fromisoformat(original.strip())
        if read.tzinfo is None:
            return ProviderTime(read.replace(tzinfo=UTC), original, zone)
        return ProviderTime(read.astimezone(UTC), original, ZoneBasis.STATED)
    except (ValueError, OverflowError):
        return None


def time_rfc2822(original: str) -> ProviderTime | None:
    """`Wed, 26 Aug 2020 10:00:35 +0200`; `-0000` or no zone is taken as UTC, assumed."""
    try:
        read = parsedate_to_datetime(original.strip())
        if read.tzinfo is None:
            return ProviderTime(read.replace(tzinfo=UTC), original, ZoneBasis.ASSUMED)
        return ProviderTime(read.astimezone(UTC), original, ZoneBasis.STATED)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


MILLISECONDS_FROM = 100_000_000_000
"""An epoch value above this many seconds (year 5138) is milliseconds."""


def time_epoch(original: object) -> ProviderTime | None:
    """Seconds or milliseconds since 1970, as a number or as digits."""
    try:
        count = float(text(original))
        seconds = count / 1000 if abs(count) >= MILLISECONDS_FROM else count
        return ProviderTime(datetime.fromtimestamp(seconds, UTC), text(original), ZoneBasis.EPOCH)
    except (ValueError, OverflowError, OSError):
        return None


def fingerprint(name: str, base64_text: str) -> Fingerprint:
    """Digest a document that went out as base64 text, in both forms and both algorithms.

    Raises UnreadableError when the text is not base64.
    """
    raw = base64_text.encode("utf-8", "replace")
    try:
        content = b64decode(raw)
    except (Base64Error, ValueError) as error:
        msg = "an attachment is not base64"
        raise UnreadableError(msg) from error
    return Fingerprint(
        name,
        hashlib.sha256(content).hexdigest(),
        hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(raw).hexdigest(),
        hashlib.sha1(raw, usedforsecurity=False).hexdigest(),
        len(content),
    )
