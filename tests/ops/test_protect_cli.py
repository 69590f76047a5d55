"""Protected identities at the command line: gone from every command, and back with --protected and a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cli import main
from ops.settings import load
from ops.system import opened
from tests.flow.desk import DELIVERED, admit, report, send
from tests.flow.planting import PHONE, betrayed, needles
from tests.ops.test_acts_recorded_cli import SILENT, commands
from tests.ops.test_cli import Shell
from tests.postgres import Database
from tests.world import TENANT, World

HERS, HIS = f"49{PHONE}01", "31612340002"
WANTED = needles({"her number": HERS, "as it is written": f"+{HERS}"})
LOOKING = {
    "status": ["MESSAGE"],
    "trail": ["MESSAGE"],
    "explain": ["MESSAGE"],
    "search": [],
    "find": ["--contains", HERS[-6:], "--since", "2020-01-01"],
    "evidence": ["MESSAGE"],
    "person export": ["--recipient", HIS, "--out", "his", "--reason", "he asked"],
    "query ask": ["unproven"],
    "report make": ["unproven", "--out", "report.csv"],
    "sample draw": ["1"],
    "disputes list": [],
    "disputes show": ["MESSAGE", "0"],
    "lanes list": [],
    "lanes show": ["ITEM"],
    "lanes suggest": ["ITEM"],
    "outbox show": ["MESSAGE"],
    "erase preview": ["--recipient", HIS],
    "reinterpret": [],
    "holds list": [],
    "acts list": [],
    "acts show": ["ACT"],
    "sample": ["--size", "5"],
    "sample ask": ["--size", "5"],
    "query saved": [],
    "schedules list": [],
    "schedules show": ["ACT"],
    "tasks show": ["ACT"],
    "tasks fetch": ["ACT"],
    "export": ["log"],
    "fsck": [],
    "rebuild": [],
}
"""Commands that show something of recipients."""


UNKNOWN = {"acts show", "lanes show", "schedules show", "tasks show", "tasks fetch", "outbox show", "sample draw"}
"""Of them those that have nothing to show here; what waits names her."""
ACTING = {
    *(f"accounts {act}" for act in ("add", "configure", "delete", "disable", "rotate")),
    *("acts approve", "acts decline", "checkpoint push", "db migrate", "disputes resolve", "disputes withdraw"),
    *(
        "downtime end",
        "downtime enter",
        "downtime withdraw",
        "erase carry-out",
        "erase run",
        "holds place",
        "holds release",
    ),
    *("import", "jobs run", "keys create", "keys kek drop", "keys kek rewrap", "keys kek rotate", "keys log retire"),
    *("keys log revoke", "keys log rotate", "keys revoke", "keys rotate"),
    *(f"lanes {act}" for act in ("claim", "dismiss", "retry", "unclaim")),
    *("outbox cancel", "outbox resolve", "outbox run", "protect", "unprotect", "query save", "query unsave", "recover"),
    *("retention apply", "retention remove", "retention set", "safeguards set", "send", "tasks cancel", "tasks run"),
    *(f"schedules {act}" for act in ("add-key", "create", "delete", "patch", "replace", "retire-key", "run")),
    *("terms off", "terms reset", "terms set"),
}
"""Commands that do something; what they print of it is ids, counts and states."""


@pytest.fixture
def shell(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A terminal over a ledger with a letter to her, one to him, and something about her that waits."""
    monkeypatch.setenv("LEDGER_TENANT", TENANT)
    found = Shell(tmp_path, sqlite_database.url, monkeypatch, capsys)
    monkeypatch.setenv("LEDGER_TENANT", TENANT)
    found.run("accounts", "add", "sms", "--provider", "kpn_sms")
    with opened(load()) as s:
        world = World(s.ledger, s.intake, s.runner, s.queries, s.accounts, s.quarantine, s.lanes)
        send(world, "doc-1", HERS)
        admit(world, report(HERS, DELIVERED, 5, "doc-1"))
        send(world, "doc-2", HIS)
        admit(world, report(HERS, DELIVERED, 9))
    return found


def test_a_protected_person_is_in_no_command_and_back_with_a_reason(shell: Shell) -> None:
    """Found before; then by nobody; then by who says --protected and why, which is written first."""
    message = str(shell.json("search", "--recipient", HERS)["deliveries"][0]["message"])
    assert {"deliveries": 1} == shell.json("protect", message, "0", "--reason", "the register says so")
    assert [] == shell.json("search", "--recipient", HERS)["deliveries"]
    assert f"there is no message {message}" in shell.run("status", message, code=3)
    assert "--access-reason" in shell.run("--protected", "status", message, code=2)
    assert HERS in shell.run("--protected", "--access-reason", "she called", "status", message)
    with opened(load()) as s:
        events = [e for e in s.ledger.feed(0, 1_000) if e.fields.get("rule") == "access.protected"]
        assert ["she called"] == [s.ledger.values([event])[event.position]["note"] for event in events]
    assert {"deliveries": 1} == shell.json("unprotect", message, "0", "--reason", "a mistake")
    assert HERS in shell.run("status", message)


def test_no_command_tells_of_a_protected_person(shell: Shell) -> None:
    """Every command that shows something of recipients, whatever it prints and writes; a new one must be added here."""
    item = shell.json("lanes", "list")["items"][0]["item"]
    hers = str(shell.json("search", "--recipient", HERS)["deliveries"][0]["message"])
    his = str(shell.json("search", "--recipient", HIS)["deliveries"][0]["message"])
    shell.run("protect", hers, "0", "--reason", "the register says so")
    shell.run("safeguards", "set", "--partial-search", "--reason", "the board")
    answered = set[str]()
    for command, arguments in LOOKING.items():
        for message in (hers, his):
            words = [{"MESSAGE": message, "ITEM": item, "ACT": message}.get(each, each) for each in arguments]
            code, said = typed(shell, [*command.split(), *words])
            answered |= {command} if code in {0, None} else set()
            assert set() == betrayed(said.encode(), WANTED), (command, said)
    assert UNKNOWN == LOOKING.keys() - answered
    written = [
        path for path in shell.folder.rglob("*") if path.is_file() and "var" not in path.relative_to(shell.folder).parts
    ]
    assert written
    assert {} == {path.name: found for path in written if (found := betrayed(path.read_bytes(), WANTED))}


def test_every_command_is_among_those_that_are_tried_or_those_that_show_nobody() -> None:
    """So a new one fails here until somebody has thought of it."""
    assert set(commands()) == SILENT.keys() | LOOKING.keys() | ACTING


def typed(shell: Shell, arguments: list[str]) -> tuple[object, str]:
    """Exit code, and whatever was printed."""
    shell.captured.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, "".join(shell.captured.readouterr())
