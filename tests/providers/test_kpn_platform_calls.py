"""Calling KPN's products: tokens, credentials, what an answer means; and the whole over HTTP against the gateway to try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapters.calls import Caller
from adapters.providers.calling import Access, Answer, CallFailedError, Client, Request, Verdict, judge
from adapters.providers.contract import Operation, Provider
from adapters.providers.kpn_calling import QUOTA, SECRETS, Settings, answers, authorise, code, read_token, token_request
from adapters.providers.kpn_platform import ERRORS, HEADERS, HTTP, Product, read_send
from adapters.providers.kpn_platform import Request as Asked
from adapters.providers.kpn_platform_sandbox import ENVELOPES, Gateway, answer
from adapters.providers.reading import text
from adapters.providers.sandboxing import Clock, Fault, in_thread, serving
from ledger.observations import Arrival, ArrivalKind

NOW = datetime(2026, 3, 2, 9, 30, 20, tzinfo=UTC)
CREDENTIALS = {"client_id": "hush-id&=é", "client_secret": "hush-secret&=é"}
OF_SANDBOX = {"client_id": Gateway.client_id, "client_secret": Gateway.client_secret}
SEND = Request(operation="send", url="/send", body=b"{}")
PRODUCTS = {
    note: Product(
        id_kind="ident",
        read_id=lambda body: text(body.get("ident")).strip(),
        read_request=lambda _body: Asked(),
        without_id=(kind, note),
    )
    for kind, note in (("submission.rejected", "refused_without"), ("dispatch.unclear", "open_without"))
}
PRODUCT = PRODUCTS["refused_without"]
TYPES: dict[Verdict, str] = {
    "sent": "submission.accepted",
    "refused": "submission.rejected",
    "later": "submission.rejected",
    "unclear": "dispatch.unclear",
}
"""Verdict of the call -> what its answer says of the message; of a call that is repeated, the outbox leaves that out."""


def client_of(product: Product = PRODUCT) -> Client:
    return Client(
        settings=Settings,
        secrets=SECRETS,
        answers=answers(product),
        code=code(product),
        token_request=token_request,
        read_token=read_token,
        authorise=authorise,
    )


def access(base: str = "https://kpn.example", secrets: dict[str, str] | None = None) -> Access:
    settings = Settings(base_url=f"{base}/product")
    return Access(settings=settings, secrets=secrets or CREDENTIALS, now=NOW)


def said(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        at=NOW, status=status, body=raw, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def verdict(given: Answer, product: Product = PRODUCT) -> str:
    return judge(client_of(product), SEND, given).verdict


# --- the token


def test_a_token_is_asked_for_as_published_and_nothing_of_it_is_kept() -> None:
    """On the product's host; the grant stands in the query, the credentials in the form, percent-encoded; what is kept is empty."""
    asked = token_request(access())
    assert "https://kpn.example/oauth/client_credential/accesstoken?grant_type=client_credentials" == asked.url
    assert {name: [value] for name, value in CREDENTIALS.items()} == parse_qs(asked.body.decode())
    assert "application/x-www-form-urlencoded" == asked.headers["content-type"]
    assert not asked.kept
    assert not asked.may_send
    assert "hush" not in repr(asked)


@pytest.mark.parametrize(
    ("lasts", "expected"),
    [("3599", 3599), (3599, 3599), (" 60 ", 60), ("0", 0), ("soon", 0), ("-1", 0), (None, 0), ("nan", 0), ([], 0)],
)
def test_how_long_a_token_lasts_is_a_string_of_digits_or_unknown(lasts: object, expected: int) -> None:
    """All values of the answer are strings; a token of unknown life is used for one call."""
    assert ("t-1", expected) == read_token(said(200, {"access_token": "t-1", "expires_in": lasts, "scope": ""}))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (said(401, {"ErrorCode": "invalid_client", "Error": "hush"}), "401, invalid_client"),
        (said(401, {"ErrorCode": "hush", "Error": "hush"}), "401, no known error"),
        (said(200, {"expires_in": "3599"}), "200, no known error"),
        (said(500, {"access_token": "hush"}), "500, no known error"),
        (said(200, b"<html>hush"), "200, no known error"),
        (said(200, ["hush"]), "200, no known error"),
    ],
)
def test_an_answer_without_token_says_why_and_quotes_nothing(given: Answer, why: str) -> None:
    """Only a code that a table knows is repeated; whatever else stands there may be a credential."""
    with pytest.raises(CallFailedError, match=why) as failed:
        read_token(given)
    assert "hush" not in str(failed.value)


def test_a_call_carries_its_token_as_bearer_and_keeps_its_other_headers() -> None:
    """The older `BearerToken` is not used."""
    asked = authorise(replace(SEND, headers={"subaccount": "s"}), replace(access(), token="hush-t"))
    assert {"subaccount": "s", "authorization": "Bearer hush-t"} == asked.headers


# --- what an answer means


@pytest.mark.parametrize("word", [w for w in (*ERRORS, *HTTP) if w.type], ids=lambda w: w.word)
@pytest.mark.parametrize("shape", ENVELOPES)
def test_a_known_code_means_the_same_in_each_envelope_whatever_the_http_status(word: Any, shape: str) -> None:
    """A gateway may replace the HTTP status and not the words."""
    expected = {"never": "refused", "later": "later", "person": "later", "unclear": "unclear"}[word.retry]
    for status in (200, 400, 500):
        assert expected == verdict(said(status, ENVELOPES[shape](word.word, "why")))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "refused"),
        (401, "later"),
        (403, "later"),
        (404, "later"),
        (405, "later"),
        (412, "refused"),
        (413, "refused"),
        (429, "later"),
        (500, "unclear"),
        (502, "unclear"),
        (503, "unclear"),
        (504, "unclear"),
        (302, "unclear"),
    ],
)
def test_each_published_return_code_has_a_meaning_without_a_body(status: int, expected: str) -> None:
    """What a person must repair is tried again: nothing was sent; what cannot succeed is refused; the rest is unclear."""
    assert expected == verdict(said(status, b""))


@pytest.mark.parametrize(("note", "expected"), [("refused_without", "refused"), ("open_without", "unclear")])
def test_success_is_the_presence_of_an_id_and_nothing_else(note: str, expected: str) -> None:
    """201 and 202 are as good as 200; without an id the product says what it means."""
    product = PRODUCTS[note]
    assert ["sent"] * 3 == [verdict(said(status, {"ident": "i-1"}), product) for status in (200, 201, 202)]
    assert expected == verdict(said(200, {"status": "OK"}), product)
    assert "unclear" == verdict(said(200, b"<html>"), product)


BODIES = st.sampled_from([b"", b"[]", b"<html>", b"{}", b'{"ident":"i"}', b'{"ident":"i","a":1,"a":2}']) | st.builds(
    lambda shape, word: json.dumps({**ENVELOPES[shape](word, "why"), "ident": "i"}).encode(),
    st.sampled_from(sorted(ENVELOPES)),
    st.sampled_from([w.word for w in (*ERRORS, *HTTP)] + ["no such code", ""]),
)


@given(
    status=st.sampled_from(sorted({int(w.word) for w in HTTP if w.word.isdecimal()} | {301, 418, 504, 999, 100})),
    body=BODIES,
    note=st.sampled_from(sorted(PRODUCTS)),
)
def test_what_is_done_after_an_answer_agrees_with_what_is_said_of_it(status: int, body: bytes, note: str) -> None:
    """The verdict on the call and the fact in the ledger come from the same tables, for any status and body."""
    product = PRODUCTS[note]
    arrival = Arrival(
        provider="kpn_sms",
        account="a",
        operation="send",
        kind=ArrivalKind.POLL,
        observed_at=NOW,
        body=body,
        status=status,
        request=b"{}",
    )
    judged = judge(client_of(product), SEND, said(status, body))
    assert TYPES[judged.verdict] == read_send(arrival, product)[0].type


QUOTA_USED = {"quota_limit": "10", "quota_used": "10", "quota_interval": "1"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (QUOTA_USED | {"quota_time_unit": "minute"}, datetime(2026, 3, 2, 9, 31, tzinfo=UTC)),
        (QUOTA_USED | {"quota_time_unit": "Hour"}, datetime(2026, 3, 2, 10, 0, tzinfo=UTC)),
        (QUOTA_USED | {"quota_time_unit": "day"}, datetime(2026, 3, 3, tzinfo=UTC)),
        (QUOTA_USED | {"quota_time_unit": "week"}, datetime(2026, 3, 3, tzinfo=UTC)),
        (QUOTA_USED | {"quota_time_unit": "month"}, datetime(2026, 4, 1, tzinfo=UTC)),
        (QUOTA_USED | {"quota_time_unit": "day", "retry_after": "5"}, NOW + timedelta(seconds=5)),
        (QUOTA_USED | {"quota_time_unit": "day", "quota_used": "9"}, NOW + timedelta(minutes=1)),
        (QUOTA_USED | {"quota_time_unit": "fortnight"}, NOW + timedelta(minutes=1)),
        ({}, NOW + timedelta(minutes=1)),
    ],
    ids=["minute", "hour", "day", "week", "month", "retry after", "quota left", "unknown unit", "silent"],
)
@pytest.mark.parametrize(
    "body", [b"", json.dumps(ENVELOPES["fault"]("policies.ratelimit.QuotaViolation", "")).encode()]
)
def test_a_used_up_quota_is_waited_for_until_its_own_period_ends(
    headers: dict[str, str], expected: datetime, body: bytes
) -> None:
    """What the answer says more exactly goes before; too many calls with quota left are a matter of a minute."""
    judged = judge(client_of(), SEND, said(429, body, **headers))
    assert ("later", expected) == (judged.verdict, judged.retry_at)


def test_every_unit_of_quota_has_a_row() -> None:
    """A unit without a row would fall through to the body's code."""
    rows = {row.code for row in answers(PRODUCT)}
    assert {f"quota_{unit}" for unit in QUOTA} <= rows


# --- over HTTP


@dataclass
class Running:
    """A gateway with one made-up product behind it."""

    gateway: Gateway
    base: str


@contextmanager
def running(gateway: Gateway) -> Iterator[Running]:
    async def send(_request: web.Request) -> web.Response:
        return answer({"ident": "i-1"})

    @asynccontextmanager
    async def serve() -> Any:
        async with serving(gateway.application([web.post("/product/send", send)])) as base:
            yield Running(gateway, base)

    with in_thread(serve) as found:
        yield found


PROVIDER = Provider(
    name="kpn_demo",
    title="",
    channel="sms",
    mapping="kpn_demo/1",
    documentation="",
    relied_on="",
    operations=(Operation("send", "POST /send", "used", "", "A"),),
    tables={},
    parse=lambda _arrival: (),
    recognise=lambda _name, _body: "",
    headers=HEADERS,
    client=client_of(),
)


def call(caller: Caller, at: Running, secrets: dict[str, str] | None = None) -> Answer:
    return caller.call(client_of(), PROVIDER, SEND, access(at.base, secrets or OF_SANDBOX), key=("acme", "demo"))


def test_one_token_serves_many_calls_until_it_expires() -> None:
    """Then, and when KPN takes it back, the answer 401 makes the caller fetch another, once."""
    with running(Gateway(clock=Clock(NOW))) as at, Caller() as caller:
        assert [200, 200] == [call(caller, at).status for _ in range(2)]
        assert 1 == at.gateway.token_calls
        at.gateway.clock.advance(timedelta(hours=2))
        assert 200 == call(caller, at).status
        at.gateway.tokens.clear()
        assert 200 == call(caller, at).status
        assert 3 == at.gateway.token_calls


@pytest.mark.parametrize("wrong", ["client_id", "client_secret"])
def test_wrong_credentials_send_nothing_and_the_token_service_is_not_pestered(wrong: str) -> None:
    """Nothing reached the product, so the send may be tried again; a locked account would be worse than a wait."""
    with running(Gateway()) as at, Caller() as caller:
        found = [call(caller, at, {**OF_SANDBOX, wrong: "other"}) for _ in range(3)]
        assert ["unreachable"] * 3 == [each.failure for each in found]
        assert 1 == at.gateway.token_calls
        assert "later" == verdict(found[0])


def test_quota_and_version_stand_in_the_headers_of_every_answer() -> None:
    """They may be kept, and so they are, beside each stored answer."""
    gateway = Gateway(clock=Clock(NOW), quota_limit=2, quota_unit="hour", api_version="1.0.6", sunset="2027-01-01")
    with running(gateway) as at, Caller(clock=lambda: NOW) as caller:
        found = [call(caller, at) for _ in range(3)]
    assert [200, 200, 429] == [each.status for each in found]
    assert ["1", "2", "2"] == [each.headers["quota-used"] for each in found]
    assert {
        "content-type": "application/json",
        "api-version": "1.0.6",
        "sunset": "2027-01-01",
        "quota-limit": "2",
        "quota-interval": "1",
        "quota-time-unit": "hour",
        "quota-used": "2",
        "quota-reset-utc": str(int(datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp() * 1000)),
    } == found[2].headers
    judged = judge(client_of(), SEND, found[2])
    assert ("later", datetime(2026, 3, 2, 10, tzinfo=UTC)) == (judged.verdict, judged.retry_at)


@pytest.mark.parametrize("shape", ENVELOPES)
@pytest.mark.parametrize(("status", "expected"), [(400, "refused"), (403, "later"), (500, "unclear"), (503, "unclear")])
def test_errors_on_demand_come_in_each_envelope(shape: str, status: int, expected: str) -> None:
    """The gateway to try writes what the reader reads."""
    with running(Gateway()) as at, Caller() as caller:
        at.gateway.faults.add("POST /send", Fault("status", status=status, shape=shape))
        found = call(caller, at)
        assert (status, expected) == (found.status, verdict(found))
        assert 200 == call(caller, at).status


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("cut_before"), "unclear"),
        (Fault("cut_after"), "unclear"),
        (Fault("redirect"), "unclear"),
        (Fault("garbage"), "unclear"),
    ],
    ids=lambda each: each.kind if isinstance(each, Fault) else None,
)
def test_broken_answers_leave_it_open_whether_it_was_sent(fault: Fault, expected: str) -> None:
    """Whatever the sandbox knows, the caller cannot."""
    with running(Gateway()) as at, Caller() as caller:
        at.gateway.faults.add("POST /send", fault)
        assert expected == verdict(call(caller, at))


def test_an_answer_that_does_not_come_in_time_is_unclear() -> None:
    """The request was sent, so it is not repeated."""
    with running(Gateway()) as at, Caller() as caller:
        call(caller, at)
        at.gateway.faults.add("POST /send", Fault("slow_after"))
        slow = replace(SEND, timeout_s=0.2)
        found = caller.call(client_of(), PROVIDER, slow, access(at.base, OF_SANDBOX), key=("acme", "demo"))
        assert ("timeout", "unclear") == (found.failure, verdict(found))


def test_the_end_of_an_api_version_is_a_fact_about_the_account_once() -> None:
    """`n/a` is no announcement; the same announcement again has the same identity, another version another one."""

    def notices(**headers: str) -> list[Any]:
        arrival = Arrival(
            provider="kpn_sms",
            account="a",
            operation="send",
            kind=ArrivalKind.POLL,
            observed_at=NOW,
            body=b"{}",
            status=200,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        return [each for each in read_send(arrival, PRODUCT) if each.about == "account"]

    assert [] == notices() == notices(sunset="N/A") == notices(sunset="")
    first, again, other = (notices(sunset="2027-01-01", api_version=version)[0] for version in ("1.0", "1.0", "1.1"))
    assert first == again
    assert first.identity != other.identity
    assert ({"sunset": "2027-01-01", "api_version": "1.0"}, ("sunset_announced",)) == (first.texts, first.notes)
