"""Reports of a text message provider and sends that they may be about, for tests of what persons decide."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.receiving import read
from ledger.events import Event, time_text
from ledger.observations import Address, Arrival, ArrivalKind, Reference, Verdict
from ledger.streams import Registration
from ops.system import System
from tests.world import TENANT, World

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DELIVERED, QUEUED, NETWORK, FAILED, EXPIRED = 1, 2, 3, 4, 6


def report(
    phone: str, status: int, minute: int | None, ident: str = "", seen: int | None = None, **said: Any
) -> Arrival:
    """A delivery report.

    Args:
        minute: of the provider's clock after the start; None: it gives no time.
        ident: of the message; without one nobody can match it.
        seen: minute of our clock; as the provider's if not given.
    """
    body: dict[str, Any] = {"RecipientPhonenumber": phone, "Status": status, **said}
    if minute is not None:
        body["StatusDateTime"] = int((START + timedelta(minutes=minute)).timestamp())
    body |= {"DLRID": ident} if ident else {}
    return Arrival(
        provider="kpn_sms",
        account="sms",
        operation="webhook.dlr",
        kind=ArrivalKind.WEBHOOK,
        observed_at=START + timedelta(minutes=(minute or 0) if seen is None else seen, seconds=2),
        body=json.dumps(body).encode(),
        verdict=Verdict.VERIFIED,
    )


def admit(world: World | System, arrival: Arrival, tenant: str = TENANT) -> list[str]:
    """Admit one arrival; the messages it concerned."""
    (outcome,) = world.intake.admit([read(tenant, arrival)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome.messages


def send(world: World | System, ident: str, *phones: str, tenant: str = TENANT, **more: Any) -> str:
    """Register a send; its message."""
    registration = Registration(
        account="sms",
        provider="kpn_sms",
        recipients=tuple(Address("phone", phone) for phone in phones),
        references=(Reference("document_id", ident), *more.pop("references", ())),
        **more,
    )
    clear = {"arrival": "api", "occurred_at": time_text(START), "zone": "stated"}
    return world.intake.register(tenant, registration, clear, (ident, ident)).message


def waiting(world: World | System, arrival: Arrival, tenant: str = TENANT) -> str:
    """Have an arrival wait; its item."""
    before = world.ledger.head().size
    assert [] == admit(world, arrival, tenant)
    (item,) = [event for event in world.ledger.feed(before) if event.type == "lane.opened"]
    world.runner.run()
    return item.id


def states(world: World, message: str) -> list[str]:
    """The status of each delivery of a message."""
    world.runner.run()
    return [view.status for view in world.queries.deliveries(TENANT, message)]


def acts(world: World, *types: str) -> list[Event]:
    """Events of the log of these types."""
    return [event for event in world.ledger.feed(0, 10_000) if event.type in types]


def rebuilt(world: World) -> dict[str, int]:
    """What a rebuild gives otherwise than the live rows."""
    world.runner.run()
    assert [] == world.runner.unapplied()
    return {
        name: n for model in world.runner.models for name, n in world.runner.rebuild(model).differences.items() if n
    }
