"""Fixtures for all tests: fresh databases of both kinds, and the account of what ran on which.

`database` runs a test on SQLite and on PostgreSQL; `sqlite_database` and `postgresql_database` are for what concerns
one of them. One PostgreSQL server serves a whole run: it starts with the first test that needs it, or with the
worker processes. The summary says what ran where. A skip that LISTED_SKIPS does not explain fails the run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import pytest

from adapters import reaching
from ops.postgres import Server, Source, private_server
from tests.postgres import SETTINGS, Database, Databases, prepare
from tests.world import world

LISTED_SKIPS: dict[str, str] = {
    "openssl is not installed": "seals and time-stamps are checked with it in CI",
    "poppler-utils is not installed": "reports are read back with it in CI",
    "Dovecot (Debian: dovecot-imapd) is not installed": "CI reads mailboxes on it",
    "Go with golang.org/x/mod (Debian: golang-go, golang-golang-x-mod-dev) is not installed": "CI checks our heads and proofs with it",
}
"""Reason of a skip, word for word -> why the rule is checked all the same."""

HERE = {"LEDGER_ALLOW_NETWORKS": '["127.0.0.0/8", "::1/128"]'}
"""Settings by which a ledger may call this machine, where all that tests talk to is."""

os.environ |= HERE

NO_SKIPS = "LEDGER_NO_SKIPS" in os.environ
"""Set in CI, where every tool is there: then any skip fails the run."""

VAR = Path(__file__).parents[1] / "var"
SERVER = pytest.StashKey[Server]()

# Two busy cores make any wall-clock limit a matter of luck. Hypothesis itself sees that it runs in CI and then tries
# the same examples each time; elsewhere it goes on looking.
hypothesis.settings.register_profile("tests", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("tests")


def _opened_once(url: str) -> None:
    with TemporaryDirectory() as folder, world(url, Path(folder)):
        pass


def _server(config: pytest.Config) -> Server:
    """The server of this run, started by whoever asks first in the process that outlives all tests."""
    if SERVER not in config.stash:
        source = Source(os.environ.get("LEDGER_TEST_POSTGRES", Source.INSTALLED))
        running = ExitStack()
        config.add_cleanup(running.close)
        config.stash[SERVER] = running.enter_context(private_server(VAR, SETTINGS, source))
        prepare(config.stash[SERVER], _opened_once)
    return config.stash[SERVER]


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    node.workerinput["postgresql"] = tuple(_server(node.config))


@pytest.fixture(scope="session", autouse=True)
def _on_this_machine() -> Iterator[None]:
    with reaching.allowing(reaching.LOOPBACK):
        yield


@pytest.fixture(scope="session")
def _databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    given = getattr(request.config, "workerinput", {})
    server = Server(*given["postgresql"]) if given else _server(request.config)
    with closing(Databases(server, f"test_{given.get('workerid', 'main')}")) as databases:
        yield databases


@pytest.fixture
def sqlite_database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A SQLite file that does not exist yet."""
    request.node.user_properties.append(("database", "sqlite"))
    return Database("sqlite", f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.fixture
def postgresql_database(request: pytest.FixtureRequest, _databases: Databases) -> Iterator[Database]:
    """A new PostgreSQL database with the tables of a ledger."""
    request.node.user_properties.append(("database", "postgresql"))
    with _databases.new() as database:
        yield database


@pytest.fixture
def empty_postgresql_database(request: pytest.FixtureRequest, _databases: Databases) -> Iterator[Database]:
    """A new PostgreSQL database with nothing in it."""
    request.node.user_properties.append(("database", "postgresql"))
    with _databases.new(empty=True) as database:
        yield database


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A new database; the test runs once on each kind."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


def _ran(reporter: Any) -> Counter[str]:
    """How many tests ran on each kind of database."""
    outcomes = ("passed", "failed", "xfailed", "xpassed")
    reports = [r for outcome in outcomes for r in reporter.stats.get(outcome, ()) if getattr(r, "when", "") == "call"]
    return Counter(value for r in reports for name, value in r.user_properties if name == "database")


def _skipped(reporter: Any) -> Counter[str]:
    """How many tests, or whole modules, were skipped for each reason."""
    return Counter(str(r.longrepr[2]).removeprefix("Skipped: ") for r in reporter.stats.get("skipped", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for a skip that is not listed; worker processes have no reporter and leave it to their parent."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        reporter is not None
        and session.exitstatus == pytest.ExitCode.OK
        and _skipped(reporter).keys() - (LISTED_SKIPS if not NO_SKIPS else {})
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    ran, skipped = _ran(terminalreporter), _skipped(terminalreporter)
    server = config.stash.get(SERVER, None)
    where = f" {server.version} ({server.origin})" if server else ""
    terminalreporter.section("databases and skips")
    terminalreporter.line(f"on SQLite: {ran['sqlite']}")
    terminalreporter.line(f"on PostgreSQL{where}: {ran['postgresql']}")
    terminalreporter.line(f"skipped: {skipped.total()}")
    for reason, count in sorted(skipped.items()):
        because = LISTED_SKIPS.get(reason, "NOT LISTED in tests/conftest.py, so this run fails")
        terminalreporter.line(f"  {count}: {reason} ({because})")
