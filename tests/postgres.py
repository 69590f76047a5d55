"""Databases for single tests, on a private PostgreSQL server that all tests of a run share.

Every test gets a new database; the server lives in ops/postgres.py. Making the tables takes longer than most tests: they are made once,
in a template, and copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import LiteralString, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from ops.postgres import Server

SETTINGS = {
    "fsync": "off",  # the cluster is thrown away; a test of what survives a crash kills processes, not machines
    "full_page_writes": "off",
    "max_connections": "200",
}
OWNER = "ledger_owner"
"""May create roles and own tables, as `delivery-ledger db migrate` needs; no superuser."""
TEMPLATE, EMPTY = "ledger_template", "template0"
"""With the tables of a ledger that holds nothing yet and knows no key, and with none."""
SHARED_ROLES = ("delivery_ledger_service", "delivery_ledger_privacy", "delivery_ledger_tenant")
"""Roles belong to the whole server: made beforehand, so that two tests never make one at the same time."""


class Database(NamedTuple):
    """A new database.

    Attributes:
        kind: `sqlite` or `postgresql`.
        url: as the owner of everything in it.
        superuser_url: PostgreSQL only.
    """

    kind: str
    url: str
    superuser_url: str = ""


def execute(server: Server, statement: LiteralString, *names: str) -> None:
    """Run one statement as superuser, outside a transaction, with identifiers for its `{}`."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(SQL(statement).format(*map(Identifier, names)))


def prepare(server: Server, fill: Callable[[str], None]) -> None:
    """Make the roles that all databases of a run share, and the template of those with tables.

    Args:
        fill: opens a ledger on the database of this URL, for the first time.
    """
    execute(server, "CREATE ROLE {} LOGIN CREATEROLE", OWNER)
    for role in SHARED_ROLES:
        execute(server, "CREATE ROLE {} NOLOGIN", role)
    for member in (SHARED_ROLES[0], OWNER):
        execute(server, "GRANT {} TO {}", SHARED_ROLES[-1], member)
    execute(server, "CREATE DATABASE {} OWNER {}", TEMPLATE, OWNER)
    fill(server.url(TEMPLATE, OWNER))
    with psycopg.connect(server.url(TEMPLATE)) as connection:
        connection.execute("ALTER TABLE meta DISABLE TRIGGER no_change")
        connection.execute("DELETE FROM meta WHERE name = 'keyring'")
        connection.execute("ALTER TABLE meta ENABLE ALWAYS TRIGGER no_change")


class Databases:
    """Makes and drops databases; one object per test process.

    A database is 500 files, which take 20 to 300 ms as the file system likes: the next one is made while a test runs.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._names = (f"{prefix}_{number}" for number in itertools.count(1))
        self._maker = ThreadPoolExecutor(max_workers=1)
        self._ready = self._maker.submit(self._make)

    def _make(self, template: str = TEMPLATE) -> str:
        name = next(self._names)
        # STRATEGY file_copy takes a third of the time of the default, which copies through the write-ahead log.
        execute(self._server, "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy", name, OWNER, template)
        return name

    @contextmanager
    def new(self, *, empty: bool = False) -> Iterator[Database]:
        """A database until the end of the block; connections left open are cut."""
        if empty:
            name = self._make(EMPTY)
        else:
            name, self._ready = self._ready.result(), self._maker.submit(self._make)
        try:
            yield Database("postgresql", self._server.url(name, OWNER), self._server.url(name))
        finally:
            execute(self._server, "DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        self._maker.shutdown()
