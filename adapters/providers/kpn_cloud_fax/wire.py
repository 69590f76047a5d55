"""Reads what KPN Cloud Fax gives: answers to our sends, states of jobs, incoming faxes, documents, settings.

No body of this API is published: the names of words and members are assumptions, kept in `statuses.py`; how they are put together
stands in `bodies`, `sending`, `states` and `contents`. Here is only which of them reads which operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapters.providers.kpn_cloud_fax import bodies, contents, sending, states
from adapters.providers.kpn_cloud_fax.bodies import member
from adapters.providers.kpn_cloud_fax.statuses import MEMBERS
from adapters.providers.kpn_platform import sunset
from adapters.providers.reading import json_value
from ledger.observations import Arrival, Observation, UnreadableError

NOTES = {
    "document_kept": "the content of a job as KPN keeps it, fetched before KPN deletes it",
    "no_jobid": "the answer names no job, so nobody knows whether the fax was taken",
    "pages_missing": "called delivered with fewer pages than it has; read as failed",
    "setting_at_provider": "what a setting of the account at KPN is now",
    "setting_touches": "a setting of the account at KPN was changed while these jobs were there",
    "zone_assumed": "the time has no zone; UTC was taken, though the account may have set another",
    "zone_of_account": "the time has no zone; the one that the account has set at KPN was taken",
}

_READERS: Mapping[str, Callable[[Arrival], tuple[Observation, ...]]] = {
    "send": sending.send,
    "send_raw": sending.send_raw,
    "send_sms": sending.send_sms,
    "ackreceipt": sending.ackreceipt,
    "jobstatus": states.jobstatus,
    "jobhistory": states.jobhistory,
    "jobdetails": states.jobdetails,
    "injobs": contents.injobs,
    "infax": contents.infax,
    "reset": contents.reset,
    "document": contents.document,
    "delete": contents.deleted,
    **{f"setting.{name}": contents.setting for name in contents.SETTINGS},
}
_TELL_SUNSET = frozenset({"jobstatus", "jobhistory", "jobdetails", "injobs"})
"""Besides the sends, which tell it themselves: whoever announces the end of the API does so in every answer."""


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What the provider says in this arrival.

    Raises:
        UnreadableError: the bytes are not what this operation gives, or the operation is not one that is read.
    """
    reader = _READERS.get(arrival.operation)
    if reader is None:
        msg = f"{arrival.operation} is not read"
        raise UnreadableError(msg)
    seen = reader(arrival)
    return (*seen, *sunset(arrival)) if arrival.operation in _TELL_SUNSET else seen


def recognise(file_name: str, body: bytes) -> str:  # noqa: ARG001 (no file names are published)
    """The operation that gives such a body, or "". Details of a job look like its status and are read alike."""
    try:
        found = bodies.plain(json_value(body))
    except UnreadableError:
        return ""
    if not isinstance(found, dict) or "jobid" not in found:
        return ""
    if member(found, "events") is not None:
        return "jobhistory"
    return "jobstatus" if found.keys() & {*MEMBERS["status"], *MEMBERS["targets"]} else "send"
