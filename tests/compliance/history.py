"""What happened in the ledger that the compliance queries are tested on: two organisations, all providers, January to April 2026.

A list of acts, each with the time at which it was done. Parts are stories of tests/stories, told on the day on which they happen; the
rest is certified mail as the simulator writes it (so that signatures hold), text messages, and what people did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, NamedTuple

from adapters.lanes import Lanes
from adapters.providers.pec_mailbox.sandbox import ACCOUNT, PASSWORD, Provider, authority
from adapters.providers.sandboxing import Clock
from adapters.receiving import attester, read, verified
from ledger.appender import Item
from ledger.errors import DuplicateError
from ledger.events import delivery_stream, time_text
from ledger.intake import Intake
from ledger.observations import Address, Arrival, ArrivalKind, Fingerprint, Reference, Verdict
from ledger.streams import Registration
from projections.queries import Filters
from tests.stories import stories
from tests.stories.stories import Story
from tests.world import TENANT, World

OTHER = "borough"
ACCOUNTS = {
    "sms": "kpn_sms",
    "registered": "kpn_registered_email",
    "fax": "kpn_cloud_fax",
    "post": "ekopost",
    "massiva": "pec_massiva",
    "pec": "pec_mailbox",
}
ACCOUNT_OF = {provider: account for account, provider in ACCOUNTS.items()}
FIRST = datetime(2026, 1, 12, 8, 0, tzinfo=UTC)
NOW = datetime(2026, 4, 15, 12, 0, tzinfo=UTC)

TOLD = {
    TENANT: (
        "ekopost/campaign-cancelled",
        "ekopost/forged-webhook-and-failed-envelope",
        "ekopost/letter-ends-as-posted",
        "ekopost/one-invitation-expires-and-one-is-denied",
        "ekopost/registered-letter-delivered",
        "ekopost/states-and-errors-that-nobody-knows",
        "kpn_cloud_fax/contradiction-and-refused-job",
        "kpn_cloud_fax/delivered-to-one-busy-at-another",
        "kpn_cloud_fax/receipt-of-a-held-fax",
        "kpn_registered_email/expired",
        "kpn_registered_email/mails-that-belong-nowhere",
        "kpn_registered_email/refused-after-a-reminder",
        "kpn_registered_email/refused-and-taken",
        "kpn_registered_email/ticket-known-before-the-send",
        "kpn_sms/expired-and-yet-delivered",
        "kpn_sms/forged-and-refused",
        "kpn_sms/no-last-word",
        "kpn_sms/one-of-three-is-rejected",
        "kpn_sms/parts-of-one-message",
        "kpn_sms/two-calls-of-one-message",
        "pec_mailbox/both-notices-then-late-delivery",
        "pec_mailbox/contradiction",
        "pec_mailbox/delivered-to-two",
        "pec_mailbox/final-notice-decides",
        "pec_mailbox/forged-delivery",
        "pec_mailbox/one-recipient-outside",
        "pec_mailbox/unreadable-and-not-certified",
        "pec_massiva/forged-failure-by-mail",
        "pec_massiva/joint-call-of-three-ends-in-three-ways",
        "pec_massiva/two-notices-then-failure",
    ),
    OTHER: (
        "kpn_sms/one-of-three-is-rejected",
        "pec_mailbox/contradiction",
        "pec_mailbox/delivered-to-two",
        "pec_mailbox/unreadable-and-not-certified",
    ),
}
"""Organisation -> its stories; the other one hears some of the same, word for word."""


class Act(NamedTuple):
    """Something that was done at a time."""

    at: datetime
    do: Callable[[World], None]


def at(text: str) -> datetime:
    """`01-12 09:30` of 2026, UTC."""
    return datetime.fromisoformat(f"2026-{text}:00+00:00")


def acts() -> list[Act]:
    """Everything, in the order in which it happened."""
    found = [
        *(Act(FIRST, _open(tenant)) for tenant in TOLD),
        *(act for name, tenant in _parts() for act in _story(tenant, name)),
        *(act for letter in LETTERS for act in certified(letter)),
        *(act for text in TEXTS for act in _text(text)),
        *_people(),
        *(Act(FIRST + timedelta(hours=12 * n), _notice) for n in range(1, 187)),
    ]
    return sorted(found, key=lambda act: act.at)


def _parts() -> Iterator[tuple[str, str]]:
    return ((name, tenant) for tenant, names in TOLD.items() for name in names)


def _open(tenant: str) -> Callable[[World], None]:
    def do(world: World) -> None:
        for account, provider in ACCOUNTS.items():
            world.accounts.add(tenant, account, provider)

    return do


# --- stories


def _story(tenant: str, name: str) -> Iterator[Act]:
    story = stories.load(stories.FOLDER / f"{name}.json")
    account = ACCOUNT_OF[story.provider]
    arrivals = [replace(arrival, account=account) for arrival in story.repeated]
    if story.registration is not None:
        first = min(arrival.observed_at for arrival in arrivals)
        yield Act(first - timedelta(minutes=1), _declare(tenant, name, replace(story.registration, account=account)))
    for arrival in arrivals:
        yield Act(arrival.observed_at + timedelta(seconds=1), _tell(tenant, story, arrival))


def _declare(tenant: str, name: str, registration: Registration) -> Callable[[World], None]:
    clear = {"arrival": str(ArrivalKind.IMPORT), "occurred_at": stories.SENT_AT, "zone": "stated"}
    return lambda world: _quietly(world.intake.register(tenant, registration, clear, (name, name)))


def _tell(tenant: str, story: Story, arrival: Arrival) -> Callable[[World], None]:
    def do(world: World) -> None:
        told, checked = verified(arrival, story.keys, arrival.observed_at)
        if checked.verdict is Verdict.REFUSED:
            world.quarantine.keep(tenant, told, checked.why)
        else:
            _admit(_judging(world, ()) if story.judged else world.intake, tenant, told)

    return do


def _judging(world: World, roots: tuple[bytes, ...]) -> Intake:
    return Intake(world.ledger, attester(lambda: roots))


def _admit(intake: Intake, tenant: str, arrival: Arrival) -> None:
    outcome = intake.admit([read(tenant, arrival)])[0]
    if isinstance(outcome, Exception):
        raise outcome


def _quietly(_result: object) -> None:
    """Somebody who acts looks at what came of it elsewhere."""


# --- certified mail


@dataclass(frozen=True)
class Letter:
    """A certified e-mail; what becomes of it is said by the first word of each address (see the simulator's `behaviour`)."""

    at: datetime
    number: int
    to: tuple[str, ...]
    document: str = "notice"
    reference: str = ""
    labels: tuple[str, ...] = ()
    batch: str = ""

    @property
    def msgid(self) -> str:
        return f"letter-{self.number}@{authority.DOMAIN}"


LETTERS = (
    Letter(at("01-12 09:00"), 1, ("anna@pec.uno.example",), "notice", "case-100", ("case 100",), "tax-2026"),
    Letter(at("01-12 09:10"), 2, ("silent@pec.uno.example",), "notice", "case-101", ("case 101",), "tax-2026"),
    Letter(at("01-12 09:20"), 3, ("refused@pec.uno.example", "bruno@pec.uno.example"), "reminder", "case-102"),
    Letter(at("02-03 10:00"), 4, ("Anna@PEC.uno.example",), "notice", "case-100b", ("case 100",)),
    Letter(at("02-04 10:00"), 5, ("anna@pec.uno.example",), "notice", "case-100c", ("case 100",)),
    Letter(at("02-10 11:00"), 6, ("altered@pec.due.example",), "order", "case-110"),
    Letter(at("02-10 11:05"), 7, ("unsigned@pec.due.example",), "order", "case-111"),
    Letter(at("02-10 11:10"), 8, ("impostor@pec.due.example", "carla@pec.due.example"), "order", "case-112"),
    Letter(at("03-20 08:00"), 9, ("late@pec.tre.example", "esterno@mail.example"), "lease", "case-120"),
    Letter(at("03-20 08:05"), 10, ("contradicted@pec.tre.example",), "lease", "case-121"),
    Letter(at("04-10 09:00"), 11, ("nothing@pec.tre.example",), "lease", "case-122", ("case 122",)),
    Letter(at("04-15 08:00"), 12, ("nothing@pec.quattro.example",), "lease", "case-122", ("case 122",)),
)


def certified(letter: Letter) -> Iterator[Act]:
    """Its sending, then each receipt that comes before `NOW`."""
    provider = Provider({ACCOUNT: PASSWORD}, clock=Clock(letter.at), seed=letter.number)
    mail = EmailMessage(SMTP)
    mail["From"], mail["To"], mail["Subject"] = ACCOUNT, ", ".join(letter.to), f"Notice {letter.number}"
    mail["Message-ID"] = f"<{letter.msgid}>"
    mail.set_content("See the attachment.")
    mail.add_attachment(document(letter.document), maintype="application", subtype="pdf", filename="notice.pdf")
    provider.submit(ACCOUNT, letter.to, mail.as_bytes())
    provider.advance(timedelta(days=3))
    yield Act(letter.at - timedelta(seconds=30), _send(letter))
    for got in provider.mailboxes[ACCOUNT]:
        seen = got.at + timedelta(seconds=30)
        if seen < NOW:
            yield Act(seen, _receipt(got.raw, seen))


def document(name: str) -> bytes:
    """The bytes of a document that was sent."""
    return f"%PDF-1.7 {name}".encode() * 40


def digest(name: str) -> str:
    """Its SHA-256, hex."""
    return hashlib.sha256(document(name)).hexdigest()


def _send(letter: Letter) -> Callable[[World], None]:
    data = document(letter.document)
    registration = Registration(
        account="pec",
        provider="pec_mailbox",
        recipients=tuple(Address("email", each) for each in letter.to),
        references=(Reference("msgid", letter.msgid), Reference("own_reference", letter.reference, exclusive=False)),
        batch=Reference("own_batch", letter.batch, exclusive=False) if letter.batch else None,
        labels=letter.labels,
        texts={"subject": f"Notice {letter.number}"},
        documents=(Fingerprint("notice.pdf", digest(letter.document), hashlib.sha1(data).hexdigest(), size=len(data)),),  # noqa: S324
    )
    clear = {"arrival": str(ArrivalKind.API), "actor": "key_clerk"}
    return lambda world: _quietly(world.intake.register(TENANT, registration, clear, (letter.msgid, letter.msgid)))


def _roots() -> tuple[bytes, ...]:
    return (authority.root(authority.ROOT).der(),)


def _receipt(raw: bytes, seen: datetime) -> Callable[[World], None]:
    arrival = Arrival(
        provider="pec_mailbox",
        account="pec",
        operation="receipt",
        kind=ArrivalKind.MAILBOX,
        observed_at=seen,
        body=raw,
    )
    return lambda world: _admit(_judging(world, _roots()), TENANT, arrival)


# --- text messages


@dataclass(frozen=True)
class Text:
    """A text message to one number, and how its report came.

    Attributes:
        status: of the report; None when none ever comes.
        minutes: after which it comes.
    """

    at: datetime
    number: int
    phone: str
    status: int | None = 1
    minutes: int = 1


TEXTS = (
    Text(at("01-20 08:00"), 1, "+31612349001"),
    Text(at("02-20 08:00"), 2, "+31612349001", status=4),
    Text(at("02-20 08:30"), 3, "+31612349002", status=1, minutes=80 * 60),
    Text(at("03-16 08:00"), 4, "+31612349003", status=1, minutes=8 * 60),
    Text(at("03-16 08:30"), 5, "0612349001", status=None),
    Text(at("04-15 09:00"), 6, "+31612349004", status=None),
)


def _text(text: Text) -> Iterator[Act]:
    ticket = f"0c000000-0000-4000-8000-{text.number:012}"
    request = {"sender": "City", "messages": [{"content": "Reminder.", "mobile_number": text.phone}]}
    yield Act(text.at, _arrives("send", text.at, {"document_id": ticket, "status": "OK"}, request))
    ended = text.at + timedelta(minutes=text.minutes)
    if text.status is not None:
        report = {"DLRID": ticket, "MessageType": "sms", "RecipientPhonenumber": text.phone, "Status": text.status}
        yield Act(
            ended,
            _arrives("webhook.dlr", ended, {**report, "ErrorCode": None, "StatusDateTime": int(ended.timestamp())}),
        )


def _arrives(operation: str, seen: datetime, body: object, request: object = None) -> Callable[[World], None]:
    arrival = Arrival(
        provider="kpn_sms",
        account="sms",
        operation=operation,
        kind=ArrivalKind.POLL if request else ArrivalKind.WEBHOOK,
        observed_at=seen,
        body=json.dumps(body).encode(),
        status=200 if request else None,
        request=json.dumps(request).encode() if request else None,
        verdict=Verdict.UNSIGNED if request else Verdict.VERIFIED,
    )
    return lambda world: _admit(world.intake, TENANT, arrival)


# --- what people and the clock do


def _people() -> Iterator[Act]:
    term: dict[str, Any] = {"rule": "deadline.delivery_report", "numbers": {"warn_s": 3600, "breach_s": 6 * 3600}}
    yield Act(at("03-10 12:00"), lambda world: _quietly(_record(world, "ruleset.changed", "rules", term)))
    yield Act(at("03-12 12:00"), _dismiss)
    yield Act(at("03-13 12:00"), _claim)
    yield Act(at("03-05 08:00"), _fax)
    yield Act(at("03-20 06:00"), _retention)
    yield Act(at("04-14 06:00"), _forecast)
    yield Act(at("04-01 09:00"), _look("key_clerk", "access.message", "anna@pec.uno.example", looks=2))
    yield Act(at("04-02 09:00"), _look("key_clerk", "access.original", "anna@pec.uno.example"))
    yield Act(at("04-02 10:00"), _look("key_auditor", "access.message", "+31612349001", looks=1))


def _record(world: World, kind: str, account: str, clear: dict[str, Any], actor: str = "key_clerk") -> int:
    return world.accounts.record(kind, TENANT, account, actor, clear, "by hand")


def _dismiss(world: World) -> None:
    """Somebody looks at the oldest unmatched item and says that it needs nothing."""
    world.runner.run()
    oldest = next(item for item in world.queries.lanes(TENANT) if item.lane == "unmatched")
    world.lanes.dismiss(TENANT, oldest.item, "a refused call that was made again by hand", "key_clerk")


def _claim(world: World) -> None:
    """Somebody vouches for a receipt without a signature: what it says counts, and that nothing was signed is said beside it."""
    world.runner.run()
    unsigned = next(item for item in world.queries.lanes(TENANT) if item.why == "there is no signature")
    (row,) = world.queries.search(TENANT, Filters(recipient="unsigned@pec.due.example")).deliveries
    judging = Lanes(world.ledger, world.accounts, _judging(world, _roots()), world.queries)
    judging.claim(TENANT, unsigned.item, row.message, "printed and compared by hand", "key_clerk")


def _fax(world: World) -> None:
    """A fax is taken, and nothing more is ever heard of it."""
    request = {"targets": ["+31201234777"], "subject": "Objection", "documents": []}
    taken = Arrival(
        provider="kpn_cloud_fax",
        account="fax",
        operation="send",
        kind=ArrivalKind.POLL,
        observed_at=world.ledger.clock(),
        body=b'{"jobid":"20260305-000077"}',
        status=201,
        request=json.dumps(request).encode(),
    )
    _admit(world.intake, TENANT, taken)


def _retention(world: World) -> None:
    """KPN Cloud Fax tells how long it keeps faxes."""
    seen = world.ledger.clock()
    body = json.dumps({"lifetime": 45, "JobType": "Fax", "secureAccessDays": 14}).encode()
    settings = Arrival(
        provider="kpn_cloud_fax",
        account="fax",
        operation="setting.retentionconfig",
        kind=ArrivalKind.POLL,
        observed_at=seen,
        body=body,
        status=200,
    )
    _admit(world.intake, TENANT, settings)


def _forecast(world: World) -> None:
    """The sweep of the quota of the mailbox behind PEC Massiva says when it will be full."""
    columns = "tenant, account, job, next_at, asked_at, started_at, ended_at, ok_at, last_error, failures, runs, found, nothing_new, told"
    said = json.dumps({"full_at": "2026-04-20T00:00:00+00:00"})
    with world.ledger.database.writing() as cursor:
        sql = f"INSERT INTO jobs ({columns}, state) VALUES (?, 'massiva', 'quota', '', '', '', '', '', '', 0, 1, 1, 0, 0, ?)"
        cursor.execute(sql, (TENANT, said))


def _look(actor: str, rule: str, address: str, looks: int = 0) -> Callable[[World], None]:
    """Somebody looks at the messages to an address."""

    def do(world: World) -> None:
        kind = "phone" if address.startswith("+") else "email"
        digests = [world.ledger.keyring.lookup(TENANT, "address", kind, address)]
        streams = sorted({stream for _, stream, _, _ in world.ledger.probe_lookups(digests)})
        clear: dict[str, Any] = {"rule": rule, "streams": streams} | ({"numbers": {"looks": looks}} if looks else {})
        _record(world, "access.recorded", actor, clear, actor)

    return do


def _notice(world: World) -> None:
    """The clock notes what is due about deadlines."""
    world.runner.run()
    for due in world.queries.due_deadlines(time_text(world.ledger.clock())):
        said = {"provider": due.provider, "account": due.account, "rule": due.rule, "occurred_at": due.occurred_at}
        stream = delivery_stream(due.message, due.recipient)
        clear = {**said, "about": "recipient", "recipient": due.recipient}
        key = world.ledger.keyring.duplicate(None, due.tenant, "", "due", stream, due.type, due.rule, due.occurred_at)
        try:
            draft = world.ledger.draft(due.type, due.tenant, stream, clear)
            world.ledger.append(Item([draft], needs={due.message}, duplicates=[(0, key)]))
        except DuplicateError:
            continue
