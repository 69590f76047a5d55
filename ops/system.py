"""The composition root: the only place that constructs things from settings."""

from __future__ import annotations

import logging
import os
import pwd
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters import reaching, revocations, setup, trust
from adapters.accounts import Accounts
from adapters.announcing import announce, tables
from adapters.apikeys import ApiKeys
from adapters.calls import Caller
from adapters.downtime import Noticing
from adapters.lanes import Lanes
from adapters.outbox import Outbox
from adapters.quarantine import Quarantine
from adapters.receiving import attester, vocabulary
from ledger import identity as identities
from ledger.application import Ledger
from ledger.checkpoints import HeadFile, SignedHead
from ledger.database import PostgresDatabase, SQLiteDatabase, connect
from ledger.erasures import ErasureFile
from ledger.errors import ConfigurationError, ForkError, VersionTakenError
from ledger.identity import Identity
from ledger.intake import Intake
from ops import keyfiles, recovering
from ops.leader import FolderLock, Leader, Lock, PrimaryLock
from ops.settings import Settings
from projections.accessed import AccessedModel
from projections.activity import ActivityModel
from projections.acts import ActsModel
from projections.downtimes import DowntimesModel
from projections.erasures import ErasuresModel
from projections.keeping import KeepingModel
from projections.lanes import LanesModel
from projections.models import ReadModel
from projections.originals import OriginalsModel
from projections.queries import Queries
from projections.runner import Runner
from projections.status import StatusModel

LOG = logging.getLogger(__name__)


Check = Callable[[SQLiteDatabase | PostgresDatabase], None]


@dataclass(frozen=True, slots=True)
class System:
    """Everything an entry point needs.

    Attributes:
        identity: who the log was when it was opened; `leader.identity()` follows rotations.
        heads: the signed heads, outside the database.
        journal: of erasures, beside them.
        log_keys: private log keys that are here, oldest first.
    """

    settings: Settings
    ledger: Ledger
    intake: Intake
    runner: Runner
    queries: Queries
    accounts: Accounts
    api_keys: ApiKeys
    quarantine: Quarantine
    lanes: Lanes
    caller: Noticing
    outbox: Outbox
    identity: Identity
    heads: HeadFile
    journal: ErasureFile
    log_keys: tuple[Ed25519PrivateKey, ...]
    leader: Leader

    def signed_head(self) -> SignedHead:
        """A signed head over everything committed by now; see `Leader.head`."""
        return self.leader.head()


def read_models() -> list[ReadModel]:
    """Everything that is folded from the log."""
    return [
        StatusModel(),
        LanesModel(),
        ActivityModel(),
        AccessedModel(),
        KeepingModel(),
        ActsModel(),
        DowntimesModel(),
        ErasuresModel(),
        OriginalsModel(),
    ]


@contextmanager
def opened(
    settings: Settings, check: Check = lambda _database: None, models: Callable[[], list[ReadModel]] = read_models
) -> Iterator[System]:
    """Open the ledger that the settings name; what was accepted is committed when this ends.

    Args:
        check: refuses a database, before anything is written to it.
        models: none for a login that does not serve: on PostgreSQL their tables belong to who makes them, and only he can build them again.

    A ledger whose tree contradicts a signed head opens all the same, for reading: `ledger.frozen` says why nothing is appended.
    """
    with reaching.allowing(settings.allow_networks), _opened(settings, check, models) as system:
        yield system


@contextmanager
def _opened(settings: Settings, check: Check, models: Callable[[], list[ReadModel]]) -> Iterator[System]:
    database = connect(settings.database_url)
    try:
        database.ensure_schema()
        check(database)
    except BaseException:
        database.close()
        raise
    is_new = not database.read("SELECT 1 FROM meta WHERE name = 'keyring'")
    keyring = keyfiles.load(settings.key_folder, may_create=is_new, keks=settings.keks.reveal())
    ledger = Ledger(database, keyring, vocabulary(), settings.artifact_folder)
    leader = None
    caller = Caller(clock=ledger.clock, extra_ca=settings.extra_ca)
    try:
        name = settings.log_name or f"delivery-ledger/{keyring.check_value()[:4].hex()}"
        identity = _identity(ledger, name, settings)
        heads = HeadFile(settings.head_folder / re.sub(r"[^A-Za-z0-9._-]", "_", name))
        journal = ErasureFile(heads.path.parent)
        ledger.on_erased = journal.note
        leader = Leader(ledger, heads, lambda: keyfiles.log_keys(settings.key_folder), _locks(database, heads))
        with suppress(ForkError):
            leader.check()
        announce(ledger)
        if not ledger.frozen:
            for line in recovering.erase_again(settings, ledger, journal):
                LOG.warning("%s", line)
        setup.seal_earlier(ledger)
        runner = Runner(ledger, models())
        roots = settings.trust_roots or trust.SYSTEM_STORE
        intake = Intake(ledger, attester(lambda: trust.load(roots), revocations.of_revoked(ledger)))
        accounts = Accounts(ledger, user=_user())
        quarantine, calls = Quarantine(ledger, accounts, intake), Noticing(caller)
        queries = Queries(ledger, runner)
        yield System(
            settings=settings,
            ledger=ledger,
            intake=intake,
            runner=runner,
            queries=queries,
            accounts=accounts,
            api_keys=ApiKeys(accounts),
            quarantine=quarantine,
            lanes=Lanes(ledger, accounts, intake, queries),
            caller=calls,
            outbox=Outbox(ledger, intake, accounts, calls, queries, keep=timedelta(hours=settings.keep_payloads_h)),
            identity=identity,
            heads=heads,
            journal=journal,
            log_keys=keyfiles.log_keys(settings.key_folder),
            leader=leader,
        )
        if not ledger.frozen:
            quarantine.flush_counts(everything=True)
    finally:
        caller.close()
        if leader is not None:
            leader.close()
        ledger.close()


def _user() -> str:
    """What the operating system calls whoever runs this, and who he was before he became root."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {before})"[:200] if before else name


def _identity(ledger: Ledger, name: str, settings: Settings) -> Identity:
    """What the log says of itself; a new one is begun with its first event.

    Raises:
        ConfigurationError: the log was begun under another name.
    """
    if identities.read(ledger) is None:
        keyfiles.create_log_keys(settings.key_folder)
        newest, recovery = keyfiles.log_keys(settings.key_folder)[-1], keyfiles.recovery_public(settings.key_folder)
        with suppress(VersionTakenError):  # another process was faster
            identities.begin(ledger, name, newest, recovery, tables(ledger))
    found = identities.read(ledger)
    if found is None or found.base != name:
        was = found.base if found else "nothing"
        msg = f"this log was begun as {was}, the settings say {name}; set LEDGER_LOG_NAME={was} if that is your log"
        raise ConfigurationError(msg)
    return found


def _locks(database: object, heads: HeadFile) -> list[Lock]:
    shared: list[Lock] = [PrimaryLock(database.url)] if isinstance(database, PostgresDatabase) else []
    return [*shared, FolderLock(heads.path.parent)]
