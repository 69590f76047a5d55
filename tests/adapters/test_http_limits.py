"""Requests that are too large, too slow, too many, or no proper JSON: clear 4xx or 503, and nothing half-written."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError

from ledger.errors import BusyError, ClockError, ClosedError, ConflictError, ForkError, UnclearCommitError
from ops.system import System
from tests.adapters.conftest import Api, Failing, serving

JSON = {"Content-Type": "application/json"}
GOOD = json.dumps({"account": "sms", "recipients": [{"kind": "phone", "address": "0612340001"}]}).encode()

BODIES: dict[str, tuple[bytes, str, int]] = {
    "nothing": (b"", "not-json", 400),
    "half": (GOOD[:-3], "not-json", 400),
    "two values": (GOOD + GOOD, "not-json", 400),
    "not UTF-8": (GOOD.replace(b"0612340001", b"caf\xe9"), "not-json", 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not-json", 400),
    "lone surrogate": (GOOD.replace(b"0612340001", b"\\ud83d"), "not-json", 400),
    "NaN": (GOOD[:-1] + b', "links": NaN}', "not-json", 400),
    "a key twice": (GOOD[:-1] + b', "account": "sms"}', "invalid", 422),
    "a key twice within": (GOOD.replace(b'"kind"', b'"kind": "email", "kind"'), "invalid", 422),
    "deep": (b'{"account": ' + b"[" * 500_000 + b"]" * 500_000 + b"}", "invalid", 422),
    "a list": (b"[]", "invalid", 422),
    "a float": (GOOD[:-1] + b', "labels": 1e400}', "invalid", 422),
}


@pytest.mark.parametrize("case", BODIES)
async def test_what_is_no_strict_json_is_refused_and_nothing_is_written(sqlite_api: Api, case: str) -> None:
    """Each fault has its problem; the log does not grow."""
    sqlite_api.account()
    body, kind, status = BODIES[case]
    size = sqlite_api.size()
    reply = await sqlite_api.call("POST /v1/messages", data=body, headers=JSON)
    assert (status, kind, size) == (reply.status, reply.type, sqlite_api.size())


@pytest.mark.parametrize(
    "media", ["text/plain", "application/json; charset=latin-1", "application/xml", "application/x-www-form-urlencoded"]
)
async def test_content_type_that_is_not_read_is_415(sqlite_api: Api, media: str) -> None:
    """The problem says what to send."""
    reply = await sqlite_api.call("POST /v1/search", data=b"{}", headers={"Content-Type": media})
    assert (415, "media-type") == (reply.status, reply.type)


async def test_text_that_cannot_be_stored_is_repaired_and_noted(sqlite_api: Api) -> None:
    """U+0000 in a subject becomes U+FFFD, and the event says so."""
    sqlite_api.account()
    message = await sqlite_api.send(subject="a\0b", references=[{"kind": "own_reference", "value": "c\0d"}])
    view = (await sqlite_api.call(f"GET /v1/messages/{message}")).json
    assert ({"subject": "a\ufffdb"}, "c\ufffdd") == (view["values"], view["references"][0]["value"])
    assert ["text_repaired"] == view["notes"]
    found = (await sqlite_api.call("POST /v1/search", json={"reference": "c\0d"})).json
    assert [message] == [d["message"] for d in found["deliveries"]]


async def test_body_over_the_limit_is_413_announced_or_not(sqlite_system: System) -> None:
    """One byte more than the limit; the limit itself is taken."""
    async with serving(sqlite_system, body_bytes=2_000) as api:
        api.account()
        exact = GOOD + b" " * (2_000 - len(GOOD))
        size = api.size()

        async def chunked() -> AsyncIterator[bytes]:
            yield exact
            yield b" "

        for body in (exact + b" ", chunked(), gzip.compress(exact + b" ")):
            packed = {"Content-Encoding": "gzip"} if isinstance(body, bytes) and len(body) < 1_000 else {}
            reply = await api.call("POST /v1/messages", data=body, headers=JSON | packed)
            assert (413, "too-large", size) == (reply.status, reply.type, api.size())
        assert 201 == (await api.call("POST /v1/messages", data=exact, headers=JSON)).status


async def test_thirty_megabytes_are_taken_and_the_limit_holds(sqlite_api: Api) -> None:
    """A body of 30 MB is an original like any other; one over 32 MiB is refused."""
    sqlite_api.account("mail", "pec_mailbox")
    media = {"Content-Type": "message/rfc822"}
    limit = sqlite_api.system.settings.max_body_bytes
    taken = await sqlite_api.call("POST /v1/receipts?account=mail", data=io.BytesIO(b"x" * 30_000_001), headers=media)
    refused = await sqlite_api.call(
        "POST /v1/receipts?account=mail", data=io.BytesIO(b"x" * (limit + 1)), headers=media
    )
    assert (201, 1, 413) == (taken.status, taken.json["unreadable"], refused.status)


async def test_body_that_is_packed_is_unpacked_and_a_damaged_one_is_400(sqlite_api: Api) -> None:
    """Content-Encoding is HTTP's business; what is broken is not half read."""
    sqlite_api.account()
    packed = JSON | {"Content-Encoding": "gzip"}
    good = await sqlite_api.call("POST /v1/messages", data=gzip.compress(GOOD), headers=packed)
    size = sqlite_api.size()
    damaged = await sqlite_api.call("POST /v1/messages", data=GOOD, headers=packed)
    assert (201, 400, size) == (good.status, damaged.status, sqlite_api.size())


async def _raw(api: Api, *parts: bytes) -> bytes:
    """What the server answers to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_body_that_ends_early_writes_nothing(sqlite_api: Api) -> None:
    """The connection breaks in the middle of a body: the log does not grow."""
    sqlite_api.account()
    key, size = sqlite_api.key("ingest"), sqlite_api.size()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(GOOD) + 1}\r\n\r\n"
    )
    await _raw(sqlite_api, head.encode(), GOOD)
    assert size == sqlite_api.size()


async def test_body_that_does_not_come_is_408(sqlite_system: System) -> None:
    """A caller that stops sending is answered and let go."""
    async with serving(sqlite_system, request_timeout_s=0.3) as api:
        going_on = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            yield GOOD[:10]
            await going_on.wait()

        reply = await api.call("POST /v1/messages", data=stalling(), headers=JSON)
        going_on.set()
        assert (408, "slow-body") == (reply.status, reply.type)


class Blocked:
    """Makes a function wait until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        original = getattr(owner, name)

        def wait(*args: Any) -> Any:
            self.entered.set()
            assert self.let_go.wait(30)
            return original(*args)

        monkeypatch.setattr(owner, name, wait)


async def test_answer_that_is_not_ready_in_time_is_503(sqlite_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told to repeat; the thread ends by itself."""
    blocked = Blocked(monkeypatch, sqlite_system.accounts, "list")
    async with serving(sqlite_system, request_timeout_s=0.3) as api:
        reply = await api.call("GET /v1/accounts")
        blocked.let_go.set()
        assert (503, "slow-answer", "2") == (reply.status, reply.type, reply.headers["Retry-After"])


async def test_one_caller_cannot_crowd_out_the_others(sqlite_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its share a key is answered 429; another tenant is served meanwhile."""
    blocked = Blocked(monkeypatch, sqlite_system.accounts, "list")
    async with serving(sqlite_system, requests_per_caller=1) as api:
        first = asyncio.create_task(api.call("GET /v1/accounts"))
        await asyncio.to_thread(blocked.entered.wait, 30)
        second = await api.call("GET /v1/accounts")
        other = await api.of("other").call("GET /v1/providers/pec_mailbox")
        blocked.let_go.set()
        assert (429, "too-many-requests", "1") == (second.status, second.type, second.headers["Retry-After"])
        assert [200, 200] == [other.status, (await first).status]


FAILURES: list[tuple[Exception, int, str, bool]] = [
    (BusyError(), 503, "busy", True),
    (ConflictError(), 503, "busy", True),
    (ClosedError(), 503, "stopping", True),
    (ClockError(), 503, "clock", True),
    (UnclearCommitError(), 503, "unclear", True),
    (ForkError(), 503, "frozen", False),
    (OperationalError("FATAL: 0612340001"), 503, "unavailable", True),
    (KeyError("0612340001"), 500, "internal", False),
]
"""What is raised, status, kind, and whether the answer says when to try again."""


@pytest.mark.parametrize("failure", FAILURES, ids=lambda f: type(f[0]).__name__)
async def test_failure_of_ours_is_5xx_without_internals(
    sqlite_api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: tuple[Exception, int, str, bool],
) -> None:
    """The problem says whether to try again; neither it nor the log repeats what the error says."""
    sqlite_api.account()
    error, status, kind, again = failure
    monkeypatch.setattr(sqlite_api.system.intake, "register", Failing(error))
    reply = await sqlite_api.call("POST /v1/messages", data=GOOD, headers=JSON)
    assert (status, kind, again) == (reply.status, reply.type, "Retry-After" in reply.headers)
    assert b"0612340001" not in reply.body
    assert "0612340001" not in caplog.text
    assert (kind == "internal") == ("KeyError in request" in caplog.text)
    page = await sqlite_api.call(f"GET {reply.json['type']}", scopes=())
    assert reply.json["title"] in page.body.decode()


async def test_method_that_is_not_for_a_path_is_405_with_those_that_are(sqlite_api: Api) -> None:
    """Allow names them, as RFC 9110 asks."""
    reply = await sqlite_api.call("PUT /v1/search")
    assert (405, "method", "POST") == (reply.status, reply.type, reply.headers["Allow"])
