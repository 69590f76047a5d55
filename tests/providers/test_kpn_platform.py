"""What the KPN products share: error envelopes, return codes, answers to a send call; and hostile bytes for all."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.providers import registry
from adapters.providers.kpn_platform import ERRORS, HTTP, MAX_ROWS, count, read_failure
from adapters.providers.reading import repaired
from ledger.observations import Arrival, ArrivalKind, Observation, UnreadableError
from tests.providers import samples

PRODUCTS = ("kpn_cloud_fax", "kpn_registered_email", "kpn_sms")
ID_MEMBERS = {"kpn_cloud_fax": "jobid", "kpn_registered_email": "ticket_token", "kpn_sms": "document_id"}
CASES = [case for case in samples.cases() if samples.provider_of(case) in PRODUCTS]
READ = [(p, o.name) for p in PRODUCTS for o in registry()[p].operations if o.use == "used"]
PUBLISHED_CODES = {200, 201, 202, 302, 400, 401, 403, 404, 405, 412, 429, 500, 502, 503}

ENVELOPES: dict[str, dict[str, Any]] = {
    "fault": {"fault": {"faultstring": "why", "detail": {"errorcode": "401"}}},
    "proxy": {"error": {"transactionId": "t", "status": "401", "name": "n", "message": "why", "info": "i"}},
    "flat": {"transactionId": "t", "status": 401, "name": "n", "message": "why", "info": "i"},
    "errorResponse": {"errorResponse": {"code": "401", "message": "why", "info": "i"}},
    "token": {"ErrorCode": "401", "Error": "why"},
}


def arrival(provider: str, operation: str, body: bytes, **more: Any) -> Arrival:
    return Arrival(
        provider=provider,
        account="a",
        operation=operation,
        kind=ArrivalKind.POLL,
        observed_at=more.pop("observed_at", datetime(2026, 7, 20, 10, tzinfo=UTC)),
        body=body,
        **more,
    )


def sent(provider: str, body: bytes, **more: Any) -> Observation:
    (seen,) = registry()[provider].parse(arrival(provider, "send", body, **more))
    return seen


@pytest.mark.parametrize("shape", ENVELOPES)
def test_each_of_the_five_envelopes_gives_its_code_and_its_text(shape: str) -> None:
    """Wherever on the way the error arose, its code and its message are found."""
    failure = read_failure(ENVELOPES[shape])
    assert failure is not None
    assert "401" == failure.codes[0]
    assert "why" == failure.texts["text"]


@pytest.mark.parametrize(
    "body", [{}, {"status": "OK"}, {"error": "x"}, {"fault": []}, {"errorResponse": None}, {"name": "n"}]
)
def test_what_is_no_envelope_is_no_failure(body: dict[str, Any]) -> None:
    """A member that happens to have a telling name does not make an error of a success."""
    assert read_failure(body) is None


def test_all_fourteen_published_return_codes_have_a_row() -> None:
    """The return code table of KPN's documentation is complete here, and each failure says what a sender may do."""
    rows = {row.word: row for row in HTTP}
    assert PUBLISHED_CODES == {int(word) for word in rows if word.isdecimal()}
    assert all(row.retry for row in (*HTTP, *ERRORS) if row.type)


@pytest.mark.parametrize("provider", PRODUCTS)
@pytest.mark.parametrize(
    "status", [302, 307, 400, 401, 403, 404, 405, 409, 412, 418, 429, 500, 502, 503, 504, 100, 999]
)
def test_http_status_alone_decides_when_the_body_is_silent(provider: str, status: int) -> None:
    """A 4xx is a refusal; after anything else that is no success nobody knows whether it was sent."""
    expected = "submission.rejected" if 400 <= status < 500 else "dispatch.unclear"
    assert expected == sent(provider, b"<html></html>", status=status).type


@pytest.mark.parametrize("provider", PRODUCTS)
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (500, "oauth.v2.InvalidAccessToken", "submission.rejected"),
        (502, "400", "submission.rejected"),
        (400, "500", "dispatch.unclear"),
        (200, "403", "submission.rejected"),
        (503, "no such code", "dispatch.unclear"),
        (404, "no such code", "submission.rejected"),
        (200, "no such code", "dispatch.unclear"),
    ],
)
def test_the_code_in_the_body_decides_before_the_http_status(
    provider: str, status: int, code: str, expected: str
) -> None:
    """A gateway may replace the status of an answer, not its words; an unknown code decides nothing and is kept."""
    body = json.dumps({"fault": {"detail": {"errorcode": code}}}).encode()
    seen = sent(provider, body, status=status)
    assert expected == seen.type
    assert code == (seen.code if "no such" not in code else seen.texts["code"])


@pytest.mark.parametrize("provider", PRODUCTS)
@pytest.mark.parametrize("body", [b"", b" \n", b"{", b"[]", b'"OK"', b'{"a":1,"a":2}', b"\xff\xfe", b"[" * 5000])
def test_success_that_cannot_be_read_leaves_it_open_whether_it_was_sent(provider: str, body: bytes) -> None:
    """Neither accepted nor refused is claimed, whatever HTTP says."""
    assert "dispatch.unclear" == sent(provider, body, status=200).type


@pytest.mark.parametrize("provider", PRODUCTS)
def test_bytes_of_which_nobody_knows_the_status_are_unreadable(provider: str) -> None:
    """A file that is said to be an answer and is none waits for a person; that nothing came at all is an answer too."""
    with pytest.raises(UnreadableError):
        sent(provider, b"<html></html>")
    assert ("dispatch.unclear", ("no_answer",)) == (sent(provider, b"").type, sent(provider, b"").notes)


@pytest.mark.parametrize("provider", PRODUCTS)
def test_id_beside_a_failure_is_still_a_name_of_the_message(provider: str) -> None:
    """When the gateway fails after the product has answered, the id is kept and what happened later can be matched."""
    seen = sent(provider, json.dumps({ID_MEMBERS[provider]: "X-1"}).encode(), status=503)
    assert "dispatch.unclear" == seen.type
    assert ["X-1"] == [reference.value for reference in seen.references]


@pytest.mark.parametrize("provider", PRODUCTS)
def test_refused_calls_with_equal_answers_are_facts_of_their_own(provider: str) -> None:
    """Two messages refused with the same words are two refusals, and so are two tries of one message."""
    body = b'{"errorResponse": {"code": "400"}}'
    later = datetime(2026, 7, 20, 11, tzinfo=UTC)
    identities = {
        sent(provider, body, status=400, request=b'{"a": 1}').identity,
        sent(provider, body, status=400, request=b'{"a": 2}').identity,
        sent(provider, body, status=400, request=b'{"a": 2}', observed_at=later).identity,
    }
    assert 3 == len(identities)


@pytest.mark.parametrize("provider", PRODUCTS)
def test_each_accepted_message_is_an_object_of_its_own(provider: str) -> None:
    """The states of one object follow each other; two messages are no two states of "send"."""
    answers = [sent(provider, json.dumps({ID_MEMBERS[provider]: name}).encode(), status=200) for name in ("X-1", "X-2")]
    assert 2 == len({seen.identity[:-1] for seen in answers})


@pytest.mark.parametrize("provider", PRODUCTS)
@pytest.mark.parametrize("request_body", [b"", b"\xff", b"[]", b'{"messages": 1, "attachments": {}, "targets": 0}'])
def test_broken_request_of_ours_does_not_hide_that_it_was_accepted(provider: str, request_body: bytes) -> None:
    """What the provider answered counts even where we cannot read our own words again."""
    seen = sent(provider, json.dumps({ID_MEMBERS[provider]: "X-1"}).encode(), status=200, request=request_body)
    assert "submission.accepted" == seen.type


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        ("3", 3),
        (" 3 ", 3),
        (0, 0),
        (True, None),
        (-1, None),
        (1.5, None),
        ("x", None),
        (10**9, None),
        ([], None),
    ],
)
def test_count_is_small_and_whole_or_none(value: object, expected: int | None) -> None:
    """What stands in the clear as a count can be no phone number."""
    assert expected == count(value)


def test_token_endpoint_is_listed_and_never_read() -> None:
    """Its answer is a credential: no product offers to read it."""
    for name in PRODUCTS:
        (token,) = [o for o in registry()[name].operations if o.name == "token"]
        assert "out_of_scope" == token.use


@pytest.mark.parametrize("name", PRODUCTS)
def test_operations_have_names_of_their_own_and_reasons(name: str) -> None:
    """An arrival names one row, or several that are read alike; each call stands once, and each row says why it is used or not."""
    operations = registry()[name].operations
    calls = [o.method for o in operations if o.method not in {"webhook", "mailbox"}]
    assert len(operations) == len({(o.name, o.method) for o in operations})
    assert len(calls) == len(set(calls))
    assert len({o.name for o in operations}) == len({(o.name, o.use) for o in operations})
    assert all(len(o.why) > 10 for o in operations)


@pytest.mark.parametrize("name", PRODUCTS)
def test_operation_that_is_not_used_cannot_be_read(name: str) -> None:
    """What nobody reads waits for a person instead of being taken for something else."""
    provider = registry()[name]
    for operation in provider.operations:
        if operation.use != "used":
            with pytest.raises(UnreadableError):
                provider.parse(arrival(name, operation.name, b"{}"))


@pytest.mark.parametrize("case", CASES, ids=samples.case_id)
def test_sample_is_recognised_by_its_provider_only(case: Path) -> None:
    """A bare file is claimed by the provider it comes from, or by none; never by another KPN product."""
    body = (case / "body.raw").read_bytes()
    claimed = {name for name in PRODUCTS if registry()[name].recognise("file", body)}
    assert claimed <= {samples.provider_of(case)}


def read_or_refuse(provider: str, seen: Arrival) -> None:
    """Fails on any exception other than UnreadableError, and on observations that cannot be stored."""
    try:
        observations = registry()[provider].parse(seen)
    except UnreadableError:
        return
    for observation in observations:
        seen_as = samples.plain(observation)
        assert repaired(seen_as) == seen_as


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(ID_MEMBERS.values())) | st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(target=st.sampled_from(READ), body=st.binary(max_size=300), status=st.none() | st.integers(0, 999))
def test_any_bytes_are_read_or_refused(target: tuple[str, str], body: bytes, status: int | None) -> None:
    """Nothing but UnreadableError leaves parse(), and recognise() never fails."""
    read_or_refuse(target[0], arrival(*target, body, status=status, request=body))
    registry()[target[0]].recognise("file", body)


@settings(max_examples=300, deadline=None)
@given(target=st.sampled_from(READ), value=JSON, request=JSON)
def test_any_json_is_read_or_refused(target: tuple[str, str], value: object, request: object) -> None:
    """Whatever stands where a text, a number or a list is due."""
    body, asked = json.dumps(value).encode(), json.dumps(request).encode()
    read_or_refuse(target[0], arrival(*target, body, request=asked, name="/x?jobid=%00%F0"))
    registry()[target[0]].recognise("file", body)


HOSTILE = [
    b"",
    b"\x00",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"1e999",
    b"-1",
    b"[" * 50,
    b'"',
    b"<",
    b"&#0;",
    b"9" * 400,
    b"null",
]


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(CASES), data=st.data())
def test_mutated_samples_are_read_or_refused(case: Path, data: st.DataObject) -> None:
    """A real body with a piece cut out and something hostile put in its place."""
    body = (case / "body.raw").read_bytes()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    mutated = body[:start] + data.draw(st.sampled_from(HOSTILE)) + body[end:]
    seen = dataclasses.replace(samples.arrival(case, body=mutated), request=data.draw(st.none() | st.just(mutated)))
    read_or_refuse(samples.provider_of(case), seen)


@pytest.mark.parametrize(
    ("provider", "operation", "body"),
    [
        ("kpn_cloud_fax", "jobstatus", b'{"jobid":1,"targets":[' + b"1," * MAX_ROWS + b"1]}"),
        ("kpn_cloud_fax", "jobhistory", b'{"jobid":1,"events":[' + b"{}," * MAX_ROWS + b"{}]}"),
        ("kpn_registered_email", "biljet", b"<biljet id='x'>" + b"<status/>" * MAX_ROWS + b"</biljet>"),
        ("kpn_registered_email", "biljet", b"<biljet>" * (MAX_ROWS + 1) + b"</biljet>" * (MAX_ROWS + 1)),
        ("kpn_sms", "webhook.dlr", b'{"DLRID":"' + b"x" * (33 * 1024 * 1024) + b'"}'),
    ],
    ids=["targets", "events", "statuses", "depth", "size"],
)
def test_bodies_beyond_all_measure_are_refused(provider: str, operation: str, body: bytes) -> None:
    """A body that would become more rows than any message has is left to a person."""
    with pytest.raises(UnreadableError):
        registry()[provider].parse(arrival(provider, operation, body))
