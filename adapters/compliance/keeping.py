"""What must be kept, and what need not be kept any longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Literal

from msgspec import Meta

from adapters import keeping
from adapters.compliance.contract import Column, ComplianceQuery, Context, CursorError, Parameters, Row
from adapters.compliance.deliveries import COLUMNS, Day, Found, Name, found, in_one_form, values
from adapters.keeping import Covering, Hold
from adapters.retaining import Carried, Retaining, erased
from ledger.errors import NotFoundError
from ledger.events import time_text
from projections.queries import MAX_PAGE
from projections.searching import Filters

# --- holds


class HoldAsked(Parameters, frozen=True):
    """Which hold.

    Attributes:
        hold: its id; empty: all in force.
    """

    hold: Annotated[str, Meta(max_length=36, description="id of a hold, or empty for all in force")] = ""


def _on_hold(context: Context, asked: HoldAsked, after: str) -> Iterator[Row]:
    begin, _, within = after.partition(".")
    if after and not begin.isdecimal():
        raise CursorError(after)
    shown = {hold.hold: hold for hold in keeping.holds(context.queries, context.tenant)}
    # A hold on somebody whose identity is protected covers what it covers, whether or not its value may be seen.
    for hold in keeping.holds(context.queries.seeing_protected(), context.tenant):
        if hold.position > context.position or hold.position < int(begin or 0) or asked.hold not in {"", hold.hold}:
            continue
        inner = within if str(hold.position) == begin else ""
        for view, cursor in _under(context, hold, inner):
            value, reason = shown[hold.hold].value, shown[hold.hold].reason
            told = (hold.hold, hold.scope, value or None, hold.placed_at, hold.floor or None, reason)
            yield Row((*told, *values(view)), f"{hold.position}.{cursor}")


def _under(context: Context, hold: Hold, after: str) -> Iterator[Found]:
    """The deliveries that a hold covers, each with the cursor that continues after it."""
    if hold.scope != "message" or not hold.value:
        yield from found(context, hold.filters() if hold.value else Filters(), after)
        return
    try:
        message = context.queries.message_row(context.tenant, hold.value).message
    except NotFoundError:
        return
    last = int(after) if after.isdecimal() else -1
    while page := context.queries.deliveries(context.tenant, message, last, MAX_PAGE):
        last = page[-1].recipient
        yield from (Found(view, str(view.recipient)) for view in page)


ON_HOLD = ComplianceQuery(
    name="on_hold",
    version=1,
    title="Deliveries on legal hold",
    counts="Each delivery that a hold in force covers, once for each such hold: oldest hold first, then newest message first, or for a "
    "hold on one message by recipient. A hold on a recipient, batch or label covers what came under it since it was placed, too. "
    "A hold whose value nobody can open any more covers everything.",
    parameters=HoldAsked,
    columns=(
        Column("hold", "id", "id of the hold"),
        Column("scope", "text", "what it is on: message, recipient, batch or label"),
        Column("value", "text", "what exactly it is on; empty: nobody can open that any more", personal=True),
        Column("placed_at", "time", "when it was placed"),
        Column("floor", "time", "before which it cannot be released; empty: at any time"),
        Column("reason", "text", "why it was placed", personal=True),
        *COLUMNS,
    ),
    rows=_on_hold,
)

# --- retention


class DueAsked(Parameters, frozen=True):
    """What is due by when.

    Attributes:
        by: UTC day or time; empty: now.
        provider, account: only this one; empty: all.
        show: `due`: only what nothing keeps; `kept`: only what something keeps; `all`.
    """

    by: Day = ""
    provider: Name = ""
    account: Name = ""
    show: Annotated[
        Literal["all", "due", "kept"], Meta(description="all, due: what nothing keeps, or kept: what something keeps")
    ] = "all"

    def __post_init__(self) -> None:
        """Bring the time into the one form that times have."""
        in_one_form(self, "by")


def _retention_due(context: Context, asked: DueAsked, after: str) -> Iterator[Row]:
    by = asked.by or time_text(context.now)
    retaining = Retaining(context.queries, context.tenant, context.position)
    covering = Covering(context.queries.seeing_protected(), context.tenant)
    bound = retaining.opened_before(by, asked.provider)
    if not bound:
        return
    filters = Filters(provider=asked.provider, account=asked.account, until=bound)
    for done, page in enumerate(_chunks(found(context, filters, after))):
        context.progress(done * MAX_PAGE, None)
        deliveries = [(view.message, view.recipient) for view, _ in page]
        gone = erased(context.queries.ledger.database, deliveries)
        holds = covering.of(deliveries)
        due = retaining.due([Carried(view.message, view.recipient, view.provider, view.opened_at) for view, _ in page])
        for (view, cursor), said in zip(page, due, strict=True):
            if not said or said.due_at > by or (view.message, view.recipient) in gone:
                continue
            on_hold = [f"hold {hold.hold}" for hold in holds[view.message, view.recipient]]
            notice = ("notice",) if said.notice > by else ()
            kept = (*on_hold, *(() if view.is_final else ("open",)), *notice)
            if asked.show in {"all", "kept" if kept else "due"}:
                told = (said.due_at, said.policy.keep, said.policy.label or None, said.applies_at, kept)
                yield Row((*told, *values(view)), cursor)


def _chunks(rows: Iterable[Found]) -> Iterator[list[Found]]:
    left = iter(rows)
    while chunk := list(islice(left, MAX_PAGE)):
        yield chunk


RETENTION_DUE = ComplianceQuery(
    name="retention_due",
    version=2,
    title="What a retention policy says is due, and what keeps it",
    counts="Deliveries whose term, counted from when the ledger first heard of their message, is over by the time asked for, under the "
    "policies in force now: of those for its labels the one that keeps it longest, else the one for its provider. Without a policy "
    "nothing is due; what was erased is not counted. What is on hold, has no final status yet, or is of a provider for which something "
    "was made to be due earlier within seven days before, is kept all the same, and says so. A message is removed as a whole, once "
    "nothing keeps any of its deliveries. Newest message first.",
    parameters=DueAsked,
    columns=(
        Column("due_at", "time", "when its term is over"),
        Column("keep", "text", "the term: so many years (y), months (m) or days (d)"),
        Column("label", "text", "the label that the policy is for; empty: all of the provider", personal=True),
        Column("applies_at", "time", "from when on it may be removed, as far as time goes"),
        Column(
            "kept_by",
            "list",
            "what keeps it: holds, `open` while it has no final status, `notice` before `applies_at`; empty: nothing does",
        ),
        *COLUMNS,
    ),
    rows=_retention_due,
)
