"""A range of the log looked at in one pass, in this process or another: leaves, hashes and fields, and what lies beside them.

A range is 2**HEIGHT events, so that its hashes are subtrees of the log's tree whatever stands before it. What is known only of the
whole (the root at each head, the signed heads, who the log was) is put together from the ranges by `ledger.fsck`.
"""

from __future__ import annotations

import gc
import hashlib
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ledger import bulk
from ledger.application import Ledger
from ledger.database import PostgresDatabase, Reads, connect
from ledger.remains import Erasures
from ledger.reopening import Opened, Opener, Page, Said
from ledger.sealing import Keyring
from ledger.tree import Frontier, TileHash

HEIGHT = 14
PAGE_EVENTS = 2_000
MAX_TOLD = 100

Told = tuple[str, int, str]
"""Kind of problem, position, both sides."""


class Ask(NamedTuple):
    """Which range, and what to see to.

    Attributes:
        after, until: positions; `after` is a multiple of the size of a range.
        sizes: of the tree, at which the hash over the range so far is wanted.
        recorded: the latest time before the range.
    """

    after: int
    until: int
    sizes: Sequence[int] = ()
    recorded: str = ""


@dataclass(slots=True)
class Range:
    """What a range holds.

    Attributes:
        size: the position up to which its events follow each other.
        peaks: roots of the perfect subtrees over them, largest first.
        hashes: at the sizes that were asked for and those of heads, the hash over the range up to there.
        heads: size and root, as the database remembers them.
        tiles: hashes of subtrees within the range.
        told: what is wrong with its events.
        earliest, latest: times at which they were recorded.
        opened: what lies beside them.
    """

    ask: Ask
    size: int
    peaks: Sequence[bytes] = ()
    hashes: dict[int, bytes] = field(default_factory=dict)
    heads: list[tuple[int, bytes]] = field(default_factory=list)
    tiles: list[TileHash] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    earliest: str = ""
    latest: str = ""
    opened: Opened = field(default_factory=Opened)


class Looker:
    """Looks at ranges."""

    def __init__(self, reads: Reads, keyring: Keyring, folder: Path, erasures: Erasures) -> None:
        self._reads = reads
        self._opener = Opener(reads, keyring, folder, erasures)
        self._column = "rowid" if reads.kind == "sqlite" else "notification_id"

    def look(self, ask: Ask) -> Range:
        """All of a range."""
        sql = "SELECT size, root FROM heads WHERE size > ? AND size <= ? ORDER BY size"
        heads = [(size, bytes(root)) for size, root in self._reads.read(sql, (ask.after, ask.until))]
        found = Range(ask, ask.after, heads=heads, latest=ask.recorded)
        tree = _Tree(found)
        for after in range(ask.after, ask.until, PAGE_EVENTS):
            until = min(after + PAGE_EVENTS, ask.until)
            rows = self._rows(after, until)
            states = dict(zip(rows.positions, rows.states, strict=True))
            events = _decoded(states)
            tree.follow(rows, events)
            if not found.opened.is_full:
                self._opener.look(Page(after, until, states, events), found.opened)
        found.peaks = tree.frontier.peaks
        return found

    def _rows(self, after: int, until: int) -> _Rows:
        """By an exact range of positions: a LIMIT would be sorted for on a database without statistics."""
        c = self._column
        columns = f"{c}, originator_id, originator_version, state, leaf"
        sql = f"SELECT {columns} FROM stored_events WHERE {c} > ? AND {c} <= ? ORDER BY {c}"
        return _Rows(*zip(*bulk.rows(self._reads, sql, (after, until)), strict=True))


class _Rows(NamedTuple):
    """Stored events, column by column."""

    positions: Sequence[Any] = ()
    streams: Sequence[Any] = ()
    versions: Sequence[Any] = ()
    states: Sequence[Any] = ()
    leaves: Sequence[Any] = ()


_decode = msgspec.json.Decoder(Said).decode


def _decoded(states: Mapping[int, bytes]) -> dict[int, Said]:
    """By position, those that are events."""
    try:
        return dict(zip(states, map(_decode, states.values()), strict=True))
    except msgspec.DecodeError:
        return {position: said for position, state in states.items() if (said := _read(state))}


def _read(state: bytes) -> Said | None:
    try:
        return _decode(state)
    except msgspec.DecodeError:
        return None


# --- leaves, hashes and fields


class _Clear(msgspec.Struct):
    """What of an event must agree with the columns beside it."""

    id: str
    stream: str
    version: int
    recorded_at: str


_clear = msgspec.json.Decoder(_Clear)


class _Tree:
    """The hashes over a range, and whether each event says what its row says; what it finds is added to `found`.

    Attributes:
        frontier: over the events of the range alone.
    """

    def __init__(self, found: Range) -> None:
        self.frontier = Frontier()
        self._found = found
        self._marks = deque(sorted({size for size, _ in found.heads} | set(found.ask.sizes)))
        self._is_broken = False

    def follow(self, rows: _Rows, events: Mapping[int, Said]) -> None:
        """Add the next events, up to where one is missing: what comes after has no place in the tree."""
        if self._is_broken or not rows.positions:
            return
        first = self._found.size + 1
        expected = range(first, first + len(rows.positions))
        if rows.positions != tuple(expected):
            self._is_broken = True
            fine = sum(position == due for position, due in zip(rows.positions, expected, strict=True))
            rows = _Rows(*(column[:fine] for column in rows))
        if rows.positions:
            hashed = [hashlib.sha256(b"\0" + state).digest() for state in rows.states]
            if not self._agree(rows, hashed, list(events.values())):
                self._tell(rows, hashed)
            self._add(hashed)

    def _agree(self, rows: _Rows, hashed: list[bytes], events: list[Said]) -> bool:
        """Whether nothing is wrong with a page: that is so of nearly every one, and said quickest of all of it."""
        times = [event.recorded_at for event in events]
        agree = (
            hashed == list(rows.leaves)
            and [event.stream for event in events] == list(rows.streams)
            and [event.version for event in events] == list(rows.versions)
            and times == sorted(times)
            and times[0] >= self._found.latest
        )
        if agree:
            self._found.earliest = self._found.earliest or times[0]
            self._found.latest = times[-1]
        return agree

    def _tell(self, rows: _Rows, hashed: Iterable[bytes]) -> None:
        for position, stream, version, state, stored, computed in zip(*rows, hashed, strict=True):
            if len(self._found.told) >= MAX_TOLD:
                return
            if computed != stored:
                self._add_told("event", position, f"stored leaf hash {stored.hex()}, computed {computed.hex()}")
            try:
                clear = _clear.decode(state)
            except msgspec.DecodeError as error:
                self._add_told("event", position, f"not an event ({error})")
                continue
            self._compare(position, stream, version, clear)

    def _compare(self, position: int, stream: str, version: int, clear: _Clear) -> None:
        """The event says the same as its row, and its time is not before the one of the event before."""
        if (clear.stream, clear.version) != (stream, version):
            sides = f"stored as {stream} version {version}, the event says {clear.stream} version {clear.version}"
            self._add_told("event", position, sides)
        at, latest = clear.recorded_at, self._found.latest
        if at < latest:
            self._add_told("clock", position, f"recorded at {at}, before {latest}")
        self._found.earliest = min(self._found.earliest or at, at)
        self._found.latest = max(latest, at)

    def _add_told(self, kind: str, position: int, text: str) -> None:
        self._found.told.append((kind, position, text))

    def _add(self, hashed: Sequence[bytes]) -> None:
        found, done, size = self._found, 0, self._found.size
        while self._marks and self._marks[0] <= size + len(hashed):
            mark = self._marks.popleft()
            self._extend(hashed[done : mark - size])
            found.hashes[mark], done = self.frontier.root(), mark - size
        self._extend(hashed[done:])
        found.size += len(hashed)

    def _extend(self, hashed: Sequence[bytes]) -> None:
        after = self._found.ask.after
        for tile in self.frontier.extend(hashed):
            self._found.tiles.append(tile._replace(tile_index=tile.tile_index + (after >> 8 * tile.level)))


# --- in other processes


def pooled(ledger: Ledger, erasures: Erasures, asks: Iterable[Ask], processes: int) -> Iterator[Range]:
    """The ranges in order, looked at by other processes that connect to the database themselves."""
    database = ledger.database
    url = database.url if isinstance(database, PostgresDatabase) else f"sqlite:///{database.path}"
    keyring = replace(ledger.keyring, keks=dict(ledger.keyring.keks))
    given = (url, keyring, ledger.artifact_folder, erasures)
    waiting: deque[Future[Range]] = deque()
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, given)
    try:
        for ask in asks:
            waiting.append(pool.submit(_look, ask))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_lookers: list[Looker] = []
"""Of such a process: its one looker."""


def _begin(url: str, keyring: Keyring, folder: Path, erasures: Erasures) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    gc.disable()  # nothing here refers to itself; looking for that is a tenth of the time
    _lookers.append(Looker(connect(url), keyring, folder, erasures))


def _look(ask: Ask) -> Range:
    return _lookers[0].look(ask)
