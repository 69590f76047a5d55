"""Schedules of reports over HTTP, and the keys that webhooks about reports are signed with."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters.compliance.registry import find
from adapters.http.authentication import require_scope
from adapters.http.errors import NoVersionError
from adapters.http.queries import SCOPES
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.tasks import started
from adapters.http.types import Given, KeyId
from adapters.reports import webhooks
from adapters.reports.register import ChangedError
from adapters.reports.schedules import Found, Schedule, ScheduleView
from adapters.strictjson import decode
from adapters.tasks.views import TaskView
from ledger.errors import NotFoundError

JSON_PATCH = "application/json-patch+json"
IF_MATCH = {"If-Match": "the ETag of the version that is changed"}
TAG = re.compile(r'"(\d{1,9})"')
EXAMPLE = {
    "title": "Disputed deliveries of the month",
    "start_date": "2026-01-01",
    "period": 1,
    "period_unit": "months",
    "zone": "Europe/Amsterdam",
    "time": "06:00",
    "type": "disputed",
    "format": "xlsx",
    "language": "nl",
    "recipients": [{"folder": "compliance"}, {"email": "compliance@example.org"}],
}


class ScheduleViews(msgspec.Struct, frozen=True):
    """The tenant's schedules that this key may see."""

    schedules: tuple[ScheduleView, ...]


class Operation(msgspec.Struct, frozen=True, rename={"from_": "from"}, omit_defaults=True, forbid_unknown_fields=True):
    """One operation of a JSON Patch (RFC 6902).

    Attributes:
        path: JSON Pointer into the schedule's definition, for example `/recipients/-`.
        from: JSON Pointer; of move and copy.
        value: of add, replace and test.
    """

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Annotated[str, Meta(max_length=1_000)]
    from_: Annotated[str, Meta(max_length=1_000)] | msgspec.UnsetType = msgspec.UNSET
    value: Any = msgspec.UNSET


Patch = Annotated[tuple[Operation, ...], Meta(max_length=100)]


class NewWebhookKey(Given):
    """A key to sign webhooks with; those that are in use stay in use until they are retired."""

    key_id: KeyId


class WebhookKey(msgspec.Struct, frozen=True):
    """A key that was made; the secret is shown this once, as verifiers of Standard Webhooks take it."""

    key_id: str
    secret: str


class WebhookKeys(msgspec.Struct, frozen=True):
    """The names of the keys in use; every webhook is signed with each."""

    keys: tuple[str, ...]


# --- schedules


@route("GET /v1/report-schedules", scopes=SCOPES, answers={200: ScheduleViews}, access="schedules")
def list_schedules(call: Call[NoQuery, None]) -> Answer:
    """The schedules of reports, and when each is run next."""
    schedules = call.services.schedules
    found = [each for each in schedules.list(call.tenant) if set(_scopes(each[1].type)) & set(call.key.scopes)]
    return Answer(ScheduleViews(tuple(map(schedules.view, found))))


@route("POST /v1/report-schedules", scopes=SCOPES, answers={201: ScheduleView}, example=EXAMPLE)
def create_schedule(call: Call[NoQuery, Schedule]) -> Answer:
    """Have a report made and delivered each time that a period has ended; periods that have ended already are not made up for."""
    require_scope(call.key, _scopes(call.body.type))
    found = call.services.schedules.create(call.tenant, call.body, call.actor)
    return _answer(call, found, 201)


@route("GET /v1/report-schedules/{schedule}", scopes=SCOPES, answers={200: ScheduleView}, access="schedules")
def show_schedule(call: Call[NoQuery, None]) -> Answer:
    """One schedule; its ETag is needed to change it."""
    return _answer(call, _found(call))


@route(
    "PUT /v1/report-schedules/{schedule}",
    scopes=SCOPES,
    answers={200: ScheduleView},
    headers=IF_MATCH,
    problems=(412, 428),
    example=EXAMPLE,
)
def replace_schedule(call: Call[NoQuery, Schedule]) -> Answer:
    """Give a schedule another definition; what is not named has its default."""
    found = _found(call)
    require_scope(call.key, _scopes(call.body.type))
    given = (call.tenant, call.path["schedule"], _version(call, found), call.body, call.actor)
    return _answer(call, call.services.schedules.replace(*given))


@route(
    "PATCH /v1/report-schedules/{schedule}",
    scopes=SCOPES,
    answers={200: ScheduleView},
    reads={JSON_PATCH: Patch},
    headers=IF_MATCH,
    problems=(412, 428),
)
def patch_schedule(call: Call[NoQuery, bytes]) -> Answer:
    """Change a schedule by a JSON Patch (RFC 6902): all of its operations, or none."""
    found, schedules = _found(call), call.services.schedules
    operations = [msgspec.to_builtins(each) for each in decode(msgspec.json.Decoder(Patch), call.body)]
    patched = schedules.patched(found[1], operations)
    require_scope(call.key, _scopes(patched.type))
    given = (call.tenant, call.path["schedule"], _version(call, found), patched, call.actor)
    return _answer(call, schedules.replace(*given, done="patched"))


@route(
    "DELETE /v1/report-schedules/{schedule}",
    scopes=SCOPES,
    answers={204: None},
    headers=IF_MATCH,
    problems=(412, 428),
)
def delete_schedule(call: Call[NoQuery, None]) -> Answer:
    """End a schedule; the reports that it made stay until they expire."""
    found = _found(call)
    call.services.schedules.delete(call.tenant, call.path["schedule"], _version(call, found), call.actor)
    return Answer(status=204)


@route("POST /v1/report-schedules/{schedule}/run", scopes=SCOPES, answers={202: TaskView}, problems=(409,))
def run_schedule(call: Call[NoQuery, None]) -> Answer:
    """Have the latest period that has ended reported and delivered now, also if it was before."""
    _found(call)
    return started(call, call.services.schedules.run_now(call.tenant, call.path["schedule"], call.actor))


def _found(call: Call[Any, Any]) -> Found:
    found = call.services.schedules.get(call.tenant, call.path["schedule"])
    require_scope(call.key, _scopes(found[1].type))
    return found


def _scopes(query: str) -> tuple[str, ...]:
    """Who may have a query answered; of one that no version of ours knows any more, whoever may ask any."""
    try:
        return find(query).scopes
    except NotFoundError:
        return SCOPES


def _version(call: Call[Any, Any], found: Found) -> int:
    """The version that the caller means to change.

    Raises:
        NoVersionError: it does not say.
        ChangedError: none of ours looks like that.
    """
    said = call.headers.get("if-match", "").strip()
    if not said:
        raise NoVersionError
    if said == "*":
        return found[0].version
    tag = TAG.fullmatch(said)
    if tag is None:
        raise ChangedError
    return int(tag[1])


def _answer(call: Call[Any, Any], found: Found, status: int = 200) -> Answer:
    headers = {"ETag": f'"{found[0].version}"'}
    if status == 201:
        headers["Location"] = f"/v1/report-schedules/{found[0].name}"
    return Answer(call.services.schedules.view(found), status, headers)


# --- keys


@route("GET /v1/report-webhook-keys", scopes=("operator",), answers={200: WebhookKeys})
def list_webhook_keys(call: Call[NoQuery, None]) -> Answer:
    """Names of the keys that webhooks about reports are signed with."""
    return Answer(WebhookKeys(tuple(webhooks.keys(call.services.accounts, call.tenant))))


@route("POST /v1/report-webhook-keys", scopes=("operator",), answers={201: WebhookKey})
def add_webhook_key(call: Call[NoQuery, NewWebhookKey]) -> Answer:
    """Make a key that webhooks about reports are signed with from now on, besides those in use."""
    name = call.body.key_id
    return Answer(WebhookKey(name, webhooks.add_key(call.services.accounts, call.tenant, name, call.actor)), 201)


@route("DELETE /v1/report-webhook-keys/{key_id}", scopes=("operator",), answers={204: None})
def retire_webhook_key(call: Call[NoQuery, None]) -> Answer:
    """Destroy a key that webhooks about reports are signed with."""
    webhooks.retire_key(call.services.accounts, call.tenant, call.path["key_id"], call.actor)
    return Answer(status=204)
