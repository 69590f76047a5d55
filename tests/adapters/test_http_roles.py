"""Every route for every role, with things of the role's own organisation: each scope alone, and keys that are none any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.apikeys import SCOPES
from adapters.http.routes import NO_KEY
from adapters.http.table import ROUTES
from tests.adapters.asks import id_of, request
from tests.adapters.conftest import Api, opened_system, serving
from tests.adapters.furnished import ALL
from tests.adapters.roles import MAY
from tests.adapters.test_http_strangers import hers
from tests.postgres import Database

KEYED = [route for route in ROUTES if route.scopes is not NO_KEY]


@pytest.fixture
async def api(database: Database, tmp_path: Any) -> AsyncIterator[Api]:
    with opened_system(database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system, rate_per_minute=0, failures_per_minute=0, key_cache_s=0.0) as found:
            yield found


def test_every_route_has_a_row() -> None:
    """A new route without one fails, and so does a row without a route."""
    assert set(MAY) == {id_of(route) for route in KEYED}
    assert set(SCOPES) >= {scope for row in MAY.values() for scope in row.split()}


async def test_each_scope_alone_may_what_its_row_says(api: Api) -> None:
    """Refused is 403 and nothing else; whatever is not refused was asked well enough not to be a defect."""
    named = await hers(api)
    for route in KEYED:
        where, how = request(route, named)
        replies = {scope: await api.call(where, scopes=(scope,), **how) for scope in SCOPES}
        may = {scope for scope, reply in replies.items() if reply.status != 403}
        assert set(MAY[id_of(route)].split()) == may, id_of(route)
        assert {"forbidden"} >= {reply.type for reply in replies.values() if reply.status == 403}, id_of(route)
        assert max(reply.status for reply in replies.values()) < 500, id_of(route)


async def test_a_key_that_ended_is_no_key_for_any_route(api: Api) -> None:
    """Revoked, expired, or none at all: 401, although it may everything and names what is its own organisation's."""
    named, keys = await hers(api), api.system.api_keys
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, expired = keys.create(api.tenant, ALL, expires_at=past)
    revoked_id, revoked = keys.create(api.tenant, ALL)
    keys.revoke(api.tenant, revoked_id.api_key_id)
    size = api.size()
    for route in KEYED:
        where, how = request(route, named)
        for key in (expired, revoked, ""):
            headers = dict(how["headers"]) | ({"Authorization": f"Bearer {key}"} if key else {})
            reply = await api.call(where, scopes=(), **(how | {"headers": headers}))
            assert (401, "unauthenticated") == (reply.status, reply.type), id_of(route)
    assert size == api.size()
