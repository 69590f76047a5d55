"""Rows about deliveries: what all queries that list them have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from adapters.compliance.contract import Column, Context, CursorError, Parameters, Row
from projections.queries import MAX_PAGE
from projections.searching import Filters, moment, place_of
from projections.views import DeliveryView

_CLOCK = r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?"
Day = Annotated[
    str,
    Meta(
        pattern=rf"^(\d{{4}}-\d\d-\d\d({_CLOCK})?)?$",
        description="UTC day, or a time (UTC where it has no offset), or empty",
    ),
]
Name = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9_.-]{0,62})?$", description="name, or empty for all")]
TOLD_EVERY = 100
"""Rows between two reports of progress."""


def in_one_form(asked: Parameters, *names: str) -> None:
    """Write the days and times in these fields as times are written, so that the header says what was asked.

    Raises:
        ValueError: one is neither.
    """
    for name in names:
        if text := getattr(asked, name):
            msgspec.structs.force_setattr(asked, name, moment(name, text))


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

    def __post_init__(self) -> None:
        """Bring both bounds into the one form that times have, and refuse what is no span."""
        in_one_form(self, "since", "until")
        if self.until and self.since >= self.until:
            msg = f"until ({self.until}) is not after since ({self.since})"
            raise ValueError(msg)

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
    while True:
        page, after = context.queries.found(context.tenant, filters, after, MAX_PAGE)
        yield from (Found(view, cursor) for view, cursor in page)
        if not after:
            return


def any_of(context: Context, choices: Sequence[Filters], after: str) -> Iterator[Found]:
    """All deliveries that one of several choices fits, each once, newest message first; no more than a page of each is held."""
    last = ""
    every = merge(*(found(context, each, after) for each in choices), key=lambda each: place_of(each.cursor))
    for done, each in enumerate(every, 1):
        if not done % TOLD_EVERY:
            context.progress(done, None)
        if each.cursor != last:
            yield each
        last = each.cursor


def rows(
    context: Context,
    choices: Sequence[Filters],
    after: str,
    tell: Callable[[DeliveryView], Iterable[tuple[Any, ...]]] = lambda view: [values(view)],
) -> Iterator[Row]:
    """The rows that are told of each delivery that one of several choices fits.

    Args:
        after: a cursor of such a row; within a delivery it says how many of its rows were read.
        tell: a delivery -> its rows, possibly none, always in the same order.
    """
    before, read = resumed(after)
    return told(((each, tell(each.view)) for each in any_of(context, choices, before)), before, read)


def resumed(after: str) -> tuple[str, int]:
    """The cursor of the last delivery that was read whole, and how many rows of the next one were read.

    Raises:
        CursorError: it is no cursor of such rows.
    """
    before, _, read = after.partition("~")
    if read and not (read.isascii() and read.isdigit()):
        raise CursorError(after)
    return before, int(read or 0)


def told(every: Iterable[tuple[Found, Iterable[tuple[Any, ...]]]], before: str, read: int) -> Iterator[Row]:
    """Rows of deliveries with their cursors.

    Args:
        every: a delivery and all of its rows.
        before, read: as `resumed` says.
    """
    for each, said in every:
        of_this = list(said)
        for number, row in enumerate(of_this[read:], read + 1):
            yield Row(row, each.cursor if number == len(of_this) else f"{before}~{number}")
        before, read = each.cursor, 0
