"""The commands about the log, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.evidence import verify
from ledger import checkpoints, notes, proofs
from ops.cli import main
from tests.proof.kit import Installation, other_code


class Shell:
    """A terminal with the settings of one installation."""

    def __init__(
        self, installation: Installation, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.captured = captured
        folder = installation.folder
        patch.chdir(folder)
        for name, value in {
            "DATABASE_URL": installation.database.url,
            "KEY_FOLDER": folder / "keys",
            "ARTIFACT_FOLDER": folder / "artifacts",
            "HEAD_FOLDER": folder / "heads",
        }.items():
            patch.setenv(f"LEDGER_{name}", str(value))
        patch.setenv("COLUMNS", "200")

    def run(self, *arguments: str, code: int = 0) -> str:
        """What the command prints on both streams; its exit code must be the expected one."""
        self.captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = "".join(self.captured.readouterr())
        assert code == ended.value.code, printed
        return printed

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))


@pytest.fixture
def shell(installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    installation.grow(5)
    return Shell(installation, monkeypatch, capsys)


def test_checkpoint_show_prints_the_note_as_it_is(shell: Shell) -> None:
    """Nothing before or after it: it can be piped into any verifier; under the key that `keys log` prints it is good."""
    printed = shell.run("checkpoint", "show")
    keys = [notes.parse_vkey(row["vkey"]) for row in shell.json("keys", "log")["keys"] if row["state"] == "active"]
    assert keys == notes.verified_by(notes.parse(printed.encode()), keys)
    assert (
        6 == checkpoints.parse(notes.parse(printed.encode()).text).size == shell.json("checkpoint", "show")["tree_size"]
    )


def test_checkpoint_push_tells_each_target_and_fails_if_one_does(shell: Shell, tmp_path: Path) -> None:
    """One that is down does not keep the head from the others."""
    printed = shell.run("checkpoint", "push", "http://127.0.0.1:9/", str(tmp_path / "elsewhere"), code=1)
    assert "did not take the head of 7 events" in printed
    assert "elsewhere has the head of 7 events." in printed


def test_proof_by_position_and_by_id_is_the_same_file(shell: Shell, installation: Installation, tmp_path: Path) -> None:
    """To stdout or to a file; it verifies with the event's bytes."""
    with installation.opened() as system:
        event, keys = system.ledger.event(3), system.identity.keys
    printed = shell.run("proof", "3")
    assert printed == shell.run("proof", event.id)
    shell.run("proof", "3", "--out", str(tmp_path / "3.tlog-proof"))
    assert printed.encode() == (tmp_path / "3.tlog-proof").read_bytes()
    assert 6 == proofs.verify(event.leaf, printed.encode(), keys).size
    assert "there is no event at position 99" in shell.run("proof", "99", code=3)


def test_log_key_is_rotated_retired_and_revoked_from_the_command_line(shell: Shell, tmp_path: Path) -> None:
    """Each step says what to do next; fingerprints are shown for comparison by another way."""
    (first,) = (row for row in shell.json("keys", "log")["keys"] if row["state"] == "active")
    assert first["fingerprint"] in shell.run("keys", "log")
    assert "first add another" in shell.run("keys", "log", "retire", first["key_id"], code=2)
    assert "then retire the old one" in shell.run("keys", "log", "rotate")
    assert 2 == shell.run("checkpoint", "show").count("\u2014")
    assert "is out of use" in shell.run("keys", "log", "retire", first["key_id"])
    assert 1 == shell.run("checkpoint", "show").count("\u2014")
    shell.run("keys", "log", "rotate")
    stolen = shell.json("keys", "log")["keys"][0]["key_id"]
    revoke = ("keys", "log", "revoke", stolen, "--recovery-key")
    assert "not the recovery key" in shell.run(*revoke, str(tmp_path / "keys" / "log-0001.key"), code=2)
    assert "is revoked" in shell.run(*revoke, str(tmp_path / "keys" / "recovery.key"))
    assert ["active", "revoked", "recovery"] == [row["state"] for row in shell.json("keys", "log")["keys"]]
    assert [] == shell.json("fsck")["problems"]
    assert "no active log key has the id" in shell.run("keys", "log", "retire", stolen, code=2)


def test_recover_tells_what_was_lost_and_acts_only_when_told_to(shell: Shell, installation: Installation) -> None:
    """Until then every command says that appending is refused; afterwards the log goes on under its new origin."""
    assert "nothing to recover from" in shell.run("recover", code=2)
    restore = installation.backup()
    installation.grow(4)
    restore()
    assert "appending is refused: a head of 10 events was signed, this database holds 6" in shell.run("lanes", "list")
    assert "appending is refused" in shell.run("checkpoint", "show", code=1)
    told = shell.run("recover", code=1)
    assert "Lost: at least 4 acknowledged events." in told
    assert "recover --yes" in told
    assert "The log goes on as" in shell.run("recover", "--yes")
    assert 2 == shell.json("keys", "log")["epoch"]
    with installation.opened() as system:  # the first of the new epoch says what was lost, and one says who went on
        by_hand = [e.fields for e in system.ledger.feed(6) if e.type == "operation.asked"]
        assert ("log.succeeded", [("recover", "console")]) == (
            system.ledger.event(7).type,
            [(fields["code"], fields["actor"]) for fields in by_hand],
        )
    assert [] == shell.json("fsck")["problems"]


def test_fsck_says_what_a_rewritten_history_means(shell: Shell, installation: Installation) -> None:
    """The first wrong position, both roots, and in words who could have done it."""
    installation.rewrite(3, other_code)
    told = shell.run("fsck", code=1)
    assert "root mismatch at tree size 6: signed" in told
    assert "The first that is wrong: position 6." in told
    assert "can recompute the whole tree, but cannot sign" in told


def test_fsck_record_writes_the_verdict_into_the_log(shell: Shell, installation: Installation) -> None:
    """And says the same without it."""
    shell.run("fsck")
    shell.run("fsck", "--record")
    with installation.opened() as system:
        assert ["operation.asked"] * 2 + ["ledger.checked"] == [event.type for event in system.ledger.feed(6)]


def test_export_is_written_recorded_and_verifies(shell: Shell, installation: Installation, tmp_path: Path) -> None:
    """As lines with a manifest, a part of them, or as tiles; that the log left is an event."""
    shell.run("export", "whole")
    shell.run("export", "part", "--after", "2", "--only-type", "evidence.exported")
    said = shell.json("export", "tiles", "--format", "tiles")
    assert {"folder": "tiles", "tree_size": 11, "files": 2} == said
    key = shell.json("keys", "log")["keys"][0]["vkey"]
    for name in ("whole", "part"):
        assert 0 == verify.main([str(tmp_path / name), "--log-key", key])
    assert "is the whole log" in shell.run("export", "more", "--format", "tiles", "--after", "1", code=2)
    with installation.opened() as system:
        assert ["operation.asked", "evidence.exported"] * 3 == [event.type for event in system.ledger.feed(6)]
