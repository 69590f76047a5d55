"""SQLite, the embedded database: one file, one process, any number of threads.

Every connection commits durably, wipes what it deletes, and cannot take the guards of the log away. Somebody with another
program and the rights to the file can; the tree tells (`delivery-ledger fsck`).
"""

from __future__ import annotations

import fcntl
import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import eventsourcing.sqlite
from eventsourcing import persistence
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteCursor, SQLiteDatastore

from ledger.errors import ConfigurationError, UnsafeDatabaseError
from ledger.probes import Probe

SCHEMA = (Path(__file__).parent / "schema" / "sqlite.sql").read_text()
BUG = ((3, 7, 0), (3, 51, 2))
"""First and last SQLite with the WAL-reset bug (sqlite.org/wal.html#walresetbug): concurrent WAL use may corrupt the file."""
PROBE_CHUNK = 500
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "secure_delete=ON", "foreign_keys=ON")
LOCK_TIMEOUT_S = 30
SETTLE_TIMEOUT_S = 2
"""Longest wait for readers who still look at what is to be wiped."""
LOG_TABLES = frozenset({"stored_events", "heads", "tile_hashes", "duplicates", "joins", "meta"})

# Action codes of sqlite3_set_authorizer -> which argument names the table or pragma, and which names are denied.
_DENIED: dict[int, tuple[int, frozenset[str]]] = {
    11: (0, LOG_TABLES),  # SQLITE_DROP_TABLE
    16: (1, LOG_TABLES),  # SQLITE_DROP_TRIGGER
    26: (1, LOG_TABLES),  # SQLITE_ALTER_TABLE
    19: (0, frozenset({"writable_schema", "ignore_check_constraints", *(p.partition("=")[0] for p in PRAGMAS)})),
}
_PRAGMA = 19


def driver() -> Any:
    """The `pysqlite3` wheel where there is one, else the interpreter's own module.

    Raises:
        UnsafeDatabaseError: the SQLite behind it has the WAL-reset bug.
    """
    try:
        found = importlib.import_module("pysqlite3")
    except ImportError:
        found = importlib.import_module("sqlite3")
    first, last = BUG
    if first <= found.sqlite_version_info <= last:
        msg = (
            f"SQLite {found.sqlite_version} can corrupt a database that several connections use (WAL-reset bug, fixed in 3.51.3). "
            "Repair: install a Python built with SQLite 3.51.3 or newer, or use PostgreSQL (LEDGER_DATABASE_URL=postgresql://…)."
        )
        raise UnsafeDatabaseError(msg)
    return found


def _authorise(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action not in _DENIED or (action == _PRAGMA and second is None):
        return 0
    which, names = _DENIED[action]
    return int(str((first, second)[which]).lower() in names)


class _Connection(SQLiteConnection):
    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """Ends with COMMIT or ROLLBACK, whatever happens, so that the connection can be used again."""
        cursor = self.cursor()
        # The write lock first: what the transaction reads cannot change before it writes.
        cursor.execute("BEGIN IMMEDIATE" if commit else "BEGIN")
        try:
            with cursor:
                yield cursor
            if commit:
                self.commit()
        finally:
            self.rollback()  # nothing to do after a commit


class _Pool(SQLiteConnectionPool):
    def __init__(self, found: Any, path: str) -> None:
        super().__init__(db_name=f"file:{_uri_path(path)}", pool_size=4, max_overflow=28, pool_timeout=60)
        self._driver = found

    def _create_connection(self) -> SQLiteConnection:
        connection = self._driver.connect(
            self.db_name, uri=True, check_same_thread=False, isolation_level=None, timeout=LOCK_TIMEOUT_S
        )
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.row_factory = self._driver.Row
        connection.set_authorizer(_authorise)
        return _Connection(connection, max_age=self.max_age)


def _uri_path(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


class _Reads(ABC):
    kind = "sqlite"

    @abstractmethod
    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def probe(
        self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = ""
    ) -> list[tuple[Any, ...]]:
        """Rows whose `column` is one of `values`, by index."""
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), PROBE_CHUNK):
            chunk = values[start : start + PROBE_CHUNK]
            marks = ",".join("?" * len(chunk))
            found += self.read(f"SELECT {columns} FROM {table} WHERE {column} IN ({marks}) {and_}", chunk)
        return found

    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[tuple[Any, ...]]:
        """Rows whose two columns are one of the pairs, by index."""
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), PROBE_CHUNK):
            chunk = values[start : start + PROBE_CHUNK]
            marks = ",".join(["(?,?)"] * len(chunk))
            sql = f"SELECT {columns} FROM {table} WHERE ({pair[0]}, {pair[1]}) IN (VALUES {marks})"
            found += self.read(sql, [value for pair_of in chunk for value in pair_of])
        return found

    def probe_last(
        self, table: str, columns: str, column: str, values: Sequence[Any], order: str
    ) -> list[tuple[Any, ...]]:
        """For each value, its row with the highest `order`, by index."""
        sql = f"SELECT {columns} FROM {table} WHERE {column} = ? ORDER BY {order} DESC LIMIT 1"
        return [row for value in values for row in self.read(sql, (value,))]

    def several(self, probes: Sequence[Probe]) -> list[list[tuple[Any, ...]]]:
        """The rows of each of several probes."""
        return [self._several(*each) for each in probes]

    def _several(
        self, table: str, columns: str, on: tuple[str, ...], values: Sequence[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        if len(on) == 1:
            return self.probe(table, columns, on[0], [value for (value,) in values])
        return self.probe_pairs(table, columns, (on[0], on[1]), [(a, b) for a, b in values])

    def each(self, sql: str, values: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """For each tuple of values the rows of a statement that names them `{0}`, `{1}` …; a row begins with the tuple's number.

        The rows of one tuple keep their order, the tuples have none.
        """
        if not values:
            return []
        numbered = sql.format(*(f"?{number}" for number in range(1, len(values[0]) + 1)))
        return [(number, *row) for number, value in enumerate(values) for row in self.read(numbered, value)]


class Transaction(_Reads):
    """What a transaction offers."""

    def __init__(self, cursor: SQLiteCursor) -> None:
        self.cursor = cursor

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self.cursor.execute(sql, params)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self.cursor.executemany(sql, rows)

    def insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]], conflict: str) -> None:
        """Insert rows.

        Args:
            columns: with ", " between.
            conflict: what follows ON CONFLICT.
        """
        marks = ",".join("?" * len(columns.split(", ")))
        self.cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT {conflict}", rows)

    def copy(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows that are not there yet."""
        marks = ",".join("?" * len(columns.split(", ")))
        self.cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction that is undone alone when it fails.

        Raises:
            PersistenceError: the frame's error for whatever the driver raised.
        """
        self.cursor.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException as error:
            self.cursor.execute("ROLLBACK TO attempt")
            if isinstance(error, driver().Error):
                raise _translated(error) from error
            raise
        finally:
            self.cursor.execute("RELEASE attempt")

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.cursor.execute(sql, params)
        return [tuple(r) for r in self.cursor.fetchall()]


def _translated(error: Exception) -> Exception:
    """The frame's error for one of the driver's."""
    return getattr(persistence, type(error).__name__, persistence.PersistenceError)(str(error))


class SQLiteDatabase(_Reads, SQLiteDatastore):
    """One SQLite file."""

    def __init__(self, path: str) -> None:
        if ":memory:" in path:
            msg = "a ledger needs a file: write sqlite:///path (LEDGER_DATABASE_URL)"
            raise ConfigurationError(msg)
        self._driver = driver()
        vars(eventsourcing.sqlite)["sqlite3"] = (
            self._driver
        )  # the frame's own translation must know this driver's exceptions
        self._writer = threading.Lock()
        self.path = path
        self.single_row_tracking = True
        self.originator_id_type = "text"
        self.pool = _Pool(self._driver, path)

    def ensure_schema(self) -> None:
        """Make the tables on first use."""
        self.migrate()

    def migrate(self) -> None:
        """Create what is missing; changes nothing that is there."""
        with self.transaction(commit=True) as cursor:
            for statement in SCHEMA.split("--;\n"):
                cursor.execute(statement)

    @contextmanager
    def get_connection(self, *, commit: bool) -> Iterator[SQLiteConnection]:
        """A connection of the pool; one writer at a time, and readers never wait for it.

        Raises:
            PersistenceError: the frame's error for whatever the driver raised.
        """
        with self._writer if commit else nullcontext():
            try:
                connection = self.pool.get_connection()
                try:
                    yield connection
                finally:
                    self.pool.put_connection(connection)
            except self._driver.Error as error:
                raise _translated(error) from error

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.get_connection(commit=False) as connection, connection.cursor() as cursor:
            cursor.row_factory = None
            found: list[tuple[Any, ...]] = cursor.execute(sql, params).fetchall()
            return found

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction that commits at the end, or not at all."""
        with self.transaction(commit=True) as cursor:
            yield Transaction(cursor)

    def settle(self) -> None:
        """Empty the write-ahead log, in which deleted rows stand as they were; `secure_delete` wipes them in the file itself.

        Readers who see an earlier state keep it from that; then the next call does it, or the end of the last process.
        """
        with self.get_connection(commit=True) as connection, connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {SETTLE_TIMEOUT_S * 1_000}")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1_000}")

    @contextmanager
    def alone(self, lock: int, *, waits: bool = True) -> Iterator[bool]:
        """As on PostgreSQL; a file beside the database says who."""
        with Path(f"{self.path}.{lock}").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
                is_alone = True
            except BlockingIOError:
                is_alone = False
            yield is_alone

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Reads that all see the database as it was at the first of them; for one thread."""
        with self.transaction(commit=False) as cursor:
            yield Transaction(cursor)
