"""What is seen at a glance is what `delivery`, `message` and `search` say."""

from __future__ import annotations

from contextlib import suppress

from ledger.errors import NotFoundError
from ledger.observations import Address, Reference
from ledger.streams import Registration
from projections.queries import FEW, Filters
from projections.views import DeliveryView, MessageView
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


def _message(world: World, tenant: str, message: str) -> MessageView | None:
    with suppress(NotFoundError):
        return world.queries.message(tenant, message)
    return None


def test_messages_at_a_glance_are_what_they_are_one_by_one(found: World) -> None:
    """Of every story; what is joined, or has many recipients, is left to `message`."""
    tell(found, *(story.name for story in telling.stories()), look=False)
    people = tuple(Address("phone", f"+316123400{index:02}") for index in range(FEW + 1))
    many = Registration(account="sms-1", provider="kpn_sms", recipients=people)
    left = {found.intake.register(TENANT, many, SENT).message, NOBODYS}
    found.runner.run()
    rows = found.ledger.database.read("SELECT message, joined_into FROM read_messages ORDER BY message")
    told = {str(message): _message(found, TENANT, str(message)) for message, _ in rows} | {NOBODYS: None}
    left |= {str(message) for message, into in rows if into}
    left |= {view.message for view in told.values() if view and view.joined}
    assert any(view and view.references and view.deliveries for view in told.values())
    expected = [None if message in left else view for message, view in told.items()]
    assert 1 < sum(view is not None for view in expected)
    assert expected == found.queries.glance_messages(TENANT, [*told])
    assert [None] * len(told) == found.queries.glance_messages("other", [*told])


def test_references_at_a_glance_find_what_a_search_finds(found: World) -> None:
    """Whatever they name; where the page does not hold all of it, `search` is to be asked."""
    tell(found, *(story.name for story in telling.stories()), look=False)
    shared = (Reference("own_reference", "of many", exclusive=False),)
    people = (Address("phone", "+31612340001"), Address("phone", "+31612340002"))
    several = Registration(account="sms-1", provider="kpn_sms", recipients=people, references=shared)
    for _ in range(3):
        found.intake.register(TENANT, several, SENT)
    found.runner.run()
    messages = [str(m) for (m,) in found.ledger.database.read("SELECT message FROM read_messages ORDER BY message")]
    views = [view for view in (_message(found, TENANT, message) for message in messages) if view]
    values = dict.fromkeys(str(each["value"]) for view in views for each in view.references)
    asked = [(value, 50) for value in (*values, "of many", "named by nobody", " ")]
    expected = [found.queries.search(TENANT, Filters(reference=value), limit=limit) for value, limit in asked]
    assert 6 == len(expected[-3].deliveries)
    assert expected == found.queries.glance_references(TENANT, asked)
    assert {()} == {page.deliveries for page in found.queries.glance_references("other", asked) if page}
    assert [None, expected[-3]] == found.queries.glance_references(TENANT, [("of many", 5), ("of many", 6)])


def test_a_glance_at_messages_and_references_shows_nobody_who_is_protected(found: World) -> None:
    """A message in which somebody is hidden is left to `message`; who may see them sees them."""
    people = (Address("phone", "+31612340001"), Address("phone", "+31612340002"))
    shared = (Reference("own_reference", "case 7", exclusive=False),)
    sent = Registration(account="sms-1", provider="kpn_sms", recipients=people, references=shared, protected=people[1:])
    message = found.intake.register(TENANT, sent, SENT).message
    found.runner.run()
    everybody = found.queries.seeing_protected()
    assert [None] == found.queries.glance_messages(TENANT, [message])
    assert [everybody.message(TENANT, message)] == everybody.glance_messages(TENANT, [message])
    searched = Filters(reference="case 7")
    for queries, count in ((found.queries, 1), (everybody, 2)):
        (page,) = queries.glance_references(TENANT, [("case 7", 50)])
        assert queries.search(TENANT, searched) == page
        assert page is not None
        assert count == len(page.deliveries)


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
