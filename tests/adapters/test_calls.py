"""Calls to providers over real connections: every way to fail, tokens, pace, bounds, and what is told to nobody."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from adapters.calls import AT_ONCE, MAX_ANSWER_BYTES, REFUSED_S, Caller, check_base_url
from adapters.providers import registry
from adapters.providers.calling import Access, Answer, CallFailedError, Client, Request, judge
from ledger.errors import ConfigurationError

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
KEY = ("acme", "sms")
SEND = Request(operation="send", url="/v1/send?to=31612340001", body=b"pay 5 euro", timeout_s=20)
SECRET, TOKENS = "correct-horse-battery", "token-of-acme"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a provider of our own making."""

    base_url: str
    allow_plain_http: bool = False


PLAIN = Client(settings=Settings)
PROVIDER = replace(registry()["kpn_sms"], headers=frozenset({"quota-used"}))


def access(base_url: str, **secrets: str) -> Access:
    return Access(settings=Settings(base_url), secrets=secrets, now=NOW)


@pytest.fixture
def caller() -> Iterator[Caller]:
    with Caller(clock=lambda: NOW) as made:
        yield made


def call(caller: Caller, base_url: str, request: Request = SEND) -> Awaitable[Answer]:
    return asyncio.to_thread(caller.call, PLAIN, PROVIDER, request, access(base_url), key=KEY)


# --- failures

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server that speaks bytes; it counts the requests that reach it."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self.conversation(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def at(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        async with server:
            yield server.sockets[0].getsockname()[1]


def says(*parts: bytes, then: str = "close") -> Conversation:
    """Sends these bytes, then closes, resets, or goes on holding the line."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if then == "reset":
            writer.transport.abort()
        elif then == "hold":
            await reader.read()

    return conversation


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % size, b"Content-Type: text/plain", *headers)
    return b"\r\n".join((*lines, b"", body))


BOMB = gzip.compress(bytes(MAX_ANSWER_BYTES + 1), 9)
GZIP = b"Content-Encoding: gzip"
FAILURES: dict[str, tuple[Conversation, str, int]] = {
    "closed_without_an_answer": (says(), "cut", 0),
    "reset_without_an_answer": (says(then="reset"), "cut", 0),
    "silent": (says(then="hold"), "timeout", 0),
    "half_a_head": (says(b"HTTP/1.1 200 OK\r\nContent-Le"), "cut", 0),
    "silent_in_the_head": (says(b"HTTP/1.1 200 OK\r\nContent-Le", then="hold"), "timeout", 0),
    "half_a_body": (says(answer(b"half", length=8)), "cut", 200),
    "silent_in_the_body": (says(answer(b"half", length=8), then="hold"), "timeout", 200),
    "half_a_chunk": (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf"), "cut", 200),
    "not_http": (says(b"220 mail.example.net ESMTP\r\n"), "cut", 0),
    "endless_header": (says(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 100_000), "cut", 0),
    "damaged_compression": (says(answer(b"this is not gzip", GZIP)), "cut", 200),
    "moved": (says(answer(b"see there", b"Location: /v2/send", status=b"302 Found")), "redirected", 302),
    "moved_for_good": (says(answer(b"", b"Location: /v2", status=b"308 Permanent Redirect")), "redirected", 308),
    "larger_than_any": (says(answer(bytes(MAX_ANSWER_BYTES + 1))), "too_large", 200),
    "endless_without_a_length": (
        says(b"HTTP/1.1 200 OK\r\n\r\n", *[bytes(2**20)] * (MAX_ANSWER_BYTES // 2**20 + 8), then="hold"),
        "too_large",
        200,
    ),
    "compressed_bomb": (says(answer(BOMB, GZIP)), "too_large", 200),
}


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("name", FAILURES)
async def test_failure_after_the_request_went_out_may_have_sent(caller: Caller, name: str, method: str) -> None:
    """Each is told apart, none passes for an answer, and none is repeated or followed by itself, not even a GET."""
    conversation, failure, status = FAILURES[name]
    peer = Peer(conversation)
    request = replace(SEND, method=method, timeout_s=1 if failure == "timeout" else 20)
    async with peer.at() as port:
        got = await call(caller, f"http://127.0.0.1:{port}", request)
    assert (failure, status) == (got.failure, got.status)
    assert (NOW, 1) == (got.at, peer.requests)
    assert got.body == (b"see there" if name == "moved" else b"")
    assert "unclear" == judge(PLAIN, request, got).verdict


# --- what proves that nothing was sent


def tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS under a certificate that vouches for itself, and its PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2120, 1, 1, tzinfo=UTC)).add_extension(address, critical=False)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    pem, ca = folder / "peer.pem", folder / "ca.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate)
    ca.write_bytes(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context, ca


async def test_connection_that_does_not_come_about_proves_that_nothing_was_sent(caller: Caller, tmp_path: Path) -> None:
    """Nobody listens, the name does not exist, the certificate is nobody's, or the other side does not speak TLS or at all."""
    peer, silent = Peer(says(answer(b"OK"))), asyncio.Event()

    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    mute = await asyncio.start_server(never, "127.0.0.1", 0)
    async with peer.at() as plain, peer.at(tls(tmp_path)[0]) as untrusted, mute:
        deaf = mute.sockets[0].getsockname()[1]
        urls = {
            "no TLS": f"https://127.0.0.1:{plain}",
            "no trust": f"https://127.0.0.1:{untrusted}",
            "no name": "https://provider.invalid",
            "no handshake": f"https://127.0.0.1:{deaf}",
        }
        got = {how: await call(caller, url, replace(SEND, timeout_s=1)) for how, url in urls.items()}
        silent.set()
    got["no server"] = await call(caller, f"http://127.0.0.1:{plain}")
    assert dict.fromkeys(got, ("unreachable", 0, b"")) == {h: (a.failure, a.status, a.body) for h, a in got.items()}
    assert {"later"} == {judge(PLAIN, SEND, a).verdict for a in got.values()}
    assert 0 == peer.requests


async def test_further_authority_is_trusted_when_it_is_given(tmp_path: Path) -> None:
    """Besides the system's; a file that is none is a configuration error that names it."""
    context, ca = tls(tmp_path)
    with Caller(extra_ca=ca) as caller:
        async with Peer(says(answer(b"OK"))).at(context) as port:
            assert b"OK" == (await call(caller, f"https://127.0.0.1:{port}")).body
    (tmp_path / "empty.pem").write_bytes(b"")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match=name):
            Caller(extra_ca=tmp_path / name)


@pytest.mark.parametrize(
    ("request_", "base_url"),
    [
        (SEND, "http://provider.example.net"),
        (SEND, ""),
        (replace(SEND, url="http://elsewhere.example.net/"), "https://127.0.0.1:1"),
        (replace(SEND, url="https://acme:secret@elsewhere.example.net/"), "https://127.0.0.1:1"),
        (replace(SEND, headers={"X-Id": "a\r\nX-Other: b"}), "http://127.0.0.1:1"),
    ],
    ids=["plain", "nowhere", "plain_elsewhere", "credentials_in_it", "two_headers_in_one"],
)
async def test_call_that_must_not_be_made_is_not_made(
    caller: Caller, request_: Request, base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing goes out in the clear or to where it does not belong; the log says that it was refused, and quotes nothing."""
    got = await call(caller, base_url, request_)
    assert ("unreachable", 0) == (got.failure, got.status)
    assert "send: cannot be called" in caplog.text
    assert "secret" not in caplog.text


def test_base_url_is_checked_in_one_place() -> None:
    """Settings without one, as of a mailbox, have nothing to check."""
    said = {url: check_base_url(Settings(url)) for url in ("https://api.example.net/v1", "http://localhost:1", "")}
    assert dict.fromkeys(said, "") == said
    assert "" == check_base_url(msgspec.defstruct("Mailbox", [("host", str)])("mail.example.net"))
    assert "" == check_base_url(Settings("http://gateway.example.net", allow_plain_http=True))
    for url in (
        "http://127.0.0.1.example.net",
        "http://[::2]",
        "http://localhost@example.net",
        "https://",
        "file:///x",
    ):
        assert check_base_url(Settings(url)), url


# --- what is sent and what is kept


@dataclass(slots=True)
class Service:
    """A provider's service: answers what it is told to, and remembers what it was asked.

    Attributes:
        reply: request -> answer.
        most: how many it had at one time.
    """

    reply: Callable[[web.Request], Awaitable[web.StreamResponse]]
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    now: int = 0
    most: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.path_qs, headers, await request.read()))
        try:
            return await self.reply(request)
        finally:
            self.now -= 1

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]

    @asynccontextmanager
    async def at(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/base/"
        finally:
            await runner.cleanup()


async def fine(_request: web.Request) -> web.Response:
    return web.Response(text="OK")


async def test_request_goes_out_as_it_was_made(caller: Caller) -> None:
    """Method, path and query below the base URL, headers and exact bytes, 5 MB of them too; nothing is added that means something."""
    service = Service(fine)
    body = bytes(range(256)) * 20_000
    async with service.at() as url:
        await call(caller, url, replace(SEND, method="PUT", headers={"X-Id": "7"}, body=body))
        await call(caller, url, replace(SEND, body=b"", url=f"{url}other"))
    (method, path, headers, sent), (_, other, _, nothing) = service.asked
    assert ("PUT", "/base/v1/send?to=31612340001", body) == (method, path, sent)
    assert ("/base/other", b"") == (other, nothing)
    assert {"host", "user-agent", "accept", "accept-encoding", "x-id", "content-length", "connection"} == headers.keys()
    assert ("7", "close", str(len(body))) == (headers["x-id"], headers["connection"], headers["content-length"])


async def test_only_named_headers_of_an_answer_are_kept(caller: Caller) -> None:
    """In lower case, repeated ones joined, and what is not text replaced; a cookie is neither kept nor sent back."""
    head = (b"Quota-Used: 1", b"QUOTA-USED: \xff", b"Retry-After: 5", b"Set-Cookie: a=b", b"X-Other: c")
    peer = Peer(says(answer(b"slow down", *head, status=b"429 Too Many Requests")))
    async with peer.at() as port:
        got = await call(caller, f"http://127.0.0.1:{port}")
    kept = {"content-type": "text/plain", "quota-used": "1, \ufffd", "retry-after": "5"}
    assert Answer(at=NOW, status=429, headers=kept, body=b"slow down") == got

    async def cookie(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("Cookie", "none"), headers={"Set-Cookie": "a=b; Path=/"})

    async with Service(cookie).at() as url:
        named = url.replace("127.0.0.1", "localhost")  # addresses never get cookies
        assert [b"none"] * 2 == [(await call(caller, named)).body for _ in range(2)]


async def test_compressed_answer_is_read(caller: Caller) -> None:
    """It is not asked for, and understood all the same."""
    async with Peer(says(answer(gzip.compress(b"OK"), GZIP))).at() as port:
        assert (b"OK", "") == ((got := await call(caller, f"http://127.0.0.1:{port}")).body, got.failure)


async def test_hundred_calls_at_once_are_all_answered_and_few_are_under_way() -> None:
    """Each has its own answer; the provider never sees more at a time than the bound."""

    async def echo(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(body=await request.read())

    service = Service(echo)
    bodies = [str(number).encode() for number in range(100)]
    async with service.at() as url:

        def run() -> list[bytes]:
            with Caller() as caller, ThreadPoolExecutor(100) as pool:
                given = access(url)
                made = [replace(SEND, body=body) for body in bodies]
                return [a.body for a in pool.map(lambda r: caller.call(PLAIN, PROVIDER, r, given, key=KEY), made)]

        assert bodies == await asyncio.to_thread(run)
    assert 1 <= service.most <= AT_ONCE


async def test_closing_waits_for_what_is_under_way_and_takes_nothing_more() -> None:
    """A call that was begun has its answer; one that comes later was not sent."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def held(request: web.Request) -> web.Response:
        if request.path.endswith("/send"):
            begun.set()
            await go.wait()
        return web.Response(text="OK")

    service, caller = Service(held), Caller()
    async with service.at() as url:
        running = asyncio.ensure_future(call(caller, url))
        await begun.wait()
        closing = asyncio.ensure_future(asyncio.to_thread(caller.close))
        while (await call(caller, url, replace(SEND, url="/probe"))).failure != "unreachable":
            pass  # not closed yet
        assert not closing.done()
        asked = len(service.asked)
        go.set()
        assert b"OK" == (await running).body
        await closing
        assert "unreachable" == (await call(caller, url)).failure
        assert asked == len(service.asked)
    await asyncio.to_thread(caller.close)


# --- tokens


class Time:
    """A clock that only sleeping and the test move."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def ask_token(access: Access) -> Request:
    body = f"client_secret={access.secrets['client_secret']}".encode()
    return Request(operation="token", url="/token", body=body, may_send=False, timeout_s=20)


def read_token(answer: Answer) -> tuple[str, float]:
    if answer.status != 200:
        msg = f"no token: {answer.status}"
        raise CallFailedError(msg)
    said = json.loads(answer.body)
    return said["token"], float(said["lasts_s"])


def bearer(request: Request, access: Access) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {access.token}"})


TOKENED = Client(settings=Settings, token_request=ask_token, read_token=read_token, authorise=bearer)


class Tokens:
    """A service that wants a token, and the service that gives it out, numbered.

    Attributes:
        refuse: tokens that are not taken.
        token_answer: what the token service says instead of a token.
    """

    def __init__(self, lasts_s: str = "3599") -> None:
        self.lasts_s = lasts_s
        self.refuse: set[str] = set()
        self.token_answer: web.Response | None = None
        self.given = 0
        self.service = Service(self.reply)

    async def reply(self, request: web.Request) -> web.Response:
        if request.path.endswith("/token"):
            if self.token_answer is not None:
                return self.token_answer
            self.given += 1
            return web.json_response({"token": f"{TOKENS}-{self.given}", "lasts_s": self.lasts_s})
        shown = request.headers["Authorization"].removeprefix("Bearer ")
        return web.Response(text=shown, status=401 if shown in self.refuse else 200)


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def paced(clock: Time) -> Iterator[Caller]:
    with Caller(clock=lambda: NOW, monotonic=clock, sleep=clock.sleep) as made:
        yield made


def tokened(caller: Caller, url: str, *, secret: str = SECRET, key: tuple[str, str] = KEY) -> Awaitable[Answer]:
    return asyncio.to_thread(caller.call, TOKENED, PROVIDER, SEND, access(url, client_secret=secret), key=key)


async def test_token_is_fetched_once_for_many_calls_and_never_shared_between_accounts(paced: Caller) -> None:
    """Threads that come together wait for the one that fetches."""
    tokens = Tokens()
    async with tokens.service.at() as url:
        got = await asyncio.gather(*(tokened(paced, url) for _ in range(20)))
        other = await tokened(paced, url, key=("other", "sms"))
    assert {f"{TOKENS}-1".encode()} == {a.body for a in got}
    assert f"{TOKENS}-2".encode() == other.body


@pytest.mark.parametrize(
    ("lasts_s", "good_s"), [("3599", 3538), ("20", 9), ("1e99", 86_300), ("0", None), ("-1", None), ("nan", None)]
)
async def test_token_is_renewed_before_it_ends(paced: Caller, clock: Time, lasts_s: str, good_s: int | None) -> None:
    """A minute before, or at half its life; one that lasts for nothing known serves one call."""
    tokens = Tokens(lasts_s)
    async with tokens.service.at() as url:
        await tokened(paced, url)
        clock.now += good_s or 0
        await tokened(paced, url)
        assert (1 if good_s else 2) == tokens.given
        clock.now += 101
        await tokened(paced, url)
        assert (2 if good_s else 3) == tokens.given


async def test_refused_token_is_renewed_once_and_then_the_answer_stands(paced: Caller) -> None:
    """401 was not taken, so the same call goes out again, with another token; what is said then is the answer."""
    tokens = Tokens()
    tokens.refuse = {f"{TOKENS}-1", f"{TOKENS}-3", f"{TOKENS}-4"}
    async with tokens.service.at() as url:
        first = await tokened(paced, url)
        assert (200, f"{TOKENS}-2".encode()) == (first.status, first.body)
        tokens.refuse.add(f"{TOKENS}-2")
        second = await tokened(paced, url)
        assert (401, f"{TOKENS}-3".encode()) == (second.status, second.body)
        tokens.token_answer = web.Response(status=503)
        third = await tokened(paced, url)
    assert (401, f"{TOKENS}-3".encode()) == (third.status, third.body)
    token, send = "/base/token", "/base/v1/send?to=31612340001"
    assert [token, send, token, send, send, token, send, send, token] == tokens.service.paths()


@pytest.mark.parametrize(
    ("said", "asked_again"),
    [
        (web.Response(status=401, text="ClientId is Invalid"), 0),
        (web.Response(status=500), 1),
        (web.Response(status=302, headers={"Location": "/login"}), 1),
        (None, 0),
    ],
    ids=["refused", "failed", "moved", "down"],
)
async def test_without_a_token_nothing_is_sent(paced: Caller, said: web.Response | None, asked_again: int) -> None:
    """It may be tried later; a token service that refuses our credentials is not asked again at once."""
    tokens = Tokens()
    tokens.token_answer = said
    async with tokens.service.at() as url:
        where = url if said is not None else "https://127.0.0.1:1"
        got = [await tokened(paced, where) for _ in range(2)]
    assert [("unreachable", 0, "later")] * 2 == [(a.failure, a.status, judge(TOKENED, SEND, a).verdict) for a in got]
    assert ["/base/token"] * (1 + asked_again if said is not None else 0) == tokens.service.paths()


async def test_refused_credentials_are_tried_again_when_they_change_or_after_a_while(
    paced: Caller, clock: Time
) -> None:
    """And a token that was had with other credentials is not used with the new ones."""
    tokens = Tokens()
    async with tokens.service.at() as url:
        tokens.token_answer = web.Response(status=401)
        assert "unreachable" == (await tokened(paced, url)).failure
        tokens.token_answer = None
        assert "unreachable" == (await tokened(paced, url)).failure
        clock.now += REFUSED_S
        assert f"{TOKENS}-1".encode() == (await tokened(paced, url)).body
        assert f"{TOKENS}-2".encode() == (await tokened(paced, url, secret="another")).body


# --- pace


async def test_calls_of_one_account_keep_their_distance(paced: Caller, clock: Time) -> None:
    """What may send waits; fetching the token and reading do not, and another account waits for nobody."""
    client = replace(TOKENED, pace_s=1.0)
    tokens = Tokens()
    async with tokens.service.at() as url:

        def one(key: tuple[str, str]) -> Answer:
            return paced.call(client, PROVIDER, SEND, access(url, client_secret=SECRET), key=key)

        await asyncio.gather(*(asyncio.to_thread(one, KEY) for _ in range(4)))
        assert [1.0] * 3 == clock.slept
        await asyncio.to_thread(one, ("acme", "other"))
        assert [1.0] * 3 == clock.slept
        clock.now += 1.25
        await asyncio.to_thread(one, KEY)
        assert [1.0] * 3 == clock.slept


def test_transport_of_its_own_makes_the_call(paced: Caller, clock: Time) -> None:
    """Where the provider does not speak HTTP: with credentials applied, and at the same pace."""
    made: list[Request] = []

    def transport(request: Request, _access: Access) -> Answer:
        made.append(request)
        return Answer(at=NOW, status=250)

    def signed(request: Request, access: Access) -> Request:
        return replace(request, headers={"user": access.secrets["user"]})

    client = Client(settings=Settings, transport=transport, authorise=signed, pace_s=2.0)
    request = Request(operation="submission", method="SMTP", body=b"mail")
    for _ in range(2):
        assert 250 == paced.call(client, PROVIDER, request, access("", user="acme"), key=KEY).status
    assert [2.0] == clock.slept
    assert [replace(request, headers={"user": "acme"})] * 2 == made


# --- silence


async def test_log_names_the_operation_and_nothing_that_is_secret_or_personal(
    paced: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """No token, credential, number, body, header or address, at any level, in any library."""
    caplog.set_level(logging.DEBUG)
    tokens = Tokens()
    async with tokens.service.at() as url:
        await tokened(paced, url)
        tokens.token_answer, tokens.refuse = web.Response(status=401, text=SECRET), {f"{TOKENS}-1"}
        await tokened(paced, url)
        await tokened(paced, "https://31612340001.invalid")
    assert "kpn_sms: POST send: 200 in 0 ms" in caplog.messages
    assert "kpn_sms: no token; the token service answered 401" in caplog.messages
    for word in (SECRET, TOKENS, "31612340001", "pay 5 euro", "Bearer"):
        assert word not in caplog.text
