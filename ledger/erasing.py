"""Erasure: what the log says was erased, and the destroying that follows from it.

An `evidence.erased` event names a message, one recipient of it, or acts of people, and no one. It is written first; what it covers is
destroyed afterwards by a database role that may, and once more whenever something of it is found again: after a crash, in a restored
backup, beside a late arrival. Destroying twice is the same as once.

What stays: the events with their commitments, which nobody can open any more; the keys of duplicates; the keyed digests of the provider's
own ids of a message, by which what comes late is known to belong to something that was erased. Who is meant, and whether anything forbids
it, is decided in `adapters.erasing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ledger import artifacts
from ledger.application import WHOLE_MESSAGE, Ledger
from ledger.database import Cursor, Database, Reads
from ledger.errors import ConfigurationError
from ledger.events import Draft, Event, delivery_stream, read
from ledger.sealing import OWN_KEY
from ledger.streams import shadow

RULE = "erasure."
"""Begins the rule of `evidence.erased`; why it was erased follows: `recipient`, `message`, `retention`, `act` or `restored`."""
PAGE_EVENTS = 200
"""Events, or streams of deliveries, that are looked at together; an event may hold the values of 400 persons."""
DELETED = "artifacts, person_keys, sealed_values, lookups, timestamps, outbox"
"""Tables from which the role that destroys deletes."""


class Erased(NamedTuple):
    """What one `evidence.erased` says.

    Attributes:
        stream: of the message; of the account where it covers acts of people only.
        recipient: index of the recipient; WHOLE_MESSAGE: the message with all of them, or nothing but what is named.
        originals: ids of originals that concern nobody else, though they are not sealed under a key that goes.
        events: ids of events of this stream whose values go although others' are sealed under the same key: they name the person.
        position: of the event; 0 while it is not written. What comes to the recipient's delivery after it is late, and goes too.
    """

    stream: str
    recipient: int = WHOLE_MESSAGE
    originals: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    position: int = 0

    @property
    def is_message(self) -> bool:
        """Whether a whole message goes."""
        return self.recipient == WHOLE_MESSAGE and not self.stream.startswith(("account/", "batch/"))


class Destroyed(NamedTuple):
    """How many rows were there still, by what they held; `sends`: what waited to be sent, or had been."""

    keys: int = 0
    values: int = 0
    originals: int = 0
    lookups: int = 0
    sends: int = 0

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
    named = tuple(f.get("artifacts", ())), tuple(f.get("events", ()))
    return Erased(event.stream, f.get("recipient", WHOLE_MESSAGE), *named, event.position)


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

    Some hundred events at a time, each time in a transaction of its own, and the keys of persons last: while one of them is there,
    not everything was done. Broken off anywhere and done again, it ends the same.

    Args:
        folder: of the originals that are kept as files.
        positions: of `erased.events`, which are looked for in the stream otherwise.

    Raises:
        ConfigurationError: the database role may not.
    """
    require_rights(database)
    done = Destroyed()
    for events in _pages(database, erased, positions):
        with database.writing() as cursor:
            going = _going(cursor, erased, events, positions)
            going.destroy(cursor)
        for artifact in going.files:
            artifacts.remove(folder, artifact)
        done += going.counted()
    with database.writing() as cursor:
        done += _whole(cursor, erased)
        for table, where, params in _rows(erased):
            cursor.execute(f"DELETE FROM {table} WHERE {where}", params)
    return done


def left(database: Database, erased: Erased, positions: Sequence[int] = ()) -> Destroyed:
    """What an event covers and is still there; nothing of it once it was destroyed."""
    found, named = Destroyed(), erased
    for events in _pages(database, erased, positions):
        found += _going(database, named, events, positions).counted()
        named, positions = erased._replace(originals=()), ()  # what is named is counted once
    return found + _whole(database, erased)


# --- what goes as a whole


def _rows(erased: Erased) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
    """Table, condition and its values of what goes as a whole; the provider's own ids of a message stay."""
    if erased.is_message:
        yield "lookups", "stream = ? AND exclusive = 0", (erased.stream,)
        yield "outbox", "message = ?", (erased.stream,)
        yield "person_keys", "stream = ?", (erased.stream,)
    elif erased.recipient != WHOLE_MESSAGE:
        yield (
            "lookups",
            "stream = ? AND recipient IN (?, ?)",
            (erased.stream, erased.recipient, shadow(erased.recipient)),
        )
        yield "person_keys", "stream = ? AND person = ?", (erased.stream, erased.recipient)


def _whole(reads: Reads, erased: Erased) -> Destroyed:
    counts = {
        table: reads.read(f"SELECT count(*) FROM {table} WHERE {where}", p)[0][0] for table, where, p in _rows(erased)
    }
    return Destroyed(keys=counts.get("person_keys", 0), lookups=counts.get("lookups", 0), sends=counts.get("outbox", 0))


# --- what goes event by event


def _pages(reads: Reads, erased: Erased, positions: Sequence[int]) -> Iterator[list[Event]]:
    """The events that may hold what goes, some hundred at a time: the message's, and those of its deliveries or of the one."""
    position = "rowid" if reads.kind == "sqlite" else "notification_id"
    columns = f"{position}, state"
    if not erased.is_message and erased.recipient == WHOLE_MESSAGE and positions:
        yield [read(p, bytes(state)) for p, state in reads.probe("stored_events", columns, position, list(positions))]
        return
    # By exact ranges of versions: a LIMIT would be sorted for on a database without statistics.
    sql = f"SELECT {columns} FROM stored_events WHERE originator_id = ? AND originator_version > ? AND originator_version <= ?"
    declared, after = 0, 0
    while rows := reads.read(sql, (erased.stream, after, after + PAGE_EVENTS)):
        events = [read(p, bytes(state)) for p, state in rows]
        yield events
        told = (e.fields["first"] + e.fields["count"] for e in events if e.type == "recipients.declared")
        declared, after = max(declared, *told, 0), after + PAGE_EVENTS
    deliveries: Sequence[int] = range(declared if erased.is_message else 0)
    if erased.recipient != WHOLE_MESSAGE:
        deliveries = [erased.recipient]
    for start in range(0, len(deliveries), PAGE_EVENTS):
        streams = [delivery_stream(erased.stream, each) for each in deliveries[start : start + PAGE_EVENTS]]
        yield [read(p, bytes(s)) for p, s in reads.probe("stored_events", columns, "originator_id", streams)]


@dataclass(slots=True)
class _Going:
    """Rows that go.

    Attributes:
        keys: that seal one thing only, which goes.
        values: (position, key).
        files: originals of which no file and no token may stay, whether their row is still there or not.
    """

    keys: list[bytes]
    values: list[tuple[int, bytes]]
    originals: list[str]
    files: list[str]

    def counted(self) -> Destroyed:
        return Destroyed(len(self.keys), len(self.values), len(self.originals))

    def destroy(self, cursor: Cursor) -> None:
        cursor.executemany("DELETE FROM timestamps WHERE kind = 'original' AND subject = ?", [(a,) for a in self.files])
        cursor.executemany("DELETE FROM artifacts WHERE artifact_id = ?", [(a,) for a in self.originals])
        cursor.executemany("DELETE FROM sealed_values WHERE position = ? AND key_id = ?", self.values)
        cursor.executemany("DELETE FROM person_keys WHERE key_id = ?", [(key,) for key in self.keys])


def _going(reads: Reads, erased: Erased, events: Sequence[Event], positions: Sequence[int]) -> _Going:
    """What goes of some events; what is sealed under a key that is gone goes with it, wherever it is met."""
    named = {event.position for event in events if event.id in erased.events} | set(positions)
    theirs = _values(reads, erased, events)
    others = _at(reads, named) - theirs
    told = sorted({*erased.originals, *_told(erased, events)})
    rows = reads.probe("artifacts", "artifact_id, key_id", "artifact_id", told)
    held = {str(artifact): bytes(key) for artifact, key in rows}
    owners = _owners(reads, {key for _, key in others} | set(held.values()))
    values = theirs | {(p, k) for p, k in others if k not in owners or owners[k][1] < 0}
    going = {a for a, k in held.items() if a in erased.originals or k not in owners or owners[k][0] == erased.stream}
    sealing = {key for _, key in values} | {held[artifact] for artifact in going}
    own = sorted(key for key in sealing & owners.keys() if owners[key][1] == OWN_KEY)
    return _Going(own, sorted(values), sorted(going), sorted(going | (set(told) - held.keys())))


def _values(reads: Reads, erased: Erased, events: Sequence[Event]) -> set[tuple[int, bytes]]:
    """Position and key of what the streams of the message or the delivery hold, and of what the message's holds of the one person.

    A delivery's stream tells of nobody else. The digest of an original stands there under the message's key: it is no secret where the
    original is short, so it goes as well.
    """
    if erased.is_message:
        return _at(reads, {event.position for event in events})
    if erased.recipient == WHOLE_MESSAGE:
        return set()
    sql = "SELECT key_id FROM person_keys WHERE stream = ? AND person = ?"
    keys = [bytes(key) for (key,) in reads.read(sql, (erased.stream, erased.recipient))]
    places = sorted(event.position for event in events if event.stream == erased.stream)
    pairs = [(place, key) for place in places for key in keys]
    rows = reads.probe_pairs("sealed_values", "position, key_id", ("position", "key_id"), pairs)
    shared = {(int(position), bytes(key)) for position, key in rows}
    return shared | _at(reads, {event.position for event in events if event.stream != erased.stream})


def _at(reads: Reads, positions: Iterable[int]) -> set[tuple[int, bytes]]:
    """Position and key of all values that are sealed beside some events."""
    rows = reads.probe("sealed_values", "position, key_id", "position", sorted(positions))
    return {(int(position), bytes(key)) for position, key in rows}


def _told(erased: Erased, events: Iterable[Event]) -> Iterator[str]:
    """Originals that came with a message that goes, or with a delivery after it was said that its recipient is erased."""
    for event in events:
        is_late = event.stream != erased.stream and event.position > erased.position > 0
        if erased.is_message or (is_late and erased.recipient != WHOLE_MESSAGE):
            yield from event.fields.get("artifacts", ())


def _owners(reads: Reads, keys: Iterable[bytes]) -> dict[bytes, tuple[str, int]]:
    """Key -> the stream and person it seals for; a key that is gone has none."""
    rows = reads.probe("person_keys", "key_id, stream, person", "key_id", sorted(keys))
    return {bytes(key): (str(stream), int(person)) for key, stream, person in rows}
