"""Facts in a few words, for tests of the fold."""

from __future__ import annotations

from typing import Any

from ledger.placing import CONTRADICTS
from projections.fold import Fact


def clock(time: str) -> str:
    """`9:05` on the day of the tests, as it stands in events."""
    hour, minute = time.split(":")
    return f"2026-03-02T{int(hour):02}:{minute}:00.000000Z"


def fact(name: str, kind: str, at: str = "", **said: Any) -> Fact:
    """One fact.

    Args:
        name: its event id.
        at: `9:05`, the provider's clock; "" when it gave no time.
        said: other fields; `seen` is our clock (10:00 if not given), `rival` the fact it contradicts.
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
    }
    return Fact(**(given | marks | said))
