"""How KPN SMS is called: requests against the definitions, slices of numbers, what cannot be sent; the sandbox against the same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator

from adapters.calls import Caller
from adapters.configuring import convert
from adapters.providers.calling import Access, Answer, Document, Exchange, Request, Submission, Verdict, judge
from adapters.providers.kpn_calling import token_request
from adapters.providers.kpn_platform_sandbox import ENVELOPES
from adapters.providers.kpn_sms import PROVIDER
from adapters.providers.kpn_sms.client import AT_ONCE, CLIENT, PATHS, Options
from adapters.providers.kpn_sms.sandbox import running
from adapters.providers.kpn_sms.sandbox.network import FATES, MAX_AT_ONCE, Generation, Network
from adapters.providers.kpn_sms.settings import Settings
from adapters.providers.kpn_sms.statuses import REASON
from adapters.providers.sandboxing import Clock
from adapters.strictjson import InvalidError
from ledger.observations import Address, Arrival, ArrivalKind

DOCUMENT = json.loads((Path(__file__).parents[1] / "vectors" / "kpn_sms.json").read_bytes())
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRETS = {"client_id": "hush-i", "client_secret": "hush-s"}
FULL: dict[str, Any] = {
    "sender": "Gemeente",
    "webhook_url": "https://ledger.example/v1/hooks/acme/sms/webhook.dlr",
    "sub_account": "afd-7",
}
GENERATIONS: tuple[Generation, ...] = ("2025", "2020")
SUBMISSION = Submission(
    message="m-1",
    recipients=(Address("phone", "0612340001"), Address("phone", "0031 6 1234 0002")),
    text="Uw pakket komt vandaag.",
    options=Options(),
    requested_at=NOW,
)


def access(**settings: Any) -> Access:
    return Access(settings=Settings(**settings), secrets=SECRETS, now=NOW, token="hush-t")


def many(count: int) -> Submission:
    people = tuple(Address("phone", f"06123{10_000 + index}") for index in range(count))
    return replace(SUBMISSION, recipients=people)


def done(request: Request, verdict: Verdict = "sent") -> Exchange:
    return Exchange(operation=request.operation, recipient=request.recipient, verdict=verdict, answer=None)


def steps(submission: Submission, at: Access, verdict: Verdict = "sent") -> list[Request]:
    """All calls of a send, each with the same outcome."""
    made: list[Request] = []
    while (request := CLIENT.next_request(submission, [done(each, verdict) for each in made], at)) is not None:
        made.append(request)
    return made


def valid(schema: str, value: object) -> Any:
    """The value, which must fit a schema of the definitions."""
    checker = OAS30Validator({"$ref": f"#/schemas/{schema}", "schemas": DOCUMENT["schemas"]})
    assert [] == [error.message for error in checker.iter_errors(value)]
    return value


def numbers(request: Request) -> list[str]:
    return [n for m in json.loads(request.body)["messages"] for n in m["mobile_number"].split(",")]


# --- what is asked


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_call_is_what_its_generation_takes(generation: Generation) -> None:
    """Path, members and types; what the older one does not know is left out, and the secret stands nowhere in it."""
    for request in steps(SUBMISSION, access(generation=generation, **FULL)):
        assert ("POST", DOCUMENT["paths"][generation]) == (request.method, request.url)
        body = valid(generation, json.loads(request.body))
        assert ("Gemeente", SUBMISSION.text) == (body["sender"], body["messages"][0]["content"])
        assert ("webhook_url" in body) == (generation == "2025")
        assert "afd-7" == request.headers["subaccount"]
        assert request.kept is None
        assert b"hush" not in request.body


def test_what_is_not_set_is_left_out() -> None:
    """KPN has defaults of its own for sender and validity, and a place for reports that a person told it."""
    (request,) = steps(SUBMISSION, access())
    assert {"messages"} == json.loads(request.body).keys()
    assert "subaccount" not in request.headers


def test_sender_and_validity_of_a_send_go_before_those_of_the_account() -> None:
    """The validity is a string of seconds."""
    submission = replace(SUBMISSION, sender="Bode", options=Options(expires_in_s=3600))
    body = valid("2025", json.loads(steps(submission, access(**FULL))[0].body))
    assert ("Bode", "3600") == (body["sender"], body["expirein"])


def test_numbers_go_out_in_one_spelling_whatever_was_written() -> None:
    """So a comma or a blank in a number cannot become another recipient."""
    spelt = ("0612340001", "+31 6 1234 0002", "0031612340003", "31612340004", "+49 1512 3456789")
    people = tuple(Address("phone", value) for value in spelt)
    (request,) = steps(replace(SUBMISSION, recipients=people), access())
    assert ["+31612340001", "+31612340002", "+31612340003", "+31612340004", "+4915123456789"] == numbers(request)


@given(st.text(min_size=1, max_size=1000))
def test_every_text_makes_a_valid_body(text: str) -> None:
    """Whatever people write."""
    (request,) = steps(replace(SUBMISSION, text=text), access())
    assert text == valid("2025", json.loads(request.body))["messages"][0]["content"]


def test_every_call_carries_the_token() -> None:
    """As bearer, beside its own headers."""
    (request,) = steps(SUBMISSION, access(**FULL))
    sent = CLIENT.authorise(request, access(**FULL)).headers
    assert {**request.headers, "authorization": "Bearer hush-t"} == sent


# --- slices


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [2]), (199, [199]), (200, [200]), (201, [200, 1]), (450, [200, 200, 50])]
)
@pytest.mark.parametrize("verdict", ["sent", "refused"])
def test_each_number_is_in_exactly_one_call(count: int, sizes: list[int], verdict: Verdict) -> None:
    """No more than KPN's limit in each, in the order of the recipients, whatever became of the calls before."""
    submission = many(count)
    made = steps(submission, access(), verdict)
    assert sizes == [len(numbers(request)) for request in made]
    assert [f"+316123{10_000 + index}" for index in range(count)] == [n for request in made for n in numbers(request)]
    assert DOCUMENT["x-limits"]["messages_times_numbers"] == AT_ONCE


def test_a_call_for_one_recipient_says_for_whom() -> None:
    """Then its outcome is that recipient's; a slice of many is about all of them."""
    assert [None, 200] == [request.recipient for request in steps(many(201), access())]
    assert [0, 1, 2] == [request.recipient for request in steps(many(3), access(generation="2020"))]


def test_nothing_goes_out_past_an_unclear_call() -> None:
    """Which slice is missing could not be told any more."""
    submission = many(450)
    first, second, _ = steps(submission, access())
    assert CLIENT.next_request(submission, [done(first, "unclear")], access()) is None
    assert CLIENT.next_request(submission, [done(first), done(second, "unclear")], access()) is None
    again = CLIENT.next_request(submission, [done(first)], access())
    assert second == again


@pytest.mark.parametrize(("before", "after"), [("2025", "2020"), ("2020", "2025")])
def test_a_change_of_generation_neither_repeats_nor_forgets_a_number(before: Generation, after: Generation) -> None:
    """Each call counts for the numbers that it had."""
    submission = many(203)
    first = CLIENT.next_request(submission, [], access(generation=before))
    assert first is not None
    made = [first]
    while request := CLIENT.next_request(submission, [done(each) for each in made], access(generation=after)):
        made.append(request)
    sent = [n for each in made for n in numbers(each)]
    assert (203, 203) == (len(sent), len(set(sent)))


# --- what cannot be sent


@pytest.mark.parametrize(
    ("change", "settings", "why"),
    [
        ({}, {}, ""),
        ({"recipients": (Address("phone", "09712345678"),)}, {}, ""),
        ({"recipients": (Address("phone", "+4915123456789"),)}, {}, ""),
        ({"text": "x" * 1000}, {}, ""),
        ({}, {"webhook_url": "http://ledger.example/hook"}, "use https://"),
        ({}, {"webhook_url": "http://ledger.example/hook", "allow_plain_http": True}, ""),
        ({"recipients": ()}, {}, "no recipient"),
        ({"recipients": (Address("email", "a@b.example"),)}, {}, "phone number"),
        ({"recipients": (Address("phone", "06"),)}, {}, "phone number"),
        ({"recipients": (Address("phone", "0612340001,0612340002"),)}, {}, "phone number"),
        ({"recipients": (Address("phone", "0601234567"),)}, {}, "no mobile numbers"),
        ({"recipients": (Address("phone", "+31671234567"),)}, {}, "no mobile numbers"),
        ({"recipients": (Address("phone", "0031691234567"),)}, {}, "no mobile numbers"),
        (
            {"recipients": tuple(Address("phone", n) for n in ("0612340001", "0612340002", "+31612340001"))},
            {},
            "recipient 2 has the number of an earlier one",
        ),
        ({"recipients": (Address("phone", "+4915123456789"),)}, {"generation": "2020"}, "Dutch numbers only"),
        ({"options": Options(expires_in_s=60)}, {"generation": "2020"}, "expires_in_s"),
        ({"options": Options(expires_in_s=20)}, {}, ""),
        (
            {"options": Options(expires_in_s=20), "recipients": (Address("phone", "+4915123456789"),)},
            {},
            "at least 21",
        ),
        ({"text": " \n"}, {}, "no text"),
        ({"text": "x" * 1001}, {}, "1001 characters, at most 1000"),
        ({"text": "x" * 161}, {"text_max": 160}, "161 characters, at most 160"),
        ({"text_type": "text/html"}, {}, "text/plain"),
        ({"subject": "Let op"}, {}, "subject"),
        ({"documents": (Document("a.pdf", "application/pdf", b"x"),)}, {}, "documents"),
        ({"sender": "x" * 12}, {}, "at most 11"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_written(
    change: dict[str, Any], settings: dict[str, Any], why: str
) -> None:
    """In words that name what is wrong, and quote no number."""
    said = CLIENT.check(replace(SUBMISSION, **change), access(**settings))
    assert bool(why) == bool(said)
    assert why in said


def test_a_hundred_thousand_recipients_are_checked_and_sliced() -> None:
    """In time that grows with their number, not with its square."""
    people = tuple(Address("phone", f"+316{10_000_000 + index}") for index in range(100_000))
    submission = replace(SUBMISSION, recipients=people)
    assert "" == CLIENT.check(submission, access())
    made = [done(Request(operation="send"))] * 499
    last = CLIENT.next_request(submission, made, access())
    assert last is not None
    assert 200 == len(numbers(last))
    assert CLIENT.next_request(submission, [*made, done(last)], access()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generation", "2019"),
        ("sender", "x" * 12),
        ("webhook_url", "ftp://x.example"),
        ("webhook_url", "https://x.example/ y"),
        ("sub_account", "a\nb"),
        ("text_max", 1001),
        ("text_max", 0),
        ("base_url", "http://kpn.example"),
        ("colour", "blue"),
    ],
)
def test_a_setting_that_cannot_be_so_is_named(name: str, value: Any) -> None:
    """Before anything is called."""
    with pytest.raises(InvalidError, match=name):
        convert(PROVIDER, {name: value})


def test_options_are_small_whole_seconds() -> None:
    """At most a week."""
    for value in (0, -1, 604_801, "x", 1.5):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"expires_in_s": value}, Options)


# --- what an answer means


def test_unclear_answers_say_that_kpn_cannot_be_asked() -> None:
    """Each of them, so that nobody waits for an answer that cannot come; and nothing is asked."""
    unclear = [row for row in CLIENT.answers if row.verdict == "unclear"]
    assert unclear
    assert all("KPN cannot be asked" in row.why for row in unclear)
    assert CLIENT.ask(SUBMISSION, [], access()) is None
    assert CLIENT.poll is None
    assert () == CLIENT.sweeps


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"document_id": "d-1", "status": "OK"}, "sent"),
        (202, {"document_id": "d-1", "status": "QUEUED"}, "sent"),
        (200, {"status": "OK"}, "refused"),
        (200, {"document_id": " ", "status": "OK"}, "refused"),
        (400, ENVELOPES["errorResponse"]("400", "Bad Request"), "refused"),
        (200, ENVELOPES["errorResponse"]("403", "Forbidden"), "later"),
        (502, {}, "unclear"),
    ],
)
def test_only_a_document_id_means_that_it_was_sent(status: int, body: object, expected: Verdict) -> None:
    """So the definition says: if it is present, the request succeeded, else there was an issue."""
    (request,) = steps(SUBMISSION, access())
    assert expected == judge(CLIENT, request, Answer(at=NOW, status=status, body=json.dumps(body).encode())).verdict


# --- the sandbox


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_sandbox_takes_what_is_published_and_nothing_else(generation: Generation) -> None:
    """What the client writes it takes; each change that the definitions forbid it refuses."""
    network = Network(Clock(NOW))
    (body, *_) = [json.loads(request.body) for request in steps(SUBMISSION, access(generation=generation))]
    assert network.send(body, generation)
    message = {"content": "Hallo", "mobile_number": "0612340001"}
    limit = ",".join(f"06123{10_000 + index}" for index in range(MAX_AT_ONCE[generation] + 1))
    wrong: list[Any] = [
        None,
        [],
        {},
        {"messages": []},
        {"messages": [message] * (1 + DOCUMENT["schemas"][generation]["properties"]["messages"]["maxItems"])},
        {"messages": [{"content": "Hallo"}]},
        {"messages": [{"mobile_number": "0612340001"}]},
        {"messages": [{**message, "content": "x" * 1001}]},
        {"messages": [{**message, "mobile_number": "0601234567"}]},
        {"messages": [{**message, "mobile_number": limit}]},
        {"messages": [message], "sender": "x" * 12},
    ]
    assert [None] * len(wrong) == [network.send(each, generation) for each in wrong]
    assert 1 == len(network.sends)


def test_every_webhook_of_the_sandbox_is_read_and_verified() -> None:
    """What it reports of any fate is a report to the reader, and its signature holds under its key."""
    clock = Clock(NOW)
    network = Network(clock, inbound_url="https://ledger.example")
    for ending in (*FATES, "001"):
        message = {"content": "Hallo", "mobile_number": f"0612340{ending}"}
        assert network.send({"messages": [message]}, "2025")
    network.receive("31612340001", "3197012345678", "Ja")
    clock.advance(timedelta(days=3))
    posts = network.due()
    assert len(posts) > 60 + len(REASON)
    types = set()
    for post in posts:
        operation = PROVIDER.recognise("", post.body)
        headers = {name.lower(): value for name, value in network.headers(post).items()}
        arrival = Arrival(
            provider="kpn_sms",
            account="a",
            operation=operation,
            kind=ArrivalKind.WEBHOOK,
            observed_at=clock.now(),
            body=post.body,
            headers=headers,
        )
        assert PROVIDER.verify is not None
        assert "verified" == PROVIDER.verify(arrival, network.keys, clock.now()).verdict
        (seen,) = PROVIDER.parse(arrival)
        types.add(seen.type)
        if operation == "webhook.inbound":
            valid("inbound", json.loads(post.body))
    assert {
        "content.consigned",
        "content.consignment_failed",
        "relay.accepted",
        "relay.delayed",
        "relay.failed",
        "relay.rejected",
        "channel.unmapped",
        "inbound.received",
    } == types


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_sandbox_answers_as_published(generation: Generation) -> None:
    """Token, success and error over HTTP, on the published paths and in the published forms."""
    with running() as sandbox, Caller() as caller:
        secrets = {"client_id": sandbox.gateway.client_id, "client_secret": sandbox.gateway.client_secret}
        at = replace(access(base_url=sandbox.base_url, generation=generation), secrets=secrets)
        (asked, *_) = steps(SUBMISSION, at)
        sent, refused = (
            caller.call(CLIENT, PROVIDER, each, at, key=("acme", "sms")) for each in (asked, replace(asked, body=b"{}"))
        )
    assert (200, 400) == (sent.status, refused.status)
    assert valid("sent", json.loads(sent.body))["document_id"]
    assert "400" == valid("error", json.loads(refused.body))["errorResponse"]["code"]
    assert DOCUMENT["paths"] == PATHS
    token = DOCUMENT["token"]
    assert f"{sandbox.base_url}{token['path']}?{token['query']}" == token_request(at).url
