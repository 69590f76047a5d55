"""No statement of a search reads a whole table or sorts a whole range, whatever the database knows of its tables."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ledger.database import Cursor
from projections import glances, searching
from projections.facets import Facet
from projections.queries import Filters
from projections.status import DELIVERY_COLUMNS, MESSAGE_COLUMNS
from tests.projections.history import write
from tests.world import KEYRING, TENANT, World

MESSAGES = 4_000
AT = "2026-03-02T09:00:00.000000Z"
PHONE, DIGEST = "+31612340000", "0" * 64
FACETS = [
    Facet(
        TENANT,
        "kpn_sms",
        f"a{n % 5}",
        ("delivered", "failed")[n % 2],
        f"E{n % 4}",
        (" open ", " final late ")[n % 3 % 2],
    )
    for n in range(60)
]
ASKED = (
    Filters(),
    Filters(since="2026-03-01", until="2999-04-01"),
    Filters(status="delivered", mark="late"),
    Filters(provider="kpn_sms", account="a1", grade="E1"),
    Filters(label="of many"),
    Filters(label="of some"),
    Filters(recipient=PHONE),
    Filters(recipient=PHONE, label="of many", status="failed"),
    Filters(label="of many", document=DIGEST, batch="march", since="2026-03-01"),
    Filters(reference="case 7", mark="open"),
)
WAYS: tuple[dict[str, int], ...] = ({}, {"FEW": 10, "MAX_LOOKED": 200}, {"FEW": 10, "MAX_LOOKED": 200, "MAX_FACETS": 0})
KINDS = {
    "read_facets": r"FROM read_facets",
    "position before a time": r"FROM heads",
    "the organisation's range": r"FROM read_deliveries WHERE tenant =",
    "ranges of facets": r"FROM read_deliveries WHERE facet =",
    "deliveries of messages": r"FROM read_deliveries WHERE message = \S+ AND recipient >",
    "deliveries at a glance": r"FROM read_deliveries AS d JOIN",
    "one delivery": r"FROM read_deliveries WHERE message = \S+ AND recipient =",
    "look-ups of a value": r"FROM lookups WHERE digest = \S+ ORDER BY",
    "whether a value is shown": r"FROM lookups WHERE (\(digest, stream\) IN|digest = wanted.a AND stream)",
    "messages": r"FROM read_messages WHERE message",
    "messages joined into others": r"FROM read_messages WHERE joined_into",
    "regions of numbers": r"FROM (accounts|account_setup) WHERE tenant",
}
"""Every statement that a search can make -> how it is known."""


def fill(world: World) -> None:
    """Rows straight into the tables: so many that no plan is good by chance."""
    for number in range(50):
        write(world, "webhook.received", f"account/{TENANT}/a1/2026-03-{number}")
    messages, deliveries, lookups = [], [], []
    for number in range(MESSAGES):
        message, opened = f"message-{number:06}", 3 * number + 1
        tenant = TENANT if number % 3 else "other"
        into = f"message-{number - 1:06}" if number % 100 == 50 else ""
        head = (
            message,
            tenant,
            "a1",
            "kpn_sms",
            opened,
            AT,
            1,
            2,
            b"[]",
            into,
            b"[]",
            "submission.requested",
            opened,
            b"[]",
        )
        messages.append(head)
        for recipient in range(2):
            facet = FACETS[(number * 7 + recipient) % len(FACETS)]
            row = (
                message,
                recipient,
                tenant,
                facet.account,
                facet.provider,
                facet.status,
                "",
                AT,
                0,
                opened,
                AT,
                opened,
            )
            deliveries.append((*row, facet.grade, "", facet.number(), 0, b"{}" * 200))
        lookups += [(digest, message, -1, opened, 0) for digest in shown(number)]
        phone = KEYRING.lookup(TENANT, "address", "phone", f"+3161234{number % 7:04}")
        lookups.append((phone, message, 0, opened, 0))
    with world.ledger.database.writing() as cursor:
        insert(cursor, "read_messages", MESSAGE_COLUMNS, messages)
        insert(cursor, "read_deliveries", DELIVERY_COLUMNS, deliveries)
        insert(cursor, "lookups", "digest, stream, recipient, position, exclusive", lookups)
        facets = [(facet.number(), *facet) for facet in dict.fromkeys(FACETS)]
        insert(cursor, "read_facets", f"facet, {', '.join(Facet._fields)}", facets)


def shown(number: int) -> Iterator[bytes]:
    """The digests of the names of a message."""
    yield KEYRING.lookup(TENANT, "any_reference", f"own/{number}")
    names = (("label", "of many", 2), ("label", "of some", 999), ("document", DIGEST, 4), ("in_batch", "march", 5))
    for kind, value, every in (*names, ("any_reference", "case 7", 3)):
        if number % every == 1:
            yield KEYRING.lookup(TENANT, kind, value)


def insert(cursor: Cursor, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
    marks = ",".join("?" * len(rows[0]))
    cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def statements(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[Any]]:
    """Every statement that searches and glances make, with parameters of one of them."""
    database, asked = world.ledger.database, dict[str, Sequence[Any]]()
    read = type(database).read

    mine = threading.get_ident()

    def noting(self: Any, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if threading.get_ident() == mine:  # the appender's threads ask things of their own
            asked.setdefault(sql, params)
        return read(self, sql, params)

    with monkeypatch.context() as patched:
        patched.setattr(type(database), "read", noting)
        for way in WAYS:
            for name, value in way.items():
                patched.setattr(searching, name, value)
            for filters in ASKED:
                _, cursor = searching.found(world.ledger, TENANT, filters)
                if cursor:
                    searching.found(world.ledger, TENANT, filters, cursor)
        searching.named(world.ledger, TENANT, [("case 7", 50), ("own/4", 50)], shows_protected=False)
        glances.plain(world.ledger, TENANT, [("message-000003", 1), ("message-000004", 0)], shows_protected=False)
    return asked


def plan(world: World, sql: str, params: Sequence[Any]) -> str:
    words = "EXPLAIN QUERY PLAN" if world.ledger.database.kind == "sqlite" else "EXPLAIN (COSTS OFF)"
    return "\n".join(str(row[-1]) for row in world.ledger.database.read(f"{words} {sql}", params))


BAD = {
    # `SCAN` of rows that stand in the statement itself is none of a table.
    "sqlite": re.compile(r"SCAN (?!\d+-ROW VALUES|CONSTANT|rest|older|near|halved)|TEMP B-TREE|AUTOMATIC"),
    # A bitmap is made of a whole range before a limit can end it.
    "postgresql": re.compile(r"Seq Scan on (?!read_facets)|Sort|Limit.*Bitmap|Hash|Materialize|Merge", re.DOTALL),
}
"""What must stand in no plan. Of facets an organisation has some hundred, which are all looked at."""


@pytest.mark.parametrize("is_analysed", [False, True])
def test_every_statement_of_a_search_or_a_glance_follows_an_index(
    found: World, monkeypatch: pytest.MonkeyPatch, *, is_analysed: bool
) -> None:
    """On a database that was never analysed, and on one that was."""
    fill(found)
    kind = found.ledger.database.kind
    asked = statements(found, monkeypatch)
    assert {name for name, pattern in KINDS.items() if any(re.search(pattern, sql) for sql in asked)} == set(KINDS)
    assert [] == [sql for sql in asked if not any(re.search(pattern, sql) for pattern in KINDS.values())]
    if is_analysed:
        for table in ("read_deliveries", "read_messages", "read_facets", "lookups", "heads"):
            analyse(found, table)
    plans = {sql: plan(found, sql, params) for sql, params in asked.items()}
    assert {} == {sql: text for sql, text in plans.items() if BAD[kind].search(text)}


def analyse(world: World, table: str) -> None:
    with world.ledger.database.writing() as cursor:
        cursor.execute(f"ANALYZE {table}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT message FROM read_deliveries WHERE status = 'failed'",
        "SELECT message FROM read_deliveries WHERE tenant = 'acme' ORDER BY status LIMIT 5",
        "SELECT recipient FROM lookups WHERE position = 7",
        "SELECT count(*) FROM read_messages",
    ],
)
def test_a_bad_plan_is_seen_as_one(found: World, sql: str) -> None:
    """The test above can fail."""
    fill(found)
    assert BAD[found.ledger.database.kind].search(plan(found, sql, ()))
