"""`find`: people by a part of their address, as a person types it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.settings import load
from ops.system import opened
from tests.flow.desk import send
from tests.ops.test_cli import Shell
from tests.world import TENANT

RANGE = ("--since", "2020-01-01")


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A terminal over a ledger with one message to two people."""
    found = Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)
    monkeypatch.setenv("LEDGER_TENANT", TENANT)
    found.run("accounts", "add", "sms", "--provider", "kpn_sms")
    with opened(load()) as s:
        send(s, "doc-1", "+31612340001", "+31698760002")
    return found


def test_people_are_found_by_a_part_once_that_is_allowed(shell: Shell) -> None:
    """Off at first, and the refusal says who may switch it on; then a table, JSON, and how many addresses were opened."""
    asked = ("find", "--contains", "1234", *RANGE)
    assert "switches on `partial_search`" in shell.run(*asked, code=1)
    shell.run("safeguards", "set", "--partial-search", "--reason", "the board")
    printed = shell.run(*asked)
    assert "+31612340001" in printed
    assert "+31698760002" not in printed
    assert "Addresses opened: 2." in printed
    found = shell.json(*asked)
    assert (["+31612340001"], 2) == ([each["address"]["address"] for each in found["deliveries"]], found["looked"])


def test_what_is_missing_is_said(shell: Shell) -> None:
    """Three characters, a narrower range, and a reason where the organisation demands one."""
    shell.run("safeguards", "set", "--partial-search", "--reason", "the board")
    assert "at least 3 characters" in shell.run("find", "--contains", "12", *RANGE, code=2)
    assert "narrow the search" in shell.run("find", "--contains", "1234", code=2)
    shell.run("safeguards", "set", "--reasons", "look-ups", "--reason", "the board")
    assert "--reason" in shell.run("find", "--contains", "1234", *RANGE, code=2)
    shell.run("find", "--contains", "1234", *RANGE, "--reason", "complaint 17")
    with opened(load()) as s:
        (event,) = [e for e in s.ledger.feed(0, 1_000) if e.fields.get("rule") == "access.partial"]
        assert ("console", {"looked": 2, "found": 1}) == (event.fields["actor"], event.fields["numbers"])
        assert "complaint 17" == s.ledger.values([event])[event.position]["note"]
