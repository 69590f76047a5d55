"""`schedules`, `tasks` and saved queries, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ops.test_cli import Shell, shell

__all__ = ["shell"]

TOML = """
title = "Disputed of the month"
start_date = 2026-01-31
period = 1
period_unit = "months"
zone = "Europe/Amsterdam"
time = "06:00"
type = "disputed"
recipients = [{folder = "compliance"}]

[parameters]
provider = "ekopost"
"""


@pytest.fixture
def created(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> str:
    """A schedule that delivers to a folder; its id."""
    monkeypatch.setenv("LEDGER_REPORT_DROP_FOLDER", "drop")
    (shell.folder / "monthly.toml").write_text(TOML)
    return str(shell.json("schedules", "create", "monthly.toml")["schedule"])


def test_a_person_makes_changes_and_ends_a_schedule(shell: Shell, created: str) -> None:
    """From files; what is not named has its default."""
    assert f" {created} " in shell.run("schedules", "list")
    shown = shell.json("schedules", "show", created)
    assert ("2026-01-31", "06:00", {"provider": "ekopost"}) == tuple(
        shown["definition"][name] for name in ("start_date", "time", "parameters")
    )
    (shell.folder / "patch.json").write_text('[{"op": "replace", "path": "/format", "value": "jsonl"}]')
    patched = shell.json("schedules", "patch", created, "patch.json")
    assert (2, "jsonl") == (patched["version"], patched["definition"]["format"])
    given = patched["definition"] | {"period": 3}
    (shell.folder / "other.json").write_text(json.dumps(given))
    assert 3 == shell.json("schedules", "replace", created, "other.json")["definition"]["period"]
    shell.run("schedules", "delete", created)
    assert [] == shell.json("schedules", "list")
    shell.run("schedules", "show", created, code=3)


def test_a_report_is_run_delivered_shown_and_fetched_by_hand(shell: Shell, created: str) -> None:
    """Without `serve`; what is fetched verifies."""
    task = shell.json("schedules", "run", created)
    assert "done" == task["state"]
    assert ["delivery", "report"] == [each["kind"] for each in shell.json("tasks", "list")]
    assert "(report): done" in shell.run("tasks", "show", task["task"])
    shell.run("tasks", "fetch", task["task"], "out")
    (delivered,) = (shell.folder / "drop" / "default" / "compliance").iterdir()
    for path in (shell.folder / "out").iterdir():
        assert path.read_bytes() == (delivered / path.name).read_bytes()
    verdict = shell.run("verify", "out", code=3)
    assert "Consistent in itself" in verdict
    assert "done" == shell.json("tasks", "cancel", task["task"])["state"]
    assert "0 done." in shell.run("tasks", "run")


def test_a_definition_that_cannot_be_is_refused_with_the_field(shell: Shell, created: str, tmp_path: Path) -> None:
    """The schedule stays as it is."""
    (shell.folder / "bad.toml").write_text(TOML.replace("Amsterdam", "Atlantis"))
    assert "zone: no such time zone" in shell.run("schedules", "replace", created, "bad.toml", code=2)
    (shell.folder / "bad.toml").write_text("period = ")
    assert "bad.toml" in shell.run("schedules", "create", "bad.toml", code=2)
    shell.run("schedules", "create", "missing.toml", code=2)
    assert 1 == shell.json("schedules", "show", created)["version"]


def test_a_webhook_key_is_shown_once(shell: Shell) -> None:
    """Then only its name is known."""
    made = shell.json("schedules", "add-key", "first")
    assert made["secret"].startswith("whsec_")
    shell.run("schedules", "add-key", "first", code=2)
    shell.run("schedules", "retire-key", "first")
    shell.run("schedules", "retire-key", "first", code=3)


def test_a_query_is_saved_listed_and_deleted(shell: Shell) -> None:
    """Under a name, with its parameters."""
    saved = shell.json("query", "save", "monthly", "disputed", "--set", "provider=ekopost")
    assert ("disputed/1", {"provider": "ekopost"}, "console") == (saved["query"], saved["parameters"], saved["owner"])
    assert "provider=ekopost" in shell.run("query", "saved")
    assert "disputed" in shell.run("query", "save", "monthly", "horoscope", code=2)
    assert "name: lower-case" in shell.run("query", "save", "Not A Name", "disputed", code=2)
    shell.run("query", "unsave", "monthly")
    assert [] == shell.json("query", "saved")
    shell.run("query", "unsave", "monthly", code=3)


def test_a_task_that_is_not_there_is_not_found(shell: Shell) -> None:
    """Exit code 3; one without files says so."""
    nothing = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"
    for command in ("show", "cancel"):
        shell.run("tasks", command, nothing, code=3)
    assert "There are no tasks." in shell.run("tasks", "list")
