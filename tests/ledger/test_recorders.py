"""What both recorders promise beyond the frame's own cases: next position, free version, size, head, frontier, probes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent

from ledger.database import Reads
from ledger.errors import (
    ClockError,
    ConflictError,
    CorruptError,
    DuplicateError,
    HeadMovedError,
    InvalidEventError,
    ReferenceTakenError,
    VersionTakenError,
)
from ledger.events import Event
from ledger.recorders import NO_HEAD, Batch, KeyRow, Tail
from ledger.tree import Frontier
from tests.ledger.kit import Database, Recorder, batch_after, check_log, migrated, new_stream, opened, recorder_of
from tests.postgres import Database as Given


@pytest.fixture
def db(database: Given) -> Iterator[Database]:
    """An open database with its tables."""
    with migrated(database) as opened_database:
        yield opened_database


@pytest.fixture
def recorder(db: Database) -> Recorder:
    """A recorder on it."""
    return recorder_of(db)


def first(states: tuple[bytes, ...] = (b"one",), stream: str = "") -> Batch:
    """A batch for an empty log."""
    return batch_after(NO_HEAD, Frontier(), states, stream=stream)


def following(recorder: Recorder, states: tuple[bytes, ...] = (b"next",), stream: str = "") -> Batch:
    """A batch for the log as it is."""
    return batch_after(*recorder.frontier(), states, stream=stream)


def test_appended_batch_stands_under_its_head(recorder: Recorder, db: Database) -> None:
    """After an append the head, the leaves and everything beside them are there."""
    batch = first((b"one", b"two"))
    batch.keys = [KeyRow(b"k" * 16, "s", 0, b"wrapped")]
    batch.sealed = [(1, b"k" * 16, b"sealed")]
    batch.artifacts = [("a1", 1, b"k" * 16, "text/plain", 3, b"abc"), ("a2", 2, b"k" * 16, "text/plain", 3, None)]
    batch.lookups = [(b"d" * 16, "s", -1, 1, 1)]
    batch.duplicates = [(b"x" * 16, 1)]
    batch.joins = [("s", 2, "t")]
    recorder.append(batch)
    assert (2, batch.root) == recorder.head()[:2]
    assert [("a1", b"abc"), ("a2", None)] == [
        (a, s and bytes(s)) for a, s in db.read("SELECT artifact_id, sealed FROM artifacts ORDER BY artifact_id")
    ]
    for table, count in {"person_keys": 1, "sealed_values": 1, "lookups": 1, "duplicates": 1, "joins": 1}.items():
        assert [(count,)] == db.read(f"SELECT count(*) FROM {table}")


def test_artifacts_that_all_lie_in_the_folder_are_stored(recorder: Recorder, db: Database) -> None:
    """A column of nothing but absent values is a column all the same."""
    batch = first()
    batch.artifacts = [("a1", 1, b"k" * 16, "text/plain", 3, None)]
    recorder.append(batch)
    assert [("a1", None)] == db.read("SELECT artifact_id, sealed FROM artifacts")


def test_batch_for_another_head_is_refused(recorder: Recorder, db: Database) -> None:
    """A batch that expects a head that is not the newest one changes nothing."""
    recorder.append(first())
    with pytest.raises(HeadMovedError, match="expected 0, found 1"):
        recorder.append(first((b"late",)))
    assert [(1,)] == db.read("SELECT count(*) FROM stored_events")


def test_version_is_taken_once(recorder: Recorder, db: Database) -> None:
    """A version of a stream that exists is refused, and the whole batch with it."""
    stream = new_stream()
    recorder.append(first((b"one",), stream))
    late = following(recorder, (b"a", b"b"))
    late.streams[1] = stream
    with pytest.raises(VersionTakenError):
        recorder.append(late)
    assert [(1,)] == db.read("SELECT count(*) FROM stored_events")
    assert 1 == recorder.head().size


def test_duplicate_key_is_taken_once(recorder: Recorder) -> None:
    """A fact whose duplicate key exists is refused."""
    batch = first()
    batch.duplicates = [(b"x" * 16, 1)]
    recorder.append(batch)
    again = following(recorder)
    again.duplicates = [(b"x" * 16, 2)]
    with pytest.raises(DuplicateError):
        recorder.append(again)


def test_exclusive_reference_is_taken_once(recorder: Recorder) -> None:
    """A second message cannot claim an exclusive reference; a shared one it can."""
    batch = first()
    batch.lookups = [(b"e" * 16, "s", -1, 1, 1), (b"s" * 16, "s", -1, 1, 0)]
    recorder.append(batch)
    shared = following(recorder)
    shared.lookups = [(b"s" * 16, "t", -1, 2, 0)]
    recorder.append(shared)
    rival = following(recorder)
    rival.lookups = [(b"e" * 16, "t", -1, 3, 1)]
    with pytest.raises(ReferenceTakenError):
        recorder.append(rival)


def test_another_unique_row_that_exists_is_a_conflict(recorder: Recorder) -> None:
    """Whatever else is unique and taken is a conflict too, so that whoever decided decides again."""
    batch = first()
    batch.keys = [KeyRow(b"k" * 16, "s", 0, b"wrapped")]
    recorder.append(batch)
    again = following(recorder)
    again.keys = [KeyRow(b"k" * 16, "s", 0, b"wrapped")]
    with pytest.raises(ConflictError):
        recorder.append(again)


def test_largest_leaf_fits_and_one_byte_more_does_not(recorder: Recorder) -> None:
    """A leaf has at most 65,535 bytes; the database itself refuses more."""
    recorder.append(first((b"x" * 65_535,)))
    with pytest.raises(PersistenceError):
        recorder.append(following(recorder, (b"x" * 65_536,)))
    assert 1 == recorder.head().size


def test_refused_append_leaves_the_connection_usable(recorder: Recorder, db: Database) -> None:
    """After every refusal the next append goes through."""
    recorder.append(first())
    for _ in range(40):
        with pytest.raises(HeadMovedError):
            recorder.append(first())
    recorder.append(following(recorder))
    check = db.read("SELECT count(*) FROM heads")
    assert [(2,)] == check


def test_clock_of_a_head_never_runs_back(recorder: Recorder) -> None:
    """A head recorded before the one before it is refused by the database."""
    recorder.append(first())
    late = following(recorder)
    late.recorded_us -= 1_000_000
    with pytest.raises(PersistenceError):
        recorder.append(late)


def test_is_stored_knows_its_own_batch_from_another(recorder: Recorder) -> None:
    """Only the batch that is there is there; another for the same place is not."""
    mine, other = first((b"mine",)), first((b"other",))
    assert not recorder.is_stored(mine)
    recorder.append(mine)
    assert recorder.is_stored(mine)
    assert not recorder.is_stored(other)


def test_append_after_hands_over_what_came_since(recorder: Recorder) -> None:
    """Under the lock the caller learns the newest head and every row since the size it knows."""
    recorder.append(first((b"one", b"two")))
    seen: list[Tail] = []

    def encode(tail: Tail) -> Batch:
        seen.append(tail)
        return following(recorder)

    recorder.append_after(1, encode)
    (tail,) = seen
    assert 2 == tail.head.size
    assert [1] == [version for _, _, version in tail.rows or []]
    assert 3 == recorder.head().size


def test_append_after_stores_nothing_when_encoding_fails(recorder: Recorder) -> None:
    """What the encoder raises comes out, and the lock is free again."""

    def encode(_: Tail) -> Batch:
        raise VersionTakenError

    with pytest.raises(VersionTakenError):
        recorder.append_after(0, encode)
    recorder.append(first())


def test_frame_events_and_batches_make_one_log(recorder: Recorder, db: Database) -> None:
    """`insert_events` continues where `append` ended, and the other way round, under one tree."""
    recorder.append(first((b"{}",)))
    state = b'{"any":"thing"}'
    assert [2, 3] == recorder.insert_events([StoredEvent("s", v, "any.topic", state) for v in (1, 2)])
    recorder.append(following(recorder, (b"{}",)))
    assert 4 == len(check_log(db))


def test_frame_event_with_a_taken_version_is_an_integrity_error(recorder: Recorder) -> None:
    """The frame's callers get the frame's error."""
    recorder.insert_events([StoredEvent("s", 1, "t", b"{}")])
    with pytest.raises(IntegrityError):
        recorder.insert_events([StoredEvent("s", 1, "t", b"{}")])


EDGES = sorted(
    {0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_793}
    | {2**k + d for k in range(1, 17) for d in (-1, 0, 1)}
)


def test_frontier_is_the_same_after_a_restart_at_every_edge(recorder: Recorder) -> None:
    """At sizes around powers of two and of 256, the frontier read from the database is the one that was in memory."""
    head, frontier = NO_HEAD, Frontier()
    for size in EDGES:
        batch = batch_after(head, frontier, [i.to_bytes(4, "big") for i in range(head.size, size)])
        if batch.states:
            recorder.append(batch)
        found, loaded = recorder.frontier()
        assert (size, batch.root) == found[:2] if batch.states else found == NO_HEAD
        assert (frontier.size, frontier.peaks) == (loaded.size, loaded.peaks)
        head = found


def test_frontier_that_contradicts_the_head_is_corrupt(recorder: Recorder) -> None:
    """A head whose root is not that of the leaves is noticed when the frontier is read."""
    lie = first()
    lie.root = bytes(32)
    recorder.append(lie)
    with pytest.raises(CorruptError, match="root mismatch at tree size 1"):
        recorder.frontier()


# --- PostgreSQL's clock


def test_clock_two_seconds_off_the_database_is_refused(postgresql_database: Given) -> None:
    """A recorded time that the database's clock contradicts never enters the log."""
    with migrated(postgresql_database) as db:
        recorder = recorder_of(db)
        for apart_us in (-3_000_000, 3_000_000):
            batch = first()
            batch.clock_us += apart_us
            with pytest.raises(ClockError):
                recorder.append(batch)
        recorder.append(first())


# --- topics


def test_unknown_topic_is_an_error_when_written(database: Given, tmp_path: Path) -> None:
    """The mapper stores only types of the table."""
    with opened(database, tmp_path) as ledger:
        fields = {"type": "os:system/1", "stream": "s", "version": 1}
        with pytest.raises(InvalidEventError, match="not in the table"):
            ledger.mapper.to_stored_event(Event(0, b"{}", fields))


def test_stored_topic_is_never_imported(database: Given, tmp_path: Path) -> None:
    """A topic that looks like a Python path is shown as it is; nothing is imported for it."""
    topic = "antigravity:geohash"
    state = b'{"stream":"s","type":"antigravity:geohash","version":1}'
    with opened(database, tmp_path) as ledger:
        ledger.recorder.insert_events([StoredEvent("s", 1, topic, state)])
        (event,) = ledger.feed()
        (framed,) = ledger.events.get("s")
        assert topic == event.type == framed.type
        assert "antigravity" not in sys.modules


# --- probes


Probe = Callable[[Reads], object]
KEYS = [bytes([i % 256, i // 256]) * 8 for i in range(3_000)]
STREAMS = [f"{i:08x}-0000-7000-8000-000000000000" for i in range(3_000)]
LATEST = "originator_id, originator_version"
PROBES: dict[str, Probe] = {
    "versions": lambda db: db.probe_last("stored_events", LATEST, "originator_id", STREAMS, "originator_version"),
    "joins": lambda db: db.probe_last("joins", "stream, joined_into", "stream", STREAMS, "position"),
    "streams": lambda db: db.probe("stored_events", "state", "originator_id", STREAMS),
    "known": lambda db: db.probe("duplicates", "duplicate_key, position", "duplicate_key", KEYS),
    "lookups": lambda db: db.probe("lookups", "digest, stream, recipient, position", "digest", KEYS),
    "addresses": lambda db: db.probe_pairs(
        "lookups", "digest, stream, recipient", ("digest", "stream"), list(zip(KEYS, STREAMS, strict=True))
    ),
    "values": lambda db: db.probe("sealed_values", "position, key_id, sealed", "position", list(range(1, 3_001))),
    "keys": lambda db: db.probe("person_keys", "key_id, wrapped", "key_id", KEYS),
    "artifacts": lambda db: db.probe("artifacts", "artifact_id", "artifact_id", STREAMS),
    "head": lambda db: db.read("SELECT size, root, recorded_at FROM heads ORDER BY size DESC LIMIT 1"),
}


def _full(head_and_frontier: tuple[object, Frontier], begin: int, end: int) -> Batch:
    """Events with one row in every table beside them."""
    batch = batch_after(*head_and_frontier, [b"{}"] * (end - begin))  # type: ignore[arg-type]
    numbers = range(begin, end)
    batch.streams = STREAMS[begin:end]
    batch.keys = [KeyRow(KEYS[i], STREAMS[i], 0, b"wrapped") for i in numbers]
    batch.sealed = [(i + 1, KEYS[i], b"sealed") for i in numbers]
    batch.artifacts = [(STREAMS[i], i + 1, KEYS[i], "text/plain", 1, b"x") for i in numbers]
    batch.lookups = [(KEYS[i], STREAMS[i], 0, i + 1, 0) for i in numbers]
    batch.duplicates = [(KEYS[i], i + 1) for i in numbers]
    batch.joins = [(STREAMS[i], i + 1, "into") for i in numbers]
    return batch


def test_probes_find_what_is_there_and_nothing_else(recorder: Recorder, db: Database) -> None:
    """Every kind of look-up by list gives one row per known key."""
    recorder.append(_full(recorder.frontier(), 0, 700))
    found = {name: len(list(probe(db))) for name, probe in PROBES.items()}  # type: ignore[call-overload]
    assert found == dict.fromkeys(PROBES, 700) | {"head": 1}
    assert [] == db.probe("duplicates", "position", "duplicate_key", [])
    assert [] == db.probe_pairs("lookups", "position", ("digest", "stream"), [])
    assert [] == db.probe_last("joins", "joined_into", "stream", [], "position")


def test_last_of_many_is_the_highest(recorder: Recorder, db: Database) -> None:
    """Of a stream's versions the probe gives the last one."""
    stream = new_stream()
    recorder.append(first((b"a", b"b", b"c"), stream))
    assert [(stream, 3)] == db.probe_last(
        "stored_events", LATEST, "originator_id", [stream, new_stream()], "originator_version"
    )


def test_no_look_up_by_list_reads_a_whole_table(postgresql_database: Given) -> None:
    """On a database that was never analysed each probe goes by index, also with a plan made while the tables were empty."""
    with (
        migrated(postgresql_database) as db,
        db.writing() as session,
    ):  # one session, so that its prepared plans are kept
        recorder = recorder_of(db)
        for _ in range(8):
            for probe in PROBES.values():
                probe(session)
        for begin in range(0, 3_000, 500):
            recorder.append(_full(recorder.frontier(), begin, begin + 500))
        before = _whole_table_scans(session)
        rows = {name: len(list(probe(session))) for name, probe in PROBES.items()}  # type: ignore[call-overload]
        assert rows == dict.fromkeys(PROBES, 3_000) | {"head": 1}
        assert before == _whole_table_scans(session)
        statistics = (
            "SELECT count(*) FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL"
        )
        assert [(0, "on")] == session.read(f"SELECT ({statistics}), current_setting('enable_seqscan')")


def _whole_table_scans(session: Reads) -> dict[str, int]:
    """How often this session's transaction has read each table from end to end."""
    return dict(session.read("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE schemaname = 'public'"))
