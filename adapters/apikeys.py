"""API keys of people and systems: made, listed, rotated, ended, and recognised when they are presented.

A key is 256 random bits behind an id that may be shown; kept are the id and a digest. That digest needs no salt and no slow hash: nobody
guesses 256 bits. Every act on a key is an event in the stream of the organisation's pseudo-account `api-keys`, in the clear with the
key's id, its scopes and its end; label and note are sealed beside it. When a key was last used lies beside the log and is written at
most once a minute.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from uuid_utils import uuid7

from adapters.accounts import CONSOLE, Accounts
from adapters.strictjson import refuse
from ledger.commitments import from_text, to_text
from ledger.errors import IdempotencyError, NotFoundError
from ledger.events import Event, time_text
from ledger.sealing import KEY_BYTES

SCOPES: Mapping[str, str] = {
    "ingest": "hand in arrivals and registrations, and have things sent",
    "read": "look up messages and search",
    "evidence": "open originals and take evidence packs",
    "compliance": "ask compliance queries, make reports, place holds, set retention",
    "privacy": "erase people and apply retention: the privacy officer",
    "protected": "see recipients whose identity is protected",
    "operator": "manage accounts, API keys, jobs and what waits for a person",
    "auditor": "read all that read, evidence and compliance can read, and change nothing; for 90 days at most",
}
"""What an API key may do."""

AUDITED = ("read", "evidence", "compliance")
"""What an auditor may read."""

WITH_AUDITOR = frozenset({"auditor", "protected"})
"""What an auditor's key may have: nothing that changes anything."""

VALID = timedelta(days=365)
AUDITOR_VALID = timedelta(days=90)
ACCOUNT = "api-keys"
"""The actor of what is typed where the ledger is: whoever gets there could read its key files, so nothing is withheld from him."""

_ID = re.compile(r"key_[0-9a-f]{20}")
_NO_DIGEST = bytes(32)
_COLUMNS = "k.api_key_id, tenant, scopes, label, created_at, expires_at, revoked_at, coalesce(last_used_at, '')"
_FROM = "api_keys AS k LEFT JOIN api_key_uses AS u ON u.api_key_id = k.api_key_id"


Once = tuple[str, str]
"""Name that a caller gave a request, and the digest of what it asks for; "": a request without a name."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it may be listed; the key itself was shown once.

    Attributes:
        last_used_at: to the minute; "" when it never was.
    """

    api_key_id: str
    tenant: str
    scopes: tuple[str, ...]
    label: str
    created_at: str
    expires_at: str
    revoked_at: str
    last_used_at: str = ""

    def is_good(self, now: str) -> bool:
        return not self.revoked_at and (not self.expires_at or self.expires_at > now)


class ApiKeys:
    """The API keys of one ledger.

    Attributes:
        revision: grows with every key that this process ends, so that what was remembered of keys is forgotten at once; another process
            forgets after `key_cache_s`.

    Guarded by the lock: when keys were last used and what of it is written.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._ledger = accounts.ledger
        self._lock = threading.Lock()
        self._used: dict[str, str] = {}
        self._written: dict[str, str] = {}
        self.revision = 0

    # --- acts

    def create(
        self,
        tenant: str,
        scopes: Sequence[str],
        label: str = "",
        expires_at: datetime | None = None,
        *,
        note: str = "",
        actor: str = CONSOLE,
        held: Sequence[str] | None = None,
        replaces: str = "",
        once: Once = ("", ""),
    ) -> tuple[ApiKey, str]:
        """Make an API key; its event comes first.

        Args:
            expires_at: absent: in 365 days, an auditor's in 90.
            replaces: id of the key whose place it takes: both are one person's.
            held: the scopes of whoever grants; only those can be granted. None: at the console, all.
            once: asked again with the same name, it is the key of the first time.

        Returns:
            Its record, and the key itself, which is shown this once: "" when it was made before.

        Raises:
            InvalidError: no such scope, or one that may not be granted so; an auditor's key that could write, or for more than 90 days.
            IdempotencyError: the name was used for another request.
        """
        now = self._ledger.clock()
        granted = _checked(scopes, held)
        most = AUDITOR_VALID if "auditor" in granted else None
        until = expires_at or now + (most or VALID)
        if most and until > now + most:
            refuse("days", f"a key with the scope auditor ends within {most.days} days")
        key = ApiKey(f"key_{uuid7().hex[-20:]}", tenant, granted, label, time_text(now), time_text(until), "")
        said = {"request": once[1]} if once[1] else {}
        same = ("once", actor, once[0]) if once[0] else ()
        position = self._record("access.granted", key, "access.created", (actor, note), same, code=replaces, said=said)
        key = self._granted(key, self._ledger.event(position), once)
        secret = self._put(key)
        return (key if secret else self.get(tenant, key.api_key_id)), secret

    def _granted(self, key: ApiKey, event: Event, once: Once) -> ApiKey:
        """The key that an event granted: this one, or that of an earlier, equal request, which may have died before it was kept."""
        if event.fields["key_id"] == key.api_key_id:
            return key
        if self._ledger.values([event]).get(event.position, {}).get("request") != once[1]:
            raise IdempotencyError
        ends = datetime.fromtimestamp(event.fields["numbers"]["ends_unix_s"], UTC)
        return replace(
            key,
            api_key_id=event.fields["key_id"],
            created_at=event.fields["recorded_at"],
            expires_at=time_text(ends),
        )

    def rotate(
        self,
        tenant: str,
        api_key_id: str,
        overlap: timedelta,
        *,
        note: str = "",
        actor: str = CONSOLE,
        held: Sequence[str] | None = None,
        once: Once = ("", ""),
    ) -> tuple[ApiKey, str]:
        """Make a key with the same scopes and label, valid as long as the old one was made for; the old one ends after the overlap.

        Args:
            once: as when a key is made.

        Returns:
            The new key's record, and the key itself, which is shown this once: "" when it was made before.

        Raises:
            NotFoundError: the tenant has no such key.
            InvalidError: the key has ended already, or it has a scope that may not be granted so.
            IdempotencyError: the name was used for another request.
        """
        old, now = self.get(tenant, api_key_id), self._ledger.clock()
        if not old.is_good(time_text(now)):
            refuse("key", f"{api_key_id} has ended; make a new one")
        span = _time(old.expires_at) - _time(old.created_at) if old.expires_at else None
        new, secret = self.create(
            tenant,
            old.scopes,
            old.label,
            now + span if span else None,
            note=note,
            actor=actor,
            held=held,
            replaces=old.api_key_id,
            once=once,
        )
        ends = time_text(now + overlap)
        if not old.expires_at or ends < old.expires_at:
            self._end(old, "expires_at", ends)
            self._record("access.revoked", _ending(old, ends), "access.rotated", (actor, note), (old.api_key_id, ends))
        return new, secret

    def revoke(self, tenant: str, api_key_id: str, *, note: str = "", actor: str = CONSOLE) -> ApiKey:
        """End an API key at once; one that was revoked stays as it is.

        It ends before its event is written, so that it ends even where nothing can be appended; asked again, what is missing is written.

        Raises:
            NotFoundError: the tenant has no such key.
        """
        old = self.get(tenant, api_key_id)
        ended = old.revoked_at or time_text(self._ledger.clock())
        if not old.revoked_at:
            self._end(old, "revoked_at", ended)
        self._record("access.revoked", _ending(old, ended), "access.ended", (actor, note), (old.api_key_id, "revoked"))
        return self.get(tenant, api_key_id)

    # --- looking up

    def list(self, tenant: str) -> list[ApiKey]:
        sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE tenant = ? ORDER BY created_at, k.api_key_id"
        return [_api_key(row) for row in self._ledger.database.read(sql, (tenant,))]

    def get(self, tenant: str, api_key_id: str) -> ApiKey:
        """One key.

        Raises:
            NotFoundError: the tenant has no such key.
        """
        sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE tenant = ? AND k.api_key_id = ?"
        for row in self._ledger.database.read(sql, (tenant, api_key_id)):
            return _api_key(row)
        msg = f"there is no API key {api_key_id}"
        raise NotFoundError(msg)

    def authenticate(self, presented: str) -> ApiKey | None:
        """The API key behind `key_id.secret`, or None; the same work in constant time whether the id is known or not."""
        claimed, _, secret = presented.partition(".")
        api_key_id = claimed if _ID.fullmatch(claimed) else ""
        sql = f"SELECT {_COLUMNS}, digest FROM {_FROM} WHERE k.api_key_id = ?"
        rows = self._ledger.database.read(sql, (api_key_id,))
        is_right = hmac.compare_digest(_digest(secret), bytes(rows[0][-1]) if rows else _NO_DIGEST)
        if not rows or not is_right:
            return None
        key, now = _api_key(rows[0][:-1]), time_text(self._ledger.clock())
        if not key.is_good(now):
            return None
        with self._lock:
            self._used[key.api_key_id] = f"{now[:16]}:00.000000Z"
        return key

    def flush(self) -> int:
        """Write when keys were last used, each at most once a minute.

        Returns:
            Keys written.
        """
        with self._lock:
            due = {key: at for key, at in self._used.items() if self._written.get(key) != at}
            self._used.clear()
        if due:
            sql = (
                "INSERT INTO api_key_uses VALUES (?,?) ON CONFLICT (api_key_id) "
                "DO UPDATE SET last_used_at = excluded.last_used_at WHERE api_key_uses.last_used_at < excluded.last_used_at"
            )
            with self._ledger.database.writing() as cursor:
                cursor.executemany(sql, sorted(due.items()))
            with self._lock:
                self._written = {key: at for key, at in self._written.items() if at >= max(due.values())} | due
        return len(due)

    # --- rows and events

    def _put(self, key: ApiKey) -> str:
        secret = self._ledger.random(KEY_BYTES)
        row = (key.api_key_id, key.tenant, hashlib.sha256(secret).digest(), " ".join(key.scopes), key.label)
        with self._ledger.database.writing() as cursor:
            sql = "INSERT INTO api_keys VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING RETURNING api_key_id"
            is_new = cursor.read(sql, (*row, key.created_at, key.expires_at, ""))
        return f"{key.api_key_id}.{to_text(secret)}" if is_new else ""

    def _end(self, key: ApiKey, column: str, at: str) -> None:
        with self._ledger.database.writing() as cursor:
            cursor.execute(f"UPDATE api_keys SET {column} = ? WHERE api_key_id = ?", (at, key.api_key_id))
        self.revision += 1

    def _record(
        self,
        kind: str,
        key: ApiKey,
        rule: str,
        by: tuple[str, str],
        once: Sequence[str] = (),
        *,
        code: str = "",
        said: Mapping[str, str] | None = None,
    ) -> int:
        actor, note = by
        ends = {"ends_unix_s": int(_time(key.expires_at).timestamp())}
        clear = {"key_id": key.api_key_id, "notes": list(key.scopes), "numbers": ends, "rule": rule}
        clear |= {"code": code} if code else {}
        told = {**(said or {}), **({"label": key.label} if key.label else {})}
        same = (kind, *once) if once else ()
        return self._accounts.record(kind, key.tenant, ACCOUNT, actor, clear, note, told, same)


def _checked(scopes: Sequence[str], held: Sequence[str] | None) -> tuple[str, ...]:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        refuse("scopes", f"{'unknown scope' if unknown else 'no scope'}; there are {', '.join(SCOPES)}")
    missing = [scope for scope in scopes if held is not None and scope not in held]
    if missing:
        refuse("scopes", f"nobody grants what he does not hold: {', '.join(missing)}; it can be granted at the console")
    if "auditor" in scopes and set(scopes) - WITH_AUDITOR:
        refuse("scopes", "an auditor changes nothing: beside auditor, a key may have the scope protected only")
    return tuple(dict.fromkeys(scopes))


def _ending(key: ApiKey, ends: str) -> ApiKey:
    return ApiKey(key.api_key_id, key.tenant, key.scopes, key.label, key.created_at, ends, key.revoked_at)


def _api_key(row: Sequence[object]) -> ApiKey:
    key_id, tenant, scopes, label, created, expires, revoked, used = (str(v) for v in row)
    return ApiKey(key_id, tenant, tuple(scopes.split()), label, created, expires, revoked, used)


def _digest(secret: str) -> bytes:
    try:
        return hashlib.sha256(from_text(secret)).digest()
    except ValueError:
        return hashlib.sha256(b"").digest()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
