"""How fast events are appended, in process, with everything on: commitments, sealed values, duplicate keys, tree and head."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ops.bench.contract import Bench, Measure
from ops.bench.load import Events, appended_per_s, database_url, opened, per_s

BATCH = 1_000
CALLERS, ITEMS = 2, 8
"""One prepares its item while the database works on that of the other; so many are made at a time."""


def writers(kind: str, number: int, name: str = "") -> Measure:
    """So many tasks of one event loop, each making and appending one event after the other over all streams.

    Args:
        name: of the figure whose waits are kept for its plot.
    """
    return partial(_writers, kind, number, name)


def _writers(kind: str, number: int, name: str, bench: Bench) -> float:
    with opened(database_url(bench, kind), bench.folder) as ledger:
        events = Events(ledger, bench.scale.streams, bench.random("streams"))
        waited_ms = bench.samples.setdefault(name, []) if name else None
        return appended_per_s(ledger, events.item, number, bench.scale.seconds, waited_ms)


def threads(kind: str, number: int) -> Measure:
    """The same by so many threads."""
    return partial(_threads, kind, number)


def _threads(kind: str, number: int, bench: Bench) -> float:
    with opened(database_url(bench, kind), bench.folder) as ledger:
        events = Events(ledger, bench.scale.streams, bench.random("streams"))
        return per_s(lambda: len(ledger.append(events.item()).positions), number, bench.scale.seconds)


def batches(kind: str) -> Measure:
    """Items of 1,000 events by two callers, as imports hand them over; making them is not counted, encoding them is."""
    return partial(_batches, kind)


def _batches(kind: str, bench: Bench) -> float:
    with opened(database_url(bench, kind), bench.folder) as ledger:
        events = Events(ledger, bench.scale.streams, bench.random("streams"))
        done, spent = 0, 0.0
        with ThreadPoolExecutor(CALLERS) as callers:
            while spent < bench.scale.seconds:
                items = [events.batch(min(BATCH, bench.scale.streams)) for _ in range(ITEMS)]
                begun = time.perf_counter()
                done += sum(len(appended.positions) for appended in callers.map(ledger.append, items))
                spent += time.perf_counter() - begun
        return done / spent
