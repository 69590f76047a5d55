"""PDF/A-3a with the operator's seal, for people: landscape, the header repeated on each page, times in the reader's zone.

A page has room for some forty rows, so a long answer is refused and the formats that take it are named. Text from outside is harmless
text: no markup, no control or direction characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adapters.compliance.contract import Column, Header, Kind
from adapters.evidence.report import typeset
from adapters.evidence.seal import Sealer, Timestamper
from adapters.evidence.texts import plain
from adapters.reports.contract import Look, Writer
from adapters.reports.texts import FOLDER, column_title, facts, texts, title
from ledger.errors import TooLargeError

MAX_ROWS = 2_000
_PAPERS = (("a4", 36, 6.5), ("a4", 24, 5.5), ("a3", 20, 0.0))
"""Tried in this order: the paper, the characters that a column is made wide for at most, and the least size of its letters in points."""
_ROOM = {"a4": 1500.0, "a3": 2180.0}
"""Characters that a line of the paper takes, times their size in points."""
_SIZE = 8.0


def writer(sealer: Callable[[], Sealer], timestamper: Timestamper | None) -> Writer:
    """What writes PDFs under a seal. It blocks, and runs an event loop of its own."""

    def write(path: Path, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int:
        from adapters.evidence.signing import sign_pdf  # noqa: PLC0415  see there

        found = list(islice(rows, MAX_ROWS + 1))
        if len(found) > MAX_ROWS:
            msg = f"the answer has more than {MAX_ROWS} rows, which is all that a PDF takes; ask for csv, jsonl or xlsx"
            raise TooLargeError(msg)
        path.write_bytes(sign_pdf(render(header, found, look), sealer(), timestamper))
        return len(found)

    return write


def render(header: Header, rows: list[tuple[Any, ...]], look: Look) -> bytes:
    """The report, unsigned: the same bytes for the same answer."""
    return typeset(FOLDER, _data(header, rows, look), header.asked_at)


def _data(header: Header, rows: list[tuple[Any, ...]], look: Look) -> dict[str, Any]:
    label = texts(look.language)["label"]
    titles = [_title(column, look) for column in header.columns]
    kinds = [column.kind for column in header.columns]
    cells = [[_cell(value, kind, look) for value, kind in zip(row, kinds, strict=True)] for row in rows]
    paper, size, widths = _layout(titles, cells)
    return {
        "language": look.language,
        "label": label,
        "title": plain(title(look.language, header)),
        "query": header.query,
        "organisation": header.tenant,
        "as_of": f"{label['position']} {header.position}",
        "facts": [(name, plain(value)) for name, value in facts(look.language, header, len(rows))],
        "paper": paper,
        "size": size,
        "widths": widths,
        "right": [kind in {"integer", "decimal"} for kind in kinds],
        "columns": titles,
        "rows": cells,
        "meanings": [(each, c.name, plain(c.meaning)) for each, c in zip(titles, header.columns, strict=True)],
        "notes": [label["cut"], label["seal"], label["check"]],
    }


def _layout(titles: list[str], cells: list[list[str]]) -> tuple[str, float, list[int]]:
    """Paper, size of the letters, and shares of the width: a column has room for the words of its title and for most of its cells."""
    longest = [max((len(row[at]) for row in cells), default=0) for at in range(len(titles))]
    for paper, most, least in _PAPERS:
        widths = [
            max(max(map(len, each.split())) + 2, min(cell, most) + 1)
            for each, cell in zip(titles, longest, strict=True)
        ]
        size = min(_SIZE, _ROOM[paper] / sum(widths))
        if size >= least:
            break
    return paper, size, widths


def _title(column: Column, look: Look) -> str:
    name = plain(column_title(look.language, column.name))
    return f"{name} ({look.zone.key})" if column.kind == "time" else name


def _cell(value: Any, kind: Kind, look: Look) -> str:
    if value is None:
        return ""
    if kind == "time":
        return plain(_when(str(value), look.zone))
    if isinstance(value, bool):
        return texts(look.language)["label"]["yes" if value else "no"]
    return plain(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _when(text: str, zone: ZoneInfo) -> str:
    """A time as people of that zone read it, with the offset where there is one: an hour may come twice."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    if at.tzinfo is None:
        return text
    local = at.astimezone(zone)
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M:%S}" + ("" if zone.key == "UTC" else f" {offset[:3]}:{offset[3:]}")
