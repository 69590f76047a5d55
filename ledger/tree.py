"""The Merkle tree of RFC 6962: hashing, the frontier that appends, inclusion and consistency proofs.

`tree_size` counts leaves, `leaf_index` starts at 0. Nothing here does I/O: callers hand in hashes.

Source: RFC 6962 section 2.1; tile hashes as in C2SP tlog-tiles (a hash of level L covers 256**L leaves).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

_sha256 = hashlib.sha256


def leaf_hash(leaf: bytes) -> bytes:
    return _sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\1" + left + right).digest()


class TileHash(NamedTuple):
    """The root of 256**level leaves, complete; `tile_index` counts such subtrees from 0."""

    level: int
    tile_index: int
    hash: bytes


class Frontier:
    """The roots of the perfect subtrees that make up a tree, largest first: all an append needs.

    Attributes:
        size: tree_size.
        peaks: one hash per set bit of `size`, from the largest subtree to the smallest.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)

    def copy(self) -> Frontier:
        return Frontier(self.size, self.peaks)

    def add(self, leaf: bytes) -> list[TileHash]:
        """Append one leaf hash.

        Returns:
            The tile hashes of level >= 1 that this leaf completed.
        """
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> list[TileHash]:
        """Append leaf hashes; as `add` for each."""
        tiles: list[TileHash] = []
        peaks, size = self.peaks, self.size
        for leaf in leaves:
            node, rest, height = leaf, size, 0
            while rest & 1:
                node = _sha256(b"\1" + peaks.pop() + node).digest()
                rest >>= 1
                height += 1
                if not height % TILE_HEIGHT:
                    tiles.append(TileHash(height // TILE_HEIGHT, size >> height, node))
            peaks.append(node)
            size += 1
        self.size = size
        return tiles

    def add_subtree(self, node: bytes, height: int) -> list[TileHash]:
        """Append a perfect subtree of 2**height leaves where one begins, that is where `size` is a multiple of that.

        Returns:
            The tile hashes above it that it completed.
        """
        tiles: list[TileHash] = []
        begin, rest = self.size, self.size >> height
        self.size += 1 << height
        while rest & 1:
            node = node_hash(self.peaks.pop(), node)
            rest >>= 1
            height += 1
            if height % TILE_HEIGHT == 0:
                tiles.append(TileHash(height // TILE_HEIGHT, begin >> height, node))
        self.peaks.append(node)
        return tiles

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


NodeAt = Callable[[int, int], bytes]
"""(height, index) -> hash of the perfect subtree of 2**height leaves that starts at leaf index << height."""


def node_in_tiles(tile: Callable[[int, int], Sequence[bytes]]) -> NodeAt:
    """Subtrees from the tiles they lie in, each of which is asked for once: a proof needs two or three of every level.

    Args:
        tile: (level, tile index) -> up to 256 hashes of subtrees of 256**level leaves.
    """
    known = cache(tile)

    def node_at(height: int, index: int) -> bytes:
        level, rest = divmod(height, TILE_HEIGHT)
        begin = index << rest
        hashes = known(level, begin >> TILE_HEIGHT)
        within = begin & (TILE_WIDTH - 1)
        return root_of(hashes[within : within + (1 << rest)])

    return node_at


def range_root(begin: int, end: int, node_at: NodeAt) -> bytes:
    """The RFC 6962 hash over leaves begin <= i < end, from perfect subtrees."""
    width = end - begin
    height = width.bit_length() - 1
    if width == 1 << height:
        return node_at(height, begin >> height)
    split = 1 << height
    return node_hash(range_root(begin, begin + split, node_at), range_root(begin + split, end, node_at))


def _split(width: int) -> int:
    return 1 << ((width - 1).bit_length() - 1)


def inclusion_proof(leaf_index: int, tree_size: int, node_at: NodeAt) -> list[bytes]:
    """RFC 6962 section 2.1.1.

    Raises:
        IndexError: the leaf is not in a tree of that size.
    """
    if not 0 <= leaf_index < tree_size:
        msg = f"leaf {leaf_index} is not in a tree of {tree_size}"
        raise IndexError(msg)
    proof: list[bytes] = []
    begin, end = 0, tree_size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if leaf_index < middle:
            proof.append(range_root(middle, end, node_at))
            end = middle
        else:
            proof.append(range_root(begin, middle, node_at))
            begin = middle
    return proof[::-1]


def consistency_proof(old_size: int, tree_size: int, node_at: NodeAt) -> list[bytes]:
    """RFC 6962 section 2.1.2, for 0 < old_size <= tree_size.

    Raises:
        IndexError: the sizes are out of range.
    """
    if not 0 < old_size <= tree_size:
        msg = f"no consistency proof from {old_size} to {tree_size}"
        raise IndexError(msg)
    proof: list[bytes] = []
    begin, end, whole = 0, tree_size, True
    while end > old_size or not whole:
        if end == old_size:
            proof.append(range_root(begin, end, node_at))
            break
        middle = begin + _split(end - begin)
        if old_size <= middle:
            proof.append(range_root(middle, end, node_at))
            end = middle
        else:
            proof.append(range_root(begin, middle, node_at))
            begin, whole = middle, False
    return proof[::-1]


def verify_inclusion(leaf: bytes, leaf_index: int, tree_size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2 (the same tree as RFC 6962)."""
    if not 0 <= leaf_index < tree_size or any(len(hashed) != HASH_BYTES for hashed in (leaf, root, *proof)):
        return False
    fn, sn, node = leaf_index, tree_size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            node = node_hash(node, sibling)
        fn >>= 1
        sn >>= 1
    return sn == 0 and node == root


def verify_consistency(old_size: int, old_root: bytes, tree_size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2."""
    if not 0 < old_size <= tree_size:
        return False
    if old_size == tree_size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old_size - 1, tree_size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old_node = node_hash(sibling, old_node)
            new_node = node_hash(sibling, new_node)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            new_node = node_hash(new_node, sibling)
        fn >>= 1
        sn >>= 1
    return sn == 0 and old_node == old_root and new_node == root
