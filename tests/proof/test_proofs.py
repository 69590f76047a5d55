"""tlog-proof files: made for every position, read back, and broken by any changed byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils import uuid7

from ledger import proofs
from ledger.errors import LedgerError, NotFoundError
from ledger.notes import NoteError
from ledger.proofs import Proof
from ledger.tree import verify_consistency
from tests.proof.kit import Installation, flipped, grow


@given(st.integers(0, 2**53), st.lists(st.binary(min_size=32, max_size=32), max_size=64), st.binary(min_size=1))
def test_proof_file_is_read_back_as_it_was(index: int, hashes: list[bytes], note: bytes) -> None:
    """Index, hashes and the checkpoint's note, byte for byte."""
    assert Proof(index, hashes, note) == proofs.decode(proofs.encode(Proof(index, hashes, note)))


def test_extra_line_is_skipped() -> None:
    """C2SP tlog-proof lets an application add a line that nobody else has to understand."""
    data = b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 7\n\nnote"
    assert Proof(7, [], b"note") == proofs.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 07\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex x\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nnote",
        b"c2sp.org/tlog-proof@v2\nindex 1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + b"A" * 43 + b"=\n" * 65 + b"\nnote",
        b"\xff\n\nnote",
    ],
)
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    """Wrong header, index, hash or encoding."""
    with pytest.raises(NoteError, match="not a C2SP tlog-proof"):
        proofs.decode(data)


def test_every_position_has_a_proof_and_no_changed_bit_of_it_holds(installation: Installation) -> None:
    """Whatever is flipped in leaf, hashes or note: the proof does not verify."""
    with installation.opened() as system:
        head = grow(system, 20)
        for event in system.ledger.feed():
            made = proofs.of_position(system.ledger, event.position, head.note)
            assert head.checkpoint == proofs.verify(event.leaf, made, system.identity.keys)
        with pytest.raises(NoteError, match="is not leaf"):
            proofs.verify(flipped(event.leaf, 9), made, system.identity.keys)
        for at in range(len(made)):
            with pytest.raises(LedgerError):
                proofs.verify(event.leaf, flipped(made, at), system.identity.keys)


def test_proof_under_an_unknown_key_establishes_nothing(on_sqlite: Installation) -> None:
    """Whoever makes up a log can make up a proof."""
    with on_sqlite.opened() as system:
        head = grow(system, 2)
        made = proofs.of_position(system.ledger, 2, head.note)
        with pytest.raises(NoteError, match="no signature of a key that is trusted here"):
            proofs.verify(system.ledger.event(2).leaf, made, [])


def test_position_beyond_the_signed_head_has_no_proof(on_sqlite: Installation) -> None:
    """Nothing is proven that was not signed."""
    with on_sqlite.opened() as system:
        head = grow(system, 2)
        for position in (0, 4):
            with pytest.raises(NotFoundError):
                proofs.of_position(system.ledger, position, head.note)


def test_event_is_found_by_its_id_wherever_it_stands(installation: Installation) -> None:
    """By the time in the id, over many heads and without an index."""
    with installation.opened() as system:
        for _ in range(5):
            grow(system, 60)
        for event in system.ledger.feed(0, 1_000):
            if event.position % 13 == 1:
                assert event.position == proofs.position_of(system.ledger, event.id)
        for unknown in (str(uuid7()), "01890000-0000-7000-8000-000000000000", "no id"):
            with pytest.raises(NotFoundError, match="ask by position"):
                proofs.position_of(system.ledger, unknown)


def test_heads_of_one_log_are_consistent_with_each_other(installation: Installation) -> None:
    """Between any two signed heads there is a proof that verifies from the two roots alone."""
    with installation.opened() as system:
        heads = [grow(system, count).checkpoint for count in (1, 2, 4, 120, 130, 7)]
        for old, new in pairwise(heads):
            proof = system.ledger.consistency_proof(old.size, new.size)
            assert verify_consistency(old.size, old.root, new.size, new.root, proof)
