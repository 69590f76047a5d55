"""Streams of arrivals take turns, so that one huge import starves neither another one nor anybody who sends a single arrival.

A stream is worked on chunk by chunk. A chunk waits for its turn behind those that came before it, whoever's they are; while it waits,
nothing more of its stream is read, so its sender waits too and memory holds one chunk of each. Whoever sends single arrivals never comes
here. A stream that finds no room is refused before anything of it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from adapters.http.authentication import Crowd
from adapters.http.errors import StreamsError


class Admission:
    """Who may stream; for one event loop.

    Args:
        streams: under way at a time.
        per_caller: of them, of one caller.
        turns: chunks that are worked on at the same time.

    Attributes:
        room: streams that may still be let in.
        turn: entered for each chunk; whoever waits longest is next.
    """

    def __init__(self, streams: int, per_caller: int, turns: int) -> None:
        self.room = streams
        self._crowd = Crowd(per_caller)
        self.turn = asyncio.Semaphore(turns)

    @contextmanager
    def entered(self, caller: str) -> Iterator[None]:
        """Take a stream in until it ends.

        Raises:
            StreamsError: there are as many as there may be.
            CrowdedError: the caller has as many as it may.
        """
        if not self.room:
            raise StreamsError
        with self._crowd.entered(caller):
            self.room -= 1
            try:
                yield
            finally:
                self.room += 1


ADMISSION = web.AppKey("admission", Admission)
