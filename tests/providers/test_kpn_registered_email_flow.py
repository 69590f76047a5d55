"""KPN Registered E-mail from send to the last evidence: outbox, polls and sweeps of a real ledger over HTTP against the sandbox."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters import sending
from adapters.calls import Caller
from adapters.desk import AccountDesk
from adapters.jobs.polling import Polls
from adapters.outbox import Outbox
from adapters.providers.calling import CallFailedError, Document, Submission
from adapters.providers.kpn_registered_email import PROVIDER
from adapters.providers.kpn_registered_email.client import CLIENT
from adapters.providers.kpn_registered_email.sandbox import Clock, Fault, Gateway, Sandbox, running
from ledger.observations import Address, ArrivalKind
from ledger.streams import Registration
from projections.views import DeliveryView
from tests.mail.dovecot import NO_DOVECOT, PASSWORD, Dovecot, private_dovecot
from tests.world import TENANT, World, world

ACCOUNT = "aangetekend"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SENDER, NEWCOMER = "juridisch@kantoor.example", "nieuw@kantoor.example"
RECIPIENT = "m.jansen@bedrijf.example"
SECRETS = {
    "client_id": "hush-id",
    "client_secret": "hush-secret",
    "web_user": "hush-web",
    "web_password": "hush-web-password",
}
SENDERS = {SENDER: {"name": "Kantoor"}}
LETTER = Document("opzegging.pdf", "application/pdf", b"%PDF-1.7 opzegging")


@dataclass
class Place:
    """A ledger with an account at the sandbox."""

    sandbox: Sandbox
    found: World
    outbox: Outbox
    caller: Caller
    states: dict[str, dict[str, object]] = field(default_factory=dict)

    def send(self, sender: str = SENDER, documents: tuple[Document, ...] = (LETTER,), **options: str) -> str:
        """Have something sent; its message."""
        people = (Address("email", RECIPIENT),)
        registration = Registration(account=ACCOUNT, provider=PROVIDER.name, recipients=people)
        submission = Submission(
            message="",
            recipients=people,
            sender=sender,
            subject="Opzegging",
            text="Zie bijlage.",
            documents=documents,
            options=options,
            requested_at=START,
        )
        accounts, intake = self.found.accounts, self.found.intake
        done = sending.dispatch(intake, accounts, TENANT, registration, submission, clear={"arrival": "api"})
        self.outbox.run()
        return done.message

    def desk(self, name: str, message: str = "") -> AccountDesk:
        access = self.found.accounts.access(TENANT, ACCOUNT, self.found.ledger.clock())
        state = self.states.setdefault(name, {})
        accounts, intake = self.found.accounts, self.found.intake
        return AccountDesk(
            TENANT, ACCOUNT, PROVIDER, CLIENT, access, accounts, intake, self.caller, state, message=message
        )

    def sweep(self, name: str) -> None:
        """Do what is done for the whole account."""
        self.found.runner.run()
        next(sweep for sweep in CLIENT.sweeps if sweep.name == name).run(self.desk(name))

    def poll(self, message: str) -> None:
        """Ask about a message as the clock would."""
        self.found.runner.run()
        polls = Polls(self.found.queries, TENANT, ACCOUNT, CLIENT.cadence)
        due = next(each for each in polls.due(self.found.ledger.clock(), everything=True) if each.message == message)
        watched = polls.watched(due)
        assert watched is not None
        assert CLIENT.poll is not None
        CLIENT.poll(self.desk("poll", message), watched)

    def receive(self) -> None:
        """Read all delivery e-mails, as if from the mailbox."""
        for mail in self.sandbox.service.mails:
            self.desk("mailbox").admit_bytes("delivery_mail", ArrivalKind.MAILBOX, mail)

    def happens(self, *acts: str, **after: float) -> None:
        """Time passes, and things happen to the one ticket."""
        for act in acts:
            self.sandbox.gateway.clock.advance(timedelta(**(after or {"hours": 1})))
            self.sandbox.service.act(self.token, act)

    @property
    def token(self) -> str:
        (token,) = self.sandbox.service.tickets
        return token

    def state(self, message: str) -> str:
        return self.outbox.row(TENANT, message).state

    def delivery(self) -> DeliveryView:
        (view,) = self.found.deliveries()
        return view

    def told(self) -> tuple[str, str, str]:
        view = self.delivery()
        return view.status, view.sub_status, str(view.evidence.grade)

    def types(self) -> Counter[str]:
        return Counter(event.type for event in self.found.ledger.feed(0, 2_000))

    def size(self) -> int:
        return self.found.ledger.head().size

    def configure(self, **settings: object) -> None:
        told = {
            "base_url": self.sandbox.base_url,
            "environment_url": self.sandbox.environment_url,
            "senders": SENDERS,
        }
        self.found.accounts.configure(TENANT, ACCOUNT, told | settings)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A ledger in the sandbox's time, with one sender who may send."""
    clock = Clock(START)
    gateway = Gateway(client_id=SECRETS["client_id"], client_secret=SECRETS["client_secret"], shape="flat", clock=clock)

    def now() -> datetime:
        clock.advance(timedelta(milliseconds=1))
        return clock.now()

    folder = tmp_path / "ledger"
    with (
        running(gateway=gateway) as sandbox,
        world(f"sqlite:///{folder}/ledger.db", folder) as found,
        Caller(clock=now, monotonic=lambda: clock.now().timestamp()) as caller,
    ):
        found.ledger.clock = now
        service = sandbox.service
        service.web_user, service.web_password = SECRETS["web_user"], SECRETS["web_password"]
        service.users[SENDER] = True
        found.accounts.add(TENANT, ACCOUNT, PROVIDER.name)
        found.accounts.set_credentials(TENANT, ACCOUNT, SECRETS)
        outbox = Outbox(found.ledger, found.intake, found.accounts, caller, found.queries)
        here = Place(sandbox, found, outbox, caller)
        here.configure()
        yield here


# --- from send to evidence


def test_a_registered_mail_from_send_to_acceptance(place: Place) -> None:
    """Accepted, announced, reminded of, taken: at E3, and who it was that took it is not proven."""
    message = place.send(own_id="dossier-7", campaign="maart", language="nl")
    assert ("sent", {message: 1}) == (place.state(message), place.sandbox.service.sends())
    assert ("accepted", "", "E1") == place.told()
    place.poll(message)
    assert ("available", "Aankondiging aangetekende mail verstuurd", "E2") == place.told()
    place.happens("remind", days=3)
    place.poll(message)
    assert ("available", "95", "E2") == place.told()
    place.happens("accept")
    place.poll(message)
    assert ("accepted_by_recipient", "Aangetekende mail geaccepteerd", "E3") == place.told()
    evidence = place.delivery().evidence
    assert "identity" in evidence.not_proven
    assert {"accepted", "reached", "acted"} <= set(evidence.proven)


def test_the_reported_hash_is_compared_with_what_was_sent(place: Place) -> None:
    """When the mail itself was delivered, the provider's hash of each attachment is that of the document."""
    message = place.send(documents=(LETTER, Document("b.txt", "text/plain", b"twee")))
    place.happens("accept")
    place.poll(message)
    verified = [e for e in place.found.ledger.feed(0, 2_000) if e.type == "evidence.verified"]
    assert ["content.matches"] * 2 == [e.fields["rule"] for e in verified]  # of the delivery, and of the acceptance


def test_another_hash_is_a_dispute(place: Place) -> None:
    """The provider says that it delivered other bytes: a person must settle it."""
    place.sandbox.service.spoilt_hash = True
    message = place.send()
    place.happens("accept")
    place.poll(message)
    assert "disputed" == place.told()[0]


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("refuse", ("refused", "Aangetekende mail geweigerd", "E3")),
        ("expire", ("expired", "Aangetekende mail verlopen", "E3")),
        ("take", ("accepted_by_recipient", "Aangetekende mail geaccepteerd", "E3")),
        ("bounce", ("available", "Aankondiging aangetekende mail verstuurd", "E2")),
        ("look", ("available", "Aankondiging aangetekende mail verstuurd", "E2")),
    ],
)
def test_what_the_recipient_does_decides(place: Place, act: str, expected: tuple[str, str, str]) -> None:
    """Refusal and expiry end it; a word that nobody knows is kept and decides nothing."""
    message = place.send()
    place.happens(act)
    place.poll(message)
    assert expected == place.told()


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("sign", ("accepted_by_recipient", "Aangetekende mail ondertekend", "E3")),
        ("decline", ("refused", "Ondertekening aangetekende mail geweigerd", "E3")),
    ],
)
def test_who_must_sign_is_done_only_then(place: Place, act: str, expected: tuple[str, str, str]) -> None:
    """Taking it is a step after which the ledger goes on asking."""
    place.sandbox.service.signers.add(RECIPIENT)
    message = place.send()
    place.happens("take")
    place.poll(message)
    assert (False, "available") == (place.delivery().is_final, place.told()[0])
    place.happens(act)
    place.poll(message)
    assert expected == place.told()


def test_a_poll_that_says_nothing_new_stores_nothing(place: Place) -> None:
    """Nor does one that repeats every row, in any order."""
    message = place.send()
    place.happens("remind", "look")
    place.poll(message)
    size = place.size()
    place.poll(message)
    place.sandbox.service.repeats, place.sandbox.service.disorder = 46, True
    place.poll(message)
    assert size == place.size()


# --- by mailbox, by file


def test_delivery_mails_tell_the_status_where_no_document_is_fetched(place: Place) -> None:
    """Without credentials for documents; an e-mail that anybody could have written is worth less, and twice is once."""
    place.configure(environment_url="")
    message = place.send()
    place.happens("remind", "accept")
    place.poll(message)
    assert ("accepted", "", "E1") == place.told()
    place.receive()
    assert ("accepted_by_recipient", "Aangetekende mail geaccepteerd", "E2") == place.told()
    size = place.size()
    place.receive()
    assert size == place.size()


def test_a_document_that_is_handed_in_tells_the_same_rows(place: Place) -> None:
    """What was fetched before is not told again; what is new comes by import, which proves less."""
    message = place.send()
    place.poll(message)
    before = place.types()["notice.issued"]
    place.happens("refuse")
    document = place.sandbox.service.biljet(place.token)
    place.desk("upload").admit_bytes("biljet", ArrivalKind.IMPORT, document)
    assert ("refused", "Aangetekende mail geweigerd", "E2") == place.told()
    assert before == place.types()["notice.issued"]
    place.desk("upload").admit_bytes("biljet", ArrivalKind.POLL, document)
    assert "E3" == place.told()[2]


def test_what_a_person_saw_on_the_dashboard_is_second_hand(place: Place) -> None:
    """It is the status where nothing else is known, and E2 at most."""
    place.send()
    said = {"ticket_token": place.token, "words": "Aangetekende mail geweigerd", "note": "seen by J. Voorbeeld"}
    place.desk("person").admit_bytes("dashboard", ArrivalKind.API, json.dumps(said).encode())
    assert ("refused", "Aangetekende mail geweigerd", "E2") == place.told()


def test_the_announced_end_of_the_api_is_recorded_once(place: Place) -> None:
    """From the headers of an answer."""
    place.sandbox.gateway.sunset = "2027-01-01"
    place.send()
    place.send()
    noted = [e for e in place.found.ledger.feed(0, 2_000) if "sunset_announced" in e.fields.get("notes", ())]
    assert 1 == len(noted)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    """A real IMAP server."""
    if not (shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")):
        pytest.skip(NO_DOVECOT)
    with private_dovecot() as server:
        yield server


def read_mailbox(place: Place, dovecot: Dovecot, user: str, **settings: object) -> None:
    """Have the sandbox's e-mails delivered, and read them."""
    where = {
        "imap_host": "localhost",
        "imap_port": dovecot.plain,
        "imap_security": "plain",
        "imap_folders": ["Biljetten"],
    }
    place.configure(**where, **settings)
    place.found.accounts.set_credentials(TENANT, ACCOUNT, {"imap_user": user, "imap_password": PASSWORD})
    dovecot.deliver(user, place.sandbox.service.mails, "Biljetten")
    place.sweep("mailbox")


def test_an_email_in_the_mailbox_has_the_document_fetched(place: Place, dovecot: Dovecot) -> None:
    """The document proves more than the e-mail; what is read again changes nothing, and no ticket stands in what is remembered."""
    place.send()
    place.happens("remind", "accept")
    read_mailbox(place, dovecot, "een")
    assert ("accepted_by_recipient", "Aangetekende mail geaccepteerd", "E3") == place.told()
    size, remembered = place.size(), repr(place.states)
    place.states.clear()
    place.sweep("mailbox")
    assert (size, False) == (place.size(), place.token in remembered)


def test_emails_are_read_although_documents_cannot_be_had(place: Place, dovecot: Dovecot) -> None:
    """The sweep says so; and where no documents are to be had at all, there is nothing to say."""
    place.send()
    place.happens("refuse")
    place.sandbox.faults.add("GET /dashboard", Fault("status", 503))
    with pytest.raises(CallFailedError, match="503"):
        read_mailbox(place, dovecot, "twee")
    assert ("refused", "Aangetekende mail geweigerd", "E2") == place.told()
    read_mailbox(place, dovecot, "drie", environment_url="")


def test_an_email_that_names_a_ticket_nobody_has_is_no_failure(place: Place, dovecot: Dovecot) -> None:
    """Anybody can write one; it opens a story of its own, and moves nothing."""
    place.send()
    forged = b"Subject: Aangetekende mail geweigerd\n\nhttps://x.example/?ticket_token=K.Zz9z-z\n"
    place.sandbox.service.mails.append(forged)
    read_mailbox(place, dovecot, "vier")
    assert "available" == place.told()[0]


# --- comparing


def reconciled(place: Place) -> list[dict[str, int]]:
    """The numbers of each comparison."""
    events = place.found.ledger.feed(0, 2_000)
    return [dict(e.fields["numbers"]) for e in events if e.type == "reconciliation.completed"]


def test_recent_tickets_are_compared_and_settled_ones_asked_for_again(place: Place) -> None:
    """What happened after the end is seen; the second time nothing is new but the comparison itself."""
    message = place.send()
    place.happens("refuse")
    place.poll(message)
    place.happens("accept")
    place.sweep("reconcile")
    assert "disputed" == place.told()[0]
    size = place.size()
    place.sweep("reconcile")
    assert size + 1 == place.size()
    whole = {"ours": 1, "theirs": 1, "both": 1, "only_ours": 0, "only_theirs": 0}
    assert [whole] * 2 == reconciled(place)


def test_a_ticket_that_the_provider_no_longer_has_waits_for_a_person_once(place: Place) -> None:
    """However often it is compared."""
    place.send()
    place.sandbox.service.tickets.clear()
    place.sweep("reconcile")
    place.sweep("reconcile")
    assert [1, 1] == [numbers["only_ours"] for numbers in reconciled(place)]
    assert ["lane.difference"] == [
        e.fields["rule"] for e in place.found.ledger.feed(0, 2_000) if e.type == "lane.opened"
    ]


def test_nothing_is_compared_while_the_provider_is_down(place: Place) -> None:
    """A ticket that could not be asked for is not missing."""
    place.send()
    place.sandbox.faults.add("GET /dashboard", Fault("status", 503))
    with pytest.raises(CallFailedError, match="503"):
        place.sweep("reconcile")
    assert [] == reconciled(place)


# --- senders


@pytest.mark.parametrize(
    ("sender", "state", "why"),
    [
        ("vreemd@elders.example", "activated", "not among"),
        (NEWCOMER, "wanted", "not created"),
        (NEWCOMER, "created", "not activated"),
        (NEWCOMER, "removed", "was removed"),
    ],
)
def test_a_sender_who_may_not_send_is_refused_before_the_call(place: Place, sender: str, state: str, why: str) -> None:
    """Nothing is written and nothing is asked."""
    place.configure(senders=SENDERS | {NEWCOMER: {"name": "Nieuw", "state": state}})
    size = place.size()
    with pytest.raises(sending.NotSendableError, match=why):
        place.send(sender=sender)
    assert (size, 0) == (place.size(), place.sandbox.gateway.token_calls)


def test_a_wanted_sender_is_created_once_and_sends_when_activated(place: Place) -> None:
    """Creation by a call, activation as a person tells it."""
    place.configure(senders=SENDERS | {NEWCOMER: {"name": "Nieuw", "state": "wanted"}})
    place.sweep("users")
    size = place.size()
    place.sweep("users")
    assert (size, {SENDER: True, NEWCOMER: False}) == (place.size(), place.sandbox.service.users)
    (noted,) = (e for e in place.found.ledger.feed(0, 2_000) if "user_created" in e.fields.get("notes", ()))
    assert "155" in repr(place.found.ledger.values([noted])[noted.position])
    place.sandbox.service.activate(NEWCOMER)
    place.configure(senders=SENDERS | {NEWCOMER: {"name": "Nieuw", "state": "activated"}})
    assert "sent" == place.state(place.send(sender=NEWCOMER))


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "garbage", "redirect"])
def test_a_creation_that_may_have_been_done_is_not_repeated(place: Place, kind: str) -> None:
    """What was answered waits for a person."""
    place.configure(senders=SENDERS | {NEWCOMER: {"name": "Nieuw", "state": "wanted"}})
    place.sandbox.faults.add("POST /user", Fault(kind))  # type: ignore[arg-type]
    place.sweep("users")
    place.sweep("users")
    assert (kind in {"cut_after", "garbage"}) == (NEWCOMER in place.sandbox.service.users)


def test_a_creation_that_must_wait_is_done_once_later(place: Place) -> None:
    """After a 429."""
    place.configure(senders=SENDERS | {NEWCOMER: {"name": "Nieuw", "state": "wanted"}})
    place.sandbox.faults.add("POST /user", Fault("status", 429))
    with pytest.raises(CallFailedError, match="429"):
        place.sweep("users")
    place.sweep("users")
    assert {SENDER, NEWCOMER} == set(place.sandbox.service.users)


# --- what goes wrong


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "garbage", "redirect"])
def test_a_send_that_may_have_been_taken_is_never_repeated(place: Place, kind: str) -> None:
    """At most one ticket."""
    place.sandbox.faults.add("POST /send", Fault(kind))  # type: ignore[arg-type]
    message = place.send()
    for _ in range(3):
        place.sandbox.gateway.clock.advance(timedelta(hours=1))
        place.found.runner.run()
        place.outbox.run()
    assert "unclear" == place.state(message)
    assert (kind in {"cut_after", "garbage"}) == place.sandbox.service.sends()[message]


@pytest.mark.parametrize(
    ("status", "shape", "state"),
    [
        (500, "flat", "unclear"),
        (503, "proxy", "unclear"),
        (429, "fault", "waiting"),
        (403, "flat", "waiting"),
        (400, "flat", "refused"),
        (412, "errorResponse", "refused"),
    ],
)
def test_a_status_leads_to_one_state(place: Place, status: int, shape: str, state: str) -> None:
    """In whatever envelope it comes."""
    place.sandbox.faults.add("POST /send", Fault("status", status, shape=shape))
    message = place.send()
    assert (state, 0) == (place.state(message), len(place.sandbox.service.tickets))


def test_what_must_wait_is_sent_once_when_its_time_has_come(place: Place) -> None:
    """A used-up quota of a minute."""
    place.sandbox.gateway.quota_limit = 0
    message = place.send()
    assert "waiting" == place.state(message)
    place.sandbox.gateway.quota_limit = 100
    place.sandbox.gateway.clock.advance(timedelta(minutes=2))
    place.outbox.run()
    assert ("sent", 1) == (place.state(message), place.sandbox.service.sends()[message])


def test_a_provider_that_is_down_for_a_day_loses_nothing(place: Place) -> None:
    """Polls fail, and the first that does not tells everything."""
    message = place.send()
    place.happens("remind", "refuse", hours=3)
    for status in (500, 502, 503, 404, 403):
        place.sandbox.faults.add("GET /dashboard", Fault("status", status, "<html>"))
        with pytest.raises(CallFailedError, match=str(status)):
            place.poll(message)
    place.sandbox.gateway.clock.advance(timedelta(days=1))
    place.poll(message)
    assert "refused" == place.told()[0]


def test_a_page_in_place_of_the_document_is_a_failed_poll(place: Place) -> None:
    """Answered 200, and different each time: it would fill the lane of the unreadable."""
    message = place.send()
    place.sandbox.faults.add("GET /dashboard", Fault("garbage"))
    size = place.size()
    with pytest.raises(CallFailedError, match="200"):
        place.poll(message)
    assert size == place.size()


def test_wrong_credentials_for_documents_fail_the_poll_only(place: Place) -> None:
    """Sends go on."""
    place.found.accounts.set_credentials(TENANT, ACCOUNT, {"web_password": "hush-wrong"})
    message = place.send()
    with pytest.raises(CallFailedError, match="401"):
        place.poll(message)
    assert "sent" == place.state(message)


def test_tokens_that_were_taken_back_are_renewed(place: Place) -> None:
    """And the send is not made twice."""
    place.send()
    place.sandbox.gateway.tokens.clear()
    message = place.send()
    assert ("sent", 1) == (place.state(message), place.sandbox.service.sends()[message])


def test_credentials_are_nowhere_and_the_ticket_is_in_nothing_clear(
    place: Place, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Credentials in nothing at all; the ticket's token in no log, no state and no clear field of an event."""
    caplog.set_level(logging.DEBUG)
    message = place.send()
    place.happens("accept")
    place.poll(message)
    place.receive()
    place.found.accounts.set_credentials(TENANT, ACCOUNT, {"client_secret": "hush-wrong", "web_password": "hush-no"})
    place.send()
    events = place.found.ledger.feed(0, 2_000)
    clear = "".join([repr([e.fields for e in events]), repr(place.states), caplog.text])
    artifacts = {a for e in events for a in e.fields.get("artifacts", ())}
    originals = b"".join(place.found.ledger.artifact(each).body for each in artifacts)
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    token = next(iter(place.sandbox.service.tickets))
    assert token.encode() in originals
    assert token not in clear
    assert token.encode() not in files
    everything = originals + files + (clear + repr(place.found.ledger.values(events))).encode()
    for secret in ("hush", *place.sandbox.gateway.tokens):
        assert secret.encode() not in everything
