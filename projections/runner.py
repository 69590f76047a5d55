"""Runs read models over the log: a page is read once for all of them; position and rows are written in one transaction.

A gap stops them loudly; content never does: an event that a model cannot apply is filed under `unapplied` and shown by readiness
checks. A rebuild fills new tables beside the live ones, compares, then swaps. Any number of processes may run the same models: whoever
holds a model's lock looks first how far it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType

from ledger.application import Ledger, pages
from ledger.canonical import MAX_INT
from ledger.database import Cursor, PostgresDatabase, Reads, SQLiteDatabase
from ledger.errors import LedgerError
from ledger.events import Event, read
from ledger.tenants import working_for
from projections.applying import apply_to
from projections.models import ByMessage, ReadModel, Target
from projections.shares import Building, apply_all, shares
from projections.tables import SUFFIX, UNAPPLIED, Tables, hold

BATCH_EVENTS = 1_000
SPARSE_EVENTS = 50_000
"""So much of the log is searched at once for the events that few of its types stand for."""
LOCK = 7305412
"""First number of PostgreSQL's advisory locks of read models; the second is made of the model's name."""
BUILDING_LOCK = LOCK + 1
"""Whoever builds models again holds it."""
FOLLOWING_LOCK = LOCK + 2
"""Whoever follows the log holds it for a turn."""


class GapError(LedgerError):
    """A position is missing from the log as read; the read model stops here."""


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


Progress = Callable[[int], None]
Made = Mapping[str, Mapping[str, int]]
"""Model -> its tables beside the live ones, for `projections.tables.hold`."""


class Runner:
    """Keeps read models up with one ledger."""

    def __init__(self, ledger: Ledger, models: Sequence[ReadModel]) -> None:
        self.ledger = ledger
        self.models = models
        self._tables = Tables("delivery_read." if ledger.database.kind == "postgresql" else "")
        self._channels = channels(ledger)
        if models:
            with self._writing("unapplied") as cursor:
                self._tables.create(cursor, "unapplied", UNAPPLIED)
        for model in models:
            with self._writing(model.name) as cursor:
                for name, table in model.tables.items():
                    self._tables.create(cursor, name, table)

    @contextmanager
    def _writing(self, *models: str, made: Made = MappingProxyType({})) -> Iterator[Cursor]:
        """A transaction beside which nobody else changes these models.

        Raises:
            OvertakenError: somebody else builds the tables that were made for them.
        """
        with self.ledger.database.writing() as cursor:
            if self._tables.schema:
                locks = sorted(zlib.crc32(model.encode()) >> 1 for model in models)
                cursor.read("SELECT pg_advisory_xact_lock(?, lock) FROM unnest(?::int[]) AS lock", (LOCK, locks))
            hold(cursor, {table: number for model in models for table, number in made.get(model, {}).items()})
            yield cursor

    # --- how far

    def position(self, model: ReadModel, suffix: str = "") -> int:
        """The last position a model reflects."""
        return self.position_in(self.ledger.database, model, suffix)

    def position_in(self, reads: Reads, model: ReadModel, suffix: str = "") -> int:
        """The last position that a model reflects as these reads see it."""
        return self._positions(reads, [model], suffix)[model.name]

    def _positions(self, reads: Reads, models: Sequence[ReadModel], suffix: str) -> dict[str, int]:
        names = {_tracked(model, suffix): model.name for model in models}
        columns = "application_name, notification_id"
        rows = reads.probe(self.ledger.tracking_table, columns, "application_name", list(names))
        found = dict.fromkeys(names.values(), 0)
        for name, position in rows:
            found[names[name]] = max(found[names[name]], position)
        return found

    def unread(self, ledger: Ledger, model: str) -> Iterator[Event]:
        """What stands in the log and not yet in a model.

        Args:
            ledger: may be of a snapshot, with the model's rows as they were then.
            model: its name.
        """
        read_to = next(self.position_in(ledger.database, each) for each in self.models if each.name == model)
        return pages(ledger.feed, lambda event: event.position, read_to)

    def _is_of_another_version(self, reads: Reads, model: ReadModel) -> bool:
        """Whether the live tables were filled by another version of the model."""
        sql = f"SELECT application_name FROM {self.ledger.tracking_table} WHERE application_name LIKE ?"
        names = {str(name) for (name,) in reads.read(sql, (f"{model.name}/%",))}
        return bool(names) and not names & {_tracked(model, "")}

    def lag(self) -> dict[str, int]:
        """Events behind the head, by model."""
        size = self.ledger.head().size
        return {
            name: size - position for name, position in self._positions(self.ledger.database, self.models, "").items()
        }

    # --- going on

    def run(self) -> int:
        """Apply what is new to every model; one that is of another version now is built again first.

        Returns:
            Events applied, over all models.

        Raises:
            GapError: a position is missing.
        """
        with working_for(""):  # whoever asks: a model holds what belongs to all
            return self._renew() + sum(self._advance(self.models, ""))

    def follow(self) -> bool:
        """As `run`, unless another process is doing it: that they do it one after the other costs each and helps none.

        Returns:
            Whether this one did.
        """
        if not self._tables.schema:  # SQLite is served by one process
            self.run()
            return True
        with self.ledger.database.alone(FOLLOWING_LOCK, waits=False) as is_alone:
            if is_alone:
                self.run()
            return is_alone

    def _renew(self) -> int:
        """Build models again that were filled by another version."""
        reads = self.ledger.database
        if not any(self._is_of_another_version(reads, model) for model in self.models):
            return 0
        with reads.alone(BUILDING_LOCK):
            outdated = [model for model in self.models if self._is_of_another_version(reads, model)]
            return sum(rebuilt.events for rebuilt in self._rebuild(outdated, lambda _: None, None))

    def _advance(
        self, models: Sequence[ReadModel], suffix: str, until: int = MAX_INT, made: Made = MappingProxyType({})
    ) -> Iterator[int]:
        """Apply what is new, up to a position, to some models; how many events, over all of them, after each page."""
        while models:
            reached = self._positions(self.ledger.database, models, suffix)
            after = min(reached.values())
            next_to = min((position for position in reached.values() if position > after), default=until)
            events = self.ledger.feed(after, min(BATCH_EVENTS, next_to - after)) if after < until else []
            if not events:
                return
            _require_contiguous(models, after, after + len(events), events)
            due = [model for model in models if reached[model.name] == after]
            yield len(self._apply(due, suffix, after, events, made)) * len(events)

    def _apply(
        self, models: Sequence[ReadModel], suffix: str, after: int, events: Sequence[Event], made: Made
    ) -> list[ReadModel]:
        """Apply events and say how far the models are, in one transaction; those that no other process was faster with."""
        with self._writing(*(model.name for model in models), made=made) as cursor:
            reached = self._positions(cursor, models, suffix)
            due = [model for model in models if reached[model.name] == after]
            apply_to(due, cursor, events, self._target(suffix))
            for model in due:
                self.ledger.track(cursor, _tracked(model, suffix), events[-1].position)
        return due

    def _target(self, suffix: str) -> Target:
        return Target(self._tables.schema, suffix, self._channels)

    # --- once more from the beginning

    def rebuild(self, model: ReadModel, progress: Progress = lambda _: None) -> Rebuilt:
        """Build a model again from position 1 beside the live one, compare row by row, then swap."""
        return self.rebuild_all([model], progress)[0]

    def rebuild_all(
        self, models: Sequence[ReadModel] = (), progress: Progress = lambda _: None, processes: int | None = None
    ) -> list[Rebuilt]:
        """Build models again together; the log is read once for those that may be told it message by message.

        Args:
            models: all if none.
            progress: called with the events that were applied since.
            processes: how many work beside this one; if not given, as many as are worth it.

        Raises:
            GapError: a position is missing.
        """
        with working_for(""), self.ledger.database.alone(BUILDING_LOCK):
            return self._rebuild(models or self.models, progress, processes)

    def _rebuild(self, models: Sequence[ReadModel], progress: Progress, processes: int | None) -> list[Rebuilt]:
        made = {}
        for model in models:
            with self._writing(model.name) as cursor:
                made[model.name] = self._tables.create_new(cursor, model)
                self._forget(cursor, model)
        until = self.ledger.head().size
        self._require_whole(models, until)
        by_message = tuple(model for model in models if isinstance(model, ByMessage))
        if by_message:
            self._fill(by_message, made, until, progress, processes)
        if sparse := [model for model in models if model.wants and model not in by_message]:
            self._search(sparse, made, until)
        for count in self._advance(models, SUFFIX, made=made):
            progress(count)
        return [self._replace(model, made) for model in models]

    def _forget(self, cursor: Cursor, model: ReadModel) -> None:
        """Of what an earlier attempt did nothing is left."""
        sql = f"DELETE FROM {self.ledger.tracking_table} WHERE application_name = ?"
        cursor.execute(sql, (_tracked(model, SUFFIX),))

    def _fill(
        self, models: tuple[ByMessage, ...], made: Made, until: int, progress: Progress, processes: int | None
    ) -> None:
        """Fill new tables message by message.

        How far they are is said when all of it is there, so what was broken off counts for nothing.
        """
        database = self.ledger.database
        building = Building(
            url=_url(database),
            schema=self._tables.schema,
            position_column=self.ledger.position_column,
            models=models,
            channels=self._channels,
            until=until,
            made={table: number for model in models for table, number in made[model.name].items()},
        )
        for count in apply_all(building, database, shares(self.ledger, until), processes):
            progress(count)
        for model in models:
            with self._writing(model.name, made=made) as cursor:
                model.finish(cursor, self._target(SUFFIX))
                self.ledger.track(cursor, _tracked(model, SUFFIX), until)

    def _search(self, models: Sequence[ReadModel], made: Made, until: int) -> None:
        """Apply the few events that these models want to their new tables; the others are not even decoded."""
        wanted = sorted({kind for model in models for kind in model.wants})
        column, fits = self.ledger.position_column, " OR ".join("topic LIKE ?" for _ in wanted)
        sql = f"SELECT {column}, state FROM stored_events WHERE {column} > ? AND {column} <= ? AND ({fits}) ORDER BY {column}"
        for after in range(0, until, SPARSE_EVENTS):
            upto = min(until, after + SPARSE_EVENTS)
            rows = self.ledger.database.read(sql, (after, upto, *(f"{kind}/%" for kind in wanted)))
            events = [read(position, bytes(state)) for position, state in rows]
            with self._writing(*(model.name for model in models), made=made) as cursor:
                apply_to(models, cursor, events, self._target(SUFFIX))
                for model in models:
                    self.ledger.track(cursor, _tracked(model, SUFFIX), upto)

    def _replace(self, model: ReadModel, made: Made) -> Rebuilt:
        """Compare new tables with the live ones where both are equally far, then put them in their place.

        Nobody waits for the comparing: it looks at a snapshot.
        """
        with self._writing(model.name, made=made) as cursor:
            for name, table in model.tables.items():
                self._tables.index(cursor, name, table, SUFFIX)
        differences: dict[str, int] | None = None
        while True:
            is_outdated = self._is_of_another_version(self.ledger.database, model)
            if not is_outdated:
                sum(self._advance([model], "", self.position(model, SUFFIX)))
                sum(self._advance([model], SUFFIX, self.position(model), made))
            with self.ledger.database.snapshot() as reads:
                if not is_outdated and differences is None and self._is_level(reads, model):
                    differences = self._tables.differences(reads, model)
            with self._writing(model.name, made=made) as cursor:
                if is_outdated or (differences is not None and self._is_level(cursor, model)):
                    return Rebuilt(model.name, self._swap(cursor, model), differences or {})

    def _is_level(self, reads: Reads, model: ReadModel) -> bool:
        """Whether the live tables and those beside them are equally far."""
        return self.position_in(reads, model) == self.position_in(reads, model, SUFFIX)

    def _swap(self, cursor: Cursor, model: ReadModel) -> int:
        """Put new tables in the place of the live ones; how far they are."""
        position = self.position_in(cursor, model, SUFFIX)
        self._tables.swap(cursor, model)
        cursor.execute(f"DELETE FROM {self.ledger.tracking_table} WHERE application_name LIKE ?", (f"{model.name}/%",))
        self.ledger.track(cursor, _tracked(model, ""), position)
        return position

    def _require_whole(self, models: Sequence[ReadModel], until: int) -> None:
        """Refuse a log with a gap where it is not read in its order."""
        column = self.ledger.position_column
        count = self.ledger.database.read(f"SELECT count(*) FROM stored_events WHERE {column} <= ?", (until,))[0][0]
        if count != until:
            for after in range(0, until, BATCH_EVENTS):
                upto = min(until, after + BATCH_EVENTS)
                _require_contiguous(models, after, upto, self.ledger.between(after, upto))

    def unapplied(self) -> list[tuple[str, int, str]]:
        """Events that some model could not apply."""
        rows = self.ledger.database.read(
            f"SELECT model, position, why FROM {self._tables.name('unapplied')} ORDER BY position"
        )
        return [(m, p, w) for m, p, w in rows]


def channels(ledger: Ledger) -> dict[str, str]:
    """Provider -> channel."""
    return {provider: words.channel for provider, words in ledger.vocabulary.items()}


def _url(database: PostgresDatabase | SQLiteDatabase) -> str:
    """How another process reaches a database."""
    return database.url if isinstance(database, PostgresDatabase) else f"sqlite:///{database.path}"


def _tracked(model: ReadModel, suffix: str) -> str:
    """Under which name it is said how far a model is."""
    return f"{model.name}/{model.version}{suffix}"


def _require_contiguous(models: Sequence[ReadModel], after: int, until: int, events: Sequence[Event]) -> None:
    for due, event in zip_longest(range(after + 1, until + 1), events):
        if event is None or event.position != due:
            names = ", ".join(model.name for model in models)
            msg = f"read model {names}: position {due} is missing; run `delivery-ledger fsck`"
            raise GapError(msg)
