"""Collects the messages of a mailbox: each once, by UIDVALIDITY and UID, handed in byte for byte.

A message is remembered after it is in the ledger; whatever happens before, it is read again, which costs nothing there. One that cannot
be had is noted in the lane of the unreadable, passed over, and tried again the next day. Leaves out: waiting for new mail (IDLE).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec

from adapters.providers.calling import CallFailedError, Desk, Sweep
from adapters.providers.mailbox_imap import BrokenError, Session
from adapters.providers.mailbox_settings import SECRETS, Login, Mailbox, login_of
from ledger.errors import BusyError, ClosedError, ForkError, UnclearCommitError
from ledger.observations import ArrivalKind

LOG = logging.getLogger(__name__)

EVERY_S = 60
MESSAGES_PER_RUN = 2_000
"""Of one folder; the rest is for the next run."""
WINDOW = 20_000
"""UIDs asked for at once: the library takes no line of more than a million bytes."""
BATCH_MESSAGES = 50
BATCH_BYTES = 4 * 1024 * 1024
TRIES = 3
"""So often the connection may break at one message, or between messages, until something else is done."""
AGAIN_AFTER = timedelta(days=1)
MAX_SKIPPED = 1_000

_LEDGER_RESTS = (BusyError, ClosedError, ForkError, UnclearCommitError)
"""Nothing is wrong with the message; all others would fail as well."""


def mailbox_sweep(
    operation: str = "receipt", passed_over: str = "skipped", login: Sequence[str] = tuple(SECRETS)
) -> Sweep:
    """Reads what is new in the mailbox of an account whose settings have the fields of `Mailbox`.

    Args:
        operation: of an arrival that is a message of the mailbox.
        passed_over: of one that says which message could not be had, and why; nothing reads it, so it waits for a person.
        login: names of the account's credentials that are user and password of the mailbox.
    """

    def run(desk: Desk) -> None:
        collect(desk, operation, passed_over, login_of(desk.access.secrets, login))

    return Sweep("mailbox", EVERY_S, run, "Reads new receipts from the mailbox", "imap_host")


def collect(
    desk: Desk, operation: str, passed_over: str, login: Login, before: Callable[[bytes], None] = lambda _body: None
) -> None:
    """Read what is new in all folders; one that fails does not keep back the others.

    Args:
        before: done with each message before it is handed in.

    Raises:
        CallFailedError: no connection, or a folder could not be read to its end.
        LedgerError: the ledger takes nothing now.
    """
    settings: Mailbox = desk.access.settings
    failed = []
    with Session(settings, login) as session:
        for folder in dict.fromkeys(settings.imap_folders):
            try:
                _Folder(desk, session, folder, operation, passed_over, MESSAGES_PER_RUN, before).read()
            except BrokenError as error:
                failed.append(f"{folder}: {error}")
        _note_quota(desk, session, settings.imap_folders[0])
    if failed:
        raise CallFailedError("; ".join(failed))


def _note_quota(desk: Desk, session: Session, folder: str) -> None:
    try:
        quota = session.quota(folder)
    except BrokenError as error:
        LOG.info("the quota of the mailbox cannot be read: %s", error)
        return
    if quota:
        desk.state["quota"] = {"usage_kib": quota[0], "limit_kib": quota[1], "at": desk.access.now.isoformat()}


@dataclass(slots=True)
class _Folder:
    """One folder in one run.

    Attributes:
        validity: UIDVALIDITY; with another one all UIDs mean other messages.
        uid: up to here every message is in the ledger, noted, or gone.
        skipped: UID -> when to try it again.
        budget: messages that may yet be read in this run.
        singly: fetch one message at a time, since a fetch failed.
        at: the message that is fetched by itself now; 0 = none.
        is_open: it was examined in this run.
        hands_out: the last message that was asked for by itself came; if not, the next that fails is not to blame.
    """

    desk: Desk
    session: Session
    name: str
    operation: str
    passed_over: str
    budget: int
    before: Callable[[bytes], None]
    validity: int = 0
    uid: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    singly: bool = False
    at: int = 0
    is_open: bool = False
    hands_out: bool = True

    def read(self) -> None:
        """Read what is new, over as many connections as it takes.

        Raises:
            BrokenError: there is no such folder, or it broke too often where no single message is to blame.
        """
        broken = Counter[int]()
        while True:
            try:
                return self._read()
            except BrokenError as error:
                self.session.drop()
                broken[self.at] += 1
                if error.is_refusal and not self.is_open:
                    raise
                if broken[self.at] >= TRIES:
                    if not (self.at and self.hands_out):
                        raise
                    self._skip(self.at, str(error))
                    self.hands_out = False
                self.singly = True

    def _read(self) -> None:
        self.at = 0
        self.validity, last = self.session.examine(self.name)
        self.is_open = True
        self._recall()
        now = self.desk.access.now
        self._take([int(uid) for uid, again in self.skipped.items() if datetime.fromisoformat(again) <= now])
        while self.uid < last and self.budget > 0:
            end = min(self.uid + WINDOW, last)
            uids = [uid for uid in self.session.search("UID", f"{self.uid + 1}:{end}") if self.uid < uid <= end]
            self._take(uids[: self.budget])
            self._remember(uids[self.budget - 1] if len(uids) > self.budget else end)
            self.budget -= len(uids)

    def _take(self, uids: Sequence[int]) -> None:
        """Fetch these messages and hand them in, in this order."""
        for batch in self._batches(uids):
            self.at = batch[0] if self.singly else 0
            bodies = self.session.bodies(batch)
            for uid in batch:
                if uid in bodies:
                    self._hand_in(uid, bodies[uid])
                elif self.session.search("UID", str(uid)):
                    msg = f"message {uid} is there and is not handed out"
                    raise BrokenError(msg)
                else:
                    self._done(uid)
            self.hands_out = True
        self.at = 0

    def _batches(self, uids: Sequence[int]) -> Iterator[list[int]]:
        """The messages that are still there and not too large, as many at once as is safe."""
        limit = self.desk.access.settings.imap_message_bytes
        most = 1 if self.singly else BATCH_MESSAGES
        for start in range(0, len(uids), BATCH_MESSAGES):
            chunk = uids[start : start + BATCH_MESSAGES]
            sizes = self.session.sizes(chunk)
            batch: list[int] = []
            for uid in chunk:
                size = sizes.get(uid, 0)
                is_full = len(batch) == most or sum(map(sizes.__getitem__, batch)) + size > BATCH_BYTES
                if batch and (is_full or size > limit):
                    yield batch
                    batch = []
                if size > limit:
                    self._skip(uid, f"it has {size} bytes; at most {limit} are read")
                elif uid in sizes:
                    batch.append(uid)
                else:
                    self.skipped.pop(
                        str(uid), None
                    )  # gone; it is not remembered before those that still wait in the batch
            if batch:
                yield batch

    def _hand_in(self, uid: int, body: bytes) -> None:
        limit = self.desk.access.settings.imap_message_bytes
        if len(body) > limit:
            self._skip(uid, f"it has {len(body)} bytes, more than the server said; at most {limit} are read")
            return
        try:
            self.before(body)
            self._admit(self.operation, uid, body, "message/rfc822")
        except _LEDGER_RESTS:
            raise
        except Exception as error:  # noqa: BLE001  one bad message hurts only itself; if it is not that, the note fails too
            LOG.warning("a message of the mailbox cannot be stored: %s", type(error).__name__)
            self._skip(uid, f"the ledger does not take it: {type(error).__name__}")
        else:
            self._done(uid)

    # --- what is remembered

    def _recall(self) -> None:
        kept = self.desk.state.get("folders", {}).get(self.name, {})
        is_same = kept.get("uidvalidity") == self.validity
        self.uid = kept["uid"] if is_same else 0
        self.skipped = dict(kept["skipped"]) if is_same else {}

    def _remember(self, uid: int) -> None:
        self.uid = max(self.uid, uid)
        kept = {"uidvalidity": self.validity, "uid": self.uid, "skipped": dict(self.skipped)}
        self.desk.state["folders"] = {**self.desk.state.get("folders", {}), self.name: kept}

    def _done(self, uid: int) -> None:
        self.skipped.pop(str(uid), None)
        self._remember(uid)

    def _skip(self, uid: int, why: str) -> None:
        """Note, durably, that a message could not be had.

        Raises:
            LedgerError: not even that can be written.
        """
        note = {"folder": self.name, "uidvalidity": self.validity, "uid": uid, "why": why}
        self._admit(self.passed_over, uid, msgspec.json.encode(note), "application/json")
        self.skipped[str(uid)] = (self.desk.access.now + AGAIN_AFTER).isoformat()
        self.skipped = dict(list(self.skipped.items())[-MAX_SKIPPED:])
        self._remember(uid)

    def _admit(self, operation: str, uid: int, body: bytes, media_type: str) -> None:
        name = f"/{quote(self.name, safe='')};UIDVALIDITY={self.validity}/;UID={uid}"  # RFC 5092 section 2.2
        self.desk.admit_bytes(operation, ArrivalKind.MAILBOX, body, name=name, headers={"content-type": media_type})
