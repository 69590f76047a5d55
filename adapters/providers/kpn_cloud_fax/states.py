"""Reads the states of a job and of its targets: status, details and history.

One job has many targets; a state that names one is about that recipient, else about the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from adapters.providers.contract import Word
from adapters.providers.kpn_cloud_fax import bodies
from adapters.providers.kpn_cloud_fax.bodies import Asked, counts, folded, member, rows, said, targets
from adapters.providers.kpn_cloud_fax.statuses import JOB, REASON, SMS, STATUS
from adapters.providers.kpn_platform import bounded, filled, time_said
from adapters.providers.reading import text
from ledger.observations import Arrival, Observation, Reference, UnreadableError, ZoneBasis


def _by_word(*tables: tuple[Word, ...]) -> dict[str, Word]:
    return {row.word: row for table in tables for row in table}


_WORDS = {
    ("fax", "recipient"): _by_word(STATUS),
    ("fax", "message"): _by_word(STATUS, JOB),
    ("phone", "recipient"): _by_word(STATUS, SMS),
    ("phone", "message"): _by_word(STATUS, SMS, JOB),
}
"""(kind of address, what the state is about) -> what its words mean."""
_REASON = _by_word(REASON)
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
_ZONES = {ZoneBasis.ASSUMED: ("zone_assumed",), ZoneBasis.DOCUMENTED: ("zone_of_account",)}


def kind_of(body: Mapping[str, Any], asked: Asked) -> str:
    """Kind of the addresses of a job: `phone` of a text message, as its answer says or else as the question knew."""
    kind = folded(said(body, "kind")) or asked.channel
    return "phone" if kind == "sms" else "fax"


class Reader:
    """Reads the rows of one answer.

    Attributes:
        shared: what all its observations share, the start of their identities included.
        kind: of the addresses.
        zone: of the account, where it is known.
    """

    def __init__(self, shared: Observation, kind: str, zone: ZoneInfo | None) -> None:
        self.shared, self.kind, self.zone = shared, kind, zone

    def state(self, row: Mapping[str, Any], place: str = "") -> Observation:
        """One state; what it is the state of stands in its identity before it.

        Args:
            row: what is said of a target, of the job, or of an event.
            place: stands for the number of a target that is not named.
        """
        told, shared = {name: said(row, name) for name in _TEXTS}, self.shared
        recipient = bodies.address(row, self.kind)
        about = "recipient" if recipient else shared.about
        known = _WORDS[self.kind, about]
        word = known.get(folded(told["status"])) or known.get(folded(told["description"]))
        cause = _cause(told["error"], told["error_text"], told["description"])
        numbers = {**shared.numbers, **counts(row, *_COUNTS)}
        kind, reason, odd = _outcome(word, cause, numbers)
        occurred = bodies.time(told["time"], self.zone)
        time_text, time_notes = time_said(told["time"], occurred)
        zone = _ZONES.get(occurred.zone, ()) if occurred else ()
        attempt = f"attempt {numbers['attempts']}" if "attempts" in numbers else ""
        state = " · ".join(filter(None, [told["status"] or told["description"], told["error"], reason, attempt]))
        named = (recipient.value if recipient else place, *bodies.instant(occurred, told["time"]))
        return replace(
            shared,
            type=kind,
            about=about,
            recipient=recipient,
            occurred=occurred,
            code=word.word if word else "",
            reason=reason,
            identity=(*shared.identity, *named, state),
            texts=filled({**shared.texts, **{ours: told[name] for name, ours in _TEXTS.items() if ours}, **time_text}),
            numbers=numbers,
            notes=shared.notes + odd + time_notes + zone,
        )


def _cause(error: str, *texts: str) -> Word | None:
    return next((_REASON[word] for word in map(folded, (error, *texts)) if word in _REASON), None)


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


def _answer(arrival: Arrival, listed: str) -> tuple[dict[str, Any], Reader]:
    """The answer to a question about a job, and a reader of its rows."""
    body, notes = bodies.read(arrival, listed)
    asked = bodies.asked(arrival.name)
    jobid = said(body, "jobid") or asked.about
    if not jobid:
        msg = "no jobid in the answer or in the question"
        raise UnreadableError(msg)
    shared = Observation(
        type="channel.unmapped",
        references=(Reference("jobid", jobid),),
        identity=("job", jobid),
        texts=filled({"subject": said(body, "subject")}),
        notes=notes,
    )
    return body, Reader(shared, kind_of(body, asked), asked.zone)


def _states(body: Mapping[str, Any], reader: Reader) -> tuple[Observation, ...]:
    """The state of each target, or of the job where no target has one: beside targets it only sums them up."""
    told = [row for row in rows(member(body, "targets")) if said(row, "status")]
    reader.shared = replace(
        reader.shared, about="recipient" if told else "message", numbers=counts(body, "pages_total")
    )
    seen = [reader.state(row, f"row {number}") for number, row in enumerate(told, 1)]
    seen = seen or ([reader.state(body)] if said(body, "status") else [])
    # The first one declares for all: a job may have thousands of targets.
    return tuple([replace(first, declares=targets(body, reader.kind)) for first in seen[:1]] + seen[1:])


def jobstatus(arrival: Arrival) -> tuple[Observation, ...]:
    """The state of each target, or of the job."""
    seen = _states(*_answer(arrival, "targets"))
    if not seen:
        msg = "no state of the job or of a target"
        raise UnreadableError(msg)
    return seen


def jobdetails(arrival: Arrival) -> tuple[Observation, ...]:
    """As `jobstatus`; without a state they are kept all the same."""
    body, reader = _answer(arrival, "targets")
    kept = replace(reader.shared, type="evidence.ingested", declares=targets(body, reader.kind), identity=())
    return _states(body, reader) or (kept,)


def jobhistory(arrival: Arrival) -> tuple[Observation, ...]:
    """The events of a page; one with a time is the same fact as that state in the status of the job."""
    body, reader = _answer(arrival, "events")
    events = member(body, "events")
    if not isinstance(events, list):
        msg = "no list of events"
        raise UnreadableError(msg)
    reader.shared = replace(reader.shared, numbers=counts(body, "list_page", "list_pages"))
    told = [row if isinstance(row, dict) else {"status": text(row)} for row in bounded(events)]
    return tuple(map(_event, map(reader.state, told)))


def _event(seen: Observation) -> Observation:
    """An event without a time never changes: it is the object itself, and its state is that it stands there."""
    return seen if seen.occurred else replace(seen, identity=("event", *seen.identity[1:], "stated"))
