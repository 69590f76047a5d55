"""When a letter should have arrived: the postage's promise in Swedish working days. Pure.

Source: "Postage values" of the API page: priority one, economy four working days after it was posted; the holidays are those of the
Swedish act 1989:253 on public holidays, and the eves on which no post is delivered.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

STOCKHOLM = ZoneInfo("Europe/Stockholm")
WORKING_DAYS = {"priority": 1, "economy": 4}

_FIXED = ((1, 1), (1, 6), (5, 1), (6, 6), (12, 24), (12, 25), (12, 26), (12, 31))
_FROM_EASTER = (-2, 1, 39)
"""Good Friday, Easter Monday, Ascension Day, in days from Easter Sunday; those on a Sunday need no row."""


def expected(posted_at: datetime, postage: str) -> str:
    """What is to be expected of an untracked letter, in words; "" where the postage promises nothing."""
    days = WORKING_DAYS.get(postage)
    if days is None:
        return ""
    day = posted_at.astimezone(STOCKHOLM).date()
    try:
        for _ in range(days):
            day = _next_working_day(day)
    except OverflowError:  # posted in the year 9999
        return ""
    return f"should have arrived by {day.isoformat()}; no proof of delivery exists"


def _next_working_day(day: date) -> date:
    day += timedelta(days=1)
    while day.weekday() >= 5 or day in _holidays(day.year):
        day += timedelta(days=1)
    return day


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    easter = _easter(year)
    moving = {easter + timedelta(days=days) for days in _FROM_EASTER}
    midsummer_eve = next(d for d in (date(year, 6, day) for day in range(19, 26)) if d.weekday() == 4)
    return frozenset({date(year, month, day) for month, day in _FIXED} | moving | {midsummer_eve})


def _easter(year: int) -> date:
    """Easter Sunday (Meeus, Astronomical Algorithms, chapter 8)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    weekday = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * weekday) // 433
    month = (h + weekday - 7 * m + 90) // 25
    return date(year, month, (h + weekday - 7 * m + 33 * month + 19) % 32)
