"""What is time-stamped: checkpoints on a schedule or on demand, and signed originals when they arrive; the queue and its tokens.

The certificates behind a signed receipt end after years; a token shows that it existed while they were good. An authority that is
down delays tokens, and the delay is recorded; it blocks nothing. Tokens lie beside the log, each with an event that says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

import aiohttp
from cryptography import x509

from adapters import reaching
from adapters.timestamps import Authority, AuthorityError, check
from ledger.appender import Item
from ledger.application import OWN_STREAM, OWN_TENANT, Ledger
from ledger.checkpoints import SignedHead
from ledger.errors import DuplicateError, ErasedError, LedgerError, NotFoundError
from ledger.events import Event, message_of, parse_time, time_text
from ledger.sealing import seal, unseal

LOG = logging.getLogger(__name__)
FIRST_RETRY_S = 30
LONGEST_RETRY_S = 3600
BATCH = 100
PAGE = 1_000
SIGNED_ORIGINALS = frozenset({"pec_mailbox"})
"""Providers whose originals carry a signature that outsiders can check. Nothing else is stamped by itself: the digest of a short body
would tell the authority what stands in it, and a checkpoint's token covers every event anyhow."""


class _Waiting(NamedTuple):
    """A row of `timestamps` that is not finished.

    Attributes:
        subject: artifact id, or of a checkpoint its size and the digest of its signed note.
        event_id: of the event that brought the original.
        key_id: under which the token is sealed; empty: it names nobody, and is kept in the clear.
        gen_time: what the token states; "" while there is none.
    """

    kind: str
    subject: str
    tenant: str
    stream: str
    event_id: str
    key_id: bytes
    requested_at: str
    tries: int
    gen_time: str


_COLUMNS = ", ".join(_Waiting._fields)
_CURSOR = "timestamps"


def checkpoint_subject(head: SignedHead) -> str:
    """A checkpoint in the table: sorted by size, and told from another signature over the same tree."""
    return f"{head.checkpoint.size:015}/{hashlib.sha256(head.note).hexdigest()}"


class Timestamps:
    """The tokens of one ledger, beside the log, and the queue of those to come.

    A row is written before its token is asked for, the token before its event; if the process dies on any line, the next turn goes on
    from there, and an event that was written already is found by its duplicate key.

    Args:
        authority: None: what is held can be read, and nothing new is asked for.
    """

    def __init__(self, ledger: Ledger, authority: Authority | None) -> None:
        self.ledger = ledger
        self.authority = authority

    # --- tokens

    def token(self, subject: str) -> bytes:
        """The token over an original (by artifact id) or a checkpoint (by `checkpoint_subject`); b"" if there is none, or no longer."""
        kind = "checkpoint" if "/" in subject else "original"
        sql = "SELECT key_id, token FROM timestamps WHERE kind = ? AND subject = ? AND token IS NOT NULL"
        for key_id, token in self.ledger.database.read(sql, (kind, subject)):
            with suppress(ErasedError):
                return self._open(bytes(key_id), subject, bytes(token))
        return b""

    def _open(self, key_id: bytes, subject: str, token: bytes) -> bytes:
        return unseal(self._key(key_id), token, subject.encode()) if key_id else token

    def _key(self, key_id: bytes) -> bytes:
        rows = self.ledger.database.read("SELECT wrapped FROM person_keys WHERE key_id = ?", (key_id,))
        if not rows:
            raise ErasedError
        return self.ledger.keyring.unwrap(key_id, bytes(rows[0][0]))

    # --- the queue

    def want_checkpoint(self, head: SignedHead, *, on_demand: bool = False) -> bool:
        """Queue a signed head; on a schedule only if something but the events of its own tokens came since the one before.

        Returns:
            Whether it waits now and did not before.
        """
        read = self.ledger.database.read
        rows = read("SELECT subject FROM timestamps WHERE kind = 'checkpoint' ORDER BY subject DESC LIMIT 1")
        last = int(rows[0][0].partition("/")[0]) if rows else 0
        since = [e for e in self.ledger.feed(last, PAGE) if e.position <= head.checkpoint.size]
        subject = checkpoint_subject(head)
        known = read("SELECT 1 FROM timestamps WHERE kind = 'checkpoint' AND subject = ?", (subject,))
        if known or not (on_demand or any(not _is_own_token(e) for e in since)):
            return False
        self._enqueue([("checkpoint", subject, OWN_TENANT, OWN_STREAM, "", b"")])
        return True

    def collect(self, limit: int = PAGE) -> int:
        """Queue the signed originals among the next events of the log.

        Returns:
            Events read; less than `limit` means that the end was reached.
        """
        database = self.ledger.database
        events = self.ledger.feed(self.ledger.recorder.max_tracking_id(_CURSOR) or 0, limit)
        found = {e.fields["artifacts"][0]: e for e in reversed(events) if _has_signed_original(e)}
        keys = {a: bytes(k) for a, k in database.probe("artifacts", "artifact_id, key_id", "artifact_id", list(found))}
        self._enqueue(
            [
                ("original", artifact, e.tenant, message_of(e.stream), e.id, keys[artifact])
                for artifact, e in found.items()
                if artifact in keys
            ],
            read_to=events[-1].position if events else 0,
        )
        return len(events)

    def _enqueue(self, wanted: Sequence[tuple[Any, ...]], read_to: int = 0) -> None:
        now = time_text(self.ledger.clock())
        sql = (
            "INSERT INTO timestamps (kind, subject, tenant, stream, event_id, key_id, requested_at, retry_at, tries, gen_time, position) "
            "VALUES (?,?,?,?,?,?,?,?,0,'',0) ON CONFLICT DO NOTHING"
        )
        with self.ledger.database.writing() as cursor:
            cursor.executemany(sql, [(*each, now, now) for each in wanted])
            if read_to:
                self.ledger.track(cursor, _CURSOR, read_to)

    async def run_due(self) -> int:
        """Ask for every token that is due; the first sign that the authority is down ends the turn.

        Returns:
            How many were finished.
        """
        finished = 0
        for row in await asyncio.to_thread(self._due):
            try:
                stamped = row.gen_time or await self._ask(row)
                await asyncio.to_thread(self._finish, row, stamped)
                finished += 1
            except (ErasedError, NotFoundError):
                await asyncio.to_thread(self._drop, row)
            except (LedgerError, OSError) as error:  # one bad item hurts only itself
                await asyncio.to_thread(self._postpone, row, error)
                if isinstance(error, AuthorityError) and error.is_down:
                    break
        return finished

    def _due(self) -> list[_Waiting]:
        sql = f"SELECT {_COLUMNS} FROM timestamps WHERE position = 0 AND retry_at <= ? ORDER BY retry_at, kind, subject LIMIT {BATCH}"
        rows = self.ledger.database.read(sql, (time_text(self.ledger.clock()),))
        return [_Waiting(*row)._replace(key_id=bytes(row[5])) for row in rows]

    def _digest(self, row: _Waiting) -> bytes:
        if row.kind == "checkpoint":
            return bytes.fromhex(row.subject.partition("/")[2])
        return hashlib.sha256(self.ledger.artifact(row.subject).body).digest()

    async def _ask(self, row: _Waiting) -> str:
        """Get a token and keep it before anything else happens; returns the time it states."""
        if self.authority is None:
            msg = "no time-stamp authority is configured"
            raise AuthorityError(msg, is_down=True)
        digest = await asyncio.to_thread(self._digest, row)
        token = await self.authority.request(digest)
        stamped = time_text(check(token, digest, self.authority.roots))
        return await asyncio.to_thread(self._keep, row, token, stamped)

    def _keep(self, row: _Waiting, token: bytes, stamped: str) -> str:
        """Keep the first token that comes; returns the time that the kept one states."""
        kept = seal(self._key(row.key_id), token, row.subject.encode()) if row.key_id else token
        this = "WHERE kind = ? AND subject = ?"
        with self.ledger.database.writing() as cursor:
            sql = f"UPDATE timestamps SET token = ?, gen_time = ?, tries = tries + 1 {this} AND gen_time = ''"
            cursor.execute(sql, (kept, stamped, row.kind, row.subject))
            return str(cursor.read(f"SELECT gen_time FROM timestamps {this}", (row.kind, row.subject))[0][0])

    def _finish(self, row: _Waiting, stamped: str) -> None:
        """Write the event, once, and say where it stands."""
        waited = parse_time(stamped) - parse_time(row.requested_at)
        clear: dict[str, Any] = {
            "occurred_at": stamped,
            "zone": "stated",
            "numbers": {"waited_s": max(0, int(waited.total_seconds())), "tries": row.tries + (not row.gen_time)},
        }
        if row.kind == "checkpoint":
            clear["tree_size"] = int(row.subject.partition("/")[0])
        else:
            clear["events"] = [row.event_id]
        key = self.ledger.keyring.duplicate(None, row.tenant, "", "timestamp", row.kind, row.subject)
        draft = self.ledger.draft("evidence.timestamped", row.tenant, row.stream, clear)
        try:
            position = self.ledger.append(Item([draft], duplicates=[(0, key)])).positions[0]
        except DuplicateError:
            position = self.ledger.known([key])[key]
        self._change(row, "position = ?", position)

    def _postpone(self, row: _Waiting, error: Exception) -> None:
        wait = timedelta(seconds=min(FIRST_RETRY_S * 2 ** min(row.tries, 20), LONGEST_RETRY_S))
        LOG.warning("%s; trying again in %d s", error, wait.total_seconds())
        self._change(row, "tries = tries + 1, retry_at = ?", time_text(self.ledger.clock() + wait))

    def _drop(self, row: _Waiting) -> None:
        """The original was erased before its token came."""
        with self.ledger.database.writing() as cursor:
            cursor.execute("DELETE FROM timestamps WHERE kind = ? AND subject = ?", (row.kind, row.subject))

    def _change(self, row: _Waiting, what: str, *values: object) -> None:
        sql = f"UPDATE timestamps SET {what} WHERE kind = ? AND subject = ?"
        with self.ledger.database.writing() as cursor:
            cursor.execute(sql, (*values, row.kind, row.subject))


def _is_own_token(event: Event) -> bool:
    """A checkpoint's token is an event, and would ask for a checkpoint of its own for ever."""
    return event.type == "evidence.timestamped" and event.stream == OWN_STREAM


def _has_signed_original(event: Event) -> bool:
    return event.fields.get("provider") in SIGNED_ORIGINALS and bool(event.fields.get("artifacts"))


def turn(ledger: Ledger, url: str, roots: Sequence[x509.Certificate], head: SignedHead | None = None) -> int:
    """One turn of the queue: what is new is queued, what is due is asked for. Blocks; to be called outside an event loop.

    Args:
        head: a signed head that is due by the schedule.

    Returns:
        How many tokens came.
    """

    async def run() -> int:
        async with aiohttp.ClientSession(connector=reaching.connector()) as session:
            stamps = Timestamps(ledger, Authority(url, session, roots))
            if head is not None:
                stamps.want_checkpoint(head)
            while stamps.collect() == PAGE:
                pass
            return await stamps.run_due()

    return asyncio.run(run())
