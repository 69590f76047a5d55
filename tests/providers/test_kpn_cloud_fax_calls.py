"""KPN Cloud Fax without a network: which call comes next, what it holds, what an answer means, and hostile answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.providers.calling import Access, Answer, CallFailedError, Exchange, Request, Submission, Watched, judge
from adapters.providers.calling import Document as Paper
from adapters.providers.kpn_cloud_fax import PROVIDER, contents, fetching, listing, polling, watching, wire
from adapters.providers.kpn_cloud_fax.client import CLIENT
from adapters.providers.kpn_cloud_fax.dispatch import Options, check, next_request
from adapters.providers.kpn_cloud_fax.sandbox.jobs import FATES, TEXT_FATES
from adapters.providers.kpn_cloud_fax.settings import Settings
from adapters.providers.kpn_cloud_fax.statuses import REASON, SMS, STATUS
from ledger.decision import Outcome
from ledger.observations import Address, Arrival, ArrivalKind, UnreadableError, ZoneBasis

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FAX, OTHER, PHONE = Address("fax", "+31201234501"), Address("fax", "0201234502"), Address("phone", "0612345678")
PAPER = Paper("a.pdf", "application/pdf", b"%PDF-1.7\n")


def access(**settings: Any) -> Access:
    return Access(settings=Settings(**settings), secrets={}, now=NOW)


def fax(*people: Address, **members: Any) -> Submission:
    given = {"recipients": people or (FAX,), "documents": (PAPER,), "options": Options(), **members}
    return Submission(message="m", requested_at=NOW, **given)


def answer(status: int = 200, body: object = None, failure: Any = "") -> Answer:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(at=NOW, status=status, body=raw, failure=failure)


def step(operation: str, recipient: int | None = None, body: object = None, verdict: Any = "sent") -> Exchange:
    return Exchange(operation=operation, recipient=recipient, verdict=verdict, answer=answer(201, body))


# --- sends


@pytest.mark.parametrize(
    ("submission", "why"),
    [
        (fax(), ""),
        (fax(FAX, OTHER, subject="Bezwaar é"), ""),
        (fax(PHONE, documents=(), text="Tot morgen"), ""),
        (fax(options=Options("pcifax", "balie@voorbeeld.example", 2)), ""),
        (fax(recipients=()), "there is no recipient"),
        (fax(FAX, PHONE), "not both"),
        (fax(Address("email", "a@voorbeeld.example")), "not both"),
        (fax(Address("fax", "020-KANTOOR")), "digits"),
        (fax(Address("fax", "+31201234501\r\nx: y")), "digits"),
        (fax(documents=()), "made of documents"),
        (fax(text="Tot morgen"), "made of documents"),
        (fax(documents=(Paper("a", "application/pdf", b""),)), "empty document"),
        (fax(subject="a\nb"), "one line"),
        (fax(sender="0201234500"), "set at KPN"),
        (fax(PHONE), "plain text without documents"),
        (fax(PHONE, documents=(), text="a", subject="b"), "no subject"),
        (fax(PHONE, documents=(), text="<p>", text_type="text/html"), "text/plain"),
        (fax(options=Options("fax", "balie@voorbeeld.example")), "pcifax and securefax only"),
        (fax(options=Options("pcifax", "balie")), "e-mail address"),
        (fax(options=Options("pcifax", "", 2)), "needs receipt_to"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_written(submission: Submission, why: str) -> None:
    """With a reason a person can act on."""
    said = check(submission, access())
    assert (why in said) if why else not said


def test_base64_body_holds_all_targets_and_documents() -> None:
    """One job; a protected kind is named, a plain fax is not."""
    plain = next_request(fax(FAX, OTHER, subject="Bezwaar"), [], access())
    held = next_request(fax(options=Options("securefax")), [], access())
    assert plain is not None
    assert held is not None
    assert ("send", "/sendfax", None, True) == (plain.operation, plain.url, plain.recipient, plain.may_send)
    assert {
        "targets": ["+31201234501", "0201234502"],
        "subject": "Bezwaar",
        "documents": [{"name": "a.pdf", "content": "JVBERi0xLjcK"}],
    } == json.loads(plain.body)
    assert "SecureFax" == json.loads(held.body)["jobType"]


@given(
    st.lists(st.tuples(st.text(max_size=20), st.binary(min_size=1, max_size=200)), min_size=1, max_size=3),
    st.text(max_size=20).filter(str.isprintable),
)
def test_form_data_is_read_again_as_it_was_written(papers: list[tuple[str, bytes]], subject: str) -> None:
    """Whatever a document or its name holds, line ends and boundaries included."""
    documents = tuple(Paper(name, "application/pdf", data) for name, data in papers)
    request = next_request(fax(FAX, OTHER, documents=documents, subject=subject), [], access(upload="raw"))
    assert request is not None
    arrival = Arrival(
        provider="kpn_cloud_fax",
        account="a",
        operation="send_raw",
        kind=ArrivalKind.POLL,
        observed_at=NOW,
        body=b'{"jobid": "j"}',
        status=201,
        request=request.body,
    )
    (seen,) = wire.parse(arrival)
    assert (FAX, OTHER) == seen.declares
    assert [len(data) for _, data in papers] == [each.size for each in seen.documents]


def test_receipts_are_asked_for_after_the_job_and_once_for_each_recipient() -> None:
    """In order; when all are asked, nothing more."""
    submission = fax(FAX, OTHER, options=Options("pcifax", "balie@voorbeeld.example"))
    done = [step("send", body={"jobid": "j"})]
    first = next_request(submission, done, access())
    assert first is not None
    assert ("ackreceipt", 0) == (first.operation, first.recipient)
    assert {"jobid": "j", "target": "+31201234501", "notifyTo": "balie@voorbeeld.example"} == json.loads(first.body)
    second = next_request(submission, [*done, step("ackreceipt", 0)], access())
    assert second is not None
    assert 1 == second.recipient
    assert next_request(submission, [*done, step("ackreceipt", 0), step("ackreceipt", 1)], access()) is None


@pytest.mark.parametrize("verdict", ["refused", "unclear"])
def test_nothing_follows_a_job_that_was_not_taken(verdict: str) -> None:
    """Nor one whose answer names no job."""
    submission = fax(options=Options("pcifax", "balie@voorbeeld.example"))
    assert next_request(submission, [step("send", body={"jobid": "j"}, verdict=verdict)], access()) is None
    assert next_request(submission, [step("send", body={"ok": 1})], access()) is None
    assert next_request(fax(), [step("send", body={"jobid": "j"})], access()) is None


@pytest.mark.parametrize(
    ("operation", "given_answer", "verdict"),
    [
        ("send", answer(201, {"jobid": "j"}), "sent"),
        ("send", answer(200, {"ok": True}), "unclear"),
        ("send", answer(200, b"<html>"), "unclear"),
        ("send", answer(400), "refused"),
        ("send_raw", answer(413), "refused"),
        ("send_sms", answer(429), "later"),
        ("send", answer(503), "unclear"),
        ("send", answer(0, failure="unreachable"), "later"),
        ("send", answer(0, failure="cut"), "unclear"),
        ("ackreceipt", answer(202, {}), "sent"),
        ("ackreceipt", answer(412), "sent"),
        ("ackreceipt", answer(429), "later"),
        ("ackreceipt", answer(500), "unclear"),
        ("ackreceipt", answer(0, failure="timeout"), "unclear"),
    ],
)
def test_an_answer_means_one_thing(operation: str, given_answer: Answer, verdict: str) -> None:
    """A receipt that is refused does not stop the fax."""
    assert verdict == judge(CLIENT, Request(operation=operation), given_answer).verdict


# --- times and words


@pytest.mark.parametrize(
    ("body", "zone"),
    [
        (b'{"timeZone": "Europe/Amsterdam"}', "Europe/Amsterdam"),
        (b'"Europe/Amsterdam"', "Europe/Amsterdam"),
        (b"Europe/Amsterdam", "Europe/Amsterdam"),
        (b'{"timeZone": "W. Europe Standard Time"}', ""),
        (b'{"timeZone": "../../etc/passwd"}', ""),
        (b'{"timeZone": "Europe"}', ""),
        (b'{"timeZone": 1}', ""),
        (b"[]", ""),
        (b"", ""),
        (b"\xff", ""),
    ],
)
def test_only_a_zone_that_is_known_is_a_zone(body: bytes, zone: str) -> None:
    """Else times are assumed to be UTC, and say so."""
    assert zone == contents.zone_said(body)


@pytest.mark.parametrize(
    ("written", "hour", "basis"),
    [
        ("2026-03-02 10:00:00", 9, ZoneBasis.DOCUMENTED),
        ("2026-07-02 10:00:00", 8, ZoneBasis.DOCUMENTED),
        ("2026-07-02T10:00:00Z", 10, ZoneBasis.STATED),
        ("9999-12-31 23:59:59", 22, ZoneBasis.DOCUMENTED),
        ("0001-01-01 00:00:00", 0, ZoneBasis.ASSUMED),
    ],
)
def test_the_zone_of_the_account_is_for_times_that_state_none(written: str, hour: int, basis: ZoneBasis) -> None:
    """With its summer time; a time that would leave the calendar is taken as UTC."""
    body = {"jobid": "j", "targets": [{"target": "1", "status": "sent", "timestamp": written}]}
    (seen,) = parsed("jobstatus", json.dumps(body).encode(), "/jobstatus?jobid=j#zone=Europe%2FAmsterdam")
    assert seen.occurred is not None
    assert (hour, basis, written) == (seen.occurred.at.hour, seen.occurred.zone, seen.occurred.original)


def test_the_sandbox_speaks_words_of_the_tables_and_one_unknown_word() -> None:
    """Else it would show nothing of what they mean."""
    known = {row.word for row in (*STATUS, *SMS)}
    steps = [step for fates in (*FATES.values(), *TEXT_FATES.values()) for step in fates]
    assert {"zwevend"} == {step.word.casefold() for step in steps} - known
    reasons = {row.word for row in REASON}
    assert {
        step.members["errorCode"].lower().replace("-", "_") for step in steps if "errorCode" in step.members
    } <= reasons


# --- hostile answers


def parsed(operation: str, body: bytes, name: str, request: bytes | None = None) -> Any:
    return wire.parse(
        Arrival(
            provider="kpn_cloud_fax",
            account="a",
            operation=operation,
            kind=ArrivalKind.POLL,
            observed_at=NOW,
            body=body,
            status=200,
            name=name,
            request=request,
        )
    )


READ = sorted({o.name for o in PROVIDER.operations if o.use == "used"})
_NAMES = st.sampled_from(
    [
        "jobid",
        "targets",
        "target",
        "status",
        "events",
        "jobs",
        "type",
        "timestamp",
        "document",
        "pages",
        "timeZone",
        "x",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("sent"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(READ), _VALUES | st.binary(max_size=40), st.text(max_size=30), st.none() | st.binary(max_size=60)
)
def test_any_answer_is_read_or_refused(operation: str, said: Any, name: str, request: bytes | None) -> None:
    """Nothing but UnreadableError comes of hostile bytes, names or requests; what is read is in our words."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    try:
        seen = parsed(operation, body, f"/x?jobid={name}", request)
    except UnreadableError:
        return
    assert all(one.code in {"", *PROVIDER.words()} and set(one.notes) <= set(PROVIDER.notes) for one in seen)


@dataclass
class Counter:
    """A desk at which every question has one answer; counts what is done."""

    said: Mapping[str, Answer]
    access: Access = field(default_factory=lambda: access(incoming="custody"))
    account: str = "a"
    state: MutableMapping[str, Any] = field(default_factory=dict)
    calls: list[Request] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)

    def call(self, request: Request) -> Answer:
        self.calls.append(request)
        return self.said.get(request.operation, answer(404))

    def admit(self, request: Request, _answer: Answer) -> Outcome:
        self.admitted.append(request.operation)
        return Outcome()

    def admit_bytes(self, operation: str, kind: ArrivalKind, body: bytes, **_: Any) -> Outcome:
        raise AssertionError(operation, kind, body)

    def record(
        self,
        kind: str,
        clear: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        message: str = "",
        once: Sequence[str] = (),
    ) -> None:
        assert clear, (values, message, once)
        self.recorded.append(kind)

    def known(self, kind: str, since: datetime, until: datetime, also: Collection[str] = ()) -> Mapping[str, str]:
        raise AssertionError(kind, since, until, also)


@given(_VALUES | st.binary(max_size=40))
def test_any_list_of_incoming_faxes_ends(said: Any) -> None:
    """No list makes the sweep fail in another way than by saying so."""
    given_answer = answer(200, said)
    desk = Counter({"injobs": given_answer, "infax": given_answer, "reset": answer(200)})
    try:
        fetching.sweep(desk)
    except CallFailedError:
        assert "dispatch.attempted" in desk.recorded
    assert ["injobs"] == desk.admitted[:1]


@given(_VALUES | st.binary(max_size=40))
def test_any_history_and_any_list_of_messages_end(said: Any) -> None:
    """A page that comes again and again is read twice at most; a list that never ends is cut off by what is new in it."""
    desk = Counter({name: answer(200, said) for name in ("jobstatus", "jobhistory", "jobdetails", "messages")})
    watched = Watched(message="m", references={"jobid": ["j"]}, opened_at=NOW, recipients=(FAX,), open=(0,))
    polling.poll(desk, watched)
    assert sum(request.operation == "jobhistory" for request in desk.calls) <= 2
    with contextlib.suppress(CallFailedError):
        listing.messages(desk, NOW - timedelta(days=1), NOW)
    assert sum(request.operation == "messages" for request in desk.calls) <= 2


def test_one_setting_that_fails_does_not_hide_the_others() -> None:
    """A service that the account lacks is no failure."""
    desk = Counter({f"setting.{name}": answer(503) for name in contents.SETTINGS})
    with pytest.raises(CallFailedError, match="503"):
        watching.sweep(desk)
    assert len(contents.SETTINGS) == len(desk.calls)
    watching.sweep(Counter({f"setting.{name}": answer(403) for name in contents.SETTINGS}))


def test_a_question_that_is_not_answered_is_told_and_the_other_jobs_are_asked() -> None:
    """Two jobs of one message: both are asked, the failure is raised at the end."""
    desk = Counter({"jobstatus": answer(500)})
    watched = Watched(message="m", references={"jobid": ["j1", "j2"]}, opened_at=NOW, recipients=(PHONE,), open=(0,))
    with pytest.raises(CallFailedError):
        polling.poll(desk, watched)
    assert ["/jobstatus?jobid=j1", "/jobstatus?jobid=j2"] == [r.url for r in desk.calls if r.operation == "jobstatus"]
    assert [] == desk.admitted
