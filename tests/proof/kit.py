"""What the tests of the proof share: an installation in a folder, the ways a database is restored or rewritten, and naive trees."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from ledger import sqlite
from ledger.checkpoints import SignedHead
from ledger.tree import Frontier, leaf_hash
from ops.settings import Settings, load
from ops.system import System, opened
from tests.ledger.kit import item, new_stream
from tests.postgres import Database


class Installation:
    """One ledger as an operator has it: a database, key files, and a folder of heads."""

    def __init__(self, database: Database, folder: Path, **more: Any) -> None:
        self.database = database
        self.folder = folder
        self.more = more

    @property
    def settings(self) -> Settings:
        return load(
            database_url=self.database.url,
            key_folder=self.folder / "keys",
            artifact_folder=self.folder / "artifacts",
            head_folder=self.folder / "heads",
            **self.more,
        )

    def opened(self) -> AbstractContextManager[System]:
        return opened(self.settings)

    def grow(self, count: int) -> SignedHead:
        """Append events and sign a head over them."""
        with self.opened() as system:
            return grow(system, count)

    # --- what happens to databases

    def backup(self, name: str = "backup") -> Callable[[], None]:
        """A copy of the closed database as it is now.

        Args:
            name: another one keeps an earlier copy.

        Returns:
            What puts it back, in the place of whatever is there then.
        """
        return self._backup_file(name) if self.database.kind == "sqlite" else self._backup_postgresql(name)

    def _backup_file(self, called: str) -> Callable[[], None]:
        path = Path(self.database.url.removeprefix("sqlite:///"))
        copy = path.with_suffix(f".{called}")
        path.touch()
        shutil.copy(path, copy)

        def restore() -> None:
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            shutil.copy(copy, path)

        return restore

    def _backup_postgresql(self, called: str) -> Callable[[], None]:
        name = self.database.superuser_url.partition("?")[0].rpartition("/")[2]
        copy = f"{name}_{called}"
        server = self.database.superuser_url.replace(f"/{name}?", "/postgres?")
        owner = self.database.url.partition("://")[2].partition("@")[0]

        def replace(source: str, target: str) -> None:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
                connection.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}" OWNER "{owner}" STRATEGY file_copy')

        replace(name, copy)
        return lambda: replace(copy, name)

    @contextmanager
    def tampering(self) -> Any:
        """Somebody with all rights on the database, past its triggers; yields `execute(sql, parameters)` in the dialect of `?`."""
        if self.database.kind == "sqlite":
            connection = sqlite.driver().connect(self.database.url.removeprefix("sqlite:///"))
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("PRAGMA foreign_keys = OFF")
            yield lambda sql, parameters=(): connection.execute(sql, parameters).fetchall()
            connection.commit()
            connection.close()
            return
        with psycopg.connect(self.database.superuser_url) as postgresql:
            for table in ("stored_events", "heads", "tile_hashes", "duplicates", "joins", "meta"):
                postgresql.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")

            def execute(sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
                cursor = postgresql.execute(sql.replace("rowid", "notification_id").replace("?", "%s"), parameters)
                return cursor.fetchall() if cursor.description else []

            yield execute

    def as_owner(self, statement: str) -> None:
        """Somebody who owns the tables."""
        if self.database.kind == "sqlite":
            connection = sqlite.driver().connect(self.database.url.removeprefix("sqlite:///"))
            if not statement.startswith(("GRANT", "REVOKE")):
                connection.execute(statement)
            connection.close()
        else:
            with psycopg.connect(self.database.superuser_url) as postgresql:
                postgresql.execute(statement)

    def mend_guards(self) -> None:
        """Put the triggers back, so that only what was changed below them is left to find."""
        if self.database.kind == "sqlite":
            with self.opened():
                return
        with psycopg.connect(self.database.superuser_url) as postgresql:
            for table in ("stored_events", "heads", "tile_hashes", "duplicates", "joins", "meta"):
                postgresql.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
                postgresql.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER no_change")

    def rewrite(self, position: int, change: Callable[[bytes], bytes]) -> None:
        """Change one event and recompute leaf hashes, tile hashes and every head after it: the best that the database's owner can do."""
        with self.tampering() as execute:
            rows = execute("SELECT rowid, state FROM stored_events ORDER BY rowid")
            roots = {size for (size,) in execute("SELECT size FROM heads")}
            frontier = Frontier()
            for at, stored in rows:
                state = change(bytes(stored)) if at == position else bytes(stored)
                hashed = leaf_hash(state)
                execute("UPDATE stored_events SET state = ?, leaf = ? WHERE rowid = ?", (state, hashed, at))
                for tile in frontier.add(hashed):
                    sql = "UPDATE tile_hashes SET hash = ? WHERE level = ? AND tile_index = ?"
                    execute(sql, (tile.hash, tile.level, tile.tile_index))
                if frontier.size in roots:
                    execute("UPDATE heads SET root = ? WHERE size = ?", (frontier.root(), frontier.size))
        self.mend_guards()


def grow(system: System, count: int) -> SignedHead:
    """Append events one by one in streams of up to seven, and sign a head over them."""
    futures = []
    for start in range(0, count, 7):
        stream = new_stream()
        futures += [system.ledger.submit(item(system.ledger, stream)) for _ in range(min(7, count - start))]
    for future in futures:
        future.result()
    return system.signed_head()


def flipped(data: bytes, index: int) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(data)
    changed[index] ^= 1
    return bytes(changed)


def other_code(state: bytes) -> bytes:
    """The event with another provider word: what a forger would want."""
    return state.replace(b'"DELIVRD"', b'"DELIVRX"')


# --- RFC 6962 section 2.1, word for word: slow, recursive, and sharing nothing with the ledger's own


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _k(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = _k(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_consistency(m: int, leaves: Sequence[bytes], *, is_whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    k = _k(len(leaves))
    if m <= k:
        return [*naive_consistency(m, leaves[:k], is_whole=is_whole), naive_root(leaves[k:])]
    return [*naive_consistency(m - k, leaves[k:], is_whole=False), naive_root(leaves[:k])]


def _k(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def kinds(problems: Sequence[Any]) -> set[str]:
    return {problem.kind for problem in problems}
