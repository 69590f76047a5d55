"""A whole ledger for tests: everything from intake to queries on one database, without files of settings or heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.accounts import Accounts
from adapters.importing import Importer
from adapters.lanes import Lanes
from adapters.quarantine import Quarantine
from adapters.receiving import vocabulary
from ledger.application import Ledger, system_clock
from ledger.database import connect
from ledger.intake import Intake
from ledger.sealing import Keyring
from ops.system import read_models
from projections.queries import Filters, Queries
from projections.runner import Runner
from projections.views import DeliveryView

TENANT = "acme"
KEYRING = Keyring({"k1": bytes([1]) * 32}, "k1", bytes([2]) * 32, bytes([3]) * 32)


@dataclass(frozen=True, slots=True)
class World:
    """One ledger and what works on it."""

    ledger: Ledger
    intake: Intake
    runner: Runner
    queries: Queries
    accounts: Accounts
    quarantine: Quarantine
    lanes: Lanes

    def deliveries(self) -> list[DeliveryView]:
        """All deliveries, as they are now, those to protected recipients too."""
        self.runner.run()
        queries = self.queries.seeing_protected()
        found: list[DeliveryView] = []
        cursor = ""
        while True:
            page = queries.search(TENANT, Filters(), cursor, 500)
            found += page.deliveries
            cursor = page.next
            if not cursor:
                return found

    def importer(self, account: str = "") -> Importer:
        return Importer(self.ledger, self.intake, self.accounts, self.quarantine, TENANT, account=account)


@contextmanager
def world(url: str, folder: Path, clock: Callable[[], datetime] = system_clock) -> Iterator[World]:
    """Open a ledger on a database; made if it is not there yet."""
    database = connect(url)
    database.ensure_schema()
    ledger = Ledger(database, KEYRING, vocabulary(), folder / "artifacts", clock)
    try:
        runner = Runner(ledger, read_models())
        intake, accounts = Intake(ledger), Accounts(ledger)
        queries, quarantine = Queries(ledger, runner), Quarantine(ledger, accounts, intake)
        lanes = Lanes(ledger, accounts, intake, queries)
        yield World(ledger, intake, runner, queries, accounts, quarantine, lanes)
    finally:
        ledger.close()
