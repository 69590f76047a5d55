"""A person's word that what waits belongs to a message; taken back, it leaves no trace in what the message is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.providers.contract import Word
from adapters.providers.kpn_sms import wire
from adapters.reinterpreting import Reinterpreter
from ledger.errors import ClaimError, NotFoundError
from ledger.names import Claim, Reading
from ledger.observations import Fingerprint
from projections.queries import Filters
from projections.views import DeliveryView
from tests.flow.desk import (
    DELIVERED,
    EXPIRED,
    FAILED,
    NETWORK,
    QUEUED,
    acts,
    admit,
    rebuilt,
    report,
    send,
    states,
    waiting,
)
from tests.postgres import Database
from tests.world import TENANT, World, world

NOTE = "the customer confirmed it"


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger with one account, on each kind of database."""
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "sms", "kpn_sms")
        yield opened


def lane(world: World) -> dict[str, str]:
    """Item -> its state."""
    world.runner.run()
    return {item.item: item.state for item in world.queries.lanes(TENANT, "")}


# --- one claim


def test_what_is_claimed_is_part_of_the_message(found: World) -> None:
    """Its facts decide there, its trail shows them with the note, and a search for the message finds one delivery."""
    message = send(found, "doc-1", "0612340001", "0612340002")
    item = waiting(found, report("31612340002", DELIVERED, 5))
    outcome = found.lanes.claim(TENANT, item, message, NOTE, "key_1")
    assert [message] == outcome.messages
    assert ["pending", "delivered"] == states(found, message)
    assert {item: "claimed"} == lane(found)
    trail = found.queries.trail(TENANT, message, 1)
    assert {"lane.claimed", "content.consigned", "streams.joined"} <= {entry.type for entry in trail.entries}
    assert {NOTE} == {str(entry.values.get("note")) for entry in trail.entries if entry.type == "lane.claimed"}
    assert 2 == len(found.queries.search(TENANT, Filters()).deliveries)
    assert {"key_1"} == {str(event.fields["actor"]) for event in acts(found, "lane.claimed")}


def test_a_claim_taken_back_counts_no_longer_and_may_be_made_for_another_message(found: World) -> None:
    """The first message is as it was, the item waits, the second gets the facts; the bytes are read once."""
    first, second = (send(found, f"doc-{n}", "0612340001") for n in (1, 2))
    item = waiting(found, report("31612340001", DELIVERED, 5))
    found.lanes.claim(TENANT, item, first, NOTE)
    assert (["delivered"], ["pending"]) == (states(found, first), states(found, second))
    assert first == found.lanes.unclaim(TENANT, item, "the wrong Jansen", "key_1")
    assert (["pending"], ["pending"]) == (states(found, first), states(found, second))
    assert {item: "open"} == lane(found)
    found.lanes.claim(TENANT, item, second, NOTE)
    assert (["pending"], ["delivered"]) == (states(found, first), states(found, second))
    assert {item: "claimed"} == lane(found)
    assert 1 == len(acts(found, "content.consigned"))
    (parted,) = acts(found, "lane.unclaimed")
    assert {"note": "the wrong Jansen"} == found.ledger.values([parted])[parted.position]


def test_the_same_act_twice_is_once(found: World) -> None:
    """A claim for the same message, and taking back what was taken back, change nothing and are answered as the first time."""
    message = send(found, "doc-1", "0612340001")
    item = waiting(found, report("31612340001", DELIVERED, 5))
    once = found.lanes.claim(TENANT, item, message, NOTE)
    size = found.ledger.head().size
    again = found.lanes.claim(TENANT, item, message, NOTE)
    assert (once.facts, once.messages, size) == (again.facts, again.messages, found.ledger.head().size)
    assert [message, message] == [found.lanes.unclaim(TENANT, item, NOTE) for _ in range(2)]
    assert 1 == len(acts(found, "lane.unclaimed"))


def test_what_is_claimed_is_not_claimed_retried_or_dismissed_otherwise(found: World) -> None:
    """First the claim is taken back; what was never claimed cannot be; nothing is written."""
    first, second = (send(found, f"doc-{n}", "0612340001") for n in (1, 2))
    item = waiting(found, report("31612340001", DELIVERED, 5))
    with pytest.raises(ClaimError, match="never claimed"):
        found.lanes.unclaim(TENANT, item, NOTE)
    found.lanes.claim(TENANT, item, first, NOTE)
    found.runner.run()
    size = found.ledger.head().size
    with pytest.raises(ClaimError, match=first):
        found.lanes.claim(TENANT, item, second, NOTE)
    with pytest.raises(ClaimError):
        found.lanes.retry(TENANT, item, NOTE)
    with pytest.raises(ClaimError):
        found.lanes.dismiss(TENANT, item, NOTE)
    with pytest.raises(NotFoundError):
        found.lanes.unclaim("other", item, NOTE)
    assert size == found.ledger.head().size


def test_a_claim_declares_nobody(found: World) -> None:
    """Whom the message does not know is shown as somebody else, also where only receipts have told of the message."""
    admit(found, report("31612340001", NETWORK, 1, "doc-1"))
    found.runner.run()
    (view,) = found.queries.search(TENANT, Filters()).deliveries
    item = waiting(found, report("31612340009", DELIVERED, 5))
    found.lanes.claim(TENANT, item, view.message, NOTE)
    assert ["in_transit"] == states(found, view.message)
    shown = found.queries.delivery(TENANT, view.message, 0).reasons
    assert {"attribution.other_recipient"} == {r.rule for r in shown if r.type == "content.consigned"}


def test_the_same_report_with_its_names_is_told_for_itself(found: World) -> None:
    """An arrival that says where it belongs needs nobody's word: neither a claim nor its end takes anything from it."""
    message = send(found, "doc-1", "0612340001")
    item = waiting(found, report("31612340001", DELIVERED, 5))
    found.lanes.claim(TENANT, item, message, NOTE)
    assert [message] == admit(found, report("31612340001", DELIVERED, 5, "doc-1"))
    found.lanes.unclaim(TENANT, item, NOTE)
    assert ["delivered"] == states(found, message)


def test_redelivered_while_claimed_it_stays_one_item(found: World) -> None:
    """The same bytes, and the same report in other bytes, change nothing, claimed or not."""
    message = send(found, "doc-1", "0612340001")
    arrival = report("31612340001", DELIVERED, 5)
    item = waiting(found, arrival)
    found.lanes.claim(TENANT, item, message, NOTE)
    size = found.ledger.head().size
    admit(found, arrival)
    found.lanes.unclaim(TENANT, item, NOTE)
    admit(found, arrival)
    assert (size + 3, {item: "open"}) == (found.ledger.head().size, lane(found))


def test_a_claim_is_taken_back_wherever_its_message_went(found: World) -> None:
    """The message was known from receipts only, and its send is declared later: the claim goes with it, and ends there."""
    (orphan,) = admit(found, report("31612340001", NETWORK, 1, "doc-1"))
    found.runner.run()
    item = waiting(found, report("31612340001", DELIVERED, 5))
    found.lanes.claim(TENANT, item, orphan, NOTE)
    message = send(found, "doc-1", "0612340009", "0612340001")
    assert ["pending", "delivered"] == states(found, message)
    assert [message] == found.lanes.claim(TENANT, item, message, NOTE).messages
    assert orphan == found.lanes.unclaim(TENANT, item, NOTE)
    assert ["pending", "in_transit"] == states(found, message)
    found.lanes.claim(TENANT, item, orphan, NOTE)
    assert ["pending", "delivered"] == states(found, message)
    assert {} == rebuilt(found)


def test_two_claims_at_once_are_one(found: World) -> None:
    """Whoever is first has it; the other is told for which message."""
    messages = [send(found, f"doc-{n}", "0612340001") for n in (1, 2)]
    item = waiting(found, report("31612340001", DELIVERED, 5))
    event = found.lanes.item(TENANT, item)[1]
    observations, stored = found.lanes.observed(TENANT, event), tuple(event.fields["artifacts"])
    arrival = report("31612340001", DELIVERED, 5)
    one, other = found.intake.admit(
        [Reading(TENANT, arrival, observations, message=m, stored=stored, claim=Claim(event, NOTE)) for m in messages]
    )
    assert not isinstance(one, Exception)
    assert isinstance(other, ClaimError)
    assert [["delivered"], ["pending"]] == [states(found, message) for message in messages]
    assert 1 == len(acts(found, "lane.claimed"))


def test_reading_again_corrects_what_was_claimed(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What later tables make of a claimed original counts where the claim put it; reading it again once more changes nothing."""
    message = send(found, "doc-1", "0612340001")
    item = waiting(found, report("31612340001", 99, 5))
    found.lanes.claim(TENANT, item, message, NOTE)
    assert ["pending"] == states(found, message)
    monkeypatch.setitem(wire._STATUS, "99", Word("99", "content.consigned", "delivered by hand", "3P"))  # noqa: SLF001  the table it runs on
    again = Reinterpreter(found.ledger, found.intake, found.lanes, found.queries, found.runner, TENANT)
    assert ([], 1) == ((done := again.run()).problems, done.changed)
    assert (["delivered"], {item: "claimed"}) == (states(found, message), lane(found))
    assert 0 == again.run().changed
    found.lanes.unclaim(TENANT, item, NOTE)
    assert (["pending"], {item: "open"}) == (states(found, message), lane(found))
    assert {} == rebuilt(found)


def test_a_claimed_receipt_is_compared_with_what_each_message_sent(found: World) -> None:
    """For one it shows another content, for the next the right one: what was found for the first says nothing of the second."""
    sent, other = (Fingerprint("letter.pdf", sha256=digit * 64) for digit in "ab")
    messages = [send(found, f"doc-{n}", "0612340001", documents=(d,)) for n, d in enumerate((other, sent))]
    item = waiting(found, report("31612340001", DELIVERED, 5))
    event = found.lanes.item(TENANT, item)[1]
    (seen,) = found.lanes.observed(TENANT, event)
    arrival = report("31612340001", DELIVERED, 5)
    stored = tuple(event.fields["artifacts"])
    told = []
    for message in messages:
        receipt = replace(seen, documents=(sent,))
        claim = Reading(TENANT, arrival, (receipt,), message=message, stored=stored, claim=Claim(event, NOTE))
        (outcome,) = found.intake.admit([claim])
        assert not isinstance(outcome, Exception)
        told.append(states(found, message))
        found.lanes.unclaim(TENANT, item, NOTE)
    assert [["disputed"], ["delivered"]] == told
    assert [["pending"], ["pending"]] == [states(found, message) for message in messages]
    verdicts = [(event.stream, event.fields["rule"]) for event in acts(found, "evidence.verified")]
    assert [(f"{messages[0]}/0", "content.differs"), (f"{messages[1]}/0", "content.matches")] == verdicts


# --- as if it had never been made


@dataclass(frozen=True)
class Step:
    """Something that happens: `arrive` and `wait` to both of a pair, `claim` and `unclaim` to the first."""

    act: str
    number: int
    message: int = 0


STATUSES = (DELIVERED, QUEUED, NETWORK, FAILED, EXPIRED)
steps = st.lists(
    st.builds(
        Step, st.sampled_from(("arrive", "wait", "claim", "claim", "unclaim")), st.integers(0, 3), st.integers(0, 1)
    ),
    max_size=10,
)
reports = st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(0, 2), st.integers(1, 9)), min_size=4, max_size=4)


@dataclass
class Side:
    """One of a pair: a registered message and one known from receipts only, and what waits beside them."""

    world: World
    name: str
    digits: str

    def phone(self, who: int) -> str:
        return f"316{self.digits}{who}"

    def begin(self) -> None:
        registered = send(self.world, f"{self.name}-0", self.phone(0), self.phone(1))
        (told,) = admit(self.world, report(self.phone(0), NETWORK, 0, f"{self.name}-1"))
        self.messages = [registered, told]
        self.items: dict[int, str] = {}

    def arrive(self, number: int, said: tuple[int, int, int], message: int) -> None:
        status, who, minute = said
        admit(self.world, report(self.phone(who), status, minute, f"{self.name}-{message}"))

    def wait(self, number: int, said: tuple[int, int, int]) -> None:
        status, who, minute = said
        if number not in self.items:
            self.items[number] = waiting(self.world, report(self.phone(who), status, minute + 10 + 10 * number))

    def views(self) -> list[list[object]]:
        self.world.runner.run()
        return [[told(view) for view in self.world.queries.deliveries(TENANT, message)] for message in self.messages]


def told(view: DeliveryView) -> object:
    """Everything that a delivery is, without ids and addresses."""
    milestones = {name: (each.at, each.zone) for name, each in view.milestones.items()}
    reasons = [(r.type, r.at, r.rule, r.effect, r.code) for r in view.reasons]
    said = (view.recipient, view.status, view.sub_status, view.since, view.is_final, milestones, reasons, view.flags)
    return (*said, view.evidence, view.deadlines)


def test_claims_taken_back_leave_messages_as_if_never_made(found: World) -> None:
    """Whatever arrives, waits, is claimed and given back in whatever order; and a rebuild gives the live rows."""
    numbers = count(1)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(steps, reports)
    def holds(taken: list[Step], said: list[tuple[int, int, int]]) -> None:
        number = next(numbers)
        pair = [Side(found, f"{letter}{number}", f"{part}{number:05d}") for letter, part in (("a", 1), ("b", 2))]
        for side in pair:
            side.begin()
        mine, claimed = pair[0], dict[int, int]()
        for step in taken:
            if step.act == "arrive":
                for side in pair:
                    side.arrive(step.number, said[step.number], step.message)
            elif step.act == "wait":
                for side in pair:
                    side.wait(step.number, said[step.number])
            elif step.number in mine.items:
                _act(found, mine, step, claimed)
        for item in claimed:
            found.lanes.unclaim(TENANT, mine.items[item], NOTE)
        ours, theirs = (side.views() for side in pair)
        assert theirs == ours
        assert {"open"} >= {lane_state(found, item) for item in mine.items.values()}

    holds()
    assert {} == rebuilt(found)


def _act(world: World, side: Side, step: Step, claimed: dict[int, int]) -> None:
    item = side.items[step.number]
    if step.act == "unclaim" and step.number in claimed:
        world.lanes.unclaim(TENANT, item, NOTE)
        del claimed[step.number]
        assert "open" == lane_state(world, item)
    elif step.act == "claim" and claimed.get(step.number, step.message) == step.message:
        outcome = world.lanes.claim(TENANT, item, side.messages[step.message], NOTE)
        claimed[step.number] = step.message
        assert 1 == len(outcome.facts)
        assert "claimed" == lane_state(world, item)


def lane_state(world: World, item: str) -> str:
    world.runner.run()
    return world.queries.lanes(TENANT, "", item)[0].state
