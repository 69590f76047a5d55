"""JSON from outside, decoded into typed values or refused with the place of the fault; what was said is never quoted.

Strict means: UTF-8, no lone surrogates, no NaN, no key twice in one object, no unknown field. An error may end in a log or a
problem document, so it names fields and never repeats what stands in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from ledger.errors import LedgerError

T = TypeVar("T")


class RefusedError(LedgerError):
    """Cannot be read: one of the two below."""


class NotJsonError(RefusedError):
    """The bytes are not JSON in UTF-8."""


class InvalidError(RefusedError):
    """A field has a value that it may not have.

    Attributes:
        field: as in `recipients[0].address`; "" for the whole.
        why: what is wrong, without the value.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}" if field else why)
        self.field = field
        self.why = why


def refuse(field: str, why: str) -> NoReturn:
    """Raise InvalidError."""
    raise InvalidError(field, why)


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode one JSON value.

    Raises:
        NotJsonError: not JSON, or not in UTF-8.
        InvalidError: names the field.
    """
    try:
        value = decoder.decode(data)
        _refuse_duplicates(data)
    except msgspec.ValidationError as error:
        raise _invalid(error, decoder.type) from None
    except UnicodeDecodeError:
        msg = "not UTF-8"
        raise NotJsonError(msg) from None
    except msgspec.DecodeError as error:
        msg = f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
        raise NotJsonError(msg) from None
    except RecursionError:
        msg = "nested too deeply"
        raise NotJsonError(msg) from None
    return value


def _refuse_duplicates(data: bytes) -> None:
    """The decoder lets the last of two equal keys win; readers differ in that, so nobody knows what was meant."""
    _pairs_decoder.decode(data.decode())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        refuse("", "the same key stands twice in one object")
    return found


_pairs_decoder = json.JSONDecoder(object_pairs_hook=_unique)


def convert(values: Mapping[str, Any], kind: type[T]) -> T:
    """Query parameters as a typed value.

    Raises:
        InvalidError: names the parameter.
    """
    try:
        return msgspec.convert(dict(values), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, kind) from None


_FITTING: dict[str, str] = {}
_PATTERN = re.compile(r"Expected `str` matching regex (.*)", re.DOTALL)


def fitting(pattern: str, words: str, max_length: int | None = None) -> Meta:
    """What a text must fit, and how that is said to whoever gives another one."""
    _FITTING[repr(pattern)] = words
    return Meta(pattern=pattern, description=words, max_length=max_length)


_WHERE = re.compile(r"(?P<why>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)


def _invalid(error: msgspec.ValidationError, kind: Any) -> InvalidError:
    found = _WHERE.fullmatch(str(error))
    why, field = (found["why"], found["field"] or "") if found else (str(error), "")
    if "unknown field" in why:
        names = getattr(kind, "__struct_encode_fields__", ()) if not field else ()
        why = "a field that does not exist here" + (f"; there are {', '.join(names)}" if names else "")
    elif why.startswith("Invalid enum value"):
        why = "not one of the allowed values, which /openapi.json lists"
    elif (pattern := _PATTERN.fullmatch(why)) and pattern[1] in _FITTING:
        why = _FITTING[pattern[1]]
    elif "timezone" in why:
        why = "a time without a zone; write 2026-03-01T09:00:00Z, or an offset"
    return InvalidError(field, why.replace("`", ""))
