"""Long work over HTTP: asking for a report, looking how far it is, cancelling it, fetching its files; and saved queries."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.compliance import registry
from adapters.compliance.contract import Column, ComplianceQuery, Context, Parameters, Row
from adapters.http import saved
from adapters.reports import reporting
from ops import tasks
from tests.adapters.conftest import Api, Reply

ASKED = {"query": "disputed", "parameters": {"provider": "ekopost"}, "format": "csv"}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "reports"


async def ask(api: Api, **changed: Any) -> Reply:
    reply = await api.call("POST /v1/reports", scopes=("compliance",), json=ASKED | changed)
    assert 202 == reply.status, reply
    return reply


def work(api: Api) -> None:
    assert 1 == tasks.runner(api.system).run()


async def test_a_report_is_made_in_the_background_and_fetched(api: Api) -> None:
    """202 and where to look; then the files, as they were digested; that each was fetched is recorded."""
    reply = await ask(api)
    where = reply.headers["Location"]
    assert ("queued", "report", where) == (reply.json["state"], reply.json["kind"], f"/v1/tasks/{reply.json['task']}")
    assert ASKED["parameters"] == reply.json["request"]["parameters"]
    assert 404 == (await api.call(f"GET {where}/files/report.csv")).status
    work(api)
    task = (await api.call(f"GET {where}")).json
    assert ("done", "disputed/1", 0) == (task["state"], task["result"]["query"], task["result"]["rows"])
    before = len(api.events("access.recorded"))
    for file in task["files"]:
        got = await api.call(f"GET {where}/files/{file['name']}", scopes=("compliance",))
        assert (200, file["sha256"]) == (got.status, hashlib.sha256(got.body).hexdigest())
        assert str(file["bytes"]) == got.headers["Content-Length"]
        assert f'attachment; filename="{file["name"]}"' == got.headers["Content-Disposition"]
    recorded = api.events("access.recorded")[before:]
    actor = api.key("compliance").partition(".")[0]
    assert [("access.report", actor)] * len(task["files"]) == [(e.fields["rule"], e.fields["actor"]) for e in recorded]
    said = api.system.ledger.values(recorded)
    assert [file["name"] for file in task["files"]] == [said[event.position]["file"] for event in recorded]


def cut_off(kept: Path, name: str) -> None:
    (path,) = kept.rglob(name)
    path.write_bytes(path.read_bytes()[:-1])


async def test_a_file_that_was_altered_never_leaves(sqlite_api: Api, kept: Path) -> None:
    """Not a byte of it; and nothing is recorded that did not happen."""
    where = (await ask(sqlite_api)).headers["Location"]
    work(sqlite_api)
    cut_off(kept, "report.csv")
    before = sqlite_api.size()
    reply = await sqlite_api.call(f"GET {where}/files/report.csv")
    assert (500, before) == (reply.status, sqlite_api.size())
    assert reply.json["type"] == "/problems/internal"


async def test_the_same_key_asks_once(sqlite_api: Api) -> None:
    """With the same body it is the same task; with another it is refused; another caller's key is another."""
    headers = {"Idempotency-Key": "march"}
    call = {"headers": headers, "scopes": ("compliance",)}
    first, second = [await sqlite_api.call("POST /v1/reports", json=ASKED, **call) for _ in range(2)]  # type: ignore[arg-type]
    assert (202, first.json["task"]) == (second.status, second.json["task"])
    other = await sqlite_api.call("POST /v1/reports", json=ASKED | {"format": "jsonl"}, **call)  # type: ignore[arg-type]
    assert (422, "idempotency-key") == (other.status, other.type)
    theirs = await sqlite_api.call("POST /v1/reports", json=ASKED, headers=headers)
    assert first.json["task"] != theirs.json["task"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"query": "horoscope"}, "there is no compliance query"),
        ({"parameters": {"colour": "red"}}, "its parameters are"),
        ({"zone": "Europe/Atlantis"}, "IANA"),
        ({"format": "docx"}, "format"),
        ({"colour": "red"}, "does not exist"),
    ],
)
async def test_what_could_not_be_made_is_refused_at_once(sqlite_api: Api, changed: dict[str, Any], says: str) -> None:
    """With what there is instead; no task is made."""
    reply = await sqlite_api.call("POST /v1/reports", json=ASKED | changed)
    assert 422 == reply.status
    assert says in reply.json["detail"]
    assert [] == (await sqlite_api.call("GET /v1/tasks")).json["tasks"]


async def test_one_organisation_does_not_fill_the_queue(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound it is told to wait; another one is not."""
    monkeypatch.setattr(reporting, "MAX_OPEN", 2)
    where = [(await ask(sqlite_api)).headers["Location"] for _ in range(2)]
    reply = await sqlite_api.call("POST /v1/reports", json=ASKED)
    assert (409, "act-refused") == (reply.status, reply.type)
    await ask(sqlite_api.of("other"))
    await sqlite_api.call(f"DELETE {where[0]}")
    await ask(sqlite_api)


async def test_a_task_is_cancelled(sqlite_api: Api) -> None:
    """It is not begun any more; cancelling again, or what is done, changes nothing."""
    where = (await ask(sqlite_api)).headers["Location"]
    for _ in range(2):
        reply = await sqlite_api.call(f"DELETE {where}", scopes=("compliance",))
        assert (200, "cancelled") == (reply.status, reply.json["state"])
    assert 0 == tasks.runner(sqlite_api.system).run()
    done = (await ask(sqlite_api)).headers["Location"]
    work(sqlite_api)
    assert "done" == (await sqlite_api.call(f"DELETE {done}")).json["state"]


def endless(context: Context, _asked: Parameters, _after: str) -> Iterator[Row]:
    """Rows without an end."""
    for number in itertools.count(1):
        context.progress(number, None)
        yield Row((number,), "")


async def test_a_running_report_is_cancelled_between_two_rows(
    api: Api, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen to go on, stops in a moment, and leaves nothing."""
    columns = (Column("number", "integer", "counts"),)
    query = ComplianceQuery(
        name="endless", version=1, title="", counts="", parameters=Parameters, columns=columns, rows=endless
    )
    monkeypatch.setitem(registry.QUERIES, "endless", query)
    where = (await ask(api, query="endless", parameters={})).headers["Location"]

    async def until(holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(30):
            while not await holds():  # noqa: ASYNC110  another thread works
                await asyncio.sleep(0.05)

    async def goes_on() -> bool:
        return bool((await api.call(f"GET {where}")).json["done"])

    async def is_gone() -> bool:
        return not await asyncio.to_thread(lambda: any(path.is_file() for path in kept.rglob("*")))

    with tasks.working(api.system):
        await until(goes_on)
        assert not await is_gone()
        assert "cancelled" == (await api.call(f"DELETE {where}")).json["state"]
        await until(is_gone)
    task = (await api.call(f"GET {where}")).json
    assert ("cancelled", {}, []) == (task["state"], task["result"], task["files"])
    assert [] == api.events("report.delivered", "report.failed")


async def test_tasks_are_listed_newest_first_in_pages(sqlite_api: Api) -> None:
    """Only the tenant's, and only what the key may see."""
    made = [(await ask(sqlite_api)).json["task"] for _ in range(5)]
    before = ""
    found: list[str] = []
    while not found or before:
        page = (await sqlite_api.call(f"GET /v1/tasks?limit=2&before={before}")).json
        found += [task["task"] for task in page["tasks"]]
        before = page["next"]
    assert made[::-1] == found
    other = sqlite_api.of("other")
    assert [] == (await other.call("GET /v1/tasks")).json["tasks"]
    for where in (
        f"GET /v1/tasks/{made[0]}",
        f"DELETE /v1/tasks/{made[0]}",
        f"GET /v1/tasks/{made[0]}/files/report.csv",
    ):
        assert 404 == (await other.call(where)).status


async def test_a_task_is_seen_by_keys_that_might_have_asked(sqlite_api: Api) -> None:
    """A key without the query's scope is refused, also for a file whose name it knows."""
    rows = tasks.tasks(sqlite_api.system)
    row = rows.ask(sqlite_api.tenant, "report", ASKED, scopes=("nobody",))
    for where in (
        f"GET /v1/tasks/{row.task}",
        f"DELETE /v1/tasks/{row.task}",
        f"GET /v1/tasks/{row.task}/files/report.csv",
    ):
        reply = await sqlite_api.call(where)
        assert (403, "forbidden") == (reply.status, reply.type)
    assert [] == (await sqlite_api.call("GET /v1/tasks")).json["tasks"]


# --- saved queries


SAVING = {"query": "disputed", "parameters": {"provider": "ekopost"}}


async def test_a_query_is_saved_found_and_deleted(api: Api) -> None:
    """Under its name; each change is an event, whose content is sealed."""
    put = await api.call("PUT /v1/saved-queries/monthly", json=SAVING, scopes=("compliance",))
    assert (200, 1, "disputed/1") == (put.status, put.json["version"], put.json["query"])
    same = await api.call("PUT /v1/saved-queries/monthly", json=SAVING, scopes=("compliance",))
    assert put.json == same.json
    other = await api.call("PUT /v1/saved-queries/monthly", json={"query": "disputed"}, scopes=("compliance",))
    assert (2, {}) == (other.json["version"], other.json["parameters"])
    await api.call("PUT /v1/saved-queries/a-first-one", json=SAVING)
    found = (await api.call("GET /v1/saved-queries")).json["queries"]
    assert ["a-first-one", "monthly"] == [each["name"] for each in found]
    assert other.json == (await api.call("GET /v1/saved-queries/monthly")).json
    assert 204 == (await api.call("DELETE /v1/saved-queries/monthly", scopes=("compliance",))).status
    assert 404 == (await api.call("GET /v1/saved-queries/monthly")).status
    assert 404 == (await api.call("DELETE /v1/saved-queries/monthly")).status
    again = await api.call("PUT /v1/saved-queries/monthly", json=SAVING)
    assert 4 == again.json["version"]
    events = api.events("query.saved")
    assert ["saved", "saved", "saved", "deleted", "saved"] == [e.fields["rule"].removeprefix("query.") for e in events]
    assert all(b"monthly" not in event.leaf and b"ekopost" not in event.leaf for event in events)
    assert 404 == (await api.of("other").call("GET /v1/saved-queries/monthly")).status


async def test_only_its_owner_or_compliance_changes_a_saved_query(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else may ask the query may see it, and save it under another name."""
    shared = replace(registry.QUERIES["disputed"], scopes=("compliance", "operator"))
    monkeypatch.setitem(registry.QUERIES, "disputed", shared)
    for one in (saved.put_saved, saved.delete_saved):
        assert {"compliance", "operator"} <= set(one.scopes or ())
    await sqlite_api.call("PUT /v1/saved-queries/monthly", json=SAVING, scopes=("compliance",))
    for where, how in (("PUT", {"json": {"query": "disputed"}}), ("DELETE", {})):
        reply = await sqlite_api.call(f"{where} /v1/saved-queries/monthly", scopes=("operator",), **how)
        assert (403, "not-owner") == (reply.status, reply.type)
    await sqlite_api.call("PUT /v1/saved-queries/ours", json=SAVING, scopes=("operator",))
    assert 204 == (await sqlite_api.call("DELETE /v1/saved-queries/ours", scopes=("compliance",))).status


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("monthly", {"query": "horoscope"}, 422),
        ("monthly", {"query": "disputed", "parameters": {"colour": "red"}}, 422),
        ("monthly", {"query": "disputed", "owner": "me"}, 422),
        ("Monthly", SAVING, 404),
        ("a%2Fb", SAVING, 404),
    ],
)
async def test_what_could_not_be_asked_is_not_saved(
    sqlite_api: Api, name: str, body: dict[str, Any], status: int
) -> None:
    """Nor under a name that might be somebody's."""
    assert status == (await sqlite_api.call(f"PUT /v1/saved-queries/{name}", json=body)).status
    assert [] == sqlite_api.events("query.saved")
