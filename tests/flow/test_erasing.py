"""Erasing a person or a message: everything that is theirs goes, and nothing that is another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.erasing import certificates
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Subject
from ledger.tree import leaf_hash
from ops import erasing
from ops.system import System
from projections.searching import Filters
from tests.adapters.conftest import opened_system
from tests.flow.desk import DELIVERED, admit, report, send
from tests.postgres import Database

TENANT = "acme"
ANNA, BERT = "+31612340001", "+31612340002"
WHY = "asked for by the person"


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """An opened ledger on each kind of database."""
    with opened_system(database, tmp_path) as found:
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


def test_a_person_who_is_the_only_recipient_goes_with_the_whole_message(system: System, eraser: Eraser) -> None:
    """Nothing of the message can be opened any more, under whatever spelling she was asked for."""
    message = send(system, "doc-1", ANNA)  # type: ignore[arg-type]  # a system has what a world has
    admit(system, report(ANNA, DELIVERED, 5, "doc-1"))  # type: ignore[arg-type]
    assert [message] == messages(system, ANNA)
    found = eraser.preview(TENANT, Subject(recipient="06 1234 0001"))
    assert (1, 1, 1) == (found.goes.messages, found.goes.recipients, found.goes.originals)
    erase(eraser, "0031 6 12 34 00 01")
    assert [] == messages(system, ANNA)
    events = [e for e in system.ledger.feed(0, 1_000) if e.stream.startswith(message)]
    assert {} == system.ledger.values(events)
    assert [] == system.ledger.database.read("SELECT 1 FROM artifacts")


def test_of_a_message_with_others_only_the_person_goes(system: System, eraser: Eraser) -> None:
    """The other recipient keeps address, status and original."""
    message = send(system, "doc-1", ANNA, BERT)  # type: ignore[arg-type]
    for number in (ANNA, BERT):
        admit(system, report(number, DELIVERED, 5, "doc-1"))  # type: ignore[arg-type]
    held = {a for (a,) in system.ledger.database.read("SELECT artifact_id FROM artifacts")}
    assert 2 == len(held)
    erase(eraser, ANNA)
    assert ([], [message]) == (messages(system, ANNA), messages(system, BERT))
    views = system.queries.deliveries(TENANT, message)
    assert ["", BERT] == [view.address.address for view in views]
    assert ["delivered", "delivered"] == [view.status for view in views]
    ((left,),) = system.ledger.database.read("SELECT artifact_id FROM artifacts")
    assert BERT.encode() in system.ledger.artifact(left).body


def test_the_certificate_is_made_of_the_log_and_names_no_one(system: System, eraser: Eraser) -> None:
    """What went, what remains, the events and the root; the same bytes again, and no address in them."""
    send(system, "doc-1", ANNA)  # type: ignore[arg-type]
    erasure = erase(eraser, ANNA)
    found = certificates.certificate(eraser, TENANT, erasure)
    assert (1, 1) == (found.erased.messages, found.erased.recipients)
    assert found.root == system.ledger.root_at(found.tree_size).hex()
    leaves = {each.position: each.leaf for each in found.events}
    assert leaves == {p: leaf_hash(system.ledger.event(p).leaf).hex() for p in leaves}
    text = certificates.encoded(found)
    assert text == certificates.encoded(certificates.certificate(eraser, TENANT, erasure))
    assert "12340001" not in text.decode()
    assert certificates.pdf(found).startswith(b"%PDF")
    assert certificates.pdf(found) == certificates.pdf(found)
