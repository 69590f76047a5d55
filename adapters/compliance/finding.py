"""What waits for a person, and what is held of one document or one address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from heapq import merge
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from adapters.compliance.contract import Column, ComplianceQuery, Context, CursorError, Row
from adapters.compliance.deliveries import COLUMNS, Delivery, Span, rows, values
from ledger.events import Event, parse_time, time_text
from projections.queries import MAX_PAGE

# --- lanes

Lane = Literal["any", "unmatched", "unreadable", "unverified"]


class LaneItem(NamedTuple):
    """Something that waits, or waited, for a person; `event` opened it."""

    item: str
    lane: str
    account: str
    provider: str
    operation: str
    opened_at: str
    state: str
    event: Event
    why: str

    def is_asked(self, span: Span) -> bool:
        """Whether it is one of those that are looked at."""
        fits = span.account in {"", self.account} and span.provider in {"", self.provider}
        return fits and span.since <= self.opened_at and (not span.until or self.opened_at < span.until)

    @property
    def originals(self) -> tuple[str, ...]:
        return tuple(self.event.fields.get("artifacts", ()))


class Unmatched(Span, frozen=True):
    """Which items; `since` and `until` bound when they began to wait.

    Attributes:
        lane: of the unmatched, the unreadable, or those whose signature proves wrong or is absent.
        hours: only what has been waiting for at least so long.
    """

    lane: Annotated[Lane, Meta(description="which lane")] = "any"
    hours: Annotated[int, Meta(ge=0, le=87_600, description="waiting for at least so long")] = 0


def lane_items(context: Context, states: Sequence[str], after: int) -> Iterator[LaneItem]:
    """Items of the lanes, the longest waiting first.

    Args:
        states: only items in one of these.
        after: position at which the last one that was read was opened.
    """
    return merge(*(_lane_items(context, state, after) for state in states), key=lambda item: item.event.position)


def _lane_items(context: Context, state: str, after: int) -> Iterator[LaneItem]:
    ledger = context.queries.ledger
    sql = (
        "SELECT item, lane, account, provider, operation, opened_at, state, opened_position FROM read_lanes "
        "WHERE tenant = ? AND state = ? AND opened_position > ? ORDER BY opened_position LIMIT ?"
    )
    while page := ledger.database.read(sql, (context.tenant, state, after, MAX_PAGE)):
        events = ledger.events_at(row[-1] for row in page)
        said = ledger.values(events)
        for (*told, position), event in zip(page, events, strict=True):
            yield LaneItem._make((*told, event, str(said.get(position, {}).get("text", ""))))
        after = page[-1][-1]


def _unmatched(context: Context, asked: Unmatched, after: str) -> Iterator[Row]:
    latest = time_text(context.now - timedelta(hours=asked.hours))
    for done, item in enumerate(lane_items(context, ["open"], position_of(after)), 1):
        context.progress(done, None)
        if item.is_asked(asked) and asked.lane in {"any", item.lane} and item.opened_at <= latest:
            age = (context.now - parse_time(item.opened_at)) // timedelta(hours=1)
            source = (item.item, item.lane, item.provider, item.account, item.operation, item.opened_at)
            yield Row((*source, age, item.why, item.originals), str(item.event.position))


def position_of(cursor: str) -> int:
    """The log position that a cursor of a list of events names.

    Raises:
        CursorError: it is none.
    """
    if cursor and not (cursor.isascii() and cursor.isdigit()):
        raise CursorError(cursor)
    return int(cursor or 0)


UNMATCHED = ComplianceQuery(
    name="unmatched",
    version=1,
    title="Arrivals that wait for a person",
    counts="Arrivals that are kept and wait in a lane now: those that no message could be found for, that nobody could read, or whose "
    "signature proves wrong or is absent. What a person claimed, dismissed or had read again is not counted, nor are webhooks in "
    "the quarantine.",
    parameters=Unmatched,
    columns=(
        Column("item", "id", "id of what waits"),
        Column("lane", "text", "unmatched, unreadable or unverified"),
        Column("provider", "text", "from whom"),
        Column("account", "text", "our account there"),
        Column("operation", "text", "by which of the provider's operations it came"),
        Column("opened_at", "time", "since when it waits"),
        Column("age_h", "integer", "whole hours since then"),
        Column("why", "text", "why it waits; may quote the provider", personal=True),
        Column("originals", "list", "ids of its originals"),
    ),
    rows=_unmatched,
)

# --- one document


class Document(Span, frozen=True, kw_only=True):
    """Which document.

    Attributes:
        digest: its SHA-256 or SHA-1, hex, of its bytes or of its base64 form.
    """

    digest: Annotated[
        str,
        Meta(pattern="^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$", description="SHA-256 or SHA-1 of the document, hex"),
    ]


def _by_document(context: Context, asked: Document, after: str) -> Iterable[Row]:
    return rows(context, [replace(asked.filters(), document=asked.digest)], after)


BY_DOCUMENT = ComplianceQuery(
    name="by_document",
    version=1,
    title="Deliveries of one document",
    counts="Deliveries of messages of which the document with this digest is known to be a part, because the sender or the provider said "
    "so or a receipt quotes it. Messages whose documents nobody told us of are not counted.",
    parameters=Document,
    columns=COLUMNS,
    rows=_by_document,
)

# --- one address


class Recipient(Span, frozen=True, kw_only=True):
    """Whose deliveries.

    Attributes:
        recipient: an address, in any spelling.
        kind: of the address; empty: whatever it may be.
    """

    recipient: Annotated[str, Meta(min_length=1, max_length=1_000, description="an address, in any spelling")]
    kind: Annotated[
        Literal["", "email", "phone", "fax", "postal", "person_number", "organisation", "other"],
        Meta(description="what kind of address it is, or empty for whatever it may be"),
    ] = ""


def _by_recipient(context: Context, asked: Recipient, after: str) -> Iterable[Row]:
    def tell(view: Delivery) -> list[tuple[Any, ...]]:
        message = context.queries.message(context.tenant, view.message)
        references = tuple(f"{each['kind']} {each['value']}" for each in message.references)
        subject = str(message.values.get("subject", ""))
        milestones = tuple(f"{name} {milestone.at}" for name, milestone in view.milestones.items())
        return [(*values(view), subject, references, message.labels, milestones, view.evidence.proven)]

    filters = replace(asked.filters(), recipient=asked.recipient, address_kind=asked.kind)
    return rows(context, [filters], after, tell)


BY_RECIPIENT = ComplianceQuery(
    name="by_recipient",
    version=1,
    title="Everything that was sent to one address",
    counts="Deliveries to this address, in any spelling of it, with what is held of their messages. A person whom a message names by "
    "something else than a recipient's address is not found, and neither is one whose address was erased. The whole of it, "
    "originals and all, is made by `person export`.",
    parameters=Recipient,
    columns=(
        *COLUMNS,
        Column("subject", "text", "of the message", personal=True),
        Column("references", "list", "by which the message is known", personal=True),
        Column("labels", "list", "on the message", personal=True),
        Column("milestones", "list", "what it reached, and when"),
        Column("proven", "list", "what the evidence proves"),
    ),
    rows=_by_recipient,
)
