"""The demo: a believable day, the same for a seed, and the same when a person imports it by hand."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ops import demo
from ops.demoday import Day
from projections.rules import Status
from tests.ops.test_cli import Shell


def story(deliveries: list[dict[str, Any]]) -> Counter[str]:
    """What of each delivery does not depend on when it was recorded: status and every fact with its rule and effect."""
    told = []
    for d in deliveries:
        facts = sorted((r["type"], r["code"], r["reason"], r["rule"], r["effect"]) for r in d["reasons"])
        told.append(json.dumps([d["provider"], d["address"], d["status"], d["sub_status"], d["is_final"], facts]))
    return Counter(told)


def trails(shell: Shell, deliveries: list[dict[str, Any]]) -> Counter[str]:
    """Every event of every message, without ids and times of recording."""
    told = []
    for message in sorted({d["message"] for d in deliveries}):
        entries = shell.json("trail", message)["entries"]
        kept = (
            "type",
            "recipient",
            "occurred_at",
            "zone",
            "provider",
            "code",
            "reason",
            "erds",
            "mapping",
            "rule",
            "effect",
        )
        rows = [[e[name] for name in kept] + [sorted(e["notes"]), len(e["artifacts"])] for e in entries]
        told.append(json.dumps(sorted(rows, key=json.dumps)))
    return Counter(told)


@pytest.fixture
def shell(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, database.url, monkeypatch, capsys)


def test_day_tells_every_kind_of_story() -> None:
    """Five providers, six folders of inputs, and each thing that a newcomer should see once."""
    files = Day(1).make()
    assert {"sms.ndjson", "registered-email.ndjson", "fax.ndjson", "post.ndjson", "pec-massiva.ndjson"} <= files.keys()
    assert 7 == sum(name.startswith("pec/") for name in files)
    assert files == Day(1).make()
    assert files != Day(2).make()


def test_demo_imported_by_hand_gives_the_same_statuses_reasons_and_trails(shell: Shell) -> None:
    """The printed commands, typed into an empty ledger on either database, tell the same day; a second time changes nothing."""
    ran = json.loads(shell.run("demo", "--json").splitlines()[-1])
    assert [] == ran["report"]["problems"]
    lines = (shell.folder / "var/demo/inputs/README.txt").read_text().splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("./ops/run ")]
    assert 5 == len(commands)
    for command in commands:
        shell.run(*command)
    mine = shell.json("search", "--limit", "500")["deliveries"]
    assert story(ran["deliveries"]) == story(mine)
    seen = {Status(d["status"]) for d in mine}
    assert {
        Status.DELIVERED,
        Status.FAILED,
        Status.DISPUTED,
        Status.IN_TRANSIT,
        Status.AVAILABLE,
        Status.ACCEPTED,
    } <= seen
    waiting = Counter(item["lane"] for item in shell.json("lanes", "list")["items"])
    assert Counter(item["lane"] for item in ran["waiting"]) == waiting
    assert {"unmatched", "unreadable"} == set(waiting)
    before = trails(shell, mine)
    size = shell.json("fsck")["size"]
    again = shell.json("import", "var/demo/inputs")
    assert (0, 0) == (again["new"], again["facts"])
    assert size + 2 == shell.json("fsck")["size"]  # that it was imported, and checked
    assert before == trails(shell, mine)
    own = demo.settings(Path("var/demo"))
    for name in ("database_url", "key_folder", "artifact_folder", "head_folder"):
        shell.patch.setenv(f"LEDGER_{name.upper()}", str(getattr(own, name)))
    assert trails(shell, ran["deliveries"]) == before


def test_demo_prints_a_table_and_what_to_try_next(shell: Shell) -> None:
    """A person sees the statuses with their reasons, what waits, and commands to paste; nothing of their own ledger is touched."""
    printed = shell.run("demo", "--seed", "7")
    for expected in ("disputed", "in_transit", "no-dest", "Waiting for a person", "Clean:", "Try next:"):
        assert expected in printed
    assert 0 == shell.json("search")["position"] or [] == shell.json("search")["deliveries"]


def test_another_demo_replaces_only_what_a_demo_made(shell: Shell) -> None:
    """A file that somebody put beside it stays."""
    shell.run("demo")
    note = shell.folder / "var/demo/my-notes.txt"
    note.write_text("keep me")
    shell.run("demo", "--seed", "3")
    assert "keep me" == note.read_text()


def test_what_is_sent_to_the_sandboxes_ends_as_it_should(shell: Shell) -> None:
    """All five providers, from send to final state; the certified one with a verified signature and the content that was sent."""
    live = json.loads(shell.run("demo", "--json").splitlines()[-1])["live"]
    assert [
        ("pec_massiva", "delivered", "E4"),
        ("pec_massiva", "failed", "E4"),
        ("pec_massiva", "failed", "E4"),
        ("kpn_sms", "delivered", "E2"),
        ("kpn_sms", "failed", "E2"),
        ("kpn_sms", "accepted", "E1"),
        ("ekopost", "in_transit", "E2"),
        ("kpn_cloud_fax", "delivered", "E2"),
        ("kpn_cloud_fax", "failed", "E2"),
        ("kpn_cloud_fax", "failed", "E2"),
        ("kpn_registered_email", "accepted_by_recipient", "E3"),
        ("kpn_registered_email", "refused", "E3"),
    ] == [(d["provider"], d["status"], d["evidence"]["grade"]) for d in live]
    assert {"signed", "content"} <= set(live[0]["evidence"]["proven"])
    assert "final_24h" == live[2]["sub_status"]
