"""API keys over HTTP. Nobody grants a scope that his own key does not hold; what nobody holds yet is granted at the console."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.apikeys import SCOPES, ApiKey, Once
from adapters.http.accounts import OPERATORS
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given
from adapters.strictjson import refuse

MAX_DAYS = 3_650
MAX_NAME = 200
IDEMPOTENCY = {
    "Idempotency-Key": "sent again with the same name, it is the key of the first time, which is not shown again"
}
Why = Annotated[str, Meta(max_length=1_000, description="why; sealed beside the event")]


class NewApiKey(Given):
    """An API key that is to be made.

    Attributes:
        scopes: what it may do; only scopes that the granting key holds.
        label: whose it is, for the list.
        days: how long it is valid; absent: 365, for an auditor 90, which is also his most.
    """

    scopes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=len(SCOPES))]
    label: Annotated[str, Meta(max_length=200)] = ""
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None
    note: Why = ""


class Rotation(Given):
    """How an API key is replaced.

    Attributes:
        overlap_hours: how long the old one works beside the new one.
    """

    overlap_hours: Annotated[int, Meta(ge=0, le=720)] = 24
    note: Why = ""


class ApiKeyMade(msgspec.Struct, frozen=True):
    """A new API key.

    Attributes:
        key: what is sent with requests; it is shown this once. "" when the same Idempotency-Key made it before: whoever lost that answer
            revokes the key, or rotates it.
    """

    key: str
    api_key: ApiKey


class ApiKeyList(msgspec.Struct, frozen=True):
    """The tenant's API keys, oldest first, those that ended too."""

    keys: tuple[ApiKey, ...]


@route("GET /v1/keys", scopes=OPERATORS, answers={200: ApiKeyList})
def list_api_keys(call: Call[NoQuery, None]) -> Answer:
    """The API keys, what each may do, until when, and when it was last used; never a key itself."""
    return Answer(ApiKeyList(tuple(call.services.api_keys.list(call.tenant))))


@route(
    "POST /v1/keys",
    scopes=OPERATORS,
    answers={200: ApiKeyMade, 201: ApiKeyMade},
    headers=IDEMPOTENCY,
    example={"scopes": ["read"], "label": "support desk", "days": 90},
)
def make_api_key(call: Call[NoQuery, NewApiKey]) -> Answer:
    """Make an API key; it is shown this once. Nobody grants a scope that his own key does not hold, except at the console."""
    asked, keys = call.body, call.services.api_keys
    ends = call.services.ledger.clock() + timedelta(days=asked.days) if asked.days else None
    made, key = keys.create(
        *(call.tenant, asked.scopes, asked.label, ends),
        note=asked.note,
        actor=call.actor,
        held=call.key.scopes,
        once=_once(call),
    )
    return _made(made, key)


def _once(call: Call[Any, Any]) -> Once:
    """What makes a request the same as an earlier one: its name, and what it asks for."""
    name = call.headers.get("idempotency-key", "")
    if len(name) > MAX_NAME:
        refuse("Idempotency-Key", f"at most {MAX_NAME} characters")
    asked = call.path.get("api_key", "").encode() + b"\n" + msgspec.json.encode(call.body)
    return (name, hashlib.sha256(asked).hexdigest()) if name else ("", "")


def _made(made: ApiKey, key: str) -> Answer:
    return Answer(ApiKeyMade(key, made), 201 if key else 200, {"Location": f"/v1/keys/{made.api_key_id}"})


@route("GET /v1/keys/{api_key}", scopes=OPERATORS, answers={200: ApiKey})
def show_api_key(call: Call[NoQuery, None]) -> Answer:
    """One API key, without the key itself."""
    return Answer(call.services.api_keys.get(call.tenant, call.path["api_key"]))


@route(
    "POST /v1/keys/{api_key}/rotate",
    scopes=OPERATORS,
    answers={200: ApiKeyMade, 201: ApiKeyMade},
    headers=IDEMPOTENCY,
    example={"overlap_hours": 24},
)
def rotate_api_key(call: Call[NoQuery, Rotation]) -> Answer:
    """Make a key with the same scopes, shown this once; the old one ends after the overlap. The scopes must be the caller's own, too."""
    made, key = call.services.api_keys.rotate(
        call.tenant,
        call.path["api_key"],
        timedelta(hours=call.body.overlap_hours),
        note=call.body.note,
        actor=call.actor,
        held=call.key.scopes,
        once=_once(call),
    )
    return _made(made, key)


@route("DELETE /v1/keys/{api_key}", scopes=OPERATORS, answers={200: ApiKey})
def revoke_api_key(call: Call[NoQuery, None]) -> Answer:
    """End an API key at once here, and in other processes within two seconds; one that ended stays as it is."""
    return Answer(call.services.api_keys.revoke(call.tenant, call.path["api_key"], actor=call.actor))
