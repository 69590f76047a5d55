"""The command `query`: the compliance queries, what each counts, and asking one."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from ledger.errors import ConfigurationError
from ops.console import Json, Limit, Tenant, bar, looked, out, print_json, system, why
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.compliance.contract import ComplianceQuery
    from ops.system import System

query = App(
    name="query", help="Compliance queries: unproven, late, disputed, missing evidence, scorecards, who looked …"
)
ALL_SCOPES = ("compliance",)
"""Whoever may run this command may change what others saved."""
Set = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set", consume_multiple=True, negative="", help="NAME=VALUE, a parameter; `query show` lists them"
    ),
]


@query.command(name="list")
def list_(*, json: Json = False) -> None:
    """The queries there are."""
    from adapters.compliance.registry import QUERIES  # noqa: PLC0415  so that --help is quick
    from adapters.http.queries import view  # noqa: PLC0415  as above

    if json:
        print_json([view(each) for each in QUERIES.values()])
        return
    table = Table("query", "answers", box=None)
    for each in QUERIES.values():
        table.add_row(each.id, each.title)
    out.print(table)
    out.print("What one counts and takes: delivery-ledger query show NAME")


@query.command
def show(name: str, /, *, json: Json = False) -> None:
    """What a query counts, takes and answers.

    Args:
        name: as `query list` prints it.
    """
    from adapters.compliance.registry import find  # noqa: PLC0415  as above
    from adapters.http.queries import view  # noqa: PLC0415  as above

    found = find(name)
    if json:
        print_json(view(found))
        return
    out.print(f"{found.id}: {found.title}\n{found.counts}", markup=False)
    for title, rows in (
        ("parameter", _parameters(found)),
        ("column", [(c.name, c.kind, c.meaning) for c in found.columns]),
    ):
        table = Table(title, "default" if title == "parameter" else "kind", "meaning", box=None)
        for row in rows:
            table.add_row(*map(plain, row))
        out.print(table)


def _parameters(found: ComplianceQuery) -> list[tuple[str, str, str]]:
    from adapters.http.queries import view  # noqa: PLC0415  as above

    described: dict[str, dict[str, Any]] = view(found).parameters.get("properties", {})
    return [
        (name, str(said.get("default", "required")), str(said.get("description", "")))
        for name, said in described.items()
    ]


@query.command
def ask(
    name: str,
    /,
    *,
    given: Set = (),
    limit: Limit = 100,
    cursor: str = "",
    reason: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Ask a query; that it was asked is recorded. A long answer is better made as a report: `delivery-ledger report make`.

    Args:
        name: as `query list` prints it, or `query saved`.
        limit: at most so many rows.
        cursor: as the page before said it.
        reason: why; kept with the record.
    """
    from adapters.accounts import CONSOLE  # noqa: PLC0415  as above
    from adapters.compliance import asking  # noqa: PLC0415  as above
    from adapters.compliance.contract import shown  # noqa: PLC0415  as above
    from adapters.compliance.registry import find  # noqa: PLC0415  as above

    with system() as s, bar("asking", quiet=json) as progress, ExitStack() as stack:
        whose = tenant or s.settings.tenant
        named, parameters = _named(s, whose, name)
        parameters |= parsed(given)
        answer = stack.enter_context(asking.asked(s.queries, s.heads, whose, named, parameters, cursor, progress))
        rows = list(islice(answer.rows, limit + 1))
        told = asking.messages(find(named), rows[:limit])
        asking.record(s.accounts, CONSOLE, answer.header, why(s, whose, "queries", reason), told)
    page = rows[:limit]
    following = page[-1].cursor if len(rows) > limit else ""
    header = answer.header
    if json:
        print_json({"header": header, "rows": [shown(header.columns, row) for row in page], "next": following})
        return
    table = Table(*(column.name for column in header.columns), box=None)
    for shown_as, column in zip(table.columns, header.columns, strict=True):
        shown_as.no_wrap, shown_as.overflow = column.kind == "id", "fold"  # ids are copied whole
    for row in page:
        table.add_row(*(_cell(value, column.kind) for value, column in zip(row.values, header.columns, strict=True)))
    out.print(table if page else "No rows.")
    out.print(f"{header.query}: {header.counts}", markup=False)
    out.print(
        f"{len(page)} rows as of position {header.position} (root {header.root[:16]}…), asked {when(header.asked_at)}"
    )
    if header.left_out:
        out.print(
            f"{header.left_out} of all deliveries are to people whose identity is protected, and not among these."
        )
    if following:
        out.print(f"There are more: --cursor {following}", markup=False)


# --- saved queries


@query.command
def save(name: str, query: str, /, *, given: Set = (), tenant: Tenant = "", json: Json = False) -> None:
    """Save a query with its parameters under a name, in the place of what was there.

    Args:
        name: lower-case letters, digits, `_`, `-` and `.`.
        query: as `query list` prints it.
    """
    from adapters.accounts import CONSOLE  # noqa: PLC0415  as above
    from adapters.reports import saved as queries  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        saving = queries.Saving(query=query, parameters=dict(parsed(given)))
        found = queries.save(s.ledger, tenant or s.settings.tenant, name, saving, CONSOLE, ALL_SCOPES)
    print_json(found) if json else out.print(
        f"Saved {found.name}: {found.query}, version {found.version}", markup=False
    )


@query.command
def saved(*, tenant: Tenant = "", json: Json = False) -> None:
    """The saved queries of everybody in the organisation."""
    from adapters.reports import saved as queries  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        found = queries.all_of(s.ledger, tenant or s.settings.tenant)
        looked(s, tenant or s.settings.tenant, "saved")
    if json:
        print_json(found)
        return
    table = Table("name", "query", "parameters", "owner", "changed", box=None)
    for each in found:
        parameters = " ".join(f"{name}={value}" for name, value in each.parameters.items())
        table.add_row(each.name, each.query, plain(parameters), each.owner, when(each.changed_at))
    out.print(table if found else "No query was saved.")


@query.command
def unsave(name: str, /, *, tenant: Tenant = "") -> None:
    """Delete a saved query; its name may be taken again.

    Args:
        name: as `query saved` prints it.
    """
    from adapters.accounts import CONSOLE  # noqa: PLC0415  as above
    from adapters.reports import saved as queries  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        queries.delete(s.ledger, tenant or s.settings.tenant, name, CONSOLE, ALL_SCOPES)
    out.print(f"Deleted {name}.", markup=False)


# --- what both need


def _named(s: System, tenant: str, name: str) -> tuple[str, dict[str, Any]]:
    """The query of a name, and the parameters that were saved with it."""
    from adapters.compliance.registry import QUERIES  # noqa: PLC0415  as above
    from adapters.reports import saved  # noqa: PLC0415  as above

    if name.partition("/")[0] in QUERIES or name not in {each.name for each in saved.all_of(s.ledger, tenant)}:
        return name, {}
    found = saved.find(s.ledger, tenant, name)
    return found.query, dict(found.parameters)


def parsed(given: tuple[str, ...], option: str = "--set") -> dict[str, str]:
    """Parameters as they are written on the command line.

    Raises:
        ConfigurationError: one is not NAME=VALUE, or stands twice.
    """
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or name in found:
            msg = f"{option} {name}: write {option} NAME=VALUE, each name once"
            raise ConfigurationError(msg)
        found[name] = value
    return found


def _cell(value: Any, kind: str) -> Text:
    if value is None:
        return Text("")
    if kind == "time":
        return plain(when(str(value)))
    return plain(" ".join(map(str, value)) if isinstance(value, tuple | list) else str(value))
