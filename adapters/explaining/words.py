"""The words of an explanation: tables, one file a language; times as its readers write them; and what came from outside, made harmless."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from adapters.evidence import texts as report
from ledger.events import parse_time

FOLDER = Path(__file__).parent
LANGUAGES = report.LANGUAGES
MAX_CHARACTERS = 200
"""How much is shown of one text from outside."""


def words(language: str) -> report.Texts:
    """All tables of a language.

    Raises:
        ValueError: no such language.
    """
    return report.tables(FOLDER, language)


def awaited(language: str, what: str) -> str:
    """What is awaited or missing, with its article; the words that the report has, too, are the report's."""
    return words(language)["awaited"].get(what) or report.texts(language)["evidence_missing"].get(what, what)


def time(language: str, at: str, zone: ZoneInfo) -> str:
    """A stored time to the minute, as it is in the zone; an hour that comes twice is told apart by its offset."""
    said = words(language)["time"]
    try:
        local = parse_time(at).astimezone(zone)
    except OverflowError:  # at either end of what a calendar holds
        return said["ambiguous"].format(at=_written(said, parse_time(at).astimezone(UTC)), offset="")
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return _written(said, local)
    return said["ambiguous"].format(at=_written(said, local), offset=local.isoformat()[-6:])


def _written(said: dict[str, str], local: datetime) -> str:
    day = said["first"] if local.day == 1 else str(local.day)
    named = {"day": day, "month": said[str(local.month)], "year": local.year}
    return said["at"].format(**named, hour=f"{local:%H}", minute=f"{local:%M}")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def harmless(text: str) -> str:
    """One line of text from outside, without characters that could disguise what stands beside it."""
    line = ", ".join(part for part in (part.strip() for part in text.splitlines()) if part)
    shown = _CONTROL.sub("", line)
    return shown if len(shown) <= MAX_CHARACTERS else f"{shown[:MAX_CHARACTERS]}…"


def listed(language: str, items: list[str]) -> str:
    """`a, b or c`."""
    said = words(language)["list"]
    *before, last = items
    return f"{said['between'].join(before)}{said['last']}{last}" if before else last
