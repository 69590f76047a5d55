"""Search: the deliveries that all filters fit, newest message first, a page at a time.

A page merges ranges of indexes that stand in the order of the list: those of the facets that fit, that of the organisation, or, where
few look-ups show a sealed value, their deliveries. What an index does not tell is checked row by row, and a page
looks at a bounded number of rows: it may be short, or empty, and the list goes on all the same. Views of what is found are made
elsewhere (`projections.queries`).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from ledger import regions
from ledger.application import Ledger
from ledger.canonical import MAX_INT
from ledger.database import Reads, Row
from ledger.errors import NotFoundError
from ledger.events import time_text
from ledger.streams import clean
from projections.facets import MARK_TEXTS, PROTECTED
from projections.grades import Grade
from projections.rules import Status
from projections.status import DELIVERY_COLUMNS

MAX_FACETS = 400
"""More ranges than these are not merged; then the organisation's whole range is looked through."""
FEW = 2_000
"""Look-ups of one value that are followed one by one; where there are more, deliveries are looked through instead."""
NAMED = 20
"""Look-ups, and deliveries, of a reference that is searched for together with others."""
MAX_LOOKED = 1_000
"""Rows of an index that one page looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a search looks for; empty means any. All given filters must hold.

    Attributes:
        recipient: an address, in any spelling.
        address_kind: its kind; "" tries what it may be.
        reference: any reference or provider id, whole.
        since, until: bounds on when the ledger first heard of the message: a day or time, ISO 8601; without a zone it is UTC.
        grade: of the evidence, E0 to E5.
        mark: a key of `projections.facets.MARK_TEXTS`.
        document: a digest of a document (SHA-1 or SHA-256, hex), of its bytes or of its base64 form.
    """

    recipient: str = ""
    address_kind: str = ""
    reference: str = ""
    label: str = ""
    batch: str = ""
    provider: str = ""
    account: str = ""
    status: str = ""
    grade: str = ""
    mark: str = ""
    since: str = ""
    until: str = ""
    document: str = ""


Place = tuple[int, int]
"""Where a delivery stands in a list: minus the position at which its message was opened, and its recipient; what is less comes first."""

FOREIGN_CURSOR = "that cursor is not one of ours; start the list again without it"
BEGIN: Place = (-MAX_INT, -1)
AFTER_ALL = MAX_INT
"""A recipient behind all recipients of a message."""


class Range(NamedTuple):
    """A part of an index, in the order of the list.

    Attributes:
        value: of the column that leads the index.
        opened, recipient: the place after which it begins, or of the row read last.
        last: of a message the last recipient; else the position above which messages must have been opened.
    """

    value: str | int
    opened: int
    recipient: int
    last: int

    @property
    def place(self) -> Place:
        return -self.opened, self.recipient


class Found(NamedTuple):
    """A row of an index of deliveries."""

    place: Place
    message: str
    facet: int

    @property
    def key(self) -> tuple[str, int]:
        return self.message, self.place[1]


# --- what is looked for


def found(
    ledger: Ledger,
    tenant: str,
    filters: Filters,
    cursor: str = "",
    limit: int = 50,
    *,
    shows_protected: bool = False,
) -> tuple[list[tuple[Row, str]], str]:
    """A page of deliveries that all filters fit, newest message first.

    Args:
        cursor: that of the row after which the page begins, or what continued the page before.
        shows_protected: also recipients whose identity is protected.

    Returns:
        Rows in the order of `DELIVERY_COLUMNS`, each with its cursor; the cursor that continues the list, or "" at its end.

    Raises:
        NotFoundError: the cursor is not one of ours.
        ValueError: an unknown status, grade or mark, or a time that is none.
    """
    require_known(filters)
    reads = ledger.database
    facets = facets_of(reads, tenant, filters, shows_protected=shows_protected)
    begin, oldest = bounds(ledger, filters, cursor)
    if facets is not None and not facets:
        return [], ""
    sealed = sealed_digests(ledger, tenant, filters)
    few = _few(reads, sealed)
    if few is not None:
        ranges = _Ranges(reads, "message", _of_messages(reads, tenant, few.shown, begin, oldest))
    elif facets is not None and len(facets) <= MAX_FACETS:
        ranges = _Ranges(reads, "facet", [Range(facet, -begin[0], begin[1], oldest) for facet in facets])
    else:
        ranges = _Ranges(reads, "tenant", [Range(tenant, -begin[0], begin[1], oldest)])
    unseen = [digests for digests in sealed if few is None or digests is not few.digests]
    page: list[Found] = []
    looked, count = 0, limit + 1
    while True:
        rows = ranges.take(count)
        page += _fitting(reads, rows, facets, unseen)
        looked += len(rows)
        if len(page) > limit or len(rows) < count or looked >= MAX_LOOKED:
            break
        count = min(4 * looked, MAX_LOOKED - looked)
    following = ""
    if len(page) > limit:
        page, following = page[:limit], cursor_of(page[limit - 1].place)
    elif len(rows) == count:
        following = cursor_of(rows[-1].place)
    return _rows(reads, page, facets, shows_protected=shows_protected), following


def named(
    ledger: Ledger, tenant: str, asked: Sequence[tuple[str, int]], *, shows_protected: bool
) -> list[list[Row] | None]:
    """For each reference the page that `found` gives, if all there is stands on it; each question is asked for all of them.

    Args:
        asked: a reference, and the most that its page may show.
    """
    reads = ledger.database
    facets = facets_of(reads, tenant, Filters(), shows_protected=shows_protected)
    shown: list[set[tuple[str, int]]] = [set() for _ in asked]
    digests = [sealed_digests(ledger, tenant, Filters(reference=reference))[0][0] for reference, _ in asked]
    for number, stream, recipient in reads.each(_shown_by(NAMED + 1), [(digest,) for digest in digests]):
        shown[number].add((stream, recipient))
    few = [each if len(each) <= NAMED else set() for each in shown]
    rows = _tellers(reads, {stream for each in few for stream, _ in each})
    ranges = [(number, each) for number, of in enumerate(few) for each in _ranges(tenant, of, rows, BEGIN, 0)]
    pages: list[list[Found]] = [[] for _ in asked]
    for place, opened, recipient, message, facet in reads.each(
        _statement("message", NAMED), [each for _, each in ranges]
    ):
        pages[ranges[place][0]].append(Found((-opened, recipient), message, facet))
    fitting = [sorted(row for row in page if facets is None or row.facet in facets) for page in pages]
    held = {
        tuple(row[:2]): row
        for row, _ in _rows(reads, [f for p in fitting for f in p], facets, shows_protected=shows_protected)
    }
    return [
        [held[row.key] for row in page if row.key in held]
        if len(each) <= NAMED and read < NAMED and read <= limit
        else None
        for page, each, read, (_, limit) in zip(fitting, shown, map(len, pages), asked, strict=True)
    ]


_KNOWN: dict[str, list[str]] = {"status": [*Status], "grade": [*Grade], "mark": [*MARK_TEXTS]}


def require_known(filters: Filters) -> None:
    for name, known in _KNOWN.items():
        value = getattr(filters, name)
        if value and value not in known:
            msg = f"unknown {name} {value!r}; there are {', '.join(known)}"
            raise ValueError(msg)


def facets_of(reads: Reads, tenant: str, filters: Filters, *, shows_protected: bool) -> set[int] | None:
    """The facets that the filters in the clear fit and that may be seen; None when that is all of them."""
    names = [name for name in ("provider", "account", "status", "grade") if getattr(filters, name)]
    sql = "SELECT facet, marks FROM read_facets WHERE tenant = ?" + "".join(f" AND {name} = ?" for name in names)
    rows = reads.read(sql, (tenant, *(getattr(filters, name) for name in names)))
    shown = [(facet, marks) for facet, marks in rows if shows_protected or f" {PROTECTED} " not in marks]
    if not names and not filters.mark and len(shown) == len(rows):
        return None
    return {facet for facet, marks in shown if not filters.mark or f" {filters.mark} " in marks}


def bounds(ledger: Ledger, filters: Filters, cursor: str) -> tuple[Place, int]:
    """The place after which the page begins, and the position above which messages must have been opened."""
    begin = place_of(cursor) if cursor else BEGIN
    oldest = ledger.position_before(moment("since", filters.since)) if filters.since else 0
    if filters.until:
        newest = ledger.position_before(moment("until", filters.until))
        begin = max(begin, (-newest - 1, AFTER_ALL))
    return begin, oldest


def moment(name: str, text: str) -> str:
    """A day or time as it stands in events; without a zone it is UTC.

    Raises:
        ValueError: it is none; the text names it.
    """
    try:
        at = datetime.fromisoformat(text.strip())
        return time_text(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        msg = f"{name}: {text!r} is no time; write 2026-03-01, 2026-03-01T09:00Z or 2026-03-01T10:00+01:00"
        raise ValueError(msg) from error


def sealed_digests(ledger: Ledger, tenant: str, filters: Filters) -> list[list[bytes]]:
    """Per filter on a sealed value, the keyed digests that would show it; one that comes to nothing, as white space does, finds nothing."""
    recipient = regions.digests(ledger, tenant, filters.recipient, filters.address_kind) if filters.recipient else []
    named = {
        "any_reference": clean(filters.reference.strip()) if filters.reference else None,
        "label": clean(filters.label).casefold() if filters.label else None,
        "in_batch": clean(filters.batch.strip()) if filters.batch else None,
        "document": filters.document.strip().lower() if filters.document else None,
    }
    others = [[ledger.keyring.lookup(tenant, kind, form)] for kind, form in named.items() if form is not None]
    return ([recipient] if recipient else []) + others


# --- where a page is read


class _Few(NamedTuple):
    """What few look-ups show: streams, and recipients in them (below 0: whole messages)."""

    digests: Sequence[bytes]
    shown: set[tuple[str, int]]


def _shown_by(most: int) -> str:
    """What a digest shows."""
    return f"SELECT stream, recipient FROM lookups WHERE digest = {{0}} ORDER BY stream, recipient LIMIT {most}"


def _few(reads: Reads, sealed: Sequence[Sequence[bytes]]) -> _Few | None:
    """The filter on a sealed value that the fewest look-ups show; None when there are many of each."""
    sql = _shown_by(FEW + 1)
    found = [
        _Few(digests, {(stream, recipient) for _, stream, recipient in reads.each(sql, [(d,) for d in digests])})
        for digests in sealed
    ]
    return min((few for few in found if len(few.shown) <= FEW), key=lambda few: len(few.shown), default=None)


def _of_messages(reads: Reads, tenant: str, shown: set[tuple[str, int]], begin: Place, oldest: int) -> list[Range]:
    """The deliveries that look-ups show, as ranges of their messages; a joined message shows those of the one that tells its story."""
    return _ranges(tenant, shown, _tellers(reads, {stream for stream, _ in shown}), begin, oldest)


def _tellers(reads: Reads, streams: Iterable[str]) -> dict[str, Row]:
    """Messages by name: these, and those that tell their stories."""
    columns = "message, tenant, opened_position, joined_into"
    rows = {row[0]: row for row in reads.probe("read_messages", columns, "message", sorted(streams))}
    tellers = sorted({into for *_, into in rows.values() if into} - rows.keys())
    return rows | {row[0]: row for row in reads.probe("read_messages", columns, "message", tellers)}


def _ranges(
    tenant: str, shown: set[tuple[str, int]], rows: Mapping[str, Row], begin: Place, oldest: int
) -> list[Range]:
    whole = {rows[stream][3] or stream for stream, recipient in shown if recipient < 0 and stream in rows}
    single = {each for each in shown if each[1] >= 0 and each[0] in rows and each[0] not in whole}
    spans = [(message, -1, AFTER_ALL) for message in whole] + [(s, index - 1, index) for s, index in single]
    ranges = []
    for message, after, last in spans:
        _, owner, opened, _ = rows[message]
        start = max((-opened, after), begin)
        if owner == tenant and opened > oldest and start[0] == -opened and start[1] < last:
            ranges.append(Range(message, opened, start[1], last))
    return ranges


_FACET = DELIVERY_COLUMNS.split(", ").index("facet")
_COLUMNS = "SELECT opened_position, recipient, message, facet FROM read_deliveries"
_OF_MESSAGE = f"{_COLUMNS} WHERE message = {{0}} AND recipient > {{2}} AND recipient <= {{3}} ORDER BY recipient LIMIT"


def _statement(column: str, limit: int) -> str:
    """Reads on in a range; first the rest of the message where it was left."""
    if column == "message":
        return f"{_OF_MESSAGE} {limit}"
    rest = f"{_COLUMNS} WHERE {column} = {{0}} AND opened_position = {{1}} AND recipient > {{2}} ORDER BY recipient LIMIT {limit}"
    older = (
        f"{_COLUMNS} WHERE {column} = {{0}} AND opened_position < {{1}} AND opened_position > {{3}} "
        f"ORDER BY opened_position DESC, recipient LIMIT {limit}"
    )
    return f"SELECT * FROM ({rest}) AS rest UNION ALL SELECT * FROM ({older}) AS older"


class _Ranges:
    """Ranges of one index, read together in the order of the list, a few rows of each at a time.

    Attributes:
        open: ranges that may hold more, each from where it was read last.
        waiting: rows that were read and not taken.
    """

    def __init__(self, reads: Reads, column: str, ranges: Sequence[Range]) -> None:
        self.reads = reads
        self.column = column
        self.open = sorted(ranges, key=lambda each: each.place)
        self.waiting: list[Found] = []

    def take(self, count: int) -> list[Found]:
        """The next rows; fewer than `count` only at the end."""
        while behind := self._behind(count):
            self._read(behind, 2 * count // len(behind) + 4)
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def _behind(self, count: int) -> list[Range]:
        """The ranges of which more must be read before the next rows are known."""
        if len(self.waiting) >= count:
            return [each for each in self.open if each.place < self.waiting[count - 1].place]
        # Ranges of messages follow one another; all others lie beside each other.
        return self.open[:count] if self.column == "message" else self.open

    def _read(self, behind: Sequence[Range], limit: int) -> None:
        rows: list[list[Found]] = [[] for _ in behind]
        for number, opened, recipient, message, facet in self.reads.each(_statement(self.column, limit), behind):
            rows[number].append(Found((-opened, recipient), message, facet))
        rows = [sorted(read)[:limit] for read in rows]
        again = [
            each._replace(opened=-read[limit - 1].place[0], recipient=read[limit - 1].place[1])
            for each, read in zip(behind, rows, strict=True)
            if len(read) >= limit
        ]
        done = set(behind)
        self.open = sorted([*(each for each in self.open if each not in done), *again], key=lambda each: each.place)
        self.waiting = sorted([*self.waiting, *(row for read in rows for row in read[:limit])])


# --- what an index does not tell


def _fitting(
    reads: Reads, rows: Sequence[Found], facets: set[int] | None, sealed: Sequence[Sequence[bytes]]
) -> list[Found]:
    """The rows that fit."""
    fitting = [row for row in rows if facets is None or row.facet in facets]
    if not (fitting and sealed):
        return fitting
    messages = sorted({row.message for row in fitting})
    joined = reads.probe("read_messages", "message, joined_into", "joined_into", messages, "AND joined_into > ''")
    tellers = {message: message for message in messages} | {str(message): str(into) for message, into in joined}
    for digests in sealed:
        fitting = _shown(reads, digests, fitting, tellers)
    return fitting


def _shown(reads: Reads, digests: Sequence[bytes], rows: Sequence[Found], tellers: Mapping[str, str]) -> list[Found]:
    """The rows that some digest shows: the delivery, its message, or one that was joined into that.

    Args:
        tellers: stream -> the message that tells its story.
    """
    messages = {row.message for row in rows}
    pairs = [(digest, stream) for digest in digests for stream, message in tellers.items() if message in messages]
    shown = reads.probe_pairs("lookups", "stream, recipient", ("digest", "stream"), pairs)
    whole = {tellers[stream] for stream, recipient in shown if recipient < 0}
    single = {(stream, recipient) for stream, recipient in shown}
    return [row for row in rows if row.message in whole or row.key in single]


def _rows(
    reads: Reads, page: Sequence[Found], facets: set[int] | None, *, shows_protected: bool
) -> list[tuple[Row, str]]:
    """Deliveries with their cursors; what moved to another facet since the index was read is left out."""
    sql = f"SELECT {DELIVERY_COLUMNS} FROM read_deliveries WHERE message = {{0}} AND recipient = {{1}}"
    sql += "" if shows_protected else " AND is_protected = 0"
    keys = list(dict.fromkeys(each.key for each in page))
    held = {number: row for number, *row in reads.each(sql, keys)}
    places = {each.key: each.place for each in page}
    return [
        (tuple(held[number]), cursor_of(places[key]))
        for number, key in enumerate(keys)
        if number in held and (facets is None or held[number][_FACET] in facets)
    ]


def cursor_of(place: Place) -> str:
    # Digits and a dot give none of the characters in which base64url is another.
    return b2a_base64(f"{-place[0]}.{place[1]}".encode(), newline=False).rstrip(b"=").decode()


def place_of(cursor: str) -> Place:
    """The place after which a cursor continues.

    Raises:
        NotFoundError: it is not one of ours.
    """
    try:
        opened, recipient = map(int, urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("."))
    except ValueError as error:
        raise NotFoundError(FOREIGN_CURSOR) from error
    if not (0 <= opened <= MAX_INT and 0 <= recipient <= AFTER_ALL):
        raise NotFoundError(FOREIGN_CURSOR)
    return -opened, recipient
