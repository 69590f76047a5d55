"""Work that somebody has done by hand, and that leaves no event of its own which would name him: said before it is done."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.accounts import Accounts
from ledger.application import OWN_TENANT

ACCOUNT = "operations"


def asked(  # noqa: PLR0917  a sentence: by whom, what, of whom
    accounts: Accounts,
    actor: str,
    what: str,
    tenant: str = "",
    account: str = "",
    said: Mapping[str, object] | None = None,
) -> int:
    """Write that somebody asked for work.

    Args:
        actor: id of an API key, or `console`.
        what: as the command is called: `jobs run poll`, `fsck`.
        tenant: whose work it is; "": the ledger's own.
        account: of the tenant, where the work is about one.
        said: more of it; sealed.

    Returns:
        The position of the event.
    """
    clear = {"rule": "operation.asked", "code": what}
    return accounts.record("operation.asked", tenant or OWN_TENANT, account or ACCOUNT, actor, clear, said=said)
