"""Read model: who read, exported or erased what; one row per message that an event about it names, or one when it names none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.database import Cursor
from ledger.events import Event, message_of
from projections.models import Table, Target, Unapplied, insert

ERASED = "evidence.erased"
TYPES = frozenset({"access.recorded", "evidence.exported", "report.delivered", ERASED})
COLUMNS = "tenant, position, message, at, actor, kind, code, looks, together, originals"


class AccessedModel:
    """Who looked is known by key, by message and by kind."""

    name = "accessed"
    version = 2
    wants = TYPES
    tables = {
        "accesses": Table(
            "tenant text NOT NULL, position bigint NOT NULL, message text NOT NULL, at text NOT NULL, actor text NOT NULL, "
            "kind text NOT NULL, code text NOT NULL, looks bigint NOT NULL, together integer NOT NULL, originals integer NOT NULL",
            "tenant, position, message",
            (
                "tenant, message, position WHERE message > ''",
                "tenant, actor, position, message",
                "tenant, kind, position, message",
                "tenant, position WHERE message = ''",
            ),
        )
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Note each act of looking."""
        rows: list[tuple[object, ...]] = []
        unapplied = []
        for event in events:
            try:
                rows += accesses(event)
            except ValueError as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
        insert(cursor, target.table("accesses"), COLUMNS, rows)
        return unapplied


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    recorded_at: str
    actor: str = ""
    rule: str = ""
    code: str = ""
    numbers: dict[str, int] = {}
    streams: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()


def accesses(event: Event) -> list[tuple[object, ...]]:
    """An event about looking or exporting in the order of `COLUMNS`, a row per message.

    Raises:
        ValueError: it does not have the shape that is expected of it.
    """
    said = msgspec.convert(event.fields, _Clear)
    streams = (event.stream,) if event.type == ERASED else said.streams
    named = (message_of(stream) for stream in streams if not stream.startswith("account/"))
    messages = list(dict.fromkeys(named)) or [""]
    source = (said.recorded_at, said.actor, said.rule or event.type, said.code)
    counts = (said.numbers.get("looks", 1), len(messages), len(said.artifacts))
    return [(event.tenant, event.position, message, *source, *counts) for message in messages]
