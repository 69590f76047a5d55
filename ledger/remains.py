"""What is no longer beside the log, and what is there still, held against what the log says was erased.

Nothing goes without an event that says so, and what an event says is gone is not there: both are looked through by `ledger.fsck`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ledger import erasing
from ledger.application import ERASED, WHOLE_MESSAGE, Ledger
from ledger.erasing import Destroyed, Erased
from ledger.events import Event, message_of, read
from ledger.streams import person_of

PAGE = 50_000
MAX_FOUND = 100
ONLY_NAME = frozenset({"access.recorded", "evidence.exported"})
"""Types of events that name originals that somebody saw or took, and rest on none."""


Missing = tuple[Event, str, bool]
"""An event, the field path or artifact id of what it has beside it no more, and whether that is an original."""


class Erasures:
    """What the log says was erased, up to a position.

    Attributes:
        told: position of each event, and what it covers.

    It holds no ledger, so that other processes can be given it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.told: list[tuple[int, Erased]] = []
        self._read_to = 0
        self._people: dict[str, set[int]] = {}
        self._events: set[str] = set()
        self._originals: set[str] = set()
        self.follow(ledger)

    def follow(self, ledger: Ledger) -> None:
        """Read what came since."""
        size, c = ledger.head().size, ledger.position_column
        sql = f"SELECT {c}, state FROM stored_events WHERE {c} > ? AND {c} <= ? AND topic = ?"
        while self._read_to < size:
            until = min(self._read_to + PAGE, size)
            for position, state in sorted(ledger.database.read(sql, (self._read_to, until, ERASED))):
                self._note(erasing.told(read(position, bytes(state))))
            self._read_to = until

    def _note(self, erased: Erased) -> None:
        self.told.append((erased.position, erased))
        self._events |= set(erased.events)
        self._originals |= set(erased.originals)
        if erased.is_message or erased.recipient != WHOLE_MESSAGE:
            self._people.setdefault(erased.stream, set()).add(erased.recipient)

    def explains(self, event: Event, path: str) -> bool:
        """Whether the value at a field path of an event may be gone."""
        people = self._people.get(message_of(event.stream), set())
        declared = path.removeprefix("recipient.")
        return (
            self._explains_all(event, people)
            or event.id in self._events
            or (declared != path and declared.isdecimal() and int(declared) in people)
        )

    def explains_original(self, event: Event, artifact: str) -> bool:
        """Whether an original that an event names may be gone."""
        people = self._people.get(message_of(event.stream), set())
        return self._explains_all(event, people) or artifact in self._originals

    @staticmethod
    def _explains_all(event: Event, people: set[int]) -> bool:
        return WHOLE_MESSAGE in people or person_of(event.stream) in people


class Gone:
    """What is gone, collected page by page."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.erasures = Erasures(ledger)
        self._found: list[Missing] = []

    def add(self, missing: Sequence[Missing]) -> None:
        """What was looked for elsewhere, and is not there."""
        self._found += missing[: MAX_FOUND - len(self._found)]

    def look(self, events: Sequence[Event], values: Mapping[int, Mapping[str, Any]]) -> None:
        """Compare what events committed to and name with what is there.

        Args:
            values: by position, what of theirs could be opened.
        """
        paths = (
            (e, path, False)
            for e in events
            for path in e.fields.get("commit", {})
            if path not in values.get(e.position, {})
        )
        missing = [each for each in paths if not self.erasures.explains(each[0], each[1])]
        resting = (e for e in events if e.type not in ONLY_NAME)
        named = [(e, artifact, True) for e in resting for artifact in e.fields.get("artifacts", ())]
        held = self._held({artifact for _, artifact, _ in named})
        missing += [e for e in named if e[1] not in held and not self.erasures.explains_original(e[0], e[1])]
        self.add(missing)

    def _held(self, artifacts: Iterable[str]) -> set[str]:
        """Originals that are there with their keys."""
        rows = self._ledger.database.probe("artifacts", "artifact_id, key_id", "artifact_id", sorted(artifacts))
        keys = sorted({bytes(key) for _, key in rows})
        there = {bytes(key) for (key,) in self._ledger.database.probe("person_keys", "key_id", "key_id", keys)}
        return {str(artifact) for artifact, key in rows if bytes(key) in there}

    def told(self) -> Iterator[tuple[int, str]]:
        """Position and text of what is gone though no event says so; what was erased meanwhile is none of it."""
        if self._found:
            self.erasures.follow(self._ledger)
        for event, name, is_original in self._found:
            explains = self.erasures.explains_original if is_original else self.erasures.explains
            if not explains(event, name):
                what = f"original {name}" if is_original else f"the value of {name}"
                yield event.position, f"{what} cannot be opened any more, and no event says that it was erased"

    def left(self) -> Iterator[tuple[int, str]]:
        """Position and text of erasures of which something is there."""
        for position, erased in self.erasures.told:
            found = erasing.left(self._ledger.database, erased)
            if found != Destroyed():
                counts = ", ".join(f"{name} {n}" for name, n in found._asdict().items() if n)
                yield position, f"was erased and is still there: {counts}"
