"""The command `schedules`: reports that are made and delivered by the clock."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from cyclopts import App
from rich.table import Table

from adapters.accounts import CONSOLE
from ledger.errors import ConfigurationError
from ops.console import Json, Tenant, looked, out, print_json, system
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.reports.schedules import ScheduleView
    from ops.system import System

schedules = App(name="schedules", help="Reports that are made and delivered each time that a period has ended.")


@schedules.command(name="list")
def list_(*, tenant: Tenant = "", json: Json = False) -> None:
    """The schedules, and when each is run next."""
    from ops.tasks import schedules as known  # noqa: PLC0415  so that --help is quick

    with system(fresh=False) as s:
        found = known(s)
        views = [found.view(each) for each in found.list(tenant or s.settings.tenant)]
        looked(s, tenant or s.settings.tenant, "schedules")
    if json:
        print_json(views)
        return
    table = Table("schedule", "report", "every", "next", "to", box=None)
    table.columns[0].no_wrap, table.columns[0].overflow = True, "fold"  # ids are copied whole
    for view in views:
        given = view.definition
        every = f"{given.period} {given.period_unit}"
        table.add_row(view.schedule, plain(given.title or given.type), every, when(view.next_at), plain(_whom(view)))
    out.print(table if views else "There are no schedules.")


@schedules.command
def show(schedule: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """One schedule, with the definition as `create` and `replace` take it.

    Args:
        schedule: as `schedules list` prints it.
    """
    with system(fresh=False) as s:
        known, whose = _known(s, tenant)
        view = known.view(known.get(whose, schedule))
        looked(s, whose, "schedules")
    _show(view, json=json)


@schedules.command
def create(file: Path, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Make a schedule.

    Args:
        file: its definition, JSON or TOML: start_date, period, period_unit (days, weeks, months), zone, time, type (a query), parameters,
            span, format, language, title, recipients (each with folder, email or webhook).
    """
    from adapters.reports.schedules import parsed as schedule_of  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        known, whose = _known(s, tenant)
        view = known.view(known.create(whose, schedule_of(_read(file)), CONSOLE))
    _show(view, json=json)


@schedules.command
def replace(schedule: str, file: Path, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Give a schedule another definition; what is not named has its default.

    Args:
        schedule: as `schedules list` prints it.
        file: as `create` takes it.
    """
    from adapters.reports.schedules import parsed as schedule_of  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        known, whose = _known(s, tenant)
        entry, _ = known.get(whose, schedule)
        changed = known.replace(whose, schedule, entry.version, schedule_of(_read(file)), CONSOLE)
        view = known.view(changed)
    _show(view, json=json)


@schedules.command
def patch(schedule: str, file: Path, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Change a schedule by a JSON Patch (RFC 6902): all of its operations, or none.

    Args:
        schedule: as `schedules list` prints it.
        file: a JSON array of operations.
    """
    with system(fresh=False) as s:
        known, whose = _known(s, tenant)
        entry, given = known.get(whose, schedule)
        changed = known.patched(given, _read(file))
        view = known.view(known.replace(whose, schedule, entry.version, changed, CONSOLE, done="patched"))
    _show(view, json=json)


@schedules.command
def delete(schedule: str, /, *, tenant: Tenant = "") -> None:
    """End a schedule; the reports that it made stay until they expire.

    Args:
        schedule: as `schedules list` prints it.
    """
    with system(fresh=False) as s:
        known, whose = _known(s, tenant)
        entry, _ = known.get(whose, schedule)
        known.delete(whose, schedule, entry.version, CONSOLE)
    out.print(f"Schedule {schedule} has ended.", markup=False)


@schedules.command
def run(schedule: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Have the latest period that has ended reported and delivered now, also if it was before.

    Args:
        schedule: as `schedules list` prints it.
    """
    from adapters.tasks.views import view as viewed  # noqa: PLC0415  as above
    from ops.tasks import runner  # noqa: PLC0415  as above

    with system() as s:
        known, whose = _known(s, tenant)
        row = known.run_now(whose, schedule, CONSOLE)
        if s.leader.is_leading():
            runner(s).run()
        view = viewed(known.tasks, known.tasks.rows.get(whose, row.task))
    if json:
        print_json(view)
    else:
        out.print(f"Task {view.task}: {view.state}; look with: delivery-ledger tasks list", markup=False)


@schedules.command(name="add-key")
def add_key(name: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Make a key that webhooks about reports are signed with, besides those in use; it is shown this once.

    Args:
        name: of your choice.
    """
    from adapters.reports import webhooks  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        secret = webhooks.add_key(s.accounts, tenant or s.settings.tenant, name, CONSOLE)
    print_json({"key_id": name, "secret": secret}) if json else out.print(secret, markup=False)


@schedules.command(name="retire-key")
def retire_key(name: str, /, *, tenant: Tenant = "") -> None:
    """Destroy a key that webhooks about reports are signed with.

    Args:
        name: of the key.
    """
    from adapters.reports import webhooks  # noqa: PLC0415  as above

    with system(fresh=False) as s:
        webhooks.retire_key(s.accounts, tenant or s.settings.tenant, name, CONSOLE)
    out.print(f"Key {name} is destroyed.", markup=False)


def _known(s: System, tenant: str) -> tuple[Any, str]:
    from ops.tasks import schedules as known  # noqa: PLC0415  as above

    return known(s), tenant or s.settings.tenant


def _read(file: Path) -> Any:
    """What stands in a JSON or TOML file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        data = file.read_bytes()
        return tomllib.loads(data.decode()) if file.suffix == ".toml" else msgspec.json.decode(data)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file}: {error}"
        raise ConfigurationError(msg) from error


def _whom(view: ScheduleView) -> str:
    return ", ".join(getattr(each, each.channel) for each in view.definition.recipients)


def _show(view: ScheduleView, *, json: bool) -> None:
    if json:
        print_json(view)
        return
    out.print(f"Schedule {view.schedule}, version {view.version}, next run {when(view.next_at)}", markup=False)
    print_json(view.definition)
