"""How soon a server answers, how soon it stops and what is left of what it acknowledged, and what several on one port append."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from uuid import UUID

import msgspec

from ledger.database import connect
from ops.bench.asking import Answers, Asking, asked, post
from ops.bench.contract import Bench, Measure
from ops.bench.installed import Served, installed, serving
from ops.bench.load import ACCOUNT, PROVIDER, TENANT
from ops.bench.lookup import held
from ops.settings import Settings
from ops.system import opened

CONNECTIONS = 16
MOST_PER_S = 3_000
"""Requests that are made beforehand for each second: more than are answered."""


class _Registered(msgspec.Struct):
    message: str


def started(bench: Bench) -> float:
    """Seconds from the start of the process to the first answer that says it is ready, over a filled ledger."""
    settings = held(bench).settings
    with serving(settings):
        pass  # the first start after an installation also compiles, and Python keeps that
    begun = time.perf_counter()
    with serving(settings) as served:
        _require_ready(served.port)
        return time.perf_counter() - begun


def _require_ready(port: int) -> None:
    with closing(HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    if status != 200:
        msg = f"it listens and is not ready: {status}"
        raise RuntimeError(msg)


def stopped(bench: Bench) -> float:
    """Seconds from SIGTERM to the end, while messages are registered.

    Raises:
        RuntimeError: something that was acknowledged is not in the log.
    """
    settings, key = _begun(bench)
    with serving(settings) as served:
        answers: list[Answers] = []
        load = threading.Thread(target=lambda: answers.append(_registering(bench, served, key, keeps=True)))
        _wait_for_growth(settings, load)
        load.join(bench.scale.seconds / 2)
        begun = time.perf_counter()
        if served.stop():
            msg = "it did not stop as it should"
            raise RuntimeError(msg)
        spent = time.perf_counter() - begun
        load.join()
    _require_all(settings, answers[0])
    return spent


def _wait_for_growth(settings: Settings, load: threading.Thread) -> None:
    """Start the load, and return when the first message of it is written: whoever asks takes a while to begin."""
    database = connect(settings.database_url)
    try:
        sql = "SELECT max(size) FROM heads"
        before = database.read(sql)
        load.start()
        while load.is_alive() and database.read(sql) == before:
            load.join(0.01)
    finally:
        database.close()


def _require_all(settings: Settings, answers: Answers) -> None:
    acknowledged = {
        msgspec.json.decode(body, type=_Registered).message for status, body in answers.bodies if status == 201
    }
    database = connect(settings.database_url)
    try:
        rows = database.probe("stored_events", "DISTINCT originator_id", "originator_id", sorted(acknowledged))
    finally:
        database.close()
    if not acknowledged or acknowledged != {str(UUID(stream)) for (stream,) in rows}:
        msg = f"{len(acknowledged)} messages were acknowledged, and {len(rows)} of them are in the log"
        raise RuntimeError(msg)


def appending(processes: int) -> Measure:
    """Messages registered over HTTP in a second, by so many processes on one port."""
    return partial(_appending, processes)


def _appending(processes: int, bench: Bench) -> float:
    settings, key = _begun(bench)
    with serving(settings, processes) as served:
        return _registering(bench, served, key).per_s(201)


def _begun(bench: Bench) -> tuple[Settings, str]:
    """A new ledger with an account, and a key that hands in."""
    settings = installed(bench)
    with opened(settings) as system:
        system.accounts.add(TENANT, ACCOUNT, PROVIDER)
        _, key = system.api_keys.create(TENANT, ["ingest"])
    return settings, key


def _registering(bench: Bench, served: Served, key: str, *, keeps: bool = False) -> Answers:
    requests = tuple(_send(key, number) for number in range(round(MOST_PER_S * bench.scale.seconds)))
    return asked(Asking((served.port,), requests, CONNECTIONS, bench.scale.seconds, keeps=keeps))


def _send(key: str, number: int) -> bytes:
    recipient = {"kind": "phone", "address": f"+3161{number:07}"}
    reference = {"kind": "own_reference", "value": f"case-{number}"}
    return post("/v1/messages", key, {"account": ACCOUNT, "recipients": [recipient], "references": [reference]})
