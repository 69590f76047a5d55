"""The wall between organisations keeps every statement on its index (PostgreSQL; the statements are those of test_plans)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger.tenants import working_for
from tests.postgres import Database
from tests.projections.test_plans import analyse, fill, plan, statements
from tests.world import TENANT, World, world

MORE: dict[str, Sequence[Any]] = {
    "SELECT state FROM stored_events WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id": (
        5,
        9,
    ),
    "SELECT state FROM stored_events WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version": (
        "s",
        0,
    ),
    "SELECT leaf FROM leaf_hashes WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id": (5, 9),
    "SELECT key_id, wrapped FROM person_keys WHERE stream = ? AND person = ? LIMIT 1": ("s", 0),
    "SELECT position, key_id FROM artifacts WHERE artifact_id = ?": ("a",),
    "SELECT sealed FROM sealed_values WHERE position = ?": (5,),
    "SELECT position FROM duplicates WHERE duplicate_key = ?": (b"k",),
    "SELECT joined_into FROM joins WHERE stream = ? ORDER BY position DESC LIMIT 1": ("s",),
    "SELECT opened_position FROM read_lanes WHERE item = ? AND tenant = ?": ("i", TENANT),
}
"""What look-ups by their own name ask."""

WHOLE = re.compile(r"Seq Scan on (?!read_facets)|Limit[^S]*Bitmap|Hash|Merge")
"""What must stand in no plan: reading a whole table, or a whole range for its first rows."""


@pytest.fixture
def found(postgresql_database: Database, tmp_path: Path) -> Iterator[World]:
    with world(postgresql_database.url, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("is_analysed", [False, True])
def test_every_statement_follows_an_index_behind_the_wall(
    found: World, monkeypatch: pytest.MonkeyPatch, *, is_analysed: bool
) -> None:
    """On a database that was never analysed, and on one that was."""
    fill(found)
    asked = {**statements(found, monkeypatch), **MORE}
    if is_analysed:
        for table in ("read_deliveries", "read_messages", "read_facets", "lookups", "heads"):
            analyse(found, table)
    for whose in ("", TENANT):
        with working_for(whose):
            plans = {sql: plan(found, sql, params) for sql, params in asked.items()}
        assert bool(whose) == any(
            "POSITION(" in text for text in plans.values()
        )  # the wall looks for the mark of the tenant
        assert {} == {sql: text for sql, text in plans.items() if WHOLE.search(text)}
