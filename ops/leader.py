"""Who signs heads: one process at a time, on the primary; and the loop that does it.

Two locks are needed: one in the database, so that one of many processes leads, and one beside the file of heads, so that a restored
copy of the database cannot be signed for at the same time. Every turn holds the tree against the highest signed head, whether it
leads or not, so a database that was swapped below a running process is seen as well. A contradiction freezes the ledger: fatal,
told at the highest level, never tried again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import identity as identities
from ledger.application import Ledger
from ledger.checkpoints import HeadFile, SignedHead, compare
from ledger.errors import CorruptError, ForkError
from ledger.identity import Identity, NotLeaderError, sign_head
from ledger.recorders import LOCK

LOG = logging.getLogger(__name__)
SIGN_EVERY_S = 2.0
WAIT_S = 10.0
POLL_S = 0.1
LEADER_LOCK = LOCK + 1
"""Of PostgreSQL's advisory locks: whoever signs heads holds it as long as its connection lives."""
_CONNECTION: dict[str, Any] = {"connect_timeout": 5, "tcp_user_timeout": 30_000, "target_session_attrs": "read-write"}


class Lock(Protocol):
    """Something that one process at a time can hold."""

    def is_held(self) -> bool:
        """Take it if it is free; whether it is ours now."""
        ...

    def release(self) -> None: ...


class FolderLock:
    """Guards the file of heads: two copies of one database share that file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "leader.lock"
        self._file = -1

    def is_held(self) -> bool:
        if self._file < 0:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._file = file
        return True

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class PrimaryLock:
    """Guards the log in its PostgreSQL database, on a connection of its own; lost with it, and never held on a standby."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[tuple[bool]] | None = None

    def is_held(self) -> bool:
        try:
            if self._connection is None:
                connection = psycopg.connect(self._url, autocommit=True, **_CONNECTION)
                taken = "SELECT NOT pg_is_in_recovery() AND pg_try_advisory_lock(%s)"
                if connection.execute(taken, (LEADER_LOCK,)).fetchone() != (True,):
                    connection.close()
                    return False
                self._connection = connection
            return self._connection.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,)
        except psycopg.Error:
            self.release()
            return False

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Leader:
    """Signs heads when this process may, and watches that the tree goes on fitting them.

    Guarded by `_turn`: the locks, _identity, _version.

    Args:
        keys: reads the private log keys; again at each signature, since they rotate.
        locks: all of them are needed, in this order.
    """

    def __init__(
        self, ledger: Ledger, heads: HeadFile, keys: Callable[[], Sequence[Ed25519PrivateKey]], locks: Sequence[Lock]
    ) -> None:
        self._ledger = ledger
        self._heads = heads
        self._keys = keys
        self._locks = locks
        self._turn = threading.Lock()
        self._identity: Identity | None = None
        self._version = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)

    def identity(self) -> Identity:
        """Who the log is now: keys rotate while a process runs."""
        with self._turn:
            return self._identity_at(self._ledger.head().size)

    def _identity_at(self, tree_size: int) -> Identity:
        """As the events up to a size tell it; sizes only grow."""
        events = [e for e in self._ledger.stream(identities.STREAM, self._version) if e.position <= tree_size]
        self._identity = identities.fold(events, self._identity)
        self._version += len(events)
        if self._identity is None:
            msg = "this log was never begun: its first event, which names its keys, is missing"
            raise CorruptError(msg)
        return self._identity

    def head(self) -> SignedHead:
        """A signed head over everything committed by now, by this process or by the one that leads.

        Raises:
            ForkError: the tree contradicts a signed head; the ledger is frozen.
            NotLeaderError: another process leads and did not sign in time.
        """
        wanted = self._ledger.head().size
        until = time.monotonic() + WAIT_S
        while True:
            signed = self._sign()
            if signed is not None:
                return signed
            latest = self._heads.latest()
            if latest is not None and latest.checkpoint.size >= wanted:
                return latest
            if time.monotonic() > until:
                msg = (
                    f"another process signs heads for this ledger, and none covers {wanted} events after {WAIT_S:.0f} s"
                )
                raise NotLeaderError(msg)
            self._stopping.wait(POLL_S)

    def check(self) -> None:
        """Hold the tree against the highest signed head.

        Raises:
            ForkError: it contradicts; the ledger is frozen.
        """
        try:
            compare(self._ledger, self._heads.latest())
        except ForkError as error:
            self._ledger.freeze(str(error))
            raise

    def _sign(self) -> SignedHead | None:
        """Sign if this process can lead; a head that is newest already is not signed again."""
        with self._turn:
            self.check()
            if self._ledger.frozen:
                raise ForkError(self._ledger.frozen)
            if not all(lock.is_held() for lock in self._locks):
                return None
            head = self._ledger.head()
            try:
                return sign_head(self._ledger, self._heads, self._identity_at(head.size), self._keys(), head)
            except (ForkError, CorruptError) as error:
                self._ledger.freeze(str(error))
                raise

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Be the only process that signs, until the end of the block.

        Raises:
            NotLeaderError: another process is.
        """
        with self._turn:
            if not all(lock.is_held() for lock in self._locks):
                msg = "another process signs heads for this ledger; stop it first"
                raise NotLeaderError(msg)
            yield

    def is_leading(self) -> bool:
        """Whether this process signs, or could."""
        with self._turn:
            return all(lock.is_held() for lock in self._locks)

    # --- the loop

    def start(self) -> None:
        """Sign every few seconds while the log grows, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """End the loop and let go of the locks."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for lock in reversed(self._locks):
            lock.release()

    def _run(self) -> None:
        while not self._stopping.wait(SIGN_EVERY_S):
            try:
                self._sign()
            except (ForkError, CorruptError):
                LOG.critical("appending is refused: %s", self._ledger.frozen)
                return
            except Exception:
                LOG.exception("no head could be signed; trying again")
