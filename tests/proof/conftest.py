"""Installations for the tests of the proof, on each kind of database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import Database
from tests.proof.kit import Installation


@pytest.fixture
def installation(database: Database, tmp_path: Path) -> Installation:
    return Installation(database, tmp_path)


@pytest.fixture
def on_sqlite(sqlite_database: Database, tmp_path: Path) -> Installation:
    """For rules that have nothing to do with the database."""
    return Installation(sqlite_database, tmp_path)
