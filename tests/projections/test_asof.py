"""Answers as of then equal those of read models that were filled from position 1 and stopped there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.evidence.trail import tell
from ledger.addresses import normal
from ledger.appender import Item
from ledger.errors import NotFoundError
from ledger.events import Draft, Event
from ledger.observations import Address, ArrivalKind, Reference
from ledger.streams import Registration
from ledger.writer import TOLD_ELSEWHERE
from projections import aslists
from projections.asof import AsOf, Past
from projections.downtimes import ENTERED, WITHDRAWN, DowntimesModel
from projections.queries import MAX_PAGE, Filters, Queries
from projections.rulesets import CURRENT, OLDEST, TABLES_RULE, in_force, versions
from projections.runner import Runner
from projections.status import StatusModel
from projections.stories import is_claim
from projections.views import DeliveryView, Page
from tests.flow import desk
from tests.projections.history import AT
from tests.stories.stories import ACCOUNT
from tests.stories.test_any_facts import NAMES, PEOPLE, TYPES, Declared, Fact, Telling, reading, registrations, worlds
from tests.world import TENANT, World

LABEL = "Dossier 12"
SEARCHES = (
    Filters(),
    Filters(status="accepted"),
    Filters(grade="E1"),
    Filters(mark="open", provider="kpn_sms"),
    Filters(mark="deadline.met_late"),
    Filters(provider="ekopost"),
    Filters(status="disputed", account="main"),
)


@dataclass(frozen=True)
class Act:
    """Something that a person or this program did; `number` chooses what it is about."""

    kind: str
    number: int


KINDS = ("arrive", "arrive", "arrive", "bridge", "bridge", "part", "part", "terms", "resolve", "rules", "down", "up")
acts = st.builds(Act, st.sampled_from(KINDS), st.integers(0, 30))


def arrival(act: Act) -> Telling:
    """Something about one of two people, known by one name of the message, or by two, which joins what was told under each."""
    fact = Fact(10 + act.number, 0, TYPES[act.number % len(TYPES)], act.number % 2, act.number, "", "")
    names = (act.number % 3,) if act.kind == "arrive" else (act.number % 3, (act.number + 1) % 3)
    return Telling((fact,), names, (), "", ArrivalKind.WEBHOOK, 10)


def write(found: World, tenant: str, kind: str, stream: str, **fields: Any) -> None:
    draft = found.ledger.draft(kind, tenant, stream, {"observed_at": AT, **fields})
    found.ledger.appender.submit(Item([Draft(draft.fields, [])])).result()


def events_of(found: World, tenant: str) -> list[Event]:
    return [event for event in found.ledger.feed(0, 100_000) if event.tenant == tenant]


def do(found: World, tenant: str, act: Act) -> None:
    """Append what an act says, if there is something that it can be about."""
    events = events_of(found, tenant)
    joined = [e for e in events if e.type == "streams.joined" and e.fields["rule"] != TOLD_ELSEWHERE]
    down = [e for e in events if e.type == "provider.down"]
    facts = [e for e in events if e.type in {"content.consigned", "content.consignment_failed", "relay.failed"}]
    if act.kind == "part" and joined:
        event = joined[act.number % len(joined)]
        write(found, tenant, "streams.parted", event.stream, streams=list(event.fields["streams"]))
    elif act.kind == "resolve" and facts:
        event = facts[act.number % len(facts)]
        write(found, tenant, "dispute.resolved", event.stream, events=[event.id])
    elif act.kind == "terms":
        numbers = {"warn_s": act.number + 1, "breach_s": 60 * act.number}
        stream = f"account/{tenant}/rules/2026-03-02"
        write(found, tenant, "ruleset.changed", stream, rule="deadline.delivery_report", numbers=numbers)
    elif act.kind == "down":
        stream = f"account/{tenant}/{ACCOUNT}/2026-03-02"
        write(found, tenant, "provider.down", stream, account=ACCOUNT, occurred_at=AT, zone="stated", rule=ENTERED)
    elif act.kind == "up" and down:
        event = down[act.number % len(down)]
        rule = (WITHDRAWN, ENTERED)[act.number % 2]
        write(found, tenant, "provider.up", event.stream, account=ACCOUNT, events=[event.id], rule=rule)
    elif act.kind == "rules":
        tables = versions((OLDEST, CURRENT)[act.number % 2].tables)
        write(found, "ledger", "ruleset.changed", "ledger", rule=TABLES_RULE, numbers=tables)


def live(found: World, tenant: str, step: Telling | Declared | Act) -> None:
    """One step of a history."""
    if isinstance(step, Act) and step.kind in {"arrive", "bridge"}:
        step = arrival(step)
    if isinstance(step, Telling):
        for outcome in found.intake.admit([reading(step)._replace(tenant=tenant)]):
            if isinstance(outcome, Exception):
                raise outcome
    elif isinstance(step, Declared):
        registration = Registration(
            account="main",
            provider="kpn_sms",
            recipients=tuple(Address("phone", PEOPLE[i]) for i in step.people),
            references=tuple(Reference("name", NAMES[0][i]) for i in step.names),
            batch=Reference("campaign", step.batch) if step.batch else None,
            labels=(LABEL,),
        )
        found.intake.register(tenant, registration, {"arrival": "api"}, ("once", "once"))
    else:
        do(found, tenant, step)


# --- read models that stop


def forget(found: World) -> None:
    """Empty the read models, as if nothing had been read yet."""
    schema = "delivery_read." if found.ledger.database.kind == "postgresql" else ""
    with found.ledger.database.writing() as cursor:
        for model in (StatusModel, DowntimesModel):
            for name in model.tables:
                cursor.execute(f"DELETE FROM {schema}read_{name}")
            tracked = f"application_name LIKE '{model.name}/%'"
            cursor.execute(f"DELETE FROM {found.ledger.tracking_table} WHERE {tracked}")


@contextmanager
def stopped(found: World, position: int) -> Iterator[Queries]:
    """Queries over read models that were filled from position 1 up to a position, by the rules that were in force there."""
    ledger = found.ledger.seen_through(found.ledger.database)
    feed = found.ledger.feed
    ledger.feed = lambda after=0, limit=1: [e for e in feed(after, limit) if e.position <= position]  # type: ignore[method-assign]
    forget(found)
    runner = Runner(ledger, [StatusModel(in_force(ledger, position).ruleset or CURRENT), DowntimesModel()])
    runner.run()
    yield Queries(ledger, runner)
    forget(found)
    found.runner.run()


def whole(reader: Queries | Past, tenant: str, filters: Filters, limit: int) -> list[DeliveryView]:
    """A list, page after page."""
    views: list[DeliveryView] = []
    page = Page((), "", 0)
    for _ in itertools.count():
        page = reader.search(tenant, filters, page.next, limit)
        views += page.deliveries
        if not page.next:
            return views
    raise AssertionError


def told(reader: Queries | Past, tenant: str, message: str, position: int) -> dict[str, Any] | None:
    """All that is said of a message, or None when it was not heard of."""
    try:
        row = reader.message_row(tenant, message)
    except NotFoundError:
        return None
    view = reader.message(tenant, message)
    shape = (
        view.message,
        view.opened_at,
        view.registered,
        view.recipients,
        view.batches,
        view.joined,
        view.joined_into,
    )
    indexes = range(0 if is_claim(row) else row.recipients)
    deliveries = [reader.delivery(tenant, message, index) for index in indexes]
    trails = [reader.trail(tenant, message, index) for index in (*([None] if indexes else []), *indexes)]
    return {
        "shape": (shape, view.statuses, tuple(plain(each) for each in view.deliveries)),
        "deliveries": [plain(each) for each in deliveries],
        "trails": [[e for e in trail.entries if e.position <= position] for trail in trails],
    }


def plain(view: DeliveryView) -> DeliveryView:
    return msgspec.structs.replace(view, known=None)


numbers = itertools.count(1)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that look at little, so that a short history has many of them."""
    monkeypatch.setattr(aslists, "MAX_MESSAGES", 2)
    monkeypatch.setattr(aslists, "MAX_JUDGED", 2)
    monkeypatch.setattr(aslists, "CHUNK", 1)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(worlds(), registrations, st.lists(acts, min_size=2, max_size=9), st.data())
def test_answers_as_of_then_are_those_of_a_replay_stopped_there(  # noqa: PLR0917  fixtures, then what is drawn
    found: World,
    small_pages: None,
    tellings: list[Telling],
    declared: Declared | None,
    doings: list[Act],
    data: st.DataObject,
) -> None:
    """For any history and position: every delivery, message, trail and list, and the fold of an evidence pack."""
    tenant = f"t{next(numbers)}"
    steps: list[Telling | Declared | Act] = data.draw(
        st.permutations([*tellings, *([declared] if declared else []), *doings])
    )
    place, limit = data.draw(st.tuples(st.integers(0, 60), st.integers(1, 3)))
    before = found.ledger.head().size
    for step in steps:
        live(found, tenant, step)
    found.runner.run()
    size = found.ledger.head().size
    if size == before:
        return
    position = before + 1 + place % (size - before)
    compare(found, tenant, position, limit)


def compare(found: World, tenant: str, position: int, limit: int) -> None:
    """Hold everything that is said as of a position against read models that stopped there."""
    messages = sorted({e.stream for e in events_of(found, tenant) if e.stream[8:9] == "-" and "/" not in e.stream})
    past = Past(found.queries, AsOf(position=position))
    assert (in_force(found.ledger, position).ruleset or CURRENT).tables == past.known.used
    answers = {message: told(past, tenant, message, position) for message in messages}
    lists = [[plain(view) for view in whole(past, tenant, filters, limit)] for filters in SEARCHES]
    packed = {
        (message, index): tell(found.ledger, tenant, message, position, [index]).folded[index]
        for message, answer in answers.items()
        for index in range(len(answer["deliveries"]) if answer else 0)
    }
    sealed = {name: whole(past, tenant, Filters(reference=name), limit) for name in ("m0", "i1")}
    people = {person: whole(past, tenant, Filters(recipient=person, address_kind="phone"), limit) for person in PEOPLE}
    with stopped(found, position) as queries:
        assert {message: told(queries, tenant, message, position) for message in messages} == answers
        assert [whole(queries, tenant, filters, limit) for filters in SEARCHES] == lists
    for (message, index), folded in packed.items():
        answer = answers[message]
        assert answer is not None
        view: DeliveryView = answer["deliveries"][index]
        assert (view.reasons, view.evidence, view.deadlines) == (folded.reasons, folded.evidence, folded.deadlines)
    every = lists[0]
    for name, views in sealed.items():
        named = {v.message for v in every if name in values(past, tenant, v.message)}
        assert [v for v in every if v.message in named] == [plain(v) for v in views]
    known = {(v.message, v.recipient): v for v in every}
    for person, views in people.items():
        fitting = [
            v for v in known.values() if normal(Address("phone", v.address.address)) == normal(Address("phone", person))
        ]
        assert fitting == [plain(v) for v in views]


def values(past: Past, tenant: str, message: str) -> set[str]:
    return {each["value"] for each in past.message(tenant, message).references}


# --- one history, moment by moment


@pytest.fixture
def joined(found: World) -> World:
    """Told under two names, which turn out to be one message's, and are parted again; with terms and tables that change on the way."""
    for kind, number in (
        ("arrive", 0),
        ("terms", 7),
        ("arrive", 1),
        ("bridge", 3),
        ("rules", 1),
        ("part", 0),
        ("arrive", 6),
    ):
        live(found, TENANT, Act(kind, number))
    for kind, number in (("down", 0), ("up", 1), ("down", 0), ("up", 2)):
        live(found, TENANT, Act(kind, number))
    live(found, TENANT, Declared((2,), (1, 2), "b1"))
    found.runner.run()
    return found


def test_every_position_of_a_history_is_told_as_it_was(joined: World) -> None:
    """Also one that lies between two events that were written together."""
    for position in range(1, joined.ledger.head().size + 1):
        compare(joined, TENANT, position, 50)
    pasts = [Past(joined.queries, AsOf(position=p)) for p in range(1, joined.ledger.head().size + 1)]
    down = [{tuple(d.state for d in v.downtimes) for v in whole(past, TENANT, Filters(), 9)} - {()} for past in pasts]
    told = [states for states, _ in itertools.groupby(down)]
    assert [set(), {("open",)}, {("ended",)}, {("ended", "open"), ("open",)}, {("open",)}] == told


def test_a_claim_holds_from_its_making_until_it_is_taken_back(found: World) -> None:
    """At every position: what waits, the message it was claimed for, then no longer, then another."""
    found.accounts.add(TENANT, "sms", "kpn_sms")
    first, second = (desk.send(found, f"doc-{n}", "0612340001", "0612340002") for n in (1, 2))
    item = desk.waiting(found, desk.report("31612340001", desk.DELIVERED, 5))
    found.lanes.claim(TENANT, item, first, "the customer said so")
    found.lanes.unclaim(TENANT, item, "it was another one")
    found.lanes.claim(TENANT, item, second, "the other customer said so")
    found.runner.run()
    for position in range(1, found.ledger.head().size + 1):
        compare(found, TENANT, position, 50)
    by_then = {p: Past(found.queries, AsOf(position=p)) for p in range(1, found.ledger.head().size + 1)}
    told = ["".join(v.status[0] for v in whole(past, TENANT, Filters(), 9)) for past in by_then.values()]
    assert ["", "pp", "pppp", "ppdp", "pppp", "dppp"] == [key for key, _ in itertools.groupby(told)]


def streams(found: World) -> list[str]:
    return list(dict.fromkeys(e.stream for e in found.ledger.feed() if e.type == "recipients.declared"))


def test_before_it_was_heard_of_there_is_nothing_and_it_is_said_since_when_there_is(joined: World) -> None:
    """A message that came later is not found; to another organisation nothing is said of it."""
    _, second, _ = streams(joined)
    first = joined.ledger.stream(second)[0]
    past = Past(joined.queries, AsOf(position=first.position - 1))
    with pytest.raises(
        NotFoundError, match=rf"first heard of at {first.fields['recorded_at']} \(position {first.position}\)"
    ):
        past.message(TENANT, second)
    with pytest.raises(NotFoundError, match=f"^there is no message {second}$"):
        past.message("other", second)
    assert second == Past(joined.queries, AsOf(position=first.position)).message(TENANT, second).message


def test_a_recipient_who_was_not_declared_yet_is_not_found(joined: World) -> None:
    """As of then the message had no such recipient."""
    past = Past(joined.queries, AsOf(position=joined.ledger.head().size))
    with pytest.raises(NotFoundError, match="had no recipient 9 at position"):
        past.delivery(TENANT, streams(joined)[0], 9)


def test_a_recorded_time_knows_what_was_recorded_at_that_very_moment(joined: World) -> None:
    """The time is inclusive, to the microsecond, and a moment that is not over yet is refused."""
    for event in joined.ledger.feed():
        at = event.fields["recorded_at"]
        last = max(e.position for e in joined.ledger.feed() if e.fields["recorded_at"] <= at)
        assert last == Past(joined.queries, AsOf(known_at=at)).position
    with pytest.raises(NotFoundError, match="nothing was recorded by"):
        Past(joined.queries, AsOf(known_at="2001-01-01"))
    for wrong in (
        AsOf(known_at="2999-01-01"),
        AsOf(known_at="yesterday"),
        AsOf(position=10_000),
        AsOf(position=1, known_at=AT),
    ):
        with pytest.raises(ValueError, match=r"known_at|position"):
            Past(joined.queries, wrong)


def test_the_tables_in_force_then_judge_unless_todays_are_asked_for(found: World) -> None:
    """An answer names the tables that were in force, those it was judged by, and those of today."""
    fact = Fact(1, 0, "relay.delayed", 0, 5, "", "")
    live(found, TENANT, Telling((fact,), (0,), (), "", ArrivalKind.WEBHOOK, 10))
    position = found.ledger.head().size
    write(
        found,
        "ledger",
        "ruleset.changed",
        "ledger",
        rule=TABLES_RULE,
        numbers=versions(CURRENT.tables) | {"kpn_sms": 3},
    )
    found.runner.run()
    (message,) = streams(found)
    told = {
        (at, rules): Past(found.queries, AsOf(position=at, rules=rules)).delivery(TENANT, message, 0)
        for at in (position, position + 1)
        for rules in ("then", "today")
    }
    assert ["E2", "E1", "E1", "E1"] == [view.evidence.grade for view in told.values()]
    known = [view.known for view in told.values() if view.known]
    assert [True, True, False, False] == [each.differ for each in known]
    assert [OLDEST.tables] * 2 + [CURRENT.tables] * 2 == [each.in_force for each in known]
    assert [OLDEST.tables, *[CURRENT.tables] * 3] == [each.used for each in known]
    assert [(), (), ("kpn_sms/3",), ("kpn_sms/3",)] == [each.vocabularies for each in known]


def test_as_of_a_time_of_occurrence_what_happened_later_is_left_out_though_it_is_known(found: World) -> None:
    """Status, deadlines and trail are those of the facts up to then; what was learned of them since counts."""
    facts = [
        ("submission.accepted", 1),
        ("relay.accepted", 2),
        ("content.consigned", 5),
        ("content.consignment_failed", 8),
    ]
    for number, (kind, minute) in enumerate(facts):
        fact = Fact(number, 0, kind, 0, minute, "", "")
        live(found, TENANT, Telling((fact,), (0,), (), "", ArrivalKind.WEBHOOK, 13))
    found.runner.run()
    (message,) = streams(found)
    told = {minute: Past(found.queries, AsOf(occurred_at=f"2026-03-02T09:0{minute}Z")) for minute in (0, 1, 3, 5, 8)}
    views = {minute: past.delivery(TENANT, message, 0) for minute, past in told.items()}
    assert ["pending", "accepted", "in_transit", "delivered", "disputed"] == [v.status for v in views.values()]
    trails = [past.trail(TENANT, message, 0).entries for past in told.values()]
    assert [1, 2, 3, 4, 5] == [len(entries) for entries in trails]
    assert ["", "open", "open", "met", "met"] == ["".join(d.state for d in v.deadlines) for v in views.values()]
    (failed,) = (e for e in found.ledger.feed() if e.type == "content.consignment_failed")
    write(found, TENANT, "dispute.resolved", failed.stream, events=[failed.id])
    found.runner.run()
    late = Past(found.queries, AsOf(occurred_at="2026-03-02T09:09Z"))
    assert "delivered" == late.delivery(TENANT, message, 0).status
    assert ["delivered"] == [v.status for v in late.search(TENANT, Filters(status="delivered")).deliveries]


def test_a_large_message_is_listed_page_by_page_as_it_was(found: World) -> None:
    """Every recipient once, by index, whatever a page looks at."""
    people = tuple(Address("phone", f"06{number:08}") for number in range(450))
    registration = Registration(account="main", provider="kpn_sms", recipients=people, labels=(LABEL,))
    found.intake.register(TENANT, registration, {"arrival": "api"}, ("once", "once"))
    found.runner.run()
    past = Past(found.queries, AsOf(position=found.ledger.head().size))
    for filters in (Filters(), Filters(label=LABEL)):
        assert list(range(450)) == [view.recipient for view in whole(past, TENANT, filters, 170)]
    (view,) = whole(past, TENANT, Filters(recipient="0600000077"), 10)
    assert 77 == view.recipient
    assert {"pending": 450} == past.message(TENANT, view.message).statuses
    assert [] == whole(past, TENANT, Filters(label="another"), 10)


def test_the_trail_of_one_of_many_is_judged(found: World) -> None:
    """However many recipients a message has: what decided for one of them is said in his trail; then as now."""
    numbers = tuple(Address("phone", f"061234{n:04}") for n in range(MAX_PAGE + 1))
    registration = Registration(account="sms", provider="kpn_sms", recipients=numbers)
    found.intake.register(TENANT, registration, {"arrival": "api"}, ("one", "body"))
    found.runner.run()
    message = found.queries.search(TENANT, Filters(), "", 1).deliveries[0].message
    then = Past(found.queries, AsOf(position=found.ledger.head().size))
    for answering in (found.queries, then):
        trail = answering.trail(TENANT, message, MAX_PAGE)
        assert {"decides"} == {each.effect for each in trail.entries} - {""}
    with pytest.raises(NotFoundError, match="no recipient"):
        found.queries.trail(TENANT, message, MAX_PAGE + 1)
