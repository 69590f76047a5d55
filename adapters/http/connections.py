"""Connections to the API: how many at once, and how long one may stand idle or keep an answer waiting.

A caller that sends its headers letter by letter, or reads its answer so, holds a connection and memory for ever; aiohttp itself lets it.
Here a connection on which no request is under way is closed after a while, whether nothing came on it or half a request, and so is one
whose answer does not move. Bodies are timed where they are read (`dispatch.read_body`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from adapters.http.throttling import peer

LOG = logging.getLogger(__name__)


class Connections:
    """The open connections of one server.

    Args:
        most: at one time; a further one is closed unheard.
        idle_s: longest that no request is under way; so also longest for the headers of one.
        write_s: an answer must move on by `least_bytes` in so long.
        per_address: of one address that is no proxy; 0: no limit.
    """

    def __init__(  # noqa: PLR0917  as the limits are listed
        self,
        most: int,
        idle_s: float,
        write_s: float,
        per_address: int = 0,
        is_proxy: Callable[[str], bool] = lambda _address: False,
        least_bytes: int = 16 * 1024,
    ) -> None:
        self.most = most
        self.per_address = per_address
        self.is_proxy = is_proxy
        self.idle_s = idle_s
        self.write_s = write_s
        self.least_bytes = least_bytes
        self._open: dict[Any, _Guarded] = {}
        self._of: Counter[str] = Counter()

    def begin(self, transport: Any) -> Callable[[], None]:
        """A request is worked on, until what is returned is called."""
        found = self._open.get(transport)
        if found is None:  # the caller has gone already
            return _nothing
        found.requests += 1
        return found.end

    def under_way(self) -> int:
        """How many requests are worked on; any thread may ask."""
        return sum(each.requests for each in list(self._open.values()))

    def add(self, transport: Any, guarded: _Guarded) -> bool:
        """Remember a connection; False when there are too many."""
        if len(self._open) >= self.most:
            LOG.warning("a connection was refused: %d are open", len(self._open))
            return False
        whose = self._whose(transport)
        if self.per_address and whose and self._of[whose] >= self.per_address:
            LOG.warning("a connection was refused: %d of its address are open", self._of[whose])
            return False
        self._open[transport] = guarded
        self._of[whose] += 1
        return True

    def remove(self, transport: Any) -> None:
        if self._open.pop(transport, None) is not None:
            whose = self._whose(transport)
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]

    def _whose(self, transport: Any) -> str:
        """Whose connections are counted together; "" for those of proxies, which bring everybody's."""
        address = str((transport.get_extra_info("peername") or ("",))[0])
        return "" if self.is_proxy(address) else peer(address)

    def __len__(self) -> int:
        return len(self._open)


def _nothing() -> None:
    pass


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

    def end(self) -> None:
        """A request was answered."""
        self.requests -= 1
        self.idle_since = self.now()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # as asyncio promises a Protocol; uvloop's are of no common class
        if not self._connections.add(stream, self):
            stream.abort()
            return
        self._transport = stream
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


class _Handler(web.RequestHandler):
    """aiohttp's own protocol; what it refuses before a route is reached is answered as everything else is."""

    __slots__ = ("refusal",)
    refusal: Callable[[int], web.StreamResponse]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # which logs it
        answer = self.refusal(status)
        answer.force_close()
        return answer


class GuardedRunner(web.AppRunner):
    """Runs an application behind guarded connections.

    Args:
        refusal: status -> answer to what is no HTTP.
        how: settings of the protocol.
    """

    def __init__(
        self,
        app: web.Application,
        connections: Connections,
        refusal: Callable[[int], web.StreamResponse],
        shutdown_timeout: float,
        **how: Any,
    ) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout, **how)
        self._connections = connections
        self._refusal = refusal
        self._how = how

    @property
    def server(self) -> Any:
        """What makes the protocol of each connection."""
        manager = super().server
        return None if manager is None else lambda: _Guarded(self._handler(manager), self._connections)

    def _handler(self, manager: Any) -> _Handler:
        made = _Handler(manager, loop=asyncio.get_running_loop(), **self._how)
        made.refusal = self._refusal
        return made
