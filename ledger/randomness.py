"""Random bytes of the kernel, asked for many at a time.

An event takes four draws of 12 to 32 bytes, and each call of `os.urandom` lets go of the interpreter's lock: under load the thread then
waits for it longer than the rest of the event takes. Every byte is given out once; each thread has its own store, and a forked process
begins with none.
"""

from __future__ import annotations

import os
import threading

STORE_BYTES = 4_096


class _Store(threading.local):
    """Bytes that were drawn, and how many of them were given out."""

    drawn = b""
    used = 0


_store = _Store()


def random_bytes(count: int) -> bytes:
    """As `os.urandom`."""
    begin, end = _store.used, _store.used + count
    if end > len(_store.drawn):
        _store.drawn = os.urandom(max(STORE_BYTES, count))
        begin, end = 0, count
    _store.used = end
    return _store.drawn[begin:end]


def _forget() -> None:
    _store.drawn = b""


os.register_at_fork(after_in_child=_forget)
