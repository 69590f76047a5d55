"""Read model: which messages and recipients each original tells something of.

An original is stored once and may tell of many: by what was read in it when it came, by a later reading, by a person's claim. Only what
rests on it counts: not acts that merely name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from ledger.database import Cursor, Reads
from ledger.events import Event, message_of
from ledger.streams import person_of
from projections.models import Table, Target, Unapplied, insert

COLUMNS = "artifact, owner, recipient, tenant, position"
WAITS = "lane.opened"
"""Of the events about accounts the only ones that rest on an original."""


class Concern(NamedTuple):
    """What an original tells something of.

    Attributes:
        owner: stream of a message or batch; of an account where it waited in a lane.
        recipient: index in the message; below 0: the whole of it.
        position: of the first event that says so.
    """

    artifact: str
    owner: str
    recipient: int
    position: int

    @property
    def is_message(self) -> bool:
        """Whether it is about a message or one of its recipients."""
        return not self.owner.startswith(("account/", "batch/"))


class OriginalsModel:
    """One row per original and delivery, message, batch or waiting item that it tells something of."""

    name = "originals"
    version = 1
    wants: frozenset[str] = frozenset()
    tables = {
        "originals": Table(
            "artifact text NOT NULL, owner text NOT NULL, recipient integer NOT NULL, tenant text NOT NULL, position bigint NOT NULL",
            "artifact, owner, recipient",
            ("owner, recipient",),
        )
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Note what rests on originals."""
        unapplied, rows = [], list[tuple[object, ...]]()
        for event in events:
            try:
                rows += _rows(event)
            except ValueError as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
        if target.is_fresh:
            first = {row[:3]: row for row in reversed(rows)}
            cursor.copy(target.table("originals"), COLUMNS, list(first.values()))
        else:
            insert(cursor, target.table("originals"), COLUMNS, rows)
        return unapplied

    def finish(self, cursor: Cursor, target: Target) -> None:
        """Nothing: no row stands for several messages."""


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    artifacts: tuple[str, ...] = ()


def _rows(event: Event) -> list[tuple[object, ...]]:
    """The rows of an event.

    Raises:
        ValueError: it does not have the shape that is expected of it.
    """
    if "artifacts" not in event.fields or (event.stream.startswith("account/") and event.type != WAITS):
        return []
    artifacts = msgspec.convert(event.fields, _Clear).artifacts
    owner, recipient = message_of(event.stream), person_of(event.stream)
    return [(artifact, owner, recipient, event.tenant, event.position) for artifact in artifacts]


def concerns(reads: Reads, artifacts: Iterable[str]) -> dict[str, list[Concern]]:
    """What each original tells something of."""
    found: dict[str, list[Concern]] = {}
    columns = "artifact, owner, recipient, position"
    for row in reads.probe("read_originals", columns, "artifact", sorted(set(artifacts))):
        concern = Concern(str(row[0]), str(row[1]), int(row[2]), int(row[3]))
        found.setdefault(concern.artifact, []).append(concern)
    return found


def is_told_of(reads: Reads, tenant: str, artifact: str) -> bool:
    """Whether an event of an organisation rests on an original, whether it is still there or not."""
    sql = "SELECT 1 FROM read_originals WHERE artifact = ? AND tenant = ? LIMIT 1"
    return bool(reads.read(sql, (artifact, tenant)))


def of_erased(reads: Reads, artifacts: Iterable[str]) -> set[str]:
    """The originals that tell something of somebody who was erased, or of a message of which somebody was.

    A receipt for one recipient may list the others, and whom to look for in it nobody knows any more.
    """
    told = [c for found in concerns(reads, artifacts).values() for c in found if c.is_message]
    rows = reads.probe("read_erasures", "stream", "stream", sorted({c.owner for c in told}))
    erased = {str(stream) for (stream,) in rows}
    return {c.artifact for c in told if c.owner in erased}


def resting_on(reads: Reads, deliveries: Iterable[tuple[str, int]]) -> list[str]:
    """The originals that tell something of these; each once, in the order of their ids, which is by time.

    Args:
        deliveries: stream of a message and index in it, below 0 for the whole of it.
    """
    rows = reads.probe_pairs("read_originals", "artifact", ("owner", "recipient"), sorted(set(deliveries)))
    return sorted({str(artifact) for (artifact,) in rows})


def of_messages(reads: Reads, messages: Iterable[str]) -> list[str]:
    """The originals that tell something of these messages, their recipients included."""
    rows = reads.probe("read_originals", "artifact", "owner", sorted(set(messages)))
    return sorted({str(artifact) for (artifact,) in rows})
