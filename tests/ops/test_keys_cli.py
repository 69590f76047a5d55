"""`keys create`, `list`, `rotate` and `revoke`, as a person types them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.apikeys import SCOPES
from tests.ops.test_cli import Shell


@pytest.fixture
def shell(
    sqlite_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)


def _days_left(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.now(UTC)) / timedelta(days=1)


def test_key_is_made_for_as_long_as_is_said_and_an_auditors_for_ninety_days_at_most(shell: Shell) -> None:
    """Without a term, a year; the terms that cannot be are told."""
    assert 365 == round(_days_left(shell.json("keys", "create", "read")["expires_at"]))
    assert 7 == round(_days_left(shell.json("keys", "create", "read", "privacy", "--days", "7")["expires_at"]))
    assert 90 == round(_days_left(shell.json("keys", "create", "auditor")["expires_at"]))
    assert "within 90 days" in shell.run("keys", "create", "auditor", "--days", "91", code=2)
    assert "changes nothing" in shell.run("keys", "create", "auditor", "operator", code=2)
    assert "at least 1" in shell.run("keys", "create", "read", "--days", "0", code=2)
    assert 3 == len(shell.json("keys", "list"))


def test_key_is_rotated_with_an_overlap_and_revoked_at_once(shell: Shell) -> None:
    """The list says until when each works; an ended one cannot be rotated, and one that is not there is exit code 3."""
    old = shell.json("keys", "create", "read", "evidence", "--label", "desk")
    new = shell.json("keys", "rotate", old["api_key_id"], "--overlap", "2d", "--note", "yearly")
    assert (["read", "evidence"], 365) == (new["scopes"], round(_days_left(new["expires_at"])))
    listed = {each["api_key_id"]: each for each in shell.json("keys", "list")}
    assert 2 == round(_days_left(listed[old["api_key_id"]]["expires_at"]))
    assert "desk" == listed[new["api_key_id"]]["label"]
    assert "is revoked" in shell.run("keys", "revoke", old["api_key_id"], "--note", "lost")
    assert "has ended" in shell.run("keys", "rotate", old["api_key_id"], code=2)
    assert "not negative" in shell.run("keys", "rotate", new["api_key_id"], "--overlap=-1h", code=2)
    assert "there is no API key" in shell.run("keys", "revoke", "key_nobody", code=3)


def test_help_says_what_each_scope_allows(shell: Shell) -> None:
    """Whoever makes a key reads what it will open."""
    said = " ".join(shell.run("keys", "create", "--help").replace("│", " ").split())
    assert [] == [scope for scope, meaning in SCOPES.items() if f"{scope}: {meaning}" not in said]
