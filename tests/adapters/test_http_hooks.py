"""Webhooks of providers: the signature is the credential, and 2xx means durable."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError

from ledger.errors import InvalidEventError
from tests.adapters.conftest import DLR, SAMPLES, TENANT, Api
from tests.providers import samples

SECRETS = {"wk_1": b"first secret", "wk_2": b"second secret"}
URL = f"POST /v1/hooks/{TENANT}/sms/webhook.dlr"
REPORT = (DLR / "body.raw").read_bytes()
NUMBER = "31612340001"


def kpn(body: bytes, key_id: str = "wk_1", secret: bytes | None = None) -> dict[str, str]:
    """Headers as KPN signs (SwaggerHub `Webhook Signing Keys - KPN` 4.0.0)."""
    due = hmac.new(secret or SECRETS[key_id], body, hashlib.sha256).hexdigest()
    return {
        "X-KPN-Webhook-Signature": due,
        "X-KPN-Webhook-Timestamp": str(int(time.time())),
        "X-KPN-Webhook-Key-Id": key_id,
        "Content-Type": "application/json",
        "Authorization": "Basic not-for-the-ledger",
    }


async def test_signed_report_is_a_fact_with_its_verdict_and_key(api: Api) -> None:
    """No API key is needed; the event says which key verified it, and only allowed headers are kept."""
    api.account("sms", "kpn_sms", **SECRETS)
    reply = await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT, "wk_2"))
    assert (200, {"received": True}) == (reply.status, reply.json)
    event = api.events("content.consigned")[0]
    assert ("webhook", "verified", "wk_2") == tuple(event.fields[f] for f in ("arrival", "verdict", "key_id"))
    kept = api.system.ledger.values([event])[event.position]["headers"]
    assert {"authorization"}.isdisjoint(kept)
    assert REPORT == api.system.ledger.artifact(event.fields["artifacts"][0]).body


async def test_second_delivery_is_answered_like_the_first_and_changes_nothing(api: Api) -> None:
    """Providers send at least once."""
    api.account("sms", "kpn_sms", **SECRETS)
    first = await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))
    size = api.size()
    second = await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))
    assert (first.status, first.body, size) == (second.status, second.body, api.size())


WRONG: dict[str, Mapping[str, str]] = {
    "no signature": {"X-KPN-Webhook-Signature": ""},
    "another signature": {"X-KPN-Webhook-Signature": "00" * 32},
    "an old time": {"X-KPN-Webhook-Timestamp": "1584541848"},
    "no time": {"X-KPN-Webhook-Timestamp": ""},
    "an unknown key": {"X-KPN-Webhook-Key-Id": "wk_9"},
    "another key": {"X-KPN-Webhook-Key-Id": "wk_2"},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_webhook_that_does_not_verify_is_401_and_kept_beside_the_log(sqlite_api: Api, wrong: str) -> None:
    """Nothing unverified enters the log; a person can look, and a later key may verify it."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)
    size = sqlite_api.size()
    reply = await sqlite_api.call(URL, scopes=(), data=REPORT, headers={**kpn(REPORT), **WRONG[wrong]})
    assert (401, "webhook-signature", size) == (reply.status, reply.type, sqlite_api.size())
    assert "WWW-Authenticate" in reply.headers
    assert [len(REPORT)] == [q.body_bytes for q in sqlite_api.system.quarantine.list(TENANT)]


async def test_flipped_byte_is_refused(sqlite_api: Api) -> None:
    """The signature covers the exact bytes."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)
    forged = REPORT.replace(b'"Status": 1', b'"Status": 4')
    assert forged != REPORT
    reply = await sqlite_api.call(URL, scopes=(), data=forged, headers=kpn(REPORT))
    assert 401 == reply.status


async def test_key_that_is_added_later_admits_what_waited(api: Api) -> None:
    """A webhook that came before its key is verified again as of the time it came."""
    api.account()
    refused = await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))
    added = await api.call("POST /v1/accounts/sms/keys", json={"key_id": "wk_1", "secret": SECRETS["wk_1"].decode()})
    assert (401, 201) == (refused.status, added.status)
    assert {"keys": ["wk_1"], "admitted": 1, "facts": 1} == added.json
    assert ["verified"] == [e.fields["verdict"] for e in api.events("content.consigned")]
    assert [] == list(api.system.quarantine.list(TENANT))


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/hooks/{TENANT}/nobody/webhook.dlr",
        "/v1/hooks/nobody/sms/webhook.dlr",
        f"/v1/hooks/{TENANT}/sms/send",
        f"/v1/hooks/{TENANT}/sms/webhook",
        f"/v1/hooks/{TENANT}/mail",
        f"/v1/hooks/{TENANT}/mail/receipt",
        f"/v1/hooks/{TENANT}/closed/webhook.dlr",
    ],
    ids=["no account", "no tenant", "unsigned operation", "no operation", "never signs", "mailbox", "closed"],
)
async def test_webhook_that_nobody_expects_is_404_and_nothing_is_kept(sqlite_api: Api, path: str) -> None:
    """Unknown, closed or unsigned: not one byte is stored."""
    for name, provider in (("sms", "kpn_sms"), ("mail", "pec_mailbox"), ("closed", "kpn_sms")):
        sqlite_api.account(name, provider)
    sqlite_api.system.accounts.disable(TENANT, "closed", "contract ended")
    size = sqlite_api.size()
    reply = await sqlite_api.call(f"POST {path}", scopes=(), data=REPORT, headers=kpn(REPORT))
    assert (404, "not-found", size) == (reply.status, reply.type, sqlite_api.size())
    assert [] == list(sqlite_api.system.quarantine.list(TENANT))


async def test_url_without_operation_takes_the_one_that_the_body_looks_like(sqlite_api: Api) -> None:
    """KPN SMS signs reports and incoming messages; both may come to one URL."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)
    inbound = (SAMPLES / "kpn_sms" / "samples" / "inbound" / "body.raw").read_bytes()
    for body in (REPORT, inbound):
        reply = await sqlite_api.call(f"POST /v1/hooks/{TENANT}/sms", scopes=(), data=body, headers=kpn(body))
        assert 200 == reply.status
    found = sqlite_api.events("content.consigned", "inbound.received")
    assert ["webhook.dlr", "webhook.inbound"] == [e.fields["operation"] for e in found]


async def test_verified_bytes_that_nobody_can_read_are_durable_and_wait(sqlite_api: Api) -> None:
    """The provider has done its part: 200; a person must look."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)
    reply = await sqlite_api.call(f"POST /v1/hooks/{TENANT}/sms", scopes=(), data=b"?", headers=kpn(b"?"))
    assert (200, 1) == (reply.status, len(sqlite_api.events("lane.opened")))


async def test_other_provider_signs_in_its_own_way(api: Api) -> None:
    """Ekopost's only webhook needs no operation in its URL."""
    case = SAMPLES / "ekopost" / "samples" / "webhook-completed"
    api.signing_account(case, "post")
    arrival = samples.arrival(case)
    reply = await api.call(f"POST /v1/hooks/{TENANT}/post", scopes=(), data=arrival.body, headers=dict(arrival.headers))
    assert 200 == reply.status, reply
    assert {"verified"} == {e.fields["verdict"] for e in api.system.ledger.feed() if "verdict" in e.fields}


@pytest.mark.parametrize("error", [OperationalError("gone"), InvalidEventError("defect"), ValueError("defect")])
async def test_good_webhook_that_cannot_be_stored_is_5xx_so_that_it_comes_again(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever goes wrong with us is never the provider's fault."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)

    def broken(*_: Any) -> list[Any]:
        return [error]

    monkeypatch.setattr(sqlite_api.system.intake, "admit", broken)
    reply = await sqlite_api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))
    assert 500 <= reply.status
    monkeypatch.undo()
    assert 200 == (await sqlite_api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))).status


async def test_body_over_the_limit_is_413_and_nothing_is_kept(sqlite_api: Api) -> None:
    """Announced or not, a body that is too large is refused before it is whole."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)
    large = b"x" * (sqlite_api.system.settings.max_body_bytes + 1)

    async def chunked() -> Any:
        for start in range(0, len(large), 1 << 20):
            yield large[start : start + (1 << 20)]

    for body in (io.BytesIO(large), chunked()):
        reply = await sqlite_api.call(URL, scopes=(), data=body, headers=kpn(large))
        assert (413, "too-large") == (reply.status, reply.type)
    assert [] == list(sqlite_api.system.quarantine.list(TENANT))


async def test_refusals_are_counted_in_one_event(sqlite_api: Api) -> None:
    """The number of refused webhooks of an hour is known, without a byte of them in the log."""
    sqlite_api.account("sms", "kpn_sms", **SECRETS)
    for number in range(3):
        body = json.dumps({"DLRID": str(number)}).encode()
        await sqlite_api.call(URL, scopes=(), data=body, headers=kpn(body, secret=b"a guess"))
    sqlite_api.system.quarantine.flush_counts(everything=True)
    assert [{"refused": 3}] == [e.fields["numbers"] for e in sqlite_api.events("webhook.received")]
