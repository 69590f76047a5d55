"""Derives the jobs of all open accounts, and runs those that are due.

A job never runs twice at once: only the process that leads runs any (`may_run`), and within it one run of a job is under way. When
the lead is lost or the process ends, a run stops after what it is just handing to the ledger.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from adapters import operations, sending
from adapters.accounts import CONSOLE, Account, Accounts
from adapters.desk import AccountDesk, Calls
from adapters.jobs import polling
from adapters.jobs.polling import Polls
from adapters.jobs.rows import Job, Key, Row, Rows, StoppedError, Turn, pause, said
from adapters.jobs.views import JobView, outbox_view, view
from adapters.outbox import ActRefusedError
from adapters.providers import registry
from ledger.errors import ConfigurationError, ForkError, NotFoundError
from ledger.events import time_text
from ledger.intake import Intake
from projections.queries import Queries

if TYPE_CHECKING:
    from adapters.providers.calling import Access, Client, Sweep
    from adapters.providers.contract import Provider
    from ledger.decision import Outcome

LOG = logging.getLogger(__name__)
DERIVE_EVERY = timedelta(seconds=30)
POLL = "poll"


class Board:
    """The jobs of one ledger.

    Guarded by `_claims`: _running.

    Args:
        own: the ledger's own jobs.
        may_run: whether this process is the one that runs jobs.
    """

    def __init__(
        self,
        intake: Intake,
        accounts: Accounts,
        calls: Calls,
        queries: Queries,
        *,
        own: Sequence[Job] = (),
        may_run: Callable[[], bool] = lambda: True,
    ) -> None:
        self.ledger = intake.ledger
        self.intake = intake
        self.accounts = accounts
        self.calls = calls
        self.queries = queries
        self.own = tuple(own)
        self.may_run = may_run
        self.rows = Rows(self.ledger.database)
        self._stopping = threading.Event()
        self._claims = threading.Lock()
        self._running: set[Key] = set()
        self._derived: list[Job] = []
        self._derive_at: datetime | None = None

    def stop(self) -> None:
        """Let no run go on; what is being handed to the ledger is finished."""
        self._stopping.set()

    # --- what there is to do

    def jobs(self) -> list[Job]:
        """The ledger's own jobs and those of every open account, as things are now."""
        rows = self.ledger.database.read("SELECT DISTINCT tenant FROM accounts ORDER BY tenant")
        return [*self.own, *(job for (tenant,) in rows for job in self.of(str(tenant)))]

    def of(self, tenant: str) -> list[Job]:
        """The jobs of a tenant's open accounts."""
        opened = [account for account in self.accounts.list(tenant) if not account.is_disabled]
        return [job for account in opened for job in self._of_account(account)]

    def _of_account(self, account: Account) -> Iterator[Job]:
        provider = registry().get(account.provider)
        if provider is None or provider.client is None:
            return
        client, tenant, name = provider.client, account.tenant, account.account
        access, why = self._access(account, client)
        if client.poll is not None:
            yield Job(
                name=POLL,
                title="asks about each message that is under way",
                every_s=int(min(every for _, every in client.cadence).total_seconds()),
                run=partial(self._poll, account, provider, client),
                tenant=tenant,
                account=name,
                off=why,
            )
        for sweep in client.sweeps:
            is_on = not sweep.setting or (access and getattr(access.settings, sweep.setting, None))
            how = f"delivery-ledger accounts configure {name} --set {sweep.setting}=VALUE"
            yield Job(
                name=sweep.name,
                title=sweep.title,
                every_s=sweep.every_s,
                run=partial(self._sweep, account, provider, client, sweep),
                tenant=tenant,
                account=name,
                off=why or ("" if is_on else f"{sweep.setting} is not set; {how}"),
            )

    def _access(self, account: Account, client: Client) -> tuple[Access | None, str]:
        """What a call may use, or why there can be none."""
        try:
            access = self.accounts.access(account.tenant, account.account, self.ledger.clock())
            sending.check_secrets(client, access, account.account)
        except (ConfigurationError, NotFoundError) as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001  of this account only, for example a credential that cannot be opened
            return None, said(error)
        return access, ""

    # --- running

    def due(self) -> list[Job]:
        """What is to be run now, the longest due first; new accounts and settings are seen within half a minute."""
        now = self.ledger.clock()
        if self._derive_at is None or now >= self._derive_at:
            self._derived, self._derive_at = self.jobs(), now + DERIVE_EVERY
            self.rows.ensure(self._derived, now)
        rows = self.rows.all()
        found = [
            (rows[job.key].next_at, job)
            for job in self._derived
            if not job.off and job.key not in self._running and rows[job.key].is_due(time_text(now))
        ]
        is_frozen = bool(self.ledger.frozen)  # then nothing could be kept of what an account's provider answers
        return [job for _, job in sorted(found, key=lambda each: each[0]) if not (job.account and is_frozen)]

    def run_due(self) -> int:
        """Run what is due, one after the other; returns how many ran."""
        due = self.due() if self.may_run() else []
        return sum(self.run(job) is not None for job in due)

    def run(
        self,
        job: Job,
        *,
        is_asked: bool = False,
        progress: Callable[[int, int | None], None] = lambda _done, _total: None,
    ) -> Row | None:
        """Run a job now; whatever goes wrong in it is kept with it and stops nothing else.

        Returns:
            How it stands then, or None when it is under way already.
        """
        with self._claims:
            if job.key in self._running:
                return None
            self._running.add(job.key)
        try:
            now = self.ledger.clock()
            self.rows.ensure([job], now)
            was_asked, state = self.rows.start(job.key, now)
            turn = Turn(now, is_asked or was_asked, state, progress=progress)
            turn.go_on = partial(self._go_on, job, turn)
            self._attempt(job, turn)
            return self.rows.all()[job.key]
        finally:
            with self._claims:
                self._running.discard(job.key)

    def _attempt(self, job: Job, turn: Turn) -> None:
        """Run a job and note how it ended."""
        try:
            self._check_may_run()
            job.run(turn)
        except StoppedError:
            self.rows.stop(job.key)
            return
        except (KeyboardInterrupt, SystemExit):
            self.rows.stop(job.key)
            raise
        except Exception as error:  # noqa: BLE001  as `run` says
            if isinstance(error, ForkError):
                self.ledger.freeze(str(error))
                LOG.critical("appending is refused: %s", error)
            failures, trouble = self.rows.all()[job.key].failures + 1, said(error)
            LOG.error("job %s: %s", " ".join(filter(None, (job.name, job.account))), trouble)  # noqa: TRY400  says it all
        else:
            failures, trouble = 0, turn.trouble
        ended = self.ledger.clock()
        self.rows.save(job.key, turn)
        wait = pause(failures, job.every_s) if failures else timedelta(0)
        next_at = ended + wait if failures or turn.has_more else turn.now + timedelta(seconds=job.every_s)
        self.rows.end(job.key, ended, next_at, trouble, failures)

    def _go_on(self, job: Job, turn: Turn) -> None:
        self.rows.save(job.key, turn)
        self._check_may_run()

    def _check_may_run(self) -> None:
        if self._stopping.is_set() or not self.may_run():
            raise StoppedError

    # --- an account's

    def _desk(self, account: Account, provider: Provider, client: Client, turn: Turn) -> AccountDesk:
        access = self.accounts.access(account.tenant, account.account, turn.now)
        sending.check_secrets(client, access, account.account)
        return AccountDesk(
            tenant=account.tenant,
            account=account.account,
            provider=provider,
            client=client,
            access=access,
            accounts=self.accounts,
            intake=self.intake,
            calls=self.calls,
            state=turn.state,
            admitted=turn.count,
        )

    def _sweep(self, account: Account, provider: Provider, client: Client, sweep: Sweep, turn: Turn) -> None:
        desk, done = self._desk(account, provider, client, turn), itertools.count(1)

        def admitted(outcome: Outcome) -> None:
            turn.count(outcome)
            turn.progress(next(done), None)

        sweep.run(replace(desk, admitted=admitted))

    def _poll(self, account: Account, provider: Provider, client: Client, turn: Turn) -> None:
        polls = Polls(self.queries, account.tenant, account.account, client.cadence)
        polling.run(polls, self._desk(account, provider, client, turn), turn)

    # --- people

    def note_asked(self, job: Job, actor: str = CONSOLE) -> None:
        """Write who asks for a run, before it; a frozen ledger takes nothing, and its own jobs are run all the same."""
        if not self.ledger.frozen:
            operations.asked(self.accounts, actor, f"jobs run {job.name}"[:80], job.tenant, job.account)

    def views(self, tenant: str) -> list[JobView]:
        """How the tenant's jobs and the ledger's own stand."""
        rows = self.rows.all()
        found = [view(job, rows.get(job.key)) for job in (*self.own, *self.of(tenant))]
        return [*found, outbox_view(self.ledger.database, tenant)]

    def find(self, tenant: str, name: str, account: str = "", *, own: bool = False) -> list[Job]:
        """The jobs of that name: of one account, or of all the tenant's.

        Args:
            own: look among the ledger's own, too.

        Raises:
            NotFoundError: there is none.
        """
        known = [*(self.own if own and not account else ()), *self.of(tenant)]
        found = [job for job in known if job.name == name and account in {"", job.account}]
        if not found:
            names = ", ".join(sorted({job.name for job in known if account in {"", job.account}})) or "none"
            of = f"account {account!r}" if account else f"tenant {tenant}"
            msg = f"{of} has no job {name!r}; there are: {names}"
            raise NotFoundError(msg)
        return found

    def ask(self, job: Job, actor: str = CONSOLE) -> JobView:
        """Have whichever process leads run a job in a moment; who asked is written first.

        Args:
            actor: id of an API key, or `console`.

        Raises:
            ActRefusedError: it is off; says what would switch it on.
        """
        if job.off:
            msg = f"job {job.name} of {job.account} is off: {job.off}"
            raise ActRefusedError(msg)
        self.note_asked(job, actor)
        self.rows.ensure([job], self.ledger.clock())
        self.rows.ask(job.key, self.ledger.clock())
        return view(job, self.rows.all()[job.key])
