"""Until when missing evidence can be fetched, by what the sweep of the mailbox's quota found."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.forecasts import with_terms
from projections.grades import Evidence, Grade, Missing
from projections.views import AddressView, DeliveryView
from tests.postgres import Database
from tests.world import TENANT, world

VIEW = DeliveryView(
    "01a1fd8e-f93d-70a6-8da5-105f5469bc25",
    0,
    AddressView(),
    "massiva",
    "pec_massiva",
    status="delivered",
    sub_status="",
    since="",
    is_final=True,
    opened_at="",
    position=1,
    rules="status/2",
    milestones={},
    reasons=(),
    evidence=Evidence(Grade.E3, missing=(Missing("signed_original"), Missing("delivery_report"))),
)


@pytest.mark.parametrize(
    ("state", "until"),
    [
        ('{"full_at":"2026-03-09T12:00:00+01:00","usage_kib":4}', "2026-03-09T11:00:00.000000Z"),
        ('{"full_at":""}', ""),
        ('{"full_at":"soon"}', ""),
        ("{}", ""),
        (None, ""),
    ],
)
def test_the_mailbox_is_full_at_the_forecast_time(
    database: Database, tmp_path: Path, state: str | None, until: str
) -> None:
    """Only what lies in the mailbox has that term; without a forecast nothing is claimed, and other tenants' forecasts do not count."""
    with world(database.url, tmp_path) as w:
        with w.ledger.database.writing() as cursor:
            columns = "tenant, account, job, next_at, asked_at, started_at, ended_at, ok_at, last_error, failures, runs"
            for tenant, said in ((TENANT, state), ("other", '{"full_at":"2026-01-01T00:00:00+00:00"}')):
                if said is not None:
                    cursor.execute(
                        f"INSERT INTO jobs ({columns}, found, nothing_new, told, state) "
                        "VALUES (?, 'massiva', 'quota', '', '', '', '', '', '', 0, 0, 0, 0, 0, ?)",
                        (tenant, said),
                    )
        (view,) = with_terms(w.ledger.database, TENANT, [VIEW])
        assert (Missing("signed_original", until), Missing("delivery_report")) == view.evidence.missing
