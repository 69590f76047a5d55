"""No statement that counts, tells who looked or finds what retention erases reads a whole table or sorts a whole range."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import keeping
from adapters.compliance.asking import checked
from adapters.compliance.contract import Context
from adapters.compliance.registry import find
from adapters.retiring import Retirer
from ledger.appender import Item
from ledger.checkpoints import HeadFile
from projections.accessed import COLUMNS
from projections.facts import Fact
from projections.fold import fold
from tests.postgres import Database
from tests.projections.test_plans import AT, MESSAGES, fill, insert, plan
from tests.world import TENANT, World, world

TAKEN = Fact("", 1, "submission.accepted", "message", "message", AT, "stated", AT, "", "", "kpn_sms", arrival="poll")
FOLDED = msgspec.json.encode(fold([TAKEN], sole=True, channel="sms"))
ASKED: tuple[tuple[str, dict[str, str]], ...] = (
    *(("scorecard", {"by": by}) for by in ("provider", "account", "recipient_domain", "batch")),
    ("scorecard", {"since": "2026-03-01", "until": "2999-01-01", "provider": "kpn_sms", "account": "a1"}),
    ("completeness", {}),
    ("completeness_gap", {"gap": "not_known", "account": "a1"}),
    ("reconciliation_coverage", {"since": "2026-03-01"}),
    ("retention_due", {"by": "2999-01-01"}),
    ("on_hold", {}),
    *(("access", asked) for asked in ({}, {"actor": "key_clerk"}, {"actor": "console"}, {"kind": "access.trail"})),
    ("access", {"message": "message-000001", "since": "2026-03-01"}),
)
LARGE = "stored_events|sealed_values|person_keys|lookups|read_deliveries|read_messages|read_facts|read_accesses"
BAD = {
    "sqlite": re.compile(rf"SCAN ({LARGE})\b|TEMP B-TREE"),
    "postgresql": re.compile(rf"Seq Scan on ({LARGE})\b|Sort.*(read_deliveries|read_accesses)", re.DOTALL),
}
"""What must stand in no plan. The accounts, policies and comparisons of an organisation are few, and may be sorted."""


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Iterator[World]:
    """An organisation with more of everything than one would read at once."""
    with world(database.url, tmp_path) as opened:
        if database.kind == "postgresql":  # or it analyses them in between, and sees how small they are
            with opened.ledger.database.writing() as cursor:
                for table in LARGE.split("|"):
                    cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        opened.accounts.add(TENANT, "a1", "kpn_sms")
        draft = opened.ledger.draft
        for day in range(1, 11):
            stream = f"account/{TENANT}/a1/2026-03-{day:02}"
            opened.ledger.append(Item([draft("poll.answered", TENANT, stream, {"account": "a1"}) for _ in range(400)]))
            opened.ledger.append(Item([draft("reconciliation.completed", TENANT, stream, {"account": "a1"})]))
        fill(opened)
        looked = [
            (
                TENANT,
                n,
                f"message-{n % 900:06}",
                AT,
                ("key_clerk", "key_auditor", "console")[n % 3],
                "access.trail",
                "",
                1,
                1,
                0,
            )
            for n in range(MESSAGES)
        ]
        keeping.keep(opened.accounts, TENANT, "kpn_sms", "1d")
        keeping.keep(opened.accounts, TENANT, "kpn_sms", "2d", "of some")
        keeping.place(opened.accounts, opened.queries, TENANT, "label", "of some", "claim 7")
        with opened.ledger.database.writing() as cursor:
            insert(cursor, "read_accesses", COLUMNS, looked)
            cursor.execute("UPDATE read_deliveries SET folded = ?", (FOLDED,))
            cursor.execute("DELETE FROM lookups WHERE recipient >= 0")  # whose events were never written
        yield opened


def statements(found: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[Any]]:
    """Every statement that the queries make, with parameters of one of them."""
    database, asked = found.ledger.database, dict[str, Sequence[Any]]()
    read = type(database).read

    def noting(self: Any, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        asked.setdefault(sql, params)
        return read(self, sql, params)

    with monkeypatch.context() as patched:
        patched.setattr(type(database), "read", noting)
        for name, parameters in ASKED:
            query = find(name)
            context = Context(found.queries, HeadFile(folder), TENANT, found.ledger.clock(), 10**6)
            assert list(query.rows(context, checked(query, parameters), "")), name
        later = found.ledger.clock() + timedelta(days=30)
        patched.setattr(found.ledger, "clock", lambda: later)
        retirer = Retirer(found.accounts, found.queries, lambda: nullcontext(database))
        assert retirer.preview(TENANT), "retention"
    return asked


def test_every_statement_follows_an_index(filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a database that was never analysed."""
    asked = statements(filled, tmp_path / "heads", monkeypatch)
    for table in ("read_deliveries", "read_messages", "read_accesses", "lookups", "stored_events"):
        assert any(table in sql for sql in asked)
    bad = BAD[filled.ledger.database.kind]
    plans = {sql: plan(filled, sql, params) for sql, params in asked.items() if sql.startswith(("SELECT", "WITH"))}
    assert {} == {sql: text for sql, text in plans.items() if bad.search(text)}
