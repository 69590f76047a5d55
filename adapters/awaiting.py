"""Appending from tasks of an event loop: a commit wakes the loop once, however many of its tasks wait for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ledger.appender import Appended, Item, Outcomes
from ledger.application import Ledger, erases


class Awaiting:
    """Appends for the tasks of the running event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()

    async def append(self, item: Item) -> Appended:
        """As `Ledger.append`. A task that is cancelled takes nothing back."""
        if erases(item):
            return await asyncio.to_thread(self._ledger.append, item)
        future: asyncio.Future[Appended] = self._loop.create_future()
        self._ledger.queue(item, future, self._tell)
        return await future

    def _tell(self, outcomes: Outcomes) -> None:
        with suppress(RuntimeError):  # the loop was closed, and nobody waits there any more
            self._loop.call_soon_threadsafe(_end, outcomes)


def _end(outcomes: Outcomes) -> None:
    for future, came in outcomes:
        if future.done():  # its task was cancelled
            continue
        if isinstance(came, BaseException):
            future.set_exception(came)
        else:
            future.set_result(came)
