"""The commands `db`: the database's tables, roles and guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from ledger.errors import ConfigurationError
from ops.console import operated, out

if TYPE_CHECKING:
    from ops.settings import Settings

database = App(name="db", help="The database's tables, roles and guards.")


@database.command
def migrate(
    *, service: str = "delivery_ledger_service", privacy: str = "delivery_ledger_privacy", grant_to: str = ""
) -> None:
    """Make or update tables, guards and roles; run it as the owner, then run everything else as the service.

    Args:
        service: role that may read and append.
        privacy: role that may destroy keys and values.
        grant_to: login role that becomes a member of the service role.
    """
    from ledger.database import PostgresDatabase, connect  # noqa: PLC0415  so that --help is quick
    from ops.settings import load  # noqa: PLC0415  as above

    settings = load()
    opened_database = connect(settings.database_url)
    try:
        if isinstance(opened_database, PostgresDatabase):
            opened_database.migrate(service, privacy, grant_to)
        else:
            opened_database.migrate()
        has_begun = opened_database.read("SELECT 1 FROM meta WHERE name = 'keyring'")
    finally:
        opened_database.close()
    out.print("The tables, guards and roles are in place.")
    if has_begun:
        _say_migrated(settings)


def _say_migrated(settings: Settings) -> None:
    """Write that it was done, where its keys are here."""
    from ops.system import opened  # noqa: PLC0415  as above

    try:
        with opened(settings, models=list) as s:
            operated(s, "db migrate")
    except ConfigurationError as error:
        out.print(f"Not recorded in the log: {error}", markup=False)
