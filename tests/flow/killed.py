"""A process of its own that sends, asks and collects until it is killed: what `test_kills` starts and kills.

It is the product's own flow, outbox and jobs side by side, over real HTTP and IMAP; only that it waits for nothing (pace, minutes
between two looks) and tells, before and after each step, which one it is at. Forked from one warm server process, as in
`tests.ledger.crashing`, so that hundreds can be killed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from adapters import outbox as sends
from adapters import reaching, sending, trust
from adapters.calls import Caller
from adapters.jobs.board import Board
from adapters.outbox import Outbox
from adapters.providers import registry
from adapters.providers.calling import Document, Submission
from adapters.receiving import attester
from ledger.intake import Intake
from ledger.observations import Address
from ledger.streams import Registration
from tests.ledger.crashing import CONTEXT
from tests.world import TENANT, World, world

CONTEXT.set_forkserver_preload(["tests.ledger.crashing", "tests.flow.killed"])
registry()  # what takes longest to begin is there before the fork

ACCOUNT = "massiva"
LOOK_AGAIN = (timedelta(seconds=0.3),)
PAUSE_S = 0.05
"""Between two runs of a job, so that those who share the machine have their turn."""

Tell = Callable[..., None]


class Wanted(NamedTuple):
    """A send that is asked for: again in the next life, if this one ends before the answer."""

    number: int
    recipients: tuple[str, ...]
    joint: bool = False
    document: bytes = b"%PDF-1.7"

    @property
    def subject(self) -> str:
        return f"Avviso {self.number:04d}"


class Note(NamedTuple):
    """What a process tells of itself: which thread is at which step."""

    thread: str
    step: str
    said: Any = None


@dataclass(frozen=True, slots=True)
class Flow:
    """A ledger with all that sends, asks and collects."""

    world: World
    intake: Intake
    outbox: Outbox
    board: Board

    def ask(self, wanted: Wanted) -> str:
        """Ask for a send, under a key that makes asking again the same; its message."""
        ledger, key = self.world.ledger, f"request-{wanted.number}"
        people = tuple(Address("email", one) for one in wanted.recipients)
        registration = Registration(account=ACCOUNT, provider="pec_massiva", recipients=people)
        submission = Submission(
            message="",
            recipients=people,
            subject=wanted.subject,
            text="Si avvisa che il termine scade domani.",
            documents=(Document("avviso.pdf", "application/pdf", wanted.document),),
            options={"joint": wanted.joint},
            requested_at=ledger.clock(),
        )
        clear, accounts = {"arrival": "api"}, self.world.accounts
        given = (TENANT, registration, submission)
        return sending.dispatch(self.intake, accounts, *given, clear=clear, idempotency=(key, key)).message


def silent(_step: str, _said: object = None) -> None:
    """Tell nobody."""


@contextmanager
def flow(url: str, folder: Path, tell: Tell = silent) -> Iterator[Flow]:
    """Open the ledger with all that works on it.

    Args:
        folder: holds `ca.pem`, the root of the certified-mail provider.
        tell: told of each step, before and after.
    """
    with world(url, folder) as w, Caller(sleep=lambda _seconds: None) as caller:
        intake = Intake(w.ledger, attester(lambda: trust.load(folder / "ca.pem")))
        vars(w.ledger)["append"] = _telling(tell, w.ledger.append, lambda item: item.drafts[0].topic.partition("/")[0])
        vars(intake)["admit"] = _telling(tell, intake.admit, lambda readings: f"admit {readings[0].arrival.operation}")
        vars(caller)["call"] = _telling(tell, caller.call, lambda _client, _provider, request, *_: request.operation)
        outbox = Outbox(w.ledger, intake, w.accounts, caller, w.queries)
        yield Flow(w, intake, outbox, Board(intake, w.accounts, caller, w.queries))


def _telling(tell: Tell, act: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    def told(*given: Any, **named: Any) -> Any:
        step = name(*given)
        tell(f"before {step}")
        done = act(*given, **named)
        tell(f"after {step}")
        return done

    return told


def live(url: str, folder: Path, wanted: Sequence[Wanted], pipe: Connection) -> None:
    """Ask for these sends, and work until killed; or until whoever should kill it is gone."""
    telling = threading.Lock()

    def tell(step: str, said: object = None) -> None:
        with telling:
            pipe.send(Note(threading.current_thread().name, step, said))

    sends.LOOK_AGAIN = LOOK_AGAIN
    threading.excepthook = lambda failed: tell("failed", repr(failed.exc_value))
    logging.getLogger().addHandler(_Told(tell))
    with reaching.allowing(reaching.LOOPBACK), flow(url, folder, tell) as here:
        _start("outbox", lambda: here.outbox.work(lambda: True))
        _start("models", partial(_over_and_over, [here.world.runner.run, here.outbox.wake]))
        for job in here.board.of(TENANT):
            _start(job.name, partial(_over_and_over, [partial(here.board.run, job, is_asked=True)]))
        for each in wanted:
            tell("asking")
            tell("asked", (each.number, here.ask(each)))
        with suppress(EOFError):
            pipe.recv()
        os._exit(0)


class _Told(logging.Handler):
    """Whatever the product logs as an error is told."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.ERROR)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self.tell("failed", self.format(record))


def _start(name: str, act: Callable[[], None]) -> None:
    threading.Thread(target=act, name=name, daemon=True).start()


def _over_and_over(acts: Sequence[Callable[[], object]]) -> None:
    while True:
        for act in acts:
            act()
        threading.Event().wait(PAUSE_S)
