"""A ledger with an account at Ekopost's sandbox, reached over HTTP as the real one would be; one clock for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters import sending
from adapters.calls import Caller
from adapters.jobs.board import Board
from adapters.outbox import Outbox
from adapters.providers.calling import Document, Submission
from adapters.providers.ekopost.sandbox import Clock, Ekopost, Service, running, serve
from ledger.observations import Address
from ledger.streams import Registration
from ops.system import System
from projections.views import DeliveryView
from tests.adapters.conftest import TENANT, opened_system
from tests.postgres import Database

ACCOUNT = "post"
SECRET = b"en hemlighet"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ASA = Address("postal", "Åsa Björk\nExempelgatan 7\n416 55 Göteborg\nSE")
LETTER = Document("brev.pdf", "application/pdf", b"%PDF-1.4 ett brev")


class LedgerClock:
    """The sandbox's clock, a moment later each time it is read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ticks = timedelta()

    def __call__(self) -> datetime:
        self.ticks += timedelta(microseconds=1)
        return self.clock.now() + self.ticks


@dataclass
class Office:
    """The ledger, the sandbox, and what works between them."""

    system: System
    sandbox: Ekopost
    outbox: Outbox
    board: Board

    @property
    def service(self) -> Service:
        return self.sandbox.service

    def ask(self, *to: Address, documents: tuple[Document, ...] = (LETTER,), text: str = "", **options: Any) -> str:
        """Ask for a send; its message."""
        people = to or (ASA,)
        registration = Registration(account=ACCOUNT, provider="ekopost", recipients=people)
        submission = Submission(
            message="",
            recipients=people,
            sender="Kommunen",
            subject="Beslut",
            text=text,
            documents=documents,
            options=options,
            requested_at=self.service.clock.now(),
        )
        accounts, intake = self.system.accounts, self.system.intake
        clear = {"arrival": "api"}
        return sending.dispatch(intake, accounts, TENANT, registration, submission, clear=clear).message

    def send(self, *to: Address, **how: Any) -> str:
        """Ask for a send and make its calls."""
        message = self.ask(*to, **how)
        self.outbox.run()
        return message

    def later(self, **span: float) -> None:
        """Put both clocks forward and make the calls that are due."""
        self.service.advance(**span)
        self.outbox.run()

    def state(self, message: str) -> str:
        return self.outbox.row(TENANT, message).state

    def sweep(self, name: str = "campaigns") -> str:
        """Run a sweep now; what went wrong, or ""."""
        self.system.runner.run()
        job = next(job for job in self.board.of(TENANT) if job.name == name and job.account == ACCOUNT)
        row = self.board.run(job, is_asked=True)
        assert row is not None
        return row.last_error

    def delivery(self, message: str, recipient: int = 0) -> DeliveryView:
        self.system.runner.run()
        return self.system.queries.delivery(TENANT, message, recipient)

    def status(self, message: str, recipient: int = 0) -> tuple[str, str, str]:
        """Status, sub-status and evidence grade of a delivery."""
        found = self.delivery(message, recipient)
        return found.status, found.sub_status, found.evidence.grade

    def size(self) -> int:
        return self.system.ledger.head().size

    def texts(self, message: str, kind: str) -> list[dict[str, Any]]:
        """The values of a message's events of this type."""
        found = [e for e in self.system.ledger.feed(0, 1_000) if e.type == kind and e.stream.startswith(message)]
        values = self.system.ledger.values(found)
        return [values.get(event.position, {}) for event in found]


@contextmanager
def _office(database: Database, folder: Path, sandbox: Ekopost, **settings: Any) -> Iterator[Office]:
    clock = LedgerClock(sandbox.service.clock)
    with opened_system(database, folder) as system, Caller(clock=clock, sleep=lambda _s: None) as calls:
        system.ledger.clock = clock
        system.accounts.add(TENANT, ACCOUNT, "ekopost")
        system.accounts.add_secret(TENANT, ACCOUNT, "first", SECRET)
        system.accounts.configure(TENANT, ACCOUNT, {"base_url": sandbox.base_url, **settings})
        system.accounts.set_credentials(TENANT, ACCOUNT, {"api_key": sandbox.service.api_key})
        outbox = Outbox(system.ledger, system.intake, system.accounts, calls, system.queries)
        yield Office(system, sandbox, outbox, Board(system.intake, system.accounts, calls, system.queries))


@contextmanager
def opened(database: Database, folder: Path, service: Service | None = None, **settings: Any) -> Iterator[Office]:
    """An office whose sandbox runs in a thread of its own."""
    with (
        running(service or Service(Clock(START))) as sandbox,
        _office(database, folder, sandbox, **settings) as office,
    ):
        yield office


@asynccontextmanager
async def opened_here(database: Database, folder: Path, service: Service | None = None) -> AsyncIterator[Office]:
    """An office whose sandbox runs in this event loop; what blocks is to be called in a thread."""
    async with serve(service or Service(Clock(START))) as sandbox:
        stack = _office(database, folder, sandbox)
        office = await asyncio.to_thread(stack.__enter__)
        try:
            yield office
        finally:
            await asyncio.to_thread(stack.__exit__, None, None, None)
