"""Asks about the jobs of a message: its state, its history from where it was read last, and once it is worked off its details."""

from __future__ import annotations

from typing import Any

from adapters.providers.calling import Answer, CallFailedError, Desk, Request, Watched
from adapters.providers.kpn_cloud_fax import asking, bodies, wire
from adapters.providers.kpn_cloud_fax.bodies import counts, member
from ledger.observations import Arrival, ArrivalKind, UnreadableError

PAGE_ROWS = 50
MAX_PAGES = 200
MAX_CURSORS = 5_000
"""Jobs that go on for longest are forgotten first; their history is then read from its beginning, and brings nothing new."""

ENDS = frozenset(
    {"content.consigned", "content.consignment_failed", "relay.failed", "submission.cancelled", "submission.rejected"}
)


def poll(desk: Desk, watched: Watched) -> None:
    """Ask about each job of a message; one that fails does not hold up the others.

    Raises:
        CallFailedError: KPN did not answer for one of them.
    """
    is_text = bool(watched.recipients) and all(each.kind == "phone" for each in watched.recipients)
    failed: CallFailedError | None = None
    for jobid in watched.references.get("jobid", ()):
        try:
            _ask(desk, {"zone": asking.zone(desk), "channel": "sms" if is_text else "", "jobid": jobid})
        except CallFailedError as error:
            failed = error
    if failed is not None:
        raise failed


def _ask(desk: Desk, about: dict[str, Any]) -> None:
    status = asking.question("jobstatus", "/jobstatus", **about)
    answer = asking.answered(desk, status)
    desk.admit(status, answer)
    history(desk, about)
    if _is_worked_off(desk, status, answer):
        details = asking.question("jobdetails", "/jobdetails", **about)
        desk.admit(details, asking.answered(desk, details))


def _is_worked_off(desk: Desk, request: Request, answer: Answer) -> bool:
    arrival = Arrival(
        provider="kpn_cloud_fax",
        account=desk.account,
        operation=request.operation,
        kind=ArrivalKind.POLL,
        observed_at=answer.at,
        body=answer.body,
        status=answer.status,
        name=request.name,
    )
    try:
        seen = wire.parse(arrival)
    except UnreadableError:
        return False
    return all(one.type in ENDS for one in seen if one.about != "account")


def history(desk: Desk, about: dict[str, Any]) -> None:
    """Read on from the last page that held something; that page is read again, since it may have been filled up.

    Args:
        about: `jobid`, `zone` and `channel` of the question.

    Raises:
        CallFailedError: KPN did not answer.
    """
    cursors: dict[str, int] = desk.state.setdefault("history", {})
    jobid, before = about["jobid"], b""
    first = cursors.pop(jobid, 1)
    for page in range(first, first + MAX_PAGES):
        request = asking.question("jobhistory", "/jobhistory", **about, pagecount=PAGE_ROWS, page=page)
        answer = asking.answered(desk, request)
        rows, pages = _page(answer)
        if not rows or answer.body == before:  # whoever does not know pages gives the same one for ever
            break
        cursors[jobid] = page
        desk.admit(request, answer)
        if rows < PAGE_ROWS and page >= pages:
            break
        before = answer.body
    for oldest in list(cursors)[: max(0, len(cursors) - MAX_CURSORS)]:
        del cursors[oldest]


def _page(answer: Answer) -> tuple[int, int]:
    """How many events a page holds, and how many pages there are, as far as it says; an unreadable one is kept as one event."""
    arrival = Arrival(
        provider="kpn_cloud_fax",
        account="",
        operation="jobhistory",
        kind=ArrivalKind.POLL,
        observed_at=answer.at,
        body=answer.body,
    )
    try:
        body, _ = bodies.read(arrival, "events")
        events = member(body, "events")
    except UnreadableError:
        return 1, 1
    return len(events) if isinstance(events, list) else 1, counts(body, "list_pages").get("list_pages", 1)
