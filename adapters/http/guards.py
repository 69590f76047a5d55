"""Checks that several routes share: whose account, whose message. What is another tenant's does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from adapters.accounts import Account
from adapters.http.errors import AccountClosedError
from adapters.http.routes import Answer, Call
from adapters.http.services import Services
from ledger.errors import NotFoundError


def open_account(services: Services, tenant: str, account: str) -> Account:
    """An account that takes arrivals and sends.

    Raises:
        NotFoundError: the tenant has none of that name; the text says how to add it.
        AccountClosedError: it is disabled.
    """
    found = services.accounts.get(tenant, account)
    if found.is_disabled:
        raise AccountClosedError
    return found


def require_message(services: Services, tenant: str, message: str) -> None:
    """Check that a message is the tenant's, from the log itself: read models may be a moment behind.

    Raises:
        NotFoundError: the tenant has no such message.
    """
    first = services.ledger.stream(message)[:1]
    if not first or first[0].tenant != tenant:
        msg = f"there is no message {message}"
        raise NotFoundError(msg)


def listed(page: Any, shown: Iterable[str]) -> Answer:
    """A list, with the messages that it shows, for the record of who looked."""
    return Answer(page, shown=tuple(dict.fromkeys(shown)))


def tagged(call: Call[Any, Any], view: Any) -> Answer:
    """A view with its entity tag, or 304 when the caller has it already.

    The tag is weak: the log's position in the answer moves on with every event, also of others. It is keyed, because the bare digest
    of a short answer gives away what it says.
    """
    steady = msgspec.json.encode(msgspec.structs.replace(view, position=0))
    tag = f'W/"{call.services.ledger.keyring.lookup(call.tenant, "entity tag", steady.decode()).hex()}"'
    if said := call.headers.get("if-none-match"):
        held = [each.strip() for each in said.split(",")]
        if tag in held or "*" in held:
            return Answer(status=304, headers={"ETag": tag})
    return Answer(view, headers={"ETag": tag})
