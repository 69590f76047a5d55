"""Accounts of tenants at providers: webhook secrets, settings and credentials.

These may change, so they lie beside the log; each act is also an event in the account's stream. Webhook secrets and credentials are
sealed under a key that is wrapped by the key-encryption key; they leave this module only for a signature check or a call. What an
account's settings are is said by its provider's `Client`, and checked in `adapters.configuring`; `adapters.setup` keeps them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters import configuring, setup, vocabulary
from adapters.configuring import AccountSettings, Change
from adapters.providers import registry
from adapters.providers.calling import Access
from adapters.providers.contract import Provider
from adapters.strictjson import InvalidError
from ledger.appender import Item
from ledger.application import OWN_TENANT, Ledger
from ledger.database import Row
from ledger.errors import ConfigurationError, ConflictError, NotFoundError
from ledger.events import CLEAR, time_text
from ledger.sealing import KEY_BYTES, OWN_KEY, seal, unseal

CONSOLE = "console"
"""Stands for whoever acts at the command line, who has no key; also the account in whose stream their looking is recorded."""


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant's account at a provider."""

    tenant: str
    account: str
    provider: str
    is_disabled: bool
    opened_at: str


class Accounts:
    """The accounts of one ledger.

    Args:
        user: name that the operating system has for whoever types at the command line; sealed with what is done there.
    """

    def __init__(self, ledger: Ledger, user: str = "") -> None:
        self.ledger = ledger
        self.user = user
        self._configuring = threading.Lock()  # the last event says what is in force

    # --- accounts

    def list(self, tenant: str) -> list[Account]:
        sql = "SELECT tenant, account, provider, is_disabled, opened_at FROM accounts WHERE tenant = ? ORDER BY account"
        return [Account(t, a, p, bool(d), o) for t, a, p, d, o in self.ledger.database.read(sql, (tenant,))]

    def get(self, tenant: str, account: str) -> Account:
        """One account.

        Raises:
            NotFoundError: there is none of that name.
        """
        for each in self.list(tenant):
            if each.account == account:
                return each
        msg = f"tenant {tenant} has no account {account!r}; add it with: delivery-ledger accounts add {account} --provider NAME"
        raise NotFoundError(msg)

    def add(self, tenant: str, account: str, provider: str, actor: str = CONSOLE) -> Account:
        """Open an account; opening it again changes nothing.

        Raises:
            ConfigurationError: a name that may not stand in events, an unknown provider, or another provider under that name.
        """
        if provider not in registry():
            msg = f"unknown provider {provider!r}; there are {', '.join(registry())}"
            raise ConfigurationError(msg)
        for what, name in (("tenant", tenant), ("account", account)):
            if not CLEAR[what](name):
                msg = f"{what} {name!r}: use lower-case letters, digits, '_', '-' and '.', at most 63; it stands in the clear in events"
                raise ConfigurationError(msg)
        if tenant == OWN_TENANT:
            msg = f"{tenant!r} is the ledger itself, whose events everybody sees; name the organisation otherwise"
            raise ConfigurationError(msg)
        for each in self.list(tenant):
            if each.account == account:
                if each.provider != provider:
                    msg = f"account {account!r} exists and is at {each.provider}"
                    raise ConfigurationError(msg)
                return each
        opened_at = time_text(self.ledger.clock())
        with self.ledger.database.writing() as cursor:
            sql = "INSERT INTO accounts VALUES (?,?,?,0,?) ON CONFLICT DO NOTHING"
            cursor.execute(sql, (tenant, account, provider, opened_at))
        self.record("account.added", tenant, account, actor, {"provider": provider})
        return self.get(tenant, account)

    def disable(self, tenant: str, account: str, note: str, actor: str = CONSOLE) -> Account:
        """Close an account: its webhooks are refused from now on; what it delivered stays."""
        self.get(tenant, account)
        with self.ledger.database.writing() as cursor:
            cursor.execute("UPDATE accounts SET is_disabled = 1 WHERE tenant = ? AND account = ?", (tenant, account))
        self.record("account.disabled", tenant, account, actor, {}, note)
        return self.get(tenant, account)

    def record(  # noqa: PLR0917  the order is that of a sentence: what, whose, where, who
        self,
        kind: str,
        tenant: str,
        account: str,
        actor: str,
        clear: Mapping[str, object],
        note: str = "",
        said: Mapping[str, object] | None = None,
        once: Sequence[str] = (),
    ) -> int:
        """Append an act on an account to its stream of today.

        Args:
            clear: what stands in the clear.
            said: path -> value, committed; `note` is one more of them.
            once: what makes it the same as an earlier one of this account, which is then not written again.

        Returns:
            The position of the event.
        """
        keys = [self.ledger.keyring.duplicate(None, tenant, account, *once)] if once else []
        for position in self.ledger.known(keys).values():
            return position
        stream = f"account/{tenant}/{account}/{self.ledger.clock().date().isoformat()}"
        fields = {"account": account, **clear} | ({"actor": actor} if actor else {})
        item = Item([], duplicates=[(0, key) for key in keys])
        values = []
        committed = {**(said or {}), **({"note": note} if note else {})}
        committed |= {"user": self.user} if actor == CONSOLE and self.user else {}
        if committed:
            row, key = self.ledger.new_key(stream, OWN_KEY)
            item.keys.append(row)
            values.append((key, committed))
        item.drafts.append(self.ledger.draft(kind, tenant, stream, fields, values))
        try:
            return self.ledger.append(item).positions[0]
        except ConflictError:
            for position in self.ledger.known(keys).values():  # somebody else did the same at the same time
                return position
            raise

    # --- webhook secrets

    def add_secret(self, tenant: str, account: str, name: str, secret: bytes, actor: str = CONSOLE) -> None:
        """Keep a webhook secret under its key id; several may be valid at once (rotation).

        Args:
            name: the provider's key id, or any name where the provider has none.
        """
        self.get(tenant, account)
        if not CLEAR["key_id"](name):
            msg = f"key id {name!r}: letters, digits and '_.:-' only, at most 63"
            raise ConfigurationError(msg)
        self._put_sealed("account_secrets", tenant, account, name, secret)
        self.record("account.key_added", tenant, account, actor, {"key_id": name})

    def retire_secret(self, tenant: str, account: str, name: str, actor: str = CONSOLE) -> None:
        """Destroy a webhook secret; what it verified stays verified.

        Raises:
            NotFoundError: there is none of that name.
        """
        if name not in self.secrets(tenant, account):
            msg = f"account {account!r} has no webhook key {name!r}"
            raise NotFoundError(msg)
        self._delete_sealed("account_secrets", tenant, account, name)
        self.record("account.key_retired", tenant, account, actor, {"key_id": name})

    def secrets(self, tenant: str, account: str) -> dict[str, bytes]:
        """Webhook secrets by key id."""
        return self._sealed("account_secrets", tenant, account)

    def receiving(self, tenant: str, account: str) -> tuple[Account, dict[str, bytes]] | None:
        """An account that is open and its webhook secrets by key id, by one statement; None when there is none."""
        sql = (
            "SELECT a.provider, a.opened_at, s.name, s.key_id, s.wrapped, s.sealed FROM accounts AS a "
            "LEFT JOIN account_secrets AS s ON s.tenant = a.tenant AND s.account = a.account "
            "WHERE a.tenant = ? AND a.account = ? AND a.is_disabled = 0 ORDER BY s.name"
        )
        rows = self.ledger.database.read(sql, (tenant, account))
        if not rows:
            return None
        provider, opened_at = rows[0][:2]
        secrets = self._opened(row[2:] for row in rows if row[2] is not None)
        return Account(tenant, account, provider, is_disabled=False, opened_at=opened_at), secrets

    def _put_sealed(self, table: str, tenant: str, account: str, name: str, secret: bytes) -> None:
        key_id, key = self.ledger.random(16), self.ledger.random(KEY_BYTES)
        row = (key_id, self.ledger.keyring.wrap(key_id, key), seal(key, secret, key_id), time_text(self.ledger.clock()))
        sql = (
            f"INSERT INTO {table} VALUES (?,?,?,?,?,?,?) ON CONFLICT (tenant, account, name) DO UPDATE SET "
            "key_id = excluded.key_id, wrapped = excluded.wrapped, sealed = excluded.sealed, added_at = excluded.added_at"
        )
        with self.ledger.database.writing() as cursor:
            cursor.execute(sql, (tenant, account, name, *row))

    def _delete_sealed(self, table: str, tenant: str, account: str, name: str) -> None:
        with self.ledger.database.writing() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE tenant = ? AND account = ? AND name = ?", (tenant, account, name)
            )

    def _sealed(self, table: str, tenant: str, account: str) -> dict[str, bytes]:
        sql = f"SELECT name, key_id, wrapped, sealed FROM {table} WHERE tenant = ? AND account = ? ORDER BY name"
        return self._opened(self.ledger.database.read(sql, (tenant, account)))

    def _opened(self, rows: Iterable[Row]) -> dict[str, bytes]:
        found = {}
        for name, key_id, wrapped, sealed in rows:
            key = self.ledger.keyring.unwrap(bytes(key_id), bytes(wrapped))
            found[str(name)] = unseal(key, bytes(sealed), bytes(key_id))
        return found

    # --- calling the provider: settings and credentials

    def access(self, tenant: str, account: str, now: datetime) -> Access:
        """What a call through this account may use, without a token.

        Raises:
            NotFoundError: there is no such account.
            ConfigurationError: it is closed, or its settings do not fit; names the setting and the repair.
        """
        found = self.get(tenant, account)
        if found.is_disabled:
            msg = f"account {account!r} is closed: nothing is called for it"
            raise ConfigurationError(msg)
        try:
            settings = configuring.convert(registry()[found.provider], setup.read(self.ledger, tenant, account))
        except InvalidError as error:
            msg = f"account {account!r}: {error}; set it with: delivery-ledger accounts configure {account} --set NAME=VALUE"
            raise ConfigurationError(msg) from error
        held = self._sealed("account_credentials", tenant, account)
        return Access(settings=settings, secrets={name: value.decode() for name, value in held.items()}, now=now)

    def settings(self, tenant: str, account: str) -> AccountSettings:
        """The settings of an account, and which credentials it has; never a credential itself."""
        found = self.get(tenant, account)
        sql = "SELECT name, added_at FROM account_credentials WHERE tenant = ? AND account = ?"
        held = {str(name): str(added_at) for name, added_at in self.ledger.database.read(sql, (tenant, account))}
        return configuring.view(registry()[found.provider], account, setup.read(self.ledger, tenant, account), held)

    def configure(
        self, tenant: str, account: str, values: Mapping[str, Any], actor: str = CONSOLE
    ) -> tuple[Change, ...]:
        """Give an account these settings and no others; the same again changes nothing.

        The event comes first: a setting that changed without one would be worse than an event whose change must be asked for again.

        Args:
            values: setting -> value as in JSON, or its text.

        Returns:
            What changed.

        Raises:
            InvalidError: names the setting that cannot be so.
        """
        found = self.get(tenant, account)
        settled = configuring.settled(registry()[found.provider], values)
        with self._configuring:
            changes = configuring.changes(setup.read(self.ledger, tenant, account), settled)
            if changes:
                said = {f"setting.{change.name}": configuring.told(change) for change in changes}
                self.record("account.setting_changed", tenant, account, actor, {"count": len(changes)}, said=said)
                setup.keep(self.ledger, tenant, account, settled)
        return changes

    def set_credentials(self, tenant: str, account: str, values: Mapping[str, str], actor: str = CONSOLE) -> None:
        """Keep credentials by name, in the place of those of the same name; they are never shown again.

        Raises:
            InvalidError: a name that the provider does not know, or no value; nothing is kept then.
        """
        provider = registry()[self.get(tenant, account).provider]
        for name, value in values.items():
            configuring.check_credential(provider, name, value)
        for name, value in values.items():
            self.record("account.key_added", tenant, account, actor, {"key_id": name})
            self._put_sealed("account_credentials", tenant, account, name, value.encode())

    def retire_credential(self, tenant: str, account: str, name: str, actor: str = CONSOLE) -> None:
        """Destroy a credential.

        Raises:
            NotFoundError: there is none of that name.
        """
        if not any(each.name == name and each.added_at for each in self.settings(tenant, account).credentials):
            msg = f"account {account!r} has no credential {name!r}"
            raise NotFoundError(msg)
        self._delete_sealed("account_credentials", tenant, account, name)
        self.record("account.key_retired", tenant, account, actor, {"key_id": name})


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What can be told about an account from here.

    Attributes:
        keys: ids of the webhook secrets in use.
        last: kind of arrival -> when the last one came.
        behind_ms: from the provider's time to our arrival, at the last webhook: transport plus the difference of
            the clocks; None without one.
        webhook_urls: operation -> URL to paste at the provider.
        advice: what is missing, in plain words.
    """

    account: str
    provider: str
    is_disabled: bool
    keys: tuple[str, ...]
    last: dict[str, str]
    behind_ms: int | None
    webhook_urls: dict[str, str]
    advice: tuple[str, ...]


def new_words(ledger: Ledger, tenant: str, provider: Provider) -> list[str]:
    """What to do about words of a provider that its tables did not have when they came, and do not have now."""
    unknown = vocabulary.unknown(ledger, tenant, provider)
    if not unknown:
        return []
    count = f"{len(unknown)} new word{'s' if len(unknown) > 1 else ''}"
    return [
        f"{count} of {provider.title}; when its tables have learned them: delivery-ledger reinterpret --provider {provider.name}"
    ]


def check(accounts: Accounts, tenant: str, account: str, public_url: str) -> AccountCheck:
    """Keys in use, when it was last heard of, the difference of the clocks, and the webhook URLs.

    Args:
        public_url: how the provider reaches this installation.
    """
    found = accounts.get(tenant, account)
    provider = registry()[found.provider]
    sql = "SELECT arrival, last_at, behind_ms FROM read_activity WHERE tenant = ? AND account = ? ORDER BY arrival"
    rows = accounts.ledger.database.read(sql, (tenant, account))
    names = tuple(accounts.secrets(tenant, account))
    base = f"{public_url.rstrip('/')}/v1/hooks/{tenant}/{account}"
    advice = new_words(accounts.ledger, tenant, provider)
    if provider.signed_operations and not names:
        advice.append(
            f"no webhook key: every webhook is refused; delivery-ledger accounts rotate {account} --key-id ID --secret-file FILE"
        )
    if found.is_disabled:
        advice.append("the account is closed: webhooks are answered 404")
    if not rows:
        advice.append("nothing has come for this account yet")
    return AccountCheck(
        account=account,
        provider=found.provider,
        is_disabled=found.is_disabled,
        keys=names,
        last={arrival: last_at for arrival, last_at, _ in rows},
        behind_ms=next((behind for arrival, _, behind in rows if arrival == "webhook"), None),
        webhook_urls={operation: f"{base}/{operation}" for operation in sorted(provider.signed_operations)},
        advice=tuple(advice),
    )
