"""Reconciliation: a provider's list of what it has against the references that the ledger holds.

It finds what neither side would tell by itself: a send that we hold and the provider never heard of, and one at the provider that
never came through the ledger. Each difference waits for a person, once; nothing is closed or corrected by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from adapters.providers.calling import Desk
from ledger.events import time_text
from ledger.streams import clean

MAX_ITEMS = 200
"""Differences of each side that one comparison puts before a person: a listing that is wrong as a whole must not drown the others."""
MAX_NAMED = 1_000
"""Of each side's differences that the event names; its numbers count all."""


class Reconciled(NamedTuple):
    """What a comparison found.

    Attributes:
        since, until: what was really compared; the same time twice when a listing was cut off at nothing.
        ours, theirs, both: how many.
        only_ours, only_theirs: values, sorted.
    """

    since: datetime
    until: datetime
    ours: int
    theirs: int
    both: int
    only_ours: tuple[str, ...]
    only_theirs: tuple[str, ...]


def reconcile(
    desk: Desk,
    kind: str,
    theirs: Mapping[str, datetime],
    since: datetime,
    until: datetime,
    *,
    is_cut: bool = False,
    is_secret: bool = False,
) -> Reconciled:
    """Compare a provider's list with what the ledger holds, record it, and put new differences before a person.

    Args:
        kind: of the references, as the provider's wire module names it, for example `jobid`.
        theirs: reference -> when the provider says it was sent, aware.
        since, until: the time that was asked for, aware; `until` itself is no longer in it.
        is_secret: such a reference opens something to whoever knows it; people are shown its beginning only.
        is_cut: the listing ended before its end: then only what lies between its earliest and its latest entry is compared.
    """
    listed = {value.strip(): at for value, at in theirs.items() if since <= at < until}
    if is_cut:
        since, until = min(listed.values(), default=since), max(listed.values(), default=since)
    held = desk.known(kind, since, until, listed)
    ours = held.keys() - listed.keys()
    both = held.keys() & listed.keys()
    found = Reconciled(
        since,
        until,
        ours=len(ours) + len(both),
        theirs=len(listed),
        both=len(both),
        only_ours=tuple(sorted(ours)),
        only_theirs=tuple(sorted(listed.keys() - both)),
    )
    _record(desk, kind, found, is_cut=is_cut)
    _wait(desk, kind, found.only_theirs, "theirs", is_secret=is_secret)
    _wait(desk, kind, found.only_ours, "ours", is_secret=is_secret)
    return found


SHOWN = 4
"""Characters of a secret reference that people are shown."""
WHY = {
    "theirs": "the provider lists it, and the ledger holds nothing of it",
    "ours": "the ledger holds it, and the provider does not list it",
}


def _record(desk: Desk, kind: str, found: Reconciled, *, is_cut: bool) -> None:
    numbers = {
        "ours": found.ours,
        "theirs": found.theirs,
        "both": found.both,
        "only_ours": len(found.only_ours),
        "only_theirs": len(found.only_theirs),
    }
    values = {
        "kind": kind,
        "since": time_text(found.since),
        "until": time_text(found.until),
        "only_ours": [clean(value) for value in found.only_ours[:MAX_NAMED]],
        "only_theirs": [clean(value) for value in found.only_theirs[:MAX_NAMED]],
    }
    notes = {"notes": ["listing_cut_off"]} if is_cut else {}
    desk.record("reconciliation.completed", {"numbers": numbers, **notes}, values)


def _wait(desk: Desk, kind: str, values: Collection[str], whose: str, *, is_secret: bool) -> None:
    """Put differences before a person, each once: what was dismissed does not come back."""
    for value in sorted(values)[:MAX_ITEMS]:
        shown = f"{value[:SHOWN]}…" if is_secret else value
        said = {"text": f"{kind} {shown}: {WHY[whose]}", "kind": kind, "value": value}
        desk.record("lane.opened", {"rule": "lane.difference"}, said, once=("difference", kind, value, whose))
