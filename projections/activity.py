"""Read model: when each account was last heard of, and how far its provider's clock is from ours."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.database import Cursor
from ledger.events import Event, parse_time
from projections.runner import Table, Target, Unapplied


class ActivityModel:
    """One row per account and kind of arrival."""

    name = "activity"
    version = 1
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
            if said.observed_at >= last_at:
                last_at, behind = said.observed_at, behind_now
            found[key] = (last_at, count + 1, behind)
        sql = (
            f"INSERT INTO {target.table('activity')} AS a (tenant, account, arrival, last_at, events, behind_ms) VALUES (?,?,?,?,?,?) "
            "ON CONFLICT (tenant, account, arrival) DO UPDATE SET events = a.events + excluded.events, "
            "behind_ms = CASE WHEN excluded.last_at >= a.last_at THEN excluded.behind_ms ELSE a.behind_ms END, "
            "last_at = CASE WHEN excluded.last_at >= a.last_at THEN excluded.last_at ELSE a.last_at END"
        )
        cursor.executemany(sql, [(*key, *value) for key, value in sorted(found.items())])
        return unapplied


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
