"""What growing costs: the same work on ledgers of 10,000, 100,000, 1,000,000 … events, the largest held against the smallest.

Each ledger is filled with sends (`ops.bench.filling`) and read. Appending works on a copy, so that the small ones stay small;
a large one is copied once and hardly grows by it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

from ledger.application import Ledger
from ops.bench.contract import Bench, Figure, Scale, Unit
from ops.bench.filling import caught_up, copied, fill, filled, removed
from ops.bench.load import TENANT, Events, appended_per_s, opened
from ops.bench.machine import peak_mib
from ops.bench.messages import EVENTS, messages
from ops.postgres import ROOT, Server
from ops.system import read_models
from projections.queries import Filters, Queries
from projections.runner import Runner

SMALLEST, STEP = 10_000, 10
WRITERS, STREAMS, BATCH = 16, 1_000, 1_000
ASKED = 200
"""Look-ups, pages or proofs of which the median counts."""
PAGE = 50
READ = 500
"""Messages that are new to the read model."""
SENDS = 5_000
GROWN_BATCHES = 20
COPIED_EACH_TIME, COPIED_ONCE = 100_000, 1_000_000
"""Events up to which a ledger is copied for each measurement, and for all; larger ones are appended to themselves."""
LARGEST_SQLITE = 1_000_000

T = TypeVar("T")
Work = Callable[[Ledger, Bench, Random, int], float]
"""On a ledger that was filled with so many events, and may hold some more."""


def sizes(events: int, kind: str = "postgresql") -> list[int]:
    """The sizes of the ledgers, the largest last."""
    events = min(events, LARGEST_SQLITE) if kind == "sqlite" else events
    found = [min(SMALLEST, max(EVENTS, events // STEP))]
    while found[-1] * STEP < events:
        found.append(found[-1] * STEP)
    return [*found, events]


# --- the work


def _append(ledger: Ledger, bench: Bench, random: Random, _size: int) -> float:
    """Events a second, of threads that append one each."""
    events = Events(ledger, min(STREAMS, bench.scale.streams), random)
    return appended_per_s(ledger, events.item, WRITERS, bench.scale.seconds / 2)


def _batches(ledger: Ledger, bench: Bench, random: Random, _size: int) -> float:
    """Events a second, in items of many."""
    events = Events(ledger, min(STREAMS, bench.scale.streams), random)
    done, spent = 0, 0.0
    while spent < bench.scale.seconds / 2:
        item = events.batch(min(BATCH, bench.scale.streams))
        begun = time.perf_counter()
        done += len(ledger.append(item).positions)
        spent += time.perf_counter() - begun
    return done / spent


def _read(ledger: Ledger, bench: Bench, _random: Random, _size: int) -> float:
    """Events a second that the read models take in, of sends and reports that are new."""
    runner = Runner(ledger, read_models())
    runner.run()
    begin = ledger.head().size  # more than there are messages, so that these are none of them
    sends = min(READ, bench.scale.events // EVENTS)
    fill(ledger, begin, begin + sends, bench.folder)
    begun = time.perf_counter()
    runner.run()
    return sends * EVENTS / (time.perf_counter() - begun)


def _look_up(ledger: Ledger, bench: Bench, random: Random, size: int) -> float:
    """Milliseconds until a delivery is found by its provider's name and its status told."""
    queries = Queries(ledger, Runner(ledger, read_models()))
    numbers = [random.randrange(size // EVENTS) for _ in range(min(ASKED, bench.scale.events // EVENTS))]

    def look(name: str) -> None:
        (found,) = queries.search(TENANT, Filters(reference=name), "", 1).deliveries
        queries.delivery(TENANT, found.message, found.recipient)

    return _median_ms(look, [next(messages(number, number + 1)).document_id for number in numbers])


def _page(ledger: Ledger, _bench: Bench, _random: Random, _size: int) -> float:
    """Milliseconds of one page of what failed, and of the ones after it."""
    queries, cursors = Queries(ledger, Runner(ledger, read_models())), [""]

    def turn(_number: int) -> None:
        cursors[0] = queries.search(TENANT, Filters(status="failed"), cursors[0], PAGE).next

    return _median_ms(turn, range(ASKED // 8))


def _prove(ledger: Ledger, _bench: Bench, random: Random, size: int) -> float:
    """Milliseconds of one proof of inclusion."""
    return _median_ms(
        lambda position: ledger.inclusion_proof(position, size), random.choices(range(1, size + 1), k=ASKED)
    )


def _median_ms(work: Callable[[T], object], each: Iterable[T]) -> float:
    times = []
    for one in each:
        begun = time.perf_counter()
        work(one)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


# --- at each size


@contextmanager
def _held(bench: Bench, kind: str, size: int, *, appends: bool) -> Iterator[str]:
    """A ledger of a size; a small one is a copy that is removed again, where something appends to it."""
    url = caught_up(bench, kind, size)
    if not appends or size > COPIED_ONCE:
        yield url
        return
    if size > COPIED_EACH_TIME:
        name = f"growth/{url}"
        if name not in bench.kept:
            bench.kept[name] = copied(bench, url)
        yield bench.kept[name]
        return
    copy = copied(bench, url)
    try:
        yield copy
    finally:
        removed(bench, copy)


def _at(bench: Bench, name: str, kind: str, size: int, work: Work, *, appends: bool) -> float:
    with _held(bench, kind, size, appends=appends) as url, opened(url, bench.folder) as ledger:
        value = work(ledger, bench, bench.random(f"{name}/{size}"), size)
    bench.curves.setdefault(name, []).append((size, value))
    return value


def _smallest(name: str, kind: str, work: Work, appends: bool, bench: Bench) -> float:  # noqa: FBT001  by `partial`
    return _at(bench, name, kind, sizes(bench.scale.events, kind)[0], work, appends=appends)


def _largest(name: str, kind: str, work: Work, appends: bool, bench: Bench) -> float:  # noqa: FBT001  as above
    """At all sizes but the smallest; the largest counts, the others are for the plot."""
    return [_at(bench, name, kind, size, work, appends=appends) for size in sizes(bench.scale.events, kind)[1:]][-1]


# --- what it takes of memory, log and disk


def _memory_at(which: int, bench: Bench) -> float:
    """MiB that a process of its own takes at most for all of the work."""
    size = sizes(bench.scale.events)[which]
    with (
        _held(bench, "postgresql", size, appends=False) as url,
        _held(bench, "postgresql", size, appends=True) as copy,
    ):
        given = json.dumps([url, copy, str(bench.folder), bench.scale, size])
        command = [sys.executable, "-m", "ops.bench.growth", given]
        return float(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _work_alone(url: str, copy: str, folder: Path, scale: Scale, size: int) -> float:
    bench = Bench(Server("", "", "", ""), folder, scale)
    for each, every in ((url, (_look_up, _page, _prove)), (copy, (_append, _batches))):
        with opened(each, folder) as ledger:
            for work in every:
                work(ledger, bench, bench.random("alone"), size)
    return peak_mib()


@contextmanager
def _appended_to(bench: Bench) -> Iterator[tuple[Ledger, Connection[Any]]]:
    """The largest ledger on PostgreSQL, and a connection that tells how much was written."""
    with (
        _held(bench, "postgresql", bench.scale.events, appends=True) as url,
        opened(url, bench.folder) as ledger,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield ledger, connection


def _wal(bench: Bench) -> float:
    """Bytes of PostgreSQL's log for each event that is appended alone to the largest ledger."""
    with _appended_to(bench) as (ledger, connection):
        events = Events(ledger, min(STREAMS, bench.scale.streams), bench.random("wal"))
        before, size = _written(connection), ledger.head().size
        appended_per_s(ledger, events.item, WRITERS, bench.scale.seconds)
        return (_written(connection) - before) / (ledger.head().size - size)


def _wal_of_sends(bench: Bench) -> float:
    """The same of whole sends to four numbers, with their keys, look-ups and originals."""
    with _appended_to(bench) as (ledger, connection):
        before, size = _written(connection), ledger.head().size
        fill(ledger, size, size + min(SENDS, bench.scale.events // EVENTS), bench.folder)
        return (_written(connection) - before) / (ledger.head().size - size)


def _written(connection: Connection[Any]) -> float:
    return float(connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()[0])  # type: ignore[index]


def _disk(kind: str, bench: Bench) -> float:
    """Bytes of tables and indexes, originals apart, by which the largest ledger grows for each event."""
    size = sizes(bench.scale.events, kind)[-1]
    with _held(bench, kind, size, appends=True) as url, opened(url, bench.folder) as ledger:
        events = Events(ledger, min(STREAMS, bench.scale.streams), bench.random("disk"))
        before, size = _on_disk(ledger), ledger.head().size
        for _ in range(GROWN_BATCHES):
            ledger.append(events.batch(min(BATCH, bench.scale.streams)))
        return (_on_disk(ledger) - before) / (ledger.head().size - size)


def _disk_of_sends(bench: Bench) -> float:
    """The same of whole sends, over all of the largest ledger."""
    with opened(filled(bench, "postgresql"), bench.folder) as ledger:
        return _on_disk(ledger) / ledger.head().size


def _on_disk(ledger: Ledger) -> float:
    if ledger.database.kind == "sqlite":
        sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        return float(ledger.database.read(sql)[0][0])
    sql = (
        "SELECT sum(pg_total_relation_size(tables.tablename::text)) FROM pg_tables AS tables "
        "WHERE schemaname = ? AND tablename <> 'artifacts'"
    )
    return float(ledger.database.read(sql, ("public",))[0][0])


# --- rows of the table

_WORK: tuple[tuple[str, str, Unit, Work, bool, float | None], ...] = (
    ("append", "append, 16 writers", "events/s", _append, True, 0.8),
    ("batches", "append in items of 1,000", "events/s", _batches, True, 0.8),
    ("read", "read models taking in new events", "events/s", _read, True, None),
    ("lookup", "delivery found and told, in process", "ms", _look_up, False, 1.3),
    ("page", "page of 50 of a status", "ms", _page, False, None),
    ("proof", "proof of inclusion", "ms", _prove, False, None),
)
"""Name, title, unit, work, whether it appends, goal against the smallest ledger."""


def figures(kind: str) -> tuple[Figure, ...]:
    """Every work on the smallest and on the largest ledger of one database, the former as the limit of the latter."""
    suffix, where = ("_sqlite", "SQLite") if kind == "sqlite" else ("", "PostgreSQL")
    found: list[Figure] = []
    for work_name, title, unit, work, appends, goal in _WORK:
        name = f"growth_{work_name}{suffix}"
        small, large = (partial(at, name, kind, work, appends) for at in (_smallest, _largest))
        found.append(Figure(f"{name}_small", f"smallest ledger: {title}, {where}", unit, small))
        found.append(Figure(name, f"largest ledger: {title}, {where}", unit, large, f"{name}_small", goal))
    return tuple(found)


TAKEN: tuple[Figure, ...] = (
    Figure("growth_memory_small", "smallest ledger: memory of all of it", "MiB", partial(_memory_at, 0)),
    Figure(
        "growth_memory",
        "largest ledger: memory of all of it",
        "MiB",
        partial(_memory_at, -1),
        "growth_memory_small",
        1.2,
    ),
    Figure("growth_wal", "log of PostgreSQL per event", "bytes", _wal, goal=2560),
    Figure("growth_wal_sends", "log of PostgreSQL per event, whole sends", "bytes", _wal_of_sends),
    Figure("growth_disk", "disk per event, PostgreSQL", "bytes", partial(_disk, "postgresql"), goal=2253),
    Figure("growth_disk_sqlite", "disk per event, SQLite", "bytes", partial(_disk, "sqlite"), goal=2253),
    Figure("growth_disk_sends", "disk per event, PostgreSQL, whole sends", "bytes", _disk_of_sends),
)

if __name__ == "__main__":
    _url, _copy, _folder, _scale, _size = json.loads(sys.argv[1])
    print(_work_alone(_url, _copy, Path(_folder), Scale(*_scale), _size))
