"""The OpenAPI 3.1 document, from the routes and the types that validate them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from inspect import cleandoc
from typing import Any

import msgspec

from adapters.apikeys import AUDITED
from adapters.http.problems import MEDIA_TYPE, Problem
from adapters.http.routes import ANY_KEY, JSON, NO_KEY, PARAMETERS, PROTECTED_HEADER, Route
from adapters.http.table import ROUTES

REF = "#/components/schemas/{name}"
BINARY = {"type": "string", "format": "binary"}
ALWAYS = (429, 500, 503)
TITLE = "Delivery Ledger"
MEANINGS = {
    200: "as asked",
    201: "stored: durable, and in the tree",
    202: "asked for: done in a moment",
    204: "done",
    304: "unchanged since the tag given in If-None-Match",
    503: "not ready",
}
DESCRIPTION = """One ledger for everything sent by registered e-mail, certified mail, post, SMS and fax.

Every answer is limited to the organisation of the API key. Errors are RFC 9457 problems that say what to do. What is answered 2xx is
durable and in the tree. Personal values are sent in bodies only, never in a path or a query.

What a key may do in a minute stands in `RateLimit-Policy` of every answer, what is left of it in `RateLimit`; 429 says in `Retry-After`
when to come again.
"""


def document() -> dict[str, Any]:
    """The document as plain values."""
    kinds = sorted({kind for route in ROUTES for kind in _types(route)}, key=lambda kind: str(kind.__name__))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    keys = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key: delivery-ledger keys create SCOPE"},
        "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    }
    found = {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version("delivery-ledger"), "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: _described(component) for name, component in components.items()},
            "securitySchemes": keys,
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))  # defaults are Python's tuples and enums
    return plain


def _types(route: Route) -> Sequence[Any]:
    found = [Problem, *route.reads.values(), *(kind for answer in route.answers.values() for kind in answer.values())]
    return [kind for kind in found if kind not in {bytes, str}]


def _operation(route: Route, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    text = cleandoc(route.handler.__doc__ or "")
    told: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [_tag(route)],
        "summary": text.partition("\n")[0],
        "description": _description(route, text),
        "responses": _responses(route, schema_of),
    }
    parameters = [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]
    if parameters:
        told["parameters"] = parameters
    if route.reads:
        content = _content(route.reads, schema_of)
        if route.example is not None:
            content[JSON]["example"] = route.example
        told["requestBody"] = {"required": True, "content": content}
    told["security"] = [] if route.scopes is NO_KEY else [{"bearer": []}, {"header": []}]
    return told


def _tag(route: Route) -> str:
    first = route.path.strip("/").removeprefix("v1/").partition("/")[0]
    return first if route.path.startswith("/v1/") else "operation"


def _description(route: Route, text: str) -> str:
    rest = text.partition("\n")[2].strip()
    needs = (
        ""
        if route.scopes is NO_KEY
        else "Needs any API key."
        if route.scopes == ANY_KEY
        else f"Scope: {' or '.join((*route.scopes, *(['auditor'] if _is_audited(route) else [])))}."
    )
    return "\n\n".join(part for part in (rest, needs) if part)


def _is_audited(route: Route) -> bool:
    return route.reads_only and bool(set(AUDITED) & set(route.scopes or ()))


def _responses(route: Route, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in route.answers.items():
        found[str(status)] = {"description": MEANINGS[status]}
        if answer:
            found[str(status)]["content"] = _content(answer, schema_of)
    content = {MEDIA_TYPE: {"schema": schema_of[Problem]}}
    for status in sorted(problem_statuses(route)):
        found.setdefault(str(status), {"description": HTTPStatus(status).phrase, "content": content})
    return found


def _content(kinds: Mapping[str, Any], schema_of: dict[Any, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {media: {"schema": schema_of.get(kind, BINARY)} for media, kind in kinds.items()}


def problem_statuses(route: Route) -> set[int]:
    """Statuses of the problems a route may answer."""
    found = {*route.problems, *ALWAYS, 422}
    found |= set() if route.scopes is NO_KEY else {401} if route.scopes == ANY_KEY else {401, 403}
    found |= {400, 408, 413, 415} if route.reads else set()
    found |= {428} if route.demands or route.shows_people else set()
    return found | ({404} if route.parameters else set())


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PARAMETERS[name][1],
            "schema": {"type": "string", "pattern": f"^(?:{PARAMETERS[name][0]})$"},
        }
        for name in route.parameters
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(route.query)
    schema = schema["$defs"][route.query.__name__] if "$defs" in schema else schema
    meanings = _attributes(route.query.__doc__ or "")
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "description": meanings.get(name, "") or _meaning(described),
            "schema": {k: v for k, v in described.items() if k != "description"},
        }
        for name, described in schema["properties"].items()
    ]


def _meaning(schema: dict[str, Any]) -> str:
    """What a type says of itself; an optional one says it in its first alternative."""
    found: str = schema.get("description") or schema.get("anyOf", [{}])[0].get("description", "")
    return found


_HEADERS = {PROTECTED_HEADER: {"enum": ["true"]}}
"""What a header may be, where that is not any text."""


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": meaning,
            "schema": {"type": "string", **_HEADERS.get(name, {})},
        }
        for name, meaning in route.headers.items()
    ]


def _attributes(docstring: str) -> dict[str, str]:
    """Field -> meaning, from the Attributes section of a docstring."""
    section = cleandoc(docstring).partition("Attributes:\n")[2]
    found = re.findall(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


def _described(component: dict[str, Any]) -> dict[str, Any]:
    """A schema whose fields carry what the docstring of its type says of them."""
    text = component.get("description", "")
    for name, meaning in _attributes(text).items():
        component.get("properties", {}).get(name, {})["description"] = meaning
    return component | ({"description": " ".join(text.partition("Attributes:")[0].split())} if text else {})
