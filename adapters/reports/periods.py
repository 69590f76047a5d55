"""The periods of a schedule, pure: from a start date on, each so many days, weeks or months long, in a zone.

Dates are local. A month that is too short ends the period on its last day, and the next one begins where it would have without that:
from the 31st on, every last of a month. A time of day that a change of the clocks leaves out is the same time by the clock before
the change; one that comes twice is the first.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Unit = Literal["days", "weeks", "months"]
_DAYS = {"days": 1, "weeks": 7}


class Pace(NamedTuple):
    """How a schedule repeats.

    Attributes:
        start: first day of the first period.
        length: of a period, in units, from 1.
        at: local time of the run, on the day after a period's last.
    """

    start: date
    length: int
    unit: Unit
    zone: ZoneInfo
    at: time = time()


class Period(NamedTuple):
    """A period that has ended.

    Attributes:
        number: from 1.
        first: its first day; `next` is the day after its last.
        since, until: local midnight of these two days, UTC; `until` belongs to the next period.
    """

    number: int
    first: date
    next: date
    since: datetime
    until: datetime


def latest(pace: Pace, now: datetime) -> Period | None:
    """The last period whose run is due by now; None before the first.

    Args:
        now: aware.
    """
    number = _guess(pace, now.astimezone(pace.zone).date()) + 2
    while number > 0 and due_at(pace, number) > now:
        number -= 1
    return period(pace, number) if number > 0 else None


def period(pace: Pace, number: int) -> Period:
    first, following = _day(pace, number - 1), _day(pace, number)
    midnights = (_instant(pace, day, time()) for day in (first, following))
    return Period(number, first, following, *midnights)


def due_at(pace: Pace, number: int) -> datetime:
    """When the run of a period is due: the given time on the day after its last."""
    return _instant(pace, _day(pace, number), pace.at)


def _guess(pace: Pace, day: date) -> int:
    """About how many periods ended by a day; never more than one too few."""
    if pace.unit == "months":
        months = (day.year - pace.start.year) * 12 + day.month - pace.start.month
        return max(0, months // pace.length)
    return max(0, (day - pace.start).days // (_DAYS[pace.unit] * pace.length))


def _day(pace: Pace, number: int) -> date:
    """The first day after so many periods."""
    if pace.unit != "months":
        return pace.start + timedelta(days=_DAYS[pace.unit] * pace.length * number)
    years, month = divmod(pace.start.year * 12 + pace.start.month - 1 + pace.length * number, 12)
    month += 1
    return date(years, month, min(pace.start.day, monthrange(years, month)[1]))


def _instant(pace: Pace, day: date, at: time) -> datetime:
    """A local time as an instant; by `fold` 0 one that is left out comes after the change, one that comes twice is the first."""
    return datetime.combine(day, at, pace.zone).astimezone(UTC)
