"""Reads every delivery of a span of time, newest message first, a page at a time: for queries that count. No address is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import dropwhile
from typing import NamedTuple

import msgspec

from adapters.compliance.contract import Context, Row
from adapters.compliance.deliveries import Span
from ledger.canonical import MAX_INT
from projections.fold import Folded
from projections.queries import MAX_PAGE

_folded = msgspec.json.Decoder(Folded)
_COLUMNS = "message, recipient, provider, account, opened_at, opened_position, folded"


class Seen(NamedTuple):
    """A delivery as it was folded."""

    message: str
    recipient: int
    provider: str
    account: str
    opened_at: str
    opened_position: int
    folded: Folded


def pages(context: Context, asked: Span) -> Iterator[list[Seen]]:
    """All deliveries of the span, newest message first."""
    # A message was first heard of at the time its first position was recorded, so the span is a range of positions.
    ledger = context.queries.ledger
    oldest = ledger.position_before(asked.since) if asked.since else 0
    opened = ledger.position_before(asked.until) + 1 if asked.until else MAX_INT
    named = {name: value for name in ("provider", "account") if (value := getattr(asked, name))}
    select = f"SELECT {_COLUMNS} FROM read_deliveries WHERE tenant = ? {''.join(f'AND {name} = ? ' for name in named)}"
    select += "" if context.queries.shows_protected else "AND is_protected = 0 "
    rest = f"{select}AND opened_position = ? AND recipient > ? ORDER BY recipient LIMIT {MAX_PAGE}"
    older = f"{select}AND opened_position < ? AND opened_position > ? ORDER BY opened_position DESC, recipient LIMIT {MAX_PAGE}"
    whose = (context.tenant, *named.values())
    recipient = done = 0
    while True:
        rows = ledger.database.read(rest, (*whose, opened, recipient)) if done else []
        rows = rows or ledger.database.read(older, (*whose, opened, oldest))
        if not rows:
            return
        page = [Seen._make((*row[:-1], _folded.decode(bytes(row[-1])))) for row in rows]
        yield page
        done += len(page)
        context.progress(done, None)
        opened, recipient = page[-1].opened_position, page[-1].recipient


def onwards(rows: Iterable[Row], after: str) -> Iterator[Row]:
    """The rows after the one with a cursor, of an answer that is counted as a whole.

    Raises:
        ValueError: no row has that cursor.
    """
    if not after:
        yield from rows
        return
    left = dropwhile(lambda row: row.cursor != after, rows)
    if next(left, None) is None:
        msg = "that cursor is not one of this answer; ask again without it"
        raise ValueError(msg)
    yield from left
