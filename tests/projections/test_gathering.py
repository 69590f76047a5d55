"""What is gathered by a process that only reads, and written by another, gives the rows that one transaction gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from projections import shares
from projections.gathering import Call, GatheredError, Gathering, write
from projections.shares import Building, Share
from tests.projections.history import tell
from tests.projections.test_rebuilding import differing, rows
from tests.projections.test_runner import STORIES
from tests.world import World

Gathered = tuple[int, list[Call]] | None


def here(world: World, change: Callable[[Gathered], Gathered] = lambda each: each) -> Callable[..., Iterator[Any]]:
    """Instead of other processes: this one; what is gathered may be changed before it is written."""

    def in_processes(building: Building, _: int, work: object, cut: Sequence[Share]) -> Iterator[Any]:
        database, gathers = world.ledger.database, work is shares._gather  # noqa: SLF001  which it is to do
        for share in cut:
            yield change(building.gather(database, share)) if gathers else building.apply(database, share)

    return in_processes


@pytest.mark.parametrize(("share", "page"), [(1, 10_000), (7, 3)])
def test_gathered_shares_give_the_same_rows(
    found: World, monkeypatch: pytest.MonkeyPatch, share: int, page: int
) -> None:
    """Those that are read in several pages read back what they wrote, so they are not gathered but applied."""
    tell(found, *STORIES)
    before = rows(found)
    monkeypatch.setattr(shares, "SHARE_EVENTS", share)
    monkeypatch.setattr(shares, "PAGE_EVENTS", page)
    monkeypatch.setattr(shares, "_in_processes", here(found))
    assert {} == differing(found.runner, processes=1)
    assert before == rows(found)


def test_what_the_database_refuses_of_a_gathered_share_is_applied_instead(
    found: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is wrong hurts only itself; nothing of the gathered is left."""
    tell(found, *STORIES)
    before = rows(found)
    monkeypatch.setattr(shares, "_in_processes", here(found, lambda each: each and (each[0], each[1] * 2)))
    assert {} == differing(found.runner, processes=1)
    assert before == rows(found)


def test_what_was_gathered_is_not_read_back(found: World) -> None:
    """It is not in the database yet; other tables are read, and nothing is asked for nothing."""
    gathering = Gathering(found.ledger.database)
    gathering.copy("read_facts", "stream, facts", [("a", b"[]")])
    with pytest.raises(GatheredError, match="read_facts: gathered, not written yet"):
        gathering.read("SELECT 1 FROM read_facts LIMIT 1")
    with pytest.raises(GatheredError, match="read_facts: gathered, not written yet"):
        gathering.probe("read_facts", "stream", "stream", ["a"])
    assert [] == gathering.probe("read_facts", "stream", "stream", [])
    assert [] == gathering.probe("read_messages", "message", "message", ["a"])


def test_of_an_attempt_that_fails_nothing_is_gathered(found: World) -> None:
    """What was gathered before it stays, and is written as it was said."""
    gathering = Gathering(found.ledger.database)
    gathering.insert("read_facets", "facet, tenant", [], "DO NOTHING")
    gathering.copy("read_facts", "stream, facts", [("a", b"[]")])
    with suppress(GatheredError), gathering.attempt():
        gathering.executemany("DELETE FROM read_facts WHERE stream = ?", [("a",)])
        gathering.read("SELECT 1 FROM read_facts")
    with found.ledger.database.writing() as cursor:
        write(cursor, gathering.calls)
    assert [("a", b"[]")] == [(s, bytes(f)) for s, f in found.ledger.database.read("SELECT * FROM read_facts")]
