"""The answers: what the API and the command line show of messages, deliveries and trails. Types only."""

from __future__ import annotations

from typing import Any

import msgspec

from projections.deadlines import Deadline
from projections.downtimes import Downtime
from projections.fold import Milestone, Reason
from projections.grades import Evidence


class Known(msgspec.Struct, frozen=True):
    """As of when an answer is, and by which rules; values are shown as far as they are held today.

    Attributes:
        position: last of the log that is known.
        recorded_at: when that was recorded, UTC.
        known_at: the time that was asked for, or "".
        occurred_at: what happened later is left out, even where it is known; or "".
        rules: `then` or `today`: what was asked for.
        in_force: the tables that judged then.
        used: the tables that judged this answer.
        today: the tables that judge today.
        differ: whether today's are others than those in force then.
        vocabularies: the tables of the providers' words in force then, as far as the log says.
    """

    position: int
    recorded_at: str
    known_at: str
    occurred_at: str
    rules: str
    in_force: tuple[str, ...]
    used: tuple[str, ...]
    today: tuple[str, ...]
    differ: bool
    vocabularies: tuple[str, ...]


class AddressView(msgspec.Struct, frozen=True):
    """A recipient's address as given; empty after erasure."""

    kind: str = ""
    address: str = ""


class DeliveryView(msgspec.Struct, frozen=True):
    """One delivery: where it is and why.

    Attributes:
        sub_status: the provider's reason or word behind the status.
        since: UTC time of the deciding fact, on the provider's clock where it gave one.
        position: last log position that this answer reflects for the delivery.
        evidence: how strong the evidence for the status is, and what is proven, not proven and missing.
        deadlines: what is or was expected by when.
        downtimes: when its provider did not work for its account, as far as that touches its time; they change no status.
        known: as of when, where that was asked for.
    """

    message: str
    recipient: int
    address: AddressView
    account: str
    provider: str
    status: str
    sub_status: str
    since: str
    is_final: bool
    opened_at: str
    position: int
    rules: str
    milestones: dict[str, Milestone]
    reasons: tuple[Reason, ...]
    flags: tuple[str, ...] = ()
    evidence: Evidence = Evidence()
    deadlines: tuple[Deadline, ...] = ()
    downtimes: tuple[Downtime, ...] = ()
    known: Known | None = None


class MessageView(msgspec.Struct, frozen=True):
    """One message and its first deliveries.

    Attributes:
        registered: the sender declared it; otherwise only receipts have told of it.
        values: what the sender or provider said of the whole message (subject, references …), as far as it is held.
        joined: messages that turned out to be this one.
        joined_into: the message that tells this story now, or "".
        inbound: it has no recipients of ours: something that arrived for us.
    """

    message: str
    tenant: str
    account: str
    provider: str
    opened_at: str
    registered: bool
    inbound: bool
    recipients: int
    batches: tuple[str, ...]
    values: dict[str, Any]
    references: tuple[dict[str, str], ...]
    labels: tuple[str, ...]
    documents: tuple[dict[str, Any], ...]
    joined: tuple[str, ...]
    joined_into: str
    statuses: dict[str, int]
    notes: tuple[str, ...]
    deliveries: tuple[DeliveryView, ...]
    position: int
    known: Known | None = None


class TrailEntry(msgspec.Struct, frozen=True):
    """One event of a trail.

    Attributes:
        leaf_hash: SHA-256 leaf hash (RFC 6962), hex.
        values: provider words and other values, as far as they are held.
        withheld: field paths that are committed to but no longer held, or not shown.
        rule, effect: what the fold made of it; empty for events that are no facts.
    """

    position: int
    event_id: str
    type: str
    meaning: str
    stream: str
    version: int
    recipient: int | None
    occurred_at: str
    zone: str
    observed_at: str
    recorded_at: str
    provider: str
    account: str
    arrival: str
    verdict: str
    code: str
    reason: str
    erds: str
    mapping: str
    notes: tuple[str, ...]
    artifacts: tuple[str, ...]
    leaf_hash: str
    rule: str
    effect: str
    values: dict[str, Any]
    withheld: tuple[str, ...]


class Trail(msgspec.Struct, frozen=True):
    """Every event that tells the story of a message or of one delivery, in the order of the log."""

    message: str
    recipient: int | None
    entries: tuple[TrailEntry, ...]
    tree_size: int
    root: str
    position: int
    known: Known | None = None


class Page(msgspec.Struct, frozen=True):
    """Deliveries, newest message first.

    Attributes:
        next: continues the list, also where a page is short or empty because enough was looked at; "" at its end.
    """

    deliveries: tuple[DeliveryView, ...]
    next: str
    position: int
    known: Known | None = None


class DueDeadline(msgspec.Struct, frozen=True):
    """An event about a deadline that is to be written now.

    Attributes:
        type: `deadline.warned` or `deadline.passed`.
        rule: which deadline.
        occurred_at: the deadline's own time.
    """

    tenant: str
    account: str
    provider: str
    message: str
    recipient: int
    type: str
    rule: str
    occurred_at: str


class Watching(msgspec.Struct, frozen=True):
    """A message whose fate is not settled, as far as asking its provider needs to know it.

    Attributes:
        opened_position: continues the list.
        references: kind -> values, as far as they are held.
        named: value of a reference -> index of the one recipient whom it is about.
        recipients: address by index; an erased one is empty.
        open: indexes of the recipients without a final status.
        unclear: whether a call of ours may or may not have been taken.
    """

    message: str
    opened_position: int
    opened_at: str
    references: dict[str, tuple[str, ...]]
    recipients: tuple[AddressView, ...]
    open: tuple[int, ...]
    unclear: bool
    named: dict[str, int]


class LaneItem(msgspec.Struct, frozen=True):
    """Something that waits for a person."""

    item: str
    lane: str
    account: str
    provider: str
    operation: str
    opened_at: str
    state: str
    why: str
    artifacts: tuple[str, ...]
