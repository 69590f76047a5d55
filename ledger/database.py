"""One way to two databases: SQLite (embedded, one process) and PostgreSQL 15+ (everything else).

Both are `eventsourcing` datastores, so the recorders built on them share their pools and transactions. On top they
offer the same few verbs in one SQL dialect with `?` for parameters. Foreign errors are translated there and in the recorders only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from ledger.errors import ConfigurationError
from ledger.postgresql import PRIVACY_ROLE, READER_SCHEMA, SERVICE_ROLE, TENANT_ROLE, PostgresDatabase
from ledger.probes import Probe
from ledger.sqlite import SQLiteDatabase

__all__ = [
    "PRIVACY_ROLE",
    "READER_SCHEMA",
    "SERVICE_ROLE",
    "TENANT_ROLE",
    "Cursor",
    "Database",
    "PostgresDatabase",
    "Reads",
    "Row",
    "SQLiteDatabase",
    "connect",
    "unsafe_rights",
]

Row = tuple[Any, ...]


class Reads(Protocol):
    """Reading verbs, the same outside and inside a transaction."""

    kind: str

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]: ...
    def probe(self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = "") -> list[Row]: ...
    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[Row]: ...
    def probe_last(self, table: str, columns: str, column: str, values: Sequence[Any], order: str) -> list[Row]: ...
    def several(self, probes: Sequence[Probe]) -> list[list[Row]]: ...
    def each(self, sql: str, values: Sequence[tuple[Any, ...]]) -> list[Row]: ...


class Cursor(Reads, Protocol):
    """What a transaction offers; `cursor` is the driver's own."""

    cursor: Any

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None: ...
    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...
    def insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]], conflict: str) -> None: ...
    def copy(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None: ...
    def attempt(self) -> AbstractContextManager[None]: ...


class Database(Reads, Protocol):
    """A database as readers, read models and side tables see it."""

    def writing(self) -> AbstractContextManager[Cursor]: ...
    def snapshot(self) -> AbstractContextManager[Reads]: ...
    def alone(self, lock: int, *, waits: bool = True) -> AbstractContextManager[bool]: ...
    def settle(self) -> None: ...
    def close(self) -> None: ...


def connect(url: str) -> SQLiteDatabase | PostgresDatabase:
    """Open a database by its URL.

    Args:
        url: `sqlite:///relative`, `sqlite:////absolute` or `postgresql://…` (any libpq URL).

    Raises:
        ConfigurationError: the URL has another form.
        UnsafeDatabaseError: the SQLite library is one that may corrupt files.
    """
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return SQLiteDatabase(str(path))
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresDatabase(url)
    msg = f"database URL {re.sub('//.*@', '//…@', url)!r}: write sqlite:///path or postgresql://user@host/name (LEDGER_DATABASE_URL)"
    raise ConfigurationError(msg)


def unsafe_rights(database: SQLiteDatabase | PostgresDatabase) -> list[str]:
    """What the connected role could do to the past, in words; whoever serves must have none of it.

    SQLite knows no roles, so there it is always empty: whoever may write the file could change it, and the tree tells.
    """
    return [] if isinstance(database, SQLiteDatabase) else database.unsafe_rights()
