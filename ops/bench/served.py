"""A server to measure: `delivery-ledger serve` as a process of its own, under a login that may only append, and what is asked of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ops.bench.contract import Bench
from ops.bench.installed import installed, serving
from ops.bench.load import ACCOUNT, PROVIDER, TENANT, database_url
from ops.system import opened

KEY_ID = "webhook-1"
SECRET = b"the secret of the bench's webhooks"


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
    settings = installed(bench, owner_url)
    with opened(settings) as system:
        system.accounts.add(TENANT, ACCOUNT, PROVIDER)
        system.accounts.add_secret(TENANT, ACCOUNT, KEY_ID, SECRET)
        _, api_key = system.api_keys.create(TENANT, ("ingest", "read"))
    with serving(settings) as running:
        yield Served(f"http://127.0.0.1:{running.port}", api_key, owner_url, running.process.pid)
        running.stop()


def resident_mib(pids: Sequence[int]) -> float:
    """Memory that processes hold."""
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", ",".join(map(str, pids))],  # noqa: S607  POSIX
        check=True,
        capture_output=True,
        text=True,
    )
    return sum(map(int, done.stdout.split())) / 1024
