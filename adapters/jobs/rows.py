"""What a job is, what one run of it is given, and the side table of when each is next due and how it went.

A row holds nothing that could be lost for good: a job whose row is gone begins again, and what it finds a second time is "seen".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from adapters.providers.calling import CallFailedError
from ledger.application import OWN_TENANT
from ledger.database import Database
from ledger.decision import Outcome
from ledger.errors import LedgerError
from ledger.events import time_text

FIRST_PAUSE_S = 30
SHORTEST_LIMIT_S, LONGEST_PAUSE_S = 900, 3600
MAX_TEXT = 300


@dataclass(slots=True)
class Turn:
    """One run of a job.

    Attributes:
        now: when it began.
        is_asked: a person asked for it, so it does not wait for what is due.
        state: JSON values that are kept between runs.
        found: new facts.
        nothing_new: answers that told nothing new.
        has_more: it stopped at its bound; it is run again at once.
        trouble: what went wrong though the run as a whole succeeded.
        go_on: keeps what was done so far. Raises StoppedError when this process is not to go on.
        progress: told (done, total); a total of None is not known.
    """

    now: datetime
    is_asked: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    found: int = 0
    nothing_new: int = 0
    has_more: bool = False
    trouble: str = ""
    go_on: Callable[[], None] = lambda: None
    progress: Callable[[int, int | None], None] = lambda _done, _total: None

    def count(self, outcome: Outcome) -> None:
        """Count what an arrival brought, now that it is durable, and keep the state."""
        self.found += len(outcome.facts)
        self.nothing_new += outcome.position == 0
        self.go_on()


class StoppedError(Exception):
    """This process does not lead any more, or ends: what was done is kept, and the rest is done by the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that is done by the clock.

    Attributes:
        name: token, unique within its account.
        title: for people.
        account: "" for the ledger's own.
        off: why it is not done, and what would switch it on; "" when it is done.
    """

    name: str
    title: str
    every_s: int
    run: Callable[[Turn], None]
    tenant: str = OWN_TENANT
    account: str = ""
    off: str = ""

    @property
    def key(self) -> Key:
        return self.tenant, self.account, self.name


Key = tuple[str, str, str]
"""Tenant, account and name of a job."""


class Row(NamedTuple):
    """How a job stands; times are UTC, "" for never.

    Attributes:
        asked_at: a person asked for a run that has not begun.
        started_at: of the run that goes on; "" between runs.
        failures: in a row.
        told: how many of `nothing_new` stand in the log.
    """

    tenant: str
    account: str
    job: str
    next_at: str
    asked_at: str = ""
    started_at: str = ""
    ended_at: str = ""
    ok_at: str = ""
    last_error: str = ""
    failures: int = 0
    runs: int = 0
    found: int = 0
    nothing_new: int = 0
    told: int = 0

    @property
    def key(self) -> Key:
        return self.tenant, self.account, self.job

    def is_due(self, now: str) -> bool:
        return bool(self.asked_at) or self.next_at <= now


_COLUMNS = ", ".join(Row._fields)
_KEY = "tenant = ? AND account = ? AND job = ?"


class Rows:
    """The table `jobs`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def all(self) -> dict[Key, Row]:
        return {row.key: row for row in (Row(*r) for r in self.database.read(f"SELECT {_COLUMNS} FROM jobs"))}

    def ensure(self, jobs: Sequence[Job], now: datetime) -> None:
        """Give new jobs a row: an account's is due at once, the ledger's own after its interval."""
        have = self.all()
        new = [job for job in jobs if job.key not in have]
        if not new:
            return
        due = {True: time_text(now)}
        rows = [
            (*job.key, due.get(bool(job.account)) or time_text(now + timedelta(seconds=job.every_s))) for job in new
        ]
        sql = f"INSERT INTO jobs ({_COLUMNS}, state) VALUES (?,?,?,?,'','','','','',0,0,0,0,0,'{{}}') ON CONFLICT DO NOTHING"
        with self.database.writing() as cursor:
            cursor.executemany(sql, rows)

    def ask(self, key: Key, now: datetime) -> None:
        """Ask for a run, whatever is due."""
        self._update("asked_at = ?", (time_text(now),), key)

    def start(self, key: Key, now: datetime) -> tuple[bool, dict[str, Any]]:
        """Note that a run begins; whether a person asked for it, and the state that was kept."""
        asked, state = self.database.read(f"SELECT asked_at, state FROM jobs WHERE {_KEY}", key)[0]
        self._update("asked_at = '', started_at = ?", (time_text(now),), key)
        return bool(asked), msgspec.json.decode(state, type=dict[str, Any])

    def save(self, key: Key, turn: Turn) -> None:
        """Keep what a run did so far; its counts begin again."""
        counts = (turn.found, turn.nothing_new, msgspec.json.encode(turn.state).decode())
        self._update("found = found + ?, nothing_new = nothing_new + ?, state = ?", counts, key)
        turn.found = turn.nothing_new = 0

    def end(self, key: Key, now: datetime, next_at: datetime, error: str, failures: int) -> None:
        """Note how a run ended.

        Args:
            error: what went wrong, in our own words; "" when nothing did.
            failures: in a row, with this one; 0 when it succeeded.
        """
        ok, at = ("" if failures else "ok_at = ?, "), time_text(now)
        given = (at, *([] if failures else [at]), error, failures, time_text(next_at))
        sql = f"started_at = '', runs = runs + 1, ended_at = ?, {ok}last_error = ?, failures = ?, next_at = ?"
        self._update(sql, given, key)

    def stop(self, key: Key) -> None:
        """Note that a run was stopped; it is still due."""
        self._update("started_at = ''", (), key)

    def tell(self, key: Key, count: int) -> None:
        """Note that so many more of `nothing_new` stand in the log."""
        self._update("told = told + ?", (count,), key)

    def _update(self, what: str, given: Sequence[object], key: Key) -> None:
        with self.database.writing() as cursor:
            cursor.execute(f"UPDATE jobs SET {what} WHERE {_KEY}", (*given, *key))


def pause(failures: int, every_s: int) -> timedelta:
    """How long to wait after so many failures in a row: sooner than usual at first, then longer and longer."""
    limit = min(max(every_s, SHORTEST_LIMIT_S), LONGEST_PAUSE_S)
    return timedelta(seconds=min(FIRST_PAUSE_S * 2 ** min(failures - 1, 10), limit))


def said(error: Exception) -> str:
    """What may be told of a failure: its kind, and its text where the text is ours; any other may quote personal data."""
    kind = type(error).__name__
    text = str(error)[:MAX_TEXT] if isinstance(error, CallFailedError | LedgerError) else ""
    return f"{kind}: {text}" if text else kind
