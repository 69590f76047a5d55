"""A provider as data, from the very tables the code runs on: for `delivery-ledger providers` and /v1/providers."""

from __future__ import annotations

import msgspec

from adapters.providers.contract import Provider, Word
from ledger.types import TYPES
from projections.rules import EFFECTS


class WordView(msgspec.Struct, frozen=True):
    """A word of a provider, what we make of it, and how we know it (R, C, 3P, CMP, A).

    Attributes:
        finality: what the status fold makes of the type: `progress`, `positive`, `negative`, `deemed` or `none`; "" without a type.
    """

    word: str
    meaning: str
    type: str
    erds: str
    finality: str
    reason: str
    retry: str
    source: str
    note: str


class OperationView(msgspec.Struct, frozen=True):
    """An operation of a provider's API and what the ledger does with it."""

    name: str
    method: str
    use: str
    why: str
    source: str


class ProviderView(msgspec.Struct, frozen=True):
    """Everything the code knows of one provider."""

    name: str
    title: str
    channel: str
    mapping: str
    documentation: str
    signed_operations: tuple[str, ...]
    relied_on: str
    operations: tuple[OperationView, ...]
    tables: dict[str, tuple[WordView, ...]]
    notes: dict[str, str]


def describe(provider: Provider) -> ProviderView:
    """The provider's description."""
    return ProviderView(
        name=provider.name,
        title=provider.title,
        channel=provider.channel,
        mapping=provider.mapping,
        documentation=provider.documentation,
        signed_operations=tuple(sorted(provider.signed_operations)),
        relied_on=provider.relied_on,
        operations=tuple(OperationView(o.name, o.method, o.use, o.why, o.source) for o in provider.operations),
        tables={name: tuple(_word(row) for row in rows) for name, rows in provider.tables.items()},
        notes=dict(provider.notes),
    )


def _word(row: Word) -> WordView:
    erds = TYPES[row.type].erds if row.type in TYPES else ""
    finality = str(EFFECTS[row.type].force) if row.type in EFFECTS else "none" if row.type else ""
    return WordView(row.word, row.meaning, row.type, erds, finality, row.reason, row.retry, row.source, row.note)
