"""The folder a run writes to: it goes when the run ends, and what a killed one left goes when the next one begins."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

PREFIX = "running-"


@contextmanager
def running(into: Path) -> Iterator[Path]:
    """A folder for one run; SIGTERM ends the block as Ctrl-C does, so that gigabytes do not stay behind."""
    into.mkdir(parents=True, exist_ok=True)
    for left in into.glob(f"{PREFIX}*"):
        _remove_unless_in_use(left)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with TemporaryDirectory(prefix=PREFIX, dir=into) as name, _held(Path(name)):
            yield Path(name).absolute()
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder: whoever does is alive.

    Raises:
        BlockingIOError: somebody else does.
    """
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def _remove_unless_in_use(folder: Path) -> None:
    with suppress(BlockingIOError, FileNotFoundError), _held(folder):
        shutil.rmtree(folder)
