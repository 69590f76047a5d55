"""A protected person planted in what every provider says is in no answer of any route, for a key that may do everything else.

Generated from the table of routes: a new one fails here until it is told how to be asked.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from adapters import protecting
from adapters.apikeys import SCOPES
from adapters.compliance.registry import QUERIES
from adapters.http.routes import PROTECTED_HEADER, REASON_HEADER, Route
from adapters.http.table import ROUTES
from adapters.providers import registry
from adapters.receiving import read
from ledger.decision import Outcome
from ledger.observations import Address, Reference
from ledger.streams import Registration
from ops import tasks
from ops.system import System
from projections.queries import Filters
from projections.views import DeliveryView
from tests.adapters.conftest import EVERYTHING, Api, Reply, opened_system, serving
from tests.adapters.test_http_matrix import ANY, made
from tests.flow.planting import DOCUMENT, MAIL, NAME, NUMBER, PHONE, STREET, betrayed, needles
from tests.flow.test_planted_person import arrivals
from tests.postgres import Database

TENANT = "acme"
BUT_PROTECTED = tuple(sorted(SCOPES.keys() - {"protected", "auditor"}))
HERS = {"name": NAME, "mail": MAIL, "phone": PHONE, "street": STREET, "number": NUMBER}
EVERY_WAY = needles(HERS)
OTHER = Address("phone", "+31612340001")
LABEL, REFERENCE = "case 2026-17", "claim-2026-17"
BODIES: dict[str, list[dict[str, Any]]] = {
    "/v1/messages": [{"account": "kpn_sms", "recipients": [{"kind": "phone", "address": f"+49{PHONE}77"}]}],
    "/v1/search": [
        {},
        {"recipient": f"{MAIL}@post.example"},
        {"recipient": f"+49{PHONE}77"},
        {"recipient": f"{NUMBER}1", "address_kind": "person_number"},
        {"label": LABEL},
        {"reference": REFERENCE},
        {"mark": "protected"},
        {"position": 1_000_000_000},
    ],
    "/v1/search/containing": [{"contains": NAME[:6], "since": "2020-01-01T00:00:00Z"}],
    "/v1/labels/deliveries": [{"label": LABEL}],
    "/v1/samples": [{"size": 500}],
    "/v1/samples/{sample}/draw": [{}],
    "/v1/queries/{query}/answer": [{"limit": 500, "reason": "review"}],
    "/v1/saved-queries/{saved}/answer": [{"limit": 500, "reason": "review"}],
    "/v1/reports": [{"query": "unproven"}],
    "/v1/messages/{message}/evidence": [{"language": "en"}, {"include_shared": True, "reason": "a court asks"}],
    "/v1/erasures/preview": [{"recipient": OTHER.value}, {"recipient": f"{MAIL}@post.example"}],
}
"""Path -> bodies to ask with; of every other route what it gives as its example, or {}."""
PARAMETERS = {"by_recipient": {"recipient": f"{MAIL}@post.example"}, "by_document": {"digest": "00" * 32}}
"""Of compliance queries that need some."""
NOT_ASKED = {
    "POST /v1/messages/{message}/deliveries/{recipient}/unprotect": "ends what is tried here",
    "POST /v1/hooks/{tenant}/{account}": "takes what a provider says",
    "POST /v1/hooks/{tenant}/{account}/{operation}": "takes what a provider says",
    "POST /v1/receipts": "takes a mail",
    "POST /log/cosignatures": "takes a note",
}
"""Routes that are not asked, and why."""
NOTHING_THERE = {
    "GET /v1/messages/{message}/dispatch": "nothing was sent from here",
    "GET /log/{epoch}/checkpoint": "the log is in its first epoch",
    "GET /log/{epoch}/tile/{tile}": "likewise",
    "GET /log/{epoch}/tile/entries/{bundle}": "likewise",
    "GET /v1/erasures/{erasure}/certificate": "nobody was erased",
    "GET /v1/erasures/{erasure}/certificate.pdf": "likewise",
    "GET /v1/report-schedules/{schedule}": "needs a mail server; what it makes is a report",
}
"""Routes that read and have nothing to tell here, and why."""
QUERIES_OF: dict[str, str] = {
    "/v1/proofs/inclusion": "?position=1",
    "/v1/proofs/tlog-proof": "?position=1",
    "/v1/proofs/consistency": "?old=1",
}


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """A ledger that knows her from every provider, on each kind of database; all she got is protected."""
    with opened_system(database, tmp_path) as found:
        _fill(found)
        yield found


@pytest.fixture
async def api(system: System) -> AsyncIterator[Api]:
    async with serving(system, rate_per_minute=0) as found:
        yield found


def _fill(system: System) -> None:
    for provider in registry():
        system.accounts.add(TENANT, provider, provider)
        system.accounts.add(TENANT, f"{provider}_2", provider)
    outcomes = system.intake.admit([read(TENANT, each) for each in arrivals()])
    assert [] == [outcome for outcome in outcomes if not isinstance(outcome, Outcome)]
    registration = Registration(
        account="kpn_sms",
        provider="kpn_sms",
        recipients=(
            Address("phone", f"+49{PHONE}77"),
            Address("email", f"{MAIL}@post.example"),
            Address("postal", f"{NAME}\n{STREET}\n416 55 Exempelstad"),
            Address("person_number", f"{NUMBER}1"),
            Address("other", NAME),
            OTHER,
        ),
        references=(Reference("own_reference", REFERENCE, exclusive=False), Reference("document_id", "doc-17")),
        labels=(LABEL,),
        texts={"subject": f"{DOCUMENT} for {NAME}", "sender": f"{MAIL}@post.example"},
    )
    system.intake.register(TENANT, registration, {"arrival": "api"})
    system.runner.run()
    for view in everybody(system):
        if _is_hers(view):
            protecting.protect(system.queries, TENANT, (view.message, view.recipient), "the register says so")
    system.runner.run()


def everybody(system: System) -> list[DeliveryView]:
    queries, found, cursor = system.queries.seeing_protected(), list[DeliveryView](), ""
    while True:
        page = queries.search(TENANT, Filters(), cursor, 500)
        found += page.deliveries
        cursor = page.next
        if not cursor:
            return found


def hers(system: System) -> dict[bytes, str]:
    """Every spelling of each address that is protected, and of its lines."""
    found = {view.address.address for view in everybody(system) if _is_hers(view)}
    lines = {line for address in found for line in (address, *address.splitlines()) if len(line) >= 8}
    assert {f"{MAIL}@post.example", f"+49{PHONE}77", NAME, STREET, f"{NUMBER}1"} <= lines
    return needles({line: line for line in lines})


def _is_hers(view: DeliveryView) -> bool:
    return bool(betrayed(view.address.address.encode(), EVERY_WAY))


def said(reply: Reply) -> bytes:
    """All that an answer says, whatever it is packed in."""
    head = json.dumps(dict(reply.headers)).encode()
    if not reply.body.startswith(b"PK"):
        return head + reply.body
    with zipfile.ZipFile(BytesIO(reply.body)) as archive:
        return head + b"\n".join([name.encode() + archive.read(name) for name in archive.namelist()])


def test_she_is_known_from_every_provider(system: System) -> None:
    """So there is something to hide: her deliveries are protected, and somebody else's are not."""
    found = [view for view in everybody(system) if _is_hers(view)]
    assert set(registry()) == {view.provider for view in found}
    shown = system.queries.search(TENANT, Filters(), "", 500).deliveries
    assert set() == {(v.message, v.recipient) for v in found} & {(v.message, v.recipient) for v in shown}
    assert [OTHER.value] == [v.address.address for v in shown if v.address.address == OTHER.value]


async def test_no_route_tells_of_her(api: Api) -> None:
    """Whatever its path, its query and its body name: no name, number or address of hers in any spelling."""
    known = {name: [value] for name, value in (await _make(api)).items()} | _known(api.system)
    told, reached = dict[str, set[str]](), dict[str, set[int]]()
    wanted = hers(api.system)
    for route in sorted(ROUTES, key=lambda each: not each.reads_only):
        name = f"{route.method} {route.path}"
        for path in () if name in NOT_ASKED else _paths(route, known):
            for body in _bodies(route, path):
                reply = await api.call(f"{route.method} {path}", scopes=BUT_PROTECTED, json=body)
                reached.setdefault(name, set()).add(reply.status)
                if found := betrayed(_unasked(said(reply), body), wanted):
                    told.setdefault(f"{name} {path} {reply.status}", set()).update(found)
    assert {} == told
    assert NOT_ASKED.keys() == {f"{r.method} {r.path}" for r in ROUTES} - reached.keys()
    reading = {f"{route.method} {route.path}" for route in ROUTES if route.reads_only}
    silent = {name for name in reading if not reached[name] & {200, 201, 202}}
    assert NOTHING_THERE.keys() == silent


async def _make(api: Api) -> dict[str, str]:
    """What some routes need to have anything to tell: path parameter -> its value."""
    api.account("sms")
    api.key(*EVERYTHING)
    for where, body in {
        "PUT /v1/safeguards": {"partial_search": True, "reason": "review"},
        "PUT /v1/saved-queries/hers": {"query": "unproven"},
        "POST /v1/reports": {"query": "unproven"},
    }.items():
        reply = await api.call(where, scopes=BUT_PROTECTED, json=body)
        assert reply.status < 300, reply
    tasks.runner(api.system).run()
    found = await made(api)
    api.system.runner.run()
    return found


def _known(system: System) -> dict[str, list[str]]:
    """Path parameter -> values to be tried."""
    reads = system.ledger.database
    views = everybody(system)
    shared = next(view.message for view in views if view.address.address == OTHER.value)
    one_each = {view.provider: view.message for view in views}
    return {
        "message": [shared, *one_each.values()],
        "recipient": ["0", "1", "5"],
        "artifact": [str(row[0]) for row in reads.read("SELECT artifact_id FROM artifacts")],
        "item": [item.item for item in system.queries.lanes(TENANT)],
        "query": list(QUERIES),
        "task": [str(row[0]) for row in reads.read("SELECT task FROM tasks")],
        "account": ["kpn_sms", "ekopost"],
        "provider": list(registry()),
        "saved": ["hers"],
        "api_key": [system.api_keys.list(TENANT)[0].api_key_id],
        "file": ["page.css"],
        "slug": ["not-found"],
    }


def _paths(route: Route, known: Mapping[str, list[str]]) -> Iterator[str]:
    names = [known.get(name, [ANY.get(name, "1")]) for name in route.parameters]
    for values in product(*names):
        yield route.path.format(**dict(zip(route.parameters, values, strict=True))) + QUERIES_OF.get(route.path, "")


def _unasked(answer: bytes, body: Any) -> bytes:
    """An answer without the question, which some repeat: who asks knows it."""
    asked = (body or {}).get("parameters", {}).get("recipient", "")
    return answer.replace(json.dumps(asked).encode(), b"") if asked else answer


def _bodies(route: Route, path: str) -> list[Any]:
    if not route.reads:
        return [None]
    query = path.split("/")[3] if route.path == "/v1/queries/{query}/answer" else ""
    asked = {"parameters": PARAMETERS[query]} if query in PARAMETERS else {}
    return [{**body, **asked} for body in BODIES.get(route.path, [route.example or {}])]


def _registered(system: System) -> str:
    return next(view.message for view in everybody(system) if view.address.address == OTHER.value)


async def test_who_may_is_shown_her_when_asking_with_a_reason_and_that_is_recorded_first(api: Api) -> None:
    """One event for each access, by itself: who, which message, why; without the header even such a key sees nothing."""
    message, scopes = _registered(api.system), ("read", "evidence", "protected")
    where, asking = f"GET /v1/messages/{message}/deliveries/1", {PROTECTED_HEADER: "true", REASON_HEADER: "she called"}
    assert 404 == (await api.call(where, scopes=scopes, headers={REASON_HEADER: "she called"})).status
    reply = await api.call(where, scopes=scopes, headers=asking)
    assert (200, f"{MAIL}@post.example") == (reply.status, reply.json["address"]["address"])
    reply = await api.call("POST /v1/search", scopes=scopes, headers=asking, json={"recipient": f"+49{PHONE}77"})
    assert message in {each["message"] for each in reply.json["deliveries"]}
    events = [e for e in api.events("access.recorded") if e.fields["rule"] == "access.protected"]
    values = api.system.ledger.values(events)
    assert [[message], [message]] == [event.fields["streams"] for event in events]
    assert [{"note": "she called"}] * 2 == [values[event.position] for event in events]
    assert {api.key(*scopes).partition(".")[0]} == {event.fields["actor"] for event in events}


async def test_who_may_not_is_refused_whatever_is_asked(api: Api) -> None:
    """Without the scope 403, without a reason 428, with another word 422; nothing is recorded then."""
    where, size = f"GET /v1/messages/{_registered(api.system)}/deliveries/1", 0
    for scopes, headers, status in (
        (("read",), {PROTECTED_HEADER: "true", REASON_HEADER: "why"}, 403),
        (("read", "protected"), {PROTECTED_HEADER: "true"}, 428),
        (("read", "protected"), {PROTECTED_HEADER: "yes", REASON_HEADER: "why"}, 422),
    ):
        api.key(*scopes)
        size = api.size()
        assert status == (await api.call(where, scopes=scopes, headers=headers)).status, headers
        assert size == api.size()


async def test_an_auditor_may_be_let_see_them(api: Api) -> None:
    """With the scope beside it; still changing nothing."""
    where = f"GET /v1/messages/{_registered(api.system)}/deliveries/1"
    headers = {PROTECTED_HEADER: "true", REASON_HEADER: "audit"}
    assert 200 == (await api.call(where, scopes=("auditor", "protected"), headers=headers)).status


async def test_an_original_that_names_her_is_withheld_and_told_to_be(api: Api) -> None:
    """In the pack of somebody else in the same message it is listed as protected; by itself it is 403."""
    views = everybody(api.system)
    pec = next(v for v in views if v.provider == "pec_mailbox" and _is_hers(v))
    artifact = next(
        each for e in api.system.queries.seeing_protected().trail(TENANT, pec.message).entries for each in e.artifacts
    )
    where = f"GET /v1/artifacts/{artifact}"
    assert (403, "protected") == ((reply := await api.call(where)).status, reply.type)
    headers = {PROTECTED_HEADER: "true", REASON_HEADER: "a court asks"}
    assert 200 == (await api.call(where, scopes=("evidence", "protected"), headers=headers)).status


async def test_protecting_is_for_the_privacy_officer(api: Api) -> None:
    """By the API: the delivery is gone from the next answer that reflects it, and comes back when it is taken back."""
    message = _registered(api.system)
    where, why = f"POST /v1/messages/{message}/deliveries/5", {"reason": "moved"}
    assert 403 == (await api.call(f"{where}/protect", json=why)).status
    for act, shown in (("protect", 404), ("unprotect", 200)):
        reply = await api.call(f"{where}/{act}", scopes=("privacy",), json=why)
        assert 1 <= reply.json["deliveries"]
        await api.caught_up()
        assert shown == (await api.call(f"GET /v1/messages/{message}/deliveries/5")).status
