"""What an account's settings and credentials may be, by its provider's `Client`: pure; `adapters.setup` and `.accounts` keep them.

One setting is of every account: `region`, the country to which its national telephone numbers belong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from adapters import strictjson
from adapters.calls import check_base_url
from adapters.providers.calling import Client
from adapters.providers.contract import Provider
from adapters.setup import REGION
from adapters.strictjson import refuse
from ledger.addresses import is_region
from ledger.canonical import check
from ledger.errors import InvalidEventError

MAX_SETTINGS_BYTES = 64 * 1024
MAX_CREDENTIAL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that changed; null: it was not, or is no longer, set."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that the provider's service may ask for.

    Attributes:
        added_at: when it was last set; "" when it is missing.
    """

    name: str
    meaning: str
    added_at: str


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What is set for calls through an account; never a credential itself.

    Attributes:
        settings: what was set.
        defaults: what holds where nothing was set.
        advice: what is missing, in plain words.
    """

    account: str
    provider: str
    settings: dict[str, Any]
    defaults: dict[str, Any]
    credentials: tuple[Credential, ...]
    advice: tuple[str, ...]


def convert(provider: Provider, values: Mapping[str, Any]) -> msgspec.Struct:
    """Settings as the provider's `Client` reads them.

    Raises:
        InvalidError: names the setting that is unknown, missing or cannot be so.
    """
    client = _client(provider)
    known = _fields(client)
    for name in values:
        if name not in {*known, REGION}:
            refuse(name, f"there is no such setting; there are {', '.join([*known, REGION])}")
    for name, each in known.items():
        if each.required and name not in values:
            refuse(name, "must be set")
    if REGION in values and not is_region(values[REGION]):
        refuse(REGION, "no country whose telephone numbers are known; write its two letters, as in NL or SE")
    found = strictjson.convert({n: v for n, v in values.items() if n != REGION}, client.settings)
    why = check_base_url(found)
    if why:
        refuse("base_url", why)
    return found


def settled(provider: Provider, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, checked and in their own types (`"2"` is 2 where a number belongs).

    Raises:
        InvalidError: see `convert`; also when they hold what no event can carry.
    """
    found = convert(provider, values)
    said = {name: values[name] if name == REGION else getattr(found, name) for name in values}
    data = msgspec.json.encode(said, order="deterministic")
    plain = msgspec.json.decode(
        data, type=dict[str, Any]
    )  # as it will be read back, so that the same is seen to be the same
    if len(data) > MAX_SETTINGS_BYTES:
        refuse("", f"the settings are more than {MAX_SETTINGS_BYTES} bytes")
    for name, value in plain.items():
        try:
            check(_text(value))
        except InvalidEventError as error:
            refuse(name, str(error))
    return plain


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs, by name."""
    names = sorted(before.keys() | after.keys())
    return tuple(Change(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n))


def told(change: Change) -> dict[str, str]:
    """A change as an event commits to it: texts, because no other value has one form only."""
    sides = {"before": change.before, "after": change.after}
    return {side: _text(value) for side, value in sides.items() if value is not None}


def check_credential(provider: Provider, name: str, value: str) -> None:
    """Refuse a credential that the provider does not know, or that is none.

    Raises:
        InvalidError: names the credential and does not quote it.
    """
    known = _client(provider).secrets
    if name not in known:
        refuse(name, f"there is no such credential; there are {', '.join(known) or 'none'}")
    if not value.strip():
        refuse(name, "it is empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        refuse(name, "it is not text")
    if size > MAX_CREDENTIAL_BYTES:
        refuse(name, f"it is more than {MAX_CREDENTIAL_BYTES} bytes")


def view(provider: Provider, account: str, settings: dict[str, Any], held: Mapping[str, str]) -> AccountSettings:
    """What is set and what is missing.

    Args:
        held: name of a credential -> when it was set.
    """
    if provider.client is None:
        nothing = "nothing is called at this provider, so it has no settings"
        return AccountSettings(account, provider.name, settings, {}, (), (nothing,))
    known = _fields(provider.client)
    secrets = provider.client.secrets
    advice = (
        *(f"setting {n} must be set: --set {n}=VALUE" for n, f in known.items() if f.required and n not in settings),
        *(f"setting {n} is not known any more: --unset {n}" for n in settings if n not in {*known, REGION}),
        *(
            f"credential {n} is not set ({meaning}): --secret {n}=@FILE"
            for n, meaning in secrets.items()
            if n not in held
        ),
    )
    return AccountSettings(
        account=account,
        provider=provider.name,
        settings=settings,
        defaults={n: _default(f) for n, f in known.items() if not f.required and n not in settings}
        | ({} if REGION in settings else {REGION: provider.region}),
        credentials=tuple(Credential(n, meaning, held.get(n, "")) for n, meaning in secrets.items()),
        advice=advice,
    )


def _client(provider: Provider) -> Client:
    if provider.client is None:
        refuse("provider", f"nothing is called at {provider.name}, so its accounts have no settings")
    return provider.client


def _fields(client: Client) -> dict[str, FieldInfo]:
    return {each.name: each for each in fields(client.settings)}


def _default(info: FieldInfo) -> Any:
    return msgspec.to_builtins(
        info.default_factory() if info.default_factory is not msgspec.NODEFAULT else info.default
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
