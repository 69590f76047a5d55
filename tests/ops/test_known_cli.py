"""What was known then, as a person asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.known_cli import sentence
from projections.views import Known
from tests.ops.test_cli import RECEIPT, Shell

THEN, NOW = ("status/2", "grade/1", "deadline/1"), ("status/2", "grade/3", "deadline/1")
AT = "2026-03-02T09:00:01.123456Z"


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)


@pytest.fixture
def message(shell: Shell, tmp_path: Path) -> str:
    """One of a ledger into which receipts were imported."""
    folder = tmp_path / "receipts"
    folder.mkdir()
    for case in sorted(RECEIPT.iterdir()):
        if case.suffix != ".words" and not json.loads((case / "expected.json").read_bytes()).get("unreadable"):
            (folder / f"{case.name}.eml").write_bytes((case / "body.raw").read_bytes())
    return str(shell.json("import", str(folder))["messages"][0])


def known(in_force: tuple[str, ...], used: tuple[str, ...], rules: str = "then", occurred_at: str = "") -> Known:
    return Known(9, AT, "", occurred_at, rules, in_force, used, NOW, in_force != NOW, ())


def test_an_answer_says_as_of_when_it_is_and_by_which_rules() -> None:
    """In plain words, whichever rules were asked for, and whether today's are others."""
    as_known = "As known at 2026-03-02 09:00:01Z (position 9)"
    then, now = "status/2, grade/1, deadline/1", "status/2, grade/3, deadline/1"
    assert f"{as_known} under the rules in force then ({then}); today's rules differ: {now}." == sentence(
        known(THEN, THEN)
    )
    assert f"{as_known} under the rules in force then ({now}); today's rules are the same." == sentence(known(NOW, NOW))
    assert f"{as_known} under today's rules ({now}); those in force then differ: {then}." == sentence(
        known(THEN, NOW, "today")
    )
    assert (
        f"{as_known}, without what happened after 2026-03-02 09:00:01Z, under today's rules ({now}); those in force then were the same."
        == sentence(known(NOW, NOW, "today", AT))
    )
    later = ("status/3", "grade/2", "deadline/1")
    assert (
        f"{as_known} under today's rules ({now}): those in force then ({', '.join(later)}) are not known to this version."
        == sentence(known(later, NOW))
    )


def test_status_trail_and_search_answer_as_of_a_position(shell: Shell, message: str) -> None:
    """What was imported later is not known there; the answer begins with as of when it is."""
    entries = shell.json("trail", message)["entries"]
    first, last = entries[0]["position"], entries[-1]["position"]
    said = f"(position {first}) under the rules in force then ({', '.join(NOW)}); today's rules are the same."
    for command in (["status", message], ["trail", message], ["search", "--limit", "500"]):
        assert said in shell.run(*command, "--position", str(first)).splitlines()[0]
        assert first == shell.json(*command, "--position", str(first))["known"]["position"]
        assert shell.json(*command)["known"] is None
    at = entries[-1]["recorded_at"]
    known_then = shell.json("trail", message, "--known-at", at)
    assert entries[: len(known_then["entries"])] != []
    assert last <= known_then["known"]["position"]
    assert 1 == len(shell.json("trail", message, "--position", str(first))["entries"])
    page = shell.json("search", "--position", str(first), "--limit", "1", "--rules", "today")
    assert (1, "today") == (len(page["deliveries"]), page["known"]["rules"])
    early = shell.json("status", message, "--recipient", "0", "--occurred-at", "2001-01-01")
    assert ["pending"] == [each["status"] for each in early["deliveries"]]


def test_a_moment_that_cannot_be_exits_with_2_and_one_before_everything_with_3(shell: Shell, message: str) -> None:
    """The option that is wrong is named."""
    assert "known_at: 'soon' is no time" in shell.run("status", message, "--known-at", "soon", code=2)
    assert "is not over yet" in shell.run("search", "--known-at", "2999-01-01", code=2)
    assert "the log goes from 1 to" in shell.run("trail", message, "--position", "99999", code=2)
    assert "not both" in shell.run("trail", message, "--position", "2", "--known-at", "2026-01-01", code=2)
    assert "was first heard of at" in shell.run("status", message, "--position", "1", code=3)
    assert "nothing was recorded by" in shell.run("search", "--known-at", "2001-01-01", code=3)
