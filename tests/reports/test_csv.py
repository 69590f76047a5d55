"""CSV: read by the csv module and by DuckDB with right types, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.reports import csv_
from adapters.reports.csv_ import MARKED, original, safe
from tests.reports.answers import COLUMNS, EMPTY, HOSTILE, KINDS, LOOK, header, in_duckdb, row, texts, types_in_duckdb

TRIGGERS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
SEPARATORS = ",;|\t\r\n"
DANGEROUS = st.text(st.sampled_from(TRIGGERS + SEPARATORS + "'\" \u00a0\u30001aB"), max_size=12)


def written(folder: Path, rows: list[tuple[Any, ...]]) -> Path:
    path = folder / "report.csv"
    assert len(rows) == csv_.write(path, header(), rows, LOOK)
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


# --- lines

VALUES = st.one_of(
    st.text(),
    DANGEROUS,
    st.text(st.sampled_from('ab",\r\n+.')),
    st.integers(),
    st.booleans(),
    st.floats(),
    st.none(),
    st.lists(st.text()).map(tuple),
    st.lists(st.integers(0, 1) | st.booleans()).map(tuple),
)


@given(st.integers(1, 4).flatmap(lambda columns: st.lists(st.tuples(*[VALUES] * columns))))
def test_lines_are_those_of_the_csv_module(rows: list[tuple[Any, ...]]) -> None:
    """Cell for cell, whatever was written before and is remembered: 1, 1.0 and True are equal, and written differently."""
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\r\n").writerows([csv_.cell_of(value) for value in row] for row in rows)
    assert expected.getvalue() == csv_.text(csv_.Cells(), rows)


@given(st.lists(st.tuples(st.none() | st.text(st.sampled_from("aB1+ =-.@\n"), max_size=4)), min_size=1))
def test_a_column_is_harmless_if_each_of_its_texts_is(rows: list[tuple[str | None]]) -> None:
    """It is written as it would be text for text."""
    alone = "".join(csv_.text(csv_.Cells(), [row]) for row in rows)
    assert alone == csv_.text(csv_.Cells(), rows)
    harmless = re.compile(r"(?:[0-9A-Za-z][0-9A-Za-z_.:@ +=/-]*|\+[0-9]{1,20})?")
    every = [value or "" for (value,) in rows]
    assert all(map(harmless.fullmatch, every)) == csv_.are_harmless(every)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many texts nor a long one stay in memory."""
    monkeypatch.setattr(csv_, "MAX_REMEMBERED", 3)
    cells = csv_.Cells()
    for text in [*map(str, range(20)), "x" * 1_000]:
        assert text == cells[text]
        assert len(cells) <= 3
    assert "x" * 1_000 not in cells


# --- formulas


def _could_begin_a_formula(text: str) -> bool:
    """Whether a program that splits at any separator, or at none, would see a cell that begins as a formula does."""
    pieces = [text, *re.split(f"[{SEPARATORS}]", text)]
    return any(re.match(f"[{re.escape(TRIGGERS)}]", piece.lstrip(' "\u00a0\u3000\ufeff')) for piece in pieces)


@given(DANGEROUS | st.text())
def test_no_text_can_begin_a_formula_and_each_comes_back(text: str) -> None:
    """Whatever the separators, quotes and apostrophes; phone numbers stay as they are."""
    told = safe(text)
    assert not _could_begin_a_formula(told) or re.fullmatch(r"\+[0-9]{1,20}", text)
    assert text.replace("\0", "\u2400") == original(told)


@pytest.mark.parametrize(
    "text", ["", "anna@example.com", "'s-Gravenhage", "a-b", "1+1", "+31612345678", "x = y", "it's"]
)
def test_harmless_text_is_left_alone(text: str) -> None:
    """An apostrophe, an at-sign or a minus within a word begins nothing."""
    assert text == safe(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("=1+1", "'=1+1"),
        ("-5", "'-5"),
        ("'=1", "''=1"),
        ("a;=1", "a;'=1"),
        ('a";"=1', 'a";"\'=1'),
        ("\t=1", "'\t'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("+1+1", "'+1+1"),
    ],
)
def test_apostrophe_stands_where_a_formula_could_begin(text: str, told: str) -> None:
    """At the beginning, and after whatever another program may split at."""
    assert told == safe(text)


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    """Only texts are made safe."""
    path = written(tmp_path, [row(1, integer=-5, decimal=-0.125)])
    assert ["-5", "-0.125"] == read(path)[1][KINDS.index("integer") : KINDS.index("decimal") + 1]


# --- the file


def test_first_line_is_the_names_and_nothing_stands_before_them(tmp_path: Path) -> None:
    """No byte-order mark, no notes: programs read it as it is. Lines end as RFC 4180 has it."""
    data = written(tmp_path, [row()]).read_bytes()
    assert ",".join(column.name for column in COLUMNS).encode() + b"\r\n" == data[: data.index(b"\n") + 1]
    assert data.endswith(b"\r\n")


def test_hostile_texts_come_back_as_they_were(tmp_path: Path) -> None:
    """Quotes, separators, line breaks, control characters, apostrophes; by the rule that the notes give."""
    rows = read(written(tmp_path, texts(HOSTILE)))[1:]
    assert list(HOSTILE) == [original(cells[KINDS.index("text")]) for cells in rows]
    assert list(HOSTILE) == [original(cells[KINDS.index("id")]) for cells in rows]
    lists = [json.loads(original(cells[KINDS.index("list")])) for cells in rows]
    assert [[text, "second"] for text in HOSTILE] == lists


def test_nothing_known_and_empty_are_empty_cells(tmp_path: Path) -> None:
    """A number that is none is nothing known, too."""
    path = written(tmp_path, [EMPTY, row(1, text="", decimal=float("nan"), integer=None)])
    rows = read(path)
    assert [""] * len(KINDS) == rows[1]
    assert ["", "", ""] == [rows[2][KINDS.index(kind)] for kind in ("text", "decimal", "integer")]


def test_what_no_event_can_hold_costs_no_report(tmp_path: Path) -> None:
    """U+0000 and half a surrogate pair are shown; the row and the file stay whole."""
    path = written(tmp_path, texts(["a\0b", "a\ud800b"]))
    assert ["a\u2400b", "a\\ud800b"] == [cells[KINDS.index("text")] for cells in read(path)[1:]]


def test_long_text_is_whole(tmp_path: Path) -> None:
    """A cell may be longer than any spreadsheet takes."""
    text = "x" * 100_000 + "é"
    assert text == read(written(tmp_path, [row(1, text=text)]))[1][KINDS.index("text")]


def test_duckdb_finds_types_and_rows(tmp_path: Path) -> None:
    """Numbers, times with their zone, dates and booleans are sniffed as such, and hostile texts stay texts."""
    rows = [row(number) for number in range(500)] + texts(HOSTILE)
    path = written(tmp_path, rows)
    source = f"read_csv('{path}', sample_size=-1)"
    types = types_in_duckdb(source)
    assert {
        "a_integer": "BIGINT",
        "a_decimal": "DOUBLE",
        "a_date": "DATE",
        "a_boolean": "BOOLEAN",
    }.items() <= types.items()
    assert types["a_time"].startswith("TIMESTAMP")
    assert ("VARCHAR", "VARCHAR") == (types["a_text"], types["a_list"])
    integers = sum(each[KINDS.index("integer")] for each in rows)
    assert [(len(rows), integers)] == in_duckdb(f"SELECT count(*), sum(a_integer)::bigint FROM {source}")
    assert list(HOSTILE) == [original(text) for (text,) in in_duckdb(f"SELECT a_text FROM {source} OFFSET 500")]
    first = in_duckdb(f"SELECT epoch_us(a_time) FROM {source} LIMIT 1")
    assert [(int(datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC).timestamp() * 1_000_000),)] == first


def test_rule_that_the_notes_give_is_the_one_that_is_used() -> None:
    """What a reader copies from README.txt compiles and takes the apostrophes away."""
    pattern = eval(ascii(MARKED.pattern))  # noqa: S307  as Python reads the line in the notes
    assert "=1+1;=2" == re.sub(pattern, r"\1", "'=1+1;'=2")
