"""What a person does about waiting items: try again, say which message, or say that nothing is needed.

Each act is an event with a note; the bytes are read again by today's code from the stored original.
"""

from __future__ import annotations

from typing import Any

from adapters.accounts import Accounts
from adapters.importing import recognise
from adapters.providers import registry
from adapters.receiving import read
from ledger.application import Ledger
from ledger.decision import Outcome
from ledger.errors import ErasedError, LedgerError, NotFoundError
from ledger.events import Event, parse_time
from ledger.intake import Intake
from ledger.observations import Arrival, ArrivalKind, Verdict
from projections.queries import Queries
from projections.views import LaneItem


class StillWaitingError(LedgerError):
    """Today's code reads it no better; it goes on waiting."""


def stored_arrival(ledger: Ledger, event: Event) -> Arrival:
    """The arrival behind an event, from its stored originals.

    Raises:
        ErasedError: its key was destroyed, or the values that say how it came.
    """
    values: dict[str, Any] = ledger.values([event]).get(event.position, {})
    f = event.fields
    held = [values.get(f"artifact.{i}") for i in range(len(f["artifacts"]))]
    if None in held:
        raise ErasedError
    originals = {said["role"]: each for said, each in zip(held, f["artifacts"], strict=True) if said}
    body, name = ledger.artifact(originals["body"]).body, values["artifact.0"]["name"]
    provider, operation = f["provider"], f["operation"]
    if provider not in registry():
        provider, operation = recognise(name, body)
    return Arrival(
        provider=provider,
        account=f["account"],
        operation=operation,
        kind=ArrivalKind(f["arrival"]),
        observed_at=parse_time(f["observed_at"]),
        headers=values.get("headers", {}),
        body=body,
        status=values["artifact.0"].get("status"),
        request=ledger.artifact(originals["request"]).body if "request" in originals else None,
        verdict=Verdict(f["verdict"]),
        key_id=f.get("key_id", ""),
        name=name,
    )


class Lanes:
    """The lanes of one ledger."""

    def __init__(self, ledger: Ledger, accounts: Accounts, intake: Intake, queries: Queries) -> None:
        self.ledger = ledger
        self.accounts = accounts
        self.intake = intake
        self.queries = queries

    def item(self, tenant: str, item: str) -> tuple[LaneItem, Event]:
        """A waiting item and the event that opened it.

        Raises:
            NotFoundError: the tenant has no such item.
        """
        rows = self.ledger.database.read(
            "SELECT opened_position FROM read_lanes WHERE item = ? AND tenant = ?", (item, tenant)
        )
        if not rows:
            msg = f"there is no waiting item {item}"
            raise NotFoundError(msg)
        return self.queries.lanes(tenant, "", item)[0], self.ledger.event(rows[0][0])

    def retry(self, tenant: str, item: str, note: str, actor: str = "") -> Outcome:
        """Read it again with today's code.

        Raises:
            StillWaitingError: nothing new came of it.
        """
        return self._read_again(tenant, item, "lane.retried", note, actor=actor, message="")

    def claim(self, tenant: str, item: str, message: str, note: str, actor: str = "") -> Outcome:
        """Say which message it belongs to.

        Raises:
            NotFoundError: the tenant has no such message.
            StillWaitingError: it cannot be read at all.
        """
        row = self.queries.message_row(tenant, message)
        return self._read_again(tenant, item, "lane.claimed", note, actor=actor, message=row.message)

    def _read_again(self, tenant: str, item: str, kind: str, note: str, *, actor: str, message: str) -> Outcome:
        _, event = self.item(tenant, item)
        stored = tuple(event.fields.get("artifacts", ()))
        if not stored:
            msg = "there is no original to be read again; dismiss it with a note when it is settled"
            raise StillWaitingError(msg)
        reading = read(tenant, stored_arrival(self.ledger, event), message=message, actor=actor, stored=stored)
        if event.fields["rule"] == "lane.unmatched":
            reading = reading._replace(item=event.position)
        if reading.unreadable:
            msg = f"still unreadable: {reading.unreadable}"
            raise StillWaitingError(msg)
        outcome = self.intake.admit([reading])[0]
        if isinstance(outcome, Exception):
            raise outcome
        if not outcome.facts:
            raise StillWaitingError
        self._settle(tenant, event, kind, note, actor)
        return outcome

    def dismiss(self, tenant: str, item: str, note: str, actor: str = "") -> None:
        """Say that it needs nothing; it is kept all the same."""
        _, event = self.item(tenant, item)
        self._settle(tenant, event, "lane.dismissed", note, actor)

    def settle(self, tenant: str, item: str, note: str) -> None:
        """Say that a waiting item was read after all; one that waits no longer is left as it is."""
        rows = self.queries.lanes(tenant, "open", item)
        if rows:
            event = self.item(tenant, item)[1]
            self._settle(tenant, event, "lane.retried", note, "")

    def _settle(self, tenant: str, event: Event, kind: str, note: str, actor: str) -> None:
        self.accounts.record(kind, tenant, event.fields["account"], actor, {"events": [event.id]}, note)
