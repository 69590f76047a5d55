"""GET /quota/{mailbox}: how full the mailbox is, and when it will be. A full mailbox takes no receipts, and receipts are the evidence.

The document calls the numbers megabyte; its example (171,012 of 1,048,576) makes sense as KiB of one GiB only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from adapters.providers.calling import CallFailedError, Desk, Request
from adapters.providers.pec_massiva.answers import answer_of, fields_of, is_success
from ledger.observations import Arrival, Observation, UnreadableError

MAILBOX = "INBOX"
"""`You might use 'INBOX' to check the status of your main mailbox`."""

STEP_PERCENT = 5
"""Only a change of so much is a fact; the numbers of each hour are not."""
KEPT_DAYS = 30
_MAX_KIB = 2**52


class Usage(NamedTuple):
    """How full the mailbox is."""

    usage_kib: int
    limit_kib: int


def usage_of(answer: dict[str, Any]) -> Usage | None:
    """The numbers of an answer, if they are such numbers."""
    data = answer.get("data")
    said = [data.get(name) for name in ("usage", "limit")] if isinstance(data, dict) else []
    whole = [int(n) for n in said if isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < _MAX_KIB]
    return Usage(*whole) if len(whole) == 2 and whole[1] else None


def read(arrival: Arrival) -> Iterator[Observation]:
    """The step that the mailbox has reached: the same step again is nothing new.

    Raises:
        UnreadableError: an answer without these numbers.
    """
    answer = answer_of(arrival)
    if answer.get("success") is False or not is_success(arrival.status):
        return
    usage = usage_of(answer)
    if usage is None:
        msg = "an answer about the quota without usage and limit"
        raise UnreadableError(msg)
    percent = usage.usage_kib * 100 // usage.limit_kib // STEP_PERCENT * STEP_PERCENT
    yield Observation(
        type="account.setting_changed",
        about="account",
        identity=("quota", f"{percent} % of {usage.limit_kib} KiB"),
        texts={name: str(kib) for name, kib in usage._asdict().items()},
        numbers={"percent": min(percent, 100)},
        notes=("mailbox_quota",),
    )


def sweep(desk: Desk) -> None:
    """Ask how full the mailbox is; `desk.state` then says when it will be.

    Raises:
        CallFailedError: there is no answer with these numbers.
    """
    request = Request(operation="quota", method="GET", url=f"/quota/{MAILBOX}", may_send=False)
    answer = desk.call(request)
    usage = usage_of(fields_of(answer.body)) if answer.status == 200 and not answer.failure else None
    if usage is None:
        msg = f"GET /quota: {answer.failure or answer.status}"
        raise CallFailedError(msg)
    desk.admit(request, answer)
    history = [(datetime.fromisoformat(day), kib) for day, kib in desk.state.get("history", [])]
    history = _with(history, answer.at, usage.usage_kib)
    kept = [[day.isoformat(), kib] for day, kib in history]
    desk.state.update(forecast(history, usage, answer.at), history=kept)


def _with(history: Sequence[tuple[datetime, int]], at: datetime, kib: int) -> list[tuple[datetime, int]]:
    """The history with one more reading, at most one a day; what was before a cleaning up says nothing of growth."""
    kept = [(day, before) for day, before in history if at - day < timedelta(days=KEPT_DAYS) and before <= kib]
    return kept if kept and at - kept[-1][0] < timedelta(days=1) else [*kept, (at, kib)]


def forecast(history: Sequence[tuple[datetime, int]], usage: Usage, at: datetime) -> dict[str, Any]:
    """How full it is, how fast it grows, and when it is full; `full_at` is "" while it does not grow.

    Args:
        history: readings, the oldest first.
    """
    said: dict[str, Any] = {**usage._asdict(), "at": at.isoformat(), "per_day_kib": 0, "full_at": ""}
    days = (at - history[0][0]) / timedelta(days=1) if history else 0.0
    if days <= 0 or usage.usage_kib <= history[0][1]:
        return said
    per_day = (usage.usage_kib - history[0][1]) / days
    left_days = max(usage.limit_kib - usage.usage_kib, 0) / per_day
    if left_days < 36_500:  # later than that is never, and no date
        said["full_at"] = (at + timedelta(days=left_days)).isoformat(timespec="seconds")
    return {**said, "per_day_kib": round(per_day)}
