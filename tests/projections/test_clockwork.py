"""What the clock asks the read models for: deadlines that are due, messages that are to be watched, and grades to be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from uuid_utils import uuid7

from ledger.observations import Address, Reference
from ledger.streams import Registration
from projections.queries import Filters, Queries
from projections.views import Watching
from tests.projections.facts import clock
from tests.projections.history import write
from tests.world import TENANT, World

SOURCE: dict[str, Any] = {"provider": "kpn_sms", "account": "a", "arrival": "webhook"}
PHONES = tuple(Address("phone", f"+3161234000{n}") for n in range(3))


def send(world: World, *, recipients: int = 1, account: str = "a") -> str:
    """Register a message and have it taken at 8:00; returns its id."""
    name = str(uuid7())
    registration = Registration(
        account=account,
        provider="kpn_sms",
        recipients=PHONES[:recipients],
        references=(Reference("document_id", name), Reference("own_reference", "case 7", exclusive=False)),
    )
    message = world.intake.register(TENANT, registration, {"arrival": "api"}, (name, name)).message
    take(world, message)
    return message


def take(world: World, message: str) -> None:
    write(world, "submission.accepted", message, **SOURCE, occurred_at=clock("8:00"), about="message")


def deliver(world: World, message: str, recipient: int = 0) -> None:
    fields = {**SOURCE, "occurred_at": clock("9:00"), "about": "recipient", "recipient": recipient}
    write(world, "content.consigned", f"{message}/{recipient}", **fields)


def due(world: World, now: str, limit: int = 100) -> list[tuple[str, int, str, str]]:
    world.runner.run()
    found = world.queries.due_deadlines(clock(now), limit)
    assert {(TENANT, "a", "kpn_sms", "deadline.delivery_report")} >= {
        (d.tenant, d.account, d.provider, d.rule) for d in found
    }
    return [(d.message, d.recipient, d.type, d.occurred_at) for d in found]


def note(world: World, said: tuple[str, int, str, str]) -> None:
    """Write the event that is due, as the job does."""
    message, recipient, kind, at = said
    write(world, kind, f"{message}/{recipient}", rule="deadline.delivery_report", occurred_at=at, recipient=recipient)


def test_deadlines_are_due_once_each(found: World) -> None:
    """Warned when the first term is over, passed when the second is, and never again; whoever has an answer is left alone."""
    message = send(found, recipients=2)
    deliver(found, message, 1)
    assert [] == due(found, "31:59")
    warned = due(found, "32:00")
    assert [(message, 0, "deadline.warned", clock("32:00"))] == warned
    note(found, warned[0])
    assert [] == due(found, "79:59")
    passed = due(found, "80:00")
    assert [(message, 0, "deadline.passed", clock("80:00"))] == passed
    note(found, passed[0])
    assert [] == due(found, "1000:00")
    shown = [found.queries.delivery(TENANT, message, index) for index in range(2)]
    assert [("accepted", "passed"), ("delivered", "met")] == [(d.status, d.deadlines[0].state) for d in shown]


def test_the_longest_due_come_first(found: World) -> None:
    """A job that handles a few at a time gets to all of them, in a stable order."""
    messages = sorted(send(found) for _ in range(3))
    assert messages == [message for message, *_ in due(found, "32:00")]
    assert messages[:2] == [message for message, *_ in due(found, "32:00", 2)]


def test_watched_are_the_messages_without_an_end(found: World) -> None:
    """Newest first, with the addresses, the names and the recipients that are open; what is settled is left out."""
    first, second = send(found, recipients=3), send(found)
    settled, elsewhere = send(found), send(found, account="b")
    deliver(found, first, 1)
    deliver(found, settled)
    found.runner.run()
    watched = found.queries.watched(TENANT, "a")
    assert [second, first] == [each.message for each in watched]
    assert [elsewhere] == [each.message for each in found.queries.watched(TENANT, "b")]
    assert [] == found.queries.watched("other", "a")
    several = watched[1]
    assert (0, 2) == several.open
    assert [address.value for address in PHONES] == [r.address for r in several.recipients]
    assert {"document_id", "own_reference"} == set(several.references)
    assert ("case 7",) == several.references["own_reference"]
    assert not several.unclear


def test_an_unclear_call_is_watched_as_such(found: World) -> None:
    """Until the provider's acceptance is known, or what became of the call."""
    name = str(uuid7())
    registration = Registration(account="a", provider="kpn_sms", recipients=PHONES[:1])
    message = found.intake.register(TENANT, registration, {"arrival": "api"}, (name, name)).message
    unclear = write(found, "dispatch.unclear", message, **SOURCE, rule="dispatch.unclear")
    assert [True] == [each.unclear for each in now_watched(found)]
    write(found, "dispatch.resolved", message, rule="dispatch.not_sent", events=[unclear])
    assert [False] == [each.unclear for each in now_watched(found)]


def now_watched(world: World) -> list[Watching]:
    world.runner.run()
    return world.queries.watched(TENANT, "a")


def test_watched_messages_come_in_pages(found: World) -> None:
    """The list goes on before the last one seen; what is older than asked for is left out."""
    messages = [send(found, recipients=2) for _ in range(5)]
    found.runner.run()
    first = found.queries.watched(TENANT, "a", limit=2)
    then = found.queries.watched(TENANT, "a", before=first[-1].opened_position, limit=10)
    assert messages[::-1] == [each.message for each in [*first, *then]]
    assert messages[:1:-1] == [each.message for each in found.queries.watched(TENANT, "a", since=then[0].opened_at)]


def test_deliveries_are_found_by_grade(found: World) -> None:
    """A report makes E2 of an E1; another word than the six is refused."""
    message = send(found, recipients=2)
    deliver(found, message, 1)
    found.runner.run()
    by_grade = {grade: found.queries.search(TENANT, Filters(grade=grade)).deliveries for grade in ("E1", "E2", "E3")}
    assert {"E1": [0], "E2": [1], "E3": []} == {grade: [d.recipient for d in ds] for grade, ds in by_grade.items()}
    assert {"E1", "E2"} == {d.evidence.grade for ds in by_grade.values() for d in ds}
    with pytest.raises(ValueError, match="unknown grade 'E6'; there are E0, E1, E2, E3, E4, E5"):
        found.queries.search(TENANT, Filters(grade="E6"))


def test_a_message_that_is_settled_while_the_list_is_made_is_left_out(
    found: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read models go on while somebody reads them: what was open a moment ago may be settled, and hurts nobody."""
    other, message = send(found), send(found)
    found.runner.run()

    def settle() -> None:
        deliver(found, message)
        found.runner.run()

    settling = Settling(found.ledger.database, settle)
    monkeypatch.setattr(found.ledger, "database", settling)
    queries = Queries(found.ledger, found.runner)
    assert [other] == [each.message for each in queries.watched(TENANT, "a")]
    assert settling.is_settled


class Settling:
    """A database beside which somebody settles a message, after it was asked which ones are open."""

    def __init__(self, database: Any, settle: Callable[[], None]) -> None:
        self._database = database
        self._settle = settle
        self.is_settled = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def read(self, sql: str, params: Any = ()) -> Any:
        rows = self._database.read(sql, params)
        if "RECURSIVE" in sql and not self.is_settled:
            self.is_settled = True
            self._settle()
        return rows


class Noting:
    """A database that passes everything through and notes what is asked of the deliveries."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.asked: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def read(self, sql: str, params: Any = ()) -> Any:
        self.asked += [(sql, params)] if "read_deliveries" in sql else []
        return self._database.read(sql, params)


def test_nothing_that_the_clock_asks_reads_all_deliveries(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many deliveries there are: on a database that was never analysed each question is answered by an index."""
    for _ in range(3):
        send(found)
    found.runner.run()
    database = found.ledger.database
    noting = Noting(database)
    monkeypatch.setattr(found.ledger, "database", noting)
    queries = Queries(found.ledger, found.runner)
    assert 3 == len(queries.watched(TENANT, "a"))
    assert 3 == len(queries.due_deadlines(clock("32:00")))
    plans = [plan(database, sql, params) for sql, params in noting.asked]
    assert 5 == len(plans)
    assert [] == [text for text in plans if "SCAN read_deliveries" in text or "Seq Scan on read_deliveries" in text]
    assert all("read_deliveries" in text for text in plans)


def plan(database: Any, sql: str, params: Any) -> str:
    """How the database would answer, were there many rows."""
    if database.kind == "sqlite":
        return "\n".join(str(row[3]) for row in database.read(f"EXPLAIN QUERY PLAN {sql}", params))
    with database.writing() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(str(row[0]) for row in cursor.read(f"EXPLAIN {sql}", params))
