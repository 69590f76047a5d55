"""The commands `lanes`: what waits for a person, to which message it may belong, and what the person does about it."""

from __future__ import annotations

import msgspec
from cyclopts import App
from rich.table import Table

from ops import show as views
from ops.console import Json, Limit, Note, Tenant, looked, out, print_json, system
from ops.show import when

lanes = App(name="lanes", help="What waits for a person: unreadable, unmatched and quarantined arrivals.")


@lanes.command(name="list")
def list_(*, state: str = "open", tenant: Tenant = "", json: Json = False) -> None:
    """What waits, oldest first, and what is in quarantine.

    Args:
        state: open, retried, claimed or dismissed; "" for all.
    """
    with system() as s:
        tenant = tenant or s.settings.tenant
        found, held = s.queries.lanes(tenant, state), s.quarantine.list(tenant)
        looked(s, tenant, "lanes")
    print_json({"items": found, "quarantined": held}) if json else views.lanes(out, found, held)


@lanes.command
def show(item: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """One waiting item and the beginning of its bytes."""
    from adapters.lanes import stored_arrival  # noqa: PLC0415  so that --help is quick

    with system() as s:
        found, event = s.lanes.item(tenant or s.settings.tenant, item)
        body = stored_arrival(s.queries.ledger, event).body if "artifacts" in event.fields else b""
        looked(s, event.tenant, "original", artifacts=event.fields.get("artifacts", ())[:1])
    start = body[:2000].decode("utf-8", "backslashreplace")
    print_json(
        {**msgspec.to_builtins(found), "body_bytes": len(body), "body_start": start}
    ) if json else views.lane_item(out, found, body)


@lanes.command
def suggest(item: str, /, *, limit: Limit = 10, tenant: Tenant = "", json: Json = False) -> None:
    """Messages to which an item may belong, the likeliest first, and what speaks for each.

    Args:
        limit: at most this many.
    """
    from adapters.suggestions import suggest as likeliest  # noqa: PLC0415  as above

    with system() as s:
        found = likeliest(s.lanes, tenant or s.settings.tenant, item, limit)
        looked(s, tenant or s.settings.tenant, "search", (each.message for each in found.suggestions))
    if json:
        print_json(found)
        return
    table = Table("score", "message", "recipient", "account", "heard of", "status", "because", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "message", "fold"  # ids are copied whole
    for each in found.suggestions:
        because = "; ".join(f"{reason.why} ({reason.points})" for reason in each.reasons)
        whom = "" if each.recipient is None else str(each.recipient)
        table.add_row(str(each.score), each.message, whom, each.account, when(each.opened_at), each.status, because)
    out.print(table if found.suggestions else "Nothing in it, and nothing of its time, points to a message.")
    if found.suggestions:
        out.print(f"Decide: delivery-ledger lanes claim {item} MESSAGE --note HOW")


@lanes.command
def retry(item: str, /, *, note: Note, tenant: Tenant = "") -> None:
    """Read an item again with today's code.

    Args:
        note: why; kept with the event.
    """
    with system() as s:
        outcome = s.lanes.retry(tenant or s.settings.tenant, item, note)
    out.print(f"{len(outcome.facts)} new facts about {', '.join(outcome.messages)}.")


@lanes.command
def claim(item: str, message: str, /, *, note: Note, tenant: Tenant = "") -> None:
    """Say which message an item belongs to; `unclaim` takes it back.

    Args:
        note: why; kept with the event.
    """
    with system() as s:
        outcome = s.lanes.claim(tenant or s.settings.tenant, item, message, note)
    out.print(f"{len(outcome.facts)} new facts about {message}.")


@lanes.command
def unclaim(item: str, /, *, note: Note, tenant: Tenant = "") -> None:
    """Take a claim back: what it brought counts no longer for that message, and the item waits again.

    Args:
        note: why; kept with the event.
    """
    with system() as s:
        message = s.lanes.unclaim(tenant or s.settings.tenant, item, note)
    out.print(f"{item} waits again; message {message} is as if it had never been claimed for it.")


@lanes.command
def dismiss(item: str, /, *, note: Note, tenant: Tenant = "") -> None:
    """Say that an item needs nothing; its bytes are kept all the same.

    Args:
        note: why; kept with the event.
    """
    with system() as s:
        s.lanes.dismiss(tenant or s.settings.tenant, item, note)
    out.print(f"{item} is dismissed.")
