"""An organisation's own terms: they hold for what is opened after them, and what is noted by the clock follows them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.jobs.rows import Turn
from adapters.jobs.ticks import note_deadlines
from adapters.strictjson import InvalidError
from adapters.terms import Terms, TermView
from ledger.errors import NotFoundError
from ledger.names import Reading
from ledger.observations import Observation, ProviderTime, Reference, ZoneBasis
from projections.deadlines import RESET, Deadline, Term, in_force
from tests.flow.desk import NETWORK, START, acts, admit, rebuilt, report, send
from tests.postgres import Database
from tests.world import TENANT, World, world

HOUR = timedelta(hours=1)
PHONE = "31612340001"


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger with two accounts, on each kind of database."""
    with world(database.url, tmp_path) as opened:
        for account in ("sms", "other_sms"):
            opened.accounts.add(TENANT, account, "kpn_sms")
        yield opened


def terms(world: World, tenant: str = TENANT) -> Terms:
    return Terms(world.accounts, world.queries, tenant, "key_1")


def holds(world: World, account: str = "", tenant: str = TENANT) -> TermView:
    """What holds for reports of delivery."""
    world.runner.run()
    views = terms(world, tenant).views().terms
    return next(view for view in views if (view.name, view.only_account) == ("delivery_report", account))


def opened(world: World, ident: str) -> str:
    """A message that was taken at nine; its deadline starts then."""
    message = send(world, ident, PHONE)
    taken = Observation(
        type="submission.accepted",
        references=(Reference("document_id", ident),),
        occurred=ProviderTime(START, "9:00", ZoneBasis.STATED),
        identity=("taken", ident),
    )
    (outcome,) = world.intake.admit([Reading(TENANT, report(PHONE, NETWORK, 0, ident), (taken,))])
    assert not isinstance(outcome, Exception)
    return message


def deadline(world: World, message: str) -> Deadline:
    world.runner.run()
    (one,) = world.queries.delivery(TENANT, message, 0).deadlines
    return one


def spans(one: Deadline) -> tuple[timedelta, timedelta]:
    """From nine to the warning, and to the end."""
    warn, breach = (datetime.fromisoformat(at) - START for at in (one.warn_at, one.breach_at))
    return warn, breach


# --- what holds for which message


def test_a_term_holds_for_messages_that_are_opened_after_it(found: World) -> None:
    """Those that are open keep theirs; each deadline names the position that set its terms; a rebuild gives the same."""
    before = opened(found, "doc-1")
    first = terms(found).put("delivery_report", 6 * HOUR, 24 * HOUR, "contract of May")
    between = opened(found, "doc-2")
    second = terms(found).put("delivery_report", HOUR, 2 * HOUR, "contract of June")
    after = opened(found, "doc-3")
    told = [deadline(found, message) for message in (before, between, after)]
    assert [0, first, second] == [each.set_at for each in told]
    assert [(24 * HOUR, 72 * HOUR), (6 * HOUR, 24 * HOUR), (HOUR, 2 * HOUR)] == [spans(each) for each in told]
    assert {} == rebuilt(found)
    assert told == [deadline(found, message) for message in (before, between, after)]


def test_an_accounts_own_term_comes_first(found: World) -> None:
    """And that of another account says nothing."""
    everywhere = terms(found).put("delivery_report", 6 * HOUR, 24 * HOUR, "all")
    terms(found).put("delivery_report", HOUR, 2 * HOUR, "theirs", "other_sms")
    assert everywhere == deadline(found, opened(found, "doc-1")).set_at
    own = terms(found).put("delivery_report", 3 * HOUR, 4 * HOUR, "ours", "sms")
    terms(found).put("delivery_report", 7 * HOUR, 8 * HOUR, "all, later")
    assert own == deadline(found, opened(found, "doc-2")).set_at


def test_what_is_switched_off_is_not_expected(found: World) -> None:
    """Of messages that are opened from then on, until it is taken back."""
    terms(found).switch_off("delivery_report", "nobody looks")
    off = opened(found, "doc-1")
    terms(found).reset("delivery_report")
    on = opened(found, "doc-2")
    found.runner.run()
    assert () == found.queries.delivery(TENANT, off, 0).deadlines
    assert (0, (24 * HOUR, 72 * HOUR)) == (deadline(found, on).set_at, spans(deadline(found, on)))
    assert {} == rebuilt(found)


def test_a_term_taken_back_gives_way_to_the_next_wider_one(found: World) -> None:
    """An account's to that for all, that for all to the table's; an account's own stays when that for all goes."""
    wide = terms(found).put("delivery_report", 6 * HOUR, 24 * HOUR, "all")
    own = terms(found).put("delivery_report", HOUR, 2 * HOUR, "ours", "sms")
    terms(found).reset("delivery_report")
    assert own == deadline(found, opened(found, "doc-1")).set_at
    assert "table" == holds(found).origin
    terms(found).put("delivery_report", 6 * HOUR, 24 * HOUR, "all")
    terms(found).reset("delivery_report", account="sms")
    assert wide < deadline(found, opened(found, "doc-2")).set_at == holds(found).set_at


def test_another_organisations_terms_say_nothing_here(found: World) -> None:
    """Nor are they listed."""
    terms(found, "other").put("delivery_report", HOUR, 2 * HOUR, "theirs")
    assert "table" == holds(found).origin
    assert ("own", "theirs") == (holds(found, tenant="other").origin, holds(found, tenant="other").why)
    assert 0 == deadline(found, opened(found, "doc-1")).set_at


# --- setting them


def test_the_same_again_changes_nothing(found: World) -> None:
    """A term that holds already, one that is off already, and one that was never set."""
    own = terms(found)
    acted = (
        partial(own.reset, "delivery_report"),
        partial(own.put, "delivery_report", HOUR, 2 * HOUR, "note"),
        partial(own.switch_off, "delivery_report", "note", "sms"),
        partial(own.reset, "delivery_report", account="sms"),
    )
    assert [True] * 4 == [act() == act() for act in acted]
    assert 3 == len(acts(found, "ruleset.changed"))


def test_who_set_a_term_and_why_is_kept(found: World) -> None:
    """The note sealed, the rest in the clear, in a stream of the organisation."""
    position = terms(found).put("delivery_report", HOUR, 2 * HOUR, "as agreed with Ans")
    event = found.ledger.event(position)
    assert ("deadline.delivery_report", {"warn_s": 3600, "breach_s": 7200}, "key_1") == tuple(
        event.fields[name] for name in ("rule", "numbers", "actor")
    )
    assert event.stream.startswith(f"account/{TENANT}/rules/")
    assert b"Ans" not in event.leaf
    shown = holds(found)
    assert ("as agreed with Ans", "key_1", position, event.fields["recorded_at"]) == (
        *(shown.why, shown.set_by, shown.set_at),
        shown.recorded_at,
    )


@pytest.mark.parametrize(
    ("warn", "breach"),
    [(timedelta(), HOUR), (-HOUR, HOUR), (2 * HOUR, HOUR), (HOUR, timedelta(days=3651)), (timedelta(), timedelta())],
)
def test_a_term_that_cannot_be_is_refused(found: World, warn: timedelta, breach: timedelta) -> None:
    """0 < warn <= breach <= 10 years; nothing is written."""
    size = found.ledger.head().size
    with pytest.raises(InvalidError, match="warn_s"):
        terms(found).put("delivery_report", warn, breach, "note")
    assert size == found.ledger.head().size


def test_a_term_is_for_something_that_exists(found: World) -> None:
    """A known expectation, and an account of the organisation."""
    with pytest.raises(InvalidError, match="sms delivery_report"):
        terms(found).put("delivery", HOUR, HOUR, "note")
    with pytest.raises(NotFoundError):
        terms(found, "other").put("delivery_report", HOUR, HOUR, "note", "sms")


# --- what the clock notes


def test_what_is_noted_by_the_clock_follows_the_terms(found: World) -> None:
    """Warned and passed at the organisation's times; a message that was open before keeps the table's."""
    before = opened(found, "doc-1")
    terms(found).put("delivery_report", HOUR, 2 * HOUR, "note")
    after = opened(found, "doc-2")
    found.runner.run()
    for minutes in (59, 60, 119, 120, 300):
        note_deadlines(found.queries, Turn(START + timedelta(minutes=minutes)))
        found.runner.run()
    noted = [(e.type, e.stream, e.fields["occurred_at"]) for e in acts(found, "deadline.warned", "deadline.passed")]
    one = deadline(found, after)
    stream = f"{after}/0"
    assert [("deadline.warned", stream, one.warn_at), ("deadline.passed", stream, one.breach_at)] == noted
    assert ["open", "passed"] == [deadline(found, message).state for message in (before, after)]
    admit(found, report(PHONE, NETWORK, 5, "doc-2"))
    assert "passed" == deadline(found, after).state


# --- in any history

changes = st.lists(
    st.tuples(st.sampled_from(("", "sms", "b")), st.sampled_from(((1, 2), (3, 4), (0, 0), (RESET, RESET)))), max_size=8
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(changes, st.integers(0, 9))
def test_of_each_scope_the_last_word_before_the_message_holds(said: list[tuple[str, tuple[int, int]]], at: int) -> None:
    """The account's unless it was taken back, else that for all unless it was, else none."""
    history = [Term(i, "delivery_report", account, *times) for i, (account, times) in enumerate(said, 1)]
    last = {term.account: term for term in history if term.position < at}
    wanted = next((last[a] for a in ("sms", "") if a in last and last[a].breach_s != RESET), None)
    assert wanted == in_force(history[::-1], "sms", at).get("delivery_report")
