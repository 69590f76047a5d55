"""Every route against every kind of caller: generated from the table of routes, so none is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters import acts
from adapters.apikeys import AUDITED, SCOPES
from adapters.http.openapi import problem_statuses
from adapters.http.routes import ANY_KEY, NO_KEY, Route
from adapters.http.table import ROUTES
from ops.system import System
from tests.adapters.conftest import EVERYTHING, Api, accepted, serving
from tests.adapters.test_http_hooks import REPORT, URL, kpn

KEYED = [r for r in ROUTES if r.scopes is not NO_KEY]
NAMES = {
    "api_key",
    "message",
    "artifact",
    "item",
    "hold",
    "erasure",
    "act",
    "downtime",
    "account",
    "task",
    "saved",
    "sample",
}
"""Names of what belongs to one tenant; of schedules, which need a setting, tests/adapters/test_http_schedules tells the same."""
OWNED = [r for r in KEYED if NAMES & set(r.parameters) and (r.method, r.path) != ("PUT", "/v1/saved-queries/{saved}")]
BODIES: dict[str, Any] = {
    "/v1/accounts/{account}/keys": {"key_id": "wk_1", "secret": "x"},
    "/v1/accounts/{account}/settings": {"settings": {}},
    "/v1/accounts/{account}/credentials/{name}": {"value": "x"},
    "/v1/accounts/{account}/disable": {"note": "n"},
    "/v1/messages/{message}/evidence": {"language": "en"},
    "/v1/keys/{api_key}/rotate": {"note": "n"},
    "/v1/saved-queries/{saved}/answer": {},
    "/v1/samples/{sample}/draw": {},
    "/v1/lanes/{item}/retry": {"note": "n"},
    "/v1/lanes/{item}/dismiss": {"note": "n"},
    "/v1/lanes/{item}/unclaim": {"note": "n"},
    "/v1/holds/{hold}/release": {"reason": "n"},
    "/v1/acts/{act}/approve": {"reason": "n"},
    "/v1/acts/{act}/decline": {"reason": "n"},
    "/v1/downtimes/{downtime}/end": {"until": "2026-03-02T10:00:00Z", "note": "n"},
    "/v1/downtimes/{downtime}/withdraw": {"note": "n"},
    "/v1/messages/{message}/deliveries/{recipient}/protect": {"reason": "n"},
    "/v1/messages/{message}/deliveries/{recipient}/unprotect": {"reason": "n"},
    "/v1/accounts/{account}/deletions": {"name": "send/1"},
    "/v1/messages/{message}/dispatch/resolve": {"call": 1, "was_sent": True, "note": "n"},
    "/v1/messages/{message}/dispatch/cancel": {"note": "n"},
    "/v1/messages/{message}/deliveries/{recipient}/resolution": {
        "sets_aside": ["01a1fd8e-f93d-70a6-8da5-105f5469bc25"],
        "note": "n",
    },
    "/v1/messages/{message}/deliveries/{recipient}/resolution/withdraw": {
        "settlement": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
        "note": "n",
    },
}
ANY = {
    "api_key": "key_0123456789abcdef0123",
    "message": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "artifact": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "item": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "hold": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "erasure": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "act": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "downtime": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "recipient": "0",
    "account": "sms",
    "task": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "download": "report.csv",
    "schedule": "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    "saved": "monthly",
    "job": "poll",
    "query": "disputed",
    "sample": "1",
    "provider": "pec_mailbox",
    "key_id": "wk_1",
    "name": "password",
    "epoch": "2",
    "expectation": "delivery_report",
    "tile": "0/000",
    "bundle": "000",
}


def where(route: Route, **names: str) -> str:
    return f"{route.method} {route.path.format(**ANY | names)}"


def route_id(value: object) -> str:
    return f"{value.method} {value.path}" if isinstance(value, Route) else str(value)


async def test_without_a_good_key_every_route_is_401(sqlite_system: System) -> None:
    """No key, one that was made up, the right id with another secret, another scheme: all the same."""
    async with serving(sqlite_system, failures_per_minute=0) as sqlite_api:
        await _refused_without_a_good_key(sqlite_api)


async def _refused_without_a_good_key(sqlite_api: Api) -> None:
    api_key_id = sqlite_api.key("read").partition(".")[0]
    carried = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer key_1.secret"},
        {"Authorization": f"Bearer {api_key_id}.{'A' * 43}"},
        {"X-Api-Key": f"{api_key_id}."},
        {"Authorization": f"Basic {sqlite_api.key('read')}"},
        {"X-Api-Key": "caf\xe9.\xff"},
    ]
    for route in KEYED:
        for headers in carried:
            reply = await sqlite_api.call(where(route), scopes=(), headers=headers)
            assert (401, "unauthenticated") == (reply.status, reply.type), route_id(route)
            assert "WWW-Authenticate" in reply.headers


async def test_key_of_another_scope_is_403_and_says_which_is_needed(sqlite_api: Api) -> None:
    """A key may do what its scopes say and nothing else."""
    for route in (r for r in KEYED if r.scopes != ANY_KEY):
        for scope in set(SCOPES) - set(route.scopes or ()) - ({"auditor"} if _audited(route) else set()):
            reply = await sqlite_api.call(where(route), scopes=(scope,))
            assert (403, "forbidden") == (reply.status, reply.type), (route_id(route), scope)
            assert (route.scopes or ("",))[0] in reply.json["detail"]


def _audited(route: Route) -> bool:
    return route.reads_only and bool(set(AUDITED) & set(route.scopes or ()))


async def test_auditor_reads_what_others_read_and_changes_nothing(sqlite_api: Api) -> None:
    """What read, evidence or compliance can read is open to an auditor; whatever else there is, is not."""
    for route in (r for r in KEYED if r.scopes != ANY_KEY):
        reply = await sqlite_api.call(where(route), scopes=("auditor",), json=None if route.method == "GET" else {})
        assert _audited(route) == (reply.status != 403), route_id(route)


def test_what_only_reads_is_told_by_its_method_or_said_of_it() -> None:
    """A GET reads; of what is asked with a body, only these read: their answers are long, or their questions personal."""
    said = {r.path for r in ROUTES if r.reads_only and r.method != "GET"}
    assert {
        "/v1/search",
        "/v1/labels/deliveries",
        "/v1/queries/{query}/answer",
        "/v1/saved-queries/{saved}/answer",
        "/v1/messages/{message}/evidence",
        "/v1/samples",
        "/v1/samples/{sample}/draw",
        "/v1/reports",
        "/v1/erasures/preview",
        "/v1/search/containing",
    } == said


async def test_what_is_another_tenants_does_not_exist(api: Api) -> None:
    """404 for every message, original, waiting item, hold, task … of somebody else, for reading and for writing."""
    api.account()
    message = await api.send(references=[{"kind": "document_id", "value": "doc-1"}])
    await api.observe(**accepted("doc-1"))
    artifact = api.events("submission.accepted")[0].fields["artifacts"][0]
    api.account("mail", "pec_mailbox")
    await api.observe(account="mail", operation="receipt", body="no receipt")
    item = (await api.call("GET /v1/lanes")).json["items"][0]["item"]
    names = {"message": message, "artifact": artifact, "item": item, "saved": "hers", **await made(api)}
    other, all_of_them = api.of("other"), (*EVERYTHING, "privacy")
    other.key(*all_of_them)
    size = api.size()
    for route in OWNED:
        claim = {"message": message, "note": "n"} if route.path.endswith("/claim") else None
        body = BODIES.get(route.path, claim)
        reply = await other.call(where(route, **names), json=body, scopes=all_of_them)
        assert (404, "not-found") == (reply.status, reply.type), route_id(route)
    assert size == api.size()
    for path in ("accounts", "lanes"):
        assert not next(iter((await other.call(f"GET /v1/{path}")).json.values())), path
    own = (await other.call("GET /v1/events")).json["events"]
    assert [True, True] == ['"type":"access.granted/1"' in each["leaf"] for each in own]
    assert [] == (await other.call("POST /v1/search", json={})).json["deliveries"]
    assert [] == (await other.call("POST /v1/search", json={"reference": "doc-1"})).json["deliveries"]


async def made(api: Api) -> dict[str, str]:
    """Something of each kind that a person makes: its name in paths -> its id."""
    assert 200 == (await api.call("PUT /v1/saved-queries/hers", json={"query": "disputed"})).status
    down = {"account": "sms", "since": "2026-03-02T10:00:00Z", "note": "n"}
    asked = {
        "hold": ("holds", {"scope": "label", "value": "case 17", "reason": "n"}),
        "downtime": ("downtimes", down),
        "sample": ("samples", {"size": 1}),
        "task": ("reports", {"query": "disputed"}),
    }
    made = {
        name: str((await api.call(f"POST /v1/{path}", json=body)).json[name]) for name, (path, body) in asked.items()
    }
    whose = (api.system.accounts, api.system.queries, api.tenant)
    return made | {
        "act": acts.ask(*whose, "hold.release", "n").act,
        "erasure": acts.ask(*whose, "erasure.message", "n", clear={"streams": [ANY["message"]]}).act,
    }


async def test_key_is_taken_from_either_header(sqlite_api: Api) -> None:
    """`Authorization: Bearer` or `X-Api-Key`."""
    for name, text in (("Authorization", "bearer "), ("X-Api-Key", "")):
        reply = await sqlite_api.call("GET /v1/accounts", scopes=(), headers={name: text + sqlite_api.key("operator")})
        assert 200 == reply.status


async def test_revoked_or_expired_key_is_401(sqlite_system: System) -> None:
    """Without a cache at once; with it after a few seconds."""
    async with serving(sqlite_system, key_cache_s=0.0) as api:
        expired = datetime.now(UTC) - timedelta(seconds=1)
        _, old = sqlite_system.api_keys.create(api.tenant, ["operator"], expires_at=expired)
        key = api.key("operator")
        assert 200 == (await api.call("GET /v1/accounts", scopes=("operator",))).status
        sqlite_system.api_keys.revoke(api.tenant, key.partition(".")[0])
        for text in (old, key):
            assert 401 == (await api.call("GET /v1/accounts", scopes=(), headers={"X-Api-Key": text})).status


async def test_webhook_is_nobodys_but_the_accounts(sqlite_api: Api) -> None:
    """The same webhook under another tenant's name is not expected there."""
    sqlite_api.account("sms", "kpn_sms", wk_1=b"first secret")
    reply = await sqlite_api.call(URL.replace("acme", "other"), scopes=(), data=REPORT, headers=kpn(REPORT))
    assert 404 == reply.status


@pytest.mark.parametrize("route", ROUTES, ids=route_id)
def test_every_route_says_what_it_is(route: Route) -> None:
    """A description, answers, and the problems that follow from what it takes."""
    assert (route.handler.__doc__ or "").strip()
    assert route.answers
    assert {429, 500, 503} <= problem_statuses(route)
    assert (401 in problem_statuses(route)) or route.scopes is NO_KEY


def test_everything_under_v1_but_webhooks_needs_a_key() -> None:
    """Only what operators and machines need is open, and it belongs to no tenant."""
    open_paths = {
        r.path.split("/")[1] if not r.path.startswith("/v1/") else r.path for r in ROUTES if r.scopes is NO_KEY
    }
    hooks = {"/v1/hooks/{tenant}/{account}", "/v1/hooks/{tenant}/{account}/{operation}"}
    assert {"healthz", "readyz", "metrics", "openapi.json", "docs", "problems", "log"} | hooks == open_paths
