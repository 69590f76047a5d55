"""The fold, done once for all deliveries whose facts say the same in the same order.

What is judged rests on what facts say and on which time comes before which, never on the times or ids themselves; only deadlines count on
clocks, and they are counted anew. Facts that name others, or carry a rule of ours, are always folded by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from projections.deadlines import State, Term, expected
from projections.facts import Fact
from projections.fold import LATE, Folded, Judged, Milestone, Reason, in_order, judge
from projections.rulesets import CURRENT, Ruleset

MOST = 4_096
_Shape = tuple[object, ...]


class _Outline(NamedTuple):
    """What was judged of facts of one shape; facts are told by their place in order.

    Attributes:
        folded: of the first that had it.
        reasons: fact, rule and effect.
        since: the fact that decides; -1: none.
    """

    folded: Folded
    reasons: list[tuple[int, str, str]]
    milestones: list[tuple[str, int]]
    counted: list[int]
    since: int


_outlines: dict[_Shape, _Outline] = {}


def fold_alike(
    facts: Iterable[Fact],
    *,
    sole: bool,
    channel: str,
    terms: Mapping[str, Term] = MappingProxyType({}),
    rules: Ruleset = CURRENT,
) -> Folded:
    """As `projections.fold.fold`."""
    ordered = in_order(facts)
    if any(fact.events or fact.rule for fact in ordered):
        return judge(ordered, sole=sole, channel=channel, terms=terms, rules=rules).folded
    shape = (sole, channel, rules.status, rules.grade.id, *_shape(ordered))
    outline = _outlines.get(shape)
    if outline is None:
        if len(_outlines) >= MOST:
            _outlines.clear()
        judged = judge(ordered, sole=sole, channel=channel, terms=terms, rules=rules)
        _outlines[shape] = _outline(ordered, judged)
        return judged.folded
    return _filled(outline, ordered, channel, terms)


def _shape(ordered: Sequence[Fact]) -> Iterable[object]:
    """All that is judged of facts; of times, which comes before which."""
    times = sorted({at for fact in ordered for at in (fact.occurred_at, fact.observed_at)})
    rank = {at: number for number, at in enumerate(times)}
    for f in ordered:
        yield f.type, f.scope, f.about, f.code, f.reason, f.provider, f.notes, f.part, f.arrival, f.operation, f.zone
        yield rank[f.occurred_at] if f.occurred_at else -1, rank[f.observed_at]


def _outline(ordered: Sequence[Fact], judged: Judged) -> _Outline:
    index = {fact.event_id: number for number, fact in enumerate(ordered)}
    return _Outline(
        judged.folded,
        [(index[reason.event_id], reason.rule, reason.effect) for reason in judged.folded.reasons],
        [(name, index[milestone.event_id]) for name, milestone in judged.folded.milestones.items()],
        [index[fact.event_id] for fact in judged.counted],
        index[judged.deciding.event_id] if judged.deciding else -1,
    )


def _filled(outline: _Outline, ordered: Sequence[Fact], channel: str, terms: Mapping[str, Term]) -> Folded:
    """An outline with the ids and times of these facts, and their deadlines."""
    reasons = []
    for number, rule, effect in outline.reasons:
        f = ordered[number]
        reasons.append(Reason(f.event_id, f.position, f.type, f.at(), rule, effect, f.code, f.reason))
    milestones = {}
    for name, number in outline.milestones:
        f = ordered[number]
        milestones[name] = Milestone(f.at(), f.zone or "observed", f.event_id)
    deadlines = expected(channel, [ordered[number] for number in outline.counted], terms)
    flags = set(outline.folded.flags) - {LATE}
    flags |= {LATE} if any(deadline.state is State.MET_LATE for deadline in deadlines) else set()
    return replace(
        outline.folded,
        since=ordered[outline.since].at() if outline.since >= 0 else "",
        reasons=tuple(reasons),
        milestones=milestones,
        deadlines=deadlines,
        flags=tuple(sorted(flags)),
    )
