"""Processes that do long work are killed at any point: nothing is lost, nothing is told twice, nothing half-written is ever shown.

    LEDGER_KILLS=200 python -m pytest tests/flow/test_task_kills.py

kills so many; by default 30.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from aiohttp import web

from adapters.reports import reporting, webhooks
from adapters.reports.contract import ReportAsk
from adapters.reports.schedules import parsed
from ops import tasks as known
from ops.settings import Settings, load
from ops.system import opened
from tests.flow.killed_tasks import LINE, ROWS, live, shop
from tests.flow.receivers import Hook, hook_server
from tests.flow.test_schedules import MONTHLY, TENANT
from tests.ledger.crashing import PIPE, child
from tests.ops.test_serve import ROOT, Serving
from tests.postgres import Database
from tests.world import TENANT as SHOP_TENANT

KILLS = int(os.environ.get("LEDGER_KILLS", "30"))
STEPS = ("begun", "rows", "whole", "kept", "told", "")
PATIENCE_S = 20.0


def test_work_that_is_killed_at_any_step_is_done_once_in_the_end(database: Database, tmp_path: Path) -> None:
    """Every task has its whole result and exactly one event that says so; nothing else is left on the disk."""
    draw = Random(7)  # noqa: S311  moments, no secrets
    died: Counter[str] = Counter()
    for number in range(1, KILLS // 2 + 1):
        step = STEPS[number % len(STEPS)]
        with child(live, database.url, tmp_path, [number, number + 1_000], PIPE) as (process, pipe):
            died[_until(pipe, step)] += 1
            time.sleep(draw.random() * 0.02)  # nothing is waited for: any instant will do
            process.kill()
            process.join()
    assert {"begun", "rows", "whole", "kept"} <= died.keys(), died
    numbers = [*range(1, KILLS // 2 + 1), *range(1_001, KILLS // 2 + 1_001)]
    with shop(database.url, tmp_path) as here:
        for number in numbers:
            here.ask(number)
        here.runner.run()
        rows = here.tasks.rows.newest(SHOP_TENANT, limit=1_000)
        assert {("done", "")} == {(row.state, row.error) for row in rows}
        assert [ROWS * LINE] * len(numbers) == [b"".join(here.tasks.file(row, "lines.csv")[1]) for row in rows]
        told = [event for event in here.world.ledger.feed(0, 10_000) if event.type == "report.delivered"]
        assert sorted(numbers) == sorted(event.fields["numbers"]["number"] for event in told)
        kept = {path.name for path in (tmp_path / "reports").iterdir()}
        assert {"making", *(row.run for row in rows)} == kept
        assert [] == list((tmp_path / "reports" / "making").iterdir())


def _until(pipe: Connection, step: str) -> str:
    """Read what a process tells until it is at a step ("": whichever comes first); where it is."""
    told, until = "nothing", time.monotonic() + PATIENCE_S
    with suppress(EOFError):
        while pipe.poll(max(0.0, until - time.monotonic())):
            told = pipe.recv()
            if step in {"", told}:
                break
    return told


# --- the real server


class Holding(Hook):
    """Answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.came, self.go = threading.Event(), threading.Event()

    async def handle(self, request: web.Request) -> web.Response:
        answer = await super().handle(request)
        self.came.set()
        await asyncio.to_thread(self.go.wait, PATIENCE_S)
        return answer


@contextmanager
def server(settings: Settings) -> Iterator[Serving]:
    """`delivery-ledger serve` in a process of its own, killed at the end if it still runs."""
    names = ("database_url", "key_folder", "artifact_folder", "head_folder", "port")
    given = {f"LEDGER_{name.upper()}": str(getattr(settings, name)) for name in names}
    given |= {"LEDGER_ALLOW_NETWORKS": '["127.0.0.0/8"]'}
    command = [sys.executable, "-c", "from ops.cli import main; main(['serve'])"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    with subprocess.Popen(command, cwd=ROOT, env=plain | given, stderr=subprocess.PIPE) as process:
        try:
            yield Serving(process)
        finally:
            process.kill()


def test_a_server_that_is_killed_while_it_delivers_delivers_after_its_restart(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """The recipient can tell that it is the same; the log says once that it was made, and once that it was delivered."""
    paths = {f"{name}_folder": tmp_path / name for name in ("key", "artifact", "head")}
    networks = ("127.0.0.0/8",)
    settings = load(database_url=sqlite_database.url, **paths, port=0, tenant=TENANT, allow_networks=networks)
    with hook_server(Holding()) as hook:
        with opened(settings) as system:
            _, key = system.api_keys.create(TENANT, ["compliance"])
            webhooks.add_key(system.accounts, TENANT, "first", "cli")
            schedules = known.schedules(system)
            wanted = MONTHLY | {"start_date": "2026-01-01", "recipients": [{"webhook": hook.url}]}
            entry, _ = schedules.create(TENANT, parsed(wanted), "cli")
            schedules.run_now(TENANT, entry.name, "cli")
            asked = [
                reporting.ask(schedules.tasks, ReportAsk(tenant=TENANT, query="disputed"), "cli") for _ in range(3)
            ]
        with server(settings) as first:
            assert hook.came.wait(60)
            first.process.kill()
        hook.go.set()
        with server(settings) as second:
            until = time.monotonic() + 60
            while {"done"} != {task["state"] for task in second.call("/v1/tasks", key)[1]["tasks"]}:
                assert time.monotonic() < until
                time.sleep(0.05)  # another process works
            assert 0 == second.stop()
    with opened(settings) as system:
        rules = Counter(e.fields["rule"] for e in system.ledger.feed(0, 1_000) if e.type == "report.delivered")
        assert {"report.made": len(asked) + 1, "report.webhook": 1} == rules
    assert len(hook.posts) >= 2
    assert 1 == len({(post.headers["webhook-id"], post.body) for post in hook.posts})
