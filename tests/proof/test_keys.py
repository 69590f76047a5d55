"""Log keys: rotation by overlap, revocation under the offline recovery key, and who may sign."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import fsck, identity, notes
from ledger.appender import Item
from ledger.errors import ConfigurationError
from ledger.identity import NotLeaderError
from ledger.notes import NoteError
from ops import keyfiles, leader
from ops.leader import FolderLock
from ops.system import System
from tests.proof.kit import Installation, grow


def rotated(system: System) -> notes.NoteKey:
    return identity.add_key(system.ledger, system.leader.identity(), keyfiles.add_log_key(system.settings.key_folder))


def signers(system: System) -> set[bytes]:
    """Key ids on the newest head."""
    return {s.key_id for s in notes.parse(system.signed_head().note).signatures}


def test_first_event_of_a_new_log_names_its_key_and_the_recovery_key(installation: Installation) -> None:
    """Whoever holds the first leaf knows who the log is; the recovery key's file is made once, for its owner only."""
    with installation.opened() as system:
        first = system.ledger.event(1)
        assert ("key.added", 1) == (first.type, first.position)
        assert system.identity.keys[0].vkey() == first.fields["log_key"]
        assert system.identity.recovery.vkey() == first.fields["recovery_key"]
        assert 0o600 == (system.settings.key_folder / "recovery.key").stat().st_mode & 0o777


def test_recovery_key_may_be_offline_while_the_ledger_runs(on_sqlite: Installation) -> None:
    """Nothing but a revocation needs it."""
    on_sqlite.grow(1)
    (on_sqlite.settings.key_folder / "recovery.key").unlink()
    on_sqlite.grow(1)


def test_heads_carry_both_signatures_from_adding_a_key_to_retiring_one(installation: Installation) -> None:
    """Whoever knows either key can check every head of the overlap; fsck knows which keys were in use when."""
    with installation.opened() as system:
        (old,) = system.identity.keys
        grow(system, 3)
        assert {old.key_id} == signers(system)
        new = rotated(system)
        assert {old.key_id, new.key_id} == signers(system)
        identity.retire_key(system.ledger, system.leader.identity(), old)
        assert {new.key_id} == signers(system)
        assert [] == fsck.check(system.ledger, system.heads).problems
    with installation.opened() as system:
        assert (new,) == system.identity.keys


def test_only_log_key_can_be_neither_retired_nor_revoked(on_sqlite: Installation) -> None:
    """A log without a key could never sign again."""
    with on_sqlite.opened() as system:
        who = system.leader.identity()
        with pytest.raises(ConfigurationError, match="first add another"):
            identity.retire_key(system.ledger, who, who.keys[0])
        recovery = keyfiles.recovery_key(system.settings.key_folder / "recovery.key")
        with pytest.raises(ConfigurationError, match="first add another"):
            identity.revoke_key(system.ledger, who, who.keys[0], recovery)


def test_revoked_key_signs_nothing_any_more_and_is_told_as_revoked(installation: Installation) -> None:
    """Only the recovery key named in the first event revokes; what the stolen key signs later is not this log's."""
    with installation.opened() as system:
        (stolen,) = system.identity.keys
        stolen_private = system.log_keys[0]
        grow(system, 2)
        rotated(system)
        who = system.leader.identity()
        with pytest.raises(ConfigurationError, match="not the recovery key"):
            identity.revoke_key(system.ledger, who, stolen, Ed25519PrivateKey.generate())
        identity.revoke_key(
            system.ledger, who, stolen, keyfiles.recovery_key(system.settings.key_folder / "recovery.key")
        )
        after = system.leader.identity()
        assert (stolen,) == after.revoked
        assert stolen not in after.keys
        forged = notes.parse(notes.sign(notes.parse(system.signed_head().note).text, [(stolen.name, stolen_private)]))
        assert [] == notes.verified_by(forged, after.keys)
        assert [] == fsck.check(system.ledger, system.heads).problems


def test_revocation_that_the_recovery_key_did_not_sign_counts_for_nothing(on_sqlite: Installation) -> None:
    """Whoever stole the database's role could append the event, but not the signature in it."""
    with on_sqlite.opened() as system:
        (key,) = system.identity.keys
        fields = {"log_key": key.vkey(), "signature": "A" * 86}
        system.ledger.append(Item([system.ledger.draft("key.revoked", "ledger", "ledger", fields)]))
        assert (key,) == system.leader.identity().keys


def test_head_is_not_signed_while_the_private_half_of_an_active_key_is_missing(on_sqlite: Installation) -> None:
    """A head with half the signatures would break everyone who checks the other key; the text says what to restore."""
    with on_sqlite.opened() as system:
        rotated(system)
        os.remove(system.settings.key_folder / "log-0002.key")  # noqa: PTH107  the operator's slip
        with pytest.raises(ConfigurationError, match="private half of log key"):
            system.signed_head()


def test_one_process_signs_and_the_other_hands_out_what_it_signed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot lead waits for the leader's head over all it has seen, and says so when none comes."""
    monkeypatch.setattr(leader, "WAIT_S", 0.3)
    with installation.opened() as first, installation.opened() as second:
        head = grow(first, 3)
        assert first.leader.is_leading()
        assert not second.leader.is_leading()
        assert head == second.signed_head()
        second.ledger.append(Item([second.ledger.draft("clock.jumped", "ledger", "ledger", {})]))
        with pytest.raises(NotLeaderError, match="another process signs"):
            second.signed_head()
        first.leader.close()
        assert 5 == second.signed_head().checkpoint.size


def test_two_databases_that_share_a_head_folder_are_not_signed_for_at_once(on_sqlite: Installation) -> None:
    """A copy of the database started beside the original finds the folder taken."""
    with on_sqlite.opened() as system:
        system.signed_head()
        other = FolderLock(system.heads.path.parent)
        assert not other.is_held()
    assert other.is_held()
    other.release()


def test_nothing_new_is_not_signed_again(on_sqlite: Installation) -> None:
    """The file of heads grows with the log, not with time."""
    with on_sqlite.opened() as system:
        head = grow(system, 2)
        assert [head] == [system.signed_head() for _ in range(3)][:1]
        assert [head] == list(system.heads)


def test_signature_of_a_known_key_that_does_not_verify_spoils_a_note(on_sqlite: Installation) -> None:
    """Unknown signatures are ignored, a known one that is wrong is not."""
    head = on_sqlite.grow(1)
    with on_sqlite.opened() as system:
        text = notes.parse(head.note).text
        other = notes.sign(text.replace("\n2\n", "\n3\n"), [(system.identity.origin, system.log_keys[0])])
        mixed = notes.parse(text.encode() + b"\n" + other.partition(b"\n\n")[2])
        with pytest.raises(NoteError, match="does not verify"):
            notes.verified_by(mixed, system.identity.keys)
