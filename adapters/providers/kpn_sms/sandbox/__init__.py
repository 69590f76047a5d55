"""KPN SMS to try against: both generations of the send API behind KPN's gateway, and its signed webhooks over real HTTP.

`async with serve() as sandbox:` runs it, `with running() as sandbox:` in a thread of its own. The account's `base_url` is that of the
sandbox; the credentials are those of its gateway. What becomes of a message is chosen by the last three digits of its number
(`network.FATES`). Webhooks go out on `sandbox.deliver()`, or by themselves with `every_s`. Leaves out: TLS, key and webhook management.

Source: SwaggerHub `SMS - KPN` 1.0.6 and 1.3, `Inbound SMS - KPN` 1.0.0, `Webhook Signing Keys - KPN` 4.0.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from adapters.providers.kpn_platform_sandbox import Gateway, answer, error
from adapters.providers.kpn_sms.sandbox.network import Generation, Network, Post
from adapters.providers.sandboxing import in_thread, serving

ROUTES: dict[str, Generation] = {"/communication/kpn/sms/send": "2025", "/messaging/sms-kpn/v1/send": "2020"}
WEBHOOK_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox."""

    network: Network
    gateway: Gateway
    base_url: str
    loop: asyncio.AbstractEventLoop
    _session: ClientSession

    def deliver(self, *, times: int = 1, is_reversed: bool = False) -> list[int]:
        """Send every webhook that is due; for another thread than the sandbox's own.

        Args:
            times: how often each goes out, acknowledged or not.
            is_reversed: the last first.

        Returns:
            The status of each attempt, 0 where nobody answered.
        """
        work = self.deliver_now(times=times, is_reversed=is_reversed)
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def deliver_now(self, *, times: int = 1, is_reversed: bool = False) -> list[int]:
        """As `deliver`, in the sandbox's event loop."""
        due, found = self.network.due(), list[int]()
        for post in reversed(due) if is_reversed else due:
            statuses = [await self._post(post) for _ in range(times)]
            self.network.attempted(post, is_taken=statuses[-1] // 100 == 2)
            found += statuses
        return found

    async def _post(self, post: Post) -> int:
        try:
            async with self._session.post(
                post.url, data=post.body, headers=self.network.headers(post), timeout=ClientTimeout(WEBHOOK_TIMEOUT_S)
            ) as response:
                return response.status
        except (ClientError, TimeoutError):
            return 0


@asynccontextmanager
async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    network: Network | None = None,
    gateway: Gateway | None = None,
    every_s: float = 0.0,
) -> AsyncIterator[Sandbox]:
    """Run KPN SMS in this event loop.

    Args:
        port: 0 = any that is free.
        every_s: how often due webhooks go out by themselves; 0 = only on `deliver`.
    """
    gateway = gateway or Gateway()
    network = network or Network(gateway.clock)
    routes = [web.post(path, _sender(network, generation)) for path, generation in ROUTES.items()]
    async with serving(gateway.application(routes), host, port) as base, ClientSession() as session:
        sandbox = Sandbox(network, gateway, base, asyncio.get_running_loop(), session)
        ticking = asyncio.create_task(_tick(sandbox, every_s)) if every_s else None
        try:
            yield sandbox
        finally:
            if ticking is not None:
                ticking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticking


def running(**options: Any) -> AbstractContextManager[Sandbox]:
    """`serve(**options)` in a thread of its own, for synchronous users."""
    return in_thread(lambda: serve(**options))


async def _tick(sandbox: Sandbox, every_s: float) -> None:
    while True:
        await sandbox.deliver_now()
        await asyncio.sleep(every_s)


def _sender(network: Network, generation: Generation) -> Any:
    async def send(request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
        except ValueError:
            return error(400, "errorResponse", text="The body is not JSON")
        document_id = network.send(asked, generation)
        if document_id is None:
            return error(400, "errorResponse")
        return answer({"document_id": document_id, "status": "OK"} if document_id else {"status": "ERROR"})

    return send
