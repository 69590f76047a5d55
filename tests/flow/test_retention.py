"""Retention applied: what is due goes as a whole and once, what is held never does, whatever the order in which people and clocks act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import keeping
from adapters.erasing import stories
from adapters.retaining import Retaining, notices
from adapters.retiring import Applied, Retirer
from ledger.appender import Item
from ledger.database import Database as Reads
from ledger.database import connect
from ledger.errors import ConfigurationError
from ledger.events import Event, time_text
from ledger.recorders import LookupRow
from ledger.streams import WHOLE_MESSAGE
from projections.queries import Filters
from tests.flow.desk import DELIVERED, QUEUED, admit, report, send
from tests.postgres import Database
from tests.world import World, world

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PHONES = ("+31612340001", "+31612340002", "+31612340003")
LABELS = ("case 1", "case 2")
TENANT = "acme"


class Clock:
    """A clock that goes on a little with each look, and a lot when it is told to."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        self.at += timedelta(microseconds=10)
        return self.at

    def on(self, **days: float) -> None:
        self.at += timedelta(**days)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(database: Database, tmp_path: Path, clock: Clock) -> Iterator[World]:
    """A ledger whose clock the test sets: PostgreSQL's own is made to agree."""
    made = connect(database.url)
    made.ensure_schema()
    made.close()
    if database.kind == "postgresql":
        with psycopg.connect(database.superuser_url) as connection:
            (text,) = connection.execute("SELECT pg_get_functiondef('append_batch'::regproc)").fetchone() or ("",)
            agreeing = text.replace("clock_timestamp()", "to_timestamp(clock_us / 1000000.0)")
            assert agreeing != text
            connection.execute(agreeing)
    with world(database.url, tmp_path, clock) as opened:
        opened.accounts.add(TENANT, "sms", "kpn_sms")
        yield opened


def _retirer(found: World, privileged: Callable[[], AbstractContextManager[Reads]] | None = None) -> Retirer:
    return Retirer(found.accounts, found.queries, privileged or (lambda: nullcontext(found.ledger.database)))


def _keep(found: World, term: str, label: str = "", tenant: str = TENANT) -> None:
    keeping.keep(found.accounts, tenant, "kpn_sms", term, label)


def _hold(found: World, scope: str, value: str, tenant: str = TENANT) -> str:
    return keeping.place(found.accounts, found.queries, tenant, scope, value, "claim").hold


def _sent(found: World, ident: str, *phones: str, tenant: str = TENANT, final: bool = True, **more: Any) -> str:
    """A send to some phones, delivered."""
    message = send(found, ident, *phones, tenant=tenant, **more)
    for phone in phones if final else ():
        admit(found, report(phone, DELIVERED, 5, ident), tenant)
    return message


def _apply(found: World, tenant: str = TENANT) -> list[Applied]:
    return _retirer(found).apply(tenant, "console")


def _erased(found: World, tenant: str = TENANT) -> Counter[str]:
    """Message -> how often the log says that it goes."""
    return Counter(e.stream for e in _events(found, "evidence.erased") if e.tenant == tenant)


def _label(found: World, message: str, label: str) -> None:
    """What whoever declares a message later says of it."""
    draft = found.ledger.draft("message.labelled", TENANT, message, {"account": "sms", "provider": "kpn_sms"})
    row = LookupRow(found.ledger.keyring.lookup(TENANT, "label", label), message, WHOLE_MESSAGE, 0)
    found.ledger.append(Item([draft], needs={message}, lookups=[(0, row)]))


def _events(found: World, *types: str) -> list[Event]:
    events, after = list[Event](), 0
    while page := found.ledger.feed(after):
        events += [event for event in page if event.type in types]
        after = page[-1].position
    return events


def _addresses(found: World, tenant: str = TENANT) -> list[str]:
    """Addresses that can still be opened."""
    found.runner.run()
    views = found.queries.search(tenant, Filters(), limit=500).deliveries
    return sorted(view.address.address for view in views if view.address.address)


# --- one by one


def test_what_is_due_goes_as_a_whole_and_once(found: World, clock: Clock) -> None:
    """Keys, values, originals and look-ups are gone; the log says under which policy; a second run finds nothing."""
    _keep(found, "30d")
    old = _sent(found, "doc-1", PHONES[0], PHONES[1])
    clock.on(days=29)
    new = _sent(found, "doc-2", PHONES[2])
    clock.on(days=2)
    (planned,) = _retirer(found).preview(TENANT)
    assert ("kpn_sms", "", "30d", 1, 0, 0) == tuple(
        getattr(planned, name) for name in ("provider", "label", "keep", "messages", "held", "kept")
    )
    assert Counter() == _erased(found)
    assert [planned] == _apply(found)
    assert [PHONES[2]] == _addresses(found)
    assert [new] == [view.message for view in found.queries.search(TENANT, Filters(recipient=PHONES[2])).deliveries]
    assert [] == found.ledger.database.read("SELECT 1 FROM person_keys WHERE stream = ?", (old,))
    (policy,) = _events(found, "ruleset.changed")
    (said,) = _events(found, "evidence.erased")
    assert ("erasure.retention", policy.id, "console", old) == (
        *(said.fields[name] for name in ("rule", "code", "actor")),
        said.stream,
    )
    (applied,) = _events(found, "retention.applied")
    assert ([policy.id], {"messages": 1, "held": 0, "kept": 0}) == (applied.fields["events"], applied.fields["numbers"])
    assert [] == _apply(found)
    assert (Counter({old: 1}), 1) == (_erased(found), len(_events(found, "retention.applied")))
    assert [] == found.runner.unapplied()


def test_message_goes_only_when_nothing_keeps_any_of_its_deliveries(found: World, clock: Clock) -> None:
    """One recipient on hold, one without a final status, one that bears a longer policy: the others stay with it."""
    _keep(found, "10d")
    _keep(found, "1y", "case 1")
    _sent(found, "held", PHONES[0], PHONES[1])
    open_ = _sent(found, "open", PHONES[1], final=False)
    admit(found, report(PHONES[1], QUEUED, 5, "open"))
    longer = _sent(found, "longer", PHONES[2], labels=("Case 1",))
    hold = _hold(found, "recipient", "06 1234 0001")
    clock.on(days=40)
    assert [(0, 1, 1)] == [(a.messages, a.held, a.kept) for a in _apply(found)]
    assert Counter() == _erased(found)
    keeping.release(found.accounts, found.queries, TENANT, hold, "settled")
    assert [(1, 0, 1)] == [(a.messages, a.held, a.kept) for a in _apply(found)]
    admit(found, report(PHONES[1], DELIVERED, 6, "open"))
    assert [(1, 0, 0)] == [(a.messages, a.held, a.kept) for a in _apply(found)]
    assert (longer not in _erased(found), open_ in _erased(found)) == (True, True)
    clock.on(days=400)
    assert [("case 1", 1)] == [(a.label, a.messages) for a in _apply(found)]


def test_nothing_goes_within_seven_days_of_what_makes_it_due(found: World, clock: Clock) -> None:
    """A new policy, a shorter one, the end of one for a label: each can be taken back; lengthening makes no one wait."""
    _sent(found, "doc-1", PHONES[0])
    _sent(found, "doc-2", PHONES[1], labels=("case 1",))
    clock.on(days=100)
    for term, label, erases in (("1y", "", 0), ("1y", "case 1", 0), ("10d", "", 1), ("", "case 1", 1)):
        _keep(found, term, label)
        clock.on(days=6.9)
        assert not any(a.messages for a in _apply(found))
        clock.on(days=0.2)
        assert erases == sum(a.messages for a in _apply(found))
    _sent(found, "doc-3", PHONES[2])
    clock.on(days=30)
    _keep(found, "20d")
    assert [1] == [a.messages for a in _apply(found)]


def test_policy_that_is_taken_back_in_time_erases_nothing(found: World, clock: Clock) -> None:
    """A typing error: 1 day instead of 1 year, corrected on the sixth day."""
    _sent(found, "doc-1", PHONES[0])
    _keep(found, "1d")
    clock.on(days=6)
    _keep(found, "1y")
    clock.on(days=30)
    assert [] == _apply(found)
    assert [PHONES[0]] == _addresses(found)


def test_saying_the_same_again_makes_nothing_wait(found: World) -> None:
    """Only what may make something due earlier does; of another provider it says nothing."""
    policies = [
        keeping.Policy("kpn_sms", keep, label, time_text(NOW + timedelta(days=day)), "", day)
        for day, (keep, label) in enumerate([("10d", ""), ("10d", ""), ("1y", ""), ("", "case 1"), ("", "")])
    ]
    assert {"kpn_sms": time_text(NOW + timedelta(days=7))} == notices(policies)
    assert [] == Retaining(found.queries, TENANT).policies


def test_policy_for_a_label_that_nobody_can_open_is_for_nothing(found: World, clock: Clock) -> None:
    """It is not taken for one for everything."""
    _sent(found, "doc-1", PHONES[0])
    _keep(found, "1d", "customer 7")
    with found.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM sealed_values WHERE position = (SELECT max(position) FROM sealed_values)")
    assert [] == keeping.policies(found.queries, TENANT)
    clock.on(days=30)
    assert [] == _apply(found)


def test_hold_that_is_placed_while_it_is_judged_wins(
    found: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After everything was read and before it is said: the log refuses what was judged, and it is judged again."""
    _keep(found, "10d")
    _sent(found, "doc-1", PHONES[0])
    _sent(found, "doc-2", PHONES[1])
    clock.on(days=30)
    judge, holds = stories.judge, list[str]()

    def meanwhile(*whose: Any) -> Any:
        going = judge(*whose)
        if not holds:
            holds.append(_hold(found, "recipient", PHONES[0]))
        return going

    monkeypatch.setattr(stories, "judge", meanwhile)
    assert [(1, 1, 0)] == [(a.messages, a.held, a.kept) for a in _apply(found)]
    assert [PHONES[0]] == _addresses(found)


@pytest.mark.parametrize("arrives", ["label", "fact", "policy"])
def test_what_comes_in_between_is_looked_at_again(
    found: World, clock: Clock, monkeypatch: pytest.MonkeyPatch, arrives: str
) -> None:
    """A label under a hold, a fact, another policy: judged again with it."""
    _keep(found, "10d")
    _hold(found, "label", "case 1")
    message = _sent(found, "doc-1", PHONES[0])
    clock.on(days=30)
    judge, done = stories.judge, list[str]()
    acts: dict[str, Callable[[], object]] = {
        "label": lambda: _label(found, message, "case 1"),
        "fact": lambda: admit(found, report(PHONES[0], DELIVERED, 7, "doc-1")),
        "policy": lambda: _keep(found, "1y"),
    }

    def meanwhile(*whose: Any) -> Any:
        going = judge(*whose)
        if not done:
            done.append(arrives)
            acts[arrives]()
        return going

    monkeypatch.setattr(stories, "judge", meanwhile)
    _apply(found)
    expected = {"label": 0, "fact": 1, "policy": 0}[arrives]
    assert expected == _erased(found)[message]


def test_run_that_is_broken_off_goes_on_with_the_next(found: World, clock: Clock) -> None:
    """Stopped after a batch, or with a login that may not destroy: nothing is erased twice, and the log says what each run did."""
    _keep(found, "10d")
    messages = [_sent(found, f"doc-{n}", PHONES[n % 3]) for n in range(60)]
    clock.on(days=30)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _retirer(found).apply(TENANT, go_on=stop)
    assert 50 == _erased(found).total()

    @contextmanager
    def refused() -> Iterator[Reads]:
        raise ConfigurationError
        yield found.ledger.database

    assert [10] == [a.messages for a in _retirer(found, refused).apply(TENANT)]
    assert Counter(messages) == _erased(found)
    assert [50, 10] == [event.fields["numbers"]["messages"] for event in _events(found, "retention.applied")]
    assert 10 == len(_addresses(found))


def test_two_at_the_same_time_erase_once(found: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower one finds that it is gone."""
    _keep(found, "10d")
    message = _sent(found, "doc-1", PHONES[0])
    clock.on(days=30)
    judge, others = stories.judge, list[int]()

    def meanwhile(*whose: Any) -> Any:
        going = judge(*whose)
        if not others:
            others.append(0)
            others[0] = sum(a.messages for a in _retirer(found).apply(TENANT))
        return going

    monkeypatch.setattr(stories, "judge", meanwhile)
    assert [] == _apply(found)
    assert ([1], Counter({message: 1})) == (others, _erased(found))


def test_retention_of_one_organisation_is_not_anothers(found: World, clock: Clock) -> None:
    """Without a policy of its own nothing of it is ever due."""
    found.accounts.add("other", "sms", "kpn_sms")
    _keep(found, "10d")
    _sent(found, "doc-1", PHONES[0])
    _sent(found, "doc-1", PHONES[1], tenant="other")
    clock.on(days=30)
    found.runner.run()
    assert [TENANT] == _retirer(found).tenants()
    assert ([1], []) == ([a.messages for a in _apply(found)], _apply(found, "other"))
    assert [PHONES[1]] == _addresses(found, "other")


# --- any order


@dataclass(slots=True)
class Sent:
    """What the test knows of a message."""

    ident: str
    phones: tuple[str, ...]
    labels: tuple[str, ...]
    at: datetime
    delivered: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Model:
    """What must be, worked out the plain way."""

    sent: dict[str, Sent] = field(default_factory=dict)
    holds: dict[str, tuple[str, str]] = field(default_factory=dict)
    said: list[tuple[datetime, str, str]] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)

    def held(self, message: str) -> bool:
        told = self.sent[message]
        under = {("message", message), *(("recipient", p) for p in told.phones), *(("label", lb) for lb in told.labels)}
        return bool(under & set(self.holds.values()))

    def due(self, message: str, now: datetime) -> bool:
        """Every policy there was within the last seven days, as it was then, says so."""
        told = self.sent[message]
        if told.delivered < set(told.phones):
            return False
        moments = [now - timedelta(days=7), *(at for at, _, _ in self.said if at > now - timedelta(days=7))]
        return all(self._is_over(told, moment, now) for moment in moments)

    def _is_over(self, told: Sent, moment: datetime, now: datetime) -> bool:
        last = {label: keep for at, label, keep in self.said if at <= moment}
        terms = [int(last[label][:-1]) for label in told.labels if last.get(label)]
        if not terms and last.get(""):
            terms = [int(last[""][:-1])]
        return bool(terms) and told.at + timedelta(days=max(terms)) <= now


ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.tuples(st.sets(st.sampled_from(PHONES), min_size=1, max_size=2), st.sets(st.sampled_from(LABELS))),
        ),
        st.tuples(st.just("deliver"), st.integers(0, 9)),
        st.tuples(st.just("hold"), st.sampled_from([*(("recipient", p) for p in PHONES), ("label", LABELS[0])])),
        st.tuples(st.just("hold_message"), st.integers(0, 9)),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(
            st.just("keep"), st.tuples(st.sampled_from(["", *LABELS]), st.sampled_from(["", "5d", "20d", "60d"]))
        ),
        st.tuples(st.just("wait"), st.sampled_from([1, 6, 8, 30])),
        st.tuples(st.just("apply"), st.none()),
    ),
    min_size=6,
    max_size=25,
)
PRELUDE: list[tuple[str, Any]] = [("keep", ("", "20d")), ("send", ({PHONES[0]}, set())), ("deliver", 0), ("wait", 8)]
EPILOGUE: list[tuple[str, Any]] = [("apply", None), ("wait", 30), ("apply", None)]
_tenants = count()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_what_is_held_is_never_erased_and_what_is_due_is_erased_once(
    found: World, clock: Clock, acts: Sequence[tuple[str, Any]]
) -> None:
    """Whatever is sent, delivered, held, released, said and waited for in whatever order: the plain way says the same."""
    tenant = f"t{next(_tenants)}"
    found.accounts.add(tenant, "sms", "kpn_sms")
    model = Model()
    for kind, what in [*PRELUDE, *acts, *EPILOGUE]:
        _do(found, clock, tenant, model, kind, what)
        if kind == "apply":
            _agree(found, clock, tenant, model)


def _do(found: World, clock: Clock, tenant: str, model: Model, kind: str, what: Any) -> None:  # noqa: PLR0917  one line for each act
    messages = list(model.sent)
    chosen = messages[what % len(messages)] if isinstance(what, int) and messages else ""
    if kind == "send":
        phones, labels = (tuple(sorted(each)) for each in what)
        ident = f"doc-{len(messages)}"
        message = send(found, ident, *phones, tenant=tenant, labels=labels)
        model.sent[message] = Sent(ident, phones, labels, clock.at)
    elif kind == "deliver" and chosen not in model.erased:
        told = model.sent[chosen]
        for phone in told.phones:
            admit(found, report(phone, DELIVERED, 5, told.ident), tenant)
            told.delivered.add(phone)
    elif kind == "hold":
        model.holds[_hold(found, what[0], what[1], tenant)] = what
    elif kind == "hold_message":
        found.runner.run()
        model.holds[_hold(found, "message", chosen, tenant)] = ("message", chosen)
    elif kind == "release" and model.holds:
        hold = list(model.holds)[what % len(model.holds)]
        keeping.release(found.accounts, found.queries, tenant, hold, "settled")
        del model.holds[hold]
    elif kind == "keep":
        label, term = what
        _keep(found, term, label, tenant)
        model.said.append((clock.at, label, term))
    elif kind == "wait":
        clock.on(days=what)


def _agree(found: World, clock: Clock, tenant: str, model: Model) -> None:
    """Apply, and compare what is gone and what is there still."""
    left = [message for message in model.sent if message not in model.erased]
    going = {message for message in left if model.due(message, clock.at) and not model.held(message)}
    _apply(found, tenant)
    gone = _erased(found, tenant)
    assert not any(model.held(message) for message in set(gone) - model.erased)
    assert set(gone) <= model.erased | going
    model.erased |= set(gone)
    assert set(gone.values()) <= {1}
    there = sorted(phone for message in model.sent if message not in gone for phone in model.sent[message].phones)
    assert there == _addresses(found, tenant)
    clock.on(days=7.1)
    still = {m for m in model.sent if m not in model.erased and model.due(m, clock.at) and not model.held(m)}
    _apply(found, tenant)
    model.erased |= set(_erased(found, tenant))
    assert still <= model.erased
    assert set(_erased(found, tenant).values()) <= {1}
