"""The commands `evidence` and `verify` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.cli import main
from tests.evidence.packs import ACCEPTED, TENANT, TO_ANNA, a_ledger, hand_in, message_of

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger in the current folder, and the message it holds."""
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
        return message_of(system)


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


def test_a_pack_is_written_and_the_command_to_check_it_is_printed(typed: Typed, message: str, tmp_path: Path) -> None:
    """Path, log key and verify command; the command works as printed, without any ledger or setting."""
    _, told = typed("evidence", message, "--json")
    made = json.loads(told)
    assert (tmp_path / made["path"]).is_file()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_DATABASE_URL", "postgresql://nowhere/nothing")
        assert 0 == typed("verify", made["path"], "--log-key", made["log_keys"][0])[0]
        code, words = typed("verify", made["path"])
    assert (3, True) == (code, "who keeps this ledger is not established" in words)
    assert made["log_keys"][0] in typed("evidence", message)[1]


def test_the_same_size_again_is_the_same_but_for_signatures(typed: Typed, message: str, tmp_path: Path) -> None:
    """`--at` takes the size that was printed."""
    size = json.loads(typed("evidence", message, "--json", "--out", "one.asice")[1])["tree_size"]
    again = json.loads(
        typed("evidence", message, "--json", "--out", "two.asice", "--at", str(size), "--language", "it")[1]
    )
    assert size == again["tree_size"]
    code, words = typed("evidence", message, "--at", str(size + 1_000))
    assert (3, True) == (code, "the nearest sizes" in words)


def test_a_redacted_pack_says_what_stays_out(typed: Typed, message: str) -> None:
    """And originals that name others need a reason."""
    assert "1 originals stay out (other_persons)" in typed("evidence", message, "--recipient", "0")[1]
    code, words = typed("evidence", message, "--recipient", "0", "--include-shared")
    assert (2, True) == (code, "only with a reason" in words)
    assert (
        "stay out"
        not in typed("evidence", message, "--recipient", "0", "--include-shared", "--reason", "the court asks")[1]
    )
