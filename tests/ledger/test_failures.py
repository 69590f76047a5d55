"""Processes die, connections break, writers race: what was acknowledged is there once, and the log has no gap."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.database import connect
from ledger.sqlite import driver
from tests.ledger.crashing import PIPE, child, die, share
from tests.ledger.kit import check_log, item, migrated, new_stream, opened
from tests.ledger.proxy import Proxy
from tests.postgres import Database as Given

KILLS = 50
INSIDE = 40
SEED = 6962


def is_inside_a_transaction(given: Given, name: str) -> bool:
    """Whether the database itself says that the child of that name is in the middle of an append."""
    if given.kind == "postgresql":
        with psycopg.connect(given.superuser_url, autocommit=True) as watch:
            sql = (
                "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid) "
                "WHERE application_name = %s AND state = 'idle in transaction' AND locktype = 'advisory' AND granted"
            )
            return watch.execute(sql, (name,)).fetchone() == (1,)
    watch = driver().connect(given.url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    with closing(watch):
        try:
            watch.execute("BEGIN IMMEDIATE")
        except driver().OperationalError:
            return True
        return False


def whole_lines(path: Path) -> set[str]:
    """The lines of a file without its torn end: a kill may strike a write where it crosses a page."""
    told = path.read_bytes()
    whole = told[: told.rfind(b"\n") + 1]
    if whole != told:
        path.write_bytes(whole)
    return set(whole.decode().split())


@pytest.mark.slow(reason="50 processes are started and killed on each database")
def test_killed_process_loses_nothing_it_acknowledged(database: Given, tmp_path: Path) -> None:
    """After kill -9 at any moment, 40 of 50 times inside an open transaction, every acknowledged event is there once."""
    choose = random.Random(SEED)  # noqa: S311  moments, no secrets
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    with migrated(database) as opened_database:
        killed_inside = 0
        for kill in range(KILLS):
            wait_at = choose.randint(1, 12) if kill < INSIDE else 0
            name = f"child-{kill}"
            named = (
                database
                if database.kind == "sqlite"
                else database._replace(url=f"{database.url}&application_name={name}")
            )
            with child(die, named, tmp_path, acknowledged, PIPE, wait_at) as (process, pipe):
                if wait_at:
                    while pipe.recv() != "inside":
                        pass
                    killed_inside += is_inside_a_transaction(database, name)
                else:
                    for _ in range(choose.randint(0, 40)):
                        pipe.recv()
                process.kill()
                process.join()
            events = check_log(opened_database)
            found = Counter(event["id"] for event in events)
            assert set() == whole_lines(acknowledged) - found.keys()
            assert not found or 1 == max(found.values())
    assert INSIDE <= killed_inside
    assert len(whole_lines(acknowledged)) > KILLS


@pytest.mark.slow(reason="1,000 connections are cut")
def test_thousand_cuts_during_the_commit_lose_and_double_nothing(postgresql_database: Given, tmp_path: Path) -> None:
    """The connection is cut after the commit was sent and before its answer: each item is stored once and nobody gets an error."""
    with migrated(postgresql_database):
        pass
    with Proxy(postgresql_database.url, cuts=1_000, seed=SEED) as proxy:
        given = postgresql_database._replace(url=proxy.url)
        ids: list[str] = []
        with opened(given, tmp_path) as ledger:

            def write() -> None:
                while not proxy.is_done.is_set():
                    mine = item(ledger)
                    ledger.append(mine)
                    ids.append(mine.drafts[0].id)

            _together([write] * 6)
            events = check_log(ledger.database)
    assert Counter(ids) == Counter(event["id"] for event in events)
    assert 1_000 == sum(proxy.cut.values())
    assert 300 < min(proxy.cut.values()), proxy.cut


@pytest.mark.slow(reason="100,000 events")
def test_two_processes_append_100_000_events_without_a_gap(postgresql_database: Given, tmp_path: Path) -> None:
    """Two processes that append to the same streams at once make one log: no gap, no double, contiguous versions."""
    with migrated(postgresql_database):
        pass
    streams = [new_stream() for _ in range(500)]
    with (
        child(share, postgresql_database, tmp_path, streams, 50_000, PIPE) as (_, one),
        child(share, postgresql_database, tmp_path, streams, 50_000, PIPE) as (_, other),
    ):
        for pipe in (one, other):
            assert "ready" == pipe.recv()
        for pipe in (one, other):
            pipe.send("go")
        ids = one.recv() + other.recv()
    with closing(connect(postgresql_database.url)) as opened_database:
        events = check_log(opened_database)
    assert 100_000 == len(events)
    assert Counter(ids) == Counter(event["id"] for event in events)


def test_reader_that_polls_the_feed_skips_nothing(database: Given, tmp_path: Path) -> None:
    """While writers commit, a reader that goes on from the last position it saw sees every position once, in order."""
    with opened(database, tmp_path) as ledger, opened(database, tmp_path) as reading:

        def write() -> None:
            for _ in range(150):
                ledger.append(item(ledger, count=2))

        def read() -> None:
            seen: list[int] = []
            while len(seen) < 4 * 300:
                seen += [event.position for event in reading.feed(seen[-1] if seen else 0, limit=100)]
            assert list(range(1, 1_201)) == seen

        _together([write] * 4 + [read] * 2)


def _together(tasks: list[Callable[[], Any]]) -> None:
    """Run tasks in threads; the first error of any of them is raised."""
    errors: list[BaseException] = []

    def guarded(task: Callable[[], Any]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001  reraised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
