"""Disputes: which deliveries are disputed, both sides of one, and a person's decision."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from adapters.http.guards import listed
from adapters.http.lookups import READERS
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, Note, Paging, Position, Reading
from adapters.records import END, UUID
from adapters.settling import Dispute, Settling
from adapters.strictjson import refuse
from ledger.errors import NotFoundError
from projections.queries import Filters
from projections.rules import Status
from projections.views import Page

SETTLERS = ("operator", "compliance")
EventId = Annotated[str, Meta(pattern=f"^{UUID}{END}", description="id of an event")]


class NewSettlement(Given):
    """What a person decided.

    Attributes:
        sets_aside: ids of the facts that no longer count, out of those that contradict each other.
        position: of the answer that was looked at; what came later is not settled unseen.
    """

    sets_aside: Annotated[tuple[EventId, ...], Meta(min_length=1, max_length=1_000)]
    note: Note
    position: Position | None = None


class Withdrawal(Given):
    """Which settlement is taken back: the id of its event."""

    settlement: EventId
    note: Note


@route("GET /v1/disputes", scopes=READERS, answers={200: Page}, access="search")
def list_disputes(call: Call[Paging, None]) -> Answer:
    """Deliveries whose final facts contradict each other, newest message first."""
    asked, filters = call.query, Filters(status=str(Status.DISPUTED))
    try:
        page = call.services.queries.search(call.tenant, filters, asked.cursor, asked.limit)
    except NotFoundError as error:
        refuse("cursor", str(error))
    return listed(page, (view.message for view in page.deliveries))


@route(
    "GET /v1/messages/{message}/deliveries/{recipient}/dispute",
    scopes=READERS,
    answers={200: Dispute},
    access="trail",
)
def show_dispute(call: Call[Reading, None]) -> Answer:
    """Both sides: each fact with its time, source, originals, and the status and grade if it alone held; and what was decided before."""
    return Answer(_settling(call).show(*_delivery(call)))


@route(
    "POST /v1/messages/{message}/deliveries/{recipient}/resolution",
    scopes=SETTLERS,
    answers={200: Dispute},
    problems=(409,),
)
def resolve_dispute(call: Call[NoQuery, NewSettlement]) -> Answer:
    """Set facts aside, so that what is left does not contradict itself. A later fact that is not named opens the question again."""
    said = call.body
    return Answer(_settling(call).resolve(*_delivery(call), said.sets_aside, said.note, said.position))


@route(
    "POST /v1/messages/{message}/deliveries/{recipient}/resolution/withdraw",
    scopes=SETTLERS,
    answers={200: Dispute},
    problems=(409,),
)
def withdraw_settlement(call: Call[NoQuery, Withdrawal]) -> Answer:
    """Take a settlement back: what it set aside counts again."""
    return Answer(_settling(call).withdraw(*_delivery(call), call.body.settlement, call.body.note))


def _settling(call: Call[Any, Any]) -> Settling:
    return Settling(call.services.queries.ledger, call.tenant, call.actor)


def _delivery(call: Call[Any, Any]) -> tuple[str, int]:
    return call.path["message"], int(call.path["recipient"])
