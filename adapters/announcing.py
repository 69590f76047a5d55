"""Says in the log, once, which versions of the tables came into force: that of the process that begins to append.

During an update old and new processes run side by side; whoever opens the ledger then says what it judges by, so the last word is that
of the process started last.
"""

from __future__ import annotations

import logging

from eventsourcing.persistence import PersistenceError

from ledger.appender import Item
from ledger.application import OWN_STREAM, OWN_TENANT, Ledger
from ledger.errors import VersionTakenError
from projections.rulesets import CURRENT, TABLES_RULE, in_force, today

LOG = logging.getLogger(__name__)


def tables(ledger: Ledger) -> dict[str, object]:
    """The clear fields that say which tables are in force; also of the first event of a log that is begun today."""
    return {"rule": TABLES_RULE, "code": CURRENT.id, "numbers": today(ledger)}


def announce(ledger: Ledger) -> int:
    """Write that today's tables came into force, unless the log says so already; never in a frozen ledger.

    Returns:
        The position of the event; 0 when nothing was to be written.
    """
    while not ledger.frozen:
        version = ledger.versions([OWN_STREAM]).get(OWN_STREAM, 0)  # before reading: what is written meanwhile is seen
        found = in_force(ledger, ledger.head().size)
        if found.position and found.versions == today(ledger):
            return 0
        draft = ledger.draft("ruleset.changed", OWN_TENANT, OWN_STREAM, tables(ledger))
        try:
            return ledger.append(Item([draft], expect={OWN_STREAM: version})).positions[0]
        except VersionTakenError:  # another process wrote to the stream: look again
            continue
        except PersistenceError:  # a role or a server that only reads; whoever appends will say it
            LOG.warning("that %s is in force could not be written", CURRENT.id, exc_info=True)
            break
    return 0
