"""What `serve` does by the clock: hands heads to other places, has them and originals time-stamped, and checks the whole log.

Only the process that leads does any of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler

from adapters import pushing, stamping
from ledger import fsck
from ledger.errors import ForkError, LedgerError
from ops.evidence import tsa_roots
from ops.system import System

LOG = logging.getLogger(__name__)


@contextmanager
def running(system: System) -> Iterator[None]:
    """Do what is due until the end of the block; a job that still runs is waited for."""
    settings = system.settings
    scheduler = BackgroundScheduler(timezone=UTC)
    jobs = [(push_heads, settings.push_every_s), (check_log, settings.fsck_every_h * 3600)]
    if settings.tsa_url:
        tsa_roots(settings)  # what is missing is said before anything is served
        jobs += [(stamp_originals, settings.tsa_every_s), (stamp_head, settings.tsa_checkpoint_every_h * 3600)]
    for job, every_s in jobs:
        scheduler.add_job(_guarded(job, system), "interval", seconds=every_s, coalesce=True, max_instances=1)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=True)


def _guarded(job: Callable[[System], None], system: System) -> Callable[[], None]:
    """A job that only the leader does, and that never takes the scheduler down."""

    def run() -> None:
        try:
            if system.leader.is_leading():
                job(system)
        except ForkError as error:
            system.ledger.freeze(str(error))
            LOG.critical("appending is refused: %s", error)
        except Exception:
            LOG.exception("%s failed; it is done again when it is next due", job.__name__)

    return run


def push_heads(system: System) -> None:
    """Hand the newest head to every target; one that fails does not stop the others."""
    if not system.settings.push_targets:
        return
    head, identity = system.signed_head(), system.leader.identity()
    for target in system.settings.push_targets:
        try:
            pushing.push(system.ledger, identity, head, system.heads.cosigned(head), target)
        except pushing.PushError as error:
            LOG.error("%s", error)  # noqa: TRY400  the text says it all


def check_log(system: System) -> None:
    """Check everything, tell what is wrong, and write the verdict into the log."""
    verdict = fsck.check(system.ledger, system.heads)
    for problem in verdict.problems:
        LOG.critical("fsck: %s", problem)
    try:
        fsck.record(system.ledger, verdict)
    except LedgerError as error:
        LOG.error("the verdict of fsck could not be recorded: %s", error)  # noqa: TRY400  as above


def stamp_originals(system: System) -> None:
    """Ask for the tokens of new signed originals, and for those that are late."""
    stamping.turn(system.ledger, system.settings.tsa_url, tsa_roots(system.settings))


def stamp_head(system: System) -> None:
    """Have the newest head time-stamped, if anything came since the last one."""
    stamping.turn(system.ledger, system.settings.tsa_url, tsa_roots(system.settings), system.signed_head())
