"""Deletes something at a provider for an operator: the provider's folder decides, by what the ledger holds of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from adapters.desk import AccountDesk
from adapters.outbox import ActRefusedError
from adapters.providers.calling import CallFailedError, Deletion, Holding
from ledger.application import Ledger
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event, message_of
from ledger.names import Names, Reading
from ledger.observations import Arrival, ArrivalKind, Observation

GOOD = "attest.good"
VERDICTS = frozenset({GOOD, "attest.wrong", "attest.absent"})
REVOCATION = "revocation"
"""Operation of a verdict that was given anew when an authority was asked; its originals are the authority's words, not the receipt."""


def delete(desk: AccountDesk, name: str, covered_size: int, *, reason: str = "", message: str = "") -> Deletion:
    """Delete something at the provider, if its evidence is held, or if an operator says why all the same.

    Args:
        name: as the provider's folder takes it.
        covered_size: tree_size of the newest head that was signed and kept outside the database.
        reason: recorded; "" = never lose evidence.

    Raises:
        ActRefusedError: nothing can be deleted there from here, or it could not be looked at; nothing was deleted.
    """
    if desk.client.delete is None:
        msg = f"nothing is deleted at {desk.provider.title} from here"
        raise ActRefusedError(msg)
    ledger = desk.intake.ledger
    arrival = Arrival(
        provider=desk.provider.name,
        account=desk.account,
        operation="delete",
        kind=ArrivalKind.POLL,
        observed_at=ledger.clock(),
        body=b"",
    )
    try:
        return desk.client.delete(desk, name, holding(ledger, desk.tenant, arrival, covered_size), reason, message)
    except CallFailedError as error:
        raise ActRefusedError(str(error)) from error


def holding(ledger: Ledger, tenant: str, arrival: Arrival, covered_size: int) -> Callable[[Observation], Holding]:
    """A function that tells what is held of the e-mail an observation is about.

    Args:
        arrival: by which such observations come: provider and account count.
        covered_size: tree_size of the newest head that was signed and kept outside the database.
    """

    def held(seen: Observation) -> Holding:
        names = Names(ledger, Reading(tenant, arrival, (seen,)))
        known = ledger.known(names.fact_keys)
        if names.fact_keys[0] not in known:
            return Holding()
        fact = ledger.event(known[names.fact_keys[0]])
        told = [e for stream in {fact.stream, message_of(fact.stream)} for e in ledger.stream(stream)]
        verdicts = [e for e in told if e.type == "evidence.verified" and fact.id in e.fields.get("events", ())]
        replaced = {named for e in verdicts for named in e.fields["events"]}
        good = [e for e in verdicts if e.fields.get("rule") == GOOD]
        if not good or not all(e in good for e in verdicts if e.id not in replaced and e.fields["rule"] in VERDICTS):
            return Holding(is_text=True)
        good = [e for e in good if e.fields.get("artifacts") and e.fields.get("operation") != REVOCATION]
        return Holding(
            is_text=True,
            is_signed=True,
            is_covered=any(e.position <= covered_size for e in good),
            is_read_back=any(_is_read_back(ledger, e) for e in good),
        )

    return held


def _is_read_back(ledger: Ledger, event: Event) -> bool:
    """Whether the stored original is, byte for byte, what the event committed to."""
    try:
        body = ledger.artifact(event.fields["artifacts"][0]).body
    except (ErasedError, NotFoundError):
        return False
    said = ledger.values([event]).get(event.position, {}).get("artifact.0", {})
    return bool(said) and hashlib.sha256(body).hexdigest() == said.get("sha256")
