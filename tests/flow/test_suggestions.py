"""To which messages a waiting item may belong: what speaks for each is said, counted, and of one organisation only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import suggestions
from adapters.suggestions import REASONS, Suggestion, Suggestions, suggest
from ledger.errors import NotFoundError
from ledger.observations import Address, Arrival, ArrivalKind, Reference
from ledger.streams import Registration
from projections.rules import Status
from tests.flow.desk import DELIVERED, START, admit, report, send, waiting
from tests.postgres import Database
from tests.world import TENANT, World, world

PHONE, OTHER = "31612340001", "31612340002"
MAIL = "ans@example.org"


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger with two accounts, on each kind of database."""
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "sms", "kpn_sms")
        opened.accounts.add(TENANT, "mail", "pec_mailbox")
        yield opened


@pytest.fixture(autouse=True)
def _same_day(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger hears of everything on the day of the tests, as far as suggestions look at that."""
    span = (found.ledger.clock() - START) * 2
    monkeypatch.setattr(suggestions, "BEFORE", span)
    monkeypatch.setattr(suggestions, "AFTER", span)


def unreadable(text: str, account: str = "sms") -> Arrival:
    """Bytes that no table of the provider's reads."""
    return Arrival(
        provider="kpn_sms",
        account=account,
        operation="webhook.dlr",
        kind=ArrivalKind.WEBHOOK,
        observed_at=START,
        body=text.encode(),
    )


def suggested(world: World, item: str, **asked: Any) -> Suggestions:
    world.runner.run()
    return suggest(world.lanes, TENANT, item, **asked)


def because(one: Suggestion) -> set[str]:
    return {reason.reason for reason in one.reasons}


def test_the_only_open_delivery_to_an_address_comes_first(found: World) -> None:
    """Before one to the same number that has its end, and before messages to others; each says why, and the points add up."""
    ended, still, elsewhere = (
        send(found, "doc-1", PHONE),
        send(found, "doc-2", OTHER, PHONE),
        send(found, "doc-3", OTHER),
    )
    admit(found, report(PHONE, DELIVERED, 1, "doc-1"))
    item = waiting(found, report("0612340001", DELIVERED, 5))
    told = suggested(found, item)
    assert [still, ended, elsewhere] == [each.message for each in told.suggestions]
    first, second, last = told.suggestions
    assert (1, "pending", "sms") == (first.recipient, first.status, first.account)
    assert {"address.same", "address.only_open", "delivery.open", "account.same"} == because(first)
    assert {"address.same", "account.same"} == because(second)
    assert "address.same" not in because(last)
    assert all(each.score == min(100, sum(r.points for r in each.reasons)) for each in told.suggestions)
    assert {"addresses": 1} == told.clues


def test_two_open_deliveries_to_an_address_are_told_apart_by_nothing(found: World) -> None:
    """Neither is the only one; the newer comes first."""
    older, newer = (send(found, f"doc-{n}", PHONE) for n in (1, 2))
    told = suggested(found, waiting(found, report(PHONE, DELIVERED, 5))).suggestions
    assert [newer, older] == [each.message for each in told]
    assert {False} == {"address.only_open" in because(each) for each in told}
    assert 1 == len({each.score for each in told})


def test_names_are_recognised_in_bytes_that_nobody_can_read(found: World) -> None:
    """A reference, a number, an address: each finds its message."""
    own = (Reference("own_reference", "case-2026-0077", exclusive=False),)
    by_name = send(found, "doc-1", OTHER, references=own)
    by_number, other = send(found, "doc-2", PHONE), send(found, "doc-3", "31612349999")
    item = waiting(found, unreadable(f"<<< ref case-2026-0077; to +{PHONE} >>>"))
    told = suggested(found, item).suggestions
    assert {by_name: "reference.same", by_number: "address.same"} == {
        each.message: next(iter(because(each) & {"reference.same", "address.same"})) for each in told[:2]
    }
    assert other == told[2].message


def test_what_is_much_alike_speaks_for_a_message_too(found: World) -> None:
    """A mistyped own reference, and a number without its beginning."""
    own = (Reference("own_reference", "case-2026-0077", exclusive=False),)
    named = send(found, "doc-1", OTHER, references=own)
    numbered = send(found, "doc-2", PHONE)
    told = suggested(found, waiting(found, unreadable("ref case-2026-0078 to 612340001 !")))
    why = {each.message: because(each) for each in told.suggestions}
    assert "reference.similar" in why[named]
    assert "address.similar" in why[numbered]


def test_a_message_that_was_joined_is_suggested_under_its_teller(found: World) -> None:
    """One story is one suggestion."""
    admit(found, report(PHONE, DELIVERED, 1, "doc-1"))
    message = send(found, "doc-1", PHONE)
    told = suggested(found, waiting(found, report(PHONE, DELIVERED, 5))).suggestions
    assert [message] == [each.message for each in told]


def test_what_was_claimed_once_is_no_message_to_claim_for(found: World) -> None:
    """An item given back is not suggested to itself, or to another."""
    message = send(found, "doc-1", PHONE)
    items = [waiting(found, report(PHONE, DELIVERED, minute)) for minute in (5, 6)]
    found.lanes.claim(TENANT, items[0], message, "note")
    found.lanes.unclaim(TENANT, items[0], "note")
    assert [[message]] * 2 == [[each.message for each in suggested(found, item).suggestions] for item in items]


def test_another_organisations_messages_are_never_suggested(found: World) -> None:
    """Neither by name nor by time; and its items are not there."""
    found.accounts.add("other", "sms", "kpn_sms")
    theirs = send(found, "doc-1", PHONE, tenant="other")
    item = waiting(found, report(PHONE, DELIVERED, 5))
    assert () == suggested(found, item).suggestions
    mine = send(found, "doc-2", OTHER)
    assert [mine] == [each.message for each in suggested(found, item).suggestions]
    with pytest.raises(NotFoundError):
        suggest(found.lanes, "other", item)
    hers = waiting(found, report(PHONE, DELIVERED, 6), "other")
    found.runner.run()
    assert [theirs] == [each.message for each in suggest(found.lanes, "other", hers).suggestions]


def test_other_accounts_count_less(found: World) -> None:
    """The same person may be reached through several."""
    registration = Registration(account="mail", provider="pec_mailbox", recipients=(Address("phone", PHONE),))
    found.intake.register(TENANT, registration, {"arrival": "api"}, ("m", "m"))
    mine = send(found, "doc-1", PHONE)
    first, second = suggested(found, waiting(found, report(PHONE, DELIVERED, 5))).suggestions
    assert (mine, "mail") == (first.message, second.account)
    assert REASONS["account.same"][0] == first.score - second.score


def test_only_so_much_is_looked_at(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many messages to one number the newest, of many names the first; the answer is as long as was asked."""
    monkeypatch.setattr(suggestions, "LOOKUPS", 2)
    monkeypatch.setattr(suggestions, "NEAR", 1)
    messages = [send(found, f"doc-{n}", PHONE) for n in range(5)]
    item = waiting(found, report(PHONE, DELIVERED, 5))
    assert messages[:2:-1] == [each.message for each in suggested(found, item).suggestions]
    assert messages[:3:-1] == [each.message for each in suggested(found, item, limit=1).suggestions]


@pytest.mark.parametrize("body", ["", "\x00" * 5_000, "9" * 100_000, "@" * 5_000, "a@" * 5_000, "é" * 70_000])
def test_hostile_bytes_suggest_what_they_name_and_nothing_breaks(found: World, body: str) -> None:
    """They name nobody; what is near in time is left."""
    message = send(found, "doc-1", PHONE)
    told = suggested(found, waiting(found, unreadable(body))).suggestions
    assert [(message, str(Status.PENDING))] == [(each.message, each.status) for each in told]
    assert not because(told[0]) & {"reference.same", "address.same"}
