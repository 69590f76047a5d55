"""KPN Cloud Fax to try against, behind KPN's gateway with its token service.

`async with serve() as sandbox:` runs it, `with running() as sandbox:` in a thread of its own. The last two digits of a number decide
what becomes of a fax (`jobs.FATES`); time goes by on `sandbox.clock`. Faults are named by method and last part of the path:
`POST /sendfax`, `POST /raw`, `GET /jobstatus`, `GET /infax`. Leaves out: pages and previews of documents, and changing settings by
HTTP (`sandbox.fax.settings` does).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from adapters.providers.kpn_cloud_fax.sandbox.service import PDF, CloudFax, Manners
from adapters.providers.kpn_platform_sandbox import Gateway
from adapters.providers.sandboxing import Clock, Fault, Faults, in_thread, serving

BASE_PATH = "/data/cws/fax"

__all__ = ["PDF", "Clock", "CloudFax", "Fault", "Gateway", "Manners", "Sandbox", "running", "serve"]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox."""

    fax: CloudFax
    address: str

    @property
    def base_url(self) -> str:
        return self.address + BASE_PATH

    @property
    def clock(self) -> Clock:
        return self.fax.gateway.clock

    @property
    def faults(self) -> Faults:
        return self.fax.gateway.faults


def application(fax: CloudFax) -> web.Application:
    """The gateway, and Cloud Fax behind it."""
    routes = [
        web.post(f"{BASE_PATH}/sendfax", fax.send),
        web.post(f"{BASE_PATH}/sendfax/raw", fax.send_raw),
        web.post(f"{BASE_PATH}/sendsms", fax.send_sms),
        web.post(f"{BASE_PATH}/ackreceipt", fax.ackreceipt),
        web.get(f"{BASE_PATH}/jobstatus", fax.jobstatus),
        web.get(f"{BASE_PATH}/jobhistory", fax.jobhistory),
        web.get(f"{BASE_PATH}/jobdetails", fax.jobdetails),
        web.get(f"{BASE_PATH}/document/{{key}}", fax.document),
        web.get(f"{BASE_PATH}/messages", fax.messages),
        web.delete(f"{BASE_PATH}/messages", fax.delete),
        web.get(f"{BASE_PATH}/injobs", fax.injobs),
        web.get(f"{BASE_PATH}/infax", fax.infax),
        web.patch(f"{BASE_PATH}/resetincomingjob", fax.reset),
        *(web.get(f"{BASE_PATH}/{name}", fax.setting) for name in fax.settings),
    ]
    return fax.gateway.application(routes)


@asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0, *, fax: CloudFax | None = None) -> AsyncIterator[Sandbox]:
    """Run it in this event loop.

    Args:
        port: 0 = any that is free.
        fax: by default a new one in the real time.
    """
    service = fax or CloudFax()
    async with serving(application(service), host, port) as address:
        yield Sandbox(service, address)


def running(*, fax: CloudFax | None = None) -> AbstractContextManager[Sandbox]:
    """`serve()` in a thread of its own, for synchronous users."""
    return in_thread(lambda: serve(fax=fax))
