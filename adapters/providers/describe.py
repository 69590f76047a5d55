"""A provider as data, from the very tables the code runs on: for `delivery-ledger providers` and /v1/providers."""

from __future__ import annotations

import re
import sys
from inspect import cleandoc
from typing import Any

import msgspec

from adapters.providers.contract import Provider, Word
from adapters.providers.proving import ProofView, proofs
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


class SettingView(msgspec.Struct, frozen=True):
    """A setting of an account, or an option of one send.

    Attributes:
        allowed: what it may be.
        default: as JSON; "" when it must be given.
    """

    name: str
    meaning: str
    allowed: str
    default: str


class SecretView(msgspec.Struct, frozen=True):
    """A credential that calls to the provider may need."""

    name: str
    meaning: str


class ProviderView(msgspec.Struct, frozen=True):
    """Everything the code knows of one provider.

    Attributes:
        about, quirks: what its folder says of it.
        settings, secrets: what an account needs to call it; options: what one send may say.
        proves: the best evidence that it can give, by channel and status.
        advice: what there is to do about it, for the tenant who asks.
    """

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
    about: str
    quirks: tuple[str, ...]
    settings: tuple[SettingView, ...]
    secrets: tuple[SecretView, ...]
    options: tuple[SettingView, ...]
    proves: tuple[ProofView, ...]
    advice: tuple[str, ...] = ()


def describe(provider: Provider) -> ProviderView:
    """The provider's description."""
    about, quirks = _docstring(provider)
    client = provider.client
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
        about=about,
        quirks=quirks,
        settings=_settings(client.settings) if client else (),
        secrets=tuple(SecretView(name, meaning) for name, meaning in client.secrets.items()) if client else (),
        options=_settings(client.options) if client else (),
        proves=proofs(provider),
    )


def _docstring(provider: Provider) -> tuple[str, tuple[str, ...]]:
    """What the provider's folder says: its paragraphs, and the list below `Quirks:`."""
    module = sys.modules.get(f"adapters.providers.{provider.name}")
    about, _, quirks = cleandoc((module and module.__doc__) or "").partition("Quirks:\n")
    listed = re.findall(r"^- (.*(?:\n {2}.*)*)", quirks, re.MULTILINE)
    return about.strip(), tuple(" ".join(quirk.split()) for quirk in listed)


def _settings(kind: type[msgspec.Struct]) -> tuple[SettingView, ...]:
    """The fields of a type of settings or options, with what its docstring and those of its bases say of them."""
    meanings: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        meanings |= _attributes(each.__doc__ or "")
    schemas = msgspec.json.schema_components([kind], ref_template="{name}")[1]
    found = schemas[kind.__name__].get("properties", {})
    return tuple(
        SettingView(name, meanings.get(name, ""), _allowed(each), _default(each)) for name, each in found.items()
    )


def _attributes(docstring: str) -> dict[str, str]:
    """Field -> meaning, from the Attributes section of a docstring."""
    section = cleandoc(docstring).partition("Attributes:\n")[2]
    found = re.findall(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


def _default(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema["default"]).decode() if "default" in schema else ""


def _allowed(schema: dict[str, Any]) -> str:
    """What a field may be, in words."""
    if "enum" in schema:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(map(_allowed, schema["anyOf"]))
    if "items" in schema:
        return f"list of {_allowed(schema['items'])}"
    limits = [str(schema[name]) if name in schema else "" for name in ("minimum", "maximum")]
    kind = str(schema.get("type") or schema.get("$ref", "anything"))
    return f"{kind}, {limits[0]} to {limits[1]}".strip() if any(limits) else kind


def _word(row: Word) -> WordView:
    erds = TYPES[row.type].erds if row.type in TYPES else ""
    finality = str(EFFECTS[row.type].force) if row.type in EFFECTS else "none" if row.type else ""
    return WordView(row.word, row.meaning, row.type, erds, finality, row.reason, row.retry, row.source, row.note)
