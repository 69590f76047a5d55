"""A small certified-mail provider, written from RFC 6109: SMTP submission, all receipts, and mailboxes by IMAP.

`async with simulator() as sandbox:` runs it in this event loop, `with running() as sandbox:` in a thread of its own. Without
any network, `provider.Provider` is the whole of it. What becomes of a message is chosen by its recipient: behaviour.py.
Time is the `Clock` of the provider: the real one, or one that only tests advance; `hour` lets the twelve and twenty-four
hours of the notices pass in seconds.

It shares no code with the reader of receipts. Leaves out: a second provider, revocation, LDAP, and webmail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adapters.providers.pec_mailbox.sandbox import authority, servers
from adapters.providers.pec_mailbox.sandbox.provider import HOUR, Mail, Provider
from adapters.providers.pec_mailbox.sandbox.servers import Postbox
from adapters.providers.sandboxing import Clock, Fault, Faults, in_thread

ACCOUNT = f"ufficio@{authority.DOMAIN}"
PASSWORD = "di-prova"  # noqa: S105 - of an account that only exists in the sandbox

__all__ = [
    "ACCOUNT",
    "HOUR",
    "PASSWORD",
    "Clock",
    "Fault",
    "Faults",
    "Mail",
    "Provider",
    "Sandbox",
    "running",
    "simulator",
]


@dataclass(frozen=True)
class Sandbox:
    """The provider and where it listens, on the loopback.

    Attributes:
        smtp_port: submission with STARTTLS; smtps_port: with implicit TLS.
        imap_port: with implicit TLS.
        ca_pem: root of the receipts' signatures and of the servers' certificates.
    """

    provider: Provider
    faults: Faults
    smtp_port: int
    smtps_port: int
    imap_port: int
    host: str = servers.HOST
    ca_pem: bytes = field(default_factory=lambda: authority.root(authority.ROOT).pem(), repr=False)
    _postbox: Postbox = field(kw_only=True, repr=False)

    @property
    def mailboxes(self) -> Mapping[str, list[Mail]]:
        return self.provider.mailboxes

    def advance(self, **span: float) -> None:
        """Put the provider's clock forward (`hours=12`) and deliver what falls due; IMAP shows it after `settle`."""
        self.provider.advance(timedelta(**span))

    def settle(self) -> None:
        """Return when IMAP shows all that was delivered; not for the sandbox's own event loop."""
        self._postbox.settle()

    async def settled(self) -> None:
        """The same, inside the sandbox's own event loop."""
        await self._postbox.settled()


@asynccontextmanager
async def simulator(
    provider: Provider | None = None,
    *,
    faults: Faults | None = None,
    smtp_port: int = 0,
    smtps_port: int = 0,
    imap_port: int = 0,
    tick_s: float = 0.2,
) -> AsyncIterator[Sandbox]:
    """Run a provider in this event loop; by default one with the account ACCOUNT.

    Args:
        tick_s: how often the clock is looked at for what falls due.
    """
    provider, faults = provider or Provider({ACCOUNT: PASSWORD}), faults or Faults()
    tls, postbox = servers.tls_context(), Postbox(provider, asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(
            provider,
            faults,
            await servers.start_smtp(provider, faults, smtp_port, tls, stack, implicit=False),
            await servers.start_smtp(provider, faults, smtps_port, tls, stack, implicit=True),
            await postbox.start(imap_port, tls, stack),
            _postbox=postbox,
        )
        stack.callback(asyncio.create_task(_keep_time(provider, tick_s)).cancel)
        yield sandbox


async def _keep_time(provider: Provider, tick_s: float) -> None:
    while True:
        await asyncio.to_thread(provider.deliver_due)  # signing takes a while, and another thread may hold the lock
        await asyncio.sleep(tick_s)


def running(**options: Any) -> AbstractContextManager[Sandbox]:
    """`simulator(**options)` in a thread of its own, for synchronous users."""
    return in_thread(lambda: simulator(**options))
