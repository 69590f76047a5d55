"""What a read model is: its tables, the events it wants, and in which order it takes them. And how rows get into its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ledger.database import Cursor
from ledger.events import Event


class ReadModel(Protocol):
    """One read model.

    Attributes:
        name: of its tracking row.
        version: a new one is rebuilt beside the live one.
        wants: types of the events that change its rows; all if empty.
        tables: by name.
    """

    name: str
    version: int
    wants: frozenset[str]
    tables: dict[str, Table]

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Apply events that it wants, in the order of the log; content that cannot be read is reported, never raised."""
        ...


@runtime_checkable
class ByMessage(ReadModel, Protocol):
    """A read model that may also be given the log message by message, which is how it is built again.

    The streams of one message still come in the order of the log, and those that are no message's before all messages.
    """

    def finish(self, cursor: Cursor, target: Target) -> None:
        """Bring together what stands in several messages, once each of them was applied."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """What a model works on, besides the transaction.

    Attributes:
        schema: of the tables, with a dot behind it; "" where there are none.
        suffix: of the tables that are built beside the live ones; "" for these.
        channels: provider -> channel.
        is_fresh: the tables hold nothing yet of the streams that the events stand in.
    """

    schema: str
    suffix: str
    channels: Mapping[str, str]
    is_fresh: bool = False

    def table(self, name: str) -> str:
        """The full name of a table."""
        return f"{self.schema}read_{name}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a read model: columns as SQL both databases know, primary key, further indexes.

    An index may end with ` WHERE …`: of the rows for which that holds. Rows of one that `may_linger` may outlive what they were made for,
    so a rebuild need not give them again.

    Attributes:
        whose: the column that says to which tenant a row belongs, one of `projections.tables.WALLS`.
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


def insert(cursor: Cursor, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
    """Insert rows into a table of a read model; what is there already stays as it is.

    Args:
        columns: with ", " between.
    """
    cursor.insert(table, columns, rows, "DO NOTHING")


def upsert(cursor: Cursor, table: str, columns: str, key: str, rows: Sequence[Sequence[object]]) -> None:
    """Insert rows into a table of a read model, in the place of those that have the same key; each key once.

    Args:
        columns, key: with ", " between.
    """
    changed = (name for name in columns.split(", ") if name not in key.split(", "))
    changes = ", ".join(f"{name} = excluded.{name}" for name in changed)
    cursor.insert(table, columns, rows, f"({key}) DO UPDATE SET {changes}")
