"""KPN's own list of messages, over a trailing window: what there is, when it was made, and whether it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from adapters.providers.calling import CallFailedError, Desk
from adapters.providers.kpn_cloud_fax import asking, bodies
from adapters.providers.kpn_cloud_fax.bodies import folded, member, said
from adapters.providers.kpn_cloud_fax.polling import ENDS
from adapters.providers.kpn_cloud_fax.statuses import JOB, STATUS
from adapters.providers.reading import json_value, repaired
from ledger.observations import UnreadableError

PAGE_ROWS = 100
MAX_PAGES = 2_000

_TYPES = {row.word: row.type for row in (*STATUS, *JOB)}
_WORKED_OFF = frozenset({row.word for row in JOB} | {row.word for row in STATUS if row.type in ENDS})


class Listed(NamedTuple):
    """A row of the list.

    Attributes:
        kind: `fax`, `pcifax`, `securefax`, `sms` or a word of KPN's, folded; a fax where it is not said.
        at: when it was made, as KPN says; None where that cannot be read.
        is_open: it still goes on, as far as its state tells.
        is_incoming: it was sent to the account.
    """

    jobid: str
    kind: str
    at: datetime | None
    is_open: bool
    is_incoming: bool


def messages(desk: Desk, since: datetime, until: datetime) -> list[Listed]:
    """Everything that KPN lists for a window, each once.

    Raises:
        CallFailedError: the list could not be read to its end.
    """
    found: dict[str, Listed] = {}
    for page in range(1, MAX_PAGES + 1):
        fresh = {row.jobid: row for row in _page(desk, since, until, page) if row.jobid not in found}
        if not fresh:  # the end; or whoever does not know pages gives the same one for ever
            return list(found.values())
        found |= fresh
    msg = f"GET /messages: more than {MAX_PAGES} pages"
    raise CallFailedError(msg)


def _page(desk: Desk, since: datetime, until: datetime, page: int) -> Iterator[Listed]:
    window = {"startDate": f"{since:%Y-%m-%dT%H:%M:%SZ}", "endDate": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    zone = asking.zone(desk)
    request = asking.question("messages", "/messages", page=page, pagecount=PAGE_ROWS, **window)
    answer = asking.answered(desk, request)
    try:
        body = bodies.plain(repaired(json_value(answer.body)))
        listed = body if isinstance(body, list) else member(body, "jobs")
        rows = bodies.rows(listed)
    except (UnreadableError, AttributeError, TypeError) as error:
        msg = "GET /messages: an answer that is no list"
        raise CallFailedError(msg) from error
    for row in rows:
        jobid, word = said(row, "message_id"), folded(said(row, "status"))
        made = bodies.time(said(row, "made") or said(row, "time"), bodies.zone_named(zone))
        if jobid:
            kind = folded(said(row, "kind")) or "fax"
            is_incoming = folded(said(row, "direction")).startswith("in") or _TYPES.get(word, "").startswith("inbound.")
            yield Listed(jobid, kind, made.at if made else None, word not in _WORKED_OFF, is_incoming)
