"""Where is it now, and why: one message, its deliveries, their trails and explanations."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from adapters.explaining.explanation import Explanation, explain
from adapters.forecasts import fetchable, with_terms
from adapters.http.errors import TooManyRecipientsError
from adapters.http.guards import tagged
from adapters.http.known import is_now, reader
from adapters.http.routes import Answer, Call, route
from adapters.http.types import Deliveries, Explaining, Paging, Then
from adapters.providers import registry
from adapters.strictjson import refuse
from projections.asof import Past
from projections.queries import MAX_PAGE, Queries
from projections.views import DeliveryView, MessageView, Trail

READERS = ("read", "compliance")
SECRET_REFERENCES = frozenset[str]().union(*(provider.secret_references for provider in registry().values()))
"""Only a key that may see originals is shown their values."""
SHOWN = 2
"""Characters of such a value that are left, so that people can tell two apart."""
TAG = {"If-None-Match": "entity tag of the answer you hold; 304 when it is unchanged"}


def _message(call: Call[Any, Any]) -> str:
    """The message of the path, checked to be the tenant's; follows a joining."""
    return call.services.queries.message_row(call.tenant, call.path["message"]).message


def _recipient(call: Call[Any, Any]) -> int:
    return int(call.path["recipient"])


def _messages_at_a_glance(calls: Sequence[Call[Then, None]]) -> list[Answer | None]:
    """Messages of one organisation as they are now."""
    call = calls[0]
    now = [is_now(each.query) for each in calls]
    wanted = [each.path["message"] for each, is_wanted in zip(calls, now, strict=True) if is_wanted]
    found = iter(call.services.queries.glance_messages(call.tenant, wanted))
    fetch = fetchable(call.services.ledger.database, call.tenant)
    views = [next(found) if is_wanted else None for is_wanted in now]
    return [
        _message_told(each, view, map(fetch, view.deliveries)) if view else None
        for each, view in zip(calls, views, strict=True)
    ]


@route(
    "GET /v1/messages/{message}",
    scopes=READERS,
    answers={200: MessageView, 304: None},
    headers=TAG,
    access="status",
    together=_messages_at_a_glance,
)
def message(call: Call[Then, None]) -> Answer:
    """One message: what is held of it, and its first deliveries; now, or as of an earlier moment."""
    view = reader(call, call.query).message(call.tenant, call.path["message"])
    shown = view.deliveries if view.known else with_terms(call.services.ledger.database, call.tenant, view.deliveries)
    return _message_told(call, view, shown)


def _message_told(call: Call[Then, None], view: MessageView, deliveries: Iterable[DeliveryView]) -> Answer:
    """A message as this key may see it."""
    references = _masking(call, view.references)(view.references)
    return tagged(call, msgspec.structs.replace(view, references=references, deliveries=tuple(deliveries)))


@route("GET /v1/messages/{message}/deliveries", scopes=READERS, answers={200: Deliveries}, access="status")
def deliveries(call: Call[Paging, None]) -> Answer:
    """The deliveries of a message, by index."""
    queries, limit = call.services.queries, call.query.limit
    position, message_id = queries.position(), _message(call)
    found = queries.deliveries(call.tenant, message_id, _read_cursor(call.query.cursor), limit)
    following = _write_cursor(found[-1].recipient) if len(found) == limit else ""
    return Answer(Deliveries(with_terms(call.services.ledger.database, call.tenant, found), following, position))


def _at_a_glance(calls: Sequence[Call[Then, None]]) -> list[Answer | None]:
    """Deliveries of one organisation as they are now."""
    call = calls[0]
    wanted = [(each.path["message"], _recipient(each)) for each in calls if is_now(each.query)]
    found = iter(call.services.queries.glance(call.tenant, wanted))
    fetch = fetchable(call.services.ledger.database, call.tenant)
    views = [next(found) if is_now(each.query) else None for each in calls]
    return [tagged(each, fetch(view)) if view else None for each, view in zip(calls, views, strict=True)]


@route(
    "GET /v1/messages/{message}/deliveries/{recipient}",
    scopes=READERS,
    answers={200: DeliveryView, 304: None},
    headers=TAG,
    access="status",
    together=_at_a_glance,
)
def delivery(call: Call[Then, None]) -> Answer:
    """One delivery: its status, since when, and the facts that decided it; now, or as of an earlier moment."""
    view = reader(call, call.query).delivery(call.tenant, call.path["message"], _recipient(call))
    return tagged(call, view if view.known else with_terms(call.services.ledger.database, call.tenant, [view])[0])


@route("GET /v1/messages/{message}/trail", scopes=READERS, answers={200: Trail}, problems=(422,), access="trail")
def trail(call: Call[Then, None]) -> Answer:
    """Every event of a message, in the order of the log; for up to 500 recipients, else delivery by delivery."""
    answering = reader(call, call.query)
    require_few_recipients(call, answering)
    return Answer(_masked(call, answering.trail(call.tenant, call.path["message"])))


@route(
    "GET /v1/messages/{message}/deliveries/{recipient}/trail",
    scopes=READERS,
    answers={200: Trail},
    access="trail",
)
def delivery_trail(call: Call[Then, None]) -> Answer:
    """Every event that tells the story of one delivery, in the order of the log."""
    answering = reader(call, call.query)
    found = answering.delivery(call.tenant, call.path["message"], _recipient(call))
    return Answer(_masked(call, answering.trail(call.tenant, found.message, found.recipient)))


def _masked(call: Call[Any, Any], found: Trail) -> Trail:
    """A trail as this key may see it."""
    masked = _masking(call, [value for entry in found.entries for value in entry.values.values()])
    entries = tuple(msgspec.structs.replace(entry, values=masked(entry.values)) for entry in found.entries)
    return msgspec.structs.replace(found, entries=entries)


def _masking(call: Call[Any, Any], said: Iterable[Any]) -> Callable[[Any], Any]:
    """What hides, wherever it stands, the value of every secret reference among what was said."""
    named = (each for each in said if isinstance(each, dict) and each.get("kind") in SECRET_REFERENCES)
    hidden = set() if "evidence" in call.key.scopes else {str(each.get("value", "")) for each in named} - {""}

    def masked(value: Any) -> Any:
        if isinstance(value, str):
            return next(
                (f"{secret[:SHOWN]}…" if value == secret else "…" for secret in hidden if secret in value), value
            )
        if isinstance(value, dict):
            return {name: masked(inner) for name, inner in value.items()}
        return type(value)(map(masked, value)) if isinstance(value, list | tuple) else value

    return masked


@route(
    "GET /v1/messages/{message}/deliveries/{recipient}/explanation",
    scopes=READERS,
    answers={200: Explanation},
    access="status",
)
def explanation(call: Call[Explaining, None]) -> Answer:
    """Why the delivery has its status: a paragraph for people, and every fact, the rule that judged it, and what it did."""
    asked, view = call.query, reader(call, call.query).delivery(call.tenant, call.path["message"], _recipient(call))
    view = view if view.known else with_terms(call.services.ledger.database, call.tenant, [view])[0]
    return Answer(explain(view, asked.language, asked.zone))


def require_few_recipients(call: Call[Any, Any], answering: Queries | Past | None = None) -> None:
    """Refuse to tell the whole story of a message at once when it is too long.

    Raises:
        NotFoundError: the tenant has no such message.
        TooManyRecipientsError: it has more than 500 recipients.
    """
    row = (answering or call.services.queries).message_row(call.tenant, call.path["message"])
    if row.recipients > MAX_PAGE:
        msg = f"the message has {row.recipients} recipients, more than {MAX_PAGE}; ask for /deliveries/N, one by one"
        raise TooManyRecipientsError(msg)


def _write_cursor(recipient: int) -> str:
    return urlsafe_b64encode(f"r{recipient}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> int:
    if not cursor:
        return -1
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        return int(text.removeprefix("r")) if text.startswith("r") else refuse("cursor", "not one of ours")
    except ValueError:
        refuse("cursor", "not one of ours; start the list again without it")
