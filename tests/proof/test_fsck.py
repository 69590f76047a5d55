"""The full check: every kind of byte that can be changed is found, named by position, and explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import fsck, notes, ranges, reopening
from ledger.appender import Item
from ledger.application import digest_value
from ledger.checkpoints import Checkpoint, SignedHead
from ledger.erasing import Erased
from ledger.events import leaf, read
from ledger.sealing import seal_artifact
from ops.system import System
from tests.ledger.erasable import erase, phone, report, say, send, tell
from tests.ledger.kit import TENANT, new_stream
from tests.proof.kit import Installation, flipped, grow, kinds

Execute = Callable[..., list[Any]]
SIZE = 301


def checked(installation: Installation) -> fsck.Verdict:
    with installation.opened() as system:
        return fsck.check(system.ledger, system.heads)


def change(execute: Execute, table: str, column: str, where: str, index: int = 20) -> None:
    """Flip one bit of one stored value."""
    ((value,),) = execute(f"SELECT {column} FROM {table} WHERE {where}")
    execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (flipped(bytes(value), index),))


TAMPERINGS: dict[str, tuple[Callable[[Execute], object], set[str], int]] = {
    "one bit of an event": (lambda x: change(x, "stored_events", "state", "rowid = 7", 30), {"event"}, 7),
    "an event that is no JSON": (lambda x: change(x, "stored_events", "state", "rowid = 7", 0), {"event"}, 7),
    "one bit of a leaf hash": (lambda x: change(x, "stored_events", "leaf", "rowid = 9"), {"event"}, 9),
    "one bit of a tile hash": (lambda x: change(x, "tile_hashes", "hash", "level = 1 AND tile_index = 0"), {"tile"}, 1),
    "a tile hash taken away": (lambda x: x("DELETE FROM tile_hashes WHERE level = 1"), {"tile"}, 1),
    "one bit of a remembered root": (lambda x: change(x, "heads", "root", "size = 1"), {"head"}, 1),
    "an event taken away": (lambda x: x("DELETE FROM stored_events WHERE rowid = 5"), {"missing", "version"}, 5),
    "another version in the row": (
        lambda x: x("UPDATE stored_events SET originator_version = 99 WHERE rowid = 4"),
        {"event", "version"},
        4,
    ),
    "another stream in the row": (
        lambda x: x("UPDATE stored_events SET originator_id = 'x' WHERE rowid = 4"),
        {"event", "version"},
        4,
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_changed_bytes_are_found_where_they_are(installation: Installation, what: str) -> None:
    """Event, leaf, tile, root: whichever was changed is named with the first position where it shows."""
    installation.grow(SIZE - 1)
    tamper, expected, position = TAMPERINGS[what]
    with installation.tampering() as execute:
        tamper(execute)
    installation.mend_guards()
    with installation.opened() as system:
        found = fsck.check(system.ledger, system.heads)
    assert expected <= kinds(found.problems)
    assert position == min(p.position for p in found.problems if p.kind in expected)
    assert all(problem.meaning for problem in found.problems)


def test_untouched_log_is_clean_and_everything_was_counted(installation: Installation) -> None:
    """Events, heads of both kinds, values and originals: the verdict says how many agreed."""
    installation.grow(20)
    with installation.opened() as system:
        held = with_an_original(system)
        progress: list[tuple[int, int]] = []
        system.signed_head()
        found = fsck.check(system.ledger, system.heads, lambda done, total: progress.append((done, total)))
    assert [] == found.problems
    assert held == found.size
    assert 2 == found.signed_heads
    assert 1 == found.artifacts
    assert 1 == found.values
    assert sorted(progress) == progress
    assert found.first is None


def spoil(execute: Execute, position: int) -> None:
    """Something of each kind, in several places."""
    for at in (40, 200):
        change(execute, "stored_events", "state", f"rowid = {at}", 30)
        change(execute, "stored_events", "leaf", f"rowid = {at + 1}")
        execute("UPDATE stored_events SET originator_version = 99 WHERE rowid = ?", (at + 2,))
    change(execute, "heads", "root", "size = 1")
    change(execute, "tile_hashes", "hash", "level = 1 AND tile_index = 0")
    change(execute, "sealed_values", "sealed", f"position = {position}")
    change(execute, "artifacts", "sealed", f"position = {position}")
    execute("UPDATE artifacts SET position = 3 WHERE position = ?", (position + 1,))


@pytest.mark.parametrize("height", [5, 8, 9])
def test_ranges_of_any_size_in_any_process_find_the_same(
    installation: Installation, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Problems, counts and root, of a log that is whole and of one with a problem of each kind; how far it got is told."""
    installation.grow(250)
    with installation.opened() as system:
        position = with_an_original(system)
        with_an_original(system)
        system.signed_head()
        grow(system, 30)
        system.signed_head()
    assert set() == compared(installation, height, monkeypatch)
    with installation.tampering() as execute:
        spoil(execute, position)
    installation.mend_guards()
    found = compared(installation, height, monkeypatch)
    assert {"event", "head", "signed", "tile", "version", "value", "original"} <= {kind for kind, _ in found}
    assert {("value", position), ("original", position), ("original", 3)} <= found


def compared(installation: Installation, height: int, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, int]]:
    """Kind and position of the problems found; the same in one range here, in several, and in several elsewhere."""
    with installation.opened() as system, monkeypatch.context() as patched:
        expected = in_order(fsck.check(system.ledger, system.heads))
        patched.setattr(ranges, "HEIGHT", height)
        patched.setattr(ranges, "PAGE_EVENTS", 20)
        patched.setattr(reopening, "MAX_DOUBTS", 1)
        patched.setattr(fsck, "POOLED_EVENTS", 0)
        for processes in (0, 2):
            progress: list[tuple[int, int]] = []
            found = fsck.check(system.ledger, system.heads, lambda *at: progress.append(at), processes)  # noqa: B023
            assert expected == in_order(found)
            assert [(end, found.size) for end in ends(system.ledger.head().size, 1 << height)] == progress
    return {(problem.kind, problem.position) for problem in expected.problems}


def ends(size: int, step: int) -> list[int]:
    """Where ranges end."""
    return [min(after + step, size) for after in range(0, size, step)]


def in_order(verdict: fsck.Verdict) -> fsck.Verdict:
    """The same with its problems by position."""
    return replace(verdict, problems=sorted(verdict.problems, key=lambda p: (p.kind, p.position, p.text)))


def with_an_original(system: System) -> int:
    """Append an event that commits to an original held beside it; its position."""
    ledger, stream = system.ledger, new_stream()
    row, key = ledger.new_key(stream, -1)
    original = ledger.seal_original(key, b"the receipt", "text/plain")
    value = digest_value(b"the receipt", "text/plain", "receipt.txt", "body")
    clear = {"artifacts": [original.artifact_id]}
    draft = ledger.draft("evidence.ingested", TENANT, stream, clear, [(key, {"artifact.0": value})])
    return ledger.append(Item([draft], keys=[row], artifacts=[(0, original)])).positions[0]


def test_value_and_original_that_were_changed_are_told_from_the_event_that_was_not(installation: Installation) -> None:
    """What the event commits to still holds; only what lies beside it is wrong, and the position says where."""
    with installation.opened() as system:
        position = with_an_original(system)
        system.signed_head()
    with installation.tampering() as execute:
        change(execute, "sealed_values", "sealed", f"position = {position}")
        change(execute, "artifacts", "sealed", f"position = {position}")
    installation.mend_guards()
    found = checked(installation)
    assert {("value", position), ("original", position)} == {(p.kind, p.position) for p in found.problems}


def test_original_replaced_by_another_sealed_under_the_same_key_is_found_by_its_digest(
    installation: Installation,
) -> None:
    """Whoever has the key files too can seal other bytes, but the digest was committed to."""
    with installation.opened() as system:
        position = with_an_original(system)
        event = system.ledger.event(position)
        (artifact_id,) = event.fields["artifacts"]
        key = system.ledger.person_key(event.stream, -1)
        other = seal_artifact(key.key, b"another receipt", artifact_id.encode())
    with installation.tampering() as execute:
        execute("UPDATE artifacts SET sealed = ? WHERE position = ?", (other, position))
    installation.mend_guards()
    assert {("original", position)} == {(p.kind, p.position) for p in checked(installation).problems}


def test_erased_values_and_originals_are_no_problem(installation: Installation) -> None:
    """Erasure destroys keys; the log stays provable, and fsck says nothing against it."""
    with installation.opened() as system:
        erase(system.ledger, system.ledger.event(with_an_original(system)).stream)
        message = send(system.ledger, "doc-1", phone(1), phone(2))
        tell(system.ledger, report("doc-1", phone(1)))
        tell(system.ledger, report("doc-1", phone(2)))
        erase(system.ledger, message, 0)
        system.signed_head()
    assert [] == checked(installation).problems


def test_what_was_destroyed_beside_the_ledger_is_told_because_no_event_says_so(installation: Installation) -> None:
    """Whoever may delete keys can hide what was said, not that it was: values and originals that are gone without a word."""
    with installation.opened() as system:
        position = with_an_original(system)
        message = send(system.ledger, "doc-1", phone(1), phone(2))
        erase(system.ledger, message, 0)
        declared = next(e for e in system.ledger.stream(message) if e.type == "recipients.declared").position
        system.signed_head()
    with installation.tampering() as execute:
        execute("DELETE FROM person_keys WHERE person = 1")
        execute("DELETE FROM sealed_values WHERE position = ?", (position,))
        execute("DELETE FROM artifacts WHERE position = ?", (position,))
    installation.mend_guards()
    found = checked(installation).problems
    assert {"gone"} == kinds(found)
    assert sorted([position, position, declared]) == sorted(problem.position for problem in found)
    assert "destroyed beside the ledger" in found[0].meaning


def test_what_is_erased_and_still_there_is_told_with_its_repair(installation: Installation) -> None:
    """Said and not carried out, and a journal that knows of an erasure which the log does not."""
    with installation.opened() as system:
        first, second = (send(system.ledger, ident, phone(1)) for ident in ("doc-1", "doc-2"))
        say(system.ledger, Erased(first))
        lost = system.ledger.draft("evidence.erased", "acme", second, {"rule": "erasure.message"})
        state = leaf(lost, 4, "2026-03-01T12:00:00.000000Z")
        system.journal.note([read(99, state)])
        found = fsck.check(system.ledger, system.heads).problems
        assert {"erased"} == kinds(found)
        assert [system.ledger.head().size, 0] == [problem.position for problem in found]
        assert "keys 2, values 3, lookups 3, sends 1" in found[0].text
        assert {second} == {word.strip(",") for word in found[1].text.split()} & {first, second}
        assert all("erase carry-out" in problem.meaning for problem in found)


def test_a_journal_with_other_lines_than_ours_is_told(on_sqlite: Installation) -> None:
    """It is counted, and what the log says is not doubted for it."""
    with on_sqlite.opened() as system:
        system.signed_head()
        system.journal.path.write_text('{"name": "somebody"}\n')
        assert {"journal"} == kinds(fsck.check(system.ledger, system.heads).problems)


def other_letter(line: bytes, after: bytes, skip: int) -> bytes:
    """The line with one base64 letter changed, some letters after a mark."""
    at = line.index(after) + len(after) + skip
    return line[:at] + (b"A" if line[at : at + 1] != b"A" else b"B") + line[at + 1 :]


SIGNED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "its root": (lambda line: other_letter(line, b"\\n22\\n", 5), "does not verify"),
    "its size": (lambda line: line.replace(b"\\n22\\n", b"\\n21\\n"), "does not verify"),
    "its signature": (lambda line: other_letter(line, b"\xe2\x80\x94 ", 60), "does not verify"),
    "its form": (lambda line: line.replace(b"\\n22\\n", b"\\n022\\n"), "cannot be read"),
}


@pytest.mark.parametrize("what", SIGNED)
def test_changed_file_of_heads_is_told_from_a_changed_log(on_sqlite: Installation, what: str) -> None:
    """The signature says that the file was changed and not the log."""
    on_sqlite.grow(21)
    forge, said = SIGNED[what]
    with on_sqlite.opened() as system:
        path, heads = system.heads.path, list(system.heads)
        grow(system, 2)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(forge(lines[0]) + lines[1])
        found = fsck.check(system.ledger, system.heads)
    assert 22 == heads[0].checkpoint.size
    assert {"signature"} <= kinds(found.problems)
    assert any(said in str(problem) for problem in found.problems)


def test_head_signed_by_a_key_that_was_not_in_use_is_found(on_sqlite: Installation) -> None:
    """A head needs the signatures of all keys of its time, and of no stranger."""
    on_sqlite.grow(3)
    with on_sqlite.opened() as system:
        head = system.signed_head()
        stranger = notes.sign(head.checkpoint.text(), [(system.identity.origin, Ed25519PrivateKey.generate())])
        found = fsck.check(system.ledger, [SignedHead(head.checkpoint, stranger)])
    assert {"signature"} == kinds(found.problems)


def test_head_of_another_log_is_not_taken_for_ours(on_sqlite: Installation) -> None:
    """A file of heads that was mixed up is told as such."""
    on_sqlite.grow(3)
    with on_sqlite.opened() as system:
        other = Checkpoint("other.example/log", 3, bytes(32))
        note = notes.sign(other.text(), [(other.origin, system.log_keys[0])])
        found = fsck.check(system.ledger, [SignedHead(other, note)])
    assert {"signature"} <= kinds(found.problems)


GUARDS: dict[str, dict[str, str]] = {
    "sqlite": {
        "DROP TRIGGER heads_no_delete": "trigger heads_no_delete is missing",
    },
    "postgresql": {
        "ALTER TABLE heads DISABLE TRIGGER no_change": "trigger no_change on heads is missing, disabled or another one",
        "DROP TRIGGER positions ON stored_events": "trigger positions on stored_events is missing, disabled or another one",
        "GRANT DELETE ON stored_events TO delivery_ledger_service": "delivery_ledger_service may DELETE on stored_events",
        "GRANT UPDATE ON heads TO PUBLIC": "PUBLIC may UPDATE on heads",
        "CREATE OR REPLACE FUNCTION check_head() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$": "function "
        "check_head is another one",
    },
}


def test_guard_that_is_gone_is_told_though_nothing_was_changed_yet(installation: Installation) -> None:
    """Triggers, their functions and the rights on the tables, on both databases."""
    installation.grow(2)
    for statement, said in GUARDS[installation.database.kind].items():
        with installation.opened() as system:
            installation.as_owner(statement)
            found = fsck.check(system.ledger, system.heads)
            assert [("guard", said)] == [(p.kind, p.text) for p in found.problems]
            system.ledger.database.migrate()
            installation.as_owner("REVOKE ALL ON heads FROM PUBLIC" if "PUBLIC" in said else "SELECT 1")


def test_verdict_is_an_event_that_names_the_first_wrong_position(installation: Installation) -> None:
    """A check that is not written down did not happen."""
    installation.grow(4)
    with installation.opened() as system:
        clean = system.ledger.event(fsck.record(system.ledger, fsck.check(system.ledger, system.heads)))
        assert ("ledger.checked", 5, 0) == (clean.type, clean.fields["tree_size"], clean.fields["numbers"]["problems"])
    with installation.tampering() as execute:
        change(execute, "stored_events", "state", "rowid = 3", 30)
    installation.mend_guards()
    with installation.opened() as system:
        wrong = system.ledger.event(fsck.record(system.ledger, fsck.check(system.ledger, system.heads)))
        assert 3 == wrong.fields["numbers"]["first_wrong"]
