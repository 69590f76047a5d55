"""A message through Ekopost from the request to the last evidence, over real HTTP to the sandbox and from its webhook."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.providers.calling import Document
from adapters.providers.ekopost.sandbox import Clock, Fault, Service
from adapters.receiving import read
from ledger.decision import Outcome
from ledger.observations import Address, Arrival, ArrivalKind
from projections.queries import Filters
from tests.adapters.conftest import TENANT, serving
from tests.postgres import Database
from tests.providers.ekopost_office import ACCOUNT, LETTER, SECRET, START, Office, opened, opened_here


@pytest.fixture
def office(sqlite_database: Database, tmp_path: Path) -> Iterator[Office]:
    """A ledger and the sandbox."""
    with opened(sqlite_database, tmp_path) as found:
        yield found


async def test_a_letter_from_the_request_to_the_webhook(database: Database, tmp_path: Path) -> None:
    """Accepted when the campaign is closed, in transit when it is completed; the webhook 46 times is one."""
    async with opened_here(database, tmp_path) as office, serving(office.system) as api:
        message = await asyncio.to_thread(office.send)
        assert ("sent", 1) == (office.state(message), len(office.service.campaigns))
        assert ("accepted", "closed", "E1") == await asyncio.to_thread(office.status, message)
        office.service.advance(hours=8)
        url = f"http://127.0.0.1:{api.port}/v1/hooks/{TENANT}/{ACCOUNT}/webhook"
        assert [200] * 46 == await office.sandbox.deliver(url, SECRET, times=46)
        assert ("in_transit", "completed", "E2") == await asyncio.to_thread(office.status, message)
        size = office.size()
        assert "" == await asyncio.to_thread(office.sweep)
        assert 1 == office.service.times_sent(message)
        again = office.size()
        assert "" == await asyncio.to_thread(office.sweep)
        assert (True, again) == (again >= size, office.size())


def test_the_chain_is_campaign_envelope_content_close_close(office: Office) -> None:
    """In this order, each once."""
    office.send(documents=(LETTER, LETTER))
    inside = "POST /campaigns/*/envelopes"
    content = f"{inside}/*/content"
    assert [
        "POST /campaigns",
        inside,
        content,
        content,
        f"{inside}/*/close",
        "POST /campaigns/*/close",
    ] == office.sandbox.calls


CALLS = (
    "POST /campaigns",
    "POST /campaigns/*/envelopes",
    "POST /campaigns/*/envelopes/*/content",
    "POST /campaigns/*/envelopes/*/close",
    "POST /campaigns/*/close",
)


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "garbage", "status"])
@pytest.mark.parametrize("call", CALLS)
def test_whatever_call_is_lost_one_letter_is_printed(office: Office, call: str, kind: str) -> None:
    """A lost answer at any step ends in one letter, without anybody's help."""
    office.sandbox.faults.add(call, Fault(kind=kind))  # type: ignore[arg-type]
    message = office.send()
    for _ in range(4):
        office.later(minutes=6)
    assert "sent" == office.state(message)
    office.later(hours=8)
    assert 1 == office.service.times_sent(message)
    office.sweep()
    assert ("in_transit", "E2") == office.status(message)[::2]


KINDS = ("cut_before", "cut_after", "garbage", "status", "redirect")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_goes_wrong_however_often_at_most_one_letter_is_printed(office: Office, seed: int) -> None:
    """Many faults at many calls, looking included: when Ekopost works again there is one letter, and no second call for it."""
    draw = random.Random(seed)  # noqa: S311  repeatable on purpose
    asking = ("GET /campaigns/*", "GET /campaigns/*/envelopes", "GET /campaigns/*/envelopes/*")
    for call in (*CALLS, *asking):
        for _ in range(draw.randrange(4)):
            office.sandbox.faults.add(call, Fault(draw.choice(KINDS), draw.choice((429, 500, 503))))  # type: ignore[arg-type]
    messages = [office.send(), office.send(campaign="Mars")]
    for _ in range(30):
        office.later(minutes=30)
        assert max(office.service.times_sent(message) for message in messages) <= 1
    office.later(days=3)
    office.later(hours=8)
    assert [("sent", 1)] * 2 == [(office.state(m), office.service.times_sent(m)) for m in messages]
    office.sandbox.faults.clear()
    office.sweep()
    assert ["in_transit"] * 2 == [office.status(message)[0] for message in messages]


@pytest.mark.parametrize("dies_at", range(1, 6))
def test_a_send_that_is_killed_at_any_answer_goes_on_and_prints_one_letter(office: Office, dies_at: int) -> None:
    """The answer to one call is lost with the process; what follows is done by the next one."""
    admit, left = office.system.intake.admit, [dies_at]

    def dying(readings: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return admit(readings)

    office.system.intake.admit = dying  # type: ignore[method-assign]
    message = office.ask()
    with pytest.raises(KeyboardInterrupt):
        office.outbox.turn(office.outbox.row(TENANT, message))
    office.system.intake.admit = admit  # type: ignore[method-assign]
    for _ in range(4):
        office.later(minutes=6)
    office.later(hours=8)
    assert ("sent", 1) == (office.state(message), office.service.times_sent(message))


# --- what cannot be sent now, or at all


def test_a_refused_document_is_the_end_and_nothing_is_printed(office: Office) -> None:
    """105: no address in it. The campaign stays open, so its envelope is never produced."""
    message = office.send(documents=(Document("brev.pdf", "application/pdf", b"%PDF-1.4 utan adress"),))
    office.later(days=2)
    assert ("refused", 0) == (office.state(message), office.service.times_sent(message))
    assert ("failed", "E1") == office.status(message)[::2]


@pytest.mark.parametrize(
    ("call", "fault", "due_at"),
    [
        (CALLS[4], Fault("status", 400, "113"), "2026-03-31T22:00:00.000000Z"),
        (CALLS[2], Fault("status", 400, "143"), "2026-03-02T23:00:00.000000Z"),
        (CALLS[0], Fault("status", 429), "2026-03-02T09:00:07"),
        (CALLS[1], Fault("status", 503), "2026-03-02T09:01:00.000000Z"),
        (CALLS[3], Fault("status", 400, "0"), "2026-03-02T10:00:00.000000Z"),
    ],
)
def test_a_limit_is_waited_for_until_its_own_period_ends(office: Office, call: str, fault: Fault, due_at: str) -> None:
    """The month and the day of Stockholm, the Retry-After of 429, an hour for credentials, a minute for trouble at Ekopost."""
    office.sandbox.faults.add(call, fault)
    message = office.send()
    row = office.outbox.row(TENANT, message)
    assert ("waiting", due_at) == (row.state, row.due_at[: len(due_at)])
    assert "pending" == office.status(message)[0]
    office.later(days=31)
    assert "sent" == office.state(message)


def test_a_provider_that_is_down_for_a_day_costs_no_letter_and_makes_no_second(office: Office) -> None:
    """Nobody answers; the send waits, and is made once when somebody does."""
    accounts, there = office.system.accounts, office.sandbox.base_url
    accounts.configure(TENANT, ACCOUNT, {"base_url": "http://127.0.0.1:9"})
    message = office.send()
    for _ in range(24):
        office.later(hours=1)
    assert ("waiting", []) == (office.state(message), office.sandbox.calls)
    assert "campaign: unreachable" in office.sweep()
    accounts.configure(TENANT, ACCOUNT, {"base_url": there})
    office.later(minutes=1)
    office.later(hours=8)
    assert ("sent", 1) == (office.state(message), office.service.times_sent(message))


def test_a_close_of_which_nobody_knows_is_asked_about_and_not_repeated(office: Office) -> None:
    """The answer to the last call is cut off; the campaign is closed, so the letter was sent."""
    office.sandbox.faults.add(CALLS[4], Fault("cut_after"))
    message = office.send()
    assert "unclear" == office.state(message)
    office.later(minutes=2)
    assert ("sent", 1) == (office.state(message), office.sandbox.calls.count(CALLS[4]))
    assert ("accepted", "transferred", "E1") == office.status(message)


# --- campaigns


def test_envelopes_join_the_open_campaign_of_that_name_and_are_accepted_when_it_is_closed(office: Office) -> None:
    """The first waits, closed, in an open campaign: that is no acceptance."""
    first = office.send(campaign="Mars", close=False)
    assert ("sent", "pending", "E0") == (office.state(first), *office.status(first)[::2])
    second = office.send(Address("postal", "Nils Ek\nProvgatan 2\n111 22 Stockholm\nSE"), campaign="Mars")
    assert 1 == len(office.service.campaigns)
    assert [("accepted", "closed", "E1")] * 2 == [office.status(first), office.status(second)]


def test_a_campaign_that_is_open_at_its_output_date_warns(office: Office) -> None:
    """Its closed envelope is never printed by itself; the warning is told once."""
    message = office.send(campaign="Mars", close=False, output_date="2026-03-03T06:00:00")
    office.sweep()
    assert "campaign_open" not in {reason.code for reason in office.delivery(message).reasons}
    office.later(days=1)
    office.sweep()
    office.later(hours=1)
    office.sweep()
    warned = [r.at for r in office.delivery(message).reasons if r.code == "campaign_open"]
    assert (["2026-03-03T06:00:00.000000Z"], "E0") == (warned, office.status(message)[2])


def test_another_envelope_that_is_open_keeps_the_campaign_waiting(office: Office) -> None:
    """102 is not an end: the campaign is closed once the other one is."""
    office.sandbox.faults.add(CALLS[2], Fault("status", 503))
    first = office.send(campaign="Mars", close=False)
    second = office.send(Address("postal", "Nils Ek\nProvgatan 2\n111 22 Stockholm\nSE"), campaign="Mars")
    assert ["waiting", "waiting"] == [office.state(first), office.state(second)]
    office.later(minutes=2)
    office.later(minutes=2)
    assert ["sent", "sent"] == [office.state(first), office.state(second)]


# --- other ways


def test_a_registered_letter_is_followed_to_its_receipt(sqlite_database: Database, tmp_path: Path) -> None:
    """Tracking by the campaign's sweep, with no second fact by a second sweep; the mailed receipt is joined by the parcel number."""
    service = Service(Clock(START), fates={"Göteborg": "delivered"})
    with opened(sqlite_database, tmp_path, service) as office:
        message = office.send(postage="rek", kb=True, pu=True, consignor_contact="arkiv@kommun.example")
        told = []
        for hours in (8, 20, 24):
            office.later(hours=hours)
            office.sweep()
            told.append(office.status(message))
            size = office.size()
            office.sweep()
            assert size == office.size()
        assert [
            ("in_transit", "completed", "E2"),
            ("in_transit", "EN_ROUTE", "E2"),
            ("delivered", "DELIVERED", "E3"),
        ] == told
        (envelope,) = service.live()
        receipt = f"Mottagningsbevis {envelope.said['tracking']['parcelNo']}".encode()
        arrival = Arrival(
            provider="ekopost",
            account=ACCOUNT,
            operation="receipt",
            kind=ArrivalKind.MAILBOX,
            observed_at=service.clock.now(),
            body=receipt,
        )
        (outcome,) = office.system.intake.admit([read(TENANT, arrival)])
        assert isinstance(outcome, Outcome)
        assert ("accepted_by_recipient", "kb_receipt", "E3") == office.status(message)
        office.later(days=1)
        calls = len(office.sandbox.calls)
        office.sweep()
        assert ["GET /campaigns"] == office.sandbox.calls[calls:]


def test_a_digital_address_that_failed_goes_on_as_a_letter(sqlite_database: Database, tmp_path: Path) -> None:
    """The failed attempt is a switch of the channel with its reason, not an end, and the address that was used is kept."""
    service = Service(Clock(START), fates={"19800101-0014": "rescheduled"})
    with opened(sqlite_database, tmp_path, service) as office:
        message = office.send(Address("person_number", "19800101-0014"))
        office.later(hours=8)
        office.sweep()
        assert ("in_transit", "completed", "E2") == office.status(message)
        (switched,) = office.texts(message, "channel.switched")
        assert "Mottagaren saknar brevlåda" == switched["failed_reason"]
        used = [said["address_used"] for said in office.texts(message, "relay.accepted") if "address_used" in said]
        assert ["Namn\nProvgatan 1\n11122 Stockholm\nSE"] == used


@pytest.mark.parametrize(("is_reachable", "address_type"), [(True, "einbox"), (False, "postal")])
def test_reachability_decides_the_channel_and_is_recorded(
    office: Office, address_type: str, *, is_reachable: bool
) -> None:
    """404 is an answer: the letter goes to the fallback, and the switch is told."""
    office.service.unreachable = set() if is_reachable else {"19800101-0014"}
    fallback = {"name": ["Eva Ek"], "street": ["Provgatan 3"], "postal_code": "411 10", "city": "Göteborg"}
    message = office.send(Address("person_number", "19800101-0014"), ask_reachable=True, fallback=fallback)
    (envelope,) = office.service.live()
    switches = [r.code for r in office.delivery(message).reasons if r.type == "channel.switched"]
    assert (address_type, [] if is_reachable else ["not_reachable"]) == (envelope.said["address"]["$type"], switches)


def test_a_text_message_ends_as_each_number_does(office: Office) -> None:
    """Sent once, and polled; partly delivered is told per number."""
    numbers = (Address("phone", "+46701740605"), Address("phone", "0046701740606"))
    message = office.send(*numbers, documents=(), text="Hej")
    office.service.report_sms("+46701740605", "delivered")
    office.service.report_sms("0046701740606", "failed")
    for _ in range(2):
        office.sweep("poll")
        assert ("sent", "delivered", "failed") == (
            office.state(message),
            *(office.status(message, n)[0] for n in (0, 1)),
        )


def test_invitations_are_looked_at_where_the_account_asks_for_it(sqlite_database: Database, tmp_path: Path) -> None:
    """Each status of one invitation is a fact of its own; it expires."""
    with opened(sqlite_database, tmp_path, invitations=True) as office:
        for status in ("1002", "1007", "1010", "1010"):
            row = {"receiver_cin": "556000-0001", "receiver_gln": "", "date_sent": "2026-03-01T08:00:00"}
            office.service.invitations = [{**row, "status": status}]
            assert "" == office.sweep("invitations")
        office.system.runner.run()
        (found,) = office.system.queries.search(TENANT, Filters(), "", 10).deliveries
        assert ("expired", "1010") == (found.status, found.sub_status)


# --- who may speak


async def test_a_webhook_is_believed_by_any_secret_in_force_and_by_no_other(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """While the secret is changed both hold; a wrong one stays outside the log, however often it comes."""
    async with opened_here(sqlite_database, tmp_path) as office, serving(office.system) as api:
        url = f"http://127.0.0.1:{api.port}/v1/hooks/{TENANT}/{ACCOUNT}/webhook"
        accounts, statuses = office.system.accounts, {}
        for name, secret in (("old", SECRET), ("wrong", b"gissad"), ("new", b"ny"), ("retired", SECRET)):
            message = await asyncio.to_thread(office.send)
            office.service.advance(hours=8)
            if name == "new":
                accounts.add_secret(TENANT, ACCOUNT, "second", b"ny")
            if name == "retired":
                accounts.retire_secret(TENANT, ACCOUNT, "first")
            said = await office.sandbox.deliver(url, secret, times=2)
            statuses[name] = ({*said}, (await asyncio.to_thread(office.status, message))[0])
        assert {
            "old": ({200}, "in_transit"),
            "wrong": ({401}, "accepted"),
            "new": ({200}, "in_transit"),
            "retired": ({401}, "accepted"),
        } == statuses


def test_the_credentials_are_nowhere(office: Office, tmp_path: Path) -> None:
    """Not in an event, an original, a value, the state of a sweep or the database's files."""
    office.send()
    office.sweep()
    events = list(office.system.ledger.feed(0, 1_000))
    originals = {artifact for event in events for artifact in event.fields.get("artifacts", ())}
    bodies = [office.system.ledger.artifact(each).body for each in originals]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = b"".join([*bodies, *files, repr(office.system.ledger.values(events)).encode()])
    assert (True, False) == (b"unique_id" in everything, office.service.api_key.encode() in everything)


# --- what has happened while nobody looked


def test_without_any_webhook_the_sweep_tells_the_same(office: Office) -> None:
    """Polling is the fallback; the announced end of the interface is noted once."""
    message = office.send()
    office.later(hours=8)
    office.sweep()
    office.later(hours=8)
    office.sweep()
    noted = [e for e in office.system.ledger.feed(0, 1_000) if "api_headers" in e.fields.get("notes", ())]
    assert (("in_transit", "completed", "E2"), 1) == (office.status(message), len(noted))


def made_in_the_portal(service: Service, envelopes: int) -> None:
    """A closed campaign of that many letters that nobody here knows of."""
    _, campaign = service.create_campaign({"name": "Utskick", "output_date": ""})
    place = campaign["id"]
    for number in range(envelopes):
        street = [f"Gatan {number}"]
        address = {
            "$type": "postal",
            "name": ["Nils Ek"],
            "street": street,
            "postal_code": "111 22",
            "city": "Stockholm",
        }
        _, envelope = service.create_envelope(
            place, {"name": f"Brev {number}", "address": address, "postage": "economy"}
        )
        data = base64.b64encode(LETTER.data).decode()
        content = {"data": data, "mime": LETTER.media_type, "length": len(LETTER.data), "type": "document"}
        service.create_content(place, envelope["id"], content)
        service.close_envelope(place, envelope["id"])
    assert 200 == service.close_campaign(place)[0]


@pytest.mark.parametrize(("envelopes", "each"), [(3, 3), (26, 0)])
def test_what_was_made_in_the_portal_is_found_and_few_envelopes_are_asked_for_one_by_one(
    office: Office, envelopes: int, each: int
) -> None:
    """An original about one letter can be shown to its recipient; of many the list is kept, and no one is lost."""
    made_in_the_portal(office.service, envelopes)
    office.later(hours=8)
    assert "" == office.sweep()
    office.system.runner.run()
    found = office.system.queries.search(TENANT, Filters(), "", 100).deliveries
    assert [("in_transit", "completed")] * envelopes == [(d.status, d.sub_status) for d in found]
    assert each == office.sandbox.calls.count("GET /campaigns/*/envelopes/*")


def reconciled(office: Office) -> list[dict[str, int]]:
    return [e.fields["numbers"] for e in office.system.ledger.feed(0, 1_000) if e.type == "reconciliation.completed"]


def test_both_lists_agree_also_about_an_envelope_younger_than_its_campaign(office: Office) -> None:
    """Campaigns are listed from further back than envelopes are compared; the comparison and its coverage are on record."""
    office.send(campaign="Mars", close=False)
    office.later(days=10)
    office.send(Address("postal", "Nils Ek\nProvgatan 2\n111 22 Stockholm\nSE"), campaign="Mars")
    office.later(days=1)
    assert "" == office.sweep("reconcile")
    assert [{"ours": 1, "theirs": 1, "both": 1, "only_ours": 0, "only_theirs": 0}] == reconciled(office)


def test_what_only_one_side_has_waits_for_a_person_once(office: Office) -> None:
    """One letter vanished at Ekopost, one was made in the portal and not seen yet."""
    office.send()
    office.service.campaigns.clear()
    made_in_the_portal(office.service, 1)
    office.later(days=1)
    for _ in range(2):
        assert "" == office.sweep("reconcile")
    office.system.runner.run()
    assert [{"ours": 1, "theirs": 1, "both": 0, "only_ours": 1, "only_theirs": 1}] * 2 == reconciled(office)
    assert ["difference"] * 2 == [item.lane for item in office.system.queries.lanes(TENANT)]


def test_half_a_list_is_compared_with_nothing(office: Office) -> None:
    """What could not be had is no difference."""
    office.send()
    office.later(days=1)
    office.sandbox.faults.add("GET /campaigns/*/envelopes", Fault("status", 500))
    assert "envelope: 500" in office.sweep("reconcile")
    assert [] == reconciled(office)


def test_a_campaign_older_than_the_window_is_asked_for_once_a_day_until_it_ends(office: Office) -> None:
    """One that is left open for months is still told of when it is closed at last."""
    message = office.send(campaign="Mars", close=False)
    office.sweep()
    office.later(days=50)
    (campaign,) = office.service.campaigns
    before = len(office.sandbox.calls)
    for _ in range(8):
        office.sweep()
        office.later(hours=6)
    assert 2 == office.sandbox.calls[before:].count("GET /campaigns/*")
    office.service.close_campaign(campaign)
    office.later(days=2)
    office.sweep()
    assert ("in_transit", "completed", "E2") == office.status(message)
    office.later(days=2)
    before = len(office.sandbox.calls)
    office.sweep()
    assert ["GET /campaigns"] == office.sandbox.calls[before:]


def test_a_campaign_that_is_gone_is_forgotten(office: Office) -> None:
    """404 is an answer."""
    office.send(campaign="Mars", close=False)
    office.sweep()
    office.service.campaigns.clear()
    office.later(days=2)
    assert ["", ""] == [office.sweep(), office.sweep()]
    assert "GET /campaigns" == office.sandbox.calls[-1]


def test_one_campaign_that_cannot_be_looked_at_keeps_back_no_other(office: Office) -> None:
    """It is told, and looked at the next time."""
    messages = [office.send(), office.send()]
    office.later(hours=8)
    office.sandbox.faults.add("GET /campaigns/*/envelopes", Fault("status", 500))
    assert "1 of 2 campaigns" in office.sweep()
    assert "" == office.sweep()
    assert ["posted", "posted"] == [
        max(r.code for r in office.delivery(m).reasons if r.type == "relay.accepted") for m in messages
    ]
