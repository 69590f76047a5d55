"""The server of an authority that publishes what it revoked, on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.providers import pec_ca


class Publishing:
    """An authority's server.

    Attributes:
        asked: paths, in order.
        reply: what each path answers.
    """

    def __init__(self, root: pec_ca.Authority) -> None:
        self.root = root
        self.asked: list[str] = []
        self.questions: list[bytes] = []
        self.reply: dict[str, Callable[[], Awaitable[web.StreamResponse]]] = {}
        self.port = 0

    @property
    def elsewhere(self) -> dict[str, str]:
        return {"Location": self.url("/elsewhere")}

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def says(self, path: str, body: bytes, status: int = 200) -> None:
        async def answer() -> web.StreamResponse:
            return web.Response(body=body, status=status, headers=self.elsewhere if status == 302 else None)

        self.reply[path] = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.questions.append(await request.read())
        return await self.reply[request.path]()

    def signer(self, *, crl: str = "/ca.crl", ocsp: str = "/ocsp", host: str = "127.0.0.1") -> pec_ca.Signer:
        return pec_ca.signer(self.root, crl_urls=(self.url(crl, host),), ocsp_urls=(self.url(ocsp, host),))


@asynccontextmanager
async def publishing(root: pec_ca.Authority) -> AsyncIterator[Publishing]:
    """Run the server of an authority."""
    made = Publishing(root)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        made.port = server.port
        yield made
