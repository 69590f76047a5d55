"""The command `report make` as a person types it, and `verify` on what it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.cli import main
from ops.system import System
from tests.evidence.packs import ACCEPTED, TENANT, TO_ANNA, a_ledger, hand_in, message_of

Typed = Callable[..., tuple[int, str]]
USAGE, NOT_FOUND = 2, 3


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A ledger in the current folder, as the settings name it."""
    names = {"DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}", "KEY_FOLDER": tmp_path / "keys", "TENANT": TENANT}
    names |= {
        "HEAD_FOLDER": tmp_path / "heads",
        "ARTIFACT_FOLDER": tmp_path / "artifacts",
        "LOG_NAME": "log.example/acme",
    }
    for name, value in names.items():
        monkeypatch.setenv(f"LEDGER_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    with a_ledger(tmp_path) as found:
        hand_in(found, tmp_path, ACCEPTED, TO_ANNA)
        found.signed_head()
        found.leader.close()
        yield found


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """What a command returns and prints."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out or printed.err

    return run


def made(typed: Typed, *arguments: str) -> dict[str, Any]:
    code, told = typed("report", "make", *arguments, "--json")
    assert 0 == code, told
    found: dict[str, Any] = json.loads(told)
    return found


@pytest.mark.parametrize("name", ["march", "march.zip", "new/folder/march"])
def test_report_is_written_and_checked_by_the_command_that_is_printed(typed: Typed, system: System, name: str) -> None:
    """A folder or a zip file; the key from elsewhere vouches for it; without one it is consistent only."""
    told = made(typed, "messages", "--message", message_of(system), "--format", "jsonl", "--out", name)
    assert (3, "messages/1") == (told["rows"], told["query"])
    assert 0 == typed("verify", name, "--log-key", told["log_keys"][0])[0]
    assert 3 == typed("verify", name)[0]


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx", "pdf"])
def test_every_format_is_made_and_verifies(typed: Typed, system: System, form: str) -> None:
    """Also of a question that nothing answers."""
    told = made(typed, "disputed", "--format", form, "--language", "sv", "--out", f"{form}.zip")
    assert (0, f"report.{form}") == (told["rows"], told["files"][0]["name"])
    assert 0 == typed("verify", f"{form}.zip", "--log-key", told["log_keys"][0])[0]


def test_report_is_an_event_before_it_is_there(typed: Typed, system: System) -> None:
    """Query, position, root and rows in the clear; parameters, digests and the reason committed."""
    told = made(typed, "disputed", "--set", "provider=pec_mailbox", "--reason", "audit 7", "--out", "d")
    event = system.ledger.event(system.ledger.head().size)
    said = ["report.made", "disputed/1", told["position"], told["root"], {"rows": 0}]
    assert said == [event.fields[name] for name in ("rule", "code", "tree_size", "root", "numbers")]
    values = system.ledger.values([event])[event.position]
    assert {"provider": "pec_mailbox"} == json.loads(values["parameters"])
    assert ("audit 7", told["digest"], told["files"]) == (values["note"], values["digest"], json.loads(values["files"]))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing", "--out", "n"), NOT_FOUND, "there is no compliance query 'nothing'"),
        (("disputed", "--set", "sinse=1", "--out", "n"), USAGE, "its parameters are: since"),
        (("disputed", "--zone", "Mars/Base", "--out", "n"), USAGE, "there is no time zone 'Mars/Base'"),
        (("messages", "--message", "unknown", "--out", "n"), NOT_FOUND, "there is no message unknown"),
        (("disputed", "--out", "there"), USAGE, "there is there already"),
        (("disputed", "--out", "there/file.zip"), USAGE, "file.zip is there already"),
        (("disputed", "--format", "doc", "--out", "n"), USAGE, "doc"),
    ],
)
def test_wrong_command_writes_nothing_and_says_why(  # noqa: PLR0917  the row of a table
    typed: Typed, system: System, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """Query, parameter, zone, message, format, place: each is named, and nothing is left behind."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file.zip").write_bytes(b"")
    before, size = sorted(tmp_path.rglob("*")), system.ledger.head().size
    ended, told = typed("report", "make", *arguments)
    assert (code, True) == (ended, words in told), told
    assert [
        path for path in sorted(tmp_path.rglob("*")) if path not in before and path.parent != tmp_path / "heads"
    ] == []
    assert size == system.ledger.head().size
