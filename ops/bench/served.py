"""A server to measure: `delivery-ledger serve` as a process of its own, under a login that may only append, and what is asked of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from ledger.database import PostgresDatabase
from ops.bench.contract import Bench
from ops.bench.load import ACCOUNT, PROVIDER, TENANT, database_url
from ops.settings import load
from ops.system import opened

ROOT = Path(__file__).parents[2]
LOGIN = "bench_service"
KEY_ID = "webhook-1"
SECRET = b"the secret of the bench's webhooks"
STOP_S = 60


class Served(NamedTuple):
    """A running server.

    Attributes:
        url: of its API.
        api_key: with the scopes `ingest` and `read`.
        database_url: as a superuser, for looking at what it does.
        pid: of its process.
    """

    url: str
    api_key: str
    database_url: str
    pid: int


@contextmanager
def served(bench: Bench) -> Iterator[Served]:
    """A server over a new ledger with one account at a provider of text messages; stopped as an operator stops it."""
    owner_url = database_url(bench, "postgresql")
    name = psycopg.conninfo.conninfo_to_dict(owner_url)["dbname"]
    environment = _prepared(bench, owner_url, str(name))
    command = [sys.executable, "-c", "from ops.cli import main; main(['serve'])"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    try:
        yield Served(_listening(process), environment["API_KEY"], owner_url, process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)
    finally:
        process.kill()
        process.wait()


def _prepared(bench: Bench, owner_url: str, name: str) -> dict[str, str]:
    """Make login, tables, account and API key; returns the environment of the server."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOGIN,)).fetchone():
            connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(LOGIN)))
    owner = PostgresDatabase(owner_url)
    owner.migrate(grant_to=LOGIN)
    owner.close()
    folder = bench.folder / name
    given = {
        "database_url": bench.server.url(name, LOGIN),
        "key_folder": folder / "keys",
        "artifact_folder": folder / "artifacts",
        "head_folder": folder / "heads",
        "tenant": TENANT,
        "port": 0,
        "rate_per_minute": 0,
    }
    with opened(load(**given)) as system:
        system.accounts.add(TENANT, ACCOUNT, PROVIDER)
        system.accounts.add_secret(TENANT, ACCOUNT, KEY_ID, SECRET)
        _, api_key = system.api_keys.create(TENANT, ("ingest", "read"))
    own = {k: v for k, v in os.environ.items() if not k.startswith("LEDGER_")}
    return own | {f"LEDGER_{k.upper()}": str(v) for k, v in given.items()} | {"API_KEY": api_key}


def _listening(process: subprocess.Popen[bytes]) -> str:
    """Where it listens, as it says itself; the rest of what it says is read and forgotten, so that it never waits to say it."""
    stderr = process.stderr
    if stderr is None:
        raise ValueError
    for line in stderr:
        said = json.loads(line)
        if said["event"] == "listening":
            threading.Thread(target=_forget, args=(stderr,), daemon=True).start()
            return str(said["url"])
    msg = "the server ended before it listened"
    raise RuntimeError(msg)


def _forget(said: IO[bytes]) -> None:
    with said:
        for _ in said:
            pass


def resident_mib(pids: Sequence[int]) -> float:
    """Memory that processes hold."""
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", ",".join(map(str, pids))],  # noqa: S607  POSIX
        check=True,
        capture_output=True,
        text=True,
    )
    return sum(map(int, done.stdout.split())) / 1024
