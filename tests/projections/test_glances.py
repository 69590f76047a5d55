"""What is seen at a glance is what `delivery` says."""

from __future__ import annotations

from contextlib import suppress

from ledger.errors import NotFoundError
from ledger.observations import Address
from ledger.streams import Registration
from projections.views import DeliveryView
from tests.projections.history import tell
from tests.stories import stories as telling
from tests.world import TENANT, World

NOBODYS = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"
SENT = {"arrival": "api", "actor": "desk"}


def _delivery(world: World, tenant: str, message: str, recipient: int) -> DeliveryView | None:
    with suppress(NotFoundError):
        return world.queries.delivery(tenant, message, recipient)
    return None


def test_a_glance_shows_what_is_asked_for_one_by_one(found: World) -> None:
    """Of every delivery of every story, with address, downtimes and all; a joined message is left to `delivery`."""
    tell(found, *(story.name for story in telling.stories()), look=False)
    found.runner.run()
    rows = found.ledger.database.read("SELECT message, joined_into, recipients FROM read_messages ORDER BY message")
    joined = {str(message) for message, into, _ in rows if into}
    wanted = [(str(message), index) for message, _, recipients in rows for index in range(int(recipients) + 1)]
    expected = [None if whose[0] in joined else _delivery(found, TENANT, *whose) for whose in wanted]
    assert joined
    assert any(view and view.address.address for view in expected)
    assert expected == found.queries.glance(TENANT, wanted)


def test_a_glance_shows_nobody_who_is_protected_and_nothing_of_others(found: World) -> None:
    """Neither does a number that no recipient has, or none could have."""
    people = (Address("phone", "+31612340001"), Address("phone", "+31612340002"))
    sent = Registration(account="sms-1", provider="kpn_sms", recipients=people, protected=people[1:])
    message = found.intake.register(TENANT, sent, SENT).message
    found.runner.run()
    wanted = [(message, 0), (message, 1), (message, 2), (message, -1), (message, 2**60), (NOBODYS, 0)]
    assert [True, *[False] * 5] == [view is not None for view in found.queries.glance(TENANT, wanted)]
    assert [None] * 6 == found.queries.glance("other", wanted)
    everybody = found.queries.seeing_protected().glance(TENANT, wanted[:2])
    assert ["+31612340001", "+31612340002"] == [view.address.address for view in everybody if view]


def test_a_glance_asks_the_database_once_whatever_the_number(
    found: World,
) -> None:
    """Where no account had a downtime."""
    people = tuple(Address("phone", f"+316123400{index:02}") for index in range(20))
    message = found.intake.register(
        TENANT, Registration(account="sms-1", provider="kpn_sms", recipients=people), SENT
    ).message
    found.runner.run()
    asked: list[int] = []

    class Counting:
        kind = found.ledger.database.kind

        def each(self, sql: str, values: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
            asked.append(len(values))
            return found.ledger.database.each(sql, values)

        def probe_pairs(
            self, table: str, columns: str, pair: tuple[str, str], values: list[tuple[object, object]]
        ) -> list[tuple[object, ...]]:
            assert not values
            return found.ledger.database.probe_pairs(table, columns, pair, values)

    queries = type(found.queries)(found.ledger.seen_through(Counting()), found.runner)  # type: ignore[arg-type]  # all that it asks
    assert all(queries.glance(TENANT, [(message, index) for index in range(20)]))
    assert [20] == asked
