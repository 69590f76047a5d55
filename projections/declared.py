"""Addresses of recipients as they were declared: found in two statements, however many, and opened one for one, nobody else's.

Each value is checked against its commitment in the event that declared it. Who may see an address is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from ledger.addresses import kept
from ledger.application import Ledger, open_values
from ledger.canonical import MAX_INT
from ledger.events import read
from ledger.observations import Address

Told = TypeVar("Told")
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


class Held(NamedTuple):
    """What is held of some addresses, still sealed.

    Attributes:
        values: of each recipient, where it was declared, the key, and what it seals.
        events: that declared them, position -> stored bytes.
    """

    values: list[tuple[Whose, list[Any]]]
    events: dict[int, bytes]


def held(ledger: Ledger, deliveries: Iterable[Whose]) -> Held:
    """What is held of the addresses of deliveries."""
    wanted, column = list(dict.fromkeys(deliveries)), ledger.position_column
    values = [(wanted[number], row) for number, *row in ledger.database.each(_SEALED, wanted)]
    places = sorted({row[0] for _, row in values})
    events = ledger.database.probe("stored_events", f"{column}, state", column, places)
    return Held(values, {position: bytes(state) for position, state in events})


def opened(ledger: Ledger, sealed: Held, told: Callable[[Mapping[str, Any]], Told]) -> dict[Whose, Told]:
    """The addresses.

    Args:
        told: what is kept of an address -> what the caller wants of it.

    Raises:
        CorruptError: a value does not open its commitment.
    """
    events = {position: read(position, state) for position, state in sealed.events.items()}
    found: dict[Whose, Told] = {}
    for whose, (position, key_id, wrapped, values) in sealed.values:
        if whose not in found:  # an address that has several forms was filed under each
            key = ledger.keyring.unwrap(key_id, wrapped)
            said = open_values(events[position], key_id, key, values)
            if value := said.get(f"recipient.{whose[1]}"):
                found[whose] = told(value)
    return found


def addresses(ledger: Ledger, deliveries: Iterable[Whose]) -> dict[Whose, Address]:
    """Addresses as declared; an erased one has none."""
    return opened(ledger, held(ledger, deliveries), kept)
