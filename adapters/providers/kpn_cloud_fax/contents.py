"""Reads what is not the state of a job: incoming faxes, documents, deletions, and settings of the account at KPN.

The forms of these answers are not published. Whatever a success holds is kept as it came; what can be found in it is read.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from adapters.providers.kpn_cloud_fax import bodies
from adapters.providers.kpn_cloud_fax.bodies import Asked, counts, member, rows, said
from adapters.providers.kpn_cloud_fax.statuses import MEMBERS
from adapters.providers.kpn_platform import filled, time_said
from adapters.providers.reading import json_value, repaired
from ledger.observations import Arrival, Fingerprint, Observation, Reference, UnreadableError

SETTINGS = (
    "timezone",
    "language",
    "callingcodes",
    "customfaxnumber",
    "retentionconfig",
    "reportconfig",
    "inbounddelivery",
)
MAX_VALUE = 200
"""Characters of a setting that are shown; all of it stands in the original."""
DOCUMENTS = (b"%PDF", b"II*\x00", b"MM\x00*", b"\x89PNG", b"\xff\xd8\xff")
"""How a document begins that a fax may be: PDF, TIFF, PNG, JPEG."""


def _question(arrival: Arrival) -> Asked:
    """What was asked about, of an answer that may say nothing itself.

    Raises:
        UnreadableError: no success, or nobody knows which job it is about.
    """
    bodies.check_success(arrival)
    asked = bodies.asked(arrival.name)
    if not asked.about:
        msg = "no job in the question"
        raise UnreadableError(msg)
    return asked


# --- incoming faxes


def waiting(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a list of incoming faxes; a bare number is the job itself."""
    listed = member(body, "jobs")
    return [{"jobid": row["target"]} if row.keys() == {"target"} else row for row in rows(listed)]


def injobs(arrival: Arrival) -> tuple[Observation, ...]:
    """Each fax of the list of new ones."""
    body, notes = bodies.read(arrival, "jobs")
    if member(body, "jobs") is None:
        msg = "no list of jobs"
        raise UnreadableError(msg)
    asked = bodies.asked(arrival.name)
    return tuple(_received(row, asked, notes) for row in waiting(body) if said(row, "jobid"))


def _received(row: dict[str, Any], asked: Asked, notes: tuple[str, ...]) -> Observation:
    jobid, written = said(row, "jobid"), said(row, "time")
    occurred = bodies.time(written, asked.zone)
    time_text, time_notes = time_said(written, occurred)
    return Observation(
        type="inbound.received",
        references=(Reference("jobid", jobid),),
        occurred=occurred,
        code="received",
        identity=("incoming", jobid, *bodies.instant(occurred, written), "received"),
        texts=filled({"from": said(row, "from"), "to": said(row, "to"), **time_text}),
        numbers=counts(row, "pages_total"),
        notes=notes + time_notes,
    )


def infax(arrival: Arrival) -> tuple[Observation, ...]:
    """That an incoming fax was fetched, and its document; it no longer stands among the new ones."""
    asked = _question(arrival)
    content, row = _carried(arrival.body)
    return (
        Observation(
            type="inbound.fetched",
            references=(Reference("jobid", asked.about),),
            identity=("incoming", asked.about, "fetched"),
            texts=filled({name: said(row, name) for name in ("from", "to", "time")}),
            numbers=counts(row, "pages_total"),
            documents=_documents(said(row, "name"), content),
        ),
    )


def reset(arrival: Arrival) -> tuple[Observation, ...]:
    """That a fax stands among the new ones again."""
    asked = _question(arrival)
    return (
        Observation(
            type="inbound.reset",
            references=(Reference("jobid", asked.about),),
            identity=("incoming", asked.about, "reset"),
        ),
    )


def is_document(body: bytes) -> bool:
    """Whether a document is in a body, and not an error page in its place."""
    return bodies.carried(body)[0].startswith(DOCUMENTS)


def _carried(body: bytes) -> tuple[bytes, dict[str, Any]]:
    content, row = bodies.carried(body)
    if not content.startswith(DOCUMENTS):
        msg = "no document in the answer"
        raise UnreadableError(msg)
    return content, row


def _documents(name: str, content: bytes) -> tuple[Fingerprint, ...]:
    sha256, sha1 = hashlib.sha256(content).hexdigest(), hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return (Fingerprint(name, sha256, sha1, size=len(content)),)


# --- what KPN keeps of a job


def document(arrival: Arrival) -> tuple[Observation, ...]:
    """The content of a job, as KPN keeps it."""
    asked = _question(arrival)
    content, row = _carried(arrival.body)
    return (
        Observation(
            type="evidence.ingested",
            references=(Reference("jobid", asked.about),),
            identity=("document", asked.about, hashlib.sha256(content).hexdigest()),
            documents=_documents(said(row, "name"), content),
            notes=("document_kept",),
        ),
    )


def deleted(arrival: Arrival) -> tuple[Observation, ...]:
    """That KPN was told to delete the content of a job, and did."""
    asked = _question(arrival)
    return (
        Observation(
            type="provider_content.deleted",
            references=(Reference("jobid", asked.about),),
            identity=("content", asked.about, "deleted"),
        ),
    )


# --- settings of the account at KPN


def setting(arrival: Arrival) -> tuple[Observation, ...]:
    """What a setting is now: a fact when it is another value than the last one seen."""
    bodies.check_success(arrival)
    name = arrival.operation.removeprefix("setting.")
    value = value_of(arrival.body)
    return (
        Observation(
            type="account.setting_changed",
            about="account",
            identity=("setting", name, hashlib.sha256(value.encode()).hexdigest()),
            texts=filled({"setting": name, "value": value[:MAX_VALUE]}),
            notes=("setting_at_provider",),
        ),
    )


def value_of(body: bytes) -> str:
    """A setting in one form, whatever the order of its members; text that is no JSON as it is."""
    try:
        value = repaired(json_value(body))
    except UnreadableError:
        return str(repaired(body.decode("utf-8", "replace").strip()))
    return value.strip() if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def zone_said(body: bytes) -> str:
    """The name of the zone in the answer to /timezone, "" where it is none of the time zone database."""
    value = value_of(body)
    try:
        found = bodies.plain(json_value(body))
        value = next((said for name in MEMBERS["zone"] if isinstance(said := found.get(name), str)), value)
    except (UnreadableError, AttributeError):
        pass  # the bare name
    return value if bodies.zone_named(value) else ""
