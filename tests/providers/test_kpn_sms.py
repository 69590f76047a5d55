"""KPN SMS: signatures, times, forms of numbers and codes, and what makes two reports the same."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.providers.kpn_sms import PROVIDER, wire
from adapters.providers.kpn_sms.statuses import REASON, STATUS
from ledger.observations import Address, Arrival, ArrivalKind, Observation, UnreadableError, Verdict, ZoneBasis

NOW = datetime(2026, 7, 20, 10, 5, tzinfo=UTC)
SECRETS = {"wk_OLD": b"retiring", "wk_NEW": b"active"}
REPORT: dict[str, Any] = {
    "DLRID": "d-1",
    "RecipientPhonenumber": "31612340001",
    "Status": 4,
    "ErrorCode": "006",
    "StatusDateTime": 1784541845,
}


def webhook(body: bytes, *, operation: str = "webhook.dlr", **headers: str) -> Arrival:
    return Arrival(
        provider="kpn_sms",
        account="a",
        operation=operation,
        kind=ArrivalKind.WEBHOOK,
        observed_at=NOW,
        body=body,
        headers={f"x-kpn-webhook-{name.replace('_', '-')}": value for name, value in headers.items()},
    )


def signed(body: bytes = b"{}", signer: str = "wk_NEW", age_s: int = 0, **headers: str) -> Arrival:
    signature = hmac.new(SECRETS[signer], body, hashlib.sha256).hexdigest()
    stamp = str(int(NOW.timestamp()) - age_s)
    return webhook(body, **{"signature": signature, "timestamp": stamp, "key_id": signer} | headers)


def report(**changes: Any) -> Observation:
    """The observation of REPORT with members changed, or left out where the change is None."""
    body = {name: value for name, value in {**REPORT, **changes}.items() if value is not None}
    (seen,) = wire.parse(webhook(json.dumps(body).encode()))
    return seen


@pytest.mark.parametrize("key_id", SECRETS)
def test_two_secrets_are_valid_at_once_and_the_verdict_names_the_one_that_signed(key_id: str) -> None:
    """During a rotation either key may sign, and which one did is remembered."""
    checked = wire.verify(signed(signer=key_id), SECRETS, NOW)
    assert (Verdict.VERIFIED, key_id) == (checked.verdict, checked.key_id)


def test_without_a_key_id_the_key_that_fits_is_found() -> None:
    """The header is known from a third party only; without it each secret is tried."""
    checked = wire.verify(signed(signer="wk_OLD", key_id=""), SECRETS, NOW)
    assert (Verdict.VERIFIED, "wk_OLD") == (checked.verdict, checked.key_id)


def test_signature_of_one_key_does_not_pass_under_the_name_of_another() -> None:
    """The key id that is claimed is the only one that is tried."""
    checked = wire.verify(signed(signer="wk_OLD", key_id="wk_NEW"), SECRETS, NOW)
    assert (Verdict.REFUSED, "wk_NEW") == (checked.verdict, checked.key_id)


@pytest.mark.parametrize("key_id", ["wk_GONE", "wk_new", "\udcff"])
def test_unknown_key_id_is_refused_and_named(key_id: str) -> None:
    """A webhook under a key that we do not hold is refused for that reason, so that the key can be fetched."""
    checked = wire.verify(signed(key_id=key_id), SECRETS, NOW)
    assert (Verdict.REFUSED, key_id) == (checked.verdict, checked.key_id)
    assert "secret" in checked.why


def test_empty_secret_verifies_nothing() -> None:
    """Everybody can sign with an empty secret."""
    body = b"{}"
    forged = hmac.new(b"", body, hashlib.sha256).hexdigest()
    checked = wire.verify(signed(body, signature=forged), {"wk_NEW": b""}, NOW)
    assert Verdict.REFUSED == checked.verdict


def test_signature_in_capitals_and_blanks_is_the_same_signature() -> None:
    """Hex digits mean the same in either case."""
    arrival = signed()
    loud = f" {arrival.headers[wire.SIGNATURE].upper()} "
    assert Verdict.VERIFIED == wire.verify(signed(signature=loud), SECRETS, NOW).verdict


@pytest.mark.parametrize("signature", ["", "0", "é", "\udc80", "sha256=", "0" * 64, "0" * 100_000])
def test_wrong_signature_is_refused_whatever_its_form(signature: str) -> None:
    """Text that is no signature is refused, never an error."""
    assert Verdict.REFUSED == wire.verify(signed(signature=signature), SECRETS, NOW).verdict


def test_signature_covers_the_body_and_not_the_time_stamp() -> None:
    """So KPN documents it: an old webhook with a fresh time-stamp passes, and the identity of its report stops it."""
    old = signed(b'{"DLRID": "d-1"}', age_s=86_400)
    replayed = dataclasses.replace(old, headers={**old.headers, wire.TIMESTAMP: str(int(NOW.timestamp()))})
    assert Verdict.REFUSED == wire.verify(old, SECRETS, NOW).verdict
    assert Verdict.VERIFIED == wire.verify(replayed, SECRETS, NOW).verdict


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0, Verdict.VERIFIED),
        (-wire.TIMESTAMP_TOLERANCE_S, Verdict.VERIFIED),
        (-wire.TIMESTAMP_TOLERANCE_S - 1, Verdict.REFUSED),
        (wire.TIMESTAMP_TOLERANCE_S + wire.RETRY_SPAN_S, Verdict.VERIFIED),
        (wire.TIMESTAMP_TOLERANCE_S + wire.RETRY_SPAN_S + 1, Verdict.REFUSED),
    ],
)
def test_time_stamp_may_be_off_by_the_tolerance_and_old_by_the_retries(age_s: int, expected: Verdict) -> None:
    """The last of four attempts must not be refused for the time that the attempts take."""
    assert expected == wire.verify(signed(age_s=age_s), SECRETS, NOW).verdict


def test_tolerance_can_be_narrowed() -> None:
    """Whoever knows both clocks may ask for less than is usual."""
    assert Verdict.REFUSED == wire.verify(signed(age_s=-11), SECRETS, NOW, tolerance_s=10).verdict


@pytest.mark.parametrize("stamp", ["", "now", "1784541900.5", "-1", "1e9", "٣", "9" * 400, "0x6A", "\udc80"])
def test_time_stamp_that_is_no_count_of_seconds_is_refused(stamp: str) -> None:
    """Without a readable time-stamp nobody knows how old the webhook is."""
    assert Verdict.REFUSED == wire.verify(signed(timestamp=stamp), SECRETS, NOW).verdict


@pytest.mark.parametrize("code", [f"{number:03d}" for number in range(1, 31)])
def test_each_of_the_thirty_failure_codes_is_read_as_its_reason(code: str) -> None:
    """The code keeps its leading zeros, has a meaning, and says what a sender may do."""
    seen = report(ErrorCode=code)
    (row,) = [row for row in REASON if row.word == code]
    assert (code, {}) == (seen.reason, seen.texts)
    assert row.meaning
    assert row.retry in {"never", "later", "person"}


@pytest.mark.parametrize(("written", "reason"), [(6, "006"), ("6", "006"), (" 010 ", "010"), (30, "030")])
def test_failure_code_that_lost_its_zeros_is_found_again(written: object, reason: str) -> None:
    """A sender of JSON that writes 6 for 006 means 006."""
    assert reason == report(ErrorCode=written).reason


@pytest.mark.parametrize("written", ["031", "000", "6.0", "abc", "٠٠٦", "0006", True])
def test_unknown_failure_code_is_kept_as_text(written: object) -> None:
    """An unknown code costs the report its reason and nothing else."""
    seen = report(ErrorCode=written)
    assert ("content.consignment_failed", "") == (seen.type, seen.reason)
    assert json.dumps(written).strip('"') == json.dumps(seen.texts["reason"]).strip('"')


@pytest.mark.parametrize("row", STATUS, ids=lambda row: row.word)
@pytest.mark.parametrize("form", [int, float, str, " {} ".format])
def test_status_is_read_as_number_and_as_text(row: Any, form: Any) -> None:
    """Status 1 and "1" are the same word, and so make the same identity."""
    status = form(int(row.word))
    seen = report(Status=status)
    assert (row.type, row.word) == (seen.type, seen.code)
    assert report(Status=row.word).identity == seen.identity


@pytest.mark.parametrize("status", [0, 7, "Delivered", True, 1.5, "01", 10**400, "\N{ARABIC-INDIC DIGIT ONE}"])
def test_unknown_status_is_kept_and_claims_nothing(status: object) -> None:
    """A word that no table has is unmapped and stands in the texts."""
    seen = report(Status=status)
    assert ("channel.unmapped", "") == (seen.type, seen.code)
    assert seen.texts["code"]


@pytest.mark.parametrize("status", [None, [], {}])
def test_missing_status_is_said(status: object) -> None:
    """A report without a status is a report all the same, and says that it lacks one."""
    seen = report(Status=status)
    assert "channel.unmapped" == seen.type
    assert ("status_missing",) == seen.notes


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (1784541845, datetime(2026, 7, 20, 10, 4, 5, tzinfo=UTC)),
        ("1784541845", datetime(2026, 7, 20, 10, 4, 5, tzinfo=UTC)),
        (1784541845250, datetime(2026, 7, 20, 10, 4, 5, 250_000, tzinfo=UTC)),
        ("1784541845250", datetime(2026, 7, 20, 10, 4, 5, 250_000, tzinfo=UTC)),
        (1784541845.5, datetime(2026, 7, 20, 10, 4, 5, 500_000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_time_is_read_as_seconds_and_as_milliseconds(written: object, at: datetime) -> None:
    """The documentation says "epoch" and no more."""
    occurred = report(StatusDateTime=written).occurred
    assert occurred is not None
    assert (at, str(written), ZoneBasis.EPOCH) == occurred


@pytest.mark.parametrize("written", ["soon", "2026-07-20T10:04:05Z", 10**30, 10**400, "nan", "inf", True])
def test_time_that_cannot_be_read_is_kept_as_text(written: object) -> None:
    """No time is made up; what was written stands in the texts."""
    seen = report(StatusDateTime=written)
    assert seen.occurred is None
    assert "time_unreadable" in seen.notes
    assert seen.texts["time"]


@pytest.mark.parametrize("left_out", REPORT)
def test_any_single_member_may_be_missing(left_out: str) -> None:
    """The customer may exclude any field; the rest is read."""
    seen = report(**{left_out: None})
    assert "recipient" == seen.about
    assert ("RecipientPhonenumber" == left_out) == (seen.recipient is None)
    assert ("DLRID" == left_out) == (not seen.references)


def test_body_without_any_member_of_a_report_is_unreadable() -> None:
    """Something else that was posted to the address of reports is left to a person."""
    with pytest.raises(UnreadableError):
        wire.parse(webhook(b'{"sender": "31612340001"}'))
    with pytest.raises(UnreadableError):
        wire.parse(webhook(b'{"DLRID": "d-1"}', operation="webhook.inbound"))


def test_redelivered_report_has_the_same_identity_and_the_next_state_another() -> None:
    """Four attempts to deliver a report are one fact; queued and delivered are two, in whatever order they come."""
    assert report().identity == report().identity
    assert report(Message="with the text now").identity == report().identity
    different = [report(Status=1), report(StatusDateTime=1784541846), report(RecipientPhonenumber="31612340002")]
    assert 4 == len({seen.identity for seen in [report(), *different]})


def test_other_failure_code_in_the_same_report_is_a_contradiction_and_no_new_fact() -> None:
    """What must agree between two copies of a report is its failure code."""
    first, second = report(ErrorCode="006"), report(ErrorCode="007")
    assert first.identity == second.identity
    assert first.content != second.content


@pytest.mark.parametrize("left_out", ["RecipientPhonenumber", "DLRID"])
def test_report_that_cannot_be_told_from_another_is_identified_by_its_bytes(left_out: str) -> None:
    """Two recipients of one call may be reported in the same second: no report may pass for a copy of the other."""
    assert () == report(**{left_out: None}).identity


@pytest.mark.parametrize(
    ("part", "parts", "expected"),
    [(1, 2, (1, 2)), ("2", "2", (2, 2)), (3, 2, None), (0, 2, None), (1, None, None), ("a", 2, None)],
)
def test_parts_are_read_when_they_make_sense(part: object, parts: object, expected: tuple[int, int] | None) -> None:
    """A part is counted from 1 and no part follows the last."""
    assert expected == report(MessagePart=part, MessageParts=parts).part


def test_parts_reported_in_the_same_second_are_two_facts() -> None:
    """The parts of a long message are delivered at once more often than not."""
    assert report(MessagePart=1, MessageParts=2).identity != report(MessagePart=2, MessageParts=2).identity


def test_numbers_are_kept_as_they_were_given() -> None:
    """Spellings are made equal elsewhere; here nothing is lost."""
    for number in ("0612340001", "+31612340001", "0031612340001", "09712345678"):
        assert Address("phone", number) == report(RecipientPhonenumber=number).recipient
    assert Address("phone", "31612340001") == report(RecipientPhonenumber=31612340001).recipient


def test_long_list_of_numbers_declares_each_once_and_in_order() -> None:
    """Two hundred numbers in one call are two hundred recipients of one document_id."""
    numbers = [f"06{index:08d}" for index in range(200)]
    request = {"messages": [{"content": "x", "mobile_number": " , ".join(numbers)}, {"mobile_number": numbers[0]}, "?"]}
    arrival = dataclasses.replace(
        webhook(b'{"document_id": "d-1"}', operation="send"), status=200, request=json.dumps(request).encode()
    )
    first, *others = wire.parse(arrival)
    assert numbers == [address.value for address in first.declares]
    assert numbers == [seen.recipient.value for seen in (first, *others) if seen.recipient]
    assert [()] * 199 == [seen.declares for seen in others]
    assert 200 == len({seen.identity for seen in (first, *others)})


def test_incoming_time_is_utc_because_its_name_says_so() -> None:
    """`timestamp_utc` comes without a zone; summer time must not move it."""
    body = json.dumps({"message_id": "m-1", "timestamp_utc": "2026-07-20T10:04:05.5"}).encode()
    (seen,) = wire.parse(webhook(body, operation="webhook.inbound"))
    assert seen.occurred is not None
    assert datetime(2026, 7, 20, 10, 4, 5, 500_000, tzinfo=UTC) == seen.occurred.at
    assert timedelta(0) == seen.occurred.at.utcoffset()
    assert ZoneBasis.DOCUMENTED == seen.occurred.zone


def test_bare_files_are_recognised_by_their_members() -> None:
    """A person who imports files need not say which is which."""
    assert "webhook.dlr" == PROVIDER.recognise("1.json", json.dumps(REPORT).encode())
    assert "webhook.inbound" == PROVIDER.recognise("2.json", b'{"message_id": "m", "timestamp_utc": "t"}')
    assert "send" == PROVIDER.recognise("3.json", b'{"document_id": "d", "status": "OK"}')
    assert [""] * 3 == [PROVIDER.recognise("x", body) for body in (b"", b"[]", b'{"status": "OK"}')]
