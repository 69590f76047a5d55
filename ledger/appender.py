"""Group commit: one thread collects what is waiting, encodes it for the head it expects, and stores it in one transaction.

What a caller hands in is an `Item`: it is stored whole or not at all, and its outcome is certain. If a batch is refused for
what is in it, its halves are tried, so one bad item hurts only itself. If a commit's outcome is unclear, it is looked up before
anything is repeated. If the machine dies on any line here, a reader finds either the whole batch under its head or nothing of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime
from queue import SimpleQueue
from typing import Any, NamedTuple

from eventsourcing.persistence import InterfaceError, OperationalError, PersistenceError

from ledger.batches import Appended, Encoded, Item, encode, micros, starting_versions
from ledger.errors import (
    BusyError,
    ClockError,
    ClosedError,
    ConflictError,
    CorruptError,
    HeadMovedError,
    LedgerError,
    UnclearCommitError,
)
from ledger.recorders import Batch, Head, Recorder, Tail

__all__ = ["Appended", "Appender", "Item"]

LOG = logging.getLogger(__name__)
MAX_BATCH_EVENTS = 500
"""More would gain nothing, and who comes next waits for the whole transaction."""
MAX_BATCH_BYTES = 16 * 1024 * 1024
MAX_WAITING_ITEMS = 20_000
MAX_WAITING_BYTES = 256 * 1024 * 1024
MAX_CACHED_VERSIONS = 200_000
MAX_JUMP_US = 2_000_000
PATIENCE_S = 60.0
"""How long an unclear commit is looked up while the database does not answer."""
RETRY_PAUSE_S = 0.05
HINT_PAUSE_S = 0.02

_NOT_OF_ONE_ITEM = (UnclearCommitError, ClockError, CorruptError, OperationalError, InterfaceError)
"""Trying a part of the batch would fail as the whole did, or might store it twice."""


Outcomes = list[tuple[Any, Appended | BaseException]]
"""Who waits, and what came of it."""


class _Waiting(NamedTuple):
    item: Item
    who: Any
    tell: Callable[[Outcomes], None]
    sealed_bytes: int


class Appender:
    """The only writer of the log in this process; any number of threads may `submit`.

    Guarded by `_guard`: _waiting_items, _waiting_bytes, _is_closed, and the order of what is put into _waiting, where None says that
    nothing follows. Owned by the appender's thread alone: all from _head on.

    Args:
        clock: our clock, aware.
        after_commit: a hint for listeners, called by another thread, at most every 20 ms.
        monotonic: the clock that cannot be set, in seconds, against which a jump of `clock` shows; None: not watched.
        jumped: the item that says so, of the milliseconds that `clock` went forward (negative: back).
    """

    def __init__(
        self,
        recorder: Recorder,
        versions_of: Callable[[Sequence[str]], dict[str, int]],
        clock: Callable[[], datetime],
        *,
        after_commit: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] | None = None,
        jumped: Callable[[int], Item] | None = None,
    ) -> None:
        self._recorder = recorder
        self._versions_of = versions_of
        self._clock = clock
        self._after_commit = after_commit
        self._monotonic = monotonic
        self._jumped = jumped
        self._guard = threading.Lock()
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._waiting_items = self._waiting_bytes = 0
        self._is_closed = False
        self._stopped = threading.Event()
        self._committed = threading.Event()
        self._head, self._frontier = recorder.frontier()
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._offset_us = self._offset(micros(clock())) if monotonic else 0
        self._is_alone = True
        self._threads = [
            threading.Thread(target=self._run, name="appender", daemon=True),
            threading.Thread(target=self._hint, name="appender-hints", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, item: Item) -> Future[Appended]:
        """Queue an item; the future ends with `Appended` or with the error that says why nothing was stored.

        Raises:
            BusyError: too much is waiting.
            ClosedError: the appender is closing.
        """
        future: Future[Appended] = Future()
        self.queue(item, future, _end)
        return future

    def queue(self, item: Item, who: Any, tell: Callable[[Outcomes], None]) -> None:
        """As `submit`, for whoever is not a thread that waits.

        Args:
            who: handed back with the outcome.
            tell: called by the appender's thread, once for each commit, with all that are told by it; it must not wait or fail.
        """
        waiting = _Waiting(item, who, tell, item.sealed_bytes)
        with self._guard:
            if self._is_closed:
                raise ClosedError
            is_full = self._waiting_bytes + waiting.sealed_bytes > MAX_WAITING_BYTES and self._waiting_items
            if is_full or self._waiting_items >= MAX_WAITING_ITEMS:
                raise BusyError
            self._waiting_items += 1
            self._waiting_bytes += waiting.sealed_bytes
            self._waiting.put(waiting)

    def close(self) -> None:
        """Commit what was accepted, refuse the rest, then stop."""
        self._refuse()
        for thread in self._threads:
            thread.join()

    def _refuse(self) -> None:
        with self._guard:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)

    # --- the appender's thread

    def _run(self) -> None:
        try:
            while group := self._take([]):
                self._commit(group, grows=True)
                del group  # what was stored is not held while nothing else comes
        finally:  # reached by closing, or by what no code expects: then too nobody is left waiting
            self._refuse()
            while not self._waiting.empty():
                if (waiting := self._waiting.get()) is not None:
                    waiting.tell([(waiting.who, ClosedError())])
            self._stopped.set()
            self._committed.set()

    def _take(self, group: list[_Waiting]) -> list[_Waiting]:
        """Add what is waiting, up to a batch; empty when closed. From here on a caller cannot cancel."""
        events = sum(len(waiting.item.drafts) for waiting in group)
        sealed_bytes = sum(waiting.sealed_bytes for waiting in group)
        while not group or (events < MAX_BATCH_EVENTS and sealed_bytes < MAX_BATCH_BYTES and not self._waiting.empty()):
            waiting = self._waiting.get()
            if waiting is None:
                self._waiting.put(None)
                break
            with self._guard:
                self._waiting_items -= 1
                self._waiting_bytes -= waiting.sealed_bytes
            if waiting.tell is not _end or waiting.who.set_running_or_notify_cancel():
                group.append(waiting)
                events += len(waiting.item.drafts)
                sealed_bytes += waiting.sealed_bytes
        return group

    def _commit(self, group: list[_Waiting], *, grows: bool = False) -> None:
        """Give every item its outcome, whatever happens.

        Args:
            grows: what comes while others append may be stored together with it.
        """
        try:
            outcome = self._store(group, grows=grows)
        except BaseException as error:  # a defect of ours too: whoever waits is told, the rest is served
            if len(group) > 1 and not isinstance(error, _NOT_OF_ONE_ITEM):
                middle = len(group) // 2
                self._commit(group[:middle])
                self._commit(group[middle:])
                return
            if not isinstance(error, LedgerError | PersistenceError):
                LOG.exception("append failed")
            _tell(group, [error] * len(group))
        else:
            _tell(group, outcome)
            self._committed.set()

    def _store(self, group: list[_Waiting], *, grows: bool) -> list[Appended]:
        """One transaction.

        Each try is encoded anew. Those whose commit is unclear are remembered: all expect the same head, so at most one of them
        can ever be in the log, and none once another batch stands in its place.
        """
        unclear: list[Encoded] = []
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                for encoded in unclear:
                    if self._recorder.is_stored(encoded.batch):
                        return self._adopt(encoded)
                return self._adopt(self._try(group, unclear, grows=grows and not unclear))
            except HeadMovedError:
                continue
            except ConflictError:
                self._versions.clear()
                raise
            except (UnclearCommitError, OperationalError, InterfaceError) as error:
                is_broken = isinstance(error, UnclearCommitError)
                if unclear and time.monotonic() > give_up:
                    msg = f"the database did not answer for {PATIENCE_S:.0f} s; whether the events are stored is not known"
                    raise UnclearCommitError(msg) from error
                if not unclear and (not is_broken or time.monotonic() > give_up):
                    raise OperationalError(str(error)) from error  # nothing was sent, so nothing was stored
                if not is_broken:
                    self._stopped.wait(RETRY_PAUSE_S)

    def _try(self, group: list[_Waiting], unclear: list[Encoded], *, grows: bool) -> Encoded:
        """Append for the head we know or, when another process was faster, for the one that is found under the lock."""
        tried: list[Encoded] = []

        def batch() -> Batch:
            tried.append(self._encode([waiting.item for waiting in group]))
            return tried[0].batch

        def batch_after(tail: Tail) -> Batch:
            self._follow(tail)
            if grows:
                self._take(group)
            return batch()

        was_alone = self._is_alone
        try:
            if was_alone:
                self._recorder.append(batch())
            else:
                self._recorder.append_after(self._head.size, batch_after)
        except (HeadMovedError, ClockError) as error:
            if (
                was_alone
            ):  # another process was faster, or we waited for it so long that our reading of the clock is old
                self._is_alone = False
                raise HeadMovedError from error
            if isinstance(error, ClockError):
                raise
            msg = f"{error}, though nobody else was appending; run `delivery-ledger fsck`"
            raise CorruptError(msg) from error
        except UnclearCommitError:
            unclear += tried
            raise
        return tried[0]

    def _follow(self, tail: Tail) -> None:
        """Take in what other processes appended."""
        self._is_alone = tail.head == self._head
        if tail.head.size < self._head.size:
            msg = f"the database ends at {tail.head.size}, but {self._head.size} events were acknowledged; it was restored or lost data"
            raise CorruptError(msg)
        if tail.rows is None:
            self._head, self._frontier = self._recorder.frontier()
            self._versions.clear()
            return
        frontier = self._frontier.copy()
        for leaf, _, _ in tail.rows:
            frontier.add(leaf)
        if frontier.root() != tail.head.root:
            msg = f"root mismatch at tree size {tail.head.size}: head {tail.head.root.hex()}, computed {frontier.root().hex()}"
            raise CorruptError(msg)
        self._head, self._frontier = tail.head, frontier
        self._remember({stream: version for _, stream, version in tail.rows})

    def _encode(self, items: Sequence[Item]) -> Encoded:
        clock_us = micros(self._clock())
        offset_us = self._offset(clock_us)
        jump = self._jump(offset_us)
        every = [*jump, *items]
        versions = starting_versions(every, self._versions, self._versions_of)
        frontier = self._frontier.copy()
        batch, outcome = encode(every, self._head, frontier, versions, clock_us)
        batch.clock_us = micros(self._clock())
        head = Head(batch.size, batch.root, batch.recorded_us)
        return Encoded(batch, head, frontier, versions, outcome[len(jump) :], offset_us)

    def _offset(self, clock_us: int) -> int:
        """How far our clock is from the one that cannot be set."""
        return clock_us - int(self._monotonic() * 1_000_000) if self._monotonic else 0

    def _jump(self, offset_us: int) -> list[Item]:
        """What is to be said of our clock."""
        forward_us = offset_us - self._offset_us
        return [self._jumped(forward_us // 1000)] if self._jumped and abs(forward_us) > MAX_JUMP_US else []

    def _adopt(self, encoded: Encoded) -> list[Appended]:
        """What was encoded is in the log."""
        self._head, self._frontier, self._offset_us = encoded.head, encoded.frontier, encoded.offset_us
        self._remember(encoded.versions)
        return encoded.outcome

    def _remember(self, versions: dict[str, int]) -> None:
        self._versions.update(versions)
        while len(self._versions) > MAX_CACHED_VERSIONS:
            self._versions.popitem(last=False)

    # --- the hints' thread

    def _hint(self) -> None:
        """A slow or failing hint holds up nothing: readers poll."""
        while True:
            self._committed.wait()
            self._committed.clear()
            try:
                self._after_commit()
            except Exception:
                LOG.warning(
                    "listeners could not be told of new events; they will see them when they next look", exc_info=True
                )
            if self._stopped.wait(HINT_PAUSE_S):
                return


def _tell(group: Iterable[_Waiting], outcome: Iterable[Appended | BaseException]) -> None:
    told: dict[Callable[[Outcomes], None], Outcomes] = {}
    for waiting, came in zip(group, outcome, strict=True):
        told.setdefault(waiting.tell, []).append((waiting.who, came))
    for tell, outcomes in told.items():
        tell(outcomes)


def _end(outcomes: Outcomes) -> None:
    for future, came in outcomes:
        if isinstance(came, BaseException):
            future.set_exception(came)
        else:
            future.set_result(came)
