"""How strong the evidence for a status is: grade E0 to E5 as versioned tables, and what is proven, what is not, and what is missing.

Technical statements, never legal ones. A grade belongs to the status that is shown: a signed acceptance proves an acceptance, not a
delivery. Whether originals and facts are genuine was checked when they came; here only what events say of that is weighed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ledger.contents import MATCHES
from ledger.observations import ArrivalKind
from projections.facts import ERASED, Fact
from projections.rules import UNCERTIFIED, Status

RULES = "grade/3"


class Grade(StrEnum):
    """How strong; a higher one sorts later."""

    E0 = "E0"  # nothing
    E1 = "E1"  # the provider accepted it
    E2 = "E2"  # a network, carrier or machine reported a transmission
    E3 = "E3"  # the provider states, unsigned, that it reached the recipient or that the recipient acted
    E4 = "E4"  # a third party's signed original says so, and its signature was checked
    E5 = "E5"  # such an original says that an identified recipient acted


class Missing(msgspec.Struct, frozen=True):
    """Evidence that is not here yet.

    Attributes:
        what: a key of `MISSING_TEXTS`.
        until: when it can no longer be fetched, UTC; "" when nobody knows.
    """

    what: str
    until: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """How strong the evidence for the status of a delivery is, and why.

    Attributes:
        proven, not_proven: keys of `PROVEN_TEXTS` and `NOT_PROVEN_TEXTS`.
    """

    grade: Grade = Grade.E0
    proven: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    rules: str = RULES


# --- the tables

BASE: dict[str, Grade] = {
    "submission.accepted": Grade.E1,
    "submission.rejected": Grade.E1,
    "submission.cancelled": Grade.E1,
    "production.advanced": Grade.E1,
    "relay.accepted": Grade.E2,  # also a letter posted: the producer reports that it left; of ordinary mail nobody says more
    "relay.rejected": Grade.E2,
    "relay.delayed": Grade.E2,
    "relay.failed": Grade.E2,
    "nonerds.relayed": Grade.E2,
    "notice.issued": Grade.E2,
    "content.consigned": Grade.E3,  # also a registered letter: the carrier states that it reached the address
    "content.consignment_failed": Grade.E3,
    "content.handed_over": Grade.E3,
    "content.returned": Grade.E3,
    "content.accessed": Grade.E3,
    "consignment.accepted": Grade.E3,
    "consignment.rejected": Grade.E3,
    "acceptance.expired": Grade.E3,
    "recipient.identified": Grade.E3,
    "document.signing_completed": Grade.E3,
    "document.signature_declined": Grade.E3,
    "acknowledgement.received": Grade.E3,
}
"""Event type -> what a provider's unsigned statement is worth; a type that is not here proves nothing."""

BY_CHANNEL: dict[tuple[str, str], Grade] = {
    ("certified_email", "relay.failed"): Grade.E3,  # the final notice: the provider states that it did not arrive
    ("certified_email", "nonerds.relayed"): Grade.E1,  # the acceptance says where the recipient is, not that it left
    ("sms", "content.consigned"): Grade.E2,  # a handset's report through networks that nobody can question
    ("sms", "content.consignment_failed"): Grade.E2,
    ("fax", "content.consigned"): Grade.E2,  # another machine confirmed the pages; whose it is, nobody says
    ("fax", "content.consignment_failed"): Grade.E2,
}
"""(Channel, event type) where it is worth something else."""


class Table(NamedTuple):
    """A version of the tables in which versions differ.

    Attributes:
        by_channel: as `BY_CHANNEL`.
        rivals_count: of contradicting statements one must hold, so together they prove that the provider had it.
        erasing_caps: what was erased cannot be shown any more, so that a signature on it was checked once lifts nothing.
    """

    id: str
    by_channel: Mapping[tuple[str, str], Grade]
    rivals_count: bool
    erasing_caps: bool = False


GRADE_1 = Table("grade/1", BY_CHANNEL, rivals_count=False)
GRADE_2 = Table(
    "grade/2",
    BY_CHANNEL
    | {
        ("sms", "relay.delayed"): Grade.E1,  # it waits in the provider's own queue: no network has said anything yet
        ("fax", "relay.delayed"): Grade.E1,  # likewise: queued, on hold or to be dialled again; nothing was transmitted
    },
    rivals_count=True,
)
GRADE_3 = GRADE_2._replace(id=RULES, erasing_caps=True)

OTHER_CHANNEL: dict[str, str] = {"sms": "sms", "send_sms": "sms", "sms_send": "sms"}
"""Operation -> the channel that it tells of, where a provider has several: a post office's text messages are no letters."""

CEILING: dict[str, Grade] = {
    ArrivalKind.WEBHOOK: Grade.E3,
    ArrivalKind.POLL: Grade.E3,
    ArrivalKind.MAILBOX: Grade.E3,
    ArrivalKind.IMPORT: Grade.E2,
    ArrivalKind.API: Grade.E2,
}
"""How it came -> the most that it proves while no signature on an original was checked. What we did not see arrive is worth less."""

ERASED_CEILING = Grade.E3
"""The most that an erased delivery proves: what events say stands, and no original that somebody else signed can be shown."""

SECOND_HAND = frozenset({ArrivalKind.IMPORT, ArrivalKind.API})
"""Ways by which others tell us what a provider said; we did not see it come."""

WITNESSED = "evidence.witnessed"
"""Rule of evidence.ingested: a fact that somebody had told us came from the provider itself."""

GOOD, WRONG, ABSENT = "attest.good", "attest.wrong", "attest.absent"
CHECKED = (ABSENT, WRONG, GOOD)
"""Rules of evidence.verified; of several originals of one fact the last in this row counts: one good original is enough.
A verdict that names another is a later one on the same original, and takes its place."""

_ARRIVED = frozenset({"content.consigned", "content.handed_over"})
_ACTED = frozenset(
    {
        "consignment.accepted",
        "consignment.rejected",
        "content.handed_over",
        "document.signing_completed",
        "document.signature_declined",
        "acknowledgement.received",
    }
)
_HANDED_ON = frozenset({"relay.accepted", "nonerds.relayed"})
_FAILED = frozenset(
    {
        "submission.rejected",
        "relay.rejected",
        "relay.failed",
        "content.consignment_failed",
        "content.returned",
        "acceptance.expired",
    }
)
_POSITIVE = frozenset({Status.DELIVERED, Status.ACCEPTED_BY_RECIPIENT})
_NEGATIVE = frozenset({Status.FAILED, Status.REFUSED, Status.EXPIRED, Status.CANCELLED})

CLAIMS: tuple[tuple[str, Collection[str], Grade], ...] = (
    ("accepted", BASE.keys() - {"submission.rejected", "submission.cancelled"}, Grade.E1),
    ("handed_on", _HANDED_ON, Grade.E2),
    ("reported", _ARRIVED, Grade.E2),
    ("reached", _ARRIVED | {"consignment.accepted", "document.signing_completed"}, Grade.E3),
    ("opened", frozenset({"content.accessed"}), Grade.E3),
    ("acted", _ACTED, Grade.E3),
    ("identified", frozenset({"recipient.identified"}), Grade.E3),
    ("not_delivered", _FAILED, Grade.E2),
)
"""What is proven -> the types that say so, and the least grade at which it counts."""

_CLAIMS_OF = {kind: [(claim, least) for claim, types, least in CLAIMS if kind in types] for kind in BASE}

AWAITED: dict[str, str] = {
    "certified_email": "delivery_receipt",
    "registered_email": "delivery_statement",
    "sms": "delivery_report",
    "fax": "transmission_report",
}
"""Channel -> what is missing while the provider has it and no end is known. Of ordinary post nothing more is ever said."""

# --- the words for people

GRADE_TEXTS: dict[str, str] = {
    "E0": "nothing that counts as evidence",
    "E1": "the provider took charge of it, or says what it did with it itself",
    "E2": "a network, a carrier or a machine reported it, or somebody handed us the report",
    "E3": "the provider states it, unsigned",
    "E4": "a third party's signed original says it, and its signature was checked",
    "E5": "a third party's signed original says that an identified recipient did it, and its signature was checked",
}

PROVEN_TEXTS: dict[str, str] = {
    "accepted": "the provider took charge of the message",
    "handed_on": "it was handed on to a carrier, network or next provider",
    "reported": "a network, carrier or machine reported it as delivered",
    "reached": "the provider states that it reached the recipient's mailbox or address",
    "opened": "the provider states that it was opened",
    "acted": "the provider states that the recipient acted: took, signed, acknowledged or refused it",
    "identified": "the provider states that the recipient was identified",
    "not_delivered": "the provider or carrier states that it did not arrive",
    "signed": "the signed original of this statement is held, and its signature was checked and holds",
    "content": "the content that the receipt carries or quotes is the content that was sent",
}

NOT_PROVEN_TEXTS: dict[str, str] = {
    "outcome": "which of the contradicting statements holds",
    "reached": "that it reached the recipient's mailbox or address",
    "read": "that the recipient read it",
    "identity": "who it was that acted for the recipient",
    "signed": "that somebody other than the provider or us can confirm it: no signed original was checked",
    "content": "that what was delivered is the content that was sent",
    "witnessed": "when it was stated: it came to us as files or words of others, not from the provider itself",
    "signature_absent": "who wrote it: the original should carry a signature and does not",
    "signature_wrong": "who wrote it: the signature on the original proves wrong",
}

MISSING_TEXTS: dict[str, str] = {
    "erased": "the originals and values, which were erased",
    "signed_original": "the signed original of the receipt",
    "delivery_receipt": "the delivery receipt",
    "delivery_statement": "the provider's statement of delivery, acceptance or refusal",
    "delivery_report": "the delivery report",
    "transmission_report": "the transmission report",
}


# --- weighing


def weigh(  # noqa: PLR0917  the status, then the facts by what they say of it
    channel: str,
    status: Status,
    standing: Sequence[Fact],
    holding: Sequence[Fact],
    rivals: Sequence[Fact] = (),
    table: Table = GRADE_3,
) -> Evidence:
    """The evidence for a status.

    Args:
        channel: of the provider, as in `ledger.application.Words`.
        standing: the facts that nothing overrules.
        holding: those of them that say what the status says; none when it is disputed.
        rivals: those that contradict each other, when it is disputed; they are not among the standing ones.
    """
    channel = channel_of(channel, standing)
    naming = [fact for fact in standing if fact.events]  # most facts say nothing of others
    checks = checked(naming)
    if seen_come := verified(naming, WITNESSED, "evidence.ingested"):
        standing, holding, rivals = (
            [_as_witnessed(f, seen_come) for f in told] for told in (standing, holding, rivals)
        )
    rivals = rivals if table.rivals_count else ()
    grades = {f.event_id: _grade(f, channel, checks.get(f.event_id, ""), table) for f in (*standing, *rivals)}
    top = max((grades[fact.event_id] for fact in holding), default=Grade.E0)
    best = [fact for fact in holding if grades[fact.event_id] == top]
    is_erased = table.erasing_caps and any(fact.type == ERASED for fact in standing)
    is_signed = any(checks.get(fact.event_id) == GOOD for fact in best) and top > Grade.E0 and not is_erased
    if status is Status.DISPUTED:
        top = min(Grade.E1, max(grades.values(), default=Grade.E0))
    elif is_signed and _acted_and_identified(standing, best, checks):
        top = Grade.E5
    top = min(top, ERASED_CEILING) if is_erased else top
    proven = list(dict.fromkeys([*_common(rivals, grades), *_claims(standing, grades)]))
    proven += ["signed"] if is_signed else []
    same = verified(naming, MATCHES)
    proven += ["content"] if status in _POSITIVE and any(fact.event_id in same for fact in holding) else []
    bad = {checks[fact.event_id] for fact in best if fact.event_id in checks} if not is_signed else set()
    doubts = {
        "outcome": status is Status.DISPUTED,
        "reached": "reached" not in proven and status not in _NEGATIVE,
        "read": status in _POSITIVE and not {"acted", "opened"} & set(proven),
        "identity": "acted" in proven and top < Grade.E5,
        "signed": top > Grade.E0 and not is_signed,
        "content": status in _POSITIVE and "content" not in proven,
        "witnessed": bool(best)
        and top > Grade.E0
        and not is_signed
        and all(fact.arrival in SECOND_HAND for fact in best),
        "signature_absent": ABSENT in bad,
        "signature_wrong": WRONG in bad,
    }
    return Evidence(
        grade=top,
        proven=tuple(proven),
        not_proven=tuple(doubt for doubt, holds in doubts.items() if holds),
        missing=_missing(
            channel,
            status,
            standing,
            holding,
            is_signed=is_signed,
            is_taken="accepted" in proven,
            is_erased=is_erased,
        ),
        rules=table.id,
    )


def channel_of(channel: str, facts: Iterable[Fact]) -> str:
    """The channel that a delivery took: its provider's, or the one that an operation of its facts tells of."""
    return next((OTHER_CHANNEL[fact.operation] for fact in facts if fact.operation in OTHER_CHANNEL), channel)


def verified(facts: Iterable[Fact], rule: str, kind: str = "evidence.verified") -> set[str]:
    """The event ids that some event of this kind with this rule names."""
    return {event_id for f in facts if f.type == kind and f.rule == rule for event_id in f.events}


def _as_witnessed(fact: Fact, seen_come: set[str]) -> Fact:
    """A fact that we were told first and then saw come counts as seen."""
    return msgspec.structs.replace(fact, arrival=str(ArrivalKind.POLL)) if fact.event_id in seen_come else fact


def checked(facts: Sequence[Fact]) -> dict[str, str]:
    """Event id -> the verdict on the signature of its original that counts."""
    verdicts = [fact for fact in facts if fact.type == "evidence.verified" and fact.rule in CHECKED]
    if not verdicts:
        return {}
    replaced = {event_id for verdict in verdicts for event_id in verdict.events}
    standing = [verdict for verdict in verdicts if verdict.event_id not in replaced]
    return {event_id: rule for rule in CHECKED for event_id in verified(standing, rule)}


def most_direct(arrivals: Iterable[str]) -> str:
    """Of several ways by which one fact came, the one that proves most."""
    return max(arrivals, key=lambda arrival: (_ceiling(arrival), arrival))


def _grade(fact: Fact, channel: str, verdict: str, table: Table) -> Grade:
    base = table.by_channel.get((channel, fact.type), BASE.get(fact.type, Grade.E0))
    if base is Grade.E0 or verdict in {ABSENT, WRONG}:
        return Grade.E0
    if UNCERTIFIED in fact.notes:
        return min(base, Grade.E2)
    return Grade.E4 if verdict == GOOD else min(base, _ceiling(fact.arrival))


def _ceiling(arrival: str) -> Grade:
    return CEILING.get(arrival, Grade.E2)


def _claims(standing: Iterable[Fact], grades: dict[str, Grade]) -> list[str]:
    """What the facts prove, in the order of `CLAIMS`; who reached the recipient need not be reported to have."""
    said = {c for f in standing for c, least in _CLAIMS_OF.get(f.type, ()) if grades[f.event_id] >= least}
    said -= {"reported"} if "reached" in said else set()
    return [claim for claim, _, _ in CLAIMS if claim in said]


def _common(rivals: Sequence[Fact], grades: dict[str, Grade]) -> list[str]:
    """What contradicting statements agree on: that the provider had it, when all of them say at least that."""
    counting = [fact for fact in rivals if grades[fact.event_id] > Grade.E0]
    return ["accepted"] if counting and all("accepted" in _claims([f], grades) for f in rivals) else []


def _acted_and_identified(standing: Iterable[Fact], best: Iterable[Fact], checks: dict[str, str]) -> bool:
    """Whether verified originals say both that the recipient did it and that the recipient was identified."""
    did = any(fact.type in _ACTED and checks.get(fact.event_id) == GOOD for fact in best)
    return did and any(f.type == "recipient.identified" and checks.get(f.event_id) == GOOD for f in standing)


def _missing(
    channel: str,
    status: Status,
    standing: Sequence[Fact],
    holding: Sequence[Fact],
    *,
    is_signed: bool,
    is_taken: bool,
    is_erased: bool,
) -> tuple[Missing, ...]:
    found = [Missing("erased")] if is_erased else []
    if (
        channel == "certified_email"
        and not (is_signed or is_erased)
        and any(f.type in BASE and UNCERTIFIED not in f.notes for f in holding)
    ):
        found.append(Missing("signed_original"))
    has_left = any(fact.type == "nonerds.relayed" for fact in standing)  # from there no receipt ever comes
    is_open = status not in _POSITIVE | _NEGATIVE | {Status.DISPUTED}
    if channel in AWAITED and is_open and is_taken and not (has_left and channel == "certified_email"):
        found.append(Missing(AWAITED[channel]))
    return tuple(found)
