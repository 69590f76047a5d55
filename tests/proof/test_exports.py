"""Exports of the log: complete or chosen, checked by the one-file verifier, and refused when anything was dropped or changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.evidence import verify
from ledger import exports, identity, tiles
from ledger.errors import ConfigurationError
from ledger.exports import Choice
from ops.system import System
from tests.proof.kit import Installation, flipped, grow

VOUCHED, BROKEN, OPEN = 0, 1, 3


def exported(system: System, folder: Path, **how: object) -> exports.Manifest:
    def sign(text: str) -> bytes:
        return identity.sign_text(system.identity, system.log_keys, text)

    return exports.write(system.ledger, folder, system.signed_head(), sign, **how)  # type: ignore[arg-type]


def exit_code(folder: Path, *arguments: str) -> int:
    """What the verifier says, run as a stranger runs it: by itself."""
    done = subprocess.run(
        [sys.executable, verify.__file__, str(folder), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode in {VOUCHED, BROKEN, OPEN}, done.stderr
    return done.returncode


def test_whole_log_is_exported_byte_for_byte_and_vouched_for_by_its_key(
    installation: Installation, tmp_path: Path
) -> None:
    """A line a leaf; with the key from elsewhere it is vouched for, without one it is consistent only."""
    with installation.opened() as system:
        grow(system, 40)
        made = exported(system, tmp_path / "export")
        lines = (tmp_path / "export" / "events.jsonl").read_bytes().splitlines()
        assert [event.leaf for event in system.ledger.feed()] == lines
        assert (41, 0) == (made.events, made.left_out)
        key = system.identity.keys[0].vkey()
    assert VOUCHED == exit_code(tmp_path / "export", "--log-key", key)
    assert OPEN == exit_code(tmp_path / "export")


def test_chosen_events_come_with_the_hashes_of_all_others(installation: Installation, tmp_path: Path) -> None:
    """One tenant's events, and proof that nothing else was dropped."""
    with installation.opened() as system:
        grow(system, 40)
        made = exported(system, tmp_path / "export", choice=Choice("ledger"))
        assert (1, 40) == (made.events, made.left_out)
        key = system.identity.keys[0].vkey()
    assert VOUCHED == exit_code(tmp_path / "export", "--log-key", key)


def test_export_that_begins_after_another_closes_on_the_same_root(installation: Installation, tmp_path: Path) -> None:
    """Month by month: the subtree hashes of what came before stand in the manifest."""
    with installation.opened() as system:
        grow(system, 30)
        after = system.ledger.head().size
        grow(system, 13)
        made = exported(system, tmp_path / "export", after=after, choice=Choice(types=("content.consigned",)))
        assert (after, 13, after.bit_count()) == (made.after, made.events, len(made.peaks))
        key = system.identity.keys[0].vkey()
    assert VOUCHED == exit_code(tmp_path / "export", "--log-key", key)


@pytest.mark.parametrize("name", ["events.jsonl", "left-out.txt", "checkpoint", "manifest"])
def test_changed_byte_in_any_file_breaks_an_export(on_sqlite: Installation, tmp_path: Path, name: str) -> None:
    """Events, hashes, checkpoint, manifest: each is covered by a signature."""
    folder = tmp_path / "export"
    with on_sqlite.opened() as system:
        grow(system, 10)
        exported(system, folder, choice=Choice("ledger"))
        key = system.identity.keys[0].vkey()
    path = folder / name
    data = path.read_bytes()
    for at in (0, len(data) // 2, len(data) - 20):
        path.write_bytes(flipped(data, at))
        assert VOUCHED != exit_code(folder, "--log-key", key)
    path.write_bytes(data)
    assert VOUCHED == exit_code(folder, "--log-key", key)


def test_event_dropped_by_whoever_also_signs_the_manifest_is_missed_by_the_root(
    on_sqlite: Installation, tmp_path: Path
) -> None:
    """The manifest may say what it likes: the files must give the root of the checkpoint."""
    folder = tmp_path / "export"
    with on_sqlite.opened() as system:
        grow(system, 10)
        made = exported(system, folder)
        events = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
        kept = b"".join(events[:4] + events[5:])
        (folder / "events.jsonl").write_bytes(kept)
        lying = made._replace(events=10, digests=(hashlib.sha256(kept).hexdigest(), made.digests[1]))
        (folder / "manifest").write_bytes(identity.sign_text(system.identity, system.log_keys, lying.text()))
        key = system.identity.keys[0].vkey()
    assert BROKEN == exit_code(folder, "--log-key", key)


def test_export_never_overwrites(on_sqlite: Installation, tmp_path: Path) -> None:
    """A folder that holds something is refused."""
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine").touch()
    with on_sqlite.opened() as system, pytest.raises(ConfigurationError, match="not empty"):
        exported(system, tmp_path / "export")


def test_range_without_events_is_refused(on_sqlite: Installation, tmp_path: Path) -> None:
    """Nothing to export is said, not written."""
    with on_sqlite.opened() as system, pytest.raises(ConfigurationError, match="nothing to export after position 1"):
        exported(system, tmp_path / "export", after=1)


def test_static_tiles_hold_the_whole_log(installation: Installation, tmp_path: Path) -> None:
    """Every file of C2SP tlog-tiles, and the leaves in them."""
    folder = tmp_path / "tiles"
    with installation.opened() as system:
        head = grow(system, 300)
        assert 5 == exports.write_tiles(system.ledger, folder, head)
        assert head.note == (folder / "checkpoint").read_bytes()
        leaves = [event.leaf for event in system.ledger.feed(0, 1_000)]
    bundles = (folder / "tile/entries/000").read_bytes() + (folder / "tile/entries/001.p/45").read_bytes()
    assert tiles.bundle(leaves) == bundles
    assert json.loads(leaves[0])["type"] == "key.added/1"
