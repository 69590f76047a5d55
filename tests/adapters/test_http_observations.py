"""Arrivals handed in by a tenant's own systems: one by one, as a stream, and as uploaded receipts."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from adapters.http import observations
from adapters.http.observations import Lines
from adapters.records import encode
from tests.adapters.conftest import DLR, SAMPLES, Api, accepted
from tests.providers import samples

NDJSON = {"Content-Type": "application/x-ndjson"}


async def test_record_is_admitted_and_moves_the_delivery(api: Api) -> None:
    """The provider's acceptance, handed in, is a fact of the message it names."""
    api.account()
    reply = await api.observe(**accepted("doc-1"))
    assert (201, 1, 0) == (reply.status, len(reply.json["facts"]), reply.json["unmatched"])
    found = await api.call("POST /v1/search", json={"reference": "doc-1"})
    assert [("accepted", "0612340001")] == [(d["status"], d["address"]["address"]) for d in found.json["deliveries"]]
    event = api.events("submission.accepted")[0].fields
    assert ("api", "unsigned") == (event["arrival"], event["verdict"])
    assert event["actor"].startswith("key_")


async def test_same_record_again_changes_nothing(api: Api) -> None:
    """A repetition is answered 200 and writes no event."""
    api.account()
    await api.observe(**accepted())
    size = api.size()
    again = await api.observe(**accepted())
    assert (200, [], 1, size) == (again.status, again.json["facts"], again.json["seen"], api.size())


async def test_bytes_that_cannot_be_read_are_kept_and_wait_for_a_person(api: Api) -> None:
    """201, because they are durable; the answer says that they wait."""
    api.account("mail", "pec_mailbox")
    reply = await api.observe(account="mail", operation="receipt", body="no receipt")
    assert (201, 1, []) == (reply.status, reply.json["unreadable"], reply.json["facts"])
    assert 1 == len(api.events("lane.opened"))


async def test_stream_is_answered_line_by_line_and_a_bad_line_hurts_only_itself(api: Api) -> None:
    """Results come in order with the line's number; empty lines have none."""
    api.account()
    lines = [
        json.dumps({"account": "sms", **accepted("doc-1")}).encode(),
        b'{"account": "sms", "operation": "send"}',
        b"",
        b"not json",
        json.dumps({"account": "nobody", **accepted("doc-2")}).encode(),
        json.dumps({"account": "sms", **accepted("doc-3")}).encode(),
        json.dumps({"account": "sms", **accepted("doc-1")}).encode(),
    ]
    reply = await api.call("POST /v1/observations", data=b"\n".join(lines), headers=NDJSON)
    assert (200, "application/x-ndjson") == (reply.status, reply.headers["Content-Type"])
    found = reply.lines
    assert [(1, 201), (2, 422), (4, 400), (5, 404), (6, 201), (7, 200)] == [(r["line"], r["status"]) for r in found]
    assert "body" == found[1]["problem"]["errors"][0]["field"]
    assert "accounts add nobody" in found[3]["problem"]["detail"]
    assert 2 == len(api.events("submission.accepted"))


async def test_stream_is_admitted_in_chunks_while_it_comes(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 500 records are durable before the last one was sent."""
    sqlite_api.account()
    sizes, is_stored = list[int](), threading.Event()
    admit = sqlite_api.system.intake.admit

    def watched(readings: Sequence[Any]) -> list[Any]:
        outcomes = admit(readings)
        sizes.append(len(readings))
        is_stored.set()
        return outcomes

    async def body() -> AsyncIterator[bytes]:
        for number in range(600):
            yield json.dumps({"account": "sms", **accepted(f"doc-{number}")}).encode() + b"\n"
        assert await asyncio.to_thread(is_stored.wait, 30)
        yield json.dumps({"account": "sms", **accepted("doc-last")}).encode()

    monkeypatch.setattr(sqlite_api.system.intake, "admit", watched)
    reply = await sqlite_api.call("POST /v1/observations", data=body(), headers=NDJSON)
    assert [(number, 201) for number in range(1, 602)] == [(line["line"], line["status"]) for line in reply.lines]
    assert [500, 101] == sizes


async def test_line_over_the_limit_is_refused_alone(sqlite_api: Api) -> None:
    """It costs no memory and no other line; numbers go on."""
    sqlite_api.account()
    limit = sqlite_api.system.settings.max_body_bytes
    good = json.dumps({"account": "sms", **accepted()}).encode()
    body = good + b"\n" + b"x" * (limit + 1) + b"\n" + good
    reply = await sqlite_api.call("POST /v1/observations", data=io.BytesIO(body), headers=NDJSON)
    assert [(1, 201), (2, 413), (3, 200)] == [(r["line"], r["status"]) for r in reply.lines]


@given(
    lines=st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b)),
    cuts=st.lists(st.integers(0, 150)),
    ends=st.booleans(),
)
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], cuts: list[int], *, ends: bool) -> None:
    """Splitting bytes into parts changes nothing; lines over the limit are None."""
    body = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    edges = sorted({0, len(body), *(min(c, len(body)) for c in cuts)})
    splitter, found = Lines(8), list[bytes | None]()
    for start, end in itertools.pairwise(edges):
        found += splitter.feed(body[start:end])
    found += splitter.end()
    whole = body.split(b"\n")
    expected = [line if len(line) <= 8 else None for line in (whole if whole[-1] else whole[:-1])]
    assert expected == found


# --- signatures


def _dlr_record(**change: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(encode(samples.arrival(DLR)))
    return {**record, "account": "sms", "kind": "api", **change}


async def test_signed_operation_is_verified_with_the_accounts_keys(api: Api) -> None:
    """A forwarded webhook carries its own proof: the verdict is that of the provider's check, as of the time it came."""
    api.signing_account()
    reply = await api.observe(**_dlr_record())
    assert 201 == reply.status, reply
    event = api.events("content.consigned")[0].fields
    assert ("api", "verified", "wk_0A11CE0000000002") == (event["arrival"], event["verdict"], event["key_id"])
    assert event["observed_at"].startswith("2026-07-20T10:04:10")


@pytest.mark.parametrize(
    "change",
    [{"headers": {}}, {"body": '{"DLRID": "forged"}'}, {"observed_at": "2026-07-21T10:04:10Z"}],
    ids=["no signature", "other bytes", "stale"],
)
async def test_signed_operation_that_does_not_verify_is_refused(sqlite_api: Api, change: dict[str, Any]) -> None:
    """422 that says what the check found; nothing enters the log."""
    sqlite_api.signing_account()
    size = sqlite_api.size()
    reply = await sqlite_api.observe(**_dlr_record(**change))
    assert (422, "signature", size) == (reply.status, reply.type, sqlite_api.size())


# --- what a record may not say


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"kind": "webhook"}, 422, "kind"),
        ({"kind": "mailbox"}, 422, "kind"),
        ({"kind": "poll"}, 422, "kind"),  # what was fetched by us proves more than what somebody hands in
        ({"provider": "pec_mailbox"}, 422, "operation"),
        ({"provider": "pec_mailbox", "operation": "receipt"}, 422, "provider"),
        ({"observed_at": "2999-01-01T00:00:00Z"}, 422, "observed_at"),
    ],
)
async def test_record_may_not_claim_another_way_provider_or_time(
    sqlite_api: Api, change: dict[str, Any], status: int, field: str
) -> None:
    """How it came is ours to say; the provider is the account's; nothing was observed tomorrow."""
    sqlite_api.account()
    reply = await sqlite_api.observe(**{**accepted(), **change})
    assert (status, field) == (reply.status, reply.json["errors"][0]["field"])


async def test_named_message_must_be_ones_own(api: Api) -> None:
    """`message` attaches bytes to a message of the tenant; somebody else's does not exist."""
    other = api.of("other")
    for each in (api, other):
        each.account()
    mine, theirs = await api.send(), await other.send()
    size = api.size()
    refused = await api.observe(**accepted("doc-1"), message=theirs)
    assert (404, size) == (refused.status, api.size())
    taken = await api.observe(**accepted("doc-1"), message=mine)
    assert [mine] == taken.json["messages"]


async def test_closed_account_takes_no_records(sqlite_api: Api) -> None:
    """After `disable` nothing is taken for the account."""
    sqlite_api.account()
    sqlite_api.system.accounts.disable(sqlite_api.tenant, "sms", "contract ended")
    reply = await sqlite_api.observe(**accepted())
    assert (409, "account-closed") == (reply.status, reply.type)


async def test_database_that_fails_is_told_line_by_line(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that could not be stored is answered 503, never 201; the stream goes on."""
    sqlite_api.account()

    def broken(*_: Any) -> list[Any]:
        return [OperationalError("gone")]

    monkeypatch.setattr(sqlite_api.system.intake, "admit", broken, raising=False)
    line = json.dumps({"account": "sms", **accepted()}).encode()
    reply = await sqlite_api.call("POST /v1/observations", data=line, headers=NDJSON)
    assert [(503, "/problems/unavailable")] == [(r["status"], r["problem"]["type"]) for r in reply.lines]


# --- receipts


RECEIPT = SAMPLES / "pec_mailbox" / "samples" / "accettazione_mixed_recipients"


async def test_uploaded_receipt_is_admitted_with_its_exact_bytes(api: Api) -> None:
    """A message of certified mail, as it lies in the mailbox, is evidence and facts."""
    api.account("mail", "pec_mailbox")
    body = (RECEIPT / "body.raw").read_bytes()
    reply = await api.call("POST /v1/receipts?account=mail", data=body, headers={"Content-Type": "message/rfc822"})
    assert 201 == reply.status, reply
    assert reply.json["facts"]
    event = api.events("submission.accepted")[0].fields
    assert ("import", "receipt") == (event["arrival"], event["operation"])
    original = await api.call(f"GET /v1/artifacts/{event['artifacts'][0]}")
    assert body == original.body
    again = await api.call("POST /v1/receipts?account=mail", data=body, headers={"Content-Type": "message/rfc822"})
    assert (200, []) == (again.status, again.json["facts"])


@pytest.mark.parametrize(
    ("query", "media", "status"),
    [
        ("?account=sms", "message/rfc822", 422),
        ("?account=nobody", "message/rfc822", 404),
        ("", "message/rfc822", 422),
        ("?account=sms&account=sms", "message/rfc822", 422),
        ("?account=sms", "text/plain", 415),
    ],
)
async def test_receipt_needs_an_account_that_has_receipts(sqlite_api: Api, query: str, media: str, status: int) -> None:
    """The account says whose receipt it is; another content type is not read."""
    sqlite_api.account()
    reply = await sqlite_api.call(f"POST /v1/receipts{query}", data=b"x", headers={"Content-Type": media})
    assert status == reply.status, reply


def test_chunks_are_bounded() -> None:
    """The numbers that bound the memory of a stream, together below a body."""
    assert 500 == observations.MAX_CHUNK_RECORDS
    assert observations.MAX_CHUNK_BYTES < 32 * 1024 * 1024
