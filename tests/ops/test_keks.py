"""Key-encryption keys as a person handles them: made, taken up by what runs, dropped, or given by a setting."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import ConfigurationError
from ops import keyfiles
from ops.settings import load
from tests.ops.test_cli import Shell

KEY_ID, KEY = b"i" * 16, b"s" * 32


@pytest.fixture
def shell(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """With a key of each sort that lies beside the log."""
    made = Shell(tmp_path, database.url, monkeypatch, capsys)
    made.run("accounts", "add", "sms-1", "--provider", "kpn_sms")
    (made.folder / "secret").write_text("a webhook secret")
    made.run("accounts", "rotate", "sms-1", "--key-id", "wk_1", "--secret-file", "secret")
    return made


def test_kek_is_rotated_and_the_old_one_dropped_when_it_wraps_nothing(shell: Shell) -> None:
    """What was sealed opens all the way; each act is an event; a drop is refused while it would lose something."""
    folder = load().key_folder
    assert "wraps new keys" in shell.run("keys", "kek", "drop", "kek-0001", code=2)
    assert "kek-0002 is made" in shell.run("keys", "kek", "rotate", "--make-only")
    assert "still wraps" in shell.run("keys", "kek", "drop", "kek-0001", code=2)
    before = sum(shell.json("keys", "kek", "list")[0]["wraps"].values())
    assert {"done": before, "unreadable": 0} == shell.json("keys", "kek", "rewrap")
    assert [{}, before + 1] == [  # and what was sealed beside the event that it was asked for
        each["wraps"] or {} if each["kek"] == "kek-0001" else sum(each["wraps"].values())
        for each in shell.json("keys", "kek", "list")
    ]
    assert "after 60 minutes" in shell.run("keys", "kek", "drop", "kek-0001", code=2)
    an_hour_ago = time.time() - 3_601
    os.utime(folder / "kek-0002.key", (an_hour_ago, an_hour_ago))
    assert "no longer be read" in shell.run("keys", "kek", "drop", "kek-0001")
    assert ["kek-0002.key"] == [path.name for path in folder.glob("kek-*")]
    assert ["wk_1"] == shell.json("accounts", "check", "sms-1")["keys"]
    wrapped = sum(shell.json("keys", "kek", "list")[0]["wraps"].values())
    assert {"done": wrapped + 1, "unreadable": 0} == shell.json("keys", "kek", "rotate")
    assert "there is no key-encryption key" in shell.run("keys", "kek", "drop", "kek-0009", code=3)


def test_keks_of_the_setting_need_no_files(shell: Shell) -> None:
    """What they wrap opens with them; files are neither made nor removed then, and a mistake does not quote the key."""
    found = load().key_folder / "kek-0001.key"
    kek = found.read_text().strip()
    found.unlink()
    shell.patch.setenv("LEDGER_KEKS", f"kek-0001={kek} next={'ab' * 32}")
    assert ["wk_1"] == shell.json("accounts", "check", "sms-1")["keys"]
    assert "LEDGER_KEKS" in shell.run("keys", "kek", "rotate", code=2)
    assert 0 == shell.json("keys", "kek", "rewrap")["unreadable"]
    assert "LEDGER_KEKS" in shell.run("keys", "kek", "drop", "kek-0001", code=2)
    shell.patch.setenv("LEDGER_KEKS", f"next={'ab' * 32}")
    assert ["wk_1"] == shell.json("accounts", "check", "sms-1")["keys"]
    shell.patch.delenv("LEDGER_KEKS")
    (shell.folder / "mounted").mkdir()
    (shell.folder / "mounted" / "ledger_keks").write_text(f"next={'ab' * 32}\n")
    shell.patch.setenv("LEDGER_SECRETS_FOLDER", "mounted")
    assert ["wk_1"] == shell.json("accounts", "check", "sms-1")["keys"]
    shell.patch.setenv("LEDGER_KEKS", f"next={'ab' * 31}")
    said = shell.run("accounts", "check", "sms-1", code=2)
    assert "LEDGER_KEKS" in said
    assert "abab" not in said
    assert "abab" not in repr(load())


def test_process_that_runs_takes_up_a_new_kek_and_forgets_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process wrapped by the new one opens at once; new keys are wrapped by it within seconds."""
    running = keyfiles.load(tmp_path, may_create=True)
    old = running.wrap(KEY_ID, KEY)
    assert "kek-0002" == keyfiles.next_kek(tmp_path)
    keyfiles.add_kek(tmp_path, "kek-0002")
    with pytest.raises(FileExistsError):
        keyfiles.add_kek(tmp_path, "kek-0002")
    new = keyfiles.load(tmp_path, may_create=False).wrap(KEY_ID, KEY)
    assert KEY == running.unwrap(KEY_ID, new)
    assert "kek-0002" == running.wraps_with
    keyfiles.drop_kek(tmp_path, "kek-0001")
    monkeypatch.setattr(keyfiles, "RELOAD_S", -1.0)
    with pytest.raises(ConfigurationError, match="kek-0001"):
        running.unwrap(KEY_ID, old)


def test_kek_that_cannot_be_read_stops_nothing_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a file, or an empty folder, leaves a running process with what it had; a new one is told."""
    running = keyfiles.load(tmp_path, may_create=True)
    (tmp_path / "kek-0002.key").write_text("half")
    monkeypatch.setattr(keyfiles, "RELOAD_S", -1.0)
    assert "kek-0001" == running.wraps_with
    with pytest.raises(ConfigurationError, match="kek-0002"):
        keyfiles.load(tmp_path, may_create=False)
    for path in tmp_path.glob("kek-*"):
        path.unlink()
    assert KEY == running.unwrap(KEY_ID, running.wrap(KEY_ID, KEY))
