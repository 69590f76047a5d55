"""The command line as a person types it: what it prints and how it exits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ledger import sqlite
from ops import console
from ops.cli import main
from projections import searching
from tests.conftest import HERE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RECEIPT = ROOT / "adapters/providers/pec_mailbox/samples"


class Shell:
    """A newcomer's terminal: an empty folder and the settings of one database."""

    def __init__(
        self, folder: Path, database_url: str, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self.patch = patch
        self.captured = captured
        for name in [name for name in os.environ if name.startswith("LEDGER_")]:
            patch.delenv(name)
        patch.chdir(folder)
        for name, value in ({"LEDGER_DATABASE_URL": database_url} | HERE).items():
            patch.setenv(name, value)
        for each in (console.out, console.err):
            patch.setattr(each, "width", 200)

    def run(self, *arguments: str, code: int = 0) -> str:
        """What the command prints, both streams; its exit code must be the expected one."""
        self.captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = "".join(self.captured.readouterr())
        assert code == ended.value.code, printed
        return printed

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))


@pytest.fixture
def shell(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, database.url, monkeypatch, capsys)


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    """Certified mail of our own making: an acceptance and a delivery receipt, as files."""
    folder = tmp_path / "receipts"
    folder.mkdir()
    for case in sorted(RECEIPT.iterdir()):
        if case.suffix != ".words" and not json.loads((case / "expected.json").read_bytes()).get("unreadable"):
            (folder / f"{case.name}.eml").write_bytes((case / "body.raw").read_bytes())
    return folder


def test_import_says_what_was_new_and_the_second_time_that_nothing_changed(shell: Shell, receipts: Path) -> None:
    """The same files again change nothing but that somebody asked; every message it names can be looked up."""
    first = shell.json("import", str(receipts))
    assert first["files"] == first["new"] == len(list(receipts.iterdir()))
    assert [] == first["problems"]
    size = shell.json("fsck")["size"]
    again = shell.json("import", str(receipts))
    assert (0, first["files"]) == (again["new"], again["seen"])
    assert size + 2 == shell.json("fsck")["size"]  # that it was imported, and checked
    assert "Nothing changed" in shell.run("import", str(receipts))
    for message in first["messages"]:
        view = shell.json("status", message)
        assert message in {view["message"], *view["joined"]}
        assert shell.json("trail", message)["entries"]
        assert message[:8] in shell.run("status", message)
        assert "leaf" in shell.run("trail", message)


def test_search_without_a_filter_lists_all_newest_first(shell: Shell, receipts: Path) -> None:
    """Pages follow each other without a gap or a repetition."""
    shell.run("import", str(receipts))
    whole = shell.json("search", "--limit", "500")["deliveries"]
    assert len(whole) > 3
    paged, cursor = [], ""
    while True:
        page = shell.json("search", "--limit", "2", *(["--cursor", cursor] if cursor else []))
        paged += page["deliveries"]
        cursor = page["next"]
        if not cursor:
            break
    assert whole == paged
    opened = [d["opened_at"] for d in whole]
    assert sorted(opened, reverse=True) == opened
    address = whole[0]["address"]["address"]
    assert whole[0] in shell.json("search", "--recipient", address.upper(), "--limit", "500")["deliveries"]


def test_a_list_is_filled_though_its_pages_are_short(shell: Shell, receipts: Path) -> None:
    """A page that has looked at enough says where to go on, and the command goes on."""
    shell.run("import", str(receipts))
    whole = shell.json("search", "--limit", "500")["deliveries"]
    expected = [each for each in whole if each["status"] == whole[-1]["status"]]
    assert len(expected) + 1 < len(whole)
    shell.patch.setattr(searching, "MAX_FACETS", 0)
    shell.patch.setattr(searching, "MAX_LOOKED", 2)
    found = shell.json("search", "--status", whole[-1]["status"], "--limit", str(len(expected)))
    assert expected == found["deliveries"]


def test_unknown_things_exit_with_3_and_wrong_commands_with_2(shell: Shell) -> None:
    """Programs can tell a missing message from a mistyped command."""
    assert "there is no message" in shell.run("status", "nothing", code=3)
    assert "no such file or folder" in shell.run("import", "missing.eml", code=2)
    assert "unknown status" in shell.run("search", "--status", "lost", code=2)
    assert "unknown mark 'red'; there are open, final" in shell.run("search", "--mark", "red", code=2)
    assert "since: 'soon' is no time" in shell.run("search", "--since", "soon", code=2)
    assert "unknown scope" in shell.run("keys", "create", "everything", code=2)
    shell.patch.setenv("LEDGER_DATABASE_URL", "mysql://root:secret@localhost/x")
    said = shell.run("search", code=2)
    assert "sqlite:///path or postgresql://" in said
    assert "secret" not in said


def test_overwritten_byte_is_named_by_position(
    sqlite_database: Any,
    tmp_path: Path,
    receipts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody with the file and another program changes one byte of one event: fsck says which."""
    shell = Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)
    shell.run("import", str(receipts))
    path = sqlite_database.url.removeprefix("sqlite:///")
    connection = sqlite.driver().connect(path)
    connection.execute("DROP TRIGGER stored_events_no_update")
    state = bytearray(connection.execute("SELECT state FROM stored_events WHERE rowid = 3").fetchone()[0])
    state[20] ^= 1
    connection.execute("UPDATE stored_events SET state = ? WHERE rowid = 3", (bytes(state),))
    connection.commit()
    connection.close()
    verdict = shell.json("fsck", code=1)
    assert ("event", 3) == (verdict["problems"][0]["kind"], verdict["problems"][0]["position"])


def test_rebuild_finds_the_read_models_equal(shell: Shell, receipts: Path) -> None:
    """What is kept up event by event is what a rebuild from position 1 gives."""
    shell.run("import", str(receipts))
    for each in shell.json("rebuild"):
        assert {0} == set(each["differences"].values())


def test_account_key_and_lane_commands_work_as_the_help_says(shell: Shell) -> None:
    """From opening an account to what waits in its lane."""
    (shell.folder / "secret").write_text("s3cret\n")
    shell.run("accounts", "add", "sms-1", "--provider", "kpn_sms")
    assert ["sms-1"] == [a["account"] for a in shell.json("accounts", "list")]
    assert 0 == shell.json("accounts", "rotate", "sms-1", "--key-id", "wk_1", "--secret-file", "secret")["admitted"]
    check = shell.json("accounts", "check", "sms-1")
    assert ["wk_1"] == check["keys"]
    assert "/v1/hooks/default/sms-1/webhook.dlr" in check["webhook_urls"]["webhook.dlr"]
    shell.run("accounts", "rotate", "sms-1", "--key-id", "wk_1", "--retire")
    shell.run("accounts", "disable", "sms-1", "--note", "contract ended")
    assert shell.json("accounts", "check", "sms-1")["is_disabled"]
    made = shell.json("keys", "create", "read", "--label", "support")
    assert made["key"].startswith(made["api_key_id"])
    shell.run("keys", "revoke", made["api_key_id"])
    assert shell.json("keys", "list")[0]["revoked_at"]
    (shell.folder / "noise.json").write_text('{"nobody": "knows this"}')
    assert 1 == shell.json("import", "noise.json")["unreadable"]
    item = shell.json("lanes", "list")["items"][0]["item"]
    assert "nobody" in shell.run("lanes", "show", item)
    shell.run("lanes", "dismiss", item, "--note", "a test file")
    assert [] == shell.json("lanes", "list")["items"]
    assert "Nothing waits" in shell.run("lanes", "list")


def test_providers_prints_the_tables_the_code_runs_on(shell: Shell) -> None:
    """Every provider, every table, with source marks."""
    listed = {p["name"]: p for p in shell.json("providers")}
    assert {
        "ekopost",
        "kpn_cloud_fax",
        "kpn_registered_email",
        "kpn_sms",
        "pec_mailbox",
        "pec_massiva",
    } <= listed.keys()
    for name, provider in listed.items():
        assert provider == shell.json("providers", name)
        words = [w for rows in provider["tables"].values() for w in rows]
        assert {w["source"] for w in words} <= {"R", "C", "3P", "CMP", "A"}
        assert all(w["finality"] for w in words if w["type"])
    assert "KPN SMS" in shell.run("providers", "kpn_sms")
    assert "there is no provider" in shell.run("providers", "nobody", code=3)


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"\./ops/run ([a-z]+(?: (?:list|create|add|rotate|check|migrate))?)", README)))
)
def test_every_command_of_the_readme_exists_and_helps(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the README tells to type is there, and --help says what it does."""
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert (0, True) == (ended.value.code, "Usage: delivery-ledger" in capsys.readouterr().out)


def test_command_line_is_a_program() -> None:
    """Started as the scripts start it, in a process of its own."""
    started = [sys.executable, "-m", "ops.cli", "--help"]
    done = subprocess.run(started, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, True) == (done.returncode, "Usage: delivery-ledger" in done.stdout), done.stdout + done.stderr
