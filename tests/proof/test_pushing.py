"""Heads in other hands: folders that remember, addresses that take a POST, and what each catches."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from adapters.pushing import PushError, push
from ledger.checkpoints import HeadFile
from ledger.errors import ForkError
from ops import schedule
from ops.system import System
from tests.proof.kit import Installation, grow


def pushed(system: System, target: str) -> None:
    head = system.signed_head()
    push(system.ledger, system.leader.identity(), head, system.heads.cosigned(head), target)


def test_folder_keeps_every_head_and_shows_the_newest(installation: Installation, tmp_path: Path) -> None:
    """`heads.jsonl` remembers, `checkpoint` is the note itself; the same head again changes nothing."""
    place = tmp_path / "elsewhere"
    with installation.opened() as system:
        heads = []
        for _ in range(2):
            heads.append(grow(system, 3))
            pushed(system, str(place))
            pushed(system, str(place))
    assert heads == list(HeadFile(place))
    assert heads[1].note == (place / "checkpoint").read_bytes()


def test_ledger_restored_together_with_its_own_heads_is_caught_by_the_folder_elsewhere(
    installation: Installation, tmp_path: Path
) -> None:
    """Nothing on this machine contradicts any more; the copy that left it does."""
    installation.grow(3)
    restore = installation.backup()
    shutil.copytree(tmp_path / "heads", tmp_path / "heads-then")
    with installation.opened() as system:
        grow(system, 3)
        pushed(system, str(tmp_path / "elsewhere"))
    restore()
    shutil.rmtree(tmp_path / "heads")
    shutil.move(tmp_path / "heads-then", tmp_path / "heads")
    with installation.opened() as system:
        assert not system.ledger.frozen
        with pytest.raises(ForkError, match="a head of 7 events was signed, this database holds 4"):
            pushed(system, str(tmp_path / "elsewhere"))


def test_scheduled_push_freezes_a_ledger_that_a_folder_contradicts(on_sqlite: Installation, tmp_path: Path) -> None:
    """A contradiction is fatal wherever it is found; a target that is only down is not."""
    on_sqlite.more = {"push_targets": [str(tmp_path / "elsewhere"), "http://127.0.0.1:9/"], "push_every_s": 3600}
    on_sqlite.grow(3)
    restore = on_sqlite.backup()
    with on_sqlite.opened() as system:
        grow(system, 3)
        with pytest.raises(PushError, match=r"http://127\.0\.0\.1:9/ did not take the head of 7 events"):
            schedule.push_heads(system)
    restore()
    shutil.rmtree(tmp_path / "heads")
    with on_sqlite.opened() as system:
        jobs = schedule.board(system)
        jobs.run(*jobs.find("", "push_heads", own=True))
        assert "a head of 7 events was signed" in system.ledger.frozen


def test_folder_of_another_log_is_refused(on_sqlite: Installation, tmp_path: Path) -> None:
    """Two logs in one folder would accuse each other."""
    with on_sqlite.opened() as system:
        pushed(system, str(tmp_path / "elsewhere"))
    other = Installation(on_sqlite.database._replace(url=f"sqlite:///{tmp_path}/other/ledger.db"), tmp_path / "other")
    with other.opened() as system, pytest.raises(PushError, match="give each log a folder of its own"):
        pushed(system, str(tmp_path / "elsewhere"))


@contextmanager
def receiver(status: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An address that takes heads; yields it and what came."""
    came: list[tuple[str, bytes]] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    address: list[str] = []

    async def take(request: web.Request) -> web.Response:
        came.append((request.content_type, await request.read()))
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/heads", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/heads")
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield address[0], came
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_address_gets_the_note_as_it_is(on_sqlite: Installation) -> None:
    """By POST, as plain text."""
    with on_sqlite.opened() as system, receiver(204) as (address, came):
        pushed(system, address)
        assert [("text/plain", system.signed_head().note)] == came


@pytest.mark.parametrize("status", [302, 404, 503])
def test_address_that_does_not_take_it_is_told(on_sqlite: Installation, status: int) -> None:
    """Also a redirection: heads go where the operator said and nowhere else."""
    with on_sqlite.opened() as system, receiver(status) as (address, _), pytest.raises(PushError, match=str(status)):
        pushed(system, address)


def test_target_that_is_down_is_told(on_sqlite: Installation, tmp_path: Path) -> None:
    """No address, no folder: the next push tries again."""
    (tmp_path / "file").touch()
    with on_sqlite.opened() as system:
        for target in ("http://127.0.0.1:9/", str(tmp_path / "file")):
            with pytest.raises(PushError, match="did not take the head"):
                pushed(system, target)


def test_scheduled_check_writes_its_verdict(on_sqlite: Installation) -> None:
    """What `serve` checks by the clock stands in the log."""
    with on_sqlite.opened() as system:
        grow(system, 3)
        with schedule.running(system):
            schedule.check_log(system)
        assert "ledger.checked" == system.ledger.event(5).type
