"""The command `tasks`: long work, how far it is, cancelling it, and fetching what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App
from rich.table import Table

from adapters.accounts import CONSOLE
from ops.console import Json, Limit, Tenant, err, looked, operated, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.tasks.views import TaskView

tasks = App(name="tasks", help="Long work in the background: reports and their deliveries.")


@tasks.command(name="list")
def list_(*, limit: Limit = 50, before: str = "", tenant: Tenant = "", json: Json = False) -> None:
    """Tasks, the newest first.

    Args:
        limit: at most so many.
        before: go on after this one.
    """
    from adapters.tasks.views import brief  # noqa: PLC0415  so that --help is quick
    from ops.tasks import tasks as queue  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        views = [brief(row) for row in queue(s).rows.newest(tenant or s.settings.tenant, before, limit)]
    if json:
        print_json(views)
        return
    table = Table("task", "kind", "state", "done", "since", "error", box=None)
    table.columns[0].no_wrap, table.columns[0].overflow = True, "fold"  # ids are copied whole
    for view in views:
        table.add_row(view.task, view.kind, view.state, _done(view), when(view.created_at), plain(view.error))
    out.print(table if views else "There are no tasks.")


@tasks.command
def show(task: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """How far a task is, what was asked, and what came of it.

    Args:
        task: as `tasks list` prints it.
    """
    from adapters.tasks.views import view as viewed  # noqa: PLC0415  as above
    from ops.tasks import tasks as queue  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        found, whose = queue(s), tenant or s.settings.tenant
        view = viewed(found, found.rows.get(whose, task))
        looked(s, whose, "task")
    _show(view, json=json)


@tasks.command
def cancel(task: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Cancel a task; what it made is deleted. One that ended stays as it is.

    Args:
        task: as `tasks list` prints it.
    """
    from adapters.tasks.views import brief  # noqa: PLC0415  as above
    from ops.tasks import tasks as queue  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        found, whose = queue(s), tenant or s.settings.tenant
        row = found.rows.get(whose, task)
        operated(s, "tasks cancel", whose, {"task": row.task})
        view = brief(found.cancel(whose, row.task))
    _show(view, json=json)


@tasks.command
def fetch(task: str, folder: Path, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Write the files that came of a task to a new folder; that they were fetched is recorded first.

    Args:
        task: as `tasks list` prints it.
        folder: is made; may not be there yet.
    """
    from ops.tasks import tasks as queue  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        found = queue(s)
        row = found.rows.get(tenant or s.settings.tenant, task)
        result = found.result(row) if row.state == "done" else None
        if result is None or not result.files:
            err.print(f"Task {task} is {row.state} and has no files.", markup=False)
            raise SystemExit(EXIT_WRONG)
        folder.mkdir(parents=True)
        for name in [file.name for file in result.files]:
            file, parts = found.file(row, name)
            said = {"task": row.task, "file": name, "sha256": file.sha256}
            s.accounts.record("access.recorded", row.tenant, CONSOLE, CONSOLE, {"rule": "access.report"}, said=said)
            with (folder / name).open("xb") as written:
                written.writelines(parts)
    if json:
        print_json(result.files)
    else:
        out.print(f"{len(result.files)} files in {folder}; check them with: delivery-ledger verify {folder}")


@tasks.command
def run(*, json: Json = False) -> None:
    """Do what is due now and wait for it; where `serve` runs, it does that by itself."""
    from ops.tasks import runner  # noqa: PLC0415  as above

    with system() as s:
        operated(s, "tasks run")
        is_ours = s.leader.is_leading()
        tries = runner(s).run() if is_ours else 0
    if json:
        print_json({"tries": tries, "is_ours": is_ours})
    else:
        out.print(f"{tries} done." if is_ours else "Another process leads and does it in a moment.")


def _done(view: TaskView) -> str:
    if not view.done:
        return ""
    return f"{view.done}/{view.total}" if view.total else str(view.done)


def _show(view: TaskView, *, json: bool) -> None:
    if json:
        print_json(view)
        return
    progress = f", {_done(view)}" if view.done else ""
    out.print(f"Task {view.task} ({view.kind}): {view.state} ({view.meaning}{progress})", markup=False)
    if view.error:
        out.print(plain(view.error))
    for name, value in view.result.items():
        out.print(plain(f"  {name}: {value}"))
    table = Table("file", "bytes", "SHA-256", box=None)
    table.columns[2].no_wrap, table.columns[2].overflow = True, "fold"  # digests are compared whole
    for file in view.files:
        table.add_row(file.name, str(file.bytes), file.sha256)
    if view.files:
        out.print(table)
        out.print(
            f"Kept until {when(view.expires_at)}; fetch them with: delivery-ledger tasks fetch {view.task} FOLDER"
        )
