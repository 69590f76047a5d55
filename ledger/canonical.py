"""Canonical JSON (RFC 8785) for the subset the log uses, and repair of text that JSON cannot carry.

The subset: objects with ASCII keys, arrays, strings without U+0000 and lone surrogates, integers
below 2**53. No floats, no booleans and no null. Within it, sorted compact UTF-8 is RFC 8785; a property test holds it
against an independent implementation.
"""

from __future__ import annotations

from typing import Any

import orjson

from ledger.errors import InvalidEventError

MAX_INT = 2**53 - 1
REPLACEMENT = "\ufffd"


def encode(value: Any) -> bytes:
    """Encode once; the result is what is hashed, stored and exported.

    Raises:
        InvalidEventError: the value is outside the subset.
    """
    check(value)
    return encode_checked(value)


def encode_checked(value: Any) -> bytes:
    """Encode a value that `check` has passed."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        msg = f"not canonical: {error}"
        raise InvalidEventError(msg) from error


def check(value: Any, path: str = "") -> None:
    """Refuse what the subset excludes; the error names the place, never the value."""
    kind = type(value)
    if kind is str:
        if "\0" in value or not _encodable(value):
            msg = f"{path or 'value'}: U+0000 or a lone surrogate"
            raise InvalidEventError(msg)
    elif kind is int:
        if not -MAX_INT <= value <= MAX_INT:
            msg = f"{path or 'value'}: integer beyond 2**53"
            raise InvalidEventError(msg)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                msg = f"{path or 'value'}: a key that is not ASCII text"
                raise InvalidEventError(msg)
            check(item, f"{path}.{key}" if path else key)
    elif kind is list or kind is tuple:
        for index, item in enumerate(value):
            check(item, f"{path}[{index}]")
    else:
        msg = f"{path or 'value'}: {kind.__name__} has no canonical form here"
        raise InvalidEventError(msg)


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode(data: bytes) -> Any:
    """Decode canonical JSON (or any JSON of ours).

    Raises:
        InvalidEventError: the bytes are not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        msg = f"not JSON: {error}"
        raise InvalidEventError(msg) from error


def repair_text(text: str) -> tuple[str, bool]:
    """Replace U+0000 and lone surrogates by U+FFFD.

    Returns:
        The text, and whether anything was replaced.
    """
    if "\0" not in text and _encodable(text):
        return text, False
    fixed = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", REPLACEMENT)
    return fixed, True
