"""One fixed ledger on which every compliance query has a known answer: told once a run, then copied to each test's database.

Both clocks stand still at `NOW`, ours and the database's, so queries that ask how long something has been waiting give the same answer
for ever, and what a test appends is recorded then. Ids, keys and signatures differ from run to run; nothing may be expected of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from adapters.compliance.asking import asked
from ledger.checkpoints import HeadFile
from ledger.database import connect
from ledger.sqlite import driver
from tests.compliance.history import FIRST, NOW, OTHER, acts
from tests.postgres import Database
from tests.world import TENANT, World, world

__all__ = ["NOW", "OTHER", "TENANT", "Answer", "Golden", "ask", "golden", "tell"]

_LOG: tuple[LiteralString, ...] = (
    "heads",
    "stored_events",
    "tile_hashes",
    "duplicates",
    "joins",
    "person_keys",
    "sealed_values",
    "artifacts",
    "lookups",
    "accounts",
    "quarantine",
    "jobs",
)


class Golden(NamedTuple):
    """The fixed ledger, as a query is asked of it."""

    world: World
    heads: HeadFile


class Answer(NamedTuple):
    """What came of a question: the header as plain values, the rows, and the cursor after each."""

    header: dict[str, Any]
    rows: list[tuple[Any, ...]]
    cursors: list[str]

    def column(self, *names: str) -> list[Any]:
        """Some columns of all rows; one name gives values, several give tuples."""
        at = [[c.name for c in self.header["columns"]].index(name) for name in names]
        return [row[at[0]] if len(at) == 1 else tuple(row[i] for i in at) for row in self.rows]


def tell(folder: Path) -> None:
    """Make the ledger, on SQLite, in an empty folder; the moments in which things happened are those of its clock."""
    moment = FIRST

    def clock() -> datetime:
        return moment

    with world(f"sqlite:///{folder / 'ledger.db'}", folder, clock) as opened:
        for act in acts():
            moment = act.at
            act.do(opened)


@contextmanager
def golden(told: Path, database: Database, folder: Path) -> Iterator[Golden]:
    """A copy of what was told on an empty database, read models and all."""
    if database.kind == "sqlite":
        shutil.copyfile(told / "ledger.db", database.url.removeprefix("sqlite:///"))
    else:
        _copy(told / "ledger.db", database)
    if (told / "artifacts").exists():
        shutil.copytree(told / "artifacts", folder / "artifacts")
    with world(database.url, folder, lambda: NOW) as opened:
        opened.runner.run()
        yield Golden(opened, HeadFile(folder / "heads"))


def ask(found: Golden, query: str, after: str = "", tenant: str = TENANT, **parameters: Any) -> Answer:
    """Ask a query and take all of its rows."""
    with asked(found.world.queries, found.heads, tenant, query, parameters, after) as answer:
        rows = list(answer.rows)
        header = {name: getattr(answer.header, name) for name in answer.header.__struct_fields__}
        return Answer(header, [row.values for row in rows], [row.cursor for row in rows])


def _copy(path: Path, database: Database) -> None:
    """The log and what lies beside it, row by row, past the guards; and the database's clock stands still from now on."""
    made = connect(database.url)
    made.ensure_schema()
    made.close()
    source = driver().connect(str(path))
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in _LOG:
            columns = [str(row[1]) for row in source.execute(f"PRAGMA table_info({table})")]
            names = ["notification_id" if name == "rowid" else name for name in columns]
            sql = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), SQL(", ").join(map(Identifier, names)))
            with connection.cursor().copy(sql) as copy:
                for row in source.execute(f"SELECT {', '.join(columns)} FROM {table}"):
                    copy.write_row(row)
        found = connection.execute("SELECT pg_get_functiondef('append_batch'::regproc)").fetchone()
        assert found is not None
        stopped = found[0].replace("clock_timestamp()", f"timestamptz '{NOW.isoformat()}'")
        assert stopped != found[0]
        connection.execute(stopped)
    source.close()
