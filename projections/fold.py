"""The status of a delivery as a fold: a pure function of a set of facts, with the reason for each.

Any order and any repetition of the facts gives the same answer. The answer names every fact, the rule that judged it and
what it did, so "why is it this?" needs no second implementation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from ledger.contents import DIFFERS
from ledger.placing import CONTRADICTS
from projections.deadlines import Deadline, State, Term, expected, is_void
from projections.facts import Fact
from projections.grades import Evidence, most_direct, verified, weigh
from projections.rules import (
    EFFECTS,
    FINAL,
    MILESTONES,
    RESOLVED,
    SETS_ASIDE,
    STEP_RANK,
    SUB_STATUS,
    UNCERTIFIED,
    Effect,
    Force,
    Status,
)
from projections.rulesets import CURRENT, Ruleset

LATE = "late"
"""The only flag that rests on deadlines."""


class Reason(msgspec.Struct, frozen=True):
    """One fact, the rule that judged it, and what it did: `decides`, `agrees`, `overruled`, `set_aside`, `unattributed` or `shown`."""

    event_id: str
    position: int
    type: str
    at: str
    rule: str
    effect: str
    code: str = ""
    reason: str = ""


class Milestone(msgspec.Struct, frozen=True):
    """The earliest fact that reaches a milestone.

    Attributes:
        at: the provider's time, or ours where it gave none.
        zone: how its zone was known; `observed` when `at` is our own clock.
    """

    at: str
    zone: str
    event_id: str


class Folded(msgspec.Struct, frozen=True):
    """The status of one delivery and why.

    Attributes:
        sub_status: the provider's reason or word behind the status, as in its tables, or ours; "" when there is none.
        since: time of the deciding fact; "" when nothing decides.
        flags: rules that concern the whole, for example `clock.contradicts`.
    """

    status: str
    sub_status: str
    since: str
    is_final: bool
    rules: str
    reasons: tuple[Reason, ...]
    milestones: dict[str, Milestone]
    evidence: Evidence
    deadlines: tuple[Deadline, ...] = ()
    flags: tuple[str, ...] = ()


def fold(
    facts: Iterable[Fact],
    *,
    sole: bool,
    channel: str,
    terms: Mapping[str, Term] = MappingProxyType({}),
    rules: Ruleset = CURRENT,
) -> Folded:
    """The status of a delivery, the evidence for it, and its deadlines.

    Args:
        facts: those of its own stream, of its message and of its batches, in any order, repeated or not.
        sole: whether the message has exactly one recipient.
        channel: of its provider, as in `ledger.application.Words`.
        terms: as for `projections.deadlines.expected`.
        rules: the versions of the tables that judge.
    """
    return judge(in_order(facts), sole=sole, channel=channel, terms=terms, rules=rules).folded


class Judged(NamedTuple):
    """What came of a fold.

    Attributes:
        counted: the facts that may decide the delivery.
        deciding: the one that did.
    """

    folded: Folded
    counted: Sequence[Fact]
    deciding: Fact | None


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """Each fact once, in the order in which things are said to have happened."""
    return sorted({fact.event_id: fact for fact in facts}.values(), key=Fact.order)


def judge(ordered: Sequence[Fact], *, sole: bool, channel: str, terms: Mapping[str, Term], rules: Ruleset) -> Judged:
    """The fold of facts that are `in_order`."""
    ordered = _once(ordered)
    verdicts: dict[str, tuple[str, str]] = {}
    counted = _counted(ordered, verdicts, sole=sole)
    decided = _decide(counted, verdicts)
    deadlines = expected(channel, counted, terms)
    _mark([f for f in counted if is_void(f, deadlines)], verdicts, "deadline.void", "overruled")
    reasons = tuple(
        Reason(f.event_id, f.position, f.type, f.at(), *verdicts.get(f.event_id, ("shown", "shown")), f.code, f.reason)
        for f in ordered
        if f.type != "evidence.ingested"  # says how a fact came; which of its ways was first is chance
    )
    fact = decided.fact
    folded = Folded(
        status=str(decided.status),
        sub_status=decided.sub_status,
        since=fact.at() if fact else "",
        is_final=decided.is_final,
        rules=rules.status,
        reasons=reasons,
        milestones=_milestones(counted),
        evidence=_weigh(channel, decided, counted, verdicts, rules),
        deadlines=deadlines,
        flags=_flags(decided, counted, deadlines),
    )
    return Judged(folded, counted, fact)


class _Decided(msgspec.Struct):
    status: Status
    fact: Fact | None = None
    is_final: bool = False

    @property
    def sub_status(self) -> str:
        if self.fact is None:
            return ""
        return SUB_STATUS.get(self.fact.type) or self.fact.reason or self.fact.code


# --- which facts count


def _once(ordered: Sequence[Fact]) -> list[Fact]:
    """Of facts that say the same without a time, the earliest; one that was set aside may be said again.

    What we write ourselves is never the same twice. That a fact was seen arriving once is enough, whoever else told of it.
    """
    aside = _set_aside(ordered)
    alike: dict[object, list[Fact]] = {}
    for fact in ordered:
        is_single = fact.occurred_at or fact.rule or fact.type in SETS_ASIDE or fact.event_id in aside
        alike.setdefault(fact.event_id if is_single else fact.said(), []).append(fact)
    if len(alike) == len(ordered):
        return list(ordered)
    stands_for = {fact.event_id: same[0].event_id for same in alike.values() for fact in same}
    return [
        msgspec.structs.replace(
            same[0],
            notes=tuple(sorted({note for fact in same for note in fact.notes})),
            events=tuple(sorted({stands_for.get(e, e) for fact in same for e in fact.events})),
            arrival=most_direct(fact.arrival for fact in same),
        )
        for same in alike.values()
    ]


def _set_aside(facts: Sequence[Fact]) -> set[str]:
    """The facts that no longer count."""
    settling = [fact for fact in facts if fact.type in SETS_ASIDE]
    if not settling:
        return set()
    withdrawn = _withdrawn(settling)
    settling = [fact for fact in settling if fact.event_id not in withdrawn]
    named = {event_id for fact in settling for event_id in fact.events}
    by_person = {event_id for fact in settling if fact.type == RESOLVED for event_id in fact.events}
    return named | _seen_before(facts, by_person) if by_person else named


def _withdrawn(facts: Iterable[Fact]) -> set[str]:
    """What later settlements of a person name; a settlement among it sets nothing aside any more."""
    named: set[str] = set()
    for fact in sorted((f for f in facts if f.type == RESOLVED), key=lambda f: f.position, reverse=True):
        named |= set() if fact.event_id in named else set(fact.events)
    return named


def _seen_before(facts: Sequence[Fact], aside: set[str]) -> set[str]:
    """Sightings of a state without a time that are no later than one that was set aside: it is not said again by them."""
    latest: dict[object, str] = {}
    for fact in facts:
        if fact.event_id in aside and not fact.occurred_at:
            latest[fact.said()] = max(fact.observed_at, latest.get(fact.said(), ""))
    sighted = [fact for fact in facts if not fact.occurred_at and not fact.rule]
    return {fact.event_id for fact in sighted if fact.observed_at <= latest.get(fact.said(), "")}


def _counted(facts: Sequence[Fact], verdicts: dict[str, tuple[str, str]], *, sole: bool) -> list[Fact]:
    """The facts that may decide this delivery: attributed to it, neither corrected nor overtaken."""
    aside = _set_aside(facts)
    for fact in facts:
        if fact.event_id in aside:
            rule = "settled.withdrawn" if fact.type == RESOLVED else "settled.set_aside"
            verdicts[fact.event_id] = (rule, "set_aside")
        elif fact.about == "other_recipient":
            verdicts[fact.event_id] = ("attribution.other_recipient", "unattributed")
        elif fact.scope == "message" and fact.about == "recipient" and not sole:
            verdicts[fact.event_id] = ("attribution.none", "unattributed")
    mine = [fact for fact in facts if fact.event_id not in verdicts]
    own = max((f.at() for f in mine if f.scope != "batch" and _effect(f).force is not Force.NONE), default="")
    # Only times of one kind are compared: a provider's whole seconds say nothing against our microseconds.
    accepted = [fact for fact in mine if fact.type == "submission.accepted"]
    taken = {
        dated: max((f.at() for f in accepted if bool(f.occurred_at) is dated), default="") for dated in (True, False)
    }
    for fact in mine:
        if fact.scope == "batch" and _effect(fact).force in FINAL and fact.at() < own:
            verdicts[fact.event_id] = ("batch.own_later", "overruled")
        elif fact.type == "submission.rejected" and fact.at() < taken[bool(fact.occurred_at)]:
            verdicts[fact.event_id] = ("submission.taken_later", "overruled")
    return [fact for fact in mine if fact.event_id not in verdicts]


# --- what they decide


def _decide(facts: Sequence[Fact], verdicts: dict[str, tuple[str, str]]) -> _Decided:
    groups: dict[Force, list[Fact]] = {force: [] for force in _FORCES}
    for fact in facts:
        groups[_effect(fact).force].append(fact)
        if fact.type == "channel.unmapped":
            verdicts[fact.event_id] = ("unmapped", "shown")
    _weigh_parts(groups, verdicts)
    positive, negative, deemed = groups[Force.POSITIVE], groups[Force.NEGATIVE], groups[Force.DEEMED]
    finals = positive + negative
    other_content = verified(facts, DIFFERS)
    disputed = {
        "content.contradiction": [f for f in finals if f.event_id in other_content],
        "identity.contradiction": _same_identity(facts),
        "final.contradiction": finals if positive and negative else [],
    }
    if any(disputed.values()):
        _mark(groups[Force.PROGRESS] + finals + deemed, verdicts, "progress.passed", "agrees")
        for rule, rivals in disputed.items():
            _mark(rivals, verdicts, rule, "decides")
        return _Decided(Status.DISPUTED, max((f for rivals in disputed.values() for f in rivals), key=Fact.order))
    if finals:
        kind = "positive" if positive else "negative"
        _mark(deemed, verdicts, f"final.{kind}_beats_deemed", "overruled")
        return _strongest(finals, groups[Force.PROGRESS], f"final.{kind}", verdicts)
    if deemed:
        return _strongest(deemed, groups[Force.PROGRESS], "final.deemed", verdicts)
    return _furthest(groups[Force.PROGRESS], facts, verdicts)


def _weigh_parts(groups: dict[Force, list[Fact]], verdicts: dict[str, tuple[str, str]]) -> None:
    """Parts of one text message are no contradiction: delivered when the last of them is, failed when one is."""
    arrived: dict[int, Fact] = {}
    for fact in groups[Force.POSITIVE]:  # in order, so that of each part the earliest report stands
        if fact.part:
            arrived.setdefault(fact.part[0], fact)
    if not arrived:
        return
    late = [f for f in groups[Force.DEEMED] if f.part and f.part[0] in arrived]
    _mark(late, verdicts, "final.positive_beats_deemed", "overruled")
    groups[Force.DEEMED] = [f for f in groups[Force.DEEMED] if f not in late]
    failed = [f for f in groups[Force.NEGATIVE] + groups[Force.DEEMED] if f.part]
    if any(f.part[0] in arrived for f in failed):
        return  # one part both arrived and failed: that is a contradiction
    parts = [f for f in groups[Force.POSITIVE] if f.part]
    groups[Force.POSITIVE] = [f for f in groups[Force.POSITIVE] if not f.part]
    if failed:
        _mark(parts, verdicts, "parts.failed", "shown")
        return
    is_whole = len(arrived) >= max(f.part[1] for f in parts)
    _mark(parts, verdicts, "parts.all" if is_whole else "parts.incomplete", "agrees" if is_whole else "shown")
    groups[Force.POSITIVE if is_whole else Force.PROGRESS].append(max(arrived.values(), key=Fact.order))


def _same_identity(facts: Sequence[Fact]) -> list[Fact]:
    """Facts that share a provider's identifiers and say different things, where at least one of them is final."""
    rivals: dict[str, set[str]] = {}
    contradicting = [fact for fact in facts if CONTRADICTS in fact.notes]
    by_id = {fact.event_id: fact for fact in facts} if contradicting else {}
    for fact in contradicting:
        for named in fact.events:
            if named in by_id:
                rivals.setdefault(named, {named}).add(fact.event_id)
    groups = ([by_id[event_id] for event_id in group] for group in rivals.values())
    return [fact for group in groups if any(_effect(f).force in FINAL for f in group) for fact in group]


def _strongest(
    finals: Sequence[Fact], progress: Sequence[Fact], rule: str, verdicts: dict[str, tuple[str, str]]
) -> _Decided:
    """The highest rank decides, the earliest of equals."""
    _mark(progress, verdicts, "progress.passed", "agrees")
    _mark([f for f in progress if f.type == "relay.delayed"], verdicts, "warning.never_downgrades", "overruled")
    top = max(_effect(f).rank for f in finals)
    fact = min((f for f in finals if _effect(f).rank == top), key=Fact.order)
    _mark(
        [f for f in finals if f is not fact], verdicts, "final.stronger" if rule != "final.deemed" else rule, "agrees"
    )
    _mark([fact], verdicts, "parts.all" if rule == "final.positive" and fact.part else rule, "decides")
    return _Decided(_effect(fact).status or Status.UNKNOWN, fact, is_final=True)


def _furthest(progress: Sequence[Fact], facts: Sequence[Fact], verdicts: dict[str, tuple[str, str]]) -> _Decided:
    """The furthest step decides, the latest of equals; a warning until a step comes after it."""
    stepped = max((f.at() for f in progress if f.type != "relay.delayed" and _rank(f) >= STEP_RANK), default="")
    passed = [f for f in progress if f.type == "relay.delayed" and f.at() < stepped]
    _mark(passed, verdicts, "warning.passed", "overruled")
    left = [f for f in progress if f not in passed]
    if not left:
        unmapped = [f for f in facts if f.type == "channel.unmapped"]
        return _Decided(Status.UNKNOWN, unmapped[-1]) if unmapped else _Decided(Status.PENDING)
    top = max(_rank(f) for f in left)
    fact = max((f for f in left if _rank(f) == top), key=Fact.order)
    _mark([f for f in left if f is not fact], verdicts, "progress.passed", "agrees")
    in_part = _effect(fact).force is Force.POSITIVE
    _mark([fact], verdicts, "parts.incomplete" if in_part else "progress.furthest", "decides")
    return _Decided(Status.IN_TRANSIT if in_part else _effect(fact).status or Status.UNKNOWN, fact)


def _rank(fact: Fact) -> int:
    """Some parts arrived: as far as the network, not yet as far as the recipient."""
    effect = _effect(fact)
    return STEP_RANK if effect.force is Force.POSITIVE else effect.rank


def _effect(fact: Fact) -> Effect:
    """What a fact does; what an ordinary mail server reports of a failure is unsigned, so it yields to every final fact."""
    effect = EFFECTS[fact.type]
    return (
        effect._replace(force=Force.DEEMED) if effect.force is Force.NEGATIVE and UNCERTIFIED in fact.notes else effect
    )


def _mark(facts: Iterable[Fact], verdicts: dict[str, tuple[str, str]], rule: str, effect: str) -> None:
    for fact in facts:
        verdicts[fact.event_id] = (rule, effect)


def _weigh(
    channel: str, decided: _Decided, counted: Sequence[Fact], verdicts: dict[str, tuple[str, str]], rules: Ruleset
) -> Evidence:
    """The evidence for what was decided: by what stands, and by those of it that say the same as the status."""
    is_disputed = decided.status is Status.DISPUTED
    judged = [(f, *verdicts.get(f.event_id, ("shown", "shown"))) for f in counted]
    standing = [
        msgspec.structs.replace(f, type="relay.accepted") if rule in _SOME_PARTS else f
        for f, rule, effect in judged
        if effect != "overruled" and not (is_disputed and effect == "decides")
    ]
    deciding = decided.fact.event_id if decided.fact and not is_disputed else ""
    agreeing = {f.event_id for f, _, effect in judged if effect in {"decides", "agrees"}}
    holding = [
        f
        for f in standing
        if f.event_id == deciding or (f.event_id in agreeing and _effect(f).status is decided.status)
    ]
    rivals = [f for f, _, effect in judged if is_disputed and effect == "decides"]
    return weigh(channel, decided.status, standing, holding, rivals, rules.grade)


_SOME_PARTS = frozenset({"parts.incomplete", "parts.failed"})
"""Rules of parts that arrived while others did not: as far as the network, not as far as the recipient."""


def _milestones(ordered: Sequence[Fact]) -> dict[str, Milestone]:
    """Milestone -> the earliest fact that reaches it."""
    found: dict[str, Milestone] = {}
    for fact in ordered:
        name = _MILESTONE_OF.get(fact.type, "")
        if name and name not in found:
            found[name] = Milestone(fact.at(), fact.zone or "observed", fact.event_id)
    return {name: found[name] for name in MILESTONES if name in found}


_FORCES = tuple(Force)
_MILESTONE_OF = {kind: name for name, kinds in MILESTONES.items() for kind in kinds}


def _flags(decided: _Decided, facts: Sequence[Fact], deadlines: Iterable[Deadline]) -> tuple[str, ...]:
    flags = set()
    if any(deadline.state is State.MET_LATE for deadline in deadlines):
        flags.add(LATE)
    if decided.fact and not decided.fact.occurred_at:
        flags.add("clock.unknown")
    accepted = [f.occurred_at for f in facts if f.type == "submission.accepted" and f.occurred_at]
    ends = [f.occurred_at for f in facts if _effect(f).force in {Force.POSITIVE, Force.NEGATIVE} and f.occurred_at]
    if accepted and ends and min(ends) < min(accepted):
        flags.add("clock.contradicts")
    if any(f.scope == "message" and f.about == "recipient" for f in facts):
        flags.add("attribution.only_candidate")
    if any(f.scope == "batch" for f in facts):
        flags.add("attribution.batch")
    return tuple(sorted(flags))
