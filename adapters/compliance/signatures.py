"""Where a signature that should hold does not: on originals that wait, on originals that deliveries rest on, and on webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from adapters.compliance.contract import Column, ComplianceQuery, Context, CursorError, Row
from adapters.compliance.deliveries import Delivery, Span, rows
from adapters.compliance.finding import lane_items, position_of
from adapters.providers.pec_mailbox.verdicts import holds
from ledger.events import Event
from projections.grades import ABSENT, WRONG
from projections.lanes import SETTLED
from projections.queries import MAX_PAGE

_VERDICTS = {WRONG: "wrong", ABSENT: "absent"}


class SignatureFailures(Span, frozen=True):
    """Which of them; `since` and `until` bound when the item, message or webhook was first heard of.

    Attributes:
        verdict: `wrong`: it proves wrong; `absent`: there is none, or it cannot be judged; `refused`: a webhook's, one or the other.
    """

    verdict: Annotated[Literal["any", "wrong", "absent", "refused"], Meta(description="what is the matter with it")] = (
        "any"
    )


def _failures(context: Context, asked: SignatureFailures, after: str) -> Iterator[Row]:
    """Each place for itself, one after the other; a cursor begins with the name of the place."""
    places = list(_PLACES)
    place, colon, rest = after.partition(":") if after else (places[0], ":", "")
    if place not in _PLACES or not colon:
        raise CursorError(after)
    for name in places[places.index(place) :]:
        for row in _PLACES[name](context, asked, rest if name == place else ""):
            if asked.verdict in {"any", row.values[_VERDICT_AT]}:
                yield Row(row.values, f"{name}:{row.cursor}")


def _waiting(context: Context, asked: SignatureFailures, after: str) -> Iterator[Row]:
    """Originals that told nothing because of it."""
    for item in lane_items(context, ["open", *SETTLED.values()], position_of(after)):
        if item.lane == "unverified" and item.is_asked(asked):
            checks = tuple(item.event.fields.get("notes", ()))
            verdict = "wrong" if holds(checks) is False else "absent"
            where = ("lane", item.item, None, item.provider, item.account, item.opened_at)
            yield Row((*where, verdict, item.why, checks, item.originals, item.state), str(item.event.position))


def _resting(context: Context, asked: SignatureFailures, after: str) -> Iterable[Row]:
    """Originals that a delivery's status rests on all the same."""

    def tell(view: Delivery) -> Iterator[tuple[Any, ...]]:
        failed = _standing(context, view)
        said = context.queries.ledger.values(failed)
        for event in failed:
            fields, why = event.fields, str(said.get(event.position, {}).get("text", ""))
            where = ("delivery", view.message, view.recipient, view.provider, view.account, view.opened_at)
            checks, originals = tuple(fields.get("notes", ())), tuple(fields.get("artifacts", ()))
            yield (*where, _VERDICTS[fields["rule"]], why, checks, originals, view.status)

    marks = ("signature.wrong", "signature.absent")
    return rows(context, [replace(asked.filters(), mark=mark) for mark in marks], after, tell)


def _standing(context: Context, view: Delivery) -> Sequence[Event]:
    """The verdicts on the delivery's originals that are bad and that no later verdict replaced."""
    judged = [context.queries.ledger.event(r.position) for r in view.reasons if r.type == "evidence.verified"]
    replaced = {event_id for event in judged for event_id in event.fields.get("events", ())}
    return [event for event in judged if event.fields.get("rule") in _VERDICTS and event.id not in replaced]


def _refused(context: Context, asked: SignatureFailures, after: str) -> Iterator[Row]:
    """Webhooks that were not let in."""
    sql = (
        "SELECT quarantine_id, account, received_at, why FROM quarantine "
        "WHERE tenant = ? AND quarantine_id > ? ORDER BY quarantine_id LIMIT ?"
    )
    reads = context.queries.ledger.database
    providers = dict(reads.read("SELECT account, provider FROM accounts WHERE tenant = ?", (context.tenant,)))
    while page := reads.read(sql, (context.tenant, after, MAX_PAGE)):
        for quarantine_id, account, received_at, why in page:
            provider = providers.get(account, "")
            is_asked = asked.account in {"", account} and asked.provider in {"", provider}
            if is_asked and asked.since <= received_at and (not asked.until or received_at < asked.until):
                where = ("quarantine", quarantine_id, None, provider, account, received_at)
                yield Row((*where, "refused", why, (), (), "kept"), quarantine_id)
        after = page[-1][0]


_PLACES: dict[str, Callable[[Context, SignatureFailures, str], Iterable[Row]]] = {
    "lane": _waiting,
    "delivery": _resting,
    "quarantine": _refused,
}

_COLUMNS = (
    Column(
        "place", "text", "lane: it waits or waited for a person; delivery: a status rests on it; quarantine: a webhook"
    ),
    Column("id", "id", "of the item, the message, or the webhook kept beside the log"),
    Column("recipient", "integer", "index of the recipient, of a delivery"),
    Column("provider", "text", "from whom"),
    Column("account", "text", "our account there"),
    Column("opened_at", "time", "when the item, message or webhook was first heard of"),
    Column("verdict", "text", "wrong, absent, or refused (a webhook; `why` says which)"),
    Column("why", "text", "what was found; may quote a certificate", personal=True),
    Column("checks", "list", "the single verdicts"),
    Column("originals", "list", "ids of the originals"),
    Column("state", "text", "of the item; the delivery's status; kept, of a webhook"),
)
_VERDICT_AT = [column.name for column in _COLUMNS].index("verdict")

SIGNATURE_FAILURES = ComplianceQuery(
    name="signature_failures",
    version=1,
    title="Signatures that prove wrong or are absent",
    counts="One row for each original whose signature proves wrong or is absent and that waits or waited in a lane, one for each such "
    "original that the status of a delivery rests on with no better one beside it, and one for each webhook in the quarantine, "
    "which keeps them for some days only. A verdict that a later one replaced is not counted.",
    parameters=SignatureFailures,
    columns=_COLUMNS,
    rows=_failures,
)
