"""Which messages a provider is asked about, and when: the client's cadence, counted from when it was last asked.

Only the time of the last question is kept, a row for each message; when the next is due follows from the message's age. One message
whose question fails is asked about sooner again and does not hold up the others; when several fail one after the other, the
provider is left alone until the job's next run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from adapters.desk import AccountDesk
from adapters.jobs.rows import FIRST_PAUSE_S, StoppedError, Turn, said
from adapters.providers.calling import Cadence, Desk, Watched
from ledger.canonical import MAX_INT
from ledger.database import Database
from ledger.errors import ForkError
from ledger.events import parse_time, time_text
from ledger.observations import Address
from projections.queries import Queries
from projections.views import Watching

AT_ONCE = 200
GIVE_UP_AFTER = 3
PAGE = 500


class Due(NamedTuple):
    """A message to be asked about.

    Attributes:
        failures: of the questions about it, in a row.
    """

    at: datetime
    message: str
    opened_position: int
    failures: int


class _Open(NamedTuple):
    """A message without a final status."""

    opened_position: int
    message: str
    opened_at: str


def step(cadence: Cadence, age: timedelta) -> timedelta | None:
    """How often a message of this age is asked about; None: not any more."""
    return next((every for younger_than, every in cadence if age < younger_than), None)


class Polls:
    """The questions about the messages of one account."""

    def __init__(self, queries: Queries, tenant: str, account: str, cadence: Cadence) -> None:
        self.queries = queries
        self.database: Database = queries.ledger.database
        self.tenant = tenant
        self.account = account
        self.cadence = cadence

    def due(self, now: datetime, *, everything: bool = False) -> list[Due]:
        """What is to be asked about now, the longest due first; what is settled or too old is forgotten.

        Args:
            everything: also what is not due yet.
        """
        sql = "SELECT message, asked_at, failures FROM polls WHERE tenant = ? AND account = ?"
        asked = {m: (at, int(failures)) for m, at, failures in self.database.read(sql, (self.tenant, self.account))}
        found = []
        for each in self._open(now - max(younger_than for younger_than, _ in self.cadence)):
            asked_at, failures = asked.pop(each.message, ("", 0))
            every = step(self.cadence, now - parse_time(each.opened_at))
            if every is None:
                continue
            wait = min(every, timedelta(seconds=FIRST_PAUSE_S) * 2 ** min(failures - 1, 20)) if failures else every
            found.append(
                Due(parse_time(asked_at or each.opened_at) + wait, each.message, each.opened_position, failures)
            )
        self._forget(list(asked))
        return sorted(each for each in found if everything or each.at <= now)

    def _open(self, since: datetime) -> Iterator[_Open]:
        """Messages without a final status, newest first; one probe of an index each, however many recipients they have."""
        mine = "FROM read_deliveries WHERE tenant = ? AND account = ? AND is_final = 0 AND opened_position"
        sql = (
            f"WITH RECURSIVE found(opened) AS (SELECT (SELECT max(opened_position) {mine} < ?) UNION ALL "
            f"SELECT (SELECT max(opened_position) {mine} < found.opened) FROM found WHERE found.opened IS NOT NULL) "
            f"SELECT opened, (SELECT message {mine} = opened LIMIT 1), (SELECT opened_at {mine} = opened LIMIT 1) "
            "FROM found WHERE opened IS NOT NULL LIMIT ?"
        )
        whose, before, oldest = (self.tenant, self.account), MAX_INT, time_text(since)
        while True:
            page = [_Open(*r) for r in self.database.read(sql, (*whose, before, *whose * 3, PAGE))]
            yield from (each for each in page if each.opened_at >= oldest)
            if len(page) < PAGE or page[-1].opened_at < oldest:
                return
            before = page[-1].opened_position

    def _forget(self, messages: list[str]) -> None:
        if messages:
            sql = "DELETE FROM polls WHERE tenant = ? AND account = ? AND message = ?"
            with self.database.writing() as cursor:
                cursor.executemany(sql, [(self.tenant, self.account, message) for message in messages])

    def watched(self, due: Due) -> Watched | None:
        """The message as its provider's client is told of it; None when it was settled in the meantime."""
        found = self.queries.watched(self.tenant, self.account, before=due.opened_position + 1, limit=1)
        return _watched(found[0]) if found and found[0].message == due.message else None

    def note(self, message: str, asked_at: datetime, failures: int) -> None:
        """Keep when a message was asked about."""
        sql = (
            "INSERT INTO polls (tenant, account, message, asked_at, failures) VALUES (?,?,?,?,?) "
            "ON CONFLICT (tenant, account, message) DO UPDATE SET asked_at = excluded.asked_at, failures = excluded.failures"
        )
        with self.database.writing() as cursor:
            cursor.execute(sql, (self.tenant, self.account, message, time_text(asked_at), failures))


def _watched(found: Watching) -> Watched:
    return Watched(
        message=found.message,
        references=found.references,
        opened_at=parse_time(found.opened_at),
        recipients=tuple(Address(each.kind, each.address) for each in found.recipients),
        open=found.open,
        unclear=found.unclear,
        named=found.named,
    )


def run(polls: Polls, desk: AccountDesk, turn: Turn) -> None:
    """Ask about what is due, each on a desk of its own.

    Raises:
        Exception: what the last of several questions in a row failed with.
    """
    poll, clock = desk.client.poll, polls.queries.ledger.clock
    due = polls.due(turn.now, everything=turn.is_asked)
    chosen = due if turn.is_asked else due[:AT_ONCE]
    in_a_row, failed = 0, 0
    for number, each in enumerate(chosen, 1):
        watched = polls.watched(each)
        now = clock()
        if poll is None or watched is None:
            continue
        try:
            poll(_about(desk, each.message, now), watched)
        except (StoppedError, ForkError):
            raise
        except Exception as error:
            polls.note(each.message, now, each.failures + 1)
            in_a_row, failed, turn.trouble = in_a_row + 1, failed + 1, said(error)
            if in_a_row == GIVE_UP_AFTER:
                raise
        else:
            polls.note(each.message, now, 0)
            in_a_row = 0
        turn.go_on()
        turn.progress(number, len(chosen))
    turn.has_more = len(due) > len(chosen)
    if failed:
        turn.trouble = f"{failed} of {len(chosen)} questions failed; the last one: {turn.trouble}"


def _about(desk: AccountDesk, message: str, now: datetime) -> Desk:
    return replace(desk, message=message, access=replace(desk.access, now=now))
