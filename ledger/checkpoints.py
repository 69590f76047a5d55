"""Signed tree heads: made by one leader, written outside the database before anyone sees them, never contradicting each other.

A head is a C2SP checkpoint (origin, size, root). The file of heads is the ledger's memory beyond its database: when a database was
rolled back or rewritten, its tree no longer fits the highest signed head, and appending is refused until `recover` opens the next epoch.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ledger import jsonlines, notes
from ledger.application import Ledger
from ledger.errors import ForkError, NotFoundError, TooLargeError
from ledger.notes import Note, NoteError


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
        origin, size, root = lines[0], lines[1], notes.decode64(lines[2])
        if not origin or not size.isascii() or not size.isdigit() or str(int(size)) != size or len(root) != 32:
            raise ValueError  # noqa: TRY301  one message for all of it
    except (IndexError, ValueError) as error:
        msg = "not a checkpoint: origin, size and base64 root, a line each"
        raise NoteError(msg) from error
    return Checkpoint(origin, int(size), root)


class SignedHead(NamedTuple):
    """A checkpoint and the note that carries it."""

    checkpoint: Checkpoint
    note: bytes


class HeadFile:
    """All heads ever signed, one JSON line each, fsynced; a torn last line (a crash while writing) counts as not signed.

    Kept outside the database, and copied elsewhere by `checkpoint push`. Cosignatures that others gave stand in a file beside it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "heads.jsonl"
        self._cosignatures = folder / "cosignatures.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def __iter__(self) -> Iterator[SignedHead]:
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from (_head(line) for line in file if line.endswith(b"\n") and jsonlines.is_whole(line[:-1]))

    def latest(self) -> SignedHead | None:
        """The newest head (the last line; heads only grow within an epoch)."""
        lines = jsonlines.last(self.path, 4 * notes.MAX_NOTE_BYTES)
        return _head(lines[-1]) if lines else None

    def append(self, head: SignedHead) -> None:
        """Make a head durable."""
        jsonlines.append(self.path, [{"size": head.checkpoint.size, "note": head.note.decode()}])

    # --- cosignatures

    def cosign(self, note: Note) -> int:
        """Keep the signatures that others added to a head of ours, whether we know them or not.

        Returns:
            How many were new.

        Raises:
            NotFoundError: none of the newer heads has exactly this text.
            TooLargeError: the checkpoint would carry more signatures than a reader takes.
        """
        recent = reversed(jsonlines.last(self.path, RECENT_BYTES))
        ours = next((head for head in map(_head, recent) if notes.parse(head.note).text == note.text), None)
        if ours is None:
            msg = "that is not a checkpoint this log signed lately; cosign the text of /log/checkpoint as it is"
            raise NotFoundError(msg)
        held = {(s.name, s.key_id) for s in notes.parse(self.cosigned(ours)).signatures}
        added = {(s.name, s.key_id): s for s in reversed(note.signatures) if (s.name, s.key_id) not in held}
        if len(held) + len(added) > notes.MAX_SIGNATURES:
            msg = f"a checkpoint carries at most {notes.MAX_SIGNATURES} signatures"
            raise TooLargeError(msg)
        if added:
            lines = "".join(s.line() for s in added.values())
            jsonlines.append(self._cosignatures, [{"text": note.text, "lines": lines}])
        return len(added)

    def cosigned(self, head: SignedHead) -> bytes:
        """The head's note with the cosignatures it was given."""
        text = notes.parse(head.note).text
        given = (json.loads(line) for line in jsonlines.last(self._cosignatures, RECENT_BYTES))
        return head.note + "".join(each["lines"] for each in given if each["text"] == text).encode()


RECENT_BYTES = 4 * 1024 * 1024
"""How far back cosignatures are taken and handed out: about ten thousand heads."""


def _head(line: bytes) -> SignedHead:
    note = json.loads(line)["note"].encode()
    return SignedHead(parse(notes.parse(note).text), note)


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
