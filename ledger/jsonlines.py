"""Files of JSON lines, the memory beside the database: a line is durable once it is said to be, and a torn one counts as not written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path


def append(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Some more lines, written at once and durable when this returns."""
    written = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")  # after a torn line
        file.write(written)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def last(path: Path, last_bytes: int) -> list[bytes]:
    """The lines near the end of a file that were written whole."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - last_bytes)
        file.seek(start)
        lines = file.read().split(b"\n")[1 if start else 0 : -1]
    return [line for line in lines if is_whole(line)]


def is_whole(line: bytes) -> bool:
    """Whether a line, without its end, was not cut off."""
    return line.startswith(b"{") and line.endswith(b"}")
