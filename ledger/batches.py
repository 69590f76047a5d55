"""From items to a batch: versions, leaves, hashes and rows, for a given head. Pure: what is read comes as an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ledger.errors import VersionTakenError
from ledger.events import Draft, leaf, time_text
from ledger.recorders import ArtifactRow, Batch, Head, KeyRow, LookupRow, OutboxRow
from ledger.tree import Frontier, leaf_hash

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Item:
    """What is stored together or not at all.

    Attributes:
        drafts: events in order; at least one.
        new_streams: streams that must not exist yet.
        needs: streams that must exist by then (an item queued before this one may make them).
        expect: streams whose last version must be this; a decision rested on it.
        artifacts: with the index of the draft that names each.
        lookups, duplicates, joins: likewise with the index of their draft.
        outbox: sends that wait from now on.
    """

    drafts: list[Draft]
    new_streams: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    expect: dict[str, int] = field(default_factory=dict)
    keys: list[KeyRow] = field(default_factory=list)
    artifacts: list[tuple[int, ArtifactRow]] = field(default_factory=list)
    lookups: list[tuple[int, LookupRow]] = field(default_factory=list)
    duplicates: list[tuple[int, bytes]] = field(default_factory=list)
    joins: list[tuple[int, str, str]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)

    @property
    def streams(self) -> set[str]:
        """Every stream whose last version matters to this item."""
        return {draft.stream for draft in self.drafts} | self.expect.keys() | self.needs | self.new_streams

    @property
    def sealed_bytes(self) -> int:
        """About what the item weighs while it waits."""
        blobs = [blob for draft in self.drafts for _, blob in draft.sealed]
        blobs += [row.sealed or b"" for _, row in self.artifacts]
        blobs += [row.sealed for row in self.outbox]
        return sum(map(len, blobs))


class Appended(NamedTuple):
    """Proof that an item is durable and in the tree.

    Attributes:
        positions: of its events, contiguous.
        versions: of its events in their streams.
        recorded_at: as it stands in the events.
        tree_size, root: the head that covers them.
    """

    positions: Sequence[int]
    versions: Sequence[int]
    recorded_at: str
    tree_size: int
    root: bytes


class Encoded(NamedTuple):
    """A batch, and what will be true once it is stored.

    Attributes:
        head, frontier: of the log.
        versions: of the streams it touches.
        outcome: one for each item.
        offset_us: our clock's reading less the monotonic one's.
    """

    batch: Batch
    head: Head
    frontier: Frontier
    versions: dict[str, int]
    outcome: list[Appended]
    offset_us: int


def micros(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (at - EPOCH) // MICROSECOND


def starting_versions(
    items: Sequence[Item], known: Mapping[str, int], read: Callable[[Sequence[str]], Mapping[str, int]]
) -> dict[str, int]:
    """Last versions of every stream the items touch: known, new (0, as the database will judge), or read now."""
    opened = {stream for item in items for stream in item.new_streams}
    wanted = {stream for item in items for stream in item.streams}
    versions = {stream: known.get(stream, 0) for stream in wanted}
    if unknown := sorted(stream for stream in wanted if stream not in known and stream not in opened):
        versions.update(read(unknown))
    return versions


def encode(
    items: Sequence[Item], head: Head, frontier: Frontier, versions: dict[str, int], clock_us: int
) -> tuple[Batch, list[Appended]]:
    """Encode and hash items for the place after a head; `frontier` and `versions` become what they will be then.

    Raises:
        VersionTakenError: a stream moved since an item was decided.
        InvalidEventError, TooLargeError: an event has no leaf.
    """
    recorded_us = max(clock_us, head.recorded_us)
    recorded_at = time_text(EPOCH + recorded_us * MICROSECOND)
    batch = Batch(head.size, clock_us, recorded_us)
    spans: list[tuple[int, list[int]]] = []
    for item in items:
        check_expectations(item, versions)
        first = batch.size + 1
        spans.append((first, [_add(batch, draft, versions, recorded_at) for draft in item.drafts]))
        _add_beside(batch, item, first)
    batch.leaves = list(map(leaf_hash, batch.states))
    batch.tiles = frontier.extend(batch.leaves)
    batch.root = frontier.root()
    outcome = [
        Appended(range(first, first + len(numbers)), numbers, recorded_at, batch.size, batch.root)
        for first, numbers in spans
    ]
    return batch, outcome


def check_expectations(item: Item, versions: Mapping[str, int]) -> None:
    """Raise VersionTakenError when a stream moved since the item was decided."""
    for stream in item.new_streams:
        if versions[stream]:
            msg = f"stream {stream} exists already"
            raise VersionTakenError(msg)
    for stream in item.needs:
        if not versions[stream]:
            msg = f"stream {stream} does not exist"
            raise VersionTakenError(msg)
    for stream, version in item.expect.items():
        if versions[stream] != version:
            msg = f"stream {stream}: decided at version {version}, now at {versions[stream]}"
            raise VersionTakenError(msg)


def _add(batch: Batch, draft: Draft, versions: dict[str, int], recorded_at: str) -> int:
    stream = draft.fields["stream"]
    version = versions[stream] = versions[stream] + 1
    batch.streams.append(stream)
    batch.versions.append(version)
    batch.topics.append(draft.fields["type"])
    batch.states.append(leaf(draft, version, recorded_at))
    for key_id, blob in draft.sealed:
        batch.sealed.append((batch.size, key_id, blob))
    return version


def _add_beside(batch: Batch, item: Item, first: int) -> None:
    batch.keys += item.keys
    batch.artifacts += [
        (row.artifact_id, first + index, row.key_id, row.media_type, row.body_bytes, row.sealed)
        for index, row in item.artifacts
    ]
    batch.lookups += [
        (row.digest, row.stream, row.recipient, first + index, row.exclusive) for index, row in item.lookups
    ]
    batch.duplicates += [(key, first + index) for index, key in item.duplicates]
    batch.outbox += item.outbox
    batch.joins += [(stream, first + index, into) for index, stream, into in item.joins]
