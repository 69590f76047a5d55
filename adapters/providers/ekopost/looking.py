"""What is looked at by the clock: campaigns and their envelopes, text messages, invitations; and the comparison of both lists.

One list tells of all campaigns and one of all envelopes of a campaign, so lists are what is asked for, and what stands in for webhooks
that did not come; they also find what was not sent from here. What moved is then asked for by itself, so that an original tells of
one message alone and can be shown to its recipient; only of large campaigns the list itself is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from adapters.providers import reconciling
from adapters.providers.calling import Answer, CallFailedError, Desk, Request, Watched
from adapters.providers.ekopost import statuses
from adapters.providers.ekopost.objects import ID, fields_of, id_of
from adapters.providers.reading import json_value, text, time_iso
from ledger.observations import UnreadableError, ZoneBasis

TRACKED_EVERY = timedelta(hours=3)
OLD_EVERY = timedelta(days=1)
"""A campaign that is older than the window and not finished; mostly one that was left open."""
TRACKED_FOR = timedelta(days=60)
"""A registered letter is kept for collection for weeks, then it travels back."""
ONE_BY_ONE = 25
"""Envelopes of a campaign that are asked for each by itself."""
COMPARED = timedelta(days=7)
"""How far back both lists are compared, every day."""
SETTLING = timedelta(minutes=10)
"""What is younger may stand in one list and not yet in the other."""
MOVING = frozenset({"transferred"})
GOING_ON = frozenset({"transferred", "printed", "posted"})
ENDED = frozenset({"completed", "cancelled", "failed"})
WATCHED_HEADERS = ("api-version", "sunset", "deprecation")

_FINAL_TRACKING = frozenset(
    row.word
    for row in statuses.TRACKING
    if row.type in {"content.consigned", "content.consignment_failed", "consignment.rejected", "content.returned"}
)


def campaigns(desk: Desk) -> None:
    """Look at the campaigns of the window, at those that are not finished, and at the envelopes of those that moved.

    `desk.state["campaigns"]` holds, for each of them, its last state and when what was looked at.

    Raises:
        CallFailedError: the list was not to be had, or something of some campaigns was not.
    """
    listed = {id_of(each): each for each in _listed_campaigns(desk)}
    seen: dict[str, dict[str, str]] = desk.state.setdefault("campaigns", {})
    failed = 0
    for campaign in dict.fromkeys([*listed, *seen]):
        known, said = seen.get(campaign, {}), listed.get(campaign)
        is_waiting = said is None and desk.access.now - _when(known, "asked_at") < OLD_EVERY
        if known.get("settled") or is_waiting:
            continue
        try:
            seen[campaign] = _followed(desk, campaign, said, known)
        except CallFailedError:
            failed += 1
    for campaign in [c for c, known in seen.items() if known.get("settled") and c not in listed]:
        del seen[campaign]
    if failed:
        msg = f"{failed} of {len(listed)} campaigns could not be looked at"
        raise CallFailedError(msg)


def _followed(desk: Desk, campaign: str, listed: Mapping[str, Any] | None, known: Mapping[str, str]) -> dict[str, str]:
    """Look at a campaign, and at its envelopes, as far as they moved; what is remembered of it."""
    now = desk.access.now
    is_moved = listed is None or _is_moved(listed, known)
    is_overdue = listed is not None and _is_overdue(listed, now) and "overdue" not in known
    said = _looked_up(desk, campaign) if listed is None or is_moved or is_overdue else listed
    if said is None:
        return {"settled": "gone"}
    state = text(said.get("state"))
    remembered = {**known, "state": state, "changed": text(said.get("state_changed_at"))}
    remembered |= {"asked_at": now.isoformat()} if listed is None else {}
    remembered |= {"overdue": "told"} if is_overdue else {}
    is_due = state in MOVING or (state in ENDED and now - _when(known, "looked_at") >= TRACKED_EVERY)
    if not _is_moved(said, known) and not is_due:
        return remembered
    remembered["looked_at"] = now.isoformat()
    is_settled = all(map(_is_settled, _look_inside(desk, campaign)))
    if state in ENDED:
        remembered.setdefault("ended_at", now.isoformat())
        is_over = now - _when(remembered, "ended_at") > TRACKED_FOR
        remembered |= {"settled": state} if is_settled or is_over else {}
    return remembered


def _is_moved(said: Mapping[str, Any], known: Mapping[str, str]) -> bool:
    now, before = (
        (text(said.get("state")), text(said.get("state_changed_at"))),
        (known.get("state"), known.get("changed")),
    )
    return now != before


def _is_overdue(said: Mapping[str, Any], now: datetime) -> bool:
    """Whether it is open after its output date; the reader says what that means."""
    output = time_iso(text(said.get("output_date")), ZoneBasis.DOCUMENTED)
    return said.get("state") == "opened" and output is not None and output.at <= now


def _look_inside(desk: Desk, campaign: str) -> list[dict[str, Any]]:
    """Have the envelopes of a campaign in the ledger, each by itself where they are few."""
    request = _get("envelope", f"{_place(campaign)}/envelopes")
    answer = desk.call(request)
    items = _items(request, answer)
    if len(items) > ONE_BY_ONE:
        desk.admit(request, answer)
    else:
        for each in items:
            _admitted(desk, _get("envelope", f"{_place(campaign)}/envelopes/{id_of(each)}"))
    _find_rescheduled(desk, campaign, items)
    return items


def _when(known: Mapping[str, str], what: str) -> datetime:
    return datetime.fromisoformat(known[what]) if what in known else datetime.min.replace(tzinfo=UTC)


def _is_settled(envelope: Mapping[str, Any]) -> bool:
    """Whether nothing more will be said of an envelope of a campaign that ended."""
    is_tracked = text(envelope.get("postage")) == "rek" and text(envelope.get("state")) not in {"cancelled", "failed"}
    return not is_tracked or text(fields_of(envelope.get("tracking")).get("trackingState")) in _FINAL_TRACKING


def _find_rescheduled(desk: Desk, campaign: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Ask for the first attempt of each envelope whose digital address failed and that goes on as a letter."""
    going_on = {id_of(each) for each in items if text(each.get("state")) in GOING_ON}
    if not going_on:
        return
    request = _get("envelope", f"{_place(campaign)}/envelopes?state=failed")
    failed = {id_of(each) for each in _items(request, desk.call(request))}
    for envelope in sorted(going_on & failed):
        _admitted(desk, _get("envelope_failed", f"{_place(campaign)}/envelopes/{envelope}?state=failed"))


def poll(desk: Desk, watched: Watched) -> None:
    """Ask about the numbers of a text message; letters are looked at by campaign.

    Raises:
        CallFailedError: there was no answer.
    """
    for message in watched.references.get("sms_id", ()):
        if ID.fullmatch(message):
            _admitted(desk, _get("sms", f"/sms/{message}"))


def invitations(desk: Desk) -> None:
    """Look at the invitations to exchange e-invoices.

    Raises:
        CallFailedError: there was no answer.
    """
    _admitted(desk, _get("edi_invitations", "/edi/invitations"))


# --- the calls


def _get(operation: str, url: str) -> Request:
    return Request(operation=operation, method="GET", url=url, may_send=False)


def _place(campaign: str) -> str:
    return f"/campaigns/{campaign}"


def _check(request: Request, answer: Answer) -> None:
    if answer.failure or answer.status != 200:
        msg = f"{request.operation}: {answer.failure or answer.status}"
        raise CallFailedError(msg)


def _admitted(desk: Desk, request: Request) -> None:
    answer = desk.call(request)
    _check(request, answer)
    desk.admit(request, answer)


def _items(request: Request, answer: Answer) -> list[dict[str, Any]]:
    """The objects of a list; one that is none is none of ours."""
    _check(request, answer)
    try:
        said = json_value(answer.body)
    except UnreadableError as error:
        msg = f"{request.operation}: {error}"
        raise CallFailedError(msg) from error
    if not isinstance(said, list):
        msg = f"{request.operation}: no list"
        raise CallFailedError(msg)
    return [each for each in said if id_of(each)]


def _listed_campaigns(desk: Desk) -> list[dict[str, Any]]:
    """Of the window; the list is never in pages."""
    now = desk.access.now
    window = {"start": _day(now - timedelta(days=desk.access.settings.window_days)), "stop": _day(now, 1)}
    request = _get("campaign", f"/campaigns?{urlencode(window)}")
    answer = desk.call(request)
    items = _items(request, answer)
    _note_headers(desk, answer)
    return items


def _day(at: datetime, later: int = 0) -> str:
    return f"{at.astimezone(UTC) + timedelta(days=later):%Y-%m-%d}"


def _looked_up(desk: Desk, campaign: str) -> dict[str, Any] | None:
    """A campaign by itself; None when it is not there any more."""
    request = _get("campaign", _place(campaign))
    answer = desk.call(request)
    if answer.status == 404:
        return None
    _check(request, answer)
    desk.admit(request, answer)
    try:
        return fields_of(json_value(answer.body))
    except UnreadableError as error:
        msg = f"{request.operation}: {error}"
        raise CallFailedError(msg) from error


def reconcile(desk: Desk) -> None:
    """Compare the envelopes of the last days with ours.

    An envelope may be younger than its campaign, so campaigns are listed from further back than what is compared.

    Raises:
        CallFailedError: part of the list was not to be had; half a list is no list.
    """
    until = desk.access.now - SETTLING
    since = until - COMPARED
    theirs = {}
    for campaign in _listed_campaigns(desk):
        request = _get("envelope", f"{_place(id_of(campaign))}/envelopes")
        for envelope in _items(request, desk.call(request)):
            theirs[id_of(envelope)] = _created(envelope) or since
    reconciling.reconcile(desk, "envelope_id", theirs, since, until)


def _created(envelope: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(text(envelope.get("created_at"))).replace(tzinfo=UTC)
    except ValueError:
        return None


def _note_headers(desk: Desk, answer: Answer) -> None:
    """Write it down, once, when Ekopost announces another version or an end."""
    said = {name: answer.headers[name] for name in WATCHED_HEADERS if name in answer.headers}
    if said and said != desk.state.get("headers"):
        told = {f"header.{name.replace('-', '_')}": value for name, value in said.items()}
        desk.record("account.setting_changed", {"notes": ["api_headers"]}, told)
        desk.state["headers"] = said
