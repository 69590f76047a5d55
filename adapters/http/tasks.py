"""Long work over HTTP: asking for a report, how tasks stand, cancelling one, and fetching what came of it; fetching is recorded first."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from adapters import operations
from adapters.http.authentication import require_scope
from adapters.http.queries import SCOPES
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, Limit
from adapters.reports import reporting
from adapters.reports.contract import Format, Language, ReportAsk
from adapters.strictjson import refuse
from adapters.tasks.rows import Row
from adapters.tasks.views import TaskView, brief, view
from ledger.errors import NotFoundError

MEDIA_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
"""By the end of a file's name; any other is bytes."""
IDEMPOTENCY = {"Idempotency-Key": "sent again with the same key, it is the task of the first time"}


class NewReport(Given):
    """A report of a compliance query.

    Attributes:
        query: as the list of queries has it, with its version or without.
        parameters: as the query lists them; those that are absent have their defaults.
        language: of what is written for people.
        zone: IANA name; a PDF shows times in it.
    """

    query: Annotated[str, Meta(min_length=1, max_length=100)]
    parameters: dict[str, Any] = {}
    format: Format = "csv"
    language: Language = "en"
    zone: Annotated[str, Meta(min_length=1, max_length=100)] = "UTC"


class TaskList(msgspec.Struct, frozen=True):
    """Tasks, the newest first, without what was asked and what came of them; `next` continues the list, "" at its end."""

    tasks: tuple[TaskView, ...]
    next: str


class TasksQuery(Given):
    """Query of the list of tasks.

    Attributes:
        before: `next` of the page before.
    """

    before: Annotated[str, Meta(max_length=100)] = ""
    limit: Limit = 100


@route(
    "POST /v1/reports",
    scopes=SCOPES,
    answers={202: TaskView},
    problems=(409,),
    headers=IDEMPOTENCY,
    example={"query": "disputed", "parameters": {"since": "2026-03-01"}, "format": "csv"},
    reads_only=True,
)
def ask_report(call: Call[NoQuery, NewReport]) -> Answer:
    """Have a report made in the background; Location says where to look how far it is, and what came of it."""
    asked, key = call.body, call.headers.get("idempotency-key", "")
    try:
        ZoneInfo(asked.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse("zone", "no such time zone; write an IANA name, for example Europe/Rome")
    if len(key) > 200:
        refuse("Idempotency-Key", "at most 200 characters")
    report = ReportAsk(tenant=call.tenant, **msgspec.structs.asdict(asked))
    once = ("key", call.actor, key) if key else ()
    try:
        require_scope(call.key, reporting.scopes_of(report))
        row = reporting.ask(call.services.tasks, report, call.actor, once)
    except (ValueError, NotFoundError) as error:
        refuse("", str(error))
    return started(call, row)


@route("GET /v1/tasks", scopes=SCOPES, answers={200: TaskList})
def list_tasks(call: Call[TasksQuery, None]) -> Answer:
    """The tenant's tasks that this key may see."""
    rows = call.services.tasks.rows.newest(call.tenant, call.query.before, call.query.limit)
    seen = tuple(brief(row) for row in rows if set(row.scopes.split()) & set(call.key.scopes))
    return Answer(TaskList(seen, rows[-1].task if len(rows) == call.query.limit else ""))


@route("GET /v1/tasks/{task}", scopes=SCOPES, answers={200: TaskView}, access="task")
def show_task(call: Call[NoQuery, None]) -> Answer:
    """How far a task is, what was asked, and what came of it."""
    return Answer(view(call.services.tasks, _row(call)))


@route("DELETE /v1/tasks/{task}", scopes=SCOPES, answers={200: TaskView})
def cancel_task(call: Call[NoQuery, None]) -> Answer:
    """Cancel a task: it stops in a moment, and what it made is deleted. One that ended stays as it is."""
    row, said = _row(call), {"task": call.path["task"]}
    operations.asked(call.services.accounts, call.actor, "tasks cancel", call.tenant, said=said)
    return Answer(brief(call.services.tasks.cancel(call.tenant, row.task)))


@route("GET /v1/tasks/{task}/files/{download}", scopes=SCOPES, answers={200: {"*/*": bytes}}, demands="exports")
def fetch_file(call: Call[NoQuery, None]) -> Answer:
    """A file that came of a task. That it was fetched is recorded before its first byte leaves."""
    row, name = _row(call), call.path["download"]
    file, parts = call.services.tasks.file(row, name)
    said = {"task": row.task, "file": name, "sha256": file.sha256}
    call.services.accounts.record(
        "access.recorded", call.tenant, call.actor, call.actor, {"rule": "access.report"}, call.reason, said
    )
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(file.bytes)}
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Answer(parts, headers=headers, media_type=media_type)


def started(call: Call[Any, Any], row: Row) -> Answer:
    """That a task is in the queue, and where to look after it."""
    return Answer(view(call.services.tasks, row), 202, {"Location": f"/v1/tasks/{row.task}"})


def _row(call: Call[Any, Any]) -> Row:
    row = call.services.tasks.rows.get(call.tenant, call.path["task"])
    require_scope(call.key, tuple(row.scopes.split()))
    return row
