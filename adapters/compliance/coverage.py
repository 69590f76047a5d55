"""Whether everything that was asked for is accounted for: against the provider's own lists, and step by step up to final evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, Protocol

from msgspec import Meta

from adapters import sending
from adapters.accounts import Account, Accounts
from adapters.compliance import scan
from adapters.compliance.contract import Column, ComplianceQuery, Context, Row
from adapters.compliance.deliveries import COLUMNS, Span, found, values
from adapters.compliance.reconciled import Known, Run, runs
from adapters.jobs.rows import said
from adapters.providers import registry
from ledger.errors import ConfigurationError, NotFoundError
from projections.fold import Milestone, Reason
from projections.grades import Evidence, Grade
from projections.searching import Filters, moment
from projections.status import stories

RECONCILE = "reconcile"
"""The sweep of a provider that compares its list with ours."""
Month = Annotated[
    str, Meta(pattern=r"^(\d{4}-(0[1-9]|1[0-2]))?$", description="UTC month, as in 2026-03, or empty for all")
]

# --- the provider's lists


def _reconciliations(context: Context, asked: Span, after: str) -> Iterator[Row]:
    return scan.onwards(_accounts(context, asked), after)


def _accounts(context: Context, asked: Span) -> Iterator[Row]:
    accounts = Accounts(context.queries.ledger)
    for account in accounts.list(context.tenant):
        if asked.account in {"", account.account} and asked.provider in {"", account.provider}:
            months = list(_months(context, account, asked))
            yield from months or [_row(account, "", _Compared(), _why_not(context, accounts, account))]


class _Compared:
    """What the comparisons of a month found, each reference once."""

    def __init__(self) -> None:
        self.runs = self.cut = 0
        self.last = ""
        self.numbers: Counter[str] = Counter()
        self.only_ours: set[str] = set()
        self.only_theirs: set[str] = set()

    def add(self, run: Run) -> None:
        self.runs += 1
        self.cut += run.is_cut
        self.last = run.at
        self.numbers.update(run.numbers)
        self.only_ours.update(run.only_ours)
        self.only_theirs.update(run.only_theirs)


def _months(context: Context, account: Account, asked: Span) -> Iterator[Row]:
    found: dict[str, _Compared] = {}
    days = (asked.since[:10], f"{asked.until[:10]}~")
    for run in runs(context.queries.ledger, context.tenant, account.account, context.position, days):
        if run.at >= asked.since and (not asked.until or run.at < asked.until):
            found.setdefault(run.at[:7], _Compared()).add(run)
    return (_row(account, month, compared, "") for month, compared in sorted(found.items()))


def _row(account: Account, month: str, compared: _Compared, why: str) -> Row:
    counts = (compared.runs, *(compared.numbers[name] for name in ("ours", "theirs", "both")))
    differences = (len(compared.only_ours), len(compared.only_theirs), compared.cut)
    told = (account.account, account.provider, month or None, *counts, *differences, compared.last or None, why or None)
    return Row(told, f"{account.account}/{month}")


def _why_not(context: Context, accounts: Accounts, account: Account) -> str:
    """Why nothing was compared, and what would change that."""
    provider = registry().get(account.provider)
    client = provider.client if provider else None
    sweep = next((each for each in client.sweeps if each.name == RECONCILE), None) if client else None
    if provider is None or client is None or sweep is None:
        return "the provider has no list to compare with"
    try:
        access = accounts.access(context.tenant, account.account, context.now)
        sending.check_secrets(client, access, account.account)
    except (ConfigurationError, NotFoundError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  of this account only, for example a credential that cannot be opened
        return said(error)
    if sweep.setting and not getattr(access.settings, sweep.setting, None):
        how = f"delivery-ledger accounts configure {account.account} --set {sweep.setting}=VALUE"
        return f"{sweep.setting} is not set; {how}"
    return f"nothing was compared in this time; delivery-ledger jobs run {RECONCILE} --account {account.account}"


RECONCILIATION_COVERAGE = ComplianceQuery(
    name="reconciliation_coverage",
    version=1,
    title="How far accounts were compared with their providers' lists",
    counts="Comparisons (reconciliation.completed) by account and by the month in which they were made, since and until which bound it. "
    "What one side lacks is counted once a month, however often it was compared; of a comparison with more than 1,000 "
    "differences on a side, only the named ones. An account without a comparison has one row that says why.",
    parameters=Span,
    columns=(
        Column("account", "text", "our account"),
        Column("provider", "text", "who was asked"),
        Column("month", "text", "in which it was compared, UTC; empty: it was not"),
        Column("runs", "integer", "comparisons"),
        Column("held", "integer", "references that the ledger held, summed over the comparisons"),
        Column("listed", "integer", "entries of the provider's lists, summed"),
        Column("both", "integer", "references on both sides, summed"),
        Column("only_here", "integer", "different references that the ledger held and the provider did not list"),
        Column("only_there", "integer", "different references that the provider listed and the ledger did not hold"),
        Column("cut_off", "integer", "comparisons in which the provider's list ended early, so less was compared"),
        Column("last_run", "time", "the last comparison"),
        Column("why_not", "text", "why nothing was compared, and what would change that"),
    ),
    rows=_reconciliations,
)

# --- step by step


class _Told(Protocol):
    """What a step is judged by: of `projections.fold.Folded` and of `projections.views.DeliveryView`."""

    @property
    def is_final(self) -> bool: ...
    @property
    def milestones(self) -> dict[str, Milestone]: ...
    @property
    def reasons(self) -> tuple[Reason, ...]: ...
    @property
    def evidence(self) -> Evidence: ...


class Steps(NamedTuple):
    """How far one delivery came."""

    requested: bool
    accepted: bool
    known: bool
    final: bool
    proven: bool
    signed: bool


def _steps(told: _Told, *, is_listed: bool) -> Steps:
    grade, is_accepted = told.evidence.grade, "accepted" in told.evidence.proven
    final = told.is_final
    return Steps(
        requested="requested" in told.milestones,
        accepted=is_accepted,
        known=is_accepted and is_listed,
        final=final,
        proven=final and grade >= Grade.E3,
        signed=final and grade >= Grade.E4,
    )


GAPS: dict[str, Callable[[Steps], bool]] = {
    "not_requested": lambda steps: not steps.requested,
    "not_accepted": lambda steps: not steps.accepted,
    "not_known": lambda steps: steps.accepted and not steps.known,
    "not_final": lambda steps: not steps.final,
    "not_proven": lambda steps: steps.final and not steps.proven,
    "not_signed": lambda steps: steps.proven and not steps.signed,
}
"""Difference -> whether a delivery is behind it."""
_MARKS = {"not_final": "open", "not_proven": "final", "not_signed": "final"}
"""Difference -> the mark that each delivery behind it bears, so that the others need not be looked at."""
Gap = Annotated[
    Literal["not_requested", "not_accepted", "not_known", "not_final", "not_proven", "not_signed"],
    Meta(description="a difference, as the query completeness names it"),
]


class _Lists:
    """What the providers' lists say of the messages of each account, read when it is first asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, Known] = {}

    def lists(self, account: str, streams: Collection[str], at: str) -> bool:
        if account not in self._known:
            ledger, tenant = self._context.queries.ledger, self._context.tenant
            compared = list(runs(ledger, tenant, account, self._context.position))
            self._known[account] = Known(ledger, tenant, account, compared)
        return self._known[account].lists(streams, at)


def _earliest(told: _Told, opened_at: str) -> str:
    return min((reason.at for reason in told.reasons), default=opened_at)


def _completeness(context: Context, asked: Span, after: str) -> Iterator[Row]:
    lists, groups = _Lists(context), dict[tuple[str, str, str], Counter[str]]()
    for page in scan.pages(context, asked):
        told = stories(context.queries.ledger.database, [seen.message for seen in page])
        for seen in page:
            at = _earliest(seen.folded, seen.opened_at)
            is_listed = lists.lists(seen.account, told[seen.message].messages, at)
            steps = _steps(seen.folded, is_listed=is_listed)
            counted = groups.setdefault((seen.provider, seen.account, seen.opened_at[:7]), Counter())
            counted["deliveries"] += 1
            counted.update(name for name, holds in steps._asdict().items() if holds)
            counted.update(gap for gap, is_behind in GAPS.items() if is_behind(steps))
    names = ("deliveries", *Steps._fields, *GAPS)
    rows = (
        Row((*group, *(counted[name] for name in names)), "/".join(group)) for group, counted in sorted(groups.items())
    )
    yield from scan.onwards(rows, after)


COMPLETENESS = ComplianceQuery(
    name="completeness",
    version=1,
    title="From asked for to proven: what is accounted for, and what is not",
    counts="Deliveries by provider, account and the month (UTC) in which the ledger first heard of their message, and how many of them "
    "reached each step. Each difference is the number of deliveries that completeness_gap lists for it: not_requested = "
    "deliveries - requested, not_accepted = deliveries - accepted, not_known = accepted - known, not_final = deliveries - final, "
    "not_proven = final - proven, not_signed = proven - signed. A message without a known recipient has no delivery.",
    parameters=Span,
    columns=(
        Column("provider", "text", "who carries it"),
        Column("account", "text", "our account there"),
        Column("month", "text", "in which the ledger first heard of the message, UTC"),
        Column("deliveries", "integer", "all that the ledger knows of"),
        Column("requested", "integer", "declared by the sender, or sent from here"),
        Column("accepted", "integer", "the provider took charge, by its own words or because of what it said later"),
        Column(
            "known",
            "integer",
            "accepted, and not missed by the last comparison that covers its earliest fact and names all it missed",
        ),
        Column("final", "integer", "with a final status"),
        Column("proven", "integer", "with a final status and evidence of grade E3 or more"),
        Column("signed", "integer", "with a final status and evidence of grade E4 or more"),
        Column("not_requested", "integer", "heard of from the provider only"),
        Column("not_accepted", "integer", "of which nothing proves that the provider took charge"),
        Column("not_known", "integer", "accepted, and not found on a list of the provider"),
        Column("not_final", "integer", "without a final status"),
        Column("not_proven", "integer", "with a final status and evidence below E3"),
        Column("not_signed", "integer", "with a final status and evidence of grade E3, unsigned"),
    ),
    rows=_completeness,
)


class GapAsked(Span, frozen=True):
    """Which difference is opened; the others as completeness was asked with.

    Attributes:
        gap: a column of the query completeness that begins with `not_`.
        month: only messages first heard of in it; empty: all.
    """

    gap: Gap = "not_final"
    month: Month = ""

    def filters(self) -> Filters:
        found = replace(super().filters(), mark=_MARKS.get(self.gap, ""))
        if not self.month:
            return found
        begin, end = moment("month", f"{self.month}-01"), _following(self.month)
        until = min(filter(None, (self.until, end)), default="")
        return replace(found, since=max(self.since, begin), until=until)


def _following(month: str) -> str:
    """When the month after it begins; "" for the last month there is."""
    year, number = int(month[:4]), int(month[5:])
    return "" if month == "9999-12" else moment("month", f"{year + number // 12:04}-{number % 12 + 1:02}-01")


def _behind(context: Context, asked: GapAsked, after: str) -> Iterator[Row]:
    lists, is_behind = _Lists(context), GAPS[asked.gap]
    for view, cursor in found(context, asked.filters(), after):
        is_listed = False
        if asked.gap == "not_known":
            streams = stories(context.queries.ledger.database, [view.message])[view.message].messages
            is_listed = lists.lists(view.account, streams, _earliest(view, view.opened_at))
        if is_behind(_steps(view, is_listed=is_listed)):
            yield Row(values(view), cursor)


COMPLETENESS_GAP = ComplianceQuery(
    name="completeness_gap",
    version=1,
    title="The deliveries behind a difference of the query completeness",
    counts="The deliveries that the query completeness counts in one of its columns that begin with not_, newest message first.",
    parameters=GapAsked,
    columns=COLUMNS,
    rows=_behind,
)
