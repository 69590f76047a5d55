"""Read models follow the log: each event once, in order, whatever it holds, however many run them, wherever they are stopped."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from eventsourcing.persistence import DataError, OperationalError
from uuid_utils import uuid7

from ledger.application import Ledger
from ledger.database import Cursor
from ledger.events import Event
from projections.activity import ActivityModel
from projections.models import ReadModel, Table, Target, Unapplied
from projections.rules import Status
from projections.runner import FOLLOWING_LOCK, GapError, Runner
from projections.status import StatusModel
from tests.projections.history import declare, tell, write
from tests.world import World

STORIES = (
    "pec_mailbox/orphans-that-turn-out-to-be-one",
    "pec_mailbox/both-notices-then-late-delivery",
    "pec_massiva/delivered-to-two",
)


class Through:
    """A ledger that passes everything through, to be lied with in one place."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


class Holed(Through):
    """A ledger from which one position was taken away."""

    missing = 3

    def feed(self, after: int = 0, limit: int = 1000) -> list[Event]:
        return [event for event in self._ledger.feed(after, limit) if event.position != self.missing]


class Dying(Through):
    """A ledger that dies when a model says how far it is."""

    def track(self, cursor: Any, name: str, position: int) -> None:
        msg = "the machine died here"
        raise OperationalError(msg)


class Overtaken(Through):
    """A ledger whose reader is overtaken by somebody else once it has read."""

    def __init__(self, ledger: Ledger, other: Runner) -> None:
        super().__init__(ledger)
        self._other = other

    def feed(self, after: int = 0, limit: int = 1000) -> list[Event]:
        events = self._ledger.feed(after, limit)
        self._other.run()
        return events


class Counting:
    """A read model that remembers every position it was given, and fails on some."""

    name = "counting"
    version = 1
    wants: frozenset[str] = frozenset()
    tables = {"counted": Table("position bigint NOT NULL", "position", whose="")}

    def __init__(self, bad: dict[int, Exception] | None = None) -> None:
        self.bad = bad or {}

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        for event in events:
            cursor.execute(f"INSERT INTO {target.table('counted')} VALUES (?)", (event.position,))
            if event.position in self.bad:
                raise self.bad[event.position]
        return []


class Newer(Counting):
    """The same model in its next version, with other columns."""

    version = 2
    tables = {"counted": Table("position bigint NOT NULL, doubled bigint NOT NULL", "position", whose="")}

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        rows = [(event.position, 2 * event.position) for event in events]
        cursor.executemany(f"INSERT INTO {target.table('counted')} VALUES (?,?)", rows)
        return []


def counted(world: World) -> list[int]:
    return [
        position for (position,) in world.ledger.database.read("SELECT position FROM read_counted ORDER BY position")
    ]


def activity(world: World) -> int:
    """Events that the model of activity has counted."""
    return int(world.ledger.database.read("SELECT coalesce(sum(events), 0) FROM read_activity")[0][0])


def said(world: World) -> int:
    """Events of the log that tell how they arrived."""
    return sum("arrival" in event.fields and "account" in event.fields for event in world.ledger.feed(0, 10_000))


def differences(world: World) -> dict[str, int]:
    """What differs between the live tables and those built again from position 1."""
    rebuilt = [world.runner.rebuild(model) for model in world.runner.models]
    assert {world.ledger.head().size} == {each.events for each in rebuilt}
    return {name: count for each in rebuilt for name, count in each.differences.items() if count}


def runner(ledger: Any, *models: ReadModel) -> Runner:
    return Runner(ledger, models)


def test_a_gap_stops_a_model_loudly(found: World) -> None:
    """A missing position is named; nothing beyond it is applied, and nothing is skipped."""
    tell(found, *STORIES, look=False)
    model = Counting()
    with pytest.raises(GapError, match="counting: position 3 is missing"):
        runner(Holed(found.ledger), model).run()
    assert [] == counted(found)
    whole = runner(found.ledger, model)
    whole.run()
    assert list(range(1, found.ledger.head().size + 1)) == counted(found)
    assert {"counting": 0} == whole.lag()


def test_content_stops_nothing(found: World) -> None:
    """An event in a shape that a model does not expect is filed with its position; what comes after it is applied."""
    message = str(uuid7())
    declare(found, message)
    bad = [
        write(found, "content.consigned", f"{message}/0", part="one of two"),
        write(found, "content.consigned", f"{message}/first", code="1"),
        write(found, "content.consigned", f"{message}/0", notes={"a": 1}),
        write(found, "content.consigned", f"{message}/0", occurred_at="2026-03-02T09:00:00+01:00"),
        write(found, "content.consigned", f"{message}/0", occurred_at="yesterday"),
        write(found, "recipients.declared", message, first=10**9, count=10**9),
        write(found, "recipients.declared", message, first=1, count=10**9),
        write(found, "streams.joined", message, streams=7),
        write(found, "lane.opened", "account/acme/a/2026-03-02", rule=["lane"]),
        write(found, "lane.dismissed", "account/acme/a/2026-03-02", events="all"),
        write(found, "content.accessed", f"{message}/0", account="a", arrival="poll", occurred_at="yesterday"),
    ]
    write(found, "from.the.future/9", message, whatever=1)
    write(found, "content.consigned", f"{message}/0", code="1")
    deliveries = found.deliveries()
    assert [(Status.DELIVERED, "1")] == [(d.status, d.sub_status) for d in deliveries]
    filed = {position for _, position, _ in found.runner.unapplied()}
    assert set(bad) == {found.ledger.event(position).id for position in filed}
    assert {} == differences(found)
    assert filed == {position for _, position, _ in found.runner.unapplied()}


def test_a_circle_of_joinings_ends(found: World) -> None:
    """Two messages that each claim to be told by the other are told by one of them; nothing hangs."""
    one, other = sorted(str(uuid7()) for _ in range(2))
    for stream in (one, other):
        declare(found, stream)
        write(found, "content.consigned", f"{stream}/0", code="1")
    write(found, "streams.joined", one, streams=[other], recipients=[[0, 0]])
    write(found, "streams.joined", other, streams=[one, other], recipients=[[0, 0]])
    assert [one] == [d.message for d in found.deliveries()]
    assert {} == differences(found)


def test_an_event_that_a_model_fails_on_hurts_only_itself(found: World) -> None:
    """The batch is rolled back and applied event by event; each is applied once, the bad ones are filed."""
    tell(found, *STORIES, look=False)
    trouble = runner(found.ledger, Counting({4: KeyError("what"), 7: DataError("no such number")}))
    trouble.run()
    assert [p for p in range(1, found.ledger.head().size + 1) if p not in {4, 7}] == counted(found)
    assert [("counting", 4), ("counting", 7)] == [(model, position) for model, position, _ in trouble.unapplied()]


def test_trouble_of_the_database_is_not_content(found: World) -> None:
    """Nothing is filed when the database fails: the events are applied when it works again."""
    tell(found, STORIES[0], look=False)
    with pytest.raises(OperationalError):
        runner(found.ledger, Counting({2: OperationalError("disk full")})).run()
    again = runner(found.ledger, Counting())
    assert [] == again.unapplied()
    again.run()
    assert list(range(1, found.ledger.head().size + 1)) == counted(found)


def test_rows_and_position_are_one_transaction(found: World) -> None:
    """A crash between the two leaves neither."""
    tell(found, STORIES[0], look=False)
    with pytest.raises(OperationalError):
        runner(Dying(found.ledger), Counting()).run()
    assert [] == counted(found)
    alive = runner(found.ledger, Counting())
    assert found.ledger.head().size == alive.run()
    assert list(range(1, found.ledger.head().size + 1)) == counted(found)


def test_a_runner_that_was_overtaken_applies_nothing_twice(found: World) -> None:
    """Somebody else applied the events between reading and applying them: they count once."""
    tell(found, *STORIES, look=False)
    model = ActivityModel()
    assert 0 == runner(Overtaken(found.ledger, runner(found.ledger, model)), model).run()
    assert said(found) == activity(found)


def test_two_runners_at_once_agree(found: World) -> None:
    """Two of them follow the log while it grows; every event counts once and the rows are those of a rebuild."""
    others = [Runner(found.ledger, [StatusModel(), ActivityModel()]) for _ in range(2)]
    done, failures = threading.Event(), []

    def follow(other: Runner) -> None:
        try:
            while not done.is_set():
                other.run()
        except Exception as error:  # noqa: BLE001  shown by the test
            failures.append(error)

    threads = [threading.Thread(target=follow, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    tell(found, *STORIES, look=False)
    done.set()
    for thread in threads:
        thread.join()
    found.runner.run()
    assert [] == failures
    assert said(found) == activity(found)
    assert {} == differences(found)


def test_rebuild_equals_live(found: World) -> None:
    """Built at once from position 1, or event by event while the log grew: the same rows."""
    tell(found, *STORIES)
    before = found.deliveries()
    assert {} == differences(found)
    assert before == found.deliveries()


def test_rebuild_names_and_replaces_rows_that_differ(found: World) -> None:
    """Somebody changed a read model behind our back: the difference is counted, and gone."""
    tell(found, STORIES[0])
    before = found.deliveries()
    with found.ledger.database.writing() as cursor:
        cursor.execute("UPDATE read_deliveries SET status = 'failed'")
    assert {"deliveries": 2} == differences(found)
    assert before == found.deliveries()


def test_another_version_is_built_again(found: World) -> None:
    """A model that was changed is filled from position 1 into tables of its new form."""
    tell(found, STORIES[0], look=False)
    runner(found.ledger, Counting({2: KeyError("what")})).run()
    newer = Newer()
    following = runner(found.ledger, newer)
    size = found.ledger.head().size
    assert size == following.run()
    assert [(n, 2 * n) for n in range(1, size + 1)] == sorted(found.ledger.database.read("SELECT * FROM read_counted"))
    assert [] == following.unapplied()
    assert (size, 0) == (following.position(newer), following.run())


def test_one_process_follows_the_log_and_the_others_do_not_wait_for_it(found: World) -> None:
    """They look again later, so that one goes on where another ended; SQLite is served by one process."""
    tell(found, STORIES[0], look=False)
    database, size = found.ledger.database, found.ledger.head().size
    if database.kind == "postgresql":
        with database.alone(FOLLOWING_LOCK) as is_alone:
            assert is_alone
            assert not found.runner.follow()
        assert {size} == set(found.runner.lag().values())
    assert found.runner.follow()
    assert {0} == set(found.runner.lag().values())


def test_what_one_does_alone_another_is_told_of(found: World) -> None:
    """It waits only if it wants to."""
    database = found.ledger.database
    with database.alone(7) as first, database.alone(7, waits=False) as second, database.alone(8, waits=False) as other:
        assert (True, False, True) == (first, second, other)
    with database.alone(7, waits=False) as first:
        assert first
