"""Saved queries: a name for a compliance query with its parameters, and an owner; each change is an event."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.compliance.asking import checked
from adapters.compliance.registry import find as find_query
from adapters.outbox import ActRefusedError
from adapters.records import NAME
from adapters.reports.register import Entry, Register
from adapters.strictjson import refuse
from ledger.application import Ledger
from ledger.errors import NotFoundError

MAY_CHANGE_ALL = "compliance"
MAX_BYTES = 64 * 1024
is_name = re.compile(NAME).fullmatch


class Saving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is saved under a name.

    Attributes:
        query: a compliance query, with its version or without.
        parameters: as the query lists them.
    """

    query: Annotated[str, Meta(min_length=1, max_length=100)]
    parameters: dict[str, Any] = {}


class SavedQuery(msgspec.Struct, frozen=True):
    """A saved query.

    Attributes:
        owner: id of the API key that made it first, or `console`.
        version: counts its changes.
    """

    name: str
    query: str
    parameters: dict[str, Any]
    owner: str
    version: int
    changed_at: str


class NotOwnerError(ActRefusedError):
    """Only its owner, or a key with the scope compliance, may change a saved query; save it under another name."""


def find(ledger: Ledger, tenant: str, name: str) -> SavedQuery:
    """A saved query; to run it, ask its query with its parameters.

    Raises:
        NotFoundError: the tenant has none of that name.
    """
    return _view(_register(ledger).get(tenant, name))


def all_of(ledger: Ledger, tenant: str) -> list[SavedQuery]:
    """The tenant's saved queries, by name."""
    found = (_view(entry) for entry in _register(ledger).all(tenant) if entry.said)
    return sorted(found, key=lambda saved: saved.name)


def save(  # noqa: PLR0917  a sentence: whose, under which name, what, by whom
    ledger: Ledger, tenant: str, name: str, saving: Saving, actor: str, scopes: Collection[str]
) -> SavedQuery:
    """Save a query under a name, in the place of what was there; the same again changes nothing.

    Raises:
        InvalidError: the query or a parameter is wrong.
        NotOwnerError: it is another's.
        ChangedError: somebody else changed it at this moment.
    """
    if not is_name(name):
        refuse("name", "lower-case letters, digits, '_', '-' and '.', at most 63")
    try:
        query = find_query(saving.query)
        checked(query, saving.parameters)
    except NotFoundError as error:
        refuse("query", str(error))
    except ValueError as error:
        refuse("parameters", str(error))
    definition = msgspec.json.encode({"query": query.id, "parameters": saving.parameters})
    if len(definition) > MAX_BYTES:
        refuse("parameters", f"at most {MAX_BYTES} bytes")
    register = _register(ledger)
    before = register.newest(tenant, name)
    if before is not None:
        _check_owner(before, actor, scopes)
        if (
            before.rule != "query.deleted"
            and _view(before).parameters == saving.parameters
            and _view(before).query == query.id
        ):
            return _view(before)
    said = {"definition": definition.decode()}
    return _view(register.put(tenant, name, before.version if before else 0, "saved", said, actor))


def delete(ledger: Ledger, tenant: str, name: str, actor: str, scopes: Collection[str]) -> None:
    """Delete a saved query.

    Raises:
        NotFoundError: the tenant has none of that name.
        NotOwnerError: it is another's.
    """
    register = _register(ledger)
    entry = register.get(tenant, name)
    _check_owner(entry, actor, scopes)
    register.put(tenant, name, entry.version, "deleted", {}, actor)


def _check_owner(entry: Entry, actor: str, scopes: Collection[str]) -> None:
    if actor != entry.owner and MAY_CHANGE_ALL not in scopes:
        raise NotOwnerError


def _register(ledger: Ledger) -> Register:
    return Register(ledger, "query.saved", "query")


def _view(entry: Entry) -> SavedQuery:
    saving = msgspec.json.decode(str(entry.said.get("definition", '{"query":""}')), type=Saving, strict=False)
    return SavedQuery(entry.name, saving.query, saving.parameters, entry.owner, entry.version, entry.changed_at)
