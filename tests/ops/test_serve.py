"""`delivery-ledger serve` as a process of its own: it starts, serves, stops, and refuses what could change the past."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from adapters.providers.pec_mailbox.sandbox import authority
from ledger import postgresql
from ledger.database import PostgresDatabase
from ledger.errors import ConfigurationError, UnsafeDatabaseError
from ops import serve as serving
from ops.settings import Secret, Settings, load
from ops.system import opened
from tests.ops.test_safety import pair
from tests.postgres import Database

ROOT = Path(__file__).parents[2]
SEND = {"account": "sms", "recipients": [{"kind": "phone", "address": "0612340001"}]}


def settings_of(url: str, folder: Path) -> Settings:
    return load(
        database_url=url,
        key_folder=folder / "keys",
        artifact_folder=folder / "artifacts",
        head_folder=folder / "heads",
        port=0,
    )


class Serving:
    """A running server and what it logs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.printed = b""
        self._listening: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.listening()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == "listening":
                self._listening.put(self.lines[-1]["url"])

    def listening(self) -> str:
        """Where the next process listens, once it does."""
        return self._listening.get(timeout=60)

    def ended(self) -> bool:
        """Whether nobody writes to its log any more, so that no process of it is left."""
        self._reader.join(60)
        return not self._reader.is_alive()

    def call(self, path: str, key: str = "", body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-Api-Key": key}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310  our own server
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  likewise
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._reader.join(60)
        if self.process.stdout:
            self.printed = self.process.stdout.read()
        return status


@contextmanager
def served(settings: Settings, *options: str, before: str = "") -> Iterator[Serving]:
    """A server in a process of its own, killed at the end if it still runs.

    Args:
        before: statements of the process, before it starts.
    """
    names = ("database_url", "key_folder", "artifact_folder", "head_folder", "port", "tls_cert_file", "tls_key_file")
    set_ = {name: getattr(settings, name) for name in names}
    given = {f"LEDGER_{name.upper()}": str(value) for name, value in set_.items() if value is not None}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LEDGER_")} | given
    process = subprocess.Popen(
        [sys.executable, "-c", f"{before}\nfrom ops.cli import main; main({['serve', *options]})"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


@pytest.fixture
def service_url(empty_postgresql_database: Database) -> Iterator[str]:
    """The database of the test as a login that is a member of the service role and owns nothing."""
    parts = conninfo_to_dict(empty_postgresql_database.url)
    name = f"login_{parts['dbname']}"
    with psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as superuser:
        superuser.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        with closing(PostgresDatabase(empty_postgresql_database.url)) as owner:
            owner.migrate(grant_to=name)
        yield f"postgresql://{name}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"
        superuser.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        superuser.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A database that may be served, of each kind."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_database").url)
    return str(request.getfixturevalue("service_url"))


def test_server_starts_serves_and_stops_when_it_is_told(url: str, tmp_path: Path) -> None:
    """What was answered 2xx is there after the stop, signed for, and every line of the log is JSON."""
    settings = settings_of(url, tmp_path)
    with opened(settings) as system:
        _, key = system.api_keys.create(settings.tenant, ["ingest", "read"])
        system.accounts.add(settings.tenant, "sms", "kpn_sms")
    with served(settings) as server:
        status, body = server.call("/readyz")
        assert (200, True, []) == (status, body["ready"], body["unsafe_rights"])
        status, body = server.call("/v1/messages", key, SEND)
        assert 201 == status
        assert 0 == server.stop()
        assert ["listening", "stopping", "stopped"] == [
            line["event"] for line in server.lines if line["logger"] == "delivery_ledger.serve"
        ]
        assert {"/readyz", "/v1/messages"} == {line["route"] for line in server.lines if line["event"] == "request"}
    with opened(settings) as system:
        system.runner.run()
        assert 1 == system.queries.message(settings.tenant, body["message"]).recipients


def test_stop_waits_for_what_was_begun(sqlite_database: Database, tmp_path: Path) -> None:
    """A request that is being answered when the signal comes is answered, and durable."""
    settings = settings_of(sqlite_database.url, tmp_path)
    with opened(settings) as system:
        _, key = system.api_keys.create(settings.tenant, ["ingest", "read"])
        system.accounts.add(settings.tenant, "mail", "kpn_registered_email")
    send = {"account": "mail", "recipients": [{"kind": "email", "address": f"r{n}@example.org"} for n in range(20_000)]}
    with served(settings) as server:
        answers: list[tuple[int, Any]] = []
        asking = threading.Thread(target=lambda: answers.append(server.call("/v1/messages", key, send)))
        asking.start()
        _wait_until_working(server)
        assert 0 == server.stop()
        asking.join(60)
        assert [201] == [status for status, _ in answers]
    with opened(settings) as system:
        declared = [e for e in system.ledger.stream(answers[0][1]["message"]) if e.type == "recipients.declared"]
        assert 20_000 == sum(e.fields["count"] for e in declared)


def _wait_until_working(server: Serving) -> None:
    """Until the server says that a request besides this one is under way."""
    for _ in range(10_000):
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as answer:  # noqa: S310  our own server
            under_way = [line for line in answer.read().decode().splitlines() if "_under_way " in line]
        if float(under_way[-1].split()[-1]) > 1:
            return
    pytest.fail("the request was never seen")


def test_role_that_could_change_the_past_is_refused_with_the_repair(
    empty_postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the tables may not serve; the text says what to do."""
    monkeypatch.setattr(serving, "log_to_stderr", lambda: None)  # the logs of this process are pytest's
    with pytest.raises(UnsafeDatabaseError, match=r"owns table .*delivery-ledger db migrate --grant-to ROLE"):
        serving.serve(settings_of(empty_postgresql_database.url, tmp_path))


def test_role_that_is_refused_has_begun_no_log_and_made_no_key(
    empty_postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before anything is written, in the database or beside it."""
    monkeypatch.setattr(serving, "log_to_stderr", lambda: None)
    with pytest.raises(UnsafeDatabaseError):
        serving.serve(settings_of(empty_postgresql_database.url, tmp_path))
    with closing(PostgresDatabase(empty_postgresql_database.url)) as database:
        rows = [database.read(f"SELECT count(*) FROM {table}")[0][0] for table in ("stored_events", "heads")]
    assert ([0, 0], []) == (rows, list(tmp_path.iterdir()))


def test_login_that_is_named_for_destroying_and_may_not_is_refused(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first erasure would be said and never carried out."""
    monkeypatch.setattr(serving, "log_to_stderr", lambda: None)
    settings = replace(settings_of(service_url, tmp_path), privacy_database_url=Secret(service_url))
    with pytest.raises(ConfigurationError, match="privacy"):
        serving.serve(settings)


def test_login_that_is_named_for_destroying_and_does_not_exist_is_told_by_its_setting(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two logins are set; which of them is wrong is said."""
    monkeypatch.setattr(serving, "log_to_stderr", lambda: None)
    nobody = service_url.replace("postgresql://login_", "postgresql://nobody_")
    settings = replace(settings_of(service_url, tmp_path), privacy_database_url=Secret(nobody))
    monkeypatch.setattr(postgresql, "PATIENCE_S", 0.5)
    with pytest.raises(ConfigurationError, match="LEDGER_PRIVACY_DATABASE_URL"):
        serving.serve(settings)


def test_a_database_that_does_not_answer_holds_up_the_end_no_longer_than_it_may(
    empty_postgresql_database: Database, service_url: str, tmp_path: Path
) -> None:
    """Everything that was acknowledged is in it; the last words say that something was not waited for."""
    settings = settings_of(service_url, tmp_path)
    with opened(settings) as system:
        _, key = system.api_keys.create(settings.tenant, ["ingest"])
        system.accounts.add(settings.tenant, "sms", "kpn_sms")
    with (
        psycopg.connect(empty_postgresql_database.superuser_url) as holds,
        served(settings, before="from ops import serve; serve.END_S = 0.5") as server,
        ThreadPoolExecutor(1) as caller,
    ):
        holds.execute("LOCK TABLE stored_events")
        call = caller.submit(server.call, "/v1/messages", key, SEND)
        while not holds.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
            pass
        assert 1 == server.stop()
        assert isinstance(call.exception(), OSError)
    assert "did not stop within" in server.lines[-1]["event"]


def test_who_looked_outlives_a_server_that_is_killed(sqlite_database: Database, tmp_path: Path) -> None:
    """It is written within seconds of the first look, not when the quarter of an hour is over or the server stops."""
    settings = settings_of(sqlite_database.url, tmp_path)
    with opened(settings) as system:
        made, key = system.api_keys.create(settings.tenant, ["ingest", "read"])
        system.accounts.add(settings.tenant, "sms", "kpn_sms")
    with served(settings) as server:
        message = server.call("/v1/messages", key, SEND)[1]["message"]
        position = server.call("/v1/events", key)[1]["events"][-1]["position"]
        for _ in range(3):
            assert 200 == server.call(f"/v1/messages/{message}?min_position={position}", key)[0]
        while not any('"access.status"' in e["leaf"] for e in server.call("/v1/events", key)[1]["events"]):
            pass  # nobody waits for it but this test
        server.process.kill()
        server.process.wait()
    with opened(settings) as system:
        looked = [e.fields for e in system.ledger.feed(0, 1_000) if e.type == "access.recorded"]
    assert [("access.status", [message], made.api_key_id)] == [
        (fields["rule"], fields["streams"], fields["actor"]) for fields in looked if "streams" in fields
    ]


# --- TLS


@contextmanager
def shaken(
    port: int, trusted: bytes | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Iterator[ssl.SSLSocket]:
    """A connection of a caller that trusts this root and speaks TLS up to a version, however old."""
    context = ssl.create_default_context(cadata=trusted.decode() if trusted else None)
    context.minimum_version = min(newest, ssl.TLSVersion.TLSv1_2)
    context.maximum_version = newest
    if newest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the server who refuses
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        yield secured


def test_the_api_is_reached_over_tls_1_2_and_newer_only(sqlite_database: Database, tmp_path: Path) -> None:
    """A real handshake: the certificate is checked, an older version is refused by the server, plain HTTP gets no answer."""
    cert, key = pair(tmp_path)
    root = authority.root(authority.ROOT).pem()
    settings = replace(settings_of(sqlite_database.url, tmp_path), tls_cert_file=cert, tls_key_file=key)
    with served(settings) as server:
        assert server.url.startswith("https://")
        port = int(server.url.rpartition(":")[2])
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            with shaken(port, root, version) as secured:
                secured.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda: secured.recv(65_536), b""))
                assert (name, True) == (secured.version(), answer.startswith(b"HTTP/1.1 200"))
                assert b"Strict-Transport-Security: " in answer
        for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
                with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|UNEXPECTED_EOF"), shaken(port, root, old):
                    pass
        with pytest.raises(ssl.SSLCertVerificationError), shaken(port, None):
            pass
        with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not b"".join(iter(lambda: _received(plain), b"")).startswith(b"HTTP/")
        assert 0 == server.stop()


def _received(plain: socket.socket) -> bytes:
    try:
        return plain.recv(65_536)
    except ConnectionResetError:
        return b""
