"""HTTP calls to providers, for callers that are plain functions in threads.

A failure is an answer, and it says whether the request may have been sent: before its first byte went out it is `unreachable`, afterwards
`timeout` or `cut`. So every call has a connection of its own (a kept one may be closed by the other side just as we use it), nothing is
repeated by itself but once, with a new token, what was answered 401, and no redirect is followed. What an answer means is judged in
`adapters.providers.calling`; what is kept of it is the caller's business.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from adapters import reaching
from adapters.providers.calling import Access, Answer, CallFailedError, Client, Failure, Request
from adapters.providers.contract import Provider
from ledger.application import system_clock
from ledger.errors import ConfigurationError

LOG = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
AT_ONCE = 16
KEPT_HEADERS = frozenset({"content-type", "retry-after"})
"""Of every answer, besides those that the provider names."""
TOKEN_MARGIN_S = 60.0
LONGEST_TOKEN_S = 86_400.0
REFUSED_S = 300.0
"""A token service that refuses our credentials is not asked again for so long, or until they change: it might lock the account."""

Key = tuple[str, str]
"""Tenant and account."""


# --- where calls may go


def check_base_url(settings: Any) -> str:
    """Why calls may not go to the `base_url` of these settings, in words; "" when they may, or when there is none.

    HTTPS only; plain HTTP on this machine, or where the settings say `allow_plain_http`. Credentials do not belong there, and no address
    that is not public, unless an operator allows it (`adapters.reaching`).
    """
    base = getattr(settings, "base_url", "")
    if not base:
        return ""
    if "?" in base or "#" in base:
        return "a base URL has no query and no fragment"
    return _why_not(base, settings)


def _why_not(url: str, settings: Any) -> str:
    try:
        parsed = URL(url)
        host = parsed.host
    except ValueError:
        return "not a URL"
    if parsed.scheme not in {"https", "http"} or not host or not url.isprintable() or " " in url:
        return "not an https:// URL"
    if parsed.raw_user is not None or parsed.raw_password is not None:
        return "a URL must not hold credentials"
    if parsed.scheme == "http" and not (reaching.is_loopback(host) or getattr(settings, "allow_plain_http", False)):
        return "plain http:// would show credentials and contents to everybody on the way; use https://"
    return reaching.why_not(host)


def _target(settings: Any, url: str) -> str:
    """The whole URL of a request."""
    if url.startswith(("https://", "http://")):
        return url
    base = str(getattr(settings, "base_url", "")).rstrip("/")
    return f"{base}/{url.lstrip('/')}" if url else base


# --- one call


@dataclass(slots=True)
class _Progress:
    """How far a call came, so that a failure can be told.

    Attributes:
        is_sent: set just before the first byte goes out; a failure before is proof that nothing was sent.
    """

    is_sent: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class _ConnectionLostError(aiohttp.ClientError):
    """The connection broke; under this name the client library does not repeat the request by itself."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLostError(type(error).__name__) from error


def _tracing() -> aiohttp.TraceConfig:
    """Tells the progress of each call when its request begins to go out."""

    async def sending(_session: object, context: Any, _params: object) -> None:
        context.trace_request_ctx.is_sent = True

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sending)
    return config


def _headers(answer: aiohttp.ClientResponse, kept: frozenset[str]) -> dict[str, str]:
    """The headers that may be kept, by lower-case name; what is not UTF-8 in them is replaced."""
    found: dict[str, list[str]] = {}
    for name, value in answer.headers.items():
        if name.lower() in kept:
            found.setdefault(name.lower(), []).append(
                value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            )
    return {name: ", ".join(values) for name, values in found.items()}


async def _read(answer: aiohttp.ClientResponse) -> tuple[bytes, Failure]:
    """The body, decoded by and by, or nothing of it when it is too large."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return b"", "too_large"
    return bytes(body), "redirected" if answer.status // 100 == 3 else ""


# --- tokens and turns


@dataclass(frozen=True, slots=True)
class _Token:
    """A token, or "" where the token service refused, and what it was asked with."""

    text: str = field(repr=False)
    until: float
    access: Access = field(repr=False)

    def fits(self, access: Access, now: float) -> bool:
        same = self.access.settings == access.settings and self.access.secrets == access.secrets
        return same and now < self.until


@dataclass(slots=True)
class _Line:
    """What is known of one account.

    `turn` guards `free_at` and makes its calls begin one after the other; `renewing` guards `token`, so that many calls fetch one.
    """

    turn: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0
    renewing: threading.Lock = field(default_factory=threading.Lock)
    token: _Token | None = None


@dataclass(frozen=True, slots=True)
class _Party:
    """Who calls whom."""

    client: Client
    provider: Provider
    access: Access
    line: _Line


class Caller:
    """Makes calls, from any thread; the network runs in one thread of its own.

    Args:
        clock: what stands in `Answer.at`.
        monotonic, sleep: for pace and tokens.
        extra_ca: PEM file of authorities that are trusted besides the system's.
        at_once: calls under way at one time; others wait.

    Raises:
        ConfigurationError: extra_ca cannot be read.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        extra_ca: Path | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._tls = _trust(extra_ca)
        # What is kept is what came; whoever compresses all the same is decoded, within the same bound.
        self._headers = {"User-Agent": f"delivery-ledger/{version('delivery-ledger')}", "Accept-Encoding": "identity"}
        self._slots = threading.BoundedSemaphore(at_once)
        self._lines: dict[Key, _Line] = {}
        self._idle = threading.Condition()  # guards _running and _is_closed, and _lines
        self._running = 0
        self._is_closed = False
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name="calls", daemon=True)
        self._thread.start()
        started.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more calls and wait for those under way."""
        with self._idle:
            self._is_closed = True
            self._idle.wait_for(lambda: self._running == 0)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def call(self, client: Client, provider: Provider, request: Request, access: Access, *, key: Key) -> Answer:
        """Make one call and wait for what comes of it; a failure is an answer, not an exception.

        Args:
            access: without a token; where the provider wants one, it is fetched, kept for this account, and renewed.
            key: tenant and account, whose pace and token it is.

        Returns:
            The answer; `unreachable` also when no token could be had or this caller is closed: nothing was sent.
        """
        with self._idle:
            if self._is_closed:
                return self._nothing()
            self._running += 1
            party = _Party(client, provider, access, self._lines.setdefault(key, _Line()))
        try:
            asks = client.token_request if request.needs_token else None
            asked, read = asks(access) if asks else None, client.read_token
            if asked is None or read is None:
                return self._exchange(party, client.authorise(request, access))
            return self._with_token(party, request, lambda: self._fetched(party, asked, read))
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _nothing(self) -> Answer:
        return Answer(at=self._clock(), failure="unreachable")

    # --- tokens

    def _with_token(self, party: _Party, request: Request, fetch: Callable[[], _Token]) -> Answer:
        """The call with the token that is held, and once more with a new one when that is answered 401."""
        token = self._token(party, fetch)
        if not token:
            return self._nothing()
        answer = self._exchange(party, party.client.authorise(request, replace(party.access, token=token)))
        if answer.status != 401:
            return answer
        renewed = self._token(party, fetch, refused=token)
        if not renewed:
            return answer
        return self._exchange(party, party.client.authorise(request, replace(party.access, token=renewed)))

    def _token(self, party: _Party, fetch: Callable[[], _Token], refused: str = "") -> str:
        """The account's token; "" when none can be had.

        Args:
            refused: a token that the provider does not take (any more).
        """
        line = party.line
        with line.renewing:
            held = line.token
            if held is None or not held.fits(party.access, self._monotonic()) or (refused and held.text == refused):
                held = line.token = fetch()
            return held.text

    def _fetched(self, party: _Party, request: Request, read: Callable[[Answer], tuple[str, float]]) -> _Token:
        answer = self._exchange(party, request)
        now = self._monotonic()
        if answer.failure:
            return _Token("", now, party.access)
        try:
            text, lasts_s = read(answer)
        except CallFailedError:
            LOG.warning("%s: no token; the token service answered %d", party.provider.name, answer.status)
            return _Token("", now + (REFUSED_S if answer.status // 100 == 4 else 0.0), party.access)
        lasts_s = min(lasts_s, LONGEST_TOKEN_S) if lasts_s > 0 else 0.0  # not above 0: also when it is no number
        return _Token(text, now + max(lasts_s - TOKEN_MARGIN_S, lasts_s / 2), party.access)

    # --- pace

    @contextmanager
    def _turn(self, line: _Line, pace_s: float) -> Iterator[None]:
        """The account's turn and one of the slots; whoever waits for the turn takes no slot."""
        with line.turn:
            wait_s = line.free_at - self._monotonic()
            if wait_s > 0:
                self._sleep(wait_s)
            self._slots.acquire()
            line.free_at = self._monotonic() + pace_s
        try:
            yield
        finally:
            self._slots.release()

    # --- the network

    def _exchange(self, party: _Party, request: Request) -> Answer:
        """One call in its turn, credentials and all; logged without address, headers and bodies, which may name people."""
        client, name = party.client, party.provider.name
        with self._turn(party.line, client.pace_s if request.may_send else 0.0):
            began = self._monotonic()
            if client.transport is not None:
                answer = client.transport(request, party.access)
            else:
                answer = self._http(request, party.access.settings, party.provider.headers | KEPT_HEADERS)
        took_ms = round((self._monotonic() - began) * 1000)
        said = " ".join(str(word) for word in (answer.status, answer.failure) if word)
        LOG.info("%s: %s %s: %s in %d ms", name, request.method, request.operation, said, took_ms)
        return answer

    def _http(self, request: Request, settings: Any, kept: frozenset[str]) -> Answer:
        target = _target(settings, request.url)
        why = _why_not(target, settings) or _unsendable(request)
        if why:
            LOG.error("%s: cannot be called: %s", request.operation, why)
            return self._nothing()
        return self._run(self._fetch(request, target, kept))

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _fetch(self, request: Request, target: str, kept: frozenset[str]) -> Answer:
        progress, body = _Progress(), b""
        failure: Failure
        try:
            async with (
                asyncio.timeout(request.timeout_s),
                self._session.request(
                    request.method,
                    target,
                    headers=dict(request.headers),
                    data=BytesIO(request.body) if request.body else None,
                    allow_redirects=False,
                    trace_request_ctx=progress,
                ) as answer,
            ):
                progress.status, progress.headers = answer.status, _headers(answer, kept)
                body, failure = await _read(answer)
        except TimeoutError:
            failure = "timeout" if progress.is_sent else "unreachable"
        except (aiohttp.ClientError, OSError):
            failure = "cut" if progress.is_sent else "unreachable"
        return Answer(at=self._clock(), status=progress.status, headers=progress.headers, body=body, failure=failure)

    async def _serve(self, started: Future[None]) -> None:
        """Hold the session until the end; nothing in it outlives a call."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connector = reaching.connector(self._tls, force_close=True, limit=0)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            skip_auto_headers=["Content-Type"],
            timeout=aiohttp.ClientTimeout(),
            trace_configs=[_tracing()],
            middlewares=[_once],
        ) as self._session:
            started.set_result(None)
            await self._stop.wait()


def _trust(extra_ca: Path | None) -> ssl.SSLContext:
    try:
        return reaching.context(beside=extra_ca)
    except OSError as error:
        msg = f"the file of further certificate authorities, {extra_ca}, cannot be read: {error}"
        raise ConfigurationError(msg) from error


def _unsendable(request: Request) -> str:
    """Why a header cannot be sent as it is; names it, and quotes nothing."""
    for name, value in request.headers.items():
        if not (name + value).isprintable():
            return f"the header {name!r} holds a control character"
    return ""
