"""Refuses to measure what is not durable: a number without its fsync is no number."""

from __future__ import annotations

from pathlib import Path

import psycopg

from ledger.database import connect
from ledger.errors import ConfigurationError
from ops.bench.contract import Bench
from ops.bench.load import database_url
from ops.bench.machine import IN_MEMORY, file_system

POSTGRESQL = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
SQLITE = {"journal_mode": "wal", "synchronous": "2", "fullfsync": "1"}
"""As a connection of the ledger has them; 2 is FULL."""


class WeakenedError(ConfigurationError):
    """Commits are not durable here, so nothing is measured; the text says which setting and its repair."""


def require(bench: Bench) -> None:
    """Both databases, as the figures will find them, commit durably.

    Raises:
        WeakenedError: they do not.
    """
    for folder in (bench.folder, Path(bench.server.host)):
        if (kind := file_system(folder)) in IN_MEMORY:
            msg = f"{folder} is in memory ({kind}): nothing there is durable. Set TMPDIR to a folder on a disk"
            raise WeakenedError(msg)
    weak = [*_weak_postgresql(bench), *_weak_sqlite(bench)]
    if weak:
        msg = "commits are not durable, so nothing is measured:\n" + "\n".join(weak)
        raise WeakenedError(msg)


def _weak_postgresql(bench: Bench) -> list[str]:
    with psycopg.connect(bench.server.url("postgres"), autocommit=True) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(POSTGRESQL),))
        found = {str(name): str(value) for name, value in rows}
        rows = connection.execute("SELECT unnest(setconfig) FROM pg_db_role_setting")
        own = [str(line) for (line,) in rows if str(line).partition("=")[0] in POSTGRESQL]
    weak = [f"PostgreSQL: {name} is {found[name]}, not {due}" for name, due in POSTGRESQL.items() if found[name] != due]
    return weak + [f"PostgreSQL: a role or database has {line} of its own" for line in own]


def _weak_sqlite(bench: Bench) -> list[str]:
    database = connect(database_url(bench, "sqlite"))
    try:
        found = {name: str(database.read(f"PRAGMA {name}")[0][0]) for name in SQLITE}
    finally:
        database.close()
    return [f"SQLite: {name} is {found[name]}, not {due}" for name, due in SQLITE.items() if found[name] != due]
