"""The journal of erasures, outside the database: what a restored database has forgotten is said and destroyed again.

One line for each `evidence.erased`, durable before whoever wrote it goes on, beside the signed heads: who restores a backup of the database
has the newer journal still. It names positions, ids and indexes, and no one. A line is settled once the log holds its event, or another
event that says the same. Who can write to the file can have anything of this ledger erased after the next start: guard it like the heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger import erasing, jsonlines
from ledger.appender import Item
from ledger.application import WHOLE_MESSAGE, Ledger
from ledger.erasing import Erased
from ledger.errors import DuplicateError, InvalidEventError
from ledger.events import Event, check_fields, read
from ledger.tree import leaf_hash

PAGE = 1_000
TAIL_BYTES = 1024 * 1024
"""Of the end of the journal; a line has at most some 60,000."""
RESTORED = erasing.RULE + "restored"
"""Rule of an event that stands in the place of a lost one."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the journal holds of one `evidence.erased`.

    Attributes:
        leaf: hash of the event, hex.
        settles: id of the lost event in whose place it stands.
        is_gone: nothing was said in its place, since the database did not hold the stream then.
    """

    id: str
    position: int = 0
    leaf: str = ""
    tenant: str = ""
    stream: str = ""
    recipient: int = WHOLE_MESSAGE
    artifacts: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    settles: str = ""
    is_gone: bool = False

    def erased(self) -> Erased:
        return Erased(self.stream, self.recipient, self.artifacts, self.events)


_line = msgspec.json.Decoder(Line)


class Lacking(NamedTuple):
    """What the journal names and the log does not.

    Attributes:
        lines: erasures to be said again.
        elsewhere: those of streams that this database does not hold.
        unreadable: lines that are none of ours; somebody changed the file.
    """

    lines: tuple[Line, ...] = ()
    elsewhere: tuple[Line, ...] = ()
    unreadable: int = 0


class ErasureFile:
    """The journal of one ledger.

    Args:
        folder: that of the signed heads.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "erasures.jsonl"

    def note(self, events: Sequence[Event], settles: str = "") -> None:
        """Make erasures durable here."""
        rows = []
        for event in events:
            erased, hashed = erasing.told(event), leaf_hash(event.leaf).hex()
            named = {"artifacts": list(erased.originals), "events": list(erased.events), "settles": settles}
            row = {"id": event.id, "position": event.position, "leaf": hashed, "tenant": event.tenant}
            row |= {"stream": erased.stream, "recipient": erased.recipient}
            rows.append(row | {name: value for name, value in named.items() if value})
        jsonlines.append(self.path, rows)

    def let_go(self, lines: Iterable[Line]) -> None:
        """Note that nothing more is to be done about erasures: there is nothing of them here."""
        jsonlines.append(self.path, [{"id": line.id, "is_gone": True} for line in lines])

    def __iter__(self) -> Iterator[Line | None]:
        """Its lines; None for one that cannot be read. What a crash cut off counts as not written."""
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from (_read(line) for each in file if not _is_torn(line := each.removesuffix(b"\n")))

    def catch_up(self, events: Iterable[Event]) -> int:
        """Note what the log says and the journal lacks: whoever wrote it was killed in between.

        Returns:
            How many there were.
        """
        known = {line.id for line in self if line is not None}
        missing = [event for event in events if event.id not in known]
        if missing:
            self.note(missing)
        return len(missing)

    def is_settled(self, ledger: Ledger) -> bool:
        """Whether the log holds its last line: then it holds all, since a database that was put back lacks the newest.

        Not so after erasures were said again, which may have been broken off, or were let go: then all of it is looked at.
        """
        if not self.path.exists():
            return True
        last = next((_read(line) for line in reversed(jsonlines.last(self.path, TAIL_BYTES))), None)
        if last is None:
            return False
        event = next((e for e in ledger.events_at([last.position] * (not last.is_gone)) if e.id == last.id), None)
        if event is not None and event.fields.get("rule") != RESTORED:
            return True
        lacking = self.lacking(ledger)
        return not (lacking.lines or lacking.elsewhere)

    def lacking(self, ledger: Ledger) -> Lacking:
        """What the log does not hold of it."""
        lines = [line for line in self if line is not None]
        settled = {line.settles for line in lines}
        let_go = {
            line.id for line in lines if line.is_gone
        }  # by another backup, it may be, that did not hold the stream
        for start in range(0, len(lines), PAGE):
            settled |= _ids(ledger, lines[start : start + PAGE])
        lost = [line for line in lines if not line.is_gone and line.id not in settled]
        whose = _tenants(ledger, sorted({line.stream for line in lost}))
        here = [line for line in lost if whose.get(line.stream) == line.tenant]
        elsewhere = [line for line in lost if line.stream not in whose]
        odd = len(lost) - len(here) - len(elsewhere) + sum(line is None for line in self)
        return Lacking(tuple(here), tuple(line for line in elsewhere if line.id not in let_go), odd)


def reapply(ledger: Ledger, journal: ErasureFile) -> tuple[list[Event], Lacking]:
    """Say again what a restored database has forgotten; destroying it is left to the caller.

    Returns:
        The events that say so, and what was found in the journal.
    """
    found = journal.lacking(ledger)
    said = []
    for line in found.lines:
        event = _say(ledger, line)
        journal.note([event], settles=line.id)
        said.append(event)
    journal.let_go(found.elsewhere)
    return said, found


def _say(ledger: Ledger, line: Line) -> Event:
    """The event in the place of a lost one; the same line again gives the same event."""
    key = ledger.keyring.duplicate(None, line.tenant, "", "erasure restored", line.id)
    draft = erasing.draft(ledger, line.tenant, line.erased(), "restored")
    try:
        position = ledger.append(Item([draft], needs={line.stream}, duplicates=[(0, key)])).positions[0]
    except DuplicateError:
        position = ledger.known([key])[key]
    return ledger.event(position)


def _ids(ledger: Ledger, lines: Iterable[Line]) -> set[str]:
    return {event.id for event in ledger.events_at(line.position for line in lines)}


def _tenants(ledger: Ledger, streams: Sequence[str]) -> dict[str, str]:
    """Whose each stream is; one that is not there is nobody's."""
    firsts = [(stream, 1) for stream in streams]
    pair = ("originator_id", "originator_version")
    events = (read(0, bytes(s)) for (s,) in ledger.database.probe_pairs("stored_events", "state", pair, firsts))
    return {event.stream: event.tenant for event in events}


def _is_torn(line: bytes) -> bool:
    return line.startswith(b"{") and not jsonlines.is_whole(line)


def _read(line: bytes) -> Line | None:
    try:
        found = _line.decode(line)
        shapes = {"id": found.id} | ({} if found.is_gone else _shapes(found))
        check_fields({**_EVENT, **shapes})
    except (msgspec.DecodeError, InvalidEventError, UnicodeDecodeError):
        return None
    return found


def _shapes(line: Line) -> dict[str, object]:
    """The fields of the event that a line tells of, as far as they must have their shape."""
    said = {"tenant": line.tenant, "stream": line.stream, "version": line.position, "root": line.leaf}
    lists = {"artifacts": list(line.artifacts), "events": list(chain(line.events, [line.settles] * bool(line.settles)))}
    said |= {name: value for name, value in lists.items() if value}
    return said | ({} if line.recipient == WHOLE_MESSAGE else {"recipient": line.recipient})


_AT = "1970-01-01T00:00:00.000000Z"
_EVENT = {
    "v": 1,
    "nonce": "A" * 22,
    "type": "evidence.erased/1",
    "tenant": "ledger",
    "stream": "ledger",
    "observed_at": _AT,
}
