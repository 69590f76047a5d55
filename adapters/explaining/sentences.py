"""The sentences of an explanation: one table of which are said when, and with what in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from adapters.explaining.case import AWAITED, DOWNTIMES_SHOWN, FORMAL, OWN, REASONED, Case, downtime_key
from adapters.explaining.words import awaited, harmless, listed, words
from projections.deadlines import State
from projections.rules import Status
from projections.views import DeliveryView, MessageView


class Sentence(NamedTuple):
    """One sentence, or two that belong together: table and name of its words, and what stands in its braces."""

    table: str
    name: str
    values: Mapping[str, str] = {}


Said = Iterable[Sentence]


def _head(case: Case) -> Said:
    values = {"item": item(case), "since": case.at(case.view.since) if case.view.since else "", "word": case.word}
    yield Sentence("head", case.head, values)


def _says(case: Case) -> Said:
    if case.says:
        yield Sentence("says", case.says, {"provider": case.provider})


def _reason(case: Case) -> Said:
    if case.view.status in REASONED and case.word:
        yield Sentence("reason", "given", {"word": case.word})


def _strength(case: Case) -> Said:
    if case.strength:
        yield Sentence("strength", case.strength)


def _also(case: Case) -> Said:
    proven = case.view.evidence.proven
    yield from (Sentence("also", claim) for claim in ("opened", "identified", "content") if claim in proven)


def _doubts(case: Case) -> Said:
    if case.clauses:
        clauses = [words(case.language)["clause"][clause] for clause in case.clauses]
        yield Sentence("doubt", "not_proven", {"doubts": listed(case.language, clauses)})
    doubts = case.view.evidence.not_proven
    yield from (Sentence("doubt", d) for d in ("witnessed", "signature_absent", "signature_wrong") if d in doubts)


def _deadlines(case: Case) -> Said:
    for deadline in case.view.deadlines:
        name = AWAITED.get(deadline.state) or ("met_late" if deadline.state is State.MET_LATE else "")
        if name:
            times = {"warn": case.at(deadline.warn_at), "breach": case.at(deadline.breach_at)}
            yield Sentence("deadline", name, {"what": awaited(case.language, deadline.name), **times})


def _missing(case: Case) -> Said:
    told = {deadline.name for deadline in case.view.deadlines if deadline.state in AWAITED}
    plain = [m.what for m in case.view.evidence.missing if not m.until and m.what not in {*told, "erased"}]
    if plain:
        yield Sentence("missing", "plain", {"what": "; ".join(awaited(case.language, what) for what in plain)})
    for each in case.view.evidence.missing:
        if each.until:
            what = {"what": awaited(case.language, each.what)}
            yield Sentence("missing", "until", {**what, "until": case.at(each.until)})
    if case.erased_at:
        yield Sentence("missing", "erased", {"at": case.at(case.erased_at)})


def _downtimes(case: Case) -> Said:
    found = case.view.downtimes
    for each in found[:DOWNTIMES_SHOWN]:
        times = {"from": case.at(each.since)} | ({"until": case.at(each.until)} if each.until else {})
        yield Sentence("downtime", downtime_key(each.rule, each.until), times)
    if len(found) > DOWNTIMES_SHOWN:
        yield Sentence("downtime", "more", {"count": str(len(found) - DOWNTIMES_SHOWN)})
    if case.is_delayed_by_downtime:
        yield Sentence("downtime", "explains")


NOTES: tuple[tuple[str, Callable[[Case], bool]], ...] = (
    ("lapse", lambda case: "final.positive_beats_deemed" in case.rules),
    ("settled", lambda case: case.is_settled),
    ("corrected", lambda case: "provider.corrected" in case.types),
    ("next", lambda case: case.view.status == Status.DISPUTED),
    ("unattributed", lambda case: bool({"attribution.none", "attribution.other_recipient"} & case.rules)),
    ("unmapped", lambda case: "unmapped" in case.rules and case.view.status != Status.UNKNOWN),
    ("clock_unknown", lambda case: "clock.unknown" in case.view.flags and case.head not in OWN),
    ("clock_contradicts", lambda case: "clock.contradicts" in case.view.flags),
    ("legal", lambda case: case.view.status in FORMAL),
)
"""Notes, and when each is said."""


def _notes(*names: str) -> Callable[[Case], Said]:
    rows = [row for row in NOTES if row[0] in names]
    return lambda case: (Sentence("note", name) for name, holds in rows if holds(case))


def _known(case: Case) -> Said:
    known = case.view.known
    if known:
        yield Sentence("known", "recorded", {"at": case.at(known.known_at or known.recorded_at)})
    if known and known.occurred_at:
        yield Sentence("known", "occurred", {"at": case.at(known.occurred_at)})


def _zone(case: Case) -> Said:
    if case.has_times:
        yield Sentence("zone", "utc" if case.zone.key == "UTC" else "local", {"zone": case.zone.key})


ORDER: tuple[Callable[[Case], Said], ...] = (
    _head,
    _says,
    _notes("clock_unknown", "clock_contradicts", "lapse", "settled", "corrected"),
    _reason,
    _strength,
    _also,
    _doubts,
    _notes("next"),
    _deadlines,
    _missing,
    _downtimes,
    _notes("unattributed", "unmapped", "legal"),
    _known,
    _zone,
)
"""What is said, one after the other."""


def item(case: Case) -> str:
    """What was sent, and to whom."""
    said, view = words(case.language), case.view
    noun = said["noun"].get(case.channel) or said["noun"]["other"]
    address = harmless(view.address.address)
    whom = {"noun": noun, "address": address, "number": str(view.recipient)}
    return said["whom"]["known" if address else "unknown"].format(**whom)


def sentences(view: DeliveryView, language: str, zone: ZoneInfo) -> Iterator[Sentence]:
    """What is said of a delivery, in order."""
    case = Case(view, language, zone)
    return (sentence for part in ORDER for sentence in part(case))


def paragraph(view: DeliveryView, language: str, zone: ZoneInfo) -> str:
    """Where a delivery is and how far that is proven, for somebody who knows nothing of ledgers.

    Raises:
        ValueError: no such language.
    """
    return " ".join(text(each, language) for each in sentences(view, language, zone))


def text(sentence: Sentence, language: str) -> str:
    """A sentence in a language."""
    said = words(language)[sentence.table][sentence.name].format(**sentence.values)
    return said[:1].upper() + said[1:]


def without_delivery(view: MessageView, language: str) -> str:
    """What there is to say of a message that has no recipients."""
    return words(language)["message"]["inbound" if view.inbound else "no_recipient"]
