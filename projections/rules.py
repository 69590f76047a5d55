"""What the status fold makes of each event type: versioned tables, applied by `projections.fold`.

Nothing of this is written into events. Changing a row needs a new RULES version; answers name the version they used.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

RULES = "status/2"


UNCERTIFIED = "ordinary_mail"
"""Note of a fact that an ordinary mail server reported beside a registered service: unsigned, and anybody can write one."""


class Status(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"  # asked for; nobody has taken charge yet
    ACCEPTED = "accepted"  # the provider took charge
    IN_TRANSIT = "in_transit"  # the carrier, network or next provider has it
    DELAYED = "delayed"  # a warning: not yet, and why
    AVAILABLE = "available"  # the recipient was told that it waits
    DELIVERED = "delivered"  # it reached the recipient's mailbox, address or device
    ACCEPTED_BY_RECIPIENT = "accepted_by_recipient"  # the recipient took, signed or acknowledged it
    REFUSED = "refused"  # the recipient said no
    EXPIRED = "expired"  # the recipient said nothing in time
    FAILED = "failed"  # it did not arrive, says somebody who knows
    CANCELLED = "cancelled"  # the sender withdrew it
    DISPUTED = "disputed"  # final facts contradict each other; a person must settle it
    UNKNOWN = "unknown"  # something was said that our tables do not know


class Force(StrEnum):
    """What a fact does to the status."""

    PROGRESS = "progress"  # the furthest step counts, not the latest
    POSITIVE = "positive"  # final
    NEGATIVE = "negative"  # final
    DEEMED = "deemed"  # negative by lapse of time; a positive fact beats it
    NONE = "none"  # shown, decides nothing


FINAL = frozenset({Force.POSITIVE, Force.NEGATIVE, Force.DEEMED})


class Effect(NamedTuple):
    """A row of the table.

    Attributes:
        rank: among effects of the same force the highest decides.
    """

    force: Force
    status: Status | None
    rank: int = 0


_NONE = Effect(Force.NONE, None)

EFFECTS: dict[str, Effect] = {
    "submission.requested": Effect(Force.PROGRESS, Status.PENDING, 0),
    "production.advanced": Effect(Force.PROGRESS, Status.PENDING, 1),
    "dispatch.unclear": Effect(Force.PROGRESS, Status.PENDING, 2),
    "submission.accepted": Effect(Force.PROGRESS, Status.ACCEPTED, 3),
    "relay.accepted": Effect(Force.PROGRESS, Status.IN_TRANSIT, 4),
    "nonerds.relayed": Effect(Force.PROGRESS, Status.IN_TRANSIT, 5),
    "relay.delayed": Effect(Force.PROGRESS, Status.DELAYED, 6),
    "notice.issued": Effect(Force.PROGRESS, Status.AVAILABLE, 7),
    "content.consigned": Effect(Force.POSITIVE, Status.DELIVERED, 1),
    "content.handed_over": Effect(Force.POSITIVE, Status.DELIVERED, 2),
    "consignment.accepted": Effect(Force.POSITIVE, Status.ACCEPTED_BY_RECIPIENT, 3),
    "document.signing_completed": Effect(Force.POSITIVE, Status.ACCEPTED_BY_RECIPIENT, 4),
    "acknowledgement.received": Effect(Force.POSITIVE, Status.ACCEPTED_BY_RECIPIENT, 5),
    "submission.cancelled": Effect(Force.NEGATIVE, Status.CANCELLED, 1),
    "submission.rejected": Effect(Force.NEGATIVE, Status.FAILED, 2),
    "relay.rejected": Effect(Force.NEGATIVE, Status.FAILED, 3),
    "content.consignment_failed": Effect(Force.NEGATIVE, Status.FAILED, 4),
    "content.returned": Effect(Force.NEGATIVE, Status.FAILED, 5),
    "document.signature_declined": Effect(Force.NEGATIVE, Status.REFUSED, 6),
    "consignment.rejected": Effect(Force.NEGATIVE, Status.REFUSED, 7),
    "relay.failed": Effect(Force.DEEMED, Status.FAILED, 1),
    "acceptance.expired": Effect(Force.DEEMED, Status.EXPIRED, 2),
    "dispatch.attempted": _NONE,
    "dispatch.answered": _NONE,
    "dispatch.resolved": _NONE,
    "channel.unmapped": _NONE,
    "notice.failed": _NONE,
    "content.accessed": _NONE,
    "content.handover_failed": _NONE,
    "nonerds.relay_failed": _NONE,
    "channel.switched": _NONE,
    "inbound.received": _NONE,
    "inbound.fetched": _NONE,
    "inbound.reset": _NONE,
    "recipient.identified": _NONE,
    "document.signed": _NONE,
    "acknowledgement.requested": _NONE,
    "acknowledgement.reminded": _NONE,
    "deadline.warned": _NONE,
    "deadline.passed": _NONE,
    "provider_content.deleted": _NONE,
    "provider.corrected": _NONE,
    "observation.reread": _NONE,
    "dispute.resolved": _NONE,
    "evidence.erased": _NONE,
    "evidence.ingested": _NONE,
    "evidence.verified": _NONE,
    "reference.conflict": _NONE,
}
"""Event type -> effect. A type that is not here (labels, joinings, further originals, access …) is no fact about a delivery."""

STEP_RANK = EFFECTS["relay.accepted"].rank
"""From here on it is on its way: such a step after a warning ends the warning."""

SUB_STATUS = {"dispatch.unclear": "dispatch_unclear"}
"""Type -> the sub-status when such a fact decides, where it is ours and not the provider's reason or word."""

SETS_ASIDE = frozenset({"provider.corrected", "observation.reread", "dispute.resolved", "dispatch.resolved"})
"""Types whose `events` name facts that no longer count."""

RESOLVED = "dispute.resolved"
"""The one of them that a person writes; a later one that names it withdraws it."""

MILESTONES: dict[str, tuple[str, ...]] = {
    "requested": ("submission.requested", "dispatch.attempted"),
    "accepted": ("submission.accepted",),
    "handed_to_carrier": ("relay.accepted", "nonerds.relayed"),
    "available": ("notice.issued",),
    "delivered": ("content.consigned", "content.handed_over"),
    "recipient_yes": ("consignment.accepted", "document.signing_completed", "acknowledgement.received"),
    "recipient_no": ("consignment.rejected", "document.signature_declined"),
    "failed": (
        "submission.rejected",
        "relay.rejected",
        "relay.failed",
        "content.consignment_failed",
        "acceptance.expired",
        "content.returned",
    ),
    "cancelled": ("submission.cancelled",),
}
"""Milestone -> the types of which the earliest fact reaches it; in the order in which they are shown."""

RULE_TEXTS: dict[str, str] = {
    "attribution.only_candidate": "the fact names no recipient, and this is the message's only one",
    "attribution.none": "the fact is about one recipient but does not say which; it moves no delivery",
    "attribution.other_recipient": "the fact names a recipient who was not declared for this message; it moves no delivery",
    "attribution.batch": "the fact is about the whole batch",
    "batch.own_later": "what was said of the whole batch; a later fact about this message itself beats it",
    "submission.taken_later": "one call was refused; the provider took the message in a later one",
    "progress.furthest": "no final fact; the furthest step decides",
    "progress.passed": "a further step is known",
    "warning.passed": "a further step came after the warning",
    "warning.never_downgrades": "a warning beside a final fact changes nothing",
    "final.positive": "a final positive fact decides",
    "final.negative": "a final negative fact decides",
    "final.deemed": "time ran out without a final fact; the lapse decides",
    "final.positive_beats_deemed": "it arrived after all; the lapse of time is shown and overruled",
    "final.negative_beats_deemed": "a definite no outranks the lapse of time",
    "final.stronger": "a stronger fact of the same kind decides",
    "final.contradiction": "final facts contradict each other; a person must settle which holds",
    "identity.contradiction": "two originals with the same identifiers say different things; a person must settle which holds",
    "content.contradiction": "what the receipt carries or quotes is not the content that was sent; a person must settle what was delivered",
    "parts.incomplete": "not all parts of the message are known to have arrived",
    "parts.all": "all parts arrived",
    "parts.failed": "at least one part failed",
    "settled.set_aside": "a later event corrects or settles this fact",
    "settled.withdrawn": "a person withdrew this settlement; what it set aside counts again",
    "deadline.void": "what was awaited had happened in time, or the deadline moved; this no longer holds",
    "unmapped": "the provider used a word that our tables do not know; it decides nothing",
    "shown": "recorded; decides nothing",
    "clock.unknown": "the provider gave no usable time; the time of arrival is used",
    "clock.contradicts": "the provider's clocks disagree: the end is dated before the acceptance",
    "late": "what was awaited came after the deadline",
}
"""Every rule id that a reason may carry, in one sentence."""
