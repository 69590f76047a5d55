"""Long runs: they say how far they are, need no more disk than there is, and leave none of it behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ops.bench import filling
from ops.bench.contract import SMOKE, Bench
from ops.bench.filling import NoRoomError, copied, filled, removed
from ops.bench.folder import PREFIX, running
from ops.postgres import Server, private_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose databases may go."""
    with private_server(tmp_path_factory.mktemp("server"), {"fsync": "off"}) as found:
        yield found


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Bench:
    return Bench(server, tmp_path, SMOKE)


def test_a_folder_goes_with_its_run(tmp_path: Path) -> None:
    """With all that is in it."""
    with running(tmp_path / "into") as folder:
        (folder / "ledger.db").touch()
    assert [] == list((tmp_path / "into").iterdir())


def test_a_run_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM ends it as Ctrl-C does; afterwards the signal means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), running(tmp_path):
        os.kill(os.getpid(), signal.SIGTERM)
    assert ([], before) == (list(tmp_path.iterdir()), signal.getsignal(signal.SIGTERM))


def test_what_a_killed_run_left_goes_when_the_next_one_begins(tmp_path: Path) -> None:
    """What another run still works in stays."""
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "ledger.db").touch()
    with running(tmp_path) as used, running(tmp_path) as folder:
        assert {used, folder} == set(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_copy_that_was_appended_to_is_removed(bench: Bench, kind: str) -> None:
    """The ledger it was made of stays."""
    url = filled(bench, kind, 8)
    before = _there(bench)
    copy = copied(bench, url)
    assert len(before) + 1 == len(_there(bench))
    removed(bench, copy)
    assert before == _there(bench)


def _there(bench: Bench) -> set[str]:
    with psycopg.connect(bench.server.url("postgres")) as connection:
        databases = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {str(name) for (name,) in databases} | {path.name for path in bench.folder.glob("*.db")}


def test_a_ledger_that_would_fill_the_disk_is_not_begun(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says how much it would take; nothing is written."""
    before = _there(bench)
    monkeypatch.setattr(filling, "ROOM", 10**15)
    with pytest.raises(NoRoomError, match=r"8 events take up to 8000000 GB of disk"):
        filled(bench, "postgresql", 8)
    assert before == _there(bench)


def test_filling_says_how_far_it_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time so many more events are stored, and never for a short one."""
    told: list[str] = []
    telling = replace(bench, tell=told.append)
    filled(telling, "sqlite", 8)
    assert [] == told
    monkeypatch.setattr(filling, "TOLD_EACH", 1_000)
    filled(telling, "sqlite", 2_500)
    assert ["sqlite: 1,000 of 2,500", "sqlite: 2,000 of 2,500"] == [line.partition(" events")[0] for line in told]
