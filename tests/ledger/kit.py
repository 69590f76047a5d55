"""What the tests of the ledger share: ledgers, items, batches, and a check of the whole log that trusts nothing but SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from uuid_utils import uuid7

from ledger.appender import Item
from ledger.application import Ledger, Words
from ledger.database import PostgresDatabase, SQLiteDatabase, connect
from ledger.recorders import Batch, Head, PostgresRecorder, SQLiteRecorder
from ledger.sealing import Keyring
from ledger.tree import Frontier, leaf_hash
from tests.postgres import Database as Given

TENANT = "acme"
KEYRING = Keyring({"k1": bytes([1]) * 32}, "k1", bytes([2]) * 32, bytes([3]) * 32)
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

Database = SQLiteDatabase | PostgresDatabase
Recorder = SQLiteRecorder | PostgresRecorder


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def recorder_of(database: Database) -> Recorder:
    return SQLiteRecorder(database) if isinstance(database, SQLiteDatabase) else PostgresRecorder(database)


def migrated(given: Given) -> AbstractContextManager[Database]:
    """An open database with its tables, closed at the end of the block."""
    database = connect(given.url)
    database.migrate()
    return closing(database)


def opened(given: Given, folder: Path, clock: Callable[[], datetime] | None = None) -> AbstractContextManager[Ledger]:
    """A ledger, closed at the end of the block."""
    database = connect(given.url)
    database.ensure_schema()
    words = {"kpn_sms": Words("kpn_sms/1", frozenset({"DELIVRD"}))}
    extra: dict[str, Any] = {"clock": clock} if clock else {}
    return closing(Ledger(database, KEYRING, words, folder / "artifacts", **extra))


def new_stream() -> str:
    return str(uuid7())


def item(ledger: Ledger, stream: str = "", count: int = 1, **rest: Any) -> Item:
    """An item of plain events in one stream."""
    clear = {"provider": "kpn_sms", "account": "a1", "arrival": "webhook", "code": "DELIVRD"}
    drafts = [ledger.draft("content.consigned", TENANT, stream or new_stream(), clear) for _ in range(count)]
    return Item(drafts, **rest)


def batch_after(head: Head, frontier: Frontier, states: Sequence[bytes], clock_us: int = 0, stream: str = "") -> Batch:
    """A batch of opaque leaves, one new stream each unless `stream` is given."""
    clock_us = clock_us or int(datetime.now(UTC).timestamp() * 1_000_000)
    batch = Batch(head.size, clock_us, max(clock_us, head.recorded_us))
    for index, state in enumerate(states):
        batch.streams.append(stream or new_stream())
        batch.versions.append(index + 1 if stream else 1)
        batch.topics.append("content.consigned/1")
        batch.states.append(state)
        batch.leaves.append(leaf_hash(state))
        batch.tiles += frontier.add(batch.leaves[-1])
    batch.root = frontier.root()
    return batch


# --- the check


def _subtree(nodes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word, over leaf hashes."""
    if len(nodes) == 1:
        return nodes[0]
    k = 1
    while k * 2 < len(nodes):
        k *= 2
    return hashlib.sha256(b"\x01" + _subtree(nodes[:k]) + _subtree(nodes[k:])).digest()


def naive_root(nodes: list[bytes]) -> bytes:
    return _subtree(nodes) if nodes else hashlib.sha256(b"").digest()


def check_log(database: Database) -> list[dict[str, Any]]:
    """Assert everything that the laws say of a log, from its stored bytes.

    Positions and versions without a gap, every leaf hash and tile hash, the newest root from the leaves (and with another
    frontier every root before it), a clock that never runs back.

    Returns:
        The decoded events.
    """
    column = "rowid" if database.kind == "sqlite" else "notification_id"
    with database.writing() as snapshot:
        if database.kind == "postgresql":  # what a killed writer had sent may commit between two statements
            snapshot.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = snapshot.read(
            f"SELECT {column}, originator_id, originator_version, state, leaf FROM stored_events ORDER BY {column}"
        )
        heads = snapshot.read("SELECT size, root, recorded_at FROM heads ORDER BY size")
        tiles = snapshot.read("SELECT level, tile_index, hash FROM tile_hashes")
    assert list(range(1, len(rows) + 1)) == [row[0] for row in rows], "positions"
    leaves = [hashlib.sha256(b"\0" + bytes(row[3])).digest() for row in rows]
    assert leaves == [bytes(row[4]) for row in rows], "leaf hashes"
    assert len(rows) == (heads[-1][0] if heads else 0), "the newest head covers all"
    _check_heads(leaves, heads)
    _check_tiles(leaves, tiles)
    versions: dict[str, int] = {}
    for _, stream, version, _, _ in rows:
        assert versions.get(stream, 0) + 1 == version, f"versions of {stream}"
        versions[stream] = version
    events = [json.loads(bytes(row[3])) for row in rows]
    times = [event["recorded_at"] for event in events if "recorded_at" in event]
    assert sorted(times) == times, "recorded_at"
    return events


def _check_heads(leaves: list[bytes], heads: list[tuple[Any, ...]]) -> None:
    assert not heads or naive_root(leaves) == bytes(heads[-1][1]), "the newest root"
    assert sorted(h[2] for h in heads) == [h[2] for h in heads], "times of heads"
    roots = {size: bytes(root) for size, root, _ in heads}
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
        assert roots.get(frontier.size, b"") in {b"", frontier.root()}, f"root at {frontier.size}"


def _check_tiles(leaves: list[bytes], tiles: list[tuple[Any, ...]]) -> None:
    expected: dict[tuple[int, int], bytes] = {}
    level, nodes = 1, leaves
    while len(nodes) >= 256:
        nodes = [_subtree(nodes[i : i + 256]) for i in range(0, len(nodes) - 255, 256)]
        expected |= {(level, index): node for index, node in enumerate(nodes)}
        level += 1
    assert expected == {(level, index): bytes(node) for level, index, node in tiles}, "tile hashes"
