"""What a report is made from: types only."""

from __future__ import annotations

import msgspec

from ledger.checkpoints import Checkpoint
from ledger.notes import NoteKey
from projections.views import MessageView, TrailEntry


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """Original bytes that the pack holds, or leaves out and says why.

    Attributes:
        path: of the member of the pack; "" when it was left out.
        entry: number from 1 of the first entry that names it.
        withheld: why it was left out, a key of `originals.WITHHELD`; "" when it is there.
    """

    path: str
    entry: int
    role: str
    media_type: str
    sha256: str = ""
    body_bytes: int = -1
    withheld: str = ""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the report tells, and nothing that its reader may not see.

    Attributes:
        message: values, references, labels, documents and deliveries, as far as this reader may see them.
        entries: the trail in the order of the log; entry n is `events/NNNN.json`.
        recipients_withheld: deliveries that are not among those of `message` because the reader may not see them.
        generated_at: `recorded_at` of the checkpoint's newest event, not the clock.
    """

    message: MessageView
    entries: tuple[TrailEntry, ...]
    originals: tuple[Original, ...]
    checkpoint: Checkpoint
    log_keys: tuple[NoteKey, ...]
    generated_at: str
    recipients_withheld: int = 0
