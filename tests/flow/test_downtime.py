"""Downtimes of providers: entered by persons or noticed by ourselves, each once, shown beside the deliveries that they touch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters import downtime
from adapters.downtime import Noticing, note_downtimes
from adapters.jobs.board import Board
from adapters.jobs.rows import Job, Rows, Turn
from adapters.outbox import ActRefusedError
from adapters.providers import registry
from adapters.providers.calling import Access, Answer, Client, Failure, Request
from adapters.strictjson import InvalidError
from ledger.appender import Appended, Item
from ledger.errors import BusyError, NotFoundError
from ledger.events import Event, parse_time, time_text
from ledger.observations import Address, Reference
from ledger.streams import Registration
from projections.downtimes import DETECTED, Downtime, DowntimesModel
from projections.views import DeliveryView
from tests.flow import carrier, parcels
from tests.postgres import Database
from tests.world import TENANT, World, world

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ACCOUNT = "main"
NOTE = "Quörvexel Zamfyrion rang their service desk"
REQUEST = Request(operation="find", method="GET", url="/find/1", may_send=False)


class Line:
    """A line to the carrier that answers what a test says."""

    def __init__(self) -> None:
        self.answer = Answer(at=datetime.now(UTC), status=200)

    def call(
        self, _client: Client, _provider: object, _request: Request, _access: Access, *, key: tuple[str, str]
    ) -> Answer:
        """The answer of the moment."""
        assert key
        return self.answer


class Watch:
    """A ledger with an account at the carrier, and somebody who looks every minute; the clock is ours."""

    def __init__(self, w: World) -> None:
        self.world = w
        self.clock = carrier.Clock()
        self.clock.now = datetime.now(UTC) + timedelta(seconds=20)
        w.ledger.clock = self.clock
        w.accounts.add(TENANT, ACCOUNT, "carrier")
        self.line = Line()
        self.noticing = Noticing(self.line)
        self.state: dict[str, object] = {}

    def restart(self) -> None:
        """As another process goes on: only what is stored is left."""
        self.noticing = Noticing(self.line)

    def call(
        self, status: int = 0, failure: Failure = "", client: Client = carrier.CLIENT, account: str = ACCOUNT
    ) -> str:
        """A call that is answered so; when."""
        self.line.answer = Answer(at=self.clock(), status=status, failure=failure)
        access = Access(settings=carrier.Settings(), secrets={}, now=self.clock())
        self.noticing.call(client, carrier.PROVIDER, REQUEST, access, key=(TENANT, account))
        return time_text(self.line.answer.at)

    def look(self) -> int:
        """Look once, as the job does each minute; how many events that wrote."""
        self.world.runner.run()
        turn = Turn(self.clock(), state=dict(self.state))
        note_downtimes(self.world.accounts, self.noticing, turn)
        self.state = turn.state
        self.world.runner.run()
        return turn.found

    def fail(self, times: int, status: int = 0, failure: Failure = "unreachable", every: timedelta = 2 * MINUTE) -> str:
        """Calls that fail, one after the other, with a look after each; the time of the first."""
        first = ""
        for _ in range(times):
            at = self.call(status, failure)
            first = first or at
            self.look()
            self.clock.now += every
        return first

    def events(self) -> list[Event]:
        return [e for e in self.world.ledger.feed() if e.type in {"provider.down", "provider.up"}]

    def known(self) -> list[Downtime]:
        self.world.runner.run()
        return [each.downtime for each in downtime.listed(self.world.ledger, TENANT)]

    def enter(self, since: timedelta, until: timedelta | None = None, note: str = NOTE) -> Downtime:
        """Enter a downtime that began so long ago."""
        now = self.clock.now
        ended = None if until is None else now - until
        return downtime.enter(self.world.accounts, TENANT, ACCOUNT, now - since, ended, note=note, actor="key_1")

    def send(self, account: str = ACCOUNT) -> str:
        to = (Address("phone", "+31612345670"),)
        registration = Registration(account=account, provider="carrier", recipients=to)
        key = (str(self.clock.now), "x")
        return self.world.intake.register(TENANT, registration, {"arrival": "api"}, key).message

    def delivery(self, message: str) -> DeliveryView:
        self.world.runner.run()
        return self.world.queries.delivery(TENANT, message, 0)


@pytest.fixture
def watch(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """A watch over an account at the carrier, on each kind of database."""
    monkeypatch.setitem(registry(), "carrier", carrier.PROVIDER)
    with world(database.url, tmp_path) as w:
        yield Watch(w)


# --- persons


def test_an_entered_downtime_is_two_events_with_a_sealed_note(watch: Watch) -> None:
    """Who, when and by which rule stand in the clear; the note does not."""
    found = watch.enter(2 * HOUR, HOUR)
    down, up = watch.events()
    assert ("provider.down", "provider.up") == (down.type, up.type)
    assert {"downtime.entered"} == {down.fields["rule"], up.fields["rule"]}
    assert [down.id] == up.fields["events"]
    assert (found.since, found.until) == (down.fields["occurred_at"], up.fields["occurred_at"])
    assert {"key_1"} == {down.fields["actor"], up.fields["actor"]}
    assert "carrier" == down.fields["provider"]
    assert b"Zamfyrion" not in down.leaf + up.leaf
    assert [(found, (NOTE,))] == [(each.downtime, each.notes) for each in _listed(watch)]


def _listed(watch: Watch) -> list[downtime.Listed]:
    watch.world.runner.run()
    return downtime.listed(watch.world.ledger, TENANT)


def test_what_is_answered_is_what_is_read_back(watch: Watch) -> None:
    """Entering, ending and withdrawing answer as the read model then does."""
    entered = watch.enter(HOUR)
    assert [entered] == watch.known()
    now = watch.clock.now
    ended = downtime.end(watch.world.ledger, TENANT, entered.downtime, now, note="over")
    assert ("ended", time_text(now)) == (ended.state, ended.until)
    assert [ended] == watch.known()
    withdrawn = downtime.withdraw(watch.world.ledger, TENANT, entered.downtime, note="it was us")
    assert ("withdrawn", ended.until) == (withdrawn.state, withdrawn.until)
    assert [withdrawn] == watch.known()
    assert [(NOTE, "over", "it was us")] == [each.notes for each in _listed(watch)]


def test_the_same_downtime_twice_is_one(watch: Watch) -> None:
    """Entered again before and after the read model knows it, ended again, withdrawn again: no event more."""
    since, until = watch.clock.now - 2 * HOUR, watch.clock.now - HOUR
    accounts, ledger = watch.world.accounts, watch.world.ledger
    first = downtime.enter(accounts, TENANT, ACCOUNT, since, until, note="a")
    assert first == downtime.enter(accounts, TENANT, ACCOUNT, since, until, note="b")
    watch.world.runner.run()
    assert first == downtime.enter(accounts, TENANT, ACCOUNT, since, until, note="c")
    withdrawn = downtime.withdraw(ledger, TENANT, first.downtime, note="a")
    assert withdrawn == downtime.withdraw(ledger, TENANT, first.downtime, note="b")
    watch.world.runner.run()
    assert withdrawn == downtime.withdraw(ledger, TENANT, first.downtime, note="c")
    assert 3 == len(watch.events())
    assert first.downtime != downtime.enter(accounts, TENANT, ACCOUNT, since, until, note="a").downtime


def test_what_was_ended_and_is_entered_again_is_answered_as_it_stands(watch: Watch) -> None:
    """And what was ended and withdrawn may be entered anew, as going on."""
    accounts, ledger = watch.world.accounts, watch.world.ledger
    since = watch.clock.now - 2 * HOUR
    first = downtime.enter(accounts, TENANT, ACCOUNT, since, None, note="a")
    watch.world.runner.run()
    ended = downtime.end(ledger, TENANT, first.downtime, since + HOUR, note="a")
    watch.world.runner.run()
    assert ended == downtime.enter(accounts, TENANT, ACCOUNT, since, None, note="a")
    downtime.withdraw(ledger, TENANT, first.downtime, note="a")
    watch.world.runner.run()
    anew = downtime.enter(accounts, TENANT, ACCOUNT, since, None, note="a")
    assert ("open", True) == (anew.state, anew.downtime != first.downtime)


@pytest.mark.parametrize(
    ("since", "until", "field"),
    [(-MINUTE, None, "since"), (HOUR, -MINUTE, "until"), (HOUR, 2 * HOUR, "until"), (HOUR, HOUR, "until")],
)
def test_a_downtime_that_cannot_have_been_is_refused(
    watch: Watch, since: timedelta, until: timedelta | None, field: str
) -> None:
    """Still to come, or over before it began."""
    with pytest.raises(InvalidError, match=field):
        watch.enter(since, until)
    assert [] == watch.events()


def test_only_what_goes_on_can_be_ended_and_only_ones_own(watch: Watch) -> None:
    """An ended one is withdrawn instead; another organisation's does not exist."""
    ended, going_on, ledger = watch.enter(3 * HOUR, 2 * HOUR), watch.enter(HOUR), watch.world.ledger
    watch.world.runner.run()
    now = watch.clock.now
    with pytest.raises(ActRefusedError, match="is ended"):
        downtime.end(ledger, TENANT, ended.downtime, now, note="n")
    with pytest.raises(InvalidError, match="until"):
        downtime.end(ledger, TENANT, going_on.downtime, now - 2 * HOUR, note="n")
    with pytest.raises(NotFoundError):
        downtime.end(ledger, "other", going_on.downtime, now, note="n")
    with pytest.raises(NotFoundError):
        downtime.withdraw(ledger, "other", going_on.downtime, note="n")
    assert 3 == len(watch.events())


# --- noticed


def test_calls_that_fail_for_minutes_make_a_downtime_and_the_first_good_one_ends_it(watch: Watch) -> None:
    """With the times of the first that failed and of the first that was answered, each once."""
    watch.call(200)
    first = watch.fail(6)
    assert [("provider.down", first, "downtime.detected")] == _told(watch)
    watch.clock.now += HOUR
    good = watch.call(200)
    watch.clock.now += MINUTE
    watch.call(200)
    assert [1, 0] == [watch.look(), watch.look()]
    expected = [("provider.down", first, "downtime.detected"), ("provider.up", good, "downtime.detected")]
    assert expected == _told(watch)
    assert ["ended"] == [each.state for each in watch.known()]


def _told(watch: Watch) -> list[tuple[str, str, str]]:
    return [(e.type, e.fields["occurred_at"], e.fields["rule"]) for e in watch.events()]


@pytest.mark.parametrize(
    ("times", "status", "failure"),
    [
        (2, 0, "unreachable"),  # not often enough
        (9, 401, ""),  # an answer
        (9, 404, ""),
        (9, 429, ""),
        (9, 0, "too_large"),
        (9, 0, "redirected"),
    ],
)
def test_what_is_answered_or_seldom_is_no_downtime(watch: Watch, times: int, status: int, failure: Failure) -> None:
    """A provider that says no works; two calls that fail may be chance."""
    watch.fail(times, status, failure)
    watch.clock.now += HOUR
    watch.look()
    assert [] == watch.events()


def test_many_failures_within_moments_are_no_downtime_yet(watch: Watch) -> None:
    """They must go on for some minutes."""
    watch.fail(20, every=timedelta(seconds=5))
    assert [] == watch.events()
    watch.clock.now += 5 * MINUTE
    watch.look()
    assert ["provider.down"] == [e.type for e in watch.events()]


@pytest.mark.parametrize("status", [500, 502, 503])
def test_the_providers_own_failure_counts_where_it_is_http(watch: Watch, status: int) -> None:
    """In SMTP the same numbers are a refusal, and somebody answered."""
    mail = replace(carrier.CLIENT, transport=lambda _request, _access: Answer(at=watch.clock()))
    for _ in range(6):
        watch.call(status, client=mail)
        watch.clock.now += 2 * MINUTE
    watch.look()
    assert [] == watch.events()
    watch.fail(6, status, "")
    assert ["provider.down"] == [e.type for e in watch.events()]


def test_one_good_call_between_begins_the_count_again(watch: Watch) -> None:
    """What fails now and then is not down."""
    for _ in range(5):
        watch.fail(2)
        watch.call(200)
    watch.look()
    assert [] == watch.events()


def test_noticing_survives_a_restart_in_the_middle(watch: Watch) -> None:
    """Failures before and after count together; a downtime that goes on is ended by whoever runs then, and not begun again."""
    first = watch.fail(2)
    watch.restart()
    watch.fail(2)
    assert [("provider.down", first, "downtime.detected")] == _told(watch)
    watch.restart()
    watch.fail(3)
    watch.state = {}  # even when the job's row is lost
    watch.fail(6)
    assert 1 == len(watch.events())
    watch.restart()
    watch.call(200)
    watch.look()
    assert ["provider.down", "provider.up"] == [e.type for e in watch.events()]


def test_a_downtime_that_a_person_ended_is_not_ended_again(watch: Watch) -> None:
    """There is one end."""
    watch.fail(6)
    found = watch.known()[0]
    downtime.end(watch.world.ledger, TENANT, found.downtime, watch.clock.now, note="they told us")
    watch.call(200)
    watch.look()
    assert ["provider.down", "provider.up"] == [e.type for e in watch.events()]


def test_a_withdrawn_one_is_not_noticed_again(watch: Watch) -> None:
    """While the same calls go on failing, that is the same downtime."""
    watch.fail(6)
    downtime.withdraw(watch.world.ledger, TENANT, watch.known()[0].downtime, note="our own network")
    watch.fail(6)
    assert ["withdrawn"] == [each.state for each in watch.known()]
    assert 0 == watch.look()


def test_a_mailbox_that_cannot_be_reached_counts_by_its_jobs(watch: Watch) -> None:
    """IMAP is no call; a job's row says how its runs ended."""
    job = Job(name="inbox", title="", every_s=60, run=lambda _turn: None, tenant=TENANT, account=ACCOUNT)
    board = Rows(watch.world.ledger.database)
    board.ensure([job], watch.clock.now)

    def end(error: str, failures: int) -> str:
        watch.clock.now += 2 * MINUTE
        at = watch.clock.now
        board.end(job.key, at, at + MINUTE, error, failures)
        watch.look()
        return time_text(at)

    end("", 0)
    first, *_ = [
        end("CallFailedError: the mailbox at imap.example:993 cannot be reached: gone", n) for n in (1, 2, 3, 4)
    ]
    assert [("provider.down", first, "downtime.detected")] == _told(watch)
    end("CallFailedError: the mailbox at imap.example:993 does not let us in", 5)
    assert 1 == len(watch.events())
    good = end("", 0)
    assert ("provider.up", good, "downtime.detected") == _told(watch)[1]


def test_polls_of_a_message_under_way_are_enough_to_notice(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the schedule does it: the board asks by its cadence, and the job looks each minute; a restart in between changes nothing."""
    monkeypatch.setitem(registry(), "carrier", parcels.PROVIDER)
    w, clock = watch.world, watch.clock
    parcel = (Reference("parcel", "p-1"),)
    registration = Registration(
        account=ACCOUNT, provider="carrier", recipients=(Address("phone", "+31612345670"),), references=parcel
    )
    w.intake.register(TENANT, registration, {"arrival": "api"}, ("p-1", "p-1"))
    w.runner.run()

    def board() -> Board:
        noticing = Noticing(watch.line)
        job = Job(
            name="note_downtimes", title="", every_s=60, run=lambda turn: note_downtimes(w.accounts, noticing, turn)
        )
        return Board(w.intake, w.accounts, noticing, w.queries, own=(job,))

    def pass_by(running: Board, minutes: int, status: int) -> None:
        for _ in range(2 * minutes):
            clock.now += timedelta(seconds=30)
            watch.line.answer = Answer(at=clock(), status=status, body=parcels.ON_ITS_WAY)
            running.run_due()
            w.runner.run()

    first = board()
    pass_by(first, 3, 200)
    assert [] == watch.events()
    pass_by(first, 3, 503)
    second = board()
    pass_by(second, 30, 503)
    assert ["provider.down"] == [e.type for e in watch.events()]
    pass_by(second, 30, 200)
    pass_by(board(), 30, 200)
    down, up = watch.events()
    assert (DETECTED, DETECTED) == (down.fields["rule"], up.fields["rule"])
    apart = parse_time(up.fields["occurred_at"]) - parse_time(down.fields["occurred_at"])
    assert timedelta(minutes=28) < apart < timedelta(minutes=50)


def test_a_closed_account_is_not_watched(watch: Watch) -> None:
    """Nothing is called for it."""
    watch.fail(2)
    watch.world.accounts.disable(TENANT, ACCOUNT, "n")
    watch.fail(6)
    assert [] == watch.events()


def test_what_cannot_be_written_for_one_account_is_for_the_others(watch: Watch) -> None:
    """It is told, and tried again at the next look."""
    watch.world.accounts.add(TENANT, "another", "carrier")
    real = watch.world.ledger.append

    def append(item: Item) -> Appended:
        if any("/another/" in draft.stream for draft in item.drafts):
            raise BusyError
        return real(item)

    for _ in range(6):
        for account in ("another", ACCOUNT):
            watch.call(failure="timeout", account=account)
        watch.clock.now += 2 * MINUTE
    watch.world.ledger.append = append  # type: ignore[method-assign]
    turn = Turn(watch.clock(), state={})
    note_downtimes(watch.world.accounts, watch.noticing, turn)
    assert (1, [ACCOUNT]) == (turn.found, [e.fields["account"] for e in watch.events()])
    assert turn.trouble.startswith("BusyError")
    watch.world.ledger.append = real  # type: ignore[method-assign]
    watch.state = turn.state
    assert 1 == watch.look()
    assert [ACCOUNT, "another"] == [e.fields["account"] for e in watch.events()]


# --- shown


def test_a_downtime_is_shown_beside_the_deliveries_it_touches(watch: Watch) -> None:
    """Those of its account whose time it overlaps; not those that came after it, of another account, or when it was withdrawn."""
    watch.world.accounts.add(TENANT, "second", "carrier")
    before, other = watch.send(), watch.send("second")
    watch.clock.now = datetime.now(UTC) + 3 * HOUR
    found = watch.enter(2 * HOUR, HOUR)
    assert (found,) == watch.delivery(before).downtimes
    assert () == watch.delivery(other).downtimes
    earlier = watch.enter(100 * HOUR, 99 * HOUR)
    assert (found,) == watch.delivery(before).downtimes
    going_on = watch.enter(30 * MINUTE)
    assert (found, going_on) == watch.delivery(before).downtimes
    downtime.withdraw(watch.world.ledger, TENANT, found.downtime, note="n")
    assert (going_on,) == watch.delivery(before).downtimes
    assert earlier not in watch.delivery(before).downtimes


def test_a_rebuild_gives_the_same_downtimes(watch: Watch) -> None:
    """Row by row."""
    watch.enter(3 * HOUR, 2 * HOUR)
    withdrawn = watch.enter(HOUR)
    watch.world.runner.run()
    downtime.withdraw(watch.world.ledger, TENANT, withdrawn.downtime, note="n")
    watch.fail(6)
    before = watch.known()
    model = next(model for model in watch.world.runner.models if isinstance(model, DowntimesModel))
    assert {"downtimes": 0} == watch.world.runner.rebuild(model).differences
    assert before == watch.known()
    assert [] == watch.world.runner.unapplied()
