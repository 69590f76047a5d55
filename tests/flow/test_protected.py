"""Whose identity is protected is nowhere to be seen: in no list, count, trail, value, original or pack, unless who may asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters import protecting
from ledger.errors import NotFoundError
from ledger.observations import Address, Reference
from ledger.streams import Registration
from projections.asof import AsOf, Past
from projections.queries import Filters
from projections.status import StatusModel
from tests.postgres import Database
from tests.world import TENANT, World, world

AT = datetime(2026, 7, 20, 10, tzinfo=UTC)
ANNA, BO, CAI = (Address("email", f"{name}@post.example") for name in ("anna.hemlig", "bo", "cai"))
OTHER = "other"


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    """An empty ledger; the test runs on each kind of database."""
    with world(database.url, tmp_path) as opened:
        yield opened


def registered(found: World, *recipients: Address, protected: tuple[Address, ...] = (), **more: Any) -> str:
    """A registered send; the read models are up to date."""
    registration = Registration(
        account="pec", provider="pec_mailbox", recipients=recipients, protected=protected, **more
    )
    message = found.intake.register(TENANT, registration, {"arrival": "api"}).message
    found.runner.run()
    return message


def seen(found: World, **filters: str) -> list[tuple[str, int]]:
    page = found.queries.search(TENANT, Filters(**filters))
    return [(view.message, view.recipient) for view in page.deliveries]


def types(found: World, message: str) -> list[str]:
    return [event.type for event in found.ledger.stream(message)]


def test_a_recipient_who_is_registered_as_protected_is_in_no_list(found: World) -> None:
    """By address, by label, by reference, and where nothing is asked."""
    reference = Reference("own_reference", "claim-7", exclusive=False)
    message = registered(found, ANNA, BO, protected=(ANNA,), labels=("case-7",), references=(reference,))
    others = [(message, 1)]
    assert [[], others, others, others, others] == [
        seen(found, recipient=ANNA.value),
        seen(found, recipient=BO.value),
        seen(found, label="case-7"),
        seen(found, reference="claim-7"),
        seen(found),
    ]
    assert [] == seen(found, mark="protected")


def test_a_message_of_several_shows_the_others(found: World) -> None:
    """Its counts, deliveries, values and trail are those of the others; by index the protected one is not there."""
    message = registered(found, ANNA, BO, protected=(ANNA,), texts={"subject": "To bo", "sender": f"for {ANNA.value}"})
    view, trail = found.queries.message(TENANT, message), found.queries.trail(TENANT, message)
    assert ({"pending": 1}, [1], {"subject": "To bo"}) == (
        view.statuses,
        [delivery.recipient for delivery in view.deliveries],
        view.values,
    )
    assert ANNA.value not in repr((view, trail))
    assert BO.value in repr(trail)
    for answering in (found.queries, Past(found.queries, AsOf(position=found.queries.position()))):
        with pytest.raises(NotFoundError):
            answering.delivery(TENANT, message, 0)


def test_a_message_to_protected_people_alone_is_not_there(found: World) -> None:
    """Neither now nor as of then, and in the same words as one that never was."""
    message = registered(found, ANNA, protected=(ANNA,))
    never = "0" * 8 + message[8:]
    past = Past(found.queries, AsOf(position=found.queries.position()))
    for answering in (found.queries, past):
        for ask in (answering.message, answering.trail):
            with pytest.raises(NotFoundError) as why:
                ask(TENANT, message)
            assert f"there is no message {message}" == str(why.value)
            with pytest.raises(NotFoundError, match=f"there is no message {never}"):
                ask(TENANT, never)
        assert () == answering.search(TENANT, Filters()).deliveries


def test_who_may_see_them_sees_them_all(found: World) -> None:
    """Opened otherwise, everything is there."""
    message = registered(found, ANNA, BO, protected=(ANNA,))
    queries = found.queries.seeing_protected()
    assert [ANNA.value, BO.value] == [each.address.address for each in queries.message(TENANT, message).deliveries]
    assert [(message, 0)] == [
        (view.message, view.recipient) for view in queries.search(TENANT, Filters(mark="protected")).deliveries
    ]
    assert ANNA.value in repr(queries.trail(TENANT, message))
    with queries.snapshot() as snapshot:
        assert ANNA.value == snapshot.delivery(TENANT, message, 0).address.address


def test_what_is_sent_to_a_protected_address_later_is_protected_too(found: World) -> None:
    """In any spelling of the address; of the same tenant only."""
    registered(found, ANNA, protected=(ANNA,))
    message = registered(found, BO, Address("email", ANNA.value.upper()))
    assert [(message, 0)] == seen(found)
    assert 1 == types(found, message).count("recipient.protected")


def test_protection_by_hand_holds_for_every_delivery_to_the_address(found: World) -> None:
    """Earlier and later ones; the reason is nobody's to read, and doing it again changes nothing."""
    earlier, message = registered(found, ANNA, BO), registered(found, ANNA)
    assert 2 == protecting.protect(found.queries, TENANT, (message, 0), "the register says so", "key_1")
    assert 0 == protecting.protect(found.queries, TENANT, (message, 0), "again")
    later = registered(found, ANNA, CAI)
    assert [(later, 1), (earlier, 1)] == seen(found)
    assert "the register says so" not in repr(found.queries.trail(TENANT, earlier))


def test_protection_can_be_taken_back_and_said_again(found: World) -> None:
    """Each holds for what is sent later, as often as it is said."""
    message = registered(found, ANNA)
    for _ in range(2):
        assert 1 <= protecting.protect(found.queries, TENANT, (message, 0), "moved")
        found.runner.run()
        assert [] == seen(found, recipient=ANNA.value)
        hidden = registered(found, ANNA)
        assert (hidden, 0) not in seen(found)
        assert 2 <= protecting.unprotect(found.queries, TENANT, (message, 0), "moved back")
        found.runner.run()
        shown = registered(found, ANNA)
        assert {(message, 0), (hidden, 0), (shown, 0)} <= set(seen(found, recipient=ANNA.value))


def test_what_came_before_an_address_was_protected_is_protected_in_a_while(found: World) -> None:
    """Whatever came first, the same is hidden in the end."""
    earlier = registered(found, ANNA, BO)
    registered(found, ANNA, protected=(ANNA,))
    assert (earlier, 0) in seen(found)
    assert (1, 0) == (protecting.spread(found.queries), protecting.spread(found.queries) if found.runner.run() else 0)
    found.runner.run()
    assert [(earlier, 1)] == seen(found)


def test_rebuilding_the_read_model_gives_the_same(found: World) -> None:
    """Protection is in the log."""
    message = registered(found, ANNA, BO, protected=(ANNA,))
    protecting.protect(found.queries, TENANT, (message, 1), "too")
    found.runner.run()
    rebuilt = found.runner.rebuild(next(m for m in found.runner.models if isinstance(m, StatusModel)))
    assert {0} == set(rebuilt.differences.values())
    assert [] == seen(found)
