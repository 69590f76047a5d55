"""Runs an asynchronous service for synchronous users: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


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
