"""What models write in a transaction, gathered by a process that only reads, so that another one can write it.

A cursor that reads from a database and keeps the calls that write. What was only gathered cannot be read back: whoever needs that has to
have the transaction itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from eventsourcing.persistence import PersistenceError

from ledger.database import Cursor, Database, Row
from ledger.probes import Probe

Call = tuple[str, tuple[Any, ...]]
"""A verb of a cursor, and its arguments."""

_tables = re.compile(r"\bread_\w+").findall


class GatheredError(PersistenceError):
    """What is to be read was gathered and is not in the database yet."""


class Gathering:
    """A cursor whose writes are kept.

    Attributes:
        calls: what was to be written, in order.
    """

    cursor: Any = None

    def __init__(self, database: Database) -> None:
        self.kind = database.kind
        self.calls: list[Call] = []
        self._database = database

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self.calls.append(("execute", (sql, params)))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.calls.append(("executemany", (sql, rows)))

    def insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]], conflict: str) -> None:
        if rows:
            self.calls.append(("insert", (table, columns, rows, conflict)))

    def copy(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.calls.append(("copy", (table, columns, rows)))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the calls that is forgotten alone when it fails."""
        kept = len(self.calls)
        try:
            yield
        except BaseException:
            del self.calls[kept:]
            raise

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._reading(sql).read(sql, params)

    def probe(self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = "") -> list[Row]:
        return self._reading(table).probe(table, columns, column, values, and_) if values else []

    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[Row]:
        return self._reading(table).probe_pairs(table, columns, pair, values) if values else []

    def probe_last(self, table: str, columns: str, column: str, values: Sequence[Any], order: str) -> list[Row]:
        return self._reading(table).probe_last(table, columns, column, values, order) if values else []

    def several(self, probes: Sequence[Probe]) -> list[list[Row]]:
        return self._reading(*(probe.table for probe in probes if probe.values)).several(probes)

    def each(self, sql: str, values: Sequence[tuple[Any, ...]]) -> list[Row]:
        return self._reading(sql).each(sql, values) if values else []

    def _reading(self, *said: str) -> Database:
        """The database, for statements about tables of which nothing was gathered."""
        written = {table for _, (first, *_) in self.calls for table in _tables(first)}
        if both := {table for sql in said for table in _tables(sql)} & written:
            msg = f"{', '.join(sorted(both))}: gathered, not written yet"
            raise GatheredError(msg)
        return self._database


def write(cursor: Cursor, calls: Sequence[Call]) -> None:
    """Write what was gathered."""
    for verb, arguments in calls:
        getattr(cursor, verb)(*arguments)
