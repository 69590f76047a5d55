"""XLSX (ISO/IEC 29500, transitional): types kept, header row frozen and filterable, a last sheet that says what the rows are.

Sheets are written straight into the zip file as rows come: memory does not grow, and no unsealed copy lies in a temporary file. A text
is always an inline string in a cell formatted as text, so it is no formula and no link, not even after somebody edits it. What XML or Excel
cannot hold is made visible, cut or continued: control characters, texts over 32,767 UTF-16 units, integers of more than 15
digits (as text), rows after the 1,048,576th (on further sheets).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from adapters.compliance.contract import Column, Header, Kind
from adapters.reports.contract import Look
from adapters.reports.texts import column_title, facts, texts, visible

SHEET_ROWS = 1_048_576
MAX_UNITS = 32_767
MAX_EXACT = 10**15
_BLOCK_ROWS = 200
_FAST = 3
"""Of zlib: levels above shrink such text by a few per cent more in twice the time."""

_PLAIN, _HEAD, _TEXT, _TIME, _DATE, _WRAPPED = range(6)
_WIDTHS: dict[Kind, int] = {
    "id": 38, "text": 28, "integer": 12, "decimal": 12, "time": 20, "date": 12, "boolean": 10, "list": 32,
}  # fmt: skip
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_STYLES = f"""{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/>\
<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/></numFmts>\
<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>\
<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>\
<fill><patternFill patternType="solid"><fgColor rgb="FFE8EDF2"/></patternFill></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="6">\
<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1" applyFill="1"/>\
<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>\
<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>\
<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>\
<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyAlignment="1">\
<alignment vertical="top" wrapText="1"/></xf></cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""


class _Sheet(NamedTuple):
    """A sheet that was written: its name for people, and how many of its rows are filtered."""

    name: str
    filtered: str


def write(path: Path, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int:
    """Write the rows; times and dates are Excel's own, and their columns say that they are UTC."""
    label = texts(look.language)["label"]
    sheets: list[_Sheet] = []
    done = 0
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=_FAST) as archive:
        rest = iter(rows)
        first = next(rest, None)
        while first is not None or not sheets:
            name = label["rows_sheet"] + (f" {len(sheets) + 1}" if sheets else "")
            these = islice(rest, SHEET_ROWS - 2) if first is not None else ()
            count = _write_rows(archive, len(sheets) + 1, header, chain(() if first is None else (first,), these), look)
            sheets.append(_Sheet(name, f"$A$1:${_letters(len(header.columns) - 1)}${count + 1}"))
            done += count
            first = next(rest, None)
        _write_about(archive, len(sheets) + 1, header, done, look)
        _write_frame(archive, [*sheets, _Sheet(label["about"], "")])
    return done


# --- sheets


def _write_rows(archive: ZipFile, number: int, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int:
    titles = [_title(column, look) for column in header.columns]
    cells = [_KINDS[column.kind] for column in header.columns]
    letters = [_letters(index) for index in range(len(header.columns))]
    widths = [max(_WIDTHS[column.kind], len(title) + 5) for column, title in zip(header.columns, titles, strict=True)]
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        yield _row(1, [_string(f"{letter}1", title, _HEAD) for letter, title in zip(letters, titles, strict=True)])
        for count, values in enumerate(rows, 1):
            told = zip(cells, letters, values, strict=True)
            yield _row(count + 1, [cell(f"{letter}{count + 1}", value) for cell, letter, value in told])

    view = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    _write_sheet(archive, number, widths, view, lines(), lambda: _filter(f"A1:{letters[-1]}{count + 1}"))
    return count


def _filter(area: str) -> str:
    return f'<autoFilter ref="{area}"/><ignoredErrors><ignoredError sqref="{area}" numberStoredAsText="1"/></ignoredErrors>'


def _title(column: Column, look: Look) -> str:
    title = column_title(look.language, column.name)
    return f"{title} (UTC)" if column.kind in {"time", "date"} else title


def _write_about(archive: ZipFile, number: int, header: Header, count: int, look: Look) -> None:
    """What the rows are: the question, the state of the log, the columns."""
    label = texts(look.language)["label"]
    table = [(_title(c, look), c.name, c.meaning) for c in header.columns]
    lines = [
        *((name, value, "") for name, value in facts(look.language, header, count)),
        ("", "", ""),
        (label["column"], label["name"], label["meaning"]),
        *table,
        ("", "", ""),
        *((text, "", "") for text in (label["cut"], label["check"])),
    ]
    heads = {0, len(lines) - len(table) - 4}
    rows = (
        _row(
            at,
            [
                _string(f"{letter}{at}", text, _HEAD if at - 1 in heads else _WRAPPED)
                for letter, text in zip("ABC", line, strict=True)
                if text
            ],
        )
        for at, line in enumerate(lines, 1)
    )
    _write_sheet(archive, number, [44, 60, 60], "", rows, lambda: "")


def _write_sheet(  # noqa: PLR0917  in the order of the file
    archive: ZipFile, number: int, widths: Sequence[int], view: str, lines: Iterable[str], after: Callable[[], str]
) -> None:
    """Stream a sheet into the zip file; `after` is asked once all lines are written."""
    columns = "".join(
        f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>' for at, width in enumerate(widths, 1)
    )
    rest = iter(lines)
    with archive.open(_member(f"xl/worksheets/sheet{number}.xml"), "w", force_zip64=True) as file:
        file.write(
            f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">{view}</sheetView></sheetViews>'
            f"<cols>{columns}</cols><sheetData>".encode()
        )
        while block := "".join(islice(rest, _BLOCK_ROWS)):
            file.write(block.encode())
        file.write(f"</sheetData>{after()}</worksheet>".encode())


def _row(number: int, cells: Sequence[str]) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


# --- cells: (place, value) -> XML

_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?Z?")


def _string(place: str, text: str, style: int = _TEXT) -> str:
    """A text as it is; the underscore of what looks like Excel's own escapes (_x0041_) is escaped itself."""
    shown = _ESCAPE.sub("_x005F_", visible(_cut(text.replace("\r\n", "\n").replace("\r", "\n"))))
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<c r="{place}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{shown}</t></is></c>'


def _cut(text: str) -> str:
    """At most what a cell holds, after control characters were made visible; what is missing is said."""
    if len(text) <= MAX_UNITS // 8 or _units(visible(text)) <= MAX_UNITS:
        return text
    shown, room = len(text), MAX_UNITS - 20
    while shown and _units(visible(text[:shown])) > room:
        shown = shown * room // (_units(visible(text[:shown])) + 1)
    return f"{text[:shown]} … [+{len(text) - shown}]"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _text(place: str, value: Any) -> str:
    text = "" if value is None else str(value)
    return _string(place, text) if text else ""


def _number(place: str, value: Any) -> str:
    """A number as a number, unless Excel would round it or has no word for it."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_EXACT:
        return f'<c r="{place}"><v>{value}</v></c>'
    return "" if isinstance(value, float) and not math.isfinite(value) else _text(place, value)


def _time(place: str, value: Any) -> str:
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    day = _day(found[1]) if found else None
    if not found or day is None:
        return _text(place, value)
    seconds = int(found[2]) * 3600 + int(found[3]) * 60 + float(found[4] or 0)
    return f'<c r="{place}" s="{_TIME}"><v>{day + seconds / 86_400:.9f}</v></c>'


def _date(place: str, value: Any) -> str:
    day = _day(value) if isinstance(value, str) else None
    return _text(place, value) if day is None else f'<c r="{place}" s="{_DATE}"><v>{day}</v></c>'


def _boolean(place: str, value: Any) -> str:
    return f'<c r="{place}" t="b"><v>{int(value)}</v></c>' if isinstance(value, bool) else _text(place, value)


def _list(place: str, value: Any) -> str:
    return _text(place, "\n".join(map(str, value)) if isinstance(value, list | tuple) else value)


_KINDS: dict[Kind, Callable[[str, Any], str]] = {
    "text": _text, "id": _text, "integer": _number, "decimal": _number,
    "time": _time, "date": _date, "boolean": _boolean, "list": _list,
}  # fmt: skip


@cache
def _letters(index: int) -> str:
    """The name of a column: A, B … Z, AA and so on."""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _day(text: str) -> int | None:
    """Days as Excel counts them; None for what is no day, and for days before its own leap-year mistake."""
    try:
        day = date.fromisoformat(text).toordinal() - date(1899, 12, 30).toordinal()
    except ValueError:
        return None
    return day if day > 60 else None


# --- what holds the sheets together


def _write_frame(archive: ZipFile, sheets: Sequence[_Sheet]) -> None:
    names = "".join(f'<sheet name="{sheet.name}" sheetId="{at}" r:id="rId{at}"/>' for at, sheet in enumerate(sheets, 1))
    filters = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{at}" hidden="1">\'{sheet.name}\'!{sheet.filtered}</definedName>'
        for at, sheet in enumerate(sheets)
        if sheet.filtered
    )
    links = [(f"rId{at}", "worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(sheets) + 1)]
    frame = {
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{names}</sheets><definedNames>{filters}</definedNames></workbook>",
        "xl/_rels/workbook.xml.rels": _relations([*links, ("rIdStyles", "styles", "styles.xml")]),
        "xl/styles.xml": _STYLES.removeprefix(_XML),
        "_rels/.rels": _relations([("rId1", "officeDocument", "xl/workbook.xml")]),
        "[Content_Types].xml": _content_types(len(sheets)),
    }
    for name, xml in frame.items():
        archive.writestr(_member(name), f"{_XML}{xml}")


def _relations(links: Iterable[tuple[str, str, str]]) -> str:
    told = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>' for name, kind, target in links
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{told}</Relationships>'


def _content_types(sheets: int) -> str:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "workbook.xml": "sheet.main",
        "styles.xml": "styles",
        **{f"worksheets/sheet{at}.xml": "worksheet" for at in range(1, sheets + 1)},
    }
    told = "".join(f'<Override PartName="/xl/{name}" ContentType="{kind}.{what}+xml"/>' for name, what in parts.items())
    defaults = (
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
    )
    return f'<Types xmlns="{_PACKAGE}/content-types">{defaults}{told}</Types>'


def _member(name: str) -> ZipInfo:
    """Without the time of day: the same rows give the same bytes."""
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    return info
