"""The certificate of an erasure: what was erased, what remains and why, and where the log says so. It names no one.

Made of the log alone, so it is the same whenever it is asked for. What it shows: that the keeper of the log said these things at these
places of a log whose root stands beside them; that a backup somewhere cannot be read, nobody can certify.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import stays
from adapters.erasing.views import REMAINS, Erasure, Numbers, Stay
from adapters.evidence.report import typeset
from adapters.evidence.texts import plain
from adapters.outbox import ActRefusedError
from adapters.reports.texts import FOLDER, texts
from ledger import identity
from ledger.events import Event, time_text
from ledger.tree import leaf_hash

FORMAT = "delivery-ledger-erasure/1"
TITLE = "Certificate of erasure"
CLAIM = (
    "What is listed was erased: the keys that open it were destroyed, with the sealed values, originals and look-ups. Every proof that was "
    "issued before stays valid; what it proves can no longer be shown by us."
)
CHECK = (
    "How to check: each event can be fetched with an inclusion proof against any later signed head of this log, and its leaf hash must "
    "be the one in the certificate (JSON). The events name no one."
)


class Said(msgspec.Struct, frozen=True):
    """An event by which the log says so; its leaf hash is SHA-256 as RFC 6962 has it, hex."""

    position: int
    event: str
    leaf: str


class Certificate(msgspec.Struct, frozen=True):
    """What was erased and what remains, from the log alone.

    Attributes:
        log: its origin.
        of: a recipient, found by an address, or a message.
        asked_by, decided_by: id of the API key, or `console`; "" where it took no second person.
        events: that say what was erased, the last one that it was carried out.
        tree_size, root: of the log up to that one, SHA-256, hex.
    """

    format: str
    log: str
    tenant: str
    erasure: str
    of: str
    message: str
    asked_at: str
    asked_by: str
    decided_at: str
    decided_by: str
    done_at: str
    erased: Numbers
    remains: tuple[Stay, ...]
    events: tuple[Said, ...]
    tree_size: int
    root: str


def certificate(eraser: Eraser, tenant: str, erasure: str) -> Certificate:
    """The certificate of an erasure that was carried out.

    Raises:
        NotFoundError: the tenant has no such erasure.
        ActRefusedError: it was not carried out yet.
    """
    found, done = eraser.get(tenant, erasure), eraser.completed(tenant, erasure)
    if done is None:
        msg = f"erasure {erasure} {found.meaning}; there is a certificate when it was carried out"
        raise ActRefusedError(msg)
    known = identity.read(eraser.ledger)
    return Certificate(
        format=FORMAT,
        log=known.origin if known else "",
        tenant=tenant,
        **_copied(found),
        done_at=str(done.fields["recorded_at"]),
        erased=found.numbers,
        remains=_remains(done),
        events=tuple(_said(event) for event in (*eraser.said(tenant, erasure), done)),
        tree_size=done.position,
        root=eraser.ledger.root_at(done.position).hex(),
    )


def _copied(found: Erasure) -> dict[str, str]:
    names = ("erasure", "of", "message", "asked_at", "asked_by", "decided_at", "decided_by")
    return {name: str(getattr(found, name)) for name in names}


def _remains(done: Event) -> tuple[Stay, ...]:
    numbers = done.fields.get("numbers", {})
    oldest = numbers.get("oldest_kek_s")
    since = "" if oldest is None else time_text(datetime.fromtimestamp(oldest, UTC))
    return stays({what: numbers.get(f"stays.{what}", 0) for what in REMAINS}, since)


def _said(event: Event) -> Said:
    return Said(event.position, event.id, leaf_hash(event.leaf).hex())


def encoded(found: Certificate) -> bytes:
    """As JSON: the same bytes for the same certificate."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


# --- for people


def pdf(found: Certificate) -> bytes:
    """As PDF/A, without the seal: the same bytes for the same certificate."""
    label = texts("en")["label"]
    rows = [["erased", name, str(count), ""] for name, count in _counts(found.erased)]
    rows += [["remains", s.what, "" if s.count is None else str(s.count), plain(_why(s))] for s in found.remains]
    titles = ["", "What", "How many", "Why it remains"]
    data: dict[str, Any] = {
        "language": "en",
        "label": label,
        "title": TITLE,
        "query": found.erasure,
        "organisation": found.tenant,
        "as_of": f"{label['position']} {found.tree_size}",
        "facts": [(name, plain(value)) for name, value in _facts(found)],
        "paper": "a4",
        "size": 8.0,
        "widths": [12, 18, 10, 80],
        "right": [False, False, True, False],
        "columns": titles,
        "rows": rows,
        "meanings": [
            (titles[1], "what", "what was erased, or remains"),
            (titles[2], "count", "where somebody counts it"),
            (titles[3], "why", "and what ends it, where something does"),
        ],
        "notes": [label["seal"], CHECK],
    }
    return typeset(FOLDER, data, found.done_at)


def _counts(numbers: Numbers) -> list[tuple[str, int]]:
    return [(name, getattr(numbers, name)) for name in numbers.__struct_fields__ if getattr(numbers, name)]


def _why(stay: Stay) -> str:
    return (
        f"{stay.why} (the oldest key in use came {stay.since[:19].replace('T', ' ')} UTC)" if stay.since else stay.why
    )


def _facts(found: Certificate) -> list[tuple[str, str]]:
    decided = f"{found.decided_at[:19].replace('T', ' ')} UTC, by {found.decided_by}" if found.decided_at else "-"
    first, last = found.events[0].position, found.events[-1].position
    return [
        ("Erasure", found.erasure),
        ("What was erased", f"message {found.message}" if found.message else "what was kept of one recipient"),
        ("Claim", CLAIM),
        ("Log", found.log),
        ("Organisation", found.tenant),
        ("Asked", f"{found.asked_at[:19].replace('T', ' ')} UTC, by {found.asked_by}"),
        ("Agreed to by a second person", decided),
        ("Carried out", f"{found.done_at[:19].replace('T', ' ')} UTC"),
        ("Events", f"{len(found.events)}, at log positions {first} to {last}"),
        ("Tree size", str(found.tree_size)),
        ("Root of the log there (SHA-256)", found.root),
    ]
