"""KPN Cloud Fax over real HTTP: incoming faxes, documents, deletions and settings, against the sandbox."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.calls import Caller
from adapters.deleting import delete
from adapters.desk import Calls
from adapters.jobs.board import Board
from adapters.providers.calling import Access, Answer, CallFailedError, Client, Request
from adapters.providers.contract import Provider
from adapters.providers.kpn_cloud_fax.client import CLIENT
from adapters.providers.kpn_cloud_fax.sandbox import PDF, Fault, Manners
from tests.providers.kpn_cloud_fax_place import ACCOUNT, GOOD, ODD, PAPER, Place, opened
from tests.world import TENANT


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A ledger in the sandbox's time; a parameter gives the sandbox's manners."""
    with opened(tmp_path / "ledger", getattr(request, "param", Manners())) as found:
        yield found


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
    """What was saved with the list names it, so the next run of the job puts it back, and the one after fetches it."""
    place.configure(incoming="custody")
    place.sandbox.fax.receive()

    def run(calls: Calls) -> str:
        board = Board(place.intake, place.found.accounts, calls, place.found.queries)
        row = board.run(next(job for job in board.of(TENANT) if job.name == "incoming"), is_asked=True)
        return row.last_error if row else ""

    with pytest.raises(SystemExit):
        run(Dying(place.caller, "infax"))
    assert not run(place.caller)
    assert ([], 1) == (place.events("inbound.fetched"), len(place.events("inbound.reset")))
    assert not run(place.caller)
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


def test_a_receipt_that_comes_long_after_the_delivery_is_heard_of(place: Place) -> None:
    """By then nobody asks about the message any more; the history of held faxes is read on all the same."""
    message = place.send(GOOD, job="securefax", receipt_to="balie@voorbeeld.example")
    place.advance(hours=1)
    place.poll(message)
    assert "delivered" == place.told()[GOOD][0]
    assert not place.poll(message)
    place.advance(days=2)
    place.sweep("reconcile")
    assert ("accepted_by_recipient", "acknowledged", "E3") == place.told()[GOOD]


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


def test_a_document_in_an_unknown_form_is_kept_for_a_person(place: Place) -> None:
    """Its bytes wait in the lane of the unreadable, once."""
    place.send(GOOD)
    place.advance(hours=1)
    next(iter(place.sandbox.fax.jobs.values())).content = b"FAXG3 \x00\x01"
    for _ in range(2):
        place.sweep("reconcile")
        place.advance(days=1)
    place.found.runner.run()
    (item,) = place.found.queries.lanes(TENANT)
    assert ("unreadable", "document") == (item.lane, item.operation)


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


def test_what_only_one_side_has_is_put_before_a_person_once(place: Place) -> None:
    """A fax sent by KPN's portal, and one of ours that KPN does not list; of what we do not know, no document is kept."""
    lost = place.send(GOOD)
    place.send(GOOD)
    place.sandbox.fax.send_elsewhere(GOOD)
    place.advance(hours=1)
    del place.sandbox.fax.jobs["20260302-000001"]
    place.sweep("reconcile")
    place.sweep("reconcile")
    (first, _) = place.events("reconciliation.completed")
    assert {"ours": 2, "theirs": 2, "both": 1, "only_ours": 1, "only_theirs": 1}.items() <= first.fields[
        "numbers"
    ].items()
    place.found.runner.run()
    assert ["difference"] * 2 == [item.lane for item in place.found.queries.lanes(TENANT)]
    assert "20260302-000001" in str(place.found.ledger.values(place.found.ledger.stream(lost)))
    assert 1 == sum("document_kept" in e.fields.get("notes", ()) for e in place.events("evidence.ingested"))


def test_a_send_whose_answer_was_lost_shows_in_kpns_list(place: Place) -> None:
    """The job that nobody here knows waits for a person, who says that the send was taken."""
    place.sandbox.faults.add("POST /sendfax", Fault("cut_after"))
    message = place.send(GOOD)
    place.advance(hours=1)
    place.sweep("reconcile")
    place.found.runner.run()
    (item,) = place.found.queries.lanes(TENANT)
    assert ("difference", "unclear") == (item.lane, place.state(message))
    assert "20260302-000001" in str(place.values("lane.opened"))


@pytest.mark.parametrize("place", [Manners(), Manners(offsets=True)], indirect=True)
def test_a_list_that_agrees_opens_nothing_at_any_age_of_a_job(place: Place) -> None:
    """Whatever the zone of KPN's times, and wherever a job lies in the window."""
    place.configure(look_back_days=1, incoming="list")
    place.send(GOOD)
    place.send("+31612345601", kind="phone")
    place.sandbox.fax.receive()
    place.sweep("incoming")
    for minutes in (9, 2, 60, 60 * 22, 60, 9, 2, 600):
        place.advance(minutes=minutes)
        place.sweep("reconcile")
    place.found.runner.run()
    assert [] == place.found.queries.lanes(TENANT)
    counts = [event.fields["numbers"]["both"] for event in place.events("reconciliation.completed")]
    assert (3, 0) == (max(counts), counts[-1])


def test_a_deletion_is_wanted_then_told_by_kpn_and_by_the_history(place: Place) -> None:
    """Why stands with the wish; a refusal is told, too."""
    message = place.send(GOOD, ODD)
    place.advance(hours=1)
    jobid = next(iter(place.sandbox.fax.jobs))
    assert not delete(place.desk("person"), jobid, 0).is_done  # never without a reason
    assert not delete(place.desk("person"), "unknown", 0, reason="asked for by the recipient").is_done
    assert delete(place.desk("person"), jobid, 0, reason="asked for by the recipient").is_done
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
    place.sandbox.faults.add("GET /messages", Fault("status", 503))
    with pytest.raises(CallFailedError, match="messages"):
        place.sweep("provider_settings")
    for _ in range(2):
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


def test_every_sweep_again_changes_nothing(place: Place) -> None:
    """However often the clock comes round; that lists were compared is told each time."""
    place.configure(incoming="custody")
    place.sandbox.fax.receive()
    message = place.send(GOOD, ODD)
    place.advance(hours=1)
    names = [sweep.name for sweep in CLIENT.sweeps]
    for name in names:
        place.sweep(name)
    place.poll(message)
    told = [e.id for e in place.events() if e.type != "reconciliation.completed"]
    for name in names * 2:
        place.sweep(name)
        place.poll(message)
        assert told == [e.id for e in place.events() if e.type != "reconciliation.completed"], name
