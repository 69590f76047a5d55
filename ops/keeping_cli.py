"""The commands `holds` and `retention`: what must be kept, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter
from rich.table import Table

from adapters.accounts import CONSOLE
from adapters.strictjson import InvalidError
from ledger.errors import ConfigurationError
from ops.acts_cli import waits
from ops.console import Json, Tenant, looked, operated, out, print_json, system
from ops.query_cli import parsed
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.acts import Act
    from adapters.keeping import Hold, Policy
    from adapters.retiring import Applied

Where = Annotated[
    tuple[str, ...],
    Parameter(
        consume_multiple=True,
        negative="",
        help="NAME=VALUE: provider, account, since, until, recipient, label or batch; of several all must hold",
    ),
]
holds = App(name="holds", help="Legal holds: what must not be removed, whatever a retention policy says.")
retention = App(
    name="retention", help="How long what each provider carried is kept; without a policy nothing is ever due."
)


@holds.command
def place(
    *,
    reason: str,
    message: str = "",
    recipient: str = "",
    batch: str = "",
    label: str = "",
    where: Where = (),
    floor: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Place a hold on one message, or on everything under a recipient, batch, label or query, what comes later included.

    Args:
        reason: why; sealed beside the event.
        message: a message's id.
        recipient: an e-mail address, phone or fax number, postal address …, in any spelling.
        floor: UTC day (2030-01-01) or time with a zone before which it cannot be released.
    """
    from adapters import keeping  # noqa: PLC0415  so that --help is quick

    given = {"message": message, "recipient": recipient, "batch": batch, "label": label, "query": _query(where)}
    named = {scope: value for scope, value in given.items() if value}
    if len(named) != 1:
        msg = "give one of --message, --recipient, --batch, --label and --where"
        raise ConfigurationError(msg)
    ((scope, value),) = named.items()
    with system() as s:
        placed = keeping.place(s.accounts, s.queries, tenant or s.settings.tenant, scope, value, reason, _floor(floor))
    print_json(placed) if json else out.print(f"Hold {placed.hold} is in force.")


def _query(where: tuple[str, ...]) -> str:
    from adapters.heldquery import HeldQuery, written  # noqa: PLC0415  as above

    try:
        return written(msgspec.convert(parsed(where, "--where"), HeldQuery)) if where else ""
    except (msgspec.ValidationError, InvalidError) as error:
        msg = f"--where: {error}; there are {', '.join(HeldQuery.__struct_fields__)}"
        raise ConfigurationError(msg) from error


def _floor(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        at = None
    if text and (at is None or (at.tzinfo is None and len(text) > len("2030-01-01"))):
        msg = "--floor: write a day (2030-01-01) or a time with its zone (2030-01-01T12:00:00Z)"
        raise ConfigurationError(msg)
    return at.replace(tzinfo=at.tzinfo or UTC) if at else None


@holds.command(name="list")
def holds_list(*, all_: bool = False, tenant: Tenant = "", json: Json = False) -> None:
    """The holds in force, what each is on and why.

    Args:
        all_: those that ended, too.
    """
    from adapters import keeping  # noqa: PLC0415  as above

    with system() as s:
        found = keeping.holds(s.queries, tenant or s.settings.tenant, released=all_)
        looked(s, tenant or s.settings.tenant, "holds")
    print_json(found) if json else _show_holds(found)


def _show_holds(found: Sequence[Hold]) -> None:
    table = Table("hold", "on", "what", "since", "not before", "ended", "why", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "hold", "fold"  # ids are copied whole
    for each in found:
        times = (when(at) if at else "-" for at in (each.placed_at, each.floor, each.released_at))
        table.add_row(*(plain(text) for text in (each.hold, each.scope, each.value, *times, each.reason)))
    out.print(table if found else "No holds.")


@holds.command
def release(hold: str, /, *, reason: str, tenant: Tenant = "", json: Json = False) -> None:
    """End a hold, or ask for its end where that takes two people; one that has ended stays as it is.

    Args:
        hold: its id, as `holds list` prints it.
        reason: why; sealed beside the event.
    """
    from adapters import carrying, keeping  # noqa: PLC0415  as above

    with system() as s:
        done = carrying.release(s.accounts, s.queries, tenant or s.settings.tenant, hold, reason)
    if json:
        print_json(done)
    elif isinstance(done, keeping.Hold):
        out.print(f"Hold {done.hold} ended {when(done.released_at)}.")
    else:
        out.print(waits(done))


@retention.command(name="set")
def set_(
    *, provider: str, keep: str, label: str = "", reason: str = "", tenant: Tenant = "", json: Json = False
) -> None:
    """Say how long to keep what a provider carried, counted from when the ledger first heard of a message.

    Nothing of it is erased within seven days from then, so that a mistake can be taken back.

    Args:
        provider: as `delivery-ledger providers` names it.
        keep: 10y, 18m or 90d.
        label: only for what bears it; goes before a policy without a label, and of several the longest counts.
        reason: why; needed where this takes two people.
    """
    done = _keep(tenant, provider, keep, label, reason)
    _say(done, f"What {provider} carried is kept for {keep}.", json=json)


@retention.command
def remove(*, provider: str, label: str = "", reason: str = "", tenant: Tenant = "", json: Json = False) -> None:
    """End the policy for a provider, or for what bears a label.

    Args:
        reason: why; needed where this takes two people.
    """
    done = _keep(tenant, provider, "", label, reason)
    _say(done, f"There is no such policy for {provider} any more.", json=json)


def _keep(tenant: str, provider: str, term: str, label: str, reason: str) -> Policy | Act:
    from adapters import carrying  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        return carrying.keep(s.accounts, s.queries, tenant or s.settings.tenant, provider, term, label, reason)


def _say(done: Policy | Act, text: str, *, json: bool) -> None:
    from adapters.keeping import Policy  # noqa: PLC0415  as above

    print_json(done) if json else out.print(text if isinstance(done, Policy) else waits(done))


@retention.command(name="list")
def retention_list(*, tenant: Tenant = "", json: Json = False) -> None:
    """The policies in force."""
    from adapters import keeping  # noqa: PLC0415  as above

    with system() as s:
        found = keeping.policies(s.queries, tenant or s.settings.tenant)
    if json:
        print_json(found)
        return
    table = Table("provider", "label", "keep", "since", box=None)
    for each in found:
        table.add_row(*(plain(text) for text in (each.provider, each.label or "-", each.keep, when(each.set_at))))
    out.print(table if found else "No policies: nothing is ever due.")


@retention.command
def apply(*, yes: bool = False, dry_run: bool = False, tenant: Tenant = "", json: Json = False) -> None:
    """Erase what the policies say is due and nothing keeps, message by message; where `serve` runs, that is done each day.

    Without --yes it says what would go. A message goes as a whole, when everything in it is due and final, and nothing of it is on hold.
    Where this login may not destroy, what is said to be erased is destroyed by `delivery-ledger erase carry-out`.

    Args:
        yes: erase; without it, or with --dry-run, nothing is changed.
        dry_run: only say what would go.
    """
    from ops.erasing import retirer  # noqa: PLC0415  as above

    with system() as s:
        whose, is_real = tenant or s.settings.tenant, yes and not dry_run
        if is_real:
            operated(s, "retention apply", whose)
        found = retirer(s).apply(whose, CONSOLE) if is_real else retirer(s).preview(whose)
    print_json(found) if json else _show_applied(found, is_real=is_real)


def _show_applied(found: Sequence[Applied], *, is_real: bool) -> None:
    table = Table("provider", "label", "keep", "erased" if is_real else "would go", "on hold", "kept", box=None)
    for each in found:
        counts = (str(count) for count in (each.messages, each.held, each.kept))
        table.add_row(each.provider, plain(each.label or "-"), each.keep, *counts)
    out.print(table if found else "Nothing is due.")
    if found and not is_real:
        out.print("Nothing was changed; erase it with: delivery-ledger retention apply --yes")
