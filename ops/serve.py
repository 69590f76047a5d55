"""`delivery-ledger serve`: opens the system, refuses an unsafe database role, serves until it is told to stop."""

from __future__ import annotations

import asyncio
import importlib
import logging
import multiprocessing
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web
from eventsourcing.persistence import PersistenceError

from adapters.http.app import STOP_S, make, runner
from adapters.http.services import Limits, Log, Services
from ledger.database import PostgresDatabase, SQLiteDatabase, unsafe_rights
from ledger.errors import ConfigurationError, UnsafeDatabaseError
from ops import erasing, safety, schedule, tasks
from ops.evidence import desk
from ops.interpreter import share_out
from ops.logs import log_to_stderr
from ops.processes import BACKLOG
from ops.recovering import privileged, refuse_forgetful
from ops.settings import Settings
from ops.system import System, opened

LOG = logging.getLogger("delivery_ledger.serve")
END_S = STOP_S + 15
"""Longest from being told to stop to the end: what is under way may take `STOP_S`."""
LATER = (
    "email_validator",
    "adapters.providers.pec_mailbox.signatures",
    "adapters.evidence.signing",
    "jsonpatch",
)
"""Likeliest first. Together as much as half of a start: they check and make signatures of certified mail, evidence and reports, and read
what few addresses and few schedules need."""


def serve(settings: Settings, listener: socket.socket | None = None, ready: Callable[[], None] = lambda: None) -> None:
    """Serve the HTTP API until SIGTERM or SIGINT, or until the parent of several is gone; what was accepted is committed.

    Args:
        listener: an open port to share; without it that of the settings is opened.
        ready: called once it is listened to.

    Raises:
        UnsafeDatabaseError: the database role could change the past; the text says how to repair it.
        ConfigurationError: the settings are unsafe, the login named for destroying may not, or the database was put back and would show who
            was erased, likewise.
    """
    log_to_stderr()
    safety.check(settings)
    with _ending() as stopping, opened(settings, refuse_unsafe) as system:
        refuse_forgetful(system.ledger, system.journal)
        _require_privacy(system)
        system.leader.start()
        with schedule.running(system), sending(system), tasks.working(system):
            share_out()
            _until_told(system, listener, ready, stopping)
    LOG.info("stopped")


@contextmanager
def _ending() -> Iterator[Callable[[], None]]:
    """What begins the end: it is over after `END_S`, whatever is waited for.

    A database that does not answer would be waited for by each part of the program in turn. What was acknowledged is committed, so nothing
    is lost by not waiting.
    """

    def leave() -> None:
        LOG.error("it did not stop within %d s and is ended; what was acknowledged is in the ledger", END_S)
        os._exit(1)

    timer = threading.Timer(END_S, leave)
    timer.daemon = True
    try:
        yield timer.start
    finally:
        timer.cancel()


@contextmanager
def sending(system: System) -> Iterator[None]:
    """Work the outbox in a thread of its own while this process leads; the call that is being made is waited for."""
    outbox = system.outbox
    worker = threading.Thread(target=outbox.work, args=(system.leader.is_leading,), name="outbox")
    worker.start()
    try:
        yield
    finally:
        outbox.stop()
        worker.join()


def refuse_unsafe(database: SQLiteDatabase | PostgresDatabase) -> None:
    """Refuse a role that could change the past, before anything is written under it.

    Raises:
        UnsafeDatabaseError: the text says how to repair it.
    """
    unsafe = unsafe_rights(database)
    if unsafe:
        msg = (
            f"the database role could change the past: {'; '.join(unsafe)}. Repair: as the owner run `delivery-ledger db migrate "
            "--grant-to ROLE` for a login that owns nothing, and serve with that ROLE in LEDGER_DATABASE_URL"
        )
        raise UnsafeDatabaseError(msg)


def _require_privacy(system: System) -> None:
    """Find out now, not at the first erasure, whether the login that is named for destroying may."""
    if system.settings.privacy_database_url.reveal():
        try:
            with privileged(system.settings, system.ledger.database):
                pass
        except PersistenceError as error:
            msg = f"privacy_database_url (LEDGER_PRIVACY_DATABASE_URL) cannot be used: {error}"
            raise ConfigurationError(msg) from error


def services_of(system: System) -> Services:
    """What the API is given of the opened system."""
    settings = system.settings
    hides_addresses = settings.behind_proxy and not settings.trusted_proxies
    return Services(
        ledger=system.ledger,
        intake=system.intake,
        runner=system.runner,
        queries=system.queries,
        accounts=system.accounts,
        api_keys=system.api_keys,
        quarantine=system.quarantine,
        lanes=system.lanes,
        outbox=system.outbox,
        jobs=schedule.board(system),
        tasks=tasks.tasks(system),
        schedules=tasks.schedules(system),
        eraser=erasing.eraser(system),
        seal=lambda pdf: erasing.sealed(system, pdf),
        log=Log(
            heads=system.heads,
            signed_head=system.signed_head,
            identity=system.leader.identity,
            is_public=settings.public_log,
        ),
        evidence=desk(system),
        limits=Limits(
            body_bytes=settings.max_body_bytes,
            request_timeout_s=settings.request_timeout_s,
            rate_per_minute=settings.rate_per_minute,
            failures_per_minute=settings.failures_per_minute,
            connections=settings.max_connections,
            connections_per_address=0 if hides_addresses else settings.max_connections_per_address,
            idle_s=settings.idle_s,
        ),
        public_url=tasks.public_url(settings),
        cors_origins=settings.cors_origins,
        trusted_proxies=settings.trusted_proxies,
    )


def _until_told(
    system: System, listener: socket.socket | None, ready: Callable[[], None], stopping: Callable[[], None]
) -> None:
    with asyncio.Runner(loop_factory=_new_loop) as loop:
        loop.run(_run(system, listener, ready, stopping))


def _new_loop() -> asyncio.AbstractEventLoop:
    """The faster one, where it is installed."""
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415  the extra `fast`

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


async def _run(
    system: System, listener: socket.socket | None, ready: Callable[[], None], stopping: Callable[[], None]
) -> None:
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if parent := multiprocessing.parent_process():
        loop.add_reader(parent.sentinel, told.set)
    server, tls = runner(make(services_of(system))), safety.tls(system.settings)
    await server.setup()
    try:
        await _site(server, system.settings, listener, tls).start()
        host, port = server.addresses[0][:2]
        url = f"http{'s' if tls else ''}://{host}:{port}"
        threading.Thread(target=_load_rest, name="loading").start()
        LOG.info("listening", extra={"said": {"url": url, "docs": f"{url}/docs"}})
        ready()
        await told.wait()
        LOG.info("stopping")
        stopping()
    finally:
        if parent:
            loop.remove_reader(parent.sentinel)
        await server.cleanup()


def _load_rest() -> None:
    """Load what the start does not wait for, so that no first request does: it goes on beside what is asked meanwhile."""
    for name in LATER:
        importlib.import_module(name)


def _site(
    server: web.AppRunner, settings: Settings, listener: socket.socket | None, tls: ssl.SSLContext | None
) -> web.BaseSite:
    if listener:
        return web.SockSite(server, listener, ssl_context=tls, backlog=BACKLOG)
    return web.TCPSite(server, settings.host, settings.port, ssl_context=tls, backlog=BACKLOG)
