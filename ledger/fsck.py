"""The full check: every stored byte is hashed again and compared with the tree, every head, every tile hash and every stream.

It trusts nothing that it can compute. What it finds is a list of problems, each naming the position and both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ledger.application import Ledger
from ledger.canonical import decode
from ledger.errors import InvalidEventError
from ledger.recorders import Head
from ledger.tree import Frontier, TileHash, leaf_hash

PAGE_EVENTS = 5_000
MAX_PROBLEMS = 100


@dataclass(slots=True)
class Verdict:
    """What a check found.

    Attributes:
        size: events checked.
        root: computed over them, hex.
        heads: heads compared.
        problems: in order of position; empty means that everything agrees.
    """

    size: int = 0
    root: str = ""
    heads: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.problems


def check(ledger: Ledger, progress: Callable[[int, int], None] = lambda *_: None) -> Verdict:
    """Check the whole log as of the newest head.

    Args:
        progress: called with (events done, events in all).
    """
    head = ledger.head()
    verdict = Verdict()
    frontier = Frontier()
    heads = _heads(ledger)
    due = next(heads, None)
    versions: dict[str, int] = {}
    last_recorded = ""
    while frontier.size < head.size and len(verdict.problems) < MAX_PROBLEMS:
        page = ledger.leaves(frontier.size, min(PAGE_EVENTS, head.size - frontier.size))
        if not page:
            verdict.problems.append(
                f"position {frontier.size + 1} and all after it are missing; the newest head says {head.size}"
            )
            break
        tiles: list[TileHash] = []
        for position, state, stored in page:
            if position != frontier.size + 1:
                verdict.problems.append(f"position {frontier.size + 1} is missing; the next one stored is {position}")
                verdict.size = frontier.size
                return verdict
            hashed = leaf_hash(state)
            if hashed != stored:
                verdict.problems.append(
                    f"position {position}: stored leaf hash {stored.hex()}, computed {hashed.hex()}"
                )
            last_recorded = _check_event(position, state, versions, last_recorded, verdict.problems)
            tiles += frontier.add(hashed)
            while due is not None and due.size == frontier.size:
                _check_head(due, frontier, verdict)
                due = next(heads, None)
        _check_tiles(ledger, tiles, verdict.problems)
        progress(frontier.size, head.size)
    if due is not None and not verdict.problems:
        verdict.problems.append(f"a head of size {due.size} stands over {frontier.size} events")
    verdict.size, verdict.root = frontier.size, frontier.root().hex()
    return verdict


def _heads(ledger: Ledger) -> Iterator[Head]:
    after = 0
    while rows := ledger.database.read(
        "SELECT size, root, recorded_at FROM heads WHERE size > ? ORDER BY size LIMIT 1000", (after,)
    ):
        yield from (Head(size, bytes(root), recorded) for size, root, recorded in rows)
        after = rows[-1][0]


def _check_head(head: Head, frontier: Frontier, verdict: Verdict) -> None:
    verdict.heads += 1
    root = frontier.root()
    if root != head.root:
        verdict.problems.append(
            f"root mismatch at tree size {head.size}: head {head.root.hex()}, computed {root.hex()}"
        )


def _check_event(position: int, state: bytes, versions: dict[str, int], last_recorded: str, problems: list[str]) -> str:
    """Versions of a stream are 1, 2, 3 …; recorded_at never runs back."""
    try:
        fields = decode(state)
        stream, version, recorded = fields["stream"], fields["version"], fields["recorded_at"]
    except (InvalidEventError, KeyError, TypeError) as error:
        problems.append(f"position {position}: not an event ({error})")
        return last_recorded
    expected = versions.get(stream, 0) + 1
    if version != expected:
        problems.append(f"position {position}: stream {stream} has version {version}, expected {expected}")
    versions[stream] = version
    if recorded < last_recorded:
        problems.append(f"position {position}: recorded at {recorded}, before {last_recorded}")
    return max(str(recorded), last_recorded)


def _check_tiles(ledger: Ledger, tiles: list[TileHash], problems: list[str]) -> None:
    for tile in tiles:
        sql = "SELECT hash FROM tile_hashes WHERE level = ? AND tile_index = ?"
        stored = [bytes(r[0]) for r in ledger.database.read(sql, (tile.level, tile.tile_index))]
        if stored != [tile.hash]:
            said = stored[0].hex() if stored else "nothing"
            problems.append(f"tile hash {tile.tile_index} of level {tile.level}: stored {said}, computed {tile.hash.hex()}")
