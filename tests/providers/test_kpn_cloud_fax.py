"""KPN Cloud Fax: jobs and targets, pages, assumed words, and the list of all published operations."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.providers.kpn_cloud_fax import PROVIDER, wire
from adapters.providers.kpn_cloud_fax.statuses import JOB, MEMBERS, REASON, SMS, STATUS
from ledger.observations import Address, Arrival, ArrivalKind, Observation, UnreadableError, ZoneBasis

PUBLISHED = """
POST /ackreceipt · GET /document/{key} · GET /documentpage/{key} · GET /documentpreview/{key} · GET /jobdetails
GET /jobhistory · GET /jobstatus · GET /messages · GET /messages/{id} · DELETE /messages · POST /sendfax
POST /sendfax/raw · POST /sendsms · GET /infax · GET /injobs · PATCH /resetincomingjob · GET /callingcodes
PUT /callingcodes · GET /customfaxnumber · PUT /customfaxnumber · DELETE /customfaxnumber · GET /customfaxnumber?did
PUT /customfaxnumber?did · DELETE /customfaxnumber?did · GET /emails · POST /emails · DELETE /emails
GET /inbounddelivery?did · PUT /inbounddelivery · GET /inbounddelivery · GET /language · PUT /language
GET /printingconfig · PUT /printingconfig · GET /reportconfig · POST /reportconfig · PUT /reportconfig
DELETE /reportconfig · PATCH /reportconfig · GET /retentionconfig · PUT /retentionconfig · GET /subjects
PUT /subjects · PATCH /subjects · GET /subscriberinfo · PUT /subscriberinfo · PATCH /subscriberinfo
GET /timezone · PUT /timezone · GET /tip
"""
"""Read from KPN's documentation of the Cloud Fax API by hand, misprinted paths as their headings mean them."""


def parse(operation: str, body: object, *, status: int | None = 200, name: str = "") -> tuple[Observation, ...]:
    return wire.parse(
        Arrival(
            provider="kpn_cloud_fax",
            account="a",
            operation=operation,
            kind=ArrivalKind.POLL,
            observed_at=datetime(2026, 7, 20, 12, tzinfo=UTC),
            body=json.dumps(body).encode(),
            status=status,
            name=name,
        )
    )


def target(**members: Any) -> Observation:
    (seen,) = parse("jobstatus", {"jobid": "j", "targets": [{"target": "+31201234567", **members}]})
    return seen


def test_every_published_operation_is_listed() -> None:
    """The provider's documentation and our list name the same operations."""
    published = {line.strip() for lines in PUBLISHED.splitlines() for line in lines.split("·") if line.strip()}
    assert published == {o.method for o in PROVIDER.operations if o.name != "token"}


def test_operations_that_destroy_or_consume_say_so() -> None:
    """Whoever reads the list learns which calls must not come before the evidence is safe."""
    why = {o.method: o.why for o in PROVIDER.operations}
    assert all("destroys" in why[method] for method in ("DELETE /messages", "PUT /retentionconfig"))
    assert "reading consumes" in why["GET /infax"]


def test_nothing_about_bodies_is_called_real() -> None:
    """No status word and no reason is attested: each row is an assumption or names the provider it is borrowed from."""
    rows = (*STATUS, *JOB, *SMS, *REASON)
    assert {"A", "CMP"} == {row.source for row in rows}
    assert all(row.note for row in rows if row.source == "CMP")


def test_every_reason_is_a_row_with_what_a_sender_may_do() -> None:
    """A borrowed reason leads to one of ours, and ours stands in the table too."""
    words = {row.word for row in REASON}
    assert {row.reason for row in (*STATUS, *REASON) if row.reason} <= words
    assert all(row.reason and row.retry for row in REASON)


def test_assumed_member_names_are_in_the_form_in_which_they_are_compared() -> None:
    """A name with capitals, hyphens or underscores in the table would never be found."""
    names = [name for names in MEMBERS.values() for name in names]
    assert names == [name.lower().replace("_", "").replace("-", "") for name in names]


@pytest.mark.parametrize("written", ["pending_retry", "Pending Retry", "PENDING-RETRY", " pending  retry "])
def test_spelling_of_a_word_does_not_matter_and_is_kept(written: str) -> None:
    """Case, blanks and hyphens do not change a word; the texts hold it as it came."""
    seen = target(status=written)
    assert ("relay.delayed", "pending_retry") == (seen.type, seen.code)
    assert written.strip() == seen.texts["code"]


@pytest.mark.parametrize("name", ["jobid", "jobId", "JobID", "job_id", "JOB-ID"])
def test_spelling_of_a_member_does_not_matter(name: str) -> None:
    """Only the letters of a member's name are assumed."""
    (seen,) = parse("jobstatus", {name: "j-1", "status": "queued"})
    assert ["j-1"] == [reference.value for reference in seen.references]


@pytest.mark.parametrize("word", [0, 4, -1, "200", "Zwevend", "busy", True])
def test_unknown_state_is_kept_and_claims_nothing(word: object) -> None:
    """Numbers too: comparable providers count in opposite ways."""
    seen = target(status=word)
    assert ("channel.unmapped", "") == (seen.type, seen.code)
    assert seen.texts["code"]


def test_unknown_error_costs_only_the_reason() -> None:
    """A failure whose cause nobody knows is a failure all the same."""
    seen = target(status="failed", errorCode="E-1", errorText="Leitung gestört")
    assert ("content.consignment_failed", "") == (seen.type, seen.reason)
    assert {"code": "failed", "reason": "E-1", "error_text": "Leitung gestört"} == seen.texts


@pytest.mark.parametrize(
    ("said", "sent", "total", "expected"),
    [
        ("sent", 4, 4, ("content.consigned", "")),
        ("sent", 5, 4, ("content.consigned", "")),
        ("sent", None, 4, ("content.consigned", "")),
        ("sent", 3, 4, ("content.consignment_failed", "partial")),
        ("sent", 0, 4, ("content.consignment_failed", "partial")),
        ("failed", 1, 4, ("content.consignment_failed", "partial")),
        ("failed", 0, 4, ("content.consignment_failed", "")),
        ("sending", 1, 4, ("production.advanced", "")),
        ("partial", 1, 4, ("content.consignment_failed", "partial")),
    ],
)
def test_some_pages_of_several_are_not_a_delivery(said: str, sent: int | None, total: int, expected: object) -> None:
    """A fax that lacks a page has failed, whatever it is called; while it is being sent nothing is missing yet."""
    seen = target(status=said, pagesSent=sent, pages=total)
    assert expected == (seen.type, seen.reason)
    assert ("pages_missing" in seen.notes) == (said == "sent" and expected != ("content.consigned", ""))


def test_reason_of_a_partial_fax_is_its_cause_when_one_is_known() -> None:
    """That the line broke says more than that pages are missing."""
    assert "communication_error" == target(status="failed", pagesSent=1, pages=4, error="receiver_call_dropped").reason


def test_state_of_a_job_claims_nothing_for_its_targets() -> None:
    """A job that is completed may have failed for some; beside the states of targets its own is only a sum."""
    (alone,) = parse("jobstatus", {"jobid": "j", "status": "completed"})
    assert ("message", "production.advanced") == (alone.about, alone.type)
    body = {"jobid": "j", "status": "completed", "targets": [{"target": "1", "status": "failed"}, {"target": "2"}]}
    (seen,) = parse("jobstatus", body)
    assert ("recipient", "content.consignment_failed") == (seen.about, seen.type)
    assert (Address("fax", "1"), Address("fax", "2")) == seen.declares


def test_single_target_beside_the_state_is_the_recipient() -> None:
    """A flat answer about one target is about that recipient."""
    (seen,) = parse("jobstatus", {"jobid": "j", "target": "+31201234567", "status": "completed"})
    assert ("recipient", Address("fax", "+31201234567")) == (seen.about, seen.recipient)
    assert "content.consigned" == seen.type


def test_row_of_the_target_list_without_a_number_is_about_one_unknown_recipient() -> None:
    """One target that is not named must not count for all."""
    (seen,) = parse("jobstatus", {"jobid": "j", "targets": [{"status": "delivered"}]})
    assert ("recipient", None) == (seen.about, seen.recipient)


def test_status_and_details_of_a_job_tell_the_same_fact_once() -> None:
    """Whichever of the two is asked, the same state of the same target is one."""
    body = {"jobid": "j", "targets": [{"target": "1", "status": "delivered", "endTime": "2026-07-20T10:00:00Z"}]}
    assert parse("jobstatus", body) == parse("jobdetails", body)


def test_each_retry_is_a_fact_of_its_own() -> None:
    """Busy at the first and at the second attempt are two facts, even without times; progress in pages is none."""
    first, second = target(status="retrying", attempts=1), target(status="retrying", attempts=2)
    assert first.identity != second.identity
    assert target(status="sending", pagesSent=1).identity == target(status="sending", pagesSent=2).identity


def test_state_without_time_is_the_last_part_of_its_identity() -> None:
    """What a target was seen in last is compared with what it is in now: the object comes first, its state last."""
    busy, sent = target(status="retrying", error="busy"), target(status="sent")
    assert busy.identity[:-1] == sent.identity[:-1]
    assert busy.identity[-1] != sent.identity[-1]


def test_targets_without_a_number_are_told_apart_by_their_place() -> None:
    """Two unnamed targets are not one that changes its state within an answer."""
    seen = parse("jobstatus", {"jobid": "j", "targets": [{"status": "sent"}, {"status": "failed"}]})
    assert 2 == len({one.identity[:-1] for one in seen})


def test_events_without_time_are_objects_that_do_not_change() -> None:
    """A history read again brings nothing new, though its events alternate."""
    seen = parse("jobhistory", {"jobid": "j", "events": [{"code": "queued"}, {"code": "sending"}, {"code": "queued"}]})
    assert 2 == len({one.identity[:-1] for one in seen})
    assert {"stated"} == {one.identity[-1] for one in seen}


def test_job_is_named_by_the_answer_before_the_question() -> None:
    """An answer that lacks its jobid belongs to the job that was asked about; without either it is unreadable."""
    asked = "/data/cws/fax/jobstatus?x=1&JobId=a%2Fb&y=2"
    assert "a/b" == parse("jobstatus", {"status": "sent"}, name=asked)[0].references[0].value
    assert "j" == parse("jobstatus", {"jobid": "j", "status": "sent"}, name=asked)[0].references[0].value
    assert "a/b" == parse("jobstatus", [{"target": "1", "status": "sent"}], name=asked)[0].references[0].value
    with pytest.raises(UnreadableError):
        parse("jobstatus", {"status": "sent"}, name="/data/cws/fax/jobstatus")


@pytest.mark.parametrize(
    ("operation", "body"),
    [("jobstatus", {"jobid": "j"}), ("jobhistory", {"jobid": "j"}), ("jobhistory", {"jobid": "j", "events": "none"})],
)
def test_answer_without_anything_known_is_unreadable(operation: str, body: object) -> None:
    """When the assumed names do not fit, a person must look, and correct the table."""
    with pytest.raises(UnreadableError):
        parse(operation, body)


@pytest.mark.parametrize("http", [302, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("operation", ["jobstatus", "jobhistory", "jobdetails"])
def test_refused_question_says_nothing_of_the_job(operation: str, http: int) -> None:
    """An error is not a state of the fax, even if it names the job."""
    with pytest.raises(UnreadableError):
        parse(operation, {"jobid": "j", "status": "failed"}, status=http)


def test_history_without_events_is_nothing_new() -> None:
    """An empty page is an answer, and gives no observation."""
    assert () == parse("jobhistory", {"jobid": "j", "events": []})


def test_event_names_its_target_or_concerns_all() -> None:
    """In one history some events are about the message and some about a recipient."""
    events = [{"code": "accepted"}, {"code": "sent", "target": "1"}, {"code": "completed"}]
    seen = parse("jobhistory", {"jobid": "j", "events": events})
    assert ["message", "recipient", "message"] == [one.about for one in seen]
    assert ["submission.accepted", "content.consigned", "production.advanced"] == [one.type for one in seen]


@pytest.mark.parametrize(
    ("written", "hour", "zone"),
    [
        ("2026-07-20T10:00:00Z", 10, ZoneBasis.STATED),
        ("2026-07-20T10:00:00+02:00", 8, ZoneBasis.STATED),
        ("2026-07-20 10:00:00", 10, ZoneBasis.ASSUMED),
        (1784541600, 10, ZoneBasis.EPOCH),
        ("1784541600000", 10, ZoneBasis.EPOCH),
    ],
)
def test_time_says_how_its_zone_was_known(written: object, hour: int, zone: ZoneBasis) -> None:
    """The account may have set a zone, so a time without one is marked as assumed."""
    seen = target(status="sent", timestamp=written)
    assert seen.occurred is not None
    assert (datetime(2026, 7, 20, hour, tzinfo=UTC), str(written), zone) == seen.occurred
    assert (zone is ZoneBasis.ASSUMED) == ("zone_assumed" in seen.notes)


def test_bare_files_are_recognised_by_their_members() -> None:
    """Only a body that names its job is taken for one of this provider."""
    assert "jobhistory" == PROVIDER.recognise("a", b'{"jobid": "j", "events": []}')
    assert "jobstatus" == PROVIDER.recognise("a", b'{"jobid": "j", "targets": []}')
    assert "send" == PROVIDER.recognise("a", b'{"jobId": "j"}')
    assert [""] * 4 == [PROVIDER.recognise("a", body) for body in (b"", b"[]", b"{}", b'{"status": "sent"}')]
