"""Who looked at what, and what left the ledger: by person who looked, by message, and by the person whose messages they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain, islice
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from adapters.compliance.contract import Column, ComplianceQuery, Context, CursorError, Parameters, Row
from adapters.compliance.deliveries import Day, in_one_form
from ledger.canonical import MAX_INT
from projections.accessed import TYPES, AccessedModel, accesses
from projections.queries import MAX_PAGE
from projections.searching import Filters
from projections.status import stories

LAST = "z"
"""Sorts behind every id of a message, however the database compares texts."""


LISTING = frozenset({"access.search", "access.partial", "access.query", "access.sample"})
"""Kinds of lists that name each message they show; one of these that names none showed none."""
MAX_MESSAGES = 5_000
"""Of one person, that one answer follows."""

Shown = Literal["yes", "perhaps"]


class Asked(Parameters, frozen=True):
    """Whose looking, at what.

    Attributes:
        actor: id of an API key, or `console` for the command line; empty: everybody.
        message: its id; empty: all, and what names no message.
        recipient: an address; empty: everybody's messages.
        recipient_kind: of the address; empty: whatever it may be.
        kind: as in the column of that name; empty: all.
        since: from this UTC day or time on.
        until: before it.
    """

    actor: Annotated[str, Meta(max_length=63, description="id of an API key, console, or empty for everybody")] = ""
    message: Annotated[str, Meta(max_length=36, description="id of a message, or empty for all")] = ""
    recipient: Annotated[
        str, Meta(max_length=1_000, description="address of a person, in any spelling, or empty for all")
    ] = ""
    recipient_kind: Annotated[str, Meta(max_length=63, description="kind of that address, or empty for any")] = ""
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

    @property
    def place(self) -> tuple[int, str]:
        return self.position, self.message


class _Meant(NamedTuple):
    """Which messages are meant, each with those that were joined into it; `known_at`: position of the first event of them all."""

    messages: tuple[str, ...]
    known_at: int

    def holds(self, row: _Access) -> bool:
        """Whether a row tells of one of them, or of a list that may have shown one."""
        if row.message:
            return row.message in self.messages
        return row.kind not in LISTING and row.position > self.known_at


def _access(context: Context, asked: Asked, after: str) -> Iterator[Row]:
    place, meant = _place(after), _meant(context, asked)
    if meant is not None and not meant.messages:
        return
    found = chain([_unread(context, asked, meant, place)], _pages(context, asked, meant, place))
    for page in found:
        yield from _rows(context, page, meant)


def _place(after: str) -> tuple[int, str]:
    """The row after which to go on: newest position first, then by message, backwards."""
    position, dot, message = after.partition(".")
    if after and not (dot and position.isdecimal()):
        raise CursorError(after)
    return (int(position), message) if after else (MAX_INT, LAST)


def _meant(context: Context, asked: Asked) -> _Meant | None:
    """The messages that were asked for; None: all are meant, and what names none.

    Raises:
        ValueError: the address has too many of them.
    """
    if not asked.message and not asked.recipient:
        return None
    queries, tellers = context.queries, dict[str, int]()
    if asked.message:
        row = queries.message_row(context.tenant, asked.message)
        tellers[row.message] = row.opened_position
    if asked.recipient:
        theirs = _of_recipient(context, asked)
        tellers = {m: at for m, at in theirs.items() if not asked.message or m in tellers}
    told = stories(queries.ledger.database, list(tellers)) if tellers else {}
    messages = dict.fromkeys(message for teller in tellers for message in told[teller].messages)
    return _Meant(tuple(sorted(messages)), min(tellers.values(), default=0))


def _of_recipient(context: Context, asked: Asked) -> dict[str, int]:
    """The messages to an address -> where each begins in the log."""
    filters = Filters(recipient=asked.recipient, address_kind=asked.recipient_kind)
    found, cursor = dict[str, int](), ""
    while True:
        page = context.queries.search(context.tenant, filters, cursor, MAX_PAGE)
        for message in dict.fromkeys(view.message for view in page.deliveries):
            row = context.queries.message_row(context.tenant, message)
            found[row.message] = row.opened_position
        if len(found) > MAX_MESSAGES:
            msg = f"recipient: more than {MAX_MESSAGES} messages were sent there; ask message by message"
            raise ValueError(msg)
        cursor = page.next
        if not cursor:
            return found


def _unread(context: Context, asked: Asked, meant: _Meant | None, place: tuple[int, str]) -> list[_Access]:
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
            if row.place < place
            and (meant is None or meant.holds(row))
            and asked.actor in {"", row.actor}
            and asked.kind in {"", row.kind}
            and row.at >= asked.since
            and (not asked.until or row.at < asked.until)
        ),
        reverse=True,
    )


def _pages(context: Context, asked: Asked, meant: _Meant | None, place: tuple[int, str]) -> Iterator[list[_Access]]:
    """What is asked for, newest first, a page at a time."""
    if meant is None:
        yield from _stored(context, asked, place)
        return
    each = [_stored(context, asked, place, "message = ? AND message > ''", message) for message in meant.messages]
    lists = _stored(context, asked, place, "message = '' AND position > ?", meant.known_at)
    rows = merge(*map(chain.from_iterable, [*each, lists]), key=lambda row: row.place, reverse=True)
    found = (row for row in rows if meant.holds(row))
    while page := list(islice(found, MAX_PAGE)):
        yield page


def _stored(
    context: Context, asked: Asked, place: tuple[int, str], of: str = "", *which: object
) -> Iterator[list[_Access]]:
    """Rows of one range of an index in its order, a page at a time.

    Args:
        of: condition that the range has, with what stands in it.
    """
    where, given = ["tenant = ?"], [context.tenant, *which]
    if of:
        where.append(of)
    conditions = (("actor = ?", asked.actor), ("kind = ?", asked.kind), ("at >= ?", asked.since))
    for condition, value in (*conditions, ("at < ?", asked.until)):
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
        position, message = page[-1].place


def _rows(context: Context, found: Sequence[_Access], meant: _Meant | None) -> Iterator[Row]:
    """The rows with why, which is sealed, and whether they name what was asked for."""
    ledger = context.queries.ledger
    said = ledger.values(ledger.events_at(each.position for each in found))
    for each in found:
        reason = said.get(each.position, {}).get("note") or None
        shown: Shown | None = "yes" if each.message else "perhaps" if meant else None
        what = (each.kind, each.code or None, each.message or None, shown)
        counts = (each.looks, each.together, each.originals)
        told = (each.at, each.actor or None, *what, *counts, reason, each.position)
        yield Row(told, f"{each.position}.{each.message}")


ACCESS = ComplianceQuery(
    name="access",
    version=2,
    title="Who read, exported or erased what, when, how often and why",
    counts="Records of looking, exporting, delivering and erasing (access.recorded, evidence.exported, report.delivered, evidence.erased), "
    "newest first, one row for each message that a record names and one where it names none. Asked for a message or a recipient, also "
    "lists that name no message and were made once it was known: they may have shown it. Look-ups are gathered by the quarter of an "
    "hour, so the looks of a record are those at all of its messages together. Asking this query is recorded, too, and seen by the next "
    "asking. Who is erased is not found by address any more; by message it is.",
    parameters=Asked,
    columns=(
        Column(
            "at",
            "time",
            "when it was recorded: a first look some seconds later, further ones when their quarter of an hour is over",
        ),
        Column("actor", "text", "id of the API key; console: at the command line; empty: by the clock"),
        Column(
            "kind", "text", "what was done: access.status, access.trail, access.original, access.query, export.pack …"
        ),
        Column("query", "text", "the query that was asked, with its version"),
        Column("message", "id", "the message; empty where none is named"),
        Column(
            "shown",
            "text",
            "yes: the record names it; perhaps: a list that names none, made once the message was known",
        ),
        Column("looks", "integer", "how often, at all messages of the record together"),
        Column("together", "integer", "how many messages the record names"),
        Column("originals", "integer", "how many originals were handed out"),
        Column("reason", "text", "why, where it was said", personal=True),
        Column("position", "integer", "of the record in the log"),
    ),
    rows=_access,
    shows_messages=False,
)
