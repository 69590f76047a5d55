"""How jobs stand, as people see them."""

from __future__ import annotations

import msgspec

from adapters.jobs.rows import Job, Row
from adapters.outbox import OPEN
from ledger.database import Database


class JobView(msgspec.Struct, frozen=True):
    """How a job stands, as people see it.

    Attributes:
        account: "" for the ledger's own.
        state: `off`, `waiting` (never ran), `asked`, `running`, `failing` or `ok`.
        off: why it is not done, and what would switch it on.
        next_at: when it is next due; "" when it is off or goes on all the time.
        last_error: what went wrong in the last run, in our own words.
        failures: in a row.
        found: new facts, of all runs.
        nothing_new: answers that told nothing new, of all runs.
        queue: of the outbox, how many sends are not at their end.
    """

    job: str
    account: str
    title: str
    every_s: int
    state: str
    off: str = ""
    next_at: str = ""
    started_at: str = ""
    ended_at: str = ""
    ok_at: str = ""
    last_error: str = ""
    failures: int = 0
    runs: int = 0
    found: int = 0
    nothing_new: int = 0
    queue: int = 0


_COPIED = (
    *("next_at", "started_at", "ended_at", "ok_at", "last_error"),
    *("failures", "runs", "found", "nothing_new"),
)


def view(job: Job, row: Row | None) -> JobView:
    """How a job stands; without a row it was never due."""
    row = row or Row(*job.key, next_at="")
    states = {
        "off": bool(job.off),
        "running": bool(row.started_at),
        "asked": bool(row.asked_at),
        "waiting": not row.runs,
        "failing": row.failures > 0,
        "ok": True,
    }
    state = next(name for name, holds in states.items() if holds)
    copied = {name: getattr(row, name) for name in _COPIED} | ({"next_at": ""} if job.off else {})
    return JobView(job.name, job.account, job.title, job.every_s, state, job.off, **copied)


def outbox_view(database: Database, tenant: str) -> JobView:
    """The outbox, which has a thread of its own, as if it were a job."""
    marks = ",".join("?" * len(OPEN))
    sql = f"SELECT count(*) FROM outbox WHERE tenant = ? AND state IN ({marks})"
    queue = int(database.read(sql, (tenant, *OPEN))[0][0])
    return JobView("outbox", "", "sends what waits", 1, "running" if queue else "ok", queue=queue)
