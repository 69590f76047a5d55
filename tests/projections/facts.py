"""Facts in a few words, for tests of the fold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.events import time_text
from ledger.placing import CONTRADICTS
from projections.facts import Fact


def clock(time: str) -> str:
    """`9:05` on the day of the tests, as it stands in events; `33:05` on the next."""
    hour, minute = map(int, time.split(":"))
    return time_text(datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hour, minutes=minute))


def fact(name: str, kind: str, at: str = "", **said: Any) -> Fact:
    """One fact.

    Args:
        name: its event id.
        at: `9:05`, the provider's clock; "" when it gave no time.
        said: other fields; it came by webhook if nothing else is said. `seen` is our clock (10:00 if not given), `rival` the fact
            it contradicts.
    """
    seen = clock(said.pop("seen", "10:00"))
    rival = said.pop("rival", "")
    marks = {"notes": (CONTRADICTS,), "events": (rival,)} if rival else {}
    scope = said.pop("scope", "recipient")
    given: dict[str, Any] = {
        "event_id": name,
        "position": sum(name.encode()),
        "type": kind,
        "scope": scope,
        "about": "batch" if scope == "batch" else "recipient" if scope == "recipient" else "message",
        "occurred_at": clock(at) if at else "",
        "zone": "stated" if at else "",
        "observed_at": seen,
        "code": "",
        "reason": "",
        "provider": "kpn_sms",
        "arrival": "webhook",
    }
    return Fact(**(given | marks | said))
