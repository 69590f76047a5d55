"""KPN's gateway to try against: its token service, its five error envelopes, quota and headers; a product brings its own routes.

`gateway.application(routes)` is an aiohttp application: the token service at `/oauth/client_credential/accesstoken`, and the product's
routes behind it, which ask for a token. Faults are named by method and last part of the path: `POST /send`, `POST /accesstoken`; the
`shape` of a fault is one of ENVELOPES. Leaves out: HSTS, CORS, and products that a project lacks (a `status` fault says 403).

Source: https://developer.kpn.com (getting started, response headers) and KPN's SwaggerHub definitions, July 2026.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from random import Random
from typing import Any, Literal

from aiohttp import web

from adapters.providers.sandboxing import Clock, Fault, Faults, Handler, with_fault

TOKEN_PATH = "/oauth/client_credential/accesstoken"  # noqa: S105  an address
MAX_BODY_BYTES = 48 * 1024 * 1024
INFO = "https://developer.kpn.com/support"


def _flat(code: str, text: str) -> dict[str, Any]:
    return {"transactionId": "sandbox-1", "status": code, "name": text, "message": text, "info": INFO}


ENVELOPES: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "fault": lambda code, text: {"fault": {"faultstring": text, "detail": {"errorcode": code}}},
    "proxy": lambda code, text: {"error": _flat(code, text)},
    "flat": _flat,
    "errorResponse": lambda code, text: {"errorResponse": {"code": code, "message": text, "info": INFO}},
    "token": lambda code, text: {"ErrorCode": code, "Error": text},
}
"""Who speaks: the gateway, KPN's proxy, a product in flat form, a product, the token service."""


def error(status: int, shape: str, code: str = "", text: str = "") -> web.Response:
    """An error in one of the envelopes."""
    known = status in HTTPStatus._value2member_map_
    said = ENVELOPES[shape](code or str(status), text or (HTTPStatus(status).phrase if known else "Error"))
    return answer(said, status)


def answer(said: Mapping[str, Any], status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(status=status, body=json.dumps(said).encode(), content_type="application/json")


@dataclass
class Gateway:
    """The gateway of one project.

    Attributes:
        shape: envelope of the product's own errors.
        tokens: token -> until when it holds; may be emptied to take all back.
        quota_limit: calls in one `quota_unit`; all calls count, refused ones too.
        token_calls: how often a token was asked for.
    """

    client_id: str = "sandbox-project"
    client_secret: str = "sandbox-secret"  # noqa: S105  of a sandbox
    shape: str = "errorResponse"
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    token_lasts: timedelta = timedelta(seconds=3599)
    quota_limit: int = 100_000
    quota_unit: Literal["minute", "hour", "day"] = "minute"
    api_version: str = "1.0"
    sunset: str = "n/a"
    tokens: dict[str, datetime] = field(default_factory=dict)
    token_calls: int = 0
    seed: int = 1
    _used: tuple[datetime | None, int] = (None, 0)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311  ids of a sandbox, repeatable on purpose

    def application(self, routes: Iterable[web.AbstractRouteDef]) -> web.Application:
        """The token service and the routes of a product behind it."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._gate(request, handler)

        app = web.Application(middlewares=[gate], client_max_size=MAX_BODY_BYTES)
        app.add_routes([web.post(TOKEN_PATH, self._token), *routes])
        return app

    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = self.faults.take(f"{request.method} /{request.path.rstrip('/').rpartition('/')[2]}")
        response = await with_fault(fault, request, self._checked(handler), self._fault)
        response.headers.update(self._headers())
        return response

    def _checked(self, handler: Handler) -> Handler:
        """The handler, for whoever has a token and quota left."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if request.path == TOKEN_PATH:
                return await handler(request)
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in self.tokens:
                return error(401, "fault", "oauth.v2.InvalidAccessToken", "Invalid access token")
            if self.tokens[token] <= self.clock.now():
                return error(401, "fault", "oauth.v2.AccessTokenExpired", "Access Token expired")
            if self._count() > self.quota_limit:
                return error(429, "fault", "policies.ratelimit.QuotaViolation", "Rate limit quota violation")
            return await handler(request)

        return handle

    def _fault(self, fault: Fault) -> web.Response:
        return error(fault.status, fault.shape or self.shape, fault.text)

    # --- quota

    def _period(self) -> datetime:
        """When the period that is being counted began."""
        minute = self.clock.now().astimezone(UTC).replace(second=0, microsecond=0)
        hour = minute.replace(minute=0)
        return {"minute": minute, "hour": hour, "day": hour.replace(hour=0)}[self.quota_unit]

    def _count(self) -> int:
        began, used = self._used
        self._used = (self._period(), used + 1 if began == self._period() else 1)
        return self._used[1]

    def _headers(self) -> dict[str, str]:
        """As on every answer of KPN; the form of `quota-reset-UTC` is not published, here it is that of Apigee."""
        began, used = self._used
        ends = self._period() + timedelta(**{f"{self.quota_unit}s": 1})
        return {
            "api-version": self.api_version,
            "sunset": self.sunset,
            "quota-limit": str(self.quota_limit),
            "quota-interval": "1",
            "quota-time-unit": self.quota_unit,
            "quota-used": str(min(used, self.quota_limit) if began == self._period() else 0),
            "quota-reset-UTC": str(int(ends.timestamp() * 1000)),
        }

    # --- tokens

    async def _token(self, request: web.Request) -> web.Response:
        self.token_calls += 1
        form = await request.post()
        if request.query.get("grant_type") != "client_credentials":
            return error(400, "token", "invalid_request", "Required param : grant_type")
        if form.get("client_id") != self.client_id:
            return error(401, "token", "invalid_client", "ClientId is Invalid")
        if form.get("client_secret") != self.client_secret:
            return error(401, "token", "invalid_client", "Client credentials are invalid")
        token = f"{self.random.getrandbits(128):032x}"
        self.tokens[token] = self.clock.now() + self.token_lasts
        return answer(self._token_said(token))

    def _token_said(self, token: str) -> dict[str, Any]:
        """Every value is a string, numbers too, but for one list."""
        return {
            "refresh_token_expires_in": "0",
            "api_product_list": "[sandbox]",
            "api_product_list_json": ["sandbox"],
            "organization_name": "kpn",
            "developer.email": "ontwikkelaar@voorbeeld.example",
            "token_type": "Bearer",
            "issued_at": str(int(self.clock.now().timestamp() * 1000)),
            "client_id": self.client_id,
            "access_token": token,
            "application_name": "sandbox",
            "scope": "",
            "expires_in": str(int(self.token_lasts.total_seconds())),
            "refresh_count": "0",
            "level": "demo",
            "status": "approved",
        }
