"""A story for the report: four recipients, good and hostile words; names and numbers are our own."""

from __future__ import annotations

import hashlib
from typing import Any

from adapters.evidence.report import Original, Story
from ledger.checkpoints import Checkpoint
from ledger.notes import NoteKey
from projections.fold import Milestone, Reason
from projections.views import AddressView, DeliveryView, MessageView, TrailEntry

MESSAGE = "0192f7a1-5a60-7c11-8a55-0c0ffee00001"
HOSTILE = '\u202eevil\u2066 #panic() $x$ *b* @ref <a> \\ " [x] \x00\x07\x1b[31m \ud7ff\U0001f4a9 \u4e2d\u0627 #read("/etc/passwd")'
LONG_ADDRESS = "reception." + "x" * 200 + "@department.municipality.example"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entry(number: int, kind: str, **said: Any) -> TrailEntry:
    """An event of the trail; its times are a minute apart."""
    given: dict[str, Any] = {
        **dict.fromkeys(("meaning", "occurred_at", "zone", "code", "reason", "erds", "mapping", "rule", "effect"), ""),
        "position": 10 + number,
        "event_id": f"0192f7a1-5a60-7c11-8a55-0c0ffee1{number:04}",
        "type": kind,
        "stream": MESSAGE,
        "version": number,
        "recipient": None,
        "observed_at": f"2026-03-02T09:1{number % 10}:04.120000Z",
        "recorded_at": f"2026-03-02T09:1{number % 10}:05.001000Z",
        "provider": "pec_mailbox",
        "account": "main",
        "arrival": "mailbox",
        "verdict": "verified",
        "notes": (),
        "artifacts": (),
        "leaf_hash": digest(str(number)),
        "values": {},
        "withheld": (),
    }
    return TrailEntry(**(given | said))


ENTRIES = (
    entry(1, "submission.requested", provider="", arrival="api", verdict="", values={"subject": "Disdetta"}),
    entry(2, "recipients.declared", values={"recipient.0": {"kind": "email", "address": "studio@pec.colle.example"}}),
    entry(
        *(3, "submission.accepted"),
        occurred_at="2026-03-02T09:12:44.000000Z",
        zone="stated",
        code="accettazione",
        erds="A.1",
        rule="progress.passed",
        effect="agrees",
        values={"occurred": "02/03/2026 10:12:44 +0100"},
    ),
    entry(
        *(4, "content.consigned"),
        occurred_at="2026-03-02T09:13:01.250000Z",
        zone="stated",
        code="avvenuta-consegna",
        recipient=0,
        rule="final.positive",
        effect="decides",
        withheld=("reference.0",),
        erds="D.1",
    ),
    entry(
        *(5, "channel.unmapped"),
        provider="kpn_sms",
        arrival="webhook",
        verdict="unsigned",
        recipient=1,
        rule="unmapped",
        effect="shown",
        values={"code": HOSTILE, "text": "z" * 100_000},
    ),
)


def delivery(index: int, address: str, status: str, **said: Any) -> DeliveryView:
    given: dict[str, Any] = {
        "sub_status": "",
        "since": "2026-03-02T09:13:01.250000Z",
        "is_final": True,
        "opened_at": "2026-03-02T09:11:00.000000Z",
        "position": 14,
        "rules": "status/1",
        "milestones": {},
        "reasons": (),
    }
    return DeliveryView(
        MESSAGE, index, AddressView("email", address), "main", "pec_mailbox", status=status, **(given | said)
    )


DELIVERIES = (
    delivery(
        *(0, "studio@pec.colle.example", "delivered"),
        sub_status="avvenuta-consegna",
        milestones={"delivered": Milestone("2026-03-02T09:13:01.250000Z", "stated", ENTRIES[3].event_id)},
        reasons=(Reason(ENTRIES[3].event_id, 14, "content.consigned", "", "final.positive", "decides"),),
    ),
    delivery(1, LONG_ADDRESS, "failed", sub_status=HOSTILE),
    delivery(2, "", "pending", since="", is_final=False),
)


def message(**said: Any) -> MessageView:
    given: dict[str, Any] = {
        "message": MESSAGE,
        "tenant": "acme",
        "account": "main",
        "provider": "pec_mailbox",
        "opened_at": "2026-03-02T09:11:05.001000Z",
        "registered": True,
        "inbound": False,
        "recipients": 4,
        "batches": (),
        "values": {"subject": "Disdetta del contratto 4711", "sender": "ufficio@pec.acme.example", "name": HOSTILE},
        "references": ({"kind": "message_id", "value": "<opec1.20260302@pec.gestore.example>"},),
        "labels": ("case 8811",),
        "documents": ({"name": "disdetta.pdf", "sha256": digest("document"), "sha1": digest("sha1")[:40]},),
        "joined": (),
        "joined_into": "",
        "statuses": {},
        "notes": (),
        "deliveries": DELIVERIES,
        "position": 14,
    }
    return MessageView(**(given | said))


STORY = Story(
    message=message(),
    entries=ENTRIES,
    originals=(
        Original(
            path="receipts/0004-avvenuta-consegna-body.eml",
            entry=4,
            role="body",
            media_type="message/rfc822",
            sha256=digest("receipt"),
            body_bytes=8123,
        ),
        Original(path="", entry=3, role="body", media_type="", withheld="other_persons"),
    ),
    checkpoint=Checkpoint("log.example/acme", 1234, hashlib.sha256(b"root").digest()),
    log_keys=(NoteKey("log.example/acme", b"k" * 32),),
    generated_at="2026-03-02T09:20:00.000000Z",
    recipients_withheld=1,
)
