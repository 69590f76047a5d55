"""Protecting an identity by hand, or no longer: a person says it of one delivery, and it holds for everything sent to that address.

What came before is marked message by message; what comes later is known by the address (`ledger.writer.probe_protections`). What a
provider or a registration calls protected holds for its own message and for what comes later; `spread` brings it to what came before.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from ledger.addresses import forms
from ledger.application import Ledger
from ledger.errors import ConflictError, NotFoundError
from ledger.observations import Address, ArrivalKind
from ledger.streams import (
    PROTECTED,
    UNPROTECTED,
    WHOLE_MESSAGE,
    Message,
    evolve,
    plan_protection,
    plan_whole_protection,
)
from ledger.writer import Context, Writer, probe_protections
from projections.declared import Whose
from projections.discretion import addresses, everything
from projections.queries import Queries

TRIES = 10
SPREAD = "protection.spread"
"""Rule of what follows from another delivery to the same address."""


def protect(queries: Queries, tenant: str, whose: Whose, reason: str, actor: str = "") -> int:
    """Protect the identity of a recipient, in this delivery and every other one to the same address.

    Returns:
        How many deliveries were marked; 0 when all of them were.

    Raises:
        NotFoundError: the tenant has no such delivery.
    """
    return _say(PROTECTED, queries, tenant, whose, reason, actor)


def unprotect(queries: Queries, tenant: str, whose: Whose, reason: str, actor: str = "") -> int:
    """Take it back, likewise; what is sent to the address later is not protected by it either."""
    return _say(UNPROTECTED, queries, tenant, whose, reason, actor)


def _say(  # noqa: PLR0917  as `_mark`
    kind: str, queries: Queries, tenant: str, whose: Whose, reason: str, actor: str
) -> int:
    ledger = everything(queries.ledger)
    found = queries.seeing_protected().delivery(tenant, *whose)
    named = (found.message, found.recipient)
    address = addresses(ledger, [named]).get(named)
    clear = {"arrival": str(ArrivalKind.API)} | ({"actor": actor} if actor else {})
    told = (kind, clear, {"note": reason})
    return sum(
        _mark(ledger, tenant, each, address, *told) for each in sorted({named, *_under(ledger, tenant, address)})
    )


def spread(queries: Queries) -> int:
    """Mark the deliveries to protected addresses that came before those were known to be protected.

    Returns:
        How many were marked.
    """
    ledger = everything(queries.ledger)
    rows = ledger.database.read("SELECT tenant, message, recipient FROM read_protected WHERE recipient >= 0")
    tenants = {(str(message), int(index)): str(tenant) for tenant, message, index in rows}
    people = {(tenants[whose], address) for whose, address in addresses(ledger, tenants).items()}
    context = Context()
    probe_protections(ledger, context, people)
    marked = 0
    for tenant, address in sorted(people):
        if context.protections[tenant, address][1]:
            missing = set(_under(ledger, tenant, address)) - tenants.keys()
            marked += sum(
                _mark(ledger, tenant, each, address, PROTECTED, {"rule": SPREAD}, {}) for each in sorted(missing)
            )
    return marked


def _under(ledger: Ledger, tenant: str, address: Address | None) -> Iterable[Whose]:
    """The deliveries to an address."""
    parts = [(address.kind, form) for address in ([address] if address else ()) for form in forms(address)]
    digests = [ledger.keyring.lookup(tenant, "address", *each) for each in parts]
    return {(stream, recipient) for _, stream, recipient, _ in ledger.probe_lookups(digests) if recipient >= 0}


def _mark(  # noqa: PLR0917  whose, then what is said
    ledger: Ledger,
    tenant: str,
    whose: Whose,
    address: Address | None,
    kind: str,
    clear: dict[str, Any],
    said: dict[str, str],
) -> bool:
    """Say it of one delivery; False when it is so already."""
    for _ in range(TRIES):
        try:
            return _try(ledger, tenant, whose, address, kind, clear, said)
        except ConflictError:  # something else was written to the message meanwhile
            continue
    raise ConflictError


def _try(  # noqa: PLR0917  as above
    ledger: Ledger,
    tenant: str,
    whose: Whose,
    address: Address | None,
    kind: str,
    clear: dict[str, Any],
    said: dict[str, str],
) -> bool:
    stream, index = whose
    events = ledger.stream(stream)
    if not events or events[0].tenant != tenant:
        msg = f"there is no message {stream}"
        raise NotFoundError(msg)
    message = reduce(evolve, events, Message(stream))
    is_whole = WHOLE_MESSAGE in message.protected
    if (is_whole or index in message.protected) == (kind == PROTECTED):
        return False
    context = Context(messages={stream: message})
    writer = Writer(ledger, context, tenant, str(events[0].fields.get("account", "")))
    writer.expect(message)
    named = {index: address} if address else {}
    generations = _generations(ledger, context, tenant, address, kind)
    if is_whole:  # taken back from one of them only: it goes on for each of the others
        message = plan_whole_protection(writer.plan, message, named, clear, generations, kind)
        others = set(range(message.recipients)) - {index} - message.protected - message.unprotected
        message = plan_protection(writer.plan, message, dict.fromkeys(others), clear, {}, PROTECTED)
    if not is_whole or index in message.protected:
        plan_protection(writer.plan, message, {index: address}, clear, generations, kind)
    for event in writer.plan.events:
        event.values = {index: dict(said)}
    ledger.append(writer.item())
    return True


def _generations(
    ledger: Ledger, context: Context, tenant: str, address: Address | None, kind: str
) -> dict[Address, int]:
    """The generation that begins, goes on, or ends; one that another delivery ended already is ended here, too."""
    if address is None:
        return {}
    probe_protections(ledger, context, [(tenant, address)])
    generation, is_protected = context.protections[tenant, address]
    return {address: generation if kind == PROTECTED or is_protected else max(generation - 1, 0)}
