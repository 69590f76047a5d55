"""The wall between organisations: what marks an event as somebody's, who may pass, and what is said where it has a hole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from ledger.canonical import encode_checked
from ledger.database import PRIVACY_ROLE, SERVICE_ROLE, TENANT_ROLE, PostgresDatabase
from ledger.errors import ConfigurationError, InvalidEventError
from ledger.events import CLEAR, check_fields
from ledger.postgresql import RIGHTS, _statements
from ledger.tenants import working_for
from tests.ledger.kit import migrated
from tests.ledger.test_immutability import url_of
from tests.postgres import Database as Given

UNWALLED = """
    SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'delivery_read') AND NOT c.relrowsecurity
"""
"""Tables without row-level security."""

# --- the mark

names = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,62}", fullmatch=True)
codes = st.one_of(
    st.from_regex(r"[\x20-\x7e\u00a0-\u024f]{1,80}", fullmatch=True),
    names.map(lambda name: f'"tenant":"{name}"'),
    names.map(lambda name: f'x","tenant":"{name}","y":"'),
    names.map(lambda name: f'\\","tenant":"{name}'),
)
paths = st.one_of(st.from_regex(r"[a-z][a-z0-9_.]{0,79}", fullmatch=True), st.sampled_from(["tenant", "a.tenant"]))
digests = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True), st.just("b" * 43))


@given(
    names, names, codes, codes, st.dictionaries(paths, digests, min_size=1), st.dictionaries(names, st.integers(0, 9))
)
def test_an_event_bears_the_mark_of_its_tenant_and_no_other(  # noqa: PLR0917  each is something that may stand in an event
    tenant: str, other: str, code: str, reason: str, commit: dict[str, str], numbers: dict[str, int]
) -> None:
    """Whatever a provider says, however a field path is called: the text that tells rows apart stands in an event once, as its key."""
    fields: dict[str, Any] = {"code": code, "reason": reason, "commit": commit, "tenant": tenant}
    fields |= {"numbers": numbers} if numbers else {}
    assume(all(CLEAR[name](value) for name, value in fields.items()))
    leaf = encode_checked(fields)
    assert 1 == leaf.count(f'"tenant":"{tenant}"'.encode())
    assert (other == tenant) == (f'"tenant":"{other}"'.encode() in leaf)
    assert ("b" * 43 == tenant) == (f'"tenant":"{"b" * 43}"'.encode() in leaf)


def test_no_committed_field_is_called_as_the_mark() -> None:
    """Or its commitment, of 43 plain characters, could be somebody's name."""
    assert CLEAR["commit"]({"tenants": "b" * 43})
    assert not CLEAR["commit"]({"tenant": "b" * 43})
    with pytest.raises(InvalidEventError, match="commit"):
        check_fields({"commit": {"tenant": "b" * 43}})


# --- who may pass


@pytest.fixture
def login(empty_postgresql_database: Given) -> Iterator[str]:
    """A login that owns nothing and is a member of nothing."""
    name = f"{empty_postgresql_database.url.partition('@/')[2].partition('?')[0]}_walled"
    with psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        yield name
        admin.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        admin.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def test_a_login_of_the_service_works_for_one_organisation(empty_postgresql_database: Given, login: str) -> None:
    """It owns nothing; by its membership it becomes the tenant role, and back."""
    with migrated(empty_postgresql_database) as owner:
        owner.migrate(grant_to=login)  # type: ignore[call-arg]  # PostgreSQL's
    with contextlib.closing(PostgresDatabase(url_of(empty_postgresql_database, login))) as database:
        database.ensure_schema()
        with working_for("acme"):
            assert [(login, TENANT_ROLE)] == database.read("SELECT session_user, current_user")
        assert [(login, login)] == database.read("SELECT session_user, current_user")


def test_a_superuser_is_walled_too(empty_postgresql_database: Given) -> None:
    """What it does for one organisation it does in the tenant role."""
    with migrated(empty_postgresql_database):
        pass
    with contextlib.closing(PostgresDatabase(empty_postgresql_database.superuser_url)) as database:
        with database.writing() as cursor:
            cursor.execute("INSERT INTO accounts VALUES ('acme', 'sms', 'kpn_sms', 0, '')")
        with working_for("other"):
            assert [] == database.read("SELECT tenant FROM accounts")
        with working_for("acme"):
            assert [("acme",)] == database.read("SELECT tenant FROM accounts")


def test_a_login_that_may_not_become_the_tenant_role_is_told_the_line_that_repairs_it(
    empty_postgresql_database: Given, login: str
) -> None:
    """At the start, not at the first request."""
    with (
        migrated(empty_postgresql_database),
        psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as admin,
    ):
        admin.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(Identifier(login)))
    with (
        contextlib.closing(PostgresDatabase(url_of(empty_postgresql_database, login))) as database,
        pytest.raises(ConfigurationError, match=f'GRANT "{TENANT_ROLE}" TO "{login}"'),
    ):
        database.ensure_schema()


# --- migration


def test_an_older_database_is_brought_up_to_it_and_twice_is_once(empty_postgresql_database: Given) -> None:
    """Before, whoever serves is told to migrate; afterwards every table is walled, and what was there is still there."""
    statements = _statements(SERVICE_ROLE, PRIVACY_ROLE)
    wall = next(number for number, each in enumerate(statements) if "own_tenant" in each)
    with psycopg.connect(empty_postgresql_database.url, autocommit=True) as owner:
        for statement in statements[:wall]:
            owner.execute(statement)
        owner.execute("INSERT INTO accounts VALUES ('acme', 'sms', 'kpn_sms', 0, '')")
        assert owner.execute(UNWALLED).fetchall()
    with contextlib.closing(PostgresDatabase(empty_postgresql_database.url)) as database:
        with pytest.raises(ConfigurationError, match="db migrate"):
            database.ensure_schema()
        for _ in range(2):
            database.migrate()
            database.ensure_schema()
            assert [] == database.read(UNWALLED)
            for whose in ("acme", "other"):
                with working_for(whose):
                    assert [("sms",)] * (whose == "acme") == database.read("SELECT account FROM accounts")


# --- what has a hole


@pytest.mark.parametrize(
    ("hole", "words"),
    [
        (f"ALTER ROLE {TENANT_ROLE} BYPASSRLS", "sees the rows of every organisation"),
        (f"GRANT {PRIVACY_ROLE} TO {TENANT_ROLE}", f"is a member of {PRIVACY_ROLE}"),
        ("ALTER TABLE lookups DISABLE ROW LEVEL SECURITY", "may read table lookups, which has no row-level security"),
        (
            f"CREATE TABLE delivery_read.mine (id text); GRANT SELECT (id) ON delivery_read.mine TO {TENANT_ROLE}",
            "mine, which has no",
        ),
    ],
)
def test_a_hole_in_the_wall_is_named_and_serve_refuses_it(
    empty_postgresql_database: Given, hole: str, words: str
) -> None:
    """Each single one; without one nothing is said. In a transaction that never ends well: roles belong to the whole server."""
    with migrated(empty_postgresql_database), psycopg.connect(empty_postgresql_database.superuser_url) as admin:
        assert [("postgres is a superuser",)] == admin.execute(RIGHTS).fetchall()
        admin.execute(hole)
        assert words in "\n".join(line for (line,) in admin.execute(RIGHTS).fetchall())
        admin.rollback()
