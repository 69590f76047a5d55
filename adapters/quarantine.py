"""Webhooks that failed verification: kept for a while beside the log, bounded, never in it.

When a key is added they are verified again; what is good then is admitted with the time it came. Refusals are counted by the hour in
one event per account (`webhook.received`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from adapters.accounts import Accounts
from adapters.receiving import read, verified
from ledger.application import Ledger
from ledger.commitments import from_text, to_text
from ledger.decision import Outcome
from ledger.events import parse_time, time_text
from ledger.intake import Intake
from ledger.observations import Arrival, ArrivalKind, Verdict
from ledger.sealing import KEY_BYTES, seal_artifact, unseal_artifact

MAX_BYTES = 32 * 1024 * 1024
MAX_DAYS = 14
MAX_BODY_BYTES = 1024 * 1024
"""Per account: all bodies together, how long one stays since it was kept, and the largest that is kept at all."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A webhook that failed verification; `received_at` is when it was kept, for a recording not when it first came."""

    quarantine_id: str
    account: str
    received_at: str
    body_bytes: int
    why: str


class Quarantine:
    """The quarantine of one ledger."""

    def __init__(self, ledger: Ledger, accounts: Accounts, intake: Intake) -> None:
        self.ledger = ledger
        self.accounts = accounts
        self.intake = intake
        self._counts: dict[tuple[str, str, str], int] = {}

    def keep(self, tenant: str, arrival: Arrival, why: str) -> bool:
        """Keep a refused webhook, dropping the oldest beyond the bounds, and count it.

        Returns:
            False when the same one, come at the same time, is kept already: a recording that is imported again.
        """
        plain = json.dumps(_plain(arrival)).encode()
        quarantine_id = self._id(tenant, arrival, plain)
        if self.ledger.database.read("SELECT 1 FROM quarantine WHERE quarantine_id = ?", (quarantine_id,)):
            return False
        now = self.ledger.clock()
        counted = (tenant, arrival.account, time_text(now)[:13])
        self._counts[counted] = self._counts.get(counted, 0) + 1
        if len(arrival.body) > MAX_BODY_BYTES:
            return True
        key_id, key = self.ledger.random(16), self.ledger.random(KEY_BYTES)
        row = (quarantine_id, tenant, arrival.account, time_text(now), len(arrival.body), why[:200])
        sealed = (key_id, self.ledger.keyring.wrap(key_id, key), seal_artifact(key, plain, key_id))
        with self.ledger.database.writing() as cursor:
            cursor.execute("INSERT INTO quarantine VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", (*row, *sealed))
            cursor.execute(
                "DELETE FROM quarantine WHERE tenant = ? AND account = ? AND received_at < ?",
                (tenant, arrival.account, self._oldest(now)),
            )
            sql = "SELECT quarantine_id, body_bytes FROM quarantine WHERE tenant = ? AND account = ? ORDER BY quarantine_id DESC"
            total = 0
            for other_id, body_bytes in cursor.read(sql, (tenant, arrival.account)):
                total += body_bytes
                if total > MAX_BYTES:
                    cursor.execute("DELETE FROM quarantine WHERE quarantine_id = ?", (other_id,))
        return True

    def _id(self, tenant: str, arrival: Arrival, plain: bytes) -> str:
        """An id that sorts by the time it came and is the same for the same arrival; it tells nothing of what it says."""
        came_ms = max(0, int(arrival.observed_at.timestamp() * 1000))
        digest = hashlib.sha256(plain).hexdigest()
        key = self.ledger.keyring.duplicate(None, tenant, arrival.account, "quarantine", digest)
        return str(UUID(f"{came_ms:012x}{key[-10:].hex()}"))

    @staticmethod
    def _oldest(now: datetime) -> str:
        return time_text(now - timedelta(days=MAX_DAYS))

    def list(self, tenant: str, account: str = "") -> list[Quarantined]:
        """What is kept, newest first."""
        sql = (
            "SELECT quarantine_id, account, received_at, body_bytes, why FROM quarantine WHERE tenant = ? "
            "AND (account = ? OR ? = '') ORDER BY quarantine_id DESC"
        )
        return [Quarantined(*row) for row in self.ledger.database.read(sql, (tenant, account, account))]

    def kept(self, tenant: str) -> Iterator[tuple[str, Arrival]]:
        """What is kept, each with its id; by and by."""
        columns = "quarantine_id, key_id, wrapped, sealed"
        sql = f"SELECT {columns} FROM quarantine WHERE tenant = ? AND quarantine_id > ? ORDER BY quarantine_id LIMIT 10"
        after = ""
        while rows := self.ledger.database.read(sql, (tenant, after)):
            for after, *row in rows:
                yield str(after), self._opened(*row)

    def drop(self, tenant: str, quarantine_ids: Sequence[str]) -> None:
        """Delete some of what is kept."""
        rows = [(tenant, each) for each in quarantine_ids]
        with self.ledger.database.writing() as cursor:
            cursor.executemany("DELETE FROM quarantine WHERE tenant = ? AND quarantine_id = ?", rows)

    def _opened(self, key_id: bytes, wrapped: bytes, sealed: bytes) -> Arrival:
        key = self.ledger.keyring.unwrap(bytes(key_id), bytes(wrapped))
        return _arrival(json.loads(unseal_artifact(key, bytes(sealed), bytes(key_id))))

    def flush_counts(self, *, everything: bool = False) -> int:
        """Append one event per account and finished hour with the number of refused webhooks; drop what is too old.

        Args:
            everything: also the hour that is not over yet (when stopping).

        Returns:
            Events appended.
        """
        current = time_text(self.ledger.clock())[:13]
        due = [key for key in self._counts if everything or key[2] < current]
        for tenant, account, hour in due:
            count = self._counts.pop((tenant, account, hour))
            clear: dict[str, Any] = {
                "numbers": {"refused": count},
                "occurred_at": f"{hour}:00:00.000000Z",
                "zone": "stated",
            }
            self.accounts.record("webhook.received", tenant, account, "", clear)
        with self.ledger.database.writing() as cursor:
            cursor.execute("DELETE FROM quarantine WHERE received_at < ?", (self._oldest(self.ledger.clock()),))
        return len(due)

    def verify_again(self, tenant: str, account: str, now: datetime) -> Sequence[Outcome]:
        """Verify what is kept against today's keys, as of the time it came; admit what is good."""
        sql = "SELECT quarantine_id, key_id, wrapped, sealed FROM quarantine WHERE tenant = ? AND account = ? ORDER BY quarantine_id"
        keys = self.accounts.secrets(tenant, account)
        outcomes = []
        for quarantine_id, key_id, wrapped, sealed in self.ledger.database.read(sql, (tenant, account)):
            kept = self._opened(key_id, wrapped, sealed)
            arrival, checked = verified(kept, keys, kept.observed_at)
            if checked.verdict is not Verdict.VERIFIED:
                continue
            outcome = self.intake.admit([read(tenant, arrival)])[0]
            if isinstance(outcome, Exception):
                raise outcome
            outcomes.append(outcome)
            waited = {"numbers": {"waited_s": int((now - kept.observed_at).total_seconds())}, "key_id": checked.key_id}
            self.accounts.record(
                "webhook.admitted",
                tenant,
                account,
                "",
                {**waited, "events": outcome.facts} if outcome.facts else waited,
            )
            with self.ledger.database.writing() as cursor:
                cursor.execute("DELETE FROM quarantine WHERE quarantine_id = ?", (quarantine_id,))
        return outcomes


def _plain(arrival: Arrival) -> dict[str, Any]:
    return {
        "provider": arrival.provider,
        "account": arrival.account,
        "operation": arrival.operation,
        "kind": str(arrival.kind),
        "observed_at": time_text(arrival.observed_at),
        "headers": dict(arrival.headers),
        "name": arrival.name,
        "body": to_text(arrival.body),
    }


def _arrival(plain: dict[str, Any]) -> Arrival:
    return Arrival(
        provider=plain["provider"],
        account=plain["account"],
        operation=plain["operation"],
        kind=ArrivalKind(plain["kind"]),
        observed_at=parse_time(plain["observed_at"]),
        headers=plain["headers"],
        name=plain["name"],
        body=from_text(plain["body"]),
    )
