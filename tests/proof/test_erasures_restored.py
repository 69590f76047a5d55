"""A backup that is put back has forgotten the newest erasures: the journal beside the signed heads has not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ledger import erasing, fsck
from ledger.erasing import Destroyed, Erased
from ledger.erasures import ErasureFile, reapply
from ledger.errors import ConfigurationError
from ledger.events import Event, delivery_stream
from ops import recovering
from ops.recovering import refuse_forgetful
from ops.system import System
from projections.erasures import unfinished
from tests.ledger.erasable import erase, events, held, originals_of, phone, report, rows_of, say, send, tell
from tests.ledger.kit import TENANT
from tests.proof.kit import Installation, grow, kinds
from tests.proof.test_log_cli import Shell, shell

__all__ = ["shell"]  # a fixture

ANNA, BO = phone(1), phone(2)


def begin(system: System) -> tuple[str, str]:
    """Two messages, of which something was told."""
    found = [send(system.ledger, ident, ANNA, BO) for ident in ("doc-1", "doc-2")]
    for ident in ("doc-1", "doc-2"):
        tell(system.ledger, report(ident, ANNA))
    return found[0], found[1]


def restored(system: System) -> list[Erased]:
    """What was said to be erased because the journal says so."""
    told = [e for e in events(system.ledger) if e.fields.get("rule") == "erasure.restored"]
    return [erasing.told(event)._replace(position=0) for event in told]


def is_gone(system: System, whole: str, partly: str) -> bool:
    """Whether nothing of the message, and nothing of the first recipient of the other, can be read."""
    left = held(system.ledger)
    owners = {(where.owner, where.person) for where in left.values}
    return {0} == set(rows_of(system.ledger, whole).values()) and (partly, 0) not in owners and {} == left.originals


def test_what_was_erased_after_the_backup_is_erased_again_by_recover(installation: Installation, shell: Shell) -> None:
    """Backup, erase, restore, recover: nothing of the person can be read, and the log says that it was erased."""
    with installation.opened() as system:
        whole, partly = begin(system)
        system.signed_head()
    restore = installation.backup()
    with installation.opened() as system:
        erased = [erase(system.ledger, whole), erase(system.ledger, partly, 0)]
        assert is_gone(system, whole, partly)
        system.signed_head()
    restore()
    with installation.opened() as system:
        assert system.ledger.frozen
        assert not is_gone(system, whole, partly)
    assert "2 erasures that this database had forgotten" in shell.run("recover", "--yes")
    with installation.opened() as system:
        assert is_gone(system, whole, partly)
        assert [each._replace(position=0) for each in erased] == restored(system)
        system.runner.run()
        assert [] == list(unfinished(system.ledger))
        assert system.journal.is_settled(system.ledger)
        assert kinds(fsck.check(system.ledger, system.heads).problems) <= set()


def test_a_backup_that_would_show_who_was_erased_is_not_shown(installation: Installation, shell: Shell) -> None:
    """It takes nothing, so nobody can be erased again in it and no look be recorded; after `recover` it is served."""
    with installation.opened() as system:
        whole, _ = begin(system)
        system.signed_head()
        refuse_forgetful(system.ledger, system.journal)
    restore = installation.backup()
    with installation.opened() as system:
        erase(system.ledger, whole)
        system.signed_head()
        refuse_forgetful(system.ledger, system.journal)
    restore()
    with (
        installation.opened() as system,
        pytest.raises(ConfigurationError, match=r"erased after .*run `delivery-ledger recover`"),
    ):
        refuse_forgetful(system.ledger, system.journal)
    assert "erased after" in shell.run("search", code=2)
    shell.run("recover", "--yes")
    with installation.opened() as system:
        refuse_forgetful(system.ledger, system.journal)
        assert not system.ledger.frozen


def test_a_restored_database_that_fits_its_heads_is_told_at_the_start(installation: Installation) -> None:
    """No head was signed over what was lost, so nothing stops the start: what is in the journal is done again by then."""
    with installation.opened() as system:
        whole, partly = begin(system)
        system.signed_head()
    restore = installation.backup()
    with installation.opened() as system:
        erase(system.ledger, whole)
        erase(system.ledger, partly, 0)
    for _ in range(2):
        restore()
        with installation.opened() as system:
            assert is_gone(system, whole, partly)
            assert 2 == len(restored(system))
            size = system.ledger.head().size
        with installation.opened() as system:
            assert size == system.ledger.head().size


def test_a_restore_that_was_broken_off_goes_on_and_says_nothing_twice(on_sqlite: Installation) -> None:
    """Killed between the event and the line that settles it: the same event is found again."""
    with on_sqlite.opened() as system:
        whole, partly = begin(system)
        system.signed_head()
    restore = on_sqlite.backup()
    with on_sqlite.opened() as system:
        erase(system.ledger, whole)
        kept = system.journal.path.read_bytes()
    restore()
    with on_sqlite.opened() as system:
        assert 1 == len(restored(system))
        system.journal.path.write_bytes(kept)
        said, lacking = reapply(system.ledger, system.journal)
        assert (1, 1) == (len(said), len(restored(system)))
        assert (1, 0, 0) == tuple(len(each) if isinstance(each, tuple) else each for each in lacking)
        assert Destroyed() == erasing.left(system.ledger.database, erasing.told(said[0]))
        assert partly in system.ledger.versions([partly])


def test_messages_that_came_after_the_backup_are_not_there_to_be_erased(on_sqlite: Installation) -> None:
    """Their streams do not exist any more: that is noted once, and nothing fails."""
    with on_sqlite.opened() as system:
        grow(system, 3)
    restore = on_sqlite.backup()
    with on_sqlite.opened() as system:
        whole, _ = begin(system)
        erase(system.ledger, whole)
    restore()
    with on_sqlite.opened() as system:
        assert [] == restored(system)
        assert system.journal.is_settled(system.ledger)
        assert ([], ((), (), 0)) == reapply(system.ledger, system.journal)


def test_a_restore_that_was_broken_off_between_two_erasures_says_the_second(
    on_sqlite: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal ends with what was said again, and the log holds that; what is left is said at the next start all the same."""
    with on_sqlite.opened() as system:
        whole, partly = begin(system)
    restore = on_sqlite.backup()
    with on_sqlite.opened() as system:
        erase(system.ledger, whole)
        erase(system.ledger, partly, 0)
    restore()
    note = ErasureFile.note

    def dying(journal: ErasureFile, given: list[Event], settles: str = "") -> None:
        note(journal, given, settles)
        if settles:
            raise KeyboardInterrupt

    monkeypatch.setattr(ErasureFile, "note", dying)
    with pytest.raises(KeyboardInterrupt), on_sqlite.opened():
        pass
    monkeypatch.undo()
    with on_sqlite.opened() as system:
        assert 2 == len(restored(system))
        system.runner.run()
        recovering.finish(system.settings, system.ledger, system.journal)
        assert is_gone(system, whole, partly)


def test_another_backup_that_is_put_back_afterwards_shows_nobody_either(on_sqlite: Installation) -> None:
    """What an older backup did not hold, and was let go there, is erased in a newer one; the older one again is no other than before."""
    with on_sqlite.opened() as system:
        early = send(system.ledger, "doc-0", ANNA)
    older = on_sqlite.backup("older")
    with on_sqlite.opened() as system:
        whole, partly = begin(system)
    newer = on_sqlite.backup("newer")
    with on_sqlite.opened() as system:
        erase(system.ledger, early)
        erase(system.ledger, whole)
        erase(system.ledger, partly, 0)
    for restore in (older, older, newer):
        restore()
        with on_sqlite.opened() as system:
            assert {0} == set(rows_of(system.ledger, early).values())
            assert is_gone(system, whole, partly)
            assert system.journal.is_settled(system.ledger)


HOSTILE = {
    "cut off": b'{"id": "0197d0f2-7b5e-7d3a-8a9e-1c2d3e4f5a6b", "posi',
    "no line of ours": b'{"name": "Anna"}\n',
    "another shape": b'{"id": "../../etc", "position": 1, "leaf": "", "tenant": "acme", "stream": "x"}\n',
    "not text": b'{"id": "\xff\xfe"}\n',
    "a number too large": b'{"id": "0197d0f2-7b5e-7d3a-8a9e-1c2d3e4f5a6b", "position": 99999999999999999999}\n',
    "nested": b"{" * 10_000 + b"}" * 10_000 + b"\n",
    "another ledger's": json.dumps(
        {
            "id": "0197d0f2-7b5e-7d3a-8a9e-1c2d3e4f5a6b",
            "position": 7,
            "leaf": "0" * 64,
            "tenant": "acme",
            "stream": "0197d0f2-7b5e-7d3a-8a9e-000000000000",
            "recipient": 3,
        }
    ).encode()
    + b"\n",
    "another organisation's": b"",
}


@pytest.mark.parametrize("line", HOSTILE)
def test_a_journal_that_somebody_changed_is_told_and_stops_nothing(on_sqlite: Installation, line: str) -> None:
    """What is no line of this ledger is counted; what is one is done."""
    with on_sqlite.opened() as system:
        whole, partly = begin(system)
        system.signed_head()
    restore = on_sqlite.backup()
    with on_sqlite.opened() as system:
        erase(system.ledger, whole)
        journal = system.journal
        foreign = {**json.loads(journal.path.read_bytes()), "tenant": "other", "stream": partly}
        foreign["id"] = "0197d0f2-7b5e-7d3a-8a9e-1c2d3e4f5a6b"
    added = HOSTILE[line] or json.dumps(foreign).encode() + b"\n"
    journal.path.write_bytes(
        added + journal.path.read_bytes() if added.endswith(b"\n") else journal.path.read_bytes() + added
    )
    restore()
    with on_sqlite.opened() as system:
        assert [Erased(whole)] == restored(system)
        assert {0} == set(rows_of(system.ledger, whole).values())
        lacking = journal.lacking(system.ledger)
        told = {"cut off": 0, "another ledger's": 0}.get(line, 1)
        assert ((), told) == (lacking.lines, lacking.unreadable)


def test_the_journal_is_durable_before_who_erased_goes_on(
    on_sqlite: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the journal cannot be written, nobody is told that something is erased; what it lacks is noted by the next look."""
    with on_sqlite.opened() as system:
        whole, _ = begin(system)
        monkeypatch.setattr("ledger.jsonlines.os.fsync", _full)
        with pytest.raises(OSError, match="no space left"):
            erase(system.ledger, whole)
        monkeypatch.undo()
        system.runner.run()
        found = list(unfinished(system.ledger))
        assert [whole] == [event.stream for event in found]
        system.journal.path.unlink()
        assert 1 == system.journal.catch_up(found)
        assert 0 == system.journal.catch_up(found)
        (line,) = system.journal
        assert line is not None
        assert (whole, found[0].position, TENANT) == (line.stream, found[0].position, line.tenant)


def _full(_handle: int) -> None:
    msg = "no space left"
    raise OSError(msg)


def test_a_line_names_what_the_event_names_and_no_one(on_sqlite: Installation, tmp_path: Path) -> None:
    """Position, ids, indexes and the leaf hash; nothing that an event may not say."""
    with on_sqlite.opened() as system:
        _, partly = begin(system)
        erased = erase(system.ledger, partly, 0)
        (line,) = ErasureFile(system.heads.path.parent)
        assert line is not None
        assert erased._replace(position=0) == line.erased()
        assert system.ledger.leaves(erased.position - 1, 1)[0][2].hex() == line.leaf
        assert ANNA.value[1:] not in system.journal.path.read_text()
        assert delivery_stream(partly, 0) not in system.journal.path.read_text()


# --- what is left, however it was left


def test_what_is_left_of_an_erasure_is_finished_by_the_next_look(installation: Installation) -> None:
    """Said and killed before anything was destroyed, and before the journal was written: both are made up for, once."""
    with installation.opened() as system:
        whole, partly = begin(system)
        say(system.ledger, Erased(whole), Erased(partly, 0, originals_of(system.ledger, delivery_stream(partly, 0))))
        system.journal.path.unlink()
        system.runner.run()
        assert 2 == recovering.finish(system.settings, system.ledger, system.journal)
        assert is_gone(system, whole, partly)
        assert 2 == len(list(system.journal))
        assert 0 == recovering.finish(system.settings, system.ledger, system.journal)


def test_an_unfinished_erasure_is_told_and_carried_out_by_hand(shell: Shell, installation: Installation) -> None:
    """`erase carry-out` does what is left; afterwards there is nothing to do."""
    with installation.opened() as system:
        whole, _ = begin(system)
        say(system.ledger, Erased(whole))
    assert "left of 1 erasures" in shell.run("erase", "carry-out")
    assert "Nothing is to be carried out" in shell.run("erase", "carry-out")
    assert [] == shell.json("fsck")["problems"]
