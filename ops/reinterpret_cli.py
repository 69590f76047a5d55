"""The command `reinterpret`: today's word tables and readers over the originals that are held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table

from ledger.errors import ConfigurationError
from ops.console import Json, Tenant, bar, err, operated, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.show import plain

if TYPE_CHECKING:
    from adapters.reinterpreting import Report


def reinterpret(
    *,
    provider: str = "",
    account: str = "",
    since: str = "",
    dry_run: bool = False,
    tenant: Tenant = "",
    json: Json = False,
) -> int:
    """Read again, by today's word tables, what came; what is read otherwise is appended, and what was believed stays visible.

    What nobody could read is tried too. Interrupted or run again, it changes nothing that is right already.

    Args:
        provider: only what came from this provider.
        account: only what came for this account.
        since: only what was recorded at or after this UTC time (2026-03-01 or 2026-03-01T09:00:00Z).
        dry_run: tell what would change, and write nothing.
    """
    from adapters.reinterpreting import Reinterpreter  # noqa: PLC0415  so that --help is quick

    began = _time(since) if since else None
    with system() as s, bar("reading again", quiet=json) as progress:
        whose = tenant or s.settings.tenant
        if not dry_run:
            operated(s, "reinterpret", whose)
            s.runner.run()
        reader = Reinterpreter(s.ledger, s.intake, s.lanes, s.queries, s.runner, whose)
        report = reader.run(provider=provider, account=account, since=began, is_dry=dry_run, progress=progress)
    print_json(report) if json else _show(report, is_dry=dry_run)
    return EXIT_WRONG if report.problems else 0


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--since {text}: not a time; write 2026-03-01 or 2026-03-01T09:00:00Z"
        raise ConfigurationError(msg) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _show(report: Report, *, is_dry: bool) -> None:
    table = Table("message", "recipient", "was", "is", "status", box=None)
    for c in report.changes:
        status = c.status or "-" if is_dry or c.status == c.new_status else f"{c.status or '-'} -> {c.new_status}"
        who = "all" if c.recipient < 0 else str(c.recipient)
        table.add_row(c.message, who, plain(_words(c.type, c.word)), plain(_words(c.new_type, c.new_word)), status)
    if report.changes:
        out.print(table)
    if report.count > len(report.changes):
        out.print(f"… and more: {report.count} facts in all.")
    would = "would tell" if is_dry else "tell"
    out.print(
        f"{report.originals} originals read again: {report.changed} {would} something else, {report.settled} no longer wait, "
        f"{report.unreadable} unreadable, {report.erased} erased."
    )
    for problem in report.problems:
        err.print(plain(f"position {problem}"))


def _words(kind: str, word: str) -> str:
    return f"{kind} ({word})" if word else kind or "nothing"
