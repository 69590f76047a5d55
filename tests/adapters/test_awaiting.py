"""Appending from tasks of an event loop: the same outcomes as for threads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adapters.awaiting import Awaiting
from ledger.appender import Item
from ledger.errors import ClosedError, DuplicateError
from tests.ledger.kit import check_log, item, new_stream, opened
from tests.postgres import Database as Given


async def test_every_task_gets_its_own_outcome(database: Given, tmp_path: Path) -> None:
    """Tasks that wait together are told their own positions, and one that is refused hurts only itself."""
    with opened(database, tmp_path) as ledger:
        taken = [(0, b"k" * 16)]
        await Awaiting(ledger).append(item(ledger, duplicates=taken))
        tasks_of = Awaiting(ledger)
        tasks = [tasks_of.append(item(ledger, duplicates=taken if n == 7 else [])) for n in range(40)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, DuplicateError)]
        stored = sorted(o.positions[0] for o in outcomes if not isinstance(o, BaseException))
        assert ([7], list(range(2, 41))) == (refused, stored)
        assert 40 == len(check_log(ledger.database))


async def test_cancelled_task_is_stored_all_the_same(database: Given, tmp_path: Path) -> None:
    """Who stops waiting takes nothing back and disturbs nobody."""
    with opened(database, tmp_path) as ledger:
        task = asyncio.ensure_future(Awaiting(ledger).append(item(ledger)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 2 == (await Awaiting(ledger).append(item(ledger))).positions[0]


def test_loop_that_ended_stops_nobody(database: Given, tmp_path: Path) -> None:
    """An outcome for a loop that is closed is dropped; threads and other loops go on."""
    with opened(database, tmp_path) as ledger:

        async def leave() -> None:
            task = asyncio.ensure_future(Awaiting(ledger).append(item(ledger)))
            await asyncio.sleep(0)
            assert not task.done()

        asyncio.run(leave())
        assert 2 == ledger.append(item(ledger)).positions[0]


async def test_what_erases_is_carried_out_before_its_task_goes_on(database: Given, tmp_path: Path) -> None:
    """An erasure that is appended by a task is told to whoever destroys, as one by a thread is."""
    with opened(database, tmp_path) as ledger:
        told: list[str] = []
        ledger.on_erased = lambda events: told.extend(event.type for event in events)
        await Awaiting(ledger).append(Item([ledger.draft("evidence.erased", "acme", new_stream(), {})]))
        assert ["evidence.erased"] == told


async def test_closed_ledger_refuses_tasks(database: Given, tmp_path: Path) -> None:
    """After closing nothing is taken."""
    with opened(database, tmp_path) as ledger:
        ledger.appender.close()
        with pytest.raises(ClosedError):
            await Awaiting(ledger).append(item(ledger))
