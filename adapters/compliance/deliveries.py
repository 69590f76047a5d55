"""Rows about deliveries: what all queries that list them have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from msgspec import Meta

from adapters.compliance.contract import Column, Context, Parameters, Row
from projections.queries import MAX_PAGE, Filters
from projections.views import DeliveryView

Day = Annotated[
    str, Meta(pattern=r"^(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?Z?)?)?$", description="UTC day or time, or empty")
]
Name = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9_.-]{0,62})?$", description="name, or empty for all")]


class Span(Parameters, frozen=True):
    """Which deliveries are looked at.

    Attributes:
        since: first heard of at or after this UTC day or time; empty: from the beginning.
        until: first heard of before it; empty: up to now.
        provider, account: only this one; empty: all.
    """

    since: Day = ""
    until: Day = ""
    provider: Name = ""
    account: Name = ""

    def filters(self) -> Filters:
        return Filters(since=self.since, until=self.until, provider=self.provider, account=self.account)


COLUMNS = (
    Column("message", "id", "id of the message"),
    Column("recipient", "integer", "index of the recipient in its message"),
    Column("address", "text", "the recipient's address as given; empty after erasure", personal=True),
    Column("provider", "text", "who carries it"),
    Column("account", "text", "our account there"),
    Column("opened_at", "time", "when the ledger first heard of the message"),
    Column("status", "text", "where it is"),
    Column("sub_status", "text", "the provider's reason or word"),
    Column("since", "time", "since when, on the provider's clock where it gave one"),
    Column("grade", "text", "how strong the evidence for the status is, E0 to E5"),
)


def values(view: DeliveryView) -> tuple[object, ...]:
    """A delivery in the order of `COLUMNS`."""
    address, grade = view.address.address, str(view.evidence.grade)
    placed = (view.message, view.recipient, address, view.provider, view.account, view.opened_at)
    return (*placed, view.status, view.sub_status, view.since or None, grade)


class Found(NamedTuple):
    """A delivery, and the cursor that continues after it."""

    view: DeliveryView
    cursor: str


def found(context: Context, filters: Filters, after: str) -> Iterator[Found]:
    """All deliveries that fit, newest message first."""
    done = 0
    while True:
        page, after = context.queries.found(context.tenant, filters, after, MAX_PAGE)
        yield from (Found(view, cursor) for view, cursor in page)
        done += len(page)
        context.progress(done, None)
        if not after:
            return


def rows(context: Context, filters: Filters, after: str) -> Iterator[Row]:
    """A row of `COLUMNS` for every delivery that fits."""
    return (Row(values(view), cursor) for view, cursor in found(context, filters, after))
