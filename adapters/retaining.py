"""Which retention policy is for a delivery, when its term is over, and from when on it may be applied.

A policy that is new, shorter than before, or whose end makes another one count is a mistake until seven days have passed: until then
nothing that the provider carried is due, and it can be taken back. Finding only; applied in `adapters.retiring`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from adapters import keeping
from adapters.keeping import Delivery, Policy, due_at, found_under, label_digest, opened_before
from ledger.database import Reads
from ledger.events import parse_time, time_text
from ledger.streams import WHOLE_MESSAGE
from projections.queries import Queries
from projections.status import stories

NOTICE = timedelta(days=7)


class Carried(NamedTuple):
    """A delivery, as far as a policy looks at it."""

    message: str
    recipient: int
    provider: str
    opened_at: str


class Due(NamedTuple):
    """What the policy for a delivery says.

    Attributes:
        due_at: when its term is over.
        notice: until when nothing of its provider is removed, because what counts for it was changed; "" when nothing was.
    """

    policy: Policy
    due_at: str
    notice: str

    @property
    def applies_at(self) -> str:
        """From when on it may be removed, as far as time goes."""
        return max(self.due_at, self.notice)


class Retaining:
    """The policies of a tenant, opened once, and which is for a delivery.

    Attributes:
        policies: those in force, by provider and label.
    """

    def __init__(self, queries: Queries, tenant: str, position: int | None = None) -> None:
        """Open them.

        Args:
            position: none that was said after it; what ended since then is over all the same. None: all.
        """
        self._queries = queries
        said = keeping.ever_said(queries, tenant)
        last = {(each.provider, each.label.casefold()): each for each in said}
        in_force = [last[key] for key in sorted(last) if last[key].keep]
        self.policies = [each for each in in_force if position is None or each.position <= position]
        self._notice = notices(said)
        self._plain = {each.provider: each for each in self.policies if not each.label}
        self._labelled: dict[str, dict[bytes, Policy]] = {}
        for each in self.policies:
            if each.label:
                digest = label_digest(queries, tenant, each.label)
                self._labelled.setdefault(each.provider, {})[digest] = each

    def opened_before(self, by: str, provider: str = "") -> str:
        """A time before which everything was first heard of that is due by then; "" when nothing ever is.

        Args:
            provider: of this one only; "": of all.
        """
        terms = [each.keep for each in self.policies if provider in {"", each.provider}]
        return max((opened_before(by, term) for term in terms), default="")

    def due(self, deliveries: Sequence[Carried]) -> list[Due | None]:
        """Per delivery what the policy says that is for it: of those for its labels the one that keeps it longest, else its provider's."""
        bearing = [(each.message, each.recipient) for each in deliveries if each.provider in self._labelled]
        reads = self._queries.ledger.database
        names = found_under(reads, bearing, stories(reads, [message for message, _ in bearing]))
        return [self._of(each, names.get((each.message, each.recipient), set())) for each in deliveries]

    def _of(self, each: Carried, names: set[bytes]) -> Due | None:
        labelled = self._labelled.get(each.provider, {})
        policy = max(
            (policy for digest, policy in labelled.items() if digest in names),
            key=lambda policy: (due_at(each.opened_at, policy.keep), policy.position),
            default=self._plain.get(each.provider),
        )
        return Due(policy, due_at(each.opened_at, policy.keep), self._notice.get(each.provider, "")) if policy else None


def notices(said: Iterable[Policy]) -> dict[str, str]:
    """Until when nothing of a provider is removed, after the last change that could make something due earlier.

    Args:
        said: everything, oldest first.
    """
    now: dict[tuple[str, str], str] = {}
    found: dict[str, str] = {}
    for each in said:
        key = (each.provider, each.label.casefold())
        if _may_shorten(each, now.get(key, "")):
            found[each.provider] = time_text(parse_time(each.set_at) + NOTICE)
        now[key] = each.keep
    return found


def _may_shorten(said: Policy, before: str) -> bool:
    """Whether something may be due earlier than under what was said before of the same provider and label."""
    if not said.keep:
        return bool(before and said.label)  # what bore the label is the provider's again
    return not before or due_at(said.set_at, said.keep) < due_at(said.set_at, before)


def erased(reads: Reads, deliveries: Sequence[Delivery]) -> set[Delivery]:
    """Those of some deliveries that were erased, alone or with their message."""
    rows = reads.probe("read_erasures", "stream, recipient", "stream", sorted({message for message, _ in deliveries}))
    gone = {(str(stream), int(recipient)) for stream, recipient in rows}
    return {each for each in deliveries if each in gone or (each[0], WHOLE_MESSAGE) in gone}
