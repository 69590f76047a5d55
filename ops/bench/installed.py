"""A whole installation to measure: a database under a login that owns nothing, key files, and `delivery-ledger serve` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from ledger.database import PostgresDatabase
from ops.bench.contract import Bench
from ops.bench.load import KEYRING, TENANT, database_url
from ops.postgres import ROOT
from ops.settings import Secret, Settings

LOGIN = "bench_service"
START_S = 60
GIVEN = (
    "database_url",
    "key_folder",
    "artifact_folder",
    "head_folder",
    "rate_per_minute",
    "max_connections_per_address",
    "port",
)
RATE_PER_MINUTE = 1_000_000_000
"""The limit is worked out for each request, as anywhere, and never reached."""


def installed(bench: Bench, url: str = "") -> Settings:
    """The settings of a ledger on PostgreSQL; nothing of the environment's settings is used or touched.

    Args:
        url: of a ledger that is there already; "" for a new one.
    """
    url = url or database_url(bench, "postgresql")
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOGIN,)).fetchone():
            connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(LOGIN)))
    owner = PostgresDatabase(url)
    owner.migrate(grant_to=LOGIN)
    owner.close()
    folder = bench.folder / name
    _write_keys(folder)
    return Settings(
        database_url=bench.server.url(name, LOGIN),
        key_folder=folder,
        keks=Secret(" ".join(f"{name}={key.hex()}" for name, key in KEYRING.keks.items())),
        artifact_folder=folder / "artifacts",
        head_folder=folder / "heads",
        tenant=TENANT,
        rate_per_minute=RATE_PER_MINUTE,
        max_connections_per_address=1_000,
        port=0,
    )


def _write_keys(folder: Path) -> None:
    """The key files that filled ledgers were begun with."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, key in (("lookups", KEYRING.lookups), ("duplicates", KEYRING.duplicates)):
        (folder / f"{name}.key").write_text(key.hex())
        (folder / f"{name}.key").chmod(0o600)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs.

    Attributes:
        lines: what it logged, so far.
    """

    process: subprocess.Popen[bytes]
    port: int
    lines: list[dict[str, str]]

    def stop(self) -> int:
        """Ask it to stop, and wait until it has; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_S)


@contextmanager
def serving(settings: Settings, processes: int = 1) -> Iterator[Served]:
    """`delivery-ledger serve` as a process of its own, from when it listens; killed at the end if it still runs.

    Args:
        processes: how many share the port.
    """
    set_ = {f"LEDGER_{name.upper()}": str(getattr(settings, name)) for name in GIVEN}
    set_["LEDGER_KEKS"] = settings.keks.reveal()
    # With PYTHONDONTWRITEBYTECODE each start would compile everything again, and take half as long again.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LEDGER_") and k != "PYTHONDONTWRITEBYTECODE"}
    program = f"from ops.cli import main; main(['serve', '--processes', '{processes}'])"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=kept | set_, stderr=subprocess.PIPE)
    lines: list[dict[str, str]] = []
    try:
        port = [_port(process, lines) for _ in range(processes)][-1]
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        yield Served(process, port, lines)
    finally:
        process.kill()
        process.wait()


def _read(process: subprocess.Popen[bytes], lines: list[dict[str, str]]) -> None:
    if process.stderr is not None:
        with process.stderr as said:
            lines.extend(map(json.loads, said))


def _port(process: subprocess.Popen[bytes], lines: list[dict[str, str]]) -> int:
    """Where it listens, when it says so."""
    for text in process.stderr or ():
        lines.append(json.loads(text))
        if lines[-1]["event"] == "listening":
            return urlsplit(lines[-1]["url"]).port or 0
    msg = f"the server did not start: {lines}"
    raise RuntimeError(msg)
