"""A ledger of varied deliveries, and what is known of each from having written it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
from uuid_utils import uuid7

from ledger.observations import Address, Fingerprint, Reference
from ledger.streams import Registration
from projections.facets import marks
from projections.fold import Folded
from projections.queries import Filters
from tests.projections.facts import clock
from tests.projections.history import write
from tests.world import TENANT, World

OTHER = "other"
ACCOUNTS = {"sms": "kpn_sms", "sms-2": "kpn_sms", "fax": "kpn_cloud_fax", "pec": "pec_mailbox"}
PHONES = tuple(Address("phone", f"+316123400{n:02}") for n in range(12))
DOCUMENTS = tuple(hashlib.sha256(bytes([n])).hexdigest() for n in range(3))
LABELS = ("Claim 7", "policy", "seldom")
BATCHES = ("march", "april")
FACTS = (
    (),
    ("submission.accepted",),
    ("submission.accepted", "content.consigned"),
    ("submission.rejected",),
    ("submission.accepted", "content.consigned", "content.consignment_failed"),
)


@dataclass(slots=True)
class Known:
    """What was said of a message when it was registered, and of those joined into it."""

    tenant: str
    account: str
    recipients: tuple[Address, ...]
    references: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    batches: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as a scan of everything sees it."""

    known: Known
    message: str
    recipient: int
    opened_position: int
    opened_at: str
    status: str
    grade: str
    marks: tuple[str, ...]

    @property
    def key(self) -> tuple[str, int]:
        return self.message, self.recipient

    def fits(self, filters: Filters) -> bool:
        known = self.known
        asked: dict[str, bool] = {
            "provider": filters.provider == ACCOUNTS[known.account],
            "account": filters.account == known.account,
            "status": filters.status == self.status,
            "grade": filters.grade == self.grade,
            "mark": filters.mark in self.marks,
            "since": self.opened_at >= filters.since,
            "until": self.opened_at < filters.until,
            "recipient": filters.recipient == known.recipients[self.recipient].value,
            "reference": filters.reference in known.references,
            "label": filters.label in known.labels,
            "batch": filters.batch in known.batches,
            "document": filters.document in known.documents,
        }
        return all(holds for name, holds in asked.items() if getattr(filters, name))


def fill(world: World, messages: int = 120) -> list[Delivery]:
    """Write messages of two organisations, join some, and return the deliveries of all, newest message first."""
    chance = random.Random(5)  # noqa: S311  the same ledger each time
    told: dict[str, Known] = {}
    for number in range(messages):
        known = Known(OTHER if number % 7 == 3 else TENANT, chance.choice(list(ACCOUNTS)), _some(chance, PHONES, 4))
        message = _register(world, known, number, chance)
        told[message] = known
        for kind in chance.choice(FACTS) if known.tenant == TENANT else ():
            _tell(world, message, kind, known)
    mine = [message for message, known in told.items() if known.tenant == TENANT]
    for teller, joined in zip(mine[10:60:10], mine[11:60:10], strict=False):
        write(world, "streams.joined", teller, streams=[joined], recipients=[], rule="person")
        gone = told.pop(joined)
        for name in ("references", "labels", "batches", "documents"):
            getattr(told[teller], name).update(getattr(gone, name))
    world.runner.run()
    return _read(world, told)


def _some(chance: random.Random, addresses: tuple[Address, ...], most: int) -> tuple[Address, ...]:
    return tuple(chance.sample(addresses, chance.randint(1, most)))


def _register(world: World, known: Known, number: int, chance: random.Random) -> str:
    known.references = {f"own/{number}", *chance.choice(((), ("case 7",)))}
    known.labels = set(chance.choice(((), LABELS[:1], LABELS[:2]))) | ({LABELS[2]} if number % 50 == 10 else set())
    known.batches = set(chance.choice(((), BATCHES[:1], BATCHES[1:])))
    known.documents = set(chance.choice(((), DOCUMENTS[:1], DOCUMENTS[1:])))
    registration = Registration(
        account=known.account,
        provider=ACCOUNTS[known.account],
        recipients=known.recipients,
        references=tuple(Reference("own_reference", each, exclusive=False) for each in sorted(known.references)),
        labels=tuple(sorted(known.labels)),
        documents=tuple(Fingerprint("letter.pdf", each) for each in sorted(known.documents)),
        batch=next((Reference("campaign", each, exclusive=False) for each in known.batches), None),
    )
    name = str(uuid7())
    return world.intake.register(known.tenant, registration, {"arrival": "api"}, (name, name)).message


def _tell(world: World, message: str, kind: str, known: Known) -> None:
    """One fact, of the whole message or of its last recipient alone."""
    source: dict[str, Any] = {"provider": ACCOUNTS[known.account], "account": known.account, "arrival": "webhook"}
    last = len(known.recipients) - 1
    at = clock("9:00")
    if kind.startswith("submission"):
        write(world, kind, message, **source, occurred_at=at, about="message")
    else:
        write(world, kind, f"{message}/{last}", **source, occurred_at=at, about="recipient", recipient=last)


def _read(world: World, told: dict[str, Known]) -> list[Delivery]:
    rows = world.ledger.database.read(
        "SELECT message, recipient, opened_position, opened_at, status, grade, folded FROM read_deliveries"
    )
    decode = msgspec.json.Decoder(Folded).decode
    found = [Delivery(told[row[0]], *row[:6], marks(decode(bytes(row[6])))) for row in rows if row[0] in told]
    return sorted(found, key=lambda each: (-each.opened_position, each.recipient))
