"""What is left to do of erasures: said by the journal and forgotten by a restored database, or said by the log and still there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ledger import erasing
from ledger.application import Ledger
from ledger.database import Database, connect
from ledger.erasures import ErasureFile, reapply
from ledger.errors import ConfigurationError
from ops.settings import Settings
from projections import erasures


@contextmanager
def privileged(settings: Settings, own: Database) -> Iterator[Database]:
    """The database under a login that may destroy.

    Args:
        own: under the login that serves.

    Raises:
        ConfigurationError: neither login may.
    """
    url = settings.privacy_database_url.reveal()
    if not url or own.kind == "sqlite":
        erasing.require_rights(own)
        yield own
        return
    with closing(connect(url)) as database:
        erasing.require_rights(database)
        yield database


def finish(settings: Settings, ledger: Ledger, journal: ErasureFile, go_on: Callable[[], None] = lambda: None) -> int:
    """Destroy what the log says is erased and is there still, and note in the journal what it lacks; the read models must be up to date.

    Args:
        go_on: called before each; raises to stop.

    Returns:
        Of how many erasures something was left.

    Raises:
        ConfigurationError: there is something, and no login that may destroy it.
    """
    journal.catch_up(erasures.said(ledger))
    left = list(erasures.unfinished(ledger))
    if left:
        with privileged(settings, ledger.database) as database:
            for event in left:
                go_on()
                erasing.destroy(database, ledger.artifact_folder, erasing.told(event))
            database.settle()
    return len(left)


def erase_again(settings: Settings, ledger: Ledger, journal: ErasureFile) -> list[str]:
    """Do again what the journal says was erased and the log does not.

    Returns:
        What was done and what is left to do, in words; nothing where the log holds all of it.
    """
    if journal.is_settled(ledger):
        return []
    said, lacking = reapply(ledger, journal)
    told = [f"{len(said)} erasures that this database had forgotten are in its log again."] if said else []
    try:
        with privileged(settings, ledger.database) as database:
            for event in said:
                erasing.destroy(database, ledger.artifact_folder, erasing.told(event))
            database.settle()
    except ConfigurationError as error:
        told.append(f"What they name is not destroyed yet: {error}. Then: delivery-ledger erase carry-out")
    if lacking.elsewhere:
        told.append(
            f"{len(lacking.elsewhere)} erasures are of messages that this database does not hold: what comes of them is taken as new."
        )
    if lacking.unreadable:
        told.append(
            f"{lacking.unreadable} lines of {journal.path} are none of this ledger's: somebody changed the file."
        )
    return told


def refuse_forgetful(ledger: Ledger, journal: ErasureFile) -> None:
    """Refuse a database that was put back, takes nothing, and lacks what the journal beside it says was erased: it would show that.

    Raises:
        ConfigurationError: the text says how to repair it.
    """
    if ledger.frozen and not journal.is_settled(ledger):
        msg = (
            f"this database would show people who were erased after it was backed up ({journal.path} says so), and they cannot be "
            f"erased again before its next epoch: {ledger.frozen}"
        )
        raise ConfigurationError(msg)
