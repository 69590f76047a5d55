"""Several processes on one port: they begin, stop and end together."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from ledger.errors import ConfigurationError
from ops import processes
from ops.system import opened
from tests.ops.test_serve import served, service_url, settings_of
from tests.postgres import Database

__all__ = ["service_url"]
SEND = {"account": "sms", "recipients": [{"kind": "phone", "address": "0612340001"}]}
spawn = get_context("spawn")


def test_processes_share_a_port_and_stop_when_they_are_told(service_url: str, tmp_path: Path) -> None:
    """What was answered 2xx is there after the stop, whichever answered."""
    settings = settings_of(service_url, tmp_path)
    with opened(settings) as system:
        _, key = system.api_keys.create(settings.tenant, ["ingest", "read"])
        system.accounts.add(settings.tenant, "sms", "kpn_sms")
    with served(settings, "--processes", "2") as server:
        assert server.url == server.listening()
        answers = [server.call("/v1/messages", key, SEND) for _ in range(8)]
        assert 0 == server.stop()
        told = [line["event"] for line in server.lines if line["logger"] == "delivery_ledger.serve"]
        assert [2, 2, 2] == [told.count(event) for event in ("listening", "stopping", "stopped")]
    with opened(settings) as system:
        system.runner.run()
        assert {201} == {status for status, _ in answers}
        assert [1] * 8 == [system.queries.message(settings.tenant, body["message"]).recipients for _, body in answers]


def test_processes_end_with_their_parent(service_url: str, tmp_path: Path) -> None:
    """However it dies: nobody would end them any more."""
    with served(settings_of(service_url, tmp_path), "--processes", "2") as server:
        server.listening()
        server.process.kill()
        assert server.ended()
        assert 2 == [line["event"] for line in server.lines].count("stopped")


def test_sqlite_is_served_by_one_process(sqlite_database: Database, tmp_path: Path) -> None:
    """It is refused before a port is opened or a file is made."""
    with pytest.raises(ConfigurationError, match="SQLite is served by one process"):
        processes.serve_all(settings_of(sqlite_database.url, tmp_path), 2)
    assert [] == list(tmp_path.iterdir())


@pytest.fixture
def signals() -> Iterator[None]:
    """What this process does when it is told to stop is afterwards what it was."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _waits(ready: Connection) -> None:
    """As a server does: until it is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ready.send_bytes(b"listening")
    signal.pause()


def _fails(ready: Connection) -> None:
    ready.close()
    sys.exit(3)


@pytest.mark.usefixtures("signals")
def test_if_one_ends_all_do() -> None:
    """Half of them is no state to go on in; whoever started them sees it by the status."""
    made: list[SpawnProcess] = []

    def make(ready: Connection) -> SpawnProcess:
        made.append(spawn.Process(target=_fails if made else _waits, args=(ready,)))
        return made[-1]

    assert 1 == processes._supervised(make, 2)  # noqa: SLF001  without servers
    assert [0, 3] == [child.exitcode for child in made]


@pytest.mark.usefixtures("signals")
def test_if_the_first_cannot_begin_no_other_is_started() -> None:
    """What a new ledger begins with is made by one."""
    made: list[SpawnProcess] = []

    def make(ready: Connection) -> SpawnProcess:
        made.append(spawn.Process(target=_fails, args=(ready,)))
        return made[-1]

    assert 1 == processes._supervised(make, 4)  # noqa: SLF001  likewise
    assert [3] == [child.exitcode for child in made]


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_all_and_all_is_well(number: signal.Signals) -> None:
    """The status says so."""
    made: list[SpawnProcess] = []
    heard: list[Connection] = []

    def make(ready: Connection) -> SpawnProcess:
        hears, says = spawn.Pipe(duplex=False)
        heard.append(hears)
        made.append(spawn.Process(target=_waits, args=(says,)))
        ready.send_bytes(b"listening")
        if len(made) == 3:
            threading.Thread(target=tell).start()
        return made[-1]

    def tell() -> None:
        for each in heard:
            each.recv_bytes()
        os.kill(os.getpid(), number)

    assert 0 == processes._supervised(make, 3)  # noqa: SLF001  likewise
    assert [0, 0, 0] == [child.exitcode for child in made]
