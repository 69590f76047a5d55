"""For operators and machines: liveness, readiness, metrics, the API's description and its page. No key; nothing of any tenant."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from adapters.http.dispatch import STATE, State, in_thread, respond
from adapters.http.problems import kinds
from adapters.http.routes import NO_KEY, Answer, Call, NoQuery, route
from adapters.http.types import Alive, Readiness
from ledger.application import Ledger
from ledger.database import unsafe_rights
from ledger.errors import NotFoundError
from projections.erasures import unfinished

STATIC = Path(__file__).parent / "static"
FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "licences.txt": "text/plain",
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PUBLIC = {"Cache-Control": "public, max-age=3600"}
MAX_LAG_EVENTS = 50_000
"""Further behind than this, answers are too old to be called ready."""
NEWEST_ERASURES = 1_000
"""Of so many it is looked whether they were carried out; a job looks at all of them."""


@route("GET /healthz", scopes=NO_KEY, answers={200: Alive})
def healthz(_call: Call[NoQuery, None]) -> Answer:
    """Whether the process answers; says nothing about the database."""
    return Answer(Alive())


@route("GET /readyz", scopes=NO_KEY, answers={200: Readiness, 503: Readiness})
async def readyz(request: web.Request, _call: Call[NoQuery, None]) -> web.StreamResponse:
    """Whether requests should be sent here: database, read models, rights of the role, standby."""
    found = await in_thread(request, readiness, request.app[STATE])
    return await respond(request, Answer(msgspec.json.encode(found), 200 if found.ready else 503))


def readiness(state: State) -> Readiness:
    """What an operator should know; a database that does not answer is said, not raised."""
    services, troubles = state.services, state.background.troubles
    try:
        size, lag, unapplied = services.ledger.head().size, services.runner.lag(), len(services.runner.unapplied())
        is_left = any(True for _ in unfinished(services.ledger, NEWEST_ERASURES))
        rights, standby = tuple(unsafe_rights(services.ledger.database)), _standby(services.ledger)
    except Exception as error:  # noqa: BLE001  whatever it is, it is the answer
        why = f"does not answer: {type(error).__name__}"
        return Readiness(ready=False, database=why, advice=(ADVICE["database"],))
    stopped = troubles.get("read models", "")
    found = {
        "stopped": bool(stopped),
        "frozen": bool(services.ledger.frozen),
        "unapplied": unapplied > 0,
        "erasures": is_left,
        "rights": bool(rights),
        "standby": standby == "none",
    }
    return Readiness(
        ready=not stopped and not services.ledger.frozen and max(lag.values(), default=0) <= MAX_LAG_EVENTS,
        database="answers",
        tree_size=size,
        lag=lag,
        unapplied=unapplied,
        stopped=stopped,
        frozen=services.ledger.frozen,
        unsafe_rights=rights,
        standby=standby,
        advice=tuple(ADVICE[name] for name, holds in found.items() if holds),
    )


ADVICE = {
    "database": "the database does not answer: look at LEDGER_DATABASE_URL and at the database's own log",
    "frozen": "the tree contradicts a signed head, so nothing is appended: `delivery-ledger recover`, after finding out why",
    "stopped": "the read models stand still: run `delivery-ledger fsck`",
    "unapplied": "some events could not be applied to a read model: `delivery-ledger fsck` lists them",
    "erasures": "something that the log says was erased is there still: `delivery-ledger erase carry-out`, under a login that may destroy",
    "rights": "the database role could change the past: connect as the service role that `delivery-ledger db migrate` makes",
    "standby": "no synchronous standby: what is acknowledged is lost with this one database server",
}


def _standby(ledger: Ledger) -> str:
    """Whether a commit waits for a second machine; PostgreSQL only."""
    if ledger.database.kind != "postgresql":
        return "not applicable"
    sql = "SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')"
    names, commit = ledger.database.read(sql)[0]
    return "synchronous" if names and commit not in {"off", "local"} else "none"


@route("GET /metrics", scopes=NO_KEY, answers={200: {"text/plain": str}})
async def metrics(request: web.Request, _call: Call[NoQuery, None]) -> web.StreamResponse:
    """Metrics in Prometheus' text format; labels hold routes, statuses and providers, nothing of a tenant."""
    text = await in_thread(request, generate_latest, request.app[STATE].metrics.registry)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@route("GET /openapi.json", scopes=NO_KEY, answers={200: dict[str, Any]})
def openapi(_call: Call[NoQuery, None]) -> Answer:
    """This document."""
    return Answer(_document(), headers=PUBLIC)


@functools.cache
def _document() -> bytes:
    from adapters.http.openapi import document  # noqa: PLC0415  it describes these routes, so it needs them first

    return msgspec.json.encode(document())


@route("GET /docs", scopes=NO_KEY, answers={200: {"text/html": str}})
def docs(_call: Call[NoQuery, None]) -> Answer:
    """A page to browse and try the API with; it asks nothing from outside."""
    return Answer(
        _static("index.html"), headers={**PUBLIC, "Content-Security-Policy": PAGE_POLICY}, media_type="text/html"
    )


@route("GET /docs/{file}", scopes=NO_KEY, answers={200: {"*/*": bytes}})
def docs_file(call: Call[NoQuery, None]) -> Answer:
    """A file of the page."""
    name = call.path["file"]
    if name not in FILES:
        msg = f"there is no file {name}"
        raise NotFoundError(msg)
    return Answer(_static(name), headers=PUBLIC, media_type=FILES[name])


@functools.cache
def _static(name: str) -> bytes:
    return (STATIC / name).read_bytes()


@route("GET /problems/{slug}", scopes=NO_KEY, answers={200: {"text/plain": str}})
def problem(call: Call[NoQuery, None]) -> Answer:
    """What a type of problem means."""
    kind = kinds().get(call.path["slug"])
    if kind is None:
        msg = "there is no such type of problem"
        raise NotFoundError(msg)
    again = f"\nSend it again after {kind.retry_after_s} s.\n" if kind.retry_after_s else ""
    return Answer(
        f"{kind.status} {kind.title}\n\n{kind.advice}\n{again}".encode(), headers=PUBLIC, media_type="text/plain"
    )
