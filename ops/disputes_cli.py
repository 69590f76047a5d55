"""The commands `disputes`: which deliveries are disputed, both sides of one, and a person's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.table import Table

from ops.console import Json, Limit, Note, Tenant, looked, out, print_json, system
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.settling import Dispute, Settling
    from ops.system import System

disputes = App(name="disputes", help="Deliveries whose final facts contradict each other, and what a person decides.")
Events = Annotated[tuple[str, ...], Parameter(name="--sets-aside", consume_multiple=True, negative="")]


@disputes.command(name="list")
def list_(*, limit: Limit = 50, cursor: str = "", tenant: Tenant = "", json: Json = False) -> None:
    """Deliveries that are disputed, newest message first.

    Args:
        limit: at most this many.
        cursor: as the list before ended with.
    """
    from projections.queries import Filters  # noqa: PLC0415  so that --help is quick

    with system() as s:
        page = s.queries.search(tenant or s.settings.tenant, Filters(status="disputed"), cursor, limit)
        looked(s, tenant or s.settings.tenant, "search", (view.message for view in page.deliveries))
    if json:
        print_json(page)
        return
    table = Table("message", "recipient", "address", "account", "since", "why", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "message", "fold"
    for each in page.deliveries:
        why = ", ".join(dict.fromkeys(r.rule for r in each.reasons if r.effect == "decides"))
        address = plain(each.address.address)
        table.add_row(each.message, str(each.recipient), address, each.account, when(each.since), why)
    out.print(table if page.deliveries else "Nothing is disputed.")
    if page.next:
        out.print(f"More: delivery-ledger disputes list --cursor {page.next}")


@disputes.command
def show(message: str, recipient: int, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Both sides: each fact with its time, source, originals, and what the delivery would be if it alone held."""
    with system(fresh=False) as s:
        found = _settling(s, tenant).show(message, recipient)
        looked(s, tenant or s.settings.tenant, "trail", [message])
    _show(found, json=json)


@disputes.command
def resolve(
    message: str,
    recipient: int,
    /,
    *,
    sets_aside: Events,
    note: Note,
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Set facts aside, so that what is left does not contradict itself. A later fact opens the question again.

    Args:
        sets_aside: ids of facts, as `disputes show` prints them.
        note: why; kept with the event.
    """
    with system(fresh=False) as s:
        found = _settling(s, tenant).resolve(message, recipient, sets_aside, note)
    _show(found, json=json)


@disputes.command
def withdraw(
    message: str, recipient: int, settlement: str, /, *, note: Note, tenant: Tenant = "", json: Json = False
) -> None:
    """Take a settlement back: what it set aside counts again.

    Args:
        settlement: id of its event, as `disputes show` prints it.
        note: why; kept with the event.
    """
    with system(fresh=False) as s:
        found = _settling(s, tenant).withdraw(message, recipient, settlement, note)
    _show(found, json=json)


def _settling(s: System, tenant: str) -> Settling:
    from adapters.settling import Settling  # noqa: PLC0415  as above

    return Settling(s.queries.ledger, tenant or s.settings.tenant)


def _show(found: Dispute, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    out.print(f"Message {found.message}, recipient {found.recipient}: {found.status}, grade {found.grade}")
    for rival in found.rivals:
        at = f"{when(rival.occurred_at)} ({rival.zone})" if rival.occurred_at else f"{when(rival.observed_at)} (seen)"
        source = " ".join(filter(None, (rival.provider, rival.account, rival.arrival, rival.verdict)))
        out.print(f"\n{rival.event_id}  {rival.type}: {rival.meaning}")
        out.print(plain(f"  {at} from {source}: {' '.join((rival.code, rival.reason, *rival.words.values())).strip()}"))
        out.print(f"  {rival.rule_text}")
        out.print(f"  if it alone held: {rival.alone}, grade {rival.alone_grade}")
        out.print(f"  originals: {', '.join(rival.artifacts) or 'none'}")
    for each in found.settlements:
        state = "settled" if each.holds else "settled, and withdrawn"
        out.print(f"\n{each.event_id}  {state} by {each.actor} at {when(each.recorded_at)}")
        out.print(plain(f"  {each.note}"))
        out.print(f"  sets aside: {', '.join(each.sets_aside)}")
    if found.rivals:
        out.print(
            f"\nDecide: delivery-ledger disputes resolve {found.message} {found.recipient} --sets-aside EVENT --note WHY"
        )
