"""Liveness, readiness, metrics, who looked, the API's description and its page."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
import pytest
from eventsourcing.persistence import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from adapters.http import operation
from adapters.http.access import MAX_STREAMS, AccessLog
from adapters.http.dispatch import STATE
from adapters.http.problems import TABLE, kind_of, problem_of
from ledger.database import PostgresDatabase
from ledger.errors import LedgerError
from projections.models import Unapplied
from projections.runner import GapError
from tests.adapters.conftest import Api, Failing, accepted


async def test_ready_server_says_so_and_what_an_operator_should_know(api: Api) -> None:
    """Database, lag of each read model, rights of the role, standby."""
    api.account()
    await api.send()
    alive = await api.call("GET /healthz", scopes=())
    reply = await api.call("GET /readyz", scopes=())
    found = reply.json
    assert (200, 200, True, "answers") == (alive.status, reply.status, found["ready"], found["database"])
    assert {model.name for model in api.system.runner.models} == found["lag"].keys()
    assert api.size() == found["tree_size"]
    if isinstance(api.system.ledger.database, PostgresDatabase):
        assert "none" == found["standby"]  # the server of the tests has no second machine
        assert found["unsafe_rights"]  # the tests connect as the owner, whom `serve` would refuse
        assert {operation.ADVICE["rights"], operation.ADVICE["standby"]} == set(found["advice"])
    else:
        assert ("not applicable", []) == (found["standby"], found["unsafe_rights"])


async def test_database_that_does_not_answer_is_not_ready(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the reason; the process itself is alive."""
    monkeypatch.setattr(sqlite_api.system.ledger, "head", Failing(OperationalError("gone")))
    reply = await sqlite_api.call("GET /readyz", scopes=())
    assert (503, "does not answer: OperationalError") == (reply.status, reply.json["database"])
    assert 200 == (await sqlite_api.call("GET /healthz", scopes=())).status


async def test_frozen_ledger_is_not_ready_and_still_shows_what_it_holds(sqlite_api: Api) -> None:
    """Nothing is appended any more; looking up goes on."""
    sqlite_api.account()
    message = await sqlite_api.send()
    sqlite_api.system.ledger.freeze("the tree contradicts head 7")
    ready = await sqlite_api.call("GET /readyz", scopes=())
    sent = await sqlite_api.call(
        "POST /v1/messages", json={"account": "sms", "recipients": [{"kind": "phone", "address": "0612340002"}]}
    )
    assert (503, "the tree contradicts head 7") == (ready.status, ready.json["frozen"])
    assert (503, "frozen") == (sent.status, sent.type)
    assert 200 == (await sqlite_api.call(f"GET /v1/messages/{message}")).status


async def test_gap_stops_the_read_models_loudly_and_is_told(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ready, with the position that is missing; when it is mended, ready again."""
    sqlite_api.account()

    gap = Failing(GapError("read model status: position 3 is missing"))

    def unapplied() -> list[Unapplied]:
        return [Unapplied(3, "KeyError in x")]

    background = sqlite_api.app[STATE].background
    background.stop()
    with monkeypatch.context() as broken:
        broken.setattr(sqlite_api.system.runner, "run", gap)
        broken.setattr(sqlite_api.system.runner, "unapplied", unapplied)
        background.step()
        reply = await sqlite_api.call("GET /readyz", scopes=())
    assert (503, "read model status: position 3 is missing", 1) == (
        reply.status,
        reply.json["stopped"],
        reply.json["unapplied"],
    )
    background.step()
    assert 200 == (await sqlite_api.call("GET /readyz", scopes=())).status


async def test_background_step_that_fails_does_not_stop_the_others(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts and accesses are tried again; the read models go on meanwhile."""
    sqlite_api.account()
    message = await sqlite_api.send()
    background = sqlite_api.app[STATE].background
    background.stop()
    monkeypatch.setattr(sqlite_api.system.quarantine, "flush_counts", Failing(OperationalError("gone")))
    await sqlite_api.call("POST /v1/labels/deliveries", json={"label": "x"})
    background.step()
    assert {"refused webhooks": "OperationalError"} == background.troubles
    assert 200 == (await sqlite_api.call(f"GET /v1/messages/{message}?min_position={sqlite_api.size()}")).status


async def test_metrics_count_requests_by_route_and_arrivals_by_provider(sqlite_api: Api) -> None:
    """What a dashboard needs, in a registry of this app's own."""
    sqlite_api.account()
    await sqlite_api.observe(**accepted())
    await sqlite_api.observe(**accepted())
    await sqlite_api.observe(operation="send", body="{}", status=7)
    reply = await sqlite_api.call("GET /metrics", scopes=())
    samples = [s for family in text_string_to_metric_families(reply.body.decode()) for s in family.samples]
    found = {(s.name, *sorted(s.labels.values())): s.value for s in samples}
    assert 2.0 == sum(v for k, v in found.items() if k[0].endswith("_arrivals_total") and "kpn_sms" in k)
    assert 1.0 == found["delivery_ledger_arrivals_total", "api", "kpn_sms", "new"]
    assert 1.0 == found["delivery_ledger_http_requests_total", "/v1/observations", "201", "POST"]
    assert float(sqlite_api.size()) == found["delivery_ledger_tree_size",]
    assert found["delivery_ledger_read_model_lag_events", "status"] >= 0


# --- who looked


async def test_looking_up_is_recorded_by_key_and_message_not_in_the_messages_stream(api: Api) -> None:
    """One event gathers what a key looked at in a quarter of an hour."""
    api.account()
    first, second = await api.send("0612340001"), await api.send("0612340002")
    before = len(api.system.ledger.stream(first))
    for _ in range(3):
        await api.call(f"GET /v1/messages/{first}", scopes=("read",))
    await api.call(f"GET /v1/messages/{second}/deliveries/0", scopes=("read",))
    await api.call("GET /v1/messages/01a1fd8e-f93d-70a6-8da5-105f5469bc25", scopes=("read",))
    assert [] == api.events("access.recorded")
    api.app[STATE].access.flush(everything=True)
    key = api.key("read").partition(".")[0]
    recorded = [e.fields for e in api.events("access.recorded") if e.fields["actor"] == key]
    assert [("access.status", sorted([first, second]), {"looks": 4})] == [
        (f["rule"], f["streams"], f["numbers"]) for f in recorded
    ]
    assert before == len(api.system.ledger.stream(first))


async def test_looks_at_many_messages_are_written_before_they_fill_memory(sqlite_api: Api) -> None:
    """An event names at most 400 messages; what fills one is due at once."""
    access = AccessLog(sqlite_api.system.accounts)
    for number in range(MAX_STREAMS + 1):
        access.note(sqlite_api.tenant, "key_1", "search")
        access.note(sqlite_api.tenant, "key_1", "status", [f"01a1fd8e-f93d-70a6-8da5-{number:012x}"])
    assert 3 == access.flush() + access.flush(everything=True)
    recorded = [
        (len(e.fields.get("streams", [])), e.fields["numbers"]["looks"]) for e in sqlite_api.events("access.recorded")
    ]
    assert [(400, 400), (1, 1), (0, 401)] == recorded


async def test_looks_with_a_reason_each_are_written_before_they_fill_memory(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of them is kept for the rest of the quarter when there are too many."""
    monkeypatch.setattr("adapters.http.access.MAX_KEPT", 10)
    access, reasons = AccessLog(sqlite_api.system.accounts), [f"case {number}" for number in range(11)]

    def looked(count: int) -> int:
        for reason in reasons[:count]:
            access.note(sqlite_api.tenant, "key_0", "status", (f"{0:08x}-0000-7000-8000-000000000000",), reason=reason)
        return access.flush()

    assert [0, 11, 11] == [looked(5), looked(11), looked(11)]


# --- the page


async def test_page_asks_nothing_from_outside_and_runs_nothing_inline(sqlite_api: Api) -> None:
    """Its files are ours, the policy allows no other source, and there is no inline script or style."""
    page = await sqlite_api.call("GET /docs", scopes=())
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = page.body.decode()
    assert [] == re.findall(r"https?://|<style|style=|onload=|<script>", text)
    for link in re.findall(r'(?:href|src)="(/docs/[^"]+)"', text):
        reply = await sqlite_api.call(f"GET {link}", scopes=())
        assert (200, "public, max-age=3600") == (reply.status, reply.headers["Cache-Control"]), link
    assert 404 == (await sqlite_api.call("GET /docs/other.js", scopes=())).status


def test_vendored_files_are_those_that_their_origin_names() -> None:
    """Nobody has changed what is not ours."""
    origin = (operation.STATIC / "ORIGIN").read_text()
    named = re.findall(r"^([0-9a-f]{64})  (\S+)$", origin, re.MULTILINE)
    assert named
    assert named == [(hashlib.sha256((operation.STATIC / f).read_bytes()).hexdigest(), f) for _, f in named]


# --- problems


def _all_errors(kind: type[LedgerError]) -> set[type[LedgerError]]:
    return {kind}.union(*map(_all_errors, kind.__subclasses__()))


SERVER_SIDE = {"UnsafeDatabaseError", "CorruptError", "GapError", "HttpError", "LedgerError"}
"""Errors that are defects or settings of ours whenever a request meets them: 500."""


def test_every_error_has_a_row_or_is_a_defect_of_ours() -> None:
    """A new error must be given its answer; those of the core and of this layer have one."""
    mine = {e for e in _all_errors(LedgerError) if e.__module__ in {"ledger.errors", "adapters.http.errors"}}
    missing = {e.__name__ for e in mine if kind_of(e()).status == 500}
    assert SERVER_SIDE - {"GapError"} == missing


@pytest.mark.parametrize("error", TABLE, ids=lambda e: e.__name__)
def test_every_problem_says_what_to_do(error: type[Exception]) -> None:
    """RFC 9457 members, a detail, and a time to retry only where retrying may help."""
    made = error("field", "why") if error.__name__ == "InvalidError" else error()
    problem, kind = problem_of(made, "urn:uuid:x")
    plain = msgspec.to_builtins(problem)
    assert {"type", "title", "status", "detail", "instance"} <= plain.keys()
    assert plain["detail"]
    assert Path(plain["type"]).parent == Path("/problems")
    assert kind.retry_after_s == 0 or plain["status"] in {429, 503}
