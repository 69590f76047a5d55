"""An empty ledger to be copied: each example of a property begins with a fresh one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import sqlite
from tests.world import world


@pytest.fixture(scope="session")
def empty() -> Iterator[Path]:
    """A ledger with its tables and nothing in them, to be copied; no disk is waited for, as none of it outlives a test."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "PRAGMAS", ("journal_mode=WAL", "synchronous=OFF", "foreign_keys=ON"))
        folder = Path(name) / "empty"
        with world(f"sqlite:///{folder}/ledger.db", folder):
            pass
        yield folder
