"""A key-encryption key (KEK) takes over from another: every key that the old one wraps is wrapped by the new one.

Batch by batch, each swapped against what was read, so that it can be broken off and gone on with at any time, beside a service that
works: what was erased meanwhile stays erased, and what was added is found by the next look. Values and originals are not touched: they
stay sealed under keys that stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ledger.database import Cursor, Database
from ledger.errors import ConfigurationError, CorruptError
from ledger.sealing import Keyring

TABLES: Mapping[str, tuple[str, ...]] = {
    "person_keys": ("key_id",),
    "account_secrets": ("tenant", "account", "name"),
    "account_credentials": ("tenant", "account", "name"),
    "account_setup": ("tenant", "account"),
    "quarantine": ("quarantine_id",),
    "tasks": ("task",),
}
"""Every table with keys wrapped by a KEK, in `key_id` and `wrapped` -> its primary key."""

BATCH_ROWS = 1_000


class Rewrapped(NamedTuple):
    """What became of it.

    Attributes:
        done: keys that the newest KEK wraps now.
        unreadable: keys that were altered, or whose KEK is not in the keyring; they stay as they are.
    """

    done: int
    unreadable: int


def wrapped_by(database: Database, kek_id: str) -> dict[str, int]:
    """Table -> how many keys a KEK wraps in it; only tables with some."""
    start = _start(kek_id)
    found = {}
    for table in TABLES:
        sql = f"SELECT count(*) FROM {table} WHERE substr(wrapped, 1, {len(start)}) = ?"
        ((count,),) = database.read(sql, (start,))
        if count:
            found[table] = int(count)
    return found


def rewrap(database: Database, keyring: Keyring, say: Callable[[int, int | None], None]) -> Rewrapped:
    """Wrap by the keyring's newest KEK whatever another wraps.

    Args:
        say: called with (done, to be done).

    Raises:
        ConfigurationError: the database role may not.
    """
    _require_rights(database)
    start = _start(keyring.wraps_with)
    other = f"wrapped IS NOT NULL AND substr(wrapped, 1, {len(start)}) <> ?"
    total = sum(int(database.read(f"SELECT count(*) FROM {t} WHERE {other}", (start,))[0][0]) for t in TABLES)
    done = unreadable = 0
    for table, primary in TABLES.items():
        columns, marks = ", ".join(primary), ", ".join("?" * len(primary))
        after: Sequence[Any] = ()
        while True:
            beyond = f"AND ({columns}) > ({marks})" if after else ""
            sql = f"SELECT {columns}, key_id, wrapped FROM {table} WHERE {other} {beyond} ORDER BY {columns} LIMIT {BATCH_ROWS}"
            rows = database.read(sql, (start, *after))
            if not rows:
                break
            swaps = [swap for row in rows if (swap := _swap(keyring, row))]
            with database.writing() as cursor:
                _write(cursor, table, primary, swaps)
            done, unreadable, after = done + len(swaps), unreadable + len(rows) - len(swaps), rows[-1][: len(primary)]
            say(done + unreadable, total)
    return Rewrapped(done, unreadable)


def _swap(keyring: Keyring, row: Sequence[Any]) -> tuple[Any, ...] | None:
    """New wrap, primary key, key id, old wrap."""
    *primary, key_id, wrapped = row
    try:
        key = keyring.unwrap(bytes(key_id), bytes(wrapped))
    except (ConfigurationError, CorruptError):
        return None
    return keyring.wrap(bytes(key_id), key), *primary, bytes(key_id), bytes(wrapped)


def _write(cursor: Cursor, table: str, primary: tuple[str, ...], swaps: list[tuple[Any, ...]]) -> None:
    """Swap what is still as it was read. The log's own table is changed by a function of the owner: no role may update it."""
    if table == "person_keys" and cursor.kind == "postgresql":
        lists = [[swap[i] for swap in swaps] for i in (-2, -1, 0)]
        cursor.read("SELECT rewrap_keys(?::bytea[], ?::bytea[], ?::bytea[])", lists)
        return
    where = " AND ".join(f"{column} = ?" for column in primary)
    cursor.executemany(f"UPDATE {table} SET wrapped = ? WHERE {where} AND key_id = ? AND wrapped = ?", swaps)


def _require_rights(database: Database) -> None:
    if database.kind != "postgresql":
        return
    sql = (
        "SELECT has_function_privilege('rewrap_keys(bytea[], bytea[], bytea[])', 'EXECUTE') "
        "AND has_table_privilege('account_secrets', 'UPDATE')"
    )
    if not database.read(sql)[0][0]:
        msg = (
            "this database role may not wrap keys again. Repair: for this command, LEDGER_DATABASE_URL with a login that is a member of "
            "both the service role and the privacy role"
        )
        raise ConfigurationError(msg)


def _start(kek_id: str) -> bytes:
    """How a key begins that this KEK wraps; see `Keyring.wrap`."""
    return bytes([len(kek_id.encode())]) + kek_id.encode()
