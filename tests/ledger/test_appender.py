"""Group commit: certain outcomes, one bad item that hurts only itself, and clocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError, PersistenceError

from ledger import appender as appender_module
from ledger.appender import Appended, Appender, Item
from ledger.application import Ledger
from ledger.batches import micros
from ledger.errors import (
    BusyError,
    ClockError,
    ClosedError,
    CorruptError,
    DuplicateError,
    HeadMovedError,
    TooLargeError,
    UnclearCommitError,
    VersionTakenError,
)
from ledger.events import Draft
from ledger.recorders import LOCK, NO_HEAD, Batch, Head, KeyRow, Tail
from ledger.tree import Frontier
from tests.ledger.kit import Clock, check_log, item, new_stream, opened
from tests.postgres import Database as Given


@pytest.fixture
def ledger(database: Given, tmp_path: Path) -> Iterator[Ledger]:
    """An open ledger on each kind of database."""
    with opened(database, tmp_path) as opened_ledger:
        yield opened_ledger


class Gate:
    """Holds the appender's thread inside its clock, so that a test decides what waits together."""

    def __init__(self) -> None:
        self.is_reached = threading.Event()
        self.is_open = threading.Event()
        self.is_open.set()

    def __call__(self) -> datetime:
        self.is_reached.set()
        assert self.is_open.wait(30)
        return datetime.now(UTC)

    @contextmanager
    def holding(self, ledger: Ledger) -> Iterator[Future[Appended]]:
        """What is submitted in this block is one group; yields the outcome of an item that is committed before."""
        self.is_reached.clear()
        self.is_open.clear()
        before = ledger.appender.submit(plain("before"))
        assert self.is_reached.wait(30)
        yield before
        self.is_open.set()


def plain(code: str, stream: str = "", **rest: Any) -> Item:
    """An item of one event without anything beside it."""
    fields = {
        "v": 1,
        "id": new_stream(),
        "nonce": "A" * 22,
        "type": "content.consigned/1",
        "tenant": "acme",
        "code": code,
    }
    fields |= {"stream": stream or new_stream(), "observed_at": "2026-03-01T12:00:00.000000Z"}
    return Item([Draft(fields, [])], **rest)


@pytest.fixture
def gated(database: Given, tmp_path: Path) -> Iterator[tuple[Ledger, Gate]]:
    """A ledger whose appender can be held."""
    gate = Gate()
    with opened(database, tmp_path, gate) as held:
        yield held, gate
        gate.is_open.set()


def test_outcome_tells_position_version_and_root(ledger: Ledger) -> None:
    """What append returns is what stands in the log."""
    stream = new_stream()
    ledger.append(item(ledger))
    done = ledger.append(item(ledger, stream, count=3))
    assert ([2, 3, 4], [1, 2, 3]) == (list(done.positions), list(done.versions))
    assert (4, done.root) == ledger.head()[:2] == (done.tree_size, done.root)
    assert [done.recorded_at] * 3 == [event.fields["recorded_at"] for event in ledger.stream(stream)]
    check_log(ledger.database)


def key(number: int) -> bytes:
    """A duplicate key."""
    return number.to_bytes(16, "big")


def test_one_bad_item_among_500_hurts_only_itself(gated: tuple[Ledger, Gate]) -> None:
    """A group with one item that the database refuses is stored without it, in order."""
    ledger, gate = gated
    ledger.append(plain("known", duplicates=[(0, key(250))]))
    with gate.holding(ledger):
        futures = [ledger.appender.submit(plain(str(n), duplicates=[(0, key(n))])) for n in range(500)]
    errors = {n: future.exception() for n, future in enumerate(futures) if future.exception()}
    assert [250] == list(errors)
    assert isinstance(errors[250], DuplicateError)
    codes = [event["code"] for event in check_log(ledger.database)]
    assert ["known", "before", *(str(n) for n in range(500) if n != 250)] == codes


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda: plain("x" * 70_000), TooLargeError),
        (lambda: plain("x", new_streams={"never-made"}, needs={"nor-this"}), VersionTakenError),
        (lambda: Item([Draft({"stream": "s", "type": object()}, [])]), Exception),
        (lambda: Item([Draft({}, [])]), KeyError),
        (lambda: plain("x", keys=[KeyRow(b"k", 3, "x", b"")]), Exception),  # type: ignore[arg-type]
    ],
)
def test_whatever_an_item_breaks_breaks_for_it_alone(
    gated: tuple[Ledger, Gate], bad: Callable[[], Item], error: type[Exception]
) -> None:
    """Too large, impossible, misshapen or unencodable: its neighbours are stored, and the appender goes on."""
    ledger, gate = gated
    with gate.holding(ledger) as before:
        futures = [ledger.appender.submit(each) for each in (plain("a"), bad(), plain("b"))]
    assert 1 == before.result(30).positions[0]
    refusals = [future.exception(30) for future in futures]
    assert [None, None] == refusals[::2]
    assert isinstance(refusals[1], error)
    ledger.append(item(ledger))
    check_log(ledger.database)


def test_items_of_one_group_see_each_other(gated: tuple[Ledger, Gate]) -> None:
    """An item may need a stream that one queued before it makes, and expect the version that it leaves."""
    ledger, gate = gated
    stream = new_stream()
    with gate.holding(ledger):
        opens = ledger.appender.submit(plain("a", stream, new_streams={stream}))
        needs = ledger.appender.submit(plain("b", stream, needs={stream}, expect={stream: 1}))
        again = ledger.appender.submit(plain("c", stream, new_streams={stream}))
        stale = ledger.appender.submit(plain("d", stream, expect={stream: 1}))
    assert ([1], [2]) == (opens.result().versions, needs.result().versions)
    assert isinstance(again.exception(), VersionTakenError)
    assert isinstance(stale.exception(), VersionTakenError)


@pytest.mark.parametrize("is_known", [False, True], ids=["read from the database", "known to the appender"])
def test_expectations_hold_against_what_is_stored(ledger: Ledger, *, is_known: bool) -> None:
    """A new stream must not exist, a needed one must, an expected version must be the last."""
    stream = new_stream()
    ledger.append(item(ledger, stream, count=2))
    if not is_known:
        ledger.appender._versions.clear()  # noqa: SLF001  as after a restart
    for wrong in (
        {"new_streams": {stream}},
        {"needs": {new_stream()}},
        {"expect": {stream: 1}},
        {"expect": {stream: 3}},
        {"expect": {new_stream(): 1}},
    ):
        target = stream if "new_streams" in wrong else ""
        with pytest.raises(VersionTakenError):
            ledger.append(item(ledger, target, **wrong))
    ledger.append(item(ledger, stream, expect={stream: 2}, needs={stream}))
    assert 3 == ledger.head().size


def test_another_writer_moves_the_head_and_nothing_is_lost(ledger: Ledger, database: Given, tmp_path: Path) -> None:
    """Two appenders on one database take turns: each follows what the other appended, versions included."""
    stream = new_stream()
    with opened(database, tmp_path) as other:
        for turn in range(1, 7):
            mine = (ledger, other)[turn % 2]
            assert [turn] == mine.append(item(mine, stream)).versions
        with pytest.raises(VersionTakenError):
            ledger.append(item(ledger, stream, new_streams={stream}))
    assert 6 == len(check_log(ledger.database))


def test_two_appenders_race_and_nothing_is_lost(ledger: Ledger, database: Given, tmp_path: Path) -> None:
    """Two appenders that commit at the same time refuse nobody and leave no gap, in positions or versions."""
    streams = [new_stream() for _ in range(5)]
    with opened(database, tmp_path) as other:
        futures = [each.submit(item(each, streams[n % 5])) for n in range(200) for each in (ledger, other)]
        assert list(range(1, 401)) == sorted(future.result(60).positions[0] for future in futures)
    assert 400 == len(check_log(ledger.database))


def test_full_queue_is_busy(gated: tuple[Ledger, Gate], monkeypatch: pytest.MonkeyPatch) -> None:
    """When too much waits, more is refused at once; what was accepted is committed."""
    ledger, gate = gated
    monkeypatch.setattr(appender_module, "MAX_WAITING_ITEMS", 3)
    with gate.holding(ledger) as before:
        futures = [ledger.appender.submit(plain(str(n))) for n in range(3)]
        with pytest.raises(BusyError):
            ledger.appender.submit(plain("late"))
    assert [1, 2, 3, 4] == [f.result().positions[0] for f in (before, *futures)]
    ledger.append(item(ledger))


def test_heavy_queue_is_busy(gated: tuple[Ledger, Gate], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that wait are limited too; a single item of any weight is taken when nothing waits."""
    ledger, gate = gated
    monkeypatch.setattr(appender_module, "MAX_WAITING_BYTES", 1_000)
    heavy = [Item([Draft(plain(str(n)).drafts[0].fields, [(b"k%d" % n, b"x" * 2_000)])]) for n in range(2)]
    with gate.holding(ledger):
        accepted = ledger.appender.submit(heavy[0])
        with pytest.raises(BusyError):
            ledger.appender.submit(heavy[1])
    assert 2 == accepted.result().positions[0]
    with gate.holding(ledger):  # what was stored weighs nothing any more
        light = [
            ledger.appender.submit(Item([Draft(plain(str(n)).drafts[0].fields, [(b"l", b"x" * 400)])]))
            for n in range(2)
        ]
    assert [4, 5] == [each.result().positions[0] for each in light]


def test_large_group_is_split_over_transactions(gated: tuple[Ledger, Gate], monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction stays below its limit of events and of bytes, however much waits."""
    ledger, gate = gated
    monkeypatch.setattr(appender_module, "MAX_BATCH_EVENTS", 10)
    with gate.holding(ledger):
        futures = [ledger.appender.submit(plain(str(n))) for n in range(25)]
    assert list(range(2, 27)) == [f.result().positions[0] for f in futures]
    assert {1, 11, 21, 26} == {size for (size,) in ledger.database.read("SELECT size FROM heads")}


def test_close_commits_what_was_accepted_and_refuses_the_rest(gated: tuple[Ledger, Gate]) -> None:
    """Closing waits for what is queued; after it nothing is taken."""
    ledger, gate = gated
    with gate.holding(ledger):
        futures = [ledger.appender.submit(plain(str(n))) for n in range(50)]
        closer = threading.Thread(target=ledger.appender.close)
        closer.start()
    closer.join(30)
    assert list(range(2, 52)) == [f.result(0).positions[0] for f in futures]
    with pytest.raises(ClosedError):
        ledger.appender.submit(plain("late"))
    ledger.appender.close()
    assert 51 == len(check_log(ledger.database))


def test_every_submitter_hears_of_the_close(ledger: Ledger) -> None:
    """Threads that submit while it closes get a position or ClosedError, never silence."""
    outcomes: list[object] = []
    started, done = threading.Barrier(9), threading.Semaphore(0)

    def submit() -> None:
        started.wait()
        while True:
            try:
                outcomes.append(ledger.append(plain("x")).positions[0])
                done.release()
            except ClosedError as error:
                outcomes.append(error)
                return

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    started.wait()
    for _ in range(100):
        assert done.acquire(timeout=30)
    ledger.appender.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    positions = sorted(o for o in outcomes if isinstance(o, int))
    assert list(range(1, len(check_log(ledger.database)) + 1)) == positions


def test_cancelled_item_is_not_stored_and_hurts_nobody(gated: tuple[Ledger, Gate]) -> None:
    """Whoever gives up before the item's turn has its word: it is not in the log. Later it cannot give up any more."""
    ledger, gate = gated
    with gate.holding(ledger) as before:
        futures = [ledger.appender.submit(plain(str(n))) for n in range(3)]
        assert futures[1].cancel()
        assert not before.cancel()
    with pytest.raises(CancelledError):
        futures[1].result()
    assert [2, 3] == [futures[n].result().positions[0] for n in (0, 2)]
    assert not futures[0].cancel()


# --- with a recorder that fails on purpose


class Failing:
    """A recorder in memory, under the recorders' contract, that does as it is told: each append takes the next word.

    Words: an error to raise before anything is stored; ("stored", error) to raise after; anything else: store.
    """

    def __init__(self, *words: Any) -> None:
        self.words = list(words)
        self.batches: list[Batch] = []
        self.lookups = 0
        self.hints = threading.Event()

    def head(self) -> Head:
        last = self.batches[-1] if self.batches else None
        return Head(last.size, last.root, last.recorded_us) if last else NO_HEAD

    def frontier(self) -> tuple[Head, Frontier]:
        frontier = Frontier()
        for batch in self.batches:
            for leaf in batch.leaves:
                frontier.add(leaf)
        return self.head(), frontier

    def append(self, batch: Batch) -> None:
        word = self.words.pop(0) if self.words else None
        if isinstance(word, BaseException):
            raise word
        if batch.expected_size != self.head().size:
            raise HeadMovedError
        self.batches.append(batch)
        if isinstance(word, tuple):
            raise word[1]

    def append_after(self, size: int, encode: Callable[[Tail], Batch]) -> None:
        rows = [r for b in self.batches for r in zip(b.leaves, b.streams, b.versions, strict=True)]
        self.append(encode(Tail(self.head(), rows[size:])))

    def is_stored(self, batch: Batch) -> bool:
        self.lookups += 1
        word = self.words.pop(0) if self.words and isinstance(self.words[0], OperationalError) else None
        if word is not None:
            raise word
        return any(batch.leaves == each.leaves for each in self.batches)

    def notify(self) -> None:
        self.hints.set()


def appending(recorder: Failing, **rest: Any) -> Any:
    """An appender on it, closed at the end of the block."""
    clock = rest.pop("clock", Clock())
    return closing(Appender(recorder, lambda streams: {}, clock, **rest))


def codes(recorder: Failing) -> list[int]:
    return [len(batch.states) for batch in recorder.batches]


def test_commit_that_took_place_unheard_is_not_repeated() -> None:
    """The connection broke after the commit: it is looked up and found."""
    recorder = Failing(("stored", UnclearCommitError()))
    with appending(recorder) as appender:
        assert [1] == list(appender.submit(plain("a")).result(30).positions)
        assert [2] == list(appender.submit(plain("b")).result(30).positions)
    assert [1, 1] == codes(recorder)


def test_commit_that_did_not_take_place_is_repeated_once() -> None:
    """The connection broke before the commit: it is looked up, not found, and stored."""
    recorder = Failing(UnclearCommitError())
    with appending(recorder) as appender:
        assert [1] == list(appender.submit(plain("a")).result(30).positions)
    assert ([1], 1) == (codes(recorder), recorder.lookups)


def test_commit_that_takes_place_after_it_was_looked_up_is_found_then() -> None:
    """The old attempt arrives between the look-up and the next attempt, which is refused: the old one is the outcome."""

    class Late(Failing):
        held: Batch | None = None

        def append(self, batch: Batch) -> None:
            if self.held is None:
                self.held = batch
                raise UnclearCommitError
            if not self.batches:
                self.batches.append(self.held)
            super().append(batch)

    recorder = Late()
    with appending(recorder) as appender:
        done = appender.submit(plain("a")).result(30)
    assert [1] == list(done.positions)
    assert [recorder.held] == recorder.batches
    assert recorder.held is not None
    assert done.root == recorder.held.root


def test_unclear_commit_is_looked_up_until_the_database_answers() -> None:
    """While the database does not answer the look-up goes on; nothing is sent again meanwhile."""
    recorder = Failing(("stored", UnclearCommitError()), OperationalError("down"), OperationalError("down"))
    with appending(recorder) as appender:
        assert [1] == list(appender.submit(plain("a")).result(30).positions)
    assert ([1], 3) == (codes(recorder), recorder.lookups)


def test_unclear_commit_that_cannot_be_looked_up_is_said_to_be_unclear(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the callers are told, all of the group, and no part of it is sent again."""
    monkeypatch.setattr(appender_module, "PATIENCE_S", 0.0)
    recorder = Failing(("stored", UnclearCommitError()), *[OperationalError("down")] * 3)
    with appending(recorder) as appender:
        assert isinstance(appender.submit(plain("a")).exception(30), UnclearCommitError)
        recorder.words.clear()
        assert [2] == list(appender.submit(plain("b")).result(30).positions)
    assert [1, 1] == codes(recorder)


def test_database_that_cannot_be_reached_refuses_at_once() -> None:
    """Nothing was sent, so nothing is unclear: the callers are told, and the next ones are tried again."""
    recorder = Failing(OperationalError("no connection"))
    with appending(recorder) as appender:
        assert isinstance(appender.submit(plain("a")).exception(30), OperationalError)
        assert [1] == list(appender.submit(plain("b")).result(30).positions)


def test_wrong_clock_refuses_the_group_whole_and_heals() -> None:
    """A clock that the database contradicts, twice, is told to every caller without trying each; later appends go on."""
    recorder = Failing(ClockError(), ClockError())
    with appending(recorder) as appender:
        assert isinstance(appender.submit(plain("a")).exception(30), ClockError)
        assert [1] == list(appender.submit(plain("b")).result(30).positions)
    assert [] == recorder.words


def test_long_wait_for_the_lock_is_no_wrong_clock() -> None:
    """A reading of the clock that grew old while waiting is taken again under the lock."""
    recorder = Failing(ClockError())
    with appending(recorder) as appender:
        assert [1] == list(appender.submit(plain("a")).result(30).positions)


def test_events_beyond_the_newest_head_are_damage() -> None:
    """If the place is taken though nobody else appends, going on in circles would help nobody."""
    recorder = Failing(HeadMovedError("taken"), HeadMovedError("taken"))
    with appending(recorder) as appender:
        refusal = appender.submit(plain("a")).exception(30)
    assert isinstance(refusal, CorruptError)
    assert "fsck" in str(refusal)


def test_database_that_lost_acknowledged_events_is_not_appended_to() -> None:
    """A database that ends before what we acknowledged was restored or failed over with loss."""
    recorder = Failing()
    with appending(recorder) as appender:
        appender.submit(plain("a")).result(30)
        appender.submit(plain("b")).result(30)
        recorder.batches.pop()
        refusal = appender.submit(plain("c")).exception(30)
        assert isinstance(refusal, CorruptError)
        assert "2 events were acknowledged" in str(refusal)
    assert [1] == codes(recorder)


def test_database_that_holds_other_events_than_we_acknowledged_is_not_appended_to() -> None:
    """The same size under another root is not our log."""
    recorder, other = Failing(), Failing()
    with appending(other) as appender:
        for code in ("x", "y"):
            appender.submit(plain(code)).result(30)
    with appending(recorder) as appender:
        appender.submit(plain("a")).result(30)
        recorder.batches = other.batches
        assert isinstance(appender.submit(plain("b")).exception(30), CorruptError)


@pytest.mark.parametrize("defect", [ZeroDivisionError("defect"), MemoryError(), SystemExit()])
def test_unexpected_exception_leaves_nobody_waiting(defect: BaseException) -> None:
    """Whatever a defect raises reaches the caller, and the next caller is served."""
    recorder = Failing(defect)
    with appending(recorder) as appender:
        assert defect is appender.submit(plain("a")).exception(30)
        assert [1] == list(appender.submit(plain("b")).result(30).positions)


def test_dying_thread_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the thread itself ends, what waits is refused and nothing more is taken."""
    recorder = Failing()
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())
    submitted = threading.Event()
    monkeypatch.setattr(Appender, "_take", lambda *_: 1 / (not submitted.wait(30)))
    appender = Appender(recorder, lambda streams: {}, Clock())
    future = appender.submit(plain("a"))
    submitted.set()
    assert isinstance(future.exception(30), ClosedError)
    assert died.wait(30)
    with pytest.raises(ClosedError):
        appender.submit(plain("b"))
    appender.close()


def test_failing_hint_stops_nothing() -> None:
    """Telling listeners is a hint: its failure is nobody's refusal, and a last one is sent on closing."""
    said = threading.Semaphore(0)

    def hint() -> None:
        said.release()
        raise OperationalError

    recorder = Failing()
    with appending(recorder, after_commit=hint) as appender:
        for _ in range(3):
            appender.submit(plain("a")).result(30)
            assert said.acquire(timeout=30)


# --- clocks


@pytest.mark.parametrize(
    "steps", [[0, 0, 0], [0, -3_600, 1], [0, -0.000001, -5]], ids=["frozen", "back", "creeping back"]
)
def test_recorded_at_never_runs_back(sqlite_database: Given, tmp_path: Path, steps: Sequence[float]) -> None:
    """Whatever our clock does, the log's does not run back."""
    clock = Clock()
    with opened(sqlite_database, tmp_path, clock) as ledger:
        for step in steps:
            clock.move(step)
            ledger.append(item(ledger))
        assert len(steps) == len(check_log(ledger.database))


def test_recorded_at_goes_on_after_a_restart_with_a_clock_behind(sqlite_database: Given, tmp_path: Path) -> None:
    """The newest head is remembered, not the process's own past."""
    times = []
    for seconds in (0, -86_400):
        clock = Clock()
        clock.move(seconds)
        with opened(sqlite_database, tmp_path, clock) as ledger:
            times.append(ledger.append(item(ledger)).recorded_at)
    assert times[0] == times[1]


class Monotonic:
    """The clock that cannot be set."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("moved_s", "passed_s", "numbers"),
    [
        (3_600.0, 1.0, {"forward_ms": 3_599_000}),
        (-10.0, 1.0, {"back_ms": 11_000}),
        (0.0, 3.0, {"back_ms": 3_000}),
        (5.0, 4.0, None),
        (0.0, 1.9, None),
        (86_400.0, 86_400.0, None),
    ],
)
def test_jump_of_the_clock_is_an_event(moved_s: float, passed_s: float, numbers: dict[str, int] | None) -> None:
    """Between two appends our clock and the monotonic one went different ways by more than two seconds: that is said first."""
    clock, monotonic = Clock(), Monotonic()
    said: list[int] = []

    def jumped(forward_ms: int) -> Item:
        said.append(forward_ms)
        return plain("jumped", "ledger")

    recorder = Failing()
    with appending(recorder, clock=clock, monotonic=monotonic, jumped=jumped) as appender:
        appender.submit(plain("a")).result(30)
        clock.move(moved_s)
        monotonic.seconds += passed_s
        done = appender.submit(plain("b")).result(30)
        last = appender.submit(plain("c")).result(30)
    expected = [] if numbers is None else [numbers.get("forward_ms") or -numbers["back_ms"]]
    assert expected == said
    assert [2 + len(said)] == list(done.positions)
    assert [3 + len(said)] == list(last.positions)


def test_jump_is_said_until_it_is_stored() -> None:
    """A group that is refused takes the jump's event with it; the next one says it."""
    clock, monotonic = Clock(), Monotonic()
    recorder = Failing(None, OperationalError("down"))
    with appending(recorder, clock=clock, monotonic=monotonic, jumped=lambda _: plain("jumped", "ledger")) as appender:
        appender.submit(plain("a")).result(30)
        clock.move(100)
        assert isinstance(appender.submit(plain("b")).exception(30), OperationalError)
        assert [3] == list(appender.submit(plain("c")).result(30).positions)
    assert [1, 2] == codes(recorder)


def test_ledger_writes_the_jump_into_its_own_stream(sqlite_database: Given, tmp_path: Path) -> None:
    """The event says how far, in milliseconds, and passes every check of an event."""
    with opened(sqlite_database, tmp_path) as ledger:
        for forward_ms, numbers in ((5_000, {"forward_ms": 5_000}), (-7_000, {"back_ms": 7_000})):
            ledger.append(ledger._clock_jumped(forward_ms))  # noqa: SLF001  a system clock cannot be made to jump
            event = ledger.stream("ledger")[-1]
            assert ("clock.jumped", numbers) == (event.type, event.fields["numbers"])


def test_only_the_systems_clock_is_watched(sqlite_database: Given, tmp_path: Path) -> None:
    """A clock that was handed in has no monotonic one beside it, so its jumps are no events."""
    clock = Clock()
    with opened(sqlite_database, tmp_path, clock) as ledger:
        ledger.append(item(ledger))
        clock.move(1_000_000)
        ledger.append(item(ledger))
        assert 2 == ledger.head().size
    with opened(sqlite_database, tmp_path) as ledger:
        assert ledger.appender._monotonic is not None  # noqa: SLF001


def test_clock_off_the_databases_is_refused_and_heals(postgresql_database: Given, tmp_path: Path) -> None:
    """On PostgreSQL nothing is recorded while our clock is wrong; everybody is told; it goes on when the clock is right."""
    clock = Clock(datetime.now(UTC))
    with opened(postgresql_database, tmp_path, clock) as ledger:
        clock.move(-60)
        futures = [ledger.submit(item(ledger)) for _ in range(20)]
        assert [ClockError] * 20 == [type(f.exception(30)) for f in futures]
        clock.at = datetime.now(UTC)
        assert [1] == list(ledger.append(item(ledger)).positions)
        (head,) = ledger.database.read("SELECT recorded_at FROM heads")
        assert head[0] <= micros(datetime.now(UTC))


def test_persistence_error_of_one_item_is_told_to_it_alone(gated: tuple[Ledger, Gate]) -> None:
    """A row that the database cannot hold is refused as the database says."""
    ledger, gate = gated
    too_long = plain("x", keys=[KeyRow(b"k" * 16, "s", 2**70, b"")])
    with gate.holding(ledger):
        futures = [ledger.appender.submit(each) for each in (plain("a"), too_long, plain("b"))]
    assert [None, None] == [f.exception(30) for f in futures[::2]]
    assert isinstance(futures[1].exception(30), (PersistenceError, OverflowError))


def test_what_comes_while_others_append_is_stored_together(postgresql_database: Given, tmp_path: Path) -> None:
    """Whoever lost the race takes in what came while it waited for its turn."""
    with (
        opened(postgresql_database, tmp_path) as ledger,
        opened(postgresql_database, tmp_path) as other,
        psycopg.connect(postgresql_database.url, autocommit=True) as turn,
    ):
        other.append(item(other))
        turn.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        futures = [ledger.submit(item(ledger))]
        while not turn.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
            pass  # until the first waits for its turn
        futures += [ledger.submit(item(ledger)) for _ in range(2)]
        turn.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
        assert [2, 3, 4] == [future.result(30).positions[0] for future in futures]
        assert {1, 4} == {size for (size,) in ledger.database.read("SELECT size FROM heads")}
