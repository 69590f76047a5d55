"""Read model: what waits for a person, and what was done about it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.database import Cursor
from ledger.events import Event
from projections.models import Table, Target, Unapplied, insert

COLUMNS = "item, tenant, lane, account, provider, operation, opened_position, opened_at, state, settled_position"
OPEN = "open"
SETTLED = {"lane.claimed": "claimed", "lane.dismissed": "dismissed", "lane.retried": "retried"}
STATES = {**SETTLED, "lane.unclaimed": OPEN}
"""Act -> the state of the items that it names from then on."""


class LanesModel:
    """Items of the lanes of the unreadable and the unmatched; an item's id is the id of the event that opened it."""

    name = "lanes"
    version = 1
    wants = frozenset({"lane.opened", *STATES})
    tables = {
        "lanes": Table(
            "item text NOT NULL, tenant text NOT NULL, lane text NOT NULL, account text NOT NULL, provider text NOT NULL, "
            "operation text NOT NULL, opened_position bigint NOT NULL, opened_at text NOT NULL, state text NOT NULL, "
            "settled_position bigint NOT NULL",
            "item",
            ("tenant, state, opened_position",),
        )
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Open and settle items; acts name the items they settle."""
        unapplied = []
        for event in events:
            try:
                said = msgspec.convert(event.fields, _Clear)
            except ValueError as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
                continue
            if event.type == "lane.opened":
                source = (said.rule.removeprefix("lane."), said.account, said.provider, said.operation)
                row = (event.id, event.tenant, *source, event.position, said.recorded_at, OPEN, 0)
                insert(cursor, target.table("lanes"), COLUMNS, [row])
            else:
                sql = f"UPDATE {target.table('lanes')} SET state = ?, settled_position = ? WHERE item = ?"
                state = STATES[event.type]
                settled = 0 if state == OPEN else event.position
                cursor.executemany(sql, [(state, settled, item) for item in said.events])
        return unapplied


class _Clear(msgspec.Struct):
    """The clear fields of an item or act, in the shapes they must have."""

    recorded_at: str
    rule: str = ""
    account: str = ""
    provider: str = ""
    operation: str = ""
    events: tuple[str, ...] = ()
