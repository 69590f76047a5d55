"""From a request to an answer: authenticate, read, decode, run the route in a thread, answer. The only user of aiohttp's requests.

`in_thread` is where everything that blocks runs. A request that was begun is finished even when its caller has gone.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from uuid_utils import uuid7

from adapters.apikeys import ApiKey
from adapters.http import crossing, protected, reasons
from adapters.http.access import AccessLog
from adapters.http.authentication import Crowd, KeyCache, presented, reading, require_scope
from adapters.http.background import Background
from adapters.http.connections import Connections
from adapters.http.errors import (
    BodyTooLargeError,
    BrokenBodyError,
    GuessingError,
    MediaTypeError,
    NotReachedError,
    RateError,
    SlowAnswerError,
    SlowBodyError,
    UnauthenticatedError,
)
from adapters.http.gathering import Gathering
from adapters.http.problems import MEDIA_TYPE, Problem, problem_of, problem_of_status
from adapters.http.reasons import Demanded
from adapters.http.routes import ANY_KEY, JSON, NO_KEY, NOBODY, Answer, Call, Route
from adapters.http.services import Services
from adapters.http.telemetry import UNMATCHED, AccessLines, Metrics
from adapters.http.throttling import Buckets, Taken, origin, peer
from adapters.strictjson import convert, decode, refuse
from ledger.tenants import working_for
from projections.runner import Runner

T = TypeVar("T")

DECODED_AT_ONCE_BYTES = 64 * 1024
POSITION_POLL_S = 0.02
HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer, unless the route says otherwise."""


@dataclass(frozen=True, slots=True)
class State:
    """What the requests of one app share.

    Attributes:
        threads: where requests work; half of them at most for one caller.
        bulk: where a caller's further requests work, so that whoever asks little does not wait behind whoever asks much.
        rates: by API key.
        guesses: by address, of keys that are not good.
    """

    services: Services
    threads: ThreadPoolExecutor
    bulk: ThreadPoolExecutor
    keys: KeyCache
    rates: Buckets
    guesses: Buckets
    crowd: Crowd
    metrics: Metrics
    lines: AccessLines
    access: AccessLog
    demanded: Demanded
    background: Background
    connections: Connections
    gathering: Gathering


STATE = web.AppKey("state", State)
REQUEST_ID = web.RequestKey("request_id", str)
CALLER = web.RequestKey("caller", str)
TAKEN = web.RequestKey("taken", Taken)
THREADS = web.RequestKey("threads", ThreadPoolExecutor)


async def in_thread(request: web.Request, function: Callable[..., T], *args: Any) -> T:
    """Run what blocks in one of the app's threads, for whom the request works.

    Raises:
        SlowAnswerError: it takes longer than the request may; it is not broken off.
    """
    state = request.app[STATE]
    try:
        async with asyncio.timeout(state.services.limits.request_timeout_s):
            return await asyncio.get_running_loop().run_in_executor(
                request.get(THREADS, state.threads), copy_context().run, function, *args
            )
    except TimeoutError:
        raise SlowAnswerError from None


# --- one request


def handler_of(route: Route, state: State) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route."""
    few = state.services.limits.threads // 2

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = _headers(request)
        text = "" if route.scopes is NO_KEY else presented(headers)
        known = NOBODY if route.scopes is NO_KEY else state.keys.get(text)
        key = known if known is not None else await in_thread(request, _authenticated, state, text)
        call = _call(request, route, state, key, headers)
        request[CALLER] = call.actor
        caller = call.actor or "/".join(request.match_info.values())
        inside = state.crowd.enter(caller)
        try:
            with working_for(call.tenant or call.path.get("tenant", "")):
                if inside > few:
                    request[THREADS] = state.bulk
                return await _worked(request, route, state, call)
        finally:
            state.crowd.leave(caller)

    return handle


async def _worked(request: web.Request, route: Route, state: State, call: Call[Any, Any]) -> web.StreamResponse:
    """The answer to a call that may be made."""
    if route.is_stream:
        streamed: web.StreamResponse = await route.handler(request, call)
        return streamed
    if route.reads:
        call = replace(call, body=await _body(request, route))
    if wanted := getattr(call.query, "min_position", 0) or getattr(call.body, "min_position", 0):
        await _reached(request, call, wanted)
    if route.together:
        # Those of one kind go to a thread together.
        answers = partial(_answers, state, route)
        return _whole(await state.gathering.answer((route.path, call.tenant), answers, call))
    return await respond(request, await in_thread(request, _answer, state, route, call))


def _headers(request: web.Request) -> dict[str, str]:
    """The request's headers, lower-case names; what stands twice is one, as RFC 9110 section 5.3 has it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if len(headers) == len(request.headers):
        return headers
    return {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}


def _call(request: web.Request, route: Route, state: State, key: ApiKey, headers: dict[str, str]) -> Call[Any, Any]:
    _limit(request, state, key)
    key = reading(key, reads_only=route.reads_only)
    require_scope(key, route.scopes or ANY_KEY)
    query = _query(request, route) if request.rel_url.raw_query_string else _no_query(route.query)
    return Call(state.services, key, request.match_info, query, None, headers, reasons.given(headers))


def _query(request: web.Request, route: Route) -> Any:
    given = dict(request.query)
    if len(given) != len(request.query):
        refuse("", "a query parameter stands twice")
    for name, value in given.items():
        if "\0" in value:  # PostgreSQL holds no such text
            refuse(name, "the character U+0000 cannot be looked for")
    return convert(given, route.query)


@functools.cache
def _no_query(kind: type[msgspec.Struct]) -> Any:
    """What is asked for by who says nothing; the same for all, as nobody changes it."""
    return convert({}, kind)


def _limit(request: web.Request, state: State, key: ApiKey) -> None:
    """Take one of the key's requests of this minute.

    Raises:
        RateError: there is none left.
    """
    taken = state.rates.take(key.api_key_id) if key is not NOBODY else None
    if taken:
        request[TAKEN] = taken
        if taken.wait_s:
            raise RateError(taken.wait_s)


def _authenticated(state: State, text: str) -> ApiKey:
    revision = state.keys.revision()
    key = state.services.api_keys.authenticate(text) if text else None
    if key is None:
        raise UnauthenticatedError
    state.keys.put(text, key, revision)
    return key


def _answer(state: State, route: Route, call: Call[Any, Any]) -> Answer:
    """Run the route; in a thread."""
    call = _seeing(state, route, call)
    return _told(state, route, call, route.handler(call))


def _seeing(state: State, route: Route, call: Call[Any, Any]) -> Call[Any, Any]:
    return protected.seeing(route, reasons.with_reason(state.demanded, route, call))


def _answers(state: State, route: Route, calls: Sequence[Call[Any, Any]]) -> list[Answer | Exception]:
    """As `_answer`, for calls of one organisation; what is not plain is answered by itself, so that nothing hurts the rest."""
    seen = [_tried(_seeing, state, route, call) for call in calls]
    plain = [call for call in seen if isinstance(call, Call) and call.services is state.services]
    found = iter(_together(route, plain))
    answers: list[Answer | Exception] = []
    for call in seen:
        if isinstance(call, Exception):
            answers.append(call)
            continue
        at_once = next(found) if call.services is state.services else None
        answer = at_once or _tried(route.handler, call)
        answers.append(answer if isinstance(answer, Exception) else _tried(_told, state, route, call, answer))
    return answers


def _together(route: Route, calls: Sequence[Call[Any, Any]]) -> Sequence[Answer | None]:
    """What the route answers all at once: nothing, if that fails."""
    assert route.together  # noqa: S101  only such calls are gathered
    found = _tried(route.together, calls) if calls else []
    return [None] * len(calls) if isinstance(found, Exception) else found


def _tried(function: Callable[..., T], *args: Any) -> T | Exception:
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001  an answer to this call, and to no other
        return error


def _told(state: State, route: Route, call: Call[Any, Any], answer: Answer) -> Answer:
    """Remember who looked, and encode what is said."""
    if not route.reads_only:
        state.demanded.forget(call.tenant)
    if route.access:
        messages = answer.shown or tuple(call.path[name] for name in ("message",) if name in call.path)
        state.access.note(call.tenant, call.actor, route.access, messages, call.path.get("artifact", ""), call.reason)
    if call.services.queries.shows_protected:
        messages = answer.shown or tuple(call.path[name] for name in ("message",) if name in call.path)
        state.access.note(call.tenant, call.actor, protected.KIND, messages, call.path.get("artifact", ""), call.reason)
    if isinstance(answer.body, bytes | Iterator) or answer.body is None:
        return answer
    return Answer(msgspec.json.encode(answer.body), answer.status, answer.headers, answer.media_type, answer.shown)


async def _reached(request: web.Request, call: Call[Any, Any], wanted: int) -> None:
    """Wait until all read models have reached the position that the caller wants reflected."""
    until = time.monotonic() + call.services.limits.position_wait_s
    while await in_thread(request, _position, call.services.runner) < wanted:
        if time.monotonic() > until:
            raise NotReachedError
        await asyncio.sleep(POSITION_POLL_S)


def _position(runner: Runner) -> int:
    return min(runner.position(model) for model in runner.models)


# --- bodies


async def _body(request: web.Request, route: Route) -> Any:
    media = require_media(request, tuple(route.reads))
    data = await read_body(request)
    if media != JSON:
        return data
    decoder = msgspec.json.Decoder(route.reads[JSON])
    if len(data) <= DECODED_AT_ONCE_BYTES:
        return decode(decoder, data)
    return await in_thread(request, decode, decoder, data)


def require_media(request: web.Request, allowed: tuple[str, ...]) -> str:
    """The request's content type, if it is one of those allowed.

    Raises:
        MediaTypeError: it is not, or its charset is not UTF-8.
    """
    if request.content_type not in allowed:
        msg = f"send {' or '.join(allowed)} in the header Content-Type"
        raise MediaTypeError(msg)
    charset = (request.charset or "utf-8").lower().replace("_", "-")
    if request.content_type == JSON and charset not in {"utf-8", "utf8", "us-ascii"}:
        msg = "JSON is sent in UTF-8"
        raise MediaTypeError(msg)
    return request.content_type


async def read_body(request: web.Request) -> bytes:
    """The whole body, bounded in size and time.

    Raises:
        BodyTooLargeError, BrokenBodyError, SlowBodyError.
    """
    limit = request.app[STATE].services.limits.body_bytes
    body = bytearray()
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    async for part in body_parts(request):
        body += part
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


def too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"at most {limit} bytes are taken; nothing was stored")


async def body_parts(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; each part has the time of a request, and all of it a least speed while it is waited for."""
    limits = request.app[STATE].services.limits
    waited_s, taken = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(limits.request_timeout_s):
                part = await request.content.readany()
        except TimeoutError:
            raise SlowBodyError from None
        except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError, ConnectionError) as error:
            raise BrokenBodyError from error
        waited_s, taken = waited_s + time.monotonic() - began, taken + len(part)
        if waited_s > limits.request_timeout_s + taken / limits.body_bytes_per_s:
            raise SlowBodyError
        if not part:
            return
        yield part


# --- answers


async def respond(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send an answer; a body that is an iterator is streamed, each step in a thread."""
    return await _stream(request, answer) if isinstance(answer.body, Iterator) else _whole(answer)


def _whole(answer: Answer) -> web.Response:
    media_type = None if answer.body is None else answer.media_type
    charset = "utf-8" if media_type == "text/plain" else None
    return web.Response(
        status=answer.status, body=answer.body, headers=answer.headers, content_type=media_type, charset=charset
    )


async def _stream(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.media_type
    first = await in_thread(request, next, answer.body, b"")
    await response.prepare(request)
    try:
        await response.write(first)
        while part := await in_thread(request, next, answer.body, b""):
            await response.write(part)
    except Exception as error:  # noqa: BLE001  the status is sent already; only a broken connection says that this is no whole answer
        problem_of(error, request[REQUEST_ID])
        if request.transport:
            request.transport.abort()
    return response


def problem_response(problem: Problem, retry_after_s: int = 0) -> web.Response:
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="delivery-ledger"'
    return web.Response(
        status=problem.status, body=msgspec.json.encode(problem), headers=headers, content_type=MEDIA_TYPE
    )


# --- around every request


def around(state: State) -> Middleware:
    """The middleware that gives a request an id, turns what is raised into a problem, counts it and logs it."""

    @web.middleware
    async def answer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        started = time.perf_counter()
        request[REQUEST_ID] = f"urn:uuid:{uuid7()}"
        end = state.connections.begin(request.transport)
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001  the table says how each is answered
            response = _refused(request, error)
        finally:
            end()
        _noted(request, response, state, time.perf_counter() - started)
        return response

    return answer


def _noted(request: web.Request, response: web.StreamResponse, state: State, seconds: float) -> None:
    resource = request.match_info.route.resource
    method, route = (request.method, resource.canonical) if resource else ("", UNMATCHED)
    state.metrics.requests_of(method, route, response.status).inc()
    state.metrics.seconds_of(route).observe(seconds)
    state.lines.add(
        method=method,
        route=route,
        status=response.status,
        ms=round(seconds * 1000, 1),
        bytes=response.body_length if response.prepared else response.content_length or 0,
        key=request.get(CALLER, ""),
        request=request[REQUEST_ID],
    )


def _refused(request: web.Request, error: Exception) -> web.Response:
    """What is answered to who cannot be answered otherwise."""
    if isinstance(error, web.HTTPException):
        response = problem_response(problem_of_status(error.status, request[REQUEST_ID]))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    counted = _counted(request, error)
    problem, kind = problem_of(counted, request[REQUEST_ID])
    wait_s = counted.retry_after_s if isinstance(counted, RateError) else kind.retry_after_s
    return problem_response(problem, wait_s)


def _counted(request: web.Request, error: Exception) -> Exception:
    """The error itself, or that too many bad keys came from this address; only what fails anyway is refused so."""
    if isinstance(error, UnauthenticatedError) and presented(request.headers):
        state = request.app[STATE]
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        taken = state.guesses.take(peer(origin(request.remote, forwarded, state.services.trusted_proxies)))
        if taken and taken.wait_s:
            return GuessingError(taken.wait_s)
    return error


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries; a signal, so that it also holds for what is streamed."""
    services = request.app[STATE].services
    _secure(services, response)
    if services.cors_origins:
        response.headers.update(crossing.headers(services.cors_origins, request.headers))
    if taken := request.get(TAKEN):
        response.headers.update(taken.headers())
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")


def _secure(services: Services, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if services.public_url.startswith("https://"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["Server"] = "delivery-ledger"


def refusal(services: Services, status: int) -> web.Response:
    """The answer to bytes that are no request, so that reach neither a route nor `around`."""
    instance = f"urn:uuid:{uuid7()}"
    answer = problem_response(problem_of_status(status, instance))
    _secure(services, answer)
    answer.headers["X-Request-Id"] = instance
    return answer
