"""The commands `keys`: API keys of people and systems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter

from adapters.apikeys import SCOPES, ApiKey
from adapters.strictjson import InvalidError
from ledger.errors import ConfigurationError
from ops import keks_cli, log_cli, show
from ops.console import Json, Tenant, out, print_json, system

keys = App(name="keys", help="API keys of people and systems, and the keys of the ledger itself.")
for _each in (keks_cli.kek, log_cli.keys_log):
    keys.command(_each)
_SCOPES = "; ".join(f"{scope}: {meaning}" for scope, meaning in SCOPES.items())


@keys.command
def create(
    scopes: Annotated[list[str], Parameter(help=_SCOPES)],
    /,
    *,
    label: str = "",
    days: int | None = None,
    note: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Make an API key; it is shown this once.

    Args:
        label: whose it is, for the list.
        days: how long it is valid; 365, for an auditor 90, which is also his most.
        note: why; sealed beside the event.
    """
    if days is not None and days < 1:
        msg = "--days: at least 1"
        raise ConfigurationError(msg)
    with system(fresh=False) as s:
        expires = datetime.now(UTC) + timedelta(days=days) if days else None
        try:
            made = s.api_keys.create(tenant or s.settings.tenant, scopes, label, expires, note=note)
        except InvalidError as error:
            raise ConfigurationError(str(error)) from error
    _show(*made, json=json)


@keys.command(name="list")
def list_(*, tenant: Tenant = "", json: Json = False) -> None:
    """The tenant's API keys, without the keys themselves."""
    with system(fresh=False) as s:
        found = s.api_keys.list(tenant or s.settings.tenant)
    print_json(found) if json else show.table(
        out, found, "no API keys; make one with: delivery-ledger keys create read"
    )


@keys.command
def rotate(
    api_key_id: str,
    /,
    *,
    overlap: timedelta = timedelta(hours=24),
    note: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Make a key with the same scopes, shown this once; the old one ends after the overlap.

    Args:
        overlap: how long both work: 24h, 30m, 7d; 0s ends the old one now.
        note: why; sealed beside the event.
    """
    if overlap < timedelta(0):
        msg = "--overlap: not negative"
        raise ConfigurationError(msg)
    with system(fresh=False) as s:
        try:
            made = s.api_keys.rotate(tenant or s.settings.tenant, api_key_id, overlap, note=note)
        except InvalidError as error:
            raise ConfigurationError(str(error)) from error
    _show(*made, json=json)


@keys.command
def revoke(api_key_id: str, /, *, note: str = "", tenant: Tenant = "") -> None:
    """End an API key at once; servers that are running follow within two seconds.

    Args:
        note: why; sealed beside the event.
    """
    with system(fresh=False) as s:
        s.api_keys.revoke(tenant or s.settings.tenant, api_key_id, note=note)
    out.print(f"{api_key_id} is revoked.")


def _show(record: ApiKey, key: str, *, json: bool) -> None:
    if json:
        print_json(
            {"key": key, "api_key_id": record.api_key_id, "scopes": record.scopes, "expires_at": record.expires_at}
        )
    else:
        show.new_key(out, record, key)
