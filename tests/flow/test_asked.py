"""What is asked of the database for many arrivals: some statements for all of them, and no more keys than a decision compares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.receiving import read
from ledger import intake
from ledger.appender import Item, Outcomes
from ledger.application import Ledger
from ledger.names import Names, Reading
from ledger.observations import Arrival, ArrivalKind
from tests.postgres import Database
from tests.world import TENANT, World
from tests.world import world as opened_world

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
NUMBERS = [f"+316100000{number}" for number in range(10, 90)]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger of its own, on each kind of database."""
    with opened_world(database.url, tmp_path) as found:
        yield found


def _arrival(operation: str, body: dict[str, Any], request: dict[str, Any] | None = None) -> Reading:
    sent = None if request is None else json.dumps(request).encode()
    arrival = Arrival(
        provider="kpn_sms",
        account="sms",
        operation=operation,
        kind=ArrivalKind.API,
        observed_at=NOW,
        body=json.dumps(body).encode(),
        status=200 if request else None,
        request=sent,
    )
    return read(TENANT, arrival)


def _sent() -> Reading:
    messages = [{"content": "Your parcel", "mobile_number": number} for number in NUMBERS]
    return _arrival("send", {"document_id": "doc-1", "status": "OK"}, {"messages": messages, "sender": "Us"})


def _report(number: str, **more: Any) -> Reading:
    told = {"DLRID": "doc-1", "RecipientPhonenumber": number, "StatusDateTime": 1772355600, "Status": "1"}
    return _arrival("webhook.dlr", {**told, **more})


class Counting:
    """Stands before a ledger's reads and counts them."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements = 0
        self._read = ledger.database.read
        monkeypatch.setattr(ledger.database, "read", self)

    def __call__(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.statements += 1
        return self._read(sql, params)


def test_reports_of_many_recipients_are_decided_with_as_many_statements_as_of_few(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their keys are read together, too."""
    world.intake.admit([_sent()])
    counting = Counting(world.ledger, monkeypatch)
    world.intake.admit([_report(number) for number in NUMBERS[:2]])
    few, counting.statements = counting.statements, 0
    outcomes = world.intake.admit([_report(number) for number in NUMBERS[2:]])
    assert [1] * len(outcomes) == [len(getattr(each, "facts", ())) for each in outcomes]
    assert counting.statements <= few


def test_a_report_that_comes_alone_is_decided_with_two_statements_and_one_for_new_keys(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for an answer of the database waits for the interpreter too."""
    world.intake.admit([_sent()])
    counting = Counting(world.ledger, monkeypatch)
    per_probe = 2 if world.ledger.database.kind == "sqlite" else 1
    for few in (2 * per_probe + 1, 2 * per_probe):
        counting.statements = 0
        world.intake.admit([_report(NUMBERS[0], Status=str(few))])
        assert counting.statements <= few


def test_every_question_of_a_decision_follows_an_index(
    postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the statistics say: what is asked together too."""
    asked = dict[str, Sequence[Any]]()
    with opened_world(postgresql_database.url, tmp_path) as world:
        world.intake.admit([_sent()])
        read = world.ledger.database.read
        monkeypatch.setattr(
            world.ledger.database, "read", lambda sql, params=(): (asked.setdefault(sql, params), read(sql, params))[1]
        )
        world.intake.admit([_report(number) for number in NUMBERS[:2]])
        monkeypatch.undo()
        with world.ledger.database.writing() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            plans = [
                "\n".join(str(row[0]) for row in cursor.read(f"EXPLAIN (COSTS OFF) {sql}", params))
                for sql, params in asked.items()
            ]
    assert 2 < len(plans)
    assert [] == [plan for plan in plans if "Seq Scan" in plan]


def test_no_more_of_a_call_waits_to_be_appended_than_may(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever appends a single event meanwhile waits behind that much, however long the call is."""
    monkeypatch.setattr(intake, "AHEAD", 3)
    told, waiting = list[int](), list[int]()
    queue = world.ledger.queue

    def watched(item: Item, who: int, tell: Callable[[Outcomes], None]) -> None:
        def telling(outcomes: Outcomes) -> None:
            told.extend(number for number, _ in outcomes)
            tell(outcomes)

        waiting.append(who - len(told))
        queue(item, who, telling)

    world.intake.admit([_sent()])
    monkeypatch.setattr(world.ledger, "queue", watched)
    outcomes = world.intake.admit([_report(number) for number in NUMBERS])
    assert [1] * len(NUMBERS) == [len(getattr(each, "facts", ())) for each in outcomes]
    assert max(waiting) < 3


def test_what_is_new_and_named_asks_for_few_keys(world: World) -> None:
    """The keys of what waits, of what was told and of what was seen earlier rest on the fact's own, which is not known."""
    names = Names(world.ledger, _report(NUMBERS[0]))
    assert set() == names.more_keys(())
    assert {*names.body_keys, *names.fact_keys, *names.identity_keys} == names.keys()


def test_what_is_known_or_has_no_name_asks_for_all_keys(world: World) -> None:
    """A decision compares them then."""
    known = Names(world.ledger, _report(NUMBERS[0]))
    assert {*known.told_keys, *known.witnessed_keys, known.sighting_key(0)} < known.more_keys(known.fact_keys)
    nameless = Names(world.ledger, _report(NUMBERS[0], DLRID=""))
    assert set(nameless.lane_keys) < nameless.more_keys(())
    unreadable = Names(world.ledger, _report(NUMBERS[0])._replace(observations=(), unreadable="no report"))
    assert unreadable.unreadable_key in unreadable.more_keys(())
