"""Erasing, constructed from the opened system: under which login it destroys, and how far back a backup can be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from adapters.erasing.carrying import Eraser
from ledger.database import Database, connect
from ledger.erasing import require_rights
from ledger.events import time_text
from ops import keyfiles
from ops.system import System
from ops.tasks import tasks


def eraser(system: System) -> Eraser:
    """What erases."""

    @contextmanager
    def privileged() -> Iterator[Database]:
        url = system.settings.privacy_database_url.get_secret_value()
        if not url or system.ledger.database.kind == "sqlite":
            require_rights(system.ledger.database)
            yield system.ledger.database
            return
        with closing(connect(url)) as database:
            require_rights(database)
            yield database

    return Eraser(
        accounts=system.accounts,
        queries=system.queries,
        lanes=system.lanes,
        quarantine=system.quarantine,
        tasks=tasks(system),
        privileged=privileged,
        oldest_kek=lambda: _oldest_kek(system),
    )


def _oldest_kek(system: System) -> str:
    """When the oldest key-encryption key came here; "" where they come from the settings, which do not say."""
    if system.settings.keks.get_secret_value():
        return ""
    made = (keyfiles.made_at(system.settings.key_folder, name) for name in system.ledger.keyring.keks)
    return time_text(datetime.fromtimestamp(min(made), UTC))
