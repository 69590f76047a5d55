"""What waits for a person, and what the person does about it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from adapters.http.accounts import OPERATORS
from adapters.http.guards import listed
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Claim, Given, LaneList, LaneQuery, Noted, Position, Reading, Settled
from adapters.suggestions import SHOWN, Suggestions, suggest
from ledger.decision import Outcome
from projections.views import LaneItem


class Suggesting(Given):
    """Query of suggestions.

    Attributes:
        min_position: wait until the answer reflects at least this position.
    """

    limit: Annotated[int, Meta(ge=1, le=50, description="at most this many")] = SHOWN
    min_position: Position = 0


@route("GET /v1/lanes", scopes=OPERATORS, answers={200: LaneList}, access="lanes")
def list_lanes(call: Call[LaneQuery, None]) -> Answer:
    """What could not be read or matched, oldest first, and webhooks that failed verification, newest first."""
    services, asked = call.services, call.query
    position = services.queries.position()
    items = services.queries.lanes(call.tenant, "" if asked.state == "all" else asked.state, limit=asked.limit)
    quarantined = services.quarantine.list(call.tenant)[: asked.limit]
    return Answer(LaneList(tuple(items), tuple(quarantined), position))


@route("GET /v1/lanes/{item}", scopes=OPERATORS, answers={200: LaneItem}, access="lanes")
def show(call: Call[Reading, None]) -> Answer:
    """One item; its originals are at /v1/artifacts."""
    return Answer(call.services.lanes.item(call.tenant, call.path["item"])[0])


@route(
    "GET /v1/lanes/{item}/suggestions", scopes=OPERATORS, answers={200: Suggestions}, problems=(410,), access="search"
)
def suggestions(call: Call[Suggesting, None]) -> Answer:
    """Messages to which it may belong, the likeliest first, with what speaks for each and how much that counts."""
    found = suggest(call.services.lanes, call.tenant, call.path["item"], call.query.limit)
    return listed(found, (each.message for each in found.suggestions))


@route("POST /v1/lanes/{item}/retry", scopes=OPERATORS, answers={200: Settled}, problems=(409, 410))
def retry(call: Call[NoQuery, Noted]) -> Answer:
    """Read it again with today's code; 409 when that reads it no better."""
    outcome = call.services.lanes.retry(call.tenant, call.path["item"], call.body.note, call.actor)
    return _settled(call.path["item"], "retried", outcome)


@route("POST /v1/lanes/{item}/claim", scopes=OPERATORS, answers={200: Settled}, problems=(409, 410))
def claim(call: Call[NoQuery, Claim]) -> Answer:
    """Say which message it belongs to."""
    asked = call.body
    outcome = call.services.lanes.claim(call.tenant, call.path["item"], asked.message, asked.note, call.actor)
    return _settled(call.path["item"], "claimed", outcome)


@route("POST /v1/lanes/{item}/unclaim", scopes=OPERATORS, answers={200: Settled}, problems=(409,))
def unclaim(call: Call[NoQuery, Noted]) -> Answer:
    """Take a claim back: what it brought counts no longer for that message, and the item waits again."""
    item = call.path["item"]
    message = call.services.lanes.unclaim(call.tenant, item, call.body.note, call.actor)
    return Answer(Settled(item, "open", (), (message,)))


@route("POST /v1/lanes/{item}/dismiss", scopes=OPERATORS, answers={200: Settled})
def dismiss(call: Call[NoQuery, Noted]) -> Answer:
    """Say that it needs nothing; its bytes are kept all the same. An item that is settled already stays as it is."""
    item, _ = call.services.lanes.item(call.tenant, call.path["item"])
    if item.state == "open":
        call.services.lanes.dismiss(call.tenant, item.item, call.body.note, call.actor)
    return _settled(item.item, "dismissed" if item.state == "open" else item.state, Outcome())


def _settled(item: str, state: str, outcome: Outcome) -> Answer:
    return Answer(Settled(item, state, tuple(outcome.facts), tuple(outcome.messages)))
