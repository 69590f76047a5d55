"""Ledgers on both databases, with a few stories to be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Database
from tests.world import World, world


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    """An empty ledger; the test runs on each kind of database."""
    with world(database.url, tmp_path) as opened:
        yield opened
