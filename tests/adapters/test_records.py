"""The arrival record: decoded strictly, encoded so that nothing is lost."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import records
from adapters.providers import registry
from ledger.observations import Arrival, ArrivalKind, Verdict
from tests.providers import samples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {"account": "sms", "operation": "send", "body": "{}"}


def decode(record: dict[str, Any] | bytes, provider: str = "kpn_sms") -> records.Record:
    data = record if isinstance(record, bytes) else json.dumps(record).encode()
    return records.decode(data, NOW, lambda _: provider)


def test_record_needs_only_account_operation_and_body() -> None:
    """What is not said has a default: kind api, now, the account's provider."""
    found = decode(GOOD)
    expected = Arrival(
        provider="kpn_sms", account="sms", operation="send", kind=ArrivalKind.API, observed_at=NOW, body=b"{}"
    )
    assert records.Record(expected, "") == found


@pytest.mark.parametrize("case", samples.cases(), ids=samples.case_id)
def test_every_sample_of_every_provider_goes_through_a_record_unchanged(case: Any) -> None:
    """Encoded and decoded, an arrival is byte for byte the same."""
    arrival = samples.arrival(case)
    assert records.Record(arrival, "") == records.decode(records.encode(arrival), NOW, lambda _: "")


MESSAGE = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"
ALLOWED = sorted(registry()["kpn_sms"].headers)
ARRIVALS = st.builds(
    Arrival,
    provider=st.just("kpn_sms"),
    account=st.from_regex(rf"\A{records.NAME}\Z"),
    operation=st.sampled_from(["send", "webhook.dlr", "webhook.inbound"]),
    kind=st.sampled_from(ArrivalKind),
    observed_at=st.datetimes(timezones=st.just(UTC)),
    body=st.binary() | st.text().map(str.encode),
    headers=st.dictionaries(st.sampled_from(ALLOWED), st.text()),
    status=st.none() | st.integers(100, 599),
    request=st.none() | st.binary() | st.text().map(str.encode),
    name=st.text(max_size=500),
)


@given(arrival=ARRIVALS, message=st.sampled_from(["", MESSAGE]))
def test_decode_undoes_encode(arrival: Arrival, message: str) -> None:
    """Any bytes, headers and times survive; a record is one line."""
    line = records.encode(arrival, message)
    assert b"\n" not in line
    assert records.Record(arrival, message) == records.decode(line, NOW, lambda _: "")


def test_time_of_a_record_is_kept_in_utc() -> None:
    """An offset is converted, not dropped."""
    at = NOW.astimezone(timezone(timedelta(hours=2)))
    assert NOW == decode({**GOOD, "observed_at": at.isoformat()}).arrival.observed_at


def test_only_headers_of_the_providers_allow_list_are_kept() -> None:
    """An Authorization header never gets in, and names are lower case."""
    found = decode({**GOOD, "headers": {"Content-Type": "application/json", "Authorization": "Bearer x"}})
    assert {"content-type": "application/json"} == dict(found.arrival.headers)


def test_verdict_of_a_signature_cannot_be_said() -> None:
    """A record claims nothing about who sent the bytes."""
    with pytest.raises(records.RecordError, match="does not exist here"):
        decode({**GOOD, "verdict": "verified"})
    assert Verdict.UNSIGNED == decode(GOOD).arrival.verdict


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account": 7}, "account: Expected str, got int"),
        ({"account": "Ann Example"}, "account: Expected str matching regex"),
        ({"operation": "deliver"}, "operation: kpn_sms has no such operation that is read; there are send, "),
        ({"operation": "listTeamSigningKeys"}, "operation: kpn_sms has no such operation that is read"),
        ({"provider": "carrier"}, "provider: unknown; there are ekopost, "),
        ({"kind": "carrier"}, "kind: not one of the allowed values"),
        ({"observed_at": "2026-03-01T09:00:00"}, "observed_at: a time without a zone; write "),
        ({"observed_at": "yesterday"}, "observed_at: Invalid RFC3339"),
        ({"observed_at": "0001-01-01T00:00:00+23:59"}, "observed_at: outside the years 1 to 9999"),
        ({"status": 99}, "status: Expected int >= 100"),
        ({"headers": {"x": 1}}, r"headers\[...\]: Expected str, got int"),
        ({"message": "m1"}, "message: Expected str matching regex"),
        ({"body": None}, "body: give body or body_base64"),
        ({"body_base64": base64.b64encode(b"x").decode()}, "body: give body or body_base64, not both"),
        ({"request": "a", "request_base64": "YQ=="}, "request: give request or request_base64, not both"),
        ({"body": None, "body_base64": "?"}, "body_base64: Invalid base64"),
        ({"number": 1}, "a field that does not exist here; there are account, operation"),
    ],
)
def test_record_that_cannot_be_taken_names_the_field(change: dict[str, Any], why: str) -> None:
    """Each field has its own words for what is wrong."""
    with pytest.raises(records.RecordError, match=why):
        decode({**GOOD, **change})


def test_record_without_provider_of_an_unknown_account_names_the_account() -> None:
    """Nobody says which provider it is of."""
    with pytest.raises(records.RecordError, match="account: unknown"):
        decode(GOOD, provider="")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "Expected object, got array"),
        (b'{"account": "sms", "operation": "send", "body": "a", "body": "b"}', "the same key stands twice"),
        (b'{"account": "sms", "operation": "send", "body": "{}", "headers": {"a": "1", "a": "2"}}', "stands twice"),
        (b'{"account": "sms", "operation": "send", "body": "\xff"}', "not UTF-8"),
        (b'{"account": "sms", "operation": "send", "body": "\\ud800"}', "not JSON"),
        (b'{"account": "sms", "operation": "send", "status": NaN}', "not JSON"),
        (b'{"account": "sms", "operation": "send", "status": 1e999}', "out of range|got float"),
        (b'{"account":' + b"[" * 100_000, "Expected str, got array"),
        (b"\xef\xbb\xbf{}", "not JSON"),
    ],
)
def test_what_is_no_strict_json_is_refused(data: bytes, why: str) -> None:
    """Whatever two readers could read differently is no record."""
    with pytest.raises(records.RecordError, match=why):
        decode(data)


@given(value=st.text(min_size=6, alphabet=st.characters(codec="utf-8", exclude_characters='"\\')), data=st.data())
def test_refusal_never_quotes_what_was_said(value: str, data: st.DataObject) -> None:
    """A number or address in the wrong place does not reach a log or a problem by way of the error."""
    planted = f"31612345678{value}"
    field = data.draw(
        st.sampled_from(["operation", "provider", "kind", "observed_at", "message", "body_base64", planted])
    )
    with pytest.raises(records.RecordError) as refused:
        decode({**GOOD, field: planted})
    assert planted not in str(refused.value)
