"""Read model: when an account's provider did not work, as persons entered it or as our calls showed it.

A downtime is a `provider.down`, named by its id; a `provider.up` that names it ends it or withdraws it. Nothing here changes a status: a
downtime is shown beside the deliveries that it touches. Whether calls fail long enough to make one is decided in `adapters.downtime`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from ledger.application import Ledger
from ledger.database import Cursor, Reads, Row
from ledger.events import Event
from projections.models import Table, Target, Unapplied, insert

DOWN, UP = "provider.down", "provider.up"
ENTERED, DETECTED, WITHDRAWN = "downtime.entered", "downtime.detected", "downtime.withdrawn"
"""Rules of the two types: who says so. `WITHDRAWN` is a `provider.up`: it never was."""

COLUMNS = "downtime, tenant, account, provider, since, until, rule, state, events"


class Downtime(msgspec.Struct, frozen=True):
    """A time in which a provider did not work for an account.

    Attributes:
        downtime: id of the event that says so.
        since, until: UTC; `until` is "" while it goes on.
        rule: `downtime.entered` by a person, or `downtime.detected` from calls of ours that failed.
        state: `open`, `ended` or `withdrawn`.
        events, positions: of the events that tell of it, oldest first.
    """

    downtime: str
    account: str
    provider: str
    since: str
    until: str
    rule: str
    state: str
    events: tuple[str, ...]
    positions: tuple[int, ...]


class DowntimesModel:
    """Downtimes of all accounts."""

    name = "downtimes"
    version = 1
    wants = frozenset({DOWN, UP})
    tables = {
        "downtimes": Table(
            "downtime text NOT NULL, tenant text NOT NULL, account text NOT NULL, provider text NOT NULL, since text NOT NULL, "
            "until text NOT NULL, rule text NOT NULL, state text NOT NULL, events text NOT NULL",
            "downtime",
            ("tenant, account, since",),
        ),
    }

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Open, end and withdraw downtimes."""
        unapplied = []
        for event in events:
            try:
                if event.type == DOWN:
                    _open(cursor, event, target.table("downtimes"))
                elif event.type == UP:
                    _close(cursor, event, target.table("downtimes"))
            except ValueError as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.type}"))
        return unapplied


class _Clear(msgspec.Struct):
    """The clear fields that are looked at, in the shapes they must have."""

    observed_at: str
    account: str
    provider: str = ""
    occurred_at: str = ""
    rule: str = ""
    events: tuple[str, ...] = ()


def _open(cursor: Cursor, event: Event, table: str) -> None:
    said = msgspec.convert(event.fields, _Clear)
    row = (event.id, event.tenant, said.account, said.provider, said.occurred_at or said.observed_at, "", said.rule)
    insert(cursor, table, COLUMNS, [(*row, "open", f"{event.id}@{event.position}")])


def _close(cursor: Cursor, event: Event, table: str) -> None:
    """End or withdraw what the event names, if it is of the same organisation; what was withdrawn stays so."""
    said = msgspec.convert(event.fields, _Clear)
    is_withdrawn = said.rule == WITHDRAWN
    what = "state = 'withdrawn'" if is_withdrawn else "state = 'ended', until = ?"
    given = () if is_withdrawn else (said.occurred_at or said.observed_at,)
    sql = f"UPDATE {table} SET {what}, events = events || ? WHERE downtime = ? AND tenant = ? AND state <> 'withdrawn'"
    told = f" {event.id}@{event.position}"
    cursor.executemany(sql, [(*given, told, downtime, event.tenant) for downtime in said.events])


# --- reading


def _read(row: Row) -> tuple[str, Downtime]:
    """Whose it is, and the downtime; of a row selected by `COLUMNS`."""
    downtime, tenant, account, provider, since, until, rule, state, told = row
    events = [each.split("@") for each in str(told).split()]
    ids, positions = tuple(event_id for event_id, _ in events), tuple(int(position) for _, position in events)
    return tenant, Downtime(downtime, account, provider, since, until, rule, state, ids, positions)


def of_accounts(reads: Reads, whose: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[Downtime]]:
    """(Tenant, account) -> its downtimes that were not withdrawn, oldest first; one probe of an index for each."""
    found: dict[tuple[str, str], list[Downtime]] = {}
    for row in reads.probe_pairs("read_downtimes", COLUMNS, ("tenant", "account"), sorted(set(whose))):
        tenant, downtime = _read(row)
        if downtime.state != "withdrawn":
            found.setdefault((tenant, downtime.account), []).append(downtime)
    return {key: sorted(each, key=lambda d: (d.since, d.positions)) for key, each in found.items()}


def known_by(
    ledger: Ledger, whose: Iterable[tuple[str, str]], position: int, occurred_by: str = ""
) -> dict[tuple[str, str], list[Downtime]]:
    """As `of_accounts`, as far as the log had come: what was ended or withdrawn later went on.

    Args:
        occurred_by: leave out what began later, and ends that came later; "" for none.
    """
    found: dict[tuple[str, str], list[Downtime]] = {}
    for row in ledger.database.probe_pairs("read_downtimes", COLUMNS, ("tenant", "account"), sorted(set(whose))):
        tenant, today = _read(row)
        downtime = _then(ledger, today, position)
        if downtime is not None and occurred_by and downtime.until > occurred_by:
            downtime = replace(downtime, until="", state="open")
        if downtime is not None and not (occurred_by and downtime.since > occurred_by):
            found.setdefault((tenant, downtime.account), []).append(downtime)
    return {key: sorted(each, key=lambda d: (d.since, d.positions)) for key, each in found.items()}


def _then(ledger: Ledger, today: Downtime, position: int) -> Downtime | None:
    """A downtime as it was told up to a position; None when it was not told yet, or withdrawn already."""
    known = sum(1 for each in today.positions if each <= position)
    then = replace(today, until="", state="open", events=today.events[:known], positions=today.positions[:known])
    for each in then.positions[1:]:
        said = msgspec.convert(ledger.event(each).fields, _Clear)
        if said.rule == WITHDRAWN:
            return None
        then = replace(then, until=said.occurred_at or said.observed_at, state="ended")
    return then if known else None


def of_tenant(reads: Reads, tenant: str, account: str = "", limit: int = 100) -> list[Downtime]:
    """The downtimes of a tenant or of one of its accounts, also those that were withdrawn, newest first."""
    sql = (
        f"SELECT {COLUMNS} FROM read_downtimes WHERE tenant = ? AND (account = ? OR ? = '') "
        "ORDER BY since DESC, downtime DESC LIMIT ?"
    )
    return [_read(row)[1] for row in reads.read(sql, (tenant, account, account, limit))]


def withdrawn(reads: Reads, tenant: str, account: str, since: str) -> int:
    """How many downtimes of an account that began then were withdrawn."""
    sql = "SELECT count(*) FROM read_downtimes WHERE tenant = ? AND account = ? AND since = ? AND state = 'withdrawn'"
    return int(reads.read(sql, (tenant, account, since))[0][0])


def one(reads: Reads, tenant: str, downtime: str) -> Downtime | None:
    """A downtime of a tenant by its id."""
    rows = map(_read, reads.read(f"SELECT {COLUMNS} FROM read_downtimes WHERE downtime = ?", (downtime,)))
    return next((found for whose, found in rows if whose == tenant), None)


def detected_and_open(reads: Reads) -> dict[tuple[str, str], Downtime]:
    """(Tenant, account) -> the detected downtime that goes on."""
    sql = f"SELECT {COLUMNS} FROM read_downtimes WHERE state = 'open' AND rule = ? ORDER BY downtime"
    return {(tenant, found.account): found for tenant, found in map(_read, reads.read(sql, (DETECTED,)))}


def touching(downtimes: Iterable[Downtime], begun: str, ended: str) -> tuple[Downtime, ...]:
    """Those that overlap a time.

    Args:
        ended: "" for a time that goes on.
    """
    return tuple(d for d in downtimes if (not ended or d.since <= ended) and (not d.until or d.until >= begun))
