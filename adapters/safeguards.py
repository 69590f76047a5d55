"""What an organisation demands of its own people: a second person, a reason, whole addresses. Each change is an event.

Nothing is demanded until somebody says so. Reading only; changed in `adapters.carrying`, because loosening may take two people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from adapters.accounts import Accounts
from projections import acts
from projections.acts import SAFEGUARDS_RULE, ActsModel
from projections.queries import Queries

ACCOUNT = "safeguards"
"""Whose stream, besides the day's, the changes stand in."""
FOUR_EYES: Mapping[str, str] = {
    "erasure": "erasing a person or a message",
    "hold.release": "releasing a legal hold",
    "retention": "setting or ending a retention policy",
}
"""What can be made to take two people."""
REASONS: Mapping[str, str] = {
    "look-ups": "looking up and listing messages, deliveries and people",
    "evidence": "opening originals and taking evidence packs",
    "queries": "asking compliance queries",
    "exports": "fetching reports and packages, and the feed of events",
}
"""What can be made to need a reason."""
PARTIAL_SEARCH = "partial_search"


class Safeguards(msgspec.Struct, frozen=True):
    """What is demanded, each in the order of its table.

    Attributes:
        four_eyes: what takes two people.
        reasons: what needs a reason.
        partial_search: people may be searched for by a part of their address.
    """

    four_eyes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    partial_search: bool = False

    def takes_two(self, rule: str) -> bool:
        """Whether an act takes a second person: what this is about itself does while anything does."""
        if rule == SAFEGUARDS_RULE:
            return bool(self.four_eyes)
        return any(rule == name or rule.startswith(f"{name}.") for name in self.four_eyes)

    def numbers(self) -> dict[str, int]:
        """As it stands in an event: 1 for what is switched on, 0 for what is not."""
        on = {f"four_eyes.{_token(name)}": name in self.four_eyes for name in FOUR_EYES}
        on |= {f"reasons.{_token(name)}": name in self.reasons for name in REASONS}
        return {name: int(is_on) for name, is_on in {**on, PARTIAL_SEARCH: self.partial_search}.items()}

    def changes_to(self, wanted: Safeguards) -> dict[str, int]:
        """What must be switched for what is wanted."""
        now = self.numbers()
        return {name: number for name, number in wanted.numbers().items() if number != now[name]}


def loosens(changes: Mapping[str, int]) -> bool:
    """Whether something is not demanded any more, or more is allowed."""
    return any(bool(number) == (name == PARTIAL_SEARCH) for name, number in changes.items())


def of(queries: Queries, tenant: str) -> Safeguards:
    """What a tenant demands, exactly: what stands in the log and not yet in the read model counts."""
    unread = queries.runner.unread(queries.ledger, ActsModel.name)  # first, so that nothing falls between the two
    sql = "SELECT demanded FROM read_safeguards WHERE tenant = ? ORDER BY position DESC LIMIT 1"
    demanded = next((row[0] for row in queries.ledger.database.read(sql, (tenant,))), "")
    for event in unread:
        if event.tenant == tenant and acts.is_safeguards(event):
            with suppress(ValueError):
                demanded = acts.safeguards(event, str(demanded))[-1]
    return read(str(demanded).split())


def read(names: Collection[str]) -> Safeguards:
    """From the names of what is switched on; what this version does not know is passed over."""
    return Safeguards(
        four_eyes=tuple(name for name in FOUR_EYES if f"four_eyes.{_token(name)}" in names),
        reasons=tuple(name for name in REASONS if f"reasons.{_token(name)}" in names),
        partial_search=PARTIAL_SEARCH in names,
    )


def put(accounts: Accounts, tenant: str, changes: Mapping[str, int], reason: str, actor: str, *, act: str = "") -> int:
    """Switch what is demanded from now on; the position of the event.

    Args:
        changes: as `Safeguards.changes_to` gives them. Nothing else is switched, whatever somebody else switches at the same time.
        act: the act by which it was agreed to, and which is carried out once.
    """
    clear: dict[str, Any] = {"rule": SAFEGUARDS_RULE, "numbers": dict(changes), **({"events": [act]} if act else {})}
    return accounts.record("ruleset.changed", tenant, ACCOUNT, actor, clear, reason, once=("act", act) if act else ())


def _token(name: str) -> str:
    return name.replace("-", "_")
