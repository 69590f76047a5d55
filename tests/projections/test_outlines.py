"""A fold that was done for other facts of the same shape gives what the fold of these facts gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.events import time_text
from projections import outlines
from projections.deadlines import EXPECTATIONS, Term
from projections.facts import Fact
from projections.fold import fold
from projections.outlines import told, told_alike
from tests.projections.facts import clock, fact
from tests.projections.test_fold import CHANNELS, _facts

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)


def elsewhere(facts: list[Fact], minutes: list[int]) -> list[Fact]:
    """Facts of the same shape: other ids and positions, and other times in the same order."""
    times = sorted({at for f in facts for at in (f.occurred_at, f.observed_at) if at})
    moved = {at: time_text(BEGIN + timedelta(minutes=m)) for at, m in zip(times, sorted(minutes), strict=False)} | {
        "": ""
    }
    return [
        replace(
            f,
            event_id=f"other {f.event_id}",
            position=f.position + 7,
            occurred_at=moved[f.occurred_at],
            observed_at=moved[f.observed_at],
            events=tuple(f"other {e}" for e in f.events),
        )
        for f in facts
    ]


@given(
    facts=_facts(),
    is_plain=st.sampled_from((True, True, True, False)),
    sole=st.booleans(),
    channel=CHANNELS,
    minutes=st.lists(st.integers(0, 60 * 24 * 40), min_size=16, max_size=16, unique=True),
    terms=st.sampled_from(({}, {each.name: Term(3, each.name, "", 60, 3_600) for each in EXPECTATIONS})),
)
def test_facts_of_one_shape_are_judged_alike(
    *, facts: list[Fact], is_plain: bool, sole: bool, channel: str, minutes: list[int], terms: dict[str, Term]
) -> None:
    """Whatever was folded before, the answer is that of the fold of these facts alone, deadlines and reasons included."""
    facts = [replace(f, events=(), rule="") for f in facts] if is_plain else facts
    others = elsewhere(facts, minutes)
    for them in (facts, others, facts[::-1]):
        alone = told(fold(them, sole=sole, channel=channel, terms=terms))
        assert alone == told_alike(them, sole=sole, channel=channel, terms=terms)


def test_a_time_that_is_not_themis_no_earlier_time() -> None:
    """A fact without the provider's time and one with a time before ours are of different shapes."""
    for at in ("", "9:00", ""):
        facts = [fact("a", "content.consigned", at, seen="9:30")]
        assert told(fold(facts, sole=True, channel="sms")) == told_alike(facts, sole=True, channel="sms", terms={})


def test_what_cannot_be_filled_in_as_it_is_is_folded_alone() -> None:
    """Ids that JSON would escape, and words that look like places to be filled in, come out as the fold writes them."""
    for event_id, code in (("a", "%s %"), ('"\\', "%s %"), ("b", "%s %")):
        facts = [fact(event_id, "content.consigned", "9:00", code=code)]
        assert told(fold(facts, sole=True, channel="sms")) == told_alike(facts, sole=True, channel="sms", terms={})


def test_shapes_do_not_fill_memory() -> None:
    """So many are remembered at most."""
    for number in range(outlines.MOST + 5):
        told_alike([fact("a", "content.consigned", "9:00", code=str(number))], sole=True, channel="sms", terms={})
    assert len(outlines._outlines) <= outlines.MOST  # noqa: SLF001  what is remembered


def test_deadlines_are_counted_from_these_facts() -> None:
    """Of two deliveries of one shape one may be late and the other not."""
    late = [fact("a", "submission.accepted", "9:00"), fact("b", "content.consigned", "9:00")]
    late[1] = replace(late[1], occurred_at=time_text(BEGIN))
    soon = [replace(late[0], event_id="c"), replace(late[1], event_id="d", occurred_at=clock("9:01"))]
    found = [told_alike(facts, sole=True, channel="sms", terms={}) for facts in (soon, late, soon)]
    assert [False, True, False] == ["late" in each.marks for each in found]
    assert [told(fold(facts, sole=True, channel="sms")) for facts in (soon, late, soon)] == found
