"""Pages of other origins (CORS, as the Fetch standard has it): none, unless the installation names them, each exactly.

Cookies and the like are never let through: there are none here, and a key stands in a header that a page must set itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from yarl import URL

from ledger.errors import ConfigurationError

METHODS = "GET, POST, PUT, PATCH, DELETE"
HEADERS = (
    "Authorization, X-Api-Key, Content-Type, Idempotency-Key, If-Match, If-None-Match, Access-Reason, Access-Protected"
)
EXPOSED = "ETag, Location, Retry-After, X-Request-Id, RateLimit, RateLimit-Policy"
KEPT_S = "600"


def check(origins: Collection[str]) -> None:
    """Refuse what no browser sends as an origin.

    Raises:
        ConfigurationError: names it; `*` is none.
    """
    for origin in origins:
        parsed = URL(origin) if "://" in origin else URL()
        if not parsed.host or parsed.scheme not in {"https", "http"} or str(parsed.origin()) != origin:
            msg = f"cors_origins (LEDGER_CORS_ORIGINS): {origin!r} is no origin; write https://host, without a path and without *"
            raise ConfigurationError(msg)


def headers(origins: Collection[str], given: Mapping[str, str]) -> dict[str, str]:
    """What an answer says to a page of another origin: nothing, unless it is one of these."""
    if not origins:
        return {}
    origin = given.get(hdrs.ORIGIN, "")
    if origin not in origins:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
    }


def preflights(origins: Collection[str]) -> Middleware:
    """A middleware that answers what a browser asks before it lets a page of these origins send."""

    @web.middleware
    async def answer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        is_asked = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not is_asked or request.headers.get(hdrs.ORIGIN) not in origins:
            return await handler(request)
        said = {"Allow-Methods": METHODS, "Allow-Headers": HEADERS, "Max-Age": KEPT_S}
        return web.Response(status=204, headers={f"Access-Control-{name}": value for name, value in said.items()})

    return answer
