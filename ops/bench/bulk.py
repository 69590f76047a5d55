"""Bulk append over HTTP: reports as NDJSON, 500 a request, from outside; and what becomes of everybody else meanwhile.

One line is one report of one number of a text message, signed by its provider: it is verified, read, found to be new, its original sealed
and its event appended, for itself.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from statistics import quantiles
from typing import Any

import msgspec
import psycopg

from ops.bench.contract import Bench, Measure
from ops.bench.load import ACCOUNT, TENANT
from ops.bench.sender import NUMBERS_PER_CALL, Order, Sent
from ops.bench.served import KEY_ID, SECRET, Served, resident_mib, served
from ops.system import read_models
from projections.runner import LOCK

LINES = 500
CONNECTIONS = 4
MOST_PER_S = 15_000
"""Reports that are made beforehand, for each second: more than the server takes."""
SINGLES_PER_S = 20
SAMPLE_S = 0.05
_LAG = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp()) * 1000 - recorded_at / 1000), 0) FROM (
        SELECT recorded_at FROM heads WHERE size > (
            SELECT coalesce(max(notification_id), 0) FROM delivery_read.tracking WHERE application_name LIKE 'status/%'
        ) ORDER BY size LIMIT 1
    ) AS waiting
"""
"""How long the oldest event that the read model of statuses does not show yet has been in the log, in ms."""


def figure(name: str, *, is_paused: bool) -> Measure:
    """One of the values of an import, which is run when it was not yet: `per_s`, `lag_ms`, `single_ms` or `memory_mib`.

    Args:
        is_paused: read models do not follow meanwhile.
    """
    return partial(_figure, name, is_paused)


def _figure(name: str, is_paused: bool, bench: Bench) -> float:  # noqa: FBT001  the last argument is what is left open
    kept = "bulk_paused_" if is_paused else "bulk_"
    if kept + name not in bench.kept:
        for each, value in _import(bench, is_paused=is_paused).items():
            bench.kept[kept + each] = str(value)
    return float(bench.kept.pop(kept + name))


def _import(bench: Bench, *, is_paused: bool) -> dict[str, float]:
    seconds = bench.scale.seconds
    requests = max(4, round(seconds * MOST_PER_S / LINES))
    with served(bench) as server:
        calls = -(-bench.scale.streams // NUMBERS_PER_CALL)
        _sent([_order(server, bench, "calls", lines=calls, requests=1, connections=1)])
        bulk = _order(
            server, bench, "reports", lines=LINES, requests=requests, connections=CONNECTIONS, seconds=seconds
        )
        singles = _order(
            server,
            bench,
            "webhooks",
            lines=1,
            requests=max(4, round(seconds * SINGLES_PER_S)),
            connections=1,
            first=10**6,
            seconds=seconds,
            pause_s=1 / SINGLES_PER_S,
        )
        with _watched(server) as watched, _paused(server) if is_paused else nullcontext():
            many, single = _sent([bulk, singles])
    if not is_paused:
        bench.samples.update({"bulk_single": single.waits_ms, "bulk_lag": watched.lags_ms})
    half = len(watched.memory_mib) // 2
    return {
        "per_s": many.stored / many.seconds,
        "lag_ms": _p99(watched.lags_ms),
        "single_ms": _p99(single.waits_ms),
        "memory_mib": max(watched.memory_mib[half:]) - max(watched.memory_mib[:half]),
    }


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1] if len(values) > 1 else sum(values)


def _order(server: Served, bench: Bench, kind: str, **more: Any) -> Order:
    path = f"/v1/hooks/{TENANT}/{ACCOUNT}/webhook.dlr" if kind == "webhooks" else "/v1/observations"
    given: dict[str, Any] = {"api_key": server.api_key, "account": ACCOUNT, "key_id": KEY_ID, "secret": SECRET.decode()}
    return Order(kind=kind, url=server.url, path=path, streams=bench.scale.streams, **given, **more)


def _sent(orders: list[Order]) -> list[Sent]:
    """What programs of their own send, all from the same moment on."""
    all_made = threading.Barrier(len(orders))

    def sent(order: Order) -> Sent:
        command = [sys.executable, "-m", "ops.bench.sender", msgspec.json.encode(order).decode()]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            if program.stdin is None or program.stdout is None:
                raise ValueError
            program.stdout.readline()
            all_made.wait()
            program.stdin.close()
            return msgspec.json.decode(program.stdout.read(), type=Sent)

    with ThreadPoolExecutor(len(orders)) as threads:
        return list(threads.map(sent, orders))


@contextmanager
def _paused(server: Served) -> Iterator[None]:
    """Hold what a process must hold that advances a read model."""
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        for model in read_models():
            connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK, zlib.crc32(model.name.encode()) >> 1))
        yield


@dataclass
class _Watched:
    """What was seen of a server, twenty times a second."""

    lags_ms: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


@contextmanager
def _watched(server: Served) -> Iterator[_Watched]:
    found, is_over = _Watched(), threading.Event()

    def watch() -> None:
        with psycopg.connect(server.database_url, autocommit=True) as connection:
            while not is_over.wait(SAMPLE_S) or len(found.memory_mib) < 2:
                row = connection.execute(_LAG).fetchone()
                found.lags_ms.append(float(row[0]) if row else 0.0)
                found.memory_mib.append(resident_mib([server.pid]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
