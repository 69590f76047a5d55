"""The status fold, rule by rule: given facts, then the status, and for each fact the rule that judged it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.contents import DIFFERS, MATCHES
from ledger.observations import ArrivalKind
from ledger.placing import CONTRADICTS
from ledger.types import TYPES
from projections.deadlines import EXPECTATIONS
from projections.facts import Fact, seen_as
from projections.fold import Folded, fold
from projections.grades import CHECKED
from projections.rules import EFFECTS, MILESTONES, RULE_TEXTS, SETS_ASIDE, Force, Status
from tests.projections.facts import clock, fact


class Case(NamedTuple):
    """Facts and what the fold makes of them.

    Attributes:
        judged: fact -> rule and effect.
        flags: rules about the whole.
    """

    rule: str
    facts: tuple[Fact, ...]
    status: str
    sub_status: str
    since: str
    is_final: bool
    judged: dict[str, str]
    flags: tuple[str, ...] = ()
    sole: bool = False
    channel: str = ""


ASKED = fact("asked", "submission.requested", "8:00", scope="message")
TAKEN = fact("taken", "submission.accepted", "8:01", scope="message", code="accettazione")
GONE = fact("gone", "relay.accepted", "8:02", code="presa-in-carico")
WARNED = fact("warned", "relay.delayed", "8:30", reason="warning_12h")
LAPSED = fact("lapsed", "relay.failed", "8:50", reason="final_24h")
ARRIVED = fact("arrived", "content.consigned", "9:00", code="avvenuta-consegna")
OTHER_CONTENT = fact("compared", "evidence.verified", seen="9:01", rule=DIFFERS, events=("arrived", "asked"))
UNCLEAR = fact("call", "dispatch.unclear", seen="8:01", rule="dispatch.unclear")
DAY_LATER = "32:01"
FAILED = fact("failed", "content.consignment_failed", "9:05", code="errore-consegna", reason="no-dest")


def part(name: str, number: int, kind: str = "content.consigned", at: str = "", total: int = 3) -> Fact:
    return fact(name, kind, at or f"9:0{number}", part=(number, total), code="1")


CASES = (
    Case("nothing is known", (), *("pending", "", "", False), {}),
    Case(
        "a declared send is pending", (ASKED,), *("pending", "", "8:00", False), {"asked": "progress.furthest decides"}
    ),
    Case(
        "the furthest step decides, whatever came last",
        (ASKED, GONE, fact("late", "submission.accepted", "8:40")),
        *("in_transit", "presa-in-carico", "8:02", False),
        {"asked": "progress.passed agrees", "gone": "progress.furthest decides", "late": "progress.passed agrees"},
    ),
    Case(
        "of equal steps the latest decides",
        (GONE, fact("again", "relay.accepted", "8:20", code="3")),
        *("in_transit", "3", "8:20", False),
        {"gone": "progress.passed agrees", "again": "progress.furthest decides"},
    ),
    Case(
        "a warning after a step delays",
        (GONE, WARNED),
        *("delayed", "warning_12h", "8:30", False),
        {"gone": "progress.passed agrees", "warned": "progress.furthest decides"},
    ),
    Case(
        "a step after a warning ends it",
        (WARNED, fact("on", "relay.accepted", "8:45", code="3")),
        *("in_transit", "3", "8:45", False),
        {"warned": "warning.passed overruled", "on": "progress.furthest decides"},
    ),
    Case(
        "a warning beside a final fact changes nothing",
        (TAKEN, WARNED, ARRIVED),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {
            "taken": "progress.passed agrees",
            "warned": "warning.never_downgrades overruled",
            "arrived": "final.positive decides",
        },
    ),
    Case(
        "a definite no is final", (FAILED,), *("failed", "no-dest", "9:05", True), {"failed": "final.negative decides"}
    ),
    Case(
        "a lapse decides while nothing else is final",
        (GONE, LAPSED),
        *("failed", "final_24h", "8:50", True),
        {"gone": "progress.passed agrees", "lapsed": "final.deemed decides"},
    ),
    Case(
        "arriving beats a lapse",
        (LAPSED, ARRIVED),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {"lapsed": "final.positive_beats_deemed overruled", "arrived": "final.positive decides"},
    ),
    Case(
        "a definite no outranks a lapse",
        (LAPSED, FAILED),
        *("failed", "no-dest", "9:05", True),
        {"lapsed": "final.negative_beats_deemed overruled", "failed": "final.negative decides"},
    ),
    Case(
        "the stronger of two final facts decides",
        (ARRIVED, fact("signed", "consignment.accepted", "9:30")),
        *("accepted_by_recipient", "", "9:30", True),
        {"arrived": "final.stronger agrees", "signed": "final.positive decides"},
    ),
    Case(
        "of equal final facts the earliest decides",
        (ARRIVED, fact("twice", "content.consigned", "9:20", code="1")),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {"arrived": "final.positive decides", "twice": "final.stronger agrees"},
    ),
    Case(
        "a yes and a no are disputed",
        (TAKEN, LAPSED, ARRIVED, FAILED),
        *("disputed", "no-dest", "9:05", False),
        {
            "taken": "progress.passed agrees",
            "lapsed": "progress.passed agrees",
            "arrived": "final.contradiction decides",
            "failed": "final.contradiction decides",
        },
    ),
    Case(
        "two originals of one identity are disputed",
        (ARRIVED, fact("other", "content.consigned", "9:08", code="avvenuta-consegna", rival="arrived")),
        *("disputed", "avvenuta-consegna", "9:08", False),
        {"arrived": "identity.contradiction decides", "other": "identity.contradiction decides"},
    ),
    Case(
        "two originals that decide nothing final are shown",
        (TAKEN, fact("other", "submission.accepted", "8:03", scope="message", rival="taken")),
        *("accepted", "", "8:03", False),
        {"taken": "progress.passed agrees", "other": "progress.furthest decides"},
    ),
    Case(
        "a person settles a contradiction by naming the fact that does not count",
        (ARRIVED, FAILED, fact("settled", "dispute.resolved", "9:40", events=("failed",))),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {"arrived": "final.positive decides", "failed": "settled.set_aside set_aside", "settled": "shown shown"},
    ),
    Case(
        "a fact that the settlement does not name opens the question again",
        (
            ARRIVED,
            FAILED,
            fact("settled", "dispute.resolved", "9:40", events=("failed",)),
            fact("new", "content.consignment_failed", "9:50", reason="virus"),
        ),
        *("disputed", "virus", "9:50", False),
        {
            "arrived": "final.contradiction decides",
            "new": "final.contradiction decides",
            "failed": "settled.set_aside set_aside",
            "settled": "shown shown",
        },
    ),
    Case(
        "a correction of the provider's takes a fact back",
        (TAKEN, ARRIVED, fact("sorry", "provider.corrected", "9:10", events=("arrived",))),
        *("accepted", "accettazione", "8:01", False),
        {"taken": "progress.furthest decides", "arrived": "settled.set_aside set_aside", "sorry": "shown shown"},
    ),
    Case(
        "what somebody of several recipients did moves none of them",
        (TAKEN, msgspec.structs.replace(ARRIVED, scope="message")),
        *("accepted", "accettazione", "8:01", False),
        {"taken": "progress.furthest decides", "arrived": "attribution.none unattributed"},
    ),
    Case(
        "what somebody did was the only recipient",
        (TAKEN, msgspec.structs.replace(ARRIVED, scope="message")),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {"taken": "progress.passed agrees", "arrived": "final.positive decides"},
        ("attribution.only_candidate",),
        sole=True,
    ),
    Case(
        "what a stranger did moves nobody, not even the only recipient",
        (TAKEN, seen_as(ARRIVED, "other")),
        *("accepted", "accettazione", "8:01", False),
        {"taken": "progress.furthest decides", "arrived": "attribution.other_recipient unattributed"},
        sole=True,
    ),
    Case(
        "what is said of the batch is said of its messages",
        (ASKED, fact("off", "submission.cancelled", "8:30", scope="batch", code="cancelled")),
        *("cancelled", "cancelled", "8:30", True),
        {"asked": "progress.passed agrees", "off": "final.negative decides"},
        ("attribution.batch",),
    ),
    Case(
        "the message's own later fact beats the batch's",
        (
            fact("off", "submission.cancelled", "8:30", scope="batch"),
            fact("posted", "relay.accepted", "8:40", code="posted"),
        ),
        *("in_transit", "posted", "8:40", False),
        {"off": "batch.own_later overruled", "posted": "progress.furthest decides"},
    ),
    Case(
        "the message's own earlier fact does not",
        (fact("off", "submission.cancelled", "8:30", scope="batch"), GONE),
        *("cancelled", "", "8:30", True),
        {"off": "final.negative decides", "gone": "progress.passed agrees"},
        ("attribution.batch",),
    ),
    Case(
        "a refused call is passed when a later one is taken",
        (fact("no", "submission.rejected", "8:00", scope="message", code="429"), TAKEN),
        *("accepted", "accettazione", "8:01", False),
        {"no": "submission.taken_later overruled", "taken": "progress.furthest decides"},
    ),
    Case(
        "a refusal after the message was taken ends it",
        (TAKEN, fact("no", "submission.rejected", "8:20", scope="message", reason="virus")),
        *("failed", "virus", "8:20", True),
        {"taken": "progress.passed agrees", "no": "final.negative decides"},
    ),
    Case(
        "some of the parts are not yet the message",
        (part("one", 1), part("two", 2)),
        *("in_transit", "1", "9:02", False),
        {"one": "parts.incomplete shown", "two": "parts.incomplete decides"},
    ),
    Case(
        "the last of the parts delivers",
        (part("three", 3), part("one", 1), part("two", 2, at="9:30"), part("two again", 2, at="9:40")),
        *("delivered", "1", "9:30", True),
        {
            "one": "parts.all agrees",
            "two": "parts.all decides",
            "three": "parts.all agrees",
            "two again": "parts.all agrees",
        },
    ),
    Case(
        "one failed part fails the message",
        (part("one", 1), part("two", 2, "content.consignment_failed"), part("three", 3)),
        *("failed", "1", "9:02", True),
        {"one": "parts.failed shown", "two": "final.negative decides", "three": "parts.failed shown"},
    ),
    Case(
        "a part that lapsed and arrived after all arrived",
        (part("one", 1, total=2), part("lapse", 2, "relay.failed", total=2), part("two", 2, at="9:30", total=2)),
        *("delivered", "1", "9:30", True),
        {
            "one": "parts.all agrees",
            "lapse": "final.positive_beats_deemed overruled",
            "two": "parts.all decides",
        },
    ),
    Case(
        "a part that both arrived and failed is a contradiction",
        (part("one", 1, total=1), part("no", 1, "content.consignment_failed", at="9:05", total=1)),
        *("disputed", "1", "9:05", False),
        {"one": "final.contradiction decides", "no": "final.contradiction decides"},
    ),
    Case(
        "an unknown word decides nothing, and is all that is known",
        (fact("odd", "channel.unmapped", "8:10"),),
        *("unknown", "", "8:10", False),
        {"odd": "unmapped shown"},
    ),
    Case(
        "an unclear call stays pending until somebody says more",
        (ASKED, fact("tried", "dispatch.attempted", seen="8:00"), UNCLEAR),
        *("pending", "dispatch_unclear", "8:01", False),
        {"asked": "progress.passed agrees", "tried": "shown shown", "call": "progress.furthest decides"},
        ("clock.unknown",),
    ),
    Case(
        "the provider's acceptance settles an unclear call, whenever it was dated",
        (UNCLEAR, msgspec.structs.replace(TAKEN, occurred_at=clock("7:59"))),
        *("accepted", "accettazione", "7:59", False),
        {"taken": "progress.furthest decides", "call": "progress.passed agrees"},
    ),
    Case(
        "what became of an unclear call may be said by naming it",
        (ASKED, UNCLEAR, fact("known", "dispatch.resolved", seen="8:30", events=("call",), rule="dispatch.not_sent")),
        *("pending", "", "8:00", False),
        {"asked": "progress.furthest decides", "call": "settled.set_aside set_aside", "known": "shown shown"},
    ),
    Case(
        "another unclear call asks again",
        (
            ASKED,
            UNCLEAR,
            fact("known", "dispatch.resolved", seen="8:30", events=("call",), rule="dispatch.not_sent"),
            fact("second", "dispatch.unclear", seen="8:40", rule="dispatch.unclear"),
        ),
        *("pending", "dispatch_unclear", "8:40", False),
        {
            "asked": "progress.passed agrees",
            "call": "settled.set_aside set_aside",
            "known": "shown shown",
            "second": "progress.furthest decides",
        },
        ("clock.unknown",),
    ),
    Case(
        "content that is not what was sent is disputed",
        (TAKEN, ARRIVED, OTHER_CONTENT),
        *("disputed", "avvenuta-consegna", "9:00", False),
        {"taken": "progress.passed agrees", "arrived": "content.contradiction decides", "compared": "shown shown"},
    ),
    Case(
        "a person who finds the comparison wrong names it",
        (TAKEN, ARRIVED, OTHER_CONTENT, fact("settled", "dispute.resolved", "9:40", events=("compared",))),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {
            "taken": "progress.passed agrees",
            "arrived": "final.positive decides",
            "compared": "settled.set_aside set_aside",
            "settled": "shown shown",
        },
    ),
    Case(
        "a person who finds the receipt wrong names that",
        (TAKEN, ARRIVED, OTHER_CONTENT, fact("settled", "dispute.resolved", "9:40", events=("arrived",))),
        *("accepted", "accettazione", "8:01", False),
        {
            "taken": "progress.furthest decides",
            "arrived": "settled.set_aside set_aside",
            "compared": "shown shown",
            "settled": "shown shown",
        },
    ),
    Case(
        "a deadline that passed changes no status",
        (TAKEN, fact("over", "deadline.passed", DAY_LATER, rule="deadline.delivery_receipt")),
        *("accepted", "accettazione", "8:01", False),
        {"taken": "progress.furthest decides", "over": "shown shown"},
        channel="certified_email",
    ),
    Case(
        "a deadline that passed is void when the receipt turns out to be older",
        (TAKEN, ARRIVED, fact("over", "deadline.passed", DAY_LATER, rule="deadline.delivery_receipt")),
        *("delivered", "avvenuta-consegna", "9:00", True),
        {
            "taken": "progress.passed agrees",
            "arrived": "final.positive decides",
            "over": "deadline.void overruled",
        },
        channel="certified_email",
    ),
    Case(
        "what came after the deadline is late, and counts",
        (
            TAKEN,
            msgspec.structs.replace(ARRIVED, occurred_at=clock("32:02")),
            fact("over", "deadline.passed", DAY_LATER, rule="deadline.delivery_receipt"),
        ),
        *("delivered", "avvenuta-consegna", "32:02", True),
        {"taken": "progress.passed agrees", "arrived": "final.positive decides", "over": "shown shown"},
        ("late",),
        channel="certified_email",
    ),
    Case(
        "what is only shown is shown",
        (TAKEN, fact("opened", "content.accessed", "9:10")),
        *("accepted", "accettazione", "8:01", False),
        {"taken": "progress.furthest decides", "opened": "shown shown"},
    ),
    Case(
        "without a time of the provider's the first sighting counts, once",
        (
            fact("later", "content.consigned", seen="9:30", code="DELIVERED"),
            fact("first", "content.consigned", seen="9:15", code="DELIVERED"),
        ),
        *("delivered", "DELIVERED", "9:15", True),
        {"first": "final.positive decides"},
        ("clock.unknown",),
    ),
    Case(
        "a state that was set aside may be seen again",
        (
            fact("first", "content.consigned", seen="9:15"),
            fact("settled", "dispute.resolved", "9:20", events=("first",)),
            fact("again", "content.consigned", seen="9:30"),
        ),
        *("delivered", "", "9:30", True),
        {"first": "settled.set_aside set_aside", "settled": "shown shown", "again": "final.positive decides"},
        ("clock.unknown",),
    ),
    Case(
        "an earlier sighting of a state that was set aside does not say it again",
        (
            fact("first", "content.consigned", seen="9:15"),
            fact("settled", "dispute.resolved", "9:20", events=("first",)),
            fact("earlier", "content.consigned", seen="9:05"),
        ),
        *("pending", "", "", False),
        {
            "earlier": "settled.set_aside set_aside",
            "first": "settled.set_aside set_aside",
            "settled": "shown shown",
        },
    ),
    Case(
        "a settlement that was withdrawn settles nothing",
        (
            fact("first", "content.consigned", "9:15"),
            fact("settled", "dispute.resolved", "9:20", events=("first",)),
            fact("withdrawn", "dispute.resolved", "9:30", events=("settled",)),
        ),
        *("delivered", "", "9:15", True),
        {
            "first": "final.positive decides",
            "settled": "settled.withdrawn set_aside",
            "withdrawn": "shown shown",
        },
    ),
    Case(
        "sightings of two originals of one identity stay in dispute",
        (
            fact("mine", "content.consigned", seen="9:15", reason="a"),
            fact("yours", "content.consigned", seen="9:20", reason="b", rival="mine"),
            fact("mine, earlier", "content.consigned", seen="9:05", reason="a"),
        ),
        *("disputed", "b", "9:20", False),
        {"mine, earlier": "identity.contradiction decides", "yours": "identity.contradiction decides"},
        ("clock.unknown",),
    ),
    Case(
        "clocks that contradict each other are named",
        (TAKEN, fact("early", "content.consigned", "7:59", code="1")),
        *("delivered", "1", "7:59", True),
        {"taken": "progress.passed agrees", "early": "final.positive decides"},
        ("clock.contradicts",),
    ),
)


def judged(folded: Folded) -> dict[str, str]:
    return {reason.event_id: f"{reason.rule} {reason.effect}" for reason in folded.reasons}


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_given_facts_then_status_and_reasons(case: Case) -> None:
    """The status, since when, and what each fact did are those of the rule."""
    folded = fold(case.facts, sole=case.sole, channel=case.channel)
    assert (case.status, case.sub_status, case.is_final) == (folded.status, folded.sub_status, folded.is_final)
    assert (clock(case.since) if case.since else "") == folded.since
    assert case.judged == judged(folded)
    assert case.flags == folded.flags


def test_every_rule_id_is_reached() -> None:
    """A rule that no case reaches is not known to work, and one that is not in the table has no words for people."""
    folded = [fold(case.facts, sole=case.sole, channel=case.channel) for case in CASES]
    reached = {reason.rule for each in folded for reason in each.reasons} | {f for each in folded for f in each.flags}
    assert set(RULE_TEXTS) == reached


def test_tables_speak_of_types_that_exist() -> None:
    """A misspelt type would never be folded."""
    spoken = {*EFFECTS, *SETS_ASIDE, *(kind for kinds in MILESTONES.values() for kind in kinds)}
    assert set() == spoken - TYPES.keys()


def test_status_is_decided_only_by_facts_that_carry_one() -> None:
    """An effect without force names no status, and every other one names one; two statuses come of facts that decide nothing alone."""
    assert {} == {kind: e for kind, e in EFFECTS.items() if (e.force is Force.NONE) != (e.status is None)}
    assert {Status.DISPUTED, Status.UNKNOWN} == set(Status) - {e.status for e in EFFECTS.values()}


def test_milestones_are_the_earliest_facts_that_count() -> None:
    """A fact that moves nobody reaches no milestone."""
    elsewhere = fact("elsewhere", "content.consigned", "8:55", scope="message", about="other_recipient")
    folded = fold((ASKED, ARRIVED, fact("again", "content.consigned", "9:20"), elsewhere), sole=False, channel="")
    assert {"requested": "asked", "delivered": "arrived"} == {k: m.event_id for k, m in folded.milestones.items()}
    assert clock("9:00") == folded.milestones["delivered"].at


# --- in any order

CHANNELS = st.sampled_from(("", *sorted({row.channel for row in EXPECTATIONS})))


def _facts() -> st.SearchStrategy[list[Fact]]:
    names = [f"fact {n}" for n in range(8)]
    times = st.sampled_from(("", "", "8:00", "8:30", "9:00", DAY_LATER))
    one = st.tuples(
        st.sampled_from(sorted(EFFECTS)),
        times,
        st.sampled_from(("9:30", "9:40")),
        st.sampled_from(("recipient", "message", "batch")),
        st.sampled_from(("recipient", "message", "other_recipient")),
        st.sampled_from(("", "1", "2")),
        st.sampled_from(((), (), (1, 2), (2, 2))),
        st.lists(st.sampled_from(names), max_size=1).map(tuple),
        st.sampled_from(((), (), (CONTRADICTS,))),
        st.sampled_from(("", "", *CHECKED, MATCHES, DIFFERS, *(f"deadline.{row.name}" for row in EXPECTATIONS))),
        st.sampled_from(("", *ArrivalKind)),
    )
    fields = ("scope", "about", "code", "part", "events", "notes", "rule", "arrival")
    return st.lists(one, max_size=8).map(
        lambda rows: [
            fact(name, kind, at, seen=seen, **dict(zip(fields, said, strict=True)))
            for name, (kind, at, seen, *said) in zip(names, rows, strict=False)
        ]
    )


@given(facts=_facts(), sole=st.booleans(), channel=CHANNELS, data=st.data())
def test_any_order_and_repetition_gives_the_same_answer(
    *, facts: list[Fact], sole: bool, channel: str, data: st.DataObject
) -> None:
    """The fold is a function of the set of facts; every fact that it heard of has at most one reason."""
    again = data.draw(st.lists(st.sampled_from(facts), max_size=3)) if facts else []
    shuffled = data.draw(st.permutations([*facts, *again]))
    folded = fold(facts, sole=sole, channel=channel)
    assert folded == fold(shuffled, sole=sole, channel=channel)
    assert len(folded.reasons) == len({reason.event_id for reason in folded.reasons})
    assert {reason.rule for reason in folded.reasons} <= set(RULE_TEXTS)


def outline(folded: Folded) -> object:
    """What people see of a delivery, without the ids of events."""
    reasons = Counter((r.type, r.code, r.rule, r.effect) for r in folded.reasons)
    proof = folded.evidence, folded.deadlines
    return folded.status, folded.sub_status, folded.since, folded.is_final, reasons, folded.flags, proof


@given(facts=_facts(), sole=st.booleans(), channel=CHANNELS, numbers=st.permutations(range(8)))
def test_ids_of_events_decide_nothing(*, facts: list[Fact], sole: bool, channel: str, numbers: list[int]) -> None:
    """Which id an event was given depends on when it was written; of facts that differ in anything else, none wins by it."""
    assume(len(facts) == len({f.order()[:-1] for f in facts}))
    renamed = {f"fact {n}": f"event {numbers[n]}" for n in range(8)}
    others = [
        msgspec.structs.replace(f, event_id=renamed[f.event_id], events=tuple(renamed[e] for e in f.events))
        for f in facts
    ]
    assert outline(fold(facts, sole=sole, channel=channel)) == outline(fold(others, sole=sole, channel=channel))
