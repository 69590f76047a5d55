"""Ledgers full of deliveries, each filled once in a run and shared by the figures that only read it.

    url = filled(bench, "postgresql")            # scale.events events, a quarter as many messages, as many deliveries as events
    url = filled(bench, "sqlite", 10_000)        # so many events
    url = caught_up(bench, "postgresql")         # the same ledger, every read model up to its head
    with opened(url, bench.folder) as ledger: ...

A figure that appends takes a copy (`copied`). What is written stands in `ops.bench.messages`.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import threading
import time
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
from ledger.errors import ConfigurationError
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
TOLD_EACH = 250_000
"""Events after which it is told how far filling is."""
ROOM = 6_000
"""Bytes of disk that an event of a filled ledger takes at most, with its read models and what is written while these are made."""

Progress = Callable[[int], None]


class NoRoomError(ConfigurationError):
    """The disk is too small for the ledger that is to be filled; nothing was written."""


def filled(bench: Bench, kind: str, events: int = 0) -> str:
    """A ledger of deliveries that nobody appends to any more.

    Args:
        events: at least so many; without it those of the scale.
    """
    events = events or bench.scale.events
    name = f"filled/{kind}/{events}"
    if name not in bench.kept:
        _require_room(bench, events)
        url = database_url(bench, kind)
        with opened(url, bench.folder) as ledger:
            fill(ledger, 0, -(-events // EVENTS), bench.folder, _telling(bench, kind, events))
        _settle(url)
        bench.kept[name] = url
    return bench.kept[name]


def caught_up(bench: Bench, kind: str, events: int = 0) -> str:
    """The same ledger, once every read model is up to its head."""
    url = filled(bench, kind, events)
    name = f"caught up/{url}"
    if name not in bench.kept:
        with opened(url, bench.folder) as ledger:
            if ledger.head().size >= TOLD_EACH:
                bench.tell(f"{kind}: read models of {ledger.head().size:,} events")
            Runner(ledger, read_models()).run()
        _settle(url)
        bench.kept[name] = url
    return url


def _require_room(bench: Bench, events: int) -> None:
    """Raise NoRoomError where filling would end with a full disk, hours later."""
    free = min(shutil.disk_usage(folder).free for folder in (bench.folder, bench.server.host))
    if free < events * ROOM:
        msg = (
            f"{events:,} events take up to {events * ROOM // 10**9} GB of disk, and {free // 10**9} are free: "
            "measure fewer (--to), or write elsewhere (--into)"
        )
        raise NoRoomError(msg)


def _telling(bench: Bench, kind: str, events: int) -> Progress:
    """Tells now and then how far it is; nothing of short ones."""
    done, begun = 0, time.monotonic()

    def progress(stored: int) -> None:
        nonlocal done
        done += stored
        if done // TOLD_EACH > (done - stored) // TOLD_EACH:
            bench.tell(f"{kind}: {done:,} of {events:,} events, {done / (time.monotonic() - begun):,.0f}/s")

    return progress


def copied(bench: Bench, url: str) -> str:
    """A copy of a ledger that nobody has open, for a figure that appends to it; its originals are in the database."""
    if url.startswith("sqlite"):
        copy = database_url(bench, "sqlite")
        shutil.copyfile(url.removeprefix("sqlite:///"), copy.removeprefix("sqlite:///"))
    else:
        copy = database_url(bench, "postgresql", str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]))
    _write_out(copy)
    return copy


def removed(bench: Bench, url: str) -> None:
    """Remove a copy that nobody has open."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).unlink()
        return
    with psycopg.connect(bench.server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {psycopg.conninfo.conninfo_to_dict(url)['dbname']}")


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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()
    own = Path(mkdtemp(prefix="drafting-", dir=folder))
    database = connect(f"sqlite:///{own / 'empty.db'}")
    database.ensure_schema()
    _drafting.append(Ledger(database, KEYRING, vocabulary(), own))


def _end_with_parent() -> None:
    """However that ended: who waits for its next order would wait for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _drafted(begin: int, end: int) -> Item:
    return item(_drafting[0], list(messages(begin, end)))
