"""How tasks stand, as people see them."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.tasks.rows import STATES, Row
from adapters.tasks.store import File, Tasks


class TaskView(msgspec.Struct, frozen=True):
    """How a task stands; times are UTC, "" for never.

    Attributes:
        kind: what kind of work, for example `report` or `delivery`.
        meaning: the state in plain words.
        owner: id of the API key that asked, `console`, or "" when the clock did.
        tries: that were begun.
        due_at: when a further try may be begun.
        done: how far it is, in what it counts.
        total: how much there is; null while nobody knows.
        error: what went wrong last, in our own words.
        expires_at: when what came of it is deleted.
        request: what was asked.
        result: what came of it.
        files: that can be fetched; name, size and SHA-256 of each.
    """

    task: str
    kind: str
    state: str
    meaning: str
    owner: str
    tries: int
    due_at: str
    done: int
    total: int | None
    error: str
    created_at: str
    started_at: str
    ended_at: str
    expires_at: str
    request: dict[str, Any] = {}
    result: dict[str, Any] = {}
    files: tuple[File, ...] = ()


_COPIED = (
    *("task", "kind", "state", "owner", "tries", "due_at", "done", "total", "error"),
    *("created_at", "started_at", "ended_at", "expires_at"),
)


def brief(row: Row) -> TaskView:
    """How a task stands, without what was asked and what came of it."""
    return TaskView(meaning=STATES[row.state], **{name: getattr(row, name) for name in _COPIED})


def view(tasks: Tasks, row: Row) -> TaskView:
    """How a task stands, opened."""
    result = tasks.result(row) if row.state == "done" else None
    opened = msgspec.structs.replace(brief(row), request=tasks.rows.request(row))
    return msgspec.structs.replace(opened, result=result.said, files=result.files) if result else opened
