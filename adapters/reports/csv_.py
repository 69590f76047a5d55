"""CSV (RFC 4180) in UTF-8 with a header row and nothing before it, so that every program reads it; no byte-order mark.

People who open a report in a spreadsheet take XLSX: a CSV file has no types, and half of Europe's spreadsheets expect semicolons.
Some will open this one all the same, so no text in it can become a formula: see `safe`. Numbers, negative ones too, are written as
numbers. None and an empty text are both an empty cell; JSONL tells them apart.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from adapters.compliance.contract import Header
from adapters.reports.contract import Look

_FORMULA = "=+\\-@\t\r\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""What begins a formula: ASCII, full-width and small forms; tab and carriage return are skipped by spreadsheets before they look."""
_BEGIN = '(?:^|[,;|\t\r\n])[ \u00a0\u3000\ufeff"]*'
"""Where a cell may begin: at its beginning, and wherever a program that splits at another separator would see one."""
_DANGER = re.compile(f"({_BEGIN})(?='*[{_FORMULA}])")
MARKED = re.compile(f"({_BEGIN})'(?='*[{_FORMULA}])")
"""Where `safe` put an apostrophe. It stands in the notes beside a report, so that anybody can take them away again."""
_HARMLESS = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:@ +=/-]*|\+[0-9]{1,20}")
"""Most texts: nothing in them could begin a formula or must be quoted, which is seen at one look."""
_PLAIN = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.:@ +=/-\n"
_ODD_BEGIN = re.compile(r"\n(?![0-9A-Za-z\n]|\+[0-9]{1,20}(?:\n|\Z)|\Z)")
"""The same of many, a line each: what may stand in a line, and how none of them begins."""
PAGE = 1_000
"""Rows whose cells are made together."""
_ENDS = re.compile('[",\r\n]')
MAX_REMEMBERED, MAX_REMEMBERED_CHARS = 10_000, 128
_PHONE_NUMBER = re.compile(r"\+[0-9]{1,20}")


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula; `original` gives back what it was.

    An apostrophe goes before whatever could begin one, also before those apostrophes that stand there already. A phone number
    (`+` and digits) is a number at worst, and stays.
    """
    if "\0" in text:  # no event holds one, and many readers of CSV stop at it
        text = text.replace("\0", "\u2400")
    if _DANGER.search(text) is None or _PHONE_NUMBER.fullmatch(text):
        return text
    return _DANGER.sub("\\1'", text)


def original(text: str) -> str:
    """What `safe` was given."""
    return MARKED.sub("\\1", text)


def _number(value: float) -> Any:
    return value if math.isfinite(value) else None


def _list(value: Iterable[Any]) -> str:
    return safe(json.dumps([str(each) for each in value], ensure_ascii=False))


_CELLS: dict[type, Callable[[Any], Any]] = {
    str: safe,
    int: lambda value: value,
    float: _number,
    bool: lambda value: "true" if value else "false",
    tuple: _list,
    list: _list,
    type(None): lambda value: value,
}


def cell_of(value: Any) -> Any:
    """What stands in the cell of a value, before it is quoted."""
    convert: Callable[[Any], Any] = _CELLS.get(type(value), _other)
    return convert(value)


def _other(value: Any) -> str:
    return safe(str(value))


class Cells(dict[Any, str]):
    """Cells as they stand in a line, by their values; short texts, and lists of texts, are remembered: most come again and again."""

    def __missing__(self, value: Any) -> str:
        is_plain = type(value) is str and _HARMLESS.fullmatch(value)
        cell = value if is_plain else _quoted(cell_of(value))
        if len(cell) <= MAX_REMEMBERED_CHARS and _is_text(value):
            if len(self) >= MAX_REMEMBERED:
                self.clear()
            self[value] = cell
        return cell


def _quoted(cell: Any) -> str:
    """A cell as RFC 4180 writes it: in quotes where something in it would end it."""
    text = "" if cell is None else str(cell)
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if _ENDS.search(text) else text


def _is_text(value: Any) -> bool:
    """Whether it is equal to nothing that is written otherwise, as 1, 1.0 and True are to one another."""
    return type(value) is str or (type(value) is tuple and all(type(each) is str for each in value))


def text(cells: Cells, rows: Sequence[tuple[Any, ...]]) -> str:
    """The lines of rows, as the module `csv` writes them."""
    columns = [_column(cells, values) for values in zip(*rows, strict=True)]
    if len(columns) == 1:  # an empty line would be no row
        columns = [[cell or '""' for cell in columns[0]]]
    return "".join([f"{line}\r\n" for line in map(",".join, zip(*columns, strict=True))])


def _column(cells: Cells, values: Sequence[Any]) -> Sequence[str]:
    """The cells of a column: of whole numbers and of harmless texts it is seen at one look that they are."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return list(map(str, values))
    if kinds <= {str, type(None)}:
        texts = [text or "" for text in values]
        if are_harmless(texts):
            return texts
    try:
        return list(map(cells.__getitem__, values))
    except TypeError:  # a list, which nothing can be remembered by
        return list(map(cells.__missing__, values))


def are_harmless(texts: Sequence[str]) -> bool:
    """Whether each is empty or fits `_HARMLESS`."""
    every = "\n" + "\n".join(texts)
    return (
        every.count("\n") == len(texts)
        and every.isascii()
        and not every.encode().translate(None, _PLAIN)
        and _ODD_BEGIN.search(every) is None
    )


def write(path: Path, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int:  # noqa: ARG001  data has no look
    """Write the rows; a list is a cell with a JSON array of texts."""
    cells, rest, count = Cells(), iter(rows), 0
    # A lone surrogate cannot come out of an event; should one come at all, it does not cost the report.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="", buffering=1 << 20) as file:
        file.write(text(cells, [tuple(column.name for column in header.columns)]))
        while page := list(islice(rest, PAGE)):
            file.write(text(cells, page))
            count += len(page)
    return count
