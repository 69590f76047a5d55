"""Who looked is known: look-ups are gathered and written as events in the stream of the acting key and day.

Gathered per actor, kind and quarter of an hour, one event names up to 400 messages; what hands out originals is written before they
leave. Never in the message's own stream: looking changes nothing there.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime
from typing import Any

from adapters.accounts import Accounts

QUARTER_MINUTES = 15
MAX_STREAMS = 400
AT_ONCE = frozenset({"original", "archive"})

Looked = tuple[str, str, str, str]
"""Tenant, API key, kind of access, quarter of an hour."""


class AccessLog:
    """Gathers look-ups of one process; any number of threads may note.

    Guarded by the lock: the look-ups gathered.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._lock = threading.Lock()
        self._gathered: dict[Looked, Counter[str]] = {}

    def note(self, tenant: str, actor: str, kind: str, message: str = "", artifact: str = "") -> None:
        """Remember that somebody looked; where originals are handed out, it is durable when this returns."""
        if kind in AT_ONCE:
            named = {"artifacts": [artifact]} if artifact else {}
            self._record(tenant, actor, {"rule": f"access.{kind}", **named}, [message] if message else [])
            return
        looked = (tenant, actor, kind, _quarter(self._accounts.ledger.clock()))
        with self._lock:
            self._gathered.setdefault(looked, Counter())[message] += 1

    def flush(self, *, everything: bool = False) -> int:
        """Write what was gathered in quarters that are over, and what fills an event.

        Args:
            everything: also what is neither (when stopping).

        Returns:
            Events written.
        """
        current = _quarter(self._accounts.ledger.clock())
        with self._lock:
            gathered = list(self._gathered.items())
        due = [k for k, counted in gathered if everything or k[3] < current or len(counted) >= MAX_STREAMS]
        return sum(self._write(looked) for looked in sorted(due))

    def _write(self, looked: Looked) -> int:
        with self._lock:
            counted = self._gathered.pop(looked)
        tenant, actor, kind, _ = looked
        streams = sorted(stream for stream in counted if stream)
        parts = [streams[i : i + MAX_STREAMS] for i in range(0, len(streams), MAX_STREAMS)] or [[]]
        if counted[""] and streams:
            parts.append([])
        for part in parts:
            looks = sum(counted[s] for s in part or [""])
            self._record(tenant, actor, {"rule": f"access.{kind}", "numbers": {"looks": looks}}, part)
        return len(parts)

    def _record(self, tenant: str, actor: str, clear: dict[str, Any], streams: list[str]) -> None:
        named = {"streams": streams} if streams else {}
        self._accounts.record("access.recorded", tenant, actor, actor, {**clear, **named})


def _quarter(at: datetime) -> str:
    return at.replace(minute=at.minute - at.minute % QUARTER_MINUTES, second=0, microsecond=0).isoformat()
