"""Signed tree heads: made by one leader, written outside the database before anyone sees them, never contradicting each other.

A head is a C2SP checkpoint (origin, size, root). The file of heads is the ledger's memory beyond its database: when a database was
rolled back or rewritten, its tree no longer fits the highest signed head, and appending is refused until `recover` opens the next epoch.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ledger import notes
from ledger.application import Ledger
from ledger.errors import ForkError
from ledger.notes import NoteError


class Checkpoint(NamedTuple):
    """A tree head: whose log, how many leaves, their root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def parse(text: str) -> Checkpoint:
    """Read a checkpoint's text.

    Raises:
        NoteError: not a checkpoint.
    """
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], lines[1], b64decode(lines[2], validate=True)
        if not origin or not size.isascii() or not size.isdigit() or str(int(size)) != size or len(root) != 32:
            raise ValueError  # noqa: TRY301  one message for all of it
    except (IndexError, ValueError, Base64Error) as error:
        msg = "not a checkpoint: origin, size and base64 root, a line each"
        raise NoteError(msg) from error
    return Checkpoint(origin, int(size), root)


class SignedHead(NamedTuple):
    """A checkpoint and the note that carries it."""

    checkpoint: Checkpoint
    note: bytes


class HeadFile:
    """All heads ever signed, one JSON line each, fsynced; a torn last line (a crash while writing) counts as not signed.

    Kept outside the database, and copied elsewhere by `checkpoint push`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "heads.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def __iter__(self) -> Iterator[SignedHead]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n") and line.strip():
                    note = json.loads(line)["note"].encode()
                    yield SignedHead(parse(notes.parse(note).text), note)

    def latest(self) -> SignedHead | None:
        """The newest head (the last line; heads only grow within an epoch)."""
        newest = None
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - 4 * notes.MAX_NOTE_BYTES))
                lines = [line for line in file.read().split(b"\n")[:-1] if line.startswith(b"{")]
                newest = lines[-1] if lines else None
        if newest is None:
            return None
        note = json.loads(newest)["note"].encode()
        return SignedHead(parse(notes.parse(note).text), note)

    def append(self, head: SignedHead) -> None:
        """Make a head durable."""
        line = (
            json.dumps({"size": head.checkpoint.size, "note": head.note.decode()}, ensure_ascii=False).encode() + b"\n"
        )
        with self.path.open("ab") as file:
            if file.tell() and not self._ends_whole():
                file.write(b"\n")  # after a torn line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def compare(ledger: Ledger, head: SignedHead | None) -> None:
    """Hold the database's tree against the highest signed head.

    Raises:
        ForkError: the head is larger than the tree, or another tree.
    """
    if head is None:
        return
    size = ledger.head().size
    signed = head.checkpoint
    if signed.size > size:
        msg = f"a head of {signed.size} events was signed, this database holds {size}; run `delivery-ledger recover`"
        raise ForkError(msg)
    root = ledger.root_at(signed.size)
    if root != signed.root:
        msg = (
            f"at {signed.size} events the signed root is {signed.root.hex()}, this database's is {root.hex()}: "
            "its history was rewritten; run `delivery-ledger fsck`, then `delivery-ledger recover`"
        )
        raise ForkError(msg)
