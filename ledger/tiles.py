"""The tree as C2SP tlog-tiles: paths, hash tiles and entry bundles, read from what is stored.

Source: c2sp.org/tlog-tiles. A tile of level L and index N holds hashes N * 256 … of subtrees of 256**L leaves; a bundle holds the
leaves themselves, each behind two bytes of length. A partial tile is a prefix of the full one, so any width is the same bytes for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ledger.application import Ledger
from ledger.errors import NotFoundError
from ledger.tree import TILE_HEIGHT, TILE_WIDTH

ENTRIES = -1
"""Level of entry bundles, which lie beside level 0."""
PATH = r"(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?"
_TILE = re.compile(rf"(entries|0|[1-9]|[1-5][0-9]|6[0-3])/({PATH})")


class Tile(NamedTuple):
    """Which hashes or entries: `width` is 256 for a full tile."""

    level: int
    tile_index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """As in `tile/<L>/<N>[.p/<W>]`, without `tile/`."""
        groups = f"{self.tile_index:03}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[i : i + 3] for i in range(0, len(groups), 3)]
        numbered = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"{level}/{numbered}" + (f".p/{self.width}" if self.width < TILE_WIDTH else "")

    def is_in(self, tree_size: int) -> bool:
        """Whether a tree of that size has it."""
        complete = tree_size >> TILE_HEIGHT * max(self.level, 0)
        return self.tile_index * TILE_WIDTH + self.width <= complete


def parse(path: str) -> Tile:
    """A tile from its path.

    Raises:
        NotFoundError: no tile has that path.
    """
    found = _TILE.fullmatch(path)
    if found:
        numbered, _, width = found[2].partition(".p/")
        index = int(numbered.replace("x", "").replace("/", ""))
        tile = Tile(ENTRIES if found[1] == "entries" else int(found[1]), index, int(width or TILE_WIDTH))
        if tile.path == path:  # also refuses needless zeroes and .p/256
            return tile
    msg = "there is no tile of that path; see c2sp.org/tlog-tiles"
    raise NotFoundError(msg)


def hashes(ledger: Ledger, tile: Tile) -> bytes:
    """A hash tile: `width` hashes of 32 bytes."""
    begin, end = tile.tile_index * TILE_WIDTH, tile.tile_index * TILE_WIDTH + tile.width
    if tile.level:
        sql = "SELECT hash FROM tile_hashes WHERE level = ? AND tile_index >= ? AND tile_index < ? ORDER BY tile_index"
        rows = ledger.database.read(sql, (tile.level, begin, end))
    else:
        sql = "SELECT leaf FROM leaf_hashes WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id"
        rows = ledger.database.read(sql, (begin, end))
    return b"".join(bytes(row[0]) for row in rows)


def entries(ledger: Ledger, tile: Tile) -> list[bytes]:
    """The leaves of an entry bundle."""
    return [leaf for _, leaf, _ in ledger.leaves(tile.tile_index * TILE_WIDTH, tile.width)]


def bundle(leaves: list[bytes]) -> bytes:
    """Leaves as an entry bundle."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def all_of(tree_size: int) -> Iterator[Tile]:
    """Every tile of a tree, bundles first, partial ones included."""
    for level in (ENTRIES, *range(8)):
        complete = tree_size >> TILE_HEIGHT * max(level, 0)
        full, rest = divmod(complete, TILE_WIDTH)
        yield from (Tile(level, index) for index in range(full))
        if rest:
            yield Tile(level, full, rest)
