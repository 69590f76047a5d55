"""One good request for every route: generated tests of all routes ask by it, and a route without a row fails them.

Names in braces, in paths, queries and bodies, stand for what belongs to one organisation (tests/adapters/furnished.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from adapters.http.routes import Route
from adapters.http.schedules import JSON_PATCH
from tests.adapters.furnished import DOWN_AT, SCHEDULE, UP_AT

_NO_ID = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"


class Ask(NamedTuple):
    """What is sent besides the path."""

    query: str = ""
    json: Any = None
    data: str | None = None
    media_type: str = ""
    headers: Mapping[str, str] = {}


def _noted(**more: Any) -> Ask:
    return Ask(json={"note": "n", **more})


def _reasoned(**more: Any) -> Ask:
    return Ask(json={"reason": "n", **more})


_SEND = {"account": "{account}", "recipients": [{"kind": "phone", "address": "0612340009"}]}
_EMPTY = Ask(json={})

ASKS: dict[str, Ask] = {
    "POST /v1/messages": Ask(json=_SEND | {"links": [{"relation": "follows", "message": "{message}"}]}),
    "POST /v1/messages/{message}/dispatch/resolve": _noted(call=1, was_sent=True),
    "POST /v1/messages/{message}/dispatch/cancel": _noted(),
    "POST /v1/observations": Ask(
        json={"account": "{account}", "operation": "dlr", "body": "x", "message": "{message}"}
    ),
    "POST /v1/receipts": Ask("account={mailbox}&message={message}", data="no receipt", media_type="message/rfc822"),
    "POST /v1/messages/{message}/evidence": Ask(json={"language": "en"}),
    "POST /log/cosignatures": Ask(data="no note", media_type="text/plain"),
    "GET /v1/proofs/inclusion": Ask("event_id={event}"),
    "GET /v1/proofs/tlog-proof": Ask("position={position}"),
    "GET /v1/proofs/consistency": Ask("old=1"),
    "POST /v1/search": Ask(json={"reference": "{reference}"}),
    "POST /v1/search/containing": Ask(json={"label": "{label}", "contains": "{number}"}),
    "POST /v1/labels/deliveries": Ask(json={"label": "{label}"}),
    "POST /v1/queries/{query}/answer": _EMPTY,
    "POST /v1/samples": Ask(json={"size": 1}),
    "POST /v1/samples/{sample}/draw": _EMPTY,
    "PUT /v1/saved-queries/{saved}": Ask(json={"query": "disputed"}, headers={"If-Match": '"1"'}),
    "DELETE /v1/saved-queries/{saved}": Ask(headers={"If-Match": '"1"'}),
    "POST /v1/saved-queries/{saved}/answer": _EMPTY,
    "POST /v1/reports": Ask(json={"query": "disputed"}),
    "GET /v1/tasks": Ask("before={task}"),
    "POST /v1/report-schedules": Ask(json=SCHEDULE),
    "PUT /v1/report-schedules/{schedule}": Ask(json=SCHEDULE, headers={"If-Match": '"1"'}),
    "PATCH /v1/report-schedules/{schedule}": Ask(data="[]", media_type=JSON_PATCH, headers={"If-Match": '"1"'}),
    "DELETE /v1/report-schedules/{schedule}": Ask(headers={"If-Match": '"1"'}),
    "POST /v1/report-webhook-keys": Ask(json={"key_id": "rk_2"}),
    "POST /v1/holds": _reasoned(scope="message", value="{message}"),
    "POST /v1/holds/{hold}/release": _reasoned(),
    "POST /v1/retention": _reasoned(provider="kpn_sms", keep="11y"),
    "POST /v1/retention/remove": _reasoned(provider="kpn_sms"),
    "POST /v1/erasures/preview": Ask(json={"message": "{message}"}),
    "POST /v1/erasures": _reasoned(message="{message}"),
    "POST /v1/messages/{message}/deliveries/{recipient}/protect": _reasoned(),
    "POST /v1/messages/{message}/deliveries/{recipient}/unprotect": _reasoned(),
    "POST /v1/acts/{act}/approve": _reasoned(),
    "POST /v1/acts/{act}/decline": _reasoned(),
    "PUT /v1/safeguards": _reasoned(four_eyes=["erasure", "hold.release", "retention"]),
    "POST /v1/accounts": Ask(json={"account": "third", "provider": "kpn_sms"}),
    "POST /v1/accounts/{account}/keys": Ask(json={"key_id": "wk_2", "secret": "x"}),
    "PUT /v1/accounts/{account}/settings": Ask(json={"settings": {}}),
    "PUT /v1/accounts/{account}/credentials/{name}": Ask(json={"value": "x"}),
    "POST /v1/accounts/{account}/disable": _noted(),
    "POST /v1/accounts/{account}/deletions": Ask(json={"name": "send/1", "message": "{message}"}),
    "POST /v1/keys": Ask(json={"scopes": ["read"]}),
    "POST /v1/keys/{api_key}/rotate": _noted(),
    "POST /v1/jobs/{job}/run": Ask("account={account}"),
    "GET /v1/downtimes": Ask("account={account}"),
    "POST /v1/downtimes": _noted(account="{account}", since=DOWN_AT),
    "POST /v1/downtimes/{downtime}/end": _noted(until=UP_AT),
    "POST /v1/downtimes/{downtime}/withdraw": _noted(),
    "POST /v1/lanes/{item}/retry": _noted(),
    "POST /v1/lanes/{item}/claim": _noted(message="{message}"),
    "POST /v1/lanes/{item}/unclaim": _noted(),
    "POST /v1/lanes/{item}/dismiss": _noted(),
    "POST /v1/messages/{message}/deliveries/{recipient}/resolution": _noted(sets_aside=[_NO_ID]),
    "POST /v1/messages/{message}/deliveries/{recipient}/resolution/withdraw": _noted(settlement=_NO_ID),
    "PUT /v1/terms/{expectation}": Ask("account={account}", json={"warn_s": 60, "breach_s": 120, "note": "n"}),
    "DELETE /v1/terms/{expectation}": Ask("account={account}"),
}
"""Method and path -> what is sent; a route that reads no body and needs no query has no row."""

NOBODYS: dict[str, str] = {
    "message": _NO_ID,
    "recipient": "0",
    "artifact": _NO_ID,
    "item": _NO_ID,
    "hold": _NO_ID,
    "erasure": _NO_ID,
    "act": _NO_ID,
    "downtime": _NO_ID,
    "task": _NO_ID,
    "schedule": _NO_ID,
    "event": _NO_ID,
    "position": "400000",
    "sample": "400000",
    "saved": "nobodys",
    "account": "nobodys",
    "mailbox": "nobodys-mail",
    "api_key": "key_0123456789abcdef0123",
    "reference": "nobodys-1",
    "label": "case of nobody",
    "number": "0698765432",
}
"""Names of what never was."""

SHARED: dict[str, str] = {
    "download": "report.csv",
    "job": "poll",
    "query": "disputed",
    "provider": "pec_mailbox",
    "key_id": "wk_1",
    "name": "client_id",
    "epoch": "2",
    "expectation": "delivery_report",
    "tile": "0/000",
    "bundle": "000",
}
"""Names that are the same for everybody."""


def id_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def request(route: Route, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Method and path, and the rest of what an HTTP client is told."""
    ask = ASKS.get(id_of(route), Ask())
    query = f"?{filled(ask.query, names)}" if ask.query else ""
    how: dict[str, Any] = {"headers": dict(ask.headers)}
    if ask.json is not None:
        how["json"] = json.loads(filled(json.dumps(ask.json), names))
    elif ask.data is not None:
        how["data"] = ask.data
        how["headers"]["Content-Type"] = ask.media_type
    return f"{route.method} {filled(route.path, names)}{query}", how


def filled(text: str, names: Mapping[str, str]) -> str:
    """A text with its names; braces of JSON stay."""
    return re.sub(r"{(\w+)}", lambda found: (SHARED | dict(names))[found[1]], text)


def names_in(route: Route) -> set[str]:
    """The names that a request of this route bears and that belong to one organisation."""
    ask = ASKS.get(id_of(route), Ask())
    text = route.path + ask.query + (json.dumps(ask.json) if ask.json is not None else "")
    return set(re.findall(r"{(\w+)}", text)) & NOBODYS.keys() - {"recipient"}
