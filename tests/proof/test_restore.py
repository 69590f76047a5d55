"""What happens when a database is restored, lost or rewritten: neither a silent fork nor a dead end."""

from __future__ import annotations

import pytest

from ledger import checkpoints, fsck, identity, notes, proofs
from ledger.errors import ConfigurationError, ForkError
from ops.system import System
from tests.ledger.kit import item
from tests.proof.kit import Installation, grow, kinds, other_code


def is_frozen(system: System) -> bool:
    """Whether appending and signing are refused, for the same reason, while reading goes on."""
    if not system.ledger.frozen:
        return False
    with pytest.raises(ForkError):
        system.ledger.append(item(system.ledger))
    with pytest.raises(ForkError):
        system.signed_head()
    assert system.ledger.feed(0, 1)[0].type == "key.added"
    return True


def recovered(system: System) -> checkpoints.SignedHead:
    with system.leader.leading():
        return identity.succeed(system.ledger, system.heads, system.identity, system.log_keys)


def test_restored_backup_is_frozen_until_recovered_and_then_another_epoch(installation: Installation) -> None:
    """An old backup under live heads: nothing is appended or signed, what was lost is said, old proofs stay good."""
    installation.grow(5)
    restore = installation.backup()
    last = installation.grow(20)
    with installation.opened() as system:
        lost = system.ledger.event(last.checkpoint.size)
        proof = proofs.of_position(system.ledger, lost.position, last.note)
    restore()
    with installation.opened() as system:
        assert is_frozen(system)
        assert f"a head of {last.checkpoint.size} events was signed, this database holds 6" in system.ledger.frozen
        head = recovered(system)
        told = system.ledger.event(7)
        assert ("log.succeeded", last.checkpoint.size) == (told.type, told.fields["tree_size"])
        assert {"lost": 20, "kept": 6, "fits": 6} == told.fields["numbers"]
        assert (f"{system.identity.base}/2", 7) == (head.checkpoint.origin, head.checkpoint.size)
        grow(system, 3)
    with installation.opened() as system:
        assert not system.ledger.frozen
        assert 2 == system.identity.epoch
        verdict = fsck.check(system.ledger, system.heads)
        assert [] == verdict.problems
        assert verdict.left_behind == 1
        log_key = notes.NoteKey(system.identity.base, system.identity.keys[0].public)
        assert last.checkpoint == proofs.verify(lost.leaf, proof, [log_key])


def test_epoch_that_a_restore_lost_is_not_opened_a_second_time(installation: Installation) -> None:
    """Restored twice from the same backup: the third epoch follows, never another second one."""
    installation.grow(5)
    restore = installation.backup()
    installation.grow(5)
    for epoch in (2, 3):
        restore()
        with installation.opened() as system:
            assert is_frozen(system)
            assert f"{system.identity.base}/{epoch}" == recovered(system).checkpoint.origin
            grow(system, 2)
    with installation.opened() as system:
        assert [] == fsck.check(system.ledger, system.heads).problems


def test_database_that_was_lost_altogether_begins_as_the_next_epoch(installation: Installation) -> None:
    """Only keys and heads are left: the empty ledger is frozen as well, and recovers."""
    restore = installation.backup()  # of a database in which nothing is yet
    installation.grow(9)
    restore()
    with installation.opened() as system:
        assert is_frozen(system)
        assert f"{system.identity.base}/2" == recovered(system).checkpoint.origin


def test_history_rewritten_with_its_tree_recomputed_is_caught_by_any_head_handed_out(
    installation: Installation,
) -> None:
    """All hashes agree again, so the database alone looks clean; one checkpoint that left the building is enough."""
    early, late = installation.grow(4), installation.grow(300)
    installation.rewrite(3, other_code)
    with installation.opened() as system:
        assert is_frozen(system)
        assert "its history was rewritten" in system.ledger.frozen
        assert [] == fsck.check(system.ledger, ()).problems
        for handed_out in (early, late):
            found = fsck.check(system.ledger, [handed_out])
            assert {"signed"} == kinds(found.problems)
            assert found.first is not None
            assert handed_out.checkpoint.size == found.first.position
            assert "the witness" in found.first.meaning
        told = recovered(system)
        assert told.checkpoint.origin.endswith("/2")
        assert 0 == system.ledger.event(told.checkpoint.size).fields["numbers"]["fits"]


def test_database_swapped_below_a_running_process_is_seen_at_the_next_turn(on_sqlite: Installation) -> None:
    """The tree is held against the signed heads again at each turn, not only at the start."""
    on_sqlite.grow(4)
    with on_sqlite.opened() as system:
        on_sqlite.rewrite(3, other_code)
        with pytest.raises(ForkError, match="rewritten"):
            system.signed_head()
        assert is_frozen(system)


def test_ledger_that_fits_its_heads_has_nothing_to_recover_from(on_sqlite: Installation) -> None:
    """An epoch opened without need would cost everyone who checks the log a new origin."""
    on_sqlite.grow(2)
    with on_sqlite.opened() as system, pytest.raises(ConfigurationError, match="nothing to recover from"):
        recovered(system)


def test_recovery_without_the_log_keys_writes_nothing(on_sqlite: Installation) -> None:
    """An epoch that could not be signed is not opened."""
    on_sqlite.grow(2)
    restore = on_sqlite.backup()
    on_sqlite.grow(2)
    restore()
    with on_sqlite.opened() as system:
        with pytest.raises(ConfigurationError, match="private half"), system.leader.leading():
            identity.succeed(system.ledger, system.heads, system.identity, ())
        assert is_frozen(system)
        assert 3 == system.ledger.head().size


def test_log_under_another_name_is_not_opened(on_sqlite: Installation) -> None:
    """A rewritten first event cannot give the log a name under which no head was ever signed."""
    on_sqlite.grow(2)
    on_sqlite.more = {"log_name": "other.example/log"}
    with pytest.raises(ConfigurationError, match="this log was begun as delivery-ledger/"), on_sqlite.opened():
        pass


def test_torn_line_of_a_crash_is_no_head_and_the_next_one_stands_on_its_own(on_sqlite: Installation) -> None:
    """A machine that dies while a head is written has not signed it; nothing that follows is spoilt."""
    first = on_sqlite.grow(2)
    with on_sqlite.opened() as system:
        with system.heads.path.open("ab") as file:
            file.write(b'{"size": 4, "note": "half a')
        assert first == system.heads.latest()
        second = grow(system, 2)
        assert [first, second] == list(system.heads)
        assert second == system.heads.latest()


def test_checkpoint_text_is_origin_size_and_root(on_sqlite: Installation) -> None:
    """Three lines, as C2SP tlog-checkpoint has them, and back."""
    head = on_sqlite.grow(2)
    text = notes.parse(head.note).text
    assert 3 == len(text.splitlines())
    assert head.checkpoint == checkpoints.parse(text)
