"""How deliveries ended, or did not: what did not arrive, what was late, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from adapters.compliance.contract import Column, ComplianceQuery, Context, Row
from adapters.compliance.deliveries import COLUMNS, Delivery, Name, Span, rows, values
from ledger.events import parse_time
from projections.deadlines import EXPECTATIONS, Deadline, State
from projections.rules import Status

# --- did not arrive


class Undelivered(Span, frozen=True):
    """Which of them.

    Attributes:
        which: only this status, or `all`.
    """

    which: Annotated[Literal["all", "failed", "refused", "expired"], Meta(description="only this status, or all")] = (
        "all"
    )


_UNDELIVERED = (Status.FAILED, Status.REFUSED, Status.EXPIRED)


def _undelivered(context: Context, asked: Undelivered, after: str) -> Iterable[Row]:
    wanted = _UNDELIVERED if asked.which == "all" else (asked.which,)
    choices = [replace(asked.filters(), status=str(status)) for status in wanted]
    return rows(context, choices, after, lambda view: [(*values(view), view.evidence.proven)])


UNDELIVERED = ComplianceQuery(
    name="undelivered",
    version=1,
    title="Deliveries that failed, were refused or expired",
    counts="Deliveries whose status is failed, refused or expired now. Not counted: cancelled by the sender, disputed, and those without "
    "a final status, however old.",
    parameters=Undelivered,
    columns=(*COLUMNS, Column("proven", "list", "what the evidence proves")),
    rows=_undelivered,
)

# --- late


class Late(Span, frozen=True):
    """Which of them.

    Attributes:
        state: `passed`: what was awaited is not there; `met_late`: it came after the deadline; or `any`.
        term: only this expectation; empty: all.
    """

    state: Annotated[
        Literal["any", "passed", "met_late"],
        Meta(description="passed: what was awaited is not there; met_late: it came after the deadline"),
    ] = "any"
    term: Name = ""


_MET_BY = {row.name: row.met_by for row in EXPECTATIONS}
_NO_PART = frozenset({"set_aside", "unattributed"})
_BEATEN = frozenset({"batch.own_later", "submission.taken_later"})
"""Effects and rules of facts that do not count for a delivery; see `projections.fold`."""


def met_at(view: Delivery, deadline: Deadline) -> str:
    """When what a deadline awaited happened; "" while it did not."""
    counted = (r for r in view.reasons if r.effect not in _NO_PART and r.rule not in _BEATEN)
    return min((r.at for r in counted if r.type in _MET_BY[deadline.name]), default="")


def _late(context: Context, asked: Late, after: str) -> Iterable[Row]:
    wanted = (State.PASSED, State.MET_LATE) if asked.state == "any" else (State(asked.state),)

    def tell(view: Delivery) -> Iterator[tuple[Any, ...]]:
        for deadline in view.deadlines:
            if deadline.state in wanted and asked.term in {"", deadline.name}:
                yield (*values(view), *_lateness(view, deadline, context.now))

    choices = [replace(asked.filters(), mark=f"deadline.{state}") for state in wanted]
    return rows(context, choices, after, tell)


def _lateness(view: Delivery, deadline: Deadline, now: datetime) -> tuple[Any, ...]:
    met = met_at(view, deadline) if deadline.state is State.MET_LATE else ""
    late = (parse_time(met) if met else now) - parse_time(deadline.breach_at)
    return (
        deadline.name,
        deadline.breach_at,
        str(deadline.state),
        met or None,
        int(late.total_seconds()),
        deadline.set_at,
    )


LATE = ComplianceQuery(
    name="late",
    version=1,
    title="Deadlines that passed, or were met late",
    counts="One row for each deadline of a delivery that was noted as passed while what was awaited is not there, or that was met after "
    "it. A deadline that is over and not yet noted, one that was met in time or became void, and a mere warning are not counted. "
    "Lateness is counted to the awaited fact, or to the time of asking while there is none.",
    parameters=Late,
    columns=(
        *COLUMNS,
        Column("term", "text", "what was expected"),
        Column("deadline", "time", "by when, on the clock of the fact that started the term"),
        Column("state", "text", "passed or met_late"),
        Column("met_at", "time", "when it happened after all"),
        Column("late_s", "integer", "seconds after the deadline"),
        Column("set_at", "integer", "position of the event by which the organisation set the term; 0: the table's own"),
    ),
    rows=_late,
)

# --- disputed


def _disputed(context: Context, asked: Span, after: str) -> Iterable[Row]:
    return rows(context, [replace(asked.filters(), status=str(Status.DISPUTED))], after, _contradiction)


def _contradiction(view: Delivery) -> list[tuple[Any, ...]]:
    deciding = [reason for reason in view.reasons if reason.effect == "decides"]
    rules = tuple(sorted({reason.rule for reason in deciding}))
    return [(*values(view), rules, tuple(f"{r.type} {r.at}" for r in deciding), tuple(r.event_id for r in deciding))]


DISPUTED = ComplianceQuery(
    name="disputed",
    version=1,
    title="Deliveries whose final facts contradict each other",
    counts="Deliveries whose status is disputed now. One that a person settled is not counted, until a later fact opens it again.",
    parameters=Span,
    columns=(
        *COLUMNS,
        Column("rules", "list", "by which rules they contradict each other"),
        Column("facts", "list", "the facts that do, with their times"),
        Column("events", "list", "their event ids"),
    ),
    rows=_disputed,
)
