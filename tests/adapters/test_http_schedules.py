"""Schedules of reports over HTTP: what is asked for, seen, changed under an ETag, ended, run; and the keys of webhooks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.http.schedules import JSON_PATCH
from tests.adapters.conftest import Api, Reply, opened_system, serving
from tests.postgres import Database

DEFINITION = {
    "start_date": "2030-01-31",
    "period": 1,
    "period_unit": "months",
    "zone": "Europe/Rome",
    "time": "06:30",
    "type": "disputed",
    "format": "jsonl",
    "language": "it",
    "recipients": [{"folder": "compliance"}],
}


@pytest.fixture
async def api(database: Database, tmp_path: Any) -> Any:
    """With a folder to deliver to."""
    with opened_system(database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system) as found:
            yield found


@pytest.fixture
async def small_api(sqlite_database: Database, tmp_path: Any) -> Any:
    """For rules that have nothing to do with the database."""
    with opened_system(sqlite_database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system) as found:
            yield found


async def create(api: Api, **changed: Any) -> Reply:
    reply = await api.call("POST /v1/report-schedules", json=DEFINITION | changed, scopes=("compliance",))
    assert 201 == reply.status, reply
    return reply


async def patch(api: Api, where: str, operations: Any, tag: str = '"1"') -> Reply:
    headers = {"Content-Type": JSON_PATCH, "If-Match": tag}
    return await api.call(f"PATCH {where}", data=json.dumps(operations), headers=headers)


async def test_a_schedule_is_made_seen_changed_and_ended(api: Api) -> None:
    """Each change under the ETag of what it changes."""
    made = await create(api)
    where, seen = made.headers["Location"], made.json
    assert ('"1"', 1, "2030-02-28T05:30:00Z") == (made.headers["ETag"], seen["version"], seen["next_at"])
    assert DEFINITION | {"title": "", "span": "previous_period", "parameters": {}} == seen["definition"]
    assert f"/v1/report-schedules/{seen['schedule']}" == where
    put = await api.call(f"PUT {where}", json=DEFINITION | {"period": 2}, headers={"If-Match": '"1"'})
    assert (200, '"2"', 2) == (put.status, put.headers["ETag"], put.json["definition"]["period"])
    patched = await patch(api, where, [{"op": "add", "path": "/recipients/-", "value": {"folder": "board"}}], '"2"')
    assert (200, '"3"') == (patched.status, patched.headers["ETag"])
    got = await api.call(f"GET {where}")
    assert (patched.json, '"3"') == (got.json, got.headers["ETag"])
    assert [got.json] == (await api.call("GET /v1/report-schedules")).json["schedules"]
    assert 204 == (await api.call(f"DELETE {where}", headers={"If-Match": '"3"'})).status
    assert 404 == (await api.call(f"GET {where}")).status
    assert [] == (await api.call("GET /v1/report-schedules")).json["schedules"]
    rules = [event.fields["rule"].removeprefix("schedule.") for event in api.events("report.scheduled")]
    assert ["created", "replaced", "patched", "deleted"] == rules


@pytest.mark.parametrize(
    ("tag", "status", "kind"),
    [
        (None, 428, "no-version"),
        ('"2"', 412, "changed"),
        ('"0"', 412, "changed"),
        ('W/"1"', 412, "changed"),
        ("1", 412, "changed"),
        ('"1" or so', 412, "changed"),
        ('"99999999999999999999"', 412, "changed"),
    ],
)
async def test_nobodys_change_is_lost(small_api: Api, tag: str | None, status: int, kind: str) -> None:
    """Whoever changes a schedule says which version; another one is left as it is."""
    where = (await create(small_api)).headers["Location"]
    headers = {"If-Match": tag} if tag else {}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("PUT", {"json": DEFINITION | {"period": 9}}),
        ("PATCH", {"data": '[{"op":"replace","path":"/period","value":9}]', "headers": {"Content-Type": JSON_PATCH}}),
        ("DELETE", {}),
    ]
    for method, how in calls:
        given = how | {"headers": how.get("headers", {}) | headers}
        reply = await small_api.call(f"{method} {where}", **given)
        assert (status, kind) == (reply.status, reply.type)
    assert 1 == (await small_api.call(f"GET {where}")).json["version"]


async def test_any_version_is_changed_by_who_says_so(small_api: Api) -> None:
    """`If-Match: *`."""
    where = (await create(small_api)).headers["Location"]
    assert 204 == (await small_api.call(f"DELETE {where}", headers={"If-Match": "*"})).status


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "replace", "path": "/zone", "value": "Mars/Olympus"}], 422),
        ([{"op": "remove", "path": "/recipients/0"}], 422),
        ([{"op": "burn", "path": "/zone"}], 422),
        ([{"op": "test", "path": "/period", "value": 9}], 422),
        ({"op": "remove", "path": "/title"}, 422),
        ([{"op": "add", "path": "/title", "value": "x", "colour": "red"}], 422),
        ([{"op": "replace", "path": "/recipients/0/folder", "value": "../up"}], 422),
    ],
)
async def test_a_patch_that_does_not_fit_changes_nothing(small_api: Api, operations: Any, status: int) -> None:
    """422, with the field where there is one."""
    made = await create(small_api)
    assert status == (await patch(small_api, made.headers["Location"], operations)).status
    assert made.json == (await small_api.call(f"GET {made.headers['Location']}")).json


async def test_a_time_that_is_none_is_told_in_words(small_api: Api) -> None:
    """Nobody who types a time reads patterns."""
    reply = await small_api.call("POST /v1/report-schedules", json=DEFINITION | {"time": "half past six"})
    assert (422, [{"field": "time", "why": "a time of the day, 00:00 to 23:59"}]) == (
        reply.status,
        reply.json["errors"],
    )


async def test_a_patch_is_sent_under_its_own_media_type(small_api: Api) -> None:
    """RFC 6902 section 6; plain JSON is another kind of patch."""
    where = (await create(small_api)).headers["Location"]
    reply = await small_api.call(f"PATCH {where}", json=[], headers={"If-Match": '"1"'})
    assert (415, "media-type") == (reply.status, reply.type)


async def test_the_latest_period_is_run_on_demand(api: Api) -> None:
    """202 and the task; before the first end of a period there is nothing to run."""
    where = (await create(api, start_date="2026-01-01")).headers["Location"]
    reply = await api.call(f"POST {where}/run", scopes=("compliance",))
    assert (202, "report", "queued") == (reply.status, reply.json["kind"], reply.json["state"])
    later = (await create(api)).headers["Location"]
    reply = await api.call(f"POST {later}/run")
    assert (409, "act-refused") == (reply.status, reply.type)


async def test_another_tenants_schedule_does_not_exist(small_api: Api) -> None:
    """Whatever is asked of it."""
    where = (await create(small_api)).headers["Location"]
    other, tag = small_api.of("other"), {"If-Match": '"1"'}
    for call, how in (
        (f"GET {where}", {}),
        (f"PUT {where}", {"json": DEFINITION, "headers": tag}),
        (f"PATCH {where}", {"data": "[]", "headers": tag | {"Content-Type": JSON_PATCH}}),
        (f"DELETE {where}", {"headers": tag}),
        (f"POST {where}/run", {}),
    ):
        reply = await other.call(call, **how)
        assert (404, "not-found") == (reply.status, reply.type), call
    assert [] == (await other.call("GET /v1/report-schedules")).json["schedules"]


async def test_a_recipient_that_nothing_could_reach_is_refused(small_api: Api) -> None:
    """With the setting or the command that would help."""
    for recipient, says in (
        ({"email": "anna@example.com"}, "LEDGER_SMTP_URL"),
        ({"webhook": "https://hooks.example/x"}, "add-key"),
        ({"folder": "a", "email": "b@c.example"}, "one of"),
    ):
        body = DEFINITION | {"recipients": [recipient]}
        reply = await small_api.call("POST /v1/report-schedules", json=body)
        assert 422 == reply.status
        assert says in reply.json["detail"]
        assert "anna" not in reply.body.decode()


async def test_webhook_keys_are_shown_once(small_api: Api) -> None:
    """Then only their names; an operator makes and retires them."""
    made = await small_api.call("POST /v1/report-webhook-keys", json={"key_id": "k1"}, scopes=("operator",))
    assert (201, "k1", True) == (made.status, made.json["key_id"], made.json["secret"].startswith("whsec_"))
    assert 422 == (await small_api.call("POST /v1/report-webhook-keys", json={"key_id": "k1"})).status
    listed = await small_api.call("GET /v1/report-webhook-keys", scopes=("operator",))
    assert ({"keys": ["k1"]}, False) == (listed.json, made.json["secret"] in listed.body.decode())
    assert [] == (await small_api.of("other").call("GET /v1/report-webhook-keys")).json["keys"]
    assert 404 == (await small_api.of("other").call("DELETE /v1/report-webhook-keys/k1")).status
    reply = await small_api.call(
        "POST /v1/report-schedules", json=DEFINITION | {"recipients": [{"webhook": "https://hooks.example/x"}]}
    )
    assert 201 == reply.status
    assert 204 == (await small_api.call("DELETE /v1/report-webhook-keys/k1", scopes=("operator",))).status
    assert 404 == (await small_api.call("DELETE /v1/report-webhook-keys/k1")).status
