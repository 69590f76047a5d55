"""Which references of an account the ledger holds: of the messages of a time, and of given values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from ledger.application import Ledger
from ledger.events import Event, message_of, read, time_text
from ledger.streams import clean

PAGE = 100
RECIPIENTS = 100
"""Of so many recipients of a message, what is said of one alone is read too."""


def owners(ledger: Ledger, tenant: str, account: str, kind: str, values: Collection[str]) -> dict[str, str]:
    """Those of the values that name a message -> the message; by one probe of an index each."""
    digests = {ledger.keyring.lookup(tenant, "reference", account, kind, clean(v.strip())): v for v in values}
    found = {digests[digest]: stream for digest, stream, _, _ in ledger.probe_lookups(sorted(digests))}
    return {value: message_of(stream) for value, stream in found.items()}


def of_time(
    ledger: Ledger, tenant: str, account: str, kind: str, *, since: datetime, until: datetime
) -> dict[str, str]:
    """References of a kind -> message, of the messages whose first event lies in that time by the provider's clock, else by ours.

    As far as the read model has read; a page of messages at a time, from then on: what is sent may be heard of late.
    """
    low, high = time_text(since), time_text(until)
    found: dict[str, str] = {}
    for page in _messages(ledger, tenant, account, low):
        streams = {
            s: m for m, recipients in page for s in (m, *(f"{m}/{i}" for i in range(min(recipients, RECIPIENTS))))
        }
        rows = ledger.database.probe(
            "stored_events", f"{ledger.position_column}, state", "originator_id", sorted(streams)
        )
        events = [read(position, bytes(state)) for position, state in rows]
        first = _first(events)
        naming = [e for e in events if any(path.startswith("reference.") for path in e.fields.get("commit", ()))]
        values = ledger.values([e for e in naming if low <= first[message_of(e.stream)] < high])
        for event in naming:
            said = values.get(event.position, {})
            named = (v for path, v in said.items() if path.startswith("reference.") and v["kind"] == kind)
            found |= {str(v["value"]).strip(): message_of(event.stream) for v in named}
    return found


def _messages(ledger: Ledger, tenant: str, account: str, since: str) -> Iterator[Sequence[tuple[str, int]]]:
    """Messages that the ledger first heard of from then on, a page at a time: (message, number of recipients)."""
    sql = (
        "SELECT message, recipients, opened_position FROM read_messages "
        "WHERE tenant = ? AND opened_position > ? AND account = ? ORDER BY opened_position LIMIT ?"
    )
    after = ledger.position_before(since)
    while rows := ledger.database.read(sql, (tenant, after, account, PAGE)):
        yield [(str(message), int(recipients)) for message, recipients, _ in rows]
        after = rows[-1][2]


def _first(events: Sequence[Event]) -> dict[str, str]:
    """Message -> the time of the earliest that is said of it."""
    first: dict[str, str] = {}
    for event in events:
        at = str(event.fields.get("occurred_at") or event.fields["observed_at"])
        message = message_of(event.stream)
        first[message] = min(at, first.get(message, at))
    return first
