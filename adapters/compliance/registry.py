"""All compliance queries, in the order in which they are listed."""

from __future__ import annotations

from adapters.compliance import (
    coverage,
    duplicates,
    evidence,
    finding,
    health,
    keeping,
    looking,
    messages,
    outcomes,
    providers,
    signatures,
)
from adapters.compliance.contract import ComplianceQuery
from ledger.errors import NotFoundError

_MODULES = (
    evidence,
    outcomes,
    signatures,
    duplicates,
    finding,
    messages,
    providers,
    coverage,
    keeping,
    looking,
    health,
)

QUERIES: dict[str, ComplianceQuery] = {
    value.name: value for module in _MODULES for value in vars(module).values() if isinstance(value, ComplianceQuery)
}


def find(name: str) -> ComplianceQuery:
    """A query by its name, with its version or without.

    Raises:
        NotFoundError: there is none; names those there are.
    """
    plain, _, version = name.partition("/")
    found = QUERIES.get(plain)
    if found is None or version not in {"", str(found.version)}:
        msg = f"there is no compliance query {name!r}; there are: {', '.join(QUERIES)}"
        raise NotFoundError(msg)
    return found
