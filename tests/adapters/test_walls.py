"""The second wall on PostgreSQL: who works for one organisation sees that one's rows, whatever the statements say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from eventsourcing.persistence import PersistenceError

from adapters.http.dispatch import STATE
from ledger.database import TENANT_ROLE, Database
from ledger.errors import ErasedError, NotFoundError
from ledger.tenants import tenant, working_for
from tests.adapters.conftest import Api, opened_system, serving
from tests.adapters.furnished import furnish
from tests.postgres import Database as Given

ONE, OTHER = "acme", "other"
EVERYBODYS = {"heads", "tile_hashes", "tracking", "read_unapplied", "revocations"}
"""Tables whose rows say nothing of any organisation: hashes, positions, what authorities said of signers."""
NOBODYS = {"meta", "revocations_waiting"}
"""Tables that no request needs."""
TABLES = """
    SELECT n.nspname || '.' || c.relname, c.relname, c.relrowsecurity FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'delivery_read') ORDER BY 1
"""


@pytest.fixture
async def api(postgresql_database: Given, tmp_path: Any) -> AsyncIterator[Api]:
    """Two organisations, each with one of everything, under the same names."""
    with opened_system(postgresql_database, tmp_path, report_drop_folder=tmp_path / "drop") as system:
        async with serving(system) as found:
            yield found


async def both(api: Api) -> tuple[dict[str, str], dict[str, str]]:
    made = await furnish(api), await furnish(api.of(OTHER))
    await asyncio.to_thread(api.app[STATE].access.flush, everything=True)
    await asyncio.to_thread(api.system.runner.run)
    await asyncio.to_thread(api.system.api_keys.flush)
    return made


def seed(database: Database, name: str, whose: str, position: int, message: str) -> None:
    """A row of one organisation in a table that has none."""
    known = {"tenant": whose, "position": position, "message": message, "stream": message}
    sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema || '.' || table_name = ? "
    columns = [(str(column), str(kind)) for column, kind in database.read(sql + "ORDER BY ordinal_position", (name,))]
    kinds: dict[str, Any] = {"text": whose, "bytea": whose.encode()}
    row = [known.get(column, kinds.get(kind, position)) for column, kind in columns]
    with database.writing() as cursor:
        cursor.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(row))})", row)


async def test_a_row_is_seen_by_the_organisation_it_belongs_to_and_by_no_other(api: Api) -> None:
    """In every table of both schemas: nothing is seen by both, together they see everything, and without a name nobody sees anything."""
    made = dict(zip((ONE, OTHER), await both(api), strict=True))
    database = api.system.ledger.database
    opened = {whose: api.system.ledger.stream(made[whose]["message"])[0].position for whose in made}
    tables = [(str(full), str(name)) for full, name, _ in database.read(TABLES)]
    for full, name in tables:
        if name not in EVERYBODYS and not database.read(f"SELECT 1 FROM {full} LIMIT 1"):
            for whose, names in made.items():
                seed(database, full, whose, opened[whose], names["message"])
    for full, name in tables:
        every = rows(database, full)
        if name in NOBODYS:
            with working_for(ONE), pytest.raises(PersistenceError, match="permission denied"):
                rows(database, full)
        elif name in EVERYBODYS:
            with working_for(ONE):
                assert every == rows(database, full), full
        else:
            seen = {whose: visible(database, full, whose) for whose in made}
            ledgers = visible(database, full, "nobody")  # the ledger's own: its events, what they are known by
            assert not ledgers or name in {"stored_events", "duplicates"}, full
            assert all(len(rows_) > len(ledgers) for rows_ in seen.values()), full
            assert ledgers == seen[ONE] & seen[OTHER], full
            assert every == seen[ONE] | seen[OTHER], full


def rows(database: Database, full: str) -> set[str]:
    """Where the rows lie that are seen."""
    return {str(place) for (place,) in database.read(f"SELECT ctid::text FROM {full}")}


def visible(database: Database, full: str, whose: str) -> set[str]:
    with working_for(whose):
        return rows(database, full)


async def test_a_table_without_a_wall_is_none_that_a_request_may_read(api: Api) -> None:
    """Every table has row-level security, built again or not; the tenant role changes nothing of the log; of views it sees the hashes."""
    database = api.system.ledger.database
    for model in api.system.runner.models:
        api.system.runner.rebuild(model)
    assert [] == [full for full, _, is_walled in database.read(TABLES) if not is_walled]
    granted = database.read(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = ?", (TENANT_ROLE,)
    )
    changed = {str(name) for name, right in granted if right != "SELECT"}
    assert changed == {
        "accounts",
        "account_credentials",
        "account_secrets",
        "account_settings",
        "account_setup",
        "api_keys",
        "jobs",
        "outbox",
        "quarantine",
        "tasks",
    }
    views = {str(name) for (name,) in database.read("SELECT viewname FROM pg_views WHERE schemaname = 'public'")}
    assert {"leaf_hashes"} == views & {str(name) for name, _ in granted}
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'leaf_hashes'"
    assert {"notification_id", "leaf"} == {str(name) for (name,) in database.read(columns)}


async def test_a_broken_handler_gets_nothing_of_another_organisation(api: Api) -> None:
    """It forgets who asks, takes an id from elsewhere, goes straight to the ledger, the queries or the database: nothing is there."""
    hers, _ = await both(api)
    ledger, queries = api.system.ledger, api.system.queries
    position = ledger.stream(hers["message"])[0].position
    digest = ledger.keyring.lookup(ONE, "any_reference", "doc-1")
    found = await asyncio.to_thread(ledger.artifact, hers["artifact"])
    nothing: Sequence[Callable[[], Any]] = (
        lambda: ledger.stream(hers["message"]),
        lambda: ledger.between(position - 1, position),
        lambda: ledger.events_at([position]),
        lambda: ledger.probe_lookups([digest]),
        lambda: ledger.database.read("SELECT 1 FROM read_deliveries WHERE message = ?", (hers["message"],)),
        lambda: ledger.database.read("SELECT 1 FROM lookups WHERE stream = ?", (hers["message"],)),
        lambda: ledger.database.read("SELECT 1 FROM person_keys WHERE stream LIKE ?", (f"account/{ONE}/%",)),
        lambda: ledger.database.read("SELECT 1 FROM tasks WHERE task = ?", (hers["task"],)),
        lambda: ledger.database.read("SELECT 1 FROM api_keys WHERE api_key_id = ?", (hers["api_key"],)),
        lambda: api.system.accounts.list(ONE),
        lambda: queries.lanes(ONE),
    )
    raising: Sequence[tuple[type[Exception], Callable[[], Any]]] = (
        (NotFoundError, lambda: ledger.event(position)),
        (NotFoundError, lambda: ledger.artifact(hers["artifact"])),
        (NotFoundError, lambda: ledger.artifact_place(hers["artifact"])),
        (NotFoundError, lambda: queries.message(ONE, hers["message"])),
        (ErasedError, lambda: api.system.ledger.seen_through(ledger.database).person_key(hers["queued"], 0)),
    )
    with working_for(ONE):
        assert all(each() for each in nothing)
        assert found == ledger.artifact(hers["artifact"])
    with working_for(OTHER):
        vars(ledger)["_keys"].clear()  # what is cached was asked for by somebody who may
        assert [] == [each() for each in nothing if each()]
        for error, each in raising:
            with pytest.raises(error):
                each()


async def test_nothing_is_written_for_another_organisation(api: Api) -> None:
    """A row in another's name is refused; a change or removal of another's row finds none."""
    await both(api)
    database = api.system.ledger.database
    wrong = (
        "INSERT INTO accounts VALUES ('acme', 'new', 'kpn_sms', 0, '')",
        "UPDATE accounts SET tenant = 'acme', account = 'new'",
        "INSERT INTO account_setup SELECT 'acme', 'new', region, '', '', '', '' FROM account_setup",
        "INSERT INTO heads VALUES (1000000, '', 0)",
        "INSERT INTO stored_events SELECT * FROM stored_events",
        "UPDATE api_keys SET tenant = 'acme'",
        "DELETE FROM person_keys",
        "DELETE FROM lookups",
        "UPDATE read_deliveries SET tenant = 'other'",
        "CREATE TABLE mine (id text)",
    )
    for sql in wrong:
        with working_for(OTHER), pytest.raises(PersistenceError), database.writing() as cursor:
            cursor.execute(sql)
    before = database.read("SELECT * FROM tasks WHERE tenant = 'acme'")
    with working_for(OTHER), database.writing() as cursor:
        cursor.execute("UPDATE tasks SET state = 'done'")
        cursor.execute("DELETE FROM tasks")
    assert before == database.read("SELECT * FROM tasks")


# --- the connection


async def test_a_connection_is_never_left_in_another_organisations_name(api: Api) -> None:
    """One after the other, nested, after an error, and from many threads at once: each sees its own."""
    await both(api)
    database = api.system.ledger.database
    sql = "SELECT DISTINCT tenant FROM accounts ORDER BY 1"

    def seen() -> list[str]:
        return [str(name) for (name,) in database.read(sql)]

    for whose in (ONE, OTHER, ONE, ""):
        with working_for(whose):
            assert ([whose] if whose else [ONE, OTHER]) == seen()
            with pytest.raises(PersistenceError), database.writing() as cursor:
                cursor.execute("SELECT no_such_column FROM accounts")
            assert ([whose] if whose else [ONE, OTHER]) == seen()
            with working_for(""):
                assert [ONE, OTHER] == seen()
            assert ([whose] if whose else [ONE, OTHER]) == seen()
            with database.snapshot() as reads:
                assert ([whose] if whose else [ONE, OTHER]) == [str(name) for (name,) in reads.read(sql)]
    assert tenant() == ""
    wrong: list[Any] = []

    def work(whose: str) -> None:
        with working_for(whose):
            wrong.extend(found for _ in range(50) if (found := seen()) != [whose])

    threads = [threading.Thread(target=work, args=(whose,)) for whose in (ONE, OTHER) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


async def test_without_a_name_the_tenant_role_sees_nothing(api: Api) -> None:
    """Deny by default: neither before one was set, nor under an empty one."""
    await both(api)
    database = api.system.ledger.database
    for name in (None, ""):
        with database.writing() as cursor:
            cursor.execute(f"SET LOCAL ROLE {TENANT_ROLE}")
            if name is not None:
                cursor.execute("SET LOCAL delivery_ledger.tenant = ''")
            for table in ("accounts", "read_deliveries", "lookups", "person_keys", "tasks"):
                assert [] == cursor.read(f"SELECT 1 FROM {table}"), table
            events = {bytes(state) for (state,) in cursor.read("SELECT state FROM stored_events")}
            assert events
            assert all(b'"tenant":"ledger"' in state for state in events)
