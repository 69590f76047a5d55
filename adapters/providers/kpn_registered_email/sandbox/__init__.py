"""KPN Registered E-mail to try against: KPN's gateway with users and sends on one port, a customer's environment with tickets on another.

`async with serve() as sandbox:` runs both, `with running() as sandbox:` in a thread of their own. Faults are named by method and last part
of the path: `POST /send`, `POST /user`, `POST /accesstoken`, `GET /dashboard`. Leaves out: TLS, IMAP (delivery e-mails are bytes in
`service.mails`), iDIN.

Source: SwaggerHub `Registered E-mail - Registered E-mail` v.1.1.1 for users, sends and the schemas of the status document; where it is
fetched, and the form of delivery e-mails, are assumed.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from html import escape

from aiohttp import web

from adapters.providers.kpn_platform_sandbox import MAX_BODY_BYTES, Gateway, answer, error
from adapters.providers.kpn_registered_email.sandbox.service import PRODUCT_PATH, RefusedError, Service
from adapters.providers.sandboxing import Clock, Fault, Faults, Handler, in_thread, serving, with_fault

__all__ = ["Clock", "Fault", "Faults", "Gateway", "Sandbox", "Service", "running", "serve"]

TICKET_PATH = "/webservice/dashboard/"


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox.

    Attributes:
        base_url: of the product at KPN.
        environment_url: of the customer at Aangetekend Mailen.
    """

    service: Service
    gateway: Gateway
    base_url: str
    environment_url: str

    @property
    def faults(self) -> Faults:
        return self.gateway.faults


@asynccontextmanager
async def serve(service: Service | None = None, gateway: Gateway | None = None) -> AsyncIterator[Sandbox]:
    """Run both in this event loop."""
    gateway = gateway or Gateway(shape="flat")
    service = service or Service(clock=gateway.clock)
    async with (
        serving(gateway.application(_routes(service))) as kpn,
        serving(_environment(service, gateway.faults)) as environment,
    ):
        service.environment_url = environment
        yield Sandbox(service, gateway, f"{kpn}{PRODUCT_PATH}", environment)


def running(service: Service | None = None, gateway: Gateway | None = None) -> AbstractContextManager[Sandbox]:
    """`serve` in a thread of its own, for synchronous users."""
    return in_thread(lambda: serve(service, gateway))


# --- at KPN


def _routes(service: Service) -> list[web.RouteDef]:
    async def user(request: web.Request) -> web.Response:
        return answer({"id": service.create_user(await request.json())}, 201)

    async def send(request: web.Request) -> web.Response:
        ticket = service.send(await request.json())
        url = f"{service.environment_url}{TICKET_PATH}?ticket_token={ticket.token}&action=ticket_html&lang={ticket.language}"
        return answer({"ticket_token": ticket.token, "ticket_url": url, "message": "OK"})

    return [
        web.post(f"{PRODUCT_PATH}/api/user/", _refusing(user)),
        web.post(f"{PRODUCT_PATH}/webservice/mailsender/send", _refusing(send)),
    ]


def _refusing(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    """The handler, with what it refuses in the flat envelope."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except RefusedError as refused:
            return error(400, "flat", text=str(refused))
        except ValueError:
            return error(400, "flat", text="the body is no JSON")

    return handle


# --- at Aangetekend Mailen


def _environment(service: Service, faults: Faults) -> web.Application:
    """A ticket's page for its recipient, whose form does what it says, and its status document for the web service user."""

    async def show(request: web.Request) -> web.Response:
        if request.query.get("action") != "ticket_xml":
            return _page(service, request)
        if not _may_read(service, request.headers.get("Authorization", "")):
            return web.Response(
                status=401, headers={"WWW-Authenticate": "Basic"}, text="<html>Inloggen", content_type="text/html"
            )
        document = service.biljet(request.query.get("ticket_token", ""))
        return web.Response(status=200 if document else 404, body=document, content_type="application/xml")

    async def act(request: web.Request) -> web.Response:
        said = await request.post()
        try:
            service.act(request.query.get("ticket_token", ""), str(said.get("act", "")))
        except RefusedError as refused:
            return web.Response(status=400, text=str(refused))
        return _page(service, request)

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = faults.take(f"{request.method} /dashboard")
        return await with_fault(fault, request, handler, lambda one: web.Response(status=one.status, text=one.text))

    app = web.Application(middlewares=[gate], client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.get(TICKET_PATH, show), web.post(TICKET_PATH, act)])
    return app


def _may_read(service: Service, header: str) -> bool:
    try:
        login = b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return login == f"{service.web_user}:{service.web_password}"


def _page(service: Service, request: web.Request) -> web.Response:
    ticket = service.tickets.get(request.query.get("ticket_token", ""))
    if ticket is None:
        return web.Response(status=404, text="<html>Onbekend biljet", content_type="text/html")
    rows = "".join(f"<li>{row.at} {escape(row.words)}" for row in ticket.rows)
    return web.Response(
        text=f"<!doctype html><h1>{escape(ticket.subject)}</h1><ol>{rows}</ol>", content_type="text/html"
    )
