"""XLSX: opened by openpyxl with right types, frozen and filtered, and not one formula or link in it."""

from __future__ import annotations

import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest

from adapters.compliance.contract import Column
from adapters.reports import texts as words
from adapters.reports import xlsx
from adapters.reports.contract import Look
from tests.reports.answers import COLUMNS, EMPTY, HOSTILE, KINDS, LOOK, header, row, texts

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def written(folder: Path, rows: list[tuple[Any, ...]], look: Look = LOOK) -> Path:
    path = folder / "report.xlsx"
    assert len(rows) == xlsx.write(path, header(), rows, look)
    return path


def opened(path: Path) -> openpyxl.Workbook:
    return openpyxl.load_workbook(path)


def column(path: Path, kind: str) -> list[Any]:
    """The cells of a column, without its title."""
    at = KINDS.index(kind) + 1
    return [cell for (cell,) in opened(path).worksheets[0].iter_rows(min_row=2, min_col=at, max_col=at)]


def shown(text: str) -> str:
    """A text as people see it: one kind of line break, nothing that hides."""
    return words.visible(text.replace("\r\n", "\n").replace("\r", "\n"))


def unescaped(text: str) -> str:
    """As Excel reads a text: its own escape taken away."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def test_types_are_those_of_the_columns(tmp_path: Path) -> None:
    """Numbers, times, dates and booleans are Excel's own; a list is a text with a line each."""
    path = written(tmp_path, [row(5)])
    values = [cell.value for cell in opened(path).worksheets[0][2]]
    time, day = datetime(2026, 3, 6, 9, 0, 5, 250_000), datetime(2026, 3, 6)  # noqa: DTZ001  Excel has no zones
    assert ["Anna No. 5", row(5)[1], 5, 0.625, time, day, False, "first 5\nsecond"] == values
    assert ["s", "s", "n", "n", "d", "d", "b", "s"] == [cell.data_type for cell in opened(path).worksheets[0][2]]


def test_header_is_frozen_and_filtered_and_says_utc(tmp_path: Path) -> None:
    """In the reader's language where there are words; times and dates say that they are UTC."""
    sheet = opened(written(tmp_path, [row(1), row(2)])).worksheets[0]
    assert ("A2", "A1:H3") == (sheet.freeze_panes, sheet.auto_filter.ref)
    titles = [cell.value for cell in sheet[1]]
    assert ["a_time (UTC)", "a_date (UTC)"] == [title for title in titles if title.endswith("(UTC)")]
    assert all(sheet.column_dimensions[letter].width > 8 for letter in "ABCDEFGH")


def test_no_text_is_a_formula_or_a_link(tmp_path: Path) -> None:
    """Each stands in a cell of the text format, as it came; nothing of it is markup of the file."""
    path = written(tmp_path, texts(HOSTILE))
    for kind in ("text", "id"):
        cells = column(path, kind)
        assert [shown(text) for text in HOSTILE] == [unescaped(cell.value) for cell in cells]
        assert {("s", "@", None)} == {(cell.data_type, cell.number_format, cell.hyperlink) for cell in cells}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            tags = {element.tag for element in ET.fromstring(archive.read(name)).iter()}  # noqa: S314  our own
            assert not {f"{MAIN}f", f"{MAIN}hyperlink", f"{MAIN}hyperlinks"} & tags


def test_excels_own_escape_is_escaped(tmp_path: Path) -> None:
    """A text of the letters _x0041_ is not an A."""
    written(tmp_path, texts(["_x0041_"]))
    with zipfile.ZipFile(tmp_path / "report.xlsx") as archive:
        assert b">_x005F_x0041_<" in archive.read("xl/worksheets/sheet1.xml")


def test_what_xml_forbids_and_what_disguises_is_made_visible(tmp_path: Path) -> None:
    """Control characters, characters that turn the direction round, half surrogate pairs, U+0000."""
    cells = column(written(tmp_path, texts(["a\0b", "\x1b[1m", "x\u202efdp", "\ud800", "\uffff"])), "text")
    assert ["a[U+0000]b", "[U+001B][1m", "x[U+202E]fdp", "[U+D800]", "[U+FFFF]"] == [cell.value for cell in cells]


@pytest.mark.parametrize("text", ["x" * 40_000, "\U0001f4e8" * 20_000, "\x01" * 9_000, "=" * 32_768])
def test_text_that_no_cell_holds_is_cut_and_says_so(tmp_path: Path, text: str) -> None:
    """At most 32,767 UTF-16 units, and how many characters are missing."""
    (cell,) = column(written(tmp_path, texts([text])), "text")
    assert len(cell.value.encode("utf-16-le")) // 2 <= 32_767
    missing = int(re.search(r" … \[\+(\d+)\]$", cell.value)[1])  # type: ignore[index]  # it must be there
    assert shown(text[: len(text) - missing]) == cell.value.rpartition(" … ")[0]
    assert len(cell.value) > 10_000


@pytest.mark.parametrize("length", [4_095, 4_096, 32_766, 32_767])
def test_text_that_a_cell_holds_is_whole(tmp_path: Path, length: int) -> None:
    """Up to the last character."""
    (cell,) = column(written(tmp_path, texts(["é" * length])), "text")
    assert "é" * length == cell.value


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"integer": -5}, -5),
        ({"integer": 10**15 - 1}, 10**15 - 1),
        ({"integer": 10**15 + 1}, str(10**15 + 1)),
        ({"integer": "n/a"}, "n/a"),
        ({"decimal": 0.1}, 0.1),
        ({"decimal": 1e-7}, 1e-7),
        ({"decimal": float("nan")}, None),
        ({"decimal": 3}, 3),
        ({"time": "2026-03-01T09:00"}, datetime(2026, 3, 1, 9)),  # noqa: DTZ001  Excel has no zones
        ({"time": "2026-03-01"}, "2026-03-01"),
        ({"time": "1899-12-31T00:00:00Z"}, "1899-12-31T00:00:00Z"),
        ({"time": "2026-13-01T00:00:00Z"}, "2026-13-01T00:00:00Z"),
        ({"time": "=1+1"}, "=1+1"),
        ({"date": "2024-02-29"}, datetime(2024, 2, 29)),  # noqa: DTZ001  as above
        ({"date": "2026-02-29"}, "2026-02-29"),
        ({"boolean": True}, True),
        ({"boolean": "yes"}, "yes"),
        ({"list": ()}, None),
        ({"list": ["=1+1"]}, "=1+1"),
        ({"text": 7}, "7"),
    ],
)
def test_what_excel_would_change_is_kept_as_text(tmp_path: Path, changes: dict[str, Any], value: Any) -> None:
    """Long numbers, days that are none, values of another kind: shown as they are."""
    (kind,) = changes
    (cell,) = column(written(tmp_path, [row(1, **changes)]), kind)
    assert value == cell.value
    assert "f" != cell.data_type


def test_empty_answer_is_a_workbook_with_its_titles(tmp_path: Path) -> None:
    """No rows are a result; nothing known is an empty cell."""
    sheet = opened(written(tmp_path, [])).worksheets[0]
    assert (1, "A1:H1") == (sheet.max_row, sheet.auto_filter.ref)
    sheet = opened(written(tmp_path, [EMPTY, row(1)])).worksheets[0]
    assert [None] * len(KINDS) == [cell.value for cell in sheet[2]]


@pytest.mark.parametrize(("count", "sizes"), [(9, [9]), (10, [9, 1]), (18, [9, 9]), (19, [9, 9, 1])])
def test_rows_that_a_sheet_cannot_hold_go_on_in_further_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]
) -> None:
    """Each with its titles, frozen and filtered; none is lost and none is doubled."""
    monkeypatch.setattr(xlsx, "SHEET_ROWS", 10)
    book = opened(written(tmp_path, [row(number) for number in range(count)]))
    *sheets, about = book.worksheets
    assert ["Rows", "Rows 2", "Rows 3"][: len(sizes)] == [sheet.title for sheet in sheets]
    assert ("About", sizes) == (about.title, [sheet.max_row - 1 for sheet in sheets])
    at = KINDS.index("integer")
    assert list(range(count)) == [cells[at].value for sheet in sheets for cells in sheet.iter_rows(min_row=2)]
    assert {"A2"} == {sheet.freeze_panes for sheet in sheets}


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_last_sheet_says_what_the_rows_are(tmp_path: Path, language: Any) -> None:
    """Question, parameters, organisation, position, root, rows, and what each column means."""
    path = written(tmp_path, [row(1)], Look(language, LOOK.zone))
    about = opened(path).worksheets[-1]
    told = {cells[0].value: cells[1].value for cells in about.iter_rows() if cells[0].value}
    label = words.texts(language)["label"]
    assert ("acme", "7", "0" * 64, "since: 2026-01-01") == tuple(
        told[label[name]] for name in ("organisation", "position", "root", "parameters")
    )
    names = {cells[1].value: cells[2].value for cells in about.iter_rows()}
    assert {each.name: each.meaning for each in COLUMNS}.items() <= names.items()


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """No time of day, no names of temporary files."""
    first = written(tmp_path, [row(1)]).read_bytes()
    assert first == written(tmp_path, [row(1)]).read_bytes()


def test_hundred_columns_have_names(tmp_path: Path) -> None:
    """Beyond Z."""
    many = [Column(f"c{number}", "integer", "a number") for number in range(100)]
    xlsx.write(tmp_path / "r.xlsx", header(many), [tuple(range(100))], LOOK)
    sheet = opened(tmp_path / "r.xlsx").worksheets[0]
    assert (list(range(100)), "A1:CV2") == ([cell.value for cell in sheet[2]], sheet.auto_filter.ref)
