"""A process of its own that does long work until it is killed: what `test_task_kills` starts and kills.

It is the product's own runner; only that it takes over what another left at once, and tells, before each step, which one it is at.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from adapters.tasks.contract import Kind, Made, TaskStoppedError, Work
from adapters.tasks.runner import Runner
from adapters.tasks.store import Tasks
from tests.ledger.crashing import CONTEXT
from tests.world import TENANT, World, world

CONTEXT.set_forkserver_preload(["tests.ledger.crashing", "tests.flow.killed", "tests.flow.killed_tasks"])

ROWS = 3_000
LINE = b"anna@example.com\n"
TELL_EVERY = 300

Tell = Callable[[str], None]


class Shop(NamedTuple):
    """A ledger with long work."""

    world: World
    tasks: Tasks
    runner: Runner

    def ask(self, number: int) -> str:
        return self.tasks.ask(TENANT, "lines", {"number": number}, once=(str(number),)).task


@contextmanager
def shop(url: str, folder: Path, tell: Tell = lambda _step: None) -> Iterator[Shop]:
    """Open the ledger; work tells of its steps."""
    with world(url, folder) as w:
        tasks = Tasks(w.ledger, folder / "reports", timedelta(days=7))

        def run(work: Work) -> Made:
            tell("begun")
            path = work.folder / "lines.csv"
            with path.open("wb") as file:
                for number in range(ROWS):
                    if work.is_stopped():
                        raise TaskStoppedError
                    if number % TELL_EVERY == 0:
                        tell("rows")
                    file.write(LINE)
            tell("whole")
            return Made((path,), {"number": work.request["number"]})

        def finished(work: Work, said: Mapping[str, Any]) -> None:
            tell("kept")
            clear = {"rule": "report.made", "numbers": {"number": said["number"]}}
            w.accounts.record("report.delivered", TENANT, "reports", "", clear, once=("made", work.task))
            tell("told")

        yield Shop(w, tasks, Runner(tasks, [Kind(name="lines", title="writes lines", run=run, finished=finished)]))


def live(url: str, folder: Path, numbers: Sequence[int], pipe: Connection) -> None:
    """Ask for these, and work until killed; or until whoever should kill it is gone."""
    telling = threading.Lock()

    def tell(step: str) -> None:
        with telling:
            pipe.send(step)

    with shop(url, folder, tell) as here:
        threading.Thread(target=here.runner.work, args=(lambda: True,), daemon=True).start()
        for number in numbers:
            here.ask(number)
        with suppress(EOFError):
            pipe.recv()
        os._exit(0)
