"""A text message through KPN SMS from the request to the last report, over real HTTP both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.providers.calling import Answer
from adapters.providers.kpn_platform_sandbox import Gateway
from adapters.providers.kpn_sms.sandbox import serve
from adapters.providers.kpn_sms.sandbox.network import KEY_ID, SECRET, Network
from adapters.providers.sandboxing import Clock, Fault, Kind, serving
from adapters.sending import NotSendableError
from ledger.events import time_text
from projections.queries import Filters
from tests.adapters.conftest import TENANT
from tests.postgres import Database
from tests.providers.kpn_sms_shop import START, TEXT, Shop, opened


@pytest.fixture
def shop(sqlite_database: Database, tmp_path: Path) -> Iterator[Shop]:
    """A ledger and the sandbox."""
    with opened(sqlite_database, tmp_path) as found:
        yield found


def times(shop: Shop, text: str = TEXT) -> set[int]:
    """How often the numbers were sent the text."""
    return set(shop.network.times_accepted(text).values())


def test_a_message_from_the_request_to_the_delivery_report(database: Database, tmp_path: Path) -> None:
    """Accepted with the document_id, delivered with the report; every webhook 46 times, in reverse, changes nothing more."""
    with opened(database, tmp_path) as shop:
        message = shop.send("0612340001", "+31612340002", "0031 6 1234 0003")
        assert ("sent", {1}) == (shop.state(message), times(shop))
        assert [("accepted", "", "E1")] * 3 == [shop.status(message, i) for i in range(3)]
        assert [["delivery_report"]] * 3 == [
            [each.what for each in shop.delivery(message, i).evidence.missing] for i in range(3)
        ]
        shop.network.clock.advance(timedelta(seconds=10))
        assert [200] * 3 * 3 * 46 == shop.sandbox.deliver(times=46, is_reversed=True)
        assert [("delivered", "1", "E2")] * 3 == [shop.status(message, i) for i in range(3)]
        reports = [e for e in shop.events("content.consigned") if e.fields["operation"] == "webhook.dlr"]
        assert ({("webhook", "verified", "wk_SANDBOX1")}, 3) == (
            {(e.fields["arrival"], e.fields["verdict"], e.fields["key_id"]) for e in reports},
            len(reports),
        )
        size = shop.size()
        shop.outbox.run()
        assert (size, []) == (shop.size(), shop.later(days=1))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("0612340104", ("failed", "004", "E2")),
        ("0612340218", ("failed", "018", "E2")),
        ("0612340600", ("failed", "024", "E2")),
        ("0612340601", ("delivered", "1", "E2")),
        ("0612340700", ("delivered", "1", "E2")),
        ("0612340701", ("failed", "009", "E2")),
        ("0612340500", ("delayed", "2", "E1")),
        ("0612340800", ("accepted", "", "E1")),
        ("0612340400", ("accepted", "", "E1")),
    ],
    ids=["failed", "rejected", "expired", "late", "parts", "one part fails", "queued", "unknown word", "silent"],
)
def test_each_fate_of_a_number_ends_in_its_status(shop: Shop, number: str, expected: tuple[str, str, str]) -> None:
    """Four days later; what nobody reports stays accepted, with the report missing."""
    message = shop.send(number)
    statuses = shop.later(days=4)
    assert {200} >= set(statuses)
    assert expected == shop.status(message)


def test_a_message_to_450_numbers_takes_three_calls_with_a_document_id_each(shop: Shop) -> None:
    """200, 200 and 50; each number once; the reports find their delivery by number and document_id."""
    numbers = [f"06{index:05d}400" for index in range(10_000, 10_450)]
    for index in (0, 199, 200, 399, 449):  # the others are never heard of
        numbers[index] = f"0612340{index:03d}"
    message = shop.send(*numbers)
    assert ("sent", {1}) == (shop.state(message), times(shop))
    assert [200, 200, 50] == [len(sent.numbers) for sent in shop.network.sends]
    assert 450 == len(shop.network.times_accepted(TEXT))
    assert 450 == len(shop.events("submission.accepted"))
    shop.later(seconds=10)
    assert ["delivered"] * 5 + ["accepted"] == [shop.status(message, i)[0] for i in (0, 199, 200, 399, 449, 1)]


def test_slices_end_differently(shop: Shop) -> None:
    """KPN takes the first slice, refuses the second for want of a document_id, takes the third: only the second has failed."""
    numbers = [f"06123{index:05d}" for index in range(10_000, 10_450)]
    numbers[300] = "0612399999"
    message = shop.send(*numbers)
    assert "partly" == shop.state(message)
    assert ["accepted", "failed", "failed", "accepted"] == [shop.status(message, i)[0] for i in (199, 200, 399, 400)]
    assert ["sent", "refused", "sent"] == [call.verdict for call in shop.outbox.view(TENANT, message).calls]


def test_the_next_slice_waits_while_one_is_unclear(shop: Shop) -> None:
    """Only so is it known which slice a call was for; a person who settles it lets the rest go out."""
    numbers = [f"06123{index:05d}" for index in range(10_000, 10_201)]
    shop.gateway.faults.add("POST /send", Fault("cut_before"))
    message = shop.send(*numbers)
    assert ("unclear", []) == (shop.state(message), shop.network.sends)
    shop.outbox.resolve(TENANT, message, 1, "KPN's service desk has no such call", was_sent=False)
    shop.outbox.run()
    assert ("sent", [200, 1]) == (shop.state(message), [len(sent.numbers) for sent in shop.network.sends])
    assert {1} == times(shop)


def test_an_unclear_slice_says_nothing_of_the_slices_before(shop: Shop) -> None:
    """They were taken, and are reported on; of the unclear one it stays open."""
    shop.gateway.faults.add("POST /send", Fault("slow_before", seconds=0.0))  # the first call is taken
    shop.gateway.faults.add("POST /send", Fault("cut_after"))
    message = shop.send("0612340001", *(f"06{index:05d}400" for index in range(10_000, 10_201)), "0612340002")
    assert ("accepted", "", "E1") == shop.status(message, 199)
    assert ("pending", "dispatch_unclear", "E0") == shop.status(message, 200)
    shop.later(seconds=10)
    assert ("delivered", "1", "E2") == shop.status(message, 0)
    assert ("pending", "dispatch_unclear", "E0") == shop.status(message, 202)


@pytest.mark.parametrize("fault", ["cut_after", "garbage"])
def test_an_unclear_send_is_never_repeated_and_a_person_settles_it(shop: Shop, fault: Kind) -> None:
    """The sandbox took it and the answer was lost: the report names a document_id that we do not know, and tells its own story."""
    shop.gateway.faults.add("POST /send", Fault(fault))
    message = shop.send("0612340001")
    assert ("unclear", ("pending", "dispatch_unclear", "E0")) == (shop.state(message), shop.status(message))
    assert "KPN cannot be asked" in shop.outbox.view(TENANT, message).calls[0].why
    assert {200} == set(shop.later(days=2))
    shop.system.runner.run()
    found = shop.system.queries.search(TENANT, Filters(), "", 10).deliveries
    assert ["delivered", "pending"] == sorted(each.status for each in found)
    shop.outbox.resolve(TENANT, message, 1, "its report came under another document_id", was_sent=True)
    shop.outbox.run()
    assert ("sent", {1}) == (shop.state(message), times(shop))


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault("status", status=400), "refused"),
        (Fault("status", status=401, shape="fault", text="oauth.v2.InvalidAccessToken"), "sent"),
        (Fault("status", status=403), "waiting"),
        (Fault("status", status=405, shape="flat"), "waiting"),
        (Fault("status", status=412), "refused"),
        (Fault("status", status=429, shape="fault", text="policies.ratelimit.QuotaViolation"), "waiting"),
        (Fault("status", status=500, shape="proxy"), "unclear"),
        (Fault("status", status=502, text="500"), "unclear"),
        (Fault("status", status=500, shape="fault", text="oauth.v2.AccessTokenExpired"), "waiting"),
        (Fault("redirect"), "unclear"),
    ],
    ids=lambda each: f"{each.kind}-{each.status}-{each.shape}-{each.text}" if isinstance(each, Fault) else None,
)
def test_an_answer_means_what_the_table_says(shop: Shop, fault: Fault, state: str) -> None:
    """Nothing was sent but where the caller itself fetched a new token after a 401."""
    shop.gateway.faults.add("POST /send", fault)
    message = shop.send("0612340001")
    assert (state, int(state == "sent")) == (shop.state(message), len(shop.network.sends))
    if state == "waiting":
        shop.later(hours=2)
        assert ("sent", {1}) == (shop.state(message), times(shop))


def test_a_used_up_quota_is_waited_for_and_nothing_is_lost(sqlite_database: Database, tmp_path: Path) -> None:
    """The third send of an hour waits for the next hour, as the headers of the answer say."""
    gateway = Gateway(clock=Clock(START), quota_limit=2, quota_unit="hour")
    with opened(sqlite_database, tmp_path, gateway) as shop:
        messages = [shop.send(f"061234000{n}") for n in range(3)]
        assert ["sent", "sent", "waiting"] == list(map(shop.state, messages))
        due = shop.outbox.row(TENANT, messages[2]).due_at
        assert time_text(START + timedelta(hours=1)) == due
        shop.later(hours=1)
        assert "sent" == shop.state(messages[2])
        assert {1} == times(shop)


def test_kpn_is_down_for_a_day_and_everything_is_sent_once(shop: Shop) -> None:
    """The token service does not answer: nothing was sent, so it is tried until it is."""
    shop.gateway.faults.add("POST /accesstoken", Fault("cut_before"), times=1_000)
    message = shop.send("0612340001")
    for _ in range(4):
        assert ("waiting", []) == (shop.state(message), shop.network.sends)
        shop.later(hours=6)
    shop.gateway.faults.clear()
    assert [200] * 3 == [*shop.later(hours=1), *shop.later(hours=1)]
    assert ("sent", {1}, "delivered") == (shop.state(message), times(shop), shop.status(message)[0])


@pytest.mark.parametrize(("held_before", "expected"), [(4, ("delivered", "1", "E2")), (5, ("accepted", "", "E1"))])
def test_kpn_tries_four_times_and_what_nobody_took_is_never_known(
    shop: Shop, held_before: int, expected: tuple[str, str, str]
) -> None:
    """At once and after 60, 120 and 240 more seconds; without the key that signs, we take none of them."""
    message = shop.send("0612340700")
    shop.system.accounts.retire_secret(TENANT, "sms", KEY_ID)
    for attempt, wait_s in enumerate((10, 60, 120, 240, 480), 1):
        if attempt == held_before:
            shop.system.accounts.add_secret(TENANT, "sms", KEY_ID, SECRET)
        statuses = shop.later(seconds=wait_s)
        assert ([] if attempt == 5 else [200 if attempt == held_before else 401] * 3) == statuses
    assert expected == shop.status(message)
    assert (held_before == 5) == bool(shop.network.lost)


def test_a_webhook_that_is_not_signed_by_a_key_of_ours_waits_beside_the_log(shop: Shop) -> None:
    """401 for KPN, nothing in the log; when the key is added, it is admitted as of the time it came."""
    message = shop.send("0612340001")
    shop.network.keys["wk_UNKNOWN"] = b"another secret"
    size = shop.size()
    assert {401} == set(shop.later(seconds=10))
    assert size == shop.size()
    shop.system.accounts.add_secret(TENANT, "sms", "wk_UNKNOWN", b"another secret")
    assert {200} == set(shop.later(seconds=60))
    assert ("delivered", "1", "E2") == shop.status(message)


def test_a_key_is_rotated_while_reports_are_on_their_way(shop: Shop) -> None:
    """What was signed with the old key is retried with it; both keys verify, and each event says which one did."""
    message = shop.send("0612340700")
    shop.system.accounts.retire_secret(TENANT, "sms", "wk_SANDBOX1")
    assert [401] == [*shop.later(seconds=6)]
    shop.network.keys["wk_SANDBOX2"] = b"the next secret"
    shop.system.accounts.add_secret(TENANT, "sms", "wk_SANDBOX2", b"the next secret")
    assert [200, 200] == shop.later(seconds=4)
    shop.system.accounts.add_secret(TENANT, "sms", "wk_SANDBOX1", b"sandbox-webhook-secret")
    assert [200] == shop.later(seconds=60)
    assert ("delivered", "1", "E2") == shop.status(message)
    keys = sorted(event.fields["key_id"] for event in shop.events("content.consigned"))
    assert ["wk_SANDBOX1", "wk_SANDBOX2", "wk_SANDBOX2"] == keys


class Hasty:
    """Calls whose answer is read only after the reports have come."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.calls = shop.outbox.calls

    def call(self, *given: Any, key: tuple[str, str]) -> Answer:
        answer = self.calls.call(*given, key=key)
        self.shop.network.clock.advance(timedelta(seconds=10))
        assert {200} == set(self.shop.sandbox.deliver())
        return answer


def test_reports_that_overtake_the_answer_are_joined_to_their_message(shop: Shop) -> None:
    """Until the answer names the document_id nobody knows whose they are; then they are this message's."""
    shop.outbox.calls = Hasty(shop)
    message = shop.ask("0612340001", "0612340104")
    shop.outbox.turn(shop.outbox.row(TENANT, message))
    assert "sent" == shop.state(message)
    assert [("delivered", "1"), ("failed", "004")] == [shop.status(message, index)[:2] for index in (0, 1)]
    assert 2 == len(shop.system.queries.search(TENANT, Filters(), "", 10).deliveries)


def test_reports_without_numbers_are_attributed_only_to_an_only_recipient(shop: Shop) -> None:
    """The customer leaves out RecipientPhonenumber: one recipient can be meant, of two neither is."""
    shop.network.excluded.update({"RecipientPhonenumber", "Message"})
    alone, two = shop.send("0612340001"), shop.send("0612340002", "0612340003")
    assert {200} == set(shop.later(seconds=10))
    assert "delivered" == shop.status(alone)[0]
    assert [("accepted", "", "E1")] * 2 == [shop.status(two, i) for i in (0, 1)]


def test_what_somebody_writes_back_is_received(shop: Shop) -> None:
    """An incoming message to a virtual number is a fact of its own, once."""
    shop.network.receive("31612340001", "3197012345678", "Ja, ik kom")
    assert [200] * 2 == shop.sandbox.deliver(times=2)
    (event,) = shop.events("inbound.received")
    assert ("webhook.inbound", "verified") == (event.fields["operation"], event.fields["verdict"])


def test_the_generation_of_2020_sends_one_number_a_call_and_hears_nothing(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """Accepted is all that can be proven there; after three days the report is overdue, and that is said."""
    with opened(sqlite_database, tmp_path, generation="2020") as shop:
        message = shop.send("0612340001", "0612340002")
        assert [("2020", 1), ("2020", 1)] == [(sent.generation, len(sent.numbers)) for sent in shop.network.sends]
        assert [] == shop.later(days=4)
        found = shop.delivery(message, 1)
        assert ("accepted", "E1") == (found.status, found.evidence.grade)
        assert ["delivery_report"] == [each.what for each in found.evidence.missing]
        due = [datetime.fromisoformat(each.breach_at) - START for each in found.deadlines]
        assert [timedelta(days=3)] == [timedelta(days=round(each / timedelta(days=1))) for each in due]


def test_the_generation_may_change_between_two_slices(shop: Shop) -> None:
    """What was sent in calls of 200 is not sent again in calls of one."""
    numbers = [f"06{index:05d}400" for index in range(10_000, 10_203)]
    message = shop.ask(*numbers)
    shop.gateway.faults.add("POST /send", Fault("slow_before", seconds=0.0))  # the first call is taken
    shop.gateway.faults.add("POST /send", Fault("status", status=429))
    shop.outbox.run()
    assert ("waiting", [200]) == (shop.state(message), [len(sent.numbers) for sent in shop.network.sends])
    shop.system.accounts.configure(TENANT, "sms", {"base_url": shop.sandbox.base_url, "generation": "2020"})
    shop.later(minutes=2)
    assert [200, 1, 1, 1] == [len(sent.numbers) for sent in shop.network.sends]
    assert ("sent", {1}) == (shop.state(message), times(shop))


def test_the_announced_end_of_an_api_version_is_noted_once(sqlite_database: Database, tmp_path: Path) -> None:
    """However many answers say so."""
    gateway = Gateway(clock=Clock(START), sunset="Fri, 01 Jan 2027 00:00:00 GMT", api_version="1.0.6")
    with opened(sqlite_database, tmp_path, gateway) as shop:
        for number in range(3):
            shop.send(f"061234000{number}", f"061234001{number}")
        noted = [e for e in shop.events("account.setting_changed") if "sunset_announced" in e.fields.get("notes", ())]
        values = shop.system.ledger.values(noted)
        assert [("Fri, 01 Jan 2027 00:00:00 GMT", "1.0.6")] == [
            (values[event.position]["sunset"], values[event.position]["api_version"]) for event in noted
        ]


def test_quota_and_version_are_kept_beside_each_answer(shop: Shop) -> None:
    """As KPN's headers say them, with the facts that rest on the answer."""
    shop.send("0612340001")
    (event,) = shop.events("submission.accepted")
    kept = shop.system.ledger.values([event])[event.position]["headers"]
    assert ("1", "100000", "minute", "1.0", "n/a") == tuple(
        kept[name] for name in ("quota-used", "quota-limit", "quota-time-unit", "api-version", "sunset")
    )


async def test_the_sandbox_sends_webhooks_by_itself_where_it_is_told_to() -> None:
    """For a demo, where nobody calls `deliver`."""
    came = asyncio.Event()

    async def take(_request: web.Request) -> web.Response:
        came.set()
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/hook", take)])
    async with serving(app) as url, serve(network=Network(inbound_url=f"{url}/hook"), every_s=0.01) as sandbox:
        sandbox.network.receive("31612340001", "3197012345678", "Ja")
        await asyncio.wait_for(came.wait(), 30)
    assert [] == sandbox.network.lost


def test_no_credential_stands_in_an_event_an_original_or_a_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Client secret, token and webhook secret are used and nowhere kept."""
    caplog.set_level("DEBUG")
    shop.send("0612340001")
    shop.later(seconds=10)
    kept = [event.leaf for event in shop.system.ledger.feed(0, 5_000)]
    kept += [str(values).encode() for values in shop.system.ledger.values(shop.system.ledger.feed(0, 5_000)).values()]
    for event in shop.system.ledger.feed(0, 5_000):
        kept += [shop.system.ledger.artifact(each).body for each in event.fields.get("artifacts", ())]
    kept.append(caplog.text.encode())
    secrets = [shop.gateway.client_secret, "sandbox-webhook-secret", *shop.gateway.tokens]
    assert [] == [secret for secret in secrets if any(secret.encode() in each for each in kept)]


def test_what_kpn_would_refuse_is_refused_before_anything_is_written(shop: Shop) -> None:
    """In words, and nothing is in the log."""
    size = shop.size()
    with pytest.raises(NotSendableError, match="no mobile numbers"):
        shop.ask("0601234567")
    assert size == shop.size()
