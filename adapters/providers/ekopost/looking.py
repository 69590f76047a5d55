"""What is looked at by the clock: campaigns and their envelopes, text messages, invitations; and the comparison of both lists.

One list tells of all envelopes of a campaign, so campaigns are looked at and not messages; it is also what stands in for webhooks that
did not come, and what finds envelopes that were not sent from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from adapters.providers.calling import Answer, CallFailedError, Desk, Request, Watched
from adapters.providers.ekopost import statuses
from adapters.providers.ekopost.objects import ID, fields_of, id_of
from adapters.providers.reading import json_value, text
from ledger.observations import UnreadableError

TRACKED_EVERY = timedelta(hours=3)
OLD_EVERY = timedelta(days=1)
"""A campaign that is older than the window and not finished; mostly one that was left open."""
TRACKED_FOR = timedelta(days=60)
"""A registered letter is kept for collection for weeks, then it travels back."""
MOVING = frozenset({"transferred"})
ENDED = frozenset({"completed", "cancelled", "failed"})
WATCHED_HEADERS = ("api-version", "sunset", "deprecation")

_FINAL_TRACKING = frozenset(
    row.word
    for row in statuses.TRACKING
    if row.type in {"content.consigned", "content.consignment_failed", "consignment.rejected", "content.returned"}
)


def campaigns(desk: Desk) -> None:
    """Look at the campaigns of the window, at those that are not finished, and at the envelopes of those that moved.

    Raises:
        CallFailedError: the list was not to be had, or something of some campaigns was not.
    """
    now = desk.access.now
    listed = {id_of(each): each for each in _listed_campaigns(desk)}
    seen: dict[str, dict[str, str]] = desk.state.setdefault("campaigns", {})
    failed = 0
    for campaign in dict.fromkeys([*listed, *seen]):
        known = seen.get(campaign, {})
        if known.get("settled"):
            continue
        if campaign not in listed and now - _when(known, "asked_at") < OLD_EVERY:
            continue
        try:
            said = listed.get(campaign) or _looked_up(desk, campaign)
            asked = {} if campaign in listed else {"asked_at": now.isoformat()}
            seen[campaign] = _followed(desk, campaign, said, known, now) | asked
        except CallFailedError:
            failed += 1
    for campaign in [c for c, known in seen.items() if known.get("settled") and c not in listed]:
        del seen[campaign]
    if failed:
        msg = f"{failed} of {len(listed)} campaigns could not be looked at"
        raise CallFailedError(msg)


def _followed(
    desk: Desk, campaign: str, said: Mapping[str, Any], known: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """Look at the envelopes of a campaign if it moved; what is remembered of it."""
    state, changed = text(said.get("state")), text(said.get("state_changed_at"))
    if not state:
        return {"settled": "gone"}
    is_new = (state, changed) != (known.get("state"), known.get("changed"))
    is_due = state in MOVING or (state in ENDED and now - _when(known, "looked_at") >= TRACKED_EVERY)
    remembered = {"state": state, "changed": changed, "looked_at": now.isoformat()}
    if not is_new and not is_due:
        return dict(known)
    items = _envelopes(desk, campaign, admit=True)
    _find_rescheduled(desk, campaign, items)
    ended_at = known.get("ended_at") or now.isoformat()
    is_over = now - datetime.fromisoformat(ended_at) > TRACKED_FOR
    if state in ENDED:
        remembered["ended_at"] = ended_at
        remembered |= {"settled": state} if is_over or all(map(_is_settled, items)) else {}
    return remembered


def _when(known: Mapping[str, str], what: str) -> datetime:
    return datetime.fromisoformat(known[what]) if what in known else datetime.min.replace(tzinfo=UTC)


def _is_settled(envelope: Mapping[str, Any]) -> bool:
    """Whether nothing more will be said of an envelope of a campaign that ended."""
    is_tracked = text(envelope.get("postage")) == "rek" and text(envelope.get("state")) not in {"cancelled", "failed"}
    return not is_tracked or text(fields_of(envelope.get("tracking")).get("trackingState")) in _FINAL_TRACKING


def _find_rescheduled(desk: Desk, campaign: str, items: list[dict[str, Any]]) -> None:
    """Ask for the first attempt of each envelope whose digital address failed and that goes on as another."""
    states = {id_of(each): text(each.get("state")) for each in items}
    going_on = {e for e, state in states.items() if state not in {"failed", "cancelled", "opened", "closed"}}
    if not going_on:
        return
    request = _get("envelope", f"{_place(campaign)}/envelopes?state=failed")
    for failed in _items(request, desk.call(request)):
        envelope = id_of(failed)
        if envelope in going_on:
            url = f"{_place(campaign)}/envelopes/{envelope}?state=failed"
            asked = _get("envelope_failed", url)
            answer = desk.call(asked)
            _check(asked, answer)
            desk.admit(asked, answer)


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


def _admitted(desk: Desk, request: Request) -> Answer:
    answer = desk.call(request)
    _check(request, answer)
    _note_headers(desk, answer)
    desk.admit(request, answer)
    return answer


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
    return _items(request, _admitted(desk, request))


def _day(at: datetime, later: int = 0) -> str:
    return f"{at.astimezone(UTC) + timedelta(days=later):%Y-%m-%d}"


def _looked_up(desk: Desk, campaign: str) -> dict[str, Any]:
    """A campaign that is older than the window; nothing when it is not there any more."""
    request = _get("campaign", _place(campaign))
    answer = desk.call(request)
    if answer.status == 404:
        return {}
    _check(request, answer)
    desk.admit(request, answer)
    try:
        return fields_of(json_value(answer.body))
    except UnreadableError:
        return {}


def _envelopes(desk: Desk, campaign: str, *, admit: bool) -> list[dict[str, Any]]:
    request = _get("envelope", f"{_place(campaign)}/envelopes")
    return _items(request, _admitted(desk, request) if admit else desk.call(request))


def theirs(desk: Desk) -> Iterator[tuple[str, datetime]]:
    """The id and the time of each envelope that Ekopost has of the window.

    Raises:
        CallFailedError: part of it was not to be had; half a list is no list.
    """
    for campaign in _listed_campaigns(desk):
        for envelope in _envelopes(desk, id_of(campaign), admit=True):
            yield id_of(envelope), _created(envelope) or desk.access.now


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
