"""The commands `safeguards`: what an organisation demands of its own people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from ledger.errors import ConfigurationError
from ops.acts_cli import waits
from ops.console import Json, Tenant, out, print_json, system

if TYPE_CHECKING:
    from adapters.safeguards import Safeguards

safeguards = App(
    name="safeguards",
    help="What an organisation demands of its own people: a second person, a reason, whole addresses.",
)


@safeguards.command
def show(*, tenant: Tenant = "", json: Json = False) -> None:
    """What takes two people, what needs a reason, and whether a part of an address may be searched for."""
    from adapters import safeguards as demanded  # noqa: PLC0415  so that --help is quick

    with system(fresh=False) as s:
        found = demanded.of(s.queries, tenant or s.settings.tenant)
    print_json(found) if json else _show(found)


def _show(found: Safeguards) -> None:
    from adapters.safeguards import FOUR_EYES, REASONS  # noqa: PLC0415  as above

    for title, table, switched in (
        ("Two people", FOUR_EYES, found.four_eyes),
        ("A reason", REASONS, found.reasons),
    ):
        out.print(f"{title} for:")
        for name, meaning in table.items():
            out.print(f"  {'on ' if name in switched else 'off'} {name}: {meaning}")
    out.print(f"Search by a part of an address: {'allowed' if found.partial_search else 'not allowed'}.")


@safeguards.command(name="set")
def set_(
    *,
    reason: str,
    four_eyes: list[str] | None = None,
    reasons: list[str] | None = None,
    partial_search: bool | None = None,
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Say what is demanded from now on; what is not given stays as it is. Less than before takes two people, while anything does.

    Args:
        reason: why; sealed beside the event.
        four_eyes: what takes two people: erasure, hold.release, retention; several times, or `none`.
        reasons: what needs a reason: look-ups, evidence, queries, exports; several times, or `none`.
        partial_search: people may be searched for by a part of their address.
    """
    from adapters import carrying  # noqa: PLC0415  as above
    from adapters import safeguards as demanded  # noqa: PLC0415

    with system(fresh=False) as s:
        whose = tenant or s.settings.tenant
        now = demanded.of(s.queries, whose)
        wanted = demanded.Safeguards(
            now.four_eyes if four_eyes is None else _chosen("--four-eyes", four_eyes, tuple(demanded.FOUR_EYES)),
            now.reasons if reasons is None else _chosen("--reasons", reasons, tuple(demanded.REASONS)),
            now.partial_search if partial_search is None else partial_search,
        )
        done = carrying.demand(s.accounts, s.queries, whose, wanted, reason)
    if json:
        print_json(done)
    elif isinstance(done, demanded.Safeguards):
        _show(done)
    else:
        out.print(waits(done))


def _chosen(option: str, names: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in {*known, "none"}]
    if unknown or ("none" in names and len(names) > 1):
        msg = f"{option}: give any of {', '.join(known)}, or none"
        raise ConfigurationError(msg)
    return tuple(name for name in known if name in names)
