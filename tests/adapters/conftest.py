"""The API under test: a real server over a real database, and a client that speaks for a tenant."""

from __future__ import annotations

import dataclasses
import json as jsons
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, web

from adapters.http.app import make, runner
from ops.serve import services_of
from ops.settings import load
from ops.system import System, opened
from tests.postgres import Database
from tests.providers import samples

TENANT = "acme"
EVERYTHING = ("ingest", "read", "evidence", "compliance", "operator")
SAMPLES = samples.PROVIDERS
DLR = SAMPLES / "kpn_sms" / "samples" / "dlr-delivered"
DLR_AT = "2026-07-20T10:04:10+00:00"


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """An opened ledger of its own, on each kind of database."""
    with opened_system(database, tmp_path) as found:
        yield found


@pytest.fixture
def sqlite_system(sqlite_database: Database, tmp_path: Path) -> Iterator[System]:
    """For rules that have nothing to do with the database."""
    with opened_system(sqlite_database, tmp_path) as found:
        yield found


def opened_system(database: Database, folder: Path, **settings: Any) -> Any:
    return opened(
        load(
            database_url=database.url,
            key_folder=folder / "keys",
            artifact_folder=folder / "artifacts",
            head_folder=folder / "heads",
            **settings,
        )
    )


class Failing:
    """A function that only raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object) -> Any:
        raise self.error


class Reply(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return jsons.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [jsons.loads(line) for line in self.body.splitlines()]

    @property
    def type(self) -> str:
        """The last part of a problem's type."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert self.json["status"] == self.status
        return str(self.json["type"].rpartition("/")[2])


class Api:
    """A client of one server; it speaks for one tenant with a key of the given scopes."""

    def __init__(
        self, client: ClientSession, port: int, system: System, app: web.Application, tenant: str = TENANT
    ) -> None:
        self.client = client
        self.port = port
        self.app = app
        self.system = system
        self.tenant = tenant
        self._keys: dict[tuple[str, ...], str] = {}

    def of(self, tenant: str) -> Api:
        found = Api(self.client, self.port, self.system, self.app, tenant)
        found.key(*EVERYTHING)  # now: a key is an event, and tests count events
        return found

    def key(self, *scopes: str) -> str:
        if scopes not in self._keys:
            _, self._keys[scopes] = self.system.api_keys.create(self.tenant, scopes)
        return self._keys[scopes]

    async def call(
        self,
        where: str,
        *,
        scopes: tuple[str, ...] = EVERYTHING,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Reply:
        """One request, `METHOD /path`; `scopes=()` sends no key."""
        method, path = where.split(" ", 1)
        given = {"Authorization": f"Bearer {self.key(*scopes)}"} if scopes else {}
        async with self.client.request(method, path, headers=given | dict(headers or {}), **how) as response:
            return Reply(response.status, response.headers, await response.read())

    # --- what many tests need first

    def account(self, name: str = "sms", provider: str = "kpn_sms", **secrets: bytes) -> None:
        self.system.accounts.add(self.tenant, name, provider)
        for key_id, secret in secrets.items():
            self.system.accounts.add_secret(self.tenant, name, key_id, secret)

    def signing_account(self, case: Path = DLR, name: str = "sms") -> None:
        """An account that holds the keys of a signed sample."""
        self.account(name, samples.provider_of(case), **samples.keys(case))

    async def send(self, number: str = "0612340001", **more: Any) -> str:
        """Register a send to one phone number; the message's id."""
        body = {"account": "sms", "recipients": [{"kind": "phone", "address": number}], **more}
        reply = await self.call("POST /v1/messages", json=body)
        assert reply.status == 201, reply
        await self.caught_up()
        return str(reply.json["message"])

    async def observe(self, **record: Any) -> Reply:
        reply = await self.call("POST /v1/observations", json={"account": "sms", **record})
        await self.caught_up()
        return reply

    async def caught_up(self) -> None:
        """Wait until the read models reflect everything there is."""
        nothing = "00000000-0000-7000-8000-000000000000"  # so that nobody is recorded as having looked
        reply = await self.call(f"GET /v1/messages/{nothing}?min_position={self.size()}")
        assert reply.status == 404, reply

    def events(self, *types: str) -> list[Any]:
        """Events of the log of these types."""
        return [e for e in self.system.ledger.feed(0, 1_000) if e.type in types]

    def size(self) -> int:
        """How many events there are, that of the usual key included: it is made at first use."""
        self.key(*EVERYTHING)
        return self.system.ledger.head().size


def accepted(document_id: str = "doc-1", number: str = "0612340001") -> dict[str, Any]:
    """KPN SMS's answer to a call of ours, as an arrival record (SwaggerHub `SMS - KPN` 1.0.6)."""
    request = {"messages": [{"content": "Your parcel is on its way", "mobile_number": number}], "sender": "Acme"}
    answer = {"document_id": document_id, "status": "OK"}
    return {"operation": "send", "status": 200, "request": jsons.dumps(request), "body": jsons.dumps(answer)}


@asynccontextmanager
async def serving(system: System, **limits: Any) -> AsyncIterator[Api]:
    """The API on a port of its own, as `delivery-ledger serve` runs it."""
    services = services_of(system)
    limits = {"first_look_s": 3_600.0, **limits}  # events are counted; who looked is written at the end
    app = make(dataclasses.replace(services, limits=dataclasses.replace(services.limits, **limits)))
    server = runner(app)
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        port = server.addresses[0][1]
        async with ClientSession(f"http://127.0.0.1:{port}") as client:
            yield Api(client, port, system, app)
    finally:
        await server.cleanup()


@pytest.fixture
async def api(system: System) -> AsyncIterator[Api]:
    """The API on each kind of database."""
    async with serving(system) as found:
        yield found


@pytest.fixture
async def sqlite_api(sqlite_system: System) -> AsyncIterator[Api]:
    """The API, for rules that have nothing to do with the database."""
    async with serving(sqlite_system) as found:
        yield found
