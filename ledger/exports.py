"""The log as files that can be checked without us: every event's exact bytes, or a choice of them with proof that nothing else was dropped.

An export is a folder: `events.jsonl` (a leaf a line, in the log's order), `left-out.txt` (position and leaf hash of every event that
was not chosen), `checkpoint` (the signed head it goes up to) and `manifest` (a note under the same keys that counts both and carries
their digests). Both files together give back the root of the checkpoint. An export may begin after an earlier one: then the manifest
holds the subtree hashes of what came before. `write_tiles` writes the whole log as C2SP tlog-tiles instead.

No values stand in it: an event holds commitments.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ledger import tiles
from ledger.appender import Item
from ledger.application import OWN_STREAM, OWN_TENANT, Ledger
from ledger.checkpoints import Checkpoint, SignedHead
from ledger.errors import ConfigurationError, CorruptError
from ledger.events import Event, read
from ledger.tree import Frontier, leaf_hash

FORMAT = "delivery-ledger export v1"
EVENTS, LEFT_OUT, CHECKPOINT, MANIFEST = "events.jsonl", "left-out.txt", "checkpoint", "manifest"
PAGE_EVENTS = 5_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the log is exported.

    Attributes:
        tenant: one organisation's events; "" for all.
        types: types of events without version; empty for all.
    """

    tenant: str = ""
    types: tuple[str, ...] = ()

    def takes(self, event: Event) -> bool:
        return self.tenant in {"", event.tenant} and (not self.types or event.type in self.types)

    def text(self) -> str:
        return f"tenant {self.tenant or '*'} types {','.join(self.types) or '*'}"


class Manifest(NamedTuple):
    """What an export says of itself; its log keys sign it.

    Attributes:
        checkpoint: the head it goes up to.
        after: the position before its first.
        events, left_out: how many stand in either file; together they are all positions of the range.
        choice: in words.
        digests: SHA-256 of the two files, hex.
        peaks: roots of the perfect subtrees over what came before, largest first.
    """

    checkpoint: Checkpoint
    after: int
    events: int
    left_out: int
    choice: str
    digests: tuple[str, str]
    peaks: tuple[bytes, ...]

    def text(self) -> str:
        lines = [
            FORMAT,
            *self.checkpoint.text().splitlines(),
            f"positions {self.after + 1} to {self.checkpoint.size}",
            f"events {self.events}",
            f"left out {self.left_out}",
            f"choice {self.choice}",
            f"{self.digests[0]}  {EVENTS}",
            f"{self.digests[1]}  {LEFT_OUT}",
            *(f"before {b64encode(peak).decode()}" for peak in self.peaks),
        ]
        return "".join(f"{line}\n" for line in lines)


class _File:
    """A file that is written and digested in one go."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.lines = 0

    def add(self, lines: Sequence[bytes]) -> None:
        data = b"".join(line + b"\n" for line in lines)
        self._file.write(data)
        self._digest.update(data)
        self.lines += len(lines)

    def digest(self) -> str:
        return self._digest.hexdigest()


def write(
    ledger: Ledger,
    folder: Path,
    head: SignedHead,
    sign: Callable[[str], bytes],
    *,
    choice: Choice = Choice(),
    after: int = 0,
    progress: Progress = lambda *_: None,
) -> Manifest:
    """Export the events after a position up to a signed head.

    Args:
        sign: signs the manifest with the log keys.

    Raises:
        ConfigurationError: the folder is not empty, or the range is.
        CorruptError: what is stored does not give the signed root; nothing is signed.
    """
    size = head.checkpoint.size
    _make_empty(folder)
    if not 0 <= after < size:
        msg = f"there is nothing to export after position {after}: the signed head covers {size} events"
        raise ConfigurationError(msg)
    frontier = frontier_at(ledger, after)
    before = tuple(frontier.peaks)
    with (folder / EVENTS).open("wb") as first, (folder / LEFT_OUT).open("wb") as second:
        kept, dropped = _File(first), _File(second)
        while frontier.size < size:
            page = ledger.leaves(frontier.size, min(PAGE_EVENTS, size - frontier.size))
            if not page:
                break
            taken = [choice == Choice() or choice.takes(read(position, leaf)) for position, leaf, _ in page]
            hashed = [leaf_hash(leaf) for _, leaf, _ in page]
            kept.add([leaf for (_, leaf, _), chosen in zip(page, taken, strict=True) if chosen])
            dropped.add(
                [
                    f"{position} {digest.hex()}".encode()
                    for (position, _, _), digest, chosen in zip(page, hashed, taken, strict=True)
                    if not chosen
                ]
            )
            for digest in hashed:
                frontier.add(digest)
            progress(frontier.size - after, size - after)
    if (frontier.size, frontier.root()) != (size, head.checkpoint.root):
        msg = f"the stored events give root {frontier.root().hex()} at {frontier.size}, {head.checkpoint.root.hex()} was signed at {size}"
        raise CorruptError(msg)
    digests = (kept.digest(), dropped.digest())
    manifest = Manifest(head.checkpoint, after, kept.lines, dropped.lines, choice.text(), digests, before)
    (folder / CHECKPOINT).write_bytes(head.note)
    (folder / MANIFEST).write_bytes(sign(manifest.text()))
    return manifest


def write_tiles(ledger: Ledger, folder: Path, head: SignedHead, progress: Progress = lambda *_: None) -> int:
    """Write the whole log as static C2SP tlog-tiles, which any client of that format reads from disk or a plain web server.

    Returns:
        How many files.
    """
    _make_empty(folder)
    every = list(tiles.all_of(head.checkpoint.size))
    for done, tile in enumerate(every, 1):
        path = folder / "tile" / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        is_bundle = tile.level == tiles.ENTRIES
        path.write_bytes(tiles.bundle(tiles.entries(ledger, tile)) if is_bundle else tiles.hashes(ledger, tile))
        progress(done, len(every))
    (folder / CHECKPOINT).write_bytes(head.note)
    return len(every)


def recorded(ledger: Ledger, numbers: Mapping[str, int]) -> Item:
    """The event that says that the log left the ledger."""
    return Item(
        [ledger.draft("evidence.exported", OWN_TENANT, OWN_STREAM, {"rule": "log.exported", "numbers": dict(numbers)})]
    )


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        msg = f"{folder} is not empty; export into a new folder"
        raise ConfigurationError(msg)


def frontier_at(ledger: Ledger, tree_size: int) -> Frontier:
    """The frontier over the first events, from what is stored."""
    peaks, begin = [], 0
    for height in reversed(range(tree_size.bit_length())):
        if tree_size >> height & 1:
            peaks.append(ledger.node(height, begin >> height))
            begin += 1 << height
    return Frontier(tree_size, peaks)
