"""Asks a server over HTTP as clients do, from a process of its own: keep-alive connections, each with one request under way.

Either every connection asks again as soon as it was answered, or requests come at a rate, whether or not the one before was answered:
then a request's time begins when it was to be sent, so that waiting for a connection counts.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from ops.postgres import ROOT


class Asking(msgspec.Struct, frozen=True):
    """What is to be asked.

    Attributes:
        ports: of one host; connections are dealt to them in turn.
        requests: whole requests, asked in order and, if there are no more, again from the beginning.
        rate: requests a second; 0: as fast as they are answered.
        keeps: bodies of answers are kept.
    """

    ports: tuple[int, ...]
    requests: tuple[bytes, ...]
    connections: int
    seconds: float
    rate: float = 0.0
    keeps: bool = False


class Answers(msgspec.Struct, frozen=True):
    """What came.

    Attributes:
        statuses: how often each HTTP status came; 0 is a connection that ended without an answer.
        times_ms: of each answer, in the order in which they came.
        seconds: from the first request to the last answer.
        bodies: status and body of each answer, if they were to be kept.
    """

    statuses: dict[int, int]
    times_ms: list[float]
    seconds: float
    bodies: list[tuple[int, bytes]] = []

    def per_s(self, status: int = 200) -> float:
        """How many answers came in a second; all must be of one status.

        Raises:
            ValueError: they were not.
        """
        if set(self.statuses) != {status}:
            msg = f"answers other than {status}: {self.statuses}"
            raise ValueError(msg)
        return self.statuses[status] / self.seconds


def get(path: str, key: str = "") -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-Api-Key: {key}\r\n\r\n".encode()


def post(path: str, key: str, body: object) -> bytes:
    """A POST request of JSON."""
    data = msgspec.json.encode(body)
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data


def asked(asking: Asking) -> Answers:
    """Ask from a process of its own, and wait for it."""
    command = [sys.executable, "-m", "ops.bench.asking"]
    done = subprocess.run(command, input=msgspec.msgpack.encode(asking), check=True, stdout=subprocess.PIPE, cwd=ROOT)
    return msgspec.msgpack.decode(done.stdout, type=Answers)


class _Work:
    """What all connections share.

    Attributes:
        waiting: times at which requests were to be sent, with a rate.
        free: connections that nothing was asked on, with a rate.
        open: how many connections there are.
        has_ended: no connection is left.
    """

    def __init__(self, asking: Asking) -> None:
        self.requests: Iterator[bytes] = itertools.cycle(asking.requests)
        self.is_paced = bool(asking.rate)
        self.statuses: Counter[int] = Counter()
        self.times_ms: list[float] = []
        self.waiting: deque[float] = deque()
        self.free: list[_Connection] = []
        self.until = 0.0
        self.ended = 0.0
        self.open = 0
        self.has_ended = asyncio.Event()
        self.keeps = asking.keeps
        self.bodies: list[tuple[int, bytes]] = []

    def answered(self, connection: _Connection, status: int, since: float, body: bytes) -> None:
        self.ended = time.perf_counter()
        if self.keeps:
            self.bodies.append((status, body))
        self.statuses[status] += 1
        self.times_ms.append((self.ended - since) * 1_000)
        if not self.is_paced:
            if self.ended < self.until:
                connection.ask(self.ended)
        elif self.waiting:
            connection.ask(self.waiting.popleft())
        else:
            self.free.append(connection)

    def due(self, at: float) -> None:
        """A request is to be sent now."""
        if self.free:
            self.free.pop().ask(at)
        else:
            self.waiting.append(at)


class _Connection(asyncio.Protocol):
    def __init__(self, work: _Work) -> None:
        self._work = work
        self._heard = b""
        self._since = 0.0
        self.is_asking = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._work.open += 1

    def ask(self, since: float) -> None:
        self._since, self.is_asking = since, True
        self.transport.write(next(self._work.requests))

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._heard, self.is_asking = b"", False
            self._work.answered(self, int(head[9:12]), self._since, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  as asyncio calls it
        if self.is_asking:
            self._work.statuses[0] += 1
            self.is_asking = False
        self._work.open -= 1
        if not self._work.open:
            self._work.has_ended.set()


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


async def _ask(asking: Asking) -> Answers:
    loop, work = asyncio.get_running_loop(), _Work(asking)
    connections = []
    for number in range(asking.connections):
        port = asking.ports[number % len(asking.ports)]
        _, made = await loop.create_connection(lambda: _Connection(work), "127.0.0.1", port)
        connections.append(made)
    begun = time.perf_counter()
    work.until = begun + asking.seconds
    if asking.rate:
        work.free = connections[:]
        for number in range(int(asking.seconds * asking.rate)):
            at = begun + number / asking.rate
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            work.due(at)
    else:
        for connection in connections:
            connection.ask(time.perf_counter())
        with suppress(TimeoutError):
            await asyncio.wait_for(work.has_ended.wait(), asking.seconds)
    while work.waiting or any(connection.is_asking for connection in connections):  # noqa: ASYNC110  once, at the end
        await asyncio.sleep(0.001)
    for connection in connections:
        connection.transport.close()
    seconds = (work.ended or time.perf_counter()) - begun
    return Answers(dict(work.statuses), work.times_ms, seconds, work.bodies)


if __name__ == "__main__":
    _told = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Asking)
    sys.stdout.buffer.write(msgspec.msgpack.encode(asyncio.run(_ask(_told))))
