"""The log in shares of whole messages, applied to new tables by several processes at once; on SQLite, which has one writer, by one of them.

Streams are keys that begin with time, so the events of a share lie close together and each is read once. Within a share they come in the
order of the log, so models need not know of it. What is no message's comes first: batches, and what accounts and the ledger say.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

from eventsourcing.persistence import DataError, IntegrityError

from ledger.application import Ledger
from ledger.database import Cursor, Database, connect
from ledger.events import Event, message_of, read
from projections.applying import apply_to
from projections.gathering import Call, GatheredError, Gathering, write
from projections.models import ReadModel, Target
from projections.tables import SUFFIX, hold

SHARE_EVENTS = 5_000
PAGE_EVENTS = 10_000
"""Of a share with a message that has very many, so many are read at once."""
LONG = 50_000
"""Events for which it is worth starting other processes."""
MOST_PROCESSES = 8
AHEAD = 2
"""Shares for each process that are being applied, or wait to be written, at once."""
FIRST, LAST = "", "\U0010ffff"


class Share(NamedTuple):
    """Streams from `begin` up to, without it, `end`."""

    begin: str
    end: str


BESIDE = (Share("account/", "account0"), Share("batch/", "batch0"), Share("ledger", "ledger0"))
"""The streams that are no message's."""


@dataclass(frozen=True, slots=True)
class Building:
    """What a process needs in order to apply shares.

    Attributes:
        url: of the database, for a process of its own.
        position_column: of the log.
        until: the last position that is applied.
        made: the new tables, for `projections.tables.hold`.
    """

    url: str
    schema: str
    position_column: str
    models: tuple[ReadModel, ...]
    channels: Mapping[str, str]
    until: int
    made: Mapping[str, int]

    def apply(self, database: Database, share: Share) -> int:
        """Apply a share to the new tables of the models, page by page; returns how many events it has."""
        return self._apply(database, share, database.writing)

    def gather(self, database: Database, share: Share) -> tuple[int, list[Call]] | None:
        """How many events a share has, and what is to be written of it; nothing if that takes a transaction."""
        gathering = Gathering(database)
        try:
            return self._apply(database, share, lambda: nullcontext(gathering)), gathering.calls
        except GatheredError:
            return None

    def write(self, database: Database, share: Share, gathered: tuple[int, list[Call]] | None) -> int:
        """Write what was gathered of a share, or apply it; what the database refuses is applied too, so that it hurts only itself."""
        if gathered is None:
            return self.apply(database, share)
        count, calls = gathered
        try:
            with database.writing() as cursor:
                write(cursor, calls)
        except (DataError, IntegrityError):
            return self.apply(database, share)
        return count

    def _apply(self, database: Database, share: Share, writing: Callable[[], AbstractContextManager[Cursor]]) -> int:
        count = after = 0
        with _without_looking_for_cycles():
            while page := self._page(database, share, after):
                target = Target(self.schema, SUFFIX, self.channels, is_fresh=after == 0)
                events = page if share in BESIDE else [event for event in page if not _is_beside(event.stream)]
                with writing() as cursor:
                    hold(cursor, self.made)
                    apply_to(self.models, cursor, events, target)
                count, after = count + len(events), page[-1].position
        return count

    def _page(self, database: Database, share: Share, after: int) -> list[Event]:
        # `+ 0`: by the index of the streams, never by walking through the log.
        position = f"{self.position_column} + 0"
        sql = (
            f"SELECT {self.position_column}, state FROM stored_events WHERE originator_id >= ? AND originator_id < ? "
            f"AND {position} > ? AND {position} <= ? ORDER BY {position} LIMIT {PAGE_EVENTS}"
        )
        return [read(at, bytes(state)) for at, state in database.read(sql, (*share, after, self.until))]


@contextmanager
def _without_looking_for_cycles() -> Iterator[None]:
    """What a share needs are many small objects without a cycle; looking for one takes a fifth of the time."""
    was_looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_looking:
            gc.enable()


def _is_beside(stream: str) -> bool:
    return any(share.begin <= stream < share.end for share in BESIDE)


def shares(ledger: Ledger, until: int) -> list[Share]:
    """The log up to a position in shares of about as many events, each with whole messages."""
    positions = range(SHARE_EVENTS, until, SHARE_EVENTS)
    streams = {event.stream for event in ledger.events_at(positions)}
    cuts = sorted({message_of(stream) for stream in streams if not _is_beside(stream)})
    return [Share(*pair) for pair in pairwise([FIRST, *cuts, LAST])]


def apply_all(building: Building, database: Database, cut: Sequence[Share], processes: int | None) -> Iterator[int]:
    """Apply all shares; how many events, after each of them.

    Args:
        processes: how many work beside this one; none: as many as are worth it.
    """
    for share in BESIDE:
        yield building.apply(database, share)
    if processes is None:
        processes = min(os.cpu_count() or 1, MOST_PROCESSES) if building.until >= LONG else 0
    if not processes:
        yield from (building.apply(database, share) for share in cut)
    elif building.schema:
        yield from _in_processes(building, processes, _apply, cut)
    else:  # SQLite has one writer
        gathered = _in_processes(building, processes, _gather, cut)
        yield from (building.write(database, share, each) for share, each in zip(cut, gathered, strict=True))


_T = TypeVar("_T")


def _in_processes(
    building: Building, processes: int, work: Callable[[Share], _T], cut: Sequence[Share]
) -> Iterator[_T]:
    """What comes of each share, in order; only some are worked on ahead of what was taken."""
    context = multiprocessing.get_context("spawn")
    ahead: deque[Future[_T]] = deque()
    with ProcessPoolExecutor(processes, context, _begin, (building,)) as pool:
        try:
            for share in cut:
                ahead.append(pool.submit(work, share))
                if len(ahead) > processes * AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


_own: list[tuple[Building, Database]] = []
"""Of a process that applies shares: what it builds, and its own connections."""


def _begin(building: Building) -> None:
    gc.disable()  # as in `_without_looking_for_cycles`; it ends with what it is for
    _own.append((building, connect(building.url)))


def _apply(share: Share) -> int:
    ((building, database),) = _own
    return building.apply(database, share)


def _gather(share: Share) -> tuple[int, list[Call]] | None:
    ((building, database),) = _own
    return building.gather(database, share)
