"""No secret can be found in anything that the service wrote: not in the database, a file, a log, an answer, a pack or a process list.

A day is played with every provider's sandbox, then `serve` runs as a process of its own and is asked, rightly and wrongly, by people
who put their keys where they do not belong. Whatever secret there was is then looked for, as it is, in hex, in base64 and as it stands
in a URL.
"""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from adapters import reaching
from adapters.accounts import Accounts
from adapters.providers import registry
from adapters.providers.pec_mailbox.sandbox import authority
from ledger.database import connect
from ops import demolive
from ops.settings import load
from ops.system import opened
from tests.flow.planting import betrayed, joined, needles
from tests.ops.test_serve import Serving, served, service_url, settings_of

__all__ = ["service_url"]  # a fixture

TENANT = "default"
NAMES = frozenset({"email", "username", "client_id", "web_user"})
"""Credentials that say who we are: they are sealed, but the provider's own receipts may name them."""
SCOPES = ("ingest", "read", "evidence", "compliance", "operator")


class Secrets(dict[str, str | bytes]):
    """Name -> secret; what is short is found anywhere by accident and left out."""

    def add(self, name: str, value: str | bytes) -> None:
        if len(value) >= 8 and name.rpartition(".")[2] not in NAMES:
            self[name] = value


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_database").url)
    found = str(request.getfixturevalue("service_url"))
    return found.replace("@", ":planted-database-password@", 1)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Every credential and webhook secret that is given from now on, in this process."""
    found = Secrets()
    set_credentials, add_secret = Accounts.set_credentials, Accounts.add_secret

    def spied(self: Accounts, tenant: str, account: str, values: Mapping[str, str], actor: str = "") -> None:
        for name, value in values.items():
            found.add(f"{account}.{name}", value)
        set_credentials(self, tenant, account, values, actor)

    def spied_on(self: Accounts, tenant: str, account: str, name: str, secret: bytes, actor: str = "") -> None:  # noqa: PLR0917
        found.add(f"{account}.webhook.{name}", secret)
        add_secret(self, tenant, account, name, secret, actor)

    monkeypatch.setattr(Accounts, "set_credentials", spied)
    monkeypatch.setattr(Accounts, "add_secret", spied_on)
    return found


def test_secrets_are_nowhere_in_what_the_service_wrote(url: str, tmp_path: Path, secrets: Secrets) -> None:
    """And the search finds what is there: each key in the key folder, and what is no secret in each place that is searched."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.root(authority.ROOT).pem())
    settings = settings_of(url, tmp_path)
    live = load(**asdict(settings) | {"trust_roots": roots, "allow_networks": reaching.LOOPBACK})
    with opened(live) as system:
        deliveries = demolive.run(system, TENANT, roots, None)
        record, key = system.api_keys.create(TENANT, SCOPES, label="planted")
        secrets.add("api key", key.partition(".")[2])
    with served(settings) as server:
        talk = Talk(server, key, secrets)
        talk.everything(deliveries[0].message, record.api_key_id)
        processes = b"\n".join(_processes(server.process.pid))
        assert 0 == server.stop()
        logs = json.dumps(server.lines, ensure_ascii=False).encode() + server.printed
    _add_keys(secrets, settings.key_folder)
    wanted = needles(secrets)
    kept = b"\n".join(_files(settings.key_folder))
    assert {name for name in secrets if name.startswith("key file")} == betrayed(kept, wanted)
    written = {
        "database": _database(url),
        "files": b"\n".join(_files(tmp_path, without=settings.key_folder)),
        "logs": logs,
        "answers": b"\n".join(talk.answers),
        "processes": processes,
    }
    harmless = {"database": b"live-sms", "files": b"delivery-ledger", "logs": b"/v1/search", "answers": b"live-sms"}
    for where, what in written.items():
        assert harmless.get(where, b"LEDGER_") in what, where
        assert set() == betrayed(what, wanted), where


class Talk:
    """What people and systems ask of a server; every answer is kept, but for those that show a key this once."""

    def __init__(self, server: Serving, key: str, secrets: Secrets) -> None:
        self.server = server
        self.key = key
        self.secrets = secrets
        self.answers: list[bytes] = []
        self.status = 0

    def ask(self, where: str, body: Any = None, *, key: str = "", kept: bool = True) -> Any:
        """One request; JSON answers are read, whatever their status."""
        method, path = where.split(" ", 1)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-Api-Key": key or self.key}
        request = urllib.request.Request(self.server.url + path, data=data, headers=headers, method=method)  # noqa: S310  our own server
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  likewise
                status, head, said = answer.status, str(answer.headers).encode(), answer.read()
        except HTTPError as error:
            with error:
                status, head, said = error.code, str(error.headers).encode(), error.read()
        self.status = status
        if kept:
            self.answers += [head, *_inflated(said)]
        return json.loads(said) if b"json" in head and b"ndjson" not in head else None

    def everything(self, message: str, api_key_id: str) -> None:
        self.plant(api_key_id)
        self.mistake()
        for where in ("accounts", "keys", f"keys/{api_key_id}", "lanes", "sends", "events", "jobs", "tasks", "queries"):
            self.ask(f"GET /v1/{where}")
        for account in self.ask("GET /v1/accounts")["accounts"]:
            self.ask(f"GET /v1/accounts/{account['account']}")
            self.ask(f"GET /v1/accounts/{account['account']}/settings")
        for part in ("", "/trail", "/deliveries", "/dispatch", "/receipts.zip"):
            self.ask(f"GET /v1/messages/{message}{part}")
        self.ask("POST /v1/search", {})
        self.ask(f"POST /v1/messages/{message}/evidence", {"language": "en"})
        assert 200 == self.status
        self.report("disputed", "xlsx")
        for path in ("/metrics", "/readyz", "/healthz", "/openapi.json", "/log/checkpoint"):
            self.ask(f"GET {path}")

    def report(self, query: str, form: str) -> None:
        """Have a report made, wait for it, and fetch it."""
        task = self.ask("POST /v1/reports", {"query": query, "parameters": {"since": "2026-03-01"}, "format": form})
        while task["state"] in {"queued", "running"}:
            task = self.ask(f"GET /v1/tasks/{task['task']}")
        for file in task["files"]:
            self.ask(f"GET /v1/tasks/{task['task']}/files/{file['name']}")
            assert 200 == self.status
        assert "done" == task["state"]

    def plant(self, api_key_id: str) -> None:
        """Secrets of every kind, given over HTTP."""
        for name, provider in registry().items():
            self.ask("POST /v1/accounts", {"account": f"planted-{name}", "provider": name})
            where = f"/v1/accounts/planted-{name}"
            for credential in provider.client.secrets if provider.client else ():
                value = f"planted credential {name} {credential}"
                self.secrets.add(f"planted-{name}: {credential}", value)
                self.ask(f"PUT {where}/credentials/{credential}", {"value": value})
                assert 204 == self.status
            self.secrets.add(f"planted-{name}: webhook", f"planted webhook secret {name}")
            self.ask(f"POST {where}/keys", {"key_id": "wk_1", "secret": f"planted webhook secret {name}"})
            assert 201 == self.status
            self.ask(f"POST /v1/hooks/{TENANT}/planted-{name}", {"status": "DELIVRD"})
        made = self.ask("POST /v1/keys", {"scopes": ["read"]}, kept=False)
        self.secrets.add("api key made", made["key"].partition(".")[2])
        made = self.ask(f"POST /v1/keys/{made['api_key']['api_key_id']}/rotate", {}, kept=False)
        self.secrets.add("api key rotated", made["key"].partition(".")[2])
        self.ask(f"GET /v1/messages/{api_key_id}", key=made["key"])
        made = self.ask("POST /v1/report-webhook-keys", {"key_id": "reports_1"}, kept=False)
        self.secrets.add("report webhook key", made["secret"])
        self.secrets.add("database password", "planted-database-password")

    def mistake(self) -> None:
        """Keys where they do not belong, and secrets in what is refused."""
        key, value = self.key, "planted credential of a mistake"
        self.secrets.add("mistake", value)
        for where in (
            f"GET /v1/messages/{quote(key)}",
            f"GET /v1/events?api_key={quote(key)}",
            f"GET /v1/accounts/{quote(key)}",
            f"GET /{quote(key)}",
            f"DELETE /v1/keys/{quote(key)}",
        ):
            self.ask(where)
        self.ask("POST /v1/accounts", {"account": value, "provider": "kpn_sms", value: value})
        self.ask("PUT /v1/accounts/live-sms/credentials/nonsense", {"value": value})
        self.ask("PUT /v1/accounts/live-sms/settings", {"settings": {"base_url": value, "secret": value}})
        self.ask("POST /v1/search", {"recipient": {"kind": key, "address": key}, "secret": value})
        self.ask("POST /v1/search", f'{{"secret": "{value}"'.encode())
        self.ask("GET /v1/events", key=f"{key}x")
        self.ask("GET /v1/events", key=f"{key.partition('.')[0]}.{value}")


def _processes(pid: int) -> Iterator[bytes]:
    """Command line and environment of a process and of all below it; the database's password is in the one that was given it."""
    for part in ("cmdline", "environ"):
        yield Path(f"/proc/{pid}/{part}").read_bytes().replace(b"planted-database-password", b"")
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            for part in ("cmdline", "environ"):
                yield Path(f"/proc/{child}/{part}").read_bytes()


def _files(folder: Path, without: Path | None = None) -> Iterator[bytes]:
    """Files as they are, with what is packed in them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not (without and path.is_relative_to(without)):
            yield str(path).encode()
            yield from _inflated(path.read_bytes())


def _inflated(data: bytes) -> Iterator[bytes]:
    yield data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _inflated(archive.read(name))


def _database(url: str) -> bytes:
    """Every cell of every table."""
    with closing(connect(url)) as database:
        tables = (
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            if database.kind == "sqlite"
            else "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'delivery_read')"
        )
        rows: Callable[[str], Any] = lambda table: database.read(f"SELECT * FROM {table}")  # noqa: E731
        return joined(cell for (table,) in database.read(tables) for row in rows(str(table)) for cell in row)


def _add_keys(secrets: Secrets, folder: Path) -> None:
    """The ledger's own keys: those of one line in hex, and the seal's, which is text of many."""
    for path in sorted(folder.glob("*.key")):
        secrets.add(f"key file {path.name}", bytes.fromhex(path.read_text()))
    seal = (folder / "seal.pem").read_text()
    private = seal.partition("PRIVATE KEY-----\n")[2].partition("\n-----END")[0]
    for number, line in enumerate(private.splitlines()):
        secrets.add(f"key file seal {number}", line)
