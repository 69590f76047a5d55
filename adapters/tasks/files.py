"""Results at rest: each file sealed in chunks, so that one of any size is written and read in constant memory.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, 2015) over AES-256-GCM: every file has a key of its own, derived from the
task's key, a random salt and the file's name; a chunk's nonce is its number and whether it is the last. So chunks that are altered, in
another order, missing, or of another file do not open, and a file that was cut off is told from a whole one.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import CorruptError, NotFoundError

MAGIC = b"delivery-ledger sealed file 1\n"
SALT_BYTES = 32
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
_SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
_COUNTER_BYTES = 11


def private_folder(folder: Path) -> Path:
    """Make a folder that only this account of the machine may enter."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write(source: Path, target: Path, key: bytes) -> None:
    """Seal a file; it is on disk, whole, when it stands under its name."""
    part = target.with_name(f"{target.name}.part")
    head = MAGIC + os.urandom(SALT_BYTES)
    with source.open("rb") as plain, part.open("xb") as sealed:
        sealed.write(head)
        cipher = _cipher(key, head, target.name)
        for number, (chunk, is_last) in enumerate(_chunks(plain, CHUNK_BYTES)):
            sealed.write(cipher.encrypt(_nonce(number, is_last=is_last), chunk, None))
        sealed.flush()
        os.fsync(sealed.fileno())
    part.rename(target)
    _sync(target.parent)


def read(target: Path, key: bytes) -> Iterator[bytes]:
    """The plain bytes of a sealed file, chunk by chunk; each was checked when it comes, and the end is the end.

    Raises:
        NotFoundError: there is no such file any more.
        CorruptError: it was altered or cut off, or belongs to another key or name.
    """
    try:
        with target.open("rb") as sealed:
            cipher = _cipher(key, sealed.read(len(MAGIC) + SALT_BYTES), target.name)
            for number, (chunk, is_last) in enumerate(_chunks(sealed, _SEALED_BYTES)):
                yield cipher.decrypt(_nonce(number, is_last=is_last), chunk, None)
    except FileNotFoundError as error:
        msg = "the file is not kept any more"
        raise NotFoundError(msg) from error
    except (InvalidTag, ValueError) as error:  # ValueError: not even a tag
        msg = f"sealed file {target.name} does not open: altered, cut off, or sealed under another key"
        raise CorruptError(msg) from error


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Chunks of a size, the last one shorter or equal, with whether it is the last; an empty file is one empty chunk."""
    chunk = file.read(size)
    while True:
        following = file.read(size)
        yield chunk, not following
        if not following:
            return
        chunk = following


def _cipher(key: bytes, head: bytes, name: str) -> AESGCM:
    return AESGCM(hmac.digest(key, head + name.encode(), "sha256"))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([is_last])


def _sync(folder: Path) -> None:
    """A new name is as durable as the folder it stands in."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
