"""Lists as of then: deliveries that all filters fitted at a position of the log, newest message first, a page at a time.

No index knows how deliveries were judged then. Messages are looked at in the order in which they were opened (or, where few look-ups show
a sealed value, those that these show), and their deliveries are folded one by one from the log. So a page looks at a bounded number of
them: it may be short, or empty, and the list goes on all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from projections.facets import marks
from projections.fold import Folded
from projections.replay import Replay
from projections.searching import (
    AFTER_ALL,
    BEGIN,
    FEW,
    Filters,
    Place,
    cursor_of,
    moment,
    place_of,
    require_known,
    sealed_digests,
)
from projections.stories import MessageRow, Story

MAX_MESSAGES = 200
"""Messages that one page looks at."""
MAX_JUDGED = 1_000
"""Deliveries that one page folds."""
CHUNK = 50
"""Messages, or deliveries of one, that are read together."""
AT_ONCE = 5
"""Deliveries of a message that are read with those of other messages."""


class Judged(NamedTuple):
    """A delivery as it was.

    Attributes:
        position: of the last fact about it.
        is_protected: whether the identity of its recipient is protected today.
    """

    row: MessageRow
    recipient: int
    folded: Folded
    position: int
    is_protected: bool = False

    @property
    def place(self) -> Place:
        return -self.row.opened_position, self.recipient


Judge = Callable[[MessageRow, Story, Sequence[int]], list[Judged]]


def found(  # noqa: PLR0917  what is read and how it is judged, then as for `projections.searching.found`
    replay: Replay,
    judge: Judge,
    tenant: str,
    filters: Filters,
    cursor: str,
    limit: int,
    *,
    shows_protected: bool = False,
) -> tuple[list[Judged], str]:
    """A page, and the cursor that continues the list, or "" at its end.

    Raises:
        NotFoundError: the cursor is not one of ours.
        ValueError: an unknown status, grade or mark, or a time that is none.
    """
    require_known(filters)
    sealed = sealed_digests(replay.ledger, tenant, filters)
    begin, oldest = _bounds(replay, filters, cursor)
    messages, after = _candidates(replay, tenant, sealed, begin, oldest)
    page: list[Judged] = []
    looked = 0
    for row in _tellers(replay, messages):
        for each in _deliveries(replay, judge, row, filters, sealed, begin):
            looked += 1
            page += [each] if _fits(each, filters) and (shows_protected or not each.is_protected) else []
            if len(page) == limit or looked == MAX_JUDGED:
                return page, cursor_of(each.place)
    return page, cursor_of(after) if after else ""


def _bounds(replay: Replay, filters: Filters, cursor: str) -> tuple[Place, int]:
    """The place after which the page begins, and the position above which messages must have been opened."""
    before = replay.ledger.position_before
    newest = min(replay.size, before(moment("until", filters.until))) if filters.until else replay.size
    oldest = before(moment("since", filters.since)) if filters.since else 0
    return max(place_of(cursor) if cursor else BEGIN, (-newest - 1, AFTER_ALL)), oldest


def _candidates(
    replay: Replay, tenant: str, sealed: Sequence[Sequence[bytes]], begin: Place, oldest: int
) -> tuple[list[str], Place | None]:
    """The messages that a page looks at, newest first, and the place after which there are more of them."""
    opened: list[tuple[int, str]]
    shown = _few(replay, sealed)
    if shown is None:
        sql = (
            "SELECT opened_position, message FROM read_messages WHERE tenant = ? AND opened_position <= ? AND opened_position > ? "
            f"ORDER BY opened_position DESC LIMIT {MAX_MESSAGES + 1}"
        )
        opened = [
            (int(at), str(message)) for at, message in replay.ledger.database.read(sql, (tenant, -begin[0], oldest))
        ]
    else:
        replay.load(shown)
        rows = (replay.row(replay.told_by(stream)) for stream in shown)
        mine = {(r.opened_position, r.message) for r in rows if r.tenant == tenant and oldest < r.opened_position}
        opened = sorted((each for each in mine if each[0] <= -begin[0]), reverse=True)
    after = (-opened[MAX_MESSAGES - 1][0], AFTER_ALL) if len(opened) > MAX_MESSAGES else None
    return [message for _, message in opened[:MAX_MESSAGES]], after


def _tellers(replay: Replay, messages: Sequence[str]) -> Iterator[MessageRow]:
    """Those of the messages that told their own story; read some at a time, with their first deliveries."""
    for start in range(0, len(messages), CHUNK):
        part = messages[start : start + CHUNK]
        replay.load(part)
        rows = [replay.row(message) for message in part if replay.told_by(message) == message]
        stories = [(replay.story(row), replay.deliveries(row)[:AT_ONCE]) for row in rows]
        replay.load(told.stream for story, indexes in stories for index in indexes for told in story.of(index))
        yield from rows


def _few(replay: Replay, sealed: Sequence[Sequence[bytes]]) -> list[str] | None:
    """The streams that the fewest look-ups show; None when there are many of each, or no filter on a sealed value."""
    sql = f"SELECT stream, position FROM lookups WHERE digest = {{0}} LIMIT {FEW + 1}"
    found = [replay.ledger.database.each(sql, [(digest,) for digest in digests]) for digests in sealed]
    fewest = min((rows for rows in found if len(rows) <= FEW), key=len, default=None)
    return None if fewest is None else sorted({stream for _, stream, position in fewest if position <= replay.size})


def _deliveries(  # noqa: PLR0917  as above
    replay: Replay, judge: Judge, row: MessageRow, filters: Filters, sealed: Sequence[Sequence[bytes]], begin: Place
) -> Iterator[Judged]:
    """The deliveries of a message after a place, where what does not change fits."""
    if (filters.provider or row.provider, filters.account or row.account) != (row.provider, row.account):
        return
    story = replay.story(row)
    first = begin[1] + 1 if -row.opened_position == begin[0] else 0
    indexes = list(replay.deliveries(row)[first:])
    for digests in sealed:
        shown = _shown(replay, story, digests)
        indexes = indexes if shown is None else [index for index in indexes if index in shown]
    for start in range(0, len(indexes), CHUNK):
        yield from judge(row, story, indexes[start : start + CHUNK])


def _shown(replay: Replay, story: Story, digests: Sequence[bytes]) -> set[int] | None:
    """The recipients whom a look-up of then shows; None when it shows the message, or one that was joined into it, as a whole."""
    pairs = [(digest, stream) for digest in digests for stream in story.messages]
    rows = replay.ledger.database.probe_pairs("lookups", "stream, recipient, position", ("digest", "stream"), pairs)
    then = {(stream, recipient) for stream, recipient, position in rows if position <= replay.size}
    if any(recipient < 0 for _, recipient in then):
        return None
    return {recipient for stream, recipient in then if stream == story.teller.message}


def _fits(judged: Judged, filters: Filters) -> bool:
    folded = judged.folded
    asked = (filters.status or folded.status, filters.grade or folded.evidence.grade)
    found = marks(folded, is_protected=judged.is_protected)
    return asked == (folded.status, folded.evidence.grade) and (not filters.mark or filters.mark in found)
