"""`query ask`, as a person types it; limits are those of every list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops import console
from tests.ops.test_cli import RECEIPT, Shell


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A terminal over a ledger into which receipts were imported."""
    found = Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)
    folder = tmp_path / "receipts"
    folder.mkdir()
    for case in sorted(RECEIPT.iterdir()):
        if (case / "body.raw").exists():
            (folder / f"{case.name}.eml").write_bytes((case / "body.raw").read_bytes())
    found.run("import", str(folder))
    return found


def test_ids_are_shown_whole_in_a_narrow_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads of a delivery wants to look at it."""
    found = shell.json("query", "ask", "missing_receipts")["rows"] + shell.json("query", "ask", "undelivered")["rows"]
    monkeypatch.setattr(console.out, "width", 80)
    told = shell.run("query", "ask", "missing_receipts") + shell.run("query", "ask", "undelivered")
    assert found
    assert all(row["message"] in told for row in found)


@pytest.mark.parametrize("limit", ["0", "-1", str(2**70)])
@pytest.mark.parametrize(
    "command",
    [("query", "ask", "health"), ("search",), ("tasks", "list"), ("disputes", "list"), ("lanes", "suggest", "x")],
)
def test_a_limit_that_asks_for_nothing_or_too_much_is_refused(
    shell: Shell, command: tuple[str, ...], limit: str
) -> None:
    """Rather than answered with nothing, which would be untrue."""
    assert "--limit" in shell.run(*command, "--limit", limit, code=2)


@pytest.mark.parametrize(
    ("command", "option"), [(("query", "ask", "late"), "--set"), (("sample", "--size", "3"), "--where")]
)
def test_what_is_no_pair_is_told_by_the_name_of_its_option(shell: Shell, command: tuple[str, ...], option: str) -> None:
    """As somebody typed it."""
    told = shell.run(*command, option, "status", code=2)
    assert f"{option} status: write {option} NAME=VALUE" in told
