"""One key-encryption key takes over from another: what is wrapped, who may, and what happens beside it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import rewrapping
from ledger.application import Ledger
from ledger.database import PRIVACY_ROLE, SERVICE_ROLE, connect
from ledger.errors import ConfigurationError
from ledger.rewrapping import TABLES, Rewrapped, rewrap, wrapped_by
from ledger.sealing import Keyring
from tests.ledger.kit import KEYRING, item, migrated, new_stream, opened
from tests.ledger.test_immutability import login, url_of
from tests.postgres import Database as Given

__all__ = ["login"]  # a fixture

NEXT = replace(KEYRING, keks={**KEYRING.keks, "k2": b"n" * 32}, kek_id="k2")
ALONE = replace(NEXT, keks={"k2": b"n" * 32})


def silent(_done: int, _total: int | None) -> None:
    """Nobody watches."""


@pytest.fixture
def ledger(database: Given, tmp_path: Path) -> Iterator[Ledger]:
    with opened(database, tmp_path) as found:
        yield found


def fill(ledger: Ledger, count: int) -> list[bytes]:
    """Keys of that many messages."""
    made = [ledger.new_key(new_stream(), 0) for _ in range(count)]
    ledger.append(item(ledger, keys=[row for row, _ in made]))
    return [key.key for _, key in made]


def held(ledger: Ledger, keyring: Any) -> set[bytes]:
    rows = ledger.database.read("SELECT key_id, wrapped FROM person_keys")
    return {keyring.unwrap(bytes(key_id), bytes(wrapped)) for key_id, wrapped in rows}


def test_every_table_with_wrapped_keys_is_known(database: Given) -> None:
    """A table that came later and was forgotten here would lose its keys with the old KEK."""
    with migrated(database) as found:
        sql = (
            "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'wrapped'"
            if found.kind == "sqlite"
            else "SELECT table_name FROM information_schema.columns WHERE column_name = 'wrapped' AND table_schema = 'public'"
        )
        assert set(TABLES) == {str(name) for (name,) in found.read(sql)}


def test_all_keys_are_wrapped_by_the_new_kek_and_are_the_same_keys(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a batch of them; afterwards the new KEK alone opens everything, and a second time there is nothing to do."""
    monkeypatch.setattr(rewrapping, "BATCH_ROWS", 3)
    keys, told = fill(ledger, 8), []
    assert {"person_keys": 8} == wrapped_by(ledger.database, "k1")
    assert Rewrapped(8, 0) == rewrap(ledger.database, NEXT, lambda done, total: told.append((done, total)))
    assert [(3, 8), (6, 8), (8, 8)] == told
    assert ({}, {"person_keys": 8}) == (wrapped_by(ledger.database, "k1"), wrapped_by(ledger.database, "k2"))
    assert set(keys) == held(ledger, ALONE)
    assert Rewrapped(0, 0) == rewrap(ledger.database, NEXT, silent)


def test_what_was_broken_off_is_gone_on_with(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch stands for itself; the next run does what is left."""
    monkeypatch.setattr(rewrapping, "BATCH_ROWS", 3)
    keys = fill(ledger, 8)

    def killed(done: int, _total: int | None) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrap(ledger.database, NEXT, killed)
    assert set(keys) == held(ledger, NEXT)
    assert Rewrapped(2, 0) == rewrap(ledger.database, NEXT, silent)
    assert set(keys) == held(ledger, ALONE)


def test_what_is_erased_between_reading_and_writing_stays_erased(ledger: Ledger) -> None:
    """A key that was destroyed meanwhile does not come back."""
    fill(ledger, 3)

    class Erasing(Keyring):
        """Each key is destroyed in the database when it has been read from there."""

        def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
            with ledger.database.writing() as cursor:
                cursor.execute("DELETE FROM person_keys WHERE key_id = ?", (key_id,))
            return super().unwrap(key_id, wrapped)

    rewrap(ledger.database, Erasing(NEXT.keks, NEXT.kek_id, NEXT.lookups, NEXT.duplicates), silent)
    assert [] == ledger.database.read("SELECT * FROM person_keys")


def test_erasure_that_waits_for_a_batch_erases_what_the_batch_wrote(
    empty_postgresql_database: Given, tmp_path: Path
) -> None:
    """A deletion that comes while the swap is not committed yet takes the new row, not only the old one."""
    with opened(empty_postgresql_database, tmp_path) as found:
        fill(found, 2)
        rows = [(bytes(k), bytes(w)) for k, w in found.database.read("SELECT key_id, wrapped FROM person_keys")]
    news = [NEXT.wrap(key_id, KEYRING.unwrap(key_id, wrapped)) for key_id, wrapped in rows]
    with (
        psycopg.connect(empty_postgresql_database.url) as swapping,
        psycopg.connect(empty_postgresql_database.url, autocommit=True) as erasing,
        psycopg.connect(empty_postgresql_database.url, autocommit=True) as watching,
        ThreadPoolExecutor(1) as thread,
    ):
        swapping.execute("SELECT rewrap_keys(%s, %s, %s)", ([k for k, _ in rows], [w for _, w in rows], news))
        erasure = thread.submit(erasing.execute, "DELETE FROM person_keys")
        waits = "SELECT cardinality(pg_blocking_pids(%s))"
        while not watching.execute(waits, (erasing.info.backend_pid,)).fetchone() > (0,):  # type: ignore[operator]
            assert not erasure.done()
        swapping.commit()
        assert 2 == erasure.result(30).rowcount
        assert [] == watching.execute("SELECT * FROM person_keys").fetchall()


def test_what_cannot_be_opened_is_counted_and_left(ledger: Ledger) -> None:
    """An altered key, or one whose KEK is gone, hurts only itself."""
    fill(ledger, 3)
    ids = [row[0] for row in ledger.database.read("SELECT key_id FROM person_keys ORDER BY key_id")]
    with ledger.database.writing() as cursor:
        cursor.execute("UPDATE person_keys SET wrapped = ? WHERE key_id = ?", (b"\2k1" + bytes(60), ids[0]))
        cursor.execute("UPDATE person_keys SET wrapped = ? WHERE key_id = ?", (b"\2k0" + bytes(60), ids[1]))
    assert Rewrapped(1, 2) == rewrap(ledger.database, NEXT, silent)
    assert ({"person_keys": 1}, {"person_keys": 1}) == (
        wrapped_by(ledger.database, "k1"),
        wrapped_by(ledger.database, "k0"),
    )


def test_only_who_may_destroy_keys_may_wrap_them_again(
    empty_postgresql_database: Given, login: Any, tmp_path: Path
) -> None:
    """The service is refused with the repair; with the privacy role beside it, it goes; a plain UPDATE nobody may."""
    with opened(empty_postgresql_database, tmp_path) as found:
        fill(found, 2)
    service, both = login("service", SERVICE_ROLE), login("both", SERVICE_ROLE)
    with psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as admin:
        admin.execute(f'GRANT {PRIVACY_ROLE} TO "{both}"')
    database = connect(url_of(empty_postgresql_database, service))
    try:
        with pytest.raises(ConfigurationError, match="both the service role and the privacy role"):
            rewrap(database, NEXT, silent)
    finally:
        database.close()
    database = connect(url_of(empty_postgresql_database, both))
    try:
        assert Rewrapped(2, 0) == rewrap(database, NEXT, silent)
    finally:
        database.close()
    with (
        psycopg.connect(url_of(empty_postgresql_database, both), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("UPDATE person_keys SET wrapped = ''")
