"""Reads what KPN Cloud Fax gives: the answer to our send call, and the state, history and details of a job.

No body of this API is published: the names of words and members are assumptions, kept in `statuses.py`; here is only
how they are put together. One job has many targets; a state that names one is about that recipient, else about the
message. Incoming faxes are not read here: reading them consumes them, and their form is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus

from adapters.providers.contract import Word
from adapters.providers.kpn_cloud_fax.statuses import JOB, MEMBERS, REASON, STATUS
from adapters.providers.kpn_platform import (
    Product,
    Request,
    bounded,
    count,
    filled,
    fingerprints,
    read_send,
    time_said,
)
from adapters.providers.reading import json_value, repaired, text, time_epoch, time_iso
from ledger.observations import Address, Arrival, Observation, ProviderTime, Reference, UnreadableError, ZoneBasis

NOTES = {
    "no_jobid": "the answer names no job, so nobody knows whether the fax was taken",
    "pages_missing": "called delivered with fewer pages than it has; read as failed",
    "zone_assumed": "the time has no zone; UTC was taken, though the account may have set another",
}

_STATUS = {row.word: row for row in STATUS}
_JOB = _STATUS | {row.word: row for row in JOB}
_REASON = {row.word: row for row in REASON}
_TEXTS = {
    "status": "code",
    "description": "text",
    "error": "reason",
    "error_text": "error_text",
    "remote_id": "remote_id",
    "started": "started",
    "time": "",  # a text only where it cannot be read
}
"""Member of a state -> field of the texts: the provider's words stand there as they came."""
_COUNTS = ("pages_sent", "pages_total", "attempts", "duration_s")


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word.strip().casefold())


def _plain(value: Any) -> Any:
    """The same JSON with member names in the form of MEMBERS; of two that become one, the first counts."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {re.sub("[_-]", "", name.casefold()): _plain(item) for name, item in reversed(value.items())}
    return value


def _member(holder: Mapping[str, Any], name: str) -> Any:
    return next((holder[known] for known in MEMBERS[name] if holder.get(known) not in (None, "")), None)


def _said(holder: Mapping[str, Any], name: str) -> str:
    return text(_member(holder, name)).strip()


def _rows(value: object) -> list[dict[str, Any]]:
    """A list of objects; a bare number among them is a target."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    return [row if isinstance(row, dict) else {"target": text(row)} for row in bounded(listed)]


def _fax(row: Mapping[str, Any]) -> Address | None:
    number = _said(row, "target")
    return Address("fax", number) if number else None


def _targets(holder: Mapping[str, Any]) -> tuple[Address, ...]:
    found = map(_fax, _rows(_member(holder, "targets")))
    return tuple(dict.fromkeys(fax for fax in found if fax))


def _time(said: str) -> ProviderTime | None:
    return time_iso(said, ZoneBasis.ASSUMED) or time_epoch(said)


def _send_request(body: dict[str, Any]) -> Request:
    asked = _plain(body)
    papers = [row for row in _rows(_member(asked, "documents")) if _said(row, "content")]
    documents, notes = fingerprints((_said(paper, "name"), _said(paper, "content")) for paper in papers)
    return Request(
        declares=_targets(asked),
        documents=documents,
        texts={"subject": _said(asked, "subject")},
        notes=notes,
    )


_PRODUCT = Product(
    id_kind="jobid",
    read_id=lambda body: _said(_plain(body), "jobid"),
    read_request=_send_request,
    without_id=("dispatch.unclear", "no_jobid"),
)


def _send(arrival: Arrival) -> tuple[Observation, ...]:
    return read_send(arrival, _PRODUCT)


def _jobid(body: Mapping[str, Any], asked: str) -> str:
    """The job that an answer is about: as it says itself, else as the query of the question said."""
    found = re.search("[?&]jobid=([^&#]+)", asked, re.IGNORECASE)
    return _said(body, "jobid") or (text(repaired(unquote_plus(found[1]))).strip() if found else "")


def _answer(arrival: Arrival, rows: str) -> tuple[dict[str, Any], Observation]:
    """The answer to a question about a job, and what its observations share; a bare list stands for member `rows`."""
    if arrival.status is not None and not 200 <= arrival.status < 300:
        msg = f"HTTP {arrival.status} instead of a job"
        raise UnreadableError(msg)
    given = json_value(arrival.body)
    fit = repaired(given)
    body = _plain(fit) if isinstance(fit, dict) else {rows: _plain(fit)} if isinstance(fit, list) else {}
    jobid = _jobid(body, arrival.name)
    if not jobid:
        msg = "no jobid in the answer or in the question"
        raise UnreadableError(msg)
    shared = Observation(
        type="channel.unmapped",
        references=(Reference("jobid", jobid),),
        identity=("job", jobid),
        texts=filled({"subject": _said(body, "subject")}),
        notes=() if fit == given else ("text_repaired",),
    )
    return body, shared


def _cause(error: str, *texts: str) -> Word | None:
    return next((_REASON[word] for word in map(_folded, (error, *texts)) if word in _REASON), None)


def _outcome(word: Word | None, cause: Word | None, pages: Mapping[str, int]) -> tuple[str, str, tuple[str, ...]]:
    """Type, reason and notes of a state. A fax of which pages are missing was not delivered, whatever it is called."""
    kind = word.type if word else "channel.unmapped"
    reason = cause.reason if cause else word.reason if word else ""
    sent, total = pages.get("pages_sent"), pages.get("pages_total")
    if sent is None or total is None or sent >= total:
        return kind, reason, ()
    if kind == "content.consigned":
        return "content.consignment_failed", reason or "partial", ("pages_missing",)
    return kind, reason or ("partial" if sent and kind == "content.consignment_failed" else ""), ()


def _counts(row: Mapping[str, Any], *names: str) -> dict[str, int]:
    return {name: number for name in names if (number := count(_member(row, name))) is not None}


def _state(row: Mapping[str, Any], shared: Observation, place: str = "") -> Observation:
    """One state; what it is the state of stands in its identity before it.

    Args:
        row: what is said of a target, of the job, or of an event.
        shared: what all rows of the answer share, the start of their identities included.
        place: stands for the number of a target that is not named.
    """
    said = {name: _said(row, name) for name in _TEXTS}
    recipient = _fax(row)
    about = "recipient" if recipient else shared.about
    known = _STATUS if about == "recipient" else _JOB
    word = known.get(_folded(said["status"])) or known.get(_folded(said["description"]))
    cause = _cause(said["error"], said["error_text"], said["description"])
    numbers = {**shared.numbers, **_counts(row, *_COUNTS)}
    kind, reason, odd = _outcome(word, cause, numbers)
    occurred = _time(said["time"])
    time_text, time_notes = time_said(said["time"], occurred)
    zone = ("zone_assumed",) if occurred and occurred.zone is ZoneBasis.ASSUMED else ()
    attempt = f"attempt {numbers['attempts']}" if "attempts" in numbers else ""
    state = " · ".join(filter(None, [said["status"] or said["description"], said["error"], reason, attempt]))
    named = (recipient.value if recipient else place, *filter(None, [said["time"]]))
    return replace(
        shared,
        type=kind,
        about=about,
        recipient=recipient,
        occurred=occurred,
        code=word.word if word else "",
        reason=reason,
        identity=(*shared.identity, *named, state),
        texts=filled({**shared.texts, **{ours: said[name] for name, ours in _TEXTS.items() if ours}, **time_text}),
        numbers=numbers,
        notes=shared.notes + odd + time_notes + zone,
    )


def _states(body: Mapping[str, Any], shared: Observation) -> tuple[Observation, ...]:
    """The state of each target, or of the job where no target has one: beside targets it only sums them up."""
    told = [row for row in _rows(_member(body, "targets")) if _said(row, "status")]
    alike = replace(shared, about="recipient" if told else "message", numbers=_counts(body, "pages_total"))
    seen = [_state(row, alike, f"row {number}") for number, row in enumerate(told, 1)]
    seen = seen or ([_state(body, alike)] if _said(body, "status") else [])
    # The first one declares for all: a job may have thousands of targets.
    return tuple([replace(first, declares=_targets(body)) for first in seen[:1]] + seen[1:])


def _jobstatus(arrival: Arrival) -> tuple[Observation, ...]:
    seen = _states(*_answer(arrival, "targets"))
    if not seen:
        msg = "no state of the job or of a target"
        raise UnreadableError(msg)
    return seen


def _jobdetails(arrival: Arrival) -> tuple[Observation, ...]:
    body, shared = _answer(arrival, "targets")
    kept = replace(shared, type="evidence.ingested", declares=_targets(body), identity=())
    return _states(body, shared) or (kept,)


def _jobhistory(arrival: Arrival) -> tuple[Observation, ...]:
    body, shared = _answer(arrival, "events")
    events = _member(body, "events")
    if not isinstance(events, list):
        msg = "no list of events"
        raise UnreadableError(msg)
    paged = replace(shared, numbers=_counts(body, "list_page", "list_pages"))
    rows = [row if isinstance(row, dict) else {"status": text(row)} for row in bounded(events)]
    seen = (_state(row, paged) for row in rows)
    # An event never changes: it is the object itself, and its state is that it stands there.
    return tuple(replace(event, identity=("event", *event.identity[1:], "stated")) for event in seen)


_READERS: Mapping[str, Callable[[Arrival], tuple[Observation, ...]]] = {
    "send": _send,
    "jobstatus": _jobstatus,
    "jobhistory": _jobhistory,
    "jobdetails": _jobdetails,
}


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What the provider says in this arrival.

    Raises:
        UnreadableError: the bytes are not what this operation gives, or the operation is not one that is read.
    """
    reader = _READERS.get(arrival.operation)
    if reader is None:
        msg = f"{arrival.operation} is not read"
        raise UnreadableError(msg)
    return reader(arrival)


def recognise(file_name: str, body: bytes) -> str:  # noqa: ARG001 (no file names are published)
    """The operation that gives such a body, or "". Details of a job look like its status and are read alike."""
    try:
        found = _plain(json_value(body))
    except UnreadableError:
        return ""
    if not isinstance(found, dict) or "jobid" not in found:
        return ""
    if _member(found, "events") is not None:
        return "jobhistory"
    return "jobstatus" if found.keys() & {*MEMBERS["status"], *MEMBERS["targets"]} else "send"
