"""Child processes for the failure tests; they append until they are killed, or until their share is done.

They are forked from one warm server process, so that killing fifty of them takes seconds. Nothing of this is known to the product:
a child that is to die inside a transaction uses a recorder of its own, which says when it is there and then waits.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from ledger import application
from ledger.application import Ledger
from ledger.database import Cursor
from ledger.recorders import Batch, PostgresRecorder, SQLiteRecorder
from tests.ledger.kit import item, new_stream, opened
from tests.postgres import Database as Given

THREADS = 4
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.ledger.crashing"])


class _Dying:
    """A recorder's part that stops at one append, all rows inserted and nothing committed."""

    wait_at = 0
    pipe: Connection

    def _store(self, cursor: Cursor, batch: Batch) -> None:
        super()._store(cursor, batch)  # type: ignore[misc]
        type(self).wait_at -= 1
        if type(self).wait_at == 0:
            self.pipe.send("inside")
            threading.Event().wait()


class _DyingSQLite(_Dying, SQLiteRecorder):
    pass


class _DyingPostgres(_Dying, PostgresRecorder):
    def append(self, batch: Batch) -> None:
        """By the way of several statements, so that there is a moment between the rows and the commit."""
        with self._locked() as cursor:
            self._store(cursor, batch)


def _append_for_ever(ledger: Ledger, acknowledged: int, pipe: Connection) -> None:
    """Append; what is acknowledged is on disk before it is told."""
    stream = new_stream()
    while True:
        mine = item(ledger, stream, count=3)
        ledger.append(mine)
        os.write(acknowledged, "".join(f"{draft.id}\n" for draft in mine.drafts).encode())
        os.fsync(acknowledged)
        pipe.send("acknowledged")


def die(given: Given, folder: Path, acknowledged: Path, pipe: Connection, wait_at: int) -> None:
    """A child that appends until it is killed.

    Args:
        wait_at: at which append to stop inside the transaction; 0: nowhere, with the product's own recorder.
    """
    if wait_at:
        _Dying.wait_at, _Dying.pipe = wait_at, pipe
        vars(application).update(SQLiteRecorder=_DyingSQLite, PostgresRecorder=_DyingPostgres)
    log = os.open(acknowledged, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with opened(given, folder) as ledger:
        threads = [threading.Thread(target=_append_for_ever, args=(ledger, log, pipe)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def share(given: Given, folder: Path, streams: list[str], count: int, pipe: Connection) -> None:
    """A child that appends its share to streams that it has in common with others, and says what became of it."""
    with opened(given, folder) as ledger:
        pipe.send("ready")
        pipe.recv()
        ids: list[str] = []
        for begin in range(0, count, 1_000):
            items = [item(ledger, streams[n % len(streams)]) for n in range(begin, begin + 1_000)]
            for future in [ledger.submit(each) for each in items]:
                future.result()
            ids += [each.drafts[0].id for each in items]
        pipe.send(ids)


@contextmanager
def child(target: Any, *args: Any) -> Iterator[tuple[ForkServerProcess, Connection]]:
    """A child process with a pipe from it as its last argument but those it has itself; killed at the end of the block."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=tuple(theirs if a is PIPE else a for a in args))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


PIPE = object()
"""Stands for the child's end of the pipe among its arguments."""
