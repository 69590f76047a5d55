"""Compliance queries about deliveries: what each answers on the fixed ledger, recounted by hand and by a second, naive way.

`expected/<case>.txt` holds an answer, a row a line, without what differs from run to run: ids and positions. Each line was read against
what the ledger was told (history.py and the stories' own files), and so must be whatever changes one. Independent of the queries are
the recounts below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.compliance.asking import asked
from adapters.compliance.duplicates import statement
from adapters.compliance.registry import QUERIES, find
from ledger.addresses import normal
from ledger.appender import Item
from ledger.database import Cursor
from ledger.errors import NotFoundError
from ledger.events import parse_time, time_text
from ledger.observations import Address
from projections.queries import Filters
from projections.views import DeliveryView
from tests.compliance.golden import NOW, OTHER, TENANT, Golden, ask
from tests.compliance.history import Letter, at, certified, digest

MINE = (
    "unproven",
    "missing_receipts",
    "at_risk",
    "undelivered",
    "late",
    "disputed",
    "signature_failures",
    "duplicates",
    "unmatched",
    "by_document",
    "by_recipient",
)
NEEDED: dict[str, dict[str, Any]] = {
    "by_document": {"digest": digest("lease")},
    "by_recipient": {"recipient": "ANNA@pec.uno.example"},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, NEEDED.get(name, {})) for name in MINE},
    "unproven-open": ("unproven", {"state": "open", "hours": 24, "account": "pec"}),
    "unproven-final-below-e4": ("unproven", {"state": "final", "below": "E4", "since": "2026-03-03"}),
    "missing_receipts-statements": ("missing_receipts", {"what": "delivery_statement"}),
    "at_risk-within-4-days": ("at_risk", {"days": 4}),
    "undelivered-refused": ("undelivered", {"which": "refused"}),
    "late-but-met": ("late", {"state": "met_late"}),
    "late-collection": ("late", {"term": "collection"}),
    "signature_failures-wrong": ("signature_failures", {"verdict": "wrong"}),
    "duplicates-within-4-days": ("duplicates", {"days": 4}),
    "duplicates-references": ("duplicates", {"by": "reference"}),
    "unmatched-unreadable": ("unmatched", {"lane": "unreadable", "hours": 24}),
    "by_document-by-sha1-since": ("by_document", {"digest": digest("order"), "since": "2026-02-10T11:05Z"}),
    "by_recipient-phone": ("by_recipient", {"recipient": "06 1234 9001"}),
}
VARYING = frozenset({"message", "events", "set_at", "item", "id", "originals", "earlier"})
"""Columns that differ from run to run."""
EXPECTED = Path(__file__).parent / "expected"


def told(found: Golden, query: str, **parameters: Any) -> list[str]:
    """An answer as it stands in a file."""
    columns = [column.name for column in find(query).columns]
    return [
        " | ".join(_plain(value) for name, value in zip(columns, row, strict=True) if name not in VARYING)
        for row in ask(found, query, **parameters).rows
    ]


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return "-" if value is None else str(value).replace("\n", " ").replace(".000000Z", "Z")


@pytest.mark.parametrize("case", CASES)
def test_answer_on_the_fixed_ledger(found: Golden, case: str) -> None:
    """Every query says, on either database, what the ledger was told: row by row, value by value."""
    query, parameters = CASES[case]
    assert (EXPECTED / f"{case}.txt").read_text().splitlines() == told(found, query, **parameters)


# --- recounted


def everything(found: Golden, tenant: str = TENANT) -> list[DeliveryView]:
    """All deliveries, newest message first."""
    return list(found.world.queries.search(tenant, Filters(), limit=500).deliveries)


def key(view: DeliveryView) -> tuple[str, int]:
    return view.message, view.recipient


def keys(found: Golden, query: str, **parameters: Any) -> list[tuple[str, int]]:
    return ask(found, query, **parameters).column("message", "recipient")


def unproven(views: list[DeliveryView], hours: int, below: str) -> list[tuple[str, int]]:
    old = [view for view in views if NOW - parse_time(view.opened_at) >= timedelta(hours=hours)]
    return [key(view) for view in old if not view.is_final or view.evidence.grade < below]


@pytest.mark.parametrize("hours", [0, 3, 4, 72, 24 * 40, 24 * 400])
@pytest.mark.parametrize("below", ["E1", "E3", "E5"])
def test_unproven_is_what_a_second_count_finds(on_sqlite: Golden, hours: int, below: str) -> None:
    """Old enough, and without a final status or with too weak evidence for it."""
    expected = unproven(everything(on_sqlite), hours, below)
    assert expected == keys(on_sqlite, "unproven", hours=hours, below=below)


def test_states_of_unproven_are_its_two_halves(on_sqlite: Golden) -> None:
    """What is open and what is final, together, is all of it, each once."""
    halves = [keys(on_sqlite, "unproven", state=state) for state in ("open", "final")]
    assert sorted(keys(on_sqlite, "unproven")) == sorted(halves[0] + halves[1])
    assert halves[0]
    assert halves[1]


def test_undelivered_and_disputed_are_what_a_second_count_finds(found: Golden) -> None:
    """Each status by itself, and all of them together."""
    views = everything(found)
    for which in ("failed", "refused", "expired"):
        assert [key(v) for v in views if v.status == which] == keys(found, "undelivered", which=which)
    assert [key(v) for v in views if v.status in {"failed", "refused", "expired"}] == keys(found, "undelivered")
    assert [key(v) for v in views if v.status == "disputed"] == keys(found, "disputed")


def test_late_is_what_a_second_count_finds(found: Golden) -> None:
    """Each deadline that was passed or met late, with its state; a delivery may stand there more than once."""
    wanted = {"passed", "met_late"}
    expected = [
        (*key(v), d.name, d.state, d.breach_at) for v in everything(found) for d in v.deadlines if d.state in wanted
    ]
    answer = ask(found, "late")
    assert expected == answer.column("message", "recipient", "term", "state", "deadline")
    for state, breach_at, met_at, late_s in answer.column("state", "deadline", "met_at", "late_s"):
        until = parse_time(met_at) if met_at else NOW
        assert (state == "met_late", late_s) == (bool(met_at), int((until - parse_time(breach_at)).total_seconds()))
        assert late_s > 0
    own = {position for position in answer.column("set_at") if position}
    assert ["ruleset.changed"] == [found.world.ledger.event(position).type for position in own]


def test_missing_and_at_risk_are_what_a_second_count_finds(found: Golden) -> None:
    """Everything that is missing; and of it what the forecast of one mailbox and the setting of the fax threaten."""
    missing = [(view, each.what) for view in everything(found) for each in view.evidence.missing]
    assert [(*key(v), what) for v, what in missing] == ask(found, "missing_receipts").column(
        "message", "recipient", "missing"
    )
    until = {"pec_massiva": lambda _: "2026-04-20T00:00:00.000000Z"}
    until["kpn_cloud_fax"] = lambda view: time_text(parse_time(view.opened_at) + timedelta(days=45))
    expected = [(*key(v), what, until[v.provider](v)) for v, what in missing if v.provider in until]
    assert expected == ask(found, "at_risk").column("message", "recipient", "missing", "until")


def test_unmatched_and_signature_failures_are_what_a_second_count_finds(found: Golden) -> None:
    """What waits is what the lanes show; what failed is what the lanes, the deliveries' own doubts and the quarantine show."""
    queries = found.world.queries
    assert [item.item for item in queries.lanes(TENANT)] == ask(found, "unmatched").column("item")
    lanes = [item.item for item in queries.lanes(TENANT, state="") if item.lane == "unverified"]
    doubts = {"signature_wrong", "signature_absent"}
    views = [view.message for view in everything(found) if doubts & set(view.evidence.not_proven)]
    kept = sorted(each.quarantine_id for each in found.world.quarantine.list(TENANT))
    assert lanes + views + kept == ask(found, "signature_failures").column("id")


def sent(found: Golden, message: str) -> tuple[set[str], set[str]]:
    """Digests of the documents of a message and its own references, as its sender or the provider's answer to the sending said them."""
    events = [e for e in found.world.ledger.stream(message) if e.type.startswith("submission.")]
    values = [v for said in found.world.ledger.values(events).items() for v in said[1].items()]
    documents = {v["sha256"] for path, v in values if path.startswith("document.")}
    return documents, {
        v["value"] for path, v in values if path.startswith("reference.") and v["kind"].startswith("own_")
    }


@pytest.mark.parametrize("days", [0, 1, 4, 22, 31, 400])
def test_duplicates_are_what_a_second_count_finds(found: Golden, days: int) -> None:
    """Every pair of messages compared, addresses in the clear: the same ones, each with the nearest one before it."""
    views = everything(found)
    said = {view.message: sent(found, view.message) for view in views}
    who = {key(view): normal(Address(view.address.kind, view.address.address)) for view in views}
    expected = []
    for number, later in enumerate(views):
        since = time_text(parse_time(later.opened_at) - timedelta(days=days))
        before = [v for v in views[number:] if v.message != later.message and v.opened_at >= since]
        for document in sorted(said[later.message][0]):
            same = (v for v in before if who[key(v)] == who[key(later)] and document in said[v.message][0])
            expected += [(*key(later), "document", document, v.message) for v in islice(same, 1)]
        for own in sorted(said[later.message][1]) if later.recipient == 0 else ():
            same = (v for v in before if own in said[v.message][1])
            expected += [(*key(later), "reference", f"own_reference {own}", v.message) for v in islice(same, 1)]
    assert expected == ask(found, "duplicates", days=days).column("message", "recipient", "same", "value", "earlier")


def test_document_and_recipient_are_what_a_second_count_finds(found: Golden) -> None:
    """Every message opened and looked at."""
    views, queries = everything(found), found.world.queries
    held = {v.message: {d.get("sha256") for d in queries.message(TENANT, v.message).documents} for v in views}
    for name in ("notice", "reminder", "order", "lease"):
        expected = [key(v) for v in views if digest(name) in held[v.message]]
        assert expected == keys(found, "by_document", digest=digest(name))
        assert expected
    for address in {(v.address.kind, v.address.address) for v in views}:
        mine = normal(Address(*address))
        expected = [
            key(v)
            for v in views
            if (v.address.kind, normal(Address(v.address.kind, v.address.address))) == (address[0], mine)
        ]
        assert expected == keys(found, "by_recipient", recipient=address[1], kind=address[0])


SPANS: tuple[dict[str, str], ...] = (
    {"since": "2026-03-02T10:00:02Z"},
    {"until": "2026-03-02T10:00:02Z"},
    {"since": "2026-02-03", "until": "2026-02-05"},
    {"account": "pec", "since": "2026-03-02"},
    {"provider": "kpn_sms"},
    {"provider": "kpn_sms", "account": "pec"},
)


@pytest.mark.parametrize("query", MINE)
def test_span_leaves_out_what_lies_beyond_it(found: Golden, query: str) -> None:
    """The bounds, the provider and the account choose among the very rows of the whole answer; the first bound is in, the second out."""
    whole = ask(found, query, **NEEDED.get(query, {}))
    places = whole.column("opened_at", "provider", "account")
    for span in SPANS:
        since, until = (whole_time(span[name]) if name in span else default for name, default in BOUNDS)
        expected = [
            row
            for row, (opened_at, provider, account) in zip(whole.rows, places, strict=True)
            if since <= opened_at < until
            and provider == span.get("provider", provider)
            and account == span.get("account", account)
        ]
        assert expected == ask(found, query, **NEEDED.get(query, {}), **span).rows


BOUNDS = (("since", ""), ("until", "9"))


def whole_time(text: str) -> str:
    """A bound of `SPANS` as times stand in rows."""
    return f"{text.removesuffix('Z')}{'' if 'T' in text else 'T00:00:00'}.000000Z"


# --- pages, tenants, parameters


@pytest.mark.parametrize("case", CASES)
def test_pages_together_are_the_whole(found: Golden, case: str) -> None:
    """Whoever takes two rows at a time, going on after the last one's cursor, reads every row once and in order."""
    query, parameters = CASES[case]
    whole = ask(found, query, **parameters).rows
    assert whole == [row for page in pages(found, query, parameters, 2) for row in page]


def pages(found: Golden, query: str, parameters: dict[str, Any], size: int) -> Iterator[list[tuple[Any, ...]]]:
    after = ""
    while True:
        with asked(found.world.queries, found.heads, TENANT, query, parameters, after) as answer:
            page = list(islice(answer.rows, size))
        if not page:
            return
        yield [row.values for row in page]
        after = page[-1].cursor


@pytest.mark.parametrize("query", MINE)
def test_each_organisation_sees_its_own(found: Golden, query: str) -> None:
    """Nobody's answer holds a row of another's, also where both were told the same; who has nothing gets nothing."""
    needed = {"by_document": {"digest": digest("lease")}, "by_recipient": {"recipient": "0612340001"}}.get(query, {})
    identity = (
        "message"
        if "message" in [c.name for c in find(query).columns]
        else find(query).columns[1 if query == "signature_failures" else 0].name
    )
    mine, theirs = (set(ask(found, query, tenant=tenant, **needed).column(identity)) for tenant in (TENANT, OTHER))
    assert mine
    assert mine.isdisjoint(theirs)
    own = {view.message for view in everything(found, OTHER)} | {
        i.item for i in found.world.queries.lanes(OTHER, state="")
    }
    assert theirs <= own
    assert [] == ask(found, query, tenant="nobody", **needed).rows


def test_another_organisation_has_answers_of_its_own(found: Golden) -> None:
    """The rule above is no empty one: what was told to both is there for both."""
    addresses = ["0612340001"]
    assert addresses == ask(found, "by_recipient", tenant=OTHER, recipient="+31612340001").column("address")
    assert ["studio.galli@pec.ordine-esempio.example"] == ask(found, "disputed", tenant=OTHER).column("address")
    assert ["unreadable", "unmatched"] == ask(found, "unmatched", tenant=OTHER).column("lane")


@pytest.mark.parametrize(
    ("query", "parameters", "named"),
    [
        ("unproven", {"since": "2026-02-30"}, "since: '2026-02-30'"),
        ("unproven", {"since": "yesterday"}, "since"),
        ("unproven", {"until": "2026-03-01T25:00Z"}, "until: '2026-03-01T25:00Z'"),
        ("unproven", {"since": "0001-01-01T00:00+14:00"}, "since"),
        ("late", {"since": "2026-03-02", "until": "2026-03-02T00:00Z"}, "is not after since"),
        ("late", {"until": 20260302}, "until"),
        ("unproven", {"below": "E9"}, "below"),
        ("unproven", {"below": "E0"}, "below"),
        ("unproven", {"hours": -1}, "hours"),
        ("unproven", {"hours": "many"}, "hours"),
        ("unproven", {"state": "perhaps"}, "state"),
        ("at_risk", {"days": 10**9}, "days"),
        ("missing_receipts", {"what": "everything"}, "what"),
        ("undelivered", {"which": "delivered"}, "which"),
        ("late", {"term": "No Name"}, "term"),
        ("disputed", {"provider": "'; DROP TABLE heads; --"}, "provider"),
        ("disputed", {"colour": "red"}, "its parameters are: since, until, provider, account"),
        ("unmatched", {"lane": "fast"}, "lane"),
        ("signature_failures", {"verdict": "good"}, "verdict"),
        ("duplicates", {"by": "colour"}, "by"),
        ("by_document", {}, "digest"),
        ("by_document", {"digest": "abc"}, "digest"),
        ("by_recipient", {}, "recipient"),
        ("by_recipient", {"recipient": ""}, "recipient"),
        ("by_recipient", {"recipient": "a", "kind": "pigeon"}, "kind"),
    ],
)
def test_wrong_parameter_is_named(on_sqlite: Golden, query: str, parameters: dict[str, Any], named: str) -> None:
    """A parameter that is unknown, missing or out of its range is refused before anything is read, and the text names it."""
    with pytest.raises(ValueError, match=f"query {query}: .*") as raised:
        ask(on_sqlite, query, **parameters)
    assert named in str(raised.value)


def test_choices_of_a_parameter_are_told_to_whoever_missed_them(on_sqlite: Golden) -> None:
    """In words that can be typed, an empty one included."""
    with pytest.raises(ValueError, match="query unproven: below: one of E1, E2, E3, E4, E5; its parameters are"):
        ask(on_sqlite, "unproven", below="E9")
    with pytest.raises(ValueError, match="late: there is no parameter 'colour'; its parameters are: since,"):
        ask(on_sqlite, "late", colour="red")
    with pytest.raises(ValueError, match='kind: one of "", email, phone'):
        ask(on_sqlite, "by_recipient", recipient="a", kind="pigeon")


@pytest.mark.parametrize("query", MINE)
@pytest.mark.parametrize("cursor", ["nonsense", "1~x", "~~", "é", "lane", "lane:x", "delivery:?", "-1", "²"])
def test_foreign_cursor_is_refused(on_sqlite: Golden, query: str, cursor: str) -> None:
    """A cursor that this query did not give is refused, never read as another place."""
    with pytest.raises((ValueError, NotFoundError), match="cursor"):
        ask(on_sqlite, query, after=cursor, **NEEDED.get(query, {}))


def test_times_are_said_as_they_were_used(on_sqlite: Golden) -> None:
    """Days, times and offsets mean what they say, and the header has them in one form."""
    for since in ("2026-03-02", "2026-03-02T00:00", "2026-03-02 00:00:00Z", "2026-03-02T01:00+01:00"):
        answer = ask(on_sqlite, "late", since=since)
        assert "2026-03-02T00:00:00.000000Z" == answer.header["parameters"]["since"]
        assert 13 == len(answer.rows)


def test_every_query_of_this_kind_is_listed() -> None:
    """Each stands in the registry under its own name, in its first version, for whoever has the compliance scope."""
    assert set(MINE) <= QUERIES.keys()
    assert {(1, ("compliance",))} == {(QUERIES[name].version, QUERIES[name].scopes) for name in MINE}


# --- what changes an answer


def test_settled_dispute_is_not_counted(found: Golden) -> None:
    """Once a person set one side aside, the delivery is disputed no more."""
    ledger = found.world.ledger
    before = ask(found, "disputed")
    message, recipient, events = before.column("message", "recipient", "events")[0]
    said = {
        "provider": "pec_mailbox",
        "account": "pec",
        "about": "recipient",
        "recipient": recipient,
        "events": [events[1]],
    }
    found.world.ledger.append(Item([ledger.draft("dispute.resolved", TENANT, f"{message}/{recipient}", said)]))
    found.world.runner.run()
    assert before.rows[1:] == ask(found, "disputed").rows
    assert before.header["position"] + 1 == ask(found, "disputed").header["position"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "forty days",
        "[]",
        "{}",
        '{"lifetime":"45"}',
        '{"lifetime":true}',
        '{"lifetime":-1}',
        '{"lifetime":1e99}',
        '{"lifetime":99999999}',
    ],
)
def test_retention_that_cannot_be_read_threatens_nothing(on_sqlite: Golden, value: str) -> None:
    """The newest setting counts; where it says no number of days, nothing is claimed of the fax."""
    world = on_sqlite.world
    said = {"setting": "retentionconfig", "value": value}
    world.accounts.record("account.setting_changed", TENANT, "fax", "", {"provider": "kpn_cloud_fax"}, said=said)
    world.runner.run()
    assert {"mailbox_full"} == set(ask(on_sqlite, "at_risk").column("threat"))


def test_message_told_of_by_two_streams_is_no_duplicate(found: Golden) -> None:
    """A receipt that came before its sending was declared joins it: one message. The same sent again is a duplicate in both ways."""
    before = ask(found, "duplicates").rows
    first = Letter(at("04-15 10:00"), 901, ("dora@pec.uno.example",), "receipt first", "case-901")
    send, *receipts = certified(first)
    for act in (*receipts, send):
        act.do(found.world)
    found.world.runner.run()
    assert before == ask(found, "duplicates").rows
    again = Letter(at("04-15 10:30"), 902, ("DORA@pec.uno.example",), "receipt first", "case-901")
    for act in certified(again):
        act.do(found.world)
    found.world.runner.run()
    answer = ask(found, "duplicates")
    assert before == answer.rows[2:]
    assert [("document", digest("receipt first")), ("reference", "own_reference case-901")] == answer.column(
        "same", "value"
    )[:2]


def test_progress_is_told_while_rows_are_read(on_sqlite: Golden) -> None:
    """Whoever waits for a long answer sees how far it is."""
    told: list[int] = []
    heard: Callable[[int, int | None], None] = lambda done, _total: told.append(done)  # noqa: E731
    with asked(on_sqlite.world.queries, on_sqlite.heads, TENANT, "unmatched", {}, "", heard) as answer:
        rows = list(answer.rows)
    assert list(range(1, len(rows) + 1)) == told


@pytest.mark.parametrize("same", ["document", "reference"])
def test_looking_for_duplicates_scans_no_table(found: Golden, same: str) -> None:
    """Every step of it can go by an index, from the digest on: a table is read through only where it is tiny."""
    database = found.world.ledger.database
    sql = statement(same, database.kind).format(*"?????")
    given = [b"1" * 16, "message", 7, "2026", *([b"2" * 16] if same == "document" else [])]
    if database.kind == "sqlite":
        steps = [str(row[-1]) for row in database.read(f"EXPLAIN QUERY PLAN {sql}", given)]
        assert [] == [step for step in steps if step.startswith("SCAN")]
        return
    with database.snapshot() as reads:
        cast("Cursor", reads).execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(str(row[0]) for row in reads.read(f"EXPLAIN {sql}", given))
    assert "Seq Scan" not in plan
    assert 3 <= plan.count("Index")
