"""Every act at the command line is an event that names the console; whoever looks there is recorded. Generated from its commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cyclopts
import pytest

from adapters import carrying
from adapters.accounts import CONSOLE
from adapters.acts import Act
from ledger.events import Event
from ops.cli import app
from ops.settings import load
from ops.system import opened
from tests.flow.desk import DELIVERED, FAILED, admit, report, send
from tests.ops.test_cli import Shell
from tests.ops.test_schedules_cli import TOML
from tests.postgres import Database
from tests.world import TENANT, World

PHONE = "31612340001"
NOTE = ("--note", "told by telephone")


def commands(of: Any = app, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that does something."""
    for name in (each for each in of if not each.startswith("-")):
        found: cyclopts.App = of[name]
        if found.default_command is not None:
            yield " ".join((*path, name))
        yield from commands(found, (*path, name))


SILENT: dict[str, str] = {
    **dict.fromkeys(("keys list", "keys log", "keys kek list"), "keys of the organisation and of the ledger"),
    **dict.fromkeys(("accounts list", "accounts show", "accounts check"), "the organisation's own accounts"),
    **dict.fromkeys(("query list", "query show", "terms list", "retention list", "downtime list"), "nobody's data"),
    **dict.fromkeys(("tasks list", "outbox list", "jobs"), "ids and states"),
    **dict.fromkeys(("providers", "providers show", "providers pages", "openapi"), "what there is"),
    **dict.fromkeys(("checkpoint show", "proof"), "hashes"),
    **dict.fromkeys(("erase list", "erase show", "erase certificate"), "names no one"),
    "safeguards show": "the organisation's own rules",
    "verify": "needs no ledger",
    **dict.fromkeys(("demo", "bench"), "ledgers of its own"),
    "serve": "what is done then is recorded by whom it is done for",
}
"""Commands that change nothing and show nothing of a recipient -> why."""
ELSEWHERE: dict[str, str] = {
    "keys kek drop": "tests/ops/test_keks.py",
    "accounts delete": "tests/providers/test_pec_massiva_deletion.py",
    "outbox resolve": "tests/adapters/test_acts_recorded.py, as over HTTP",
    "erase carry-out": "goes on with what `erase run` recorded",
    "recover": "tests/proof/test_log_cli.py",
}
"""Commands that take more than a line to be tried -> where they are followed."""


class Typing:
    """Types commands and looks for the event of each."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.typed: set[str] = set()
        self.known = set(commands())

    def events(self, after: int = 0) -> list[Event]:
        with opened(load()) as s:
            return [e for e in s.ledger.feed(after, 1_000) if e.fields.get("actor") == CONSOLE]

    def size(self) -> int:
        with opened(load()) as s:
            return s.ledger.head().size

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """One command, which must leave an event that names the console."""
        before = self.size()
        said = self.shell.run(*arguments, code=code)
        assert self.events(before), f"{' '.join(arguments)} leaves no event"
        self.typed.add(self._command(arguments))
        return said

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def _command(self, arguments: tuple[str, ...]) -> str:
        found = [" ".join(arguments[:n]) for n in (3, 2, 1)]
        return next(each for each in found if each in self.known)


@pytest.fixture
def typing(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typing:
    """A terminal over a ledger with a disputed delivery and two items that wait."""
    found = Typing(Shell(tmp_path, sqlite_database.url, monkeypatch, capsys))
    for name, value in {"TENANT": TENANT, "REPORT_DROP_FOLDER": "drop"}.items():
        monkeypatch.setenv(f"LEDGER_{name}", value)
    found("accounts", "add", "sms", "--provider", "kpn_sms")
    with opened(load()) as s:
        world = World(s.ledger, s.intake, s.runner, s.queries, s.accounts, s.quarantine, s.lanes)
        send(world, "doc-1", PHONE)
        admit(world, report(PHONE, DELIVERED, 5, "doc-1"))
        admit(world, report(PHONE, FAILED, 7, "doc-1", ErrorCode="006"))
        send(world, "doc-2", PHONE)
        admit(world, report(PHONE, DELIVERED, 9))
    return found


def _accounts(typed: Typing) -> None:
    (typed.shell.folder / "secret").write_text("s3cret\n")
    typed("accounts", "configure", "sms", "--set", "base_url=http://127.0.0.1:9", "--secret", "client_id=@secret")
    typed("accounts", "configure", "sms", "--secret", "client_secret=@secret")
    typed("accounts", "rotate", "sms", "--key-id", "wk_1", "--secret-file", "secret")
    typed("accounts", "rotate", "sms", "--key-id", "wk_1", "--retire")
    made = typed.json("keys", "create", "read")["api_key_id"]
    typed("keys", "rotate", made)
    typed("keys", "revoke", made)
    typed("keys", "kek", "rotate", "--make-only")
    typed("keys", "kek", "rewrap")
    old = typed.shell.json("keys", "log")["keys"][0]["key_id"]
    typed("keys", "log", "rotate")
    typed("keys", "log", "retire", old)
    stolen = typed.shell.json("keys", "log")["keys"][0]["key_id"]
    typed("keys", "log", "rotate")
    typed("keys", "log", "revoke", stolen, "--recovery-key", "var/keys/recovery.key")


def _messages(typed: Typing) -> str:
    message = str(typed.json("search", "--mark", "disputed")["deliveries"][0]["message"])
    typed("safeguards", "set", "--partial-search", "--reason", "the board")
    typed("find", "--contains", "1234", "--since", "2020-01-01")
    for command in ("status", "trail", "explain"):
        typed(command, message)
    typed("evidence", message)
    for command in ("protect", "unprotect"):
        typed(command, message, "0", "--reason", "the register says so")
    typed("person", "export", "--recipient", PHONE, "--out", "her", "--reason", "she asked")
    typed("query", "ask", "disputed")
    typed("disputes", "list")
    shown = typed.json("disputes", "show", message, "0")
    failed = next(each["event_id"] for each in shown["rivals"] if each["says"] == "failed")
    settled = typed.json("disputes", "resolve", message, "0", "--sets-aside", failed, *NOTE)
    typed("disputes", "withdraw", message, "0", settled["settlements"][0]["event_id"], *NOTE)
    return message


def _lanes(typed: Typing, message: str) -> None:
    (typed.shell.folder / "noise.json").write_text('{"nobody": "knows this"}')
    typed("import", "noise.json")
    items = {each["lane"]: each["item"] for each in typed.json("lanes", "list")["items"]}
    typed("lanes", "show", items["unreadable"])
    typed("lanes", "suggest", items["unmatched"])
    typed("lanes", "claim", items["unmatched"], message, *NOTE)
    typed("lanes", "unclaim", items["unmatched"], *NOTE)
    typed("lanes", "dismiss", items["unreadable"], *NOTE)
    typed.shell.run("lanes", "retry", items["unmatched"], *NOTE, code=1)  # read no better, so nothing was done
    typed.typed.add("lanes retry")


def _work(typed: Typing) -> None:
    (typed.shell.folder / "monthly.toml").write_text(TOML)
    schedule = str(typed.json("schedules", "create", "monthly.toml")["schedule"])
    typed("schedules", "list")
    definition = typed.json("schedules", "show", schedule)["definition"]
    (typed.shell.folder / "patch.json").write_text('[{"op": "replace", "path": "/format", "value": "jsonl"}]')
    (typed.shell.folder / "other.json").write_text(json.dumps(definition | {"period": 3}))
    typed("schedules", "patch", schedule, "patch.json")
    typed("schedules", "replace", schedule, "other.json")
    first, second = (typed.json("schedules", "run", schedule)["task"] for _ in range(2))
    typed("tasks", "show", second)
    typed("tasks", "cancel", second)
    typed("tasks", "run")
    typed("tasks", "fetch", first, "fetched")
    typed("report", "make", "disputed", "--out", "disputed.zip")
    typed("schedules", "delete", schedule)
    typed("schedules", "add-key", "hook")
    typed("schedules", "retire-key", "hook")
    typed("query", "save", "hers", "disputed")
    typed("query", "saved")
    typed("query", "unsave", "hers")
    typed("jobs", "run", "deadlines")
    typed("reinterpret")
    typed("rebuild")
    typed("fsck")
    typed("db", "migrate")
    typed("export", "exported")
    typed("checkpoint", "push", "pushed")


def _officers(typed: Typing, message: str) -> None:
    hold = typed.json("holds", "place", "--label", "case 17", "--reason", "claim")["hold"]
    typed("holds", "list")
    typed("holds", "release", hold, "--reason", "settled")
    typed("retention", "set", "--provider", "kpn_sms", "--keep", "10y")
    typed("retention", "apply", "--yes")
    typed("retention", "remove", "--provider", "kpn_sms")
    typed("terms", "set", "sms", "delivery_report", "--warn", "6h", "--breach", "1d", *NOTE)
    typed("terms", "off", "sms", "delivery_report", *NOTE)
    typed("terms", "reset", "sms", "delivery_report")
    down = typed.json("downtime", "enter", "sms", "--since", "2026-03-02T10:00Z", *NOTE)["downtime"]
    typed("downtime", "end", down, "--until", "2026-03-02T11:00Z", *NOTE)
    typed("downtime", "withdraw", down, *NOTE)
    typed("sample", "--size", "1")
    typed("sample", "draw", str(typed.json("sample", "ask", "--size", "1")["sample"]))
    assert message


def _two_people(typed: Typing) -> None:
    typed("safeguards", "set", "--four-eyes", "hold.release", "--reason", "board decision")
    holds = [typed.shell.json("holds", "place", "--label", f"case {n}", "--reason", "claim")["hold"] for n in range(2)]
    for hold, how in zip(holds, ("approve", "decline"), strict=True):
        with opened(load()) as s:
            s.runner.run()
            asked = carrying.release(s.accounts, s.queries, TENANT, hold, "settled", "key_other")
        assert isinstance(asked, Act)
        typed("acts", "list")
        typed("acts", "show", asked.act)
        typed("acts", how, asked.act, "--reason", "agreed by letter")


def _erasures(typed: Typing) -> None:
    asked = ("--recipient", PHONE)
    typed("erase", "preview", *asked)
    typed("erase", "run", *asked, "--reason", "she asked", "--yes")


def _sends(typed: Typing) -> None:
    sent = typed.json("send", "sms", "--to", PHONE, "--text", "Hello")["message"]
    typed("outbox", "show", sent)
    typed("outbox", "run")
    typed("outbox", "cancel", sent, *NOTE)
    typed("accounts", "disable", "sms", *NOTE)


def test_every_command_leaves_an_event_of_whoever_typed_it(typing: Typing) -> None:
    """Whether it changes something or shows a recipient. Whoever adds a command types it here."""
    _accounts(typing)
    message = _messages(typing)
    _lanes(typing, message)
    _work(typing)
    _officers(typing, message)
    _two_people(typing)
    _sends(typing)
    _erasures(typing)
    assert set() == typing.known - typing.typed - SILENT.keys() - ELSEWHERE.keys()


def test_whoever_types_is_told_by_the_name_that_the_system_has_for_him(
    typing: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed beside the event, with who he was before he became root; never in the clear."""
    monkeypatch.setenv("SUDO_USER", "ingrid.planted")
    before = typing.size()
    typing("fsck")
    with opened(load()) as s:
        (event,) = [e for e in s.ledger.feed(before, 10) if e.type == "operation.asked"]
        said = s.ledger.values([event])[event.position]
    assert ("operation.asked", "fsck", CONSOLE) == tuple(event.fields[name] for name in ("rule", "code", "actor"))
    assert str(said["user"]).endswith("(sudo by ingrid.planted)")
    assert b"ingrid" not in event.leaf


def test_what_only_shows_what_there_is_leaves_nothing(typing: Typing) -> None:
    """Looking at one's own settings is no act."""
    before = typing.size()
    for command in ("keys list", "accounts list", "terms list", "jobs", "tasks list", "checkpoint show"):
        typing.shell.run(*command.split())
    assert before == typing.size()
