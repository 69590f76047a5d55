"""The side table of tasks: who asked for what, how far it is, and what came of it, sealed under a key of the task's own.

Every change says under which state, and for a running task under which try, it holds; so one that was cancelled, or taken over by
another process, is not written to by the one that worked on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from uuid_utils import uuid7

from ledger.application import Ledger
from ledger.errors import IdempotencyError, NotFoundError
from ledger.events import time_text
from ledger.sealing import KEY_BYTES, seal, unseal

State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
STATES: dict[str, str] = {
    "queued": "waits for its turn",
    "running": "is being done",
    "done": "is done; its files can be fetched until it expires",
    "failed": "could not be done",
    "cancelled": "was cancelled",
    "expired": "was done; its files are deleted",
}


class Row(NamedTuple):
    """A task; times are UTC, "" for never.

    Attributes:
        owner: id of the API key that asked, `console`, or "" when the clock did.
        scopes: an API key needs one of them to see it, with spaces between.
        run: id of the try that goes on, or of the one whose files are kept; "" without.
        tries: that were begun.
        due_at: when it may be begun; "" when nothing is to be done any more.
        total: None while nobody knows.
        error: what went wrong last, in our own words.
        expires_at: when what came of it is deleted.
    """

    task: str
    tenant: str
    kind: str
    owner: str
    scopes: str
    state: State
    run: str
    tries: int
    due_at: str
    done: int
    total: int | None
    error: str
    created_at: str
    started_at: str
    ended_at: str
    expires_at: str


_COLUMNS = ", ".join(Row._fields)


class Rows:
    """The table `tasks`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.database = ledger.database

    # --- asking

    def ask(
        self,
        tenant: str,
        kind: str,
        request: Mapping[str, Any],
        *,
        owner: str = "",
        scopes: Sequence[str] = (),
        once: Sequence[str] = (),
    ) -> Row:
        """Put a task in the queue; it is durable when this returns.

        Args:
            request: JSON values.
            once: what tells it from every other; asked again it is the same task.

        Raises:
            IdempotencyError: another request was made under the same `once`.
        """
        task, now = str(uuid7()), time_text(self.ledger.clock())
        key_id, key = self.ledger.random(16), self.ledger.random(KEY_BYTES)
        unique = self.ledger.keyring.duplicate(None, tenant, "", "task", kind, *once).hex() if once else task
        row = Row(task, tenant, kind, owner, " ".join(scopes), "queued", "", 0, now, 0, None, "", now, "", "", "")
        sealed = seal(key, msgspec.json.encode(request), _context(task, "request"))
        values = (*row, unique, key_id, self.ledger.keyring.wrap(key_id, key), sealed)
        marks = ",".join("?" * len(values))
        sql = f"INSERT INTO tasks ({_COLUMNS}, once, key_id, wrapped, request) VALUES ({marks}) ON CONFLICT DO NOTHING"
        with self.database.writing() as cursor:
            cursor.execute(sql, values)
        known = self._read("once = ?", (unique,))[0]
        held = self.request(known)
        if held and msgspec.json.encode(held) != msgspec.json.encode(request):
            raise IdempotencyError
        return known

    # --- looking

    def get(self, tenant: str, task: str) -> Row:
        """One task.

        Raises:
            NotFoundError: the tenant has none of that id.
        """
        found = self._read("task = ? AND tenant = ?", (task, tenant))
        if not found:
            msg = f"there is no task {task}"
            raise NotFoundError(msg)
        return found[0]

    def newest(self, tenant: str, before: str = "", limit: int = 100) -> list[Row]:
        """Tasks by id (which is by time), the newest first.

        Args:
            before: go on after this one.
        """
        where = "tenant = ? AND task < ? ORDER BY task DESC LIMIT ?"
        return self._read(where, (tenant, before or "g", limit))  # "g" comes after every id

    def queued(self, now: datetime) -> list[Row]:
        """What may be begun."""
        return self._read("state = 'queued' AND due_at <= ? ORDER BY task", (time_text(now),))

    def open(self, tenant: str) -> int:
        """How many of the tenant's tasks are not at their end."""
        sql = "SELECT count(*) FROM tasks WHERE tenant = ? AND state IN ('queued', 'running')"
        return int(self.database.read(sql, (tenant,))[0][0])

    def in_state(self, state: State) -> list[Row]:
        return self._read("state = ? ORDER BY task", (state,))

    def expired(self, now: datetime) -> list[Row]:
        """What has reached its time and still holds something."""
        where = "expires_at <> '' AND expires_at <= ? AND wrapped IS NOT NULL"
        return self._read(where, (time_text(now),))

    def is_running(self, task: str, run: str) -> bool:
        sql = "SELECT 1 FROM tasks WHERE task = ? AND run = ? AND state = 'running'"
        return bool(self.database.read(sql, (task, run)))

    def last_started(self) -> dict[str, str]:
        """Tenant -> when a task of it was last begun."""
        return dict(self.database.read("SELECT tenant, max(started_at) FROM tasks GROUP BY tenant"))

    def _read(self, where: str, params: Sequence[object]) -> list[Row]:
        return [Row(*r) for r in self.database.read(f"SELECT {_COLUMNS} FROM tasks WHERE {where}", params)]

    # --- what is sealed

    def request(self, row: Row) -> dict[str, Any]:
        """What was asked; empty once the task's key is gone."""
        return self._opened(row, "request")

    def result(self, row: Row) -> dict[str, Any]:
        """What came of it; empty before its end and after its key is gone."""
        return self._opened(row, "result")

    def key(self, row: Row) -> bytes | None:
        """The task's key; None once it is destroyed."""
        rows = self.database.read("SELECT key_id, wrapped FROM tasks WHERE task = ?", (row.task,))
        key_id, wrapped = rows[0] if rows else (None, None)
        return None if wrapped is None else self.ledger.keyring.unwrap(bytes(key_id), bytes(wrapped))

    def _opened(self, row: Row, column: str) -> dict[str, Any]:
        key = self.key(row)
        sealed = self.database.read(f"SELECT {column} FROM tasks WHERE task = ?", (row.task,))
        if key is None or not sealed or sealed[0][0] is None:
            return {}
        opened = unseal(key, bytes(sealed[0][0]), _context(row.task, column))
        return msgspec.json.decode(opened, type=dict[str, Any])

    # --- moving on; each says whether it was still so

    def start(self, row: Row, now: datetime) -> Row | None:
        """Begin a try of a queued task."""
        run = str(uuid7())
        what = "state = 'running', run = ?, tries = tries + 1, started_at = ?, done = 0, total = NULL"
        began = self._move(row.task, "state = 'queued'", what, (run, time_text(now)))
        return self.get(row.tenant, row.task) if began else None

    def progress(self, row: Row, done: int, total: int | None) -> bool:
        return self._of_run(row, "done = ?, total = ?", (done, total))

    def keep_result(self, row: Row, result: Mapping[str, Any]) -> bool:
        """Write down what came of a try; it still counts as running."""
        key = self.key(row)
        if key is None:
            return False
        sealed = seal(key, msgspec.json.encode(result), _context(row.task, "result"))
        return self._of_run(row, "result = ?", (sealed,))

    def end(self, row: Row, state: State, now: datetime, expires_at: datetime, error: str = "") -> bool:
        ended = (state, time_text(now), time_text(expires_at), error)
        return self._of_run(row, "state = ?, due_at = '', ended_at = ?, expires_at = ?, error = ?", ended)

    def put_back(self, row: Row, due_at: datetime, error: str = "", *, counts: bool = True) -> bool:
        """Back into the queue.

        Args:
            counts: whether the try counts as one.
        """
        what = "state = 'queued', run = '', result = NULL, due_at = ?, error = ?, tries = tries - ?"
        return self._of_run(row, what, (time_text(due_at), error, 0 if counts else 1))

    def cancel(self, row: Row, now: datetime, expires_at: datetime) -> bool:
        what = "state = 'cancelled', due_at = '', ended_at = ?, expires_at = ?"
        times = (time_text(now), time_text(expires_at))
        return self._move(row.task, "state IN ('queued', 'running')", what, times)

    def expire(self, row: Row) -> bool:
        """Destroy the key, and with it everything that was sealed under it."""
        what = "wrapped = NULL, request = NULL, result = NULL, state = CASE state WHEN 'done' THEN 'expired' ELSE state END"
        return self._move(row.task, "wrapped IS NOT NULL", what, ())

    def forget(self, before: datetime) -> None:
        """Remove the rows of what expired before a time."""
        with self.database.writing() as cursor:
            sql = "DELETE FROM tasks WHERE wrapped IS NULL AND expires_at < ?"
            cursor.execute(sql, (time_text(before),))

    def _of_run(self, row: Row, what: str, given: Sequence[object]) -> bool:
        return self._move(row.task, "state = 'running' AND run = ?", what, given, (row.run,))

    def _move(self, task: str, is_so: str, what: str, given: Sequence[object], held: Sequence[object] = ()) -> bool:
        sql = f"UPDATE tasks SET {what} WHERE task = ? AND {is_so} RETURNING task"
        with self.database.writing() as cursor:
            return bool(cursor.read(sql, (*given, task, *held)))


def _context(task: str, what: str) -> bytes:
    return f"task {what} {task}".encode()
