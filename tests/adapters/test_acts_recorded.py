"""Every act over HTTP is an event that names who; who looked at anything personal is known. Generated from the table of routes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.http.access import MAX_NAMED, AccessLog
from adapters.http.dispatch import STATE
from adapters.http.observations import RFC822
from adapters.http.routes import NO_KEY
from adapters.http.schedules import JSON_PATCH
from adapters.http.table import ROUTES
from adapters.providers import registry
from ledger.observations import Observation, Reference
from tests.adapters.conftest import EVERYTHING, Api, Failing, Reply, accepted, opened_system, serving
from tests.adapters.test_http_matrix import ANY, made
from tests.adapters.test_http_schedules import DEFINITION
from tests.adapters.test_http_settling import report
from tests.flow import carrier, parcels
from tests.postgres import Database
from tests.proof.test_log_http import WITNESS
from tests.world import TENANT, world

OFFICER = (*EVERYTHING, "privacy")
SECOND = ("operator", "compliance", "privacy")
ACTING = {f"{r.method} {r.path}" for r in ROUTES if not r.reads_only and r.scopes is not NO_KEY}
NOTE = {"note": "told by telephone"}
REASON = {"reason": "claim 2026/14"}
WHY = {*NOTE.values(), *REASON.values()}


class Acting:
    """Calls routes that change something, and looks for the event of each."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.done: set[str] = set()

    async def __call__(self, where: str, status: int = 200, scopes: tuple[str, ...] = OFFICER, **how: Any) -> Reply:
        """One act: it is answered so, and is an event of its actor that keeps why."""
        key = self.api.key(*scopes).partition(".")[0]
        await self.api.caught_up()
        before = self.api.size()
        reply = await self.api.call(where, scopes=scopes, **how)
        assert status == reply.status, (where, reply)
        events = [e for e in self.api.system.ledger.feed(before, 100) if e.fields.get("actor") == key]
        assert events, f"{where} leaves no event of its actor"
        assert {self.api.tenant} == {event.tenant for event in events}
        given = WHY & {value for value in (how.get("json") or {}).values() if isinstance(value, str)}
        assert given <= {said.get("note") for said in self.api.system.ledger.values(events).values()}, where
        self.done.add(_route(where))
        return reply


def _route(where: str) -> str:
    """The route that a request is for, as the table writes it."""
    method, path = where.partition("?")[0].split(" ")
    (found,) = [
        f"{method} {route.path}"
        for route in ROUTES
        if route.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path)
    ]
    return found


@asynccontextmanager
async def _office() -> AsyncIterator[str]:
    """A carrier at which every call fails, nobody knows how far."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def office(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """The API, with two made-up carriers and a folder that reports are delivered to."""
    for made_up in (carrier.PROVIDER, dataclasses.replace(parcels.PROVIDER, name="parcels")):
        monkeypatch.setitem(registry(), made_up.name, made_up)
    with opened_system(database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system) as found:
            yield found


async def _accounts(act: Acting) -> None:
    await act("POST /v1/accounts", 201, json={"account": "sms", "provider": "kpn_sms"})
    await act("POST /v1/accounts/sms/keys", 201, json={"key_id": "wk_1", "secret": "first secret"})
    await act("POST /v1/accounts/sms/keys", 201, json={"key_id": "wk_2", "secret": "second secret"})
    await act("DELETE /v1/accounts/sms/keys/wk_2", 204)
    await act("PUT /v1/accounts/sms/settings", json={"settings": {"base_url": "http://127.0.0.1:9"}})
    await act("PUT /v1/accounts/sms/credentials/client_id", 204, json={"value": "id"})
    await act("DELETE /v1/accounts/sms/credentials/client_id", 204)
    await act("POST /v1/accounts/sms/deletions", 409, json={"name": "send/1"})  # that it was asked for is known
    await act("POST /v1/accounts", 201, json={"account": "old", "provider": "kpn_sms"})
    await act("POST /v1/accounts/old/disable", json=NOTE)


async def _arrivals(act: Acting) -> None:
    sent = {"account": "sms", "recipients": [{"kind": "phone", "address": "0612340009"}]}
    await act("POST /v1/messages", 201, json=sent)
    await act("POST /v1/observations", 201, json={"account": "sms", **accepted("doc-9", "0612340009")})
    act.api.account("mail", "pec_mailbox")
    await act("POST /v1/receipts?account=mail", 201, data=b"no receipt", headers={"Content-Type": RFC822})


async def _sends(act: Acting) -> None:
    act.api.account("cars", "carrier")
    to = [{"kind": "phone", "address": "0612340001"}]
    async with _office() as url:
        act.api.system.accounts.configure(act.api.tenant, "cars", {"base_url": url})
        wanted = {"account": "cars", "recipients": to, "dispatch": {"text": "Hello"}}
        message = (await act("POST /v1/messages", 201, json=wanted)).json["message"]
        await asyncio.to_thread(act.api.system.outbox.run)
    await act(f"POST /v1/messages/{message}/dispatch/resolve", json={"call": 1, "was_sent": False, **NOTE})
    await act(f"POST /v1/messages/{message}/dispatch/cancel", json=NOTE)


async def _waiting(act: Acting, account: str) -> str:
    await act.api.caught_up()
    items = (await act.api.call("GET /v1/lanes")).json["items"]
    (item,) = [each["item"] for each in items if each["account"] == account]
    return str(item)


async def _lanes(act: Acting) -> None:
    message = await act.api.send("0612340001", references=[{"kind": "document_id", "value": "doc-1"}])
    await report(act.api, 1, 0, "")
    item = await _waiting(act, "sms")
    await act(f"POST /v1/lanes/{item}/claim", json={**NOTE, "message": message})
    await act(f"POST /v1/lanes/{item}/unclaim", json=NOTE)
    await act(f"POST /v1/lanes/{await _waiting(act, 'mail')}/dismiss", json=NOTE)


async def _read_again(act: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody could read, once the provider's tables have learned it."""
    await act("POST /v1/observations", 201, json={"account": "cars", "operation": "send", "body": "{", "status": 200})
    learned = lambda _arrival: (Observation(type="submission.accepted", references=(Reference("job", "j"),)),)  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setitem(registry(), "carrier", dataclasses.replace(carrier.PROVIDER, parse=learned))
        await act(f"POST /v1/lanes/{await _waiting(act, 'cars')}/retry", json=NOTE)


async def _disputes(act: Acting) -> None:
    message = await act.api.send("0612340001", references=[{"kind": "document_id", "value": "doc-2"}])
    for number, status in enumerate((1, 4)):
        await report(act.api, status, number, "doc-2")
    delivery = f"/v1/messages/{message}/deliveries/0"
    rivals = (await act.api.call(f"GET {delivery}/dispute")).json["rivals"]
    failed = next(each["event_id"] for each in rivals if each["says"] == "failed")
    settled = await act(f"POST {delivery}/resolution", json={**NOTE, "sets_aside": [failed]})
    made = settled.json["settlements"][0]["event_id"]
    await act(f"POST {delivery}/resolution/withdraw", json={**NOTE, "settlement": made})


async def _schedules(act: Acting) -> None:
    made = await act("POST /v1/report-schedules", 201, json=DEFINITION | {"start_date": "2026-01-31"})
    where = made.headers["Location"]
    await act(f"PUT {where}", json=DEFINITION | {"start_date": "2026-01-30"}, headers={"If-Match": '"1"'})
    patch = json.dumps([{"op": "replace", "path": "/time", "value": "07:00"}])
    await act(f"PATCH {where}", data=patch, headers={"If-Match": '"2"', "Content-Type": JSON_PATCH})
    run = await act(f"POST {where}/run", 202)
    await act(f"DELETE /v1/tasks/{run.json['task']}")
    await act(f"DELETE {where}", 204, headers={"If-Match": '"3"'})
    await act("POST /v1/report-webhook-keys", 201, json={"key_id": "hook"})
    await act("DELETE /v1/report-webhook-keys/hook", 204)
    await act("PUT /v1/saved-queries/hers", json={"query": "disputed"})
    await act("DELETE /v1/saved-queries/hers", 204)


async def _officers(act: Acting) -> None:
    hold = (await act("POST /v1/holds", 201, json={"scope": "label", "value": "case 17", **REASON})).json["hold"]
    await act(f"POST /v1/holds/{hold}/release", json=REASON)
    await act("POST /v1/retention", json={"provider": "kpn_sms", "keep": "10y"})
    await act("POST /v1/retention/remove", json={"provider": "kpn_sms"})
    await act("PUT /v1/safeguards", json={**REASON, "four_eyes": ["hold.release"]})
    for number, how in enumerate(("approve", "decline")):
        body = {"scope": "label", "value": f"case {number}", **REASON}
        hold = (await act("POST /v1/holds", 201, json=body)).json["hold"]
        asked = (await act(f"POST /v1/holds/{hold}/release", 202, json=REASON)).json["act"]
        await act(f"POST /v1/acts/{asked}/{how}", json=REASON, scopes=SECOND)


async def _privacy(act: Acting) -> None:
    message = await act.api.send("0612340003")
    recipient = f"/v1/messages/{message}/deliveries/0"
    await act(f"POST {recipient}/protect", json=REASON)
    await act(f"POST {recipient}/unprotect", json=REASON)
    await act("POST /v1/erasures", 201, json={"message": message, "reason": "her request"})


async def _operators(act: Acting) -> None:
    made = await act("POST /v1/keys", 201, json={"scopes": ["read"], **NOTE})
    where = f"/v1/keys/{made.json['api_key']['api_key_id']}"
    await act(f"POST {where}/rotate", 201, json=NOTE)
    await act(f"DELETE {where}")
    act.api.account("parcels", "parcels")
    await act("POST /v1/jobs/poll/run?account=parcels", 202)
    down = {"account": "sms", "since": "2026-03-02T10:00:00Z", **NOTE}
    where = f"/v1/downtimes/{(await act('POST /v1/downtimes', 201, json=down)).json['downtime']}"
    await act(f"POST {where}/end", json={"until": "2026-03-02T11:00:00Z", **NOTE})
    await act(f"POST {where}/withdraw", json=NOTE)
    await act("PUT /v1/terms/delivery_report", json={**NOTE, "warn_s": 21_600, "breach_s": 86_400})
    await act("DELETE /v1/terms/delivery_report")
    note = act.api.system.signed_head().note + WITNESS.encode()
    await act("POST /log/cosignatures", data=note, headers={"Content-Type": "text/plain"})


ELSEWHERE: dict[str, str] = {}
"""Routes of acts that another test file follows to their events -> where."""


async def test_every_route_that_changes_something_leaves_an_event_of_who_did_it(
    office: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of why, where it was said. Whoever adds a route calls it here."""
    act = Acting(office)
    for story in (_accounts, _arrivals, _sends, _lanes):
        await story(act)
    await _read_again(act, monkeypatch)
    for story in (_disputes, _schedules, _officers, _operators, _privacy):
        await story(act)
    assert set() == ACTING - act.done - ELSEWHERE.keys()


# --- looking

LOOKING = [r for r in ROUTES if r.access and "epoch" not in r.parameters]  # of a later epoch it is the same function
BY_ITSELF = {
    "POST /v1/queries/{query}/answer",
    "POST /v1/search/containing",
    "POST /v1/saved-queries/{saved}/answer",
    "POST /v1/messages/{message}/evidence",
    "GET /v1/tasks/{task}/files/{download}",
    "POST /v1/reports",  # made, and fetched, later: both are recorded then
}
"""Routes that record what they hand out themselves, before it leaves."""
IMPERSONAL = {
    "GET /v1/sends": "ids and states",
    "GET /v1/proofs/inclusion": "hashes",
    "GET /v1/proofs/tlog-proof": "hashes",
    "GET /v1/proofs/consistency": "hashes",
    "GET /v1/queries": "what there is to ask",
    "GET /v1/queries/{query}": "what there is to ask",
    "GET /v1/tasks": "without what was asked",
    "GET /v1/report-webhook-keys": "names of keys",
    "GET /v1/retention": "the organisation's own policies",
    "GET /v1/erasures": "names no one",
    "GET /v1/erasures/{erasure}": "names no one",
    "GET /v1/erasures/{erasure}/certificate": "names no one",
    "GET /v1/erasures/{erasure}/certificate.pdf": "names no one",
    "GET /v1/safeguards": "the organisation's own rules",
    "GET /v1/accounts": "the organisation's own accounts",
    "GET /v1/accounts/{account}": "the organisation's own accounts",
    "GET /v1/accounts/{account}/settings": "the organisation's own settings",
    "GET /v1/keys": "the organisation's own keys",
    "GET /v1/keys/{api_key}": "the organisation's own keys",
    "GET /v1/jobs": "the organisation's own jobs",
    "GET /v1/downtimes": "of providers",
    "GET /v1/terms": "the organisation's own terms",
    "GET /v1/providers": "what there is",
    "GET /v1/providers/{provider}": "what there is",
}
"""Routes whose answers tell nothing of a recipient."""


def test_every_route_records_looking_or_shows_nothing_personal() -> None:
    """Whoever adds one says which."""
    keyed = {f"{r.method} {r.path}": r for r in ROUTES if r.scopes is not NO_KEY and r.reads_only}
    silent = {where for where, route in keyed.items() if not route.access}
    assert IMPERSONAL.keys() | BY_ITSELF == silent
    assert IMPERSONAL.keys().isdisjoint(BY_ITSELF)


async def test_whoever_looks_is_recorded_and_the_message_does_not_change(office: Api) -> None:
    """By every route that shows something personal: the actor, the kind of looking, and the message where it is one."""
    api = office
    names, bodies = await _known(api)
    before = len(api.system.ledger.stream(names["message"]))
    key = api.key(*OFFICER).partition(".")[0]
    for route in LOOKING:
        where = f"{route.method} {route.path.format(**names)}"
        api.app[STATE].access.flush(everything=True)
        seen = api.size()
        reply = await api.call(where, scopes=OFFICER, json=bodies.get(route.path))
        assert 2 == reply.status // 100, (where, reply)
        api.app[STATE].access.flush(everything=True)
        (looked,) = [e.fields for e in api.events("access.recorded") if e.position > seen and e.fields["actor"] == key]
        assert f"access.{route.access}" == looked["rule"], where
        assert "message" not in route.parameters or [names["message"]] == looked["streams"]
    assert before == len(api.system.ledger.stream(names["message"]))


async def _known(api: Api) -> tuple[dict[str, str], dict[str, Any]]:
    """Something of everything that can be looked at: names in paths, and what is asked with."""
    api.account("sms", "kpn_sms", wk_1=b"first secret")
    api.system.accounts.set_credentials(api.tenant, "sms", {"client_id": "id", "client_secret": "hush"})
    message = await api.send(dispatch={"text": "Hello"})
    await api.observe(**accepted("doc-1"), message=message)
    for number, status in enumerate((1, 4)):
        await report(api, status, number)
    api.account("mail", "pec_mailbox")
    await api.observe(account="mail", operation="receipt", body="no receipt")
    item = (await api.call("GET /v1/lanes", scopes=OFFICER)).json["items"][0]["item"]
    artifact = api.events("submission.accepted")[0].fields["artifacts"][0]
    things = await made(api)
    schedule = (await api.call("POST /v1/report-schedules", json=DEFINITION)).json["schedule"]
    sample = (await api.call("POST /v1/samples", json={"size": 1})).json["sample"]
    await api.caught_up()
    names = {**ANY, **things, "message": message, "recipient": "0", "item": item, "artifact": artifact}
    names |= {"saved": "hers", "sample": str(sample), "schedule": schedule, "bundle": f"000.p/{api.size() % 256}"}
    bodies: dict[str, Any] = {route.path: route.example for route in LOOKING if route.example}
    bodies |= {"/v1/erasures/preview": {"message": message}}
    bodies |= {"/v1/search": {}, "/v1/labels/deliveries": {"label": "case 17"}, "/v1/samples": {"size": 1}}
    return names, {**bodies, "/v1/samples/{sample}/draw": {}}


# --- when it is written


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(sqlite_database: Database, tmp_path: Path, clock: Clock) -> Iterator[AccessLog]:
    """Over a ledger of its own, whose clock stands still."""
    with world(sqlite_database.url, tmp_path, clock) as opened:
        yield AccessLog(opened.accounts, 5.0)


def _written(access: AccessLog) -> list[tuple[str, list[str], int]]:
    """Kind, messages and looks of what was recorded, in the order of the log."""
    fields = [e.fields for e in access.accounts.ledger.feed(0, 100) if e.type == "access.recorded"]
    return [(f["rule"], f.get("streams", []), f["numbers"]["looks"]) for f in fields]


FIRST, SECOND_ONE = "01a1fd8e-f93d-70a6-8da5-105f5469bc25", "01a1fd8e-f93d-70a6-8da5-105f5469bc26"


def test_a_first_look_is_written_after_seconds_and_the_others_when_the_quarter_is_over(
    access: AccessLog, clock: Clock
) -> None:
    """So a process that is killed takes a few seconds of it along, and a busy one writes little."""
    for message in (FIRST, FIRST, SECOND_ONE):
        access.note(TENANT, "key_1", "status", [message])
    assert 0 == access.flush()
    clock.now += timedelta(seconds=5)
    assert 1 == access.flush()
    first = ("access.status", [FIRST, SECOND_ONE], 3)
    assert [first] == _written(access)
    for _ in range(3):
        clock.now += timedelta(seconds=60)
        access.note(TENANT, "key_1", "status", [FIRST])
        assert 0 == access.flush()
    clock.now += timedelta(minutes=15)
    assert 1 == access.flush()
    assert [first, ("access.status", [FIRST], 3)] == _written(access)
    assert 0 == access.flush(everything=True)


def test_looks_for_different_reasons_are_not_gathered_together(access: AccessLog) -> None:
    """Each reason is kept with what was looked at for it."""
    for reason in ("claim 7", "claim 8", "claim 7"):
        access.note(TENANT, "key_1", "status", [FIRST], reason=reason)
    assert 2 == access.flush(everything=True)
    ledger = access.accounts.ledger
    events = [e for e in ledger.feed(0, 100) if e.type == "access.recorded"]
    said = ledger.values(events)
    assert {("claim 7", 2), ("claim 8", 1)} == {
        (said[e.position]["note"], e.fields["numbers"]["looks"]) for e in events
    }


def test_what_could_not_be_written_is_written_later(access: AccessLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is lost while the database does not answer."""
    access.note(TENANT, "key_1", "status", [FIRST])
    access.note(TENANT, "key_1", "feed")
    with monkeypatch.context() as patched:
        patched.setattr(access.accounts, "record", Failing(OSError()))
        with pytest.raises(OSError):  # noqa: PT011  as the fake raises it
            access.flush(everything=True)
    assert 2 == access.flush(everything=True)
    assert [("access.feed", [], 1), ("access.status", [FIRST], 1)] == sorted(_written(access))


def test_names_of_messages_do_not_fill_memory(access: AccessLog) -> None:
    """Beyond a bound a gathering is closed and begun again; a message may then be named twice."""
    for number in range(MAX_NAMED + 2):
        access.note(TENANT, "key_1", "search", [f"01a1fd8e-f93d-70a6-8da5-{number:012x}"])
        if not number % 2_000:
            access.flush()
    access.flush()
    access.note(TENANT, "key_1", "search", [FIRST])
    access.flush(everything=True)
    assert MAX_NAMED + 3 == sum(looks for _, _, looks in _written(access))


async def test_a_search_says_which_messages_it_showed(sqlite_api: Api) -> None:
    """Who looked at this is known, too, of whoever only saw it in a list."""
    sqlite_api.account()
    shown, other = await sqlite_api.send("0612340001"), await sqlite_api.send("0612340002")
    await sqlite_api.call("POST /v1/search", json={"recipient": "0612340001"}, scopes=("read",))
    asked = {"parameters": {"recipient": "0612340001"}}
    told = await sqlite_api.call("POST /v1/queries/by_recipient/answer", json=asked, scopes=("compliance",))
    assert [shown] == [row["message"] for row in told.json["rows"]]
    sqlite_api.app[STATE].access.flush(everything=True)
    await sqlite_api.caught_up()
    found = [
        {(row["kind"], row["actor"]) for row in answer.json["rows"]}
        for message in (shown, other)
        for answer in [
            await sqlite_api.call("POST /v1/queries/access/answer", json={"parameters": {"message": message}})
        ]
    ]
    reader, officer = (sqlite_api.key(scope).partition(".")[0] for scope in ("read", "compliance"))
    assert [{("access.search", reader), ("access.query", officer)}, set()] == found
