"""Originals that are too large for the database: sealed files, named by their artifact id, in folders of a few hundred.

A file is durable before the transaction that names it begins; one that no transaction came to name is swept after a day.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ledger.errors import CorruptError

SWEPT_AFTER_S = 24 * 60 * 60
"""Longer than any item waits to be appended, by a wide margin."""
PART = ".part"


def _path(folder: Path, artifact_id: str) -> Path:
    return folder / artifact_id[-2:] / artifact_id


def write(folder: Path, artifact_id: str, sealed: bytes) -> None:
    """Write a file; when this returns it survives a crash of the machine.

    Raises:
        CorruptError: it does not read back as it was written.
    """
    path = _path(folder, artifact_id)
    _make(path.parent)
    part = path.with_suffix(PART)
    with part.open("wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    _sync(path.parent)
    if path.read_bytes() != sealed:
        msg = f"artifact {artifact_id} read back differs from what was written"
        raise CorruptError(msg)


def read(folder: Path, artifact_id: str) -> bytes:
    """The sealed bytes of a file that an event names.

    Raises:
        FileNotFoundError: it is gone.
    """
    return _path(folder, artifact_id).read_bytes()


def remove(folder: Path, artifact_id: str) -> None:
    """Remove a file whose key was destroyed; one that is gone already is no error."""
    path = _path(folder, artifact_id)
    if path.exists():
        path.unlink(missing_ok=True)
        _sync(path.parent)


def sweep(folder: Path, named: Callable[[Sequence[str]], set[str]], now: float | None = None) -> list[str]:
    """Remove files older than a day that no artifact row names.

    Not to be called before it is certain that the database is the one the files were written for: of a restored one
    the rows of the newest files are missing.

    Args:
        named: which of some artifact ids have a row.
        now: seconds since 1970; the time of the files' own clock by default.

    Returns:
        The names of what was removed.
    """
    before = (time.time() if now is None else now) - SWEPT_AFTER_S
    removed: list[str] = []
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        old = {path.name: path for path in _older(each, before)}
        kept = named([name for name in old if not name.endswith(PART)]) if old else set()
        for name in sorted(old.keys() - kept):
            old[name].unlink(missing_ok=True)
            removed.append(name)
    return removed


def _older(folder: Path, before: float) -> Iterator[Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file() and path.stat().st_mtime < before:
            yield path


def _make(folder: Path) -> None:
    """Make a folder; its name is on disk before anything is put into it."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
