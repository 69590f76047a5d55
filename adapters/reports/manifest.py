"""What a report says of itself, signed by the log keys: whose answer to what it is, and the digest of each of its files.

The manifest is bound to a signed head. The root at the position that the rows reflect is led to that head by a consistency proof, so
a reader can see that this state of the log is part of the history that everybody else sees. Parameters may name a person and are short
enough to be guessed from a digest; they stand in `header.json` beside, whose digest is in the manifest and whose nonce makes guessing
useless.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adapters.compliance.contract import Header
from adapters.reports.contract import MadeFile
from ledger.checkpoints import Checkpoint

FORMAT = "delivery-ledger report v1"
MANIFEST, CHECKPOINT, HEADER = "manifest", "checkpoint", "header.json"


class Manifest(NamedTuple):
    """The text that is signed.

    Attributes:
        checkpoint: the signed head it is bound to.
        files: the one with the rows first.
        consistency: proof from the root at the header's position to that of the checkpoint.
    """

    checkpoint: Checkpoint
    header: Header
    rows: int
    files: Sequence[MadeFile]
    consistency: Sequence[bytes]

    def text(self) -> str:
        lines = [
            FORMAT,
            *self.checkpoint.text().splitlines(),
            f"tenant {self.header.tenant}",
            f"query {self.header.query}",
            f"asked at {self.header.asked_at}",
            f"position {self.header.position}",
            f"root {b64encode(bytes.fromhex(self.header.root)).decode()}",
            f"rows {self.rows}",
            *(f"{each.sha256}  {each.size}  {each.name}" for each in self.files),
            *(f"consistency {b64encode(each).decode()}" for each in self.consistency),
        ]
        return "".join(f"{line}\n" for line in lines)


def described(path: Path) -> MadeFile:
    """A file as the manifest lists it."""
    with path.open("rb") as file:
        return MadeFile(path.name, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
