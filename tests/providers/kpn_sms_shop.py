"""A ledger with an account at KPN SMS's sandbox: calls go to it and its webhooks come to our API, both over HTTP; one clock for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters import sending
from adapters.calls import Caller
from adapters.outbox import Outbox
from adapters.providers.calling import Submission
from adapters.providers.kpn_platform_sandbox import Gateway
from adapters.providers.kpn_sms.sandbox import Sandbox, running
from adapters.providers.kpn_sms.sandbox.network import KEY_ID, SECRET, Network
from adapters.providers.sandboxing import Clock, in_thread
from ledger.observations import Address
from ledger.streams import Registration
from ops.system import System
from projections.views import DeliveryView
from tests.adapters.conftest import TENANT, opened_system, serving
from tests.postgres import Database

ACCOUNT = "sms"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEXT = "Uw afspraak is morgen om 9 uur."


class LedgerClock:
    """The sandbox's clock, a moment later each time it is read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ticks = timedelta()

    def __call__(self) -> datetime:
        self.ticks += timedelta(microseconds=1)
        return self.clock.now() + self.ticks


@dataclass
class Shop:
    """The ledger, the sandbox, and what works between them."""

    system: System
    sandbox: Sandbox
    outbox: Outbox
    hooks_url: str

    @property
    def network(self) -> Network:
        return self.sandbox.network

    @property
    def gateway(self) -> Gateway:
        return self.sandbox.gateway

    def ask(self, *numbers: str, text: str = TEXT, **options: Any) -> str:
        """Ask for a send; its message."""
        people = tuple(Address("phone", number) for number in numbers)
        submission = Submission(
            message="",
            recipients=people,
            text=text,
            options=options,
            requested_at=self.network.clock.now(),
        )
        registration = Registration(account=ACCOUNT, provider="kpn_sms", recipients=people)
        accounts, intake, clear = self.system.accounts, self.system.intake, {"arrival": "api"}
        return sending.dispatch(intake, accounts, TENANT, registration, submission, clear=clear).message

    def send(self, *numbers: str, **how: Any) -> str:
        """Ask for a send and make its calls."""
        message = self.ask(*numbers, **how)
        self.outbox.run()
        return message

    def later(self, **span: float) -> list[int]:
        """Put the clock forward, make the calls that are due, and let the webhooks come; their statuses."""
        self.network.clock.advance(timedelta(**span))
        self.outbox.run()
        return self.sandbox.deliver()

    def state(self, message: str) -> str:
        return self.outbox.row(TENANT, message).state

    def delivery(self, message: str, recipient: int = 0) -> DeliveryView:
        self.system.runner.run()
        return self.system.queries.delivery(TENANT, message, recipient)

    def status(self, message: str, recipient: int = 0) -> tuple[str, str, str]:
        """Status, sub-status and evidence grade of a delivery."""
        found = self.delivery(message, recipient)
        return found.status, found.sub_status, found.evidence.grade

    def size(self) -> int:
        return self.system.ledger.head().size

    def events(self, *types: str) -> list[Any]:
        return [event for event in self.system.ledger.feed(0, 5_000) if event.type in types]


@contextmanager
def opened(database: Database, folder: Path, gateway: Gateway | None = None, **settings: Any) -> Iterator[Shop]:
    """A shop whose sandbox and API run in threads of their own."""
    with running(gateway=gateway or Gateway(clock=Clock(START))) as sandbox, opened_system(database, folder) as system:
        clock = system.ledger.clock = LedgerClock(sandbox.gateway.clock)
        with in_thread(lambda: serving(system)) as api, Caller(clock=clock, sleep=lambda _s: None) as calls:
            hooks = f"http://127.0.0.1:{api.port}/v1/hooks/{TENANT}/{ACCOUNT}"
            sandbox.network.inbound_url = hooks
            system.accounts.add(TENANT, ACCOUNT, "kpn_sms")
            system.accounts.add_secret(TENANT, ACCOUNT, KEY_ID, SECRET)
            said = {"base_url": sandbox.base_url, "webhook_url": f"{hooks}/webhook.dlr", "allow_plain_http": True}
            system.accounts.configure(TENANT, ACCOUNT, said | settings)
            found = {"client_id": sandbox.gateway.client_id, "client_secret": sandbox.gateway.client_secret}
            system.accounts.set_credentials(TENANT, ACCOUNT, found)
            outbox = Outbox(system.ledger, system.intake, system.accounts, calls, system.queries)
            yield Shop(system, sandbox, outbox, hooks)
