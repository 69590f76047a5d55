"""Asks a compliance query: checks its parameters, reads one snapshot, and says in a header what is counted and as of which position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from adapters.accounts import Accounts
from adapters.compliance import contract
from adapters.compliance.contract import ComplianceQuery, Context, CursorError, Header, Row, Values
from adapters.compliance.registry import find
from adapters.strictjson import InvalidError, convert
from ledger.checkpoints import HeadFile
from ledger.events import time_text
from projections import deadlines, grades, rules
from projections.queries import Queries

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is being given.

    Attributes:
        rows: one by one; read them before the block of `asked` ends.
        pages: the values of the same rows, many at a time, for whoever reads all of them; read either.
    """

    header: Header
    rows: Iterator[Row]
    pages: Iterator[Sequence[Values]]


def checked(query: ComplianceQuery, given: Mapping[str, Any]) -> Any:
    """The parameters of a query.

    Raises:
        ValueError: names the parameter that is wrong or unknown, and those there are.
    """
    hints = get_type_hints(query.parameters)
    names = ", ".join(hints) or "none"
    unknown = sorted(given.keys() - hints.keys())
    if unknown:
        msg = f"query {query.name}: there is no parameter {unknown[0][:63]!r}; its parameters are: {names}"
        raise ValueError(msg)
    lists = {name for name, hint in hints.items() if get_origin(hint) is tuple}
    said = {n: v.replace(",", " ").split() if n in lists and isinstance(v, str) else v for n, v in given.items()}
    try:
        return convert(said, query.parameters)
    except InvalidError as error:
        hint = hints.get(error.field)
        choices = [str(each) or '""' for each in get_args(hint)] if get_origin(hint) is Literal else []
        wrong = f"{error.field}: one of {', '.join(choices)}" if choices else str(error).partition("; there are ")[0]
        msg = f"query {query.name}: {wrong}; its parameters are: {names}"
        raise ValueError(msg) from error


@contextmanager
def asked(  # noqa: PLR0917  whose ledger, then what is asked
    queries: Queries,
    heads: HeadFile,
    tenant: str,
    name: str,
    given: Mapping[str, Any],
    after: str = "",
    progress: Progress = lambda _done, _total: None,
) -> Iterator[Answer]:
    """Ask a query; its rows are all of one snapshot, which lives as long as the block.

    Args:
        name: of the query, with its version or without.
        given: parameters, as JSON values or as texts; a text for a list has a comma or a space between two values.
        after: cursor of the last row that was read.

    Raises:
        NotFoundError: no such query.
        ValueError: a parameter or the cursor is wrong.
    """
    query = find(name)
    parameters = checked(query, given)
    now = queries.ledger.clock()
    with queries.snapshot() as snapshot:
        position = snapshot.position()
        context = Context(snapshot, heads, tenant, now, position, progress)
        header = Header(
            query=query.id,
            title=query.title,
            counts=query.counts,
            tenant=tenant,
            parameters=msgspec.to_builtins(parameters),
            position=position,
            root=snapshot.ledger.root_at(position).hex(),
            asked_at=time_text(now),
            rules=(rules.RULES, grades.RULES, deadlines.RULES),
            columns=query.columns,
            left_out=snapshot.left_out(tenant),
        )
        begin = f"{query.name}:"  # a cursor of one query says nothing to another
        if after and not after.startswith(begin):
            raise CursorError(after)
        rows = query.rows(context, parameters, after.removeprefix(begin))
        yield Answer(header, (Row(row.values, begin + row.cursor) for row in rows), contract.pages(rows))


def messages(query: ComplianceQuery, rows: Iterable[Row]) -> list[str]:
    """The messages of whom rows tell something."""
    at = [number for number, column in enumerate(query.columns) if column.name == "message" and query.shows_messages]
    return list(dict.fromkeys(str(row.values[number]) for row in rows for number in at if row.values[number]))


def record(accounts: Accounts, actor: str, header: Header, reason: str = "", shown: Sequence[str] = ()) -> int:
    """Record who asked what and why; call it before anybody sees a row.

    Args:
        actor: id of an API key, or `console`.
        shown: messages of whom it is about to be told something.

    Returns:
        The position of the event.
    """
    clear: dict[str, Any] = {"rule": "access.query", "code": header.query, "tree_size": header.position}
    clear |= {"streams": list(shown)} if shown else {}
    said = {"parameters": dict(header.parameters)}
    return accounts.record("access.recorded", header.tenant, actor, actor, clear, reason, said)
