"""Lists: search by what a person knows, everything under a label, and the feed of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.http.guards import listed
from adapters.http.known import reader
from adapters.http.lookups import READERS
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import ByLabel, Feed, FeedEvent, FeedQuery, Search, SearchFilters
from adapters.records import utc
from adapters.strictjson import refuse
from ledger.application import PAGE
from ledger.errors import NotFoundError
from ledger.events import time_text
from ledger.tree import leaf_hash
from projections.asof import Past
from projections.queries import Filters, Queries
from projections.views import Page

MAX_SCANNED = 10 * PAGE


def _named(calls: Sequence[Call[NoQuery, Search]]) -> list[Answer | None]:
    """Searches of one organisation for nothing but a reference, as it is now."""
    asked = [_only_reference(each.body) for each in calls]
    found = iter(calls[0].services.queries.glance_references(calls[0].tenant, [each for each in asked if each]))
    pages = [next(found) if each else None for each in asked]
    return [listed(page, (view.message for view in page.deliveries)) if page else None for page in pages]


def _only_reference(asked: Search) -> tuple[str, int] | None:
    """The reference and the limit, if nothing else is asked for."""
    only = Search(reference=asked.reference, limit=asked.limit, min_position=asked.min_position)
    return (asked.reference, asked.limit) if asked.reference and asked == only else None


@route(
    "POST /v1/search",
    scopes=READERS,
    together=_named,
    answers={200: Page},
    access="search",
    example={"recipient": "06-12345678", "since": "2026-03-01T00:00:00Z", "limit": 20},
    reads_only=True,
    problems=(404,),
)
def search(call: Call[NoQuery, Search]) -> Answer:
    """Deliveries that all given filters fit, newest message first; without a filter all of them.

    A page that has looked at enough says where to go on: it may be short, or empty, and still have `next`.
    """
    return _page(call, filters_of(call.body), reader(call, call.body))


def filters_of(asked: SearchFilters) -> Filters:
    """Filters as the queries take them."""
    return Filters(
        recipient=asked.recipient,
        address_kind=asked.address_kind or "",
        reference=asked.reference,
        label=asked.label,
        batch=asked.batch,
        provider=asked.provider or "",
        account=asked.account or "",
        status=str(asked.status or ""),
        grade=str(asked.grade or ""),
        mark=asked.mark or "",
        since=time_text(utc("since", asked.since)) if asked.since else "",
        until=time_text(utc("until", asked.until)) if asked.until else "",
        document=asked.document,
    )


@route("POST /v1/labels/deliveries", scopes=READERS, answers={200: Page}, access="search", reads_only=True)
def under_label(call: Call[NoQuery, ByLabel]) -> Answer:
    """Everything under one label (policy, case, customer …), across all providers and channels."""
    return _page(call, Filters(label=call.body.label), call.services.queries)


def _page(call: Call[NoQuery, Any], filters: Filters, answering: Queries | Past) -> Answer:
    try:
        page = answering.search(call.tenant, filters, call.body.cursor, call.body.limit)
    except NotFoundError as error:
        refuse("cursor", str(error))
    return listed(page, (view.message for view in page.deliveries))


@route("GET /v1/events", scopes=READERS, answers={200: Feed}, access="feed")
def feed(call: Call[FeedQuery, None]) -> Answer:
    """The tenant's events as they are stored, by position; every value in them is a commitment.

    Ask again with `after` = `next`; when `next` is `tree_size`, everything there is was given.
    """
    ledger, asked = call.services.ledger, call.query
    tree_size = ledger.head().size
    events: list[FeedEvent] = []
    after = asked.after
    while len(events) < asked.limit and after < tree_size and after - asked.after < MAX_SCANNED:
        until = min(after + PAGE, tree_size)
        for event in ledger.between(after, until):
            if event.tenant == call.tenant:
                events.append(FeedEvent(event.position, event.leaf.decode(), leaf_hash(event.leaf).hex()))
                if len(events) == asked.limit:
                    until = event.position
                    break
        after = until
    return Answer(Feed(tuple(events), after, max(tree_size, after)))
