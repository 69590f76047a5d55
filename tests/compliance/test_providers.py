"""The scorecard on the fixed ledger: its rows word for word, and counted again in another way."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.compliance.providers import percentile
from ledger.appender import Item
from ledger.events import parse_time
from projections.facts import to_fact
from projections.fold import fold
from projections.queries import Filters
from projections.rules import Status
from projections.views import DeliveryView
from tests.compliance.golden import OTHER, TENANT, Golden, ask

COUNTS = (
    "deliveries",
    "delivered",
    "accepted_by_recipient",
    "refused",
    "expired",
    "failed",
    "cancelled",
    "disputed",
    "open",
)
TIMES = (
    *("delivery_times", "delivery_p50_s", "delivery_p95_s"),
    *("evidence_times", "evidence_p50_s", "evidence_p95_s"),
)
NONE = (0, None, None)


def test_scorecard_by_provider(found: Golden) -> None:
    """How many ended in which way, and how long the ends took: the slowest text message (80 hours) and letter pull the 95th hundredth."""
    answer = ask(found, "scorecard")
    assert [
        ("ekopost", 8, 1, 0, 1, 1, 1, 1, 0, 3),
        ("kpn_cloud_fax", 6, 2, 1, 0, 0, 1, 0, 1, 1),
        ("kpn_registered_email", 5, 0, 0, 1, 1, 0, 0, 1, 2),
        ("kpn_sms", 20, 7, 0, 0, 0, 4, 0, 1, 8),
        ("pec_mailbox", 23, 11, 0, 0, 0, 2, 0, 2, 8),
        ("pec_massiva", 6, 2, 0, 0, 0, 2, 0, 0, 2),
    ] == answer.column("group", *COUNTS)
    assert [
        ("ekopost", 1, 345598.0, 345598.0, 5, 345598.0, 2833919.0),
        ("kpn_cloud_fax", 3, 178.0, 187.9, 4, 56728.5, 111658.0),
        ("kpn_registered_email", *NONE, 2, 212399.0, 329039.0),
        ("kpn_sms", 7, 60.0, 210240.0, 11, 12.0, 158400.0),
        ("pec_mailbox", 11, 4.0, 103497.5, 12, 35.0, 96150.0),
        ("pec_massiva", 2, 32.0, 33.8, 4, 115.0, 39848.25),
    ] == answer.column("group", *TIMES)
    rates = answer.column("group", "delivered_rate", "failed_rate", "disputed_rate", "open_rate")
    assert ("kpn_sms", 0.35, 0.2, 0.05, 0.4) in rates


def test_scorecard_by_domain_tells_e_mail_addresses_apart_and_nothing_else(found: Golden) -> None:
    """Domains without regard to case; phones, faxes and postal addresses are one group without a name."""
    answer = ask(found, "scorecard", by="recipient_domain")
    assert [
        (None, 33, 10),
        ("bedrijf.example", 5, 0),
        ("forening.example", 1, 0),
        ("mail.example", 1, 0),
        ("pec.due.example", 4, 2),
        ("pec.ordine-esempio.example", 5, 3),
        ("pec.quattro.example", 1, 0),
        ("pec.rossi-esempio.example", 2, 0),
        ("pec.studio-esempio.example", 3, 2),
        ("pec.tre.example", 3, 1),
        ("pec.uno.example", 6, 4),
        ("pec.verdi-esempio.example", 3, 1),
        ("posta-esempio.example", 1, 0),
    ] == answer.column("group", "deliveries", "delivered")


def test_scorecard_by_batch_names_the_reference(found: Golden) -> None:
    """By what people call a batch; what belongs to none stands first."""
    answer = ask(found, "scorecard", by="batch")
    assert [
        (None, 60, 21, 8),
        ("5d1f0c2e-1111-4a6b-9d53-2f1f6c1a7e01", 1, 0, 0),
        ("5d1f0c2e-2222-4a6b-9d53-2f1f6c1a7e02", 1, 1, 0),
        ("5d1f0c2e-4444-4a6b-9d53-2f1f6c1a7e04", 2, 0, 0),
        ("5d1f0c2e-6666-4a6b-9d53-2f1f6c1a7e06", 1, 0, 1),
        ("5d1f0c2e-cccc-4a6b-9d53-2f1f6c1a7ecc", 1, 0, 0),
        ("fakturor mars", 1, 0, 0),
        ("tax-2026", 2, 1, 1),
    ] == answer.column("group", "deliveries", "delivered", "failed")


def test_delivery_of_two_batches_counts_in_each(found: Golden) -> None:
    """And once by provider."""
    queries, ledger = found.world.queries, found.world.ledger
    letter, other = (
        queries.search(TENANT, Filters(batch=batch)).deliveries[0].message for batch in ("tax-2026", "fakturor mars")
    )
    fields = {"rule": "batch", "streams": list(queries.message(TENANT, other).batches)}
    ledger.append(Item([ledger.draft("message.linked", TENANT, letter, fields)]))
    found.world.runner.run()
    counts = dict(ask(found, "scorecard", by="batch").column("group", "deliveries"))
    assert (2, 2, 60) == (counts["tax-2026"], counts["fakturor mars"], counts[None])
    assert 68 == sum(ask(found, "scorecard").column("deliveries"))


def test_scorecard_of_a_span(on_sqlite: Golden) -> None:
    """Only messages first heard of in it: the first letters and text of January."""
    answer = ask(on_sqlite, "scorecard", by="account", until="2026-02-01")
    assert [("pec", 4, 2, 2), ("sms", 1, 1, 0)] == answer.column("group", "deliveries", "delivered", "failed")
    assert "2026-02-01T00:00:00.000000Z" == answer.header["parameters"]["until"]
    only = ask(on_sqlite, "scorecard", by="account", until="2026-02-01", provider="kpn_sms")
    assert [("sms", 1)] == only.column("group", "deliveries")


# --- counted again


def _views(found: Golden) -> list[DeliveryView]:
    return list(found.world.queries.search(TENANT, Filters(), limit=500).deliveries)


def _begin(view: DeliveryView) -> str:
    return view.milestones["accepted"].at if "accepted" in view.milestones else view.opened_at


def _taken(begin: str, end: str) -> list[float]:
    seconds = (parse_time(end) - parse_time(begin)).total_seconds()
    return [seconds] if seconds >= 0 else []


def _to_delivery(view: DeliveryView) -> list[float]:
    if view.status not in {Status.DELIVERED, Status.ACCEPTED_BY_RECIPIENT}:
        return []
    names = {"delivered", "recipient_yes"} & view.milestones.keys()
    return _taken(_begin(view), min(view.milestones[name].at for name in names))


def _to_evidence(found: Golden, view: DeliveryView) -> list[float]:
    """By folding what was recorded first, then that and the next, and so on: when the grade changed last."""
    if not view.is_final or view.evidence.grade == "E0":
        return []
    queries = found.world.queries
    named = {reason.event_id for reason in view.reasons}
    whole = {e.id: e for e in _events(found, view)}
    assert named <= whole.keys()
    facts = []
    for event in sorted(whole.values(), key=lambda e: e.position):
        scope = "batch" if event.stream.startswith("batch/") else "recipient" if "/" in event.stream else "message"
        facts += [fact] if (fact := to_fact(event, scope)) else []
    sole = queries.message(TENANT, view.message).recipients == 1
    channel = queries.ledger.vocabulary[view.provider].channel
    before, at = "E0", ""
    for count in range(1, len(facts) + 1):
        grade = fold(facts[:count], sole=sole, channel=channel).evidence.grade
        before, at = grade, at if grade == before else facts[count - 1].observed_at
    assert view.evidence.grade == before
    return _taken(_begin(view), at)


def _events(found: Golden, view: DeliveryView) -> list[Any]:
    message = found.world.queries.message(TENANT, view.message)
    streams = [view.message, f"{view.message}/{view.recipient}", *message.batches]
    assert not message.joined
    return [event for stream in streams for event in found.world.ledger.stream(stream)]


def _quantiles(values: list[float]) -> tuple[int, float | None, float | None]:
    if not values:
        return NONE
    if len(values) == 1:
        return 1, values[0], values[0]
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return len(values), round(cuts[9], 3), round(cuts[18], 3)


def test_scorecard_is_what_a_recount_finds(on_sqlite: Golden) -> None:
    """Every number by account, from the deliveries as they are shown one by one."""
    groups: dict[str, list[DeliveryView]] = defaultdict(list)
    for view in _views(on_sqlite):
        groups[view.account].append(view)
    counted, timed = [], []
    for account, views in sorted(groups.items()):
        statuses = [view.status for view in views]
        ends = [statuses.count(status) for status in COUNTS[1:-1]]
        counted.append((account, len(views), *ends, len(views) - sum(ends)))
        delivery = _quantiles([s for view in views for s in _to_delivery(view)])
        evidence = _quantiles([s for view in views for s in _to_evidence(on_sqlite, view)])
        timed.append((account, *delivery, *evidence))
    answer = ask(on_sqlite, "scorecard", by="account")
    assert counted == answer.column("group", *COUNTS)
    assert timed == answer.column("group", *TIMES)


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=60))
def test_percentiles_are_those_of_the_standard_library(values: list[float]) -> None:
    """Between two values in proportion, as `statistics.quantiles` has them of a whole population."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    expected = [pytest.approx(cuts[place], abs=0.001) for place in (9, 18)]
    assert expected == [percentile(sorted(values), share) for share in (0.5, 0.95)]


def test_percentile_of_nothing_is_nothing() -> None:
    """And that of one value is that value."""
    assert (None, 3.0) == (percentile([], 0.5), percentile([3.0], 0.95))


# --- cursors, parameters, others


@pytest.mark.parametrize("by", ["provider", "account", "recipient_domain", "batch"])
def test_scorecard_goes_on_after_any_row(on_sqlite: Golden, by: str) -> None:
    """After each row come the rows behind it, and a cursor tells nothing of a domain or batch."""
    whole = ask(on_sqlite, "scorecard", by=by)
    for number, (row, cursor) in enumerate(zip(whole.rows, whole.cursors, strict=True), 1):
        assert whole.rows[number:] == ask(on_sqlite, "scorecard", cursor, by=by).rows
        assert str(row[0]) not in cursor
    with pytest.raises(ValueError, match="not one of this answer"):
        ask(on_sqlite, "scorecard", "scorecard:elsewhere", by=by)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"by": "colour"}, "by"),
        ({"since": "2026-02-30"}, "no time"),
        ({"since": "2026-03-01", "until": "2026-03-01"}, "not after since"),
        ({"status": "delivered"}, "its parameters are"),
    ],
)
def test_scorecard_refuses_what_it_does_not_take(on_sqlite: Golden, wrong: dict[str, str], why: str) -> None:
    """The text names the parameter."""
    with pytest.raises(ValueError, match=why):
        ask(on_sqlite, "scorecard", **wrong)


def test_each_organisation_has_its_own_scores(found: Golden) -> None:
    """The other one's text messages and letters, and nothing for one that has none."""
    assert [("kpn_sms", 3), ("pec_mailbox", 4)] == ask(found, "scorecard", tenant=OTHER).column("group", "deliveries")
    assert [] == ask(found, "scorecard", tenant="nobody").rows
