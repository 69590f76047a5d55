"""What looks for a person follows an index, and does not sort what may be long."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from adapters import keeping
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Subject
from ops.system import System
from tests.flow.desk import DELIVERED, admit, report, send
from tests.flow.officer import ANNA, BERT, TENANT, eraser, system

__all__ = ["eraser", "system"]  # fixtures

LARGE = (
    "stored_events|sealed_values|person_keys|artifacts|lookups|read_originals|read_messages|read_deliveries|read_erasures|"
    "read_batch_messages"
)
"""Tables that grow with what is sent."""
FEED = re.compile(r"WHERE (rowid|notification_id) > \? (AND \S+ <= \? )?ORDER BY")
"""By which read models follow the log; of a small one PostgreSQL reads it all."""
BAD = {
    "sqlite": re.compile(rf"SCAN ({LARGE})\b(?! USING)"),
    "postgresql": re.compile(rf"Seq Scan on ({LARGE})\b"),
}


def statements(eraser: Eraser, monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[Any]]:
    """Every statement that looking through everything makes, with parameters of one of them."""
    database, asked = eraser.ledger.database, dict[str, Sequence[Any]]()
    read = type(database).read

    mine = threading.get_ident()

    def noting(self: Any, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if threading.get_ident() == mine:  # the appender's threads ask things of their own
            asked.setdefault(sql, params)
        return read(self, sql, params)

    with monkeypatch.context() as patched:
        patched.setattr(type(database), "read", noting)
        cursor = ""
        while cursor := eraser.preview(TENANT, Subject(recipient=ANNA), cursor).next:
            pass
    return asked


def plan(system: System, sql: str, params: Sequence[Any]) -> str:
    """How a statement is answered where a table is too large to be read; of a few rows PostgreSQL reads all."""
    database = system.ledger.database
    with database.writing() as cursor:
        if database.kind == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        words = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN (COSTS OFF)"
        return "\n".join(str(row[-1]) for row in cursor.read(f"{words} {sql}", params))


def test_every_statement_that_looks_for_a_person_follows_an_index(
    system: System, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages alone and shared, joined ones, acts, and the range of all acts, which comes in its own order."""
    for number in range(20):
        if number % 3:
            admit(system, report(ANNA, DELIVERED, 5 + number, f"doc-{number}"))
        send(system, f"doc-{number}", ANNA, *([BERT] if number % 2 else []))
        keeping.place(system.accounts, system.queries, TENANT, "label", f"case {number}", f"as {ANNA} said")
    others = [(bytes(8) + number.to_bytes(8, "big"), f"message-{number}", 0, number, 0) for number in range(20_000)]
    with system.ledger.database.writing() as cursor:  # so many that no plan is good by chance
        cursor.executemany(
            "INSERT INTO lookups (digest, stream, recipient, position, exclusive) VALUES (?,?,?,?,?)", others
        )
    every = statements(eraser, monkeypatch).items()
    asked = {sql: params for sql, params in every if re.search(LARGE, sql) and not FEED.search(sql)}
    assert 15 < len(asked)
    kind = system.ledger.database.kind
    plans = {sql: plan(system, sql, params) for sql, params in asked.items()}
    assert {} == {sql: plan for sql, plan in plans.items() if BAD[kind].search(plan)}
    ranges = [plan for sql, plan in plans.items() if "(digest, stream, recipient) >" in sql]
    assert [] == [plan for plan in ranges if re.search(r"Sort|TEMP B-TREE", plan)]
    assert ranges
