"""The private server: who it is for, and that nothing of it stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from ops.postgres import PostgresError, private_server
from tests.postgres import Database

CALLER = """
import sys
from pathlib import Path
from ops.postgres import private_server
with private_server(Path(sys.argv[1])) as server:
    print(server.url("postgres"), server.host, flush=True)
    sys.stdin.read()
"""


def test_every_test_gets_a_database_of_its_own(postgresql_database: Database) -> None:
    """What a test leaves behind, no other test sees: the tables hold nothing, not even which keys they were begun with."""
    with psycopg.connect(postgresql_database.url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert ("stored_events",) in tables
        for (name,) in tables:
            assert [] == connection.execute(SQL("SELECT 1 FROM {}").format(Identifier(name))).fetchall(), name


def test_who_asks_for_an_empty_database_gets_one(empty_postgresql_database: Database) -> None:
    """Else nobody would see what is made on first use."""
    with psycopg.connect(empty_postgresql_database.url) as connection:
        assert (0,) == connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()


def test_owner_owns_its_database_but_is_no_superuser(postgresql_database: Database) -> None:
    """Tests run with the rights that an operator would give, not with those that hide a missing grant."""
    question = "SELECT rolsuper, pg_get_userbyid(datdba) = rolname FROM pg_roles, pg_database"
    ours = " WHERE rolname = current_user AND datname = current_database()"
    with psycopg.connect(postgresql_database.url) as connection:
        assert (False, True) == connection.execute(question + ours).fetchone()
    with psycopg.connect(postgresql_database.superuser_url) as connection:
        assert (True, False) == connection.execute(question + ours).fetchone()


def test_server_listens_on_no_network_address(postgresql_database: Database) -> None:
    """Nobody reaches the server but over a socket in a folder that only its account may enter."""
    with psycopg.connect(postgresql_database.superuser_url) as connection:
        assert ("",) == connection.execute("SHOW listen_addresses").fetchone()
        folder = Path(connection.info.host)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow(reason="starts a second server")
def test_server_ends_when_its_caller_is_killed(tmp_path: Path) -> None:
    """However the caller dies, the server and its folder go with it."""
    command = [sys.executable, "-c", CALLER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as caller:
        assert caller.stdout
        assert caller.stderr
        url, home = caller.stdout.readline().split()
        psycopg.connect(url).close()
        assert Path(home).exists()
        caller.kill()
        assert caller.stderr.read() == ""  # ends when the last process that has it, the guard, has ended
    assert not Path(home).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """A refused setting ends in an error with PostgreSQL's own words."""
    with pytest.raises(PostgresError, match="port"), private_server(tmp_path, {"port": "no number"}):
        pass
