"""Addresses of recipients as they were declared: found in two statements, however many.

They are opened in `projections.opening`. Who may see an address is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.addresses import kept
from ledger.application import Ledger
from ledger.canonical import MAX_INT
from ledger.observations import Address
from projections.opening import Held, opened

Whose = tuple[str, int]
"""A message, and the index of a recipient in it; WHOLE_MESSAGE: everybody's."""

# The look-up of an address says where it was declared; what is erased has no key. The limit is none: it keeps both databases from looking
# through what is sealed at that position, which is as much as the event declares recipients, for the one value that is wanted.
_SEALED = (
    "SELECT v.position, h.key_id, h.wrapped, v.sealed FROM ("
    "SELECT l.position, k.key_id, k.wrapped FROM lookups AS l "
    "JOIN person_keys AS k ON k.stream = l.stream AND k.person = l.recipient "
    f"WHERE l.stream = {{0}} AND l.recipient = {{1}} LIMIT {MAX_INT}) AS h "
    "JOIN sealed_values AS v ON v.position = h.position AND v.key_id = h.key_id"
)


def held(ledger: Ledger, deliveries: Sequence[Whose]) -> Held:
    """What is held of the addresses of deliveries."""
    column = ledger.position_column
    values = ledger.database.each(_SEALED, deliveries)
    places = sorted({row[1] for row in values})
    events = ledger.database.probe("stored_events", f"{column}, state", column, places)
    return Held([recipient for _, recipient in deliveries], values, dict(events))


def addresses(ledger: Ledger, deliveries: Iterable[Whose]) -> dict[Whose, Address]:
    """Addresses as declared; an erased one has none."""
    wanted = list(dict.fromkeys(deliveries))
    found = opened(ledger.keyring, held(ledger, wanted))
    return {whose: kept(value) for whose, value in zip(wanted, found, strict=True) if value}
