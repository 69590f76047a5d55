"""The recorders: eventsourcing's, made gapless, with leaf, frontier and head in the same transaction.

`append` takes a whole `Batch` that was encoded and hashed for the head it expects, and stores all of it or nothing;
`append_after` encodes while it holds the lock, for whoever lost that race. `insert_events` is the frame's own entry and goes the
second way. What is not used of the frame: its table lock (needs rights to change), its retry (repeats after an unclear commit),
and table creation by the service.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import psycopg
from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent, Tracking
from eventsourcing.postgres import PostgresProcessRecorder
from eventsourcing.sqlite import SQLiteProcessRecorder
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from ledger.arrays import array
from ledger.database import READER_SCHEMA, Cursor, PostgresDatabase, Reads, SQLiteDatabase
from ledger.errors import (
    ClockError,
    ConflictError,
    CorruptError,
    DuplicateError,
    HeadMovedError,
    LedgerError,
    ReferenceTakenError,
    UnclearCommitError,
    VersionTakenError,
)
from ledger.postgresql import Transaction, translate
from ledger.tree import EMPTY_ROOT, TILE_HEIGHT, TILE_WIDTH, Frontier, TileHash, leaf_hash, node_hash

LOCK = 7305411
"""Of PostgreSQL's advisory locks: whoever appends holds it until the transaction ends."""
MAX_TAIL_ROWS = 20_000


class Head(NamedTuple):
    """The newest row of `heads`.

    Attributes:
        size: tree_size.
        root: 32 bytes.
        recorded_us: microseconds since 1970, never less than any before.
    """

    size: int
    root: bytes
    recorded_us: int


NO_HEAD = Head(0, EMPTY_ROOT, 0)


class Tail(NamedTuple):
    """What was appended since a tree size, as of the newest head.

    Attributes:
        rows: (leaf hash, stream, version) of each event, or None when they are too many to be worth reading.
    """

    head: Head
    rows: list[tuple[bytes, str, int]] | None


class LookupRow(NamedTuple):
    """Where a keyed digest leads. `recipient` is -1 for the whole message."""

    digest: bytes
    stream: str
    recipient: int
    exclusive: int


class KeyRow(NamedTuple):
    """A wrapped key of one person in one message; `person` is -1 for what concerns the whole message."""

    key_id: bytes
    stream: str
    person: int
    wrapped: bytes


class OutboxRow(NamedTuple):
    """A send that waits for the outbox; `sealed` is its payload under the message's key."""

    message: str
    tenant: str
    account: str
    provider: str
    state: str
    due_at: str
    key_id: bytes
    sealed: bytes


class ArtifactRow(NamedTuple):
    """Sealed original bytes; `sealed` is None when they lie in the artifact directory."""

    artifact_id: str
    key_id: bytes
    media_type: str
    body_bytes: int
    sealed: bytes | None


@dataclass(slots=True)
class Batch:
    """Everything of one transaction, encoded and hashed for the head it expects.

    Positions are expected_size + 1, + 2, …; the lists of events have one entry each.

    Attributes:
        clock_us: our clock, read last before it is sent; compared with the database's.
        recorded_us: as it stands in the events.
    """

    expected_size: int
    clock_us: int
    recorded_us: int
    streams: list[str] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    states: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    tiles: list[TileHash] = field(default_factory=list)
    root: bytes = EMPTY_ROOT
    sealed: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    keys: list[KeyRow] = field(default_factory=list)
    artifacts: list[tuple[str, int, bytes, str, int, bytes | None]] = field(default_factory=list)
    lookups: list[tuple[bytes, str, int, int, int]] = field(default_factory=list)
    duplicates: list[tuple[bytes, int]] = field(default_factory=list)
    joins: list[tuple[str, int, str]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.expected_size + len(self.states)

    @property
    def events(self) -> tuple[list[Any], ...]:
        """The columns of `stored_events`."""
        positions = list(range(self.expected_size + 1, self.size + 1))
        return positions, self.streams, self.versions, self.topics, self.states, self.leaves


class Recorder(Protocol):
    """What the appender and the ledger need of either recorder."""

    def head(self) -> Head: ...
    def frontier(self) -> tuple[Head, Frontier]: ...
    def append(self, batch: Batch) -> None: ...
    def append_after(self, size: int, encode: Callable[[Tail], Batch]) -> None: ...
    def is_stored(self, batch: Batch) -> bool: ...
    def notify(self) -> None: ...


# Table, columns and types of what a batch stores beside events; one row here, one bulk INSERT there.
BESIDE: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("tiles", "tile_hashes", "level, tile_index, hash", ("int2", "int8", "bytea")),
    ("duplicates", "duplicates", "duplicate_key, position", ("bytea", "int8")),
    ("joins", "joins", "stream, position, joined_into", ("text", "int8", "text")),
    ("keys", "person_keys", "key_id, stream, person, wrapped", ("bytea", "text", "int4", "bytea")),
    ("sealed", "sealed_values", "position, key_id, sealed", ("int8", "bytea", "bytea")),
    (
        "artifacts",
        "artifacts",
        "artifact_id, position, key_id, media_type, body_bytes, sealed",
        ("text", "int8", "bytea", "text", "int8", "bytea"),
    ),
    ("lookups", "lookups", "digest, stream, recipient, position, exclusive", ("bytea", "text", "int4", "int8", "int2")),
    (
        "outbox",
        "outbox",
        "message, tenant, account, provider, state, due_at, key_id, sealed",
        ("text", "text", "text", "text", "text", "text", "bytea", "bytea"),
    ),
)


NEWEST = "SELECT size, root, recorded_at FROM heads ORDER BY size DESC LIMIT 1"


def read_head(reads: Reads) -> Head:
    return _head(reads.read(NEWEST))


def _head(rows: Sequence[tuple[Any, ...]]) -> Head:
    return Head(rows[0][0], bytes(rows[0][1]), rows[0][2]) if rows else NO_HEAD


def load_frontier(reads: Reads, position: str) -> tuple[Head, Frontier]:
    """The newest head and the frontier under it, from tile hashes and at most 255 leaf hashes.

    Args:
        position: the column of `stored_events` that holds it.

    Raises:
        CorruptError: the frontier does not hash to the head's root.
    """
    head = read_head(reads)
    peaks: list[bytes] = []
    begin, size = 0, head.size
    for level in range(size.bit_length() // TILE_HEIGHT, -1, -1):
        width = TILE_WIDTH**level
        count = (size - begin) // width
        if not count:
            continue
        if level:
            sql = "SELECT hash FROM tile_hashes WHERE level = ? AND tile_index >= ? AND tile_index < ? ORDER BY tile_index"
            rows = reads.read(sql, (level, begin // width, begin // width + count))
        else:
            sql = f"SELECT leaf FROM stored_events WHERE {position} > ? AND {position} <= ? ORDER BY {position}"
            rows = reads.read(sql, (begin, begin + count))
        peaks += _perfect_peaks([bytes(r[0]) for r in rows])
        begin += width * count
    frontier = Frontier(size, peaks)
    if frontier.root() != head.root:
        msg = f"root mismatch at tree size {size}: head {head.root.hex()}, computed {frontier.root().hex()}; run `delivery-ledger fsck`"
        raise CorruptError(msg)
    return head, frontier


def _perfect_peaks(nodes: list[bytes]) -> list[bytes]:
    """Fold equal-sized subtrees, fewer than 256 of them, into the peaks they make."""
    peaks: list[bytes] = []
    for index, added in enumerate(nodes):
        node, rest = added, index
        while rest & 1:
            node = node_hash(peaks.pop(), node)
            rest >>= 1
        peaks.append(node)
    return peaks


def frame_batch(head: Head, frontier: Frontier, events: Sequence[StoredEvent]) -> Batch:
    """A batch of the frame's own events, for `insert_events`."""
    clock_us = time.time_ns() // 1000
    batch = Batch(head.size, clock_us, max(clock_us, head.recorded_us))
    for event in events:
        hashed = leaf_hash(event.state)
        batch.streams.append(str(event.originator_id))
        batch.versions.append(event.originator_version)
        batch.topics.append(event.topic)
        batch.states.append(event.state)
        batch.leaves.append(hashed)
        batch.tiles += frontier.add(hashed)
    batch.root = frontier.root()
    return batch


class _Gapless(ABC):
    """What both recorders do alike: one transaction at a time holds the lock, and stores a head and what it covers."""

    datastore: Any
    position: str
    _insert_tracking: Callable[[Any, Tracking], None]

    @abstractmethod
    def _locked(self) -> AbstractContextManager[Cursor]:
        """A transaction beside which nobody else appends.

        Raises:
            UnclearCommitError: the connection broke, or the disk failed during the commit.
        """

    @abstractmethod
    def _store(self, cursor: Any, batch: Batch) -> None:
        """Insert a batch if the head is the expected one."""

    def create_table(self) -> None:
        self.datastore.migrate()

    def head(self) -> Head:
        return read_head(self.datastore)

    def frontier(self) -> tuple[Head, Frontier]:
        return load_frontier(self.datastore, self.position)

    def append(self, batch: Batch) -> None:
        """Store a batch whole.

        Raises:
            HeadMovedError, ConflictError, ClockError: it was refused; nothing was stored.
            UnclearCommitError: whether it was stored must be looked up (`is_stored`).
            PersistenceError: the database's trouble; nothing was stored.
        """
        with self._locked() as cursor:
            self._store(cursor, batch)

    def append_after(self, size: int, encode: Callable[[Tail], Batch]) -> None:
        """Hold the lock, hand over what was appended since `size`, and store the batch made of it.

        Raises:
            As `append`, and whatever `encode` raises.
        """
        with self._locked() as cursor:
            self._store(cursor, encode(self._tail(cursor, size)))

    def _tail(self, cursor: Cursor, size: int) -> Tail:
        head = read_head(cursor)
        if not 0 <= head.size - size <= MAX_TAIL_ROWS:
            return Tail(head, None)
        return Tail(head, cursor.read(_tail_sql(self.position), (size,)))

    def is_stored(self, batch: Batch) -> bool:
        """Whether an append whose outcome was unclear took place.

        If not, it still may, but only until another one is stored in its place: both expect the same head.
        """
        sql = f"SELECT leaf FROM stored_events WHERE {self.position} = ?"
        with self._locked() as cursor:
            rows = cursor.read(sql, (batch.expected_size + 1,))
        return [bytes(leaf) for (leaf,) in rows] == batch.leaves[:1]

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The frame's entry: events and, with `tracking`, the position read so far, in one transaction."""
        tracking: Tracking | None = kwargs.get("tracking")
        try:
            with self._locked() as cursor:
                head, frontier = load_frontier(cursor, self.position)
                batch = frame_batch(head, frontier, stored_events)
                if stored_events:
                    self._store(cursor, batch)
                    self._announce(cursor)
                if tracking is not None:
                    self._insert_tracking(cursor.cursor, tracking)
        except LedgerError as error:
            raise IntegrityError(str(error)) from error
        return list(range(head.size + 1, batch.size + 1))

    def notify(self) -> None:
        """Tell listeners that there is something new; a hint, sent after the commit."""
        with self.datastore.writing() as cursor:
            self._announce(cursor)

    @abstractmethod
    def _announce(self, cursor: Cursor) -> None:
        """Send the hint with this transaction, where the database can."""


def _tail_sql(position: str) -> str:
    columns = "leaf, originator_id, originator_version"
    return f"SELECT {columns} FROM stored_events WHERE {position} > ? ORDER BY {position} LIMIT {MAX_TAIL_ROWS}"


class SQLiteRecorder(_Gapless, SQLiteProcessRecorder):
    """Events, heads and tracking in one SQLite file."""

    datastore: SQLiteDatabase
    position = "rowid"

    @contextmanager
    def _locked(self) -> Iterator[Cursor]:
        is_committing = False
        try:
            with self.datastore.writing() as cursor:
                yield cursor
                is_committing = True
        except IntegrityError as error:
            raise translate_sqlite(error) or error from error
        except OperationalError as error:
            if is_committing:  # the disk failed: the commit may stand in the write-ahead log all the same
                raise UnclearCommitError(str(error)) from error
            raise

    def _store(self, cursor: Cursor, batch: Batch) -> None:
        found = read_head(cursor).size
        if found != batch.expected_size:
            msg = f"head moved: expected {batch.expected_size}, found {found}"
            raise HeadMovedError(msg)
        cursor.execute("INSERT INTO heads VALUES (?,?,?)", (batch.size, batch.root, batch.recorded_us))
        rows = list(zip(*batch.events, strict=True))
        cursor.executemany("INSERT INTO stored_events VALUES (?,?,?,?,?,?)", rows)
        for attribute, table, columns, types in BESIDE:
            rows = getattr(batch, attribute)
            if rows:
                cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({','.join('?' * len(types))})", rows)

    def _announce(self, cursor: Cursor) -> None:
        pass


def translate_sqlite(error: Exception) -> LedgerError | None:
    """The refusal behind a constraint or trigger of ours; None when it is not one."""
    text = str(error)
    return next((kind(text) for part, kind in _TEXTS.items() if part in text), None)


_TEXTS: dict[str, type[LedgerError]] = {
    "stored_events.version": VersionTakenError,
    "stored_events.originator": VersionTakenError,
    "position is not the next one": HeadMovedError,
    "duplicates.": DuplicateError,
    "lookups": ReferenceTakenError,
    "UNIQUE constraint failed": ConflictError,
    "written once": ConflictError,
}


_CONSTRAINTS: dict[str, type[LedgerError]] = {
    "stored_events_version": VersionTakenError,
    "stored_events_pkey": HeadMovedError,
    "heads_pkey": HeadMovedError,
    "duplicates_pkey": DuplicateError,
    "lookups_exclusive": ReferenceTakenError,
    "lookups_pkey": ReferenceTakenError,
}
_STATES: dict[str, type[LedgerError]] = {"LG001": HeadMovedError, "LG002": ClockError, "23505": ConflictError}
READ_ONLY = "25006"
_NOTIFY = "NOTIFY stored_events"


_OF_EVENTS = (("streams", "text"), ("versions", "int8"), ("topics", "text"), ("states", "bytea"), ("leaves", "bytea"))


@lru_cache(maxsize=256)
def _statement(filled: tuple[bool, ...]) -> str:
    """The call of `append_batch` that hands over only what there is."""
    events = [f"%b::{kind}[]" for _, kind in _OF_EVENTS]
    beside = [
        f"%b::{kind}[]" if has else "'{}'" for (*_, kinds), has in zip(BESIDE, filled, strict=True) for kind in kinds
    ]
    return f"SELECT append_batch(%b::int8, %b::int8, %b, %b::int8, {', '.join([*events, *beside])})"


def _call(batch: Batch) -> tuple[str, list[Any]]:
    """A call of `append_batch` and its arguments."""
    arguments: list[Any] = [batch.expected_size, batch.clock_us, batch.root, batch.recorded_us]
    arguments += [array(kind, getattr(batch, attribute)) for attribute, kind in _OF_EVENTS]
    beside = [getattr(batch, attribute) for attribute, *_ in BESIDE]
    for rows, (*_, kinds) in zip(beside, BESIDE, strict=True):
        if rows:
            arguments += map(array, kinds, zip(*rows, strict=True))
    return _statement(tuple(map(bool, beside))), arguments


class PostgresRecorder(_Gapless, PostgresProcessRecorder):
    """Events and heads on PostgreSQL, and tracking in the schema of the read models, where the service may update."""

    datastore: PostgresDatabase
    position = "notification_id"

    def __init__(self, datastore: PostgresDatabase) -> None:
        super().__init__(datastore, events_table_name="stored_events", tracking_table_name="tracking")
        self.insert_tracking_statement = SQL(
            "INSERT INTO {}.tracking AS t VALUES (%(application_name)s, %(notification_id)s) "
            "ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id "
            "WHERE t.notification_id < excluded.notification_id RETURNING notification_id"
        ).format(Identifier(READER_SCHEMA))
        self.max_tracking_id_statement = SQL(
            "SELECT max(notification_id) FROM {}.tracking WHERE application_name = %s"
        ).format(Identifier(READER_SCHEMA))

    @contextmanager
    def _locked(self) -> Iterator[Cursor]:
        with (
            self.datastore.get_connection() as connection,
            _explained(connection),
            connection.transaction(),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            yield Transaction(cursor)

    def append(self, batch: Batch) -> None:
        """As the other recorder's, in one round trip."""
        with self.datastore.get_connection() as connection, _explained(connection):
            connection.execute(*_call(batch))

    def append_after(self, size: int, encode: Callable[[Tail], Batch]) -> None:
        """As the other recorder's, in two round trips: what waits for the lock and reads, and what stores and commits."""
        with (
            self.datastore.get_connection() as connection,
            _explained(connection),
            connection.pipeline(),
            connection.transaction(),
        ):
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            newest = connection.cursor(row_factory=tuple_row).execute(NEWEST)
            added = connection.cursor(row_factory=tuple_row).execute(translate(_tail_sql(self.position)), (size,))
            head = _head(newest.fetchall())
            rows = added.fetchall()
            connection.execute(*_call(encode(Tail(head, rows if len(rows) == head.size - size else None))))

    def _store(self, cursor: Cursor, batch: Batch) -> None:
        cursor.cursor.execute(*_call(batch))

    def notify(self) -> None:
        """As the other recorder's, in one round trip."""
        with self.datastore.get_connection() as connection:
            connection.execute(_NOTIFY)

    def _announce(self, cursor: Cursor) -> None:
        cursor.execute(_NOTIFY)


@contextmanager
def _explained(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Tell a refusal, after which nothing was stored, from a connection that broke: then nobody knows before looking."""
    try:
        yield
    except psycopg.Error as error:
        if connection.info.transaction_status == TransactionStatus.UNKNOWN:
            raise UnclearCommitError(str(error)) from error
        if error.sqlstate == READ_ONLY:  # the server became a standby: let the pool find the new primary
            connection.close()
            raise psycopg.OperationalError(str(error)) from error
        raise translate_postgres(error) or error from error


def translate_postgres(error: psycopg.Error) -> LedgerError | None:
    """The refusal behind a constraint or function of ours; None when it is not one."""
    kind = _CONSTRAINTS.get(error.diag.constraint_name or "") or _STATES.get(error.sqlstate or "")
    return kind(str(error).partition("\n")[0]) if kind else None
