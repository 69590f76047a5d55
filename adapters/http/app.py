"""The aiohttp application, made from services; it starts and stops what belongs to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp import web

from adapters.http import crossing
from adapters.http.access import AccessLog
from adapters.http.admission import ADMISSION, Admission
from adapters.http.authentication import Crowd, KeyCache
from adapters.http.background import Background
from adapters.http.connections import Connections, GuardedRunner
from adapters.http.dispatch import STATE, State, add_headers, around, handler_of, refusal
from adapters.http.gathering import Gathering
from adapters.http.reasons import Demanded
from adapters.http.services import Services
from adapters.http.table import ROUTES
from adapters.http.telemetry import AccessLines, Metrics, ServerLogger
from adapters.http.throttling import Buckets, is_in

STOP_S = 30.0
LINE_BYTES = 8 * 1024
"""Longest request line, and longest header."""
MAX_HEADERS = 100


def make(services: Services) -> web.Application:
    """The application, with its threads and its background work."""
    limits = services.limits
    access = AccessLog(services.accounts, limits.first_look_s)
    crossing.check(services.cors_origins)
    threads = ThreadPoolExecutor(max(limits.threads * 3 // 4, 1), "http")
    connections = Connections(
        limits.connections,
        limits.idle_s,
        limits.request_timeout_s,
        limits.connections_per_address,
        partial(is_in, networks=services.trusted_proxies),
    )
    state = State(
        services=services,
        threads=threads,
        bulk=ThreadPoolExecutor(max(limits.threads // 2, 1), "http-bulk"),
        keys=KeyCache(limits.key_cache_s, time.monotonic, lambda: services.api_keys.revision),
        rates=Buckets(limits.rate_per_minute, time.monotonic),
        guesses=Buckets(limits.failures_per_minute, time.monotonic),
        crowd=Crowd(limits.requests_per_caller),
        metrics=Metrics(services, connections.under_way),
        lines=AccessLines(),
        access=access,
        demanded=Demanded(services.queries, time.monotonic),
        background=Background(services, access),
        connections=connections,
        gathering=Gathering(threads, limits.request_timeout_s),
    )
    others = [crossing.preflights(services.cors_origins)] if services.cors_origins else []
    app = web.Application(middlewares=[around(state), *others])
    app[STATE] = state
    app[ADMISSION] = Admission(limits.streams, limits.streams_per_caller, limits.stream_turns)
    for route in sorted(
        ROUTES, key=lambda each: not each.together
    ):  # aiohttp tries one after the other: what is asked most goes first
        app.router.add_route(route.method, route.pattern, handler_of(route, state))
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_running)
    return app


async def _running(app: web.Application) -> AsyncIterator[None]:
    """Background work runs while requests are taken; then what was begun is finished."""
    state = app[STATE]
    state.background.start()
    yield
    for threads in (state.threads, state.bulk):
        await asyncio.to_thread(threads.shutdown)
    await asyncio.to_thread(state.background.stop)


def runner(app: web.Application) -> web.AppRunner:
    """Serves the application; its logs hold nothing of a request that could be personal."""
    logger = ServerLogger(logging.getLogger("aiohttp.server"), {})
    return GuardedRunner(
        app,
        app[STATE].connections,
        partial(refusal, app[STATE].services),
        access_log=None,
        logger=logger,
        shutdown_timeout=STOP_S,
        keepalive_timeout=app[STATE].services.limits.idle_s,
        max_line_size=LINE_BYTES,
        max_field_size=LINE_BYTES,
        max_headers=MAX_HEADERS,
    )
