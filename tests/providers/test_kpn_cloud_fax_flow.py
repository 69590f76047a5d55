"""KPN Cloud Fax over real HTTP: sends and polls of a real ledger against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.providers.calling import CallFailedError
from adapters.providers.kpn_cloud_fax.sandbox import Fault, Manners
from tests.providers.kpn_cloud_fax_place import BUSY, GOOD, INVALID, ODD, PARTIAL, Place, opened
from tests.world import TENANT


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A ledger in the sandbox's time; a parameter gives the sandbox's manners."""
    with opened(tmp_path / "ledger", getattr(request, "param", Manners())) as found:
        yield found


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
