"""Until when missing evidence can still be fetched, as far as an account's sweeps know; it changes by itself, so no read model holds it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from ledger.database import Reads
from ledger.events import time_text
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
    full_at = functools.cache(lambda account: _full_at(reads, tenant, account))
    return lambda view: _with_term(view, full_at(view.account)) if _is_in_the_mailbox(view) else view


def _is_in_the_mailbox(view: DeliveryView) -> bool:
    """Whether anything is missing for which a term may be told."""
    return any(m.what in IN_THE_MAILBOX and not m.until for m in view.evidence.missing)


def _full_at(reads: Reads, tenant: str, account: str) -> str:
    sql = "SELECT state FROM jobs WHERE tenant = ? AND account = ? AND job = ?"
    found = reads.read(sql, (tenant, account, QUOTA))
    try:
        said = msgspec.json.decode(found[0][0], type=_State).full_at if found else ""
        return time_text(datetime.fromisoformat(said)) if said else ""
    except (msgspec.DecodeError, ValueError):
        return ""


def _with_term(view: DeliveryView, full_at: str) -> DeliveryView:
    missing = tuple(
        msgspec.structs.replace(m, until=full_at) if full_at and m.what in IN_THE_MAILBOX and not m.until else m
        for m in view.evidence.missing
    )
    return msgspec.structs.replace(view, evidence=msgspec.structs.replace(view.evidence, missing=missing))
