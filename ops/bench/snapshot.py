"""Whether somebody who looks at one moment for long holds up those who append: a backup, a long report.

PostgreSQL keeps every row version that an open snapshot may still see. Where rows are updated, each append then wades through dead ones;
where nothing is ever updated it should cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg

from ops.bench.contract import Bench, Figure
from ops.bench.load import Events, appended_per_s, database_url, opened

WRITERS = 16
SHORT, LONG = 2.0, 120.0
"""How long the snapshot is open before appending is timed, in lengths of a timed load: of 5 s at full scale."""


@contextmanager
def _looking(url: str) -> Iterator[None]:
    """A snapshot that stays open."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM heads")
        yield


def _appended(looked: bool, lengths: float, bench: Bench) -> float:  # noqa: FBT001  by `partial`
    """Events a second, after so much was appended while the snapshot was open, or as much without one."""
    url, seconds = database_url(bench, "postgresql"), bench.scale.seconds
    with opened(url, bench.folder) as ledger:
        events = Events(ledger, bench.scale.streams, bench.random("snapshot"))
        if not looked:
            appended_per_s(ledger, events.item, WRITERS, seconds * lengths)
            return appended_per_s(ledger, events.item, WRITERS, seconds)
        with _looking(url):
            appended_per_s(ledger, events.item, WRITERS, seconds * lengths)
            return appended_per_s(ledger, events.item, WRITERS, seconds)


def _pair(name: str, title: str, lengths: float) -> tuple[Figure, Figure]:
    without, during = (partial(_appended, looked, lengths) for looked in (False, True))
    return (
        Figure(f"{name}_without", f"append, 16 writers, without a snapshot ({title} in)", "events/s", without),
        Figure(
            name,
            f"append, 16 writers, with a snapshot held open ({title} in)",
            "events/s",
            during,
            f"{name}_without",
            0.9,
        ),
    )


FIGURES = _pair("snapshot", "10 s at full scale", SHORT)
LONG_FIGURES = _pair("snapshot_10min", "10 min at full scale", LONG)
