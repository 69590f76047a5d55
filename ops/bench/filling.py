"""Ledgers full of deliveries, each filled once in a run and shared by the figures that only read it.

    url = filled(bench, "postgresql")            # scale.events events, a quarter as many messages, as many deliveries as events
    url = filled(bench, "sqlite", 10_000)        # so many events
    url = caught_up(bench, "postgresql")         # the same ledger, every read model up to its head
    with opened(url, bench.folder) as ledger: ...

A figure that appends takes a `copied` one. What is written stands in `ops.bench.messages`.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import psycopg

from adapters.receiving import vocabulary
from ledger.appender import Appended, Item
from ledger.application import Ledger
from ledger.database import connect
from ops.bench.contract import Bench
from ops.bench.load import KEYRING, database_url, opened
from ops.bench.messages import EVENTS, item, messages
from ops.system import read_models
from projections.runner import Runner

ITEM_MESSAGES = 250
AHEAD = 4
"""Items that were drafted and wait to be stored."""
IN_PROCESS = 40_000
"""Events up to which drafting them here takes less time than starting other processes."""

Progress = Callable[[int], None]


def filled(bench: Bench, kind: str, events: int = 0) -> str:
    """A ledger of deliveries that nobody appends to any more.

    Args:
        events: at least so many; without it those of the scale.
    """
    events = events or bench.scale.events
    name = f"filled/{kind}/{events}"
    if name not in bench.kept:
        url = database_url(bench, kind)
        with opened(url, bench.folder) as ledger:
            fill(ledger, 0, -(-events // EVENTS), bench.folder)
        _settle(url)
        bench.kept[name] = url
    return bench.kept[name]


def caught_up(bench: Bench, kind: str, events: int = 0) -> str:
    """The same ledger, once every read model is up to its head."""
    url = filled(bench, kind, events)
    name = f"caught up/{url}"
    if name not in bench.kept:
        with opened(url, bench.folder) as ledger:
            Runner(ledger, read_models()).run()
        _settle(url)
        bench.kept[name] = url
    return url


def copied(bench: Bench, url: str) -> str:
    """A copy of a ledger that nobody has open, for a figure that appends to it; its originals are in the database."""
    if url.startswith("sqlite"):
        copy = database_url(bench, "sqlite")
        shutil.copyfile(url.removeprefix("sqlite:///"), copy.removeprefix("sqlite:///"))
    else:
        copy = database_url(bench, "postgresql", str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]))
    _write_out(copy)
    return copy


def _settle(url: str) -> None:
    """Do what the database would do in the background sooner or later, so that no figure has it beside it."""
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
    _write_out(url)


def _write_out(url: str) -> None:
    """Have on disk what was written: a commit would wait for all of it."""
    if url.startswith("sqlite"):
        with Path(url.removeprefix("sqlite:///")).open("rb+") as file:
            os.fsync(file.fileno())
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


# --- drafted in other processes, stored by this one


def fill(ledger: Ledger, begin: int, end: int, folder: Path, progress: Progress = lambda _: None) -> None:
    """Append messages by number.

    Args:
        begin, end: the first, and the one after the last.
        folder: for what drafting processes write.
        progress: called with the number of events that were stored.
    """
    chunks = [(at, min(end, at + ITEM_MESSAGES)) for at in range(begin, end, ITEM_MESSAGES)]
    is_long = (end - begin) * EVENTS > IN_PROCESS
    drafted = _drafted_ahead(chunks, folder) if is_long else (item(ledger, list(messages(*each))) for each in chunks)
    storing: deque[Future[Appended]] = deque()
    with _without_looking_for_cycles():
        for made in drafted:
            storing.append(ledger.submit(made))
            if len(storing) > AHEAD:
                progress(len(storing.popleft().result().positions))
        for last in storing:
            progress(len(last.result().positions))


@contextmanager
def _without_looking_for_cycles() -> Iterator[None]:
    """Items are many small objects without a cycle; looking for one takes half of the time that unpickling does."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _drafted_ahead(chunks: list[tuple[int, int]], folder: Path) -> Iterator[Item]:
    """Items in order; some more are being drafted while one is stored."""
    drafters = max(1, (os.cpu_count() or 1) - 1)
    context = multiprocessing.get_context("spawn")
    ahead: deque[Future[Item]] = deque()
    pool = ProcessPoolExecutor(drafters, context, _begin_drafting, (folder,))
    try:
        for chunk in chunks:
            ahead.append(pool.submit(_drafted, *chunk))
            if len(ahead) > drafters + AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_drafting: list[Ledger] = []
"""Of a drafting process: a ledger to draft with; nothing is written to it."""


def _begin_drafting(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    gc.disable()
    own = Path(mkdtemp(prefix="drafting-", dir=folder))
    database = connect(f"sqlite:///{own / 'empty.db'}")
    database.ensure_schema()
    _drafting.append(Ledger(database, KEYRING, vocabulary(), own))


def _drafted(begin: int, end: int) -> Item:
    return item(_drafting[0], list(messages(begin, end)))
