"""What waits is answered together: calls that ask the same of one organisation go to a thread as one, for one question to the database.

While some are being answered, further ones wait, and then go together: alone a call waits for nobody, and the more there are, the less each
costs. For one event loop; threads give back what they found to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from contextvars import Context, copy_context
from typing import Any, NamedTuple

from adapters.http.errors import SlowAnswerError

AT_ONCE = 1
"""Groups of one kind that are being answered at the same time; with two, each is half as large and costs as much."""
MOST = 64
"""Calls of a group."""

Answers = Callable[[Sequence[Any]], Sequence[Any]]
"""Answers in the order of the calls; an exception is an answer to its call alone."""


class _Waiting(NamedTuple):
    call: Any
    context: Context
    answer: asyncio.Future[Any]
    timer: asyncio.TimerHandle


class _Kind:
    """Calls that can go together.

    Attributes:
        groups: how many are being answered.
    """

    __slots__ = ("groups", "is_due", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.groups = 0
        self.is_due = False


class Gathering:
    """The calls of one event loop.

    Args:
        threads: where groups are answered.
        timeout_s: longest that a call waits; its group is not broken off.
    """

    def __init__(self, threads: Executor, timeout_s: float) -> None:
        self._threads = threads
        self._timeout_s = timeout_s
        self._kinds: dict[Hashable, _Kind] = {}

    async def answer(self, kind: Hashable, answers: Answers, call: object) -> Any:
        """The answer to one call, which is in the context of the first of its group.

        Args:
            kind: calls of the same kind go together, so it says everything that their context holds.
            answers: the same for all calls of a kind.

        Raises:
            SlowAnswerError: it takes longer than it may.
            BaseException: what the call was answered with.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        found = self._kinds.setdefault(kind, _Kind())
        timer = loop.call_later(self._timeout_s, _late, answer)
        found.waiting.append(_Waiting(call, copy_context(), answer, timer))
        self._begin_later(loop, kind, found, answers)
        return await answer

    def _begin_later(self, loop: asyncio.AbstractEventLoop, kind: Hashable, found: _Kind, answers: Answers) -> None:
        """Begin a group once everything that came in this turn of the loop is there."""
        if not found.is_due and found.groups < AT_ONCE:
            found.is_due = True
            loop.call_soon(self._begin, loop, kind, found, answers)

    def _begin(self, loop: asyncio.AbstractEventLoop, kind: Hashable, found: _Kind, answers: Answers) -> None:
        found.is_due = False
        group = [found.waiting.popleft() for _ in range(min(MOST, len(found.waiting)))]
        if not group:
            return
        found.groups += 1

        def run() -> None:
            try:
                told = group[0].context.run(answers, [each.call for each in group])
            except BaseException as error:  # noqa: BLE001  whoever waits for it is told
                told = [error] * len(group)
            loop.call_soon_threadsafe(self._end, kind, found, answers, group, told)

        self._threads.submit(run)

    def _end(
        self, kind: Hashable, found: _Kind, answers: Answers, group: Sequence[_Waiting], told: Sequence[Any]
    ) -> None:
        found.groups -= 1
        for each, said in zip(group, told, strict=True):
            each.timer.cancel()
            if each.answer.done():  # its caller has gone, or was told that it takes too long
                continue
            if isinstance(said, BaseException):
                each.answer.set_exception(said)
            else:
                each.answer.set_result(said)
        if found.waiting:  # before the answers are sent, which the next turn of the loop does
            self._begin(asyncio.get_running_loop(), kind, found, answers)
        elif not found.groups and not found.is_due:
            self._kinds.pop(kind, None)


def _late(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(SlowAnswerError())
