"""Holds and retention on the fixed ledger: what is on hold, what is due, and what keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import keeping
from adapters.heldquery import HeldQuery, written
from adapters.keeping import Hold, due_at, opened_before
from ledger.appender import Item
from ledger.erasing import Erased, draft
from ledger.events import parse_time, time_text
from ledger.observations import Address, ArrivalKind, Reference
from ledger.streams import Registration
from projections.queries import Filters
from tests.compliance.golden import NOW, OTHER, TENANT, Golden, ask


def _place(found: Golden, scope: str, value: str, reason: str = "claim 7", **more: Any) -> Hold:
    world = found.world
    return keeping.place(world.accounts, world.queries, TENANT, scope, value, reason, **more)


def _keep(found: Golden, provider: str, term: str, label: str = "", tenant: str = TENANT) -> None:
    keeping.keep(found.world.accounts, tenant, provider, term, label)


def _messages(found: Golden, **filters: str) -> list[str]:
    page = found.world.queries.search(TENANT, Filters(**filters), limit=500)
    return [view.message for view in page.deliveries]


def _send(found: Golden, number: int, to: str, label: str = "", batch: str = "") -> str:
    """One more certified e-mail."""
    registration = Registration(
        account="pec",
        provider="pec_mailbox",
        recipients=(Address("email", to),),
        references=(Reference("msgid", f"more-{number}@city.example"),),
        batch=Reference("own_batch", batch, exclusive=False) if batch else None,
        labels=tuple(filter(None, label.split(";"))),
    )
    clear = {"arrival": str(ArrivalKind.API)}
    message = found.world.intake.register(TENANT, registration, clear, (str(number), str(number))).message
    found.world.runner.run()
    return message


# --- holds


@pytest.mark.parametrize(
    ("scope", "value", "addresses"),
    [
        ("recipient", "ANNA@pec.uno.example", ["anna@pec.uno.example", "Anna@PEC.uno.example", "anna@pec.uno.example"]),
        ("recipient", "06 1234 9001", ["0612349001", "+31612349001", "+31612349001"]),
        ("label", "Case 100", ["anna@pec.uno.example", "Anna@PEC.uno.example", "anna@pec.uno.example"]),
        ("batch", "tax-2026", ["silent@pec.uno.example", "anna@pec.uno.example"]),
        ("label", "case 999", []),
    ],
)
def test_hold_covers_what_is_found_under_it(found: Golden, scope: str, value: str, addresses: list[str]) -> None:
    """An address in any spelling, a label without regard to case, a batch: newest first."""
    hold = _place(found, scope, value, floor=datetime(2030, 1, 1, tzinfo=UTC))
    found.world.runner.run()
    answer = ask(found, "on_hold")
    told = (hold.hold, scope, value, time_text(NOW), "2030-01-01T00:00:00.000000Z", "claim 7")
    assert [(*told, address) for address in addresses] == answer.column(
        *("hold", "scope", "value", "placed_at", "floor", "reason", "address")
    )


def test_hold_on_a_message_covers_each_of_its_recipients(found: Golden) -> None:
    """By recipient; and one on a single recipient does not cover the others."""
    (message,) = set(_messages(found, recipient="bruno@pec.uno.example"))
    whole = _place(found, "message", message)
    single = _place(found, "recipient", "bruno@pec.uno.example")
    found.world.runner.run()
    assert [
        (whole.hold, 0, "refused@pec.uno.example"),
        (whole.hold, 1, "bruno@pec.uno.example"),
        (single.hold, 1, "bruno@pec.uno.example"),
    ] == ask(found, "on_hold").column("hold", "recipient", "address")
    assert [1] == ask(found, "on_hold", hold=single.hold).column("recipient")
    queries = found.world.queries
    assert [(whole.hold,), (whole.hold, single.hold)] == [
        tuple(hold.hold for hold in keeping.held(queries, TENANT, message, index)) for index in (0, 1)
    ]


def test_hold_covers_what_comes_later(found: Golden) -> None:
    """A recipient, a label and a batch go on covering; each says so of the single delivery, too."""
    placed = {
        scope: _place(found, scope, value).hold
        for scope, value in (("recipient", "dora@pec.sei.example"), ("label", "Case 200"), ("batch", "spring"))
    }
    found.world.runner.run()
    assert [] == ask(found, "on_hold").rows
    later = {
        "recipient": _send(found, 1, "Dora@pec.sei.example"),
        "label": _send(found, 2, "elena@pec.sei.example", label="case 200"),
        "batch": _send(found, 3, "fabio@pec.sei.example", batch="spring"),
    }
    free = _send(found, 4, "gina@pec.sei.example", label="case 201", batch="summer")
    assert [(placed[scope], message) for scope, message in later.items()] == ask(found, "on_hold").column(
        "hold", "message"
    )
    for scope, message in later.items():
        assert [placed[scope]] == [hold.hold for hold in keeping.held(found.world.queries, TENANT, message, 0)]
    assert () == keeping.held(found.world.queries, TENANT, free, 0)


def test_hold_counts_before_any_read_model_has_seen_it(found: Golden) -> None:
    """What is about to be removed is asked of the log: placed a moment ago it holds, released a moment ago it does not."""
    (message,) = _messages(found, recipient="silent@pec.uno.example")
    queries, accounts = found.world.queries, found.world.accounts
    hold = _place(found, "label", "case 101")
    assert [hold] == list(keeping.held(queries, TENANT, message, 0))
    found.world.runner.run()
    assert [hold] == list(keeping.held(queries, TENANT, message, 0))
    keeping.release(accounts, queries, TENANT, hold.hold, "settled")
    assert () == keeping.held(queries, TENANT, message, 0)


def test_hold_on_a_message_that_was_joined_into_another_covers_the_whole_story(found: Golden) -> None:
    """Two letters turn out to be one; the hold on the one that is told no more stays."""
    ledger = found.world.ledger
    first, second = (
        _send(found, n, "dora@pec.sei.example", label=label) for n, label in ((1, "case 300"), (2, "case 301"))
    )
    by_message, by_label = _place(found, "message", second), _place(found, "label", "case 301")
    fields = {"streams": [second], "recipients": [[0, 0]], "rule": "reference_exact"}
    ledger.append(Item([ledger.draft("streams.joined", TENANT, first, fields)]))
    found.world.runner.run()
    assert first == found.world.queries.message_row(TENANT, second).message
    on_it = {hold.hold for hold in keeping.held(found.world.queries, TENANT, first, 0)}
    assert {by_message.hold, by_label.hold} == on_it
    assert {first} == set(ask(found, "on_hold").column("message"))


def test_on_hold_is_what_is_held_delivery_by_delivery(found: Golden) -> None:
    """Whoever asks of one delivery and whoever asks of all get the same holds."""
    (bruno,) = _messages(found, recipient="bruno@pec.uno.example")
    for scope, value in (
        ("recipient", "anna@pec.uno.example"),
        ("label", "case 100"),
        ("label", "case 122"),
        ("batch", "tax-2026"),
        ("batch", "fakturor mars"),
        ("message", bruno),
        ("recipient", "061234 9001"),
    ):
        _place(found, scope, value)
    found.world.runner.run()
    queries = found.world.queries
    expected = {
        (hold.hold, view.message, view.recipient)
        for view in queries.search(TENANT, Filters(), limit=500).deliveries
        for hold in keeping.held(queries, TENANT, view.message, view.recipient)
    }
    rows = ask(found, "on_hold").column("hold", "message", "recipient")
    assert 7 == len({hold for hold, _, _ in rows})
    assert (len(expected), expected) == (len(rows), set(rows))


def test_hold_that_cannot_be_opened_covers_everything(on_sqlite: Golden) -> None:
    """When the key of a hold is gone nobody can say what it is on, so nothing may be removed."""
    hold = _place(on_sqlite, "label", "case 101")
    on_sqlite.world.runner.run()
    with on_sqlite.world.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM sealed_values WHERE position = ?", (hold.position,))
    everything = _messages(on_sqlite)
    assert [None] * len(everything) == ask(on_sqlite, "on_hold").column("value")
    assert [hold.hold] == [each.hold for each in keeping.held(on_sqlite.world.queries, TENANT, everything[0], 0)]


@pytest.mark.parametrize(
    "where",
    [
        {"provider": "pec_mailbox", "until": "2026-02-01"},
        {"provider": "kpn_sms", "since": "2026-03-01"},
        {"account": "post"},
        {"label": "Case 100", "recipient": "ANNA@pec.uno.example"},
        {"label": "case 100", "provider": "kpn_sms"},
        {"batch": "tax-2026", "since": "2026-01-01T00:00:00Z"},
        {"recipient": "06 1234 9001", "account": "sms"},
    ],
)
def test_hold_on_a_query_covers_what_a_search_finds(found: Golden, where: dict[str, str]) -> None:
    """All that is given must hold; each delivery says so by itself, and no other does."""
    hold = _place(found, "query", written(HeldQuery(**where)))
    found.world.runner.run()
    queries = found.world.queries
    under = {(v.message, v.recipient) for v in queries.search(TENANT, Filters(**where), limit=500).deliveries}
    every = [(v.message, v.recipient) for v in queries.search(TENANT, Filters(), limit=500).deliveries]
    covering = keeping.Covering(queries, TENANT).of(every)
    assert under == {each for each, holds in covering.items() if holds}
    assert sorted(under) == sorted(ask(found, "on_hold", hold=hold.hold).column("message", "recipient"))


def test_hold_on_a_query_that_nobody_can_read_covers_everything(on_sqlite: Golden) -> None:
    """As any hold does of which nobody knows any more what it is on."""
    hold = _place(on_sqlite, "query", written(HeldQuery(account="post")))
    with on_sqlite.world.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM sealed_values WHERE position = ?", (hold.position,))
    (message, *_) = _messages(on_sqlite)
    assert [hold.hold] == [each.hold for each in keeping.held(on_sqlite.world.queries, TENANT, message, 0)]


def test_released_hold_covers_nothing(found: Golden) -> None:
    """It is listed among those that ended."""
    hold = _place(found, "label", "case 100")
    found.world.runner.run()
    keeping.release(found.world.accounts, found.world.queries, TENANT, hold.hold, "settled")
    found.world.runner.run()
    assert [] == ask(found, "on_hold").rows
    assert [] == keeping.holds(found.world.queries, TENANT)
    (ended,) = keeping.holds(found.world.queries, TENANT, released=True)
    assert (hold.hold, time_text(NOW)) == (ended.hold, ended.released_at)


# --- retention


def test_without_a_policy_nothing_is_due(found: Golden) -> None:
    """However late it is."""
    assert [] == ask(found, "retention_due", by="9999-01-01").rows


def test_due_is_what_is_older_than_the_policy_says(found: Golden) -> None:
    """Letters of January and of early February, kept for two months; two that are open are kept all the same."""
    _keep(found, "pec_mailbox", "2m")
    found.world.runner.run()
    answer = ask(found, "retention_due")
    assert [
        ("2026-04-10T11:09:30.000000Z", "impostor@pec.due.example", ("open", "notice")),
        ("2026-04-10T11:09:30.000000Z", "carla@pec.due.example", ("notice",)),
        ("2026-04-10T11:04:30.000000Z", "unsigned@pec.due.example", ("notice",)),
        ("2026-04-10T10:59:30.000000Z", "altered@pec.due.example", ("open", "notice")),
        ("2026-04-04T09:59:30.000000Z", "anna@pec.uno.example", ("notice",)),
        ("2026-04-03T09:59:30.000000Z", "Anna@PEC.uno.example", ("notice",)),
        ("2026-03-12T09:19:30.000000Z", "refused@pec.uno.example", ("notice",)),
        ("2026-03-12T09:19:30.000000Z", "bruno@pec.uno.example", ("notice",)),
        ("2026-03-12T09:09:30.000000Z", "silent@pec.uno.example", ("notice",)),
        ("2026-03-12T08:59:30.000000Z", "anna@pec.uno.example", ("notice",)),
    ] == answer.column("due_at", "address", "kept_by")
    assert {("2m", None)} == set(answer.column("keep", "label"))
    assert 4 == len(ask(found, "retention_due", by="2026-04-03").rows)
    assert 5 == len(ask(found, "retention_due", by="2026-04-03T09:59:30Z").rows)
    assert [10, 0] == [len(ask(found, "retention_due", show=show).rows) for show in ("kept", "due")]
    assert {time_text(NOW + timedelta(days=7))} == set(answer.column("applies_at"))


def test_what_is_due_may_go_seven_days_after_the_policy_was_said(found: Golden) -> None:
    """Until then all of it is kept by `notice`, and says from when on it is not."""
    _keep(found, "pec_mailbox", "2m")
    found.world.runner.run()
    before, after = (time_text(NOW + timedelta(days=7, microseconds=each)) for each in (-1, 0))
    assert {("notice",), ("open", "notice")} == set(ask(found, "retention_due", by=before).column("kept_by"))
    assert {(), ("open",)} == set(ask(found, "retention_due", by=after).column("kept_by"))
    later = ask(found, "retention_due", by="2027-01-01")
    assert all(max(due, after) == applies for due, applies in later.column("due_at", "applies_at"))


def test_what_was_erased_is_not_due(found: Golden) -> None:
    """Alone, or with its message."""
    _keep(found, "pec_mailbox", "2m")
    found.world.runner.run()
    rows = ask(found, "retention_due").column("message", "recipient", "address")
    (whole,) = [message for message, _, address in rows if address == "silent@pec.uno.example"]
    (shared,) = [message for message, _, address in rows if address == "bruno@pec.uno.example"]
    ledger = found.world.ledger
    for erased in (Erased(whole), Erased(shared, 1)):
        ledger.append(Item([draft(ledger, TENANT, erased, "message")]))
    found.world.runner.run()
    gone = {(whole, 0), (shared, 1)}
    assert [row[:2] for row in rows if row[:2] not in gone] == ask(found, "retention_due").column(
        "message", "recipient"
    )


def test_policy_for_a_label_goes_before_the_providers(found: Golden) -> None:
    """Of several labels the one that keeps it longest counts; and a hold keeps what is due."""
    _keep(found, "pec_mailbox", "1m")
    _keep(found, "pec_mailbox", "10y", "CASE 100")
    _keep(found, "kpn_sms", "20d", "case 101")
    hold = _place(found, "label", "case 101")
    found.world.runner.run()
    january = ask(found, "retention_due", by="2026-03-01")
    assert [
        ("refused@pec.uno.example", "1m", None, ("notice",)),
        ("bruno@pec.uno.example", "1m", None, ("notice",)),
        ("silent@pec.uno.example", "1m", None, (f"hold {hold.hold}", "notice")),
    ] == january.column("address", "keep", "label", "kept_by")
    later = ask(found, "retention_due", by="2036-01-13")
    assert [("anna@pec.uno.example", "2036-01-12T08:59:30.000000Z", "10y", "CASE 100")] == [
        row for row in later.column("address", "due_at", "keep", "label") if row[3]
    ]
    _keep(found, "pec_mailbox", "20y", "tax")
    both = _send(found, 1, "dora@pec.sei.example", label="tax;case 100")
    found.world.runner.run()
    assert both not in ask(found, "retention_due", by="2046-04-15T11:59:59Z").column("message")
    assert both in ask(found, "retention_due", by="2046-04-15T12:00:00Z").column("message")


def test_last_word_about_a_provider_and_label_counts(found: Golden) -> None:
    """A policy is replaced, or ends; then the one for the provider holds again, or none."""
    for label, term in (("", "1m"), ("case 100", "10y"), ("Case 100", "20d"), ("", "20y")):
        _keep(found, "pec_mailbox", term, label)
    found.world.runner.run()
    assert {("20d", "Case 100")} == set(ask(found, "retention_due").column("keep", "label"))
    assert [("20y", ""), ("20d", "Case 100")] == [
        (policy.keep, policy.label) for policy in keeping.policies(found.world.queries, TENANT)
    ]
    _keep(found, "pec_mailbox", "", "case 100")
    assert [("20y", "")] == [(policy.keep, policy.label) for policy in keeping.policies(found.world.queries, TENANT)]
    assert [] == ask(found, "retention_due").rows


def test_due_is_what_a_recount_finds(on_sqlite: Golden) -> None:
    """Of every provider its own term, from the deliveries as they are shown."""
    terms = {"pec_mailbox": "40d", "kpn_sms": "1m", "ekopost": "45d", "kpn_cloud_fax": "1y"}
    for provider, term in terms.items():
        _keep(on_sqlite, provider, term)
    on_sqlite.world.runner.run()
    views = on_sqlite.world.queries.search(TENANT, Filters(), limit=500).deliveries
    expected = [
        (
            *(view.message, view.recipient, due_at(view.opened_at, terms[view.provider])),
            ("notice",) if view.is_final else ("open", "notice"),
        )
        for view in views
        if view.provider in terms and due_at(view.opened_at, terms[view.provider]) <= time_text(NOW)
    ]
    assert len(expected) > 20
    assert expected == ask(on_sqlite, "retention_due").column("message", "recipient", "due_at", "kept_by")
    for name, value in (("provider", "kpn_sms"), ("account", "post")):
        chosen = {(v.message, v.recipient) for v in views if getattr(v, name) == value}
        only = ask(on_sqlite, "retention_due", **{name: value}).column("message", "recipient")
        assert [row[:2] for row in expected if row[:2] in chosen] == only


@pytest.mark.parametrize(
    ("opened", "term", "due"),
    [
        ("2024-02-29", "1y", "2025-03-01"),
        ("2024-02-29", "4y", "2028-02-29"),
        ("2026-01-31", "1m", "2026-03-01"),
        ("2026-12-31", "2m", "2027-03-01"),
        ("2026-01-31", "12m", "2027-01-31"),
        ("2026-12-15", "1m", "2027-01-15"),
        ("2026-03-01", "90d", "2026-05-30"),
    ],
)
def test_term_is_never_cut_short(opened: str, term: str, due: str) -> None:
    """Where a month has no such day, the first of the next."""
    assert f"{due}T12:00:00.000000Z" == due_at(f"{opened}T12:00:00.000000Z", term)


def test_term_beyond_the_calendar_never_ends() -> None:
    """Nine thousand years."""
    assert "9999-12-31T23:59:59.999999Z" == due_at("2026-01-01T00:00:00.000000Z", "9000y")
    assert "9999-12-31T23:59:59.999999Z" == due_at("9999-12-01T00:00:00.000000Z", "1m")
    assert "0001-01-01T00:00:00.000000Z" == opened_before("2026-01-01T00:00:00.000000Z", "9000y")


@given(
    st.integers(0, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.integers(1, 400),
    st.sampled_from("ymd"),
)
def test_what_is_due_was_opened_before(opened: datetime, number: int, unit: str) -> None:
    """The bound by which deliveries are looked for never leaves out one that is due, and is at most some days off."""
    at, term = time_text(opened), f"{number}{unit}"
    bound = opened_before(due_at(at, term), term)
    assert at < bound
    assert (parse_time(bound) - opened).days <= 4


# --- cursors, parameters, others


def _two_holds(found: Golden) -> None:
    for scope, value in (("label", "case 100"), ("message", _messages(found, recipient="bruno@pec.uno.example")[0])):
        _place(found, scope, value)
    _keep(found, "pec_mailbox", "1m")
    found.world.runner.run()


@pytest.mark.parametrize(("query", "count"), [("on_hold", 5), ("retention_due", 10)])
def test_goes_on_after_any_row(found: Golden, query: str, count: int) -> None:
    """After each row come the rows behind it, over the border of a hold."""
    _two_holds(found)
    whole = ask(found, query, **({"by": "2026-03-20"} if query == "retention_due" else {}))
    assert count == len(whole.rows)
    for number, cursor in enumerate(whole.cursors, 1):
        more: Sequence[Any] = ask(found, query, cursor, **whole.header["parameters"]).rows
        assert whole.rows[number:] == more


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("on_hold", {"hold": "x" * 37}),
        ("on_hold", {"label": "case 100"}),
        ("retention_due", {"by": "2026-02-29"}),
        ("retention_due", {"show": "some"}),
    ],
)
def test_refuses_what_it_does_not_take(on_sqlite: Golden, query: str, wrong: dict[str, str]) -> None:
    """The text names the parameter."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ask(on_sqlite, query, **wrong)


def test_cursor_of_something_else_is_refused(on_sqlite: Golden) -> None:
    """Where to go on is said by a row of this answer."""
    _two_holds(on_sqlite)
    with pytest.raises(ValueError, match="not a cursor"):
        ask(on_sqlite, "on_hold", "on_hold:elsewhere")


def test_each_organisation_has_its_own_holds_and_policies(found: Golden) -> None:
    """The same label and provider at the other one are neither held nor due."""
    _two_holds(found)
    for query in ("on_hold", "retention_due"):
        assert [] == ask(found, query, tenant=OTHER).rows
    assert [] == keeping.holds(found.world.queries, OTHER, released=True)
    assert [] == keeping.policies(found.world.queries, OTHER)
    _keep(found, "pec_mailbox", "1d", tenant=OTHER)
    found.world.runner.run()
    assert 4 == len(ask(found, "retention_due", tenant=OTHER).rows)


def test_rebuilt_holds_and_policies_are_the_same(found: Golden) -> None:
    """From position 1: no row differs."""
    _two_holds(found)
    (hold, _) = keeping.holds(found.world.queries, TENANT)
    keeping.release(found.world.accounts, found.world.queries, TENANT, hold.hold, "settled")
    found.world.runner.run()
    runner = found.world.runner
    for model in (each for each in runner.models if each.name in {"keeping", "accessed"}):
        assert set() == {name for name, count in runner.rebuild(model).differences.items() if count}
