"""What is expected by when: given facts and a clock, then where each expectation stands and what is to be written."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from ledger.types import TYPES
from projections.deadlines import EXPECTATIONS, LATEST, Deadline, Expectation, due, next_due
from projections.facts import Fact
from projections.fold import fold
from tests.projections.facts import clock, fact

NOON, DAY = "20:00", "32:00"
"""When the deadlines of a certified message that was accepted at 8:00 warn and pass."""
RULE = "deadline.delivery_receipt"

TAKEN = fact("taken", "submission.accepted", "8:00", scope="message")
WARNED = fact("warned", "deadline.warned", NOON, rule=RULE, arrival="")
PASSED = fact("passed", "deadline.passed", DAY, rule=RULE, arrival="")


def arrived(at: str, kind: str = "content.consigned") -> Fact:
    return fact("arrived", kind, at)


class Case(NamedTuple):
    """Facts of one certified delivery, where its one expectation stands, and what is written by a time."""

    rule: str
    facts: tuple[Fact, ...]
    state: str
    now: str = "1000:00"
    due: tuple[str, ...] = ()
    next_due: str = ""


CASES = (
    Case("awaited until the first term is over", (TAKEN,), "open", "19:59", (), NOON),
    Case("the first term is over", (TAKEN,), "open", NOON, (f"warned {RULE} {NOON}",), NOON),
    Case("who looks only after the deadline says so once", (TAKEN,), "open", DAY, (f"passed {RULE} {DAY}",), NOON),
    Case("warned once, not again", (TAKEN, WARNED), "warned", "31:59", (), DAY),
    Case("the deadline is over", (TAKEN, WARNED), "warned", DAY, (f"passed {RULE} {DAY}",), DAY),
    Case("said once, not again", (TAKEN, WARNED, PASSED), "passed"),
    Case("said without a warning before", (TAKEN, PASSED), "passed"),
    Case("what came in time meets it", (TAKEN, arrived("9:00")), "met"),
    Case("on the minute is in time", (TAKEN, arrived(DAY)), "met"),
    Case("in time, though we heard of it later", (TAKEN, WARNED, PASSED, arrived("9:00")), "met"),
    Case("a definite no is an answer", (TAKEN, arrived("9:00", "content.consignment_failed")), "met"),
    Case("the 24 hours' notice is an answer", (TAKEN, arrived("31:00", "relay.failed")), "met"),
    Case("the 12 hours' notice is none", (TAKEN, arrived(NOON, "relay.delayed")), "open", "19:00", (), NOON),
    Case("what came after the deadline is late", (TAKEN, PASSED, arrived("32:01")), "met_late"),
    Case("late, though nobody had noticed", (TAKEN, arrived("32:01")), "met_late"),
    Case("a recipient outside gets no receipt", (TAKEN, fact("out", "nonerds.relayed", "8:00")), "void"),
    Case("what was withdrawn is not awaited", (TAKEN, fact("off", "submission.cancelled", "9:00")), "void"),
    Case(
        "what was withdrawn after the deadline had passed it",
        (TAKEN, fact("off", "submission.cancelled", "33:00"), PASSED),
        "passed",
    ),
    Case(
        "an acceptance that turns out to be earlier moves the deadline",
        (TAKEN, fact("first", "submission.accepted", "7:00", scope="message"), PASSED),
        *("open", "31:00", (f"passed {RULE} 31:00",), "19:00"),
    ),
    Case(
        "without a time of the provider's, when we heard of it counts",
        (TAKEN, fact("arrived", "content.consigned", seen="32:30")),
        "met_late",
    ),
)


def deadlines(facts: tuple[Fact, ...], channel: str = "certified_email") -> tuple[Deadline, ...]:
    return fold(facts, sole=True, channel=channel).deadlines


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_given_facts_then_state_and_what_is_due(case: Case) -> None:
    """The state of the expectation, the events to be written by now, and when to look next."""
    found = deadlines(case.facts)
    assert [case.state] == [deadline.state for deadline in found]
    written = tuple(f"{kind} {rule} {at}" for kind, rule, at in due(found, clock(case.now)))
    assert tuple(" ".join((*said.split()[:2], clock(said.split()[2]))) for said in case.due) == written
    assert (clock(case.next_due) if case.next_due else "") == next_due(found)


def test_nothing_is_awaited_before_it_starts() -> None:
    """A message that nobody has taken has no deadline of delivery."""
    asked = fact("asked", "submission.requested", "8:00")
    assert {()} == {deadlines((asked,), row.channel) for row in EXPECTATIONS}


@pytest.mark.parametrize("row", EXPECTATIONS, ids=[f"{row.channel} {row.name}" for row in EXPECTATIONS])
def test_each_expectation_is_met_or_ended_by_the_types_of_its_row(row: Expectation) -> None:
    """Whichever type starts it: open at first, met by each type that meets it, void by each that ends it."""
    assert row.warn_after < row.breach_after
    for start in (fact("start", kind, "8:00") for kind in row.start):
        assert "open" == state_of(row, start)
        assert {"met"} == {state_of(row, start, fact("then", kind, "8:01")) for kind in row.met_by}
        assert {"void"} == {state_of(row, start, fact("then", kind, "8:01")) for kind in row.unless}


def state_of(row: Expectation, *facts: Fact) -> str:
    return {deadline.name: deadline.state for deadline in deadlines(facts, row.channel)}[row.name]


def test_tables_speak_of_types_that_exist() -> None:
    """A misspelt type would never start, meet or end anything; and no type both meets and ends."""
    for row in EXPECTATIONS:
        assert set() == (row.start | row.met_by | row.unless) - TYPES.keys()
        assert set() == row.met_by & row.unless
    assert len(EXPECTATIONS) == len({(row.channel, row.name) for row in EXPECTATIONS})


def test_a_date_at_the_end_of_time_hurts_nothing() -> None:
    """A provider may date an acceptance in the year 9999; the deadline is then the last moment there is."""
    far = msgspec.structs.replace(TAKEN, occurred_at=LATEST)
    assert [(LATEST, LATEST)] == [(d.warn_at, d.breach_at) for d in deadlines((far,))]


def test_a_channel_that_nobody_knows_expects_nothing() -> None:
    """A provider that is gone from the registry leaves facts, and no deadlines."""
    assert () == deadlines((TAKEN,), "")
