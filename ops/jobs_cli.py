"""The command `jobs`: what is done by the clock, how it went, and doing one of it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App
from rich.table import Table
from rich.text import Text

from ops.console import Json, Tenant, bar, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.jobs.views import JobView

jobs = App(name="jobs", help="What is done by the clock: polls, sweeps, deadlines, checks; and doing one of it now.")


@jobs.default
def list_(*, tenant: Tenant = "", json: Json = False) -> None:
    """How each job stands: when it is next due, when it last succeeded, what went wrong, and why it is off."""
    from ops.schedule import board  # noqa: PLC0415  so that --help is quick

    with system(fresh=False) as s:
        views = board(s).views(tenant or s.settings.tenant)
    if json:
        print_json(views)
        return
    table = Table("job", "account", "every", "state", "last ok", "next", box=None)
    for view in views:
        state = f"{view.state} ({view.queue})" if view.queue else view.state
        table.add_row(view.job, view.account, _every(view.every_s), state, _when(view.ok_at), _when(view.next_at))
    out.print(table)
    off: dict[tuple[str, str], list[str]] = {}
    for view in views:
        if view.off:
            off.setdefault((view.account, view.off), []).append(view.job)
    for (account, why), names in off.items():
        out.print(Text(f"off for {account} ({', '.join(names)}): ").append(plain(why)))
    for view in views:
        _show_error(view)


@jobs.command
def run(name: str, /, *, account: str = "", tenant: Tenant = "", json: Json = False) -> int:
    """Do a job now, whatever is due, and wait for it. Where `serve` runs, it is asked to do it in a moment.

    Args:
        name: as `delivery-ledger jobs` lists it.
        account: of this account only; default: of every account that has such a job.
    """
    from ops.schedule import board  # noqa: PLC0415  so that --help is quick

    with system() as s:
        whose, known = tenant or s.settings.tenant, board(s)
        found = known.find(whose, name, account, own=True)
        is_ours = s.leader.is_leading()
        for job in [job for job in found if not job.off] or found:
            if job.off or not is_ours:
                known.ask(job)
                continue
            known.note_asked(job)
            with bar(" ".join(filter(None, (job.name, job.account))), quiet=json) as progress:
                known.run(job, is_asked=True, progress=progress)
        s.runner.run()
        keys = {(job.name, job.account) for job in found}
        views = [view for view in known.views(whose) if (view.job, view.account) in keys]
    if json:
        print_json(views)
    else:
        for view in views:
            _show(view, is_done=is_ours)
    return EXIT_WRONG if any(view.failures for view in views) and is_ours else 0


def _show(view: JobView, *, is_done: bool) -> None:
    name = " ".join(filter(None, (view.job, view.account)))
    if not is_done:
        out.print(f"{name}: another process leads and does it in a moment; look with: delivery-ledger jobs")
        return
    out.print(
        f"{name}: {view.state}; {view.found} new facts, {view.nothing_new} answers without news, in {view.runs} runs"
    )
    _show_error(view)


def _show_error(view: JobView) -> None:
    if view.last_error:
        out.print(Text(f"{view.job} {view.account}: ").append(plain(view.last_error)))


def _when(at: str) -> str:
    return when(at) if at else "-"


def _every(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
