"""Work to measure: events as providers cause them, about 900 bytes each, and threads that append them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import psycopg
from uuid_utils import uuid7

from adapters.awaiting import Awaiting
from adapters.receiving import vocabulary
from ledger.appender import Item
from ledger.application import Ledger, PersonKey
from ledger.database import connect
from ledger.events import Draft, time_text
from ledger.sealing import Keyring
from ops.bench.contract import Bench

TENANT, ACCOUNT, PROVIDER = "bench", "sms-1", "kpn_sms"
WHOLE = -1
REPORTED = datetime(2026, 6, 1, 9, tzinfo=UTC)
"""After all that filled ledgers tell of: a day that begins, whatever was before."""
LINKED = 4
"""Events that each one names; with them its leaf has about 900 bytes."""
KEYRING = Keyring({"k1": bytes([1]) * 32}, "k1", bytes([2]) * 32, bytes([3]) * 32)
_databases = count(1)


def database_url(bench: Bench, kind: str, template: str = "template1") -> str:
    """A new, empty database.

    Args:
        template: name of a database of PostgreSQL that nobody has open: the new one begins as a copy of it.
    """
    name = f"bench_{next(_databases)}"
    if kind == "sqlite":
        return f"sqlite:///{bench.folder / name}.db"
    with psycopg.connect(bench.server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return bench.server.url(name)


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Ledger]:
    """A ledger on a database; begun if it is empty."""
    database = connect(url)
    database.ensure_schema()
    ledger = Ledger(database, KEYRING, vocabulary(), folder / "artifacts")
    try:
        yield ledger
    finally:
        ledger.close()


class Events:
    """Items of one event each, as a provider's reports cause them, over a number of messages."""

    def __init__(self, ledger: Ledger, streams: int, random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._numbers = count(ledger.head().size)  # beyond what an earlier load of the same ledger reported
        self._streams: list[tuple[str, PersonKey]] = []
        for _ in range(0, streams, 500):
            ledger.append(self._opening(min(500, streams - len(self._streams))))

    def _opening(self, number: int) -> Item:
        """One item that begins so many messages."""
        item = Item([])
        for index in range(number):
            stream = str(uuid7())
            row, key = self._ledger.new_key(stream, WHOLE)
            item.keys.append(row)
            item.new_streams.add(stream)
            item.drafts.append(self._draft("submission.requested", stream, key, index))
            self._streams.append((stream, key))
        return item

    def item(self) -> Item:
        """The next item: one event with sealed values and the key of its duplicates."""
        number = next(self._numbers)
        stream, key = self._random.choice(self._streams)
        item = Item([self._draft("content.consigned", stream, key, number)])
        duplicate = self._ledger.keyring.duplicate(REPORTED.date(), TENANT, ACCOUNT, "fact", str(number))
        return Item(item.drafts, duplicates=[(0, duplicate)], needs={stream})

    def batch(self, size: int) -> Item:
        """Many events as one item."""
        items = [self.item() for _ in range(size)]
        drafts = [draft for each in items for draft in each.drafts]
        return Item(drafts, duplicates=[(i, key) for i, each in enumerate(items) for _, key in each.duplicates])

    def _draft(self, kind: str, stream: str, key: PersonKey, number: int) -> Draft:
        clear = {
            "provider": PROVIDER,
            "account": ACCOUNT,
            "arrival": "webhook",
            "operation": "report",
            "verdict": "verified",
            "key_id": "webhook-1",
            "mapping": "kpn_sms/1",
            "about": "message",
            "code": "DELIVERED",
            "events": [stream] * LINKED,
            "occurred_at": time_text(REPORTED),
            "zone": "stated",
        }
        said = {
            "occurred": "2026-06-01T11:00:00+02:00",
            "text": f"report {number}",
            "reference.0": {"kind": "document_id", "value": str(number)},
        }
        return self._ledger.draft(kind, TENANT, stream, clear, [(key, said)])


def appended_per_s(
    ledger: Ledger, item: Callable[[], Item], writers: int, seconds: float, waited_ms: list[float] | None = None
) -> float:
    """Events that so many tasks append, each one after the other, waiting until it is durable.

    Args:
        waited_ms: takes how long each waited, from before its event was made.
    """
    waits: list[float] = [] if waited_ms is None else waited_ms

    async def write(awaiting: Awaiting, until: float) -> None:
        begun = time.perf_counter()
        while begun < until:
            await awaiting.append(item())
            ended = time.perf_counter()
            waits.append((ended - begun) * 1_000)
            begun = ended

    async def write_all() -> float:
        awaiting, before, begun = Awaiting(ledger), len(waits), time.perf_counter()
        await asyncio.gather(*(write(awaiting, begun + seconds) for _ in range(writers)))
        return (len(waits) - before) / (time.perf_counter() - begun)

    return asyncio.run(write_all())


def per_s(work: Callable[[], int], workers: int, seconds: float) -> float:
    """What so many threads do in a time; each call of `work` says how much it did."""
    done = [0] * workers
    begun, until = time.perf_counter(), time.perf_counter() + seconds
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            is_over = False
            while not is_over:  # once at least
                done[number] += work()
                is_over = time.perf_counter() >= until
        except BaseException as error:  # noqa: BLE001  told by whoever started the threads
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sum(done) / (time.perf_counter() - begun)
