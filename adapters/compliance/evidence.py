"""What is proven too little: weak evidence after a while, evidence that could still be had, and evidence about to be out of reach."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from adapters.compliance.contract import Column, ComplianceQuery, Context, Row
from adapters.compliance.deliveries import COLUMNS, Delivery, Span, rows, values
from adapters.forecasts import reach
from ledger.events import parse_time, read, time_text
from projections.grades import MISSING_TEXTS, Grade

# --- unproven

AN_HOUR = timedelta(hours=1)


class Unproven(Span, frozen=True):
    """Which of them.

    Attributes:
        below: of a final status, evidence of this grade or a higher one is enough.
        hours: how long the ledger must have known of the message.
        state: whether the status is final.
    """

    below: Annotated[
        Literal["E1", "E2", "E3", "E4", "E5"],
        Meta(description="of a final status, this grade or a higher one is enough"),
    ] = "E3"
    hours: Annotated[int, Meta(ge=0, le=87_600, description="at least so long ago first heard of")] = 72
    state: Annotated[Literal["any", "open", "final"], Meta(description="whether the status is final")] = "any"


def _unproven(context: Context, asked: Unproven, after: str) -> Iterable[Row]:
    before = time_text(context.now - timedelta(hours=asked.hours) + timedelta(microseconds=1))
    filters = replace(asked.filters(), until=min(asked.until or before, before))
    choices = [replace(filters, mark="open")] if asked.state != "final" else []
    if asked.state != "open":
        choices += [replace(filters, mark="final", grade=str(grade)) for grade in Grade if grade < asked.below]

    def tell(view: Delivery) -> list[tuple[Any, ...]]:
        age, evidence = context.now - parse_time(view.opened_at), view.evidence
        missing = tuple([missing.what for missing in evidence.missing])
        return [(*values(view), age // AN_HOUR, evidence.not_proven, missing)]

    return rows(context, choices, after, tell)


UNPROVEN = ComplianceQuery(
    name="unproven",
    version=1,
    title="Deliveries with too little evidence after some hours",
    counts="Deliveries of messages that the ledger first heard of at least so many hours ago and whose outcome is not proven now: the "
    "status is not final, whatever is proven of it, or it is final and its evidence has a grade below the one asked for. A well "
    "proven failure is not counted.",
    parameters=Unproven,
    columns=(
        *COLUMNS,
        Column("age_h", "integer", "whole hours since the ledger first heard of the message"),
        Column("not_proven", "list", "what the evidence does not prove"),
        Column("missing", "list", "what could be had and is not here"),
    ),
    rows=_unproven,
)

# --- missing

Missing = Annotated[
    str, Meta(pattern=f"^({'|'.join(MISSING_TEXTS)})?$", description="only this kind, or empty for all")
]


class MissingEvidence(Span, frozen=True):
    """Which of it.

    Attributes:
        what: only this kind of evidence; empty: any.
    """

    what: Missing = ""


_WHAT = (
    Column("missing", "text", "what is not here"),
    Column("meaning", "text", "the same in words"),
)


def _missing(context: Context, asked: MissingEvidence, after: str) -> Iterable[Row]:
    in_reach = reach(context.queries.ledger.database, context.tenant)

    def tell(view: Delivery) -> Iterator[tuple[Any, ...]]:
        for each in in_reach(view):
            if asked.what in {"", each.what}:
                yield (*values(view), each.what, MISSING_TEXTS[each.what], each.until or None)

    return rows(context, [replace(asked.filters(), mark="missing")], after, tell)


MISSING_RECEIPTS = ComplianceQuery(
    name="missing_receipts",
    version=1,
    title="Evidence that could be had and is not here",
    counts="One row for each receipt, report, statement or signed original that a delivery's channel gives and that is not held for its "
    "status now, whether or not it is late. What its channel never gives is not counted.",
    parameters=MissingEvidence,
    columns=(
        *COLUMNS,
        *_WHAT,
        Column("until", "time", "until when it can be fetched, as far as a forecast says"),
    ),
    rows=_missing,
)

# --- at risk


class AtRisk(Span, frozen=True):
    """How soon.

    Attributes:
        days: what can be fetched for no longer than this; what is already over is listed, too.
    """

    days: Annotated[int, Meta(ge=0, le=3_650, description="can be fetched for at most so many days")] = 14


class Threat(NamedTuple):
    """Why something cannot be fetched after a time."""

    until: str
    why: str


def _at_risk(context: Context, asked: AtRisk, after: str) -> Iterable[Row]:
    latest = time_text(context.now + timedelta(days=asked.days))
    in_reach = reach(context.queries.ledger.database, context.tenant)
    kept_for = cache(lambda account: _kept_for(context, account))

    def tell(view: Delivery) -> Iterator[tuple[Any, ...]]:
        for each in in_reach(view):
            threats = [Threat(each.until, "mailbox_full")] if each.until else []
            threats += _deleted(view, kept_for)
            if threats and (first := min(threats)).until <= latest:
                left = (parse_time(first.until) - context.now) / timedelta(days=1)
                yield (*values(view), each.what, MISSING_TEXTS[each.what], first.until, first.why, round(left, 2))

    return rows(context, [replace(asked.filters(), mark="missing")], after, tell)


def _deleted(view: Delivery, kept_for: Callable[[str], timedelta | None]) -> list[Threat]:
    """When the provider deletes what it holds of a delivery, where it told us how long it keeps it."""
    kept = kept_for(view.account) if view.provider == "kpn_cloud_fax" else None
    try:
        return [Threat(time_text(parse_time(view.opened_at) + kept), "provider_deletes")] if kept else []
    except OverflowError:
        return []


def _kept_for(context: Context, account: str) -> timedelta | None:
    """How long KPN Cloud Fax keeps what it holds, as the account's setting at KPN was last seen; None when nobody knows.

    Source: GET /retentionconfig, `lifetime`; that it counts days is our reading.
    """
    ledger = context.queries.ledger
    column, stream = ledger.position_column, f"account/{context.tenant}/{account}"
    sql = (
        f"SELECT {column}, state FROM stored_events WHERE originator_id > ? AND originator_id < ? "
        f"AND topic = 'account.setting_changed/1' ORDER BY {column} DESC"
    )
    for position, state in ledger.database.read(sql, (f"{stream}/", f"{stream}0")):
        event = read(position, bytes(state))
        said = ledger.values([event]).get(position, {})
        if said.get("setting") == "retentionconfig" and "value" in said:
            return _lifetime(said["value"])
    return None


def _lifetime(value: str) -> timedelta | None:
    try:
        days = json.loads(value)["lifetime"]
        return timedelta(days=days) if type(days) is int and days > 0 else None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


AT_RISK = ComplianceQuery(
    name="at_risk",
    version=1,
    title="Missing evidence that soon cannot be fetched any more",
    counts="One row for each missing piece of evidence that can be fetched for no longer than the days asked for: because the mailbox it "
    "comes to is forecast to be full, or because the provider said how long it keeps what it holds (KPN Cloud Fax, its setting "
    "read as days since the ledger heard of the message). Where neither is known, nothing is counted.",
    parameters=AtRisk,
    columns=(
        *COLUMNS,
        *_WHAT,
        Column("until", "time", "until when it can be fetched"),
        Column("threat", "text", "mailbox_full or provider_deletes"),
        Column("days_left", "decimal", "days until then; below zero: over"),
    ),
    rows=_at_risk,
)
