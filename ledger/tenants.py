"""For which organisation the running code works: a wall behind the conditions of its statements.

Within `working_for`, everything that is read and written on PostgreSQL goes through a role that sees the rows of that organisation and of
no other (`schema/postgresql.sql`), whatever the statements say. Outside of it the service works for all: the appender, read models, jobs.
SQLite knows no roles; there the statements are the only wall.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TENANT: ContextVar[str] = ContextVar("tenant", default="")


def tenant() -> str:
    """For whom this works; "" for all."""
    return _TENANT.get()


@contextmanager
def working_for(tenant: str) -> Iterator[None]:
    """Work for one organisation; the same thread only, unless its context is carried over.

    Args:
        tenant: its name; "" for what only the service itself may do, on behalf of somebody whose right to it was checked.
    """
    token = _TENANT.set(tenant)
    try:
        yield
    finally:
        _TENANT.reset(token)
