"""Law 6 beyond the stories: facts nobody would think of, told by arrivals that each know another part of the truth."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Observation, ProviderTime, Reference, ZoneBasis
from ledger.streams import Registration
from projections.grades import Evidence
from projections.views import DeliveryView
from tests.stories import stories as telling
from tests.world import TENANT, World, world

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAMES = {0: ("m0", "i0", "u0"), 1: ("m1", "i1")}
"""Real message -> the exclusive names by which arrivals may know it."""
PEOPLE = ("06-12340001", "+31612340002", "0031612340003")
SPELT = ("0612340001", "0612340002", "+31 6 1234 0003")
TYPES = (
    "submission.accepted",
    "submission.rejected",
    "relay.accepted",
    "relay.delayed",
    "relay.failed",
    "notice.issued",
    "content.consigned",
    "content.consignment_failed",
    "channel.unmapped",
)


@dataclass(frozen=True)
class Fact:
    """Something that happened; `words` tells it, each time with other words.

    Attributes:
        person: index into PEOPLE; -1 about a recipient who is not named, None about the whole message.
        minute: the provider's time, or None.
        content: what is certified; a second content of the same number is a contradiction.
        batch: it is about the batch, not about a message.
    """

    number: int
    message: int
    type: str
    person: int | None
    minute: int | None
    content: str
    batch: str


@dataclass(frozen=True)
class Telling:
    """One arrival's words for some facts."""

    facts: tuple[Fact, ...]
    names: tuple[int, ...]
    declares: tuple[int, ...]
    batch: str
    kind: ArrivalKind
    minute: int


facts = st.builds(
    Fact,
    number=st.integers(0, 3),
    message=st.sampled_from((0, 0, 1)),
    type=st.sampled_from(TYPES),
    person=st.sampled_from((0, 1, 2, -1, None)),
    minute=st.sampled_from((None, None, 0, 5, 9)),
    content=st.sampled_from(("", "", "x", "y")),
    batch=st.sampled_from(("", "", "", "", "b0")),
)


@st.composite
def worlds(draw: st.DrawFn) -> list[Telling]:
    """Arrivals that agree about what happened and differ in what they know."""
    happened = draw(st.lists(facts, min_size=1, max_size=5, unique_by=lambda f: (f.number, f.message, f.content)))
    kinds: dict[tuple[int, int], Fact] = {}
    same = [replace(kinds.setdefault((f.number, f.message), f), content=f.content) for f in happened]
    tellings = st.builds(
        Telling,
        facts=st.lists(st.sampled_from(same), min_size=1, max_size=2, unique=True).map(tuple),
        names=st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True).map(tuple),
        declares=st.lists(st.integers(0, 2), max_size=1).map(tuple),
        batch=st.sampled_from(("", "", "b0", "b1")),
        kind=st.sampled_from((ArrivalKind.WEBHOOK, ArrivalKind.POLL, ArrivalKind.IMPORT)),
        minute=st.integers(10, 13),
    )
    return draw(st.lists(tellings, min_size=1, max_size=6))


def reading(told: Telling) -> Reading:
    observations = tuple(_observation(told, fact) for fact in told.facts)
    body = json.dumps(repr(told)).encode()
    arrival = Arrival(
        provider="kpn_sms",
        account=telling.ACCOUNT,
        operation="webhook.dlr",
        kind=told.kind,
        observed_at=START + timedelta(minutes=told.minute),
        body=body,
    )
    return Reading(TENANT, arrival, observations)


def _observation(told: Telling, fact: Fact) -> Observation:
    names = NAMES[fact.message]
    person = None if fact.person is None or fact.person < 0 else Address("phone", SPELT[fact.person])
    at = None if fact.minute is None else START + timedelta(minutes=fact.minute)
    batch = fact.batch or told.batch
    return Observation(
        type=fact.type,
        references=tuple(Reference("name", names[i % len(names)]) for i in told.names),
        batch=Reference("campaign", batch) if batch else None,
        about="batch" if fact.batch else "message" if fact.person is None else "recipient",
        recipient=person,
        declares=tuple(Address("phone", PEOPLE[i]) for i in told.declares),
        occurred=ProviderTime(at, str(fact.minute), ZoneBasis.STATED) if at else None,
        identity=("fact", str(fact.message), str(fact.number), "stated"),
        content=(fact.content,) if fact.content else (),
    )


@dataclass(frozen=True)
class Declared:
    """The sender's own declaration of message 0."""

    names: tuple[int, ...]
    people: tuple[int, ...]
    batch: str


registrations = st.none() | st.builds(
    Declared,
    names=st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True).map(tuple),
    people=st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True).map(tuple),
    batch=st.sampled_from(("", "b1")),
)


def register(found: World, declared: Declared) -> None:
    registration = Registration(
        account=telling.ACCOUNT,
        provider="kpn_sms",
        recipients=tuple(Address("phone", PEOPLE[i]) for i in declared.people),
        references=tuple(Reference("name", NAMES[0][i]) for i in declared.names),
        batch=Reference("campaign", declared.batch) if declared.batch else None,
    )
    clear = {"arrival": "api", "occurred_at": telling.SENT_AT, "zone": "stated"}
    found.intake.register(TENANT, registration, clear, ("once", "once"))


def told_in(folder: Path, calls: list[list[Telling | Declared]], looked_at: list[bool]) -> object:
    """What a fresh ledger says after these calls."""
    with world(f"sqlite:///{folder}/ledger.db", folder) as found:
        for call, is_looked_at in zip(calls, looked_at, strict=True):
            arrivals = [reading(each) for each in call if isinstance(each, Telling)]
            for outcome in found.intake.admit(arrivals):
                if isinstance(outcome, Exception):
                    raise outcome
            for each in call:
                if isinstance(each, Declared):
                    register(found, each)
            if is_looked_at:
                found.runner.run()
        told = (
            telling.outcome(found),
            Counter((*telling.told(d)[:2], d.deadlines, weighed(d, calls)) for d in found.deliveries()),
        )
        assert [] == found.runner.unapplied()
        assert {} == {k: v for m in found.runner.models for k, v in found.runner.rebuild(m).differences.items() if v}
        return told


def weighed(view: DeliveryView, calls: list[list[Telling | Declared]]) -> Evidence | None:
    """The evidence, unless history is handed in: whether a fact was also seen live is known only of the first arrival that told of it."""
    kinds = {each.kind for call in calls for each in call if isinstance(each, Telling)}
    return None if ArrivalKind.IMPORT in kinds else view.evidence


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), registrations, st.data())
def test_any_facts_in_any_order_tell_the_same(
    empty: Path, tellings: list[Telling], declared: Declared | None, data: st.DataObject
) -> None:
    """Two orders, groupings and repetitions give the same statuses, deadlines and evidence, and a rebuild gives the live rows."""
    every: list[Telling | Declared] = [*tellings, *([declared] if declared else [])]
    again = data.draw(st.lists(st.sampled_from(tellings), max_size=2))
    order = data.draw(st.permutations([*every, *again]))
    breaks = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    calls: list[list[Telling | Declared]] = [[]]
    for each, is_new_call in zip(order, breaks, strict=True):
        if is_new_call:
            calls.append([])
        calls[-1].append(each)
    looked_at = data.draw(st.lists(st.booleans(), min_size=len(calls), max_size=len(calls)))
    with tempfile.TemporaryDirectory(dir=empty.parent) as name:
        folders = [Path(name) / str(number) for number in range(2)]
        for folder in folders:
            shutil.copytree(empty, folder)
        plain = told_in(folders[0], [[each] for each in every], [False] * len(every))
        assert plain == told_in(folders[1], calls, looked_at)
