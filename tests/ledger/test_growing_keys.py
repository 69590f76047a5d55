"""Keys that are indexed begin with time where that follows from what they stand for, so that a large log costs no more than a small one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.receiving import read
from ledger.decision import Outcome
from ledger.names import SAME_BODY_DAYS, Names, Reading
from ledger.observations import Arrival, ArrivalKind
from ledger.sealing import undated
from tests.postgres import Database
from tests.world import TENANT, World
from tests.world import world as opened_world

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
REPORT = b'{"DLRID": "doc-1", "RecipientPhonenumber": "+31610000010", "StatusDateTime": 1772355600, "Status": "1"}'


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger of its own, on each kind of database."""
    with opened_world(database.url, tmp_path) as found:
        yield found


def _came(at: datetime, kind: ArrivalKind = ArrivalKind.WEBHOOK) -> Reading:
    arrival = Arrival(
        provider="kpn_sms", account="sms", operation="webhook.dlr", kind=kind, observed_at=at, body=REPORT
    )
    return read(TENANT, arrival)


def _took(world: World, reading: Reading) -> Outcome:
    (outcome,) = world.intake.admit([reading])
    assert isinstance(outcome, Outcome)
    return outcome


def test_ids_of_keys_begin_with_time(world: World) -> None:
    """Those made later come after all that were made before, so new rows lie together at the end of their index."""
    made = [world.ledger.new_key("message", person)[0].key_id for person in range(50)]
    assert sorted(set(made)) == made


@pytest.mark.parametrize("kind", [ArrivalKind.WEBHOOK, ArrivalKind.POLL])
def test_keys_of_bytes_lie_where_their_time_is(world: World, kind: ArrivalKind) -> None:
    """What came weeks later sorts after, whatever its bytes."""
    keys = [Names(world.ledger, _came(NOW + timedelta(weeks=week), kind)).body_keys[0][:2] for week in range(5)]
    assert sorted(set(keys)) == keys


def test_the_same_bytes_are_known_for_three_days_and_not_for_ever(world: World) -> None:
    """The key written on any day is among those asked for on each of the next days."""
    for start in range(SAME_BODY_DAYS):
        first = NOW + timedelta(days=start)
        written = Names(world.ledger, _came(first)).body_keys[0]
        known = [written in Names(world.ledger, _came(first + timedelta(days=days))).body_keys for days in range(8)]
        assert [True] * (SAME_BODY_DAYS + 1) == known[: SAME_BODY_DAYS + 1]
        assert [False] * 2 == known[2 * SAME_BODY_DAYS :]


def test_bytes_that_an_earlier_version_stored_are_known_when_they_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote their key without a day; the report told again changes nothing and keeps no copy."""
    ledger, names = world.ledger, Names(world.ledger, _came(NOW))
    body_key = names.body_keys[0]
    with monkeypatch.context() as before:
        before.setattr(Names, "_body_keys", lambda _: names.undated_body_keys)
        assert 1 == len(_took(world, _came(NOW)).facts)
    assert {undated(body_key)} == ledger.known([body_key, undated(body_key)]).keys()
    size = ledger.head().size
    again = _took(world, _came(NOW))
    assert (1, 0, size) == (again.seen, again.copies, ledger.head().size)
