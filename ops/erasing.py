"""Erasing, constructed from the opened system: under which login it destroys, and how far back a backup can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from adapters.erasing.carrying import Eraser
from adapters.retiring import Retirer
from ledger.events import time_text
from ops import keyfiles, reports
from ops.recovering import privileged
from ops.system import System
from ops.tasks import tasks


def eraser(system: System) -> Eraser:
    """What erases."""
    return Eraser(
        accounts=system.accounts,
        queries=system.queries.seeing_protected(),
        lanes=system.lanes,
        quarantine=system.quarantine,
        tasks=tasks(system),
        privileged=partial(privileged, system.settings, system.ledger.database),
        oldest_kek=lambda: _oldest_kek(system),
    )


def retirer(system: System) -> Retirer:
    """What applies retention."""
    may_destroy = partial(privileged, system.settings, system.ledger.database)
    return Retirer(system.accounts, system.queries.seeing_protected(), may_destroy)


def sealed(system: System, pdf: bytes) -> bytes:
    """A PDF with the operator's seal; the self-made one is made when it is first needed."""
    from adapters.evidence.signing import sign_pdf  # noqa: PLC0415  see there

    desk = reports.desk(system)
    return sign_pdf(pdf, desk.sealer(), desk.timestamper)


def _oldest_kek(system: System) -> str:
    """When the oldest key-encryption key came here; "" where they come from the settings, which do not say."""
    if system.settings.keks.reveal():
        return ""
    made = (keyfiles.made_at(system.settings.key_folder, name) for name in system.ledger.keyring.keks)
    return time_text(datetime.fromtimestamp(min(made), UTC))
