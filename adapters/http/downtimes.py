"""When providers did not work: entered by persons, or noticed by the ledger itself."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from adapters import downtime as downtimes
from adapters.downtime import Listed
from adapters.http.accounts import OPERATORS
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, Limit, Note, Noted, Position
from adapters.records import AwareTime, Name, utc
from projections.downtimes import Downtime


class NewDowntime(Given):
    """A time in which a provider did not work for an account.

    Attributes:
        until: absent while it goes on.
    """

    account: Name
    since: AwareTime
    note: Note
    until: AwareTime | None = None


class DowntimeOver(Given):
    """That a downtime is over."""

    until: AwareTime
    note: Note


class DowntimeQuery(Given):
    """Query of the downtimes.

    Attributes:
        account: of this account only.
        min_position: wait until the answer reflects at least this position.
    """

    account: Annotated[str, Meta(max_length=63)] = ""
    limit: Limit = 100
    min_position: Position = 0


class DowntimeList(msgspec.Struct, frozen=True):
    """Downtimes, newest first, also those that were withdrawn."""

    downtimes: tuple[Listed, ...]
    position: int


@route("GET /v1/downtimes", scopes=OPERATORS, answers={200: DowntimeList})
def list_downtimes(call: Call[DowntimeQuery, None]) -> Answer:
    """The downtimes of the tenant's accounts, newest first, with who says so and what was noted."""
    position = call.services.queries.position()
    found = downtimes.listed(call.services.ledger, call.tenant, call.query.account, call.query.limit)
    return Answer(DowntimeList(tuple(found), position))


@route("POST /v1/downtimes", scopes=OPERATORS, answers={201: Downtime}, problems=(404,))
def enter(call: Call[NoQuery, NewDowntime]) -> Answer:
    """Say that a provider did not work for an account; it is shown beside the deliveries that it touches. The same again is once."""
    new, accounts = call.body, call.services.accounts
    since, until = utc("since", new.since), utc("until", new.until) if new.until else None
    found = downtimes.enter(accounts, call.tenant, new.account, since, until, note=new.note, actor=call.actor)
    return Answer(found, 201, {"Location": "/v1/downtimes"})


@route("POST /v1/downtimes/{downtime}/end", scopes=OPERATORS, answers={200: Downtime}, problems=(409,))
def end(call: Call[NoQuery, DowntimeOver]) -> Answer:
    """Say when a downtime that goes on was over."""
    until, ledger = utc("until", call.body.until), call.services.ledger
    named = call.path["downtime"]
    return Answer(downtimes.end(ledger, call.tenant, named, until, note=call.body.note, actor=call.actor))


@route("POST /v1/downtimes/{downtime}/withdraw", scopes=OPERATORS, answers={200: Downtime})
def withdraw(call: Call[NoQuery, Noted]) -> Answer:
    """Say that a downtime never was; its events stay. Withdrawn once more it stays so."""
    ledger, named = call.services.ledger, call.path["downtime"]
    return Answer(downtimes.withdraw(ledger, call.tenant, named, note=call.body.note, actor=call.actor))
