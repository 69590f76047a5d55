"""Compliance queries over HTTP: which there are, and asking one; each asking is recorded before it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.compliance import asking
from adapters.compliance.contract import ComplianceQuery, Header, shown
from adapters.compliance.registry import QUERIES, find
from adapters.http.authentication import require_scope
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, Limit
from adapters.strictjson import refuse
from ledger.errors import NotFoundError

SCOPES = tuple(dict.fromkeys(scope for query in QUERIES.values() for scope in query.scopes))


class ColumnView(msgspec.Struct, frozen=True):
    """A column of an answer; `personal`: its values may name a person."""

    name: str
    kind: str
    meaning: str
    personal: bool


class QueryView(msgspec.Struct, frozen=True):
    """A compliance query.

    Attributes:
        counts: what exactly is counted, and what is not.
        parameters: JSON Schema of what it takes, with the defaults.
    """

    name: str
    version: int
    title: str
    counts: str
    parameters: dict[str, Any]
    columns: tuple[ColumnView, ...]
    scopes: tuple[str, ...]


class QueryViews(msgspec.Struct, frozen=True):
    """All compliance queries."""

    queries: tuple[QueryView, ...]


class Asked(Given):
    """What a query is asked with.

    Attributes:
        parameters: as the query lists them; those that are absent have their defaults.
        reason: why it is asked; kept with the record of the asking.
    """

    parameters: dict[str, Any] = {}
    cursor: Annotated[str, Meta(max_length=500, description="`next` of the page before")] = ""
    limit: Limit = 100
    reason: Annotated[str, Meta(max_length=1_000)] = ""


class QueryAnswer(msgspec.Struct, frozen=True):
    """A page of an answer.

    Attributes:
        rows: by name of the column, in a stable order.
        next: continues the answer; "" at its end.
    """

    header: Header
    rows: tuple[dict[str, Any], ...]
    next: str


def view(query: ComplianceQuery) -> QueryView:
    """A query, described."""
    schema = msgspec.json.schema(query.parameters)
    described: dict[str, Any] = schema["$defs"][query.parameters.__name__]
    columns = tuple(ColumnView(*column) for column in query.columns)
    return QueryView(query.name, query.version, query.title, query.counts, described, columns, query.scopes)


@route("GET /v1/queries", scopes=SCOPES, answers={200: QueryViews})
def list_queries(_call: Call[NoQuery, None]) -> Answer:
    """The compliance queries: what each counts, takes and answers."""
    return Answer(QueryViews(tuple(view(query) for query in QUERIES.values())))


@route("GET /v1/queries/{query}", scopes=SCOPES, answers={200: QueryView})
def show_query(call: Call[NoQuery, None]) -> Answer:
    """One compliance query."""
    return Answer(view(find(call.path["query"])))


@route(
    "POST /v1/queries/{query}/answer",
    scopes=SCOPES,
    answers={200: QueryAnswer},
    problems=(404,),
    example={"parameters": {}, "limit": 100, "reason": "monthly review"},
    reads_only=True,
    demands="queries",
)
def ask_query(call: Call[NoQuery, Asked]) -> Answer:
    """Ask a compliance query; who asked what, when and why is recorded first. A longer answer is made as a report."""
    return answered(call, call.path["query"], call.body.parameters)


def answered(call: Call[NoQuery, Asked], name: str, parameters: Mapping[str, Any]) -> Answer:
    """A page of the answer of a query; that it was asked is recorded before it leaves."""
    asked, services = call.body, call.services
    query = find(name)
    require_scope(call.key, query.scopes)
    try:
        with asking.asked(
            services.queries, services.log.heads, call.tenant, query.name, parameters, asked.cursor
        ) as answer:
            rows = list(islice(answer.rows, asked.limit + 1))
            shown_ones = asking.messages(query, rows[: asked.limit])
            asking.record(services.accounts, call.actor, answer.header, call.reason, shown_ones)
    except (ValueError, NotFoundError) as error:
        refuse("", str(error))
    page = rows[: asked.limit]
    following = page[-1].cursor if len(rows) > len(page) else ""
    return Answer(QueryAnswer(answer.header, tuple(shown(query.columns, row) for row in page), following))
