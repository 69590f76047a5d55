"""One way to two databases: SQLite (embedded, one process) and PostgreSQL 15+ (everything else).

Both are `eventsourcing` datastores, so the recorders built on them share their pools and transactions. On top they
offer the same few verbs in one SQL dialect with `?` for parameters. Foreign errors are translated here and in the recorders only.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import eventsourcing.sqlite
import psycopg
from eventsourcing.postgres import ConnectionPool, PostgresDatastore
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTransaction,
)
from psycopg.rows import dict_row, tuple_row

from ledger.errors import ConfigurationError, UnsafeDatabaseError

SCHEMA = Path(__file__).parent / "schema"
READER_SCHEMA = "delivery_read"
SERVICE_ROLE = "delivery_ledger_service"
PRIVACY_ROLE = "delivery_ledger_privacy"
SQLITE_BUG = ((3, 7, 0), (3, 51, 2))
"""First and last SQLite with the WAL-reset bug (sqlite.org/wal.html#walresetbug): concurrent WAL use may corrupt the file."""
PROBE_CHUNK = 500

Row = tuple[Any, ...]


class Reads(Protocol):
    """Reading verbs, the same outside and inside a transaction."""

    kind: str

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]: ...
    def probe(self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = "") -> list[Row]: ...
    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[Row]: ...


class Cursor(Reads, Protocol):
    """What a transaction offers; `cursor` is the driver's own."""

    cursor: Any

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None: ...
    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...


class Database(Reads, Protocol):
    """A database as readers, read models and side tables see it."""

    def writing(self) -> AbstractContextManager[Cursor]: ...
    def close(self) -> None: ...


class _SQLiteReads(ABC):
    kind = "sqlite"

    @abstractmethod
    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]: ...

    def probe(self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = "") -> list[Row]:
        """Rows whose `column` is one of `values`, by index."""
        found: list[Row] = []
        for start in range(0, len(values), PROBE_CHUNK):
            chunk = values[start : start + PROBE_CHUNK]
            marks = ",".join("?" * len(chunk))
            found += self.read(f"SELECT {columns} FROM {table} WHERE {column} IN ({marks}) {and_}", chunk)
        return found

    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[Row]:
        """Rows whose two columns are one of the pairs, by index."""
        sql = f"SELECT {columns} FROM {table} WHERE {pair[0]} = ? AND {pair[1]} = ?"
        return [row for value in values for row in self.read(sql, value)]


class _PostgresReads(ABC):
    kind = "postgresql"

    @abstractmethod
    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]: ...

    def probe(self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = "") -> list[Row]:
        """Rows whose `column` is one of `values`: one index probe each, whatever the statistics say."""
        if not values:
            return []
        kind = _TYPES[type(values[0]).__name__]
        sql = (
            f"SELECT found.* FROM unnest(?::{kind}[]) AS wanted(value), "
            f"LATERAL (SELECT {columns} FROM {table} WHERE {column} = wanted.value {and_}) AS found"
        )
        return self.read(sql, (list(values),))

    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[Row]:
        """Rows whose two columns are one of the pairs: one index probe each."""
        if not values:
            return []
        first, second = (_TYPES[type(v).__name__] for v in values[0])
        sql = (
            f"SELECT found.* FROM unnest(?::{first}[], ?::{second}[]) AS wanted(a, b), "
            f"LATERAL (SELECT {columns} FROM {table} WHERE {pair[0]} = wanted.a AND {pair[1]} = wanted.b) AS found"
        )
        return self.read(sql, ([v[0] for v in values], [v[1] for v in values]))


def sqlite_driver() -> Any:
    """The `pysqlite3` wheel where there is one, else the interpreter's own module.

    Raises:
        UnsafeDatabaseError: the SQLite behind it has the WAL-reset bug.
    """
    try:
        driver = importlib.import_module("pysqlite3")
    except ImportError:
        driver = importlib.import_module("sqlite3")
    first, last = SQLITE_BUG
    if first <= driver.sqlite_version_info <= last:
        msg = (
            f"SQLite {driver.sqlite_version} can corrupt a database that several connections use (WAL-reset bug, fixed in 3.51.3). "
            "Repair: install a Python built with SQLite 3.51.3 or newer, or use PostgreSQL (LEDGER_DATABASE_URL=postgresql://…)."
        )
        raise UnsafeDatabaseError(msg)
    return driver


_LOG_TABLES = frozenset({"stored_events", "heads", "tile_hashes", "duplicates", "joins", "meta"})
_SQLITE_DENIED_CODES = {"SQLITE_DROP_TRIGGER": 16, "SQLITE_DROP_TABLE": 11, "SQLITE_ALTER_TABLE": 26}


def _authorise(action: int, arg1: str | None, arg2: str | None, _db: str | None, _trigger: str | None) -> int:
    """Our own connections cannot take the guards of the log away (a file's owner with another program still can; fsck tells)."""
    table = (
        arg2
        if action in (_SQLITE_DENIED_CODES["SQLITE_DROP_TRIGGER"], _SQLITE_DENIED_CODES["SQLITE_ALTER_TABLE"])
        else arg1
    )
    return int(action in _SQLITE_DENIED_CODES.values() and table in _LOG_TABLES)


class _ImmediateTransaction(SQLiteTransaction):
    """Takes the write lock first, so that what a transaction reads cannot change before it writes."""

    def __enter__(self) -> SQLiteCursor:
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        return cursor


class _Connection(SQLiteConnection):
    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        kind = _ImmediateTransaction if commit else SQLiteTransaction
        with kind(self, commit=commit) as cursor, cursor:
            yield cursor


class _Pool(SQLiteConnectionPool):
    """Connections that are durable (synchronous=FULL), wipe what they delete, and cannot drop the log's guards."""

    driver: Any = None

    def _create_connection(self) -> SQLiteConnection:
        connection = self.driver.connect(
            self.db_name, uri=True, check_same_thread=False, isolation_level=None, timeout=self.lock_timeout or 30
        )
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "secure_delete=ON", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.row_factory = self.driver.Row
        connection.set_authorizer(_authorise)
        self.is_journal_mode_wal = True
        return _Connection(connection, max_age=self.max_age)


class _SQLiteWriter(_SQLiteReads):
    """`Cursor` over an eventsourcing cursor."""

    def __init__(self, cursor: SQLiteCursor) -> None:
        self.cursor = cursor

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self.cursor.execute(sql, params)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self.cursor.executemany(sql, rows)

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self.cursor.execute(sql, params)
        return [tuple(r) for r in self.cursor.fetchall()]


class SQLiteDatabase(_SQLiteReads, SQLiteDatastore):
    """One SQLite file."""

    def __init__(self, path: str) -> None:
        driver = sqlite_driver()
        eventsourcing.sqlite.sqlite3 = driver  # the recorders' error translation must know this driver's exceptions
        self.path = path
        super().__init__(f"file:{_uri_path(path)}", originator_id_type="text", lock_timeout=30)
        self.pool = _Pool(
            db_name=f"file:{_uri_path(path)}", lock_timeout=30, pool_size=4, max_overflow=28, pool_timeout=60
        )
        self.pool.driver = driver

    def ensure_schema(self) -> None:
        """Make the tables on first use."""
        self.migrate()

    def migrate(self) -> None:
        """Create what is missing; changes nothing that is there."""
        statements = (SCHEMA / "sqlite.sql").read_text().split("--;\n")
        with self.transaction(commit=True) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        with self.get_connection(commit=False) as connection:
            cursor = connection.cursor()
            cursor.execute(sql, params)
            return [tuple(r) for r in cursor.fetchall()]

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        """A transaction that commits at the end, or not at all."""
        with self.transaction(commit=True) as cursor:
            yield _SQLiteWriter(cursor)


def _uri_path(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


_TYPES = {"bytes": "bytea", "str": "text", "int": "bigint"}


class _PostgresWriter(_PostgresReads):
    """`Cursor` over a psycopg cursor, `?` translated."""

    def __init__(self, cursor: psycopg.Cursor[Row]) -> None:
        self.cursor = cursor

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self.cursor.execute(translate(sql), tuple(params))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.cursor.executemany(translate(sql), rows)

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self.cursor.execute(translate(sql), tuple(params)).fetchall()


def translate(sql: str) -> Any:
    """Our dialect to psycopg's: `?` becomes `%s`."""
    return sql.replace("%", "%%").replace("?", "%s")


class PostgresDatabase(_PostgresReads, PostgresDatastore):
    """A PostgreSQL database, reached by a DSN (several hosts are allowed; libpq picks the primary)."""

    def __init__(self, url: str, *, pool_size: int = 2, max_size: int = 20) -> None:
        self.url = url
        self.idle_in_transaction_session_timeout = 60.0
        self.pre_ping = False
        self.pool_open_timeout = None
        self.single_row_tracking = True
        self.lock_timeout = 0
        self.schema = "public"
        self.originator_id_type = "text"
        self.enable_db_functions = False
        self.db_type_names = set()
        self.psycopg_type_adapters = {}
        self.psycopg_python_types = {}
        self.pool = ConnectionPool(
            url,
            connection_class=psycopg.Connection,
            kwargs={
                "row_factory": dict_row,
                "prepare_threshold": 3,
                "options": f"-c search_path=public,{READER_SCHEMA}",
            },
            min_size=pool_size,
            max_size=max_size,
            open=False,
            configure=self.after_connect_func(),
            timeout=30,
        )

    def ensure_schema(self) -> None:
        """Make the tables on first use, if the connected role may; otherwise the owner runs `db migrate` first."""
        if not self.read("SELECT to_regclass('stored_events')")[0][0]:
            self.migrate()

    def migrate(self, service: str = SERVICE_ROLE, privacy: str = PRIVACY_ROLE) -> None:
        """Create roles, tables, guards and grants; the connected role becomes the owner. Repeatable.

        Raises:
            ConfigurationError: the connected role may not do this.
        """
        text = (SCHEMA / "postgresql.sql").read_text()
        text = re.sub(r"\{(service|privacy|reader|schema)\}", lambda m: _names(service, privacy)[m[1]], text)
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                for role in (service, privacy):
                    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                        connection.execute(f'CREATE ROLE "{role}" NOLOGIN')  # type: ignore[arg-type]  # a constant
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(7305412)")
                    for statement in text.split("--;\n"):
                        connection.execute(statement)  # type: ignore[arg-type]  # our own file
        except psycopg.errors.InsufficientPrivilege as error:
            msg = f"db migrate needs a role that may create roles and tables ({error.diag.message_primary}); run it with the owner's URL"
            raise ConfigurationError(msg) from error

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        with self.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(translate(sql), tuple(params))
            return cursor.fetchall()

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        """A transaction that commits at the end, or not at all."""
        with (
            self.get_connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            yield _PostgresWriter(cursor)


def _names(service: str, privacy: str) -> dict[str, str]:
    return {"service": f'"{service}"', "privacy": f'"{privacy}"', "reader": READER_SCHEMA, "schema": "public"}


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
