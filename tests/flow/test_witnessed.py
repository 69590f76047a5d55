"""A fact that somebody told us and that then came from the provider itself is worth what we saw, whichever came first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.receiving import read
from ledger.observations import Arrival, ArrivalKind
from tests.postgres import Database
from tests.world import TENANT, world

BODY = (
    b'{"success":true,"message":"","data":[{"date":"Mon, 02 Mar 2026 10:15:36 +0100",'
    b'"sender":"posta-certificata@pec.example","recipient":"ufficio@pec.mittente.example",'
    b'"subject":"CONSEGNA: Diffida 2026030210151211",'
    b'"body":"Il messaggio \\"Diffida\\" indirizzato a \\"anna@pec.example\\" e stato consegnato nella casella di destinazione."}]}'
)
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
POLLED = Arrival(
    provider="pec_massiva",
    account="massiva",
    operation="send_status",
    kind=ArrivalKind.POLL,
    observed_at=START,
    body=BODY,
    status=200,
    name="/send/2026030210151211",
)
TOLD = replace(POLLED, kind=ArrivalKind.IMPORT, observed_at=START + timedelta(hours=1))


@pytest.mark.parametrize(
    ("arrivals", "grade"),
    [
        ((POLLED,), "E3"),
        ((TOLD,), "E2"),
        ((TOLD, POLLED), "E3"),
        ((POLLED, TOLD), "E3"),
        ((TOLD, POLLED, POLLED, TOLD), "E3"),
    ],
    ids=["seen", "told", "told-then-seen", "seen-then-told", "again-and-again"],
)
def test_what_was_told_and_then_seen_counts_as_seen(
    database: Database, tmp_path: Path, arrivals: tuple[Arrival, ...], grade: str
) -> None:
    """The order makes no difference, and a repetition writes nothing more."""
    with world(database.url, tmp_path) as w:
        w.accounts.add(TENANT, "massiva", "pec_massiva")
        for arrival in arrivals:
            (outcome,) = w.intake.admit([read(TENANT, arrival)])
            assert not isinstance(outcome, Exception)
        (delivery,) = w.deliveries()
        assert ("delivered", grade) == (delivery.status, delivery.evidence.grade)
        size = w.ledger.head().size
        w.intake.admit([read(TENANT, POLLED), read(TENANT, TOLD)])
        assert size + (len(set(map(id, arrivals))) == 1) == w.ledger.head().size


def test_what_is_witnessed_together_with_something_new_is_stored_in_one_go(database: Database, tmp_path: Path) -> None:
    """The repetition moves the message's stream on, and the new fact declares a recipient after it."""
    both = BODY.replace(
        b'"data":[', b'"data":[' + BODY[BODY.index(b'{"date"') : -2].replace(b"anna@", b"bruno@") + b","
    )
    with world(database.url, tmp_path) as w:
        w.accounts.add(TENANT, "massiva", "pec_massiva")
        w.intake.admit([read(TENANT, TOLD)])
        (outcome,) = w.intake.admit([read(TENANT, replace(POLLED, body=both))])
        assert not isinstance(outcome, Exception)
        assert (1, 1) == (len(outcome.facts), outcome.seen)
        found = {d.address.address: (d.status, d.evidence.grade) for d in w.deliveries()}
        assert {"anna@pec.example": ("delivered", "E3"), "bruno@pec.example": ("delivered", "E3")} == found
