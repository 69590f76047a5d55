"""`holds` and `retention`, as a person types them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops import console, erasing
from ops.settings import load
from ops.system import opened
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


def test_hold_is_placed_listed_asked_for_and_released(shell: Shell, delivery: dict[str, Any]) -> None:
    """On a recipient: what is under it is on hold until the hold is released."""
    address = delivery["address"]["address"]
    hold = shell.json("holds", "place", "--recipient", address.upper(), "--reason", "claim 7")
    assert ("recipient", address.upper(), "claim 7") == (hold["scope"], hold["value"], hold["reason"])
    asked = shell.json("query", "ask", "on_hold")
    assert delivery["message"] in {row["message"] for row in asked["rows"]}
    assert {hold["hold"]} == {row["hold"] for row in asked["rows"]}
    shown = shell.run("holds", "list")
    assert hold["hold"] in shown
    assert "claim 7" in shown
    assert f"Hold {hold['hold']} ended" in shell.run("holds", "release", hold["hold"], "--reason", "settled")
    assert "No holds." in shell.run("holds", "list")
    assert [hold["hold"]] == [each["hold"] for each in shell.json("holds", "list", "--all")]


def test_hold_on_a_query(shell: Shell, delivery: dict[str, Any]) -> None:
    """What a provider carried since a day is on hold."""
    hold = shell.json(
        *("holds", "place", "--reason", "claim 7", "--where", f"provider={delivery['provider']}", "since=2020-01-01")
    )
    assert delivery["message"] in {row["message"] for row in shell.json("query", "ask", "on_hold")["rows"]}
    assert "since" in shell.run("holds", "list")
    assert "query" == hold["scope"]


def test_id_of_a_hold_is_shown_whole_in_a_narrow_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what `holds release` wants."""
    hold = shell.json("holds", "place", "--label", "policy " * 20, "--reason", "case " * 40, "--floor", "2999-05-01")
    monkeypatch.setattr(console.out, "width", 80)
    assert hold["hold"] in shell.run("holds", "list")


def test_hold_on_a_message_with_a_floor(shell: Shell, delivery: dict[str, Any]) -> None:
    """A day is one of UTC; before it the hold is not released."""
    said = shell.run("holds", "place", "--message", delivery["message"], "--reason", "x", "--floor", "2999-05-01")
    assert "is in force." in said
    (hold,) = shell.json("holds", "list")
    assert "2999-05-01T00:00:00.000000Z" == hold["floor"]
    assert "not to be released before 2999-05-01" in shell.run(
        "holds", "release", hold["hold"], "--reason", "y", code=1
    )


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--label", "a", "--batch", "b"), 2, "give one of --message"),
        ((), 2, "give one of --message"),
        (("--label", " "), 2, "value: 1 to 1000 characters"),
        (("--where", "status=delivered"), 2, "there are provider, account, since"),
        (("--where", "since=soon"), 2, "is no time"),
        (("--where", "provider"), 2, "write --where NAME=VALUE"),
        (("--where", "provider=kpn_sms", "--label", "a"), 2, "give one of --message"),
        (("--label", "a", "--floor", "tomorrow"), 2, "--floor: write a day"),
        (("--label", "a", "--floor", "2999-05-01T10:00"), 2, "--floor: write a day"),
        (("--message", "01a1fd8e-f93d-70a6-8da5-105f5469bc25"), 3, "there is no message"),
    ],
)
def test_hold_that_cannot_be_is_explained(shell: Shell, arguments: tuple[str, ...], code: int, why: str) -> None:
    """With the exit code of what was wrong; nothing is placed."""
    assert why in shell.run("holds", "place", "--reason", "x", *arguments, code=code)
    assert [] == shell.json("holds", "list")


def test_policies_are_set_listed_and_removed(shell: Shell) -> None:
    """Of the same provider and label the last word counts."""
    assert "No policies: nothing is ever due." in shell.run("retention", "list")
    assert "kept for 10y." in shell.run("retention", "set", "--provider", "kpn_sms", "--keep", "10y")
    shell.run("retention", "set", "--provider", "kpn_sms", "--keep", "90d", "--label", "case 7")
    shell.run("retention", "set", "--provider", "kpn_sms", "--keep", "5y")
    listed = shell.json("retention", "list")
    assert [("5y", ""), ("90d", "case 7")] == [(each["keep"], each["label"]) for each in listed]
    assert "case 7" in shell.run("retention", "list")
    shell.run("retention", "remove", "--provider", "kpn_sms", "--label", "Case 7")
    assert ["5y"] == [each["keep"] for each in shell.json("retention", "list")]


@pytest.mark.parametrize(
    ("provider", "keep", "why"),
    [("kpn_sms", "forever", "keep: a number and y"), ("pigeons", "1y", "provider: unknown")],
)
def test_policy_that_cannot_be_is_explained(shell: Shell, provider: str, keep: str, why: str) -> None:
    """Exit code 2, and nothing is set."""
    assert why in shell.run("retention", "set", "--provider", provider, "--keep", keep, code=2)
    assert [] == shell.json("retention", "list")


def test_retention_is_shown_before_it_is_applied(shell: Shell, delivery: dict[str, Any]) -> None:
    """A dry run, and a run while nothing is due, change nothing; what is due and held is counted."""
    assert "Nothing is due." in shell.run("retention", "apply", "--yes")
    shell.run("retention", "set", "--provider", delivery["provider"], "--keep", "1d")
    shell.run("holds", "place", "--message", delivery["message"], "--reason", "claim")
    with opened(load()) as s:
        later = s.ledger.clock() + timedelta(days=8)
        s.ledger.clock = lambda: later
        planned = erasing.retirer(s).preview(s.settings.tenant)
    assert [(delivery["provider"], "1d", 1)] == [(each.provider, each.keep, each.held) for each in planned]
    assert planned[0].messages > 0
    for arguments in ((), ("--dry-run",), ("--yes", "--dry-run")):
        assert [] == shell.json("retention", "apply", *arguments)
