"""The full check: everything that can be computed is computed again and held against what is stored and what was signed.

Bytes, leaves, tile hashes and the root at every head in the database; every signed head under the keys of its time; versions without a
gap; the values still held against their commitments, and originals against the digests committed to; and the guards that keep the past
from being changed. A verdict is a list of problems, each naming the position and both sides, and in words what somebody could have done.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from ledger import guards, identity, notes, ranges
from ledger.appender import Item
from ledger.application import OWN_STREAM, OWN_TENANT, Ledger
from ledger.checkpoints import HeadFile, SignedHead
from ledger.database import Row
from ledger.erasures import ErasureFile
from ledger.errors import ErasedError, LedgerError
from ledger.events import Event, read
from ledger.identity import Identity
from ledger.notes import NoteError
from ledger.ranges import Ask, Range
from ledger.recorders import Head
from ledger.remains import Erasures, Gone
from ledger.reopening import Opened
from ledger.tree import Frontier, TileHash, node_hash

POOLED_EVENTS = 50_000
"""Events up to which starting other processes takes longer than they save."""
PAGE_VALUES = 1_000
PAGE_ARTIFACTS = 200
MAX_PROBLEMS = 100

MEANINGS: dict[str, str] = {
    "event": "the bytes of an event, or the hash stored with them, were changed after they were stored. Whoever can write to the database "
    "could have done it; a proof handed out for that position shows which bytes are true",
    "missing": "events were removed. Whoever can write to the database could have done it; a head that covers them shows "
    "that they were there",
    "tile": "a stored subtree hash was changed: proofs made from it do not verify. The events themselves are not touched by it",
    "head": "a root that the database remembers does not belong to its events: either was changed after the fact",
    "signed": "the history below a head that was signed is another one now. Whoever can write to the database can recompute the whole "
    "tree, but cannot sign: the signed head, and every copy of it that was handed out, is the witness",
    "signature": "the file of signed heads was changed, or a head was signed with a key that was not in use. Whoever can write to that "
    "file could have done it; copies made by `checkpoint push` show what it said",
    "version": "the events of a stream are not numbered in their order: one was removed, added or moved together with its hashes",
    "clock": "the log's clock ran back, which no append does",
    "value": "a value beside the log is not the one that was committed to when it was stored. What the event commits to still holds",
    "original": "an original is not the one whose digest was committed to when it was stored, or is gone. What the event commits to "
    "still holds",
    "erased": "what the log, or the journal beside it, says was erased is there still: it was not carried out yet, came late, or a "
    "backup was put back. Repair: delivery-ledger erase carry-out",
    "gone": "what an event committed to was destroyed beside the ledger: no event says that it was erased. Whoever may delete keys "
    "could have done it. What the event commits to still holds, and a backup may have it",
    "journal": "the journal of erasures was changed. Whoever could write to that file could have done it; what the log itself says was "
    "erased is not touched by it",
    "guard": "the past could be changed without an error since this guard is gone. Whoever owns the tables could have removed it; it "
    "proves no change, the other checks do. Repair: delivery-ledger db migrate",
}
"""Kind of problem -> what it means, and who could have done it."""


class Problem(msgspec.Struct, frozen=True):
    """Something does not hold.

    Attributes:
        position: where it shows first; 0 when it concerns no event.
        text: both sides.
    """

    kind: str
    position: int
    text: str

    def __str__(self) -> str:
        return f"position {self.position}: {self.text}" if self.position else self.text

    @property
    def meaning(self) -> str:
        return MEANINGS[self.kind]


@dataclass(slots=True)
class Verdict:
    """What a check found.

    Attributes:
        size: events checked.
        root: computed over them, hex.
        heads, signed_heads: compared, of the database and of the file.
        left_behind: signed heads of an earlier epoch over events that were lost, as the log itself says.
        values, artifacts: opened and compared.
        problems: at most about a hundred; empty means that everything agrees.
    """

    size: int = 0
    root: str = ""
    heads: int = 0
    signed_heads: int = 0
    left_behind: int = 0
    values: int = 0
    artifacts: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.problems

    @property
    def is_full(self) -> bool:
        """Enough was found; the rest would only be more of it."""
        return len(self.problems) >= MAX_PROBLEMS

    @property
    def first(self) -> Problem | None:
        """The problem at the lowest position."""
        placed = [p for p in self.problems if p.position]
        return min(placed or self.problems, key=lambda p: p.position, default=None)

    def add(self, kind: str, position: int, text: str) -> None:
        self.problems.append(Problem(kind, position, text))


Progress = Callable[[int, int], None]


def check(
    ledger: Ledger,
    signed: HeadFile | Sequence[SignedHead] = (),
    progress: Progress = lambda *_: None,
    processes: int | None = None,
) -> Verdict:
    """Check everything as of the newest head.

    Args:
        signed: the heads ever signed; also copies that were handed out.
        progress: called with (events done, events in all).
        processes: how many others look at a large log; as many as there are processors unless said. A small one, or one seen
            through a snapshot, is looked at in this.
    """
    verdict, gone = Verdict(), Gone(ledger)
    head = ledger.head()
    processes = os.cpu_count() or 1 if processes is None else processes
    looked = _looked(ledger, head.size, gone.erasures, processes)
    with ThreadPoolExecutor(1) as meanwhile:
        versions = meanwhile.submit(_wrong_versions, ledger)
        opened = _check_tree(ledger, signed, verdict, head, looked, progress)
    for position, stream, version, expected in versions.result():
        verdict.add("version", position, f"stream {stream} has version {version}, expected {expected}")
    _check_values(ledger, verdict, gone, opened, head.size)
    _check_unnamed(ledger, verdict, opened)
    _check_erasures(ledger, verdict, gone, signed)
    for line in guards.missing(ledger.database):
        verdict.add("guard", 0, line)
    return verdict


def record(ledger: Ledger, verdict: Verdict) -> int:
    """Append the verdict to the log.

    Returns:
        Its position.
    """
    first = verdict.first
    numbers = {
        "heads": verdict.heads,
        "signed_heads": verdict.signed_heads,
        "values": verdict.values,
        "artifacts": verdict.artifacts,
        "problems": len(verdict.problems),
        **({"first_wrong": first.position} if first else {}),
    }
    clear = {"tree_size": verdict.size, "root": verdict.root, "numbers": numbers}
    return ledger.append(Item([ledger.draft("ledger.checked", OWN_TENANT, OWN_STREAM, clear)])).positions[0]


# --- the tree


class _Looked(NamedTuple):
    """How ranges are looked at: one of them here, and all, here or elsewhere."""

    one: Callable[[Ask], Range]
    every: Callable[[Iterable[Ask]], Iterable[Range]]


def _looked(ledger: Ledger, size: int, erasures: Erasures, processes: int) -> _Looked:
    look = ranges.Looker(ledger.database, ledger.keyring, ledger.artifact_folder, erasures).look
    if processes and size > POOLED_EVENTS:
        return _Looked(look, lambda asks: ranges.pooled(ledger, erasures, asks, processes))
    return _Looked(look, lambda asks: map(look, asks))


def _check_tree(  # noqa: PLR0917
    ledger: Ledger,
    signed: HeadFile | Sequence[SignedHead],
    verdict: Verdict,
    head: Head,
    looked: _Looked,
    progress: Progress,
) -> list[Opened]:
    """Leaves, tile hashes, roots and signed heads, in one pass over the events; what lies beside them was opened on the way."""
    said = _signed_roots(ledger, signed, head.size, verdict)
    tree = _Whole(ledger, said, verdict)
    sizes, step = sorted(said), 1 << ranges.HEIGHT
    bounds = ((after, min(after + step, head.size)) for after in range(0, head.size, step))
    asks = (Ask(after, until, sizes[bisect(sizes, after) : bisect(sizes, until)]) for after, until in bounds)
    opened = []
    for found in looked.every(asks):
        if tree.is_followed_by(found):
            is_early = found.earliest and found.earliest < tree.recorded
            tree.add(looked.one(found.ask._replace(recorded=tree.recorded)) if is_early else found)
        opened.append(found.opened)
        progress(found.ask.until, head.size)
    verdict.size, verdict.root = tree.frontier.size, tree.frontier.root().hex()
    if tree.frontier.size < head.size and not verdict.is_full:
        position = tree.frontier.size + 1
        verdict.add("missing", position, f"{_missing(ledger, position)}; the newest head says {head.size}")
    stray = ledger.database.read("SELECT size FROM heads WHERE size < 1 ORDER BY size LIMIT 1")
    if stray and not verdict.problems:
        verdict.add("head", stray[0][0], f"a head of size {stray[0][0]} stands over {verdict.size} events")
    return opened


class _Whole:
    """The tree over ranges.

    Attributes:
        frontier: over those that were added.
        recorded: the latest time in them.
    """

    def __init__(self, ledger: Ledger, said: dict[int, list[tuple[bytes, str]]], verdict: Verdict) -> None:
        self.frontier = Frontier()
        self.recorded = ""
        self._ledger = ledger
        self._said = said
        self._verdict = verdict

    def is_followed_by(self, found: Range) -> bool:
        """Whether a range has a place in the tree: nothing is missing before it."""
        return self.frontier.size == found.ask.after and not self._verdict.is_full

    def add(self, found: Range) -> None:
        """Add the range that follows, and hold what it holds against what is stored and what was signed."""
        self._verdict.problems += [Problem(*told) for told in found.told]
        for size, root in found.heads:
            if size in found.hashes:
                self._verdict.heads += 1
                self._check_root("head", f"head {root.hex()}", root, size, found)
        for size in found.ask.sizes:
            for root, note in self._said[size] if size in found.hashes else ():
                self._check_root("signed", f"signed {root.hex()} ({note})", root, size, found)
        tiles = list(found.tiles)
        for node, height in zip(found.peaks, _heights(found.size - found.ask.after), strict=True):
            tiles += self.frontier.add_subtree(node, height)
        self._check_tiles(tiles)
        self.recorded = max(self.recorded, found.latest)

    def _check_root(self, kind: str, said: str, root: bytes, size: int, found: Range) -> None:
        computed = found.hashes[size]
        for peak in reversed(self.frontier.peaks):
            computed = node_hash(peak, computed)
        if computed != root:
            text = f"root mismatch at tree size {size}: {said}, computed {computed.hex()}"
            self._verdict.add(kind, size, text)

    def _check_tiles(self, tiles: list[TileHash]) -> None:
        for level, of_level in groupby(sorted(tiles), key=lambda tile: tile.level):
            computed = {tile.tile_index: tile.hash for tile in of_level}
            sql = "SELECT tile_index, hash FROM tile_hashes WHERE level = ? AND tile_index >= ? AND tile_index <= ?"
            rows = self._ledger.database.read(sql, (level, min(computed), max(computed)))
            stored = {index: bytes(hashed) for index, hashed in rows}
            for index, hashed in computed.items():
                if stored.get(index) != hashed:
                    said = stored[index].hex() if index in stored else "nothing"
                    text = f"tile hash {index} of level {level}: stored {said}, computed {hashed.hex()}"
                    self._verdict.add("tile", (index << 8 * level) + 1, text)


def _heights(size: int) -> list[int]:
    """Of the perfect subtrees of a tree of that size, largest first."""
    return [height for height in reversed(range(size.bit_length())) if size >> height & 1]


def _missing(ledger: Ledger, position: int) -> str:
    c = ledger.position_column
    following = ledger.database.read(f"SELECT {c} FROM stored_events WHERE {c} > ? ORDER BY {c} LIMIT 1", (position,))
    return f"is missing, {f'the next one stored is {following[0][0]}' if following else 'and so are all after it'}"


# --- signed heads


def _signed_roots(
    ledger: Ledger, signed: HeadFile | Sequence[SignedHead], size: int, verdict: Verdict
) -> dict[int, list[tuple[bytes, str]]]:
    """Size -> roots that were signed for it and must be met; signatures are checked on the way."""
    told = _identities(ledger)
    found: dict[int, list[tuple[bytes, str]]] = {}
    try:
        for head in signed:
            who, fits = _identity_of(told, head)
            _check_signature(who, head, verdict)
            of = head.checkpoint
            if of.size > fits:
                verdict.left_behind += 1
                continue
            verdict.signed_heads += 1
            if of.size > size:
                verdict.add("signed", size + 1, f"a head of {of.size} events was signed, this database holds {size}")
            elif not of.size and of.root != Frontier().root():
                verdict.add("signed", 0, f"the root of no events was signed as {of.root.hex()}")
            elif (of.root, of.origin) not in found.setdefault(of.size, []):
                found[of.size].append((of.root, of.origin))
            if verdict.is_full:
                break
    except (NoteError, ValueError, KeyError) as error:
        verdict.add("signature", 0, f"the file of signed heads cannot be read: {error}")
    return found


class _Told(NamedTuple):
    """Who the log was from a position on; `fits` is how far the epoch before still holds, where one begins here."""

    position: int
    identity: Identity
    fits: int | None


def _identities(ledger: Ledger) -> list[_Told]:
    told: list[_Told] = []
    who: Identity | None = None
    for event in ledger.stream(identity.STREAM):
        following = identity.fold([event], who)
        if following is not None and following != who:
            fits = event.fields["numbers"]["fits"] if event.type == "log.succeeded" else None
            told.append(_Told(event.position, following, fits))
        who = following
    return told


def _identity_of(told: list[_Told], head: SignedHead) -> tuple[Identity | None, float]:
    """Who the log was at the size and in the epoch of a head, and up to which size heads of that epoch must fit today's tree."""
    of = head.checkpoint
    epoch = max((t.identity.epoch_of(of.origin) for t in told), default=0)
    who = next((t.identity for t in reversed(told) if t.position <= of.size and t.identity.epoch == epoch), None)
    return who, min((t.fits for t in told if t.fits is not None and t.identity.epoch > epoch), default=float("inf"))


def _check_signature(who: Identity | None, head: SignedHead, verdict: Verdict) -> None:
    of = head.checkpoint
    if who is None:
        if verdict.left_behind or not of.size:  # the log of that epoch is gone, and the names of its keys with it
            return
        verdict.add("signature", 0, f"the head of {of.size} events is {of.origin}'s, which this log never was")
        return
    try:
        good = notes.verified_by(notes.parse(head.note), who.keys)
    except NoteError as error:
        verdict.add("signature", of.size, f"the signed head of {of.size} events: {error}")
        return
    if {key.key_id for key in good} != {key.key_id for key in who.keys}:
        lacks = ", ".join(key.key_id.hex() for key in who.keys if key not in good)
        verdict.add(
            "signature", of.size, f"the signed head of {of.size} events lacks the signature of key {lacks}, in use then"
        )


# --- streams, values, originals


def _wrong_versions(ledger: Ledger) -> list[Row]:
    """Versions of each stream are 1, 2, 3 … in the order of positions; the database counts, so that memory stays flat."""
    c = ledger.position_column
    # SQLite's index by stream holds positions, too. PostgreSQL would fetch every row through its index, a page of the table each time:
    # read in order and sorted it takes a quarter to half of that.
    stream = "originator_id" if ledger.database.kind == "sqlite" else "originator_id || ''"
    numbered = (
        f"SELECT {c} AS position, originator_id AS stream, originator_version AS version, "
        f"row_number() OVER (PARTITION BY {stream} ORDER BY {c}) AS expected FROM stored_events"
    )
    sql = f"SELECT * FROM ({numbered}) AS numbered WHERE version <> expected ORDER BY position LIMIT ?"
    return ledger.database.read(sql, (MAX_PROBLEMS,))


def _check_values(ledger: Ledger, verdict: Verdict, gone: Gone, opened: Sequence[Opened], size: int) -> None:
    """What was opened, and what was in doubt or came after too much of that: it is opened once more, one event after the other."""
    step = 1 << ranges.HEIGHT
    for number, each in enumerate(opened):
        verdict.values += each.values
        verdict.artifacts += each.originals
        gone.add(each.missing)
        for position in each.doubtful:
            _check_beside(ledger, verdict, gone, position - 1, position)
        for after in range(each.until, min((number + 1) * step, size), PAGE_VALUES):
            _check_beside(ledger, verdict, gone, after, min(after + PAGE_VALUES, size))


def _check_beside(ledger: Ledger, verdict: Verdict, gone: Gone, after: int, until: int) -> None:
    """What lies beside the events of a range of positions."""
    if verdict.is_full:
        return
    events = _readable(ledger, after, until)
    try:
        values = ledger.values(events)
    except (LedgerError, KeyError, ValueError, TypeError):
        values = {}
        fine = [event for event in events if _opens(ledger, event, values, verdict)]
    else:
        fine = events
    verdict.values += sum(map(len, values.values()))
    gone.look(fine, values)
    named = [(artifact, event.position) for event in events for artifact in event.fields.get("artifacts", ())]
    rows = ledger.database.probe("artifacts", "artifact_id, position", "artifact_id", [name for name, _ in named])
    for artifact, position in sorted(set(named) & set(rows)):
        _check_artifact(ledger, artifact, position, verdict)


def _readable(ledger: Ledger, after: int, until: int) -> list[Event]:
    """The events of a range of positions; bytes that are none were told before."""
    c = ledger.position_column
    sql = f"SELECT {c}, state FROM stored_events WHERE {c} > ? AND {c} <= ? ORDER BY {c}"
    return _events(ledger.database.read(sql, (after, until)))


def _events(rows: Iterable[Row]) -> list[Event]:
    found = []
    for position, state in rows:
        with suppress(LedgerError, KeyError):
            event = read(position, bytes(state))
            if event.id and event.stream:
                found.append(event)
    return found


def _opens(ledger: Ledger, event: Event, values: dict[int, dict[str, Any]], verdict: Verdict) -> bool:
    """Whether the values of an event open its commitments; they are added to `values`."""
    try:
        values |= ledger.values([event])
    except (LedgerError, KeyError, ValueError, TypeError) as error:
        told = str(error) if isinstance(error, LedgerError) else "what is sealed beside it does not belong to it"
        verdict.add("value", event.position, told)
        return False
    return True


def _check_erasures(ledger: Ledger, verdict: Verdict, gone: Gone, signed: HeadFile | Sequence[SignedHead]) -> None:
    """What is gone without a word, and what is there in spite of one: in the database, or in the journal beside the signed heads."""
    for position, text in gone.told():
        verdict.add("gone", position, text)
    for position, text in gone.left():
        if verdict.is_full:
            return
        verdict.add("erased", position, text)
    if isinstance(signed, HeadFile):
        lacking = ErasureFile(signed.path.parent).lacking(ledger)
        for line in lacking.lines:
            verdict.add(
                "erased",
                0,
                f"the journal says that event {line.id} erased something of {line.stream}, this log does not",
            )
        if lacking.unreadable:
            verdict.add(
                "journal", 0, f"{lacking.unreadable} lines of the journal of erasures are none of this ledger's"
            )


def _check_unnamed(ledger: Ledger, verdict: Verdict, opened: Sequence[Opened]) -> None:
    """Originals that no event names, or another than the one they are said to have come with: the others were opened with their events."""
    ((count,),) = ledger.database.read("SELECT count(*) FROM artifacts")
    after, met = "", sum(each.rows for each in opened)
    while met != count and not verdict.is_full:
        rows = ledger.database.read(
            "SELECT artifact_id, position FROM artifacts WHERE artifact_id > ? ORDER BY artifact_id LIMIT ?",
            (after, PAGE_ARTIFACTS),
        )
        if not rows:
            return
        positions = sorted({position for _, position in rows})
        c = ledger.position_column
        events = _events(ledger.database.probe("stored_events", f"{c}, state", c, positions))
        named = {(artifact, event.position) for event in events for artifact in event.fields.get("artifacts", ())}
        for artifact, position in rows:
            if (artifact, position) not in named:
                _check_artifact(ledger, artifact, position, verdict)
        after = rows[-1][0]


def _check_artifact(ledger: Ledger, artifact_id: str, position: int, verdict: Verdict) -> None:
    try:
        event = ledger.event(position)
        index = list(event.fields.get("artifacts", ())).index(artifact_id)
        committed = ledger.values([event]).get(position, {}).get(f"artifact.{index}")
        body = ledger.artifact(artifact_id).body
    except ErasedError:
        return
    except (LedgerError, OSError, KeyError, ValueError, TypeError) as error:
        told = str(error) if isinstance(error, LedgerError | OSError) else "its event does not name it"
        verdict.add("original", position, f"original {artifact_id}: {told}")
        return
    if committed is not None:
        verdict.artifacts += 1
        found = hashlib.sha256(body).hexdigest()
        if found != committed["sha256"]:
            verdict.add(
                "original",
                position,
                f"original {artifact_id}: committed to {committed['sha256']}, its bytes give {found}",
            )
