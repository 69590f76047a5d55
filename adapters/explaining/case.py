"""What an explanation can say of a delivery: which sentence it opens with, and who says so. Tables only; no words of any language."""

from __future__ import annotations

from functools import cached_property
from zoneinfo import ZoneInfo

from adapters.explaining import words
from adapters.providers import registry
from projections.deadlines import State
from projections.downtimes import DETECTED
from projections.facts import ERASED
from projections.fold import Reason
from projections.rules import RESOLVED, SUB_STATUS, UNCERTIFIED, Status
from projections.views import DeliveryView

HEAD_OF_RULE: dict[str, str] = {
    "content.contradiction": "disputed_content",
    "identity.contradiction": "disputed_identity",
    "final.contradiction": "disputed_outcome",
    "parts.incomplete": "parts",
}
"""Rule of a fact that decides -> how it begins; the first that fits."""

HEAD_OF_TYPE: dict[str, str] = {
    "submission.requested": "requested",
    "production.advanced": "in_production",
    "dispatch.unclear": "unclear",
    "submission.accepted": "accepted",
    "relay.accepted": "in_transit",
    "nonerds.relayed": "left_registered",
    "relay.delayed": "delayed",
    "notice.issued": "available",
    "content.consigned": "delivered",
    "content.handed_over": "fetched",
    "consignment.accepted": "accepted_by_recipient",
    "document.signing_completed": "signed",
    "acknowledgement.received": "acknowledged",
    "submission.cancelled": "cancelled",
    "submission.rejected": "rejected",
    "relay.rejected": "rejected_on_the_way",
    "content.consignment_failed": "not_delivered",
    "content.returned": "returned",
    "document.signature_declined": "declined",
    "consignment.rejected": "refused",
    "relay.failed": "time_ran_out",
    "acceptance.expired": "expired",
}
"""Type of the fact that decides -> how it begins."""

OF_CHANNEL = frozenset(
    {
        ("accepted", "certified_email"),
        ("in_production", "certified_email"),
        ("left_registered", "certified_email"),
        ("rejected", "certified_email"),
        ("reported", "certified_email"),
        *(("delivered", channel) for channel in ("certified_email", "sms", "fax")),
    }
)
"""(Beginning, channel) that has a sentence of its own."""

REPORTED = frozenset({"sms", "fax"})
"""Channels whose deliveries are never more than reported; elsewhere a weak report begins with `reported`."""

LAPSES = frozenset({"relay.failed", "acceptance.expired"})
"""Types that are decided by lapse of time on their own; any other so decided is an ordinary mail server's word."""

MAY_TEXT = frozenset({"post", "fax"})
CERTIFIED = "certified_email"
SENDERS_PROVIDER = frozenset({"production.advanced", "relay.delayed", "relay.failed"})
"""Types that in certified mail the sender's own provider states."""

OWN = frozenset({"requested", "unclear"})
SAYS_WHO = frozenset(
    {
        *("nothing", "unknown", "unknown_word", "mail_server"),
        *("accepted_certified_email", "rejected_certified_email", "left_registered_certified_email"),
    }
)
"""Beginnings of our own records; and those that say who says so, or that nobody does."""
SAYS_LITTLE = frozenset({"nothing", "unknown", "unknown_word"})
"""Beginnings of which there is nothing to prove."""
REASONED = frozenset({Status.DELAYED, Status.REFUSED, Status.EXPIRED, Status.FAILED})
"""Statuses to which the provider's word adds something."""
FORMAL = frozenset({Status.AVAILABLE, Status.DELIVERED, Status.ACCEPTED_BY_RECIPIENT, Status.REFUSED, Status.EXPIRED})
"""Statuses that could be taken for service."""
AWAITED = {State.OPEN: "open", State.WARNED: "warned", State.PASSED: "passed"}
LATE = frozenset({State.WARNED, State.PASSED, State.MET_LATE})
DOWNTIMES_SHOWN = 3


class Case:
    """A delivery, and what follows from it for each sentence of its explanation."""

    def __init__(self, view: DeliveryView, language: str, zone: ZoneInfo) -> None:
        self.view = view
        self.language = language
        self.zone = zone
        provider = registry().get(view.provider)
        self.channel = _channel(view, provider.channel if provider else "")
        self.provider = provider.title if provider else view.provider

    def at(self, time: str) -> str:
        return words.time(self.language, time, self.zone)

    @cached_property
    def rules(self) -> frozenset[str]:
        return frozenset(reason.rule for reason in self.view.reasons)

    @cached_property
    def types(self) -> frozenset[str]:
        return frozenset(reason.type for reason in self.view.reasons if reason.effect != "set_aside")

    @cached_property
    def deciding(self) -> Reason | None:
        return next((reason for reason in self.view.reasons if reason.effect == "decides"), None)

    @cached_property
    def head(self) -> str:
        """Which sentence it begins with."""
        said, deciding = self.view, self.deciding
        if said.status == Status.UNKNOWN:
            return "nothing" if not said.since else "unknown_word" if said.sub_status else "unknown"
        if deciding is None:
            return "nothing"
        decided_by = {reason.rule for reason in said.reasons if reason.effect == "decides"}
        by_rule = next((head for rule, head in HEAD_OF_RULE.items() if rule in decided_by), "")
        if self.channel == CERTIFIED and deciding.rule == "final.deemed" and deciding.type not in LAPSES:
            return "mail_server"
        head = by_rule or HEAD_OF_TYPE[deciding.type]
        if head == "delivered" and self.channel not in REPORTED and "reached" in said.evidence.not_proven:
            head = "reported"
        return f"{head}_{self.channel}" if (head, self.channel) in OF_CHANNEL else head

    @cached_property
    def says(self) -> str:
        """Who says so; "" where the beginning says it, or several do."""
        deciding = self.deciding
        if deciding is None or self.head in SAYS_WHO or self.view.status == Status.DISPUTED:
            return ""
        if self.head in OWN or (self.head == "cancelled" and not deciding.code):
            return "own"
        if self.channel == CERTIFIED:
            if deciding.type == "content.consigned":
                return "receipt" if self.view.evidence.grade >= "E4" else "receipt_reported"
            return "sender_provider" if deciding.type in SENDERS_PROVIDER else "pec_provider"
        if self.channel == "sms":
            return "network" if self.view.evidence.grade >= "E2" else "provider"
        return "machine" if self.channel == "fax" else "provider"

    @cached_property
    def word(self) -> str:
        """The word, code or reason behind the status; "" when there is none, or it says no more than the sentences do."""
        said = self.view.sub_status
        return "" if said.lower() in {*SUB_STATUS.values(), UNCERTIFIED, self.view.status} else words.harmless(said)

    @cached_property
    def strength(self) -> str:
        if self.head in SAYS_LITTLE:
            return ""
        return "disputed" if self.view.status == Status.DISPUTED else str(self.view.evidence.grade)

    @cached_property
    def clauses(self) -> list[str]:
        """What is not proven, as far as it is said in a clause: what makes it so is said by the strength."""
        if self.strength in {"", "disputed", "E0"}:
            return []
        return [c for c in ("reached", "read", "identity", "content") if c in self.view.evidence.not_proven]

    @cached_property
    def is_settled(self) -> bool:
        """Whether a person settled a contradiction and did not withdraw that; a withdrawal is of the same type and names one."""
        resolved = [reason for reason in self.view.reasons if reason.type == RESOLVED]
        withdrawn = sum(reason.rule == "settled.withdrawn" for reason in resolved)
        return sum(reason.effect != "set_aside" for reason in resolved) > withdrawn

    @cached_property
    def erased_at(self) -> str:
        """When it was said that what was held is erased; "" when it was not."""
        return min((reason.at for reason in self.view.reasons if reason.type == ERASED), default="")

    @cached_property
    def is_delayed_by_downtime(self) -> bool:
        """Whether a deadline was missed that a downtime began before."""
        missed = [deadline.breach_at for deadline in self.view.deadlines if deadline.state in LATE]
        return any(each.since <= at for each in self.view.downtimes for at in missed)

    @cached_property
    def has_times(self) -> bool:
        """Whether any of its sentences names a time."""
        shown = any(deadline.state in AWAITED or deadline.state in LATE for deadline in self.view.deadlines)
        terms = any(missing.until for missing in self.view.evidence.missing)
        return bool(self.view.since or shown or terms or self.erased_at or self.view.downtimes or self.view.known)


def _channel(view: DeliveryView, channel: str) -> str:
    """The channel that a delivery took: a post office or fax service may have sent a text message."""
    awaited = {*(deadline.name for deadline in view.deadlines), *(missing.what for missing in view.evidence.missing)}
    return "sms" if channel in MAY_TEXT and (view.address.kind == "phone" or "delivery_report" in awaited) else channel


def downtime_key(rule: str, until: str) -> str:
    """Which sentence tells of a downtime."""
    return ("detected" if rule == DETECTED else "entered") + ("" if until else "_open")
