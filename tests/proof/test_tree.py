"""The tree against RFC 6962 written out a second time, and clients that know nothing but tiles."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import tiles, tree
from ledger.errors import NotFoundError
from ledger.tiles import ENTRIES, Tile
from tests.proof.kit import Installation, flipped, grow, naive_consistency, naive_path, naive_root

LEAVES = [tree.leaf_hash(b"leaf %d" % number) for number in range(600)]
EDGES = sorted({size + d for size in (1, 2, 4, 8, 64, 256, 512) for d in (-1, 0, 1)} - {0})


def node_of(height: int, index: int) -> bytes:
    return naive_root(LEAVES[index << height : (index + 1) << height])


@pytest.mark.parametrize("size", [0, *EDGES])
def test_root_at_and_beside_every_power_of_two_is_that_of_the_rfc(size: int) -> None:
    """2^k, 2^k - 1 and 2^k + 1 leaves hash as RFC 6962 section 2.1 says."""
    assert naive_root(LEAVES[:size]) == tree.root_of(LEAVES[:size])
    assert naive_root(LEAVES[:size]) == (tree.range_root(0, size, node_of) if size else tree.EMPTY_ROOT)


@given(st.data())
def test_inclusion_proof_is_the_path_of_the_rfc_and_holds_for_no_other_leaf(data: st.DataObject) -> None:
    """PATH(m, D[n]) word for word; it verifies, and one changed bit anywhere does not."""
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    proof, root = tree.inclusion_proof(index, size, node_of), naive_root(LEAVES[:size])
    assert naive_path(index, LEAVES[:size]) == proof
    assert tree.verify_inclusion(LEAVES[index], index, size, proof, root)
    assert not tree.verify_inclusion(flipped(LEAVES[index], 3), index, size, proof, root)
    for at in range(len(proof)):
        wrong = [*proof[:at], flipped(proof[at], 31), *proof[at + 1 :]]
        assert not tree.verify_inclusion(LEAVES[index], index, size, wrong, root)
    assert not tree.verify_inclusion(LEAVES[index], index, size, [*proof, LEAVES[0]], root)


@given(st.data())
def test_consistency_proof_is_the_subproof_of_the_rfc_and_holds_for_no_other_root(data: st.DataObject) -> None:
    """PROOF(m, D[n]) word for word; it verifies for the two roots and for no others."""
    new = data.draw(st.integers(1, len(LEAVES)))
    old = data.draw(st.integers(1, new))
    proof = tree.consistency_proof(old, new, node_of)
    old_root, root = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    assert naive_consistency(old, LEAVES[:new]) == proof
    assert tree.verify_consistency(old, old_root, new, root, proof)
    assert not tree.verify_consistency(old, flipped(old_root, 0), new, root, proof)
    assert not tree.verify_consistency(old, old_root, new, flipped(root, 0), proof)


@given(st.integers(-1, 63), st.integers(0, 10**10), st.integers(1, 256))
def test_tile_path_is_read_back_as_the_tile_it_names(level: int, number: int, width: int) -> None:
    """Every tile has one path and every path one tile."""
    tile = Tile(level, number, width)
    assert tile == tiles.parse(tile.path)


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("0/x001/x234/067", Tile(0, 1_234_067)),
        ("2/000.p/1", Tile(2, 0, 1)),
        ("entries/x001/000.p/255", Tile(ENTRIES, 1000, 255)),
    ],
)
def test_tile_paths_are_those_of_the_format(path: str, tile: Tile) -> None:
    """C2SP tlog-tiles writes an index in groups of three digits; 1234067 is its own example."""
    assert path == tile.path


@pytest.mark.parametrize(
    "path",
    ["0/x000/001", "0/1", "00/001", "64/000", "0/001.p/0", "0/001.p/256", "0/001.p/01", "0/001/002", "-1/000", ""],
)
def test_path_that_is_not_canonical_is_no_tile(path: str) -> None:
    """Two paths for the same bytes would be two cache entries for one truth."""
    with pytest.raises(NotFoundError):
        tiles.parse(path)


def test_tiles_of_a_tree_of_seventy_thousand_are_those_the_format_counts() -> None:
    """The example of C2SP tlog-tiles: 273 full and a partial tile of 112, one full and a partial of 17, a partial of 1."""
    found = [tile for tile in tiles.all_of(70_000) if tile.level >= 0]
    partial = [(tile.level, tile.tile_index, tile.width) for tile in found if tile.width < 256]
    assert [(0, 273, 112), (1, 1, 17), (2, 0, 1)] == partial
    assert (273, 1) == tuple(sum(t.level == level and t.width == 256 for t in found) for level in (0, 1))


class TileClient:
    """A stranger's client: fetches tiles, checks them against a root, and makes proofs itself."""

    def __init__(self, fetch: object, size: int) -> None:
        self.fetch = fetch
        self.size = size

    def node(self, height: int, index: int) -> bytes:
        """From the tile of the level below; a partial one where the tree ends."""
        level, rest = divmod(height, 8)
        first = index << rest
        complete = self.size >> 8 * level
        width = min(256, complete - first // 256 * 256)
        data = self.fetch(Tile(level, first // 256, width).path)  # type: ignore[operator]
        assert len(data) == 32 * width
        hashes = [data[i : i + 32] for i in range(0, len(data), 32)]
        return naive_root(hashes[first % 256 : first % 256 + (1 << rest)])


def test_client_that_has_only_tiles_makes_the_same_proofs(installation: Installation) -> None:
    """Across two levels, root, inclusion and consistency proofs come out of the tiles as out of the ledger."""
    with installation.opened() as system:
        of = grow(system, 700).checkpoint
        ledger = system.ledger
        client = TileClient(lambda path: tiles.hashes(ledger, tiles.parse(path)), of.size)
        assert of.root == tree.range_root(0, of.size, client.node)
        for index in (0, 255, 256, 511, 512, of.size - 1):
            assert ledger.inclusion_proof(index + 1, of.size) == tree.inclusion_proof(index, of.size, client.node)
        for old in (1, 255, 256, 257, 512, of.size):
            assert ledger.consistency_proof(old, of.size) == tree.consistency_proof(old, of.size, client.node)


def test_bundles_hold_the_leaves_that_the_tiles_hash(installation: Installation) -> None:
    """Each entry, behind two bytes of length, hashes to its place in the tile of level 0."""
    with installation.opened() as system:
        size = grow(system, 300).checkpoint.size
        for tile in (t for t in tiles.all_of(size) if t.level == ENTRIES):
            data = tiles.bundle(tiles.entries(system.ledger, tile))
            hashed = b""
            while data:
                length = int.from_bytes(data[:2], "big")
                hashed += hashlib.sha256(b"\0" + data[2 : 2 + length]).digest()
                data = data[2 + length :]
            assert tiles.hashes(system.ledger, tile._replace(level=0)) == hashed
