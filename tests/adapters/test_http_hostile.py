"""Hostile text in every place of every route: no answer is a defect, no log line and no header is forged, no file is reached."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yarl import URL

from adapters.http.routes import JSON, Route
from adapters.http.table import ROUTES
from ops.system import System
from tests.adapters.conftest import EVERYTHING, serving
from tests.adapters.test_http_matrix import ANY, BODIES, route_id
from tests.adapters.test_http_privacy import logs

__all__ = ["logs"]

MARK = "pl4nted"
KNOWN = ANY | {"slug": "internal", "file": "page.js", "tenant": "acme", "operation": "webhook.dlr"}
LOG_LINE = '{"event": "listening", "url": "https://evil.example"}'
PIECES: tuple[str, ...] = (
    *("\r\n", "\n", "\r", "\0", "\x1b[2J", "\x08", "\u2028", "\u202e", "\ufeff", "\U0001f600", "\ud83d"),
    *("../", "..\\", "/etc/passwd", "%2e%2e%2f", "%00", "%0d%0a", "C:\\", "file:///", "\\\\host\\share\\"),
    *(
        "'",
        '"',
        "`",
        "$(id)",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "'; DROP TABLE stored_events; --",
        "' OR 1=1 --",
        "%s%n",
        "%(x)s",
    ),
    *(
        "\r\nSet-Cookie: a=b",
        "\r\n\r\n<script>alert(1)</script>",
        f"\n{LOG_LINE}",
        ", X-Injected: 1",
        "Å" * 300,
        "a" * 5_000,
    ),
    *("true", "null", "-1", "1e400", "9" * 30, "NaN", "[]", "{}", "*", "W/", "=", "&", ";", "#", "?", "+", " "),
)
HEADERS: tuple[str, ...] = (
    "User-Agent",
    "X-Request-Id",
    "X-Forwarded-For",
    "Referer",
    "Cookie",
    "Origin",
    "Accept",
    "If-None-Match",
    "If-Match",
)
HEADERS += ("Idempotency-Key", "Access-Reason", "Range", "Content-Encoding")


def _texts(seed: int, count: int) -> list[str]:
    """Texts of one to four of the pieces, each with the mark in it."""
    drawn = random.Random(seed)  # noqa: S311  tests are to be the same again
    return [MARK.join(drawn.choices(PIECES, k=drawn.randint(1, 4))) + MARK for _ in range(count)]


def _in_header(text: str) -> str:
    """What of a text a client can send in a header at all; the rest is tests/adapters/test_http_hardening's."""
    return "".join(c for c in text if c.isprintable() and ord(c) < 256)[:2_000]


def _spoilt(value: Any, text: str) -> Any:
    """A body with the text in the place of every text of it."""
    if isinstance(value, Mapping):
        return {name: _spoilt(inner, text) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spoilt(inner, text) for inner in value]
    return text if isinstance(value, str) else value


def _requests(route: Route, texts: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths and what is sent with each."""
    body = route.example or BODIES.get(route.path) or {}
    good = route.path.format(**KNOWN)
    for text in texts:
        encoded = quote(text, safe="", errors="surrogatepass")
        if route.parameters:
            yield route.path.format(**dict.fromkeys(route.parameters, encoded)), {}
        headers = {name: _in_header(text) for name in HEADERS}
        yield f"{good}?{encoded}={encoded}", {"headers": headers}
        if names := route.query.__struct_fields__:
            yield f"{good}?{'&'.join(f'{name}={encoded}' for name in names)}", {}
        if route.reads:
            said = json.dumps(_spoilt(body, text) if JSON in route.reads else text).encode()
            media = JSON if JSON in route.reads else next(iter(route.reads))
            media = "application/octet-stream" if media == "*/*" else media
            yield good, {"data": said, "headers": {"Content-Type": media}}
            yield good, {"data": json.dumps({text: text}).encode(), "headers": {"Content-Type": media}}


async def test_hostile_text_does_nothing_but_be_refused(
    logs: io.StringIO, sqlite_system: System, tmp_path: Path
) -> None:
    """By every route: no 5xx that is a defect, headers and log lines as ever, one log line a request, and no file by its name."""
    async with serving(sqlite_system, rate_per_minute=0, failures_per_minute=0) as api:
        api.account()
        key = api.key(*EVERYTHING, "privacy")
        sent = refused = 0
        for number, route in enumerate(ROUTES):
            for path, how in _requests(route, _texts(number, 6)):
                headers = {"Authorization": f"Bearer {key}", **how.pop("headers", {})}
                url = URL(f"http://127.0.0.1:{api.port}{path}", encoded=True)
                async with api.client.request(
                    route.method, url, headers=headers, allow_redirects=False, **how
                ) as reply:
                    refused += b'"/problems/not-http"' in await reply.read()
                    sent += 1
                    assert reply.status not in {500, 501, 502, 504}, (route_id(route), path, how)
                    told = [f"{name}: {value}" for name, value in reply.headers.items()]
                    assert [] == [line for line in told if MARK in line or "evil" in line or "X-Injected" in line]
                    assert {"Set-Cookie"}.isdisjoint(reply.headers)
    lines = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert sent - refused == len([line for line in lines if line["event"] == "request"])
    assert refused == len([line for line in lines if "not HTTP" in line["event"]])
    assert MARK not in logs.getvalue()
    assert {"listening"}.isdisjoint(line["event"] for line in lines)
    assert MARK not in str(sorted(tmp_path.rglob("*")))  # noqa: ASYNC240  at the end
    assert sent > 1_500
