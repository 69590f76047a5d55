"""PEC Massiva to try against: its HTTP API and token services on one port, in front of the certified-mail provider.

`async with serve() as sandbox:` runs both, `with running() as sandbox:` in a thread of their own. A receipt is one e-mail,
seen here as a row and in the mailbox (IMAP) as its signed original. Faults are named by method and first part of the path:
`POST /send`, `GET /send`, `DELETE /send`, `GET /inbox`, `DELETE /inbox`, `GET /quota`, `POST /token`, `POST /tokens`.

Below `/__sandbox__` other programs may order faults (`POST /faults`), put the clock forward (`POST /advance`) and count
accepted sends (`GET /sends?text=`). Leaves out: TLS, the other token calls, and credit.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web

from adapters.providers.pec_mailbox.sandbox import ACCOUNT, PASSWORD, Provider, Sandbox, simulator
from adapters.providers.pec_massiva.sandbox.service import NOT_AUTHORISED, NOT_VALID, Manners, Reply, Service
from adapters.providers.sandboxing import Clock, Fault, Faults, Handler, in_thread, with_fault

MAX_BODY_BYTES = 48 * 1024 * 1024

__all__ = [
    "ACCOUNT",
    "PASSWORD",
    "Clock",
    "Fault",
    "Faults",
    "Manners",
    "PecMassiva",
    "Provider",
    "Service",
    "running",
    "serve",
]

_CLOSE_S = 0.05
"""How long calls that are under way may take at the end; to aiohttp, 0 means for ever."""

_SERVICE = web.AppKey("service", Service)
_FAULTS = web.AppKey("faults", Faults)


@dataclass(frozen=True)
class PecMassiva:
    """A running sandbox.

    Attributes:
        mail: the provider behind it, with its SMTP and IMAP ports.
    """

    service: Service
    faults: Faults
    mail: Sandbox
    base_url: str


@asynccontextmanager
async def serve(
    host: str = "127.0.0.1", port: int = 0, *, service: Service | None = None, **mail_options: Any
) -> AsyncIterator[PecMassiva]:
    """Run PEC Massiva and its certified-mail provider in this event loop.

    Args:
        port: 0 = any that is free.
        service: by default one with the account ACCOUNT.
        mail_options: for `pec_mailbox.sandbox.simulator`.
    """
    service, faults = service or Service(Provider({ACCOUNT: PASSWORD})), Faults()
    async with simulator(service.provider, **mail_options) as mail:
        runner = web.AppRunner(application(service, faults), access_log=None, shutdown_timeout=_CLOSE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield PecMassiva(service, faults, mail, f"http://{host}:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()


def running(**options: Any) -> AbstractContextManager[PecMassiva]:
    """`serve(**options)` in a thread of its own, for synchronous users."""
    return in_thread(lambda: serve(**options))


def application(service: Service, faults: Faults) -> web.Application:
    """The HTTP side alone."""
    app = web.Application(middlewares=[_with_faults], client_max_size=MAX_BODY_BYTES)
    app[_SERVICE], app[_FAULTS] = service, faults
    app.add_routes(
        [
            web.post("/token", _token),
            web.post("/tokens", _token),
            web.post("/send", _send),
            web.get("/send/{code}", _opened(lambda s, box, r: s.status(box, r.match_info["code"]))),
            web.delete("/send/{code}", _opened(lambda s, box, r: s.delete_status(box, r.match_info["code"]))),
            web.get("/inbox", _opened(lambda s, box, r: s.inbox(box, _page(r), r.query.get("q", "")))),
            web.get(r"/inbox/{id:\d+}", _opened(lambda s, box, r: s.message(box, int(r.match_info["id"])))),
            web.delete(r"/inbox/{id:\d+}", _opened(lambda s, box, r: s.delete_message(box, int(r.match_info["id"])))),
            web.get("/quota/{mailbox}", _opened(lambda s, box, r: s.quota(box, r.match_info["mailbox"]))),
            web.post("/__sandbox__/faults", _order_faults),
            web.post("/__sandbox__/advance", _advance),
            web.get("/__sandbox__/sends", _count_sends),
        ]
    )
    return app


@web.middleware
async def _with_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    fault = request.app[_FAULTS].take(f"{request.method} /{_path(request)}")
    return await with_fault(fault, request, handler, lambda one: _failed(request, one))


def _failed(request: web.Request, fault: Fault) -> web.Response:
    message = fault.text or {500: "MySQL Error 1205"}.get(fault.status, "sandbox fault")
    return _json(request, (fault.status, {"success": False, "message": message}))


async def _token(request: web.Request) -> web.Response:
    service, asked = request.app[_SERVICE], await _body(request)
    answer = {"token": service.token_v1, "tokens": service.token_v2}[_path(request)]
    return _json(request, answer(_basic(request), asked))


async def _send(request: web.Request) -> web.Response:
    if not _is_authorised(request):
        return _json(request, NOT_AUTHORISED)
    asked = await _body(request)
    return _json(request, NOT_VALID if asked is None else request.app[_SERVICE].send(asked))


def _opened(act: Callable[[Service, str, web.Request], Reply]) -> Handler:
    """A call about a mailbox, which its credentials in the headers must open."""

    async def handle(request: web.Request) -> web.Response:
        service, mailbox = request.app[_SERVICE], request.headers.get("x-username", "")
        is_open = service.provider.is_customer(mailbox, request.headers.get("x-password", ""))
        return _json(request, act(service, mailbox, request) if is_open and _is_authorised(request) else NOT_AUTHORISED)

    return handle


async def _order_faults(request: web.Request) -> web.Response:
    asked = await request.json()
    operation, times = asked.pop("operation"), asked.pop("times", 1)
    request.app[_FAULTS].add(operation, Fault(**asked), times=times)
    return web.Response(status=204)


async def _advance(request: web.Request) -> web.Response:
    request.app[_SERVICE].provider.advance(timedelta(**await request.json()))
    return web.Response(status=204)


async def _count_sends(request: web.Request) -> web.Response:
    return web.json_response({"accepted": request.app[_SERVICE].times_accepted(request.query["text"])})


def _is_authorised(request: web.Request) -> bool:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return request.app[_SERVICE].is_authorised(token, request.method, _path(request))


def _basic(request: web.Request) -> str:
    given = request.headers.get("Authorization", "").removeprefix("Basic ")
    try:
        return base64.b64decode(given, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


async def _body(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


def _page(request: web.Request) -> int | None:
    page = request.query.get("page", "")
    return int(page) if page.isdecimal() else None


def _path(request: web.Request) -> str:
    return request.path.split("/")[1]


def _json(request: web.Request, reply: Reply) -> web.Response:
    status, said = reply
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.Response(
        status=status, body=request.app[_SERVICE].encoded(said), content_type="application/json", headers=headers
    )
