"""The recorders: eventsourcing's, made gapless, with leaf, frontier and head in the same transaction.

`append` takes a whole `Batch` that was encoded and hashed before the lock and either stores all of it or nothing.
`insert_events` is the frame's own entry; it goes the same way. What is not used of the frame: its table lock, its retry
(both repeat or block after an unclear commit), and table creation by the service.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import psycopg
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.postgres import PostgresProcessRecorder
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder

from ledger.database import PostgresDatabase, SQLiteDatabase
from ledger.errors import (
    ClockError,
    ConflictError,
    CorruptError,
    DuplicateError,
    HeadMovedError,
    LedgerError,
    ReferenceTakenError,
    VersionTakenError,
)
from ledger.tree import EMPTY_ROOT, TILE_HEIGHT, TILE_WIDTH, Frontier, TileHash, leaf_hash, node_hash


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

    @property
    def size(self) -> int:
        return self.expected_size + len(self.states)


class Recorder(Protocol):
    """What the appender and the ledger need of either recorder."""

    def head(self) -> Head: ...
    def frontier(self) -> tuple[Head, Frontier]: ...
    def append(self, batch: Batch) -> None: ...
    def is_stored(self, batch: Batch) -> bool: ...


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
)


def load_frontier(database: SQLiteDatabase | PostgresDatabase, event_column: str) -> tuple[Head, Frontier]:
    """The newest head and the frontier under it, from tile hashes and at most 255 leaf hashes.

    Raises:
        CorruptError: the frontier does not hash to the head's root.
    """
    head = read_head(database)
    peaks: list[bytes] = []
    begin, size = 0, head.size
    for level in range(size.bit_length() // TILE_HEIGHT, -1, -1):
        width = TILE_WIDTH**level
        count = (size - begin) // width
        if not count:
            continue
        if level:
            sql = "SELECT hash FROM tile_hashes WHERE level = ? AND tile_index >= ? AND tile_index < ? ORDER BY tile_index"
            rows = database.read(sql, (level, begin // width, begin // width + count))
        else:
            sql = f"SELECT leaf FROM stored_events WHERE {event_column} > ? AND {event_column} <= ? ORDER BY {event_column}"
            rows = database.read(sql, (begin, begin + count))
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


def read_head(database: SQLiteDatabase | PostgresDatabase) -> Head:
    rows = database.read("SELECT size, root, recorded_at FROM heads ORDER BY size DESC LIMIT 1")
    return Head(rows[0][0], bytes(rows[0][1]), rows[0][2]) if rows else NO_HEAD


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


class SQLiteRecorder(SQLiteProcessRecorder):
    """Events, heads and tracking in one SQLite file."""

    datastore: SQLiteDatabase

    def create_table(self) -> None:
        self.datastore.migrate()

    def head(self) -> Head:
        return read_head(self.datastore)

    def frontier(self) -> tuple[Head, Frontier]:
        return load_frontier(self.datastore, "rowid")

    def append(self, batch: Batch) -> None:
        """Store a batch whole.

        Raises:
            HeadMovedError, VersionTakenError, ReferenceTakenError, DuplicateError: nothing was stored.
        """
        try:
            with self.datastore.transaction(commit=True) as cursor:
                self._append(cursor, batch)
        except IntegrityError as error:
            raise translate_sqlite(error) from error

    def _append(self, cursor: SQLiteCursor, batch: Batch) -> None:
        cursor.execute("SELECT coalesce(max(size), 0) FROM heads")
        found = cursor.fetchone()[0]
        if found != batch.expected_size:
            msg = f"head moved: expected {batch.expected_size}, found {found}"
            raise HeadMovedError(msg)
        first = batch.expected_size + 1
        positions = range(first, first + len(batch.states))
        cursor.executemany(
            "INSERT INTO stored_events VALUES (?,?,?,?,?,?)",
            zip(positions, batch.streams, batch.versions, batch.topics, batch.states, batch.leaves, strict=True),
        )
        for attribute, table, columns, types in BESIDE:
            rows = getattr(batch, attribute)
            if rows:
                marks = ",".join("?" * len(types))
                cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        cursor.execute("INSERT INTO heads VALUES (?,?,?)", (batch.size, batch.root, batch.recorded_us))

    def is_stored(self, batch: Batch) -> bool:
        """Whether an append whose outcome was unclear took place."""
        sql = "SELECT leaf FROM stored_events WHERE rowid = ?"
        return self.datastore.read(sql, (batch.expected_size + 1,)) == [(batch.leaves[0],)]

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The frame's entry: events and, with `tracking`, the position read so far, in one transaction."""
        tracking: Tracking | None = kwargs.get("tracking")
        try:
            with self.datastore.transaction(commit=True) as cursor:
                head, frontier = self.frontier()
                batch = frame_batch(head, frontier, stored_events)
                if stored_events:
                    self._append(cursor, batch)
                if tracking is not None:
                    self._insert_tracking(cursor, tracking)
        except LedgerError as error:
            raise IntegrityError(str(error)) from error
        return list(range(head.size + 1, batch.size + 1))


def translate_sqlite(error: Exception) -> LedgerError:
    """The refusal behind a constraint or trigger of ours."""
    text = str(error)
    table: dict[str, type[LedgerError]] = {
        "stored_events.version": VersionTakenError,
        "stored_events.originator": VersionTakenError,
        "position is not the next one": HeadMovedError,
        "duplicates.": DuplicateError,
        "lookups.": ReferenceTakenError,
        "index 'lookups_exclusive'": ReferenceTakenError,
    }
    for part, kind in table.items():
        if part in text:
            return kind(text)
    return ConflictError(text)


_CONSTRAINTS: dict[str, type[LedgerError]] = {
    "stored_events_version": VersionTakenError,
    "stored_events_pkey": HeadMovedError,
    "heads_pkey": HeadMovedError,
    "duplicates_pkey": DuplicateError,
    "lookups_exclusive": ReferenceTakenError,
    "lookups_pkey": ReferenceTakenError,
}
_STATES: dict[str, type[LedgerError]] = {"LG001": HeadMovedError, "LG002": ClockError}


def translate_postgres(error: psycopg.Error) -> LedgerError | None:
    """The refusal behind a constraint or function of ours; None when it is not one."""
    kind = _STATES.get(error.sqlstate or "") or _CONSTRAINTS.get(error.diag.constraint_name or "")
    return kind(str(error).partition("\n")[0]) if kind else None


class PostgresRecorder(PostgresProcessRecorder):
    """Events, heads and tracking on PostgreSQL."""

    datastore: PostgresDatabase
    INSERT_EVENTS = "INSERT INTO stored_events SELECT * FROM unnest(%b::int8[],%b::text[],%b::int8[],%b::text[],%b::bytea[],%b::bytea[])"

    def __init__(self, datastore: PostgresDatabase) -> None:
        super().__init__(datastore, events_table_name="stored_events", tracking_table_name="tracking")

    def create_table(self) -> None:
        self.datastore.migrate()

    def head(self) -> Head:
        return read_head(self.datastore)

    def frontier(self) -> tuple[Head, Frontier]:
        return load_frontier(self.datastore, "notification_id")

    def append(self, batch: Batch) -> None:
        """Store a batch whole, in one round trip.

        Raises:
            HeadMovedError, VersionTakenError, ReferenceTakenError, DuplicateError, ClockError: nothing was stored.
            OperationalError: the connection broke; whether it was stored must be looked up (`is_stored`).
        """
        with self.datastore.get_connection() as connection:
            try:
                with connection.pipeline():
                    connection.execute("BEGIN")
                    self._append(connection, batch)
                    connection.execute("COMMIT")
            except psycopg.Error as error:
                refusal = translate_postgres(error)
                if refusal is None:
                    raise
                connection.execute("ROLLBACK")
                raise refusal from error

    def _append(self, connection: psycopg.Connection[Any], batch: Batch) -> None:
        connection.execute("SELECT expect_head(%b::int8, %b::int8)", (batch.expected_size, batch.clock_us))
        first = batch.expected_size + 1
        positions = list(range(first, first + len(batch.states)))
        events = (positions, batch.streams, batch.versions, batch.topics, batch.states, batch.leaves)
        connection.execute(self.INSERT_EVENTS, events)
        for attribute, table, columns, types in BESIDE:
            rows = getattr(batch, attribute)
            if rows:
                arrays = ",".join(f"%b::{t}[]" for t in types)
                statement = f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})"
                connection.execute(statement, [list(column) for column in zip(*rows, strict=True)])  # type: ignore[arg-type]  # from BESIDE
        connection.execute("INSERT INTO heads VALUES (%b, %b, %b)", (batch.size, batch.root, batch.recorded_us))

    def is_stored(self, batch: Batch) -> bool:
        """Whether an append whose connection broke took place; waits until it has ended either way."""
        with self.datastore.writing() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(7305411)")
            rows = cursor.read("SELECT leaf FROM stored_events WHERE notification_id = ?", (batch.expected_size + 1,))
            return [bytes(r[0]) for r in rows] == [batch.leaves[0]]

    def notify(self) -> None:
        """Tell listeners that there is something new; a hint, sent after the commit."""
        with self.datastore.get_connection() as connection:
            connection.execute("NOTIFY stored_events")

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The frame's entry: events and, with `tracking`, the position read so far, in one transaction."""
        tracking: Tracking | None = kwargs.get("tracking")
        try:
            with self.datastore.get_connection() as connection, connection.transaction(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(7305411)")
                head, frontier = self.frontier()
                batch = frame_batch(head, frontier, stored_events)
                if stored_events:
                    self._append(connection, batch)
                    cursor.execute("NOTIFY stored_events")
                if tracking is not None:
                    self._insert_tracking(cursor, tracking)
        except psycopg.Error as error:
            refusal = translate_postgres(error)
            raise IntegrityError(str(refusal or error)) from error
        return list(range(head.size + 1, batch.size + 1))
