"""Fetches incoming faxes, so that none is lost between KPN and us.

Reading one takes it off KPN's list of new ones. So nothing is read before the wish to is durable, and a fax of which no stored
original followed is put back on the list, where the Custody Service allows it.

`desk.state["fetching"]` names the faxes that may have been taken off and are not stored yet. It is saved with each admission: with
the list, before the first fax is read, and with each fax, then without it.
"""

from __future__ import annotations

from adapters.providers.calling import CallFailedError, Desk, Request
from adapters.providers.kpn_cloud_fax import asking, bodies, contents
from adapters.providers.kpn_cloud_fax.bodies import folded, said
from adapters.providers.kpn_cloud_fax.settings import Settings
from adapters.providers.reading import json_value, repaired
from ledger.errors import LedgerError
from ledger.observations import UnreadableError

MAX_TRIES = 5
"""After so many failures a person is told. A fax on KPN's list is tried on; one that KPN will not put back is given up."""

_FETCH = frozenset({"custody", "without_custody"})


def sweep(desk: Desk) -> None:
    """List the incoming faxes, fetch those that may be fetched, and put back what was taken off and is not stored.

    Raises:
        CallFailedError: KPN did not answer, or faxes could not be fetched or put back.
    """
    settings: Settings = desk.access.settings
    request = asking.question("injobs", "/injobs", zone=asking.zone(desk))
    answer = asking.answered(desk, request)
    listed = _listed(answer.body)
    left = [jobid for jobid in desk.state.get("fetching", ()) if jobid not in listed]
    may = [jobid for jobid, kind in listed.items() if kind in settings.documents and settings.incoming in _FETCH]
    tries: dict[str, int] = desk.state.get("tries", {})
    desk.state["tries"] = {jobid: number for jobid, number in tries.items() if jobid in listed or jobid in left}
    desk.state["fetching"] = left + may
    desk.admit(request, answer)
    failed = [jobid for jobid in left if not _put_back(desk, jobid)]
    failed += [jobid for jobid in may if not _fetch(desk, jobid)]
    if failed:
        msg = (
            f"{len(failed)} incoming faxes could not be fetched; they are put back on KPN's list where that is possible"
        )
        raise CallFailedError(msg)


def _listed(body: bytes) -> dict[str, str]:
    """Job -> kind, in the words of our settings; a fax where it is not said. Nothing where the list cannot be read."""
    try:
        found = bodies.plain(repaired(json_value(body)))
        rows = contents.waiting(found if isinstance(found, dict) else {"jobs": found})
    except UnreadableError:
        return {}
    return {jobid: folded(said(row, "kind")) or "fax" for row in rows if (jobid := said(row, "jobid"))}


def _fetch(desk: Desk, jobid: str) -> bool:
    """Read one fax; whether its original is stored then."""
    told = {"operation": "infax", "about": "account", "rule": "fetch.intended"}
    desk.record("dispatch.attempted", told, {"jobid": jobid})
    request = asking.question("infax", "/infax", key=jobid)
    answer = desk.call(request)
    if not asking.is_success(answer):
        if answer.failure != "unreachable":
            _put_back(desk, jobid)
        _failed(desk, jobid)
        return False
    is_whole = contents.is_document(answer.body)
    if is_whole:
        desk.state["fetching"].remove(jobid)
    try:
        desk.admit(request, answer)
    except LedgerError:
        if is_whole:
            desk.state["fetching"].append(jobid)
        _put_back(desk, jobid)
        raise
    if is_whole:
        return True
    _put_back(desk, jobid)
    _failed(desk, jobid)
    return False


def _put_back(desk: Desk, jobid: str) -> bool:
    """Have a fax stand on the list of new ones again; whether it does."""
    url, name = bodies.question("/resetincomingjob", key=jobid)
    request = Request(operation="reset", method="PATCH", url=url, name=name, may_send=False)
    answer = desk.call(request)
    if not asking.is_success(answer):
        if 400 <= answer.status < 500 and _failed(desk, jobid) >= MAX_TRIES:
            desk.state["fetching"].remove(jobid)
        return False
    desk.state["fetching"].remove(jobid)
    desk.admit(request, answer)
    return True


def _failed(desk: Desk, jobid: str) -> int:
    """Count a failure; at the last one say, durably, that a person must look."""
    tries: dict[str, int] = desk.state["tries"]
    tries[jobid] = tries.get(jobid, 0) + 1
    if tries[jobid] == MAX_TRIES:
        told = {"operation": "infax", "about": "account", "rule": "fetch.given_up"}
        desk.record("dispatch.unclear", told, {"jobid": jobid})
    return tries[jobid]
