"""The commands `terms`: by when what is expected, and an organisation's own terms for it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from cyclopts import App
from rich.table import Table

from adapters.strictjson import InvalidError
from ledger.errors import ConfigurationError
from ops.console import Json, Note, Tenant, out, print_json, system
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.terms import Terms, TermViews
    from ops.system import System

terms = App(name="terms", help="By when what is expected of each channel, and your own terms for it.")
OPTIONS = {"warn_s": "--warn"}
"""What a field is called here."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LATER = "It holds for messages that are opened from now on; those that are open keep the terms they began with."


@terms.command(name="list")
def list_(*, tenant: Tenant = "", json: Json = False) -> None:
    """Every expectation: when it is worth a warning, when it is late, why, who set it and since which position."""
    with system() as s:
        found = _terms(s, tenant).views()
    print_json(found) if json else _show(found)


@terms.command(name="set")
def set_(
    channel: str,
    name: str,
    /,
    *,
    warn: str,
    breach: str,
    note: Note,
    account: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Set a term, for example: terms set sms delivery_report --warn 6h --breach 24h --note "contract of May".

    Args:
        channel: as `terms list` prints it.
        name: of the expectation, likewise.
        warn: after how long the wait is worth a warning: 90s, 30m, 6h, 2d or 1d12h.
        breach: after how long it is late.
        note: why; kept with the event.
        account: only for messages through this account.
    """
    times = _span("warn", warn), _span("breach", breach)
    with system() as s:
        own = _terms(s, tenant)
        try:
            own.put(_name(channel, name), *times, note, account)
        except InvalidError as error:
            msg = f"{OPTIONS.get(error.field, error.field)}: {error.why}"
            raise ConfigurationError(msg) from error
        found = own.views()
    _changed(found, json=json)


@terms.command
def off(channel: str, name: str, /, *, note: Note, account: str = "", tenant: Tenant = "", json: Json = False) -> None:
    """Expect nothing of that name any more.

    Args:
        note: why; kept with the event.
        account: only of messages through this account.
    """
    with system() as s:
        own = _terms(s, tenant)
        own.switch_off(_name(channel, name), note, account)
        found = own.views()
    _changed(found, json=json)


@terms.command
def reset(
    channel: str, name: str, /, *, note: str = "", account: str = "", tenant: Tenant = "", json: Json = False
) -> None:
    """Take back what was set: of an account, so that the term for all holds again; for all, so that the table's does.

    Args:
        note: why; kept with the event.
        account: what was set for this account.
    """
    with system() as s:
        own = _terms(s, tenant)
        own.reset(_name(channel, name), note, account)
        found = own.views()
    _changed(found, json=json)


def _terms(s: System, tenant: str) -> Terms:
    from adapters.terms import Terms  # noqa: PLC0415  so that --help is quick

    return Terms(s.accounts, s.queries, tenant or s.settings.tenant)


def _name(channel: str, name: str) -> str:
    from adapters.terms import expectation  # noqa: PLC0415  as above

    return expectation(name, channel).name


def _span(name: str, text: str) -> timedelta:
    parts = re.findall(r"([0-9]{1,6})([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        msg = f"--{name} {text!r}: write it as 90s, 30m, 6h, 2d or 1d12h"
        raise ConfigurationError(msg)
    return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())


def _changed(found: TermViews, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    _show(found)
    out.print(LATER)


def _show(found: TermViews) -> None:
    table = Table("channel", "expectation", "for", "warn", "late", "set by", "why", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header in {"channel", "expectation"}, "fold"  # typed as they stand
    for each in found.terms:
        times = (_words(each.warn_s), _words(each.breach_s)) if each.breach_s else ("off", "off")
        who = (
            "table"
            if each.origin == "table"
            else f"{each.set_by} {when(each.recorded_at)}, from position {each.set_at}"
        )
        table.add_row(each.channel, each.name, each.only_account or "all", *times, who, plain(each.why))
    out.print(table)


def _words(seconds: int) -> str:
    """Seconds as they are typed: 1d12h."""
    sizes = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    found = ""
    for unit, size in sizes.items():
        number, seconds = divmod(seconds, size)
        found += f"{number}{unit}" if number else ""
    return found
