"""What becomes of the jobs of the sandbox: a pure function of the number that is called and of the time that went by.

The last two digits of a number decide its fate, see FATES; all others are delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple


class Step(NamedTuple):
    """What is said of a target from a moment on."""

    after: timedelta
    word: str
    members: dict[str, Any]


def _step(word: str, *, minutes: float, **members: Any) -> Step:
    return Step(timedelta(minutes=minutes), word, members)


_BEGINS = (_step("Queued", minutes=0), _step("Sending", minutes=0.5))

FATES: dict[str, tuple[Step, ...]] = {
    "": (*_BEGINS, _step("Delivered", minutes=1.5, pagesSent=2, pages=2, durationInSecs=48, remoteCsid="FAX AFD. 1")),
    "02": (
        *_BEGINS,
        _step("Retrying", minutes=1, errorCode="USER-BUSY", attempts=1),
        _step("Retrying", minutes=6, errorCode="USER-BUSY", attempts=2),
        _step("Failed", minutes=20, errorCode="busy", attempts=3),
    ),
    "03": (*_BEGINS, _step("Sent", minutes=2, pagesSent=1, pages=3)),
    "04": (_step("Queued", minutes=0), _step("Failed", minutes=0.5, errorCode="invalid_number")),
    "05": (*_BEGINS, _step("Zwevend", minutes=1)),
    "06": (*_BEGINS, _step("Retrying", minutes=1, errorCode="no_answer", attempts=1), _step("Expired", minutes=240)),
    "07": (_step("Queued", minutes=0), _step("Cancelled", minutes=1)),
}
"""Last two digits of a fax number -> its fate; "" for all others."""

TEXT_FATES: dict[str, tuple[Step, ...]] = {
    "": (_step("Sent", minutes=0.1), _step("Delivered", minutes=0.5)),
    "04": (_step("Failed", minutes=0.1, errorCode="invalid_number"),),
    "06": (_step("Sent", minutes=0.1), _step("Expired", minutes=2880)),
}
"""The same for text messages."""

_ENDS = frozenset({"Delivered", "Failed", "Sent", "Expired", "Cancelled"})
ACKNOWLEDGED_AFTER = timedelta(hours=30)
NEVER_ACKNOWLEDGES = "09"


@dataclass
class Receipt:
    """A receipt that was asked for."""

    asked_at: datetime
    remind_after_days: int


@dataclass
class Job:
    """A job, or an incoming fax.

    Attributes:
        kind: `Fax`, `PCIFax`, `SecureFax`, `SMS`.
        content: as KPN keeps it; empty once it is deleted.
        is_new: of an incoming fax, whether it stands on the list of new ones.
    """

    jobid: str
    kind: str
    targets: tuple[str, ...]
    made_at: datetime
    content: bytes = b""
    subject: str = ""
    is_incoming: bool = False
    is_new: bool = False
    deleted_at: datetime | None = None
    receipts: dict[str, Receipt] = field(default_factory=dict)

    def steps(self, target: str, now: datetime) -> list[Step]:
        """What was said of a target by now."""
        fates = TEXT_FATES if self.kind == "SMS" else FATES
        return [step for step in fates.get(target[-2:], fates[""]) if self.made_at + step.after <= now]

    def is_open(self, now: datetime) -> bool:
        return any(
            self.steps(target, now)[-1:] and self.steps(target, now)[-1].word not in _ENDS for target in self.targets
        )

    def events(self, now: datetime) -> list[tuple[datetime, dict[str, Any]]]:
        """The history, in order."""
        told = [(self.made_at, {"status": "Accepted"})]
        for target in self.targets:
            told += [
                (self.made_at + step.after, {"status": step.word, "target": target, **step.members})
                for step in self.steps(target, now)
            ]
            told += list(self._receipt_events(target))
        if self.deleted_at is not None:
            told.append((self.deleted_at, {"status": "Content deleted"}))
        return sorted((each for each in told if each[0] <= now), key=lambda each: each[0])

    def _receipt_events(self, target: str) -> Iterator[tuple[datetime, dict[str, Any]]]:
        receipt = self.receipts.get(target)
        if receipt is None:
            return
        yield receipt.asked_at, {"status": "Ack requested", "target": target}
        if receipt.remind_after_days:
            at = receipt.asked_at + timedelta(days=receipt.remind_after_days)
            yield at, {"status": "Ack reminded", "target": target}
        if not target.endswith(NEVER_ACKNOWLEDGES):
            yield receipt.asked_at + ACKNOWLEDGED_AFTER, {"status": "Acknowledged", "target": target}
