"""Reasons that an organisation demands: what is refused without one, how one is given, and where it is kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from adapters import safeguards
from adapters.http.dispatch import STATE
from adapters.http.openapi import document
from adapters.http.routes import Route
from adapters.http.table import ROUTES
from adapters.safeguards import Safeguards
from tests.adapters.conftest import Api, accepted
from tests.adapters.test_http_matrix import BODIES, where

EVERY = Safeguards(reasons=tuple(safeguards.REASONS))
WHY = "complaint of 3 May, file 17"
BODIES_OF_READS: dict[str, Any] = {
    "/v1/samples": {"size": 1},
    "/v1/labels/deliveries": {"label": "case 7"},
    "/v1/search/containing": {"contains": "jansen"},
}


def _demand(api: Api, wanted: Safeguards = EVERY) -> None:
    safeguards.put(api.system.accounts, api.tenant, wanted.numbers(), "our rules", "console")
    api.app[STATE].demanded.forget(api.tenant)


def _records(api: Api) -> list[tuple[str, str]]:
    """Kind and reason of every recorded access."""
    api.app[STATE].access.flush(everything=True)
    found = api.events("access.recorded")
    told = api.system.ledger.values(found)
    return [(event.fields["rule"], str(told.get(event.position, {}).get("note", ""))) for event in found]


@pytest.mark.parametrize("route", [r for r in ROUTES if r.demands], ids=lambda r: f"{r.method} {r.path}")
async def test_what_shows_people_needs_a_reason_where_one_is_demanded(sqlite_api: Api, route: Route) -> None:
    """428 without one, and with a blank one; the problem says how to give it. With one, whatever else the request lacks is told."""
    _demand(sqlite_api)
    body = {} if route.method == "GET" else {"json": BODIES.get(route.path, BODIES_OF_READS.get(route.path, {}))}
    scopes = (*(route.scopes or ()), "protected")
    for headers in ({}, {"Access-Reason": " "}, {"Access-Reason": "%20%09"}):
        reply = await sqlite_api.call(where(route), scopes=scopes, headers=headers, **body)
        assert (428, "reason-needed") == (reply.status, reply.type)
        assert "Access-Reason" in reply.json["detail"]
    reply = await sqlite_api.call(where(route), scopes=scopes, headers={"Access-Reason": WHY}, **body)
    assert 428 != reply.status


def test_every_route_that_records_looking_may_demand_a_reason() -> None:
    """The document says so: the header, and 428."""
    paths = document()["paths"]
    for route in ROUTES:
        told = paths[route.path][route.method.lower()]
        named = {each["name"] for each in told.get("parameters", ()) if each["in"] == "header"}
        assert not route.demands or ("Access-Reason" in named and "428" in told["responses"]), route.path
        assert route.demands or not route.access
        assert route.demands in {"", *safeguards.REASONS}


@pytest.mark.parametrize("kind", safeguards.REASONS)
async def test_only_what_is_demanded_is_refused(sqlite_api: Api, kind: str) -> None:
    """Each kind by itself; and nothing of another organisation, and nothing that only writes."""
    sqlite_api.account()
    message = await sqlite_api.send()
    _demand(sqlite_api, Safeguards(reasons=(kind,)))
    for demands, asked, body in (
        ("look-ups", f"GET /v1/messages/{message}", None),
        ("evidence", f"GET /v1/messages/{message}/receipts.zip", None),
        ("queries", "POST /v1/queries/disputed/answer", {}),
        ("exports", "GET /v1/events", None),
    ):
        reply = await sqlite_api.call(asked, json=body)
        assert (428 if demands == kind else 200) == reply.status, asked
        assert 428 != (await sqlite_api.of("other").call(asked, json=body)).status
    assert 201 == (await sqlite_api.call("POST /v1/holds", json={"scope": "label", "value": "x", "reason": "y"})).status


async def test_reason_is_sealed_with_the_record_of_the_access(api: Api) -> None:
    """In any script, percent-encoded; look-ups with different reasons are not gathered together; none of it in the clear."""
    api.account()
    message = await api.send(references=[{"kind": "document_id", "value": "doc-1"}])
    await api.observe(**accepted("doc-1"))
    _demand(api)
    for reason in (WHY, "klacht van Zoë 📮 100%", WHY):
        reply = await api.call(f"GET /v1/messages/{message}", headers={"Access-Reason": quote(reason)})
        assert 200 == reply.status
    artifact = api.events("submission.accepted")[0].fields["artifacts"][0]
    assert 200 == (await api.call(f"GET /v1/artifacts/{artifact}", headers={"Access-Reason": WHY})).status
    recorded = _records(api)
    assert [("access.original", WHY), ("access.status", WHY), ("access.status", "klacht van Zoë 📮 100%")] == sorted(
        recorded
    )
    assert not any(b"klacht" in event.leaf or b"file 17" in event.leaf for event in api.events("access.recorded"))


async def test_reason_is_kept_where_none_is_demanded(sqlite_api: Api) -> None:
    """Who gives one has it recorded."""
    reply = await sqlite_api.call("POST /v1/search", json={}, headers={"Access-Reason": WHY})
    assert 200 == reply.status
    assert [("access.search", WHY)] == _records(sqlite_api)


async def test_reason_in_the_body_counts_where_there_is_a_field_for_it(sqlite_api: Api) -> None:
    """A query's own `reason` is one; the header goes before it."""
    _demand(sqlite_api)
    for body, headers in (({"reason": "by body"}, {}), ({"reason": "by body"}, {"Access-Reason": "by header"})):
        reply = await sqlite_api.call("POST /v1/queries/disputed/answer", json=body, headers=headers)
        assert 200 == reply.status
    assert [("access.query", "by body"), ("access.query", "by header")] == _records(sqlite_api)


@pytest.mark.parametrize("reason", ["x" * 501, quote("é" * 501)])
async def test_reason_that_is_too_long_is_422_and_not_quoted(sqlite_api: Api, reason: str) -> None:
    """500 characters are taken, however many bytes they have."""
    reply = await sqlite_api.call("POST /v1/search", json={}, headers={"Access-Reason": reason})
    assert (422, "invalid") == (reply.status, reply.type)
    assert reason.encode() not in reply.body
    taken = await sqlite_api.call("POST /v1/search", json={}, headers={"Access-Reason": quote("é" * 500)})
    assert 200 == taken.status


@pytest.mark.parametrize("reason", ["%", "%zz", "100% sure", "%FF%FE", "%00", "a%0D%0Ab: c", "%ED%A0%80"])
async def test_hostile_reason_breaks_nothing(sqlite_api: Api, reason: str) -> None:
    """Whatever the escapes say, it is a text that the log can hold."""
    reply = await sqlite_api.call("POST /v1/search", json={}, headers={"Access-Reason": reason})
    assert 200 == reply.status
    ((_, kept),) = _records(sqlite_api)
    assert kept
    assert "\0" not in kept


async def test_change_counts_for_the_next_request_of_this_process(sqlite_api: Api) -> None:
    """Demanded over HTTP, and taken back: from the next request on."""
    for reasons, status in (([], 200), (["look-ups"], 428), ([], 200)):
        body = {"reasons": reasons, "reason": "board decision"}
        assert 200 == (await sqlite_api.call("PUT /v1/safeguards", scopes=("privacy",), json=body)).status
        assert status == (await sqlite_api.call("POST /v1/search", json={})).status
