"""`--access-reason`: what the command line refuses without it where an organisation demands a reason, and where it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from ops.settings import load
from ops.system import opened
from tests.ops.test_cli import Shell
from tests.ops.test_keeping_cli import delivery, shell

__all__ = ["delivery", "shell"]

WHY = "complaint of 3 May, file 17"


def _reasons() -> set[tuple[str, str]]:
    """Kind and reason of every recorded access."""
    with opened(load()) as s:
        events = [e for e in s.ledger.feed() if e.type in {"access.recorded", "evidence.exported", "report.delivered"}]
        told = s.ledger.values(events)
        return {(e.fields.get("rule", e.type), str(told.get(e.position, {}).get("note", ""))) for e in events}


@pytest.mark.parametrize(
    ("demands", "asked", "kind"),
    [
        ("look-ups", "status MESSAGE", "access.status"),
        ("look-ups", "search", "access.search"),
        ("look-ups", "holds list", "access.holds"),
        ("queries", "query ask disputed", "access.query"),
        ("exports", "report make disputed --out out.zip", "report.made"),
        ("evidence", "evidence MESSAGE --out pack.asice", "export.pack"),
    ],
)
def test_what_shows_people_needs_a_reason_where_one_is_demanded(
    shell: Shell, delivery: dict[str, Any], demands: str, asked: str, kind: str
) -> None:
    """Refused with what to type; with a reason it is done, and the reason is sealed with its record."""
    command = asked.replace("MESSAGE", delivery["message"]).split()
    shell.run("safeguards", "set", "--reason", "board", "--reasons", demands)
    before = set(shell.folder.iterdir())
    assert "delivery-ledger --access-reason" in shell.run(*command, code=2)
    assert before == set(shell.folder.iterdir())
    assert (kind, WHY) not in _reasons()
    shell.run("--access-reason", WHY, *command)
    assert (kind, WHY) in _reasons()


def test_reason_of_one_command_is_not_the_next_ones(shell: Shell, delivery: dict[str, Any]) -> None:
    """It is given anew each time; what does not show people needs none."""
    shell.run("safeguards", "set", "--reason", "board", "--reasons", "look-ups")
    shell.run("--access-reason", WHY, "status", delivery["message"])
    assert "demands a reason" in shell.run("status", delivery["message"], code=2)
    shell.run("accounts", "list")
    assert "at most 1000" in shell.run("--access-reason", "x" * 1001, "status", delivery["message"], code=2)
