"""Until when missing evidence can still be fetched, as far as an account's sweeps know; it changes by itself, so no read model holds it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from ledger.database import Reads
from ledger.events import time_text
from projections.grades import Evidence, Missing
from projections.views import DeliveryView

QUOTA = "quota"
"""The sweep that watches how full a mailbox is; its state holds `full_at`."""
IN_THE_MAILBOX = frozenset({"signed_original", "delivery_receipt"})
"""What of `projections.grades.MISSING_TEXTS` is fetched from the mailbox, or never."""


class _State(msgspec.Struct):
    full_at: str = ""


def with_terms(reads: Reads, tenant: str, views: Sequence[DeliveryView]) -> tuple[DeliveryView, ...]:
    """The deliveries with the time by which what is missing must be fetched, where a forecast says when the mailbox is full."""
    return tuple(map(fetchable(reads, tenant), views))


def fetchable(reads: Reads, tenant: str) -> Callable[[DeliveryView], DeliveryView]:
    """What `with_terms` does, for one delivery after the other; each account's forecast is read once."""
    until = reach(reads, tenant)

    def told(view: DeliveryView) -> DeliveryView:
        missing = until(view)
        if missing is view.evidence.missing:
            return view
        return msgspec.structs.replace(view, evidence=msgspec.structs.replace(view.evidence, missing=missing))

    return told


class _Judged(Protocol):
    """A delivery of whichever kind."""

    @property
    def account(self) -> str: ...
    @property
    def evidence(self) -> Evidence: ...


def reach(reads: Reads, tenant: str) -> Callable[[_Judged], tuple[Missing, ...]]:
    """What of a delivery's evidence is missing, with the time by which it must be fetched; each account's forecast is read once."""
    full_at = functools.cache(lambda account: _full_at(reads, tenant, account))

    def until(view: _Judged) -> tuple[Missing, ...]:
        missing = view.evidence.missing
        return _with_term(missing, full_at(view.account)) if any(map(_is_in_the_mailbox, missing)) else missing

    return until


def _is_in_the_mailbox(missing: Missing) -> bool:
    """Whether a term may be told of it."""
    return missing.what in IN_THE_MAILBOX and not missing.until


def _full_at(reads: Reads, tenant: str, account: str) -> str:
    sql = "SELECT state FROM jobs WHERE tenant = ? AND account = ? AND job = ?"
    found = reads.read(sql, (tenant, account, QUOTA))
    try:
        said = msgspec.json.decode(found[0][0], type=_State).full_at if found else ""
        return time_text(datetime.fromisoformat(said)) if said else ""
    except (msgspec.DecodeError, ValueError):
        return ""


def _with_term(missing: Sequence[Missing], full_at: str) -> tuple[Missing, ...]:
    return tuple(
        msgspec.structs.replace(each, until=full_at) if full_at and _is_in_the_mailbox(each) else each
        for each in missing
    )
