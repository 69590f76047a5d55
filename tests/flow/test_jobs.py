"""Jobs: derived from the accounts, asked by the cadence, run by whoever leads, and none of them stops another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.jobs import polling, ticks
from adapters.jobs.board import Board
from adapters.jobs.polling import step
from adapters.jobs.rows import Job, Row, Turn, pause
from adapters.jobs.views import JobView
from adapters.outbox import ActRefusedError
from adapters.providers import registry
from adapters.providers.calling import DEFAULT_CADENCE, Access, Answer, Client, Request
from adapters.providers.contract import Provider
from ledger.database import PRIVACY_ROLE, SERVICE_ROLE, PostgresDatabase
from ledger.errors import NotFoundError
from ledger.events import Event, time_text
from ledger.observations import Address, Reference
from ledger.streams import Registration
from tests.flow import carrier
from tests.flow.parcels import ON_ITS_WAY, PROVIDER, THERE
from tests.postgres import Database
from tests.world import TENANT, World, world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Service:
    """The carrier's service: it answers what a test says, and remembers what it was asked.

    Attributes:
        answers: path -> an answer, or what happens instead of one; `default` for the others.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.default: Any = carrier.answer(200, ON_ITS_WAY)
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

    def call(
        self, _client: Client, _provider: Provider, request: Request, access: Access, *, key: tuple[str, str]
    ) -> Answer:
        """The answer to one call."""
        assert key[0] == TENANT
        assert access.settings.base_url
        self.asked.append(request.url)
        said = self.answers.get(request.url, self.default)
        if callable(said):
            said = said()
        if isinstance(said, BaseException):
            raise said
        assert isinstance(said, Answer)
        return replace(said, at=self.clock())

    def since(self, before: int = 0) -> list[str]:
        """What was asked, without the beginning of each path."""
        return [url.rpartition("/")[2] for url in self.asked[before:]]


class Office:
    """A ledger with one account at the carrier, and its jobs; the clock is ours."""

    def __init__(self, w: World) -> None:
        self.world = w
        self.clock = carrier.Clock()
        # The log's own clock is the machine's, and says when a message was opened: a little before all that happens here.
        self.clock.now = datetime.now(UTC) + timedelta(seconds=20)
        w.ledger.clock = self.clock
        self.service = Service(self.clock)
        w.accounts.add(TENANT, "main", "carrier")
        self.leads = True
        self.board = self.new_board()

    def new_board(self, **how: Any) -> Board:
        """As another process would make it."""
        w = self.world
        return Board(w.intake, w.accounts, self.service, w.queries, may_run=lambda: self.leads, **how)

    def send(self, parcel: str, recipients: int = 1) -> str:
        """A message under way."""
        to = tuple(Address("phone", f"+3161234567{number}") for number in range(recipients))
        registration = Registration(
            account="main", provider="carrier", recipients=to, references=(Reference("parcel", parcel),)
        )
        message = self.world.intake.register(TENANT, registration, {"arrival": "api"}, (parcel, parcel)).message
        self.world.runner.run()
        return message

    def wait(self, time: timedelta) -> list[str]:
        """Let time pass and do what is due then; what was asked."""
        self.clock.now += time
        return self.run()

    def run(self) -> list[str]:
        before = len(self.service.asked)
        self.board.run_due()
        self.world.runner.run()
        return self.service.since(before)

    def view(self, job: str, account: str = "main") -> JobView:
        return next(v for v in self.board.views(TENANT) if (v.job, v.account) == (job, account))

    def row(self, job: str) -> Row:
        return self.board.rows.all()[TENANT, "main", job]

    def job(self, name: str) -> Job:
        return self.board.find(TENANT, name, "main")[0]

    def stored(self) -> tuple[int, int]:
        """How many events and originals there are."""
        database = self.world.ledger.database
        return self.world.ledger.head().size, int(database.read("SELECT count(*) FROM artifacts")[0][0])

    def events(self, kind: str) -> list[Event]:
        return [event for event in self.world.ledger.feed() if event.type == kind]

    def read_the_list(self) -> None:
        self.world.accounts.configure(TENANT, "main", {"reads_list": True})


@pytest.fixture
def office(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """An office whose carrier says of every parcel that it is on its way."""
    monkeypatch.setitem(registry(), "carrier", PROVIDER)
    with world(database.url, tmp_path) as w:
        yield Office(w)


# --- asking about messages


@pytest.mark.parametrize(
    ("age", "every"),
    [
        (timedelta(0), MINUTE),
        (9 * MINUTE, MINUTE),
        (10 * MINUTE, 10 * MINUTE),
        (2 * HOUR, HOUR),
        (2 * DAY, 12 * HOUR),
        (30 * DAY, None),
    ],
)
def test_the_older_a_message_the_less_often_it_is_asked_about(age: timedelta, every: timedelta | None) -> None:
    """By the table; after its last row not any more."""
    assert every == step(DEFAULT_CADENCE, age)


def test_messages_are_asked_about_by_the_cadence_until_they_are_settled(office: Office) -> None:
    """Each minute at first, then less often; a final status ends it."""
    office.send("p1")
    assert [] == office.run()
    assert ["p1"] == office.wait(MINUTE)
    assert [] == office.wait(MINUTE / 2)
    assert ["p1"] == office.wait(MINUTE)
    assert ["p1"] == office.wait(20 * MINUTE)
    assert [] == office.wait(9 * MINUTE)
    assert ["p1"] == office.wait(2 * MINUTE)
    office.service.default = carrier.answer(200, THERE)
    assert ["p1"] == office.wait(2 * HOUR)
    assert [] == office.wait(DAY)
    assert 2 == office.view("poll").found
    assert [] == office.world.ledger.database.read("SELECT message FROM polls")


def test_a_message_is_not_asked_about_for_ever(office: Office) -> None:
    """After a month it is left alone, also when a person asks."""
    office.send("p1")
    assert ["p1"] == office.wait(29 * DAY)
    assert [] == office.wait(2 * DAY)
    office.board.ask(office.job("poll"))
    assert [] == office.wait(MINUTE)


def test_the_longest_due_come_first_and_a_run_has_a_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left over is done by the next run, which is due at once."""
    monkeypatch.setattr(polling, "AT_ONCE", 2)
    for parcel in ("p1", "p2", "p3"):
        office.send(parcel)
    assert ["p1", "p2"] == office.wait(MINUTE)
    assert ["p3"] == office.run()
    assert [] == office.run()


def test_all_open_messages_are_found_page_by_page(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are; each once, however many recipients it has."""
    monkeypatch.setattr(polling, "PAGE", 2)
    for parcel in ("p1", "p2", "p3", "p4"):
        office.send(parcel, recipients=3)
    assert ["p1", "p2", "p3", "p4"] == office.wait(MINUTE)


def test_a_person_has_everything_asked_about_at_once(office: Office) -> None:
    """Whatever the cadence says; once."""
    office.send("p1")
    office.wait(MINUTE)
    view = office.board.ask(office.job("poll"))
    assert "asked" == view.state
    assert ["p1"] == office.run()
    assert ("ok", []) == (office.view("poll").state, office.run())


def test_one_message_that_fails_holds_up_no_other(office: Office) -> None:
    """It is asked about again sooner, then less and less often; the job goes on and says what went wrong."""
    for parcel in ("p1", "p2"):
        office.send(parcel)
    office.wait(DAY)
    office.service.answers["/find/p1"] = carrier.answer(500, b"Mrs Jansen is not at home")
    assert ["p1", "p2"] == office.wait(HOUR + MINUTE)
    view = office.view("poll")
    assert ("ok", 0) == (view.state, view.failures)
    assert "1 of 2 questions failed; the last one: CallFailedError: GET /find/…: 500" == view.last_error
    assert [["p1"], ["p1"], [], ["p1"], [], [], []] == [office.wait(MINUTE) for _ in range(7)]
    office.service.answers.clear()
    office.wait(5 * MINUTE)
    assert "" == office.view("poll").last_error


def test_a_provider_that_is_down_is_left_alone_for_longer_and_longer(office: Office) -> None:
    """After three failures in a row a run ends, and each pause is longer than the one before, up to a limit."""
    for number in range(5):
        office.send(f"p{number}")
    office.service.default = carrier.answer(failure="unreachable")
    office.wait(MINUTE)
    pauses = []
    for failures in range(1, 9):
        row = office.row("poll")
        assert (failures, "CallFailedError: GET /find/…: unreachable") == (row.failures, row.last_error)
        assert 3 * failures == len(office.service.asked)
        pauses.append(round((_time(row.next_at) - _time(row.ended_at)).total_seconds()))
        office.clock.now = _time(row.next_at)
        office.run()
    assert [30, 60, 120, 240, 480, 900, 900, 900] == pauses
    office.service.default = carrier.answer(200, ON_ITS_WAY)
    office.wait(HOUR)
    assert ("ok", 0) == (office.view("poll").state, office.row("poll").failures)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_pause_is_never_longer_than_an_hour() -> None:
    """A daily job that fails is tried again the same day."""
    assert timedelta(hours=1) == pause(40, 86_400)


def test_what_is_told_of_a_failure_is_our_own_text(office: Office) -> None:
    """Of a foreign error only its kind: its text may quote what a provider wrote."""
    office.send("p1")
    office.service.default = ValueError("Mrs Jansen is not at home")
    office.wait(MINUTE)
    assert "1 of 1 questions failed; the last one: ValueError" == office.view("poll").last_error


# --- answers without news


def test_an_answer_without_news_is_counted_and_not_stored(office: Office) -> None:
    """However often the same is said, with other headers and at other times; a change is stored."""
    office.send("p1")
    office.wait(MINUTE)
    before = office.stored()
    for _ in range(4):
        assert ["p1"] == office.wait(MINUTE + timedelta(seconds=1))
    assert (before, 4) == (office.stored(), office.view("poll").nothing_new)
    office.service.default = carrier.answer(200, THERE)
    office.wait(10 * MINUTE)
    assert (before[0] + 1, before[1] + 1) == office.stored()
    assert 4 == office.view("poll").nothing_new


def test_bytes_that_nobody_can_read_are_kept_once(office: Office) -> None:
    """The same unreadable answer waits once, however often it comes."""
    office.send("p1")
    office.service.default = carrier.answer(200, b"<html>maintenance</html>")
    office.wait(MINUTE)
    before = office.stored()
    office.wait(2 * MINUTE)
    assert (before, 1) == (office.stored(), office.view("poll").nothing_new)
    assert ["unreadable"] == [item.lane for item in office.world.queries.lanes(TENANT)]


def test_answers_without_news_are_told_to_the_log_once(office: Office) -> None:
    """One event per account with what was counted since the last one; a process that dies after it counts nothing twice."""
    office.send("p1")
    for _ in range(4):
        office.wait(MINUTE + timedelta(seconds=1))
    board, told = office.board, office.board.rows.tell
    counting = Job(
        name="count", title="", every_s=86_400, run=lambda t: ticks.count_answers(board.ledger, board.rows, t)
    )

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    board.rows.tell = die  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        board.run(counting)
    board.rows.tell = told  # type: ignore[method-assign]
    office.wait(MINUTE + timedelta(seconds=1))
    for _ in range(3):
        board.run(counting)
    events = office.events("poll.answered")
    assert [{"poll": 3}, {"poll": 1}] == [e.fields["numbers"] for e in events]
    assert {("main", f"account/{TENANT}/main/{office.clock.now.date()}")} == {
        (e.fields["account"], e.stream) for e in events
    }


# --- sweeps


def test_a_sweep_runs_when_its_setting_is_set(office: Office) -> None:
    """Off, with the command that switches it on; seen within half a minute, without a restart."""
    office.run()
    view = office.view("list")
    assert ("off", "") == (view.state, view.next_at)
    assert "reads_list is not set; delivery-ledger accounts configure main --set reads_list=VALUE" == view.off
    with pytest.raises(ActRefusedError, match="job list of main is off: reads_list is not set"):
        office.board.ask(office.job("list"))
    office.read_the_list()
    assert ["0", "1", "2"] == office.wait(31 * timedelta(seconds=1))
    assert "ok" == office.view("list").state


def test_a_sweep_that_was_killed_goes_on_where_it_was(office: Office) -> None:
    """State is kept after each admission, so at most one page is read again; nothing is stored twice."""
    office.read_the_list()
    office.service.answers["/list/2"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        office.run()
    assert "waiting" == office.view("list").state
    office.service.answers.clear()
    office.board = office.new_board()
    assert ["1", "2"] == office.run()
    assert ("ok", 1, 4) == (office.view("list").state, office.row("list").runs, office.row("list").nothing_new)


def test_a_sweep_that_failed_keeps_what_it_did(office: Office) -> None:
    """The next try, which is sooner, goes on behind it."""
    office.read_the_list()
    office.service.answers["/list/1"] = ValueError("no")
    assert ["0", "1"] == office.run()
    assert ("failing", "ValueError") == (office.view("list").state, office.view("list").last_error)
    office.service.answers.clear()
    assert ["1", "2"] == office.wait(timedelta(seconds=31))


def test_what_was_missed_is_done_once(office: Office) -> None:
    """After ten days without a process one run catches up, and the next is due after the usual time."""
    office.read_the_list()
    office.run()
    assert 3 == len(office.wait(10 * DAY))
    assert [] == office.wait(14 * MINUTE)
    assert 3 == len(office.wait(2 * MINUTE))


# --- who runs


def test_only_the_process_that_leads_runs_anything(office: Office) -> None:
    """Another process knows the jobs and runs none."""
    office.read_the_list()
    office.leads = False
    assert [] == office.wait(HOUR)
    office.leads = True
    assert 3 == len(office.run())


def test_a_run_ends_after_what_it_is_admitting_when_the_lead_is_lost(office: Office) -> None:
    """What was admitted is kept, nothing more is asked; the job is still due for whoever leads next."""
    office.read_the_list()

    def lose() -> Answer:
        office.leads = False
        return carrier.answer(200, b"[]")

    office.service.answers["/list/1"] = lose
    assert ["0", "1"] == office.run()
    row = office.row("list")
    assert (0, "", "", 2) == (row.runs, row.started_at, row.last_error, row.nothing_new)
    office.leads = True
    office.service.answers.clear()
    office.board = office.new_board()
    assert ["1", "2"] == office.run()


def test_a_run_ends_when_the_process_is_told_to_stop(office: Office) -> None:
    """Likewise: after what is being admitted."""
    office.read_the_list()

    def stop() -> Answer:
        office.board.stop()
        return carrier.answer(200, b"[]")

    office.service.answers["/list/0"] = stop
    assert ["0"] == office.run()
    assert [] == office.wait(HOUR)


def test_a_job_never_runs_twice_at_once(office: Office) -> None:
    """While a run is under way, another one is not begun, and the job is not due."""
    office.read_the_list()
    seen: list[tuple[object, set[str], str]] = []

    def meanwhile() -> Answer:
        due = {job.name for job in office.board.due()}
        seen.append((office.board.run(office.job("list")), due & {"list"}, office.view("list").state))
        return carrier.answer(200, b"[]")

    office.service.answers["/list/1"] = meanwhile
    assert ["0", "1", "2"] == office.run()
    assert [(None, set(), "running")] == seen


def test_one_account_that_fails_stops_no_other(office: Office) -> None:
    """Each account's jobs fail for themselves."""
    office.world.accounts.add(TENANT, "spare", "carrier")
    office.world.accounts.configure(TENANT, "spare", {"reads_list": True})
    office.read_the_list()
    first = iter([RuntimeError("broken")])
    office.service.answers["/list/0"] = lambda: next(first, carrier.answer(200, b"[]"))
    office.run()
    assert {"failing", "ok"} == {office.view("list", name).state for name in ("main", "spare")}


def test_an_account_whose_settings_cannot_be_read_is_off_and_stops_no_other(office: Office) -> None:
    """Whatever is wrong with it; the others are run."""
    office.world.accounts.add(TENANT, "spare", "carrier")
    office.world.accounts.configure(TENANT, "spare", {"reads_list": True})
    office.read_the_list()
    with office.world.ledger.database.writing() as cursor:
        cursor.execute("UPDATE account_setup SET sealed = wrapped WHERE account = 'spare'")
    assert 3 == len(office.run())
    view = office.view("list", "spare")
    assert ("off", "CorruptError") == (view.state, view.off.partition(":")[0])


def test_a_closed_account_is_left_alone_and_a_new_one_is_seen(office: Office) -> None:
    """Without a restart, within half a minute."""
    office.read_the_list()
    office.run()
    office.world.accounts.disable(TENANT, "main", "moved")
    office.world.accounts.add(TENANT, "spare", "carrier")
    office.world.accounts.configure(TENANT, "spare", {"reads_list": True})
    assert 3 == len(office.wait(HOUR))
    assert {"spare", ""} == {view.account for view in office.board.views(TENANT)}


def test_while_appending_is_refused_no_provider_is_called(office: Office) -> None:
    """Nothing could be kept of what it would say."""
    office.read_the_list()
    office.world.ledger.freeze("contradiction")
    assert [] == office.run()


def test_an_unknown_job_is_not_found_and_the_known_are_named(office: Office) -> None:
    """Of one account, and of a tenant; nobody finds another tenant's."""
    with pytest.raises(NotFoundError, match="account 'main' has no job 'sweep'; there are: list, poll"):
        office.board.find(TENANT, "sweep", "main")
    with pytest.raises(NotFoundError, match="tenant other has no job 'poll'; there are: none"):
        office.board.find("other", "poll")
    assert ["outbox"] == [view.job for view in office.board.views("other")]


def test_the_service_may_keep_how_jobs_stand(postgresql_database: Database) -> None:
    """On PostgreSQL the role that serves owns no table: it was given what it needs of these two, and the public nothing."""
    with closing(PostgresDatabase(postgresql_database.url)) as owner:
        owner.migrate()
        sql = (
            "SELECT bool_and(has_table_privilege(?, t, r)) FROM unnest(ARRAY['jobs', 'polls']) AS t, "
            "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r"
        )
        assert [(True,), (False,)] == [*owner.read(sql, (SERVICE_ROLE,)), *owner.read(sql, (PRIVACY_ROLE,))]


# --- deadlines


def clockwork(office: Office) -> Job:
    queries = office.world.queries
    return Job(name="deadlines", title="", every_s=60, run=lambda turn: ticks.note_deadlines(queries, turn))


def test_a_deadline_is_noted_once_with_its_own_time(office: Office) -> None:
    """However late it is noticed, however often, and whether or not the read models followed in between."""
    message = office.send("p1")
    office.wait(MINUTE)
    board, deadlines = office.new_board(), clockwork(office)
    taken = _time(office.events("submission.accepted")[0].fields["observed_at"])
    office.clock.now = taken + 30 * HOUR
    for _ in range(2):
        board.run(deadlines)
    office.world.runner.run()
    board.run(deadlines)
    office.clock.now = taken + 20 * DAY
    board.run(deadlines)
    office.world.runner.run()
    board.run(deadlines)
    warned, passed = office.events("deadline.warned"), office.events("deadline.passed")
    assert [time_text(taken + DAY)] == [e.fields["occurred_at"] for e in warned]
    assert [time_text(taken + 3 * DAY)] == [e.fields["occurred_at"] for e in passed]
    assert {(f"{message}/0", 0, "main", "carrier", "deadline.delivery_report")} == {
        (e.stream, *(e.fields[name] for name in ("recipient", "account", "provider", "rule")))
        for e in (*warned, *passed)
    }
    assert 2 == board.rows.all()[deadlines.key].found
    assert ["passed"] == [d.state for d in office.world.queries.delivery(TENANT, message, 0).deadlines]


def test_many_deadlines_are_noted_in_bounded_runs(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that reached its bound is followed at once by another; one that only met what is noted already is not."""
    monkeypatch.setattr(ticks, "DEADLINES_AT_ONCE", 2)
    for parcel in ("p1", "p2", "p3"):
        office.send(parcel)
    office.wait(MINUTE)
    office.clock.now += 30 * HOUR
    board = office.new_board(own=[clockwork(office)])
    board.rows.ensure(board.own, office.clock.now - HOUR)
    counts = []
    for _ in range(3):
        assert board.own[0].key in {job.key for job in board.due()}
        board.run(board.own[0])
        counts.append(len(office.events("deadline.warned")))
        office.world.runner.run()
        if counts[-1] == 3:
            break
    assert [2, 3] == counts
    assert board.own[0].key not in {job.key for job in board.due()}


def test_a_failing_job_of_the_ledgers_own_is_tried_again(office: Office) -> None:
    """It is noted like any other, and stops no other."""

    def fail(_turn: Turn) -> None:
        raise OSError

    own = [Job(name="broken", title="", every_s=3600, run=fail), clockwork(office)]
    board = office.new_board(own=own)
    assert {"poll"} == {job.name for job in board.due()}
    office.clock.now += 2 * HOUR
    board.run_due()
    states = {view.job: view.state for view in board.views(TENANT) if not view.account}
    assert {"broken": "failing", "deadlines": "ok", "outbox": "ok"} == states
