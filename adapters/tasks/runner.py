"""Does what is in the queue: a few tasks at once, fair between tenants, in threads, for as long as this process leads.

What comes of a task is written only when it is whole: its files are sealed and on disk, then the result is kept, then whoever has to be
told is told, and only then it is done. A process that dies on the way leaves a task that runs for nobody; whoever leads next begins it
again, or, where the result was kept, ends it.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from adapters.jobs.rows import said
from adapters.tasks.contract import GiveUpError, Kind, TaskStoppedError, Work
from adapters.tasks.rows import Row
from adapters.tasks.store import Tasks
from ledger.errors import ConfigurationError, NotFoundError
from ledger.tenants import working_for

LOG = logging.getLogger(__name__)
AT_ONCE = 2
LOOK_EVERY_S = 0.5
TIDY_EVERY_S = 15.0
CHECK_EVERY_S = 0.5
"""How often a try looks whether it was cancelled, and whether this process still leads."""
TELL_EVERY_S = 1.0
NO_USE = (GiveUpError, NotFoundError, ConfigurationError)
"""Raised by a try, these end its task: the next one would end the same way."""


class Runner:
    """Works for one ledger.

    Guarded by `_lock`: _running, the tries that go on in this process, by id.

    Args:
        kinds: what can be done.
    """

    def __init__(self, tasks: Tasks, kinds: Sequence[Kind]) -> None:
        self.tasks = tasks
        self.rows = tasks.rows
        self.clock = tasks.ledger.clock
        self.kinds = {kind.name: kind for kind in kinds}
        self.stopping = threading.Event()
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, Row] = {}

    # --- the queue

    def work(self, may_work: Callable[[], bool]) -> None:
        """Do what is queued until `stop`; for a thread of its own.

        Args:
            may_work: whether this process is the one that works.
        """
        tidy_at = 0.0
        with ThreadPoolExecutor(AT_ONCE, "tasks") as pool:
            while not self.stopping.is_set():
                try:
                    if may_work():
                        if time.monotonic() >= tidy_at:
                            self.tidy()
                            tidy_at = time.monotonic() + TIDY_EVERY_S
                        for row in self.begin():
                            pool.submit(self._attempt, row, may_work).add_done_callback(self._ended)
                    else:
                        tidy_at = 0.0  # what another process left is looked at as soon as this one leads
                except Exception:
                    LOG.exception("the queue of tasks could not be looked at; it is looked at again in a moment")
                self._woken.wait(LOOK_EVERY_S)
                self._woken.clear()
        self._empty()

    def stop(self) -> None:
        """End soon; what runs goes back into the queue."""
        self.stopping.set()
        self._woken.set()

    def run(self) -> int:
        """Do everything that is due now, one after the other, in this thread; how many tries it took."""
        self.tidy()
        tries = 0
        while rows := self.begin(most=1):
            self._attempt(rows[0], lambda: True)
            tries += 1
        return tries

    def begin(self, most: int = AT_ONCE) -> list[Row]:
        """Begin as many tasks as there is room for: of the tenant with the fewest under way, then of the one that waited longest."""
        started = []
        with self._lock:
            queued = [] if self._is_frozen() else self.rows.queued(self.clock())
            last = self.rows.last_started() if queued else {}
            while queued and len(self._running) < most:
                busy = Counter(row.tenant for row in self._running.values())
                row = min(queued, key=lambda each: (busy[each.tenant], last.get(each.tenant, ""), each.task))
                queued.remove(row)
                began = self.rows.start(row, self.clock())
                if began is not None:
                    self._running[began.run] = began
                    last[began.tenant] = began.started_at
                    started.append(began)
        return started

    def tidy(self) -> None:
        """Take over what runs for nobody, and delete what has expired; only for the one process that works."""
        self._empty()
        if self._is_frozen():
            return
        with self._lock:
            left = [row for row in self.rows.in_state("running") if row.run not in self._running]
        for row in left:
            if self.tasks.result(row) is not None:
                self._finish(row)
            elif self.rows.put_back(row, self.clock(), counts=False):
                self.tasks.drop_files(row.run)
        self.tasks.expire()

    def _is_frozen(self) -> bool:
        """Whether nothing could be said of what is done."""
        return bool(self.tasks.ledger.frozen)

    def _empty(self) -> None:
        """Remove plain files of tries that are over."""
        with self._lock:
            running = set(self._running)
        for folder in self.tasks.making().iterdir():
            if folder.name not in running:
                shutil.rmtree(folder, ignore_errors=True)

    def _ended(self, future: Future[None]) -> None:
        if future.exception() is not None:  # its row could not be written, for example; it is taken over in a moment
            LOG.error("a task could not be ended: %s", type(future.exception()).__name__)
        self._woken.set()

    # --- one try

    def _attempt(self, row: Row, may_work: Callable[[], bool]) -> None:
        try:
            with self._making(row) as folder:
                checked, told = _every(CHECK_EVERY_S), _every(TELL_EVERY_S)
                is_stopped = partial(self._is_stopped, row, may_work, checked)
                self._try(row, self._given(row, folder, partial(self._progress, row, told), is_stopped))
        finally:
            with self._lock:
                self._running.pop(row.run, None)

    def _try(self, row: Row, given: Work) -> None:
        kind = self.kinds.get(row.kind)
        if kind is None:
            self._failed(row, given, None, GiveUpError(f"this version does not know the work {row.kind!r}"))
            return
        try:
            with working_for(row.tenant):
                made = kind.run(given)
            self.tasks.keep_result(row, made, given.is_stopped)
        except TaskStoppedError:
            self._let_go(row)
        except Exception as error:  # noqa: BLE001  one bad task hurts only itself
            self._failed(row, given, kind, error)
        else:
            self._finish(row)

    def _let_go(self, row: Row) -> None:
        """Of a try that was stopped nothing is kept; it goes back into the queue, unless it was cancelled."""
        self.tasks.drop_files(row.run)
        self.rows.put_back(row, self.clock(), counts=False)

    def _finish(self, row: Row) -> None:
        """Tell of the result, which is kept, and end the task."""
        kind, result = self.kinds.get(row.kind), self.tasks.result(row)
        if kind is not None and result is not None:
            given = self._given(row, self.tasks.making(), lambda _done, _total: None, lambda: False)
            try:
                with working_for(row.tenant):
                    kind.finished(given, {**result.said, "files": [msgspec.to_builtins(file) for file in result.files]})
            except Exception as error:  # noqa: BLE001  it is told again in a moment
                LOG.error("task %s is done, which could not be told: %s", row.task, said(error))  # noqa: TRY400
                return
        now = self.clock()
        self.rows.end(row, "done", now, now + self.tasks.keep)

    def _failed(self, row: Row, given: Work, kind: Kind | None, error: Exception) -> None:
        """Try again later, or end the task; one that was cancelled meanwhile has not failed."""
        self.tasks.drop_files(row.run)
        if not self.rows.is_running(row.task, row.run):
            return
        now, why = self.clock(), str(error) if isinstance(error, GiveUpError) else said(error)
        pauses = kind.pauses if kind else ()
        is_last = row.tries > len(pauses) or isinstance(error, NO_USE)
        LOG.error("task %s (%s), try %d: %s", row.task, row.kind, row.tries, why)
        if kind is not None:
            kind.failed(given, why, is_last)
        if is_last:
            self.rows.end(row, "failed", now, now + self.tasks.keep, why)
        else:
            self.rows.put_back(row, now + pauses[row.tries - 1], why)

    @contextmanager
    def _making(self, row: Row) -> Iterator[Path]:
        """A private folder for the plain files of one try."""
        folder = self.tasks.making() / row.run
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _is_stopped(self, row: Row, may_work: Callable[[], bool], is_due: Callable[[], bool]) -> bool:
        if self.stopping.is_set():
            return True
        return is_due() and not (may_work() and self.rows.is_running(row.task, row.run))

    def _progress(self, row: Row, is_due: Callable[[], bool], done: int, total: int | None) -> None:
        if is_due():
            self.rows.progress(row, done, total)

    def _given(
        self, row: Row, folder: Path, progress: Callable[[int, int | None], None], is_stopped: Callable[[], bool]
    ) -> Work:
        return Work(
            task=row.task,
            tenant=row.tenant,
            owner=row.owner,
            number=row.tries,
            request=self.rows.request(row),
            folder=folder,
            progress=progress,
            is_stopped=is_stopped,
        )


def _every(seconds: float) -> Callable[[], bool]:
    """Says yes at most once in so many seconds, the first time after as many."""
    next_at = time.monotonic() + seconds

    def is_due() -> bool:
        nonlocal next_at
        now = time.monotonic()
        if now < next_at:
            return False
        next_at = now + seconds
        return True

    return is_due
