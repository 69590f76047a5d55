"""Once a day: what the account's settings at KPN are.

They decide how times read and how long KPN keeps documents, and anybody with a login to KPN's portal may change them. A change is
a fact, and names the jobs that it may touch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from adapters.providers.calling import CallFailedError, Desk
from adapters.providers.kpn_cloud_fax import asking, contents, listing
from adapters.providers.kpn_cloud_fax.listing import Listed

MAX_TOLD = 50
_LACKS = frozenset({403, 404, 405})
"""An account without a service has not its settings either."""


def _open(job: Listed) -> bool:
    return job.is_open


def _any(_job: Listed) -> bool:
    return True


TOUCHED: dict[str, Callable[[Listed], bool]] = {
    "retentionconfig": _any,
    "inbounddelivery": lambda job: job.is_incoming,
}
"""Setting -> which jobs of the last month a change of it may touch, where it is not those that go on: retention reaches content that
KPN holds already."""
TOUCHES = timedelta(days=30)


def sweep(desk: Desk) -> None:
    """Read each setting.

    Raises:
        CallFailedError: KPN did not answer for one of them; the others are read.
    """
    known: list[str] = desk.state.setdefault("known", [])
    untold: list[str] = desk.state.setdefault("untold", [])
    failed = ""
    for name in contents.SETTINGS:
        request = asking.setting(name)
        answer = desk.call(request)
        if asking.is_success(answer):
            is_other = bool(desk.admit(request, answer).facts)
            untold += [name] if is_other and name in known and name not in untold else []
            known += [] if name in known else [name]
        elif answer.status not in _LACKS:
            failed = f"GET /{name}: {answer.failure or answer.status}"
    if untold:
        _tell_touched(desk, untold)
    if failed:
        raise CallFailedError(failed)


def _tell_touched(desk: Desk, untold: list[str]) -> None:
    """Name the jobs, as KPN lists them: the ledger's own list may lack some. What is told is no longer in `untold`."""
    now = desk.access.now
    jobs = listing.messages(desk, now - TOUCHES, now)
    for name in list(untold):
        touched = [job.jobid for job in jobs if TOUCHED.get(name, _open)(job)]
        told = {f"job.{number}": jobid for number, jobid in enumerate(touched[:MAX_TOLD])}
        clear = {"about": "account", "notes": ["setting_touches"], "numbers": {"jobs": len(touched)}}
        desk.record("account.setting_changed", clear, {"setting": name, **told})
        untold.remove(name)
