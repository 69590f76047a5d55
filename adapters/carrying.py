"""What takes one person or two, from asking to doing: ending a hold, a retention policy, what is demanded itself.

Where an organisation demands two people for it, asking leaves an act that waits (`adapters.acts`), and it is done when another person has
agreed; else it is done at once. Agreeing again does again what was broken off, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters import acts, keeping, safeguards
from adapters.accounts import CONSOLE, Accounts
from adapters.acts import Act
from adapters.keeping import Hold, Policy
from adapters.outbox import ActRefusedError
from adapters.safeguards import Safeguards
from projections.acts import SAFEGUARDS_RULE
from projections.keeping import POLICY_RULE
from projections.queries import Queries

HOLD_RELEASE = "hold.release"


def release(  # noqa: PLR0917  whose, which, why
    accounts: Accounts, queries: Queries, tenant: str, hold: str, reason: str, actor: str = CONSOLE
) -> Hold | Act:
    """End a hold, or ask for its end; until somebody else agrees, it stands.

    Raises:
        NotFoundError: the tenant has no such hold.
        ActRefusedError: its floor is not reached.
    """
    found = keeping.releasable(queries, tenant, hold)
    if found.released_at or not safeguards.of(queries, tenant).takes_two(HOLD_RELEASE):
        return keeping.release(accounts, queries, tenant, hold, reason, actor)
    return _ask(accounts, queries, tenant, HOLD_RELEASE, (reason, actor), {"events": [hold]})


def keep(  # noqa: PLR0917  whose, of what, how long, why
    accounts: Accounts,
    queries: Queries,
    tenant: str,
    provider: str,
    term: str,
    label: str,
    reason: str,
    actor: str = CONSOLE,
) -> Policy | Act:
    """Say how long to keep, or ask for it; until somebody else agrees, what was said before counts.

    Args:
        term: as in `10y`, `18m` or `90d`; "": no policy any more.

    Raises:
        InvalidError: an unknown provider, or a term that is none; no reason where another person is to agree.
    """
    clear, said = keeping.policy_said(provider, term, label)
    if not safeguards.of(queries, tenant).takes_two(POLICY_RULE):
        return keeping.keep(accounts, tenant, provider, term, label, actor, reason=reason)
    return _ask(accounts, queries, tenant, POLICY_RULE, (reason, actor), clear, said)


def demand(  # noqa: PLR0917  whose, what, why
    accounts: Accounts, queries: Queries, tenant: str, wanted: Safeguards, reason: str, actor: str = CONSOLE
) -> Safeguards | Act:
    """Say what is demanded from now on; to demand less, or allow more, takes two people while anything does.

    Raises:
        InvalidError: no reason is given.
    """
    now = safeguards.of(queries, tenant)
    changes, why = now.changes_to(wanted), acts.require_reason(reason)
    if changes and safeguards.loosens(changes) and now.takes_two(SAFEGUARDS_RULE):
        return _ask(accounts, queries, tenant, SAFEGUARDS_RULE, (why, actor), {"numbers": changes})
    if changes:
        safeguards.put(accounts, tenant, changes, why, actor)
    return safeguards.of(queries, tenant)


def _ask(  # noqa: PLR0917  whose, what, why
    accounts: Accounts,
    queries: Queries,
    tenant: str,
    rule: str,
    by: tuple[str, str],
    clear: Mapping[str, Any],
    said: Mapping[str, Any] | None = None,
) -> Act:
    """Ask, unless the same person waits for the same already."""
    reason, actor = by
    for act in acts.waiting(queries.seeing_protected(), tenant):
        if (act.rule, act.asked_by, act.about, act.said) == (rule, actor, clear, said or {}):
            return acts.get(queries, tenant, act.act)
    act = acts.ask(accounts, queries, tenant, rule, reason, actor, clear=clear, said=said)
    return _done(accounts, queries, tenant, act) if act.may_go else act  # the demand ended in between


# --- once it was agreed to


def approve(accounts: Accounts, queries: Queries, tenant: str, act: str, reason: str, actor: str = CONSOLE) -> Act:  # noqa: PLR0917  as above
    """Agree to an act as another person, and do what it asks for.

    Raises:
        NotFoundError: the tenant has no such act.
        ActRefusedError: see `acts.approve`; or what it asks for cannot be done now.
    """
    return _done(accounts, queries, tenant, acts.approve(accounts, queries, tenant, act, reason, actor))


def _done(accounts: Accounts, queries: Queries, tenant: str, act: Act) -> Act:
    carry = CARRIED.get(act.rule)
    if carry is None or not act.may_go:
        return act
    # As it was asked, whoever is shown it: without the label that names somebody protected, a policy would be for everything.
    whole = acts.get(queries.seeing_protected(), tenant, act.act)
    if not whole.reason:
        msg = f"what act {act.act} asked for cannot be opened any more; ask for it again"
        raise ActRefusedError(msg)
    carry(accounts, queries, tenant, whole)
    return acts.get(queries, tenant, act.act)


def _release(accounts: Accounts, queries: Queries, tenant: str, act: Act) -> None:
    keeping.release(accounts, queries, tenant, act.about["events"][0], act.reason, act.asked_by, act=act.act)


def _keep(accounts: Accounts, _queries: Queries, tenant: str, act: Act) -> None:
    term = keeping.term_of(act.about.get("numbers", {}))
    label = act.said.get("label", "")
    keeping.keep(accounts, tenant, act.about["provider"], term, label, act.asked_by, reason=act.reason, act=act.act)


def _demand(accounts: Accounts, _queries: Queries, tenant: str, act: Act) -> None:
    safeguards.put(accounts, tenant, act.about["numbers"], act.reason, act.asked_by, act=act.act)


CARRIED: Mapping[str, Callable[[Accounts, Queries, str, Act], None]] = {
    HOLD_RELEASE: _release,
    POLICY_RULE: _keep,
    SAFEGUARDS_RULE: _demand,
}
"""Rule of an act -> what does it. What is not here is done elsewhere, by whoever finds that it was agreed to."""
DECIDED_BY: Mapping[str, tuple[str, ...]] = {
    "hold": ("compliance", "privacy"),
    "retention": ("compliance", "privacy"),
    "safeguards": ("privacy",),
    "erasure": ("privacy",),
}
"""First word of a rule -> whose keys may see and decide it."""


def deciders(rule: str) -> tuple[str, ...]:
    """Scopes of which a key must have one to see and decide an act; a rule nobody knows is the privacy officer's."""
    return DECIDED_BY.get(rule.partition(".")[0], ("privacy",))
