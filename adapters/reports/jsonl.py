"""JSON lines: an object a row, with the column names as keys and the types kept; no line that is not a row."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, starmap
from pathlib import Path
from typing import Any

import msgspec

from adapters.compliance.contract import Header
from adapters.reports.contract import Look

PAGE = 1_000
"""Rows that are encoded together."""


def write(path: Path, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int:  # noqa: ARG001  data has no look
    """Write the rows: times as UTC texts, lists as arrays, what is not known as null."""
    names = {f"column{number}": column.name for number, column in enumerate(header.columns)}
    line = msgspec.defstruct("Line", list(names), rename=names, gc=False)  # quicker made than a dict, and encoded alike
    encode, rest, count = msgspec.json.Encoder().encode_lines, iter(rows), 0
    with path.open("wb", buffering=1 << 20) as file:
        while page := list(islice(rest, PAGE)):
            try:
                data = encode(list(starmap(line, page)))
            except UnicodeEncodeError:  # a lone surrogate, which no event can hold
                data = encode([line(*map(_whole, values)) for values in page])
            file.write(data)
            count += len(page)
    return count


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value
