"""Erasure: what the log says was erased, and the destroying that follows from it.

An `evidence.erased` event names a message, one recipient of it, or acts of people, and no one. It is written first; what it covers is
destroyed afterwards by a database role that may, and once more whenever something of it is found again: after a crash, in a restored
backup, beside a late arrival. Destroying twice is the same as once.

What stays: the events with their commitments, which nobody can open any more; the keys of duplicates; the keyed digests of the provider's
own ids of a message, by which what comes late is known to belong to something that was erased. Who is meant, and whether anything forbids
it, is decided in `adapters.erasing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ledger import artifacts
from ledger.application import WHOLE_MESSAGE, Ledger
from ledger.database import Cursor, Database
from ledger.errors import ConfigurationError
from ledger.events import Draft, Event, delivery_stream, read
from ledger.sealing import OWN_KEY

RULE = "erasure."
"""Begins the rule of `evidence.erased`; why it was erased follows: `recipient`, `message`, `retention`, `act` or `restored`."""
LAST = "0"
"""The character after `/`: the streams of a message's deliveries lie between `message/` and `message0`."""
DELETED = "artifacts, person_keys, sealed_values, lookups, timestamps, outbox"
"""Tables from which the role that destroys deletes."""


class Erased(NamedTuple):
    """What one `evidence.erased` says.

    Attributes:
        stream: of the message; of the account where it covers acts of people only.
        recipient: index of the recipient; WHOLE_MESSAGE: the message with all of them, or nothing but what is named.
        originals: ids of originals that concern nobody else, though they are not sealed under a key that goes.
        events: ids of events whose values go although others' are sealed under the same key: they name the person.
    """

    stream: str
    recipient: int = WHOLE_MESSAGE
    originals: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    @property
    def is_message(self) -> bool:
        """Whether a whole message goes."""
        return self.recipient == WHOLE_MESSAGE and not self.stream.startswith(("account/", "batch/"))


class Destroyed(NamedTuple):
    """How many rows were there still, by what they held."""

    keys: int = 0
    values: int = 0
    originals: int = 0
    lookups: int = 0

    def __add__(self, other: object) -> Destroyed:
        """Both together."""
        return (
            Destroyed(*(a + b for a, b in zip(self, other, strict=True)))
            if isinstance(other, Destroyed)
            else NotImplemented
        )


def draft(ledger: Ledger, tenant: str, erased: Erased, why: str, actor: str = "") -> Draft:
    """The event that says so.

    Args:
        why: what follows `RULE`.
    """
    clear: dict[str, object] = {"rule": RULE + why}
    if erased.recipient != WHOLE_MESSAGE:
        clear |= {"about": "recipient", "recipient": erased.recipient}
    else:
        clear |= {"about": "message" if erased.is_message else "account"}
    optional = {"artifacts": list(erased.originals), "events": list(erased.events), "actor": actor}
    return ledger.draft("evidence.erased", tenant, erased.stream, clear | {n: v for n, v in optional.items() if v})


def told(event: Event) -> Erased:
    """What an `evidence.erased` covers."""
    f = event.fields
    return Erased(
        event.stream, f.get("recipient", WHOLE_MESSAGE), tuple(f.get("artifacts", ())), tuple(f.get("events", ()))
    )


def require_rights(database: Database) -> None:
    """Refuse a database role that may not destroy.

    Raises:
        ConfigurationError: says which login may.
    """
    if (
        database.kind == "postgresql"
        and not database.read(
            "SELECT bool_and(has_table_privilege(name, 'DELETE')) FROM unnest(string_to_array(?, ', ')) AS name",
            (DELETED,),
        )[0][0]
    ):
        msg = (
            "this database role may not destroy keys. Repair: LEDGER_PRIVACY_DATABASE_URL with a login that is a member of "
            "the privacy role (delivery_ledger_privacy)"
        )
        raise ConfigurationError(msg)


def destroy(database: Database, folder: Path, erased: Erased, positions: Sequence[int] = ()) -> Destroyed:
    """Destroy what an event covers and is still there; files go after the rows that name them.

    Args:
        database: under a role that may (`require_rights`).
        folder: of the originals that are kept as files.
        positions: of `erased.events`.
    """
    with database.writing() as cursor:
        events = _events(cursor, erased)
        originals, keys = _originals(cursor, erased, events)
        going = _values(cursor, keys, events, positions)
        keys |= _own_keys(cursor, {key for _, key in going})
        lookups = _lookups(cursor, erased)
        names = [(artifact,) for artifact in originals]
        cursor.executemany("DELETE FROM timestamps WHERE kind = 'original' AND subject = ?", names)
        cursor.executemany("DELETE FROM artifacts WHERE artifact_id = ?", names)
        cursor.executemany("DELETE FROM sealed_values WHERE position = ? AND key_id = ?", going)
        cursor.executemany("DELETE FROM lookups WHERE digest = ? AND stream = ? AND recipient = ?", lookups)
        cursor.executemany("DELETE FROM person_keys WHERE key_id = ?", [(key,) for key in sorted(keys)])
        if erased.is_message:
            cursor.execute("DELETE FROM outbox WHERE message = ?", (erased.stream,))
    for artifact in originals:
        artifacts.remove(folder, artifact)
    return Destroyed(len(keys), len(going), len(originals), len(lookups))


def _events(cursor: Cursor, erased: Erased) -> list[Event]:
    """The events that may hold what goes: the message's, and those of its deliveries or of the one."""
    if not erased.is_message and erased.recipient == WHOLE_MESSAGE:
        return []
    position = "rowid" if cursor.kind == "sqlite" else "notification_id"
    begin, end = erased.stream + "/", erased.stream + LAST
    if erased.recipient != WHOLE_MESSAGE:
        begin = delivery_stream(erased.stream, erased.recipient)
        end = begin + "\0"
    sql = f"SELECT {position}, state FROM stored_events WHERE originator_id = ?"
    between = f"SELECT {position}, state FROM stored_events WHERE originator_id >= ? AND originator_id < ?"
    rows = [*cursor.read(sql, (erased.stream,)), *cursor.read(between, (begin, end))]
    return [read(number, bytes(state)) for number, state in rows]


def _originals(cursor: Cursor, erased: Erased, events: Iterable[Event]) -> tuple[list[str], set[bytes]]:
    """The originals that go, and the keys that go as a whole."""
    keys = _person_keys(cursor, erased)
    named = dict.fromkeys(erased.originals)
    if erased.is_message:
        named |= dict.fromkeys(artifact for event in events for artifact in event.fields.get("artifacts", ()))
    rows = cursor.probe("artifacts", "artifact_id, key_id", "artifact_id", list(named))
    going = [(str(name), bytes(key)) for name, key in rows if bytes(key) in keys or name in erased.originals]
    return sorted(name for name, _ in going), keys | _own_keys(cursor, {key for _, key in going})


def _person_keys(cursor: Cursor, erased: Erased) -> set[bytes]:
    if erased.is_message:
        rows = cursor.read("SELECT key_id FROM person_keys WHERE stream = ?", (erased.stream,))
    elif erased.recipient != WHOLE_MESSAGE:
        one = (erased.stream, erased.recipient)
        rows = cursor.read("SELECT key_id FROM person_keys WHERE stream = ? AND person = ?", one)
    else:
        rows = []
    return {bytes(key) for (key,) in rows}


def _own_keys(cursor: Cursor, keys: set[bytes]) -> set[bytes]:
    """Those that seal one thing only."""
    rows = cursor.probe("person_keys", "key_id, person", "key_id", sorted(keys))
    return {bytes(key) for key, person in rows if person == OWN_KEY}


def _values(
    cursor: Cursor, keys: set[bytes], events: Iterable[Event], positions: Sequence[int]
) -> list[tuple[int, bytes]]:
    """Position and key of the sealed values that go; of a named event those that are no single person's."""
    named = set(positions)
    rows = cursor.probe("sealed_values", "position, key_id", "position", sorted({e.position for e in events} | named))
    others = sorted({bytes(key) for number, key in rows if number in named} - keys)
    shared = {
        bytes(key) for key, person in cursor.probe("person_keys", "key_id, person", "key_id", others) if person < 0
    }
    return [
        (number, bytes(key)) for number, key in rows if bytes(key) in keys or (number in named and bytes(key) in shared)
    ]


def _lookups(cursor: Cursor, erased: Erased) -> list[tuple[bytes, str, int]]:
    """The entries under which it is found; of a message the provider's own ids stay."""
    sql = "SELECT digest, stream, recipient FROM lookups WHERE stream = ?"
    if erased.is_message:
        rows = cursor.read(f"{sql} AND exclusive = 0", (erased.stream,))
    elif erased.recipient != WHOLE_MESSAGE:
        rows = cursor.read(f"{sql} AND recipient = ?", (erased.stream, erased.recipient))
    else:
        rows = []
    return [(bytes(digest), stream, recipient) for digest, stream, recipient in rows]
