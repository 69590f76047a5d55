"""What must be kept, and what need not be kept any longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal

from msgspec import Meta

from adapters import keeping
from adapters.compliance.contract import Column, ComplianceQuery, Context, CursorError, Parameters, Row
from adapters.compliance.deliveries import COLUMNS, Day, Found, Name, found, in_one_form, values
from adapters.keeping import Covering, Hold, Policy, due_at, found_under, label_digest, opened_before
from ledger.errors import NotFoundError
from ledger.events import time_text
from projections.queries import MAX_PAGE
from projections.searching import Filters
from projections.status import stories

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
    for hold in keeping.holds(context.queries, context.tenant):
        if hold.position > context.position or hold.position < int(begin or 0) or asked.hold not in {"", hold.hold}:
            continue
        inner = within if str(hold.position) == begin else ""
        for view, cursor in _under(context, hold, inner):
            told = (hold.hold, hold.scope, hold.value or None, hold.placed_at, hold.floor or None, hold.reason)
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


class _Policies:
    """The policies of a tenant, and which is for a delivery."""

    def __init__(self, context: Context) -> None:
        self._queries = context.queries
        self._plain: dict[str, Policy] = {}
        self._labelled: dict[str, dict[bytes, Policy]] = {}
        self.all = [
            each for each in keeping.policies(context.queries, context.tenant) if each.position <= context.position
        ]
        for each in self.all:
            if each.label:
                digest = label_digest(context.queries, context.tenant, each.label)
                self._labelled.setdefault(each.provider, {})[digest] = each
            else:
                self._plain[each.provider] = each

    def chosen(self, page: Sequence[Found]) -> list[Policy | None]:
        """Per delivery the one of its labels that keeps it longest, else its provider's."""
        bearing = [(view.message, view.recipient) for view, _ in page if view.provider in self._labelled]
        reads = self._queries.ledger.database
        names = found_under(reads, bearing, stories(reads, [message for message, _ in bearing]))
        return [
            max(
                (
                    policy
                    for digest, policy in self._labelled.get(view.provider, {}).items()
                    if digest in names[view.message, view.recipient]
                ),
                key=lambda policy: (due_at(view.opened_at, policy.keep), policy.position),
                default=self._plain.get(view.provider),
            )
            for view, _ in page
        ]


def _retention_due(context: Context, asked: DueAsked, after: str) -> Iterator[Row]:
    by = asked.by or time_text(context.now)
    policies, covering = _Policies(context), Covering(context.queries, context.tenant)
    terms = [each.keep for each in policies.all if asked.provider in {"", each.provider}]
    if not terms:
        return
    bound = max(opened_before(by, term) for term in terms)
    filters = Filters(provider=asked.provider, account=asked.account, until=bound)
    for done, page in enumerate(_chunks(found(context, filters, after))):
        context.progress(done * MAX_PAGE, None)
        holds = covering.of([(view.message, view.recipient) for view, _ in page])
        for (view, cursor), policy in zip(page, policies.chosen(page), strict=True):
            due = due_at(view.opened_at, policy.keep) if policy else ""
            if not policy or due > by:
                continue
            on_hold = [f"hold {hold.hold}" for hold in holds[view.message, view.recipient]]
            kept = (*on_hold, *(() if view.is_final else ("open",)))
            if asked.show in {"all", "kept" if kept else "due"}:
                yield Row((due, policy.keep, policy.label or None, kept, *values(view)), cursor)


def _chunks(rows: Iterable[Found]) -> Iterator[list[Found]]:
    left = iter(rows)
    while chunk := list(islice(left, MAX_PAGE)):
        yield chunk


RETENTION_DUE = ComplianceQuery(
    name="retention_due",
    version=1,
    title="What a retention policy says is due, and what keeps it",
    counts="Deliveries whose term, counted from when the ledger first heard of their message, is over by the time asked for, under the "
    "policies in force now: of those for its labels the one that keeps it longest, else the one for its provider. Without a policy "
    "nothing is due. What is on hold, or has no final status yet, is kept all the same, and says so. Newest message first.",
    parameters=DueAsked,
    columns=(
        Column("due_at", "time", "when its term is over"),
        Column("keep", "text", "the term: so many years (y), months (m) or days (d)"),
        Column("label", "text", "the label that the policy is for; empty: all of the provider", personal=True),
        Column("kept_by", "list", "what keeps it: holds, and `open` while it has no final status; empty: nothing does"),
        *COLUMNS,
    ),
    rows=_retention_due,
)
