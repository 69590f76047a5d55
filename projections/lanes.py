"""Read model: what waits for a person, and what was done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.database import Cursor
from ledger.events import Event
from projections.runner import Table, Unapplied

COLUMNS = "item, tenant, lane, account, provider, operation, opened_position, opened_at, state, settled_position"
SETTLED = {"lane.claimed": "claimed", "lane.dismissed": "dismissed", "lane.retried": "retried"}


class LanesModel:
    """Items of the lanes of the unreadable and the unmatched; an item's id is the id of the event that opened it."""

    name = "lanes"
    version = 1
    tables = {
        "lanes": Table(
            "item text NOT NULL, tenant text NOT NULL, lane text NOT NULL, account text NOT NULL, provider text NOT NULL, "
            "operation text NOT NULL, opened_position bigint NOT NULL, opened_at text NOT NULL, state text NOT NULL, "
            "settled_position bigint NOT NULL",
            "item",
            ("tenant, state, opened_position",),
        )
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], table: Callable[[str], str]) -> list[Unapplied]:
        """Open and settle items; acts name the items they settle."""
        marks = ",".join("?" * len(COLUMNS.split(", ")))
        for event in events:
            f = event.fields
            if event.type == "lane.opened":
                lane = str(f.get("rule", "")).removeprefix("lane.")
                source = (f.get("account", ""), f.get("provider", ""), f.get("operation", ""))
                row = (event.id, event.tenant, lane, *source, event.position, f["recorded_at"], "open", 0)
                cursor.execute(f"INSERT INTO {table('lanes')} ({COLUMNS}) VALUES ({marks})", row)
            elif event.type in SETTLED:
                sql = f"UPDATE {table('lanes')} SET state = ?, settled_position = ? WHERE item = ?"
                rows = [(SETTLED[event.type], event.position, item) for item in f.get("events", ())]
                cursor.executemany(sql, rows)
        return []
