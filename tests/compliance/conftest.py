"""The fixed ledger, told once a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import sqlite
from tests.compliance.golden import Golden, golden, tell
from tests.postgres import Database


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixed ledger, to be copied; no disk is waited for, as none of it outlives the run."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "PRAGMAS", ("journal_mode=DELETE", "synchronous=OFF", "foreign_keys=ON"))
        tell(folder)
    return folder


@pytest.fixture
def found(told: Path, database: Database, tmp_path: Path) -> Iterator[Golden]:
    """A copy of the fixed ledger; the test runs on each kind of database."""
    with golden(told, database, tmp_path) as opened:
        yield opened


@pytest.fixture
def on_sqlite(told: Path, sqlite_database: Database, tmp_path: Path) -> Iterator[Golden]:
    """A copy of the fixed ledger on SQLite."""
    with golden(told, sqlite_database, tmp_path) as opened:
        yield opened
