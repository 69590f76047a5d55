"""How fast the status of a delivery is looked up over HTTP, beside a bare handler that reads one row by its primary key.

Both are asked by the same clients for the same deliveries of the same database; ours with a real API key, under a login that owns nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from ops.bench.asking import Asking, asked, get, post
from ops.bench.contract import Bench, Measure
from ops.bench.filling import caught_up, copied
from ops.bench.installed import installed, serving
from ops.bench.load import TENANT
from ops.bench.messages import EVENTS, messages
from ops.postgres import ROOT
from ops.settings import Settings
from ops.system import System, opened

CONNECTIONS = 16
RATE = 200.0
"""Requests a second at which times are taken."""
ASKED_FOR = 5_000
"""Different messages, drawn from all, so that it is not one warm row that is read."""
DELIVERY, MESSAGE = "/v1/messages/{}/deliveries/0", "/v1/messages/{}"


class Held(NamedTuple):
    """A filled ledger that may be served.

    Attributes:
        key: an API key that reads.
        messages: drawn from all of them, each with a reference that it alone has.
    """

    settings: Settings
    key: str
    messages: list[tuple[str, str]]


_held: dict[str, Held] = {}
"""By folder of the run: filled once, for all figures."""


def held(bench: Bench) -> Held:
    """A ledger with as many deliveries as events, all read models at its head."""
    if str(bench.folder) not in _held:
        settings = installed(bench, copied(bench, caught_up(bench, "postgresql")))
        with opened(settings) as system:
            system.runner.run()
            _, key = system.api_keys.create(TENANT, ["read"])
            found = [_message(system, number) for number in _drawn(bench)]
        _held[str(bench.folder)] = Held(settings, key, found)
    return _held[str(bench.folder)]


def _drawn(bench: Bench) -> list[int]:
    number = -(-bench.scale.events // EVENTS)
    return bench.random("lookup").sample(range(number), min(ASKED_FOR, number))


def _message(system: System, number: int) -> tuple[str, str]:
    """Our name of a message, and its provider's."""
    (sent,) = messages(number, number + 1)
    digest = system.ledger.keyring.lookup(TENANT, "any_reference", sent.document_id)
    return system.ledger.probe_lookups([digest])[0][1], sent.document_id


def bare(bench: Bench) -> float:
    """Answers a second of the bare handler."""
    found = held(bench)
    requests = tuple(get(DELIVERY.format(message)) for message, _ in found.messages)
    with _bare(found.settings.database_url) as port:
        return _per_s(bench, port, requests)


@contextmanager
def _bare(url: str) -> Iterator[int]:
    command = [sys.executable, "-m", "ops.bench.bare", url]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        with process:
            assert process.stdout is not None  # noqa: S101  it was asked for
            yield int(process.stdout.readline())
            process.kill()
    finally:
        process.kill()


def of_path(path: str) -> Measure:
    """Answers a second to a GET of a message's path."""
    return partial(_of_path, path)


def _of_path(path: str, bench: Bench) -> float:
    found = held(bench)
    with serving(found.settings) as served:
        return _per_s(bench, served.port, tuple(get(path.format(message), found.key) for message, _ in found.messages))


def by_reference(bench: Bench) -> float:
    """Answers a second to a search for a reference, as somebody has it who does not know our name of the message."""
    found = held(bench)
    with serving(found.settings) as served:
        requests = tuple(post("/v1/search", found.key, {"reference": reference}) for _, reference in found.messages)
        return _per_s(bench, served.port, requests)


def _per_s(bench: Bench, port: int, requests: tuple[bytes, ...]) -> float:
    """As fast as the clients are answered; a short while before is not counted."""
    asked(Asking((port,), requests, CONNECTIONS, bench.scale.seconds / 5)).per_s()
    return asked(Asking((port,), requests, CONNECTIONS, bench.scale.seconds)).per_s()


def times(path: str, name: str) -> Measure:
    """The 99th percentile of the times to answer at a rate, waiting included."""
    return partial(_times, path, name)


def _times(path: str, name: str, bench: Bench) -> float:
    found = held(bench)
    requests = tuple(get(path.format(message), found.key) for message, _ in found.messages)
    with serving(found.settings) as served:
        asked(Asking((served.port,), requests, CONNECTIONS, bench.scale.seconds / 5)).per_s()
        answers = asked(Asking((served.port,), requests, CONNECTIONS, bench.scale.seconds, RATE))
    answers.per_s()
    bench.samples.setdefault(name, []).extend(answers.times_ms)
    return statistics.quantiles(answers.times_ms, n=100)[-1]
