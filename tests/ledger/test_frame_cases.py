"""The recorder cases that `eventsourcing` ships in its own wheel pass on our recorders.

Its aggregate case is left out: it asks `insert_events` for another answer than the application case does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest import TestCase
from uuid import uuid4

import pytest
from eventsourcing.tests import persistence as frame

from ledger.database import connect
from tests.ledger.kit import recorder_of
from tests.postgres import Database


class _OurRecorder(TestCase):
    """Hands a frame's case a recorder on a new, migrated database."""

    __test__ = False

    @pytest.fixture(autouse=True)
    def _open(self, request: pytest.FixtureRequest) -> Iterator[None]:
        kind = "postgresql" if type(self).__name__.endswith("PostgreSQL") else "sqlite"
        given: Database = request.getfixturevalue(f"{kind}_database")
        with ExitStack() as stack:
            self._given, self._stack = given, stack
            yield
            for thread in threading.enumerate():
                if (
                    "read_continuously" in thread.name
                ):  # readers that a case of the frame leaves behind: they stop, but after it
                    thread.join()

    def create_recorder(self) -> Any:
        database = connect(self._given.url)
        self._stack.callback(database.close)
        database.migrate()
        return recorder_of(database)

    def new_originator_id(self) -> str:
        return str(uuid4())


class TestApplicationRecorderOnSQLite(_OurRecorder, frame.ApplicationRecorderTestCase[Any]):
    """Events are stored and read in order, with versions that are taken once."""

    __test__ = True


class TestApplicationRecorderOnPostgreSQL(_OurRecorder, frame.ApplicationRecorderTestCase[Any]):
    """Events are stored and read in order, with versions that are taken once; listeners hear of them."""

    __test__ = True

    def test_insert_subscribe(self) -> None:
        """A subscription sees what is inserted before and after it begins."""
        self.optional_test_insert_subscribe()


class TestNonInterleavingPositionsOnSQLite(_OurRecorder, frame.NonInterleavingNotificationIDsBaseCase):
    """What is stored together has neighbouring positions."""

    __test__ = True


class TestNonInterleavingPositionsOnPostgreSQL(_OurRecorder, frame.NonInterleavingNotificationIDsBaseCase):
    """What is stored together has neighbouring positions."""

    __test__ = True


class TestTrackingRecorderOnSQLite(_OurRecorder, frame.TrackingRecorderTestCase):
    """A read model's position only grows."""

    __test__ = True


class TestTrackingRecorderOnPostgreSQL(_OurRecorder, frame.TrackingRecorderTestCase):
    """A read model's position only grows."""

    __test__ = True


class TestProcessRecorderOnSQLite(_OurRecorder, frame.ProcessRecorderTestCase):
    """Events and the position read so far are stored together or not at all."""

    __test__ = True


class TestProcessRecorderOnPostgreSQL(_OurRecorder, frame.ProcessRecorderTestCase):
    """Events and the position read so far are stored together or not at all."""

    __test__ = True
