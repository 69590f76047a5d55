"""Which versions of the tables judge, and how the log says which came into force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters import announcing
from adapters.announcing import announce, tables
from ledger import identity
from ledger.appender import Item
from projections import deadlines, grades, rules
from projections.rulesets import BEFORE_ERASING, CURRENT, OLDEST, RULESETS, TABLES_RULE, in_force, today
from tests.postgres import Database
from tests.world import World, world


def announced(found: World) -> list[int]:
    return [e.position for e in found.ledger.feed() if e.fields.get("rule") == TABLES_RULE]


def test_todays_ruleset_is_that_of_todays_tables() -> None:
    """A table whose version moved on is in a ruleset, and every ruleset has a name of its own."""
    assert (rules.RULES, grades.RULES, deadlines.RULES) == CURRENT.tables
    assert [OLDEST, BEFORE_ERASING, CURRENT] == list(RULESETS.values())


def test_a_log_that_says_nothing_was_judged_by_the_oldest_tables(found: World) -> None:
    """From its first position on, until something else is said."""
    before = in_force(found.ledger, 0)
    assert (0, OLDEST.tables, (), OLDEST) == (before.position, before.tables, before.vocabularies, before.ruleset)
    position = announce(found.ledger)
    assert OLDEST == in_force(found.ledger, position - 1).ruleset
    assert CURRENT == in_force(found.ledger, position).ruleset
    assert today(found.ledger) == in_force(found.ledger, position).versions
    assert "kpn_sms/1" in in_force(found.ledger, position).vocabularies


def test_what_came_into_force_is_said_once(found: World) -> None:
    """Whoever opens the ledger with the same tables adds nothing."""
    position = announce(found.ledger)
    assert 0 == announce(found.ledger)
    assert [position] == announced(found)


def test_a_log_begun_today_says_it_in_its_first_event(found: World) -> None:
    """So that there is no position at which nobody knows."""
    private = Ed25519PrivateKey.generate()
    identity.begin(found.ledger, "ledger.example.org/main", private, bytes(32), tables(found.ledger))
    assert 0 == announce(found.ledger)
    assert CURRENT == in_force(found.ledger, 1).ruleset
    known = identity.read(found.ledger)
    assert known is not None
    assert "ledger.example.org/main" == known.origin


def test_other_tables_and_other_vocabularies_are_said_again(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older program that appends again says so too; its answers of then can be given again."""
    first = announce(found.ledger)
    words = found.ledger.vocabulary["kpn_sms"]
    found.ledger.vocabulary = {**found.ledger.vocabulary, "kpn_sms": replace(words, mapping="kpn_sms/9")}
    second = announce(found.ledger)
    monkeypatch.setattr(announcing, "today", lambda _: {"status": 2, "grade": 1, "deadline": 1})
    third = announce(found.ledger)
    assert [first, second, third] == announced(found)
    assert [CURRENT, CURRENT, OLDEST] == [in_force(found.ledger, position).ruleset for position in announced(found)]


def test_tables_of_a_later_version_are_named_and_not_held(found: World) -> None:
    """Which they were can be told; judging by them cannot be done here."""
    clear = {"rule": TABLES_RULE, "numbers": {"status": 7, "grade": 2, "deadline": 1, "habit": 4}}
    found.ledger.append(Item([found.ledger.draft("ruleset.changed", "ledger", "ledger", clear)]))
    later = in_force(found.ledger, found.ledger.head().size)
    assert (("status/7", "grade/2", "deadline/1"), None, ("habit/4",)) == (
        later.tables,
        later.ruleset,
        later.vocabularies,
    )


def test_read_models_make_nothing_of_it(found: World) -> None:
    """It sets no organisation's terms, and is no event that could not be applied."""
    announce(found.ledger)
    found.runner.run()
    assert [] == found.runner.unapplied()
    assert [] == found.ledger.database.read("SELECT * FROM read_terms")


def test_two_processes_say_it_once(database: Database, tmp_path: Path) -> None:
    """Who comes second sees what the first wrote."""
    with world(database.url, tmp_path) as one, world(database.url, tmp_path) as other:
        with ThreadPoolExecutor(2) as threads:
            written = list(threads.map(announce, (one.ledger, other.ledger)))
        assert [0] == [position for position in written if not position]
        assert 1 == len(announced(one))


def test_nothing_is_written_into_a_frozen_ledger(found: World) -> None:
    """What contradicts a signed head is not appended to."""
    found.ledger.freeze("the tree does not fit a signed head")
    assert 0 == announce(found.ledger)
    assert [] == announced(found)
