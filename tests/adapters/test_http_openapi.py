"""The description of the API, held against the standard, against the routes, and against a running server."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import checks as st_checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

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


CHECKS = [
    st_checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@schemathesis.serializer("message/rfc822", "*/*")
def _as_bytes(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _telling() -> dict[str, Any]:
    """The document with what the server holds in it, so that more than refusals is tried; keys are sent by the test.

    Without tiles: the generator takes no path parameter that has a slash in it.
    """
    found: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    found["paths"] = {path: item for path, item in found["paths"].items() if "/tile/" not in path}
    for item in found["paths"].values():
        for operation in item.values():
            operation["security"] = []
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "min_position":
                    parameter["schema"] = {"enum": [0]}  # one that is never reached is rightly 503
    for title, schema in found["components"]["schemas"].items():
        for name, value in {"account": "sms", "operation": "send", "min_position": 0}.items():
            if name in schema.get("properties", ()) and title != "JobView":  # the ledger's own jobs have no account
                schema["properties"][name] = {"enum": [value]}
    return found


def _smoke(url: str, key: str) -> int:
    """Generated requests to every operation; how many were made."""
    made = itertools.count()
    for result in schemathesis.openapi.from_dict(_telling()).get_all_operations():
        assert isinstance(result, Ok)

        @hypothesis.settings(
            max_examples=8, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
        )
        @hypothesis.given(case=result.ok().as_strategy())
        def conforms(case: Any) -> None:
            next(made)
            response = case.call(base_url=url, headers={"X-Api-Key": key}, timeout=30)
            case.validate_response(response, checks=CHECKS)

        conforms()
    return next(made)


@pytest.mark.slow(reason="some hundred generated requests")
async def test_server_keeps_to_the_document_whatever_is_sent(sqlite_api: Api) -> None:
    """No 5xx, no status, content type or body that is not described; the log stays sound."""
    sqlite_api.account()
    key = sqlite_api.key("ingest", "read", "evidence", "compliance", "operator")
    made = await asyncio.to_thread(_smoke, f"http://127.0.0.1:{sqlite_api.port}", key)
    assert made >= 2 * len(ROUTES)
    ready = await sqlite_api.call("GET /readyz", scopes=())
    assert (200, 0) == (ready.status, ready.json["unapplied"])


def test_hooks_and_machines_need_no_key_in_the_document() -> None:
    """`security` is empty exactly where no key is needed."""
    open_routes = {r.path for r in ROUTES if r.scopes is NO_KEY}
    items = DOCUMENT["paths"].items()
    assert open_routes == {path for path, item in items for operation in item.values() if not operation["security"]}
