"""Several processes that serve on one port: a parent that opens the port and nothing else, starts them, and ends all when one ends.

They inherit the port, so a connection waits for whichever is free and none is lost with one of them. The first is alone until it listens:
what a new ledger begins with is made once. Who started them starts them again, as with one process; half of them is no state to go on in.
They end with their parent, however that dies. Each counts its own rates and connections.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from eventsourcing.persistence import PersistenceError

from ledger.errors import ConfigurationError, LedgerError
from ops import safety
from ops.logs import log_to_stderr
from ops.settings import Settings

LOG = logging.getLogger("delivery_ledger.processes")
BACKLOG = 128
"""Connections that wait to be taken."""
_spawn = multiprocessing.get_context("spawn")


def serve_all(settings: Settings, number: int) -> int:
    """Serve with so many processes until SIGTERM or SIGINT; what was accepted is committed.

    Returns:
        Exit status: 0 when all ended because they were told to, and well.

    Raises:
        ConfigurationError: the database is one that a single process serves.
    """
    if not settings.database_url.startswith("postgres"):
        msg = "SQLite is served by one process; leave out --processes, or use PostgreSQL (LEDGER_DATABASE_URL)"
        raise ConfigurationError(msg)
    log_to_stderr()
    safety.check(settings)
    with listening(settings.host, settings.port) as listener:
        return _supervised(lambda ready: _spawn.Process(target=_child, args=(settings, listener, ready)), number)


def listening(host: str, port: int) -> socket.socket:
    """An open port."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)


def _supervised(made: Callable[[Connection], SpawnProcess], number: int) -> int:
    """Start processes, and wait until all have ended; the first that ends, and a signal to this one, end the others."""
    children: list[SpawnProcess] = []
    heard: list[Connection] = []
    told: list[int] = []

    def stop(signum: int = 0, _frame: object = None) -> None:
        told.append(signum)
        for child in children:
            child.terminate()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    while len(children) < number and not told:
        hears, says = _spawn.Pipe(duplex=False)
        heard.append(hears)
        child = made(says)
        child.start()
        children.append(child)
        says.close()
        if told:  # while it started
            child.terminate()
        if len(children) == 1 and not _is_listening(hears):
            break
    wait([child.sentinel for child in children])
    if not told:
        LOG.error("a process ended, so all do", extra={"said": {"statuses": [child.exitcode for child in children]}})
        stop()
    for child in children:
        child.join()
    ends_well = (0, -signal.SIGTERM)  # what was still starting had accepted nothing
    return 0 if told[0] and all(child.exitcode in ends_well for child in children) else 1


def _is_listening(hears: Connection) -> bool:
    """Wait until a process listens, or has ended."""
    with suppress(EOFError):
        hears.recv_bytes()
        return True
    return False


def _child(settings: Settings, listener: socket.socket, ready: Connection) -> None:
    from ops.serve import serve  # noqa: PLC0415  the parent does not serve, and begins with the first of them the sooner

    def is_listening() -> None:
        ready.send_bytes(b"listening")
        ready.close()

    try:
        serve(settings, listener, is_listening)
    except (LedgerError, PersistenceError, OSError, ValueError) as error:
        LOG.error("cannot serve: %s", error)  # noqa: TRY400  the text says it all
        sys.exit(1)
