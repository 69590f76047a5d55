"""Read model: legal holds, and what was said about how long to keep.

What a hold is on, and the label a policy is for, are sealed; `adapters.keeping` opens them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ledger.database import Cursor
from ledger.events import Event, time_text
from projections.models import Table, Target, Unapplied, insert

POLICY_RULE = "retention.policy"
"""Rule of `ruleset.changed` where an organisation says how long to keep, or that it no longer does."""
HOLD_RULE = "hold."
"""Begins the rule of `hold.placed`; what it is on follows: `message`, `recipient`, `batch` or `label`."""
UNITS = {"keep_years": "y", "keep_months": "m", "keep_days": "d"}
"""Number of a policy's event -> the letter behind it where people write and read it."""
UNREADABLE = (ValueError, OverflowError, OSError)
"""What is raised by an event that does not have the shape that is expected of it."""
HOLD_COLUMNS = "hold, tenant, position, placed_at, scope, message, floor, actor, released_at, released_by"
POLICY_COLUMNS = "tenant, position, set_at, provider, keep, actor"


class KeepingModel:
    """One row per hold, and one per thing said about retention: of those of the same provider and label the last holds."""

    name = "keeping"
    version = 1
    wants = frozenset({"hold.placed", "hold.released", "ruleset.changed"})
    tables = {
        "holds": Table(
            "hold text NOT NULL, tenant text NOT NULL, position bigint NOT NULL, placed_at text NOT NULL, scope text NOT NULL, "
            "message text NOT NULL, floor text NOT NULL, actor text NOT NULL, released_at text NOT NULL, released_by text NOT NULL",
            "hold",
            ("tenant, position",),
        ),
        "policies": Table(
            "tenant text NOT NULL, position bigint NOT NULL, set_at text NOT NULL, provider text NOT NULL, keep text NOT NULL, "
            "actor text NOT NULL",
            "tenant, position",
        ),
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Place and release holds, and note policies."""
        unapplied = []
        for event in events:
            try:
                if event.type == "hold.placed":
                    insert(cursor, target.table("holds"), HOLD_COLUMNS, [placed(event)])
                elif event.type == "hold.released":
                    _release(cursor, target.table("holds"), event)
                elif is_policy(event):
                    insert(cursor, target.table("policies"), POLICY_COLUMNS, [policy(event)])
            except UNREADABLE as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
        return unapplied


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    recorded_at: str
    rule: str = ""
    provider: str = ""
    actor: str = ""
    numbers: dict[str, int] = {}
    streams: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


def placed(event: Event) -> tuple[object, ...]:
    """A `hold.placed` in the order of `HOLD_COLUMNS`.

    Raises:
        UNREADABLE: one of these.
    """
    said = msgspec.convert(event.fields, _Clear)
    scope, message = said.rule.removeprefix(HOLD_RULE), "".join(said.streams[:1])
    floor = said.numbers.get("floor_s")
    until = "" if floor is None else time_text(datetime.fromtimestamp(floor, UTC))
    return (event.id, event.tenant, event.position, said.recorded_at, scope, message, until, said.actor, "", "")


def released(event: Event) -> list[tuple[str, str, str]]:
    """The holds that a `hold.released` ends: when, who, which.

    Raises:
        UNREADABLE: one of these.
    """
    said = msgspec.convert(event.fields, _Clear)
    return [(said.recorded_at, said.actor, hold) for hold in said.events]


def _release(cursor: Cursor, table: str, event: Event) -> None:
    sql = f"UPDATE {table} SET released_at = ?, released_by = ? WHERE hold = ? AND tenant = ? AND released_at = ''"
    cursor.executemany(sql, [(*ended, event.tenant) for ended in released(event)])


def is_policy(event: Event) -> bool:
    return event.type == "ruleset.changed" and event.fields.get("rule") == POLICY_RULE


def policy(event: Event) -> tuple[object, ...]:
    """What is said about how long to keep, in the order of `POLICY_COLUMNS`.

    Raises:
        UNREADABLE: one of these.
    """
    said = msgspec.convert(event.fields, _Clear)
    keep = next((f"{said.numbers[name]}{unit}" for name, unit in UNITS.items() if name in said.numbers), "")
    if keep.startswith(("0", "-")):
        msg = "a term that is none"
        raise ValueError(msg)
    return (event.tenant, event.position, said.recorded_at, said.provider, keep, said.actor)
