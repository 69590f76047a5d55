"""Schedules of reports: from the definition over the clock to what reaches each recipient, and what the log says of it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import ssl
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import reaching
from adapters.accounts import Accounts
from adapters.jobs.rows import Turn
from adapters.outbox import ActRefusedError
from adapters.providers.pec_mailbox.sandbox import authority
from adapters.reports import mailing, webhooks
from adapters.reports.periods import latest
from adapters.reports.register import ChangedError
from adapters.reports.schedules import Found, parsed
from adapters.strictjson import InvalidError
from adapters.tasks.rows import Row
from ledger.errors import ConfigurationError, LedgerError, NotFoundError
from ledger.events import Event
from ops import tasks
from ops.settings import load
from ops.system import System, opened
from tests.flow.receivers import PASSWORD, Hook, hook_server, mail_server
from tests.postgres import Database

TENANT = "acme"
SENDER = "reports@ledger.example"
DAY = timedelta(days=1)
MONTHLY = {
    "start_date": "2030-01-01",
    "period": 1,
    "period_unit": "months",
    "zone": "Europe/Amsterdam",
    "type": "disputed",
    "recipients": [{"folder": "compliance"}],
}


class Office:
    """A ledger that delivers reports."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system = system
        self.folder = folder
        self.schedules = tasks.schedules(system)
        self.runner = tasks.runner(system)

    def create(self, **changed: Any) -> Found:
        return self.schedules.create(TENANT, parsed(MONTHLY | changed), "key_1")

    def look(self, *at: str) -> Turn:
        """Look at what is due at these times, one after the other."""
        turn = Turn(datetime.now(UTC))
        for each in at:
            turn.now = datetime.fromisoformat(each).replace(tzinfo=UTC)
            self.schedules.look(turn)
        return turn

    def rows(self, kind: str) -> list[Row]:
        return [row for row in reversed(self.schedules.tasks.rows.newest(TENANT)) if row.kind == kind]

    def request(self, row: Row) -> dict[str, Any]:
        return self.schedules.tasks.rows.request(row)

    def later(self, by: timedelta) -> int:
        """Do what is due after a while."""
        now = self.runner.clock() + by
        self.runner.clock = lambda: now
        return self.runner.run()

    def events(self, *types: str) -> list[Event]:
        return [event for event in self.system.ledger.feed(0, 10_000) if event.type in types]

    def told(self, *types: str, rule: str = "") -> list[dict[str, Any]]:
        """Clear fields and opened values of the events of these types."""
        found = self.events(*types)
        values = self.system.ledger.values(found)
        return [
            dict(event.fields) | values.get(event.position, {})
            for event in found
            if rule in {"", event.fields.get("rule")}
        ]

    def dropped(self) -> list[Path]:
        return sorted(path for path in (self.folder / "drop").rglob("*") if path.is_file())


def office_on(stack: ExitStack, url: str, folder: Path, **given: Any) -> Office:
    paths = {f"{name}_folder": folder / name for name in ("key", "artifact", "head")}
    wanted = {"report_folder": folder / "reports", "report_drop_folder": folder / "drop", "smtp_from": SENDER}
    return Office(stack.enter_context(opened(load(database_url=url, **paths, **wanted | given))), folder)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture
def office(database: Database, tmp_path: Path, stack: ExitStack) -> Office:
    return office_on(stack, database.url, tmp_path)


@pytest.fixture
def small_office(sqlite_database: Database, tmp_path: Path, stack: ExitStack) -> Office:
    """For rules that have nothing to do with the database."""
    return office_on(stack, sqlite_database.url, tmp_path)


# --- definitions


def test_every_change_of_a_schedule_is_an_event(office: Office) -> None:
    """With who did it and its number; what it says is sealed."""
    schedules = office.schedules
    entry, made = office.create(title="Disputes")
    name = entry.name
    assert (1, "key_1", parsed(MONTHLY | {"title": "Disputes"})) == (entry.version, entry.owner, made)
    entry, _ = schedules.replace(TENANT, name, 1, parsed(MONTHLY | {"format": "jsonl"}), "key_2")
    patched = schedules.patched(schedules.get(TENANT, name)[1], [{"op": "replace", "path": "/period", "value": 3}])
    entry, found = schedules.replace(TENANT, name, 2, patched, "cli", done="patched")
    assert (3, "jsonl", 3, "key_1", "cli") == (entry.version, found.format, found.period, entry.owner, entry.actor)
    schedules.delete(TENANT, name, 3, "key_1")
    with pytest.raises(NotFoundError):
        schedules.get(TENANT, name)
    assert [] == schedules.list(TENANT)
    events = office.events("report.scheduled")
    rules = ["schedule.created", "schedule.replaced", "schedule.patched", "schedule.deleted"]
    assert rules == [event.fields["rule"] for event in events]
    assert ["key_1", "key_2", "cli", "key_1"] == [event.fields["actor"] for event in events]
    assert all(b"compliance" not in event.leaf and name.encode() not in event.leaf for event in events)


def test_of_two_who_change_the_same_version_one_succeeds(office: Office) -> None:
    """The other is told; nothing of the first is lost."""
    (entry, _), schedules = office.create(), office.schedules
    schedules.replace(TENANT, entry.name, 1, parsed(MONTHLY | {"period": 2}), "key_1")
    with pytest.raises(ChangedError):
        schedules.replace(TENANT, entry.name, 1, parsed(MONTHLY | {"period": 3}), "key_2")
    with pytest.raises(ChangedError):
        schedules.delete(TENANT, entry.name, 1, "key_2")
    with pytest.raises(ChangedError):
        schedules.register.put(TENANT, entry.name, 1, "replaced", {"definition": "{}"}, "key_2")
    assert (2, 2) == (schedules.get(TENANT, entry.name)[0].version, schedules.get(TENANT, entry.name)[1].period)


def test_the_same_definition_again_changes_nothing(small_office: Office) -> None:
    """No event, no version."""
    entry, given = small_office.create()
    again, _ = small_office.schedules.replace(TENANT, entry.name, 1, given, "key_1")
    assert (1, 1) == (again.version, len(small_office.events("report.scheduled")))


def test_schedules_are_listed_by_tenant_in_the_order_of_making(small_office: Office) -> None:
    """However many there are; another tenant's do not exist."""
    made = [small_office.create(title=f"number {number}")[0].name for number in range(70)]
    other, _ = small_office.schedules.create("other", parsed(MONTHLY), "key_9")
    assert made == [entry.name for entry, _ in small_office.schedules.list(TENANT)]
    assert [other.name] == [entry.name for entry, _ in small_office.schedules.list("other")]
    with pytest.raises(NotFoundError):
        small_office.schedules.get(TENANT, other.name)


@pytest.mark.parametrize(
    ("changed", "names", "why"),
    [
        ({"zone": "Europe/Atlantis"}, "zone", "IANA"),
        ({"zone": "../../etc/passwd"}, "zone", "IANA"),
        ({"type": "horoscope"}, "type", "disputed"),
        ({"type": "disputed/99"}, "type", "there is no"),
        ({"parameters": {"colour": "red"}}, "parameters", "no parameter 'colour'"),
        ({"parameters": {"provider": "Not A Name"}}, "parameters", "provider"),
        ({"start_date": "0999-01-01"}, "start_date", "1970"),
        ({"recipients": [{}]}, "recipients[0]", "one of"),
        ({"recipients": [{"folder": "a", "email": "a@b.example"}]}, "recipients[0]", "one of"),
        ({"recipients": [{"folder": "../elsewhere"}]}, "recipients[0].folder", "letters"),
        ({"recipients": [{"folder": ".."}]}, "recipients[0].folder", "letters"),
        ({"recipients": [{"folder": "a/b"}]}, "recipients[0].folder", "letters"),
        ({"recipients": [{"folder": "a\n"}]}, "recipients[0].folder", "letters"),
        ({"recipients": [{"folder": "ok"}, {"email": "a@b.example"}]}, "recipients[1].email", "LEDGER_SMTP_URL"),
        ({"recipients": [{"webhook": "https://hooks.example/x"}]}, "recipients[0].webhook", "no key"),
        ({"format": "docx"}, "format", ""),
        ({"period": 0}, "period", ""),
        ({"period_unit": "years"}, "period_unit", ""),
        ({"time": "24:00"}, "time", ""),
        ({"time": "06:00\n"}, "time", ""),
        ({"language": "xx"}, "language", ""),
        ({"colour": "red"}, "", "does not exist"),
        ({"recipients": []}, "recipients", ""),
    ],
)
def test_what_could_not_be_run_is_refused(
    small_office: Office, changed: Mapping[str, Any], names: str, why: str
) -> None:
    """With the field and the repair; nothing is written."""
    with pytest.raises(InvalidError) as refused:
        small_office.create(**changed)
    assert names == refused.value.field
    assert why in refused.value.why
    assert [] == small_office.events("report.scheduled")


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/nothing"}],
        [{"op": "test", "path": "/period", "value": 2}, {"op": "replace", "path": "/period", "value": 3}],
        [{"op": "replace", "path": "/period", "value": 3}, {"op": "replace", "path": "/zone", "value": 5}],
        [{"op": "add", "path": "/colour", "value": "red"}],
        [{"op": "remove", "path": "/type"}],
        [{"op": "replace", "path": "", "value": None}],
        [{"op": "add", "path": "/recipients/7", "value": {"folder": "a"}}],
        [{"op": "move", "path": "/period"}],
        [{"op": "add", "path": "/title"}],
        [{"op": "replace", "path": "no pointer", "value": 1}],
        [{"op": "copy", "from": "/recipients/x", "path": "/title"}],
    ],
)
def test_a_patch_is_applied_whole_or_not_at_all(small_office: Office, operations: list[dict[str, Any]]) -> None:
    """What does not fit, and what would be no schedule, is refused."""
    _, given = small_office.create()
    with pytest.raises(InvalidError):
        small_office.schedules.patched(given, operations)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "test", "path": "/format", "value": "x"}, "not what stands there"),
        ({"op": "replace", "path": "/nope", "value": 1}, "nothing where it points to"),
        ({"op": "replace", "path": "/nope/x", "value": 1}, "points to nowhere"),
        ({"op": "sing", "path": "/title"}, "no operation of RFC 6902"),
    ],
)
def test_why_an_operation_does_not_fit_is_told_in_words(
    small_office: Office, operation: dict[str, Any], why: str
) -> None:
    """And which one it is."""
    _, given = small_office.create()
    with pytest.raises(InvalidError, match=re.escape("[1]: ") + f".*{why}"):
        small_office.schedules.patched(given, [{"op": "test", "path": "/period", "value": given.period}, operation])


def test_a_mail_server_that_may_not_be_called_is_told_apart_from_one_that_refuses() -> None:
    """With the setting that allows it, because many have theirs in their own network."""
    server = mailing.server("smtp://127.0.0.1:25", None, "ledger@city.example", ssl.create_default_context)
    with reaching.allowing(()), pytest.raises(mailing.MailError, match="LEDGER_ALLOW_NETWORKS"):
        mailing.send(server, "boss@city.example", b"")


POINTERS = [
    "",
    "/",
    "/recipients",
    "/recipients/0",
    "/recipients/-",
    "/parameters",
    "/parameters/a",
    "/period",
    "/title",
    "/~",
    "x",
]
OPERATIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": st.sampled_from(POINTERS)},
    optional={
        "from": st.sampled_from(POINTERS),
        "value": st.none() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just({"folder": "a"}),
    },
)


@given(operations=st.lists(OPERATIONS, max_size=6))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_patch_gives_a_definition_or_is_refused(small_office: Office, operations: list[dict[str, Any]]) -> None:
    """Whatever its operations are."""
    try:
        found = small_office.schedules.patched(parsed(MONTHLY), operations)
    except InvalidError:
        return
    assert parsed(json.loads(msgspec.json.encode(found))) == found


def test_a_patch_does_not_fill_the_memory(small_office: Office) -> None:
    """A hundred copies of the whole into itself would be 2^100 times as long."""
    doubling = [{"op": "copy", "from": "", "path": f"/parameters/{number}"} for number in range(100)]
    with pytest.raises(InvalidError, match="at most 65536 bytes"):
        small_office.schedules.patched(parsed(MONTHLY), doubling)
    with pytest.raises(InvalidError, match="at most 65536 bytes"):
        small_office.create(title="", parameters={"provider": "a" * 70_000})


def test_a_patch_does_what_its_operations_say(small_office: Office) -> None:
    """Each kind of operation of RFC 6902."""
    _, given = small_office.create()
    found = small_office.schedules.patched(
        given,
        [
            {"op": "test", "path": "/period_unit", "value": "months"},
            {"op": "add", "path": "/recipients/-", "value": {"folder": "board"}},
            {"op": "copy", "from": "/recipients/0", "path": "/recipients/-"},
            {"op": "replace", "path": "/recipients/2/folder", "value": "third"},
            {"op": "move", "from": "/recipients/1", "path": "/recipients/0"},
            {"op": "add", "path": "/parameters/provider", "value": "ekopost"},
            {"op": "add", "path": "/title", "value": "By provider"},
        ],
    )
    assert ["board", "compliance", "third"] == [each.folder for each in found.recipients]
    assert ("By provider", {"provider": "ekopost"}) == (found.title, found.parameters)


# --- the clock


def test_a_period_is_run_once_when_it_has_ended(office: Office) -> None:
    """With the period in the query, at local midnight; looking again does nothing."""
    entry, _ = office.create(parameters={"provider": "ekopost"})
    office.look("2030-01-31T22:59:59")
    assert [] == office.rows("report")
    office.look("2030-01-31T23:00:00", "2030-01-31T23:01:00", "2030-02-20T00:00:00")
    (row,) = office.rows("report")
    wanted = {"provider": "ekopost", "since": "2029-12-31T23:00:00Z", "until": "2030-01-31T23:00:00Z"}
    assert wanted == office.request(row)["parameters"]
    (told,) = office.told("report.scheduled", rule="schedule.run")
    assert (row.task, entry.name, "2030-01-01", "2030-02-01") == tuple(
        told[name] for name in ("task", "schedule", "first", "next")
    )
    assert ([entry.event], {"skipped": 0}) == (told["events"], told["numbers"])


def test_of_missed_periods_the_latest_is_run_and_the_others_are_told(office: Office) -> None:
    """Once; after that the clock goes on as usual."""
    office.create(period_unit="days")
    office.look("2030-01-01T23:00:00", "2030-01-05T12:00:00", "2030-01-05T12:01:00", "2030-01-05T23:30:00")
    told = office.told("report.scheduled", rule="schedule.run")
    assert ["2030-01-01", "2030-01-04", "2030-01-05"] == [each["first"] for each in told]
    assert [0, 2, 0] == [each["numbers"]["skipped"] for each in told]
    assert ["2030-01-03", "2030-01-02"] == told[1]["skipped"]


def test_a_very_long_pause_is_told_too(small_office: Office) -> None:
    """Years of days: all are counted, the latest hundred are named."""
    small_office.create(period_unit="days")
    small_office.look("2033-01-01T12:00:00")
    (told,) = small_office.told("report.scheduled", rule="schedule.run")
    assert (3 * 365, 100) == (told["numbers"]["skipped"], len(told["skipped"]))


def test_periods_from_before_the_schedule_are_not_made_up_for(small_office: Office) -> None:
    """A person may ask for the latest, which the clock then still does not run."""
    (entry, given), schedules = small_office.create(start_date="2020-01-01"), small_office.schedules
    now = small_office.system.ledger.clock()
    schedules.look(Turn(now))
    assert [] == small_office.rows("report")
    row = schedules.run_now(TENANT, entry.name, "cli")
    assert latest(given.pace(), now) is not None
    assert [row] == small_office.rows("report")
    (told,) = small_office.told("report.scheduled", rule="schedule.asked")
    assert ("cli", row.task) == (told["actor"], told["task"])


def test_before_the_first_end_of_a_period_there_is_nothing_to_run(small_office: Office) -> None:
    """And that is said, with the time."""
    entry, _ = small_office.create()
    with pytest.raises(ActRefusedError, match="2030-01-31T23:00:00Z"):
        small_office.schedules.run_now(TENANT, entry.name, "cli")
    assert "2030-01-31T23:00:00Z" == small_office.schedules.view(small_office.schedules.get(TENANT, entry.name)).next_at


def test_a_process_that_dies_before_it_said_so_does_not_run_twice(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look finds the task and says so."""
    office.create()

    def dies(*_given: object, **_named: object) -> int:
        msg = "as if it died here"
        raise LedgerError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(Accounts, "record", dies)
        assert "as if it died here" in office.look("2030-02-01T00:00:00").trouble
    assert [] == office.told("report.scheduled", rule="schedule.run")
    office.look("2030-02-01T00:01:00", "2030-02-01T00:02:00")
    assert (1, 1) == (len(office.rows("report")), len(office.told("report.scheduled", rule="schedule.run")))


def test_one_schedule_that_cannot_be_run_does_not_hold_up_the_others(small_office: Office) -> None:
    """It is told as the job's trouble."""
    schedules = small_office.schedules
    broken = schedules.register.put(TENANT, "0" * 8, 0, "created", {"definition": "{}"}, "cli")
    small_office.create()
    turn = small_office.look("2030-02-01T00:00:00")
    assert (1, True) == (len(small_office.rows("report")), broken.name in turn.trouble)


def test_what_was_erased_or_deleted_is_not_run(small_office: Office) -> None:
    """Nor does it stop anything."""
    (gone, _), (ended, _) = small_office.create(), small_office.create()
    small_office.schedules.delete(TENANT, ended.name, 1, "cli")
    (event,) = [event for event in small_office.events("report.scheduled") if event.id == gone.event]
    database = small_office.system.ledger.database
    with database.writing() as cursor:
        cursor.execute("DELETE FROM sealed_values WHERE position = ?", (event.position,))
    assert "" == small_office.look("2030-02-01T00:00:00").trouble
    assert [] == small_office.rows("report")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(st.tuples(st.timedeltas(timedelta(days=-40), timedelta(days=60)), st.booleans()), max_size=12),
    unit=st.sampled_from(["days", "weeks", "months"]),
    length=st.integers(1, 3),
    at=st.sampled_from(["00:00", "02:30", "23:59"]),
)
def test_each_period_is_run_exactly_once_whatever_clocks_and_processes_do(
    small_office: Office, steps: list[tuple[timedelta, bool]], unit: str, length: int, at: str
) -> None:
    """Clocks that jump to and fro, processes that begin anew or die half-way: what was ever the latest ran, and once."""
    entry, given = small_office.create(period_unit=unit, period=length, time=at, start_date="2030-03-20")
    now, wanted = datetime(2030, 3, 25, tzinfo=UTC), set()
    for step, dies in steps:
        now += step
        schedules = tasks.schedules(small_office.system)
        of = latest(given.pace(), now)
        wanted |= {str(of.first)} if of else set()
        if dies:
            schedules.accounts = Dying(small_office.system.ledger)
        schedules.look(Turn(now))
        tasks.schedules(small_office.system).look(Turn(now))
    told = [
        each for each in small_office.told("report.scheduled", rule="schedule.run") if each["schedule"] == entry.name
    ]
    requests = [small_office.request(row)["delivery"] for row in small_office.rows("report")]
    asked = [each["first"] for each in requests if each["schedule"] == entry.name]
    assert sorted(wanted) == sorted(each["first"] for each in told) == sorted(asked)
    small_office.schedules.delete(TENANT, entry.name, 1, "cli")


class Dying(Accounts):
    """Cannot say anything any more."""

    def record(self, *_given: object, **_named: object) -> int:
        msg = "as if it died here"
        raise LedgerError(msg)


# --- to a folder


def test_a_report_reaches_its_folder_whole(office: Office) -> None:
    """With the digests that the log commits to; nothing half-written beside it, nothing twice."""
    entry, _ = office.create(recipients=[{"folder": "compliance"}, {"folder": "board"}])
    office.look("2030-02-01T00:00:00")
    assert 3 == office.runner.run()
    found = office.dropped()
    folders = {path.parent for path in found}
    report = office.rows("report")[0]
    name = f"disputed-2030-01-01-2030-01-31-{report.task[-12:]}"
    assert {office.folder / "drop" / TENANT / who / name for who in ("board", "compliance")} == folders
    result = office.schedules.tasks.result(report)
    assert result is not None
    for folder in folders:
        on_disk = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        assert {file.name: file.sha256 for file in result.files} == on_disk
    (made,) = office.told("report.delivered", rule="report.made")
    assert (result.said["digest"], 0, result.said["root"]) == (made["digest"], made["numbers"]["rows"], made["root"])
    assert ("disputed/1", result.said["position"]) == (made["code"], made["tree_size"])
    assert on_disk == {file["name"]: file["sha256"] for file in json.loads(made["files"])}
    sent = office.told("report.delivered", rule="report.folder")
    assert ["compliance", "board"] == [each["recipient"] for each in sent]
    assert {(entry.name, result.said["digest"], "2030-01-01", "2030-02-01")} == {
        (each["schedule"], each["digest"], each["first"], each["next"]) for each in sent
    }
    assert 0 == office.runner.run()


def test_a_delivery_that_is_repeated_changes_nothing_in_the_folder(small_office: Office) -> None:
    """After a crash between handing over and saying so."""
    small_office.create()
    small_office.look("2030-02-01T00:00:00")
    kinds = small_office.runner.kinds
    kinds["delivery"] = replace(kinds["delivery"], finished=_dies)
    small_office.runner.run()
    before = {path: path.stat().st_mtime_ns for path in small_office.dropped()}
    assert before
    heir = tasks.runner(small_office.system)
    heir.run()
    assert before == {path: path.stat().st_mtime_ns for path in small_office.dropped()}
    assert 1 == len(small_office.told("report.delivered", rule="report.folder"))


def _dies(*_given: object) -> None:
    msg = "as if it died here"
    raise LedgerError(msg)


# --- by e-mail


@pytest.mark.parametrize("scheme", ["smtp", "smtps", "smtp+starttls"])
def test_a_report_reaches_a_mailbox(sqlite_database: Database, tmp_path: Path, stack: ExitStack, scheme: str) -> None:
    """Attached as one zip file; the log has the digest of exactly what left."""
    box, url = stack.enter_context(mail_server(scheme))
    office = mailing_office(stack, sqlite_database, tmp_path, url)
    office.create(recipients=[{"email": "anna@example.com"}], language="it", title="Contestazioni di Müller\u2028Srl")
    office.look("2030-02-01T00:00:00")
    assert 2 == office.runner.run()
    ((to, data),), (letter,) = box.letters, box.opened()
    assert ["anna@example.com"] == to
    assert ([] if scheme == "smtp" else ["reports"]) == box.users
    assert "Rapporto: Contestazioni di Müller Srl, dal 2030-01-01 al 2030-01-31" == letter["Subject"]
    assert (SENDER, "anna@example.com", "auto-generated") == (letter["From"], letter["To"], letter["Auto-Submitted"])
    (attached,) = letter.iter_attachments()
    with zipfile.ZipFile(io.BytesIO(attached.get_content())) as packed:
        assert {"report.csv", "manifest", "checkpoint", "verify.py"} <= set(packed.namelist())
    (told,) = office.told("report.delivered", rule="report.email")
    assert ("anna@example.com", len(data)) == (told["recipient"], told["numbers"]["bytes"])
    assert hashlib.sha256(data).hexdigest() == told["digest"]
    assert b"anna" not in b"".join(event.leaf for event in office.events("report.delivered", "report.scheduled"))


def mailing_office(stack: ExitStack, database: Database, folder: Path, url: str, **settings: Any) -> Office:
    (folder / "password").write_text(f"{PASSWORD}\n")
    (folder / "ca.pem").write_bytes(authority.root(authority.ROOT).pem())
    how = {"smtp_url": url, "smtp_password_file": folder / "password", "extra_ca": folder / "ca.pem"}
    return office_on(stack, database.url, folder, **how, public_url="https://ledger.example/", **settings)


def test_what_is_too_large_is_not_attached(sqlite_database: Database, tmp_path: Path, stack: ExitStack) -> None:
    """The e-mail says where it can be fetched."""
    box, url = stack.enter_context(mail_server())
    office = mailing_office(stack, sqlite_database, tmp_path, url, attach_max_bytes=100)
    office.create(recipients=[{"email": "anna@example.com"}])
    office.look("2030-02-01T00:00:00")
    office.runner.run()
    (letter,) = box.opened()
    assert [] == list(letter.iter_attachments())
    task = office.rows("report")[0].task
    assert f"https://ledger.example/v1/tasks/{task}/files/report.csv" in letter.get_content()


def test_a_mail_server_that_does_not_take_it_is_asked_again(
    sqlite_database: Database, tmp_path: Path, stack: ExitStack
) -> None:
    """Each failure is an event, without what the server said; the message keeps its id."""
    box, url = stack.enter_context(mail_server())
    office = mailing_office(stack, sqlite_database, tmp_path, url)
    office.create(recipients=[{"email": "anna@example.com"}])
    office.look("2030-02-01T00:00:00")
    box.answers = ["451 anna@example.com try later"]
    office.runner.run()
    (failed,) = office.told("report.failed")
    assert ("report.email", {"try": 1, "given_up": 0}) == (failed["rule"], failed["numbers"])
    assert ("MailError: the mail server answered 451", "anna@example.com") == (failed["error"], failed["recipient"])
    assert 0 == office.later(timedelta(seconds=59))
    assert 1 == office.later(timedelta(seconds=1))
    assert 1 == len(office.told("report.delivered", rule="report.email"))
    delivery = office.rows("delivery")[0]
    assert f"<{delivery.task}@ledger.example>" == box.opened()[0]["Message-ID"]


def test_a_mail_server_that_refuses_for_good_is_not_asked_again(
    sqlite_database: Database, tmp_path: Path, stack: ExitStack
) -> None:
    """The failure says that it was given up."""
    box, url = stack.enter_context(mail_server())
    office = mailing_office(stack, sqlite_database, tmp_path, url)
    office.create(recipients=[{"email": "anna@example.com"}])
    office.look("2030-02-01T00:00:00")
    box.answers = ["550 no such user"]
    office.runner.run()
    assert [{"try": 1, "given_up": 1}] == [each["numbers"] for each in office.told("report.failed")]
    assert (0, "failed") == (office.later(DAY), office.rows("delivery")[0].state)


def test_a_mail_server_without_a_known_certificate_gets_nothing(
    sqlite_database: Database, tmp_path: Path, stack: ExitStack
) -> None:
    """Neither the password nor the report."""
    box, url = stack.enter_context(mail_server("smtps"))
    (tmp_path / "password").write_text(PASSWORD)
    known = {"smtp_url": url, "smtp_password_file": tmp_path / "password"}
    office = office_on(stack, sqlite_database.url, tmp_path, **known)
    office.create(recipients=[{"email": "anna@example.com"}])
    office.look("2030-02-01T00:00:00")
    office.runner.run()
    (failed,) = office.told("report.failed")
    assert ([], [], True) == (box.letters, box.users, "SSLCertVerificationError" in failed["error"])


@pytest.mark.parametrize(
    "given",
    [
        {"smtp_url": "smtp://mail.example"},
        {"smtp_url": "smtps://user:secret@mail.example"},
        {"smtp_url": "https://mail.example"},
        {"smtp_url": "smtps://user@mail.example"},
        {"smtp_url": "smtps://mail.example", "smtp_from": "two@a.example, b@c.example"},
        {"smtp_url": "smtps://mail.example", "smtp_from": ""},
    ],
)
def test_a_mail_server_that_cannot_be_used_is_a_wrong_setting(
    sqlite_database: Database, tmp_path: Path, stack: ExitStack, given: dict[str, str]
) -> None:
    """Said before anything is served; no secret is quoted."""
    with pytest.raises(ConfigurationError) as refused:
        office_on(stack, sqlite_database.url, tmp_path, **given)
    assert "LEDGER_SMTP_" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "email", ["anna", "a@b\nBcc: x@y.example", "a@b.example,c@d.example", "<a@b.example>", "ä@b.example"]
)
def test_what_is_no_address_is_refused(sqlite_database: Database, tmp_path: Path, stack: ExitStack, email: str) -> None:
    """So no header is ever more than one."""
    office = mailing_office(stack, sqlite_database, tmp_path, "smtp://localhost")
    with pytest.raises(InvalidError):
        office.create(recipients=[{"email": email}])


# --- by webhook


@pytest.mark.parametrize("tls", [False, True])
def test_a_webhook_tells_of_the_report_and_is_signed(
    sqlite_database: Database, tmp_path: Path, stack: ExitStack, *, tls: bool
) -> None:
    """With every key in use, as Standard Webhooks has it; the rows themselves stay."""
    hook = stack.enter_context(hook_server(Hook(), tls=tls))
    office = mailing_office(stack, sqlite_database, tmp_path, "smtp://localhost")
    secrets = [webhooks.add_key(office.system.accounts, TENANT, name, "cli") for name in ("first", "second")]
    entry, _ = office.create(recipients=[{"webhook": hook.url}])
    office.look("2030-02-01T00:00:00")
    office.runner.run()
    (post,), report = hook.posts, office.rows("report")[0]
    assert all(post.is_signed(secret) for secret in secrets)
    assert not post.is_signed("whsec_" + "A" * 43 + "=")
    said = json.loads(post.body)
    data = said["data"]
    assert ("report.made", entry.name, report.task) == (said["type"], data["schedule"], data["task"])
    assert {"first": "2030-01-01", "last": "2030-01-31"} == data["period"]
    assert f"https://ledger.example/v1/tasks/{report.task}/files/report.csv" == data["links"][0]
    assert office.rows("delivery")[0].task == post.headers["webhook-id"]
    (told,) = office.told("report.delivered", rule="report.webhook")
    assert (hashlib.sha256(post.body).hexdigest(), hook.url) == (told["digest"], told["recipient"])


@pytest.fixture
def hooked(sqlite_database: Database, tmp_path: Path, stack: ExitStack) -> Office:
    office = office_on(stack, sqlite_database.url, tmp_path)
    webhooks.add_key(office.system.accounts, TENANT, "first", "cli")
    return office


def test_a_webhook_that_is_not_taken_is_sent_again_and_at_last_given_up(hooked: Office, stack: ExitStack) -> None:
    """With the same id and body each time; no redirect is followed; every failure is an event."""
    hook = stack.enter_context(hook_server(Hook()))
    hook.statuses = [500, 302, 404, 429, 503, 503, 503, 503, 200]
    hooked.create(recipients=[{"webhook": hook.url}])
    hooked.look("2030-02-01T00:00:00")
    hooked.runner.run()
    while hooked.later(DAY):
        continue
    failed = hooked.told("report.failed")
    assert [(number, int(number == 8)) for number in range(1, 9)] == [
        (each["numbers"]["try"], each["numbers"]["given_up"]) for each in failed
    ]
    assert "WebhookError: the webhook's address answered 302" == failed[1]["error"]
    assert (8, 1) == (len(hook.posts), len({(post.headers["webhook-id"], post.body) for post in hook.posts}))
    assert ("failed", []) == (hooked.rows("delivery")[0].state, hooked.told("report.delivered", rule="report.webhook"))


def test_an_address_that_wants_no_more_is_left_alone(hooked: Office, stack: ExitStack) -> None:
    """410 ends it at once."""
    hook = stack.enter_context(hook_server(Hook()))
    hook.statuses = [410]
    hooked.create(recipients=[{"webhook": hook.url}])
    hooked.look("2030-02-01T00:00:00")
    hooked.runner.run()
    assert [1] == [each["numbers"]["given_up"] for each in hooked.told("report.failed")]
    assert (0, 1) == (hooked.later(DAY), len(hook.posts))


def test_an_address_that_is_not_there_is_tried_again(hooked: Office) -> None:
    """Without quoting what the system said."""
    with hook_server(Hook()) as hook:
        url = hook.url
    hooked.create(recipients=[{"webhook": url}])
    hooked.look("2030-02-01T00:00:00")
    hooked.runner.run()
    assert ["WebhookError: the webhook was not taken: ClientConnectorError"] == [
        each["error"] for each in hooked.told("report.failed")
    ]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://10.1.2.3/x", "not public"),
        ("https://192.168.1.1/x", "not public"),
        ("https://169.254.169.254/latest", "not public"),
        ("https://[::1]/x", "not public"),
        ("https://[::ffff:127.0.0.1]/x", "not public"),
        ("https://[64:ff9b::7f00:1]/x", "not public"),
        ("https://[2002:7f00:1::]/x", "not public"),
        ("https://[fd00::1]/x", "not public"),
        ("https://0.0.0.0/x", "not public"),
        ("https://224.0.0.1/x", "not public"),
        ("https://127.0.0.1/x", "not public"),
        ("https://localhost/x", "not public"),
        ("http://hooks.example/x", "https://"),
        ("http://93.184.216.34/x", "https://"),
        ("ftp://hooks.example/x", "https://"),
        ("https://user@hooks.example/x", "credentials"),
        ("https:///x", "https://"),
        ("https://hooks.example/a b", "https://"),
        ("https://hooks.example/\r\nHost: x", "https://"),
    ],
)
def test_a_webhook_goes_to_public_addresses_over_https_only(small_office: Office, url: str, why: str) -> None:
    """Unless the settings name further networks."""
    webhooks.add_key(small_office.system.accounts, TENANT, "first", "cli")
    with reaching.allowing(()), pytest.raises(InvalidError, match=why):
        small_office.create(recipients=[{"webhook": url}])


@pytest.mark.parametrize("host", ["localhost.localdomain", "2130706433", "0x7f.1", "localhost"])
def test_a_name_that_leads_to_a_private_address_is_not_called(
    small_office: Office, stack: ExitStack, host: str
) -> None:
    """What it leads to is judged when it is called, in every spelling."""
    hook = stack.enter_context(hook_server(Hook(), tls=True))
    port = hook.url.split(":")[2].partition("/")[0]
    keys = {"first": b"k" * 32}
    with reaching.allowing(()), pytest.raises(webhooks.WebhookError):
        webhooks.send(
            f"https://{host}:{port}/x",
            webhooks.signed(keys, "1", 1, b"{}"),
            b"{}",
            small_office.schedules.channels.tls(),
        )
    assert [] == hook.posts


def test_a_recipient_that_is_not_allowed_any_more_gets_nothing(
    hooked: Office, tmp_path: Path, stack: ExitStack
) -> None:
    """What an operator takes back is taken back for reports that are on their way."""
    hook = stack.enter_context(hook_server(Hook()))
    hooked.create(recipients=[{"webhook": hook.url}])
    hooked.look("2030-02-01T00:00:00")
    with reaching.allowing(()):
        hooked.runner.run()
    assert ([], [1]) == (hook.posts, [each["numbers"]["given_up"] for each in hooked.told("report.failed")])


def test_the_specification_s_own_signature_is_ours() -> None:
    """The example of the Standard Webhooks reference libraries (standard-webhooks/standard-webhooks, libraries/python/tests)."""
    key = {"k": base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
    body = b'{"test": 2432232314}'
    headers = webhooks.signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == headers["webhook-signature"]


def test_webhook_keys_follow_each_other(hooked: Office) -> None:
    """A name is taken once; a retired key signs nothing any more; nothing of a key is in the log."""
    accounts = hooked.system.accounts
    with pytest.raises(InvalidError):
        webhooks.add_key(accounts, TENANT, "first", "cli")
    secret = webhooks.add_key(accounts, TENANT, "second", "cli")
    webhooks.retire_key(accounts, TENANT, "first", "cli")
    assert ["second"] == list(webhooks.keys(accounts, TENANT))
    assert [] == list(webhooks.keys(accounts, "other"))
    events = hooked.events("account.key_added", "account.key_retired")
    assert ["first", "second", "first"] == [event.fields["key_id"] for event in events]
    assert all(secret.encode() not in event.leaf for event in events)


# --- reports that cannot be made


def test_a_report_that_cannot_be_made_is_told(small_office: Office) -> None:
    """As a failure, with the reason; it is given up when trying again is of no use."""
    small_office.create()
    small_office.look("2030-02-01T00:00:00")
    (row,) = small_office.rows("report")
    rows = small_office.schedules.tasks.rows
    broken = rows.ask(TENANT, "report", small_office.request(row) | {"query": "horoscope"})
    small_office.schedules.tasks.cancel(TENANT, row.task)
    small_office.runner.run()
    (failed,) = small_office.told("report.failed")
    assert ("report.unmade", {"try": 1, "given_up": 1}, broken.task) == (
        failed["rule"],
        failed["numbers"],
        failed["task"],
    )
    assert "horoscope" in failed["error"]
    assert [] == small_office.rows("delivery")
