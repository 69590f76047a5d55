"""Deletes the content of a message at KPN. It cannot be undone, and KPN's copy may be the only one of what was transmitted."""

from __future__ import annotations

from collections.abc import Callable

from adapters.providers.calling import Deletion, Desk, Holding, Request
from adapters.providers.kpn_cloud_fax import asking, bodies
from ledger.observations import Observation

_UNSENT = frozenset({"unreachable"})


def delete(desk: Desk, jobid: str, reason: str) -> bool:
    """Delete; the wish to is durable before the call, and a success is kept raw as `provider_content.deleted`.

    Args:
        reason: of the person who wants it; committed.

    Returns:
        Whether KPN said that it is deleted.
    """
    url, name = bodies.question("/messages", id=jobid)
    request = Request(operation="delete", method="DELETE", url=url, name=name)
    told = {"operation": request.operation, "about": "account"}
    desk.record("dispatch.attempted", {**told, "rule": "deletion.wanted"}, {"jobid": jobid, "reason": reason})
    answer = desk.call(request)
    if asking.is_success(answer):
        desk.admit(request, answer)
        return True
    is_refused = answer.failure in _UNSENT or 400 <= answer.status < 500
    kind = "dispatch.answered" if is_refused else "dispatch.unclear"
    desk.record(
        kind, {**told, "rule": "deletion.failed"}, {"jobid": jobid, "text": answer.failure or str(answer.status)}
    )
    return False


def on_request(desk: Desk, name: str, _held: Callable[[Observation], Holding], reason: str, _message: str) -> Deletion:
    """Delete the message that an operator names by its job; never without a reason, because nothing here can replace KPN's copy."""
    if not reason:
        why = "KPN's copy may be the only one of what was transmitted; say why it is to go all the same"
        return Deletion(is_done=False, why=why)
    is_done = delete(desk, name, reason)
    return Deletion(is_done, "KPN says that it is deleted" if is_done else "KPN did not say so")
