"""The comparisons of an account's references with its provider's list, as the log tells of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from adapters.references import owners
from ledger.application import Ledger
from ledger.events import Event, read

CHUNK = 200


class Run(NamedTuple):
    """One comparison.

    Attributes:
        at: when, UTC.
        kind: of the references, as the provider names them.
        since, until: what was compared: of which messages, UTC; `until` is no longer in it. Empty when erased.
        numbers: how many stand where.
        only_ours, only_theirs: the differences that the event names; its numbers count all.
        is_cut: the provider's list ended early, so less was compared than was meant to be.
    """

    at: str
    kind: str
    since: str
    until: str
    numbers: dict[str, int]
    only_ours: tuple[str, ...]
    only_theirs: tuple[str, ...]
    is_cut: bool

    @property
    def names_all(self) -> bool:
        """Whether every reference that the provider does not list is named, so that the others are known to be listed."""
        return bool(self.since) and len(self.only_ours) == self.numbers.get("only_ours", 0)


def runs(ledger: Ledger, tenant: str, account: str, until: int, days: tuple[str, str] = ("", "~")) -> Iterator[Run]:
    """The comparisons of an account, day after day.

    Args:
        until: a position; nothing after it counts.
        days: done from the first day on, and before the second: UTC, or the beginning of such a text.
    """
    # In the order of the index of streams, so that no database reads the whole log for them.
    first, end = (f"account/{tenant}/{account}/{day}" for day in days)
    version = 0
    sql = (
        f"SELECT originator_id, originator_version, {ledger.position_column}, state FROM stored_events "
        "WHERE originator_id >= ? AND originator_id < ? AND (originator_id > ? OR originator_version > ?) "
        f"AND topic = 'reconciliation.completed/1' ORDER BY originator_id, originator_version LIMIT {CHUNK}"
    )
    while rows := ledger.database.read(sql, (first, end, first, version)):
        events = [read(position, bytes(state)) for _, _, position, state in rows if position <= until]
        said = ledger.values(events)
        yield from (_run(event, said.get(event.position, {})) for event in events)
        first, version = rows[-1][:2]


def _run(event: Event, said: dict[str, object]) -> Run:
    def texts(name: str) -> tuple[str, ...]:
        found = said.get(name, ())
        return tuple(map(str, found)) if isinstance(found, list) else ()

    return Run(
        at=str(event.fields["recorded_at"]),
        kind=str(said.get("kind", "")),
        since=str(said.get("since", "")),
        until=str(said.get("until", "")),
        numbers=dict(event.fields.get("numbers", {})),
        only_ours=texts("only_ours"),
        only_theirs=texts("only_theirs"),
        is_cut="listing_cut_off" in event.fields.get("notes", ()),
    )


class Known:
    """Which messages of an account the provider lists, as the last comparison that covers each says."""

    def __init__(self, ledger: Ledger, tenant: str, account: str, found: Sequence[Run]) -> None:
        self._bounds = sorted({at for run in found if run.since < run.until for at in (run.since, run.until)})
        self._last: list[Run | None] = [None] * (len(self._bounds) + 1)
        for run in sorted(found, key=lambda run: run.at):
            begin, end = (bisect_right(self._bounds, at) for at in (run.since, run.until))
            self._last[begin:end] = [run] * (end - begin)
        deciding = {id(run): run for run in self._last if run is not None and run.names_all}
        self._absent = {
            key: frozenset(owners(ledger, tenant, account, run.kind, run.only_ours).values())
            for key, run in deciding.items()
        }

    def lists(self, streams: Iterable[str], at: str) -> bool:
        """Whether a message of that time is on the provider's list.

        Args:
            streams: those that tell its story.
            at: the earliest that is said of it, UTC.
        """
        run = self._last[bisect_right(self._bounds, at)]
        absent = self._absent.get(id(run))
        return absent is not None and absent.isdisjoint(streams)
