"""Reconciliation: the provider's list against ours; every difference waits once, and a cut-off listing claims no more than it saw."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.desk import AccountDesk
from adapters.lanes import StillWaitingError
from adapters.providers import registry
from adapters.providers.calling import Access
from adapters.providers.reconciling import reconcile
from adapters.receiving import read
from ledger.application import pages
from ledger.events import Event
from tests.flow.carrier import PROVIDER, Script, Settings
from tests.flow.test_reinterpret import fax
from tests.postgres import Database
from tests.world import TENANT, World, world

DAY = datetime(2026, 3, 2, tzinfo=UTC)
SENT = datetime(2026, 3, 2, 11, 20, tzinfo=UTC)
FAXES = 5


def job(number: int) -> str:
    return f"20260302-{number:06}"


@pytest.fixture
def w(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger that holds five faxes of one day."""
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "main", "kpn_cloud_fax")
        opened.intake.admit([read(TENANT, fax(number, "Sent")) for number in range(FAXES)])
        opened.runner.run()
        yield opened


@pytest.fixture
def desk(w: World) -> AccountDesk:
    access = Access(settings=Settings(), secrets={}, now=DAY)
    client = PROVIDER.client
    assert client is not None
    calls = Script(w.ledger.clock)
    return AccountDesk(TENANT, "main", registry()["kpn_cloud_fax"], client, access, w.accounts, w.intake, calls)


def completed(w: World) -> list[Event]:
    return [e for e in pages(w.ledger.feed, lambda e: e.position) if e.type == "reconciliation.completed"]


def waiting(w: World) -> list[str]:
    w.runner.run()
    return sorted(item.why for item in w.queries.lanes(TENANT) if item.lane == "difference")


def test_lists_that_agree_leave_nothing_to_do(w: World, desk: AccountDesk) -> None:
    """The same references on both sides: an event with its numbers, and nobody is asked."""
    found = reconcile(desk, "jobid", {job(n): SENT for n in range(FAXES)}, DAY, DAY + timedelta(days=1))
    assert ((), ()) == (found.only_ours, found.only_theirs)
    (event,) = completed(w)
    assert {"ours": 5, "theirs": 5, "both": 5, "only_ours": 0, "only_theirs": 0} == event.fields["numbers"]
    assert [] == waiting(w)


def test_each_difference_waits_once_and_a_dismissed_one_does_not_come_back(w: World, desk: AccountDesk) -> None:
    """One that only the provider has and one that only we have; compared again, nothing more waits."""
    theirs = {job(n): SENT for n in range(1, FAXES)} | {"20260302-000999": SENT}
    for _ in range(2):
        found = reconcile(desk, "jobid", theirs, DAY, DAY + timedelta(days=1))
        assert ((job(0),), ("20260302-000999",)) == (found.only_ours, found.only_theirs)
        assert [
            f"jobid {job(0)}: the ledger holds it, and the provider does not list it",
            "jobid 20260302-000999: the provider lists it, and the ledger holds nothing of it",
        ] == waiting(w)
    assert [[job(0)], [job(0)]] == [said["only_ours"] for said in w.ledger.values(completed(w)).values()]
    assert not any(b"000999" in event.leaf for event in pages(w.ledger.feed, lambda e: e.position))
    for item in w.queries.lanes(TENANT):
        with pytest.raises(StillWaitingError):
            w.lanes.retry(TENANT, item.item, "is there an original?")
        w.lanes.dismiss(TENANT, item.item, "asked the provider")
    reconcile(desk, "jobid", theirs, DAY, DAY + timedelta(days=1))
    assert [] == waiting(w)


def test_what_was_sent_outside_the_time_is_no_difference(w: World, desk: AccountDesk) -> None:
    """Another day's list says nothing about this day's faxes, and what it has of this day is not looked at."""
    theirs = {"20260303-000001": SENT}
    found = reconcile(desk, "jobid", theirs, DAY + timedelta(days=1), DAY + timedelta(days=2))
    assert (0, 0, 0) == (found.ours, found.theirs, found.both)


def test_a_fax_of_another_day_that_the_list_names_is_held_all_the_same(w: World, desk: AccountDesk) -> None:
    """Where the clocks differ, a reference that we hold is never said to be missing."""
    found = reconcile(
        desk, "jobid", {job(0): SENT + timedelta(days=3)}, DAY + timedelta(days=3), DAY + timedelta(days=4)
    )
    assert (1, ()) == (found.both, found.only_theirs)


def test_a_cut_off_listing_claims_only_what_it_saw(w: World, desk: AccountDesk) -> None:
    """Cut off, it is compared from its first to its last entry only; the event says so and which time it was."""
    found = reconcile(desk, "jobid", {job(0): SENT}, DAY, DAY + timedelta(days=1), is_cut=True)
    assert (SENT, SENT, ()) == (found.since, found.until, found.only_ours)
    (event,) = completed(w)
    assert ["listing_cut_off"] == event.fields["notes"]
    assert "2026-03-02T11:20:00.000000Z" == w.ledger.values([event])[event.position]["until"]
    empty = reconcile(desk, "jobid", {}, DAY, DAY + timedelta(days=1), is_cut=True)
    assert (0, ()) == (empty.ours, empty.only_ours)
