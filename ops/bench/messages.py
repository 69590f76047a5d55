"""Sends and the reports on them, and the items that the intake writes of such.

A message is a registered send to four numbers, and the delivery reports of two of them. The intake looks up what is known before it
writes; of these nothing is, so their rows are made straight away. A test holds every one against what the intake writes of the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from uuid_utils import uuid7

from ledger.appender import Item
from ledger.application import Ledger, PersonKey, digest_value
from ledger.events import delivery_stream, time_text
from ledger.names import SAME_BODY_DAYS
from ledger.recorders import LookupRow
from ledger.streams import WHOLE_MESSAGE
from ops.bench.load import ACCOUNT, PROVIDER, TENANT

RECIPIENTS, EVENTS = 4, 4
"""Of a message: `submission.requested`, `recipients.declared`, and a report on two of its recipients."""
BEGINNING = datetime(2026, 3, 1, 9, tzinfo=UTC)
REPORTS: tuple[tuple[str, str, str], ...] = (
    ("content.consigned", "1", ""),
    ("content.consigned", "1", ""),
    ("content.consigned", "1", ""),
    ("relay.accepted", "3", ""),
    ("content.consignment_failed", "4", "003"),
)
"""Type, KPN's status, KPN's failure code."""


class Report(NamedTuple):
    """A delivery report."""

    recipient: int
    kind: str
    code: str
    reason: str
    at: datetime


class Message(NamedTuple):
    """A send, as its sender and its provider know it."""

    number: int
    reports: tuple[Report, ...]

    @property
    def document_id(self) -> str:
        return f"00000000-0000-4000-8000-{self.number:012}"

    @property
    def own_reference(self) -> str:
        return f"case-{self.number // 3}"

    @property
    def phones(self) -> list[str]:
        return [f"+316{10_000_000 + self.number * RECIPIENTS + index}" for index in range(RECIPIENTS)]

    @property
    def texts(self) -> dict[str, str]:
        return {"subject": f"Your assessment {self.number}", "sender": "Waterschap"}

    @property
    def idempotency(self) -> tuple[str, str]:
        return f"send-{self.number}", f"{self.number:064x}"

    def body(self, report: Report) -> bytes:
        """What the provider posts."""
        said = {
            "DLRID": self.document_id,
            "MessageType": "sms",
            "CustomerId": "waterschap",
            "RecipientPhonenumber": self.phones[report.recipient],
            "Message": f"Your assessment {self.number} is ready.",
            "Status": int(report.code),
            "ErrorCode": report.reason or None,
            "StatusDateTime": int(report.at.timestamp()),
        }
        return json.dumps(said).encode()


HEADERS = {
    "content-type": "application/json",
    "x-kpn-webhook-signature": "dd" * 32,
    "x-kpn-webhook-timestamp": "1784541848",
    "x-kpn-webhook-key-id": "wk_1",
    "x-kpn-webhook-attempt": "1",
}


def messages(begin: int, end: int) -> Iterator[Message]:
    """Messages by number; a number stands for the same message in every run."""
    for number in range(begin, end):
        random = Random(number)  # noqa: S311  no secret
        recipients = random.sample(range(RECIPIENTS), EVENTS - 2)
        sent = BEGINNING + timedelta(seconds=number)
        ats = (sent + timedelta(seconds=random.randrange(5, 86_400)) for _ in recipients)
        yield Message(
            number, tuple(Report(r, *random.choice(REPORTS), at) for r, at in zip(recipients, ats, strict=True))
        )


Values = Sequence[tuple[PersonKey, Mapping[str, Any]]]


class _Drafting:
    """Drafts the events of one item, with what stands beside them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._keyring = ledger.keyring
        self._mapping = ledger.vocabulary[PROVIDER].mapping
        self._now = ledger.clock()
        self._observed_at = time_text(self._now)
        self._item = Item([])

    def item(self, every: list[Message]) -> Item:
        """All messages first, then the reports on them."""
        opened = [(message, *self._register(message)) for message in every]
        for message, stream, keys in opened:
            for report in message.reports:
                self._report(message, report, stream, keys)
        return self._item

    def _add(self, kind: str, stream: str, clear: dict[str, Any], values: Values) -> int:
        clear = {"provider": PROVIDER, "account": ACCOUNT, "observed_at": self._observed_at, **clear}
        self._item.drafts.append(self._ledger.draft(kind, TENANT, stream, clear, values))
        return len(self._item.drafts) - 1

    def _key(self, stream: str, person: int) -> PersonKey:
        row, key = self._ledger.new_key(stream, person)
        self._item.keys.append(row)
        return key

    def _find(
        self, index: int, stream: str, kind: str, *parts: str, person: int = WHOLE_MESSAGE, exclusive: bool = False
    ) -> None:
        digest = self._keyring.lookup(TENANT, kind, *parts)
        self._item.lookups.append((index, LookupRow(digest, stream, person, int(exclusive))))

    def _once(self, index: int, account: str, kind: str, *identity: str, day: date | None = None) -> None:
        key = self._keyring.duplicate(day, TENANT, account, kind, *identity)
        self._item.duplicates.append((index, key))

    def _register(self, message: Message) -> tuple[str, list[PersonKey]]:
        stream = str(uuid7())
        whole, *keys = (self._key(stream, person) for person in (WHOLE_MESSAGE, *range(RECIPIENTS)))
        self._item.new_streams.add(stream)
        source = {"arrival": "api", "actor": "bench"}
        named = {"document_id": message.document_id, "own_reference": message.own_reference}
        said = {f"reference.{i}": {"kind": k, "value": v} for i, (k, v) in enumerate(named.items())}
        requested = self._add(
            "submission.requested", stream, {**source, "about": "message"}, [(whole, {**message.texts, **said})]
        )
        self._find(requested, stream, "reference", ACCOUNT, "document_id", message.document_id, exclusive=True)
        for value in named.values():
            self._find(requested, stream, "any_reference", value)
        self._once(requested, "", "idempotency", message.idempotency[0])
        self._once(requested, "", "idempotent body", *message.idempotency)
        phones = [{f"recipient.{i}": {"kind": "phone", "address": phone}} for i, phone in enumerate(message.phones)]
        values = list(zip(keys, phones, strict=True))
        declared = self._add("recipients.declared", stream, {**source, "first": 0, "count": RECIPIENTS}, values)
        for index, phone in enumerate(message.phones):
            self._find(declared, stream, "address", "phone", phone, person=index)
        return stream, [whole, *keys]

    def _report(self, message: Message, report: Report, stream: str, keys: list[PersonKey]) -> None:
        body, stamp, phone = message.body(report), str(int(report.at.timestamp())), message.phones[report.recipient]
        original = self._ledger.seal_original(keys[0], body, HEADERS["content-type"])
        digest = digest_value(body, HEADERS["content-type"], "", "body")
        clear = {
            "arrival": "webhook",
            "operation": "webhook.dlr",
            "verdict": "verified",
            "key_id": HEADERS["x-kpn-webhook-key-id"],
            "mapping": self._mapping,
            "about": "recipient",
            "recipient": report.recipient,
            "code": report.code,
            "occurred_at": time_text(report.at),
            "zone": "epoch",
            "artifacts": [original.artifact_id],
        } | ({"reason": report.reason} if report.reason else {})
        said = {
            "message": f"Your assessment {message.number} is ready.",
            "message_type": "sms",
            "customer_id": "waterschap",
            "occurred": stamp,
        }
        beside = {"artifact.0": digest, "headers": HEADERS}
        values: Values = [(keys[1 + report.recipient], said), (keys[0], beside)]
        index = self._add(report.kind, delivery_stream(stream, report.recipient), clear, values)
        self._item.artifacts.append((index, original))
        identity = ("dlr", message.document_id, phone, report.code, stamp)
        self._once(index, ACCOUNT, "fact", *identity, "|", report.reason, day=report.at.date())
        self._once(index, ACCOUNT, "identity", *identity)
        window = self._now.date().toordinal() // SAME_BODY_DAYS
        posted = (PROVIDER, "webhook.dlr", "", "", "", digest["sha256"], str(window))
        self._once(index, ACCOUNT, "body", *posted, day=date.fromordinal(window * SAME_BODY_DAYS))


def item(ledger: Ledger, every: list[Message]) -> Item:
    """What the intake writes of some messages and the reports on them, as one item."""
    return _Drafting(ledger).item(every)
