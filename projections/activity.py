"""Read model: when each account was last heard of, and how far its provider's clock is from ours.

Of several arrivals in the same microsecond the one that is furthest behind counts, so the order of the events does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.database import Cursor
from ledger.events import Event, parse_time
from projections.models import Table, Target, Unapplied


class ActivityModel:
    """One row per account and kind of arrival."""

    name = "activity"
    version = 2
    wants: frozenset[str] = frozenset()
    tables = {
        "activity": Table(
            "tenant text NOT NULL, account text NOT NULL, arrival text NOT NULL, last_at text NOT NULL, "
            "events bigint NOT NULL, behind_ms bigint NOT NULL",
            "tenant, account, arrival",
        )
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Count events and keep the newest arrival per account."""
        found: dict[tuple[str, str, str], tuple[str, int, int]] = {}
        unapplied = []
        for event in events:
            if "arrival" not in event.fields or "account" not in event.fields:
                continue
            try:
                said = msgspec.convert(event.fields, _Clear)
                behind_now = _behind_ms(said)
            except (ValueError, OverflowError) as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
                continue
            key = (event.tenant, said.account, said.arrival)
            last_at, count, behind = found.get(key, ("", 0, 0))
            last_at, behind = max((last_at, behind), (said.observed_at, behind_now))
            found[key] = (last_at, count + 1, behind)
        newer = "(excluded.last_at, excluded.behind_ms) > (a.last_at, a.behind_ms)"
        conflict = (
            "(tenant, account, arrival) DO UPDATE SET events = a.events + excluded.events, "
            f"behind_ms = CASE WHEN {newer} THEN excluded.behind_ms ELSE a.behind_ms END, "
            f"last_at = CASE WHEN {newer} THEN excluded.last_at ELSE a.last_at END"
        )
        rows = [(*key, *value) for key, value in sorted(found.items())]
        cursor.insert(
            f"{target.table('activity')} AS a", "tenant, account, arrival, last_at, events, behind_ms", rows, conflict
        )
        return unapplied

    def finish(self, cursor: Cursor, target: Target) -> None:
        """Nothing: no row stands for several messages."""


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    account: str
    arrival: str
    observed_at: str
    occurred_at: str = ""


def _behind_ms(said: _Clear) -> int:
    """Milliseconds from the provider's time to our arrival: transport plus the difference of the clocks; 0 when unknown."""
    if not said.occurred_at:
        return 0
    apart = parse_time(said.observed_at) - parse_time(said.occurred_at)
    return int(apart.total_seconds() * 1000)
