"""The second half of the demo: messages that are really sent, to the sandboxes of the providers, and followed to their end.

Between our code and a sandbox everything is real: HTTP, webhooks to our API, IMAP over TLS, signatures. Only the clock is ours: the days
of the story lie before today and pass at once. Switching to a provider itself is a base URL and credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.text import Text

from adapters import sending
from adapters.calls import Caller
from adapters.downtime import Noticing
from adapters.http.app import make, runner
from adapters.outbox import Outbox
from adapters.providers import ekopost, kpn_cloud_fax, kpn_registered_email, kpn_sms, pec_massiva
from adapters.providers.calling import Document, Submission
from adapters.providers.ekopost import sandbox as ekopost_sandbox
from adapters.providers.kpn_cloud_fax import sandbox as fax_sandbox
from adapters.providers.kpn_platform_sandbox import Gateway
from adapters.providers.kpn_registered_email import sandbox as registered_sandbox
from adapters.providers.kpn_sms import sandbox as sms_sandbox
from adapters.providers.kpn_sms.sandbox.network import KEY_ID, SECRET
from adapters.providers.pec_massiva import sandbox as pec_sandbox
from adapters.providers.sandboxing import Clock, in_thread
from ledger.observations import Address
from ledger.streams import Registration
from ops import show
from ops.schedule import board
from ops.serve import services_of
from ops.system import System
from projections.views import DeliveryView

DAYS_AGO = 7
"""When the story begins; it must be over by now."""
NOTICE = Document("notice.pdf", "application/pdf", b"%PDF-1.7\n% a formal notice, for the demo\n")
POST_KEY, POST_SECRET = "demo", b"demo secret of the post webhooks"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scene works with.

    Attributes:
        hooks: base URL of the tenant's webhooks.
        roots: PEM file of the sandboxes' certificate authority.
    """

    system: System
    tenant: str
    clock: Clock
    hooks: str
    roots: Path
    stack: ExitStack

    def open(self, account: str, provider: str, settings: dict[str, Any], credentials: dict[str, str]) -> None:
        """An account at a sandbox."""
        accounts = self.system.accounts
        accounts.add(self.tenant, account, provider)
        accounts.configure(self.tenant, account, settings)
        accounts.set_credentials(self.tenant, account, credentials)

    def send(self, account: str, recipients: Sequence[Address], **said: Any) -> str:
        """Have something sent, and the calls made; its message."""
        system, whom = self.system, tuple(recipients)
        submission = Submission(
            message="", recipients=whom, requested_at=system.ledger.clock(), **{"options": {}, **said}
        )
        registration = Registration(
            account=account,
            provider=system.accounts.get(self.tenant, account).provider,
            recipients=whom,
            labels=("demo",),
            texts={"subject": submission.subject} if submission.subject else {},
        )
        clear = {"arrival": "api", "actor": "demo"}
        done = sending.dispatch(system.intake, system.accounts, self.tenant, registration, submission, clear=clear)
        system.outbox.run()
        return done.message

    def later(self, **span: float) -> None:
        """Time passes."""
        self.clock.advance(timedelta(**span))
        self.system.outbox.run()

    def run(self, account: str, *jobs: str) -> None:
        """Do what an account's jobs do by the clock."""
        self.system.runner.run()
        known = board(self.system)
        for name in jobs:
            for job in known.find(self.tenant, name, account):
                known.run(job, is_asked=True)
        self.system.runner.run()


def certified_mail(stage: Stage) -> list[str]:
    """Certified mail to three: one delivered, signed and compared with what was sent; one refused; one silent for 24 hours."""
    provider = pec_sandbox.Provider({pec_sandbox.ACCOUNT: pec_sandbox.PASSWORD}, clock=stage.clock)
    service = pec_sandbox.Service(provider, email="conto@cliente.example", api_key="chiave-di-prova")
    sandbox = stage.stack.enter_context(pec_sandbox.running(service=service))
    settings = {
        "mailbox": pec_sandbox.ACCOUNT,
        "base_url": sandbox.base_url,
        "oauth_url": sandbox.base_url,
        "imap_host": sandbox.mail.host,
        "imap_port": sandbox.mail.imap_port,
        "ca_file": str(stage.roots),
    }
    credentials = {"email": "conto@cliente.example", "api_key": "chiave-di-prova"}
    credentials |= {"username": pec_sandbox.ACCOUNT, "password": pec_sandbox.PASSWORD}
    stage.open("live-pec", pec_massiva.PROVIDER.name, settings, credentials)
    names = ("maria.greco", "refused.bassi", "silent.conti")
    recipients = [Address("email", f"{name}@pec.comune.example") for name in names]
    message = stage.send("live-pec", recipients, subject="Diffida", text="In allegato la diffida.", documents=(NOTICE,))
    for hours in (1, 12, 13):
        sandbox.mail.advance(hours=hours)
        stage.system.outbox.run()
        sandbox.mail.settle()
        stage.run("live-pec", "poll", "mailbox")
    return [message]


def text_messages(stage: Stage) -> list[str]:
    """A text message to three: one delivered, one number that does not exist, one of whom no report comes."""
    sandbox = stage.stack.enter_context(sms_sandbox.running(gateway=Gateway(clock=stage.clock)))
    hooks = f"{stage.hooks}/live-sms"
    settings = {"base_url": sandbox.base_url, "webhook_url": f"{hooks}/webhook.dlr", "allow_plain_http": True}
    credentials = {"client_id": sandbox.gateway.client_id, "client_secret": sandbox.gateway.client_secret}
    stage.open("live-sms", kpn_sms.PROVIDER.name, settings, credentials)
    stage.system.accounts.add_secret(stage.tenant, "live-sms", KEY_ID, SECRET)
    numbers = ("+31612340001", "+31612340104", "+31612340400")
    message = stage.send("live-sms", [Address("phone", n) for n in numbers], text="Your appointment is at nine.")
    for hours in (1, 25):
        stage.later(hours=hours)
        sandbox.deliver(times=2)
    return [message]


def a_letter(stage: Stage) -> list[str]:
    """A letter, printed and posted: on its way, and nobody will ever say that it arrived."""
    sandbox = stage.stack.enter_context(ekopost_sandbox.running(ekopost_sandbox.Service(stage.clock)))
    credentials = {"api_key": sandbox.service.api_key}
    stage.open("live-post", ekopost.PROVIDER.name, {"base_url": sandbox.base_url}, credentials)
    stage.system.accounts.add_secret(stage.tenant, "live-post", POST_KEY, POST_SECRET)
    whom = Address("postal", "Åsa Björk\nExempelgatan 7\n416 55 Göteborg\nSE")
    message = stage.send("live-post", [whom], sender="Kommunen", subject="Beslut", documents=(NOTICE,))
    sandbox.service.advance(hours=9)
    asyncio.run(sandbox.deliver(f"{stage.hooks}/live-post/webhook", POST_SECRET, times=2))
    stage.run("live-post", "campaigns")
    return [message]


def a_fax(stage: Stage) -> list[str]:
    """A fax to three: one whole, one busy to the end, one that broke off between pages."""
    gateway = Gateway(clock=stage.clock)
    sandbox = stage.stack.enter_context(fax_sandbox.running(fax=fax_sandbox.CloudFax(gateway)))
    credentials = {"client_id": gateway.client_id, "client_secret": gateway.client_secret}
    stage.open("live-fax", kpn_cloud_fax.PROVIDER.name, {"base_url": sandbox.base_url}, credentials)
    paper = Document("order.pdf", "application/pdf", fax_sandbox.PDF)
    numbers = ("+31201234501", "+31201234502", "+31201234503")
    message = stage.send("live-fax", [Address("fax", n) for n in numbers], subject="Order", documents=(paper,))
    stage.later(hours=1)
    stage.run("live-fax", "poll")
    return [message]


def registered_mails(stage: Stage) -> list[str]:
    """Two registered e-mails: one accepted after a reminder, one refused."""
    gateway = Gateway(clock=stage.clock, shape="flat")
    sandbox = stage.stack.enter_context(registered_sandbox.running(gateway=gateway))
    service, sender = sandbox.service, "legal@office.example"
    service.web_user, service.web_password = "demo", "demo-password"
    service.users[sender] = True
    settings = {
        "base_url": sandbox.base_url,
        "environment_url": sandbox.environment_url,
        "senders": {sender: {"name": "Office"}},
    }
    credentials = {"client_id": gateway.client_id, "client_secret": gateway.client_secret}
    credentials |= {"web_user": "demo", "web_password": "demo-password"}
    stage.open("live-registered", kpn_registered_email.PROVIDER.name, settings, credentials)
    messages = []
    for name, acts in (("m.jansen", ("remind", "accept")), ("p.devries", ("refuse",))):
        known = set(service.tickets)
        whom = [Address("email", f"{name}@company.example")]
        said = {"subject": "Termination", "text": "See the letter.", "documents": (NOTICE,)}
        messages.append(stage.send("live-registered", whom, sender=sender, **said))
        (token,) = set(service.tickets) - known
        for act in acts:
            stage.later(hours=5)
            service.act(token, act)
    stage.later(hours=1)
    stage.run("live-registered", "poll")
    return messages


SCENES: tuple[Callable[[Stage], list[str]], ...] = (
    certified_mail,
    text_messages,
    a_letter,
    a_fax,
    registered_mails,
)


def run(system: System, tenant: str, roots: Path, out: Console | None) -> list[DeliveryView]:
    """Play every scene.

    Returns:
        The deliveries, as they ended.
    """
    found: list[DeliveryView] = []
    for scene in SCENES:
        if out is not None:
            out.print(Text(f"\nSent for real, to a sandbox: {scene.__doc__}", style="bold"))
        with _stage(system, tenant, roots) as stage:
            messages = scene(stage)
        system.runner.run()
        views = [view for message in messages for view in system.queries.deliveries(tenant, message)]
        found += views
        if out is not None:
            show.board(out, views)
    return found


@contextmanager
def _stage(system: System, tenant: str, roots: Path) -> Iterator[Stage]:
    """The ledger in the story's time, with our API where webhooks can reach it."""
    clock, real = Clock(datetime.now(UTC) - timedelta(days=DAYS_AGO)), system.ledger.clock

    def now() -> datetime:
        clock.advance(timedelta(microseconds=1))
        return clock.now()

    def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds, milliseconds=1))  # a pace is kept, not nearly kept

    system.ledger.clock = now
    try:
        with Caller(clock=now, monotonic=lambda: clock.now().timestamp(), sleep=sleep) as caller, ExitStack() as stack:
            outbox = Outbox(system.ledger, system.intake, system.accounts, caller, system.queries)
            ours = replace(system, caller=Noticing(caller), outbox=outbox)
            port = stack.enter_context(in_thread(lambda: _serving(ours)))
            yield Stage(ours, tenant, clock, f"http://127.0.0.1:{port}/v1/hooks/{tenant}", roots, stack)
    finally:
        system.ledger.clock = real


@asynccontextmanager
async def _serving(system: System) -> AsyncIterator[int]:
    """Our API on a port of its own; the port."""
    server = runner(make(services_of(system)))
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        yield int(server.addresses[0][1])
    finally:
        await server.cleanup()
