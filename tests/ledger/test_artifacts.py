"""Originals in the folder: durable before they are named, found again, and swept when nothing came to name them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import artifacts
from ledger.appender import Item
from ledger.application import IN_DATABASE_BYTES, MAX_ARTIFACT_BYTES, Ledger
from ledger.artifacts import SWEPT_AFTER_S
from ledger.errors import CorruptError, ErasedError, NotFoundError, TooLargeError
from tests.ledger.kit import TENANT, new_stream, opened
from tests.postgres import Database as Given

NOW = 1_800_000_000.0
LARGE = os.urandom(IN_DATABASE_BYTES + 1)


@pytest.fixture
def ledger(database: Given, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger on each kind of database."""
    with opened(database, tmp_path) as opened_ledger:
        yield opened_ledger


def store(ledger: Ledger, body: bytes) -> str:
    """Append an event that names an original."""
    stream = new_stream()
    row, key = ledger.new_key(stream, -1)
    original = ledger.seal_original(key, body, "message/rfc822")
    draft = ledger.draft("evidence.ingested", TENANT, stream, {"artifacts": [original.artifact_id]})
    ledger.append(Item([draft], keys=[row], artifacts=[(0, original)]))
    return original.artifact_id


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_original_comes_back_byte_for_byte(ledger: Ledger, body: bytes) -> None:
    """Wherever it lies, an original is what arrived."""
    artifact_id = store(ledger, body)
    found = ledger.artifact(artifact_id)
    assert (artifact_id, 1, "message/rfc822", body) == found
    assert ([artifact_id] if body is LARGE else []) == files(ledger.artifact_folder)


def test_original_in_the_folder_is_sealed(ledger: Ledger) -> None:
    """Nothing of its bytes stands in the file; one changed bit is noticed; its destroyed key closes it."""
    body = b"Lieve Anna, " * 100_000 + LARGE
    artifact_id = store(ledger, body)
    (path,) = ledger.artifact_folder.rglob(artifact_id)
    sealed = path.read_bytes()
    assert b"Anna" not in sealed
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(CorruptError):
        ledger.artifact(artifact_id)
    with ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys")
    with pytest.raises(ErasedError):
        ledger.artifact(artifact_id)


def test_original_over_the_limit_is_refused(ledger: Ledger) -> None:
    """More than 64 MiB is refused before anything is written."""
    _, key = ledger.new_key(new_stream(), -1)
    with pytest.raises(TooLargeError):
        ledger.seal_original(key, bytes(MAX_ARTIFACT_BYTES + 1), "x/y")
    assert [] == files(ledger.artifact_folder)


def test_unknown_original_is_not_found(ledger: Ledger) -> None:
    """An id that no row has, also one that looks like a path."""
    for artifact_id in ("01958f3a-5c00-7000-8000-0123456789ab", "../../etc/passwd"):
        with pytest.raises(NotFoundError):
            ledger.artifact(artifact_id)


class Journal:
    """Notes what is synced and renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.steps: list[str] = []
        fsync, rename = os.fsync, Path.rename

        def note(step: str, path: Path) -> None:
            self.steps.append(f"{step} {path.relative_to(root)}")

        def syncing(handle: int) -> None:
            found = os.fstat(handle)
            note("fsync", next(path for path in (root, *root.rglob("*")) if path.stat().st_ino == found.st_ino))
            fsync(handle)

        def renaming(path: Path, target: Path) -> Path:
            note("rename", path)
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(Path, "rename", renaming)


def test_file_and_every_folder_above_it_are_durable_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New folders, the file, then its name: each is synced before the next step."""
    folder = tmp_path / "a" / "b"
    journal = Journal(monkeypatch, tmp_path)
    artifacts.write(folder, "id-7f", b"sealed")
    assert [
        "fsync .",
        "fsync a",
        "fsync a/b",
        "fsync a/b/7f/id-7f.part",
        "rename a/b/7f/id-7f.part",
        "fsync a/b/7f",
    ] == journal.steps
    journal.steps.clear()
    artifacts.write(folder, "id2-7f", b"sealed")
    assert ["fsync a/b/7f/id2-7f.part", "rename a/b/7f/id2-7f.part", "fsync a/b/7f"] == journal.steps
    assert b"sealed" == artifacts.read(folder, "id2-7f")


def test_file_that_reads_back_differently_is_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not give back what it took is noticed before an event names the file."""
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"other")
    with pytest.raises(CorruptError, match="artifact id-7f read back differs"):
        artifacts.write(tmp_path, "id-7f", b"sealed")


def aged(path: Path, seconds: float) -> None:
    """Let a file be that old at NOW."""
    os.utime(path, (NOW - seconds, NOW - seconds))


def test_sweep_removes_what_is_old_and_named_by_nothing(ledger: Ledger) -> None:
    """Named files, young files and folders stay; unnamed files older than a day go, unfinished ones too."""
    folder = ledger.artifact_folder
    named = store(ledger, LARGE)
    for name in ("01958f3a-0000-7000-8000-0000000000ab", "01958f3a-0000-7000-8000-0000000000cd"):
        artifacts.write(folder, name, b"sealed")
    (folder / "ab" / "unfinished.part").write_bytes(b"seal")
    (folder / "ab" / "young.part").write_bytes(b"seal")
    (folder / "note.txt").write_text("not ours")
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        aged(path, SWEPT_AFTER_S + 1)
    aged(folder / "ab" / "young.part", SWEPT_AFTER_S - 1)
    aged(folder / "cd" / "01958f3a-0000-7000-8000-0000000000cd", SWEPT_AFTER_S - 1)
    removed = artifacts.sweep(folder, ledger._named_artifacts, NOW)  # noqa: SLF001  with a clock of our own
    assert ["01958f3a-0000-7000-8000-0000000000ab", "unfinished.part"] == removed
    assert sorted([named, "01958f3a-0000-7000-8000-0000000000cd", "young.part", "note.txt"]) == files(folder)
    assert LARGE == ledger.artifact(named).body


def test_sweep_of_a_folder_that_was_never_needed_does_nothing(ledger: Ledger) -> None:
    """Before the first large original there is no folder."""
    assert [] == ledger.sweep_artifacts()
    assert not ledger.artifact_folder.exists()
