"""The tables of read models: made, walled between organisations, compared row by row, swapped and dropped.

Those that are built beside the live ones have a name that ends with `SUFFIX`. Their further indexes are made when they are full.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.database import TENANT_ROLE, Cursor, Reads
from ledger.errors import LedgerError
from projections.models import ReadModel, Table

SUFFIX = "__new"
UNAPPLIED = Table("model text NOT NULL, position bigint NOT NULL, why text NOT NULL", "model, position", whose="")
WALLS = {
    "tenant": "tenant = (SELECT own_tenant())",
    "stream": "EXISTS (SELECT FROM stored_events AS e WHERE e.originator_id = stream AND e.originator_version = 1 OFFSET 0)",
    "batch": "EXISTS (SELECT FROM stored_events AS e WHERE e.originator_id = batch AND e.originator_version = 1 OFFSET 0)",
    "": "true",
}
"""Column -> what somebody sees who works for one tenant, on PostgreSQL (ledger/schema/postgresql.sql); "": nobody's, so everybody's."""

_BUILDERS = """
    SELECT grantee::regrole::text FROM pg_namespace, aclexplode(nspacl)
    WHERE nspname = 'delivery_read' AND privilege_type = 'CREATE' AND grantee NOT IN (0, nspowner) AND pg_has_role(grantee, 'MEMBER')
"""
"""The service's role, for whoever is in it: what one login builds, the next one goes on with."""


class OvertakenError(LedgerError):
    """Tables beside the live ones are not those that this process made: it lost its lock, and another began."""


def hold(cursor: Cursor, made: Mapping[str, int]) -> None:
    """Let nobody make tables anew while this transaction writes to them.

    Args:
        made: table -> its number when it was made.

    Raises:
        OvertakenError: somebody else did.
    """
    if made:
        _require(cursor, made)  # another process may be done already
        cursor.execute(f"LOCK TABLE {', '.join(made)} IN ROW EXCLUSIVE MODE")
        _require(cursor, made)


def _require(cursor: Cursor, made: Mapping[str, int]) -> None:
    tables = "unnest(?::text[], ?::bigint[]) AS made (name, number)"
    sql = f"SELECT name FROM {tables} WHERE to_regclass(name)::oid::bigint IS DISTINCT FROM number"
    if others := [str(name) for (name,) in cursor.read(sql, (list(made), list(made.values())))]:
        msg = f"another process builds {', '.join(others)} again, or did; this one stops"
        raise OvertakenError(msg)


def _number(cursor: Cursor, table: str) -> int:
    return int(cursor.read("SELECT ?::regclass::oid::bigint", (table,))[0][0])


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of read models in one database.

    Attributes:
        schema: that they stand in, with a dot behind it; "" where there are none.
    """

    schema: str

    def name(self, table: str, suffix: str = "") -> str:
        return f"{self.schema}read_{table}{suffix}"

    def create(self, cursor: Cursor, name: str, table: Table) -> None:
        """Make a live table if it is not there."""
        if self._exists(cursor, f"read_{name}"):
            self._wall(cursor, f"read_{name}", table)
            return
        self._create(cursor, name, table, "")
        self.index(cursor, name, table, "")

    def create_new(self, cursor: Cursor, model: ReadModel) -> dict[str, int]:
        """Make a model's tables beside the live ones, in the place of what an earlier attempt left.

        Returns:
            What `hold` needs; nothing on SQLite, where only a process that ends loses its lock.
        """
        for name, table in model.tables.items():
            cursor.execute(f"DROP TABLE IF EXISTS {self.name(name, SUFFIX)}")
            self._create(cursor, name, table, SUFFIX)
        cursor.execute(f"DELETE FROM {self.name('unapplied')} WHERE model = ?", (model.name + SUFFIX,))
        names = [self.name(name, SUFFIX) for name in model.tables] if self.schema else []
        return {name: _number(cursor, name) for name in names}

    def _create(self, cursor: Cursor, name: str, table: Table, suffix: str) -> None:
        blob = "bytea" if self.schema else "BLOB"
        columns = table.columns.replace("bytes NOT NULL", f"{blob} NOT NULL")
        # In a table without rowids a row longer than a quarter of a page takes a further page.
        rowid = "" if self.schema or blob in columns else " WITHOUT ROWID"
        cursor.execute(f"CREATE TABLE {self.name(name, suffix)} ({columns}, PRIMARY KEY ({table.key})){rowid}")
        self._wall(cursor, f"read_{name}{suffix}", table)

    def index(self, cursor: Cursor, name: str, table: Table, suffix: str) -> None:
        """Make the further indexes of a table."""
        for index in table.indexes:
            indexed, _, where = index.partition(" WHERE ")
            sql = f"CREATE INDEX read_{name}_{secrets.token_hex(4)} ON {self.name(name, suffix)} ({indexed})"
            cursor.execute(sql + (f" WHERE {where}" if where else ""))

    def _wall(self, cursor: Cursor, full: str, table: Table) -> None:
        """Let whoever works for one tenant see that tenant's rows of a table."""
        if not self.schema or cursor.read("SELECT 1 FROM pg_policies WHERE tablename = ?", (full,)):
            return
        name = self.schema + full
        cursor.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        cursor.execute(f"CREATE POLICY own ON {name} TO {TENANT_ROLE} USING ({WALLS[table.whose]})")
        cursor.execute(f"GRANT SELECT ON {name} TO {TENANT_ROLE}")
        for (role,) in cursor.read(_BUILDERS):
            cursor.execute(f"ALTER TABLE {name} OWNER TO {role}")

    def _exists(self, cursor: Cursor, full: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = ?"
        if self.schema:
            sql = "SELECT 1 FROM pg_tables WHERE schemaname = 'delivery_read' AND tablename = ?"
        return bool(cursor.read(sql, (full,)))

    def swap(self, cursor: Cursor, model: ReadModel) -> None:
        """Put what was built beside in the place of the live tables."""
        for name in model.tables:
            cursor.execute(f"DROP TABLE IF EXISTS {self.name(name)}")
            cursor.execute(f"ALTER TABLE {self.name(name, SUFFIX)} RENAME TO read_{name}")
        unapplied = self.name("unapplied")
        cursor.execute(f"DELETE FROM {unapplied} WHERE model = ?", (model.name,))
        cursor.execute(f"UPDATE {unapplied} SET model = ? WHERE model = ?", (model.name, model.name + SUFFIX))

    def differences(self, reads: Reads, model: ReadModel) -> dict[str, int]:
        """Table -> rows that are in one only, the live one or the one beside it; a row that was changed is two."""
        compared = {name: table for name, table in model.tables.items() if not table.may_linger}
        return {name: self._differences(reads, name, table) for name, table in compared.items()}

    def _differences(self, reads: Reads, name: str, table: Table) -> int:
        """Both are read once, in the order of their keys."""
        columns = [column.split()[0] for column in table.columns.split(", ")]
        live, new = self.name(name), self.name(name, SUFFIX)
        rows = ", ".join(columns)
        # SQLite merges for EXCEPT and looks each row up for a join; PostgreSQL the other way round.
        sql = (
            f"SELECT 2 * count(*) + (SELECT count(*) FROM {new}) - (SELECT count(*) FROM {live}) "
            f"FROM (SELECT {rows} FROM {live} EXCEPT SELECT {rows} FROM {new})"
        )
        if self.schema:
            reads.read("SELECT set_config('enable_hashjoin', 'off', true)")  # it would write both to disk first
            keys = table.key.split(", ")
            same = " AND ".join(f"a.{key} = b.{key}" for key in keys)
            differs = " OR ".join(f"a.{column} IS DISTINCT FROM b.{column}" for column in columns)
            sql = (
                f"SELECT coalesce(sum(CASE WHEN a.{keys[0]} IS NULL OR b.{keys[0]} IS NULL THEN 1 ELSE 2 END), 0) "
                f"FROM {live} AS a FULL JOIN {new} AS b ON {same} WHERE {differs}"
            )
        return int(reads.read(sql)[0][0])
