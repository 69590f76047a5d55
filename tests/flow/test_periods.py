"""The periods of a schedule: ends of months, leap days, changes of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.reports.periods import Pace, due_at, latest, period

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ZONES = (
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Sao_Paulo",
)
PACES = st.builds(
    Pace,
    start=st.dates(date(1999, 1, 1), date(2035, 12, 31)),
    length=st.integers(1, 40),
    unit=st.sampled_from(("days", "weeks", "months")),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    at=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
)


def pace(start: str, unit: str = "months", length: int = 1, at: str = "00:00", zone: ZoneInfo = AMSTERDAM) -> Pace:
    return Pace(date.fromisoformat(start), length, unit, zone, time.fromisoformat(at))  # type: ignore[arg-type]


def firsts(of: Pace, count: int) -> list[str]:
    return [str(period(of, number).first) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (pace("2026-01-31"), ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        (pace("2028-01-30"), ["2028-01-30", "2028-02-29", "2028-03-30"]),
        (pace("2027-12-29"), ["2027-12-29", "2028-01-29", "2028-02-29", "2028-03-29"]),
        (pace("2028-02-29", length=12), ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        (pace("2026-11-30", length=3), ["2026-11-30", "2027-02-28", "2027-05-30"]),
        (pace("2026-02-26", "weeks"), ["2026-02-26", "2026-03-05", "2026-03-12"]),
        (pace("2028-02-28", "days"), ["2028-02-28", "2028-02-29", "2028-03-01"]),
        (pace("2026-12-31", "days", 2), ["2026-12-31", "2027-01-02"]),
    ],
)
def test_a_month_that_is_too_short_ends_on_its_last_day(of: Pace, expected: list[str]) -> None:
    """And the next one begins where it would have without that."""
    assert expected == firsts(of, len(expected))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (pace("2026-03-27", "days", at="02:30"), ["03-28T01:30", "03-29T01:30", "03-30T00:30"]),
        (pace("2026-10-23", "days", at="02:30"), ["10-24T00:30", "10-25T00:30", "10-26T01:30"]),
        (pace("2026-03-28", "days"), ["03-28T23:00", "03-29T22:00"]),
        (pace("2026-04-22", "days", zone=ZoneInfo("Africa/Cairo")), ["04-22T22:00", "04-23T22:00", "04-24T21:00"]),
    ],
)
def test_a_run_is_due_at_its_local_time_whatever_the_clocks_do(of: Pace, expected: list[str]) -> None:
    """A time that is left out is the same by the clock before the change; of one that comes twice it is the first."""
    found = [due_at(of, number).strftime("%m-%dT%H:%M") for number in range(1, len(expected) + 1)]
    assert expected == found


def test_a_day_on_which_the_clocks_change_is_shorter_or_longer() -> None:
    """Its period is from local midnight to local midnight."""
    spring, autumn = (period(pace(day, "days"), 1) for day in ("2026-03-29", "2026-10-25"))
    assert [23, 25] == [(of.until - of.since) / timedelta(hours=1) for of in (spring, autumn)]


def test_a_day_that_a_zone_left_out_is_no_trouble() -> None:
    """Samoa had no 30 December 2011: the period of that day is empty, and the next one begins where it ends."""
    of = pace("2011-12-29", "days", zone=ZoneInfo("Pacific/Apia"))
    found = [period(of, number) for number in (1, 2, 3)]
    assert [24, 0, 24] == [(each.until - each.since) / timedelta(hours=1) for each in found]


@given(of=PACES, number=st.integers(1, 200))
def test_periods_follow_each_other_without_gap_or_overlap(of: Pace, number: int) -> None:
    """And none ends before it begins."""
    here, following = period(of, number), period(of, number + 1)
    assert (here.next, here.until) == (following.first, following.since)
    assert here.first < here.next
    assert here.since <= here.until
    assert due_at(of, number) <= due_at(of, number + 1)


@given(of=PACES, ahead=st.timedeltas(timedelta(days=-400), timedelta(days=8_000)))
def test_the_latest_is_the_last_that_is_due(of: Pace, ahead: timedelta) -> None:
    """As counting one after the other finds it."""
    now = datetime.combine(of.start, time(), UTC) + ahead
    number = 0
    while due_at(of, number + 1) <= now:
        number += 1
    found = latest(of, now)
    assert number == (found.number if found else 0)


@given(of=PACES, number=st.integers(1, 100))
def test_a_period_is_the_latest_from_the_moment_its_run_is_due(of: Pace, number: int) -> None:
    """Not a microsecond before."""
    due = due_at(of, number)
    after, before = latest(of, due), latest(of, due - timedelta(microseconds=1))
    assert after is not None
    assert after.number >= number
    assert before is None or before.number < number or due_at(of, before.number) < due
