"""Ekopost beyond the common contract: signatures, one fact said twice, what a refusal refuses, hostile input."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.providers.ekopost import PROVIDER, objects, statuses
from adapters.providers.ekopost.addresses import recipients
from adapters.providers.ekopost.wire import ERROR, READERS, parse, recognise, verify
from ledger.observations import Address, Arrival, ArrivalKind, Observation, UnreadableError, Verdict
from projections.rules import EFFECTS, Force
from tests.providers import samples

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
CASES = [case for case in samples.cases() if samples.provider_of(case) == "ekopost"]
BODIES = [(samples.arrival(case), case.name) for case in CASES]
CAMPAIGN, ENVELOPE = "0b6c1f5e-7a41-4f0e-9d53-2f1f6c1a7e01", "6a0d2b9c-41d7-4b0b-8f27-93b5f7f3c101"
ENVELOPE_PATH = f"/campaigns/{CAMPAIGN}/envelopes/{ENVELOPE}"


def arrival(operation: str, body: Any, **fields: Any) -> Arrival:
    """An answer to a poll, unless `fields` say otherwise; a body that is not bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    base = Arrival(
        provider="ekopost", account="a", operation=operation, kind=ArrivalKind.POLL, observed_at=NOW, body=raw
    )
    return dataclasses.replace(base, **fields)


def envelope(**fields: Any) -> dict[str, Any]:
    return {"id": ENVELOPE, "state": "posted", "state_changed_at": "2026-03-10T14:05:09"} | fields


def sample(name: str) -> Arrival:
    return next(found for found, case in BODIES if case == name)


# --- signatures


def signed(body: bytes, secret: bytes, form: str = "{}") -> Arrival:
    digest = hmac.new(secret, body, hashlib.sha1).hexdigest()
    return arrival("webhook", body, headers={"x-ekopost-signature": form.format(digest)})


@pytest.mark.parametrize("form", ["{}", "sha1={}", "SHA1={}", " {} "])
@pytest.mark.parametrize("upper", [False, True])
def test_signature_is_read_in_either_case_and_with_or_without_its_prefix(form: str, *, upper: bool) -> None:
    """The page says "hex digest" and shows no example: every usual spelling of it is accepted."""
    hook = signed(b"{}", b"s", form)
    value = hook.headers["x-ekopost-signature"]
    hook = dataclasses.replace(hook, headers={"x-ekopost-signature": value.upper() if upper else value})
    assert Verdict.VERIFIED == verify(hook, {"k": b"s"}, NOW).verdict


def test_the_secret_that_verified_is_named_while_two_are_valid() -> None:
    """Ekopost sends no key id, so all secrets are tried and the one that fits is reported."""
    secrets = {"old": b"one", "new": b"two"}
    assert ["old", "new"] == [verify(signed(b"{}", s, "{}"), secrets, NOW).key_id for s in secrets.values()]


def test_a_signature_is_over_the_raw_bytes() -> None:
    """The same JSON with another white space is another body."""
    hook = signed(b'{"a":1}', b"s")
    respaced = dataclasses.replace(hook, body=b'{"a": 1}')
    assert Verdict.REFUSED == verify(respaced, {"k": b"s"}, NOW).verdict


def test_an_empty_secret_verifies_nothing() -> None:
    """Anybody can sign with an empty secret, so a setting that was left empty must not open the door."""
    assert Verdict.REFUSED == verify(signed(b"{}", b""), {"k": b""}, NOW).verdict


@pytest.mark.parametrize("value", ["", "sha1=", "é" * 40, "\udc80" * 40, "0" * 39, "0" * 4096])
def test_a_senseless_signature_is_refused_and_says_why(value: str) -> None:
    """A header that no hash could give is a refusal with a reason, never an exception."""
    checked = verify(arrival("webhook", b"{}", headers={"x-ekopost-signature": value}), {"k": b"s"}, NOW)
    assert (Verdict.REFUSED, "", True) == (checked.verdict, checked.key_id, bool(checked.why))


def test_a_signature_does_not_age() -> None:
    """No time is signed: a repetition years later verifies, and is recognised by what it says."""
    hook = sample("webhook-completed")
    later = NOW.replace(year=2099)
    assert Verdict.VERIFIED == verify(hook, {"k": b"sample secret, second"}, later).verdict


# --- one state is one fact


def test_webhook_and_poll_of_one_state_are_one_fact() -> None:
    """A state has the same identity and type whether Ekopost pushed it or we asked for it."""
    hook = {
        "event": "campaign.completed",
        "campaign_id": CAMPAIGN,
        "state": "completed",
        "state_changed_at": "2026-03-10T14:05:09",
        "envelopes": [envelope()],
    }
    campaign = {"id": CAMPAIGN, "state": "completed", "state_changed_at": "2026-03-10T14:05:09", "envelope_count": 1}
    polled = (
        *parse(arrival("campaign", campaign)),
        *parse(arrival("envelope", [envelope(name="Brev")], name=f"/campaigns/{CAMPAIGN}/envelopes")),
    )
    said = parse(arrival("webhook", hook))
    assert [(o.identity, o.type, o.batch) for o in polled] == [(o.identity, o.type, o.batch) for o in said]


def test_a_state_without_a_time_leaves_the_time_out_of_its_identity() -> None:
    """The ledger then compares with the last one seen of that object; a time that is none counts as no time."""
    for time in (None, "0001-01-01T00:00:00"):
        (seen,) = parse(arrival("envelope", {"id": ENVELOPE, "state": "posted", "state_changed_at": time}))
        assert (("envelope", ENVELOPE, "state", "posted"), None) == (seen.identity, seen.occurred)


def test_parts_of_one_envelope_have_their_own_identities() -> None:
    """State, transaction, tracking and ordered receipt of one envelope never shadow one another."""
    seen = parse(sample("envelope-rek-delivered"))
    assert ["state", "transaction", "tracking", "service"] == [one.identity[2] for one in seen]


def test_two_calls_refused_in_the_same_words_are_two_facts() -> None:
    """A refusal is told apart by its request and by when it came, not by its body."""
    error = {"error_code": "119", "error_message": "x"}
    calls = [arrival("envelope_create", error, status=400, request=text) for text in (b'{"name":"1"}', b'{"name":"2"}')]
    again = dataclasses.replace(calls[0], observed_at=NOW.replace(minute=1))
    assert 3 == len({parse(call)[0].identity for call in (*calls, again)})


# --- meaning


def test_an_untracked_letter_never_becomes_delivered() -> None:
    """Only the carrier's tracking may say that a letter arrived."""
    arrived = {"content.consigned", "content.handed_over", "consignment.accepted", "content.accessed"}
    rows = (*statuses.STATUS, *statuses.CAMPAIGN, *statuses.TRANSACTION, *statuses.CONTENT)
    assert [] == [row.word for row in rows if row.type in arrived]


def test_a_transaction_never_decides() -> None:
    """Whatever the producer's transaction says, it neither moves a delivery nor proves anything."""
    types = {row.type for row in statuses.TRANSACTION}
    assert (Force.NONE, False) == (EFFECTS[types.pop()].force, bool(types))


@pytest.mark.parametrize("operation", sorted(READERS.keys() - {"envelope_create", "sms_send", "webhook"}))
@pytest.mark.parametrize("code", sorted(ERROR))
def test_only_a_creation_can_be_refused_as_a_submission(operation: str, code: str) -> None:
    """A refused close, content, poll or search leaves the envelope where it was."""
    (seen,) = parse(arrival(operation, {"error_code": code}, status=400, request=b"{}", name=ENVELOPE_PATH))
    assert "submission.rejected" != seen.type
    assert (ENVELOPE,) == tuple(ref.value for ref in seen.references)


def test_a_refused_envelope_does_not_claim_its_unique_id() -> None:
    """The next try with the same unique_id is another envelope; after an unclear answer the id may be taken."""
    request = b'{"unique_id": "u-1"}'
    refused, unclear = (
        parse(arrival("envelope_create", body, status=status, request=request))[0]
        for body, status in (({"error_code": "112"}, 400), (b"", 500))
    )
    assert [("submission.rejected", False), ("dispatch.unclear", True)] == [
        (one.type, one.references[0].exclusive) for one in (refused, unclear)
    ]


def test_an_unreadable_answer_to_a_close_is_unclear_for_that_envelope() -> None:
    """The POST has no body and clients have seen answers without one: the envelope may be closed."""
    (seen,) = parse(arrival("envelope", b"", status=200, request=b"", name=f"{ENVELOPE_PATH}/close"))
    assert ("dispatch.unclear", "2xx", "message", ENVELOPE) == (
        seen.type,
        seen.code,
        seen.about,
        seen.references[0].value,
    )


def test_a_failed_read_says_nothing_of_any_message() -> None:
    """HTTP 500 in answer to a poll is no fact about an envelope."""
    with pytest.raises(UnreadableError, match="HTTP 500"):
        parse(arrival("envelope", {}, status=500, name=ENVELOPE_PATH))


def test_an_undocumented_class_of_status_is_kept_as_unmapped() -> None:
    """A status that is not even a class we know stands in the texts."""
    (seen,) = parse(arrival("envelope_create", b"?", status=777, request=b"{}"))
    assert ("channel.unmapped", "777") == (seen.type, seen.texts["code"])


def test_an_empty_error_code_beside_an_envelope_is_no_error() -> None:
    """A null or empty error_code in a 2xx is an envelope like any other."""
    assert "relay.accepted" == parse(arrival("envelope", envelope(error_code=None), status=200))[0].type


def test_an_operation_that_is_only_recorded_is_not_read() -> None:
    """Asking the parser for it is an error, not an empty answer."""
    with pytest.raises(UnreadableError, match="Create sender is not read"):
        parse(arrival("Create sender", {}))


# --- one bad item


def test_one_unreadable_envelope_of_a_list_hurts_only_itself() -> None:
    """It is reported with its own identity; the envelopes around it are read."""
    items = [envelope(), {"state": "posted"}, "?", envelope(id="other")]
    seen = parse(arrival("envelope", items, name=f"/campaigns/{CAMPAIGN}/envelopes"))
    assert [False, True, True, False] == ["item_unreadable" in one.notes for one in seen]
    assert 4 == len({one.identity for one in seen})
    assert {CAMPAIGN} == {one.batch.value for one in seen if one.batch}
    assert ["message", "batch", "batch", "message"] == [one.about for one in seen]


def test_of_a_list_asked_for_by_name_only_that_envelope_is_read() -> None:
    """The answer belongs to the message it was asked for; another's envelope in it would be put with the wrong one."""
    items = [envelope(unique_id="m-1"), envelope(id="other", name="m-10"), envelope(id="third", unique_id="m-2")]
    seen = parse(arrival("envelope", items, name=f"/campaigns/{CAMPAIGN}/envelopes?name=m-1"))
    assert [ENVELOPE] == [one.references[0].value for one in seen]


def test_an_unreadable_object_is_the_same_at_the_next_poll() -> None:
    """It is one fact however the list around it changes, so that polling does not repeat it for ever."""
    first, later = (
        [one.identity for one in parse(arrival("campaign", items)) if one.notes]
        for items in ([{"state": "opened"}], [{"id": CAMPAIGN, "state": "opened"}, {"state": "opened"}])
    )
    assert 1 == len(first)
    assert first == later


@pytest.mark.parametrize("operation", ["campaign", "envelope", "edi_invitations"])
def test_an_empty_list_is_an_answer_that_says_nothing(operation: str) -> None:
    """Nothing found is not an error."""
    assert () == parse(arrival(operation, []))


def test_a_list_beyond_reason_is_unreadable() -> None:
    """The number of observations is bounded before any is made."""
    with pytest.raises(UnreadableError, match="200001"):
        parse(arrival("envelope", b"[" + b"0," * objects.MAX_ITEMS + b"0]"))


def test_a_document_that_is_not_base64_is_noted() -> None:
    """Ekopost's answer stands; only the fingerprint is missing."""
    request = b'{"data": "JVBER"}'
    (seen,) = parse(arrival("content", {"id": "c", "type": "document"}, status=200, request=request))
    assert (("document_unreadable",), ()) == (seen.notes, seen.documents)


def test_an_unreadable_request_of_ours_is_noted() -> None:
    """What Ekopost answered is read all the same."""
    (seen,) = parse(arrival("envelope_create", envelope(), status=200, request=b"\xff"))
    assert ("relay.accepted", ("request_unreadable",)) == (seen.type, seen.notes)


# --- addresses


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ({"$type": "email", "recipient": "a@example.se"}, [Address("email", "a@example.se")]),
        ({"$type": "email", "subject": "Hej", "email": "b@example.se"}, [Address("email", "b@example.se")]),
        ({"$type": "einbox_kivra", "recipient": "000101-0011"}, [Address("person_number", "000101-0011")]),
        ({"$type": "einboxKivra", "recipient": "000101-0011"}, [Address("person_number", "000101-0011")]),
        ({"recipient": "000101-0011", "$type": "lookup"}, [Address("person_number", "000101-0011")]),
        ({"$type": "ebank", "recipient": "FMI1"}, [Address("other", "FMI1")]),
        (
            {"$type": "einvoice", "recipient": "7300000000009", "recipient_type": "GS1.GLN"},
            [Address("organisation", "7300000000009")],
        ),
        (
            {"$type": "einvoice", "recipient": "000101-0011", "recipient_type": "SE.SSNNO"},
            [Address("person_number", "000101-0011")],
        ),
        ({"$type": "einvoice", "recipient": "x", "recipient_type": "NO.ORGNR"}, [Address("other", "x")]),
        (
            {"$type": "einvoice_mastercard", "social_security_number": "", "efaktura_identifier": "E1"},
            [Address("other", "E1")],
        ),
        ({"$type": "postal", "name": "Åsa", "street": None, "city": " Luleå "}, [Address("postal", "Åsa\nLuleå")]),
        ({"$type": "einbox_signer", "signers": "nobody"}, []),
    ],
)
def test_each_address_type_names_its_recipients(address: dict[str, Any], found: list[Address]) -> None:
    """The kind of address follows from `$type`, wherever that key stands."""
    assert (tuple(found), ()) == recipients(address)


@pytest.mark.parametrize("address", [None, {"$type": "postal", "name": [], "street": [""], "country": None}])
def test_an_address_that_stands_only_in_the_document_declares_nobody(address: Any) -> None:
    """Null means postal: the address was printed, we do not know it."""
    assert ((), ("address_in_document",)) == recipients(address)


def test_every_address_type_of_the_table_is_read() -> None:
    """No documented type is treated as unknown."""
    words = [row.word for row in statuses.ADDRESS_TYPE]
    assert [] == [w for w in words if "unknown_address_type" in recipients({"$type": w, "recipient": "x"})[1]]


# --- times


@pytest.mark.parametrize(
    ("original", "at"),
    [
        ("2026-03-10T14:05:09", "2026-03-10T14:05:09+00:00"),
        ("2026-03-10 14:05:09.123456", "2026-03-10T14:05:09.123456+00:00"),
        ("2026-03-10T14:05:09.1234567Z", "2026-03-10T14:05:09.123456+00:00"),
        ("2026-03-10T00:30:00+02:00", "2026-03-09T22:30:00+00:00"),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("10/03/2026", None),
    ],
)
def test_times_are_utc_with_the_original_kept(original: str, at: str | None) -> None:
    """Without an offset the page says UTC; a time that is none stays as text."""
    (seen,) = parse(arrival("envelope", envelope(state_changed_at=original)))
    assert at == (seen.occurred.at.isoformat() if seen.occurred else None)
    assert original == (seen.occurred.original if seen.occurred else seen.texts["time"])


# --- recognising bare files


def test_samples_are_recognised_as_what_they_are_or_not_at_all() -> None:
    """A bare file is never taken for another operation."""
    guesses = {name: (recognise("x.json", found.body), found.operation) for found, name in BODIES}
    # An answer to a creation shows an envelope like any other; an error object does not say what it refused.
    same = {"envelope_create": {"envelope", "error"}, "content": {"content", "error"}}
    assert {} == {n: g for n, g in guesses.items() if g[0] and g[0] not in same.get(g[1], {g[1]})}


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("campaign-list", "campaign"),
        ("envelope-rek-delivered", "envelope"),
        ("content-document", "content"),
        ("edi-invitations", "edi_invitations"),
        ("webhook-completed", "webhook"),
        ("error-unknown-code", "error"),
        ("envelope-cut-off", ""),
        ("sms-poll", ""),
    ],
)
def test_objects_with_telling_keys_are_recognised(name: str, operation: str) -> None:
    """Imports need no operation for them; an SMS looks like too many other things."""
    assert operation == recognise("x.json", sample(name).body)


# --- hostile input


def read(found: Arrival) -> tuple[Observation, ...]:
    """What parse() gives, or nothing when it says that the bytes cannot be read; any other end is a defect."""
    try:
        return parse(found)
    except UnreadableError:
        return ()


def assert_storable(seen: tuple[Observation, ...]) -> None:
    for one in seen:
        everything = json.dumps(samples.plain(one), ensure_ascii=False)
        assert "\x00" not in everything
        assert everything.encode()
        assert set(one.notes) <= set(PROVIDER.notes)
        assert {one.code, one.reason} <= PROVIDER.words() | {""}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=300), st.none() | st.binary(max_size=60))
def test_any_bytes_end_in_observations_or_unreadable(operation: str, body: bytes, request: bytes | None) -> None:
    """Nothing but UnreadableError comes out of parse(), and recognise() never raises."""
    assert_storable(read(arrival(operation, body, request=request, status=200)))
    assert recognise("x", body) in {"", *READERS}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(BODIES), st.data())
def test_mutated_samples_end_in_observations_or_unreadable(case: tuple[Arrival, str], data: st.DataObject) -> None:
    """A few bytes of a real body replaced, removed or doubled do no harm."""
    found = case[0]
    at = data.draw(st.integers(0, len(found.body)))
    until = data.draw(st.integers(at, min(len(found.body), at + 20)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([b"null", b"{}", b"[]", b"-1e999", b'"\\ud800"', b"true"]))
    assert_storable(read(dataclasses.replace(found, body=found.body[:at] + put + found.body[until:])))


WORDS = st.sampled_from(sorted({row.word for table in PROVIDER.tables.values() for row in table}))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | WORDS
KEYS = st.sampled_from(
    sorted({key for found, _ in BODIES for key in re.findall(r'"([$\w]+)":', found.body.decode(errors="replace"))})
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=8), max_leaves=20)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(READERS)), VALUES, VALUES)
def test_the_right_keys_with_the_wrong_values_do_no_harm(operation: str, body: Any, request: Any) -> None:
    """Every documented field may hold any JSON value."""
    asked = json.dumps(request).encode()
    assert_storable(read(arrival(operation, body, request=asked, status=200, name=ENVELOPE_PATH)))
    assert_storable(read(arrival(operation, body)))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"id":' * 50_000,
        b'{"id": 1, "id": 2, "state": "posted"}',
        b'{"id": ' + b"9" * 5000 + b', "state": "posted"}',
        b'{"id": NaN, "state": "posted"}',
        '{"id": "å"}'.encode("latin-1"),
        '{"id": "x", "state": "posted"}'.encode("utf-16"),
        b"",
    ],
)
def test_known_poisons_are_unreadable(body: bytes) -> None:
    """Depth, doubled keys, numbers without end, foreign encodings and nothing at all."""
    with pytest.raises(UnreadableError):
        parse(arrival("envelope", body))


def test_no_error_text_repeats_a_value_of_the_body() -> None:
    """What cannot be read may name a person: the reason names only the kind of trouble."""
    for operation in READERS:
        with pytest.raises(UnreadableError) as caught:
            parse(arrival(operation, {"name": "Åsa Björk"}))
        assert "Björk" not in str(caught.value)


def test_every_sample_has_its_own_folder_of_four_files() -> None:
    """Nothing else hides among the samples."""
    wanted = {"headers.json", "body.raw", "ORIGIN"}
    for case in samples.cases() + samples.cases(".words"):
        if samples.provider_of(case) == "ekopost":
            found = {path.name for path in Path(case).iterdir()}
            assert wanted | {"words.tsv" if case.suffix else "expected.json"} == found
