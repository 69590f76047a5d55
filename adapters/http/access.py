"""Who looked is known: look-ups are gathered and written as events in the stream of the acting key and day.

Gathered per actor, kind, reason and quarter of an hour. That somebody looked at a message is written within seconds of the first look,
so that a process that dies takes no more with it; how often it was looked at again, when the quarter is over. One event names up to 400
messages; what hands out originals is written before they leave. Never in the message's own stream: looking changes nothing there.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from adapters.accounts import Accounts

QUARTER_MINUTES = 15
MAX_STREAMS = 400
MAX_NAMED = 10_000
"""Of one gathering; one that names more is written and begun again."""
MAX_KEPT = 100_000
"""Of all gatherings, they themselves counted: where each look has a reason of its own, there are as many. Above it all are written."""
AT_ONCE = frozenset({"original", "archive", "protected"})


class Looked(NamedTuple):
    """What is gathered together."""

    tenant: str
    actor: str
    kind: str
    reason: str
    quarter: str


@dataclass(slots=True)
class _Looks:
    """The looks of one gathering, by message; "" is a list that names none.

    Attributes:
        since: of the first look that is not written yet.
        first: looks at messages that no event of this gathering names yet.
        again: looks at those that one names.
        named: messages that one names.
    """

    since: datetime
    first: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    named: set[str] = field(default_factory=set)

    def add(self, messages: Sequence[str], now: datetime) -> None:
        if not self.first:
            self.since = now
        for message in messages:
            (self.again if message in self.named else self.first)[message] += 1

    def take(self, *, everything: bool) -> Counter[str]:
        """What is to be written now, as if it were."""
        taken, self.first = self.first, Counter()
        self.named |= taken.keys()
        if everything:
            taken, self.again = taken + self.again, Counter()
        return taken


class AccessLog:
    """Gathers look-ups of one process; any number of threads may note.

    Args:
        first_s: longest that a first look waits to be written.

    Guarded by the lock: the look-ups gathered.
    """

    def __init__(self, accounts: Accounts, first_s: float = 5.0) -> None:
        self.accounts = accounts
        self._first = timedelta(seconds=first_s)
        self._lock = threading.Lock()
        self._gathered: dict[Looked, _Looks] = {}

    def note(  # noqa: PLR0917  the order is that of a sentence: whose, who, how, at what, why
        self, tenant: str, actor: str, kind: str, messages: Sequence[str] = (), artifact: str = "", reason: str = ""
    ) -> None:
        """Remember that somebody looked; where originals are handed out, it is durable when this returns.

        Args:
            messages: those that were shown; none: a list that does not say which.
        """
        if kind in AT_ONCE:
            named = {"artifacts": [artifact]} if artifact else {}
            self._record(tenant, actor, {"rule": f"access.{kind}", **named}, messages, reason)
            return
        now = self.accounts.ledger.clock()
        looked = Looked(tenant, actor, kind, reason, _quarter(now))
        with self._lock:
            looks = self._gathered.get(looked)
            if looks is None:
                looks = self._gathered[looked] = _Looks(now)
            looks.add(messages or [""], now)

    def flush(self, *, everything: bool = False) -> int:
        """Write first looks that waited long enough or fill an event, and all of quarters that are over, or when there is too much.

        Args:
            everything: also what is neither (when stopping).

        Returns:
            Events written.
        """
        now = self.accounts.ledger.clock()
        with self._lock:
            everything |= sum(1 + len(looks.named) for looks in self._gathered.values()) > MAX_KEPT
            due = sorted(looked for looked, looks in self._gathered.items() if self._is_due(looked, looks, now))
            due = sorted(self._gathered) if everything else due
        return sum(self._write(looked, everything=everything or _is_over(looked, now)) for looked in due)

    def _is_due(self, looked: Looked, looks: _Looks, now: datetime) -> bool:
        is_full = len(looks.first) >= MAX_STREAMS or len(looks.named) > MAX_NAMED
        return _is_over(looked, now) or is_full or (bool(looks.first) and now - looks.since >= self._first)

    def _write(self, looked: Looked, *, everything: bool) -> int:
        """Write looks of one gathering; what could not be written is kept for the next time."""
        with self._lock:
            looks = self._gathered[looked]
            is_whole = everything or len(looks.named) > MAX_NAMED
            counted = looks.take(everything=is_whole)
            if is_whole:
                del self._gathered[looked]
        written = 0
        streams = sorted(stream for stream in counted if stream)
        parts = [streams[i : i + MAX_STREAMS] for i in range(0, len(streams), MAX_STREAMS)]
        try:
            for part in [*parts, *([[]] if counted[""] else [])]:
                clear = {"rule": f"access.{looked.kind}", "numbers": {"looks": sum(counted[s] for s in part or [""])}}
                self._record(looked.tenant, looked.actor, clear, part, looked.reason)
                written += 1
                for stream in part or [""]:
                    del counted[stream]
        except BaseException:
            with self._lock:
                kept = self._gathered.setdefault(looked, _Looks(looks.since))
                kept.first += counted
                kept.named -= counted.keys()
            raise
        return written

    def _record(self, tenant: str, actor: str, clear: dict[str, Any], streams: Sequence[str], reason: str) -> None:
        named = {"streams": list(streams)} if streams else {}
        self.accounts.record("access.recorded", tenant, actor, actor, {**clear, **named}, reason)


def _is_over(looked: Looked, now: datetime) -> bool:
    return looked.quarter < _quarter(now)


def _quarter(at: datetime) -> str:
    return _begun(at.replace(minute=at.minute - at.minute % QUARTER_MINUTES, second=0, microsecond=0))


@functools.lru_cache(maxsize=16)
def _begun(at: datetime) -> str:
    return at.isoformat()
