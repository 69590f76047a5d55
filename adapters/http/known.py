"""Who answers a look-up: the read models, or, where an earlier moment is asked for, the log up to there."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from adapters.http.errors import NotReachedError
from adapters.http.routes import Call
from adapters.records import utc
from adapters.strictjson import refuse
from ledger.events import time_text
from projections.asof import AsOf, Past, Rules
from projections.queries import Queries


class Asked(Protocol):
    """The fields of a request that say of when its answer is to be."""

    position: int
    known_at: datetime | None
    occurred_at: datetime | None
    rules: Rules


def is_now(asked: Asked) -> bool:
    """Whether nothing but the present is asked for."""
    return not (asked.position or asked.known_at or asked.occurred_at)


def reader(call: Call[Any, Any], asked: Asked) -> Queries | Past:
    """What answers.

    Raises:
        InvalidError: the moment is not over yet, or both a time and a position are given.
        NotFoundError: nothing was recorded by then.
        NotReachedError: the read models, which lists begin with, are not there yet.
    """
    queries = call.services.queries
    asof = AsOf(
        position=asked.position,
        known_at=_text("known_at", asked.known_at),
        occurred_at=_text("occurred_at", asked.occurred_at),
        rules=asked.rules,
    )
    if not asof.is_past:
        return queries
    try:
        past = Past(queries, asof)
    except ValueError as error:
        refuse("known_at" if asof.known_at else "position", str(error))
    if queries.position() < past.position:
        raise NotReachedError
    return past


def _text(field: str, at: datetime | None) -> str:
    return time_text(utc(field, at)) if at else ""
