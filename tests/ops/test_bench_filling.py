"""Filled ledgers: what is written quickly is what the intake writes, and everything that reads it takes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.receiving import read
from ledger.application import Ledger
from ledger.fsck import check
from ledger.intake import Intake
from ledger.observations import Address, Arrival, ArrivalKind, Reference, Verdict
from ledger.streams import Registration
from ops.bench.filling import fill
from ops.bench.load import ACCOUNT, PROVIDER, TENANT, opened
from ops.bench.messages import EVENTS, HEADERS, RECIPIENTS, Message, messages
from ops.system import read_models
from projections.queries import Filters, Queries
from projections.runner import Runner
from tests.postgres import Database

MESSAGES = 12
DRAWN = {"id", "nonce", "stream", "artifacts", "observed_at", "recorded_at", "commit"}
"""Fields that hold what is drawn, or what the clock says."""


@pytest.fixture
def quick(database: Database, tmp_path: Path) -> Iterator[Ledger]:
    with opened(database.url, tmp_path / "quick") as ledger:
        fill(ledger, 0, MESSAGES, tmp_path)
        yield ledger


def _arrivals(ledger: Ledger, message: Message) -> Iterator[Arrival]:
    for report in message.reports:
        yield Arrival(
            provider=PROVIDER,
            account=ACCOUNT,
            operation="webhook.dlr",
            kind=ArrivalKind.WEBHOOK,
            observed_at=ledger.clock(),
            body=message.body(report),
            headers=HEADERS,
            verdict=Verdict.VERIFIED,
            key_id=HEADERS["x-kpn-webhook-key-id"],
        )


def _take_in(ledger: Ledger) -> None:
    """The same messages and reports by way of the intake."""
    intake = Intake(ledger)
    for message in messages(0, MESSAGES):
        references = (
            Reference("document_id", message.document_id),
            Reference("own_reference", message.own_reference, exclusive=False),
        )
        recipients = tuple(Address("phone", phone) for phone in message.phones)
        send = Registration(
            account=ACCOUNT, provider=PROVIDER, recipients=recipients, references=references, texts=message.texts
        )
        intake.register(TENANT, send, {"arrival": "api", "actor": "bench"}, message.idempotency)
    for message in messages(0, MESSAGES):
        outcomes = intake.admit([read(TENANT, arrival) for arrival in _arrivals(ledger, message)])
        assert not [each for each in outcomes if isinstance(each, Exception)]


def _written(ledger: Ledger) -> list[dict[str, Any]]:
    """Of each event, by position, everything that is not drawn: clear fields, values, whose they are, and the rows beside it."""
    events = ledger.feed()
    numbers = {e.stream: n for n, e in enumerate(e for e in events if e.type == "submission.requested")}

    def stream(name: str) -> str:
        whole, slash, recipient = name.partition("/")
        return f"{numbers[whole]}{slash}{recipient}"

    owners = {
        bytes(k): (stream(s), p)
        for k, s, p in ledger.database.read("SELECT key_id, stream, person FROM person_keys", ())
    }
    beside: dict[int, dict[str, list[Any]]] = {e.position: {} for e in events}

    def add(table: str, position: int, *row: Any) -> None:
        beside[position].setdefault(table, []).append(row)

    reads = ledger.database.read
    for digest, name, recipient, position, exclusive in reads(
        "SELECT digest, stream, recipient, position, exclusive FROM lookups", ()
    ):
        add("lookups", position, bytes(digest), stream(name), recipient, exclusive)
    for key, position in reads("SELECT duplicate_key, position FROM duplicates", ()):
        add("duplicates", position, bytes(key))
    for artifact, position, key, kind in reads("SELECT artifact_id, position, key_id, media_type FROM artifacts", ()):
        add("artifacts", position, ledger.artifact(artifact).body, owners[bytes(key)], kind)
    for position, key in reads("SELECT position, key_id FROM sealed_values", ()):
        add("sealed", position, owners[bytes(key)])
    values = ledger.values(events)
    return [
        {
            "clear": {name: value for name, value in event.fields.items() if name not in DRAWN},
            "fields": sorted(event.fields),
            "artifacts": len(event.fields.get("artifacts", ())),
            "commit": sorted(event.fields["commit"]),
            "stream": stream(event.stream),
            "values": values[event.position],
            "beside": {table: sorted(rows) for table, rows in beside[event.position].items()},
        }
        for event in events
    ]


def test_what_is_written_quickly_is_what_the_intake_writes(quick: Ledger, tmp_path: Path) -> None:
    """Types, clear fields, committed values, keys, look-ups, duplicate keys and originals: all but what is drawn is the same."""
    with opened(f"sqlite:///{tmp_path / 'intake.sqlite'}", tmp_path / "intake") as ledger:
        _take_in(ledger)
        expected = _written(ledger)
        owners = sorted(ledger.database.read("SELECT person, count(*) FROM person_keys GROUP BY person", ()))
    assert MESSAGES * EVENTS == len(expected)
    assert expected == _written(quick)
    assert owners == sorted(quick.database.read("SELECT person, count(*) FROM person_keys GROUP BY person", ()))


def test_a_report_that_comes_again_to_a_filled_ledger_is_known(quick: Ledger) -> None:
    """The duplicate keys are the intake's own: what the provider posts once more changes nothing."""
    size = quick.head().size
    readings = [read(TENANT, arrival) for message in messages(0, 2) for arrival in _arrivals(quick, message)]
    outcomes = Intake(quick).admit(readings)
    assert [1] * len(readings) == [getattr(each, "seen", each) for each in outcomes]
    assert size == quick.head().size


def test_a_filled_ledger_is_clean(quick: Ledger) -> None:
    """Every leaf, root, version, value and original agrees."""
    verdict = check(quick)
    assert [] == verdict.problems
    assert MESSAGES * EVENTS == verdict.size
    assert MESSAGES * (EVENTS - 2) == verdict.artifacts


def test_read_models_take_everything(quick: Ledger) -> None:
    """Nothing is filed as unapplied, and every recipient is a delivery."""
    runner = Runner(quick, read_models())
    runner.run()
    assert [] == runner.unapplied()
    page = Queries(quick, runner).search(TENANT, Filters(), "", 500)
    assert MESSAGES * RECIPIENTS == len(page.deliveries)
    assert {"pending", "in_transit", "delivered", "failed"} == {each.status for each in page.deliveries}
