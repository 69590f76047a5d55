"""`erase`, as a privacy officer types it."""

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
    return Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)


@pytest.fixture
def delivery(shell: Shell, tmp_path: Path) -> dict[str, Any]:
    """One delivery of a ledger into which receipts were imported."""
    folder = tmp_path / "receipts"
    folder.mkdir()
    for case in sorted(RECEIPT.iterdir()):
        if (case / "body.raw").exists():
            (folder / f"{case.name}.eml").write_bytes((case / "body.raw").read_bytes())
    shell.run("import", str(folder))
    found: dict[str, Any] = shell.json("search", "--limit", "1")["deliveries"][0]
    return found


WHY = ("--reason", "asked for by the person")


def test_a_person_is_seen_first_then_erased_and_certified(
    shell: Shell, delivery: dict[str, Any], tmp_path: Path
) -> None:
    """Without --yes it is only shown; afterwards nobody finds the address, and the certificate says what went."""
    whom = ("--recipient", delivery["address"]["address"].upper())
    seen = shell.json("erase", "preview", *whom)
    assert delivery["message"] in {thing["id"] for thing in seen["things"]}
    shown = shell.run("erase", "run", *whom, *WHY)
    assert "Nothing was erased; the same with --yes erases it." in shown
    assert "keys kek drop NAME" in shown
    assert shell.json("search", *whom)["deliveries"]
    done = shell.json("erase", "run", *whom, *WHY, "--yes")
    assert ("done", seen["goes"]["originals"]) == (done["state"], done["numbers"]["originals"])
    assert [] == shell.json("search", *whom)["deliveries"]
    assert done["erasure"] in shell.run("erase", "list")
    assert done == shell.json("erase", "show", done["erasure"])
    assert "Went: " in shell.run("erase", "certificate", done["erasure"])
    for name, start in (("certificate.pdf", b"%PDF"), ("certificate.json", b"{")):
        shell.run("erase", "certificate", done["erasure"], "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(start)
    assert "Nothing is found." in shell.run("erase", "preview", *whom)


def test_under_a_hold_it_is_refused_and_the_hold_is_named(shell: Shell, delivery: dict[str, Any]) -> None:
    """Seeing it exits with 1, too, so that a script stops."""
    whom = ("--message", delivery["message"])
    hold = shell.json("holds", "place", *whom, "--reason", "claim 7")["hold"]
    assert f"Forbidden by hold {hold}" in shell.run("erase", "preview", *whom, code=1)
    assert hold in shell.run("erase", "run", *whom, *WHY, "--yes", code=1)
    assert [] == shell.json("erase", "list")


def test_where_it_takes_two_people_it_says_who_must_agree(shell: Shell, delivery: dict[str, Any]) -> None:
    """It waits; carrying it out is refused, and there is no certificate."""
    shell.run("safeguards", "set", "--four-eyes", "erasure", "--reason", "board decision")
    said = shell.run("erase", "run", "--message", delivery["message"], *WHY, "--yes")
    (waits,) = shell.json("erase", "list")
    assert f"POST /v1/acts/{waits['erasure']}/approve" in said
    assert "waits for a second person" in shell.run("erase", "carry-out", waits["erasure"], code=2)
    assert "waits for a second person" in shell.run("erase", "certificate", waits["erasure"], code=1)
    assert "Nothing is to be carried out." in shell.run("erase", "carry-out")


def test_what_names_nobody_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of an address and a message, and one that is there; an unknown erasure exits with 3."""
    monkeypatch.setattr(console.out, "width", 80)
    assert "one of them" in shell.run("erase", "preview", code=2)
    unknown = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"
    assert unknown in shell.run("erase", "preview", "--message", unknown, code=3)
    assert unknown in shell.run("erase", "show", unknown, code=3)
