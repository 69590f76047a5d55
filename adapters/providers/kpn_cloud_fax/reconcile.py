"""Once a day: compares KPN's list of messages with ours, reads on in the history of held faxes, and keeps documents.

A PCIFax or SecureFax is delivered, and so not asked about any more, before its recipient gives a receipt; and KPN deletes what it
holds after some time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from adapters.providers.calling import CallFailedError, Desk
from adapters.providers.kpn_cloud_fax import asking, contents, listing, polling
from adapters.providers.kpn_cloud_fax.listing import Listed
from adapters.providers.kpn_cloud_fax.settings import Settings
from adapters.providers.reconciling import reconcile

HELD = frozenset({"pcifax", "securefax"})
SETTLING, MARGIN = timedelta(minutes=10), timedelta(minutes=5)
"""What is younger than the first may not be in our list yet; by the second the two clocks may differ."""
MAX_TRIES = 5
"""On so many days a document that KPN has not is asked for."""
_STOP = frozenset({401, 403, 429})


def sweep(desk: Desk) -> None:
    """Compare; of the jobs that we know, look for receipts and fetch the documents.

    Raises:
        CallFailedError: KPN did not answer.
    """
    settings: Settings = desk.access.settings
    until = desk.access.now - SETTLING
    since = until - timedelta(days=settings.look_back_days)
    listed = listing.messages(desk, since - MARGIN, until + MARGIN)
    jobs = [job for job in listed if settings.incoming or not job.is_incoming]
    # What KPN lists for a window lies in it, whatever the zone of its times.
    theirs = {job.jobid: min(max(job.at or since, since), until - timedelta(microseconds=1)) for job in jobs}
    unknown = frozenset(reconcile(desk, "jobid", theirs, since, until).only_theirs)
    known = [job for job in jobs if job.jobid not in unknown and not job.is_incoming]
    for job in known:
        if job.kind in HELD:
            polling.history(desk, {"jobid": job.jobid, "zone": asking.zone(desk), "channel": ""})
    _keep_documents(desk, [job for job in known if job.kind in settings.documents])


def _keep_documents(desk: Desk, jobs: Sequence[Listed]) -> None:
    """Fetch the documents of jobs that are worked off, each once.

    `desk.state["documents"]` holds, for each job of the window, how often KPN had none and on which day that was last.

    Raises:
        CallFailedError: KPN did not answer; the rest is asked for the next time.
    """
    ready = [job.jobid for job in jobs if not job.is_open]
    known: dict[str, list[Any]] = desk.state.get("documents", {})
    tried = desk.state["documents"] = {jobid: known.get(jobid, [0, ""]) for jobid in ready}
    today = desk.access.now.date().isoformat()
    for jobid in ready:
        times, last_on = tried[jobid]
        if times < MAX_TRIES and last_on != today and not _keep_document(desk, jobid):
            tried[jobid] = [times + 1, today]
            if times + 1 == MAX_TRIES:
                told = {"operation": "document", "about": "account", "rule": "document.given_up"}
                desk.record("dispatch.answered", told, {"jobid": jobid})


def _keep_document(desk: Desk, jobid: str) -> bool:
    """Whether the document of a job is stored now."""
    request = asking.question("document", f"/document/{quote(jobid, safe='')}")
    answer = desk.call(request)
    if answer.failure or answer.status in _STOP or answer.status >= 500:
        msg = f"GET /document/…: {answer.failure or answer.status}"
        raise CallFailedError(msg)
    if not asking.is_success(answer):
        return False
    is_document = contents.is_document(answer.body)
    desk.state["documents"][jobid] = [MAX_TRIES, ""] if is_document else desk.state["documents"][jobid]
    desk.admit(request, answer)  # what is no document that we know is kept for a person
    return is_document
