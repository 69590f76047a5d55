"""National numbers belong to the country of their account: from the send to the receipt, the search and the hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import keeping, sending
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Subject
from adapters.providers import registry
from adapters.providers.calling import Submission
from adapters.providers.kpn_sms.client import CLIENT, number
from adapters.strictjson import InvalidError
from ledger import regions
from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Observation, ProviderTime, Reference, ZoneBasis
from ledger.sealing import unseal_artifact
from ledger.streams import WHOLE_MESSAGE, Registration
from ops.system import System
from projections.queries import Filters
from tests.flow.officer import TENANT as OFFICE
from tests.flow.officer import erase, eraser, messages, said, system
from tests.postgres import Database
from tests.world import TENANT, World, world

__all__ = ["eraser", "system"]  # fixtures

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AS_GIVEN = "070-174\u00a006 05"
SPELLINGS = ("070-174 06 05", "0701740605", "+46701740605", "0046 70 174 06 05")


@pytest.fixture
def here(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as found:
        found.accounts.add(TENANT, "post", "ekopost")
        found.accounts.add(TENANT, "sms", "kpn_sms")
        yield found


def send(here: World, *values: str, account: str = "post", provider: str = "ekopost", reference: str = "m-1") -> str:
    people = tuple(Address("phone", value) for value in values)
    known = (Reference("sms_id", reference),)
    registration = Registration(account=account, provider=provider, recipients=people, references=known)
    return here.intake.register(TENANT, registration, {"arrival": "api"}).message


def receipt(here: World, value: str, reference: str = "m-1", provider: str = "ekopost", account: str = "post") -> None:
    """That it was delivered to this number."""
    seen = Observation(
        type="content.consigned",
        about="recipient",
        recipient=Address("phone", value),
        references=(Reference("sms_id", reference),),
        occurred=ProviderTime(AT, AT.isoformat(), ZoneBasis.STATED),
        identity=("sms", reference, value),
    )
    arrival = Arrival(
        provider=provider,
        account=account,
        operation="sms",
        kind=ArrivalKind.POLL,
        observed_at=AT,
        body=f"{reference} {value}".encode(),
    )
    (outcome,) = here.intake.admit([Reading(TENANT, arrival, (seen,))])
    assert not isinstance(outcome, Exception), outcome


def found(here: World, value: str, **more: Any) -> set[str]:
    here.runner.run()
    page = here.queries.search(TENANT, Filters(recipient=value, **more))
    return {each.message for each in page.deliveries}


def statuses(here: World) -> dict[str, str]:
    return {each.address.address: each.status for each in here.deliveries()}


def test_a_receipt_in_another_spelling_belongs_to_the_recipient(here: World) -> None:
    """However the number was written when it was sent, and whichever of the two came first."""
    send(here, AS_GIVEN)
    receipt(here, "+46701740605")
    receipt(here, "0701740606", "m-2")
    send(here, "0046 70 174 06 06", reference="m-2")
    assert ["delivered", "delivered"] == [each.status for each in here.deliveries()]


def test_a_number_is_found_in_every_spelling_and_kept_as_it_was_given(here: World) -> None:
    """By whoever does not know in which country it was written; only the value and its region are kept, sealed."""
    message = send(here, AS_GIVEN)
    for spelling in SPELLINGS:
        assert {message} == found(here, spelling), spelling
        assert {message} == found(here, spelling, address_kind="phone"), spelling
    (declared,) = [e for e in here.ledger.stream(message) if e.type == "recipients.declared"]
    kept = here.ledger.values([declared])[declared.position]
    assert {"recipient.0": {"kind": "phone", "address": AS_GIVEN, "region": "SE"}} == kept
    assert AS_GIVEN.encode() not in declared.leaf
    assert b"46701740605" not in declared.leaf


def test_the_same_digits_of_two_countries_are_two_people(here: World) -> None:
    """A receipt for one says nothing of the other; who searches without a country finds both."""
    message = send(here, "0701740605", "+31701740605")
    receipt(here, "+31701740605")
    told = {each.address.address: each.status for each in here.deliveries()}
    assert {"0701740605": "pending", "+31701740605": "delivered"} == told
    other = send(here, "0701740605", account="sms", provider="kpn_sms", reference="m-3")
    assert {message, other} == found(here, "0701740605")
    assert {message} == found(here, "+46701740605")


def test_an_account_may_say_another_region_than_its_provider(here: World) -> None:
    """A setting like others: checked, recorded as an event, and taken back by leaving it out."""
    with pytest.raises(InvalidError, match="two letters"):
        here.accounts.configure(TENANT, "sms", {"region": "Belgium"})
    assert "NL" == regions.of_account(here.ledger, TENANT, "sms", "kpn_sms")
    (changed,) = here.accounts.configure(TENANT, "sms", {"region": "BE"})
    assert ("region", None, "BE") == (changed.name, changed.before, changed.after)
    assert "BE" == regions.of_account(here.ledger, TENANT, "sms", "kpn_sms")
    assert ("BE", "SE") == regions.of_tenant(here.ledger, TENANT)
    message = send(here, "0470 12 34 56", account="sms", provider="kpn_sms")
    assert {message} == found(here, "+32470123456")
    assert () == here.accounts.configure(TENANT, "sms", {"region": "BE"})
    here.accounts.configure(TENANT, "sms", {})
    assert "NL" == regions.of_account(here.ledger, TENANT, "sms", "kpn_sms")
    assert {"region": "NL"}.items() <= here.accounts.settings(TENANT, "sms").defaults.items()


def test_what_was_filed_before_regions_is_found_and_matched(here: World) -> None:
    """Then every national number was read as Dutch; nothing is written again."""
    words = here.ledger.vocabulary
    here.ledger.vocabulary = {name: replace(each, region="") for name, each in words.items()}
    message = send(here, "0701740605")
    here.ledger.vocabulary = words
    receipt(here, "0701740605")
    assert {"0701740605": "delivered"} == statuses(here)
    assert {message} == found(here, "070-174 06 05")


def test_a_hold_covers_a_number_in_every_region(here: World) -> None:
    """What is sent to it later, too."""
    keeping.place(here.accounts, here.queries, TENANT, "recipient", "070-174 06 05", "claim")
    message = send(here, "+46701740605")
    here.runner.run()
    assert 1 == len(keeping.held(here.queries, TENANT, message, 0))


@pytest.mark.parametrize("asked", [each for each in SPELLINGS if each.startswith(("+", "00"))])
def test_whose_number_is_of_another_country_is_erased_by_any_spelling(
    system: System, eraser: Eraser, asked: str
) -> None:
    """And only she: the owner of the same digits in another country keeps what is hers."""
    system.accounts.add(OFFICE, "post", "ekopost")
    people = (Address("phone", AS_GIVEN), Address("phone", "+31701740605"))
    registration = Registration(account="post", provider="ekopost", recipients=people)
    message = system.intake.register(OFFICE, registration, {"arrival": "api"}).message
    assert [message] == list(dict.fromkeys(messages(system, "+46701740605")))
    erase(eraser, asked)
    assert [] == messages(system, "+46701740605")
    assert [message] == messages(system, "+31701740605")
    assert "174\u00a006" not in said(system)


def test_digits_of_two_countries_mean_both_owners(system: System, eraser: Eraser) -> None:
    """Whoever asks without a country is told beforehand how many; then both are erased, each from a message of their own."""
    system.accounts.add(OFFICE, "post", "ekopost")
    for value in (AS_GIVEN, "+31701740605"):
        registration = Registration(account="post", provider="ekopost", recipients=(Address("phone", value),))
        system.intake.register(OFFICE, registration, {"arrival": "api"})
    system.runner.run()
    assert 2 == eraser.preview(OFFICE, Subject(recipient="070-174 06 05")).goes.messages
    erase(eraser, "070-174 06 05")
    assert "174" not in said(system)


def test_what_is_sent_to_is_the_number_that_is_registered(here: World) -> None:
    """The payload keeps the region with the number; one that waits from before regions is still read."""
    submission = Submission(
        message="", recipients=(Address("phone", "0470 12 34 56", "BE"),), requested_at=AT, options={}
    )
    read = sending.decode(sending.encode(submission), CLIENT, "m-1", AT)
    assert submission.recipients == read.recipients
    assert ["+32470123456"] == [number(each) for each in read.recipients]
    earlier = msgspec.msgpack.encode(((("phone", "0612345678"),), "", "", "", "text/plain", (), {}))
    assert (Address("phone", "0612345678"),) == sending.decode(earlier, CLIENT, "m-1", AT).recipients


def test_two_spellings_are_sent_to_once_in_the_region_of_the_account(here: World) -> None:
    """What goes out is what is registered, in the same order."""
    here.accounts.configure(TENANT, "sms", {"region": "BE"})
    here.accounts.set_credentials(TENANT, "sms", dict.fromkeys(CLIENT.secrets, "planted"))
    people = tuple(Address("phone", each) for each in ("0470 12 34 56", "+32470123456", "+31612345678"))
    registration = Registration(account="sms", provider="kpn_sms", recipients=people)
    submission = Submission(message="", recipients=people, text="Hello", requested_at=AT, options={})
    done = sending.dispatch(here.intake, here.accounts, TENANT, registration, submission, clear={"arrival": "api"})
    told = [each.address.address for each in here.deliveries()]
    assert ["0470 12 34 56", "+31612345678"] == told
    ((key_id, sealed),) = here.ledger.database.read("SELECT key_id, sealed FROM outbox")
    key = here.ledger.person_key(done.message, WHOLE_MESSAGE)
    assert bytes(key_id) == key.key_id
    payload = sending.decode(unseal_artifact(key.key, bytes(sealed), done.message.encode()), CLIENT, done.message, AT)
    assert ["+32470123456", "+31612345678"] == [number(each) for each in payload.recipients]


def test_every_provider_says_where_its_numbers_belong() -> None:
    """Who sends or tells of telephone numbers is of some country."""
    assert {
        "ekopost": "SE",
        "kpn_cloud_fax": "NL",
        "kpn_registered_email": "NL",
        "kpn_sms": "NL",
        "pec_mailbox": "IT",
        "pec_massiva": "IT",
    } == {name: provider.region for name, provider in registry().items()}
