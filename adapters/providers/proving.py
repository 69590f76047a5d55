"""What a provider can prove at best: each status that its words may lead to, weighed by the very tables that grade deliveries."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from adapters.providers.contract import Provider
from ledger.observations import ArrivalKind
from projections.facts import Fact
from projections.grades import GOOD, NOT_PROVEN_TEXTS, OTHER_CHANNEL, PROVEN_TEXTS, Evidence, weigh
from projections.rules import EFFECTS, Status


class ProofView(msgspec.Struct, frozen=True):
    """The best evidence that a provider can give for a status.

    Attributes:
        channel: of the message: a provider may have several.
        grade: E0 to E5; what a signed original or the recipient's identity adds is counted where the provider has it.
        types: the event types of its words that lead there.
    """

    channel: str
    status: str
    grade: str
    types: tuple[str, ...]
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]


def proofs(provider: Provider) -> tuple[ProofView, ...]:
    """For each channel and status, the best that can be proven; its own channel first, then the strongest."""
    others = {o.name: OTHER_CHANNEL[o.name] for o in provider.operations if o.name in OTHER_CHANNEL}
    own = [row.type for name, rows in provider.tables.items() if name not in others for row in rows]
    found = _of(provider, provider.channel, "", own)
    for operation, channel in others.items():
        if operation in provider.tables:
            found += _of(provider, channel, operation, [row.type for row in provider.tables[operation]])
    return tuple(found)


def _of(provider: Provider, channel: str, operation: str, types: Collection[str]) -> list[ProofView]:
    """What the words of one channel may lead to, the strongest first."""
    by_status: dict[Status, list[str]] = {}
    for kind in dict.fromkeys(types):
        status = EFFECTS[kind].status if kind in EFFECTS else None
        if status is not None:
            by_status.setdefault(status, []).append(kind)
    found = []
    for status, kinds in by_status.items():
        reached = [_evidence(provider, status, kind, operation, types) for kind in kinds]
        best = max(reached, key=lambda evidence: evidence.grade)
        proven = tuple(PROVEN_TEXTS[name] for name in best.proven)
        not_proven = tuple(NOT_PROVEN_TEXTS[name] for name in best.not_proven)
        found.append(ProofView(channel, status, best.grade, tuple(kinds), proven, not_proven))
    return sorted(found, key=lambda proof: proof.grade, reverse=True)


def _evidence(provider: Provider, status: Status, kind: str, operation: str, types: Collection[str]) -> Evidence:
    """The evidence for one fact that came from the provider itself, with everything that it has to support it."""
    fact = _fact(provider.name, kind, operation)
    supporting = [fact]
    if "recipient.identified" in types:
        supporting.append(_fact(provider.name, "recipient.identified", operation))
    if provider.attest is not None and not operation:
        names = tuple(each.event_id for each in supporting)
        supporting.append(_fact(provider.name, "evidence.verified", rule=GOOD, events=names))
    return weigh(provider.channel, status, supporting, [fact])


def _fact(provider: str, kind: str, operation: str = "", *, rule: str = "", events: tuple[str, ...] = ()) -> Fact:
    at = "2026-01-01T00:00:00.000000Z"
    return Fact(
        event_id=kind,
        position=1,
        type=kind,
        scope="recipient",
        about="recipient",
        occurred_at=at,
        zone="stated",
        observed_at=at,
        code="",
        reason="",
        provider=provider,
        arrival=str(ArrivalKind.POLL),
        operation=operation,
        rule=rule,
        events=events,
    )
