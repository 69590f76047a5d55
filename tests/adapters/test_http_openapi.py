"""The description of the API, held against the standard, against the routes, and against a running server."""

from __future__ import annotations

import json

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.http.openapi import document
from adapters.http.routes import JSON, NO_KEY, Route
from adapters.http.table import ROUTES
from adapters.strictjson import decode
from tests.adapters.conftest import Api

DOCUMENT = document()


def test_document_is_openapi_3_1_and_names_every_route() -> None:
    """Valid by the standard's own schema; one operation a route, each with its own id."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert {(r.method, r.path) for r in ROUTES} == described
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_document_is_the_same_each_time() -> None:
    """Nothing of a run is in it."""
    assert json.dumps(DOCUMENT) == json.dumps(document())


def test_every_field_that_is_asked_for_is_described_or_named_by_its_type() -> None:
    """A request's type says what it is for; so does each parameter."""
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert operation["summary"], route.path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (route.path, parameter)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.example is not None], ids=lambda r: r.path)
def test_examples_are_taken(route: Route) -> None:
    """What the page shows can be sent as it is."""
    assert decode(msgspec.json.Decoder(route.reads[JSON]), json.dumps(route.example).encode())


async def test_server_gives_the_document(sqlite_api: Api) -> None:
    """/openapi.json is that document."""
    reply = await sqlite_api.call("GET /openapi.json", scopes=())
    assert DOCUMENT == reply.json


def test_hooks_and_machines_need_no_key_in_the_document() -> None:
    """`security` is empty exactly where no key is needed."""
    open_routes = {r.path for r in ROUTES if r.scopes is NO_KEY}
    items = DOCUMENT["paths"].items()
    assert open_routes == {path for path, item in items for operation in item.values() if not operation["security"]}
