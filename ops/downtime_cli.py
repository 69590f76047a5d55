"""The command `downtime`: when providers did not work, as persons say or as calls showed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cyclopts import App
from rich.table import Table

from ledger.errors import ConfigurationError
from ops.console import Json, Note, Tenant, out, print_json, system
from ops.show import plain, when

if TYPE_CHECKING:
    from projections.downtimes import Downtime

downtime = App(
    name="downtime", help="When providers did not work: entered by persons, or noticed by the ledger itself."
)


@downtime.command
def enter(account: str, /, *, since: str, until: str = "", note: Note, tenant: Tenant = "", json: Json = False) -> None:
    """Say that a provider did not work for an account; it is shown beside the deliveries that it touches.

    Args:
        account: the account whose provider it was.
        since: when it began, with a zone: 2026-03-02T10:00+01:00.
        until: when it was over, with a zone; without it, it goes on.
        note: how this is known; kept with the event.
    """
    from adapters import downtime as downtimes  # noqa: PLC0415  so that --help is quick

    begun, ended = _time("--since", since), _time("--until", until) if until else None
    with system() as s:
        found = downtimes.enter(s.accounts, tenant or s.settings.tenant, account, begun, ended, note=note)
    _show(found, json=json)


@downtime.command
def end(identity: str, /, *, until: str, note: Note, tenant: Tenant = "", json: Json = False) -> None:
    """Say when a downtime that goes on was over.

    Args:
        identity: as `downtime list` prints it.
        until: when it was over, with a zone.
        note: how this is known; kept with the event.
    """
    from adapters import downtime as downtimes  # noqa: PLC0415  as above

    at = _time("--until", until)
    with system() as s:
        found = downtimes.end(s.ledger, tenant or s.settings.tenant, identity, at, note=note)
    _show(found, json=json)


@downtime.command
def withdraw(identity: str, /, *, note: Note, tenant: Tenant = "", json: Json = False) -> None:
    """Say that a downtime never was, also one that the ledger noticed itself; its events stay.

    Args:
        identity: as `downtime list` prints it.
        note: why; kept with the event.
    """
    from adapters import downtime as downtimes  # noqa: PLC0415  as above

    with system() as s:
        found = downtimes.withdraw(s.ledger, tenant or s.settings.tenant, identity, note=note)
    _show(found, json=json)


@downtime.command(name="list")
def list_(*, account: str = "", tenant: Tenant = "", json: Json = False) -> None:
    """The downtimes, newest first, with who says so and what was noted.

    Args:
        account: of this account only.
    """
    from adapters import downtime as downtimes  # noqa: PLC0415  as above

    with system() as s:
        found = downtimes.listed(s.ledger, tenant or s.settings.tenant, account)
    if json:
        print_json(found)
        return
    if not found:
        out.print("No downtimes are known.")
        return
    table = Table("downtime", "account", "since", "until", "state", "said by", "notes", box=None)
    table.columns[0].no_wrap = True
    for each in found:
        d = each.downtime
        who = d.rule.removeprefix("downtime.")
        table.add_row(
            *(d.downtime, d.account, when(d.since), when(d.until), d.state, who), plain("; ".join(each.notes))
        )
    out.print(table)


def _show(found: Downtime, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    until = f"until {when(found.until)}" if found.until else "and goes on"
    out.print(f"Downtime {found.downtime} of {found.account}: from {when(found.since)} {until}; {found.state}.")


def _time(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        msg = f"{option} {text}: give a time with its zone, for example 2026-03-02T10:00+01:00"
        raise ConfigurationError(msg)
    return at
