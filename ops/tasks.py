"""Long work and scheduled reports, constructed from the opened system."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from adapters import reaching
from adapters.reports import delivering, mailing, reporting
from adapters.reports.channels import Channels
from adapters.reports.schedules import Schedules
from adapters.tasks.runner import Runner
from adapters.tasks.store import Tasks
from ops import reports
from ops.settings import Settings
from ops.system import System


def tasks(system: System) -> Tasks:
    """The queue of long work, and what came of it."""
    settings = system.settings
    folder = settings.report_folder or settings.artifact_folder.parent / "reports"
    return Tasks(system.ledger, folder, timedelta(days=settings.keep_reports_days))


def channels(system: System) -> Channels:
    """What reports can be delivered by.

    Raises:
        ConfigurationError: a setting of the mail server is wrong.
    """
    settings = system.settings

    def tls() -> ssl.SSLContext:
        return reaching.context(beside=settings.extra_ca)

    url = settings.smtp_url
    return Channels(
        accounts=system.accounts,
        drop_folder=settings.report_drop_folder,
        mail=mailing.server(url, settings.smtp_password_file, settings.smtp_from, tls) if url else None,
        attach_bytes=settings.attach_max_bytes,
        public_url=public_url(settings),
        tls=tls,
    )


def public_url(settings: Settings) -> str:
    """How others reach the API."""
    scheme = "https" if settings.tls_cert_file else "http"
    return settings.public_url or f"{scheme}://{settings.host}:{settings.port}"


def schedules(system: System) -> Schedules:
    """The schedules of reports."""
    return Schedules(system.accounts, tasks(system), channels(system))


def runner(system: System) -> Runner:
    """What does the long work."""
    queue = tasks(system)
    kinds = [
        reporting.kind(reports.desk(system), system.accounts, queue),
        delivering.kind(queue, channels(system)),
    ]
    return Runner(queue, kinds)


@contextmanager
def working(system: System) -> Iterator[None]:
    """Do long work in a thread of its own while this process leads; what is not finished at the end goes back into the queue."""
    found = runner(system)
    worker = threading.Thread(target=found.work, args=(system.leader.is_leading,), name="tasks")
    worker.start()
    try:
        yield
    finally:
        found.stop()
        worker.join()
