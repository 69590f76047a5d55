"""Read model: what the log says is erased, and what came for it afterwards that holds something still; which of it is not destroyed yet.

That the keys of persons are gone says that all of an erasure was carried out: they go last. What came later was decided before it, by
somebody who could not know; it is looked for where the log says that it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from ledger import erasing
from ledger.application import Ledger
from ledger.database import Cursor
from ledger.erasing import Erased
from ledger.events import Event, message_of
from ledger.streams import WHOLE_MESSAGE, person_of, shadow
from projections.models import Table, Target, Unapplied, insert

COLUMNS = "position, tenant, stream, recipient, rule, at"
PAGE = 500
NO_MESSAGE = ("account/", "batch/", "ledger")
"""Streams that are not erased as a whole: what comes later in them is nobody's."""
_Values = Callable[[Erased], tuple[str | int, ...]]
LEFT_OF_MESSAGE: dict[str, _Values] = {
    "SELECT 1 FROM person_keys WHERE stream = {0} LIMIT 1": lambda e: (e.stream,),
    "SELECT 1 FROM lookups WHERE stream = {0} AND exclusive = 0 LIMIT 1": lambda e: (e.stream,),
    "SELECT 1 FROM outbox WHERE message = {0} LIMIT 1": lambda e: (e.stream,),
}
LEFT_OF_RECIPIENT: dict[str, _Values] = {
    "SELECT 1 FROM person_keys WHERE stream = {0} AND person = {1} LIMIT 1": lambda e: (e.stream, e.recipient),
    "SELECT 1 FROM lookups WHERE stream = {0} AND recipient IN ({1}, {2}) LIMIT 1": lambda e: (
        *(e.stream, e.recipient),
        shadow(e.recipient),
    ),
}
"""Statements that find something of a message, or of a recipient, that goes as a whole -> what they ask for."""


class ErasuresModel:
    """One row per `evidence.erased`, and one per later event beside which something of it may lie."""

    name = "erasures"
    version = 1
    wants: frozenset[str] = frozenset()
    tables = {
        "erasures": Table(
            "position bigint NOT NULL, tenant text NOT NULL, stream text NOT NULL, recipient integer NOT NULL, rule text NOT NULL, "
            "at text NOT NULL",
            "position",
            ("stream, position", "tenant, position"),
        ),
        "late_arrivals": Table(
            "erasure bigint NOT NULL, position bigint NOT NULL, tenant text NOT NULL", "erasure, position"
        ),
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Note erasures, and what came late."""
        unapplied, rows = [], list[tuple[object, ...]]()
        for event in events:
            if event.type == "evidence.erased":
                try:
                    rows.append(_row(event))
                except ValueError as error:
                    unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
        table = target.table("erasures")
        insert(cursor, table, COLUMNS, rows)
        if cursor.read(f"SELECT 1 FROM {table} LIMIT 1"):
            late = list(_late(cursor, table, events))
            insert(cursor, target.table("late_arrivals"), "erasure, position, tenant", late)
        return unapplied

    def finish(self, cursor: Cursor, target: Target) -> None:
        """Nothing: no row stands for several messages."""


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    stream: str
    recorded_at: str
    rule: str = ""
    recipient: int = WHOLE_MESSAGE


def _row(event: Event) -> tuple[object, ...]:
    said = msgspec.convert(event.fields, _Clear)
    return (event.position, event.tenant, said.stream, said.recipient, said.rule, said.recorded_at)


def _late(cursor: Cursor, table: str, events: Sequence[Event]) -> Iterator[tuple[int, int, str]]:
    """Erasure, event and organisation, where an event came after the erasure and something lies beside it."""
    holding = [e for e in events if {"commit", "artifacts"} & e.fields.keys() and not e.stream.startswith(NO_MESSAGE)]
    erased: dict[str, list[tuple[int, int]]] = {}
    for position, stream, recipient in cursor.probe(
        table, "position, stream, recipient", "stream", sorted({message_of(event.stream) for event in holding})
    ):
        erased.setdefault(str(stream), []).append((int(position), int(recipient)))
    for event in holding:
        for position, recipient in erased.get(message_of(event.stream), ()):
            if position < event.position and recipient in {WHOLE_MESSAGE, person_of(event.stream)}:
                yield position, event.position, event.tenant


# --- what is not destroyed yet


def said(ledger: Ledger) -> Iterator[Event]:
    """All erasures, as the log says them, oldest first; as far as the read model is."""
    after = 0
    sql = "SELECT position FROM read_erasures WHERE position > ? ORDER BY position LIMIT ?"
    while positions := [int(position) for (position,) in ledger.database.read(sql, (after, PAGE))]:
        yield from ledger.events_at(positions)
        after = positions[-1]


def unfinished(ledger: Ledger, newest: int | None = None) -> Iterator[Event]:
    """The erasures, as the log says them, of which something is there still; newest first, as far as the read model is.

    Args:
        newest: look at so many of them at most; all if not given.
    """
    before, looked = ledger.head().size + 1, 0
    while newest is None or looked < newest:
        sql = "SELECT position FROM read_erasures WHERE position < ? ORDER BY position DESC LIMIT ?"
        limit = PAGE if newest is None else min(PAGE, newest - looked)
        positions = [int(position) for (position,) in ledger.database.read(sql, (before, limit))]
        if not positions:
            return
        events = {event.position: event for event in ledger.events_at(positions)}
        yield from (events[position] for position in sorted(_left(ledger, events), reverse=True))
        before, looked = positions[-1], looked + len(positions)


def _left(ledger: Ledger, events: Mapping[int, Event]) -> set[int]:
    told = {position: erasing.told(event) for position, event in events.items()}
    messages = [position for position, each in told.items() if each.is_message]
    # No key goes with what is said of a batch.
    batches = {position for position, each in told.items() if each.stream.startswith("batch/")}
    recipients = [p for p, each in told.items() if each.recipient != WHOLE_MESSAGE and p not in batches]
    found = _late_left(ledger, {position: each.stream for position, each in told.items()}) | _named_left(ledger, told)
    for asked, statements in ((messages, LEFT_OF_MESSAGE), (recipients, LEFT_OF_RECIPIENT)):
        for sql, values in statements.items():
            rows = ledger.database.each(sql, [values(told[position]) for position in asked])
            found |= {asked[number] for number, *_ in rows}
    others = told.keys() - {*messages, *recipients}
    return found | {position for position in others if any(erasing.left(ledger.database, told[position]))}


def _named_left(ledger: Ledger, told: Mapping[int, Erased]) -> set[int]:
    """Erasures of which an original is there that they name: of what takes several events to say, the first takes the keys."""
    naming = {artifact: position for position, each in told.items() for artifact in each.originals}
    rows = ledger.database.probe("artifacts", "artifact_id", "artifact_id", sorted(naming))
    return {naming[str(artifact)] for (artifact,) in rows}


def _late_left(ledger: Ledger, streams: Mapping[int, str]) -> set[int]:
    """Erasures of which something lies beside a later event: a value, or an original under a key of the message, or under none."""
    rows = ledger.database.probe("read_late_arrivals", "erasure, position", "erasure", sorted(streams))
    erasures: dict[int, set[int]] = {}
    for erasure, position in rows:
        erasures.setdefault(int(position), set()).add(int(erasure))
    values = ledger.database.probe("sealed_values", "position", "position", sorted(erasures))
    found = {erasure for (position,) in values for erasure in erasures[position]}
    naming = {
        str(artifact): event.position
        for event in ledger.events_at(erasures)
        for artifact in event.fields.get("artifacts", ())
    }
    held = ledger.database.probe("artifacts", "artifact_id, key_id", "artifact_id", sorted(naming))
    keys = ledger.database.probe("person_keys", "key_id, stream", "key_id", sorted({bytes(key) for _, key in held}))
    owners = {bytes(key): str(stream) for key, stream in keys}
    for artifact, key in held:
        owner = owners.get(bytes(key))
        found |= {e for e in erasures[naming[artifact]] if owner in {None, streams[e]}}
    return found
