"""What belongs to another organisation is, for whoever asks, what never was: the same status, the same words, no trace with the other."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adapters import safeguards
from adapters.http.routes import NO_KEY, Route
from adapters.http.table import ROUTES
from adapters.safeguards import Safeguards
from ledger.database import PostgresDatabase
from ledger.tenants import tenant
from tests.adapters.asks import ASKS, NOBODYS, id_of, names_in, request
from tests.adapters.conftest import Api, Reply, opened_system, serving
from tests.adapters.furnished import ALL, NUMBER, furnish
from tests.adapters.roles import MAY
from tests.postgres import Database

KEYED = [route for route in ROUTES if route.scopes is not NO_KEY]
NAMING = [route for route in KEYED if names_in(route)]
OWN_IDS = {
    "message",
    "queued",
    "artifact",
    "item",
    "hold",
    "erasure",
    "act",
    "downtime",
    "task",
    "schedule",
    "event",
    "api_key",
}
AS_THE_SERVICE = {
    "_authenticated": "whose key it is, is not known yet",
    "_firsts": "reports/register: one list of all schedules, because the scheduler works for all",
    "run": "projections/runner: a model holds what belongs to all",
    "rebuild": "projections/runner: likewise",
    "preview_erasure": "an erasure looks through what no other request may",
    "ask_erasure": "and destroys it",
    "_certificate": "and is read once the models know of it",
}
"""Functions under which a request's thread may use the service's own connections, and why."""


@pytest.fixture
async def api(database: Database, tmp_path: Any) -> AsyncIterator[Api]:
    with opened_system(database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system, rate_per_minute=0) as found:
            yield found


async def hers(api: Api) -> dict[str, str]:
    """The names of everything that one organisation has."""
    made = await furnish(api)
    event = api.system.ledger.stream(made["message"])[0]
    named = {"event": event.id, "position": str(event.position), "reference": "doc-1", "label": "case 17"}
    return made | named | {"mailbox": "mail", "number": NUMBER}


def test_every_route_that_reads_has_a_row() -> None:
    """A route that takes a body cannot be asked without one; a row of no route is left over."""
    assert set() == {id_of(route) for route in KEYED if route.reads} - ASKS.keys()
    assert set() == ASKS.keys() - {id_of(route) for route in ROUTES}
    assert OWN_IDS - {"queued"} <= NOBODYS.keys()


async def test_what_is_anothers_is_answered_as_what_never_was(api: Api) -> None:
    """Every route that can name something, for every scope that may use it: the same status and body, and no trace with the other."""
    named = await hers(api)
    other = api.of("other")
    other.key(*ALL)
    other.account("third", "kpn_sms")
    safeguards.put(api.system.accounts, "other", Safeguards(partial_search=True).numbers(), "n", "key_1")
    written = of_tenant(api)
    for route in NAMING:
        for scopes in (ALL, *((scope,) for scope in MAY[id_of(route)].split())):
            found, never = [await ask(other, route, names, scopes) for names in (named, NOBODYS)]
            assert told(found, named) == told(never, NOBODYS), (id_of(route), scopes)
            assert found.status != 403, (id_of(route), found)
    assert written == of_tenant(api)


async def test_no_answer_holds_what_belongs_to_another(api: Api) -> None:
    """Every route, asked by somebody of another organisation who names nothing of hers: none of her ids, names or numbers comes back."""
    named = await hers(api)
    other = api.of("other")
    for route in KEYED:
        reply = await ask(other, route, NOBODYS)
        told_ids = [name for name in OWN_IDS if named.get(name, "?").encode() in reply.body]
        assert [] == told_ids, id_of(route)
        assert b"12340001" not in reply.body, id_of(route)
        assert b"case 17" not in reply.body, id_of(route)


async def ask(api: Api, route: Route, names: dict[str, str], scopes: tuple[str, ...] = ALL) -> Reply:
    where, how = request(route, names)
    return await api.call(where, scopes=scopes, **how)


def of_tenant(api: Api) -> int:
    """How many events there are of the one who is not asking."""
    return sum(event.tenant == api.tenant for event in api.system.ledger.feed(0, 10_000))


_ID = re.compile(rb"key_[0-9a-f]{20}|(urn:uuid:)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_HOW_FAR = re.compile(rb'"(position|tree_size|next|version|size|sample)":\d+|"root":"[0-9a-f]{64}"')


def told(reply: Reply, names: dict[str, str]) -> tuple[int, bytes]:
    """Status and body, without what was sent and what is new with every answer."""
    body = reply.body
    for volatile in (_TIME, _ID, _HOW_FAR):
        body = volatile.sub(b"<>", body)
    for name in NOBODYS.keys() - {"recipient"}:
        body = re.sub(rb"(?<![\w-])" + re.escape(names[name].encode()) + rb"(?![\w-])", b"<>", body)
    return reply.status, body


# --- which connections a request uses


async def test_a_request_uses_no_connection_but_those_of_its_organisation(
    postgresql_database: Database, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every route, with things of the organisation's own: nothing is read or written as the service but where it is said why."""
    with opened_system(postgresql_database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system, rate_per_minute=0, key_cache_s=0.0) as api:
            named = await hers(api)
            with watched(monkeypatch) as used:
                done = {id_of(route): (await ask(api, route, named)).status for route in KEYED}
            assert [] == [where for where, status in done.items() if status >= 500 or status == 403]
            outside = {functions for whose, functions in used if not whose}
            assert {True} == {bool(functions & AS_THE_SERVICE.keys()) for functions in outside}
            assert set() == AS_THE_SERVICE.keys() - {"rebuild"} - frozenset().union(*outside)
            assert {api.tenant, ""} == {whose for whose, _ in used}


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, frozenset[str]]]]:
    """For whom each connection is taken in a request's thread, and by which functions."""
    used: set[tuple[str, frozenset[str]]] = set()
    taken = PostgresDatabase.get_connection

    def get_connection(self: PostgresDatabase) -> Any:
        frames = [frame.function for frame in inspect.stack(context=0)]
        if "_answer" in frames or "_authenticated" in frames or "in_thread" in frames:
            used.add((tenant(), frozenset(frames)))
        return taken(self)

    with monkeypatch.context() as patched:
        patched.setattr(PostgresDatabase, "get_connection", get_connection)
        yield used
