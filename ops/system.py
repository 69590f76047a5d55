"""The composition root: the only place that constructs things from settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.accounts import Accounts
from adapters.lanes import Lanes
from adapters.quarantine import Quarantine
from adapters.receiving import vocabulary
from ledger.application import Ledger
from ledger.database import connect
from ledger.intake import Intake
from ops import keyfiles
from ops.settings import Settings
from projections.activity import ActivityModel
from projections.lanes import LanesModel
from projections.queries import Queries
from projections.runner import Runner
from projections.status import StatusModel


@dataclass(frozen=True, slots=True)
class System:
    """Everything an entry point needs."""

    settings: Settings
    ledger: Ledger
    intake: Intake
    runner: Runner
    queries: Queries
    accounts: Accounts
    quarantine: Quarantine
    lanes: Lanes


@contextmanager
def opened(settings: Settings) -> Iterator[System]:
    """Open the ledger that the settings name; what was accepted is committed when this ends."""
    database = connect(settings.database_url)
    database.ensure_schema()
    is_new = not database.read("SELECT 1 FROM meta WHERE name = 'keyring'")
    keyring = keyfiles.load(settings.key_folder, may_create=is_new)
    ledger = Ledger(database, keyring, vocabulary(), settings.artifact_folder)
    try:
        runner = Runner(ledger, [StatusModel(), LanesModel(), ActivityModel()])
        intake = Intake(ledger)
        accounts = Accounts(ledger)
        quarantine = Quarantine(ledger, accounts, intake)
        queries = Queries(ledger, runner)
        lanes = Lanes(ledger, accounts, intake, queries)
        yield System(settings, ledger, intake, runner, queries, accounts, quarantine, lanes)
        quarantine.flush_counts(everything=True)
    finally:
        ledger.close()
