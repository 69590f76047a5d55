"""Reconciliation and completeness on the fixed ledger: what is accounted for, and every difference opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters import keeping
from adapters.compliance.coverage import GAPS, Steps
from adapters.desk import AccountDesk
from adapters.providers import registry
from adapters.providers.calling import Access
from adapters.providers.reconciling import reconcile
from ledger.checkpoints import HeadFile
from projections.queries import Filters
from tests.compliance.golden import OTHER, TENANT, Golden, ask
from tests.flow.carrier import PROVIDER, Script, Settings
from tests.postgres import Database
from tests.world import World, world

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
LISTED = ("20260302-000101", "20260302-000105", "20260305-000077")
UNLISTED = "20260302-000203"
"""Jobs of the fax account: two recipients, one, one; and one with two recipients that the provider does not list at first."""
UNKNOWN = "20260302-000999"
NAMES = ("deliveries", *Steps._fields)


def _desk(found: World, account: str = "fax") -> AccountDesk:
    access = Access(settings=Settings(), secrets={}, now=MARCH)
    client = PROVIDER.client
    assert client is not None
    calls = Script(found.ledger.clock)
    return AccountDesk(
        TENANT, account, registry()["kpn_cloud_fax"], client, access, found.accounts, found.intake, calls
    )


def _compare(found: World, listed: Collection[str], begin: datetime = MARCH, end: datetime = APRIL) -> None:
    """KPN lists these jobs, all sent in the hour in which the time begins."""
    reconcile(_desk(found), "jobid", dict.fromkeys(listed, begin + timedelta(hours=1)), begin, end)
    found.runner.run()


# --- completeness


def test_completeness_of_the_fixed_ledger(found: Golden) -> None:
    """By provider, account and month; nothing is known to a provider that was never asked for its list."""
    answer = ask(found, "completeness")
    assert [
        ("ekopost", "post", "2026-03", 8, 2, 5, 0, 5, 3, 0),
        ("kpn_cloud_fax", "fax", "2026-03", 6, 4, 6, 0, 4, 1, 0),
        ("kpn_registered_email", "registered", "2026-03", 5, 1, 5, 0, 2, 1, 0),
        ("kpn_sms", "sms", "2026-01", 1, 0, 1, 0, 1, 0, 0),
        ("kpn_sms", "sms", "2026-02", 2, 0, 2, 0, 2, 0, 0),
        ("kpn_sms", "sms", "2026-03", 16, 5, 16, 0, 8, 0, 0),
        ("kpn_sms", "sms", "2026-04", 1, 0, 1, 0, 0, 0, 0),
        ("pec_mailbox", "pec", "2026-01", 4, 4, 4, 0, 4, 4, 4),
        ("pec_mailbox", "pec", "2026-02", 6, 6, 6, 0, 4, 3, 3),
        ("pec_mailbox", "pec", "2026-03", 11, 8, 11, 0, 5, 5, 1),
        ("pec_mailbox", "pec", "2026-04", 2, 2, 2, 0, 0, 0, 0),
        ("pec_massiva", "massiva", "2026-03", 6, 2, 5, 0, 4, 4, 0),
    ] == answer.column("provider", "account", "month", *NAMES)


def test_each_difference_is_a_subtraction_and_opens(found: Golden) -> None:
    """Of every row and difference completeness_gap lists exactly as many deliveries, each of that provider, account and month."""
    _compare(found.world, [*LISTED, UNKNOWN])
    answer = ask(found, "completeness")
    for row in answer.rows:
        said = dict(zip([column.name for column in answer.header["columns"]], row, strict=True))
        left = {
            "not_requested": said["deliveries"] - said["requested"],
            "not_accepted": said["deliveries"] - said["accepted"],
            "not_known": said["accepted"] - said["known"],
            "not_final": said["deliveries"] - said["final"],
            "not_proven": said["final"] - said["proven"],
            "not_signed": said["proven"] - said["signed"],
        }
        assert list(GAPS) == list(left)
        assert left == {gap: said[gap] for gap in GAPS}
        where = {name: said[name] for name in ("provider", "account", "month")}
        for gap, count in left.items():
            opened = ask(found, "completeness_gap", gap=gap, **where)
            assert count == len(set(opened.column("message", "recipient"))) == len(opened.rows)
            assert {(where["provider"], where["account"])} >= set(opened.column("provider", "account"))
            assert all(at.startswith(where["month"]) for at in opened.column("opened_at"))


def test_completeness_is_what_a_recount_finds(on_sqlite: Golden) -> None:
    """Steps judged anew from the deliveries as they are shown."""
    counted: dict[tuple[str, str, str], Counter[str]] = {}
    for view in on_sqlite.world.queries.search(TENANT, Filters(), limit=500).deliveries:
        rank = int(str(view.evidence.grade)[1])
        kinds = {reason.type for reason in view.reasons}
        told = {
            "deliveries": True,
            "requested": bool(kinds & {"submission.requested", "dispatch.attempted"}),
            "accepted": "accepted" in view.evidence.proven,
            "final": view.is_final,
            "proven": view.is_final and rank >= 3,
            "signed": view.is_final and rank >= 4,
        }
        group = (view.provider, view.account, view.opened_at[:7])
        counted.setdefault(group, Counter()).update(name for name, holds in told.items() if holds)
    names = [name for name in NAMES if name != "known"]
    expected = [(*group, *(told[name] for name in names)) for group, told in sorted(counted.items())]
    assert expected == ask(on_sqlite, "completeness").column("provider", "account", "month", *names)


def test_a_span_bounds_both_the_counts_and_what_is_behind_them(on_sqlite: Golden) -> None:
    """The first two days of March have fewer than the month, and its differences open within it."""
    days = {"since": "2026-03-01", "until": "2026-03-03", "account": "massiva"}
    (row,) = ask(on_sqlite, "completeness", **days).column("deliveries", "not_final")
    assert (2, 1) == row
    assert 1 == len(ask(on_sqlite, "completeness_gap", gap="not_final", **days).rows)
    assert 1 == len(ask(on_sqlite, "completeness_gap", gap="not_final", month="2026-03", **days).rows)
    assert [] == ask(on_sqlite, "completeness_gap", gap="not_final", month="2026-02", **days).rows


# --- what a comparison says of a message


def _fax(found: Golden) -> tuple[int, int]:
    """Of the fax account's six accepted deliveries of March: known, and not."""
    (row,) = ask(found, "completeness", account="fax").column("known", "not_known")
    return int(row[0]), int(row[1])


def test_what_the_last_comparison_did_not_miss_is_known(found: Golden) -> None:
    """A job that KPN did not list is not known, until it does list it; a comparison of another day says nothing of it."""
    _compare(found.world, [*LISTED, UNKNOWN])
    assert (4, 2) == _fax(found)
    behind = ask(found, "completeness_gap", gap="not_known", account="fax").column("message")
    (message,) = set(behind)
    references = found.world.queries.message(TENANT, message).references
    assert ({"kind": "jobid", "value": UNLISTED},) == references
    _compare(found.world, [*LISTED, UNLISTED])
    assert (6, 0) == _fax(found)
    _compare(found.world, [], datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 3, 6, tzinfo=UTC))
    assert (5, 1) == _fax(found)


def test_a_comparison_that_does_not_name_all_differences_proves_nothing(on_sqlite: Golden) -> None:
    """It counts more than it names, so any message may be one of the rest."""
    record = on_sqlite.world.accounts.record
    said = {
        "kind": "jobid",
        "since": "2026-03-01T00:00:00.000000Z",
        "until": "2026-04-01T00:00:00.000000Z",
        "only_ours": [UNLISTED],
        "only_theirs": [],
    }
    for only_ours, known in ((1, (4, 2)), (2, (0, 6))):
        clear = {"numbers": {"ours": 4, "theirs": 3, "both": 3, "only_ours": only_ours, "only_theirs": 0}}
        record("reconciliation.completed", TENANT, "fax", "", clear, said=said)
        on_sqlite.world.runner.run()
        assert known == _fax(on_sqlite)


# --- how far accounts were compared


def test_accounts_that_were_never_compared_say_why(found: Golden) -> None:
    """No list at the provider, or credentials that are missing; each account has its row."""
    answer = ask(found, "reconciliation_coverage")
    why = dict(answer.column("account", "why_not"))
    assert ["fax", "massiva", "pec", "post", "registered", "sms"] == list(why)
    assert {"the provider has no list to compare with"} == {why[name] for name in ("massiva", "pec", "sms")}
    assert why["post"].startswith("account 'post' lacks credentials: api_key; delivery-ledger accounts configure post")
    assert {(None, 0, None)} == set(answer.column("month", "runs", "last_run"))


def test_an_account_that_could_be_compared_says_so(on_sqlite: Golden) -> None:
    """With its credentials nothing is missing but a run; a setting that switches it on is asked for."""
    accounts = on_sqlite.world.accounts
    accounts.set_credentials(TENANT, "post", {"api_key": "not a real one"})
    accounts.set_credentials(TENANT, "registered", {"client_id": "x", "client_secret": "y"})
    on_sqlite.world.runner.run()
    why = dict(ask(on_sqlite, "reconciliation_coverage").column("account", "why_not"))
    assert "nothing was compared in this time; delivery-ledger jobs run reconcile --account post" == why["post"]
    assert "environment_url is not set" in why["registered"]
    accounts.disable(TENANT, "post", "left")
    on_sqlite.world.runner.run()
    why = dict(ask(on_sqlite, "reconciliation_coverage", provider="ekopost").column("account", "why_not"))
    assert {"post": "account 'post' is closed: nothing is called for it"} == why


@pytest.fixture
def compared(sqlite_database: Database, tmp_path: Path) -> Iterator[Golden]:
    """An account that was compared twice in January and, cut off, once in February; KPN had four jobs that nobody knew."""
    moment = datetime(2026, 1, 10, 6, tzinfo=UTC)
    with world(sqlite_database.url, tmp_path, lambda: moment) as opened:
        opened.accounts.add(TENANT, "fax", "kpn_cloud_fax")
        for day, listed, is_cut in (((1, 10), "ab", False), ((1, 20), "bc", False), ((2, 3), "d", True)):
            moment = datetime(2026, *day, 6, tzinfo=UTC)
            begin = moment - timedelta(days=1)
            theirs = dict.fromkeys(listed, begin + timedelta(hours=1))
            reconcile(_desk(opened), "jobid", theirs, begin, moment, is_cut=is_cut)
        opened.runner.run()
        yield Golden(opened, HeadFile(tmp_path / "heads"))


COVERED = (
    "account",
    "month",
    "runs",
    "held",
    "listed",
    "both",
    "only_here",
    "only_there",
    "cut_off",
    "last_run",
    "why_not",
)


def test_comparisons_are_counted_by_month_and_differences_once(compared: Golden) -> None:
    """A job that KPN lists on two days is one difference; the cut-off list ends before the only entry it has."""
    assert [
        ("fax", "2026-01", 2, 0, 4, 0, 0, 3, 0, "2026-01-20T06:00:00.000000Z", None),
        ("fax", "2026-02", 1, 0, 1, 0, 0, 1, 1, "2026-02-03T06:00:00.000000Z", None),
    ] == ask(compared, "reconciliation_coverage").column(*COVERED)


def test_comparisons_of_a_span(compared: Golden) -> None:
    """By when they were made; where none was, the account has a row all the same."""
    for span, expected in (
        ({"since": "2026-01-15"}, [("2026-01", 1, 2), ("2026-02", 1, 1)]),
        ({"since": "2026-01-10T06:00:00.000001Z", "until": "2026-01-20T06:00"}, [(None, 0, 0)]),
        ({"until": "2026-01-20T06:00:01Z"}, [("2026-01", 2, 3)]),
        ({"since": "2026-02-01", "account": "fax"}, [("2026-02", 1, 1)]),
        ({"account": "other"}, []),
    ):
        answer = ask(compared, "reconciliation_coverage", **span)
        assert expected == answer.column("month", "runs", "only_there"), span


# --- cursors, parameters, others


@pytest.mark.parametrize(
    "query",
    ["scorecard", "completeness", "completeness_gap", "reconciliation_coverage", "retention_due", "on_hold", "access"],
)
def test_pages_of_two_give_the_same(found: Golden, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """However little is read at a time, and wherever a message, a hold or a record is cut in two."""
    world = found.world
    for listed in ([*LISTED, UNKNOWN], LISTED, [*LISTED, UNLISTED]):
        _compare(world, listed)
    keeping.keep(world.accounts, TENANT, "pec_mailbox", "1d")
    keeping.place(world.accounts, world.queries, TENANT, "label", "case 100", "claim 7")
    (message, *_) = ask(found, "completeness_gap", gap="not_requested").column("message")
    keeping.place(world.accounts, world.queries, TENANT, "message", message, "claim 8")
    world.runner.run()
    whole = ask(found, query)
    assert whole.rows
    for name in ("scan.MAX_PAGE", "keeping.MAX_PAGE", "looking.MAX_PAGE", "deliveries.MAX_PAGE", "reconciled.CHUNK"):
        monkeypatch.setattr(f"adapters.compliance.{name}", 2)
    assert (whole.rows, whole.cursors) == ask(found, query)[1:]


@pytest.mark.parametrize("query", ["completeness", "reconciliation_coverage", "completeness_gap"])
def test_goes_on_after_any_row(on_sqlite: Golden, query: str) -> None:
    """After each row come the rows behind it."""
    whole = ask(on_sqlite, query)
    assert len(whole.rows) > 5
    for number, cursor in enumerate(whole.cursors, 1):
        assert whole.rows[number:] == ask(on_sqlite, query, cursor).rows


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("completeness", {"month": "2026-03"}),
        ("completeness", {"until": "yesterday"}),
        ("completeness_gap", {"gap": "requested"}),
        ("completeness_gap", {"month": "2026-13"}),
        ("reconciliation_coverage", {"account": "Fax 1"}),
    ],
)
def test_refuses_what_it_does_not_take(on_sqlite: Golden, query: str, wrong: dict[str, str]) -> None:
    """The text names the parameter."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ask(on_sqlite, query, **wrong)


def test_last_month_there_is_can_be_asked_for(on_sqlite: Golden) -> None:
    """Nothing is in it, and no month follows it."""
    assert [] == ask(on_sqlite, "completeness_gap", month="9999-12").rows


def test_each_organisation_has_its_own(found: Golden) -> None:
    """What one organisation compares says nothing of the other's faxes."""
    _compare(found.world, LISTED)
    answer = ask(found, "completeness", tenant=OTHER)
    assert [("kpn_sms", 3), ("pec_mailbox", 4)] == answer.column("provider", "deliveries")
    assert {0} == set(ask(found, "reconciliation_coverage", tenant=OTHER).column("runs"))
    for query in ("completeness", "completeness_gap", "reconciliation_coverage"):
        assert [] == ask(found, query, tenant="nobody").rows
