"""Where imported bytes come from: files, folders, zip archives, mbox files and Maildirs, each item with a name and exact bytes.

Knows containers, not contents. Bounded: no item above the limit is read into memory; a damaged container is reported, what
it gave before is kept.
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ledger.application import MAX_ARTIFACT_BYTES

READ_SUFFIXES = frozenset({".eml", ".json", ".xml", ".ndjson", ".jsonl", ".csv", ".mbox", ".zip"})
LINE_SUFFIXES = frozenset({".ndjson", ".jsonl", ".csv"})
MAX_ARCHIVE_ITEMS = 1_000_000
MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
MAX_END_BYTES = 64 * 1024 + 200
"""Of the end of an archive: its last records, and the longest comment."""
ZIP64 = 0xFFFFFFFF
"""Stands where a number has its place in the zip64 record."""
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_UNPACKED_TIMES = 100
"""An archive gives at most so many bytes, or so many times its own size if that is more: mail and JSON shrink to a tenth or so."""
_UNREADABLE = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    RuntimeError,  # encrypted
    NotImplementedError,  # a compression that nobody here knows
    ValueError,
    zlib.error,
    lzma.LZMAError,
)
"""What reading a damaged or strange container raises."""


class Source(NamedTuple):
    """One item to import.

    Attributes:
        name: as shown to people: path, and inside a container `container!item`.
        suffix: lower case with the dot.
        body: exact bytes, or None when `problem` says why there are none.
        path: the file itself, for formats that are read line by line; else None.
        skipped: a file of a kind that is not read; nothing is wrong with it.
    """

    name: str
    suffix: str
    body: bytes | None
    path: Path | None = None
    problem: str = ""
    skipped: bool = False


def files(paths: Sequence[Path]) -> list[Path]:
    """All regular files below the given paths, in a stable order; symbolic links are not followed inside folders."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                p for p in path.rglob("*") if p.is_file() and not p.is_symlink() and not _is_hidden(p, path)
            )
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def items(path: Path) -> Iterator[Source]:
    """The items of one file; never raises for what it contains."""
    name, suffix = str(path), path.suffix.lower()
    if path.parent.name in {"cur", "new"} and (path.parent.parent / "tmp").is_dir():
        suffix = ".eml"  # Maildir
    try:
        if suffix == ".zip":
            yield from _zip_items(path)
        elif suffix == ".mbox":
            yield from _mbox_items(path)
        elif suffix in LINE_SUFFIXES:
            with path.open("rb"):
                yield Source(name, suffix, None, path)
        elif suffix in READ_SUFFIXES:
            yield _bounded(name, suffix, path.stat().st_size, path)
        else:
            path.stat()
            yield Source(name, suffix, None, skipped=True)
    except _UNREADABLE as error:
        yield Source(name, suffix, None, problem=f"cannot be read: {error}")


def _bounded(name: str, suffix: str, size: int, path: Path) -> Source:
    if size > MAX_ARTIFACT_BYTES:
        return Source(name, suffix, None, problem=_too_large(size))
    return Source(name, suffix, path.read_bytes())


def _too_large(size: int) -> str:
    return f"{size} bytes; at most {MAX_ARTIFACT_BYTES} are kept as one original"


def _directory_bytes(path: Path) -> int:
    """How large an archive says that its central directory is, which the library reads whole, an object for each entry.

    Source: APPNOTE.TXT 6.3.10, 4.3.14 (zip64) and 4.3.16.
    """
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, MAX_END_BYTES), io.SEEK_END)
        end = file.read()
    said, wide = (_number(end, *where) for where in ((b"PK\x05\x06", 12, "<L"), (b"PK\x06\x06", 40, "<Q")))
    return wide if wide and said == ZIP64 else max(said, wide)


def _number(data: bytes, mark: bytes, offset: int, form: str) -> int:
    """A number in the last record of a kind; 0 without one."""
    at = data.rfind(mark)
    is_whole = at >= 0 and len(data) >= at + offset + struct.calcsize(form)
    return int(struct.unpack_from(form, data, at + offset)[0]) if is_whole else 0


def _zip_items(path: Path) -> Iterator[Source]:
    if _directory_bytes(path) > MAX_DIRECTORY_BYTES:
        yield Source(str(path), ".zip", None, problem=f"a directory of more than {MAX_DIRECTORY_BYTES} bytes")
        return
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if not e.is_dir()]
        if len(entries) > MAX_ARCHIVE_ITEMS:
            yield Source(str(path), ".zip", None, problem=f"more than {MAX_ARCHIVE_ITEMS} entries")
            return
        left = max(MAX_UNPACKED_BYTES, MAX_UNPACKED_TIMES * path.stat().st_size)
        for entry in sorted(entries, key=lambda e: e.filename):
            name, suffix = f"{path}!{entry.filename}", Path(entry.filename).suffix.lower()
            if suffix not in READ_SUFFIXES - {".zip", ".mbox"}:
                yield Source(name, suffix, None, skipped=True)
                continue
            if entry.compress_type == zipfile.ZIP_LZMA:  # its header may ask for 4 GiB of memory
                yield Source(name, suffix, None, problem="packed by LZMA; store it, or pack it by deflate or bzip2")
                continue
            try:
                with archive.open(entry) as member:
                    body = member.read(MAX_ARTIFACT_BYTES + 1)  # the announced size is the archive's word only
            except _UNREADABLE as error:
                yield Source(name, suffix, None, problem=f"cannot be read: {error}")
                continue
            left -= len(body)
            if left < 0:
                yield Source(str(path), ".zip", None, problem="it unpacks to far more than it is; the rest is not read")
                return
            too_large = _too_large(len(body)) if len(body) > MAX_ARTIFACT_BYTES else ""
            yield Source(name, suffix, None if too_large else body, problem=too_large)


def _mbox_items(path: Path) -> Iterator[Source]:
    number, mail, size = 0, list[bytes](), 0
    with path.open("rb") as file:
        while line := file.readline(MAX_ARTIFACT_BYTES):
            if line.startswith(b"From "):
                yield from _mail(path, number, mail, size)
                number, mail, size = number + 1, [], 0
                continue
            size += len(line)
            if size <= MAX_ARTIFACT_BYTES:
                mail.append(line)
    yield from _mail(path, number, mail, size)


def _mail(path: Path, number: int, lines: list[bytes], size: int) -> Iterator[Source]:
    """One mail of an mbox; the blank line before the next `From ` line is not part of it."""
    if number and size > MAX_ARTIFACT_BYTES:
        yield Source(f"{path}!{number}", ".eml", None, problem=_too_large(size))
    elif number:
        yield Source(f"{path}!{number}", ".eml", b"".join(lines[:-1] if lines[-1:] == [b"\n"] else lines))
    elif any(line.strip() for line in lines):
        problem = f"{size} bytes before the first mail; in an mbox file each mail begins with a line `From …`"
        yield Source(str(path), ".mbox", None, problem=problem)
