"""JSON lines: types kept, read by the json module and by DuckDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.reports import jsonl
from tests.reports.answers import COLUMNS, EMPTY, HOSTILE, KINDS, LOOK, header, in_duckdb, row, texts, types_in_duckdb


def written(folder: Path, rows: list[tuple[Any, ...]]) -> Path:
    path = folder / "report.jsonl"
    assert len(rows) == jsonl.write(path, header(), rows, LOOK)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_each_line_is_a_row_with_its_types(tmp_path: Path) -> None:
    """Names as keys in the order of the columns; lists are arrays, what is not known is null, empty is empty."""
    rows = [row(1), EMPTY, row(2, text="", decimal=-0.5)]
    found = read(written(tmp_path, rows))
    names = [column.name for column in COLUMNS]
    assert [names] * 3 == [list(each) for each in found]
    as_read = [tuple(list(value) if isinstance(value, tuple) else value for value in each) for each in rows]
    assert as_read == [tuple(each.values()) for each in found]


def test_hostile_texts_come_back_as_they_were(tmp_path: Path) -> None:
    """JSON needs no apostrophes: nothing is added or taken away."""
    assert list(HOSTILE) == [each["a_text"] for each in read(written(tmp_path, texts(HOSTILE)))]


def test_what_no_event_can_hold_costs_no_report(tmp_path: Path) -> None:
    """Half a surrogate pair is shown, in a list too; a number that is none is null."""
    found = read(written(tmp_path, [*texts(["a\ud800b"]), row(2, decimal=float("inf"))]))
    assert ("a\\ud800b", "a\\ud800b", None) == (found[0]["a_text"], found[0]["a_list"][0], found[1]["a_decimal"])


def test_duckdb_finds_types_and_rows(tmp_path: Path) -> None:
    """Numbers, times, dates, booleans and lists are what they were."""
    rows = [row(number) for number in range(500)]
    source = f"read_json('{written(tmp_path, rows)}')"
    types = types_in_duckdb(source)
    assert {
        "a_integer": "BIGINT",
        "a_decimal": "DOUBLE",
        "a_date": "DATE",
        "a_boolean": "BOOLEAN",
    }.items() <= types.items()
    assert ("VARCHAR[]", True) == (types["a_list"], types["a_time"].startswith("TIMESTAMP"))
    assert [(len(rows), sum(range(500)))] == in_duckdb(f"SELECT count(*), sum(a_integer)::bigint FROM {source}")
    told = [(r[KINDS.index("text")], list(r[KINDS.index("list")])) for r in rows]
    assert told == in_duckdb(f"SELECT a_text, a_list FROM {source}")
