"""A message of another tenant cannot be named into: for whoever asks, it does not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger.decision import Outcome
from ledger.errors import NotFoundError
from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Observation, ProviderTime, Reference, ZoneBasis
from ops.settings import load
from ops.system import opened

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def reading(tenant: str, body: bytes, *, message: str = "", reference: str = "") -> Reading:
    seen = Observation(
        type="content.consigned",
        about="recipient",
        recipient=Address("phone", "0612345678"),
        references=(Reference("document_id", reference),) if reference else (),
        occurred=ProviderTime(AT, AT.isoformat(), ZoneBasis.STATED),
        identity=("dlr", body.decode()),
    )
    arrival = Arrival(
        provider="kpn_sms", account="sms", operation="webhook.dlr", kind=ArrivalKind.API, observed_at=AT, body=body
    )
    return Reading(tenant, arrival, (seen,), message=message)


def test_message_of_another_tenant_is_not_there(database: Any, tmp_path: Path) -> None:
    """Naming its id, in the same call or later, gives "not found" and writes nothing."""
    folders = {f"{name}_folder": tmp_path / name for name in ("key", "artifact", "head")}
    with opened(load(database_url=database.url, **folders)) as system:
        mine = system.intake.admit([reading("one", b"first", reference="doc-1")])[0]
        assert isinstance(mine, Outcome)
        size = system.ledger.head().size
        for body in (b"second", b"third"):
            refused = system.intake.admit([reading("two", body, message=mine.messages[0])])[0]
            assert isinstance(refused, NotFoundError)
        assert size == system.ledger.head().size
        own = system.intake.admit([reading("one", b"fourth", message=mine.messages[0])])[0]
        assert isinstance(own, Outcome)
        assert mine.messages == own.messages
