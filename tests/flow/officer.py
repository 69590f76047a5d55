"""What a privacy officer does, and two people whose messages she erases; for tests of erasing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Subject
from ledger.names import Reading
from ledger.observations import Address, Observation, ProviderTime, Reference, ZoneBasis
from ops import erasing
from ops.system import System
from projections.searching import Filters
from tests.adapters.conftest import opened_system
from tests.flow.desk import DELIVERED, START, report
from tests.postgres import Database

TENANT = "acme"
ANNA, BERT = "+31612340001", "+31612340002"
NOBODY = "smtp://127.0.0.1:9"
"""Where no mail server listens."""
WHY = "asked for by the person"


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """An opened ledger on each kind of database."""
    with opened_system(database, tmp_path, smtp_url=NOBODY, smtp_from="reports@ledger.example") as found:
        found.accounts.add(TENANT, "sms", "kpn_sms")
        yield found


@pytest.fixture
def eraser(system: System) -> Eraser:
    """What erases in it."""
    return erasing.eraser(system)


def messages(system: System, recipient: str) -> list[str]:
    """The messages that a search for an address finds."""
    system.runner.run()
    page = system.queries.search(TENANT, Filters(recipient=recipient))
    return [view.message for view in page.deliveries]


def erase(eraser: Eraser, recipient: str = "", message: str = "") -> str:
    """Ask for an erasure and carry it out; its id."""
    asked = eraser.ask(TENANT, Subject(recipient=recipient, message=message), WHY)
    assert "done" == eraser.carry_out(TENANT, asked.erasure).state
    return asked.erasure


def bodies(system: System) -> list[bytes]:
    """The originals that can be opened."""
    rows = system.ledger.database.read("SELECT artifact_id FROM artifacts ORDER BY artifact_id")
    return [system.ledger.artifact(artifact).body for (artifact,) in rows]


def said(system: System) -> str:
    """Everything that is sealed and can be opened, as text."""
    events = system.ledger.feed(0, 10_000)
    return str(list(system.ledger.values(events).values()))


def several(*about: tuple[str, str]) -> Reading:
    """One arrival that tells of several messages: pairs of their name and a number."""
    arrival = report(about[0][1], DELIVERED, 7, about[0][0], others=[list(each) for each in about[1:]])
    seen = tuple(_seen(ident, number) for ident, number in about)
    return Reading(TENANT, arrival, seen)


def _seen(ident: str, number: str) -> Observation:
    occurred = ProviderTime(START, "1772442000", ZoneBasis.EPOCH)
    known: dict[str, Any] = {"code": "1", "identity": (ident, number, "1"), "occurred": occurred}
    name, who = Reference("document_id", ident), Address("phone", number)
    return Observation(type="content.consigned", references=(name,), about="recipient", recipient=who, **known)
