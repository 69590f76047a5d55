"""What is said of a delivery, folded once for all deliveries whose facts say the same in the same order.

What is judged rests on what facts say and on which time comes before which, never on the times or ids themselves; only deadlines count on
clocks, and they are counted anew. So the answer is written once, and ids, times and deadlines are filled in. Facts that name others, or
carry a rule of ours, are always folded by themselves.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from projections.deadlines import Deadline, State, Term, expected, next_due
from projections.facets import marks
from projections.facts import Fact
from projections.fold import LATE, Folded, Judged, Milestone, Reason, in_order, judge
from projections.rulesets import CURRENT, Ruleset

MOST = 4_096
_Shape = tuple[object, ...]
_encode = msgspec.json.encode
_is_plain = re.compile(r"[0-9A-Za-z -]*", re.ASCII).fullmatch
_SLOT = secrets.token_hex(16)
"""Begins what stands for something to be filled in; nobody can write it into an event."""
_slots = re.compile(rf'"{_SLOT}([sn])(\d+)"')


class Told(NamedTuple):
    """What is said of a delivery.

    Attributes:
        since, next_due: times, or "".
        marks: see `projections.facets.marks`; without protection.
        folded: all of it, encoded.
    """

    status: str
    sub_status: str
    since: str
    is_final: bool
    grade: str
    next_due: str
    marks: tuple[str, ...]
    folded: bytes


class _Form(NamedTuple):
    """What is said where the deadlines stand alike, too.

    Attributes:
        told: of the first that had it.
        text: of `folded`, with a place for each of `slots`.
        slots: what is filled in: id, position and time of each fact, then the numbers of each deadline.
    """

    told: Told
    text: str
    slots: list[int]


class _Outline(NamedTuple):
    """What was judged of facts of one shape; facts are told by their place in order.

    Attributes:
        folded: of the first that had it.
        places: of its facts by id.
        counted: the facts that deadlines rest on.
        since: the fact that decides; -1: none.
        forms: by where the deadlines stand.
    """

    folded: Folded
    places: dict[str, int]
    counted: list[int]
    since: int
    forms: dict[tuple[tuple[str, State], ...], _Form]


_outlines: dict[_Shape, _Outline] = {}


def told_alike(
    facts: Iterable[Fact], *, sole: bool, channel: str, terms: Mapping[str, Term], rules: Ruleset = CURRENT
) -> Told:
    """What `projections.fold.fold` says of some facts; arguments as there."""
    ordered = in_order(facts)
    if [fact for fact in ordered if fact.events or fact.rule or not _is_plain(fact.event_id)]:
        return told(judge(ordered, sole=sole, channel=channel, terms=terms, rules=rules).folded)
    shape = (sole, channel, rules.status, rules.grade.id, *_shape(ordered))
    outline = _outlines.get(shape)
    if outline is None:
        if len(_outlines) >= MOST:
            _outlines.clear()
        judged = judge(ordered, sole=sole, channel=channel, terms=terms, rules=rules)
        outline = _outlines[shape] = _outline(ordered, judged)
    deadlines = expected(channel, [ordered[number] for number in outline.counted], terms)
    stand = tuple([(deadline.name, deadline.state) for deadline in deadlines])
    form = outline.forms.get(stand)
    if form is None:
        form = outline.forms[stand] = _form(outline, deadlines)
    return _filled(outline, form, ordered, deadlines)


def told(folded: Folded) -> Told:
    """What a fold says."""
    return Told(
        *(folded.status, folded.sub_status, folded.since, folded.is_final, str(folded.evidence.grade)),
        *(next_due(folded.deadlines), marks(folded), _encode(folded)),
    )


def _shape(ordered: Sequence[Fact]) -> list[object]:
    """All that is judged of facts; of times, which comes before which."""
    times = sorted({at for fact in ordered for at in (fact.occurred_at, fact.observed_at)})
    rank = {at: number for number, at in enumerate(times)}
    found: list[object] = []
    for f in ordered:
        found += f.type, f.scope, f.about, f.code, f.reason, f.provider, f.notes, f.part, f.arrival, f.operation, f.zone
        found += rank[f.occurred_at] if f.occurred_at else -1, rank[f.observed_at]
    return found


def _outline(ordered: Sequence[Fact], judged: Judged) -> _Outline:
    index = {fact.event_id: number for number, fact in enumerate(ordered)}
    counted = [index[fact.event_id] for fact in judged.counted]
    return _Outline(judged.folded, index, counted, index[judged.deciding.event_id] if judged.deciding else -1, {})


def _form(outline: _Outline, deadlines: Sequence[Deadline]) -> _Form:
    """What an outline says where deadlines stand so."""
    folded, places = outline.folded, outline.places
    flags = set(folded.flags) - {LATE} | ({LATE} if any(d.state is State.MET_LATE for d in deadlines) else set())
    folded = replace(folded, deadlines=tuple(deadlines), flags=tuple(sorted(flags)))
    first = 3 * len(places)
    open_ = replace(
        folded,
        since=_slot(3 * outline.since + 2) if outline.since >= 0 else "",
        reasons=tuple(_open_reason(reason, 3 * places[reason.event_id]) for reason in folded.reasons),
        milestones={name: _open_milestone(each, 3 * places[each.event_id]) for name, each in folded.milestones.items()},
        deadlines=tuple(_open_deadline(each, first + 3 * number) for number, each in enumerate(deadlines)),
    )
    text = _encode(open_).decode().replace("%", "%%")
    slots = [int(number) for _, number in _slots.findall(text)]
    text = _slots.sub(lambda found: '"%s"' if found[1] == "s" else "%s", text)
    return _Form(told(folded), text, slots)


def _slot(number: int, kind: str = "s") -> str:
    return f"{_SLOT}{kind}{number}"


def _open_reason(reason: Reason, at: int) -> Reason:
    return replace(reason, event_id=_slot(at), position=_slot(at + 1, "n"), at=_slot(at + 2))


def _open_milestone(milestone: Milestone, at: int) -> Milestone:
    return replace(milestone, event_id=_slot(at), at=_slot(at + 2))


def _open_deadline(deadline: Deadline, at: int) -> Deadline:
    return replace(deadline, warn_at=_slot(at), breach_at=_slot(at + 1), set_at=_slot(at + 2, "n"))


def _filled(outline: _Outline, form: _Form, ordered: Sequence[Fact], deadlines: Sequence[Deadline]) -> Told:
    """What is said, with the ids and times of these facts, and their deadlines."""
    values: list[str | int] = []
    for fact in ordered:
        values += (fact.event_id, fact.position, fact.occurred_at or fact.observed_at)
    since = str(values[3 * outline.since + 2]) if outline.since >= 0 else ""
    for deadline in deadlines:
        values += (deadline.warn_at, deadline.breach_at, deadline.set_at)
    said = form.told
    return Told(
        *(said.status, said.sub_status, since, said.is_final, said.grade, next_due(deadlines), said.marks),
        (form.text % tuple([values[slot] for slot in form.slots])).encode(),
    )
