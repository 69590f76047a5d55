"""How well providers deliver, and how soon it is proven."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.compliance import scan
from adapters.compliance.contract import Column, ComplianceQuery, Context, Row
from adapters.compliance.deliveries import Span
from adapters.compliance.scan import Seen
from ledger.addresses import normal
from ledger.application import Words
from ledger.events import parse_time, read
from ledger.observations import Address
from projections.facts import Fact, seen_as
from projections.fold import fold
from projections.grades import Grade
from projections.rules import Status
from projections.status import stories
from projections.stories import Story

_facts = msgspec.json.Decoder(list[Fact])
OPEN = "open"
OUTCOMES = (
    *(Status.DELIVERED, Status.ACCEPTED_BY_RECIPIENT, Status.REFUSED, Status.EXPIRED, Status.FAILED),
    *(Status.CANCELLED, Status.DISPUTED),
)
ARRIVED = frozenset({Status.DELIVERED, Status.ACCEPTED_BY_RECIPIENT})
Groups = Callable[[Context, Sequence[Seen], Mapping[str, Story]], Iterable[tuple[str, Seen]]]
"""Each delivery of a page with the group it belongs to; one may belong to several."""


class Asked(Span, frozen=True):
    """Whose scores.

    Attributes:
        by: what deliveries are grouped by; a recipient domain is that of an e-mail address.
    """

    by: Annotated[
        Literal["provider", "account", "recipient_domain", "batch"], Meta(description="what deliveries are grouped by")
    ] = "provider"


class _Score:
    """What is counted of one group; times are kept as numbers of eight bytes."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.to_delivery = array("d")
        self.to_evidence = array("d")


def _scorecard(context: Context, asked: Asked, after: str) -> Iterator[Row]:
    scores: dict[str, _Score] = {}
    for page in scan.pages(context, asked):
        told = stories(context.queries.ledger.database, [seen.message for seen in page])
        took = dict(zip(((s.message, s.recipient) for s in page), _times(context, page, told), strict=True))
        for group, seen in _GROUPS[asked.by](context, page, told):
            score = scores.setdefault(group, _Score())
            status = seen.folded.status
            score.outcomes[status if status in OUTCOMES else OPEN] += 1
            for times, seconds in zip(
                (score.to_delivery, score.to_evidence), took[seen.message, seen.recipient], strict=True
            ):
                if seconds is not None and seconds >= 0:
                    times.append(seconds)
    names = _batch_names(context, scores) if asked.by == "batch" else {}
    ordered = sorted((names.get(group, group), group) for group in scores)
    lookup = context.queries.ledger.keyring.lookup
    rows = (
        Row(_values(name, scores[group]), lookup(context.tenant, "scorecard", group).hex()) for name, group in ordered
    )
    yield from scan.onwards(rows, after)


def _values(name: str, score: _Score) -> tuple[object, ...]:
    """A row in the order of the columns."""
    total = score.outcomes.total()
    counts = [score.outcomes[outcome] for outcome in (*OUTCOMES, OPEN)]
    rates = [round(count / total, 4) for count in counts]
    times = []
    for taken in (score.to_delivery, score.to_evidence):
        ordered = sorted(taken)
        times += [len(ordered), percentile(ordered, 0.5), percentile(ordered, 0.95)]
    return (name or None, total, *(each for pair in zip(counts, rates, strict=True) for each in pair), *times)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which that share lies, between two values in proportion to their distance; None of nothing.

    Args:
        ordered: ascending.
        share: 0 to 1.
    """
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 3)


# --- how long it took


def _times(
    context: Context, page: Sequence[Seen], told: Mapping[str, Story]
) -> Iterator[tuple[float | None, float | None]]:
    """Of each delivery the seconds to delivery and to evidence; None where it did not come to that."""
    queries = context.queries
    final = [seen for seen in page if seen.folded.is_final and seen.folded.evidence.grade > Grade.E0]
    streams = {t.stream for seen in final for t in told[seen.message].of(seen.recipient)}
    rows = queries.ledger.database.probe("read_facts", "stream, facts", "stream", sorted(streams))
    facts = {str(stream): _facts.decode(bytes(found)) for stream, found in rows}
    for seen in page:
        begin = parse_time(_begin(seen))
        ends = (_arrived_at(seen), _proven_at(queries.ledger.vocabulary, seen, told[seen.message], facts))
        to_delivery, to_evidence = ((parse_time(end) - begin).total_seconds() if end else None for end in ends)
        yield to_delivery, to_evidence


def _begin(seen: Seen) -> str:
    accepted = seen.folded.milestones.get("accepted")
    return accepted.at if accepted else seen.opened_at


def _arrived_at(seen: Seen) -> str:
    reached = (seen.folded.milestones.get(name) for name in ("delivered", "recipient_yes"))
    return min((m.at for m in reached if m), default="") if seen.folded.status in ARRIVED else ""


def _proven_at(vocabulary: Mapping[str, Words], seen: Seen, story: Story, facts: Mapping[str, Sequence[Fact]]) -> str:
    """When we saw the fact without which, and without all that was recorded after it, the grade would be another; "" without one."""
    grade = seen.folded.evidence.grade
    if not seen.folded.is_final or grade == Grade.E0:
        return ""
    mine = [seen_as(fact, scope) for stream, scope in story.of(seen.recipient) for fact in facts.get(stream, ())]
    ordered = sorted(mine, key=lambda fact: fact.position)
    words = vocabulary.get(seen.provider)
    channel, sole = words.channel if words else "", story.teller.recipients == 1
    while ordered:
        last = ordered.pop()
        if fold(ordered, sole=sole, channel=channel).evidence.grade != grade:
            return last.observed_at
    return ""


# --- groups


def _domains(context: Context, page: Sequence[Seen], _told: Mapping[str, Story]) -> Iterator[tuple[str, Seen]]:
    whose = [(seen.message, seen.recipient) for seen in page]
    opened = context.queries.addresses(whose)  # nothing of them but the domain leaves this function
    for each, seen in zip(whose, page, strict=True):
        address = opened.get(each)
        is_email = address is not None and address.kind == "email"
        yield normal(Address("email", address.address)).rpartition("@")[2] if address and is_email else "", seen


def _batches(_context: Context, page: Sequence[Seen], told: Mapping[str, Story]) -> Iterator[tuple[str, Seen]]:
    return ((batch, seen) for seen in page for batch in told[seen.message].batches or [""])


_GROUPS: dict[str, Groups] = {
    "provider": lambda _context, page, _told: ((seen.provider, seen) for seen in page),
    "account": lambda _context, page, _told: ((seen.account, seen) for seen in page),
    "recipient_domain": _domains,
    "batch": _batches,
}


def _batch_names(context: Context, batches: Iterable[str]) -> dict[str, str]:
    """The reference of each batch, as far as it is held."""
    ledger = context.queries.ledger
    rows = ledger.database.probe(
        "stored_events",
        f"{ledger.position_column}, state",
        "originator_id",
        sorted(filter(None, batches)),
        "AND originator_version = 1",
    )
    events = [read(position, bytes(state)) for position, state in rows]
    said = ledger.values(events)
    names = {event.stream: said.get(event.position, {}).get("reference.0", {}) for event in events}
    return {stream: str(name.get("value", "")) for stream, name in names.items()}


def _outcome_columns() -> Iterator[Column]:
    for outcome in OUTCOMES:
        yield Column(str(outcome), "integer", f"whose status is {outcome}")
        yield Column(f"{outcome}_rate", "decimal", f"{outcome} / deliveries")
    yield Column(OPEN, "integer", "whose status is none of these: under way, or unknown")
    yield Column(f"{OPEN}_rate", "decimal", f"{OPEN} / deliveries")


SCORECARD = ComplianceQuery(
    name="scorecard",
    version=1,
    title="Outcomes, and the time to delivery and to evidence, by provider, account, recipient domain or batch",
    counts="Deliveries whose message the ledger first heard of from since on and before until, by their status now; one of several batches "
    "counts in each. Both times begin when the provider took charge (the earliest such fact, by its clock), or without that when the "
    "ledger first heard of the message. Time to delivery: of what is delivered or accepted by the recipient, to the earliest fact that "
    "says so. Time to evidence: of what has a final status and a grade above E0, to when we saw the fact without which, and without all "
    "recorded after it, the grade would be another. A time that would be negative, because clocks contradict, is left out. Percentiles "
    "lie between two values in proportion.",
    parameters=Asked,
    columns=(
        Column(
            "group", "text", "provider, account, domain or batch; empty: no e-mail address, or no batch", personal=True
        ),
        Column("deliveries", "integer", "all of the group"),
        *_outcome_columns(),
        Column("delivery_times", "integer", "deliveries whose time to delivery is counted"),
        Column("delivery_p50_s", "decimal", "median time to delivery, seconds"),
        Column("delivery_p95_s", "decimal", "95 of 100 took no longer, seconds"),
        Column("evidence_times", "integer", "deliveries whose time to evidence is counted"),
        Column("evidence_p50_s", "decimal", "median time to evidence, seconds"),
        Column("evidence_p95_s", "decimal", "95 of 100 took no longer, seconds"),
    ),
    rows=_scorecard,
)
