"""What is set for calls through an account, as it is kept: sealed, because it may name a mailbox or a sender.

In the clear stands only the region of national telephone numbers, which is asked for with every arrival (`ledger.regions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ledger.application import Ledger
from ledger.events import time_text
from ledger.sealing import KEY_BYTES, seal, unseal

REGION = "region"
"""Name of the one setting that every account has, whatever its provider."""


def read(ledger: Ledger, tenant: str, account: str) -> dict[str, Any]:
    """The settings of an account; none when nothing was set.

    Raises:
        CorruptError: they were altered.
        ConfigurationError: their key-encryption key is not in the keyring.
    """
    sql = "SELECT key_id, wrapped, sealed FROM account_setup WHERE tenant = ? AND account = ?"
    for key_id, wrapped, sealed in ledger.database.read(sql, (tenant, account)):
        key = ledger.keyring.unwrap(bytes(key_id), bytes(wrapped))
        return msgspec.json.decode(unseal(key, bytes(sealed), bytes(key_id)), type=dict[str, Any])
    return {}


def keep(ledger: Ledger, tenant: str, account: str, settings: Mapping[str, Any]) -> None:
    """Keep the settings of an account in the place of those before."""
    row = _sealed(ledger, settings, time_text(ledger.clock()))
    sql = (
        "INSERT INTO account_setup VALUES (?,?,?,?,?,?,?) ON CONFLICT (tenant, account) DO UPDATE SET region = excluded.region, "
        "key_id = excluded.key_id, wrapped = excluded.wrapped, sealed = excluded.sealed, changed_at = excluded.changed_at"
    )
    with ledger.database.writing() as cursor:
        cursor.execute(sql, (tenant, account, *row))


def seal_earlier(ledger: Ledger) -> int:
    """Seal what an earlier version kept in the clear, and remove that; returns how many accounts there were.

    Each in a transaction of its own: whatever breaks it off, no settings are lost, and the next start goes on.
    """
    rows = ledger.database.read("SELECT tenant, account, settings, changed_at FROM account_settings")
    for tenant, account, text, changed_at in rows:
        row = _sealed(ledger, msgspec.json.decode(text, type=dict[str, Any]), changed_at)
        with ledger.database.writing() as cursor:
            sql = "INSERT INTO account_setup VALUES (?,?,?,?,?,?,?) ON CONFLICT (tenant, account) DO NOTHING"
            cursor.execute(sql, (tenant, account, *row))
            cursor.execute("DELETE FROM account_settings WHERE tenant = ? AND account = ?", (tenant, account))
    return len(rows)


def _sealed(ledger: Ledger, settings: Mapping[str, Any], changed_at: str) -> tuple[Any, ...]:
    """Region, key id, wrapped key, sealed settings, time."""
    key_id, key = ledger.random(16), ledger.random(KEY_BYTES)
    sealed = seal(key, msgspec.json.encode(settings), key_id)
    return str(settings.get(REGION, "")), key_id, ledger.keyring.wrap(key_id, key), sealed, changed_at
