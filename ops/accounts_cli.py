"""The commands `accounts`: accounts at providers, and what is needed to call them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.text import Text

from adapters.configuring import AccountSettings, Change
from adapters.desk import account_desk
from ledger.errors import ConfigurationError
from ops import show as views
from ops.console import Json, Note, Tenant, operated, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.show import plain, when

accounts = App(name="accounts", help="Accounts at providers: webhook keys, settings and credentials.")


@accounts.command
def add(account: str, /, *, provider: str, tenant: Tenant = "") -> None:
    """Open an account at a provider.

    Args:
        account: a name of your choice: lower-case letters, digits, `_`, `-` and `.`.
        provider: as `delivery-ledger providers` names it.
    """
    with system(fresh=False) as s:
        added = s.accounts.add(tenant or s.settings.tenant, account, provider)
    out.print(f"Account {added.account} at {added.provider} is open.")


@accounts.command(name="list")
def list_(*, tenant: Tenant = "", json: Json = False) -> None:
    """The tenant's accounts."""
    with system(fresh=False) as s:
        found = s.accounts.list(tenant or s.settings.tenant)
    print_json(found) if json else views.table(
        out, found, "no accounts; open one with: delivery-ledger accounts add NAME --provider P"
    )


@accounts.command
def check(account: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Keys in use, when it was last heard of, the difference of the clocks, and the webhook URL to paste at the provider."""
    from adapters.accounts import check as checked  # noqa: PLC0415  so that --help is quick

    with system() as s:
        found = checked(
            s.accounts,
            tenant or s.settings.tenant,
            account,
            s.settings.public_url or f"http://{s.settings.host}:{s.settings.port}",
        )
    print_json(found) if json else views.account_check(out, found)


@accounts.command
def rotate(
    account: str,
    /,
    *,
    key_id: str,
    secret_file: Path | None = None,
    retire: bool = False,
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Add a webhook secret beside those in use, or retire one; quarantined webhooks are verified again.

    Args:
        key_id: the provider's id of the key, or a name of your choice where it has none.
        secret_file: file that holds the secret; `-` reads standard input. Never given on the command line, where others
            could see it.
        retire: take the key away instead.
    """
    with system(fresh=False) as s:
        tenant = tenant or s.settings.tenant
        if retire:
            s.accounts.retire_secret(tenant, account, key_id)
            out.print(f"Webhook key {key_id} of {account} is retired.")
            return
        if secret_file is None:
            msg = "give --secret-file FILE (or - for standard input), or --retire"
            raise ConfigurationError(msg)
        data = sys.stdin.buffer.read() if str(secret_file) == "-" else secret_file.read_bytes()
        s.accounts.add_secret(tenant, account, key_id, data.strip())
        admitted = s.quarantine.verify_again(tenant, account, s.ledger.clock())
    facts = sum(len(o.facts) for o in admitted)
    result = {"account": account, "key_id": key_id, "admitted": len(admitted), "facts": facts}
    print_json(result) if json else out.print(
        f"Webhook key {key_id} is in use; {len(admitted)} quarantined webhooks verified, {facts} new facts."
    )


@accounts.command
def disable(account: str, /, *, note: Note, tenant: Tenant = "") -> None:
    """Close an account: its webhooks are refused from now on; what it delivered stays.

    Args:
        note: why; kept with the event.
    """
    with system(fresh=False) as s:
        s.accounts.disable(tenant or s.settings.tenant, account, note)
    out.print(f"Account {account} is closed.")


@accounts.command
def configure(
    account: str,
    /,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    unset: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    secret: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    retire_secret: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Set what is needed to call the provider: settings, and credentials, which are sealed and never shown again.

    Args:
        set_: NAME=VALUE; a value that begins with [ or { is JSON. What is not named stays as it is.
        unset: NAME of a setting that is to have its default again.
        secret: NAME=@FILE, NAME=- (standard input) or NAME=env:VARIABLE. Never the value itself, which others could see.
        retire_secret: NAME of a credential that is to be destroyed.
    """
    given = {name: _value(name, text) for name, text in _pairs("--set", set_).items()}
    secrets = {name: _secret(name, where) for name, where in _pairs("--secret", secret).items()}
    with system(fresh=False) as s:
        tenant = tenant or s.settings.tenant
        s.accounts.set_credentials(tenant, account, secrets)
        before = s.accounts.settings(tenant, account).settings
        kept = {name: value for name, value in before.items() if name not in unset}
        changes = s.accounts.configure(tenant, account, kept | given) if given or unset else ()
        for name in retire_secret:
            s.accounts.retire_credential(tenant, account, name)
        found = s.accounts.settings(tenant, account)
    if json:
        print_json({"changes": changes, "account": found})
        return
    _show_changes(changes, secrets, retire_secret)
    _show_advice(found)


@accounts.command
def show(account: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """The settings of an account, which credentials it has, and what is missing; never a credential itself."""
    with system(fresh=False) as s:
        found = s.accounts.settings(tenant or s.settings.tenant, account)
    if json:
        print_json(found)
        return
    out.print(f"{found.account} at {found.provider}")
    for name, value in found.settings.items():
        out.print(Text(f"  {name} = ").append(plain(_text(value))))
    for name, value in found.defaults.items():
        out.print(Text(f"  {name} = ").append(plain(_text(value))).append("  (default)", style="dim"))
    for each in found.credentials:
        state = f"set {when(each.added_at)}" if each.added_at else "missing"
        out.print(plain(f"  credential {each.name}: {state} ({each.meaning})"))
    _show_advice(found)


def _show_changes(changes: Iterable[Change], secrets: Iterable[str], retired: Iterable[str]) -> None:
    lines = [f"{c.name}: {_text(c.before)} -> {_text(c.after)}" for c in changes]
    lines += [f"credential {name} is set" for name in secrets]
    lines += [f"credential {name} is retired" for name in retired]
    for line in lines or ["Nothing changed."]:
        out.print(plain(line))


def _show_advice(found: AccountSettings) -> None:
    for line in found.advice:
        out.print(plain(f"  {line}"))


def _text(value: Any) -> str:
    if value is None:
        return "(default)"
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


def _pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE, each name once; a mistake is told without the value, which may be a credential."""
    found: dict[str, str] = {}
    for each in given:
        name, is_pair, value = each.partition("=")
        if not is_pair or not name.isidentifier() or name in found:
            msg = f"{option}: write NAME=VALUE, each name once"
            raise ConfigurationError(msg)
        found[name] = value
    return found


def _value(name: str, text: str) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        msg = f"{name}: begins like JSON and is none"
        raise ConfigurationError(msg) from error


def _secret(name: str, where: str) -> str:
    """A credential from where it lies; the end of its last line does not belong to it."""
    if where == "-":
        return _decoded(name, sys.stdin.buffer.read())
    if where.startswith("@"):
        return _decoded(name, Path(where[1:]).read_bytes())
    if not where.startswith("env:"):
        msg = f"--secret {name}: write {name}=@FILE, {name}=- or {name}=env:VARIABLE; on the command line others could see it"
        raise ConfigurationError(msg)
    variable = where.removeprefix("env:")
    if variable not in os.environ:
        msg = f"--secret {name}: there is no environment variable {variable}"
        raise ConfigurationError(msg)
    return os.environ[variable]


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        msg = f"--secret {name}: not text in UTF-8"
        raise ConfigurationError(msg) from None


@accounts.command
def delete(
    account: str, name: str, /, *, message: str = "", override: str = "", tenant: Tenant = "", json: Json = False
) -> int:
    """Delete e-mails at the provider, when the signed original of each is stored, under a signed head, and read back.

    Args:
        name: what; for PEC Massiva send/MESSAGE_ID or inbox/NUMBER.
        message: the message it is about, in whose trail the deletion then stands.
        override: go on though evidence is lost, and why; recorded with what was lost.
    """
    from adapters.deleting import delete as delete_there  # noqa: PLC0415  so that --help is quick

    with system() as s:
        whose = tenant or s.settings.tenant
        operated(s, "accounts delete", whose, {"name": name, **({"message": message} if message else {})})
        desk = account_desk(s.accounts, s.intake, s.caller, whose, account)
        done = delete_there(desk, name, s.signed_head().checkpoint.size, reason=override, message=message)
    if json:
        print_json(done._asdict())
    else:
        for loss in done.losses:
            out.print(Text("Evidence: ").append(plain(loss)))
        out.print(("Deleted: " if done.is_done else "Nothing was deleted: ") + done.why)
    return 0 if done.is_done else EXIT_WRONG
