"""Group commit: one thread collects what is waiting, encodes it for the head it expects, and stores it in one transaction.

What a caller hands in is an `Item`: it is stored whole or not at all, and its outcome is certain. If a batch is
refused, its items are tried one by one, so one bad item hurts only itself. If a commit's outcome is unclear, it is looked up
before anything is repeated. If the machine dies on any line here, a reader finds either the whole batch under its head or nothing of it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from eventsourcing.persistence import InterfaceError, OperationalError, PersistenceError

from ledger.errors import (
    BusyError,
    ClosedError,
    ConflictError,
    HeadMovedError,
    LedgerError,
    UnclearCommitError,
    VersionTakenError,
)
from ledger.events import Draft, leaf, time_text
from ledger.recorders import ArtifactRow, Batch, Head, KeyRow, LookupRow, Recorder
from ledger.tree import Frontier, leaf_hash

LOG = logging.getLogger(__name__)
MAX_BATCH_EVENTS = 2_000
MAX_WAITING_ITEMS = 20_000
MAX_CACHED_VERSIONS = 200_000
RETRIES = 150
RETRY_PAUSE_S = 0.2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Item:
    """What is stored together or not at all.

    Attributes:
        drafts: events in order; at least one.
        new_streams: streams that must not exist yet.
        needs: streams that must exist by then (an item queued before this one may make them).
        expect: streams whose last version must be this; a decision rested on it.
        artifacts: with the index of the draft that names each.
        lookups, duplicates, joins: likewise with the index of their draft.
    """

    drafts: list[Draft]
    new_streams: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    expect: dict[str, int] = field(default_factory=dict)
    keys: list[KeyRow] = field(default_factory=list)
    artifacts: list[tuple[int, ArtifactRow]] = field(default_factory=list)
    lookups: list[tuple[int, LookupRow]] = field(default_factory=list)
    duplicates: list[tuple[int, bytes]] = field(default_factory=list)
    joins: list[tuple[int, str, str]] = field(default_factory=list)


class Appended(NamedTuple):
    """Proof that an item is durable and in the tree.

    Attributes:
        positions: of its events, contiguous.
        versions: of its events in their streams.
        recorded_at: as it stands in the events.
        tree_size, root: the head that covers them.
    """

    positions: Sequence[int]
    versions: Sequence[int]
    recorded_at: str
    tree_size: int
    root: bytes


class _Waiting(NamedTuple):
    item: Item
    future: Future[Appended]


_CLOSE = _Waiting(Item([]), Future())


class Appender:
    """The only writer of the log in this process; any number of threads may `submit`.

    Owned by its thread alone: head, frontier, versions.
    """

    def __init__(
        self,
        recorder: Recorder,
        versions_of: Callable[[Sequence[str]], dict[str, int]],
        clock: Callable[[], datetime],
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._recorder = recorder
        self._versions_of = versions_of
        self._clock = clock
        self._after_commit = after_commit
        self._queue: queue.Queue[_Waiting] = queue.Queue(MAX_WAITING_ITEMS)
        self._head = Head(0, b"", 0)
        self._frontier = Frontier()
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._closed = False
        self._stopped = threading.Event()
        self._reload()
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> Future[Appended]:
        """Queue an item; the future ends with `Appended` or with the error that says why nothing was stored.

        Raises:
            BusyError: the queue is full.
            ClosedError: the appender is closing.
        """
        if self._closed:
            raise ClosedError
        waiting = _Waiting(item, Future())
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise BusyError from None
        return waiting.future

    def close(self) -> None:
        """Commit what was accepted, then stop."""
        if not self._closed:
            self._closed = True
            self._queue.put(_CLOSE)
        self._stopped.wait()

    # --- the appender's thread

    def _run(self) -> None:
        closing = False
        while not closing:
            group = self._collect()
            closing = any(w is _CLOSE for w in group)
            self._commit([w for w in group if w is not _CLOSE])
        while not self._queue.empty():  # submitted while closing: refused, never left waiting
            self._queue.get_nowait().future.set_exception(ClosedError())
        self._stopped.set()

    def _collect(self) -> list[_Waiting]:
        group = [self._queue.get()]
        events = len(group[0].item.drafts)
        while events < MAX_BATCH_EVENTS and group[-1] is not _CLOSE:
            try:
                group.append(self._queue.get_nowait())
            except queue.Empty:
                break
            events += len(group[-1].item.drafts)
        return group

    def _commit(self, group: list[_Waiting]) -> None:
        """Give every item its outcome, whatever happens."""
        if not group:
            return
        try:
            outcome = self._store([w.item for w in group])
        except (LedgerError, PersistenceError) as error:
            if len(group) > 1:
                for waiting in group:
                    self._commit([waiting])
                return
            group[0].future.set_exception(error)
        except Exception as error:  # a defect of ours: say so to whoever waits, keep serving the rest
            LOG.exception("append failed")
            for waiting in group:
                waiting.future.set_exception(error)
            self._reload_quietly()
        else:
            for waiting, appended in zip(group, outcome, strict=True):
                waiting.future.set_result(appended)
            self._after_commit()

    def _store(self, items: Sequence[Item]) -> list[Appended]:
        """One transaction; encodes again for as long as another process is faster."""
        while True:
            frontier = self._frontier.copy()
            batch, versions, outcome = self._encode(items, frontier)
            try:
                self._append(batch)
            except HeadMovedError:
                self._reload()
            except ConflictError:
                self._versions.clear()
                raise
            else:
                self._head = Head(batch.size, batch.root, batch.recorded_us)
                self._frontier = frontier
                self._remember(versions)
                return outcome

    def _append(self, batch: Batch) -> None:
        """Store; when the connection breaks, look the outcome up, and repeat only what is not there."""
        cause: Exception | None = None
        for _ in range(RETRIES):
            try:
                if cause is None or not self._recorder.is_stored(batch):
                    self._recorder.append(batch)
                return
            except (OperationalError, InterfaceError) as error:
                cause = error
                self._stopped.wait(RETRY_PAUSE_S)
        self._reload_quietly()
        msg = f"the database did not answer {RETRIES} times; whether the events are stored is not known"
        raise UnclearCommitError(msg) from cause

    def _reload(self) -> None:
        self._head, self._frontier = self._recorder.frontier()
        self._versions.clear()

    def _reload_quietly(self) -> None:
        try:
            self._reload()
        except (LedgerError, PersistenceError):
            LOG.exception("the head cannot be read; the next append tries again")
            self._versions.clear()
            self._head = Head(-1, b"", 0)  # no batch can match it: the next append reloads

    def _remember(self, versions: dict[str, int]) -> None:
        self._versions.update(versions)
        while len(self._versions) > MAX_CACHED_VERSIONS:
            self._versions.popitem(last=False)

    def _encode(self, items: Sequence[Item], frontier: Frontier) -> tuple[Batch, dict[str, int], list[Appended]]:
        clock_us = (self._clock() - EPOCH) // MICROSECOND
        recorded_us = max(clock_us, self._head.recorded_us)
        recorded_at = time_text(EPOCH + recorded_us * MICROSECOND)
        batch = Batch(self._head.size, clock_us, recorded_us)
        versions = self._starting_versions(items)
        spans: list[tuple[int, list[int]]] = []
        for item in items:
            check_expectations(item, versions)
            first = batch.size + 1
            spans.append((first, [_add(batch, draft, versions, recorded_at, frontier) for draft in item.drafts]))
            _add_beside(batch, item, first)
        batch.root = frontier.root()
        outcome = [
            Appended(range(first, first + len(numbers)), numbers, recorded_at, batch.size, batch.root)
            for first, numbers in spans
        ]
        return batch, versions, outcome

    def _starting_versions(self, items: Sequence[Item]) -> dict[str, int]:
        """Last versions of every stream the items touch: known, new (0), or read now."""
        versions: dict[str, int] = {}
        unknown: set[str] = set()
        for item in items:
            for stream in {draft.stream for draft in item.drafts} | item.expect.keys() | item.needs:
                if stream in self._versions:
                    versions[stream] = self._versions[stream]
                elif stream in item.new_streams:
                    versions.setdefault(stream, 0)
                else:
                    unknown.add(stream)
        unknown -= versions.keys()
        if unknown:
            found = self._versions_of(sorted(unknown))
            versions |= {stream: found.get(stream, 0) for stream in unknown}
        return versions


def check_expectations(item: Item, versions: dict[str, int]) -> None:
    """Raise VersionTakenError when a stream moved since the item was decided."""
    for stream in item.new_streams:
        if versions[stream]:
            msg = f"stream {stream} exists already"
            raise VersionTakenError(msg)
    for stream in item.needs:
        if not versions[stream]:
            msg = f"stream {stream} does not exist"
            raise VersionTakenError(msg)
    for stream, version in item.expect.items():
        if versions[stream] != version:
            msg = f"stream {stream}: decided at version {version}, now at {versions[stream]}"
            raise VersionTakenError(msg)


def _add(batch: Batch, draft: Draft, versions: dict[str, int], recorded_at: str, frontier: Frontier) -> int:
    version = versions[draft.stream] = versions[draft.stream] + 1
    state = leaf(draft, version, recorded_at)
    hashed = leaf_hash(state)
    batch.streams.append(draft.stream)
    batch.versions.append(version)
    batch.topics.append(draft.topic)
    batch.states.append(state)
    batch.leaves.append(hashed)
    batch.tiles += frontier.add(hashed)
    batch.sealed += [(batch.size, key_id, blob) for key_id, blob in draft.sealed]
    return version


def _add_beside(batch: Batch, item: Item, first: int) -> None:
    batch.keys += item.keys
    batch.artifacts += [
        (row.artifact_id, first + index, row.key_id, row.media_type, row.body_bytes, row.sealed)
        for index, row in item.artifacts
    ]
    batch.lookups += [
        (row.digest, row.stream, row.recipient, first + index, row.exclusive) for index, row in item.lookups
    ]
    batch.duplicates += [(key, first + index) for index, key in item.duplicates]
    batch.joins += [(stream, first + index, into) for index, stream, into in item.joins]
