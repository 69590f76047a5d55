"""Searching people by a part of their address, where the organisation allows it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from adapters import partial
from adapters.http.lists import filters_of
from adapters.http.lookups import READERS
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Position, SearchFilters
from adapters.partial import MAX_FOUND, MIN_CHARS, Part
from adapters.strictjson import refuse
from ledger.errors import NotFoundError


class Containing(SearchFilters, kw_only=True):
    """A page of the deliveries that all given filters fit and whose address contains a part.

    Attributes:
        contains: in any case and with any white space; of a number its digits are enough.
        cursor: `next` of the page before.
    """

    contains: Annotated[str, Meta(min_length=MIN_CHARS, max_length=1_000)]
    cursor: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_FOUND)] = 50
    min_position: Position = 0


@route(
    "POST /v1/search/containing",
    scopes=READERS,
    answers={200: Part},
    example={"contains": "jansen", "account": "sms-1", "since": "2026-03-01T00:00:00Z"},
    reads_only=True,
    demands="look-ups",
)
def containing(call: Call[NoQuery, Containing]) -> Answer:
    """People by a part of their address: off (403) unless the organisation switches `partial_search` on, PUT /v1/safeguards.

    At least one filter narrows the search: since, account, batch, label, reference, document or recipient. A page opens a bounded
    number of sealed addresses and says how many; it may be short, or empty, and still have `next`. Each page is recorded as an access of
    its own kind. Who is erased or protected is never found.
    """
    asked = call.body
    try:
        page = partial.find(
            call.services.queries, call.tenant, asked.contains, filters_of(asked), asked.cursor, asked.limit
        )
    except NotFoundError as error:
        refuse("cursor", str(error))
    partial.record(call.services.accounts, call.tenant, call.actor, page, call.reason)
    return Answer(page, shown=tuple(dict.fromkeys(each.message for each in page.deliveries)))
