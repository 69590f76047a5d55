"""A rebuild goes message by message, in shares of any size, by any number of processes, and gives the rows that following the log gave."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from eventsourcing.persistence import OperationalError
from uuid_utils import uuid7

from ledger.database import Cursor
from ledger.events import Event
from ledger.recorders import Head
from projections import shares
from projections.activity import ActivityModel
from projections.models import ReadModel, Target, Unapplied
from projections.originals import OriginalsModel
from projections.runner import BUILDING_LOCK, GapError, Rebuilt, Runner
from projections.status import StatusModel
from projections.tables import OvertakenError
from tests.projections.history import declare, tell, write
from tests.projections.test_runner import STORIES, Through
from tests.world import World

TABLES = ("deliveries", "messages", "facts", "batch_messages", "activity", "originals", "lanes")


class Failing(OriginalsModel):
    """A model that fails on one event, as often as it is given it."""

    def __init__(self, position: int, error: Exception) -> None:
        self.position = position
        self.error = error

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        if target.suffix and any(event.position == self.position for event in events):
            raise self.error
        return super().apply(cursor, events, target)


def rows(world: World) -> dict[str, list[tuple[object, ...]]]:
    return {name: sorted(world.ledger.database.read(f"SELECT * FROM read_{name}")) for name in TABLES}


def differing(runner: Runner, models: Sequence[ReadModel] = (), processes: int | None = None) -> dict[str, int]:
    rebuilt = runner.rebuild_all(models, processes=processes)
    return {name: count for each in rebuilt for name, count in each.differences.items() if count}


@pytest.mark.parametrize(("share", "page"), [(1, 1), (2, 10_000), (7, 3)])
def test_shares_of_any_size_give_the_same_rows(
    found: World, monkeypatch: pytest.MonkeyPatch, share: int, page: int
) -> None:
    """Messages that were joined, and batches, stand in different shares; a share is read in pages."""
    tell(found, *STORIES)
    one, other = str(uuid7()), str(uuid7())
    for stream in (one, other):
        declare(found, stream)
        write(found, "content.consigned", f"{stream}/0", code="1")
    write(found, "streams.joined", one, streams=[other], recipients=[[0, 0]])
    found.runner.run()
    before = rows(found)
    monkeypatch.setattr(shares, "SHARE_EVENTS", share)
    monkeypatch.setattr(shares, "PAGE_EVENTS", page)
    assert {} == differing(found.runner)
    assert before == rows(found)


def test_several_processes_give_the_same_rows(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them takes shares; on SQLite there is one writer, and it is this process."""
    tell(found, *STORIES)
    before = rows(found)
    monkeypatch.setattr(shares, "SHARE_EVENTS", 5)
    assert {} == differing(found.runner, processes=2)
    assert before == rows(found)


def test_a_gap_stops_a_rebuild(found: World) -> None:
    """A log that lacks what its head covers is not told message by message: the live tables stay."""

    class Shorter(Through):
        def head(self) -> Head:
            head: Head = self._ledger.head()
            return head._replace(size=head.size + 1)

    tell(found, STORIES[0])
    before = rows(found)
    missing = found.ledger.head().size + 1
    with pytest.raises(GapError, match=f"position {missing} is missing"):
        Runner(Shorter(found.ledger), [StatusModel()]).rebuild_all()  # type: ignore[arg-type]  # it passes through
    assert before == rows(found)


def test_what_was_broken_off_counts_for_nothing(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild that dies between two shares leaves the live tables as they were, and the next one begins anew."""
    tell(found, *STORIES)
    before = rows(found)
    monkeypatch.setattr(shares, "SHARE_EVENTS", 5)
    dying = Failing(found.ledger.head().size, OperationalError("disk full"))
    with pytest.raises(OperationalError):
        Runner(found.ledger, [StatusModel(), dying]).rebuild_all()
    assert before == rows(found)
    assert [] == found.runner.unapplied()
    assert {} == differing(found.runner)
    assert before == rows(found)


def test_whoever_loses_the_lock_stops(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing gets into tables that another process made since: on PostgreSQL a lock ends with its connection, not with its process."""
    tell(found, *STORIES)
    before = rows(found)
    monkeypatch.setattr(shares, "SHARE_EVENTS", 5)
    others: list[Rebuilt] = []

    def build(_: int) -> None:
        if not others:
            others.extend(Runner(found.ledger, [OriginalsModel()])._rebuild([OriginalsModel()], lambda _: None, 0))  # noqa: SLF001  without the lock

    if found.ledger.database.kind == "postgresql":
        with pytest.raises(OvertakenError, match="read_originals__new again, or did"):
            found.runner.rebuild_all(progress=build)
    else:
        with (
            found.ledger.database.alone(BUILDING_LOCK),
            found.ledger.database.alone(BUILDING_LOCK, waits=False) as is_alone,
        ):
            assert not is_alone
    assert before == rows(found)
    assert {} == differing(found.runner)
    assert before == rows(found)


def test_an_event_that_a_model_fails_on_hurts_only_itself_in_a_rebuild(found: World) -> None:
    """It is filed; what stands beside it, in that model and in others, is applied."""
    tell(found, *STORIES)
    before = rows(found)
    named = next(event.position for event in found.ledger.feed() if "artifacts" in event.fields)
    runner = Runner(found.ledger, [StatusModel(), Failing(named, KeyError("what")), ActivityModel()])
    lost = [row for row in before["originals"] if row[-1] == named]
    assert {"originals": len(lost)} == differing(runner)
    assert [("originals", named)] == [(model, position) for model, position, _ in runner.unapplied()]
    assert {**before, "originals": [row for row in before["originals"] if row not in lost]} == rows(found)


def test_what_is_written_meanwhile_is_there_afterwards(found: World) -> None:
    """Events that come while shares are applied are applied in the order of the log, before the tables are swapped."""

    class Writing(ActivityModel):
        def finish(self, cursor: Cursor, target: Target) -> None:
            if found.ledger.database.kind == "postgresql":  # on SQLite whoever writes waits
                tell(found, STORIES[1], look=False)

    tell(found, STORIES[0])
    runner = Runner(found.ledger, [Writing()])
    (rebuilt,) = runner.rebuild_all()
    assert found.ledger.head().size == rebuilt.events
    assert {"activity": 0} == rebuilt.differences


def test_of_arrivals_in_one_microsecond_the_furthest_behind_counts(found: World) -> None:
    """Their order does not, so shares may come in any."""
    said = {"account": "a", "arrival": "poll", "observed_at": "2026-03-02T09:00:00.000000Z"}
    for minute in (59, 30, 58):
        write(found, "content.consigned", f"{uuid7()}/0", **said, occurred_at=f"2026-03-02T08:{minute}:00.000000Z")
    found.runner.run()
    ((behind,),) = found.ledger.database.read("SELECT behind_ms FROM read_activity WHERE account = 'a'")
    assert 30 * 60 * 1000 == behind
    assert {} == differing(found.runner)
