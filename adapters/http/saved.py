"""Saved queries over HTTP: a name for a compliance query with its parameters."""

from __future__ import annotations

import msgspec

from adapters.compliance.registry import find
from adapters.http.authentication import require_scope
from adapters.http.queries import SCOPES, Asked, QueryAnswer, answered
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.reports import saved
from adapters.reports.saved import SavedQuery, Saving
from adapters.strictjson import refuse
from ledger.errors import NotFoundError


class SavedQueries(msgspec.Struct, frozen=True):
    """The tenant's saved queries, by name."""

    queries: tuple[SavedQuery, ...]


@route("GET /v1/saved-queries", scopes=SCOPES, answers={200: SavedQueries}, access="saved")
def list_saved(call: Call[NoQuery, None]) -> Answer:
    """The saved queries of everybody in the organisation."""
    return Answer(SavedQueries(tuple(saved.all_of(call.services.ledger, call.tenant))))


@route("GET /v1/saved-queries/{saved}", scopes=SCOPES, answers={200: SavedQuery}, access="saved")
def show_saved(call: Call[NoQuery, None]) -> Answer:
    """One saved query."""
    return Answer(saved.find(call.services.ledger, call.tenant, call.path["saved"]))


@route(
    "PUT /v1/saved-queries/{saved}",
    scopes=SCOPES,
    answers={200: SavedQuery},
    problems=(403, 412),
    example={"query": "disputed", "parameters": {"provider": "ekopost"}},
)
def put_saved(call: Call[NoQuery, Saving]) -> Answer:
    """Save a query under a name. Only who made it first, or a key with the scope compliance, may change it."""
    try:
        require_scope(call.key, find(call.body.query).scopes)
    except NotFoundError as error:
        refuse("query", str(error))
    given = (call.tenant, call.path["saved"], call.body, call.actor, call.key.scopes)
    return Answer(saved.save(call.services.ledger, *given))


@route(
    "POST /v1/saved-queries/{saved}/answer",
    scopes=SCOPES,
    answers={200: QueryAnswer},
    problems=(404,),
    example={"limit": 100, "reason": "monthly review"},
    reads_only=True,
    demands="queries",
)
def ask_saved(call: Call[NoQuery, Asked]) -> Answer:
    """Ask a saved query; parameters that are given take the place of those that were saved."""
    found = saved.find(call.services.ledger, call.tenant, call.path["saved"])
    return answered(call, found.query, {**found.parameters, **call.body.parameters})


@route("DELETE /v1/saved-queries/{saved}", scopes=SCOPES, answers={204: None}, problems=(403, 412))
def delete_saved(call: Call[NoQuery, None]) -> Answer:
    """Delete a saved query; its name may be taken again."""
    saved.delete(call.services.ledger, call.tenant, call.path["saved"], call.actor, call.key.scopes)
    return Answer(status=204)
