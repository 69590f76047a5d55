"""The full check: everything that can be computed is computed again and held against what is stored and what was signed.

Bytes, leaves, tile hashes and the root at every head in the database; every signed head under the keys of its time; versions without a
gap; the values still held against their commitments, and originals against the digests committed to; and the guards that keep the past
from being changed. A verdict is a list of problems, each naming the position and both sides, and in words what somebody could have done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from ledger import guards, identity, notes
from ledger.appender import Item
from ledger.application import OWN_STREAM, OWN_TENANT, Ledger
from ledger.checkpoints import HeadFile, SignedHead
from ledger.erasures import ErasureFile
from ledger.errors import ErasedError, LedgerError
from ledger.events import Event, read
from ledger.identity import Identity
from ledger.notes import NoteError
from ledger.recorders import Head
from ledger.remains import Gone
from ledger.tree import Frontier, TileHash, leaf_hash

PAGE_EVENTS = 5_000
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
    ledger: Ledger, signed: HeadFile | Sequence[SignedHead] = (), progress: Progress = lambda *_: None
) -> Verdict:
    """Check everything as of the newest head.

    Args:
        signed: the heads ever signed; also copies that were handed out.
        progress: called with (events done, events in all); values are a second pass.
    """
    verdict, size = Verdict(), ledger.head().size
    check_tree(ledger, signed, verdict, lambda done, _: progress(done, 2 * size))
    _check_versions(ledger, verdict)
    gone = Gone(ledger)
    _check_values(ledger, verdict, gone, size, lambda done: progress(size + done, 2 * size))
    _check_artifacts(ledger, verdict)
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


class _Clear(msgspec.Struct):
    """What of an event must agree with the columns beside it."""

    id: str
    stream: str
    version: int
    recorded_at: str


_clear = msgspec.json.Decoder(_Clear)


def check_tree(
    ledger: Ledger, signed: HeadFile | Sequence[SignedHead], verdict: Verdict, progress: Progress = lambda *_: None
) -> None:
    """Leaves, tile hashes, roots and signed heads, in one pass over the events."""
    head, frontier = ledger.head(), Frontier()
    heads = _heads(ledger)
    due = next(heads, None)
    said = _signed_roots(ledger, signed, head.size, verdict)
    recorded = ""
    while frontier.size < head.size and not verdict.is_full:
        page = _page(ledger, frontier.size, head.size)
        if not page or page[0][0] != frontier.size + 1:
            position = frontier.size + 1
            verdict.add("missing", position, f"{_missing(ledger, position)}; the newest head says {head.size}")
            break
        tiles: list[TileHash] = []
        for position, stream, version, state, stored in page:
            if position != frontier.size + 1:
                break
            hashed = leaf_hash(state)
            if hashed != stored:
                verdict.add("event", position, f"stored leaf hash {stored.hex()}, computed {hashed.hex()}")
            recorded = _check_fields(position, stream, version, state, recorded, verdict)
            tiles += frontier.add(hashed)
            if due is not None and due.size == position:
                verdict.heads += 1
                _check_root("head", f"head {due.root.hex()}", due.root, frontier, verdict)
                due = next(heads, None)
            for root, note in said.get(position, ()):
                _check_root("signed", f"signed {root.hex()} ({note})", root, frontier, verdict)
        _check_tiles(ledger, tiles, verdict)
        progress(frontier.size, head.size)
    verdict.size, verdict.root = frontier.size, frontier.root().hex()
    if due is not None and not verdict.problems:
        verdict.add("head", due.size, f"a head of size {due.size} stands over {frontier.size} events")


def _page(ledger: Ledger, after: int, until: int) -> list[tuple[int, str, int, bytes, bytes]]:
    """The next rows by an exact range of positions: a LIMIT would be sorted for on a database without statistics."""
    c = ledger.position_column
    columns = f"{c}, originator_id, originator_version, state, leaf"
    sql = f"SELECT {columns} FROM stored_events WHERE {c} > ? AND {c} <= ? ORDER BY {c}"
    return ledger.database.read(sql, (after, min(after + PAGE_EVENTS, until)))


def _missing(ledger: Ledger, position: int) -> str:
    c = ledger.position_column
    following = ledger.database.read(f"SELECT {c} FROM stored_events WHERE {c} > ? ORDER BY {c} LIMIT 1", (position,))
    return f"is missing, {f'the next one stored is {following[0][0]}' if following else 'and so are all after it'}"


def _heads(ledger: Ledger) -> Iterator[Head]:
    after = 0
    while rows := ledger.database.read(
        "SELECT size, root, recorded_at FROM heads WHERE size > ? ORDER BY size LIMIT 1000", (after,)
    ):
        yield from (Head(size, bytes(root), recorded) for size, root, recorded in rows)
        after = rows[-1][0]


def _check_root(kind: str, said: str, root: bytes, frontier: Frontier, verdict: Verdict) -> None:
    computed = frontier.root()
    if computed != root:
        verdict.add(
            kind, frontier.size, f"root mismatch at tree size {frontier.size}: {said}, computed {computed.hex()}"
        )


def _check_fields(position: int, stream: str, version: int, state: bytes, recorded: str, verdict: Verdict) -> str:  # noqa: PLR0917
    """The event says the same as its row, and its time is not before the one of the event before."""
    try:
        clear = _clear.decode(state)
    except msgspec.DecodeError as error:
        verdict.add("event", position, f"not an event ({error})")
        return recorded
    if (clear.stream, clear.version) != (stream, version):
        verdict.add(
            "event",
            position,
            f"stored as {stream} version {version}, the event says {clear.stream} version {clear.version}",
        )
    if clear.recorded_at < recorded:
        verdict.add("clock", position, f"recorded at {clear.recorded_at}, before {recorded}")
    return max(clear.recorded_at, recorded)


def _check_tiles(ledger: Ledger, tiles: list[TileHash], verdict: Verdict) -> None:
    for tile in tiles:
        sql = "SELECT hash FROM tile_hashes WHERE level = ? AND tile_index = ?"
        stored = [bytes(r[0]) for r in ledger.database.read(sql, (tile.level, tile.tile_index))]
        if stored != [tile.hash]:
            said = stored[0].hex() if stored else "nothing"
            first = (tile.tile_index << 8 * tile.level) + 1
            verdict.add(
                "tile",
                first,
                f"tile hash {tile.tile_index} of level {tile.level}: stored {said}, computed {tile.hash.hex()}",
            )


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


def _check_versions(ledger: Ledger, verdict: Verdict) -> None:
    """Versions of each stream are 1, 2, 3 … in the order of positions; the database counts, so that memory stays flat."""
    c = ledger.position_column
    numbered = (
        f"SELECT {c} AS position, originator_id AS stream, originator_version AS version, "
        f"row_number() OVER (PARTITION BY originator_id ORDER BY {c}) AS expected FROM stored_events"
    )
    sql = f"SELECT position, stream, version, expected FROM ({numbered}) AS numbered WHERE version <> expected ORDER BY position LIMIT ?"
    for position, stream, version, expected in ledger.database.read(sql, (MAX_PROBLEMS,)):
        verdict.add("version", position, f"stream {stream} has version {version}, expected {expected}")


def _check_values(ledger: Ledger, verdict: Verdict, gone: Gone, size: int, progress: Callable[[int], None]) -> None:
    for after in range(0, size, PAGE_VALUES):
        if verdict.is_full:
            return
        events = _readable(ledger, after, min(after + PAGE_VALUES, size))
        try:
            values = ledger.values(events)
        except (LedgerError, KeyError, ValueError, TypeError):
            values = {}
            events = [event for event in events if _opens(ledger, event, values, verdict)]
        verdict.values += sum(map(len, values.values()))
        gone.look(events, values)
        progress(after)


def _readable(ledger: Ledger, after: int, until: int) -> list[Event]:
    """The events of a range of positions; bytes that are none were told before."""
    found, c = [], ledger.position_column
    sql = f"SELECT {c}, state FROM stored_events WHERE {c} > ? AND {c} <= ? ORDER BY {c}"
    for position, state in ledger.database.read(sql, (after, until)):
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


def _check_artifacts(ledger: Ledger, verdict: Verdict) -> None:
    after = ""
    while not verdict.is_full:
        rows = ledger.database.read(
            "SELECT artifact_id, position FROM artifacts WHERE artifact_id > ? ORDER BY artifact_id LIMIT ?",
            (after, PAGE_ARTIFACTS),
        )
        if not rows:
            return
        for artifact_id, position in rows:
            _check_artifact(ledger, artifact_id, position, verdict)
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
