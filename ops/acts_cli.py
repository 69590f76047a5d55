"""The commands `acts`: what somebody asked for and a second person must agree to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyclopts import App
from rich.table import Table

from ops.console import Json, Tenant, looked, out, print_json, system
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.acts import Act

acts = App(name="acts", help="What somebody asked for and a second person must agree to; the console is one person.")


@acts.command(name="list")
def list_(*, all_: bool = False, before: int = 0, tenant: Tenant = "", json: Json = False) -> None:
    """What waits for a second person, newest first.

    Args:
        all_: a page of everything: what was decided, carried out or has expired, too.
        before: of everything, only what was asked for before this position; the last one shown says it.
    """
    from adapters import acts as asking  # noqa: PLC0415  so that --help is quick

    with system() as s:
        whose = tenant or s.settings.tenant
        found = asking.acts(s.queries, whose, before=before) if all_ else list(asking.waiting(s.queries, whose))
        looked(s, whose, "acts")
    print_json(found) if json else _show(found)


def _show(found: Sequence[Act]) -> None:
    table = Table("act", "what", "state", "asked", "by", "until", "why", "position", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "act", "fold"  # ids are copied whole
    for each in found:
        asked = (each.act, each.rule, each.state, when(each.asked_at), each.asked_by)
        table.add_row(*(plain(text) for text in (*asked, when(each.expires_at), each.reason, str(each.position))))
    out.print(table if found else "Nothing waits for a second person.")


@acts.command
def show(act: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """One act: what was asked for, by whom, and what became of it."""
    from adapters import acts as asking  # noqa: PLC0415  as above

    with system() as s:
        whose = tenant or s.settings.tenant
        found = asking.get(s.queries, whose, act)
        looked(s, whose, "acts")
    if json:
        print_json(found)
        return
    _show([found])
    for name, value in {**found.about, **found.said}.items():
        out.print(plain(f"{name}: {value}"))
    if found.decided_at:
        out.print(plain(f"decided {when(found.decided_at)} by {found.decided_by}: {found.decided_because}"))


@acts.command
def approve(act: str, /, *, reason: str, tenant: Tenant = "", json: Json = False) -> None:
    """Agree to what somebody asked for over the API; what it asks for is done then. What was asked for here is agreed to over the API.

    Args:
        reason: why; sealed beside the event.
    """
    from adapters import carrying  # noqa: PLC0415  as above

    with system() as s:
        found = carrying.approve(s.accounts, s.queries, tenant or s.settings.tenant, act, reason)
    print_json(found) if json else out.print(f"Act {found.act} is {found.state}.")


@acts.command
def decline(act: str, /, *, reason: str, tenant: Tenant = "", json: Json = False) -> None:
    """Decline what somebody asked for, or withdraw it.

    Args:
        reason: why; sealed beside the event.
    """
    from adapters import acts as asking  # noqa: PLC0415  as above

    with system() as s:
        found = asking.decline(s.accounts, s.queries, tenant or s.settings.tenant, act, reason)
    print_json(found) if json else out.print(f"Act {found.act} is {found.state}.")


def waits(act: Act) -> str:
    """What a person is told whose act waits for another."""
    return (
        f"This takes two people here: act {act.act} waits until {when(act.expires_at)} for another one to agree, over the API "
        f"(POST /v1/acts/{act.act}/approve) with an API key."
    )
