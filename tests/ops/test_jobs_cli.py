"""`jobs`, as a person types it, with a carrier that is really called."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from adapters.providers import registry
from ledger.observations import Address, Reference
from ledger.streams import Registration
from ops import schedule
from ops.settings import load
from ops.system import opened
from tests.flow.parcels import PROVIDER, THERE
from tests.ops.test_cli import Shell

ASKED: Queue[str] = Queue()
"""Paths that the carrier was asked for."""


class Carrier(BaseHTTPRequestHandler):
    """Every parcel is there, and every page is empty."""

    def do_GET(self) -> None:
        """Answer."""
        ASKED.put(self.path)
        body = THERE if self.path.startswith("/find/") else b"[]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def carrier() -> Iterator[str]:
    """A carrier's service; its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Carrier) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def shell(
    database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """With an account at the carrier."""
    monkeypatch.setitem(registry(), "carrier", PROVIDER)
    ASKED.queue.clear()
    with carrier() as base_url:
        made = Shell(tmp_path, database.url, monkeypatch, capsys)
        made.run("accounts", "add", "parcels", "--provider", "carrier")
        made.run("accounts", "configure", "parcels", "--set", f"base_url={base_url}", "--set", "reads_list=true")
        yield made


def send(parcel: str) -> str:
    """A message under way; its id."""
    with opened(load()) as system:
        references = (Reference("parcel", parcel),)
        recipients = (Address("phone", "+31612345678"),)
        registration = Registration(account="parcels", provider="carrier", recipients=recipients, references=references)
        return system.intake.register(load().tenant, registration, {"arrival": "api"}, (parcel, parcel)).message


def test_what_is_done_by_the_clock_is_listed(shell: Shell) -> None:
    """Jobs of accounts and the ledger's own, those that never ran, and the sends that wait."""
    listed = shell.run("jobs")
    for name in ("poll", "list", "deadlines", "check_log", "count_answers", "sweep_artifacts", "outbox"):
        assert f"\n {name} " in listed
    found = {(job["account"], job["job"]): job for job in shell.json("jobs")}
    assert {"waiting"} == {job["state"] for key, job in found.items() if key != ("", "outbox")}
    assert 900 == found["parcels", "list"]["every_s"]


def test_an_account_that_cannot_be_called_says_what_is_missing_once(shell: Shell) -> None:
    """Not once for each of its jobs."""
    shell.run("accounts", "configure", "parcels", "--unset", "reads_list")
    assert 1 == shell.run("jobs").count("): reads_list is not set; delivery-ledger accounts configure")


def test_a_person_polls_by_hand(shell: Shell) -> None:
    """Without `serve`, before it is due: the message is asked about, and is there."""
    message = send("p-1")
    said = shell.run("jobs", "run", "poll", "--account", "parcels")
    assert "poll parcels: ok; 1 new facts, 0 answers without news, in 1 runs" in said
    assert "delivered" == shell.json("status", message)["deliveries"][0]["status"]


def test_a_job_is_run_for_every_account_that_has_it(shell: Shell) -> None:
    """Unless one is named; an account that cannot be called is left out."""
    shell.run("accounts", "add", "spare", "--provider", "carrier")
    assert ["parcels", "spare"] == [job["account"] for job in shell.json("jobs", "run", "poll")]
    runs = {job["account"]: job["runs"] for job in shell.json("jobs", "run", "list")}
    assert {"parcels": 1, "spare": 0} == runs
    assert "job list of spare is off" in shell.run("jobs", "run", "list", "--account", "spare", code=1)


def test_the_ledgers_own_jobs_run_by_hand(shell: Shell) -> None:
    """The check writes its verdict; files that no event names are looked for after a signed head."""
    jobs = "erasures apply_retention ask_revocations check_log sweep_artifacts deadlines count_answers note_downtimes"
    for name in jobs.split():
        assert f"{name}: ok" in shell.run("jobs", "run", name)
    with opened(load()) as system:
        assert ["ledger.checked"] == [e.type for e in system.ledger.feed() if e.type == "ledger.checked"]


def test_a_job_that_fails_exits_with_1_and_says_why(shell: Shell) -> None:
    """In our own words."""
    for number in range(3):
        send(f"p-{number}")
    shell.run("accounts", "configure", "parcels", "--set", "base_url=http://127.0.0.1:9")
    said = shell.run("jobs", "run", "poll", code=1)
    assert "poll parcels: failing" in said
    assert "CallFailedError: GET /find/…: unreachable" in said
    assert "CallFailedError: GET /find/…: unreachable" in shell.run("jobs")


def test_an_unknown_job_exits_with_3_and_names_the_known(shell: Shell) -> None:
    """Both the account's and the ledger's own."""
    said = shell.run("jobs", "run", "pull", code=3)
    known = (
        "apply_retention, ask_revocations, check_log, count_answers, deadlines, erasures, finish_erasures, list, note_downtimes, poll, "
        "reports, spread_protection, sweep_artifacts"
    )
    assert f"has no job 'pull'; there are: {known}" in said


def test_where_another_process_leads_it_is_asked(shell: Shell) -> None:
    """The command does not run beside it."""
    with opened(load()) as system:
        assert system.leader.is_leading()
        assert "another process leads and does it in a moment" in shell.run("jobs", "run", "list")
        board = schedule.board(system)
        assert "asked" == {view.job: view.state for view in board.views(load().tenant)}["list"]
        assert {"list", "poll"} == {job.name for job in board.due()}


def test_serve_runs_what_is_due(shell: Shell) -> None:
    """The scheduler's thread finds the jobs, and ends with the block."""
    message = send("p-1")
    with opened(load()) as system, schedule.running(system):
        assert ["/list/0", "/list/1", "/list/2"] == [ASKED.get(timeout=60) for _ in range(3)]
    assert "pending" == shell.json("status", message)["deliveries"][0]["status"]
