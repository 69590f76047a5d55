"""What is erased goes on being told without its names: deliveries, messages, trails, lists, as of now and as of then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.reinterpreting import Reinterpreter
from ledger import erasing, fsck
from ledger.appender import Item
from ledger.erasing import Erased
from ledger.errors import ErasedError
from projections.asof import AsOf, Past
from projections.queries import Filters
from projections.views import AddressView
from tests.flow.desk import DELIVERED, FAILED, START, admit, rebuilt, report, send
from tests.postgres import Database
from tests.world import TENANT, World, world

ANNA, BO = "31612340001", "31612340002"


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "sms", "kpn_sms")
        yield opened


@pytest.fixture
def message(found: World) -> str:
    """A send to two phones: it came to the first and failed at the second."""
    sent = send(found, "doc-1", ANNA, BO, labels=("case 7",), texts={"subject": "Letter to Anna"})
    admit(found, report(ANNA, DELIVERED, 5, "doc-1"))
    admit(found, report(BO, FAILED, 7, "doc-1"))
    return sent


def erase(found: World, *erased: Erased) -> None:
    """As the part above the ledger does it; without the originals, of which there is one for each report."""
    appended = found.ledger.append(Item([erasing.draft(found.ledger, TENANT, each, "recipient") for each in erased]))
    for event in found.ledger.events_at(appended.positions):
        erasing.destroy(found.ledger.database, found.ledger.artifact_folder, erasing.told(event))
    found.runner.run()


@pytest.mark.parametrize("recipient", [0, -1], ids=["recipient", "message"])
def test_status_and_times_stay_and_addresses_do_not(found: World, message: str, recipient: int) -> None:
    """Of an erased delivery the status, milestones and reasons are as before; whom it was for is not said, and it is told as erased."""
    found.runner.run()
    before = list(found.queries.deliveries(TENANT, message))
    erase(found, Erased(message, recipient))
    after = list(found.queries.deliveries(TENANT, message))
    assert [each.status for each in before] == [each.status for each in after]
    assert [each.milestones for each in before] == [each.milestones for each in after]
    gone = [0] if recipient == 0 else [0, 1]
    for number, (then, now) in enumerate(zip(before, after, strict=True)):
        is_gone = number in gone
        assert (AddressView() if is_gone else then.address) == now.address
        assert is_gone == ("erased" in [missing.what for missing in now.evidence.missing])
        assert is_gone == ("evidence.erased" in [reason.type for reason in now.reasons])
    view = found.queries.message(TENANT, message)
    assert (recipient == -1) == (not view.labels)
    assert {} == rebuilt(found)


def test_trails_are_whole_and_show_no_value_of_the_erased(found: World, message: str) -> None:
    """Every event is there with its place in the log; what it committed to can be opened for nobody."""
    found.runner.run()
    before = found.queries.trail(TENANT, message)
    erase(found, Erased(message))
    after = found.queries.trail(TENANT, message)
    assert [each.leaf_hash for each in before.entries] == [each.leaf_hash for each in after.entries[:-1]]
    assert "evidence.erased" == after.entries[-1].type
    assert [{}] * len(after.entries) == [each.values for each in after.entries]
    (one, other) = (found.queries.trail(TENANT, message, recipient) for recipient in (0, 1))
    assert len(one.entries) == len(other.entries)


def test_no_search_finds_the_erased(found: World, message: str) -> None:
    """Neither by address nor by label, reference or document; lists still count the delivery."""
    found.runner.run()
    by = (Filters(recipient=ANNA), Filters(label="case 7"), Filters(reference="doc-1"))
    assert [1, 2, 2] == [len(found.queries.search(TENANT, each).deliveries) for each in by]
    erase(found, Erased(message, 0))
    assert [0, 2, 2] == [len(found.queries.search(TENANT, each).deliveries) for each in by]
    erase(found, Erased(message))
    assert [0, 0, 0] == [len(found.queries.search(TENANT, each).deliveries) for each in by]
    assert 2 == len(found.queries.search(TENANT, Filters()).deliveries)


def test_as_of_then_an_erased_delivery_is_told_as_it_is_told_now(found: World, message: str) -> None:
    """Before the erasure it was graded otherwise; its address is not known again for any time."""
    found.runner.run()
    before = found.ledger.head().size
    erase(found, Erased(message, 0))
    now = found.queries.delivery(TENANT, message, 0)
    then = Past(found.queries, AsOf(position=before, rules="today")).delivery(TENANT, message, 0)
    last = Past(found.queries, AsOf(position=found.ledger.head().size, rules="today")).delivery(TENANT, message, 0)
    assert (now.status, now.evidence, now.reasons) == (last.status, last.evidence, last.reasons)
    assert "erased" not in [missing.what for missing in then.evidence.missing]
    assert AddressView() == then.address == last.address == now.address
    happened = Past(found.queries, AsOf(occurred_at=START.isoformat(), rules="today")).delivery(TENANT, message, 0)
    assert "erased" in [missing.what for missing in happened.evidence.missing]
    other = Past(found.queries, AsOf(rules="today")).delivery(TENANT, message, 1)
    assert "erased" not in [missing.what for missing in other.evidence.missing]


def test_reading_again_passes_over_what_is_erased(found: World, message: str) -> None:
    """Of an original that is gone nothing is read, and nothing is said of it as of a fault."""
    erase(found, Erased(message))
    size = found.ledger.head().size
    report = Reinterpreter(found.ledger, found.intake, found.lanes, found.queries, found.runner, TENANT).run()
    assert [] == report.problems
    assert (0, size) == (report.changed, found.ledger.head().size)
    assert [] == fsck.check(found.ledger).problems


def test_what_is_written_by_hand_is_refused_for_the_erased(found: World, message: str) -> None:
    """No key is made again for a person's note."""
    erase(found, Erased(message))
    with pytest.raises(ErasedError):
        found.ledger.person_key(message, -1)
    assert [] == admit(found, report(ANNA, DELIVERED, 5, "doc-1"))
