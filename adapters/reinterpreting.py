"""Reading again: today's wire modules and tables over the originals that are held, in the order in which they came.

What is read otherwise is appended beside what was believed, see `ledger.rereading`; originals that nobody could read, or whose
signature nobody could check, are tried again too. Stopped at any point, it can be run again: what was done is found done. Originals
are taken a page of the log at a time, so memory does not grow with the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, takewhile
from typing import NamedTuple

from adapters.lanes import Lanes, stored_arrival
from adapters.receiving import read
from ledger.application import Ledger, pages
from ledger.decision import Change
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event, message_of, time_text
from ledger.intake import Intake
from ledger.names import Reading
from ledger.observations import Arrival
from ledger.rereading import is_told
from projections.queries import Queries
from projections.runner import Runner

LOG = logging.getLogger(__name__)
AT_ONCE = 50
AT_ONCE_BYTES = 16 * 1024 * 1024
MAX_SHOWN = 1_000
LANES = frozenset({"lane.unreadable", "lane.unverified"})
"""Lanes whose items are tried again as a whole; what is unmatched is tried with the original that told it."""
NOTE = "read again by later tables"


class DeliveryChange(NamedTuple):
    """What reading again changed in one delivery; after a dry run the status after it is not known and is ""."""

    message: str
    recipient: int
    type: str
    word: str
    new_type: str
    new_word: str
    status: str
    new_status: str


@dataclass(slots=True)
class Report:
    """What reading again did.

    Attributes:
        originals: read again; changed: of them those that tell something else now.
        erased: originals of which nothing is held any more; unreadable: those that today's code cannot read.
        settled: waiting items that need nobody any more.
        changes: facts that are read otherwise, the first of them; `count` says how many there are.
        problems: `position: what is wrong`.
    """

    originals: int = 0
    changed: int = 0
    erased: int = 0
    unreadable: int = 0
    settled: int = 0
    count: int = 0
    changes: list[DeliveryChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Original(NamedTuple):
    """An original to be read again, and the waiting item that it is ("" when it is none)."""

    position: int
    reading: Reading
    item: str


@dataclass(frozen=True, slots=True)
class Reinterpreter:
    """Reads the originals of one tenant again."""

    ledger: Ledger
    intake: Intake
    lanes: Lanes
    queries: Queries
    runner: Runner
    tenant: str

    def run(
        self,
        *,
        provider: str = "",
        account: str = "",
        since: datetime | None = None,
        is_dry: bool = False,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Report:
        """Read again what came.

        Args:
            provider, account: only theirs; "" = all.
            since: only what was recorded at or after this time, aware.
            is_dry: tell what would change, and write nothing.
            progress: called with (positions done, positions in all).
        """
        report, total = Report(), self.ledger.head().size
        waiting: list[_Original] = []
        for group in self._groups(total, since):
            first = group[0]
            if first.tenant != self.tenant or not _is_wanted(first, provider, account):
                continue
            original = self._original(group, report)
            waiting += [original] if original else []
            if len(waiting) >= AT_ONCE or sum(len(o.reading.arrival.body) for o in waiting) >= AT_ONCE_BYTES:
                self._read(waiting, report, is_dry=is_dry)
                waiting = []
                progress(group[-1].position, total)
        self._read(waiting, report, is_dry=is_dry)
        progress(total, total)
        return report

    def _groups(self, total: int, since: datetime | None) -> Iterator[list[Event]]:
        """Events that one original brought: they stand side by side in the log."""
        after = self.ledger.position_before(time_text(since)) if since else 0
        events: Iterator[Event] = pages(self.ledger.feed, lambda event: event.position, after)
        named = (e for e in _until(events, total) if "artifacts" in e.fields)
        for _, group in groupby(named, key=lambda e: str(e.fields["artifacts"][0])):
            yield list(group)

    def _original(self, group: Sequence[Event], report: Report) -> _Original | None:
        """What an original tells today; None when it is erased, or stands elsewhere and is only named here."""
        first = group[0]
        stored = tuple(first.fields["artifacts"])
        told = tuple(event for event in group if is_told(event))
        item = next((e.id for e in group if e.type == "lane.opened" and e.fields.get("rule") in LANES), "")
        try:
            if (
                not (told or any(e.type == "lane.opened" for e in group))
                or self.ledger.artifact_place(stored[0])[0] < first.position
            ):
                return None
            report.originals += 1
            arrival = self._arrival(group)
        except (ErasedError, NotFoundError):
            report.erased += 1
            return None
        except Exception as error:  # noqa: BLE001  one original that cannot be opened hurts only itself
            report.problems.append(f"{first.position}: {type(error).__name__}")
            LOG.error("position %d: cannot be read again: %s", first.position, type(error).__name__)  # noqa: TRY400  its text may quote a person
            return None
        reading = read(self.tenant, arrival, stored=stored)._replace(told=told)
        report.unreadable += bool(reading.unreadable)
        return None if reading.unreadable else _Original(first.position, reading, item)

    def _arrival(self, group: Sequence[Event]) -> Arrival:
        """From the first event whose values are held: another person's may be erased."""
        for event in group[:-1]:
            try:
                return stored_arrival(self.ledger, event)
            except (ErasedError, NotFoundError):
                continue
        return stored_arrival(self.ledger, group[-1])

    def _read(self, originals: Sequence[_Original], report: Report, *, is_dry: bool) -> None:
        readings = [original.reading for original in originals]
        self.runner.run()
        before = self._statuses(dict.fromkeys(m for r in readings for m in _messages(r)))
        outcomes = self.intake.foresee(readings) if is_dry else self.intake.admit(readings)
        changes: list[Change] = []
        for original, outcome in zip(originals, outcomes, strict=True):
            if isinstance(outcome, Exception):
                report.problems.append(f"{original.position}: {type(outcome).__name__}")
                continue
            changes += outcome.reread
            report.changed += bool(outcome.reread)
            items = [*outcome.settled, *([original.item] if original.item and outcome.reread else [])]
            report.settled += len(items)
            for item in items if not is_dry else ():
                self.lanes.settle(self.tenant, item, NOTE)
        self._tell(changes, before, report, is_dry=is_dry)

    def _statuses(self, messages: Iterable[str]) -> dict[tuple[str, int], str]:
        """Delivery -> its status as the read model has it."""
        columns = "message, recipient, status"
        rows = self.ledger.database.probe("read_deliveries", columns, "message", sorted(set(messages)))
        return {(message, recipient): status for message, recipient, status in rows}

    def _tell(
        self, changes: Sequence[Change], before: dict[tuple[str, int], str], report: Report, *, is_dry: bool
    ) -> None:
        """Put what changed into the report, delivery by delivery where it is about one."""
        if not changes:
            return
        self.runner.run()
        after = self._statuses(change.message for change in changes)
        for change in changes:
            report.count += 1
            _, slash, index = change.stream.partition("/")
            is_one = bool(slash) and index.isdecimal()
            mine = [key for key in after if key[0] == change.message and (not is_one or key[1] == int(index))]
            moved = [key for key in mine if before.get(key) != after[key]] or mine[:1]
            for key in moved[: max(0, MAX_SHOWN - len(report.changes))]:
                said = (change.type, change.word, change.new_type, change.new_word)
                report.changes.append(DeliveryChange(*key, *said, before.get(key, ""), "" if is_dry else after[key]))


def _is_wanted(event: Event, provider: str, account: str) -> bool:
    return provider in {"", event.fields.get("provider")} and account in {"", event.fields.get("account")}


def _until(events: Iterable[Event], last: int) -> Iterator[Event]:
    """Events that stood in the log when it began: what it appends itself it does not read."""
    return takewhile(lambda event: event.position <= last, events)


def _messages(reading: Reading) -> set[str]:
    return {message_of(event.stream) for event in reading.told or ()}
