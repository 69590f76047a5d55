"""Ekopost to try against: its HTTP API on a port of this machine, and its webhook.

`async with serve() as sandbox:` runs it in this event loop, `with running() as sandbox:` in a thread of its own. Faults are named
by method and path with `*` for each id: `POST /campaigns/*/close` (`sandbox.faults.add(…)`). Time is the service's clock: what
falls due happens when it is advanced. Leaves out: TLS (the real sandbox has none either), the printing itself, and e-invoices.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web

from adapters.providers.ekopost.sandbox.service import FATES, Reply, Service, error
from adapters.providers.sandboxing import Clock, Fault, Faults, Handler, in_thread, serving, with_fault

__all__ = ["FATES", "Clock", "Ekopost", "Fault", "Faults", "Service", "running", "serve"]

MAX_BODY_BYTES = 48 * 1024 * 1024
HEADERS = {"api-version": "1.0", "sunset": "Fri, 31 Dec 2027 23:59:59 GMT"}
"""Assumed; no header is documented."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Ekopost:
    """A running sandbox.

    Attributes:
        calls: each call that came, as faults are named, in order.
    """

    service: Service
    base_url: str = ""
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)

    async def deliver(self, url: str, secret: bytes, *, times: int = 1, newest_first: bool = False) -> list[int]:
        """Deliver the webhooks that wait, over HTTP; the statuses of the answers."""
        waiting = [body for body in self.service.webhooks for _ in range(times)]
        self.service.webhooks.clear()
        statuses = []
        async with ClientSession() as client:
            for body in reversed(waiting) if newest_first else waiting:
                headers = {"X-Ekopost-Signature": Service.signature(body, secret), "Content-Type": "application/json"}
                async with client.post(url, data=body, headers=headers) as answer:
                    statuses.append(answer.status)
        return statuses


@asynccontextmanager
async def serve(service: Service | None = None, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Ekopost]:
    """Run Ekopost in this event loop.

    Args:
        port: 0 = any that is free.
    """
    sandbox = Ekopost(service or Service())
    async with serving(application(sandbox), host, port) as base_url:
        yield Ekopost(sandbox.service, base_url, sandbox.faults, sandbox.calls)


def running(service: Service | None = None) -> AbstractContextManager[Ekopost]:
    """`serve` in a thread of its own, for synchronous users."""
    return in_thread(lambda: serve(service))


Act = Callable[[Service, web.Request, dict[str, Any]], Reply]

_ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("POST", "/campaigns", lambda s, _, asked: s.create_campaign(asked)),
    ("GET", "/campaigns", lambda s, r, _: s.list_campaigns(r.query)),
    ("GET", "/campaigns/{c}", lambda s, r, _: s.campaign(r.match_info["c"])),
    ("POST", "/campaigns/{c}/close", lambda s, r, _: s.close_campaign(r.match_info["c"])),
    ("POST", "/campaigns/{c}/cancel", lambda s, r, _: s.cancel_campaign(r.match_info["c"])),
    ("POST", "/campaigns/{c}/envelopes", lambda s, r, asked: s.create_envelope(r.match_info["c"], asked)),
    ("GET", "/campaigns/{c}/envelopes", lambda s, r, _: s.list_envelopes(r.match_info["c"], r.query)),
    ("GET", "/campaigns/{c}/envelopes/{e}", lambda s, r, _: s.envelope(*_ids(r), r.query.get("state", ""))),
    ("POST", "/campaigns/{c}/envelopes/{e}/close", lambda s, r, _: s.close_envelope(*_ids(r))),
    ("POST", "/campaigns/{c}/envelopes/{e}/cancel", lambda s, r, _: s.cancel_envelope(*_ids(r))),
    ("POST", "/campaigns/{c}/envelopes/{e}/content", lambda s, r, asked: s.create_content(*_ids(r), asked)),
    ("POST", "/sms", lambda s, _, asked: s.send_sms(asked)),
    ("GET", "/sms/{m}", lambda s, r, _: s.sms(r.match_info["m"])),
    ("POST", "/reachable/{type}", lambda s, _, asked: s.reachable(asked)),
    ("GET", "/edi/invitations", lambda s, _, __: (200, s.invitations)),
)


def application(sandbox: Ekopost) -> web.Application:
    """The HTTP side alone."""

    @web.middleware
    async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = f"{request.method} {_GUID.sub('*', request.path)}"
        sandbox.calls.append(name)
        fault = sandbox.faults.take(name)
        return await with_fault(fault, request, handler, lambda fault: _answer(_fault(fault)))

    def handle(act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"api-key {sandbox.service.api_key}":
                return _answer(error("0"))
            body = await request.read()
            try:
                asked = json.loads(body) if body else {}
            except ValueError:
                return _answer(error("127"))
            return _answer(act(sandbox.service, request, asked if isinstance(asked, dict) else {}))

        return handler

    app = web.Application(middlewares=[watched], client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.route(method, path, handle(act)) for method, path, act in _ROUTES])
    return app


def _fault(fault: Fault) -> Reply:
    """An error object where the fault names a code, else only a status."""
    return error(fault.text, fault.status) if fault.text else (fault.status, {"message": "An error has occurred."})


def _ids(request: web.Request) -> tuple[str, str]:
    return request.match_info["c"], request.match_info["e"]


def _answer(reply: Reply) -> web.Response:
    status, said = reply
    headers = HEADERS | ({"Retry-After": "7"} if status == 429 else {})
    return web.Response(
        status=status, text=json.dumps(said, ensure_ascii=False), content_type="application/json", headers=headers
    )
