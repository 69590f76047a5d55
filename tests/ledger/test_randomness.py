"""Random bytes: as many as asked for, and none of them twice."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from ledger.randomness import STORE_BYTES, random_bytes

DRAW = 16


def test_as_many_are_given_as_asked_for() -> None:
    """Also more than are drawn at a time, and none."""
    counts = [12, 32, STORE_BYTES, STORE_BYTES + 1, 0, 1]
    assert counts == [len(random_bytes(count)) for count in counts]


def test_nothing_is_given_out_twice_whoever_asks() -> None:
    """Over several stores full, by several threads."""
    draws = 4 * STORE_BYTES // DRAW
    with ThreadPoolExecutor(4) as threads:
        found = [
            each
            for some in threads.map(lambda _: [random_bytes(DRAW) for _ in range(draws)], range(4))
            for each in some
        ]
    assert 4 * draws == len(set(found))


def test_forked_process_draws_its_own() -> None:
    """What the parent had drawn and not given out is nobody else's."""
    random_bytes(DRAW)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, random_bytes(DRAW))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        theirs = told.read()
    os.waitpid(child, 0)
    assert DRAW == len(theirs)
    assert random_bytes(DRAW) != theirs
