"""Whether the database still refuses to change the past: its triggers, their functions and the rights on its tables, as they were made.

A guard that is missing proves no change. It says that from then on one could have been made without an error, and only the tree would
show it.
"""

from __future__ import annotations

import re

from ledger import postgresql, sqlite
from ledger.postgresql import LOG_SCHEMA, PostgresDatabase
from ledger.sqlite import LOG_TABLES, SQLiteDatabase

_TRIGGER = re.compile(r"CREATE TRIGGER IF NOT EXISTS ((\w+) .*)", re.DOTALL)
_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION (\w+)\(.*?AS \$\$(.*)\$\$", re.DOTALL)
GUARDS = frozenset({"refuse_change", "check_positions", "check_head"})
_TRIGGERS = {(table, "no_change", "refuse_change", "A") for table in LOG_TABLES} | {
    ("stored_events", "positions", "check_positions", "O"),
    ("heads", "head_ends", "check_head", "O"),
}


def missing(database: SQLiteDatabase | PostgresDatabase) -> list[str]:
    """Guards that are not as the schema made them, in words."""
    return _missing_sqlite(database) if isinstance(database, SQLiteDatabase) else _missing_postgresql(database)


def _missing_sqlite(database: SQLiteDatabase) -> list[str]:
    rows = database.read("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    found = {str(name): str(sql).removeprefix("CREATE TRIGGER ").strip() for name, sql in rows}
    expected = {made[2]: made[1].strip() for part in sqlite.SCHEMA.split("--;\n") if (made := _TRIGGER.search(part))}
    return [
        f"trigger {name} is {'another one' if name in found else 'missing'}"
        for name, text in sorted(expected.items())
        if found.get(name) != text
    ]


def _missing_postgresql(database: PostgresDatabase) -> list[str]:
    sql = (
        "SELECT relname, tgname, proname, tgenabled::text, prosrc FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid "
        "JOIN pg_proc AS p ON p.oid = tgfoid WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace"
    )
    rows = database.read(sql)
    found = {(table, name, function, enabled) for table, name, function, enabled, _ in rows}
    bodies = {function: body for _, _, function, _, body in rows}
    wrong = [
        f"trigger {name} on {table} is missing, disabled or another one"
        for table, name, function, enabled in sorted(_TRIGGERS)
        if not {(table, name, function, enabled), (table, name, function, "A")} & found
    ]
    for part in postgresql.SCHEMA.split("--;\n"):
        made = _FUNCTION.search(part)
        if (
            made
            and made[1] in GUARDS & bodies.keys()
            and bodies[made[1]] != made[2].replace("{schema}", f'"{LOG_SCHEMA}"')
        ):
            wrong.append(f"function {made[1]} is another one")
    return wrong + _granted(database)


def _granted(database: PostgresDatabase) -> list[str]:
    """Who besides the owner may change the log's tables."""
    sql = (
        "SELECT DISTINCT coalesce(rolname, 'PUBLIC'), relname, privilege_type FROM pg_class "
        "CROSS JOIN LATERAL aclexplode(relacl) AS acl LEFT JOIN pg_roles AS r ON r.oid = acl.grantee "
        "WHERE relnamespace = 'public'::regnamespace AND acl.grantee <> relowner "
        "AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER') ORDER BY 1, 2, 3"
    )
    return [f"{role} may {right} on {table}" for role, table, right in database.read(sql) if table in LOG_TABLES]
