"""Settings of accounts are sealed: what lies in the database tells nothing of them, and what an earlier version left there is sealed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import setup
from ledger.errors import ConfigurationError, CorruptError
from ledger.rewrapping import rewrap
from ops.system import System
from tests.adapters.conftest import TENANT, opened_system
from tests.postgres import Database

GIVEN = {"sender": "planted-sender", "folders": ["INBOX"], "page_rows": 25, "region": "SE"}


def rows(system: System, table: str) -> list[tuple[Any, ...]]:
    return system.ledger.database.read(f"SELECT * FROM {table}")


def earlier(system: System, account: str = "sms") -> None:
    """What the version before kept."""
    with system.ledger.database.writing() as cursor:
        settings = '{"sender":"planted-sender","folders":["INBOX"],"page_rows":25}'
        cursor.execute("INSERT INTO account_settings VALUES (?,?,?,?)", (TENANT, account, settings, "2026-03-01"))


def test_settings_are_sealed_and_read_back(system: System) -> None:
    """Only the region stands in the clear; another setting takes the place of those before."""
    setup.keep(system.ledger, TENANT, "sms", GIVEN)
    assert GIVEN == setup.read(system.ledger, TENANT, "sms")
    ((tenant, account, region, *sealed, _),) = rows(system, "account_setup")
    assert (TENANT, "sms", "SE") == (tenant, account, region)
    assert b"planted" not in b"".join(bytes(each) for each in sealed)
    setup.keep(system.ledger, TENANT, "sms", {})
    assert {} == setup.read(system.ledger, TENANT, "sms")
    assert {} == setup.read(system.ledger, TENANT, "other")


def test_settings_that_were_altered_are_not_read(system: System) -> None:
    """Nor are those of another account in their place."""
    setup.keep(system.ledger, TENANT, "sms", GIVEN)
    setup.keep(system.ledger, TENANT, "fax", {"sender": "other"})
    with system.ledger.database.writing() as cursor:
        cursor.execute("UPDATE account_setup SET sealed = (SELECT sealed FROM account_setup WHERE account = 'fax')")
    with pytest.raises(CorruptError):
        setup.read(system.ledger, TENANT, "sms")


def test_their_keys_are_wrapped_again(system: System) -> None:
    """So that an old key-encryption key can go."""
    setup.keep(system.ledger, TENANT, "sms", GIVEN)
    old = system.ledger.keyring
    new = replace(old, keks={**old.keks, "z-next": b"n" * 32}, kek_id="z-next")
    rewrap(system.ledger.database, new, lambda _done, _total: None)
    with pytest.raises(ConfigurationError, match="z-next"):
        setup.read(system.ledger, TENANT, "sms")
    system.ledger.keyring = replace(new, keks={"z-next": b"n" * 32})
    assert GIVEN == setup.read(system.ledger, TENANT, "sms")


def test_what_an_earlier_version_kept_is_sealed_at_the_next_start(database: Database, tmp_path: Path) -> None:
    """And stands in the clear no more; on SQLite not in the file either, once its journal is written back."""
    with opened_system(database, tmp_path) as system:
        system.accounts.add(TENANT, "sms", "kpn_sms")
        earlier(system)
    with opened_system(database, tmp_path) as system:
        assert [] == rows(system, "account_settings")
        assert "planted-sender" == setup.read(system.ledger, TENANT, "sms")["sender"]
        assert 0 == setup.seal_earlier(system.ledger)
    if database.kind == "sqlite":
        files = [each for each in tmp_path.rglob("*") if each.is_file() and each.suffix != ".key"]
        assert any(b"account_setup" in each.read_bytes() for each in files)
        assert not [each for each in files if b"planted" in each.read_bytes()]


def test_what_was_set_since_is_not_overwritten_by_what_an_earlier_version_kept(system: System) -> None:
    """Whoever breaks off in between goes on at the next start."""
    setup.keep(system.ledger, TENANT, "sms", GIVEN)
    earlier(system)
    assert 1 == setup.seal_earlier(system.ledger)
    assert GIVEN == setup.read(system.ledger, TENANT, "sms")
    assert [] == rows(system, "account_settings")
