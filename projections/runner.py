"""Runs read models over the log: in batches, position and rows in one transaction.

A gap stops a model loudly; content never does: an event that a model cannot apply is filed under `unapplied`
and shown by readiness checks. A rebuild fills new tables beside the live ones, compares, then swaps.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.application import Ledger
from ledger.database import Cursor
from ledger.errors import LedgerError
from ledger.events import Event

BATCH_EVENTS = 1_000
SUFFIX = "__new"


class GapError(LedgerError):
    """A position is missing from the log as read; the read model stops here."""


class ReadModel(Protocol):
    """One read model.

    Attributes:
        name: of its tracking row.
        version: a new one is rebuilt beside the live one.
        tables: table -> (DDL body, key columns, {index name: columns}).
    """

    name: str
    version: int
    tables: dict[str, Table]

    def apply(self, cursor: Cursor, events: Sequence[Event], table: Callable[[str], str]) -> list[Unapplied]: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a read model: columns as SQL both databases know, primary key, further indexes."""

    columns: str
    key: str
    indexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unapplied:
    """An event that a model could not apply, and why (no personal values)."""

    position: int
    why: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found.

    Attributes:
        events: events applied.
        differences: table -> rows that differ between the live and the new one.
    """

    model: str
    events: int
    differences: dict[str, int]


UNAPPLIED = Table("model text NOT NULL, position bigint NOT NULL, why text NOT NULL", "model, position")


class Runner:
    """Keeps read models up with one ledger."""

    def __init__(self, ledger: Ledger, models: Sequence[ReadModel]) -> None:
        self.ledger = ledger
        self.models = models
        self._schema = "delivery_read." if ledger.database.kind == "postgresql" else ""
        with ledger.database.writing() as cursor:
            self._create(cursor, "unapplied", UNAPPLIED, "")
            for model in models:
                self._create_tables(cursor, model, "")

    def _create_tables(self, cursor: Cursor, model: ReadModel, suffix: str) -> None:
        for name, table in model.tables.items():
            self._create(cursor, name, table, suffix)

    def _create(self, cursor: Cursor, name: str, table: Table, suffix: str) -> None:
        full = f"read_{name}{suffix}"
        if not suffix and self._exists(full):
            return
        blob = "bytea" if self._schema else "BLOB"
        columns = table.columns.replace("bytes NOT NULL", f"{blob} NOT NULL")
        rowid = "" if self._schema else " WITHOUT ROWID"
        cursor.execute(f"CREATE TABLE {self._schema}{full} ({columns}, PRIMARY KEY ({table.key})){rowid}")
        for index in table.indexes:
            cursor.execute(f"CREATE INDEX read_{name}_{secrets.token_hex(4)} ON {self._schema}{full} ({index})")

    def _exists(self, full: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = ?"
        if self._schema:
            sql = "SELECT 1 FROM pg_tables WHERE schemaname = 'delivery_read' AND tablename = ?"
        return bool(self.ledger.database.read(sql, (full,)))

    def position(self, model: ReadModel, suffix: str = "") -> int:
        """The last position a model reflects."""
        return self.ledger.recorder.max_tracking_id(f"{model.name}/{model.version}{suffix}") or 0

    def lag(self) -> dict[str, int]:
        """Events behind the head, by model."""
        size = self.ledger.head().size
        return {model.name: size - self.position(model) for model in self.models}

    def run(self) -> int:
        """Apply what is new to every model.

        Returns:
            Events applied, over all models.

        Raises:
            GapError: a position is missing.
        """
        return sum(count for model in self.models for count in self._advance(model, ""))

    def _advance(self, model: ReadModel, suffix: str) -> Iterator[int]:
        while True:
            after = self.position(model, suffix)
            events = self.ledger.feed(after, BATCH_EVENTS)
            if not events:
                return
            positions = [event.position for event in events]
            if positions != list(range(after + 1, after + 1 + len(events))):
                missing = next(
                    w for w, p in zip(range(after + 1, positions[-1] + 1), positions, strict=False) if w != p
                )
                msg = f"read model {model.name}: position {missing} is missing; run `delivery-ledger fsck`"
                raise GapError(msg)
            with self.ledger.database.writing() as cursor:
                unapplied = model.apply(cursor, events, lambda name: f"{self._schema}read_{name}{suffix}")
                rows = [(model.name + suffix, u.position, u.why[:300]) for u in unapplied]
                cursor.executemany(
                    f"INSERT INTO {self._schema}read_unapplied VALUES (?,?,?) ON CONFLICT DO NOTHING", rows
                )
                self.ledger.track(cursor, f"{model.name}/{model.version}{suffix}", positions[-1])
            yield len(events)

    def rebuild(self, model: ReadModel, progress: Callable[[int], None] = lambda _: None) -> Rebuilt:
        """Build a model again from position 1 beside the live one, compare row by row, then swap."""
        applied = 0
        self._drop_new(model)
        with self.ledger.database.writing() as cursor:
            self._create_tables(cursor, model, SUFFIX)
        for count in self._advance(model, SUFFIX):
            applied += count
            progress(count)
        self.run()
        for count in self._advance(model, SUFFIX):
            applied += count
        differences = {name: self._differences(name) for name in model.tables}
        position = self.position(model, SUFFIX)
        with self.ledger.database.writing() as cursor:
            for name in model.tables:
                cursor.execute(f"DROP TABLE {self._schema}read_{name}")
                cursor.execute(f"ALTER TABLE {self._schema}read_{name}{SUFFIX} RENAME TO read_{name}")
            tracking = f"{self.ledger.tracking_table}"
            cursor.execute(f"DELETE FROM {tracking} WHERE application_name LIKE ?", (f"{model.name}/%",))
            self.ledger.track(cursor, f"{model.name}/{model.version}", position)
        return Rebuilt(model.name, applied, differences)

    def _drop_new(self, model: ReadModel) -> None:
        with self.ledger.database.writing() as cursor:
            for name in model.tables:
                cursor.execute(f"DROP TABLE IF EXISTS {self._schema}read_{name}{SUFFIX}")
            cursor.execute(
                f"DELETE FROM {self.ledger.tracking_table} WHERE application_name = ?",
                (f"{model.name}/{model.version}{SUFFIX}",),
            )

    def _differences(self, name: str) -> int:
        live, new = f"{self._schema}read_{name}", f"{self._schema}read_{name}{SUFFIX}"
        sql = f"SELECT count(*) FROM (SELECT * FROM {live} EXCEPT SELECT * FROM {new}) AS a"
        back = f"SELECT count(*) FROM (SELECT * FROM {new} EXCEPT SELECT * FROM {live}) AS a"
        return int(self.ledger.database.read(sql)[0][0]) + int(self.ledger.database.read(back)[0][0])

    def unapplied(self) -> list[tuple[str, int, str]]:
        """Events that some model could not apply."""
        rows = self.ledger.database.read(
            f"SELECT model, position, why FROM {self._schema}read_unapplied ORDER BY position"
        )
        return [(m, p, w) for m, p, w in rows]
