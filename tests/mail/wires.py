"""Between a client and a real mail server: a wire that can be cut at a chosen byte or command."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

Cut = Callable[[int, bytes, int, int], bool]
"""(connection from 1, what the client says now, bytes it has said, bytes it was told) -> cut the connection here."""


def never(_connection: int, _said: bytes, _up: int, _down: int) -> bool:
    return False


class _Pair(NamedTuple):
    client: socket.socket
    server: socket.socket


class Wire:
    """Forwards connections to a server on this machine, each in two threads.

    Attributes:
        port: where clients connect.
        connections: how many came.
        said: what all clients said.
    """

    def __init__(self, target: int, cut: Cut) -> None:
        self._target, self._cut = target, cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.said = bytearray()
        self._threads: list[threading.Thread] = []
        self._pairs: list[_Pair] = []
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self._listener.accept()
                pair = _Pair(client, socket.create_connection(("127.0.0.1", self._target)))
                self._pairs.append(pair)
                self.connections += 1
                counts = [0, 0]
                self._start(self._forward, pair, counts, self.connections, 0)
                self._start(self._forward, pair, counts, self.connections, 1)

    def _forward(self, pair: _Pair, counts: list[int], connection: int, way: int) -> None:
        source, sink = pair if way == 0 else (pair.server, pair.client)
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                counts[way] += len(data)
                if way == 0:
                    self.said += data
                if self._cut(connection, data if way == 0 else b"", *counts):
                    break
                sink.sendall(data)
        for each in pair:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        for pair in self._pairs:
            for each in pair:
                each.close()


@contextlib.contextmanager
def wire(target: int, cut: Cut = never) -> Iterator[Wire]:
    between = Wire(target, cut)
    try:
        yield between
    finally:
        between.close()
