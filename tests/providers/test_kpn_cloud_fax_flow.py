"""KPN Cloud Fax over real HTTP: the outbox, polls and sweeps of a real ledger against the sandbox."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import sending
from adapters.calls import Caller
from adapters.desk import AccountDesk
from adapters.jobs.polling import Polls
from adapters.outbox import Outbox
from adapters.providers.calling import Access, Answer, CallFailedError, Client, Document, Request, Submission
from adapters.providers.contract import Provider
from adapters.providers.kpn_cloud_fax import PROVIDER, deletion
from adapters.providers.kpn_cloud_fax.client import CLIENT
from adapters.providers.kpn_cloud_fax.sandbox import PDF, Clock, CloudFax, Fault, Gateway, Manners, Sandbox, running
from ledger.events import Event
from ledger.intake import Intake
from ledger.observations import Address
from ledger.streams import Registration
from projections.views import DeliveryView
from tests.world import TENANT, World, world

ACCOUNT = "fax"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRETS = {"client_id": "hush-id", "client_secret": "hush-secret"}
PAPER = Document("bezwaar é.pdf", "application/pdf", PDF + b"\r\n--not a boundary\r\n")
GOOD, BUSY, PARTIAL, INVALID, ODD, LATE = (f"+312012345{end}" for end in ("01", "02", "03", "04", "05", "06"))


@dataclass
class Place:
    """A ledger with an account at the sandbox."""

    sandbox: Sandbox
    found: World
    intake: Intake
    outbox: Outbox
    caller: Caller
    states: dict[str, dict[str, object]] = field(default_factory=dict)

    def send(self, *numbers: str, kind: str = "fax", **options: object) -> str:
        """Have something sent; its message."""
        people = tuple(Address(kind, number) for number in numbers)
        is_fax = kind == "fax"
        submission = Submission(
            message="",
            recipients=people,
            subject="Bezwaar" if is_fax else "",
            text="" if is_fax else "Uw afspraak is morgen om 9 uur",
            documents=(PAPER,) if is_fax else (),
            options=options,
            requested_at=START,
        )
        registration = Registration(account=ACCOUNT, provider="kpn_cloud_fax", recipients=people)
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

    def poll(self, message: str) -> bool:
        """Ask about a message as the clock would; whether there was anything to ask."""
        self.found.runner.run()
        polls = Polls(self.found.queries, TENANT, ACCOUNT, CLIENT.cadence)
        due = [each for each in polls.due(self.found.ledger.clock(), everything=True) if each.message == message]
        watched = polls.watched(due[0]) if due else None
        if watched is None:
            return False
        assert CLIENT.poll is not None
        CLIENT.poll(self.desk("poll", message), watched)
        return True

    def advance(self, **span: float) -> None:
        self.sandbox.clock.advance(timedelta(**span))

    def told(self) -> dict[str, tuple[str, str, str]]:
        """Recipient -> status, sub-status, grade."""
        return {v.address.address: (v.status, v.sub_status, v.evidence.grade) for v in self.deliveries()}

    def deliveries(self) -> list[DeliveryView]:
        return self.found.deliveries()

    def events(self, kind: str = "") -> list[Event]:
        return [e for e in self.found.ledger.feed(0, 5_000) if kind in {"", e.type}]

    def values(self, kind: str) -> list[dict[str, Any]]:
        events = self.events(kind)
        values = self.found.ledger.values(events)
        return [values.get(event.position, {}) for event in events]

    def configure(self, **settings: object) -> None:
        self.found.accounts.configure(TENANT, ACCOUNT, {"base_url": self.sandbox.base_url, **settings})

    def state(self, message: str) -> str:
        return self.outbox.row(TENANT, message).state


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A ledger in the sandbox's time; a parameter gives the sandbox's manners."""
    clock = Clock(START)
    gateway = Gateway(client_id=SECRETS["client_id"], client_secret=SECRETS["client_secret"], clock=clock)
    fax = CloudFax(gateway, getattr(request, "param", Manners()))

    def now() -> datetime:
        clock.advance(timedelta(milliseconds=1))
        return clock.now()

    def elapsed() -> float:
        return (clock.now() - START).total_seconds()

    def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    folder = tmp_path / "ledger"
    with (
        running(fax=fax) as sandbox,
        world(f"sqlite:///{folder}/ledger.db", folder) as found,
        Caller(clock=now, monotonic=elapsed, sleep=sleep) as caller,
    ):
        found.ledger.clock = now
        intake = Intake(found.ledger)
        found.accounts.add(TENANT, ACCOUNT, "kpn_cloud_fax")
        found.accounts.set_credentials(TENANT, ACCOUNT, SECRETS)
        here = Place(
            sandbox, found, intake, Outbox(found.ledger, intake, found.accounts, caller, found.queries), caller
        )
        here.configure()
        yield here


@pytest.mark.parametrize("upload", ["base64", "raw"])
def test_a_fax_goes_from_send_to_final_evidence(place: Place, upload: str) -> None:
    """One job for all recipients, in either form; each has its own story."""
    place.configure(upload=upload)
    message = place.send(GOOD, BUSY, PARTIAL, INVALID, ODD)
    assert ("sent", 1) == (place.state(message), place.sandbox.fax.times_accepted())
    assert {("accepted", "")} == {each[:2] for each in place.told().values()}
    place.advance(hours=1)
    assert place.poll(message)
    told = place.told()
    assert ("delayed", "queued") == told.pop(ODD)[:2]  # the last word that is known; the unknown one is kept beside it
    assert "Zwevend" in [each.get("code") for each in place.values("channel.unmapped")]
    assert {
        GOOD: ("delivered", "delivered", "E2"),
        BUSY: ("failed", "busy", "E2"),
        PARTIAL: ("failed", "partial", "E2"),
        INVALID: ("failed", "invalid_number", "E2"),
    } == told


@pytest.mark.parametrize("place", [Manners(), Manners(offsets=True), Manners(disorder=True)], indirect=True)
def test_asking_again_changes_nothing(place: Place) -> None:
    """Neither the second run of a poll nor events that come shuffled and twice; and a time is the same in either form."""
    message = place.send(GOOD, ODD)
    place.advance(hours=1)
    place.poll(message)
    since = {view.address.address: view.since for view in place.deliveries()}
    assert since[GOOD].startswith("2026-03-02T09:01:3")
    size = place.found.ledger.head().size
    for _ in range(2):
        place.poll(message)
        assert size == place.found.ledger.head().size


def test_a_story_grows_poll_by_poll_and_ends(place: Place) -> None:
    """Busy twice, given up; then there is nothing more to ask."""
    message = place.send(BUSY)
    seen = []
    for minutes in (0.6, 0.6, 6, 20):
        place.advance(minutes=minutes)
        assert place.poll(message)
        seen.append(place.told()[BUSY][:2])
    assert [("delayed", "queued"), ("delayed", "busy"), ("delayed", "busy"), ("failed", "busy")] == seen
    assert not place.poll(message)


def test_a_text_message_that_was_sent_is_not_delivered_yet(place: Place) -> None:
    """The network took it; the phone confirms later, or never."""
    message = place.send("+31612345601", "+31612345604", "+31612345606", kind="phone")
    assert ("sent", 1) == (place.state(message), place.sandbox.fax.times_accepted())
    place.advance(seconds=10)
    place.poll(message)
    assert ("in_transit", "sent") == place.told()["+31612345601"][:2]
    place.advance(days=3)
    place.poll(message)
    told = {number[-2:]: each[:2] for number, each in place.told().items()}
    assert {"01": ("delivered", "delivered"), "04": ("failed", "invalid_number"), "06": ("failed", "expired")} == told


def test_recipients_of_a_held_fax_are_asked_for_a_receipt_once_each(place: Place) -> None:
    """One call each after the job; reminded after two days, given by one, and a poll tells."""
    never = "+31201234509"
    message = place.send(GOOD, never, job="pcifax", receipt_to="balie@voorbeeld.example", remind_after_days=1)
    assert "sent" == place.state(message)
    (job,) = place.sandbox.fax.jobs.values()
    assert (["PCIFax"], {GOOD, never}) == ([job.kind], set(job.receipts))
    assert 2 == len(place.events("acknowledgement.requested"))
    place.advance(days=2)
    place.poll(message)
    assert 2 == len(place.events("acknowledgement.reminded"))
    told = place.told()
    assert ("accepted_by_recipient", "delivered") == (told[GOOD][0], told[never][0])


@pytest.mark.parametrize("status", [403, 404, 412])
def test_a_receipt_that_is_refused_does_not_make_the_fax_fail(place: Place, status: int) -> None:
    """The fax is under way; only the receipt is not asked for."""
    place.sandbox.faults.add("POST /ackreceipt", Fault("status", status))
    message = place.send(GOOD, job="securefax", receipt_to="balie@voorbeeld.example")
    assert ("sent", "accepted") == (place.state(message), place.told()[GOOD][0])
    assert [] == place.events("acknowledgement.requested")


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "redirect", "garbage"])
@pytest.mark.parametrize("path", ["sendfax", "raw"])
def test_a_send_that_may_have_been_taken_is_never_repeated_by_itself(place: Place, kind: Any, path: str) -> None:
    """Whatever became of it at KPN, there is at most one job; a person settles it."""
    place.configure(upload="raw" if path == "raw" else "base64")
    place.sandbox.faults.add(f"POST /{path}", Fault(kind))
    message = place.send(GOOD)
    for _ in range(3):
        place.advance(hours=1)
        place.found.runner.run()
        place.outbox.run()
    assert "unclear" == place.state(message)
    assert (kind in {"cut_after", "garbage"}) == place.sandbox.fax.times_accepted()
    place.outbox.resolve(TENANT, message, 1, "KPN's list shows the job", was_sent=True)
    place.outbox.run()
    assert "sent" == place.state(message)


@pytest.mark.parametrize(
    ("status", "shape", "state"),
    [
        (400, "errorResponse", "refused"),
        (412, "flat", "refused"),
        (401, "fault", "waiting"),
        (403, "proxy", "waiting"),
        (429, "fault", "waiting"),
        (500, "errorResponse", "unclear"),
        (503, "proxy", "unclear"),
    ],
)
def test_a_refusal_in_any_envelope_leads_to_one_state(place: Place, status: int, shape: str, state: str) -> None:
    """As the shared table of KPN says; what waits is sent once when its time has come."""
    place.sandbox.faults.add("POST /sendfax", Fault("status", status, shape=shape), times=2)
    message = place.send(GOOD)
    assert (state, 0) == (place.state(message), place.sandbox.fax.times_accepted())
    place.sandbox.faults.clear()
    place.advance(hours=2)
    place.outbox.run()
    assert (state == "waiting") == place.sandbox.fax.times_accepted()


def test_quota_and_the_end_of_the_api_are_recorded(place: Place) -> None:
    """Each stored answer keeps its headers; an announced end is a fact of the account, once."""
    place.sandbox.fax.gateway.sunset = "Sat, 31 Oct 2026 23:59:59 GMT"
    message = place.send(GOOD)
    place.advance(hours=1)
    place.poll(message)
    assert 1 == sum("sunset_announced" in e.fields.get("notes", ()) for e in place.events("account.setting_changed"))
    (kept,) = place.values("content.consigned")
    assert {"quota-used", "quota-limit", "api-version", "sunset"} <= kept["headers"].keys()


def test_a_provider_that_is_down_for_a_day_loses_nothing(place: Place) -> None:
    """Polls fail and say so; then all is told, with the provider's own times."""
    message = place.send(GOOD)
    place.sandbox.faults.add("GET /jobstatus", Fault("status", 503), times=3)
    for _ in range(3):
        place.advance(hours=8)
        with pytest.raises(CallFailedError, match="503"):
            place.poll(message)
    place.poll(message)
    (view,) = place.deliveries()
    assert ("delivered", "2026-03-02T09:01:3") == (view.status, view.since[:18])


def test_tokens_that_were_taken_back_are_renewed(place: Place) -> None:
    """Once, and the call is made with the new one."""
    message = place.send(GOOD)
    place.sandbox.fax.gateway.tokens.clear()
    place.advance(hours=1)
    place.poll(message)
    assert ("delivered", 2) == (place.told()[GOOD][0], place.sandbox.fax.gateway.token_calls)


def test_a_long_history_is_read_on_from_where_it_was(place: Place) -> None:
    """Sixty targets have 181 events on four pages of fifty; the second time only the last page is read."""
    numbers = [f"+31201{n:04d}10" for n in range(60)]
    message = place.send(*numbers, ODD)
    place.advance(hours=1)
    place.poll(message)
    assert 4 == place.states["poll"]["history"]["20260302-000001"]  # type: ignore[index]
    assert {"delivered"} == {each[0] for number, each in place.told().items() if number != ODD}
    assert [1, 2, 3, 4] == place.sandbox.fax.history_pages
    place.poll(message)
    assert [1, 2, 3, 4, 4] == place.sandbox.fax.history_pages


# --- incoming faxes


@pytest.mark.parametrize("place", [Manners(), Manners(forms=True)], indirect=True)
def test_an_incoming_fax_is_wanted_then_fetched_then_stored(place: Place) -> None:
    """In this order, once; its document is an original of the ledger."""
    place.configure(incoming="custody")
    jobid = place.sandbox.fax.receive(PDF + b"in")
    place.sweep("incoming")
    kinds = [e.type for e in place.events() if e.type in {"inbound.received", "dispatch.attempted", "inbound.fetched"}]
    assert ["inbound.received", "dispatch.attempted", "inbound.fetched"] == kinds
    assert not place.sandbox.fax.jobs[jobid].is_new
    (fetched,) = place.events("inbound.fetched")
    assert place.found.ledger.artifact(fetched.fields["artifacts"][0]).body
    size = place.found.ledger.head().size
    assert [] == place.sweep("incoming").state["fetching"]
    assert size == place.found.ledger.head().size


@pytest.mark.parametrize("incoming", ["list", "custody"])
def test_protected_faxes_are_fetched_only_when_named(place: Place, incoming: str) -> None:
    """And nothing is fetched where it was not allowed; that they are there is told."""
    place.configure(incoming=incoming)
    protected, plain = place.sandbox.fax.receive(kind="PCIFax"), place.sandbox.fax.receive()
    place.sweep("incoming")
    assert (True, incoming == "list") == tuple(place.sandbox.fax.jobs[each].is_new for each in (protected, plain))
    assert 2 == len(place.events("inbound.received"))
    place.configure(incoming="custody", documents=["fax", "pcifax"])
    place.sweep("incoming")
    assert not any(job.is_new for job in place.sandbox.fax.jobs.values())


@pytest.mark.parametrize("kind", ["cut_after", "garbage", "status"])
def test_a_fax_of_which_nothing_was_stored_is_put_back_and_fetched_again(place: Place, kind: Any) -> None:
    """KPN had taken it off its list."""
    place.configure(incoming="custody")
    jobid = place.sandbox.fax.receive()
    place.sandbox.faults.add("GET /infax", Fault(kind))
    with pytest.raises(CallFailedError):
        place.sweep("incoming")
    assert place.sandbox.fax.jobs[jobid].is_new
    assert [] == place.events("inbound.fetched")
    place.sweep("incoming")
    assert (1, 1) == (len(place.events("inbound.fetched")), len(place.events("inbound.reset")))


class Dying:
    """Makes calls until one of an operation was made; then this process is no more."""

    def __init__(self, calls: Caller, operation: str) -> None:
        self.calls, self.operation = calls, operation

    def call(self, client: Client, provider: Provider, request: Request, access: Access, *, key: Any) -> Answer:
        answer = self.calls.call(client, provider, request, access, key=key)
        if request.operation == self.operation:
            raise SystemExit
        return answer


def test_a_fax_is_not_lost_when_the_process_dies_after_reading_it(place: Place) -> None:
    """What was saved with the list names it, so the next run puts it back, and the one after fetches it."""
    place.configure(incoming="custody")
    place.sandbox.fax.receive()
    desk, saved = place.desk("incoming"), {}
    desk.calls = Dying(place.caller, "infax")
    desk.admitted = lambda _outcome: saved.update(copy.deepcopy(dict(desk.state)))
    with pytest.raises(SystemExit):
        next(sweep for sweep in CLIENT.sweeps if sweep.name == "incoming").run(desk)
    place.states["incoming"] = saved
    place.sweep("incoming")
    assert [] == place.events("inbound.fetched")
    place.sweep("incoming")
    assert 1 == len(place.events("inbound.fetched"))


@pytest.mark.parametrize("place", [Manners(custody=False)], indirect=True)
def test_a_fax_that_cannot_be_put_back_is_told_once_and_others_go_on(place: Place) -> None:
    """Without the Custody Service a fetch that failed may be a loss: a person learns of it."""
    place.configure(incoming="without_custody")
    place.sandbox.fax.receive()
    place.sandbox.faults.add("GET /infax", Fault("cut_after"))
    for _ in range(8):
        place.sandbox.fax.receive(PDF + bytes([len(place.sandbox.fax.jobs)]))
        with contextlib.suppress(CallFailedError):
            place.sweep("incoming")
    assert 8 == len(place.events("inbound.fetched"))
    assert 1 == sum(e.fields["rule"] == "fetch.given_up" for e in place.events("dispatch.unclear"))


# --- what KPN keeps


def test_documents_are_kept_before_kpn_deletes_them_and_once(place: Place) -> None:
    """Of jobs that are worked off; a protected one only when it is named."""
    place.send(GOOD)
    place.send(GOOD, job="pcifax")
    place.advance(hours=1)
    place.send(GOOD)
    place.advance(minutes=11)
    place.sweep("reconcile")
    place.sweep("reconcile")
    kept = [e for e in place.events("evidence.ingested") if "document_kept" in e.fields.get("notes", ())]
    assert 2 == len(kept)
    assert PAPER.data == place.found.ledger.artifact(kept[0].fields["artifacts"][0]).body
    place.configure(documents=["fax", "pcifax"])
    place.sweep("reconcile")
    assert 3 == sum("document_kept" in e.fields.get("notes", ()) for e in place.events("evidence.ingested"))


def test_a_document_that_is_gone_is_asked_for_on_some_days_only(place: Place) -> None:
    """Once a day, however often the sweep runs; at last it is said that there is none."""
    place.send(GOOD)
    place.advance(hours=1)
    next(iter(place.sandbox.fax.jobs.values())).content = b""
    asked = []
    for _ in range(6):
        place.sweep("reconcile")
        place.sweep("reconcile")
        asked.append(place.sandbox.fax.documents_asked)
        place.advance(hours=23)
    assert [1, 2, 3, 4, 5, 5] == asked
    assert 1 == sum(e.fields["rule"] == "document.given_up" for e in place.events("dispatch.answered"))


def test_documents_are_fetched_when_kpn_works_again(place: Place) -> None:
    """An outage is no sign that there is none."""
    place.send(GOOD)
    place.advance(hours=1)
    jobid = next(iter(place.sandbox.fax.jobs))
    place.sandbox.faults.add(f"GET /{jobid}", Fault("status", 503), times=9)
    for _ in range(9):
        with pytest.raises(CallFailedError, match="503"):
            place.sweep("reconcile")
    place.sweep("reconcile")
    assert 1 == sum("document_kept" in e.fields.get("notes", ()) for e in place.events("evidence.ingested"))


def test_a_deletion_is_wanted_then_told_by_kpn_and_by_the_history(place: Place) -> None:
    """Why stands with the wish; a refusal is told, too."""
    message = place.send(GOOD, ODD)
    place.advance(hours=1)
    jobid = next(iter(place.sandbox.fax.jobs))
    assert not deletion.delete(place.desk("person"), "unknown", "asked for by the recipient")
    assert deletion.delete(place.desk("person"), jobid, "asked for by the recipient")
    assert b"" == place.sandbox.fax.jobs[jobid].content
    assert 1 == len(place.events("provider_content.deleted"))
    place.advance(minutes=1)
    place.poll(message)
    assert 2 == len(place.events("provider_content.deleted"))
    told = [e.fields["rule"] for e in place.events() if "deletion" in e.fields.get("rule", "")]
    assert ["deletion.wanted", "deletion.failed", "deletion.wanted"] == told


def test_a_setting_that_changed_at_kpn_names_the_jobs_it_may_touch(place: Place) -> None:
    """The first reading touches nothing; a new time zone touches what goes on, a new retention what is kept, too."""
    place.send(GOOD)
    place.advance(hours=1)
    place.send(ODD)
    place.advance(minutes=5)
    place.sweep("provider_settings")
    assert 7 == len(
        [e for e in place.events("account.setting_changed") if "setting_at_provider" in e.fields.get("notes", ())]
    )
    place.sandbox.fax.settings["timezone"] = {"timeZone": "UTC"}
    place.sandbox.fax.settings["retentionconfig"] = {"lifetime": 1, "JobType": "Fax", "secureAccessDays": 1}
    place.sweep("provider_settings")
    place.sweep("provider_settings")
    touched = [v for v in place.values("account.setting_changed") if "job.0" in v]
    assert [("timezone", "20260302-000002"), ("retentionconfig", "20260302-000001")] == [
        (each["setting"], each["job.0"]) for each in touched
    ]


def test_no_credential_reaches_events_originals_states_or_logs(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the secret nor a token, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    place.sandbox.faults.add("POST /sendfax", Fault("status", 500))
    place.configure(incoming="custody")
    place.sandbox.fax.receive()
    message = place.send(GOOD)
    place.advance(hours=1)
    for name in ("incoming", "provider_settings", "reconcile"):
        place.sweep(name)
    tokens = list(place.sandbox.fax.gateway.tokens)
    place.found.accounts.set_credentials(TENANT, ACCOUNT, {"client_secret": "hush-wrong"})
    with pytest.raises(CallFailedError):
        place.sweep("incoming")
    events = place.events()
    originals = b"".join(
        place.found.ledger.artifact(each).body for e in events for each in e.fields.get("artifacts", ())
    )
    said = repr((place.found.ledger.values(events), [e.fields for e in events], place.states, message)) + caplog.text
    for secret in ("hush-secret", "hush-wrong", *tokens):
        assert secret not in said
        assert secret.encode() not in originals
