"""Jobs over HTTP: what an operator sees of them, and having one run."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.providers import registry
from ops import schedule
from tests.adapters.conftest import Api
from tests.flow.parcels import PROVIDER


@pytest.fixture(autouse=True)
def _carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry(), "carrier", PROVIDER)


async def jobs(api: Api) -> dict[tuple[str, str], dict[str, Any]]:
    """By account and name."""
    reply = await api.call("GET /v1/jobs", scopes=("operator",))
    assert 200 == reply.status, reply
    return {(job["account"], job["job"]): job for job in reply.json["jobs"]}


async def test_an_operator_sees_the_tenants_jobs_and_the_ledgers_own(api: Api) -> None:
    """With what is off and why; nothing of another tenant."""
    api.account("parcels", "carrier")
    api.of("other").account("theirs", "carrier")
    found = await jobs(api)
    own = {
        "deadlines",
        "reports",
        "note_downtimes",
        "ask_revocations",
        "erasures",
        "apply_retention",
        "finish_erasures",
        "spread_protection",
        "count_answers",
        "check_log",
        "sweep_artifacts",
        "outbox",
    }
    assert {*(("", name) for name in own), ("parcels", "poll"), ("parcels", "list")} == found.keys()
    assert ("waiting", 60, "") == tuple(found["parcels", "poll"][name] for name in ("state", "every_s", "off"))
    assert "off" == found["parcels", "list"]["state"]
    assert "reads_list is not set" in found["parcels", "list"]["off"]


async def test_a_run_is_asked_for_and_done_by_whoever_leads(api: Api) -> None:
    """202, and the job is due at once."""
    api.account("parcels", "carrier")
    reply = await api.call("POST /v1/jobs/poll/run?account=parcels", scopes=("operator",))
    assert (202, "asked") == (reply.status, reply.json["state"])
    board = schedule.board(api.system)
    assert 1 == board.run_due()
    job = (await jobs(api))["parcels", "poll"]
    assert ("ok", 1, "") == (job["state"], job["runs"], job["last_error"])


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("poll/run?account=parcels", 202, ""),
        ("sweep/run?account=parcels", 404, "account 'parcels' has no job 'sweep'; there are: list, poll"),
        ("poll/run?account=theirs", 404, "there are: none"),
        ("check_log/run?account=parcels", 404, "no job 'check_log'"),
        ("list/run?account=parcels", 409, "reads_list is not set"),
        ("poll/run", 422, "account"),
    ],
)
async def test_only_jobs_of_the_tenants_accounts_are_run(sqlite_api: Api, path: str, status: int, says: str) -> None:
    """Neither another tenant's, nor the ledger's own, nor what is off; the answer says what there is."""
    sqlite_api.account("parcels", "carrier")
    sqlite_api.of("other").account("theirs", "carrier")
    reply = await sqlite_api.call(f"POST /v1/jobs/{path}", scopes=("operator",))
    assert status == reply.status, reply
    assert says in reply.body.decode()


async def test_jobs_are_for_operators(sqlite_api: Api) -> None:
    """Any other scope is refused."""
    for where in ("GET /v1/jobs", "POST /v1/jobs/poll/run?account=parcels"):
        reply = await sqlite_api.call(where, scopes=("read", "ingest", "evidence", "compliance"))
        assert 403 == reply.status


async def test_what_went_wrong_in_the_ledgers_own_jobs_names_nothing_of_another_organisation(api: Api) -> None:
    """That one failed is told, and how often; why is told at the console, where everything may be seen."""
    board = schedule.board(api.system)
    (job,) = (each for each in board.own if each.name == "reports")
    now = api.system.ledger.clock()
    board.rows.ensure([job], now)
    board.rows.end(job.key, now, now, "schedule weekly for j.jansen@customer.example: ValueError", 2)
    told = (await jobs(api))["", "reports"]
    assert ("failing", 2) == (told["state"], told["failures"])
    assert "delivery-ledger jobs" in told["last_error"]
    assert "jansen" not in repr(await jobs(api))
    (seen,) = (each for each in board.views(api.tenant) if (each.account, each.job) == ("", "reports"))
    assert "jansen" in seen.last_error
