"""Read model: acts that may take two people, what each organisation demands of its people, and which API key came of which.

Why somebody asked or decided is sealed; `adapters.acts` opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.database import Cursor
from ledger.events import Event
from projections.models import Table, Target, Unapplied, insert

SECOND_PERSON = "second_person"
"""Note of an `act.asked` that waits for somebody else."""
SAFEGUARDS_RULE = "safeguards"
"""Rule of `ruleset.changed` where an organisation says what it demands."""
DECISIONS = {"act.approved": "approved", "act.declined": "declined"}
CARRYING_OUT = frozenset({"hold.released", "ruleset.changed", "erasure.completed"})
"""Types that, naming an act among their `events`, say that it was carried out."""
ACT_COLUMNS = "act, tenant, position, asked_at, rule, asked_by, second_person, decision, decided_at, decided_by, decided_in, done_at"
GRANT_COLUMNS = "key_id, tenant, made_by, replaces"
SAFEGUARD_COLUMNS = "tenant, position, set_at, set_by, demanded"


class ActsModel:
    """One row per act, per API key, and per change of what is demanded."""

    name = "acts"
    version = 1
    wants = frozenset({"act.asked", "access.granted", *DECISIONS, *CARRYING_OUT})
    tables = {
        "acts": Table(
            "act text NOT NULL, tenant text NOT NULL, position bigint NOT NULL, asked_at text NOT NULL, rule text NOT NULL, "
            "asked_by text NOT NULL, second_person integer NOT NULL, decision text NOT NULL, decided_at text NOT NULL, "
            "decided_by text NOT NULL, decided_in bigint NOT NULL, done_at text NOT NULL",
            "act",
            ("tenant, position",),
        ),
        "key_grants": Table(
            "key_id text NOT NULL, tenant text NOT NULL, made_by text NOT NULL, replaces text NOT NULL",
            "key_id",
            ("tenant",),
        ),
        "safeguards": Table(
            "tenant text NOT NULL, position bigint NOT NULL, set_at text NOT NULL, set_by text NOT NULL, demanded text NOT NULL",
            "tenant, position",
        ),
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Note what was asked, decided and carried out, who made which key, and what is demanded."""
        unapplied = []
        for event in events:
            try:
                if event.type == "act.asked":
                    insert(cursor, target.table("acts"), ACT_COLUMNS, [asked(event)])
                elif event.type == "access.granted":
                    insert(cursor, target.table("key_grants"), GRANT_COLUMNS, [granted(event)])
                elif event.type in DECISIONS:
                    _decide(cursor, target.table("acts"), event)
                elif event.type in CARRYING_OUT:
                    _carry_out(cursor, target.table("acts"), event)
                if is_safeguards(event):
                    _demand(cursor, target.table("safeguards"), event)
            except ValueError as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
        return unapplied


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    recorded_at: str
    rule: str = ""
    code: str = ""
    actor: str = ""
    key_id: str = ""
    numbers: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


def asked(event: Event) -> tuple[Any, ...]:
    """An `act.asked` in the order of `ACT_COLUMNS`.

    Raises:
        ValueError: it does not have the shape that is expected of it; so do the others here.
    """
    said = msgspec.convert(event.fields, _Clear)
    needs = int(SECOND_PERSON in said.notes)
    whose = (event.id, event.tenant, event.position)
    return (*whose, said.recorded_at, said.rule, said.actor, needs, "", "", "", 0, "")


def decided(event: Event) -> list[tuple[Any, ...]]:
    """What a decision says: how, when, by whom, where it stands, of which act."""
    said = msgspec.convert(event.fields, _Clear)
    return [(DECISIONS[event.type], said.recorded_at, said.actor, event.position, act) for act in said.events]


def carried_out(event: Event) -> list[tuple[str, str]]:
    """When which acts were carried out, if the event says that of any."""
    said = msgspec.convert(event.fields, _Clear)
    return [(said.recorded_at, act) for act in said.events]


def granted(event: Event) -> tuple[Any, ...]:
    """An `access.granted` in the order of `GRANT_COLUMNS`."""
    said = msgspec.convert(event.fields, _Clear)
    return (said.key_id, event.tenant, said.actor, said.code)


def is_safeguards(event: Event) -> bool:
    return event.type == "ruleset.changed" and event.fields.get("rule") == SAFEGUARDS_RULE


def safeguards(event: Event, before: str) -> tuple[Any, ...]:
    """What is demanded from then on, in the order of `SAFEGUARD_COLUMNS`; what is demanded stands in one text, sorted.

    Args:
        before: what was demanded before: an event says what it switches on and off, and of nothing else.
    """
    said = msgspec.convert(event.fields, _Clear)
    on = {name for name, number in said.numbers.items() if number}
    demanded = " ".join(sorted(on | (set(before.split()) - said.numbers.keys())))
    return (event.tenant, event.position, said.recorded_at, said.actor, demanded)


def _demand(cursor: Cursor, table: str, event: Event) -> None:
    sql = f"SELECT demanded FROM {table} WHERE tenant = ? ORDER BY position DESC LIMIT 1"
    before = next((str(demanded) for (demanded,) in cursor.read(sql, (event.tenant,))), "")
    insert(cursor, table, SAFEGUARD_COLUMNS, [safeguards(event, before)])


def _decide(cursor: Cursor, table: str, event: Event) -> None:
    """The first decision counts."""
    sql = (
        f"UPDATE {table} SET decision = ?, decided_at = ?, decided_by = ?, decided_in = ? "
        "WHERE act = ? AND tenant = ? AND decision = ''"
    )
    cursor.executemany(sql, [(*row, event.tenant) for row in decided(event)])


def _carry_out(cursor: Cursor, table: str, event: Event) -> None:
    sql = f"UPDATE {table} SET done_at = ? WHERE act = ? AND tenant = ? AND done_at = ''"
    cursor.executemany(sql, [(*row, event.tenant) for row in carried_out(event)])
