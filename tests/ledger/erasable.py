"""Messages with something to erase, and what of them can still be read; erased as the part above the ledger does it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ledger import erasing
from ledger.appender import Item
from ledger.application import Ledger
from ledger.erasing import Erased
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event, delivery_stream, message_of
from ledger.intake import Intake
from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Observation, Reference
from ledger.streams import WHOLE_MESSAGE, Registration
from tests.ledger.kit import START, TENANT

_numbers = itertools.count(1)


class Killed(BaseException):
    """The process ends here."""


def phone(number: int) -> Address:
    return Address("phone", f"+3161234{number:04}")


def name(value: str) -> Reference:
    return Reference("document_id", value)


def send(ledger: Ledger, ident: str, *people: Address, **more: Any) -> str:
    """Register a send; its message."""
    more = {"texts": {"subject": f"letter {ident}"}, "labels": (f"case {ident}",), **more}
    registration = Registration(account="sms", provider="kpn_sms", recipients=people, references=(name(ident),), **more)
    return Intake(ledger).register(TENANT, registration, {"arrival": "api"}, (ident, ident), b"payload").message


def report(ident: str, person: Address | None, code: str = "DELIVRD", **more: Any) -> Observation:
    """What a provider says of one recipient, or of the whole message."""
    about = "recipient" if person else "message"
    texts = {"word": f"to {person.value}" if person else "to all"}
    said = {"references": (name(ident),), "about": about, "recipient": person, "code": code, "texts": texts}
    return Observation(type="content.consigned", identity=(ident, str(person), code), **{**said, **more})


def arrival(body: bytes = b"", kind: ArrivalKind = ArrivalKind.WEBHOOK) -> Arrival:
    number = next(_numbers)
    return Arrival(
        provider="kpn_sms",
        account="sms",
        operation="webhook.dlr",
        kind=kind,
        observed_at=START + timedelta(seconds=number),
        body=body or f"original {number}".encode(),
    )


def reading(*seen: Observation, body: bytes = b"", kind: ArrivalKind = ArrivalKind.WEBHOOK, **more: Any) -> Reading:
    return Reading(TENANT, arrival(body, kind), seen, **more)


def admit(where: Ledger | Intake, *readings: Reading) -> list[Event]:
    """Admit arrivals; the events that were written."""
    intake = where if isinstance(where, Intake) else Intake(where)
    before = intake.ledger.head().size
    for outcome in intake.admit(readings):
        if isinstance(outcome, Exception):
            raise outcome
    return intake.ledger.feed(before)


def tell(where: Ledger | Intake, *seen: Observation, **more: Any) -> list[Event]:
    """Admit one arrival that says this; the events that were written."""
    return admit(where, reading(*seen, **more))


# --- erasing


def say(ledger: Ledger, *erased: Erased, why: str = "recipient") -> list[Erased]:
    """Write that something is erased; what the events say."""
    appended = ledger.append(Item([erasing.draft(ledger, TENANT, each, why) for each in erased]))
    return [erasing.told(event) for event in ledger.events_at(appended.positions)]


def erase(ledger: Ledger, message: str, recipient: int = WHOLE_MESSAGE, **more: Any) -> Erased:
    """Erase a message, or one recipient with the originals that tell of nobody else."""
    named = () if recipient == WHOLE_MESSAGE else originals_of(ledger, delivery_stream(message, recipient))
    (said,) = say(ledger, Erased(message, recipient, named, **more))
    erasing.destroy(ledger.database, ledger.artifact_folder, said)
    return said


def originals_of(ledger: Ledger, stream: str) -> tuple[str, ...]:
    """Originals that only events of this stream name."""
    naming: dict[str, set[str]] = {}
    for event in events(ledger):
        for artifact in event.fields.get("artifacts", ()):
            naming.setdefault(artifact, set()).add(event.stream)
    return tuple(artifact for artifact, streams in naming.items() if streams == {stream})


# --- what is left


def events(ledger: Ledger) -> list[Event]:
    return ledger.events_at(range(1, ledger.head().size + 1))


class Where(NamedTuple):
    """Where a value stands: in which event, sealed under whose key."""

    stream: str
    position: int
    owner: str
    person: int
    path: str


class Held(NamedTuple):
    """Everything that can be read.

    Attributes:
        values: by where they stand.
        originals: artifact id -> bytes.
        lookups: (stream, recipient, whether it is a provider's own id) of each entry.
    """

    values: dict[Where, Any]
    originals: dict[str, bytes]
    lookups: set[tuple[bytes, str, int, bool]]

    def without(self, *erased: Erased) -> Held:
        """What is to be left when something of it is erased."""

        def stays(stream: str, person: int) -> bool:
            return all(stream != e.stream or (person != e.recipient and not e.is_message) for e in erased)

        named = {artifact for e in erased for artifact in e.originals}
        gone = {delivery_stream(e.stream, e.recipient) for e in erased}
        return Held(
            {w: value for w, value in self.values.items() if stays(w.owner, w.person) and w.stream not in gone},
            {artifact: body for artifact, body in self.originals.items() if artifact not in named},
            {row for row in self.lookups if stays(row[1], row[2]) or (row[3] and row[2] == WHOLE_MESSAGE)},
        )


def held(ledger: Ledger) -> Held:
    every = events(ledger)
    opened = ledger.disclosures(every)
    values = {
        Where(e.stream, e.position, v.owner, v.person, path): v.value
        for e in every
        for path, v in opened.get(e.position, {}).items()
    }
    lookups = ledger.database.read("SELECT digest, stream, recipient, exclusive FROM lookups")
    named = {artifact for event in every for artifact in event.fields.get("artifacts", ())}
    return Held(values, dict(_readable(ledger, named)), {(bytes(d), s, r, bool(e)) for d, s, r, e in lookups})


def _readable(ledger: Ledger, named: set[str]) -> Iterator[tuple[str, bytes]]:
    for artifact in sorted(named):
        try:
            yield artifact, ledger.artifact(artifact).body
        except (ErasedError, NotFoundError):
            continue


def rows_of(ledger: Ledger, message: str) -> dict[str, int]:
    """How many rows beside the log belong to a message, by table; sealed values by the positions of its events."""
    streams = [e.position for e in events(ledger) if message_of(e.stream) == message]
    read, probe = ledger.database.read, ledger.database.probe
    return {
        "keys": read("SELECT count(*) FROM person_keys WHERE stream = ?", (message,))[0][0],
        "values": len(probe("sealed_values", "position", "position", streams)),
        "originals": len(probe("artifacts", "artifact_id", "position", streams)),
        "lookups": read("SELECT count(*) FROM lookups WHERE stream = ? AND exclusive = 0", (message,))[0][0],
        "outbox": read("SELECT count(*) FROM outbox WHERE message = ?", (message,))[0][0],
    }


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


# --- breaking off


class Breaking:
    """A database whose process is killed at the n-th statement that writes."""

    def __init__(self, database: Any, at: int) -> None:
        self._database = database
        self.left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    @contextmanager
    def writing(self) -> Iterator[Any]:
        with self._database.writing() as cursor:
            yield _Steps(cursor, self)
        self.step()  # committed, and the files are still there


class _Steps:
    def __init__(self, cursor: Any, breaking: Breaking) -> None:
        self._cursor = cursor
        self._breaking = breaking

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        self._breaking.step()
        self._cursor.execute(sql, params)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._breaking.step()
        self._cursor.executemany(sql, rows)
