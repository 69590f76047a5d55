"""The status of many deliveries at a glance: what one is asked for step by step, asked for all of them in one statement.

Only what is plain is found so: a delivery that is there, may be seen, and whose message tells its own story. Whatever else a delivery may
be, `Queries.delivery` finds out and says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.addresses import kept
from ledger.application import Ledger, open_values
from ledger.database import Row
from ledger.events import read
from ledger.observations import Address
from projections.declared import Whose
from projections.status import DELIVERY_COLUMNS

_DELIVERY = ", ".join(f"d.{name}" for name in DELIVERY_COLUMNS.split(", "))
_WIDTH = len(DELIVERY_COLUMNS.split(", "))
# The look-up of an address says where it was declared; what is erased has no key.
_STATEMENT = (
    "SELECT {columns}, EXISTS (SELECT 1 FROM read_downtimes AS w WHERE w.tenant = d.tenant AND w.account = d.account), "
    "e.{position}, e.state, k.key_id, k.wrapped, v.sealed FROM read_deliveries AS d "
    "JOIN read_messages AS m ON m.message = d.message "
    "LEFT JOIN lookups AS l ON l.stream = d.message AND l.recipient = d.recipient "
    "LEFT JOIN person_keys AS k ON k.stream = d.message AND k.person = d.recipient "
    "LEFT JOIN sealed_values AS v ON v.position = l.position AND v.key_id = k.key_id "
    "LEFT JOIN stored_events AS e ON e.{position} = v.position "
    "WHERE d.message = {{0}} AND d.recipient = {{1}} AND d.tenant = {{2}} AND m.tenant = {{2}} AND m.joined_into = ''{shown}"
)


class Glance(NamedTuple):
    """A delivery that was found.

    Attributes:
        row: in the order of `DELIVERY_COLUMNS`.
        has_downtimes: whether its account ever had one.
        address: as declared; None where there is none or no more.
    """

    row: Row
    has_downtimes: bool
    address: Address | None


def plain(ledger: Ledger, tenant: str, wanted: Sequence[Whose], *, shows_protected: bool) -> dict[Whose, Glance]:
    """What is plain of the deliveries of a tenant.

    Args:
        ledger: everything; only addresses of rows that may be seen are opened.
    """
    shown = "" if shows_protected else " AND d.is_protected = 0"
    sql = _STATEMENT.format(columns=_DELIVERY, position=ledger.position_column, shown=shown)
    found: dict[Whose, Glance] = {}
    for _, *told in ledger.database.each(sql, [(*whose, tenant) for whose in dict.fromkeys(wanted)]):
        row, has_downtimes, sealed = tuple(told[:_WIDTH]), bool(told[_WIDTH]), told[_WIDTH + 1 :]
        whose = str(row[0]), int(row[1])
        if sealed[0] is not None:
            found[whose] = Glance(row, has_downtimes, _opened(ledger, whose[1], sealed))
        else:
            found.setdefault(whose, Glance(row, has_downtimes, None))
    return found


def _opened(ledger: Ledger, recipient: int, sealed: Sequence[object]) -> Address | None:
    """What one event holds of a recipient, checked against its commitment."""
    position, state, key_id, wrapped, values = sealed
    key_id = bytes(key_id)  # type: ignore[call-overload]  # a column of bytes
    key = ledger.keyring.unwrap(key_id, bytes(wrapped))  # type: ignore[call-overload]  # likewise
    event = read(int(position), bytes(state))  # type: ignore[call-overload]  # likewise
    said = open_values(event, key_id, key, bytes(values)).get(f"recipient.{recipient}")  # type: ignore[call-overload]
    return kept(said) if said else None
