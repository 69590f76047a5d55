"""A whole ledger with an account at the sandbox of KPN Cloud Fax, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters import sending
from adapters.calls import Caller
from adapters.desk import AccountDesk
from adapters.jobs.polling import Polls
from adapters.outbox import Outbox
from adapters.providers.calling import Document, Submission
from adapters.providers.kpn_cloud_fax import PROVIDER
from adapters.providers.kpn_cloud_fax.client import CLIENT
from adapters.providers.kpn_cloud_fax.sandbox import PDF, Clock, CloudFax, Gateway, Manners, Sandbox, running
from ledger.events import Event
from ledger.intake import Intake
from ledger.observations import Address
from ledger.streams import Registration
from projections.views import DeliveryView
from tests.world import TENANT, World, world

ACCOUNT = "fax"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRETS = {"client_id": "hush-id", "client_secret": "hush-secret"}
PAPER = Document("bezwaar é.pdf", "application/pdf", PDF + b"\r\n--not a boundary\r\n")
GOOD, BUSY, PARTIAL, INVALID, ODD, LATE = (f"+312012345{end}" for end in ("01", "02", "03", "04", "05", "06"))


@dataclass
class Place:
    """A ledger with an account at the sandbox."""

    sandbox: Sandbox
    found: World
    intake: Intake
    outbox: Outbox
    caller: Caller
    states: dict[str, dict[str, object]] = field(default_factory=dict)

    def send(self, *numbers: str, kind: str = "fax", **options: object) -> str:
        """Have something sent; its message."""
        people = tuple(Address(kind, number) for number in numbers)
        is_fax = kind == "fax"
        submission = Submission(
            message="",
            recipients=people,
            subject="Bezwaar" if is_fax else "",
            text="" if is_fax else "Uw afspraak is morgen om 9 uur",
            documents=(PAPER,) if is_fax else (),
            options=options,
            requested_at=START,
        )
        registration = Registration(account=ACCOUNT, provider="kpn_cloud_fax", recipients=people)
        done = sending.dispatch(
            self.intake, self.found.accounts, TENANT, registration, submission, clear={"arrival": "api"}
        )
        self.outbox.run()
        return done.message

    def desk(self, name: str, message: str = "") -> AccountDesk:
        access = self.found.accounts.access(TENANT, ACCOUNT, self.found.ledger.clock())
        state = self.states.setdefault(name, {})
        return AccountDesk(
            TENANT,
            ACCOUNT,
            PROVIDER,
            CLIENT,
            access,
            self.found.accounts,
            self.intake,
            self.caller,
            state,
            message=message,
        )

    def sweep(self, name: str) -> AccountDesk:
        """Run a sweep as the clock would."""
        self.found.runner.run()
        desk = self.desk(name)
        next(sweep for sweep in CLIENT.sweeps if sweep.name == name).run(desk)
        return desk

    def poll(self, message: str) -> bool:
        """Ask about a message as the clock would; whether there was anything to ask."""
        self.found.runner.run()
        polls = Polls(self.found.queries, TENANT, ACCOUNT, CLIENT.cadence)
        due = [each for each in polls.due(self.found.ledger.clock(), everything=True) if each.message == message]
        watched = polls.watched(due[0]) if due else None
        if watched is None:
            return False
        assert CLIENT.poll is not None
        CLIENT.poll(self.desk("poll", message), watched)
        return True

    def advance(self, **span: float) -> None:
        self.sandbox.clock.advance(timedelta(**span))

    def told(self) -> dict[str, tuple[str, str, str]]:
        """Recipient -> status, sub-status, grade."""
        return {v.address.address: (v.status, v.sub_status, v.evidence.grade) for v in self.deliveries()}

    def deliveries(self) -> list[DeliveryView]:
        return self.found.deliveries()

    def events(self, kind: str = "") -> list[Event]:
        return [e for e in self.found.ledger.feed(0, 5_000) if kind in {"", e.type}]

    def values(self, kind: str) -> list[dict[str, Any]]:
        events = self.events(kind)
        values = self.found.ledger.values(events)
        return [values.get(event.position, {}) for event in events]

    def configure(self, **settings: object) -> None:
        self.found.accounts.configure(TENANT, ACCOUNT, {"base_url": self.sandbox.base_url, **settings})

    def state(self, message: str) -> str:
        return self.outbox.row(TENANT, message).state


@contextmanager
def opened(folder: Path, manners: Manners) -> Iterator[Place]:
    """A ledger in the sandbox's time."""
    clock = Clock(START)
    gateway = Gateway(client_id=SECRETS["client_id"], client_secret=SECRETS["client_secret"], clock=clock)

    def now() -> datetime:
        clock.advance(timedelta(milliseconds=1))
        return clock.now()

    def elapsed() -> float:
        return (clock.now() - START).total_seconds()

    def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    with (
        running(fax=CloudFax(gateway, manners)) as sandbox,
        world(f"sqlite:///{folder}/ledger.db", folder) as found,
        Caller(clock=now, monotonic=elapsed, sleep=sleep) as caller,
    ):
        found.ledger.clock = now
        intake = Intake(found.ledger)
        found.accounts.add(TENANT, ACCOUNT, "kpn_cloud_fax")
        found.accounts.set_credentials(TENANT, ACCOUNT, SECRETS)
        outbox = Outbox(found.ledger, intake, found.accounts, caller, found.queries)
        here = Place(sandbox, found, intake, outbox, caller)
        here.configure()
        yield here
