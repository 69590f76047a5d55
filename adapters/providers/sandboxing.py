"""What the sandboxes of HTTP providers share: a clock that is put forward, faults on demand, a server in a thread of its own.

A sandbox is for demos and tests: it listens on this machine only and keeps everything in memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from aiohttp import web

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Kind = Literal["status", "redirect", "cut_before", "cut_after", "slow_before", "slow_after", "garbage"]
CLOSE_S = 0.01
"""Whoever is still waiting for a slow answer then is cut off; 0 would mean to wait for ever."""


class Clock:
    """Stands still at `start` until it is advanced; without `start` it is the real one, put forward by what it was advanced."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start, self._ahead = start, timedelta()

    def now(self) -> datetime:
        return (self._start or datetime.now(UTC)) + self._ahead

    def advance(self, by: timedelta) -> None:
        self._ahead += by


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call.

    Attributes:
        kind: status = answered with `status`, nothing is done; redirect = answered 302; cut_before, cut_after = the
            connection ends without an answer, before or after the work is done; slow_before, slow_after = the answer
            comes `seconds` late; garbage = the work is done and the answer is not what was promised.
        text: of the answer, or what it is replaced by.
        shape: in which of the provider's forms an error is written; "" = its usual one.
    """

    kind: Kind
    status: int = 500
    text: str = ""
    shape: str = ""
    seconds: float = 3600.0


class Faults:
    """Which faults wait for which operation; each strikes once, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, operation: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next calls of an operation, `POST /send` for example, fail."""
        self._waiting[operation].extend([fault] * times)

    def take(self, operation: str) -> Fault | None:
        """The fault that strikes this call, if any."""
        waiting = self._waiting[operation]
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        self._waiting.clear()


async def with_fault(
    fault: Fault | None, request: web.Request, handler: Handler, error: Callable[[Fault], web.Response]
) -> web.StreamResponse:
    """The handler's answer, unless a fault strikes.

    Args:
        error: the provider's answer for a `status` fault.
    """
    match fault:
        case Fault(kind="status"):
            return error(fault)
        case Fault(kind="redirect"):
            return web.Response(status=302, headers={"Location": fault.text or "/elsewhere"})
        case Fault(kind="cut_before"):
            return cut(request)
        case Fault(kind="slow_before"):
            await asyncio.sleep(fault.seconds)
    response = await handler(request)
    match fault:
        case Fault(kind="cut_after"):
            return cut(request)
        case Fault(kind="slow_after"):
            await asyncio.sleep(fault.seconds)
        case Fault(kind="garbage"):
            said = fault.text or "<html>Bad gateway"
            return web.Response(status=response.status, text=said, content_type="text/html")
    return response


def cut(request: web.Request) -> web.Response:
    """End the connection without an answer; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def serving(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve an application in this event loop; its address.

    Args:
        port: 0 = any that is free.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def in_thread(make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Enter what `make` makes, in another thread's event loop; leave it, and end the thread, at the end."""
    started: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with make() as service:
            started.set_result((service, asyncio.get_running_loop(), stop))
            await stop.wait()

    def main() -> None:
        try:
            asyncio.run(serve())  # also ends the tasks of connections that are still open
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=main, name="sandbox", daemon=True)
    thread.start()
    service, loop, stop = started.result()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
