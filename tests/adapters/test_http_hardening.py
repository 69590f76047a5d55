"""Hostile callers of the API: what they send too much, too slowly, or so that two readers would understand it differently."""

from __future__ import annotations

import asyncio
import bz2
import dataclasses
import gzip
import json
import logging
import time
import tracemalloc
import zlib
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from adapters.http import crossing
from adapters.http.dispatch import STATE
from adapters.http.routes import NO_KEY
from adapters.http.table import ROUTES
from adapters.http.throttling import origin
from ledger.errors import ConfigurationError
from ops import serve
from ops.logs import log_to_stderr
from ops.system import System
from tests.adapters.conftest import Api, accepted, serving

JSON = {"Content-Type": "application/json"}
ZEROS = 64 * 1024 * 1024


async def _raw(api: Api, *parts: bytes, patience_s: float = 20) -> bytes:
    """What the server answers to these bytes until it closes; the caller sends no more and keeps its side open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    for part in parts:
        writer.write(part)
    try:
        async with asyncio.timeout(patience_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


# --- headers of every answer

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    "where",
    [
        "GET /docs",
        "GET /docs/page.js",
        "GET /healthz",
        "GET /metrics",
        "GET /nowhere",
        "PUT /v1/search",
        "GET /v1/accounts",
    ],
)
async def test_every_answer_carries_the_headers(sqlite_api: Api, where: str) -> None:
    """Pages, streams, refusals and errors alike; no page may frame another."""
    reply = await sqlite_api.call(where)
    assert ALWAYS.items() <= {name: reply.headers[name] for name in ALWAYS}.items()
    assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
    assert "'unsafe" not in reply.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in reply.headers
    is_same_for_all = where.startswith("GET /docs")
    assert is_same_for_all or "no-store" in reply.headers["Cache-Control"]


async def test_a_browser_is_held_to_https_where_the_address_is_https(
    sqlite_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every answer, the refusals too."""
    _given(monkeypatch, public_url="https://ledger.example")
    async with serving(sqlite_system) as api:
        found = [(await api.call(where)).headers["Strict-Transport-Security"] for where in ("GET /healthz", "GET /no")]
    assert ["max-age=31536000"] * 2 == found


def _given(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Services with something else in them."""
    original: Callable[[System], Any] = serve.services_of
    monkeypatch.setattr(
        "tests.adapters.conftest.services_of", lambda system: dataclasses.replace(original(system), **changed)
    )


# --- other origins

DESK = "https://desk.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def test_no_page_of_another_origin_is_let_through_by_itself(sqlite_api: Api) -> None:
    """No header invites one, and what a browser asks before it sends is refused."""
    for where, headers in (("GET /v1/accounts", {}), ("OPTIONS /v1/messages", PREFLIGHT)):
        reply = await sqlite_api.call(where, headers={"Origin": DESK, **headers})
        assert [] == [name for name in reply.headers if name.startswith("Access-Control")]
    assert 405 == reply.status


@pytest.mark.parametrize(
    ("origin", "is_let"),
    [
        (DESK, True),
        *(
            (origin, False)
            for origin in ("https://desk.example.evil.example", "http://desk.example", "https://DESK.example")
        ),
        *(
            (origin, False)
            for origin in ("https://desk.example:8443", "https://desk.example/", "null", "", "https://evil.example")
        ),
    ],
)
async def test_an_origin_is_let_through_by_its_exact_name(
    sqlite_system: System, monkeypatch: pytest.MonkeyPatch, origin: str, *, is_let: bool
) -> None:
    """Never with credentials, and caches are told that the answer depends on it."""
    _given(monkeypatch, cors_origins=(DESK,))
    async with serving(sqlite_system) as api:
        asked = await api.call("OPTIONS /v1/messages", scopes=(), headers={"Origin": origin, **PREFLIGHT})
        got = await api.call("GET /v1/accounts", headers={"Origin": origin})
    for reply in (asked, got):
        assert (origin if is_let else None) == reply.headers.get("Access-Control-Allow-Origin")
        assert "Access-Control-Allow-Credentials" not in reply.headers
        assert "Origin" == reply.headers["Vary"]
    assert (204 if is_let else 405, 200) == (asked.status, got.status)


@pytest.mark.parametrize(
    "origin", ["*", "desk.example", "https://desk.example/", "null", "ftp://desk.example", "https://u@desk.example"]
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    """Above all `*`: it would open the API to every page."""
    with pytest.raises(ConfigurationError, match="cors_origins"):
        crossing.check([origin])


# --- requests that two readers would understand differently

SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
TWOFOLD: dict[str, bytes] = {
    "two lengths": b"Content-Length: 0\r\nContent-Length: 36\r\n",
    "two equal lengths": b"Content-Length: 36\r\nContent-Length: 36\r\n",
    "a list of lengths": b"Content-Length: 0, 36\r\n",
    "length and chunks": b"Content-Length: 36\r\nTransfer-Encoding: chunked\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "unknown transfer encoding": b"Transfer-Encoding: xchunked\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "length with a sign": b"Content-Length: +36\r\n",
    "blank before the colon": b"Content-Length : 36\r\n",
    "folded header": b"X-A: b\r\n c\r\nContent-Length: 36\r\n",
    "NUL in a header": b"X-A: b\x00c\r\n",
    "bare CR in a header": b"X-A: b\rContent-Length: 36\r\n",
    "no name": b": x\r\n",
}


@pytest.mark.parametrize("case", TWOFOLD)
async def test_a_request_of_two_meanings_is_refused_and_nothing_after_it_is_read(sqlite_api: Api, case: str) -> None:
    """What a proxy took for a body must never become a request of its own (RFC 9112 section 6.3)."""
    head = b"POST /v1/search HTTP/1.1\r\nHost: x\r\n" + TWOFOLD[case] + b"\r\n"
    answer = await _raw(sqlite_api, head, SMUGGLED)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer[:200]
    assert b" 200 OK" not in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
    ],
    ids=["a long line", "a long header", "many headers"],
)
async def test_a_head_without_end_is_refused(sqlite_api: Api, head: bytes) -> None:
    """Before its end has come."""
    answer = await _raw(sqlite_api, head)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 431")), answer[:200]


NO_HTTP: dict[str, bytes] = {
    "no such version": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "no request line": b"hello\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
    "two lengths": b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
}


@pytest.mark.parametrize("case", NO_HTTP)
async def test_what_is_no_http_is_answered_as_everything_else_is(
    sqlite_system: System, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A problem that says what to do, with every header; it repeats nothing of what was sent."""
    _given(monkeypatch, public_url="https://ledger.example")
    async with serving(sqlite_system) as api:
        answer = await _raw(api, NO_HTTP[case])
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    told, headers = json.loads(body), dict(lines)
    assert (400, "/problems/not-http") == (told["status"], told["type"])
    assert ALWAYS.items() <= headers.items()
    assert ("application/problem+json", "delivery-ledger", told["instance"]) == tuple(
        headers[name] for name in ("Content-Type", "Server", "X-Request-Id")
    )
    assert "Strict-Transport-Security" in headers
    assert len(lines) == len(headers)
    assert b"aaaa" not in answer


# --- slow callers

SLOW: dict[str, tuple[bytes, ...]] = {
    "nothing": (),
    "half a line": (b"GET /v1/acc",),
    "half a head": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A",),
    "a request, then nothing": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",),
}


@pytest.mark.parametrize("case", SLOW)
async def test_a_connection_on_which_nothing_happens_is_closed(sqlite_system: System, case: str) -> None:
    """However far its first request came."""
    async with serving(sqlite_system, idle_s=0.3) as api:
        began = time.monotonic()
        await _raw(api, *SLOW[case])
        assert time.monotonic() - began < 10


async def test_headers_that_trickle_in_are_not_waited_for(sqlite_system: System) -> None:
    """Each byte comes in time, and the whole does not: what counts is the request."""
    async with serving(sqlite_system, idle_s=0.4) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        closed = asyncio.create_task(reader.read())
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        sent = 0
        while not closed.done():
            assert sent < 600, "nobody stopped it"
            writer.write(b"X-A: b\r\n" if sent < 80 else b"")
            sent += 1
            await asyncio.wait([closed], timeout=0.05)
        writer.transport.abort()


async def _drops(over: asyncio.Event, first: bytes, number: int) -> Any:
    """A body that comes byte by byte after its first part, until it is over."""
    yield first
    for _ in range(number):
        yield b" "
        try:
            async with asyncio.timeout(0.05):
                await over.wait()
        except TimeoutError:
            continue
        return


async def test_a_body_that_trickles_in_is_given_up(sqlite_system: System) -> None:
    """Although each part of it comes in time."""
    async with serving(sqlite_system, request_timeout_s=0.5, idle_s=30.0) as api:
        api.account()
        over = asyncio.Event()
        reply = await api.call("POST /v1/search", data=_drops(over, b" ", 600), headers=JSON)
        over.set()
        assert (408, "slow-body") == (reply.status, reply.type)


async def test_a_stream_that_trickles_in_is_given_up_and_what_came_is_kept(sqlite_system: System) -> None:
    """Each part in time, and all of it too slow; only the time that it is waited for counts."""
    line = json.dumps({"account": "sms", **accepted()}).encode() + b"\n"
    async with serving(sqlite_system, request_timeout_s=4.0, idle_s=30.0, body_bytes_per_s=100_000) as api:
        api.account()
        over, more_than_is_admitted_together = asyncio.Event(), line * 500
        body = _drops(over, more_than_is_admitted_together, 6_000)
        reply = await api.call("POST /v1/observations", data=body, headers={"Content-Type": "application/x-ndjson"})
        over.set()
        assert (408, "slow-body") == (reply.status, reply.type)
        assert 1 == len(api.events("submission.accepted"))


async def test_who_does_not_read_the_answer_is_let_go(sqlite_system: System) -> None:
    """Its connection, and what waits to be sent on it, are given back."""
    async with serving(sqlite_system, request_timeout_s=0.5, idle_s=30.0) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1)
        ask = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(ask * 16)
        connections = api.app[STATE].connections
        async with asyncio.timeout(30):
            while not len(connections):
                await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))])
            began = time.monotonic()
            while len(connections):
                await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))], timeout=0.05)
        assert time.monotonic() - began > 0.3
        writer.transport.abort()
        del reader


async def test_too_many_connections_are_refused_and_those_before_go_on(sqlite_system: System) -> None:
    """A further one is closed unheard; when one ends another is taken."""
    async with serving(sqlite_system, connections=2) as api:
        held = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(2)]
        connections = api.app[STATE].connections
        async with asyncio.timeout(10):
            while len(connections) < 2:
                await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))])
        assert b"" == await _raw(api, SMUGGLED)
        held[0][1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await held[0][0].read()).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(10):
            while len(connections) > 1:
                await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))])
        assert (await _raw(api, SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(
            b"HTTP/1.1 200"
        )
        held[0][1].transport.abort()
        held[1][1].transport.abort()


async def test_one_address_has_its_share_of_the_connections_and_a_proxy_has_no_bound(
    sqlite_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A further one of the same address is closed unheard; when one ends another is taken."""
    async with serving(sqlite_system, connections_per_address=2) as api:
        held = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(2)]
        connections = api.app[STATE].connections
        async with asyncio.timeout(10):
            while len(connections) < 2:
                await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))])
        assert b"" == await _raw(api, SMUGGLED)
        held[0][1].transport.abort()
        async with asyncio.timeout(10):
            while len(connections) > 1:
                await asyncio.wait([asyncio.create_task(asyncio.to_thread(int))])
        closing = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await _raw(api, closing)).startswith(b"HTTP/1.1 200")
        held[1][1].transport.abort()
    _given(monkeypatch, trusted_proxies=(ip_network("127.0.0.0/8"),))
    async with serving(sqlite_system, connections_per_address=1) as api:
        assert [200] * 3 == [(await api.call("GET /healthz")).status for _ in range(3)]
        held = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(3)]
        assert (await _raw(api, closing)).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.transport.abort()


# --- who is behind a proxy

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger may write what he likes
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (
            "10.0.0.1",
            "192.0.2.7, 198.51.100.1",
            "198.51.100.1",
        ),  # what stood there before may be the caller's invention
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.1:443", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, <script>", "10.0.0.1"),
        ("10.0.0.1", ",", "10.0.0.1"),
        (None, "198.51.100.1", ""),
    ],
)
def test_only_a_proxy_of_ours_is_believed_whom_a_request_comes_from(
    remote: str | None, forwarded: str, expected: str
) -> None:
    """From the right, as far as proxies of ours said it."""
    assert expected == origin(remote, forwarded, PROXIES)


async def test_guesses_are_counted_by_address_behind_a_proxy(
    sqlite_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One guesser makes nobody else wait; without the setting all of them are one."""

    async def guess(api: Api, who: str) -> int:
        return (
            await api.call("GET /v1/accounts", scopes=(), headers={"X-Api-Key": "x", "X-Forwarded-For": who})
        ).status

    async with serving(sqlite_system, failures_per_minute=1) as api:
        assert [401, 429] == [await guess(api, "198.51.100.1"), await guess(api, "198.51.100.2")]
    _given(monkeypatch, trusted_proxies=(ip_network("127.0.0.0/8"),))
    async with serving(sqlite_system, failures_per_minute=1) as api:
        found = [
            await guess(api, who) for who in ("198.51.100.1", "198.51.100.2", "198.51.100.1", "8.8.8.8, 198.51.100.2")
        ]
        assert [401, 401, 429, 429] == found


# --- bodies that are small on the way

BOMBS: dict[str, bytes] = {
    "gzip": gzip.compress(bytes(ZEROS)),
    "deflate": zlib.compress(bytes(ZEROS)),
    "gzip in pieces": b"".join(gzip.compress(bytes(ZEROS // 8)) for _ in range(8)),
}


@pytest.mark.parametrize("case", BOMBS)
async def test_a_body_that_grows_when_it_is_unpacked_is_refused_in_bounded_memory(
    sqlite_system: System, case: str
) -> None:
    """What counts is what comes out, and it is never all held."""
    async with serving(sqlite_system, body_bytes=1_000_000) as api:
        api.account()
        size = api.size()
        headers = JSON | {"Content-Encoding": "deflate" if case == "deflate" else "gzip"}
        tracemalloc.start()
        try:
            reply = await api.call("POST /v1/messages", data=BOMBS[case], headers=headers)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert reply.status in {400, 413}
        assert size == api.size()
        assert peak < ZEROS // 4


@pytest.mark.parametrize("encoding", ["br", "zstd", "bzip2", "gzip, gzip", "x"])
async def test_an_encoding_that_is_not_unpacked_is_refused(sqlite_api: Api, encoding: str) -> None:
    """As 4xx, whatever the libraries on this machine can do; nothing is written."""
    sqlite_api.account()
    size = sqlite_api.size()
    reply = await sqlite_api.call(
        "POST /v1/messages", data=bz2.compress(b"{}"), headers=JSON | {"Content-Encoding": encoding}
    )
    assert (4, size) == (reply.status // 100, sqlite_api.size())


# --- paths and logs

CLIMBING = (
    "/docs/../../../etc/passwd",
    "/docs/..%2f..%2f..%2fetc%2fpasswd",
    "/docs/%2e%2e/%2e%2e/LICENSE",
    "/docs/....//LICENSE",
    "/docs/%00",
    "/docs/..\\..\\LICENSE",
    "//etc/passwd",
    "/log/../v1/accounts",
    "/log/tile/../../healthz%00",
    "/v1/tasks/..%2f..%2fkeys/files/kek",
    "/v1/tasks/x/files/..%2f..%2f..%2fkeys%2flog.key",
)


@pytest.mark.parametrize("path", CLIMBING)
async def test_no_path_leads_out_of_what_is_served(sqlite_api: Api, path: str) -> None:
    """Whichever way it climbs."""
    key = sqlite_api.key("ingest", "read", "evidence", "compliance", "operator")
    ask = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n"
    answer = await _raw(sqlite_api, ask.encode())
    assert answer.split(b" ")[1][:1] == b"4", answer[:200]
    assert b"root:" not in answer


async def test_nothing_of_a_request_reaches_a_log_but_the_pattern_of_its_route(
    sqlite_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """So no caller writes lines of a log, and nothing personal stands there."""
    caplog.set_level(logging.DEBUG)
    planted = "pl4nted"
    await sqlite_api.call(
        f"GET /v1/{planted}%0d%0a%7b%22level%22?a={planted}%0a", headers={"User-Agent": planted, "X-A": planted}
    )
    await sqlite_api.call(f"GET /v1/messages/{planted}", headers={"X-Request-Id": planted, "Referer": planted})
    await sqlite_api.call("POST /v1/search", data=json.dumps({planted: planted}), headers=JSON | {"Cookie": planted})
    await _raw(sqlite_api, f"{planted} / HTTP/1.1\r\nHost: {planted}\r\nConnection: close\r\n\r\n".encode())
    await _raw(sqlite_api, f"GET / HTTP/{planted}\r\n\r\n".encode())
    said = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text or ''}" for record in caplog.records)
    assert "'route': '/v1/search'" in said
    assert planted not in said


def test_every_line_of_the_log_is_json_whatever_stands_in_it(caplog: pytest.LogCaptureFixture) -> None:
    """A line break in what a library says begins no line of its own."""
    logging.getLogger("some.library").warning("first\r\n%s", '{"event": "forged"}')
    lines = [json.loads(line) for line in _rendered(caplog)]
    assert ['first\r\n{"event": "forged"}'] == [line["event"] for line in lines]


def _rendered(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Records as `serve` writes them."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    try:
        log_to_stderr()
        (handler,) = root.handlers
        assert handler.formatter
        lines = [handler.formatter.format(record) for record in caplog.records]
    finally:
        root.handlers[:] = before
    assert [] == [line for line in lines if "\n" in line]
    return lines


def test_the_routes_that_take_no_key_are_these() -> None:
    """Whoever adds one thinks about it here."""
    found = sorted({route.pattern for route in ROUTES if route.scopes is NO_KEY})
    known = (
        "/docs",
        "/healthz",
        "/hooks/",
        "/log/",
        "/metrics",
        "/openapi.json",
        "/problems",
        "/readyz",
        "/v1/hooks/",
    )
    assert [] == [pattern for pattern in found if not pattern.startswith(known)]
