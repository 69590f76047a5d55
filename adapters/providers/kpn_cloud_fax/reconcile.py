"""Once a day: compares KPN's list of messages with ours, and keeps the documents of jobs before KPN deletes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from adapters.providers.calling import CallFailedError, Desk
from adapters.providers.kpn_cloud_fax import asking, contents, listing
from adapters.providers.kpn_cloud_fax.listing import Listed
from adapters.providers.kpn_cloud_fax.settings import Settings

SETTLING = timedelta(minutes=10)
"""What is younger may stand in one list and not yet in the other."""
MAX_TRIES = 5


def sweep(desk: Desk) -> None:
    """Compare, then fetch.

    Raises:
        CallFailedError: KPN did not answer.
    """
    settings: Settings = desk.access.settings
    until = desk.access.now - SETTLING
    since = until - timedelta(days=settings.look_back_days)
    theirs = listing.messages(desk, since, until)
    _keep_documents(desk, [job for job in theirs if job.kind in settings.documents])


def _keep_documents(desk: Desk, jobs: Sequence[Listed]) -> None:
    """Fetch the documents of jobs that are worked off, each once; `desk.state["documents"]` counts what was tried.

    Raises:
        CallFailedError: some could not be had; they are asked for again the next time.
    """
    done: dict[str, int] = desk.state.get("documents", {})
    ready = [job.jobid for job in jobs if not job.is_open and not job.is_incoming]
    done = desk.state["documents"] = {jobid: done.get(jobid, 0) for jobid in ready}
    failed = 0
    for jobid in (each for each in ready if done[each] < MAX_TRIES):
        request = asking.question("document", f"/document/{quote(jobid, safe='')}")
        answer = desk.call(request)
        if asking.is_success(answer) and contents.is_document(answer.body):
            done[jobid] = MAX_TRIES
            desk.admit(request, answer)
        else:
            done[jobid] += 1
            failed += 1
    if failed:
        msg = f"{failed} of {len(ready)} documents could not be fetched"
        raise CallFailedError(msg)
