"""`accounts configure` and `accounts show`, as a person types them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.test_configuring import SECRET, known_providers
from tests.ops.test_cli import Shell

BASE = "base_url=https://api.example.net/v1"


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """With an account at a provider that is called, and one at a provider that never is."""
    with known_providers():
        made = Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)
        made.run("accounts", "add", "sms-1", "--provider", "kpn_sms")
        made.run("accounts", "add", "fax-1", "--provider", "kpn_cloud_fax")
        yield made


def configure(shell: Shell, *arguments: str, code: int = 0) -> str:
    said = shell.run("accounts", "configure", "sms-1", *arguments, code=code)
    assert SECRET not in said
    return said


def credentials(shell: Shell) -> dict[str, bool]:
    """Name -> whether it is set."""
    found = shell.json("accounts", "show", "sms-1")["credentials"]
    return {each["name"]: bool(each["added_at"]) for each in found}


def test_settings_are_set_one_by_one_and_each_change_is_told(shell: Shell) -> None:
    """What is not named stays; the same again changes nothing; a list is JSON."""
    assert "base_url: (default) -> https://api.example.net/v1" in configure(shell, "--set", BASE)
    said = configure(shell, "--set", "page_rows=50", "--set", 'folders=["INBOX", "[x]"]', "--set", "is_joint=true")
    assert "page_rows: (default) -> 50" in said
    assert "is_joint: (default) -> true" in said
    assert "Nothing changed." in configure(shell, "--set", "page_rows=50")
    assert "page_rows: 50 -> (default)" in configure(shell, "--unset", "page_rows", "--set", "mailbox=a=b")
    found = shell.json("accounts", "show", "sms-1")
    expected = {
        "base_url": "https://api.example.net/v1",
        "folders": ["INBOX", "[x]"],
        "is_joint": True,
        "mailbox": "a=b",
    }
    assert expected == found["settings"]
    assert 25 == found["defaults"]["page_rows"]
    shown = shell.run("accounts", "show", "sms-1")
    assert 'folders = ["INBOX","[x]"]\n' in shown
    assert "page_rows = 25  (default)" in shown
    assert 'mailbox: a=b -> ""\n' in configure(shell, "--set", "mailbox=")


def test_credentials_come_from_files_standard_input_and_the_environment(shell: Shell) -> None:
    """Without the end of their line, and with everything else; they are shown nowhere."""
    (shell.folder / "user").write_text(f" {SECRET} \r\n")
    shell.patch.setenv("MAILBOX_PASSWORD", SECRET)
    said = configure(shell, "--set", BASE, "--secret", "username=@user", "--secret", "password=env:MAILBOX_PASSWORD")
    assert "credential username is set" in said
    assert {"username": True, "password": True} == credentials(shell)
    assert SECRET not in shell.run("accounts", "show", "sms-1")
    shell.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe\n")))
    configure(shell, "--secret", "password=-", "--retire-secret", "username")
    assert {"username": False, "password": True} == credentials(shell)
    assert "credential username: missing (of the mailbox)" in shell.run("accounts", "show", "sms-1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "page_rows"), "write NAME=VALUE"),
        (("--set", "page_rows=1", "--set", "page_rows=2"), "each name once"),
        (("--set", "mailbx=x"), "mailbx: there is no such setting; there are base_url, mailbox"),
        (("--set", "page_rows=0"), "page_rows: Expected `int` >= 1".replace("`", "")),
        (("--set", "folders=[INBOX]"), "folders: begins like JSON and is none"),
        (("--set", "base_url=http://api.example.net"), "base_url: plain http://"),
        (("--unset", "base_url"), "base_url: must be set"),
        (("--secret", f"password={SECRET}"), "on the command line others could see it"),
        (("--secret", SECRET), "write NAME=VALUE"),
        (("--secret", "password=env:NOT_THERE"), "no environment variable NOT_THERE"),
        (("--secret", "password=@bytes"), "not text in UTF-8"),
        (("--secret", "password=@empty"), "password: it is empty"),
        (("--secret", "pin=@good"), "pin: there is no such credential; there are username, password"),
    ],
    ids=lambda value: value[-1].replace(SECRET, "…") if isinstance(value, tuple) else "",
)
def test_mistake_exits_with_2_says_what_is_right_and_changes_nothing(
    shell: Shell, arguments: tuple[str, ...], said: str
) -> None:
    """A credential that was typed by mistake is not repeated."""
    (shell.folder / "bytes").write_bytes(b"\xff\xfe")
    (shell.folder / "empty").write_bytes(b"\n")
    (shell.folder / "good").write_text(SECRET)
    configure(shell, "--set", BASE)
    before = shell.json("fsck")["size"]
    assert said in configure(shell, *arguments, code=2)
    assert before + 1 == shell.json("fsck")["size"]  # that the ledger was checked is an event


def test_what_is_not_there_exits_with_3_or_1(shell: Shell) -> None:
    """No such account, no such credential; a file that cannot be read."""
    assert "no account 'sms-2'" in shell.run("accounts", "show", "sms-2", code=3)
    assert "no account 'sms-2'" in shell.run("accounts", "configure", "sms-2", "--set", BASE, code=3)
    assert "no credential 'password'" in configure(shell, "--retire-secret", "password", code=3)
    assert "missing.txt" in configure(shell, "--secret", "password=@missing.txt", code=1)


def test_show_says_what_to_type_next(shell: Shell) -> None:
    """What is missing, with the option that repairs it; or that there is nothing to set."""
    shown = shell.run("accounts", "show", "sms-1")
    assert "setting base_url must be set: --set base_url=VALUE" in shown
    assert "credential password is not set (of the mailbox): --secret password=@FILE" in shown
    assert "so it has no settings" in shell.run("accounts", "show", "fax-1")
