"""PostgreSQL 15 or newer: for everything that is more than one process.

Four roles: the owner migrates; the service reads and appends; the privacy role destroys keys and what they seal; the tenant role sees of
every table what belongs to one organisation. A login that serves is a member of the service role and of nothing that could change the
past (`unsafe_rights`); it becomes the tenant role for all that is done for one organisation (`ledger.tenants`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, cast

import psycopg
from eventsourcing import persistence
from eventsourcing.postgres import ConnectionPool, PostgresDatastore
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row, tuple_row
from psycopg.sql import SQL, Identifier

from ledger.arrays import Array, array
from ledger.errors import ConfigurationError
from ledger.probes import Probe
from ledger.tenants import tenant

SCHEMA = (Path(__file__).parent / "schema" / "postgresql.sql").read_text()
RIGHTS = (Path(__file__).parent / "schema" / "rights.sql").read_text()
LOG_SCHEMA = "public"
READER_SCHEMA = "delivery_read"
SERVICE_ROLE = "delivery_ledger_service"
PRIVACY_ROLE = "delivery_ledger_privacy"
TENANT_ROLE = "delivery_ledger_tenant"
OLDEST = 150_000
PATIENCE_S = 30.0
"""How long whoever needs a connection waits for one: as long as a cluster takes to fail over."""

# Unless the URL says otherwise: a peer that vanished is noticed in half a minute, on both sides, and a standby is not written to.
_CONNECTION = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "target_session_attrs": "read-write",
}
_SESSION = {
    "search_path": f"{LOG_SCHEMA},{READER_SCHEMA}",
    # What is asked for is a probe or a range of an index, in its order; without statistics all of it would rather be gathered and sorted.
    "enable_bitmapscan": "off",
    "random_page_cost": "1.1",
    "idle_in_transaction_session_timeout": "60000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "jit": "off",  # compiling a statement takes longer than all that ours do
}
# Acknowledged is durable, whatever the server's default; a stronger one stays.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')"
SNAPSHOT_IDLE = "10min"
"""Who reads from a snapshot may take longer between two reads than who writes."""
_ENTER = "SELECT set_config('role', %s, false), set_config('delivery_ledger.tenant', %s, false)"
_TYPES = {bytes: "bytea", str: "text", int: "int8"}


def _conninfo(url: str) -> str:
    given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    return make_conninfo(**{**_CONNECTION, **given, "options": f"{session} {given.get('options', '')}".strip()})


def translate(sql: str) -> Any:
    """Our dialect to psycopg's: `?` becomes `%s`."""
    return sql.replace("%", "%%").replace("?", "%s")


def _kinds(row: Sequence[Any]) -> str:
    """Placeholders for columns, by the types of their first values."""
    return ", ".join(f"?::{_TYPES[type(value)]}[]" for value in row)


def _wanted(row: Sequence[Any]) -> str:
    """What is looked for, by the types of its first values.

    As the answer to a question of its own its number is unknown to the planner, which then makes one plan for every number: knowing that
    it is small, it would plan again each time, and for what a look-up asks that takes as long as the rest.
    """
    return ", ".join(f"(SELECT ?::{_TYPES[type(value)]}[])" for value in row)


def _packed(rows: Sequence[Sequence[Any]]) -> list[Array]:
    """Rows as columns."""
    return [array(_TYPES[type(column[0])], column) for column in zip(*rows, strict=True)]


def _numbered(number: int, asked: Probe) -> str:
    """The statement of a probe; each row begins with its number."""
    where = " AND ".join(f"{column} = wanted.{name}" for column, name in zip(asked.on, "ab", strict=False))
    wanted = f"unnest({_wanted(asked.values[0])}) AS wanted({', '.join('ab'[: len(asked.on)])})"
    rows = f"LATERAL (SELECT {asked.columns} FROM {asked.table} WHERE {where} OFFSET 0) AS found"
    return f"SELECT {number}, found.* FROM {wanted}, {rows}"


class _Reads(ABC):
    kind = "postgresql"

    @abstractmethod
    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    # OFFSET 0 and LIMIT keep the planner from turning the probes into a join, which it would do by reading the whole table
    # while it has no statistics.

    def probe(
        self, table: str, columns: str, column: str, values: Sequence[Any], and_: str = ""
    ) -> list[tuple[Any, ...]]:
        """Rows whose `column` is one of `values`: one index probe each, whatever the statistics say."""
        return self._probe(
            f"SELECT {columns} FROM {table} WHERE {column} = wanted.a {and_} OFFSET 0", [(v,) for v in values]
        )

    def probe_pairs(
        self, table: str, columns: str, pair: tuple[str, str], values: Sequence[tuple[Any, Any]]
    ) -> list[tuple[Any, ...]]:
        """Rows whose two columns are one of the pairs: one index probe each."""
        where = f"{pair[0]} = wanted.a AND {pair[1]} = wanted.b"
        return self._probe(f"SELECT {columns} FROM {table} WHERE {where} OFFSET 0", values)

    def probe_last(
        self, table: str, columns: str, column: str, values: Sequence[Any], order: str
    ) -> list[tuple[Any, ...]]:
        """For each value, its row with the highest `order`: one index probe each."""
        sql = f"SELECT {columns} FROM {table} WHERE {column} = wanted.a ORDER BY {order} DESC LIMIT 1"
        return self._probe(sql, [(v,) for v in values])

    def several(self, probes: Sequence[Probe]) -> list[list[tuple[Any, ...]]]:
        """The rows of each of several probes, by one statement: what waits for the answer waits once."""
        asked = [(number, each) for number, each in enumerate(probes) if each.values]
        found: list[list[tuple[Any, ...]]] = [[] for _ in probes]
        if asked:
            sql = " UNION ALL ".join(_numbered(number, each) for number, each in asked)
            for number, *row in self.read(sql, [column for _, each in asked for column in _packed(each.values)]):
                found[number].append(tuple(row))
        return found

    def each(self, sql: str, values: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """For each tuple of values the rows of a statement that names them `{0}`, `{1}` …; a row begins with the tuple's number.

        The rows of one tuple keep their order, the tuples have none.
        """
        if not values:
            return []
        names = [f"value{number}" for number in range(len(values[0]))]
        numbered = f"unnest({_wanted(values[0])}) WITH ORDINALITY AS wanted({', '.join(names)}, number)"
        rows = f"LATERAL ({sql.format(*(f'wanted.{name}' for name in names))} OFFSET 0) AS found"
        return self.read(f"SELECT number - 1, found.* FROM {numbered}, {rows}", _packed(values))

    def _probe(self, sql: str, values: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        if not values:
            return []
        names = ", ".join("ab"[: len(values[0])])
        wanted = f"unnest({_wanted(values[0])}) AS wanted({names})"
        return self.read(f"SELECT found.* FROM {wanted}, LATERAL ({sql}) AS found", _packed(values))


class Transaction(_Reads):
    """What a transaction offers, `?` translated.

    Another thread may read, one at a time; once the transaction is over it is refused, since the connection is somebody else's by then.
    """

    def __init__(self, cursor: psycopg.Cursor[tuple[Any, ...]]) -> None:
        self.cursor = cursor
        self._turn = Lock()
        self._is_over = False

    def end(self) -> None:
        """Wait for what is being read, and let nothing be read any more."""
        with self._turn:
            self._is_over = True

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self.cursor.execute(translate(sql), tuple(params))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.cursor.executemany(translate(sql), rows)

    def insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]], conflict: str) -> None:
        """Insert rows by one statement.

        Args:
            columns: with ", " between.
            conflict: what follows ON CONFLICT.
        """
        if rows:
            sql = f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({_kinds(rows[0])}) ON CONFLICT {conflict}"
            self.cursor.execute(translate(sql), _packed(rows))

    def copy(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows that are not there yet, as fast as the server takes them."""
        if not rows:
            return
        self.cursor.execute(f"SELECT {columns} FROM {table} LIMIT 0")
        types = [column.type_code for column in self.cursor.description or ()]
        with self.cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as into:
            into.set_types(types)
            for row in rows:
                into.write_row(row)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction that is undone alone when it fails.

        Raises:
            PersistenceError: the frame's error for whatever the driver raised.
        """
        try:
            with self.cursor.connection.transaction():
                yield
        except psycopg.Error as error:
            kinds = (getattr(persistence, each.__name__, None) for each in type(error).__mro__)
            raise next((kind for kind in kinds if kind), persistence.PersistenceError)(str(error)) from error

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._turn, self.cursor.connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            if self._is_over:
                msg = "the transaction is over"
                raise psycopg.InterfaceError(msg)
            return cursor.execute(translate(sql), tuple(params)).fetchall()


class _Connections(PostgresDatastore):
    """Connections as one login, opened at first use."""

    def __init__(self, url: str, connection_class: type[psycopg.Connection[Any]], min_size: int, max_size: int) -> None:
        self.pre_ping = False
        self.pool_open_timeout = None
        self.single_row_tracking = True
        self.lock_timeout = 0
        self.schema = LOG_SCHEMA
        self.originator_id_type = "text"
        self.enable_db_functions = False
        self.db_type_names = set()
        self.psycopg_type_adapters = {}
        self.psycopg_python_types = {}
        self.pool = ConnectionPool(
            _conninfo(url),
            connection_class=connection_class,
            kwargs={"row_factory": dict_row, "prepare_threshold": 3, "autocommit": True},
            min_size=min_size,
            max_size=max_size,
            open=False,
            configure=self.after_connect_func(),
            timeout=PATIENCE_S,
        )

    def after_connect_func(self) -> Callable[[psycopg.Connection[Any]], None]:
        def after_connect(connection: psycopg.Connection[Any]) -> None:
            connection.execute(_DURABLE)

        return after_connect


class _TenantConnection(psycopg.Connection[Any]):
    """A connection in the tenant role, once it was used.

    Attributes:
        tenant: whose rows it sees; "" while that is not known.
    """

    tenant = ""


class _TenantConnections(_Connections):
    """Connections that see what belongs to one organisation; never used for anything else, so that none can be left in the wrong role."""

    @contextmanager
    def get_connection(self) -> Iterator[psycopg.Connection[Any]]:
        with super().get_connection() as given:
            connection = cast("_TenantConnection", given)
            wanted, known = tenant(), connection.tenant
            connection.tenant = ""  # whatever goes wrong from here on, it is set again
            if known != wanted:
                connection.execute(_ENTER, (TENANT_ROLE, wanted))
            yield connection
            connection.tenant = wanted


class PostgresDatabase(_Reads, _Connections):
    """A PostgreSQL database, reached by a DSN (several hosts are allowed; libpq picks the primary)."""

    def __init__(self, url: str, *, pool_size: int = 2, max_size: int = 20) -> None:
        self.url = url
        super().__init__(url, psycopg.Connection, pool_size, max_size)
        self._of_tenants = _TenantConnections(url, _TenantConnection, 0, max_size)

    @contextmanager
    def get_connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection that sees everything or, for whoever works for an organisation, what belongs to that."""
        with self._of_tenants.get_connection() if tenant() else super().get_connection() as connection:
            yield connection

    def close(self) -> None:
        super().close()
        if hasattr(self, "_of_tenants"):  # the frame closes what was never opened, too
            self._of_tenants.close()

    # --- schema and rights

    def ensure_schema(self) -> None:
        """Make the tables on first use, if the connected role may; otherwise the owner runs `db migrate` first.

        Raises:
            ConfigurationError: they are of an older version, or the connected role may not work for one organisation.
        """
        if not self.read("SELECT to_regclass('stored_events')")[0][0]:
            self.migrate()
        if not self.read("SELECT to_regclass('leaf_hashes')")[0][0]:
            msg = "the tables are of an older version; run `delivery-ledger db migrate` as their owner"
            raise ConfigurationError(msg)
        ((login, is_member),) = self.read("SELECT session_user, pg_has_role(session_user, ?, 'MEMBER')", (TENANT_ROLE,))
        if not is_member:
            line = SQL("GRANT {} TO {}").format(Identifier(TENANT_ROLE), Identifier(login))
            msg = f"this login may not work for one organisation; an administrator has to run: {line.as_string()}"
            raise ConfigurationError(msg)

    def migrate(self, service: str = SERVICE_ROLE, privacy: str = PRIVACY_ROLE, grant_to: str = "") -> None:
        """Create roles, tables, guards and grants; the connected role becomes the owner. Repeatable.

        Args:
            grant_to: a login role that shall be a member of the service role.

        Raises:
            ConfigurationError: the connected role may not do this, or the server or a login is not fit.
        """
        with self._migrating() as connection:
            check_server(connection)
            for role in (service, privacy, TENANT_ROLE):
                _ensure_role(connection, role)
            with connection.transaction():
                for statement in _statements(service, privacy):
                    connection.execute(statement)
            _grant(connection, TENANT_ROLE, service)
            with suppress(ConfigurationError):  # who only migrates never works for one organisation
                _grant(connection, TENANT_ROLE, connection.info.user)
            if grant_to:
                _grant(connection, service, grant_to)

    @contextmanager
    def _migrating(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(_conninfo(self.url), autocommit=True) as connection:
                user = connection.info.user
                yield connection
        except errors.InsufficientPrivilege as error:
            msg = (
                f"PostgreSQL refused role {user!r} to migrate: {error.diag.message_primary}. "
                "Run `delivery-ledger db migrate` with the URL of the role that owns the tables, or at first of one that may create "
                f'roles and tables: ALTER ROLE "{user}" CREATEROLE; GRANT CREATE ON DATABASE … and ON SCHEMA {LOG_SCHEMA} TO "{user}"'
            )
            raise ConfigurationError(msg) from error
        except psycopg.OperationalError as error:
            msg = f"PostgreSQL cannot be reached (LEDGER_DATABASE_URL): {error}"
            raise ConfigurationError(msg) from error

    def unsafe_rights(self) -> list[str]:
        """What the connected role could do to the past, and what opens the wall between organisations; empty for one that may serve."""
        return [str(line) for (line,) in self.read(RIGHTS)]

    # --- reading and writing

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.get_connection() as connection, connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            cursor.execute(translate(sql), tuple(params))
            return cursor.fetchall()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction that commits at the end, or not at all."""
        with (
            self.get_connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            transaction = Transaction(cursor)
            try:
                yield transaction
            finally:
                transaction.end()

    def settle(self) -> None:
        """Nothing: when pages and log are written over is the server's own business; until then they hold what a backup holds."""

    @contextmanager
    def alone(self, lock: int, *, waits: bool = True) -> Iterator[bool]:
        """Something that one process at a time does; the others wait or, if they do not want to, are told that they are not alone.

        Raises:
            PersistenceError: the connection broke that held the lock, so somebody else may be doing it too.
        """
        with super().get_connection() as connection:
            taken = (
                "SELECT pg_advisory_lock(%s, 0) IS NOT NULL AS taken"
                if waits
                else "SELECT pg_try_advisory_lock(%s, 0) AS taken"
            )
            row = connection.execute(taken, (lock,)).fetchone()
            is_alone = bool(row and row["taken"])
            try:
                yield is_alone
            finally:
                if is_alone:
                    connection.execute("SELECT pg_advisory_unlock(%s, 0)", (lock,))

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Reads that all see the database as it was at the first of them; for one thread."""
        with self.writing() as transaction:
            transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            transaction.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{SNAPSHOT_IDLE}'")
            yield transaction


def check_server(connection: psycopg.Connection[Any]) -> None:
    """Refuse a server that cannot hold a ledger.

    Raises:
        ConfigurationError: it is too old, or its encoding cannot hold every text.
    """
    if connection.info.server_version < OLDEST:
        msg = f"PostgreSQL {connection.info.parameter_status('server_version')} is too old; 15 or newer is needed"
        raise ConfigurationError(msg)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = f"the database is encoded in {encoding}; make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        raise ConfigurationError(msg)


def _ensure_role(connection: psycopg.Connection[Any], role: str) -> None:
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        # Roles belong to the whole server: the owner of another database may be making it now.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            connection.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(role)))


def _statements(service: str, privacy: str) -> list[Any]:
    names = {
        "service": service,
        "privacy": privacy,
        "tenant": TENANT_ROLE,
        "reader": READER_SCHEMA,
        "schema": LOG_SCHEMA,
    }
    quoted = {name: Identifier(value).as_string() for name, value in names.items()}
    return re.sub(r"\{(\w+)\}", lambda found: quoted[found[1]], SCHEMA).split("--;\n")


def _grant(connection: psycopg.Connection[Any], role: str, login: str) -> None:
    line = SQL("GRANT {} TO {}").format(Identifier(role), Identifier(login))
    try:
        connection.execute(line)
    except errors.UndefinedObject as error:
        msg = f"there is no role {login!r}; make it with: CREATE ROLE {Identifier(login).as_string()} LOGIN PASSWORD …"
        raise ConfigurationError(msg) from error
    except errors.InsufficientPrivilege as error:
        msg = f"an administrator has to run: {line.as_string()}"
        raise ConfigurationError(msg) from error
