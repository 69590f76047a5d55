"""People by a part of their address: only where allowed, in a narrowed range, and everybody knows who did it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import partial, safeguards
from adapters.partial import MAX_FOUND, PartialSearchError, contains
from adapters.safeguards import Safeguards
from adapters.strictjson import InvalidError
from ledger.observations import Address
from ledger.streams import Registration
from ops.system import System
from projections.queries import Filters
from tests.adapters.conftest import TENANT, Api
from tests.ledger.erasable import erase

HERE = Filters(account="sms")
ANNA, BERT, CLARA = "anna.jansen@example.org", "bert.jansen@example.org", "clara@example.net"


def allow(system: System, *, is_on: bool = True) -> None:
    safeguards.put(system.accounts, TENANT, Safeguards(partial_search=is_on).numbers(), "the board", "key_officer")
    system.runner.run()


def send(
    system: System, *values: str, tenant: str = TENANT, account: str = "sms", protected: tuple[str, ...] = ()
) -> str:
    """One message to these addresses."""
    kinds = {True: "email", False: "phone"}
    people = {value: Address(kinds["@" in value], value) for value in values}
    registration = Registration(
        account=account,
        provider="kpn_sms",
        recipients=tuple(people.values()),
        protected=tuple(people[value] for value in protected),
        texts={"subject": "jansen in the subject is no address"},
    )
    message = system.intake.register(tenant, registration, {"arrival": "api"}).message
    system.runner.run()
    return message


def found(system: System, part: str, filters: Filters = HERE, **more: Any) -> list[str]:
    """The addresses found on one page."""
    return [each.address.address for each in partial.find(system.queries, TENANT, part, filters, **more).deliveries]


def test_it_is_off_until_the_organisation_allows_it(system: System) -> None:
    """And off again when that is taken back; what others allow does not count."""
    send(system, ANNA)
    safeguards.put(system.accounts, "other", Safeguards(partial_search=True).numbers(), "theirs", "key_other")
    with pytest.raises(PartialSearchError):
        found(system, "jansen")
    allow(system)
    assert [ANNA] == found(system, "jansen")
    allow(system, is_on=False)
    with pytest.raises(PartialSearchError):
        found(system, "jansen")


def test_only_addresses_of_the_organisation_in_the_range_are_found(system: System) -> None:
    """Newest message first; another account, another organisation and a subject are not looked into."""
    allow(system)
    send(system, ANNA, CLARA)
    send(system, BERT)
    send(system, "dora.jansen@example.org", account="fax")
    send(system, "emma.jansen@example.org", tenant="other")
    assert [BERT, ANNA] == found(system, "Jansen")
    assert [] == found(system, "jansen", Filters(account="unknown"))
    assert [CLARA] == found(system, "@example.net", Filters(since="2020-01-01"))


@pytest.mark.parametrize("part", ["ab", " a b ", "\u3000ab", "", "  "])
def test_too_little_finds_nobody(system: System, part: str) -> None:
    """It would be in every other address."""
    allow(system)
    with pytest.raises(InvalidError, match="at least 3 characters"):
        found(system, part)


@pytest.mark.parametrize(
    "filters", [Filters(), Filters(provider="kpn_sms"), Filters(status="delivered"), Filters(until="2030-01-01")]
)
def test_without_a_narrowing_filter_nothing_is_opened(system: System, filters: Filters) -> None:
    """What fits nearly everything narrows nothing."""
    allow(system)
    with pytest.raises(InvalidError, match="narrow the search"):
        found(system, "jansen", filters)


@pytest.mark.parametrize(
    ("address", "part", "is_in"),
    [
        (Address("email", "Anna.Jansen@Example.org"), "JANSEN", True),
        (Address("email", "Anna.Jansen@Example.org"), "jansen@exa", True),
        (Address("email", "Anna.Jansen@Example.org"), "jensen", False),
        (Address("email", "a@b\u00fccher.example"), "B\u00dcCHER", True),
        (Address("email", "a@b\u00fccher.example"), "xn--bcher", True),
        (Address("phone", "06-12 34 56 78"), "0612345", True),
        (Address("phone", "06-12 34 56 78"), "3161234", True),
        (Address("phone", "+31612345678"), "06 1234 5678", True),
        (Address("phone", "+31612345678"), "345 67", True),
        (Address("phone", "+31612345678"), "000", False),
        (Address("phone", "+31612345678"), "kpn 345", False),
        (Address("phone", "070-174 06 05", "SE"), "4670174", True),
        (Address("postal", "Anna Jansen\nDam 1\n1012 AB Amsterdam"), "1012ab", True),
    ],
)
def test_what_an_address_contains(address: Address, part: str, is_in: bool) -> None:  # noqa: FBT001  a column of the table
    """As given and in its normal form, without case and white space; of a number the digits, however it was written."""
    assert is_in == contains(address, part)


def test_the_erased_and_the_protected_are_never_found(system: System) -> None:
    """The others of their messages are; who may see protected identities finds those, too."""
    allow(system)
    message = send(system, ANNA, BERT)
    send(system, "dora.jansen@example.org", CLARA, protected=("dora.jansen@example.org",))
    erase(system.ledger, message, 1)
    system.runner.run()
    assert [ANNA] == found(system, "jansen")
    seeing = system.queries.seeing_protected()
    page = partial.find(seeing, TENANT, "jansen", HERE)
    assert ["dora.jansen@example.org", ANNA] == [each.address.address for each in page.deliveries]


def test_a_page_opens_a_bounded_number_and_the_next_goes_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out and nothing comes twice, wherever pages end."""
    monkeypatch.setattr(partial, "AT_A_TIME", 7)
    monkeypatch.setattr(partial, "ROUNDS", 2)
    allow(system)
    everybody = [f"{'jansen' if number % 3 == 0 else 'smit'}.{number}@example.org" for number in range(40)]
    for start in range(0, 40, 8):
        send(system, *everybody[start : start + 8])
    expected = {each for each in everybody if "jansen" in each}
    for limit in (1, 2, 5, MAX_FOUND):
        seen: list[str] = []
        cursor, pages = "", 0
        while True:
            page = partial.find(system.queries, TENANT, "jansen", HERE, cursor, limit)
            assert page.looked <= 14
            assert len(page.deliveries) <= limit
            seen += [each.address.address for each in page.deliveries]
            pages, cursor = pages + 1, page.next
            if not cursor:
                break
        assert sorted(expected) == sorted(seen)
        assert pages >= 3


async def test_each_page_is_recorded_before_it_is_shown(api: Api) -> None:
    """Who, why, how many addresses were opened and whose messages were shown; what was searched for stands nowhere."""
    api.account()
    allow(api.system)
    message = send(api.system, ANNA, CLARA)
    asked = {"contains": "jansen", "account": "sms"}
    reply = await api.call("POST /v1/search/containing", json=asked, headers={"Access-Reason": "complaint 17"})
    assert (200, [ANNA], 2) == (
        reply.status,
        [each["address"]["address"] for each in reply.json["deliveries"]],
        reply.json["looked"],
    )
    (event,) = api.events("access.recorded")
    assert ("access.partial", {"looked": 2, "found": 1}, [message]) == tuple(
        event.fields[name] for name in ("rule", "numbers", "streams")
    )
    assert event.fields["actor"].startswith("key_")
    assert {"note": "complaint 17"} == api.system.ledger.values([event])[event.position]
    empty = await api.call("POST /v1/search/containing", json={**asked, "contains": "nobody"})
    assert (200, []) == (empty.status, empty.json["deliveries"])
    assert {"looked": 2, "found": 0} == api.events("access.recorded")[-1].fields["numbers"]


async def test_it_is_refused_with_what_to_do(sqlite_api: Api) -> None:
    """403 while it is off; 422 for what it cannot take; nothing was opened, so nothing is recorded."""
    sqlite_api.account()
    where, asked = "POST /v1/search/containing", {"contains": "jansen", "account": "sms"}
    refused = await sqlite_api.call(where, json=asked)
    assert (403, "partial-search") == (refused.status, refused.type)
    allow(sqlite_api.system)
    for wrong in ({"contains": "ja"}, {"contains": "jansen", "account": None}, {"limit": 101}, {"cursor": "x"}):
        reply = await sqlite_api.call(where, json={**asked, **wrong})
        assert (422, "invalid") == (reply.status, reply.type), wrong
    assert 403 == (await sqlite_api.call(where, json=asked, scopes=("ingest",))).status
    assert [] == sqlite_api.events("access.recorded")
