"""What all answers of PEC Massiva share: repaired JSON, spellings of fields, success, and rows of the error tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.providers.contract import Word
from adapters.providers.pec_massiva import statuses
from adapters.providers.reading import json_object, repaired, text
from ledger.observations import Address, Arrival, UnreadableError

_HTTP = {row.word: row for row in statuses.HTTP}


def decode(body: bytes) -> dict[str, Any]:
    """A JSON object whose broken UTF-8 and unstorable characters are U+FFFD: real answers hold both."""
    value: dict[str, Any] = repaired(json_object(body.decode("utf-8", "replace").encode("utf-8")))
    return value


def answer_of(arrival: Arrival) -> dict[str, Any]:
    """The body of an answer; empty when it is unreadable and the HTTP status is all there is.

    Raises:
        UnreadableError: it is unreadable and there is no HTTP status.
    """
    return decode(arrival.body) if arrival.status is None else fields_of(arrival.body)


def fields_of(body: bytes) -> dict[str, Any]:
    """A body as far as it can be read; empty when it cannot."""
    try:
        return decode(body)
    except UnreadableError:
        return {}


def value(row: Mapping[str, Any], *names: str) -> str:
    """The first of several spellings of a field that is there."""
    return next((found for name in names if (found := text(row.get(name)).strip())), "")


def error_row(message: str) -> Word | None:
    """The row of the error table whose words a message is, or begins with."""
    return next((row for row in statuses.ERRORS if re.match(re.escape(row.word) + r"(?!\w)", message)), None)


def http_row(status: int | None) -> Word | None:
    """The row of an HTTP status, or of its class."""
    said = str(status)
    return _HTTP.get(said) or _HTTP.get(f"{said[0]}xx" if len(said) == 3 else "")


def is_success(status: int | None) -> bool:
    """Whether an HTTP status, if it is known, is one of success."""
    return status is None or status in (200, 201)


def address(given: str) -> Address:
    """An e-mail address, or whatever was given in its place."""
    return Address("email" if "@" in given else "other", given)
