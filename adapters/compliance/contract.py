"""What a compliance query is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, NamedTuple

import msgspec

from ledger.checkpoints import HeadFile
from projections.queries import Queries

Kind = Literal["text", "id", "integer", "decimal", "time", "date", "boolean", "list"]
"""What stands in a column: `time` is UTC as it stands in events, `decimal` a float, `list` a tuple of texts; None for what is not known."""


class CursorError(ValueError):
    """The cursor is none that this query gave."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is not a cursor of this query")


class Column(NamedTuple):
    """A column of an answer.

    Attributes:
        personal: its values may name a person.
    """

    name: str
    kind: Kind
    meaning: str
    personal: bool = False


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a query takes; a field's annotation validates and describes it, its default is what a person would want."""


Values = tuple[Any, ...]
"""Of a row, in the order of the columns."""


class Row(NamedTuple):
    """A row of an answer.

    Attributes:
        values: in the order of the columns.
        cursor: continues after this row; any text the query itself understands.
    """

    values: Values
    cursor: str


PAGE = 256


class Paged(ABC):
    """Rows that can be had by the page, too, without the cursors of each: whoever reads all of them needs none."""

    @abstractmethod
    def __iter__(self) -> Iterator[Row]: ...

    @abstractmethod
    def pages(self) -> Iterator[Sequence[Values]]: ...


def pages(rows: Iterable[Row]) -> Iterator[Sequence[Values]]:
    """The values of rows by the page, none of it empty."""
    if isinstance(rows, Paged):
        yield from rows.pages()
        return
    rest = iter(rows)
    while page := [row.values for row in islice(rest, PAGE)]:
        yield page


def shown(columns: tuple[Column, ...], row: Row) -> dict[str, Any]:
    """A row by the names of its columns."""
    return {column.name: value for column, value in zip(columns, row.values, strict=True)}


@dataclass(frozen=True, slots=True)
class Context:
    """What a query is answered from.

    Attributes:
        queries: over one snapshot; `queries.ledger` reads the same one.
        heads: the signed heads; they lie outside the database.
        now: when it was asked, aware.
        position: the log position that the snapshot's read models reflect.
        progress: told (done, total); a total of None is not known.
    """

    queries: Queries
    heads: HeadFile
    tenant: str
    now: datetime
    position: int
    progress: Callable[[int, int | None], None] = lambda _done, _total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceQuery:
    """A question with a name.

    Attributes:
        name: token; with the version it says for good what is counted.
        title: a few words for people.
        counts: what exactly is counted, and what is not: one or two sentences.
        rows: context, parameters and the cursor to go on after ("" for the beginning) -> rows in a stable order.
        scopes: one of them must be the asker's.
        shows_messages: a column `message` tells something of that message; not that somebody else looked at it.
    """

    name: str
    version: int
    title: str
    counts: str
    parameters: type[Parameters]
    columns: tuple[Column, ...]
    rows: Callable[[Context, Any, str], Iterable[Row]]
    scopes: tuple[str, ...] = ("compliance",)
    shows_messages: bool = True

    @property
    def id(self) -> str:
        return f"{self.name}/{self.version}"


class Header(msgspec.Struct, frozen=True):
    """What an answer says of itself, before its rows.

    Attributes:
        query: name and version, for example `unproven/1`.
        parameters: as they were used, defaults filled in.
        position: the log position the answer reflects.
        root: of the tree over the log up to there, SHA-256, hex.
        asked_at: UTC.
        rules: the tables that judged, for example `status/2`.
        left_out: how many of all deliveries of the organisation are among no rows and counts, because their recipients are protected.
    """

    query: str
    title: str
    counts: str
    tenant: str
    parameters: Mapping[str, Any]
    position: int
    root: str
    asked_at: str
    rules: tuple[str, ...]
    columns: tuple[Column, ...]
    left_out: int = 0
