"""Every delivery that some filters in the clear fit, newest message first, for those who read all of them: exports and counts.

`projections.searching` finds one page for somebody who looks, and bounds what that costs. Here a page is a window of positions: the
ranges of all facets that fit are read in it, whole rows at once, and the window is as wide as makes a page. Of a message with more
recipients than a page has, some are read at a time. While a page is worked on, the next ones are read, where the database is another
process.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import msgspec

from ledger.application import Ledger
from ledger.canonical import MAX_INT
from ledger.database import Reads
from projections import declared, opening
from projections.deadlines import Deadline
from projections.fold import Folded, Milestone, Reason
from projections.grades import Evidence
from projections.opening import Held
from projections.searching import AFTER_ALL, MAX_FACETS, Filters, Place, bounds, facets_of, require_known
from projections.views import AddressView

PAGE = 1_000
"""Rows that are read together, more or less; and the positions of the first window."""
AT_ONCE = 8 * PAGE
"""Rows that a window may have in all ranges, where it turns out too wide."""
AHEAD = 2
"""Pages that are read while one is worked on, where the database is another process."""
TURN_S = 0.0005
MAX_EVIDENCE = 4_096
"""Different judgements that are remembered; they are made of a few words, so a million deliveries have some hundred."""
_SEALED = ("recipient", "reference", "label", "batch", "document")

Read = TypeVar("Read")


class Listed(NamedTuple):
    """A delivery in a list of all: its row, of which most of what was folded is decoded when it is asked for, and its address.

    Attributes:
        address: empty once it is erased.
        others: as in `projections.views.DeliveryView`.
    """

    message: str
    recipient: int
    account: str
    provider: str
    status: str
    sub_status: str
    since: str
    is_final: bool
    opened_at: str
    opened_position: int
    facet: int
    folded: bytes
    address: AddressView
    evidence: Evidence

    @property
    def place(self) -> Place:
        return -self.opened_position, self.recipient

    @property
    def milestones(self) -> dict[str, Milestone]:
        return _whole(self.folded).milestones

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return _whole(self.folded).reasons

    @property
    def deadlines(self) -> tuple[Deadline, ...]:
        return _whole(self.folded).deadlines


Row = Sequence[Any]
"""Of a delivery, in the order of `Listed`; without the address and the evidence."""
MESSAGE, RECIPIENT, OPENED, FACET, FOLDED = map(
    Listed._fields.index, ("message", "recipient", "opened_position", "facet", "folded")
)


class _Judged(msgspec.Struct):
    """Of what was folded the judgement of the evidence, not decoded."""

    evidence: msgspec.Raw


_judged = msgspec.json.Decoder(_Judged)
_folded = msgspec.json.Decoder(Folded)
_COLUMNS = ", ".join(Listed._fields[:-2])


@lru_cache(MAX_EVIDENCE)
def _evidence(said: bytes) -> Evidence:
    return msgspec.json.decode(said, type=Evidence)


@lru_cache(1)
def _whole(folded: bytes) -> Folded:
    return _folded.decode(folded)


def is_clear(filters: Filters) -> bool:
    """Whether they ask for nothing that is sealed."""
    return not any(getattr(filters, name) for name in _SEALED)


def listed(
    ledger: Ledger, tenant: str, choices: Sequence[Filters], after: str = "", *, shows_protected: bool = False
) -> Iterator[list[Listed]]:
    """All deliveries that one of several choices fits, each once, a page at a time.

    Args:
        ledger: everything; only addresses of rows that may be seen are opened.
        choices: filters in the clear, all of one span of time.
        after: cursor of the row that was read last.

    Raises:
        NotFoundError: the cursor is not one of ours.
        ValueError: an unknown status, grade or mark, or a time that is none.
    """
    for filters in choices:
        require_known(filters)
    reads = ledger.database
    begin, oldest = bounds(ledger, choices[0], after)
    begin = max(begin, (-_newest(reads, tenant) - 1, AFTER_ALL))
    fitting = [facets_of(reads, tenant, each, shows_protected=shows_protected) for each in choices]
    facets = None if None in fitting else set[int]().union(*(each for each in fitting if each is not None))
    is_few = facets is not None and len(facets) <= MAX_FACETS
    column, values = ("facet", sorted(facets or ())) if is_few else ("tenant", [tenant])
    shown = "" if shows_protected else " AND is_protected = 0"
    windows = _windows(reads, column, values, begin, oldest, shown)
    pages = ([row for row in rows if facets is None or row[FACET] in facets] for rows in windows)
    read = _ahead(ledger, ((page, _held(ledger, page)) for page in pages))
    for page, told in opening.each(ledger.keyring, read):
        views = map(AddressView, told.kinds, told.addresses)
        yield [Listed._make((*row, view, _judged_in(row[FOLDED]))) for row, view in zip(page, views, strict=True)]


def _judged_in(folded: bytes) -> Evidence:
    return _evidence(bytes(_judged.decode(folded).evidence))


def _held(ledger: Ledger, page: Sequence[Row]) -> Held:
    return declared.held(ledger, [(row[MESSAGE], row[RECIPIENT]) for row in page])


def _ahead(ledger: Ledger, pages: Iterator[Read]) -> Iterator[Read]:
    """The same pages, each read while the one before is worked on; not of a database in this process, which would gain nothing."""
    if ledger.database.kind == "sqlite":
        yield from pages
        return
    context = copy_context()  # says for whom we read

    def following() -> Read | None:
        return context.run(next, pages, None)

    with _quick_turns(), ThreadPoolExecutor(1, "listing") as pool:
        coming = deque(pool.submit(following) for _ in range(AHEAD))
        while (page := coming.popleft().result()) is not None:
            coming.append(pool.submit(following))
            yield page


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Let threads take turns ten times as often as usual: the one that reads must empty its socket before the database can go on.

    It is one setting for all threads. Two who read at the same time may leave it either way, which changes no result.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


# --- windows of positions


def _windows(  # noqa: PLR0917  of which index, then from where to where
    reads: Reads, column: str, values: Sequence[int | str], place: Place, oldest: int, shown: str
) -> Iterator[list[Row]]:
    """Rows of some ranges of an index, in the order of the list.

    Args:
        column: leads the index; `values` name the ranges.
        place: after which they are read.
        oldest: position above which messages must have been opened.
        shown: a condition that they fit.
    """
    limit = max(1, min(PAGE, AT_ONCE // max(1, len(values))))
    statement, width, floor = _statement(column, shown, limit), PAGE, MAX_INT
    while floor > oldest:
        floor = max(oldest, -place[0] - 1 - width)
        rows = reads.each(statement, [(value, -place[0], place[1], floor) for value in values])
        rows.sort(key=_recipient)
        rows.sort(key=_opened, reverse=True)
        whole = place = (-floor - 1, AFTER_ALL)
        for number, count in Counter(map(_range, rows)).items():
            if count >= limit:  # what is behind its last row is read again, in order
                last = [row for row in rows if row[0] == number][limit - 1]
                place = min(place, _place(last))
        if place != whole:
            rows = [row for row in rows if _place(row) <= place]
            floor, width = MAX_INT, max(1, width // 2)
        elif len(rows) < PAGE // 2:
            width = min(2 * width, MAX_INT)
        yield [row[1:] for row in rows]


# Of a row as it is read, with the number of its range before it.
_range, _recipient, _opened = itemgetter(0), itemgetter(1 + RECIPIENT), itemgetter(1 + OPENED)


def _place(row: Row) -> Place:
    return -_opened(row), _recipient(row)


def _statement(column: str, shown: str, limit: int) -> str:
    """Reads on in a range; first the rest of the message where it was left."""
    where = f"SELECT {_COLUMNS} FROM read_deliveries WHERE {column} = {{0}}{shown} AND opened_position"
    rest = f"{where} = {{1}} AND recipient > {{2}} ORDER BY recipient LIMIT {limit}"
    older = f"{where} < {{1}} AND opened_position > {{3}} ORDER BY opened_position DESC, recipient LIMIT {limit}"
    return f"SELECT * FROM ({rest}) AS rest UNION ALL SELECT * FROM ({older}) AS older"


def _newest(reads: Reads, tenant: str) -> int:
    """The position at which the tenant's newest message with a recipient was opened; 0 when there is none."""
    return int(reads.read("SELECT max(opened_position) FROM read_deliveries WHERE tenant = ?", (tenant,))[0][0] or 0)
