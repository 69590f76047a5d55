"""The status of a delivery as a fold: a pure function of a set of facts, with the reason for each.

Any order and any repetition of the facts gives the same answer. The answer names every fact, the rule that judged it and
what it did, so "why is it this?" needs no second implementation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ledger.events import Event
from projections.rules import EFFECTS, MILESTONES, RULES, SETS_ASIDE, Effect, Force, Status


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """What of an event the fold may look at; all of it stands in the clear.

    Attributes:
        occurred_at: the provider's clock, "" when it gave none.
        scope: `recipient`, `message` or `batch`: the stream it stands in.
        events: event ids it names.
        part: [number, total] or empty.
    """

    event_id: str
    position: int
    type: str
    scope: str
    about: str
    occurred_at: str
    zone: str
    observed_at: str
    code: str
    reason: str
    provider: str
    notes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    part: tuple[int, ...] = ()

    def at(self) -> str:
        return self.occurred_at or self.observed_at

    def order(self) -> tuple[str, ...]:
        """For display and ties; event ids come last, so that equal facts in any order give equal answers."""
        return (self.at(), self.observed_at, self.type, self.code, self.reason, self.event_id)


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
        sub_status: the provider's reason or word behind the status, as in its tables; "" when there is none.
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
    flags: tuple[str, ...] = ()


def to_fact(event: Event, scope: str) -> Fact | None:
    """The fact in an event, or None when its type says nothing about a delivery."""
    if event.type not in EFFECTS:
        return None
    f = event.fields
    texts = {k: str(f.get(k, "")) for k in ("occurred_at", "zone", "observed_at", "code", "reason", "provider")}
    return Fact(
        event.id,
        event.position,
        event.type,
        scope,
        str(f.get("about", "message")),
        **texts,
        notes=tuple(f.get("notes", ())),
        events=tuple(f.get("events", ())),
        part=tuple(f.get("part", ())),
    )


def fold(facts: Iterable[Fact], *, sole: bool) -> Folded:
    """The status of a delivery.

    Args:
        facts: those of its own stream, of its message and of its batch, in any order, repeated or not.
        sole: whether the message has exactly one recipient.
    """
    ordered = sorted({fact.event_id: fact for fact in facts}.values(), key=Fact.order)
    verdicts: dict[str, tuple[str, str]] = {}
    counted = [fact for fact in ordered if _counts(fact, ordered, verdicts, sole=sole)]
    decided = _decide(counted, verdicts)
    reasons = tuple(
        Reason(f.event_id, f.position, f.type, f.at(), *verdicts.get(f.event_id, ("shown", "shown")), f.code, f.reason)
        for f in ordered
    )
    fact = decided.fact
    return Folded(
        status=str(decided.status),
        sub_status=decided.sub_status,
        since=fact.at() if fact else "",
        is_final=decided.is_final,
        rules=RULES,
        reasons=reasons,
        milestones=_milestones(counted),
        flags=_flags(decided, counted),
    )


class _Decided(msgspec.Struct):
    status: Status
    fact: Fact | None = None
    is_final: bool = False

    @property
    def sub_status(self) -> str:
        return (self.fact.reason or self.fact.code) if self.fact else ""


def _counts(fact: Fact, facts: Sequence[Fact], verdicts: dict[str, tuple[str, str]], *, sole: bool) -> bool:
    """Whether a fact may decide this delivery: attributed to it, and not set aside by a later event."""
    if any(fact.event_id in other.events for other in facts if other.type in SETS_ASIDE):
        verdicts[fact.event_id] = ("settled.set_aside", "set_aside")
        return False
    if fact.about == "other_recipient":
        verdicts[fact.event_id] = ("attribution.other_recipient", "unattributed")
        return False
    if fact.scope == "message" and fact.about == "recipient" and not sole:
        verdicts[fact.event_id] = ("attribution.none", "unattributed")
        return False
    return True


def _decide(facts: Sequence[Fact], verdicts: dict[str, tuple[str, str]]) -> _Decided:
    groups: dict[Force, list[Fact]] = {force: [] for force in Force}
    for fact in facts:
        groups[EFFECTS[fact.type].force].append(fact)
        if fact.type == "channel.unmapped":
            verdicts[fact.event_id] = ("unmapped", "shown")
    _weigh_parts(groups, verdicts)
    positive, negative, deemed = groups[Force.POSITIVE], groups[Force.NEGATIVE], groups[Force.DEEMED]
    finals = positive + negative
    rivals = _same_identity(finals + deemed, facts)
    if (positive and negative) or rivals:
        rule = "final.contradiction" if positive and negative else "identity.contradiction"
        _mark(rivals or finals, verdicts, rule, "decides")
        _mark(groups[Force.PROGRESS] + deemed, verdicts, "progress.passed", "agrees")
        return _Decided(Status.DISPUTED, max(rivals or finals, key=Fact.order), is_final=False)
    if finals:
        kind = "positive" if positive else "negative"
        _mark(deemed, verdicts, f"final.{kind}_beats_deemed", "overruled")
        return _strongest(finals, groups[Force.PROGRESS], f"final.{kind}", verdicts)
    if deemed:
        return _strongest(deemed, groups[Force.PROGRESS], "final.deemed", verdicts)
    return _furthest(groups[Force.PROGRESS], facts, verdicts)


def _weigh_parts(groups: dict[Force, list[Fact]], verdicts: dict[str, tuple[str, str]]) -> None:
    """Parts of one text message are no contradiction: delivered when all are, failed when one is."""
    parts = [f for f in groups[Force.POSITIVE] if f.part]
    if not parts:
        return
    failed = [f for f in groups[Force.NEGATIVE] + groups[Force.DEEMED] if f.part]
    total = max(f.part[1] for f in parts)
    is_whole = len({f.part[0] for f in parts}) >= total
    if failed or not is_whole:
        groups[Force.POSITIVE] = [f for f in groups[Force.POSITIVE] if not f.part]
        _mark(parts, verdicts, "parts.failed" if failed else "parts.incomplete", "shown")
        if not failed:
            groups[Force.PROGRESS] += parts


def _same_identity(finals: Sequence[Fact], facts: Sequence[Fact]) -> list[Fact]:
    """Final facts that share a provider's identifiers and say different things."""
    by_id = {fact.event_id: fact for fact in facts}
    pairs = [(f, by_id[e]) for f in finals if "same_identity_other_content" in f.notes for e in f.events if e in by_id]
    return sorted({f.event_id: f for pair in pairs for f in pair}.values(), key=Fact.order)


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
    _mark([fact], verdicts, "parts.all" if fact.part else rule, "decides")
    return _Decided(_effect(fact).status or Status.UNKNOWN, fact, is_final=True)


def _furthest(progress: Sequence[Fact], facts: Sequence[Fact], verdicts: dict[str, tuple[str, str]]) -> _Decided:
    if not progress:
        unmapped = [f for f in facts if f.type == "channel.unmapped"]
        return _Decided(Status.UNKNOWN, unmapped[-1]) if unmapped else _Decided(Status.PENDING)
    top = max(_rank(f) for f in progress)
    fact = max((f for f in progress if _rank(f) == top), key=Fact.order)
    _mark([f for f in progress if f is not fact and f.event_id not in verdicts], verdicts, "progress.passed", "agrees")
    if fact.event_id not in verdicts:
        _mark([fact], verdicts, "progress.furthest", "decides")
    status = Status.IN_TRANSIT if _effect(fact).force is Force.POSITIVE else _effect(fact).status
    return _Decided(status or Status.UNKNOWN, fact)


def _rank(fact: Fact) -> int:
    """Some parts arrived: as far as the network, not yet as far as the recipient."""
    effect = _effect(fact)
    return EFFECTS["relay.accepted"].rank if effect.force is Force.POSITIVE else effect.rank


def _effect(fact: Fact) -> Effect:
    return EFFECTS[fact.type]


def _mark(facts: Iterable[Fact], verdicts: dict[str, tuple[str, str]], rule: str, effect: str) -> None:
    for fact in facts:
        verdicts[fact.event_id] = (rule, effect)


def _milestones(facts: Sequence[Fact]) -> dict[str, Milestone]:
    found: dict[str, Milestone] = {}
    for name, types in MILESTONES.items():
        reached = [f for f in facts if f.type in types]
        if reached:
            first = min(reached, key=Fact.order)
            found[name] = Milestone(first.at(), first.zone or "observed", first.event_id)
    return found


def _flags(decided: _Decided, facts: Sequence[Fact]) -> tuple[str, ...]:
    flags = set()
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
