"""For which organisation the running code works: a wall behind the conditions of its statements.

Within `working_for`, everything that is read and written on PostgreSQL goes through a role that sees the rows of that organisation and of
no other (`schema/postgresql.sql`), whatever the statements say. Outside of it the service works for all: the appender, read models, jobs.
SQLite knows no roles; there the statements are the only wall.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar, Token

_TENANT: ContextVar[str] = ContextVar("tenant", default="")


def tenant() -> str:
    """For whom this works; "" for all."""
    return _TENANT.get()


class _Work(AbstractContextManager[None]):
    __slots__ = ("_tenant", "_token")

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def __enter__(self) -> None:
        self._token: Token[str] = _TENANT.set(self._tenant)

    def __exit__(self, *_: object) -> None:
        _TENANT.reset(self._token)


def working_for(tenant: str) -> AbstractContextManager[None]:
    """Work for one organisation; the same thread only, unless its context is carried over.

    Args:
        tenant: its name; "" for what only the service itself may do, on behalf of somebody whose right to it was checked.
    """
    return _Work(tenant)
