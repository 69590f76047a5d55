"""The command `person export` as somebody types it who answers a data-subject request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.cli import main
from tests.evidence.packs import ACCEPTED, ANNA, BRUNO, TENANT, TO_ANNA, a_ledger, hand_in

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """What a command returns and prints, on a ledger with one message to three people."""
    names = {"DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}", "KEY_FOLDER": tmp_path / "keys", "TENANT": TENANT}
    names |= {
        "HEAD_FOLDER": tmp_path / "heads",
        "ARTIFACT_FOLDER": tmp_path / "artifacts",
        "LOG_NAME": "log.example/acme",
    }
    for name, value in names.items():
        monkeypatch.setenv(f"LEDGER_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    with a_ledger(tmp_path) as system:
        hand_in(system, tmp_path, ACCEPTED, TO_ANNA)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out or printed.err

    return run


def test_package_is_written_where_it_was_asked_for(typed: Typed, tmp_path: Path) -> None:
    """It says what it holds and what stays out; the acceptance names all three, so it stays out of one person's package."""
    asked = (
        "person",
        "export",
        "--recipient",
        ANNA.upper(),
        "--out",
        "anna",
        "--language",
        "it",
        "--reason",
        "richiesta 7",
    )
    code, told = typed(*asked)
    assert (0, "1 messages, 1 deliveries, 1 originals: anna") == (code, told.splitlines()[0])
    assert "1 originals stay out (other_persons)" in told
    assert "Che cosa è conservato su una persona" in (tmp_path / "anna/README.txt").read_text()
    assert BRUNO not in "".join(path.read_text() for path in (tmp_path / "anna").rglob("*") if path.is_file())


def test_same_folder_twice_is_refused(typed: Typed, tmp_path: Path) -> None:
    """What was handed out once is not written over."""
    asked = ("person", "export", "--recipient", ANNA, "--out", "anna", "--reason", "request 7")
    assert 0 == typed(*asked)[0]
    before = (tmp_path / "anna/SHA256SUMS").read_bytes()
    code, told = typed(*asked)
    assert (2, True) == (code, "is there already" in told)
    assert before == (tmp_path / "anna/SHA256SUMS").read_bytes()


def test_unknown_person_is_told_so(typed: Typed) -> None:
    """No error: an honest answer, for people and for programs."""
    asked = ("person", "export", "--recipient", "nobody@nowhere.example", "--reason", "request 8", "--out")
    assert "Nothing is held under this address." in typed(*asked, "first")[1]
    made = json.loads(typed(*asked, "second", "--json")[1])
    assert (0, 0, []) == (made["deliveries"], made["originals"], made["messages"])
