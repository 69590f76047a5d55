"""What `serve` does by the clock: the jobs of all accounts (`adapters.jobs`) and the ledger's own, which are listed here.

Only the process that leads does any of it. When a job is next due stands in the database, so a restart neither forgets nor repeats;
what was missed while nothing ran is done once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler

from adapters import downtime, protecting, pushing, revocations, stamping, trust
from adapters.jobs import ticks
from adapters.jobs.board import Board
from adapters.jobs.rows import Job, Key, Rows, Turn
from adapters.outbox import ActRefusedError
from ledger import fsck
from ledger.errors import LedgerError
from ops import erasing, recovering
from ops.evidence import tsa_roots
from ops.system import System
from ops.tasks import schedules

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 1
DEADLINES_EVERY_S = 60
DOWNTIMES_EVERY_S = 60
REPORTS_EVERY_S = 60
PROTECTION_EVERY_S = 60
REVOCATIONS_EVERY_S = 300
ERASURES_EVERY_S = 10
FINISH_EVERY_S = 300
DAY_S = 24 * 3600
AT_ONCE = 16
"""Jobs that run side by side; a provider that hangs holds one place for each of its account's jobs."""


def board(system: System) -> Board:
    """All jobs of the opened system."""
    own = tuple(_own(system))
    leads = system.leader.is_leading
    return Board(system.intake, system.accounts, system.caller, system.queries, own=own, may_run=leads)


@contextmanager
def running(system: System) -> Iterator[None]:
    """Run what is due until the end of the block; a job that still runs stops after what it is handing to the ledger."""
    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of each look, every second
    jobs, handed = board(system), set[Key]()
    scheduler = BackgroundScheduler(timezone=UTC)
    with ThreadPoolExecutor(AT_ONCE, "jobs") as pool:
        look = partial(_hand_out, jobs, pool, handed)
        scheduler.add_job(
            look, "interval", seconds=LOOK_EVERY_S, coalesce=True, max_instances=1, misfire_grace_time=None
        )
        scheduler.start()
        try:
            yield
        finally:
            jobs.stop()
            scheduler.shutdown(wait=True)


def _hand_out(jobs: Board, pool: Executor, handed: set[Key]) -> None:
    """Hand what is due to the threads, unless it waits for one already."""
    try:
        due = jobs.due() if jobs.may_run() else []
    except Exception:
        LOG.exception("what is due could not be looked up; trying again")
        return
    for job in due:
        if job.key not in handed:
            handed.add(job.key)
            pool.submit(_run, jobs, job, handed)


def _run(jobs: Board, job: Job, handed: set[Key]) -> None:
    try:
        jobs.run(job)
    except Exception:  # its row could not be written, for example: it is still due
        LOG.exception("job %s %s could not be run", job.name, job.account)
    finally:
        handed.discard(job.key)


def _own(system: System) -> Iterator[Job]:
    """The ledger's own jobs, as the settings ask for them."""
    settings, ledger = system.settings, system.ledger

    def job(what: Callable[[System], None], every_s: float, title: str) -> Job:
        return Job(name=what.__name__, title=title, every_s=max(1, int(every_s)), run=lambda _turn: what(system))

    def deadlines(turn: Turn) -> None:
        ticks.note_deadlines(system.queries, turn)

    def note_downtimes(turn: Turn) -> None:
        downtime.note_downtimes(system.accounts, system.caller, turn)

    def ask_revocations(turn: Turn) -> None:
        roots = settings.trust_roots or trust.SYSTEM_STORE
        revocations.run(revocations.Revocations(ledger, lambda: trust.load(roots)), turn)

    def count_answers(turn: Turn) -> None:
        ticks.count_answers(ledger, Rows(ledger.database), turn)

    yield Job(name="deadlines", title="notes deadlines that are near or over", every_s=DEADLINES_EVERY_S, run=deadlines)
    title = "notes providers that do not answer, and that they work again"
    yield Job(name="note_downtimes", title=title, every_s=DOWNTIMES_EVERY_S, run=note_downtimes)
    yield job(spread_protection, PROTECTION_EVERY_S, "protects earlier deliveries to addresses that are protected now")
    title = "has reports made whose period has ended"
    yield Job(name="reports", title=title, every_s=REPORTS_EVERY_S, run=schedules(system).look)
    title = "carries out erasures that were asked for and agreed to"
    yield Job(name="erasures", title=title, every_s=ERASURES_EVERY_S, run=partial(carry_out_erasures, system))
    title = "destroys what is left of what was erased, and keeps the journal of erasures"
    yield Job(name="finish_erasures", title=title, every_s=FINISH_EVERY_S, run=partial(finish_erasures, system))
    title = "erases what retention policies say is due, and nothing keeps"
    yield Job(name="apply_retention", title=title, every_s=DAY_S, run=partial(apply_retention, system))
    title = "asks authorities whether the signers of originals were revoked"
    yield Job(name="ask_revocations", title=title, every_s=REVOCATIONS_EVERY_S, run=ask_revocations)
    yield Job(name="count_answers", title="notes how many answers told nothing new", every_s=DAY_S, run=count_answers)
    if settings.push_targets:
        yield job(push_heads, settings.push_every_s, "hands the newest head to other places")
    yield job(check_log, settings.fsck_every_h * 3600, "checks the whole log")
    yield job(sweep_artifacts, DAY_S, "removes files of originals that no event names")
    if settings.tsa_url:
        tsa_roots(settings)  # what is missing is said before anything is served
        yield job(stamp_originals, settings.tsa_every_s, "has new signed originals time-stamped")
        yield job(stamp_head, settings.tsa_checkpoint_every_h * 3600, "has the newest head time-stamped")


def spread_protection(system: System) -> None:
    """Protect what was sent to an address before it was known to be somebody's whose identity is protected."""
    protecting.spread(system.queries)


def carry_out_erasures(system: System, turn: Turn) -> None:
    """Carry out what is ready; one that a hold forbids by now waits, and does not stop the others.

    Raises:
        ConfigurationError: this login may not destroy what the log says is erased.
    """
    eraser = erasing.eraser(system)
    for tenant, erasure in eraser.all_ready():
        turn.go_on()
        try:
            eraser.carry_out(tenant, erasure, turn.progress)
            turn.found += 1
        except ActRefusedError as error:
            turn.trouble = str(error)


def finish_erasures(system: System, turn: Turn) -> None:
    """Destroy what came late for somebody erased, or was left by a breakdown.

    Raises:
        ConfigurationError: this login may not destroy it.
    """
    system.runner.run()
    turn.found = recovering.finish(system.settings, system.ledger, system.journal, turn.go_on)


def apply_retention(system: System, turn: Turn) -> None:
    """Apply every organisation's retention; broken off, the next run does the rest."""
    retirer = erasing.retirer(system)
    for tenant in retirer.tenants():
        turn.found += sum(each.messages for each in retirer.apply(tenant, go_on=turn.go_on))


def push_heads(system: System) -> None:
    """Hand the newest head to every target; one that fails does not stop the others, and the job tells of it.

    Raises:
        PushError: of the last target that did not take it.
    """
    head, identity = system.signed_head(), system.leader.identity()
    failed: list[pushing.PushError] = []
    for target in system.settings.push_targets:
        try:
            pushing.push(system.ledger, identity, head, system.heads.cosigned(head), target)
        except pushing.PushError as error:
            LOG.error("%s", error)  # noqa: TRY400  the text says it all
            failed.append(error)
    if failed:
        raise failed[-1]


def check_log(system: System) -> None:
    """Check everything, tell what is wrong, and write the verdict into the log."""
    verdict = fsck.check(system.ledger, system.heads, processes=1)  # the other processors are for whoever asks
    for problem in verdict.problems:
        LOG.critical("fsck: %s", problem)
    try:
        fsck.record(system.ledger, verdict)
    except LedgerError as error:
        LOG.error("the verdict of fsck could not be recorded: %s", error)  # noqa: TRY400  as above


def sweep_artifacts(system: System) -> None:
    """Remove files that no event names, once a signed head shows that the database is the one they were written for."""
    system.signed_head()
    for name in system.ledger.sweep_artifacts():
        LOG.info("removed %s: no event names it", name)


def stamp_originals(system: System) -> None:
    """Ask for the tokens of new signed originals, and for those that are late."""
    stamping.turn(system.ledger, system.settings.tsa_url, tsa_roots(system.settings))


def stamp_head(system: System) -> None:
    """Have the newest head time-stamped, if anything came since the last one."""
    stamping.turn(system.ledger, system.settings.tsa_url, tsa_roots(system.settings), system.signed_head())
