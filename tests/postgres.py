"""Databases for single tests, on a private PostgreSQL server that all tests of a run share.

Every test gets a new, empty database; the server lives in ops/postgres.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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
SHARED_ROLES = ("delivery_ledger_service", "delivery_ledger_privacy", "delivery_ledger_tenant")
"""Roles belong to the whole server: made beforehand, so that two tests never make one at the same time."""


class Database(NamedTuple):
    """A new, empty database.

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


def prepare(server: Server) -> None:
    """Make the roles that all databases of a run share."""
    execute(server, "CREATE ROLE {} LOGIN CREATEROLE", OWNER)
    for role in SHARED_ROLES:
        execute(server, "CREATE ROLE {} NOLOGIN", role)
    for member in (SHARED_ROLES[0], OWNER):
        execute(server, "GRANT {} TO {}", SHARED_ROLES[-1], member)


class Databases:
    """Makes and drops databases; one object per test process.

    A database is 300 files, which take 10 to 300 ms as the file system likes: the next one is made while a test runs.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._names = (f"{prefix}_{number}" for number in itertools.count(1))
        self._maker = ThreadPoolExecutor(max_workers=1)
        self._ready = self._maker.submit(self._make)

    def _make(self) -> str:
        name = next(self._names)
        # STRATEGY file_copy takes a third of the time of the default, which copies through the write-ahead log.
        execute(self._server, "CREATE DATABASE {} OWNER {} TEMPLATE template0 STRATEGY file_copy", name, OWNER)
        return name

    @contextmanager
    def new(self) -> Iterator[Database]:
        """A database until the end of the block; connections left open are cut."""
        name = self._ready.result()
        self._ready = self._maker.submit(self._make)
        try:
            yield Database("postgresql", self._server.url(name, OWNER), self._server.url(name))
        finally:
            execute(self._server, "DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        self._maker.shutdown()
