"""Runs read models over the log: in batches, position and rows in one transaction.

A gap stops a model loudly; content never does: an event that a model cannot apply is filed under `unapplied`
and shown by readiness checks. A rebuild fills new tables beside the live ones, compares, then swaps. Any number of processes may run
the same models: whoever holds a model's lock looks first how far it is.
"""

from __future__ import annotations

import logging
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from eventsourcing.persistence import DataError, IntegrityError, PersistenceError

from ledger.application import Ledger, pages
from ledger.database import TENANT_ROLE, Cursor, Reads
from ledger.errors import LedgerError
from ledger.events import Event
from ledger.tenants import working_for

LOG = logging.getLogger(__name__)
BATCH_EVENTS = 1_000
LOCK = 7305412
"""First number of PostgreSQL's advisory locks of read models; the second is made of the model's name."""
SUFFIX = "__new"


class GapError(LedgerError):
    """A position is missing from the log as read; the read model stops here."""


class ReadModel(Protocol):
    """One read model.

    Attributes:
        name: of its tracking row.
        version: a new one is rebuilt beside the live one.
        tables: by name.
    """

    name: str
    version: int
    tables: dict[str, Table]

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]: ...


@dataclass(frozen=True, slots=True)
class Target:
    """What a model works on, besides the transaction.

    Attributes:
        table: the full name of one of its tables: the live one, or the one that is built beside it.
        channels: provider -> channel.
    """

    table: Callable[[str], str]
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a read model: columns as SQL both databases know, primary key, further indexes.

    An index may end with ` WHERE …`: of the rows for which that holds. Rows of one that `may_linger` may outlive what they were made for,
    so a rebuild need not give them again.

    Attributes:
        whose: the column that says to which tenant a row belongs, one of `WALLS`.
    """

    columns: str
    key: str
    indexes: tuple[str, ...] = ()
    may_linger: bool = False
    whose: str = "tenant"


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
        differences: table -> rows that differ between the live and the new one; empty when the live one was of another version.
    """

    model: str
    events: int
    differences: dict[str, int]


UNAPPLIED = Table("model text NOT NULL, position bigint NOT NULL, why text NOT NULL", "model, position", whose="")

WALLS = {
    "tenant": "tenant = (SELECT own_tenant())",
    "stream": "EXISTS (SELECT FROM stored_events AS e WHERE e.originator_id = stream AND e.originator_version = 1 OFFSET 0)",
    "batch": "EXISTS (SELECT FROM stored_events AS e WHERE e.originator_id = batch AND e.originator_version = 1 OFFSET 0)",
    "": "true",
}
"""Column -> what somebody sees who works for one tenant, on PostgreSQL (ledger/schema/postgresql.sql); "": nobody's, so everybody's."""

_BUILDERS = """
    SELECT grantee::regrole::text FROM pg_namespace, aclexplode(nspacl)
    WHERE nspname = 'delivery_read' AND privilege_type = 'CREATE' AND grantee NOT IN (0, nspowner) AND pg_has_role(grantee, 'MEMBER')
"""
"""The service's role, for whoever is in it: what one login builds, the next one goes on with."""


class Runner:
    """Keeps read models up with one ledger."""

    def __init__(self, ledger: Ledger, models: Sequence[ReadModel]) -> None:
        self.ledger = ledger
        self.models = models
        self._schema = "delivery_read." if ledger.database.kind == "postgresql" else ""
        self._channels = channels(ledger)
        if models:
            with self._writing("unapplied") as cursor:
                self._create(cursor, "unapplied", UNAPPLIED, "")
        for model in models:
            with self._writing(model.name) as cursor:
                self._create_tables(cursor, model, "")

    @contextmanager
    def _writing(self, model: str) -> Iterator[Cursor]:
        """A transaction beside which nobody else changes a model."""
        with self.ledger.database.writing() as cursor:
            if self._schema:
                cursor.execute("SELECT pg_advisory_xact_lock(?, ?)", (LOCK, zlib.crc32(model.encode()) >> 1))
            yield cursor

    def _create_tables(self, cursor: Cursor, model: ReadModel, suffix: str) -> None:
        for name, table in model.tables.items():
            self._create(cursor, name, table, suffix)

    def _create(self, cursor: Cursor, name: str, table: Table, suffix: str) -> None:
        full = f"read_{name}{suffix}"
        if not suffix and self._exists(cursor, full):
            self._wall(cursor, full, table)
            return
        blob = "bytea" if self._schema else "BLOB"
        columns = table.columns.replace("bytes NOT NULL", f"{blob} NOT NULL")
        rowid = "" if self._schema else " WITHOUT ROWID"
        cursor.execute(f"CREATE TABLE {self._schema}{full} ({columns}, PRIMARY KEY ({table.key})){rowid}")
        for index in table.indexes:
            indexed, _, where = index.partition(" WHERE ")
            sql = f"CREATE INDEX read_{name}_{secrets.token_hex(4)} ON {self._schema}{full} ({indexed})"
            cursor.execute(sql + (f" WHERE {where}" if where else ""))
        self._wall(cursor, full, table)

    def _wall(self, cursor: Cursor, full: str, table: Table) -> None:
        """Let whoever works for one tenant see that tenant's rows of a table."""
        if not self._schema or cursor.read("SELECT 1 FROM pg_policies WHERE tablename = ?", (full,)):
            return
        name = self._schema + full
        cursor.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        cursor.execute(f"CREATE POLICY own ON {name} TO {TENANT_ROLE} USING ({WALLS[table.whose]})")
        cursor.execute(f"GRANT SELECT ON {name} TO {TENANT_ROLE}")
        for (role,) in cursor.read(_BUILDERS):
            cursor.execute(f"ALTER TABLE {name} OWNER TO {role}")

    def _exists(self, cursor: Cursor, full: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = ?"
        if self._schema:
            sql = "SELECT 1 FROM pg_tables WHERE schemaname = 'delivery_read' AND tablename = ?"
        return bool(cursor.read(sql, (full,)))

    # --- how far

    def position(self, model: ReadModel, suffix: str = "") -> int:
        """The last position a model reflects."""
        return self.position_in(self.ledger.database, model, suffix)

    def position_in(self, reads: Reads, model: ReadModel, suffix: str = "") -> int:
        """The last position that a model reflects as these reads see it."""
        sql = f"SELECT max(notification_id) FROM {self.ledger.tracking_table} WHERE application_name = ?"
        return reads.read(sql, (_tracked(model, suffix),))[0][0] or 0

    def unread(self, ledger: Ledger, model: str) -> Iterator[Event]:
        """What stands in the log and not yet in a model.

        Args:
            ledger: may be of a snapshot, with the model's rows as they were then.
            model: its name.
        """
        read_to = next(self.position_in(ledger.database, each) for each in self.models if each.name == model)
        return pages(ledger.feed, lambda event: event.position, read_to)

    def _is_of_another_version(self, cursor: Cursor, model: ReadModel) -> bool:
        """Whether the live tables were filled by another version of the model."""
        sql = f"SELECT application_name FROM {self.ledger.tracking_table} WHERE application_name LIKE ?"
        names = {str(name) for (name,) in cursor.read(sql, (f"{model.name}/%",))}
        return bool(names) and not names & {_tracked(model, "")}

    def lag(self) -> dict[str, int]:
        """Events behind the head, by model."""
        size = self.ledger.head().size
        return {model.name: size - self.position(model) for model in self.models}

    # --- going on

    def run(self) -> int:
        """Apply what is new to every model; one that is of another version now is built again first.

        Returns:
            Events applied, over all models.

        Raises:
            GapError: a position is missing.
        """
        with working_for(""):  # whoever asks: a model holds what belongs to all
            return sum(self._run(model) for model in self.models)

    def _run(self, model: ReadModel) -> int:
        with self._writing(model.name) as cursor:
            is_outdated = self._is_of_another_version(cursor, model)
        rebuilt = self.rebuild(model).events if is_outdated else 0
        return rebuilt + sum(self._advance(model, ""))

    def _advance(self, model: ReadModel, suffix: str) -> Iterator[int]:
        singly_until = 0
        while True:
            after = self.position(model, suffix)
            events = self.ledger.feed(after, BATCH_EVENTS if after >= singly_until else 1)
            if not events:
                return
            _require_contiguous(model, after, events)
            try:
                done = self._apply(model, suffix, after, events)
            except Exception as error:
                if isinstance(error, PersistenceError) and not isinstance(error, DataError | IntegrityError):
                    raise  # the database's trouble, not the content's
                if len(events) > 1:  # one by one, so that one bad event hurts only itself
                    singly_until = events[-1].position
                    continue
                LOG.exception("read model %s cannot apply position %s", model.name, events[0].position)
                done = self._apply(model, suffix, after, events, f"{type(error).__name__} in {events[0].type}")
            if done:
                yield len(events)

    def _apply(self, model: ReadModel, suffix: str, after: int, events: Sequence[Event], why: str = "") -> bool:
        """Apply events and say how far the model is, in one transaction; False when another process was faster.

        Args:
            why: the events cannot be applied; file them instead.
        """
        with self._writing(model.name) as cursor:
            if self.position_in(cursor, model, suffix) != after:
                return False
            if why:
                unapplied = [Unapplied(event.position, why) for event in events]
            else:
                target = Target(lambda name: f"{self._schema}read_{name}{suffix}", self._channels)
                unapplied = model.apply(cursor, events, target)
            rows = [(model.name + suffix, u.position, u.why[:300]) for u in unapplied]
            cursor.executemany(f"INSERT INTO {self._schema}read_unapplied VALUES (?,?,?) ON CONFLICT DO NOTHING", rows)
            self.ledger.track(cursor, _tracked(model, suffix), events[-1].position)
        return True

    # --- once more from the beginning

    def rebuild(self, model: ReadModel, progress: Callable[[int], None] = lambda _: None) -> Rebuilt:
        """Build a model again from position 1 beside the live one, compare row by row, then swap."""
        applied = 0
        with self._writing(model.name) as cursor:
            self._drop_new(cursor, model)
            self._create_tables(cursor, model, SUFFIX)
        while True:
            for count in self._advance(model, SUFFIX):
                applied += count
                progress(count)
            with self._writing(model.name) as cursor:
                is_outdated = self._is_of_another_version(cursor, model)
                if is_outdated or self.position_in(cursor, model, "") == self.position_in(cursor, model, SUFFIX):
                    names = () if is_outdated else (n for n, table in model.tables.items() if not table.may_linger)
                    differences = {name: self._differences(cursor, name) for name in names}
                    self._swap(cursor, model)
                    return Rebuilt(model.name, applied, differences)
            sum(self._advance(model, ""))

    def _swap(self, cursor: Cursor, model: ReadModel) -> None:
        position = self.position_in(cursor, model, SUFFIX)
        for name in model.tables:
            cursor.execute(f"DROP TABLE IF EXISTS {self._schema}read_{name}")
            cursor.execute(f"ALTER TABLE {self._schema}read_{name}{SUFFIX} RENAME TO read_{name}")
        cursor.execute(f"DELETE FROM {self._schema}read_unapplied WHERE model = ?", (model.name,))
        renamed = (model.name, model.name + SUFFIX)
        cursor.execute(f"UPDATE {self._schema}read_unapplied SET model = ? WHERE model = ?", renamed)
        cursor.execute(f"DELETE FROM {self.ledger.tracking_table} WHERE application_name LIKE ?", (f"{model.name}/%",))
        self.ledger.track(cursor, _tracked(model, ""), position)

    def _drop_new(self, cursor: Cursor, model: ReadModel) -> None:
        for name in model.tables:
            cursor.execute(f"DROP TABLE IF EXISTS {self._schema}read_{name}{SUFFIX}")
        cursor.execute(f"DELETE FROM {self._schema}read_unapplied WHERE model = ?", (model.name + SUFFIX,))
        cursor.execute(
            f"DELETE FROM {self.ledger.tracking_table} WHERE application_name = ?", (_tracked(model, SUFFIX),)
        )

    def _differences(self, cursor: Cursor, name: str) -> int:
        live, new = f"{self._schema}read_{name}", f"{self._schema}read_{name}{SUFFIX}"
        return sum(
            cursor.read(f"SELECT count(*) FROM (SELECT * FROM {one} EXCEPT SELECT * FROM {other}) AS a")[0][0]
            for one, other in ((live, new), (new, live))
        )

    def unapplied(self) -> list[tuple[str, int, str]]:
        """Events that some model could not apply."""
        rows = self.ledger.database.read(
            f"SELECT model, position, why FROM {self._schema}read_unapplied ORDER BY position"
        )
        return [(m, p, w) for m, p, w in rows]


def insert(cursor: Cursor, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
    """Insert rows into a table of a read model; what is there already stays as it is.

    Args:
        columns: with ", " between.
    """
    marks = ",".join("?" * len(columns.split(", ")))
    cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows)


def channels(ledger: Ledger) -> dict[str, str]:
    """Provider -> channel."""
    return {provider: words.channel for provider, words in ledger.vocabulary.items()}


def _tracked(model: ReadModel, suffix: str) -> str:
    """Under which name it is said how far a model is."""
    return f"{model.name}/{model.version}{suffix}"


def _require_contiguous(model: ReadModel, after: int, events: Sequence[Event]) -> None:
    for due, event in enumerate(events, after + 1):
        if event.position != due:
            msg = f"read model {model.name}: position {due} is missing; run `delivery-ledger fsck`"
            raise GapError(msg)
