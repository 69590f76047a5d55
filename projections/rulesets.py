"""Rulesets: which versions of the tables judge together, and which were in force at a position of the log.

A table changes by a new version beside the old one, so that an answer of then can be given again. What came into force when is said by
events in the ledger's own stream. A log that says nothing yet was judged by the oldest tables. Reading only; `adapters.announcing` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from ledger.application import OWN_STREAM, Ledger
from ledger.events import read
from projections import deadlines, grades, rules
from projections.grades import GRADE_1, GRADE_2, GRADE_3

TABLES_RULE = "rules.tables"
"""Rule of the event that says which versions of which tables came into force: in its `numbers`, by name.

It is the log's first event, of a log that was begun since there are rulesets, and every later `ruleset.changed` with this rule."""


class Ruleset(NamedTuple):
    """Versions of the tables that judge together; whichever of them have had one version only are named, not held.

    Attributes:
        status: of `projections.rules`.
        deadline: of `projections.deadlines`.
    """

    status: str
    grade: grades.Table
    deadline: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Name and version of each table."""
        return (self.status, self.grade.id, self.deadline)

    @property
    def id(self) -> str:
        return " ".join(self.tables)


OLDEST = Ruleset("status/2", GRADE_1, "deadline/1")
BEFORE_ERASING = Ruleset("status/2", GRADE_2, "deadline/1")
CURRENT = Ruleset(rules.RULES, GRADE_3, deadlines.RULES)
RULESETS: dict[str, Ruleset] = {each.id: each for each in (OLDEST, BEFORE_ERASING, CURRENT)}
"""Every ruleset that can judge, oldest first."""

_NAMES = tuple(table.partition("/")[0] for table in CURRENT.tables)


class InForce(NamedTuple):
    """What was in force at a position.

    Attributes:
        position: of the event that said so; 0 when none had been written.
        versions: name of a table, or of a provider's vocabulary -> its version.
    """

    position: int
    versions: Mapping[str, int]

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that judge, as `Ruleset.tables` has them; one that was not named is left out."""
        return tuple(f"{name}/{self.versions[name]}" for name in _NAMES if name in self.versions)

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """The tables of the providers' words, sorted."""
        return tuple(sorted(f"{name}/{version}" for name, version in self.versions.items() if name not in _NAMES))

    @property
    def ruleset(self) -> Ruleset | None:
        """The ruleset; None when a version of this program that is not this one wrote it."""
        return RULESETS.get(" ".join(self.tables))


class _Clear(msgspec.Struct):
    rule: str = ""
    numbers: dict[str, int] = {}


def in_force(ledger: Ledger, position: int) -> InForce:
    """What was in force after the event at a position."""
    columns, topic = f"{ledger.position_column}, state", "AND topic IN ('key.added/1', 'ruleset.changed/1')"
    rows = ledger.database.probe("stored_events", columns, "originator_id", [OWN_STREAM], topic)
    said = [(p, msgspec.convert(read(p, bytes(s)).fields, _Clear)) for p, s in rows if p <= position]
    announced = [(p, clear.numbers) for p, clear in said if clear.rule == TABLES_RULE]
    return InForce(*max(announced, key=lambda each: each[0], default=(0, versions(OLDEST.tables))))


def today(ledger: Ledger) -> dict[str, int]:
    """The versions of this program's tables, and of the vocabularies that the ledger was opened with."""
    return versions(CURRENT.tables) | versions(words.mapping for words in ledger.vocabulary.values())


def versions(ids: Iterable[str]) -> dict[str, int]:
    """`name/2` as name -> 2."""
    return {name: int(version) for name, _, version in (each.partition("/") for each in ids)}
