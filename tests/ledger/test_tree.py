"""The tree against the vectors that Certificate Transparency's implementations share, and proofs that hostile hands altered.

That every proof is the one of RFC 6962, word for word, is tested in tests/proof.

Source: google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc (test vectors of eight leaves).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import tree
from ledger.tree import Frontier
from tests.ledger.kit import naive_root

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [tree.leaf_hash(bytes.fromhex(text)) for text in INPUTS]
A96A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
A5F0 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
A6B4 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
ABC1 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
ACA8 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
A0EB = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


def node_at(height: int, index: int) -> bytes:
    return naive_root(LEAVES[index << height : (index + 1) << height])


def texts(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_of_the_shared_vectors(size: int) -> None:
    """The tree of the first leaves has the published root, in one go and leaf by leaf."""
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.add(leaf)
    assert ROOTS[size - 1] == frontier.root().hex() == tree.root_of(LEAVES[:size]).hex()


def test_empty_root_is_the_hash_of_nothing() -> None:
    """RFC 6962 section 2.1: the hash of an empty list is SHA-256 of the empty string."""
    assert "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" == Frontier().root().hex()


@pytest.mark.parametrize(
    ("leaf_index", "size", "path"),
    [
        (0, 1, []),
        (0, 8, [A96A, A5F0, A6B4]),
        (5, 8, [ABC1, ACA8, ROOTS[3]]),
        (2, 3, [ROOTS[1]]),
        (1, 5, [ROOTS[0], A5F0, ABC1]),
    ],
)
def test_inclusion_proofs_of_the_shared_vectors(leaf_index: int, size: int, path: list[str]) -> None:
    """The published paths come out, and verify."""
    proof = tree.inclusion_proof(leaf_index, size, node_at)
    assert path == texts(proof)
    assert tree.verify_inclusion(LEAVES[leaf_index], leaf_index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(
    ("old", "size", "path"),
    [(1, 1, []), (1, 8, [A96A, A5F0, A6B4]), (6, 8, [A0EB, ACA8, ROOTS[3]]), (2, 5, [A5F0, ABC1])],
)
def test_consistency_proofs_of_the_shared_vectors(old: int, size: int, path: list[str]) -> None:
    """The published paths come out, and verify."""
    proof = tree.consistency_proof(old, size, node_at)
    assert path == texts(proof)
    old_root, root = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[size - 1])
    assert tree.verify_consistency(old, old_root, size, root, proof)


def test_proof_is_accepted_for_its_place_and_for_none_with_another_length_of_path() -> None:
    """Over all places and sizes up to eight leaves; a size counts only together with its root, as a signed head has it."""
    root = dict(enumerate(map(bytes.fromhex, ROOTS), start=1))
    for size in range(1, 9):
        for index in range(size):
            proof = tree.inclusion_proof(index, size, node_at)
            accepted = [
                (i, s)
                for s in range(10)
                for i in range(-1, 10)
                if tree.verify_inclusion(LEAVES[index], i, s, proof, root[size])
            ]
            assert (index, size) in accepted
            assert all(len(tree.inclusion_proof(i, s, node_at)) == len(proof) for i, s in accepted if s < 9)
            for wrong in (proof[:-1], proof[1:], [*proof, root[1]], [root[1], *proof]):
                assert wrong == proof or not tree.verify_inclusion(LEAVES[index], index, size, wrong, root[size])


def test_altered_consistency_proofs_are_refused() -> None:
    """Cut, lengthened, for other sizes or other roots: refused, and without an exception."""
    root = dict(enumerate(map(bytes.fromhex, ROOTS), start=1))
    for size in range(1, 9):
        for old in range(1, size + 1):
            proof = tree.consistency_proof(old, size, node_at)
            assert tree.verify_consistency(old, root[old], size, root[size], proof)
            for wrong in (proof[:-1], proof[1:], [*proof, root[1]]):
                assert wrong == proof or not tree.verify_consistency(old, root[old], size, root[size], wrong)
            for sizes in ((0, size), (size + 1, size), (-1, size)):
                assert not tree.verify_consistency(sizes[0], root[old], sizes[1], root[size], proof)
            if old < size:
                assert not tree.verify_consistency(old, root[size], size, root[old], proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_no_proof_of_what_is_not_in_the_tree(index: int, size: int) -> None:
    """A leaf outside the tree has no path."""
    with pytest.raises(IndexError):
        tree.inclusion_proof(index, size, node_at)


@pytest.mark.parametrize(("old", "size"), [(0, 3), (4, 3), (-1, 3)])
def test_no_proof_between_sizes_that_do_not_follow(old: int, size: int) -> None:
    """A consistency proof leads from a smaller tree to a larger one."""
    with pytest.raises(IndexError):
        tree.consistency_proof(old, size, node_at)


@given(st.integers(0, 700), st.integers(0, 300))
def test_frontier_hands_out_every_tile_hash_once(begin: int, count: int) -> None:
    """Whatever the size it starts from, adding leaves completes exactly the subtrees of 256 that end there."""
    leaves = [tree.leaf_hash(b"%d" % n) for n in range(begin + count)]
    frontier = Frontier()
    for leaf in leaves[:begin]:
        frontier.add(leaf)
    before = frontier.copy()
    tiles = [tile for leaf in leaves[begin:] for tile in frontier.add(leaf)]
    expected = range(begin // 256, (begin + count) // 256)
    assert [(1, n, naive_root(leaves[256 * n : 256 * n + 256])) for n in expected] == [tuple(t) for t in tiles]
    assert (begin, naive_root(leaves[:begin])) == (before.size, before.root())
    assert naive_root(leaves) == frontier.root()
