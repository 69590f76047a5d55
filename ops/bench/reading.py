"""Read models: how far they lag behind while events come in, and how fast all of them are built again from position 1."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ledger.application import Ledger
from ops.bench import filling
from ops.bench.contract import Bench, Measure
from ops.bench.load import database_url, opened
from ops.bench.messages import EVENTS, item, messages
from ops.system import read_models
from projections.runner import Runner

PACE = 5_000
"""Events a second that come in while the lag is measured."""
ITEM_MESSAGES = 5
"""Messages in one item of the paced writer: 20 events."""
POLL_S = 0.05
"""As the server follows the log (adapters/http/background.py)."""
LOOK_S = 0.005
REBUILT = 400_000
"""Events that are enough for a rebuild; more take as long each."""


def rebuild(kind: str, *names: str) -> Measure:
    """Build read models again from position 1, compare them with the live ones, and swap; events a second.

    Args:
        names: of the models; all if none.
    """
    return partial(_rebuild, kind, names)


def _rebuild(kind: str, names: tuple[str, ...], bench: Bench) -> float:
    with opened(filling.caught_up(bench, kind, min(bench.scale.events, REBUILT)), bench.folder) as ledger:
        runner = Runner(ledger, read_models())
        runner.run()
        models = [model for model in runner.models if not names or model.name in names]
        begun = time.perf_counter()
        found = runner.rebuild_all(models)
        spent = time.perf_counter() - begun
        differing = {name: number for each in found for name, number in each.differences.items() if number}
        if differing:
            msg = f"rows differ from those built again: {differing}"
            raise RuntimeError(msg)
        return ledger.head().size / spent


def lag(kind: str) -> Measure:
    """Milliseconds from the commit of an event until every read model reflects it, 99 of 100, at 5,000 events a second.

    On PostgreSQL the events come from another process, as they do from other servers; on SQLite from another thread.
    """
    return partial(_lag, kind)


def _lag(kind: str, bench: Bench) -> float:
    url = database_url(bench, kind)
    with opened(url, bench.folder) as ledger, _following(ledger) as seen:
        committed = _written(url, bench) if kind == "postgresql" else _paced(ledger, bench.scale.seconds)
        while not seen or seen[-1][0] < committed[-1][0]:
            time.sleep(LOOK_S)
        positions = [position for position, _ in seen]
        reflected = [seen[bisect_left(positions, position)][1] for position, _ in committed]
    lags = [max(0.0, at - since) * 1000 for at, (_, since) in zip(reflected, committed, strict=True)]
    bench.samples["lag" if kind == "postgresql" else f"lag_{kind}"] = lags
    return statistics.quantiles(lags, n=100)[98]


@contextmanager
def _following(ledger: Ledger) -> Iterator[list[tuple[int, float]]]:
    """All read models, following the log as in a server; what all of them reflect, and since when."""
    runner = Runner(ledger, read_models())
    done = threading.Event()
    seen: list[tuple[int, float]] = []

    def follow() -> None:
        size = -1
        while not done.wait(POLL_S):
            if size != (size := ledger.head().size):
                runner.run()

    def look() -> None:
        while not done.wait(LOOK_S):
            position = min(runner.position(model) for model in runner.models)
            if not seen or position > seen[-1][0]:
                seen.append((position, time.time()))

    threads = [threading.Thread(target=each) for each in (follow, look)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _paced(ledger: Ledger, seconds: float) -> list[tuple[int, float]]:
    """Append so many events a second; the last position of each item and when it was committed."""
    committed: list[tuple[int, float]] = []
    begun = time.perf_counter()
    appended = []
    for number in range(round(seconds * PACE / (ITEM_MESSAGES * EVENTS)) + 1):
        made = item(ledger, list(messages(number * ITEM_MESSAGES, (number + 1) * ITEM_MESSAGES)))
        time.sleep(max(0.0, begun + number * ITEM_MESSAGES * EVENTS / PACE - time.perf_counter()))
        appended.append(ledger.submit(made))
        appended[-1].add_done_callback(lambda done: committed.append((done.result().positions[-1], time.time())))
    for each in appended:
        each.result()
    return sorted(committed)


def _written(url: str, bench: Bench) -> list[tuple[int, float]]:
    """The same by another process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_write, (url, str(bench.folder), bench.scale.seconds))


def _write(url: str, folder: str, seconds: float) -> list[tuple[int, float]]:
    with opened(url, Path(folder)) as ledger:
        return _paced(ledger, seconds)
