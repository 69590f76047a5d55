"""Connections to the API: how many at once, and how long one may stand idle or keep an answer waiting.

A caller that sends its headers letter by letter, or reads its answer so, holds a connection and memory for ever; aiohttp itself lets it.
Here a connection on which no request is under way is closed after a while, whether nothing came on it or half a request, and so is one
whose answer does not move. Bodies are timed where they are read (`dispatch.read_body`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

LOG = logging.getLogger(__name__)


class Connections:
    """The open connections of one server.

    Args:
        most: at one time; a further one is closed unheard.
        idle_s: longest that no request is under way; so also longest for the headers of one.
        write_s: an answer must move on by `least_bytes` in so long.
    """

    def __init__(self, most: int, idle_s: float, write_s: float, least_bytes: int = 16 * 1024) -> None:
        self.most = most
        self.idle_s = idle_s
        self.write_s = write_s
        self.least_bytes = least_bytes
        self._open: dict[Any, _Guarded] = {}

    @contextmanager
    def under_way(self, transport: Any) -> Iterator[None]:
        """A request is worked on."""
        found = self._open.get(transport)
        if found is None:  # the caller has gone already
            yield
            return
        found.requests += 1
        try:
            yield
        finally:
            found.requests -= 1
            found.idle_since = found.now()

    def add(self, transport: Any, guarded: _Guarded) -> bool:
        """Remember a connection; False when there are too many."""
        if len(self._open) >= self.most:
            LOG.warning("a connection was refused: %d are open", len(self._open))
            return False
        self._open[transport] = guarded
        return True

    def remove(self, transport: Any) -> None:
        self._open.pop(transport, None)

    def __len__(self) -> int:
        return len(self._open)


class _Guarded(asyncio.Protocol):
    """Stands between a connection and aiohttp's own protocol, and passes everything on."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._waiting, self._since = 0, 0.0
        self.requests = 0
        self.idle_since = self.now()

    def now(self) -> float:
        return self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  a stream, as asyncio promises a Protocol
        if not self._connections.add(transport, self):
            transport.abort()
            return
        self._transport = transport
        self._inner.connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        if self._timer:
            self._timer.cancel()
        self._connections.remove(self._transport)
        self._transport = None
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._transport:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport else False

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _look_later(self) -> None:
        wait_s = min(self._connections.idle_s, self._connections.write_s) / 4
        self._timer = self._loop.call_later(wait_s, self._look)

    def _look(self) -> None:
        """Close the connection if nothing happens on it any more."""
        if self._transport is None:
            return
        if self._is_stuck(self._transport.get_write_buffer_size()):
            self._transport.abort()
            return
        self._look_later()

    def _is_stuck(self, waiting: int) -> bool:
        now = self.now()
        if not waiting:
            self._waiting = 0
            return not self.requests and now - self.idle_since > self._connections.idle_s
        self.idle_since = now
        if not self._waiting or waiting > self._waiting or self._waiting - waiting >= self._connections.least_bytes:
            self._waiting, self._since = waiting, now
        return now - self._since > self._connections.write_s


class GuardedRunner(web.AppRunner):
    """Runs an application behind guarded connections."""

    def __init__(self, app: web.Application, connections: Connections, **how: Any) -> None:
        super().__init__(app, **how)
        self._connections = connections

    @property
    def server(self) -> Any:
        """What makes the protocol of each connection."""
        made: Callable[[], Any] | None = super().server
        return None if made is None else lambda: _Guarded(made(), self._connections)
