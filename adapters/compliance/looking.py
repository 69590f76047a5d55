"""Who looked at what, and what left the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, NamedTuple

from msgspec import Meta

from adapters.accounts import CONSOLE
from adapters.compliance.contract import Column, ComplianceQuery, Context, CursorError, Parameters, Row
from adapters.compliance.deliveries import Day, in_one_form
from ledger.canonical import MAX_INT
from projections.accessed import TYPES, AccessedModel, accesses
from projections.queries import MAX_PAGE
from projections.status import stories

LAST = "z"
"""Sorts behind every id of a message, however the database compares texts."""


class Asked(Parameters, frozen=True):
    """Whose looking, at what.

    Attributes:
        actor: id of an API key, or `console` for the command line; empty: everybody.
        message: its id; empty: all, and what names no message.
        kind: as in the column of that name; empty: all.
        since: from this UTC day or time on.
        until: before it.
    """

    actor: Annotated[str, Meta(max_length=63, description="id of an API key, console, or empty for everybody")] = ""
    message: Annotated[str, Meta(max_length=36, description="id of a message, or empty for all")] = ""
    kind: Annotated[str, Meta(max_length=63, description="for example export.pack, or empty for all")] = ""
    since: Day = ""
    until: Day = ""

    def __post_init__(self) -> None:
        """Bring both bounds into the one form that times have."""
        in_one_form(self, "since", "until")


class _Access(NamedTuple):
    """A row of `read_accesses`, without its tenant."""

    position: int
    message: str
    at: str
    actor: str
    kind: str
    code: str
    looks: int
    together: int
    originals: int


def _access(context: Context, asked: Asked, after: str) -> Iterator[Row]:
    place = _place(after)
    messages = _messages(context, asked.message)
    unread = _unread(context, asked, messages, place)
    for page in chain([unread], _stored(context, asked, messages, place)):
        yield from _rows(context, page)


def _place(after: str) -> tuple[int, str]:
    """The row after which to go on: newest position first, then by message, backwards."""
    position, dot, message = after.partition(".")
    if after and not (dot and position.isdecimal()):
        raise CursorError(after)
    return (int(position), message) if after else (MAX_INT, LAST)


def _messages(context: Context, message: str) -> tuple[str, ...]:
    """The message that was asked for, with those that were joined into it; none: all are meant."""
    if not message:
        return ()
    teller = context.queries.message_row(context.tenant, message).message
    return tuple(stories(context.queries.ledger.database, [teller])[teller].messages)


def _unread(context: Context, asked: Asked, messages: Sequence[str], place: tuple[int, str]) -> list[_Access]:
    """Of what the read model has not read yet, the rows that are asked for."""
    queries = context.queries
    events = queries.runner.unread(queries.ledger, AccessedModel.name)
    fresh = (
        _Access(*row[1:])  # type: ignore[arg-type]  # as the columns are
        for event in events
        if event.tenant == context.tenant and event.type in TYPES and event.position <= context.position
        for row in accesses(event)
    )
    return sorted(
        (
            row
            for row in fresh
            if (row.position, row.message) < place
            and (not messages or row.message in messages)
            and (not asked.actor or (row.actor or CONSOLE) == asked.actor)
            and asked.kind in {"", row.kind}
            and row.at >= asked.since
            and (not asked.until or row.at < asked.until)
        ),
        reverse=True,
    )


def _stored(context: Context, asked: Asked, messages: Sequence[str], place: tuple[int, str]) -> Iterator[list[_Access]]:
    """What is asked for, a page at a time."""
    where, given = ["tenant = ?"], [context.tenant]
    if messages:
        where.append(f"message IN ({','.join('?' * len(messages))}) AND message > ''")  # as its index has it
        given += messages
    if asked.actor:
        where.append("actor = ?")
        given.append("" if asked.actor == CONSOLE else asked.actor)
    for condition, value in (("kind = ?", asked.kind), ("at >= ?", asked.since), ("at < ?", asked.until)):
        if value:
            where.append(condition)
            given.append(value)
    select = f"SELECT {', '.join(_Access._fields)} FROM read_accesses WHERE {' AND '.join(where)} AND"
    # The rest of a record, then older ones: each is a range of an index in its order.
    rest = f"{select} position = ? AND message < ? ORDER BY message DESC LIMIT {MAX_PAGE}"
    older = f"{select} position < ? AND position > 0 ORDER BY position DESC, message DESC LIMIT {MAX_PAGE}"
    reads = context.queries.ledger.database
    position, message = min(place, (context.position, LAST))
    while rows := reads.read(rest, (*given, position, message)) or reads.read(older, (*given, position)):
        page = [_Access(*row) for row in rows]
        yield page
        position, message = page[-1].position, page[-1].message


def _rows(context: Context, found: Sequence[_Access]) -> Iterator[Row]:
    """The rows with why, which is sealed."""
    ledger = context.queries.ledger
    said = ledger.values(ledger.events_at(each.position for each in found))
    for each in found:
        reason = said.get(each.position, {}).get("note") or None
        what = (each.kind, each.code or None, each.message or None)
        counts = (each.looks, each.together, each.originals)
        told = (each.at, each.actor or CONSOLE, *what, *counts, reason, each.position)
        yield Row(told, f"{each.position}.{each.message}")


ACCESS = ComplianceQuery(
    name="access",
    version=1,
    title="Who read or exported what, when, how often and why",
    counts="Records of looking, exporting and delivering (access.recorded, evidence.exported, report.delivered), newest first, one row for "
    "each message that a record names and one where it names none. Look-ups of a person are gathered by the quarter of an hour, so "
    "the looks of a record are those at all of its messages together. Asking this query is recorded, too, and seen by the next asking.",
    parameters=Asked,
    columns=(
        Column("at", "time", "when it was recorded; look-ups are recorded when their quarter of an hour is over"),
        Column("actor", "text", "id of the API key; console: at the command line"),
        Column(
            "kind", "text", "what was done: access.status, access.trail, access.original, access.query, export.pack …"
        ),
        Column("query", "text", "the query that was asked, with its version"),
        Column("message", "id", "the message; empty where none is named"),
        Column("looks", "integer", "how often, at all messages of the record together"),
        Column("together", "integer", "how many messages the record names"),
        Column("originals", "integer", "how many originals were handed out"),
        Column("reason", "text", "why, where it was said", personal=True),
        Column("position", "integer", "of the record in the log"),
    ),
    rows=_access,
)
