"""The providers as data, from the tables the code runs on."""

from __future__ import annotations

import msgspec

from adapters.accounts import new_words
from adapters.http.routes import ANY_KEY, Answer, Call, NoQuery, route
from adapters.providers import registry
from adapters.providers.describe import ProviderView, describe
from ledger.errors import NotFoundError


class ProviderList(msgspec.Struct, frozen=True):
    """All providers, with everything the code knows of each."""

    providers: tuple[ProviderView, ...]


@route("GET /v1/providers", scopes=ANY_KEY, answers={200: ProviderList})
def providers(_call: Call[NoQuery, None]) -> Answer:
    """All providers: operations, word tables and what we rely on."""
    return Answer(ProviderList(tuple(map(describe, registry().values()))))


@route("GET /v1/providers/{provider}", scopes=ANY_KEY, answers={200: ProviderView})
def provider(call: Call[NoQuery, None]) -> Answer:
    """One provider: what it can prove, what an account needs, operations, words; and advice about words that are new."""
    found = registry().get(call.path["provider"])
    if found is None:
        msg = f"there is no such provider; there are {', '.join(registry())}"
        raise NotFoundError(msg)
    advice = new_words(call.services.ledger, call.tenant, found)
    return Answer(msgspec.structs.replace(describe(found), advice=tuple(advice)))
