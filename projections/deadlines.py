"""What is expected by when: a versioned table per channel, and where each expectation of a delivery stands. Pure.

A deadline never changes a status. It is counted from facts alone; that it was noticed is an event of ours, and one that turns out to be
wrong (what was awaited had happened in time, or the deadline moved) is void.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec

from ledger.events import parse_time, time_text
from projections.facts import Fact
from projections.grades import channel_of
from projections.rules import EFFECTS, FINAL

RULES = "deadline/1"
LATEST = "9999-12-31T23:59:59.999999Z"
RESET = -1
"""Seconds of a term that is taken back: the organisation's for all accounts holds again, else the table's."""


class State(StrEnum):
    """Where an expectation stands, as far as events say."""

    OPEN = "open"  # awaited, and nobody noticed a deadline yet
    WARNED = "warned"  # awaited; the first term is over
    PASSED = "passed"  # not there, and the deadline is over
    MET = "met"  # in time, whenever we heard of it
    MET_LATE = "met_late"  # after the deadline
    VOID = "void"  # nothing is awaited any more


class Expectation(NamedTuple):
    """A row of the table.

    Attributes:
        start: the types of which the earliest fact starts the clock.
        met_by: the types that meet it.
        unless: the types that end it: nothing is awaited any more.
        why: where the terms come from.
        not_before: code of the fact whose time the clock waits for, if there is one: what is planned for later is not late before.
    """

    channel: str
    name: str
    start: frozenset[str]
    warn_after: timedelta
    breach_after: timedelta
    met_by: frozenset[str]
    unless: frozenset[str]
    why: str
    not_before: str = ""


class Term(NamedTuple):
    """An organisation's own term for an expectation, for messages that are opened from then on.

    Attributes:
        position: of the event that set it.
        name: of the expectation.
        account: the only one it holds for; "" for all.
        warn_s, breach_s: seconds after the start; a breach of 0 switches the expectation off, RESET takes the term back.
    """

    position: int
    name: str
    account: str
    warn_s: int
    breach_s: int


class Deadline(msgspec.Struct, frozen=True):
    """Where one expectation of a delivery stands.

    Attributes:
        warn_at, breach_at: UTC, counted on the clock of the fact that started it.
        set_at: position of the event that set its terms; 0 for those of the table.
    """

    name: str
    warn_at: str
    breach_at: str
    state: State
    set_at: int = 0


class Due(NamedTuple):
    """An event that is to be written now.

    Attributes:
        kind: of `deadline.warned` or `deadline.passed`, the last word.
        rule: of the event.
        at: its occurred_at: the deadline's time.
    """

    kind: Literal["warned", "passed"]
    rule: str
    at: str


_WITHDRAWN = frozenset({"submission.rejected", "submission.cancelled"})
_ENDS = frozenset(kind for kind, effect in EFFECTS.items() if effect.force in FINAL) - _WITHDRAWN
_TAKEN = frozenset({"submission.accepted"})
_ANNOUNCED = frozenset({"notice.issued"})

EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation(
        *("certified_email", "delivery_receipt", _TAKEN, timedelta(hours=12), timedelta(hours=24), _ENDS),
        unless=_WITHDRAWN | {"nonerds.relayed"},
        why="RFC 6109 section 3.1.6: notices after 12 and 24 hours; a recipient outside certified mail never gets a receipt",
    ),
    Expectation(
        *("sms", "delivery_report", _TAKEN, timedelta(hours=24), timedelta(hours=72), _ENDS, _WITHDRAWN),
        why="ours: networks keep a text message for up to three days",
    ),
    Expectation(
        *("fax", "transmission_report", _TAKEN, timedelta(minutes=30), timedelta(hours=4), _ENDS, _WITHDRAWN),
        why="ours: minutes for a few pages, some hours where a busy line is tried again",
    ),
    Expectation(
        *("registered_email", "reaction", _ANNOUNCED, timedelta(days=7), timedelta(days=30), _ENDS, _WITHDRAWN),
        why="ours: the provider's own term is not published",
    ),
    Expectation(
        *("post", "handover", _TAKEN, timedelta(days=3), timedelta(days=7)),
        met_by=_ENDS | _ANNOUNCED | {"relay.accepted"},
        unless=_WITHDRAWN | {"channel.switched"},
        why="ours: printed and handed to the carrier within some working days after the day it was ordered for",
        not_before="output_date",
    ),
    Expectation(
        *("post", "collection", _ANNOUNCED, timedelta(days=7), timedelta(days=21), _ENDS, _WITHDRAWN),
        why="ours: carriers keep an item for about two weeks, then return it",
    ),
)
"""Counted from the earliest fact that starts it."""
_OF_CHANNEL = {row.channel: [each for each in EXPECTATIONS if each.channel == row.channel] for row in EXPECTATIONS}


def in_force(terms: Sequence[Term], account: str, opened_position: int) -> dict[str, Term]:
    """Which of an organisation's terms hold for a message: the latest set before it was opened, its own account's first.

    Args:
        opened_position: where the message was first heard of.
    """
    if not terms:
        return {}
    mine = (term for term in terms if term.account in {"", account} and term.position < opened_position)
    latest = {(term.account, term.name): term for term in sorted(mine)}  # by position
    return {name: latest[whose, name] for whose, name in sorted(latest) if latest[whose, name].breach_s != RESET}


def expected(
    channel: str, facts: Sequence[Fact], terms: Mapping[str, Term] = MappingProxyType({})
) -> tuple[Deadline, ...]:
    """Where the expectations of a delivery stand.

    Args:
        channel: of the provider, as in `ledger.application.Words`.
        facts: those that count for the delivery.
        terms: the organisation's own, by name of the expectation; the table's hold for the others.
    """
    rows = _OF_CHANNEL.get(channel_of(channel, facts), ())
    found = [_stands(row, facts, terms.get(row.name)) for row in rows]
    return tuple([deadline for deadline in found if deadline])


def _stands(row: Expectation, facts: Sequence[Fact], term: Term | None) -> Deadline | None:
    start = _first(facts, row.start)
    if not start or (term and not term.breach_s):
        return None
    start = max([start, *(fact.at() for fact in facts if row.not_before and fact.code == row.not_before)])
    warn_after = timedelta(seconds=term.warn_s) if term else row.warn_after
    breach_after = timedelta(seconds=term.breach_s) if term else row.breach_after
    warn_at, breach_at = _after(start, warn_after), _after(start, breach_after)
    met, ended = _first(facts, row.met_by), _first(facts, row.unless)
    noticed = {(fact.type, fact.occurred_at) for fact in facts if fact.rule == _rule(row.name)}
    if met:
        state = State.MET if met <= breach_at else State.MET_LATE
    elif ended and ended <= breach_at:
        state = State.VOID
    elif ("deadline.passed", breach_at) in noticed:
        state = State.PASSED
    else:
        state = State.WARNED if ("deadline.warned", warn_at) in noticed else State.OPEN
    return Deadline(row.name, warn_at, breach_at, state, term.position if term else 0)


def _rule(name: str) -> str:
    return f"deadline.{name}"


def _first(facts: Iterable[Fact], types: frozenset[str]) -> str:
    return min((fact.at() for fact in facts if fact.type in types), default="")


def _after(at: str, term: timedelta) -> str:
    try:
        return time_text(parse_time(at) + term)
    except OverflowError:  # a provider that dates something in the year 9999
        return LATEST


def is_void(fact: Fact, deadlines: Iterable[Deadline]) -> bool:
    """Whether a deadline.passed or .warned says what does not hold, now that more is known."""
    for deadline in deadlines if fact.rule else ():
        if fact.rule == _rule(deadline.name):
            if fact.type == "deadline.passed":
                return deadline.state in {State.MET, State.VOID} or fact.occurred_at != deadline.breach_at
            return fact.occurred_at != deadline.warn_at
    return False


# --- what is to be written


def due(deadlines: Iterable[Deadline], now: str) -> list[Due]:
    """The events that are to be written by now.

    Args:
        now: UTC, as it stands in events.
    """
    found = []
    for deadline in deadlines:
        is_awaited = deadline.state in {State.OPEN, State.WARNED}
        if is_awaited and deadline.breach_at <= now:
            found.append(Due("passed", _rule(deadline.name), deadline.breach_at))
        elif deadline.state is State.OPEN and deadline.warn_at <= now:
            found.append(Due("warned", _rule(deadline.name), deadline.warn_at))
    return found


def next_due(deadlines: Iterable[Deadline]) -> str:
    """When the next such event is to be written; "" when none is awaited."""
    terms = {State.OPEN: "warn_at", State.WARNED: "breach_at"}
    return min((getattr(d, terms[d.state]) for d in deadlines if d.state in terms), default="")
