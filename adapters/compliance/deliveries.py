"""Rows about deliveries: what all queries that list them have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from adapters.compliance.contract import Column, Context, CursorError, Paged, Parameters, Row, Values
from projections.listing import Listed, is_clear
from projections.queries import MAX_PAGE
from projections.searching import Filters, cursor_of, moment
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


Delivery = DeliveryView | Listed


def values(view: Delivery) -> Values:
    """A delivery in the order of `COLUMNS`."""
    return (
        view.message,
        view.recipient,
        view.address.address,
        view.provider,
        view.account,
        view.opened_at,
        view.status,
        view.sub_status,
        view.since or None,
        str(view.evidence.grade),
    )


class Found(NamedTuple):
    """A delivery, and the cursor that continues after it."""

    view: Delivery
    cursor: str


def found(context: Context, filters: Filters, after: str) -> Iterator[Found]:
    """All deliveries that fit, newest message first."""
    return any_of(context, [filters], after)


def any_of(context: Context, choices: Sequence[Filters], after: str) -> Iterator[Found]:
    """All deliveries that one of several choices fits, each once, newest message first; no more than some pages are held.

    Args:
        choices: they differ in what stands in the clear, and in no span of time.
    """
    for views, cursors in _pages(context, choices, after):
        yield from map(Found, views, cursors)


def _pages(
    context: Context, choices: Sequence[Filters], after: str
) -> Iterator[tuple[Sequence[Delivery], Iterable[str]]]:
    """Deliveries, and the cursors that continue after each of them, which are made when they are asked for."""
    done = 0
    for views, cursors in _found(context, choices, after):
        yield views, cursors
        done += len(views)
        context.progress(done, None)


def _found(
    context: Context, choices: Sequence[Filters], after: str
) -> Iterator[tuple[Sequence[Delivery], Iterable[str]]]:
    if all(map(is_clear, choices)):
        for listed in context.queries.listed(context.tenant, choices, after):
            yield listed, (cursor_of(view.place) for view in listed)
        return
    (filters,) = choices
    while True:
        page, after = context.queries.found(context.tenant, filters, after, MAX_PAGE)
        yield [view for view, _ in page], [cursor for _, cursor in page]
        if not after:
            return


Tell = Callable[[Delivery], Iterable[Values]]
"""A delivery -> its rows, possibly none, always in the same order."""


@dataclass(frozen=True, slots=True)
class _Told(Paged):
    """Rows that are told of deliveries; `before` and `read` as `resumed` says."""

    context: Context
    choices: Sequence[Filters]
    tell: Tell
    before: str
    read: int

    def __iter__(self) -> Iterator[Row]:
        every = any_of(self.context, self.choices, self.before)
        return told(((each, self.tell(each.view)) for each in every), self.before, self.read)

    def pages(self) -> Iterator[Sequence[Values]]:
        read, tell = self.read, self.tell
        for views, _ in _pages(self.context, self.choices, self.before):
            yield [row for view in views for row in tell(view)][read:]
            read = 0


def rows(
    context: Context, choices: Sequence[Filters], after: str, tell: Tell = lambda view: (values(view),)
) -> Iterable[Row]:
    """The rows that are told of each delivery that one of several choices fits.

    Args:
        after: a cursor of such a row; within a delivery it says how many of its rows were read.
    """
    return _Told(context, choices, tell, *resumed(after))


def resumed(after: str) -> tuple[str, int]:
    """The cursor of the last delivery that was read whole, and how many rows of the next one were read.

    Raises:
        CursorError: it is no cursor of such rows.
    """
    before, _, read = after.partition("~")
    if read and not (read.isascii() and read.isdigit()):
        raise CursorError(after)
    return before, int(read or 0)


def told(every: Iterable[tuple[Found, Iterable[Values]]], before: str, read: int) -> Iterator[Row]:
    """Rows of deliveries with their cursors.

    Args:
        every: a delivery and all of its rows.
        before, read: as `resumed` says.
    """
    for each, said in every:
        of_this = list(said)
        if len(of_this) == 1 and not read:
            before = each.cursor
            yield Row(of_this[0], before)
            continue
        for number, row in enumerate(of_this[read:], read + 1):
            yield Row(row, each.cursor if number == len(of_this) else f"{before}~{number}")
        before, read = each.cursor, 0
