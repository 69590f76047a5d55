"""What a person does about waiting items: try again, say which message, or say that nothing is needed.

Each act is an event with a note; the bytes are read again by today's code from the stored original.
"""

from __future__ import annotations

from typing import Any

from adapters.accounts import CONSOLE, Accounts
from adapters.importing import recognise
from adapters.providers import registry
from adapters.receiving import read
from ledger import regions
from ledger.application import Ledger
from ledger.claiming import unclaim
from ledger.decision import Outcome
from ledger.errors import ClaimError, ErasedError, LedgerError, NotFoundError
from ledger.events import Event, parse_time
from ledger.intake import Intake
from ledger.names import Claim, Names, Reading
from ledger.observations import Arrival, ArrivalKind, Observation, Verdict
from projections.queries import Queries
from projections.views import LaneItem

UNMATCHED = "lane.unmatched"


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

    def retry(self, tenant: str, item: str, note: str, actor: str = CONSOLE) -> Outcome:
        """Read it again with today's code.

        Raises:
            StillWaitingError: nothing new came of it.
            ClaimError: it is claimed for a message.
        """
        event = self._unclaimed(tenant, item)
        reading = self._reading(event, tenant, actor)
        if event.fields["rule"] == UNMATCHED:
            reading = reading._replace(item=event.position)
        outcome = self._admit(reading)
        if not outcome.facts:
            raise StillWaitingError
        self._settle(tenant, event, "lane.retried", note, actor)
        return outcome

    def claim(self, tenant: str, item: str, message: str, note: str, actor: str = CONSOLE) -> Outcome:
        """Say which message it belongs to; the same again is once.

        Raises:
            NotFoundError: the tenant has no such message.
            ClaimError: it is claimed for another message, or was read after all.
            StillWaitingError: it cannot be read at all.
        """
        row = self.queries.message_row(tenant, message)
        found, event = self.item(tenant, item)
        if found.state == "retried":
            msg = "it was read after all, and needs nobody's word"
            raise ClaimError(msg)
        reading = self._reading(event, tenant, actor, row.message)
        if event.fields["rule"] == UNMATCHED:
            reading = reading._replace(observations=self._waiting(reading, event))
        outcome = self._admit(reading._replace(claim=Claim(event, note)))
        if not outcome.messages:
            raise StillWaitingError
        return outcome

    def unclaim(self, tenant: str, item: str, note: str, actor: str = CONSOLE) -> str:
        """Take a claim back: what it brought counts no longer, and the item waits again. The same again is once.

        Returns:
            The message it was claimed for.

        Raises:
            ClaimError: it was never claimed.
        """
        return unclaim(self.ledger, tenant, self.item(tenant, item)[1], note, actor)

    def _reading(self, event: Event, tenant: str, actor: str, message: str = "") -> Reading:
        """What today's code reads in an item."""
        stored = tuple(event.fields.get("artifacts", ()))
        if not stored:
            msg = "there is no original to be read again; dismiss it with a note when it is settled"
            raise StillWaitingError(msg)
        reading = read(tenant, stored_arrival(self.ledger, event), message=message, actor=actor, stored=stored)
        if reading.unreadable:
            msg = f"still unreadable: {reading.unreadable}"
            raise StillWaitingError(msg)
        return reading

    def observed(self, tenant: str, event: Event) -> tuple[Observation, ...]:
        """What today's code sees in an item.

        Raises:
            StillWaitingError: it cannot read it.
        """
        (reading,) = regions.read_there(self.ledger, [self._reading(event, tenant, "")])
        return self._waiting(reading, event) if event.fields["rule"] == UNMATCHED else reading.observations

    def _waiting(self, reading: Reading, event: Event) -> tuple[Observation, ...]:
        """Of what an original tells, that which waits under this item and no other."""
        keys = Names(self.ledger, reading).lane_keys
        known = self.ledger.known(keys)
        return tuple(
            seen for seen, key in zip(reading.observations, keys, strict=True) if known.get(key) == event.position
        )

    def _admit(self, reading: Reading) -> Outcome:
        outcome = self.intake.admit([reading])[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _unclaimed(self, tenant: str, item: str) -> Event:
        """The event that opened an item that is not claimed."""
        found, event = self.item(tenant, item)
        if found.state == "claimed":
            msg = "it is claimed for a message; take that back first: delivery-ledger lanes unclaim ITEM --note WHY"
            raise ClaimError(msg)
        return event

    def dismiss(self, tenant: str, item: str, note: str, actor: str = CONSOLE) -> None:
        """Say that it needs nothing; it is kept all the same.

        Raises:
            ClaimError: it is claimed for a message.
        """
        self._settle(tenant, self._unclaimed(tenant, item), "lane.dismissed", note, actor)

    def settle(self, tenant: str, item: str, note: str) -> None:
        """Say that a waiting item was read after all; one that waits no longer is left as it is."""
        rows = self.queries.lanes(tenant, "open", item)
        if rows:
            event = self.item(tenant, item)[1]
            self._settle(tenant, event, "lane.retried", note, "")

    def _settle(self, tenant: str, event: Event, kind: str, note: str, actor: str) -> None:
        self.accounts.record(kind, tenant, event.fields["account"], actor, {"events": [event.id]}, note)
