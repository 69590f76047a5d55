"""PEC Massiva over real HTTP and IMAP: the outbox, polls and sweeps of a real ledger against the sandbox."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import pem

from adapters import sending
from adapters.calls import Caller
from adapters.deleting import delete
from adapters.desk import AccountDesk
from adapters.jobs.polling import Polls
from adapters.outbox import ActRefusedError, Outbox
from adapters.providers.calling import CallFailedError, Document, Submission
from adapters.providers.pec_mailbox.sandbox import ACCOUNT as MAILBOX
from adapters.providers.pec_mailbox.sandbox import Clock, Fault, Provider
from adapters.providers.pec_massiva import PROVIDER
from adapters.providers.pec_massiva.client import CLIENT
from adapters.providers.pec_massiva.sandbox import Manners, PecMassiva, Service, running
from adapters.receiving import attester
from ledger.intake import Intake
from ledger.observations import Address
from ledger.streams import Registration
from projections.views import DeliveryView
from tests.world import TENANT, World, world

ACCOUNT = "massiva"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRETS = {"email": "hush-e@cliente.example", "api_key": "hush-key", "username": MAILBOX, "password": "hush-password"}
ANSWERED_ONCE = ("cut_before", "cut_after", "redirect", "garbage")


@dataclass
class Tick:
    """A clock for pace and tokens on which waiting takes no time."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@dataclass
class Place:
    """A ledger with an account at the sandbox."""

    sandbox: PecMassiva
    found: World
    intake: Intake
    outbox: Outbox
    caller: Caller
    tick: Tick
    states: dict[str, dict[str, object]] = field(default_factory=dict)

    def send(self, *names: str, subject: str = "Diffida", joint: bool = False) -> str:
        """Have something sent; its message."""
        people = tuple(Address("email", f"{name}@pec.example") for name in names)
        registration = Registration(account=ACCOUNT, provider="pec_massiva", recipients=people)
        submission = Submission(
            message="",
            recipients=people,
            subject=subject,
            text="Perché sì",
            documents=(Document("a.pdf", "application/pdf", b"%PDF-1.7"),),
            options={"joint": joint},
            requested_at=START,
        )
        done = sending.dispatch(
            self.intake, self.found.accounts, TENANT, registration, submission, clear={"arrival": "api"}
        )
        self.outbox.run()
        return done.message

    def desk(self, name: str, message: str = "") -> AccountDesk:
        access = self.found.accounts.access(TENANT, ACCOUNT, self.found.ledger.clock())
        state = self.states.setdefault(name, {})
        return AccountDesk(
            TENANT,
            ACCOUNT,
            PROVIDER,
            CLIENT,
            access,
            self.found.accounts,
            self.intake,
            self.caller,
            state,
            message=message,
        )

    def sweep(self, name: str) -> AccountDesk:
        desk = self.desk(name)
        next(sweep for sweep in CLIENT.sweeps if sweep.name == name).run(desk)
        return desk

    def poll(self, message: str) -> None:
        """Ask about a message as the clock would."""
        self.found.runner.run()
        polls = Polls(self.found.queries, TENANT, ACCOUNT, CLIENT.cadence)
        due = next(each for each in polls.due(self.found.ledger.clock(), everything=True) if each.message == message)
        watched = polls.watched(due)
        assert watched is not None
        assert CLIENT.poll is not None
        CLIENT.poll(self.desk("poll", message), watched)

    def advance(self, **span: float) -> None:
        self.sandbox.mail.advance(**span)
        self.sandbox.mail.settle()

    def deliveries(self) -> dict[str, DeliveryView]:
        return {view.address.address.partition("@")[0]: view for view in self.found.deliveries()}

    def types(self) -> Counter[str]:
        return Counter(event.type for event in self.found.ledger.feed(0, 2_000))

    def configure(self, **settings: object) -> None:
        told = {"mailbox": MAILBOX, "base_url": self.sandbox.base_url, "oauth_url": self.sandbox.base_url}
        self.found.accounts.configure(TENANT, ACCOUNT, told | settings)


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A ledger in the sandbox's time; a parameter gives the sandbox's manners."""
    manners = getattr(request, "param", Manners())
    clock, tick = Clock(START), Tick()
    service = Service(
        Provider({MAILBOX: SECRETS["password"]}, clock=clock),
        email=SECRETS["email"],
        api_key=SECRETS["api_key"],
        manners=manners,
    )

    def now() -> datetime:
        clock.advance(timedelta(milliseconds=1))
        return clock.now()

    tick_sleep = tick.sleep

    def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds + 0.001))
        tick_sleep(seconds)

    folder = tmp_path / "ledger"
    with (
        running(service=service) as sandbox,
        world(f"sqlite:///{folder}/ledger.db", folder) as found,
        Caller(clock=now, monotonic=tick, sleep=sleep) as caller,
    ):
        found.ledger.clock = now
        root = pem.unarmor(sandbox.mail.ca_pem)[2]
        intake = Intake(found.ledger, attester(lambda: (root,)))
        found.accounts.add(TENANT, ACCOUNT, "pec_massiva")
        found.accounts.set_credentials(TENANT, ACCOUNT, SECRETS)
        outbox = Outbox(found.ledger, intake, found.accounts, caller, found.queries)
        here = Place(sandbox, found, intake, outbox, caller, tick)
        ca_file = tmp_path / "ca.pem"
        ca_file.write_bytes(sandbox.mail.ca_pem)
        here.configure(imap_host="localhost", imap_port=sandbox.mail.imap_port, ca_file=str(ca_file))
        yield here


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_message_to_three_is_three_sends_and_each_has_its_own_story(place: Place, version: str) -> None:
    """Through either token service, one call a second: delivered, refused, and deemed failed after the final notice."""
    place.configure(oauth_version=version)
    message = place.send("regular", "refused", "silent")
    assert "sent" == place.outbox.row(TENANT, message).state
    assert [(f"{name}@pec.example",) for name in ("regular", "refused", "silent")] == [
        sent.recipients for sent in place.sandbox.service.sends
    ]
    assert len(place.tick.waits) >= 2
    assert all(0.9 < wait <= 1.0 for wait in place.tick.waits)
    assert {"accepted"} == {view.status for view in place.deliveries().values()}
    place.advance(hours=25)
    place.poll(message)
    told = {name: (view.status, view.sub_status) for name, view in place.deliveries().items()}
    assert {
        "regular": ("delivered", "CONSEGNA"),
        "refused": ("failed", "AVVISO DI MANCATA CONSEGNA"),
        "silent": ("delayed", "time_limit"),
    } == told


@pytest.mark.parametrize(
    "place",
    [Manners(), Manners(rows="documented", letters="replaced", first_page=0), Manners(letters="raw")],
    indirect=True,
)
def test_rows_and_signed_emails_are_one_fact_with_a_good_signature(place: Place) -> None:
    """Row first, then the e-mail over IMAP: nothing is told twice, and the e-mail's signature stands beside the row's fact."""
    message = place.send("regular")
    place.advance(hours=1)
    place.poll(message)
    place.sweep("inbox")
    before = place.types()
    place.sweep("mailbox")
    after = place.types()
    for kind in ("submission.accepted", "content.consigned"):
        assert before[kind] == after[kind], kind
    consigned = next(e for e in place.found.ledger.feed(0, 2_000) if e.type == "content.consigned")
    verified = [e for e in place.found.ledger.feed(0, 2_000) if e.type == "evidence.verified"]
    named = {name for e in verified if e.fields["rule"] == "attest.good" for name in e.fields["events"]}
    assert consigned.id in named
    assert "content.matches" in {e.fields["rule"] for e in verified}
    assert "E4" == place.deliveries()["regular"].evidence.grade


@pytest.mark.parametrize("place", [Manners(texts="original")], indirect=True)
def test_rows_that_name_nobody_belong_to_the_recipient_of_their_call(place: Place) -> None:
    """As in the published example; the signed e-mail that names the recipient is then the same fact."""
    message = place.send("regular", "refused", "other")
    place.advance(hours=1)
    place.poll(message)
    told = {name: view.status for name, view in place.deliveries().items()}
    assert {"regular": "delivered", "refused": "failed", "other": "delivered"} == told
    before = place.types()
    place.sweep("mailbox")
    for kind in ("submission.accepted", "content.consigned", "content.consignment_failed"):
        assert before[kind] == place.types()[kind], kind


def test_the_final_notice_is_known_from_the_email_only(place: Place) -> None:
    """Its subject is that of the warning."""
    message = place.send("silent")
    place.advance(hours=25)
    place.poll(message)
    assert "delayed" == place.deliveries()["silent"].status
    place.sweep("mailbox")
    assert ("failed", "final_24h") == (place.deliveries()["silent"].status, place.deliveries()["silent"].sub_status)


@pytest.mark.parametrize("kind", ANSWERED_ONCE)
def test_a_call_that_may_have_been_taken_is_never_repeated_by_itself(place: Place, kind: str) -> None:
    """It stays unclear, with at most one accepted send, and the other recipients are sent to."""
    place.sandbox.faults.add("POST /send", Fault(kind))  # type: ignore[arg-type]
    message = place.send("regular", "other")
    for _ in range(3):
        place.found.runner.run()
        place.outbox.run()
    assert "unclear" == place.outbox.row(TENANT, message).state
    per_recipient = Counter(sent.recipients for sent in place.sandbox.service.sends)
    assert 1 == per_recipient["other@pec.example",]
    assert per_recipient["regular@pec.example",] == (kind in {"cut_after", "garbage"})


def test_a_person_who_finds_the_receipts_settles_an_unclear_call(place: Place) -> None:
    """The service cannot be asked without the message_id that never came; what the person says is followed, nothing is sent again."""
    place.sandbox.faults.add("POST /send", Fault("cut_after"))
    message = place.send("regular")
    place.advance(hours=1)
    place.sweep("inbox")
    assert "unclear" == place.outbox.row(TENANT, message).state
    place.outbox.resolve(TENANT, message, 1, "the receipts lie in the mailbox", was_sent=True)
    place.outbox.run()
    assert "sent" == place.outbox.row(TENANT, message).state
    assert 1 == len(place.sandbox.service.sends)


@pytest.mark.parametrize(
    ("status", "text", "state"),
    [
        (500, "MySQL Error 1205", "unclear"),
        (503, "unavailable", "unclear"),
        (429, "Too many requests", "waiting"),
        (401, "Authorization is not valid or empty", "waiting"),
        (400, "Post parameter is not valid", "refused"),
        (413, "too large", "refused"),
    ],
)
def test_a_status_leads_to_one_state(place: Place, status: int, text: str, state: str) -> None:
    """As the table says; a wrong token is tried once with a new one."""
    place.sandbox.faults.add("POST /send", Fault("status", status, text), times=2)
    message = place.send("regular")
    assert state == place.outbox.row(TENANT, message).state
    assert [] == place.sandbox.service.sends


def test_what_must_wait_is_sent_once_when_its_time_has_come(place: Place) -> None:
    """After a 429."""
    place.sandbox.faults.add("POST /send", Fault("status", 429))
    message = place.send("regular")
    place.advance(minutes=2)
    place.outbox.run()
    assert ("sent", 1) == (place.outbox.row(TENANT, message).state, len(place.sandbox.service.sends))


def test_a_joint_call_that_left_somebody_out_is_unclear_until_receipts_settle_it(place: Place) -> None:
    """Who was sent to is told by a receipt; who was not stays open, and nothing is repeated."""
    message = place.send("regular", "unsent", joint=True)
    assert "unclear" == place.outbox.row(TENANT, message).state
    assert {"pending"} == {view.status for view in place.deliveries().values()}
    place.advance(hours=1)
    place.poll(message)
    told = {name: view.status for name, view in place.deliveries().items()}
    assert {"regular": "delivered", "unsent": "pending"} == told
    place.outbox.run()
    assert 1 == len(place.sandbox.service.sends)


def test_an_error_text_in_place_of_an_id_is_no_id(place: Place) -> None:
    """`message_id` holds an SMTP error when nothing could be sent."""
    message = place.send("unsent")
    assert "unclear" == place.outbox.row(TENANT, message).state
    assert "pending" == place.deliveries()["unsent"].status


def test_tokens_that_were_taken_back_are_renewed(place: Place) -> None:
    """Once, for all that follows."""
    place.send("regular")
    place.sandbox.service.tokens.clear()
    place.advance(seconds=5)
    place.sweep("quota")
    assert 1 == len(place.sandbox.service.tokens)


@pytest.mark.parametrize("wrong", ["api_key", "password"])
def test_wrong_credentials_are_told_and_send_nothing(place: Place, wrong: str) -> None:
    """A wrong API key and a wrong mailbox password alike."""
    place.found.accounts.set_credentials(TENANT, ACCOUNT, {wrong: "hush-wrong"})
    message = place.send("regular")
    assert "waiting" == place.outbox.row(TENANT, message).state
    for name in ("inbox", "quota"):
        with pytest.raises(CallFailedError):
            place.sweep(name)
    assert [] == place.sandbox.service.sends


def test_the_inbox_of_sixty_is_read_to_its_end(place: Place) -> None:
    """More than two pages, over real HTTP, each e-mail once."""
    place.send(*(f"regular{n}" for n in range(30)))
    place.outbox.run()  # a send of many calls lets others have their turn
    place.advance(hours=1)
    desk = place.sweep("inbox")
    assert 60 == len(place.sandbox.mail.mailboxes[MAILBOX]) == len(desk.state["seen"])
    assert {"delivered"} == {view.status for view in place.deliveries().values()}
    size = place.found.ledger.head().size
    place.sweep("inbox")
    assert size == place.found.ledger.head().size


def test_the_quota_is_read(place: Place) -> None:
    """In KiB, with the forecast in the sweep's state."""
    place.send("regular")
    place.advance(hours=1)
    desk = place.sweep("quota")
    assert place.sandbox.mail.provider.mailbox_bytes // 1024 == desk.state["limit_kib"]
    assert desk.state["usage_kib"] > 0


def test_no_credential_reaches_events_originals_states_logs_or_files(
    place: Place, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """User name apart, which is the mailbox's address and stands in every e-mail: nothing of them is anywhere."""
    caplog.set_level(logging.DEBUG)
    place.sandbox.faults.add("POST /send", Fault("status", 500), times=1)
    message = place.send("regular", "other", "third")
    place.advance(hours=1)
    place.poll(message)
    for name in ("inbox", "quota", "mailbox"):
        place.sweep(name)
    place.found.accounts.set_credentials(TENANT, ACCOUNT, {"password": "hush-wrong"})
    with pytest.raises(CallFailedError) as failed:
        place.sweep("inbox")
    events = place.found.ledger.feed(0, 2_000)
    artifacts = {a for e in events for a in e.fields.get("artifacts", ())}
    originals = b"".join(place.found.ledger.artifact(each).body for each in artifacts)
    values = repr(place.found.ledger.values(events)) + repr([e.fields for e in events])
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    tokens = list(place.sandbox.service.tokens)
    everything = originals + files + "".join([values, repr(place.states), caplog.text, str(failed.value)]).encode()
    assert b"CONSEGNA" in everything
    assert tokens
    for secret in ("hush", *tokens):
        assert secret.encode() not in everything


def test_receipts_are_deleted_only_when_their_signed_originals_are_held_under_a_signed_head(place: Place) -> None:
    """Rows are not enough, nor originals that no head covers; a reason overrides, and both ends stand in the log."""
    place.send("regular")
    place.advance(hours=1)
    number = place.sandbox.service.sends[0].message_id
    desk = place.desk("delete")
    by_row = delete(desk, f"send/{number}", place.found.ledger.head().size)
    assert (False, 2) == (by_row.is_done, len(by_row.losses))
    assert all("only its row is held" in loss for loss in by_row.losses)
    before = place.found.ledger.head().size
    place.sweep("mailbox")
    uncovered = delete(desk, f"send/{number}", before)
    assert all("no signed head covers it" in loss for loss in uncovered.losses)
    assert not uncovered.is_done
    done = delete(desk, f"send/{number}", place.found.ledger.head().size)
    assert (True, ()) == (done.is_done, done.losses)
    assert [] == place.sandbox.service.status(MAILBOX, number)[1].get("data", [])
    rules = [e.fields["rule"] for e in place.found.ledger.feed(0, 2_000) if e.type == "provider_content.deleted"]
    assert ["deletion.evidence_held"] == rules
    with pytest.raises(ActRefusedError, match="send/MESSAGE_ID"):
        delete(desk, "everything", before)


def test_an_operator_may_delete_all_the_same_with_a_reason(place: Place) -> None:
    """What was lost is named in the event, with the reason."""
    place.send("regular")
    place.advance(hours=1)
    number = place.sandbox.service.sends[0].message_id
    lost = delete(place.desk("delete"), f"send/{number}", 0, reason="the mailbox is full")
    assert (True, 2) == (lost.is_done, len(lost.losses))
    (told,) = [e for e in place.found.ledger.feed(0, 2_000) if e.type == "provider_content.deleted"]
    assert ("deletion.overridden", {"emails": 2, "lost": 2}) == (told.fields["rule"], told.fields["numbers"])
    assert "the mailbox is full" == place.found.ledger.values([told])[told.position]["reason"]
