"""JSON lines: an object a row, with the column names as keys and the types kept; no line that is not a row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from adapters.compliance.contract import Header
from adapters.reports.contract import Look


def write(path: Path, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int:  # noqa: ARG001  data has no look
    """Write the rows: times as UTC texts, lists as arrays, what is not known as null."""
    names = [column.name for column in header.columns]
    encode = msgspec.json.Encoder().encode
    count = 0
    with path.open("wb", buffering=1 << 20) as file:
        for count, values in enumerate(rows, 1):  # noqa: B007  the last number is the answer
            row = dict(zip(names, values, strict=True))
            try:
                line = encode(row)
            except UnicodeEncodeError:  # a lone surrogate, which no event can hold
                line = encode({name: _whole(value) for name, value in row.items()})
            file.write(line + b"\n")
    return count


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value
