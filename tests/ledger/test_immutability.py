"""Nobody changes the past: what each role and each form of SQL is refused, and what it may do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg
import pytest
from eventsourcing.persistence import PersistenceError
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from ledger.application import Ledger
from ledger.database import PRIVACY_ROLE, SERVICE_ROLE, PostgresDatabase, connect, unsafe_rights
from ledger.errors import ConfigurationError, HeadMovedError
from ledger.postgresql import check_server
from ledger.recorders import KeyRow
from ledger.sqlite import driver
from tests.ledger.kit import Database, batch_after, check_log, item, migrated, opened, recorder_of
from tests.postgres import Database as Given

LOG_TABLES = {
    "stored_events": "topic = 'x'",
    "heads": "recorded_at = 0",
    "tile_hashes": "level = 3",
    "duplicates": "position = 0",
    "joins": "joined_into = 'x'",
    "meta": "value = 'x'",
}
"""Log table -> a change to it."""
BESIDE = ("person_keys", "sealed_values", "artifacts", "lookups")


def fill(database: Database) -> None:
    """A log with something in every table."""
    recorder = recorder_of(database)
    batch = batch_after(*recorder.frontier(), [b"{}"] * 260)
    batch.keys = [KeyRow(b"k" * 16, "s", 0, b"w")]
    batch.sealed = [(1, b"k" * 16, b"sealed")]
    batch.artifacts = [("a", 1, b"k" * 16, "text/plain", 1, b"x")]
    batch.lookups = [(b"d" * 16, "s", 0, 1, 0)]
    batch.duplicates = [(b"x" * 16, 1)]
    batch.joins = [("s", 1, "t")]
    recorder.append(batch)
    with database.writing() as cursor:
        cursor.execute("INSERT INTO meta VALUES ('something', ?)", (b"v",))


def everything(database: Database) -> list[Any]:
    """All rows of all log tables."""
    return [database.read(f"SELECT * FROM {table} ORDER BY 1, 2") for table in LOG_TABLES]


# --- PostgreSQL


class Roles(NamedTuple):
    """Logins on one filled database; each connects as itself.

    Attributes:
        service: a member of the service role only.
        privacy: a member of the privacy role only.
        owner: owns the tables.
    """

    given: Given
    owner: psycopg.Connection[Any]
    service: psycopg.Connection[Any]
    privacy: psycopg.Connection[Any]

    def url(self, login: str) -> str:
        return url_of(self.given, login)


def url_of(given: Given, login: str) -> str:
    """The same database as another login."""
    parts = conninfo_to_dict(given.url)
    return f"postgresql://{quote(login)}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"


@pytest.fixture
def login(empty_postgresql_database: Given) -> Iterator[Any]:
    """Makes login roles that are members of a role; they are dropped after the test."""
    name = conninfo_to_dict(empty_postgresql_database.url)["dbname"]
    made: list[str] = []
    with psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as admin:

        def make(suffix: str, member_of: str = "", options: str = "") -> str:
            role = f"{name}_{suffix}"
            admin.execute(SQL(f"CREATE ROLE {{}} LOGIN {options}").format(Identifier(role)))
            made.append(role)
            if member_of:
                admin.execute(SQL("GRANT {} TO {}").format(Identifier(member_of), Identifier(role)))
            return role

        yield make
        for role in made:
            admin.execute(SQL("DROP OWNED BY {}").format(Identifier(role)))
            admin.execute(SQL("DROP ROLE {}").format(Identifier(role)))


@pytest.fixture
def roles(empty_postgresql_database: Given, login: Any) -> Iterator[Roles]:
    """A filled database and one connection for each role."""
    with migrated(empty_postgresql_database) as database:
        fill(database)
    service, privacy = login("service", SERVICE_ROLE), login("privacy", PRIVACY_ROLE)
    urls = [
        empty_postgresql_database.url,
        url_of(empty_postgresql_database, service),
        url_of(empty_postgresql_database, privacy),
    ]
    with contextlib.ExitStack() as stack:
        yield Roles(
            empty_postgresql_database, *(stack.enter_context(psycopg.connect(url, autocommit=True)) for url in urls)
        )


def refused(connection: psycopg.Connection[Any], sql: str) -> None:
    """Assert that a statement is refused for want of rights or by a guard."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql)


def run(connection: psycopg.Connection[Any], statements: list[tuple[Any, ...]]) -> None:
    """Execute statements with their parameters in one transaction."""
    with connection.transaction():
        for sql, *params in statements:
            connection.execute(sql, params)


@pytest.mark.parametrize("table", LOG_TABLES)
def test_service_cannot_change_a_log_table(roles: Roles, table: str) -> None:
    """The role that serves is refused every form of changing what is written, and of switching the guards off."""
    change = LOG_TABLES[table]
    for sql in (
        f"UPDATE {table} SET {change}",
        f"UPDATE {table} SET {change} WHERE false",
        f"DELETE FROM {table}",
        f"DELETE FROM {table} WHERE false",
        f"TRUNCATE {table}",
        f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1 ON CONFLICT ON CONSTRAINT {table}_pkey DO UPDATE SET {change}",
        f"MERGE INTO {table} USING (SELECT 1) AS o ON true WHEN MATCHED THEN DELETE",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"ALTER TABLE {table} DISABLE TRIGGER no_change",
        f"ALTER TABLE {table} RENAME TO gone",
        f"ALTER TABLE {table} OWNER TO CURRENT_USER",
        f"ALTER TABLE {table} ADD COLUMN more text",
        f"DROP TRIGGER no_change ON {table}",
        f"DROP TABLE {table} CASCADE",
        f"CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
        f"REINDEX TABLE {table}",
    ):
        refused(roles.service, sql)
    roles.service.execute(f"GRANT UPDATE ON {table} TO CURRENT_USER")  # only a warning: nothing was granted
    refused(roles.service, f"UPDATE {table} SET {change}")


def test_service_cannot_step_out_of_its_role(roles: Roles) -> None:
    """Nor can it become another role, silence triggers, replace their functions, or drop what they stand on."""
    owner = roles.owner.info.user
    for sql in (
        f"SET ROLE {owner}",
        f"SET SESSION AUTHORIZATION {owner}",
        "SET session_replication_role = replica",
        f"GRANT {owner} TO CURRENT_USER",
        "CREATE OR REPLACE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE FUNCTION public.mine() RETURNS void LANGUAGE sql AS ''",
        "DROP FUNCTION refuse_change() CASCADE",
        "DROP SCHEMA public CASCADE",
        "DROP SCHEMA delivery_read CASCADE",
        "ALTER SCHEMA public RENAME TO gone",
        f"DROP DATABASE {roles.owner.info.dbname}",
        "CREATE TABLE public.mine (a int)",
    ):
        refused(roles.service, sql)


EVENT = "INSERT INTO stored_events VALUES (%s, 's%s', 1, 't', '{}', repeat('x', 32)::bytea)"
HEAD = "INSERT INTO heads VALUES (%s, repeat('x', 32)::bytea, %s)"
LATER = 2**53


@pytest.mark.parametrize(
    ("lie", "statements"),
    {
        "an event after a gap": [(HEAD, 262, LATER), (EVENT, 262, 262)],
        "an event beyond its head": [(HEAD, 261, LATER), (EVENT, 262, 262)],
        "fewer events than the head says": [(HEAD, 262, LATER), (EVENT, 261, 261)],
        "events in two strokes": [(HEAD, 262, LATER), (EVENT, 261, 261), (EVENT, 262, 262)],
        "an event without a head": [(EVENT, 261, 261)],
        "a head before its events ever come": [(HEAD, 261, LATER)],
        "a head of the past": [(HEAD, 100, LATER)],
        "a head whose clock ran back": [(HEAD, 261, 1), (EVENT, 261, 261)],
        "a second head of the same size": [(HEAD, 260, LATER)],
        "position zero": [(HEAD, 261, LATER), (EVENT, 0, 0)],
    }.items(),
)
def test_service_cannot_append_a_lie(roles: Roles, lie: str, statements: list[tuple[Any, ...]]) -> None:
    """Heads and positions that do not continue the log are refused at the latest by the commit."""
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.UniqueViolation)):
        run(roles.service, statements)
    assert (260,) == roles.service.execute("SELECT max(notification_id) FROM stored_events").fetchone()


def test_service_can_append_what_continues_the_log(roles: Roles) -> None:
    """The same statements without the lie are stored, so it is the lie that is refused."""
    run(roles.service, [(HEAD, 261, LATER), (EVENT, 261, 261)])
    assert (261,) == roles.service.execute("SELECT max(notification_id) FROM stored_events").fetchone()


def test_operators_of_the_services_own_cannot_stand_in_for_the_guards(roles: Roles) -> None:
    """Guards compare with PostgreSQL's operators, whatever a session puts before them."""
    mine = [
        ("CREATE FUNCTION delivery_read.no(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false'",),
        *(
            (
                f"CREATE OPERATOR delivery_read.{name} (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = delivery_read.no)",
            )
            for name in ("<>", "<")
        ),
        ("SET LOCAL search_path = delivery_read, pg_catalog, public",),
    ]
    head, event = HEAD.replace("INTO ", "INTO public."), EVENT.replace("INTO ", "INTO public.")
    for lie in ([(head, 262, LATER), (event, 262, 262)], [(head, 261, 1), (event, 261, 261)]):
        with pytest.raises(psycopg.errors.CheckViolation):
            run(roles.service, [*mine, *lie])


def test_tables_of_the_services_own_cannot_stand_in_for_ours(roles: Roles) -> None:
    """Guards look nowhere but in their own schema, whatever the session's search path and temporary tables say."""
    before = [
        ("CREATE TEMP TABLE heads (size bigint, root bytea, recorded_at bigint)",),
        ("INSERT INTO pg_temp.heads VALUES (1000, '', 0), (999, '', 0)",),
        ("CREATE TABLE delivery_read.stored_events (notification_id bigint)",),
        ("SET LOCAL search_path = pg_temp, delivery_read, public",),
    ]
    event = ("INSERT INTO public.stored_events VALUES (1000, 's', 1, 't', '{}', repeat('x', 32)::bytea)",)
    run(roles.service, before)
    run(roles.service, [("DROP TABLE pg_temp.heads, delivery_read.stored_events",)])
    with pytest.raises(psycopg.errors.CheckViolation):
        run(roles.service, [*before, event])


def test_service_can_do_its_work(roles: Roles, tmp_path: Path) -> None:
    """It appends, reads, and makes, fills, swaps and drops read models with their position in one transaction."""
    with opened(roles.given._replace(url=roles.url(roles.service.info.user)), tmp_path) as ledger:
        ledger.append(item(ledger))
        assert 261 == ledger.head().size == ledger.event(261).position
        database, position = ledger.database, ledger.recorder.max_tracking_id
        with database.writing() as cursor:
            cursor.execute("CREATE TABLE delivery_read.model (a bigint PRIMARY KEY)")
        _advance(ledger, 261)
        assert 261 == position("model/1")
        with pytest.raises(PersistenceError):
            _advance(ledger, 260)
        assert [(261,)] == database.read("SELECT a FROM delivery_read.model")
        with database.writing() as cursor:
            cursor.execute("ALTER TABLE delivery_read.model RENAME TO model_old")
            cursor.execute("DROP TABLE delivery_read.model_old")
            cursor.execute(f"DELETE FROM {ledger.tracking_table} WHERE application_name = 'model/1'")
        assert position("model/1") is None


def _advance(ledger: Ledger, to: int) -> None:
    """A row of a read model and its position, together or not at all."""
    with ledger.database.writing() as cursor:
        cursor.execute("INSERT INTO delivery_read.model VALUES (?)", (to,))
        ledger.track(cursor, "model/1", to)


def test_owner_too_is_refused_by_the_guards(roles: Roles) -> None:
    """Even the role that owns the tables cannot change rows by accident; and a session that silences triggers neither."""
    with psycopg.connect(roles.given.superuser_url, autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        before = superuser.execute("SELECT count(*) FROM stored_events").fetchone()
        for connection in (roles.owner, superuser):
            for table, change in LOG_TABLES.items():
                refused(connection, f"UPDATE {table} SET {change}")
                refused(connection, f"DELETE FROM {table}")
                refused(connection, f"TRUNCATE {table} CASCADE")
                insert = f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1"
                refused(connection, f"{insert} ON CONFLICT ON CONSTRAINT {table}_pkey DO UPDATE SET {change}")
        assert before == superuser.execute("SELECT count(*) FROM stored_events").fetchone()


@pytest.mark.parametrize("table", BESIDE)
def test_privacy_role_may_delete_what_can_be_erased(roles: Roles, table: str) -> None:
    """Erasure deletes keys, sealed values, artifacts and look-ups, and changes none of them."""
    assert 1 == roles.privacy.execute(f"DELETE FROM {table}").rowcount
    refused(roles.privacy, f"TRUNCATE {table}")
    refused(roles.privacy, f"INSERT INTO {table} SELECT * FROM {table}")
    columns = roles.privacy.execute(f"SELECT * FROM {table}").description or []
    refused(roles.privacy, f"UPDATE {table} SET {columns[0].name} = {columns[0].name}")


@pytest.mark.parametrize("table", LOG_TABLES)
def test_privacy_role_cannot_touch_the_log(roles: Roles, table: str) -> None:
    """The role that erases cannot append, change or delete events, heads or duplicate keys."""
    refused(roles.privacy, f"DELETE FROM {table}")
    refused(roles.privacy, f"UPDATE {table} SET {LOG_TABLES[table]}")
    refused(roles.privacy, f"TRUNCATE {table}")
    refused(roles.privacy, f"INSERT INTO {table} DEFAULT VALUES")


# --- what a connected role could do


def rights(roles: Roles, login: str) -> list[str]:
    with contextlib.closing(PostgresDatabase(roles.url(login))) as database:
        return unsafe_rights(database)


def test_service_login_could_do_nothing_to_the_past(roles: Roles) -> None:
    """A login that is a member of the service role only may serve; so may one that erases, seen from the log."""
    assert [] == rights(roles, roles.service.info.user)
    assert [] == rights(roles, roles.privacy.info.user)


def test_owner_could(roles: Roles) -> None:
    """Whoever owns the tables is told so for each, and for the schema, the database and the guards' functions."""
    found = "\n".join(rights(roles, roles.owner.info.user))
    for words in (
        *(f"owns table {t}" for t in LOG_TABLES),
        "owns database",
        "owns schema",
        "owns function refuse_change",
    ):
        assert words in found


def test_superuser_could(roles: Roles) -> None:
    """A superuser is told so in one line."""
    with contextlib.closing(PostgresDatabase(roles.given.superuser_url)) as database:
        assert ["postgres is a superuser"] == unsafe_rights(database)


@pytest.mark.parametrize(
    ("grant", "words"),
    {
        "GRANT UPDATE ON heads TO {}": "may UPDATE on table heads",
        "GRANT UPDATE (root) ON heads TO {}": "may UPDATE on table heads",
        "GRANT DELETE ON stored_events TO {}": "may DELETE on table stored_events",
        "GRANT TRUNCATE ON joins TO {}": "may TRUNCATE on table joins",
        "GRANT TRIGGER ON meta TO {}": "may TRIGGER on table meta",
        "GRANT UPDATE ON duplicates TO PUBLIC": "may UPDATE on table duplicates",
        "GRANT SET ON PARAMETER session_replication_role TO {}": "may set session_replication_role",
        "GRANT pg_execute_server_program TO {}": "may write the files of the server",
        "GRANT pg_write_all_data TO {}": "may DELETE on table heads",
    }.items(),
)
def test_each_single_right_is_named(roles: Roles, grant: str, words: str) -> None:
    """One right too many is found and named."""
    user = roles.service.info.user
    with psycopg.connect(roles.given.superuser_url, autocommit=True) as admin:
        admin.execute(SQL(grant).format(Identifier(user)))
        try:
            assert words in "\n".join(rights(roles, user))
        finally:  # rights on parameters and predefined roles belong to the whole server
            admin.execute(SQL("REVOKE ALL ON PARAMETER session_replication_role FROM {}").format(Identifier(user)))


def test_rights_that_are_one_set_role_away_are_found(roles: Roles, login: Any) -> None:
    """Membership counts even where nothing is inherited."""
    owner = roles.owner.info.user
    hidden = login("hidden", owner, "NOINHERIT")
    assert f"{owner} owns table heads" in rights(roles, hidden)


def test_sqlite_has_no_rights_to_list(sqlite_database: Given) -> None:
    """On SQLite there are no roles, so there is nothing to say."""
    with migrated(sqlite_database) as database:
        assert [] == unsafe_rights(database)


# --- migration


def test_migration_is_repeatable_beside_a_running_service(database: Given) -> None:
    """A second migration changes nothing and keeps what is there."""
    with migrated(database) as opened:
        fill(opened)
        before = everything(opened)
        opened.migrate()
        opened.ensure_schema()
        assert before == everything(opened)
        recorder = recorder_of(opened)
        recorder.append(batch_after(*recorder.frontier(), [b"{}"]))


def test_first_migration_makes_its_roles(empty_postgresql_database: Given) -> None:
    """With a role that may create roles and tables, one call makes everything, and a login that may serve."""
    name = conninfo_to_dict(empty_postgresql_database.url)["dbname"]
    service, privacy, user = f"{name}_s", f"{name}_p", f"{name}_login"
    with psycopg.connect(empty_postgresql_database.url, autocommit=True) as owner:
        owner.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(user)))
    with contextlib.closing(PostgresDatabase(empty_postgresql_database.url)) as database:
        for _ in range(2):
            database.migrate(service=service, privacy=privacy, grant_to=user)
    with contextlib.closing(PostgresDatabase(url_of(empty_postgresql_database, user))) as serving:
        recorder = recorder_of(serving)
        recorder.append(batch_after(*recorder.frontier(), [b"{}"]))
        assert [] == unsafe_rights(serving)
        check_log(serving)


def test_migration_takes_back_what_default_privileges_gave(empty_postgresql_database: Given) -> None:
    """A right that tables get by default does not reach the service."""
    with psycopg.connect(empty_postgresql_database.url, autocommit=True) as owner:
        for role in (SERVICE_ROLE, "PUBLIC"):
            owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}")
    with migrated(empty_postgresql_database) as database:
        held = database.read(
            "SELECT privilege_type FROM information_schema.role_table_grants "
            "WHERE table_name = 'heads' AND grantee IN (?, 'PUBLIC') ORDER BY 1",
            (SERVICE_ROLE,),
        )
        assert [("INSERT",), ("SELECT",)] == held


def test_role_that_may_not_migrate_is_told_what_to_do(roles: Roles) -> None:
    """The refusal names the role, what PostgreSQL said, and the repair."""
    user = roles.service.info.user
    with contextlib.closing(PostgresDatabase(roles.url(user))) as database:
        with pytest.raises(
            ConfigurationError, match=rf"'{user}' to migrate: .*db migrate.*the role that owns the tables"
        ):
            database.migrate()
        database.ensure_schema()  # nothing is missing, so nothing is needed


def test_migration_without_the_right_to_make_roles_says_so(empty_postgresql_database: Given, login: Any) -> None:
    """An owner of tables who may not create roles is told the line that repairs it."""
    user = login("plain")
    with (
        contextlib.closing(PostgresDatabase(url_of(empty_postgresql_database, user))) as database,
        pytest.raises(ConfigurationError, match=f'ALTER ROLE "{user}" CREATEROLE'),
    ):
        database.migrate(service=f"{user}_missing")


def test_grant_to_a_login_that_does_not_exist_says_so(empty_postgresql_database: Given) -> None:
    """The text has the line that makes the login."""
    with (
        contextlib.closing(PostgresDatabase(empty_postgresql_database.url)) as database,
        pytest.raises(ConfigurationError, match='CREATE ROLE "nobody there" LOGIN'),
    ):
        database.migrate(grant_to="nobody there")


def test_server_that_cannot_be_reached_is_a_setting(empty_postgresql_database: Given) -> None:
    """A wrong host is answered with the name of the setting."""
    with (
        contextlib.closing(PostgresDatabase("postgresql://x@/x?host=/nowhere")) as database,
        pytest.raises(ConfigurationError, match="LEDGER_DATABASE_URL"),
    ):
        database.migrate()


class _Info:
    """Says of a server what a test wants."""

    def __init__(self, version: int, encoding: str) -> None:
        self.info = self
        self.server_version = version
        self._parameters = {"server_version": str(version), "server_encoding": encoding}

    def parameter_status(self, name: str) -> str:
        return self._parameters[name]


@pytest.mark.parametrize(
    ("version", "encoding", "words"), [(140_011, "UTF8", "15 or newer"), (150_000, "LATIN1", "UTF8")]
)
def test_unfit_server_is_refused(version: int, encoding: str, words: str) -> None:
    """A server that is too old, or that cannot hold every text, is refused before anything is made."""
    with pytest.raises(ConfigurationError, match=words):
        check_server(_Info(version, encoding))  # type: ignore[arg-type]


def test_unwritten_durability_is_repaired(empty_postgresql_database: Given) -> None:
    """A database whose default is to acknowledge before it is durable does not get its way with us."""
    name = conninfo_to_dict(empty_postgresql_database.url)["dbname"]
    with psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as admin:
        admin.execute(SQL("ALTER DATABASE {} SET synchronous_commit = off").format(Identifier(str(name))))
    with contextlib.closing(PostgresDatabase(empty_postgresql_database.url)) as database:
        assert [("on",)] == database.read("SHOW synchronous_commit")


# --- SQLite


@pytest.fixture
def sqlite(sqlite_database: Given) -> Iterator[Database]:
    """A filled SQLite ledger."""
    with migrated(sqlite_database) as database:
        fill(database)
        yield database


FORMS = ("UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE")


@pytest.mark.parametrize("table", LOG_TABLES)
def test_sqlite_refuses_every_change(sqlite: Database, table: str) -> None:
    """Through our connections nothing in a log table is updated, deleted, replaced or unguarded."""
    before = everything(sqlite)
    change, copy = LOG_TABLES[table], f"SELECT * FROM {table} LIMIT 1"
    key = {"stored_events": "rowid", "tile_hashes": "level, tile_index", "joins": "stream, position"}.get(table)
    key = key or {"heads": "size", "duplicates": "duplicate_key", "meta": "name"}[table]
    for sql in (
        *(f"{form} {table} SET {change}" for form in FORMS),
        f"DELETE FROM {table}",
        f"REPLACE INTO {table} {copy}",
        f"INSERT OR REPLACE INTO {table} {copy}",
        f"INSERT OR IGNORE INTO {table} {copy}",
        f"INSERT INTO {table} SELECT * FROM (SELECT * FROM {table} LIMIT 1) WHERE true ON CONFLICT ({key}) DO UPDATE SET {change}",
        *(f"DROP TRIGGER {name}" for name in _triggers(sqlite, table)),
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} RENAME TO gone",
        f"ALTER TABLE {table} ADD COLUMN more TEXT",
        f"DELETE FROM sqlite_schema WHERE tbl_name = '{table}'",
        "PRAGMA writable_schema = ON",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA ignore_check_constraints = ON",
        "PRAGMA synchronous = OFF",
        "PRAGMA journal_mode = DELETE",
    ):
        with pytest.raises(PersistenceError), sqlite.writing() as cursor:
            cursor.execute(sql)
        with pytest.raises(PersistenceError):
            sqlite.read(sql)
    assert before == everything(sqlite)
    assert 3 <= len(_triggers(sqlite, table))


def _triggers(database: Database, table: str) -> list[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?"
    return [name for (name,) in database.read(sql, (table,))]


def test_sqlite_guards_hold_against_a_trigger_of_the_callers_own(sqlite: Database) -> None:
    """A temporary trigger that deletes beside an append only makes the append fail."""
    sqlite.read("CREATE TEMP TRIGGER mine BEFORE INSERT ON heads BEGIN DELETE FROM stored_events; END")
    recorder = recorder_of(sqlite)
    with pytest.raises(PersistenceError):
        recorder.append(batch_after(*recorder.frontier(), [b"{}"]))
    assert [(260,)] == sqlite.read("SELECT count(*) FROM stored_events")


def test_sqlite_guards_hold_under_a_second_name(sqlite: Database) -> None:
    """The same file attached again cannot be stripped of its guards either."""
    sqlite.read(f"ATTACH '{sqlite.path}' AS again")
    for sql in (
        "DROP TRIGGER again.heads_no_update",
        "DROP TABLE again.heads",
        "UPDATE again.heads SET recorded_at = 0",
    ):
        with pytest.raises(PersistenceError):
            sqlite.read(sql)


SQLITE_EVENT = "INSERT INTO stored_events VALUES (?, 's' || ?, 1, 't', x'7b7d', zeroblob(32))"
SQLITE_HEAD = "INSERT INTO heads VALUES (?, zeroblob(32), ?)"


def _run_sqlite(database: Database, statements: list[tuple[Any, ...]]) -> None:
    with database.writing() as cursor:
        for sql, *params in statements:
            cursor.execute(sql, params)


@pytest.mark.parametrize(
    "statements",
    [
        [(SQLITE_HEAD, 262, LATER), (SQLITE_EVENT, 262, 262)],
        [(SQLITE_HEAD, 262, LATER), (SQLITE_EVENT, 261, 261)],
        [(SQLITE_HEAD, 261, LATER), (SQLITE_EVENT, 261, 261), (SQLITE_EVENT, 262, 262)],
        [(SQLITE_EVENT, 261, 261)],
        [(SQLITE_HEAD, 261, LATER)],
        [(SQLITE_HEAD, 100, LATER)],
        [(SQLITE_HEAD, 261, 1), (SQLITE_EVENT, 261, 261)],
        [(SQLITE_HEAD, 261, LATER), ("INSERT INTO stored_events (originator_id) VALUES ('s')",)],
    ],
)
def test_sqlite_refuses_a_lie(sqlite: Database, statements: list[tuple[Any, ...]]) -> None:
    """A gap, events without a head, a head without its events, a head whose clock ran back: refused by the commit."""
    with pytest.raises(PersistenceError):
        _run_sqlite(sqlite, statements)
    recorder = recorder_of(sqlite)
    assert 260 == recorder.head().size
    recorder.append(batch_after(*recorder.frontier(), [b"{}"]))


def test_sqlite_takes_what_continues_the_log(sqlite: Database) -> None:
    """The same statements without the lie are stored, so it is the lie that is refused."""
    _run_sqlite(sqlite, [(SQLITE_HEAD, 262, LATER), (SQLITE_EVENT, 261, 261), (SQLITE_EVENT, 262, 262)])
    assert 262 == recorder_of(sqlite).head().size


def test_sqlite_may_be_copied_and_read_models_dropped(sqlite: Database, tmp_path: Path) -> None:
    """A backup by VACUUM INTO is whole; what is not the log may be made and dropped."""
    with sqlite.writing() as cursor:
        cursor.execute("CREATE TABLE read_model (a)")
        cursor.execute("DROP TABLE read_model")
    sqlite.read("VACUUM INTO ?", (str(tmp_path / "copy.sqlite"),))
    with contextlib.closing(connect(f"sqlite:///{tmp_path / 'copy.sqlite'}")) as copy:
        assert everything(sqlite) == everything(copy)  # type: ignore[arg-type]


def test_sqlite_file_changed_by_another_program_contradicts_the_tree(sqlite: Database) -> None:
    """What we cannot prevent is noticed: the leaf no longer hashes to what the tree holds."""
    other = driver().connect(sqlite.path)
    other.execute("DROP TRIGGER stored_events_no_update")
    other.execute("UPDATE stored_events SET state = x'7b7d20' WHERE rowid = 5")
    other.commit()
    other.close()
    with pytest.raises(AssertionError, match="leaf hashes"):
        check_log(sqlite)


def test_sqlite_head_moves_are_told_from_damage(sqlite: Database) -> None:
    """A batch for an older head is a lost race, and says so."""
    recorder = recorder_of(sqlite)
    stale = batch_after(*recorder.frontier(), [b"{}"])
    recorder.append(batch_after(*recorder.frontier(), [b"{}"]))
    with pytest.raises(HeadMovedError):
        recorder.append(stale)
