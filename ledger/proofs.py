"""Proofs that leave the ledger: C2SP tlog-proof files, and where an event of a given id stands.

Source: c2sp.org/tlog-proof@v1. The leaf hash is not in the file: whoever checks it computes it from the event's bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from ledger import checkpoints, notes
from ledger.application import PAGE, Ledger
from ledger.checkpoints import Checkpoint
from ledger.errors import NotFoundError
from ledger.notes import NoteError, NoteKey
from ledger.tree import leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 64
MEDIA_TYPE = "text/plain"
EARLIER_US = 4_000_000
LATER_US = 600_000_000
"""An event is recorded about when its id was made: not before, but for the difference of two clocks, and not long after."""


class Proof(NamedTuple):
    """What a tlog-proof file holds: the inclusion proof from the leaf's sibling up, and the note of the checkpoint."""

    leaf_index: int
    hashes: Sequence[bytes]
    note: bytes


def encode(proof: Proof) -> bytes:
    """The file."""
    lines = [HEADER, f"index {proof.leaf_index}", *(b64encode(each).decode() for each in proof.hashes), "", ""]
    return "\n".join(lines).encode() + proof.note


def decode(data: bytes) -> Proof:
    """Read a file; nothing is verified.

    Raises:
        NoteError: not a tlog-proof.
    """
    head, blank, note = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
        has_extra = lines[1].startswith("extra ")
        index = lines[1 + has_extra].removeprefix("index ")
        hashes = [notes.decode64(line) for line in lines[2 + has_extra :]]
        fits = lines[0] == HEADER and blank and f"index {int(index)}" == lines[1 + has_extra] and int(index) >= 0
        if not fits or len(hashes) > MAX_HASHES or any(len(each) != 32 for each in hashes):
            raise ValueError  # noqa: TRY301  one message for all of it
    except (IndexError, ValueError) as error:
        msg = "not a C2SP tlog-proof"
        raise NoteError(msg) from error
    return Proof(int(index), hashes, note)


def verify(leaf: bytes, data: bytes, keys: Sequence[NoteKey]) -> Checkpoint:
    """Check that an event's bytes are in the tree of a checkpoint that one of the keys signed.

    Raises:
        NoteError: they are not; the text says which step failed.
    """
    proof = decode(data)
    note = notes.parse(proof.note)
    if not notes.verified_by(note, keys):
        msg = "the checkpoint of this proof carries no signature of a key that is trusted here"
        raise NoteError(msg)
    checkpoint = checkpoints.parse(note.text)
    if not verify_inclusion(leaf_hash(leaf), proof.leaf_index, checkpoint.size, proof.hashes, checkpoint.root):
        msg = f"the event is not leaf {proof.leaf_index} of the tree of {checkpoint.size} events that was signed"
        raise NoteError(msg)
    return checkpoint


def of_position(ledger: Ledger, position: int, note: bytes) -> bytes:
    """The tlog-proof file of one event under a signed checkpoint.

    Raises:
        NotFoundError: the checkpoint does not cover the position.
    """
    size = checkpoints.parse(notes.parse(note).text).size
    if not 1 <= position <= size:
        msg = f"there is no event at position {position} in the tree of {size} events that was signed"
        raise NotFoundError(msg)
    return encode(Proof(position - 1, ledger.inclusion_proof(position, size), note))


def position_of(ledger: Ledger, event_id: str) -> int:
    """Where the event of an id stands, found by the time in the id.

    Raises:
        NotFoundError: no event of that id was recorded within ten minutes after it was made.
    """
    try:
        made_us = (UUID(event_id).int >> 80) * 1000
    except ValueError:
        raise NotFoundError(missing(event_id)) from None
    after, wanted = _size_before(ledger, made_us - EARLIER_US), str(UUID(event_id))
    until = _size_before(ledger, made_us + LATER_US)
    while after < until:
        for event in ledger.between(after, after + PAGE):
            if event.id == wanted:
                return event.position
        after += PAGE
    raise NotFoundError(missing(event_id))


def missing(event_id: str) -> str:
    """What is said of an event that is not there, or not for whoever asks."""
    return f"there is no event {event_id} near the time in its id; ask by position"


def _size_before(ledger: Ledger, at_us: int) -> int:
    """Size of the last head recorded before a time, by bisection: heads never run back."""
    low, high = 0, ledger.head().size
    sql = "SELECT size, recorded_at FROM heads WHERE size >= ? ORDER BY size LIMIT 1"
    while low < high:
        size, recorded = ledger.database.read(sql, ((low + high) // 2 + 1,))[0]
        if recorded < at_us:
            low = size
        else:
            high = (low + high) // 2
    return low
