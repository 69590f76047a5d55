"""What operators do: accounts, webhook keys, and items that wait for a person."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.adapters.conftest import DLR, TENANT, Api
from tests.adapters.test_http_hooks import REPORT, URL, kpn
from tests.providers import samples

NOTE = {"note": "checked by phone"}


async def test_account_is_opened_once(api: Api) -> None:
    """201, then 200 and no second event; another provider under that name is a conflict."""
    first = await api.call("POST /v1/accounts", json={"account": "sms", "provider": "kpn_sms"})
    again = await api.call("POST /v1/accounts", json={"account": "sms", "provider": "kpn_sms"})
    other = await api.call("POST /v1/accounts", json={"account": "sms", "provider": "pec_mailbox"})
    assert [201, 200, 409] == [each.status for each in (first, again, other)]
    assert "/v1/accounts/sms" == first.headers["Location"]
    assert 1 == len(api.events("account.added"))
    listed = (await api.call("GET /v1/accounts")).json["accounts"]
    assert [("sms", "kpn_sms", False)] == [(a["account"], a["provider"], a["is_disabled"]) for a in listed]


@pytest.mark.parametrize(
    "body", [{"account": "sms", "provider": "pigeon"}, {"account": "My SMS", "provider": "kpn_sms"}, {"account": "sms"}]
)
async def test_account_that_cannot_be_is_refused(sqlite_api: Api, body: dict[str, Any]) -> None:
    """A name that may stand in events, at a provider that exists."""
    assert 422 == (await sqlite_api.call("POST /v1/accounts", json=body)).status


async def test_account_check_shows_keys_activity_and_the_url_to_paste(api: Api) -> None:
    """Ids of keys, never a secret; when something last came; where webhooks go."""
    api.signing_account()
    await api.call(
        URL, scopes=(), data=REPORT, headers=kpn(REPORT, "wk_0A11CE0000000002", b"the secret that is active")
    )
    await api.caught_up()
    reply = await api.call("GET /v1/accounts/sms")
    found = reply.json
    assert sorted(samples.keys(DLR)) == found["keys"]
    assert ["webhook"] == list(found["last"])
    assert found["webhook_urls"]["webhook.dlr"].endswith(f"/v1/hooks/{TENANT}/sms/webhook.dlr")
    assert b"secret that is" not in reply.body
    assert found["behind_ms"] > 0


async def test_keys_rotate_without_a_gap(api: Api) -> None:
    """Two are valid at once; a retired one verifies nothing any more."""
    api.account("sms", "kpn_sms", wk_1=b"first secret")
    secret = base64.b64encode(b"second secret").decode()
    added = await api.call("POST /v1/accounts/sms/keys", json={"key_id": "wk_2", "secret_base64": secret})
    assert (201, ["wk_1", "wk_2"]) == (added.status, added.json["keys"])
    retired = await api.call("DELETE /v1/accounts/sms/keys/wk_1")
    assert (204, b"") == (retired.status, retired.body)
    old = await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT, "wk_1"))
    new = await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT, "wk_2"))
    assert [401, 200] == [old.status, new.status]
    assert 404 == (await api.call("DELETE /v1/accounts/sms/keys/wk_1")).status


@pytest.mark.parametrize(
    "body",
    [
        {"key_id": "wk_1"},
        {"key_id": "wk_1", "secret": ""},
        {"key_id": "wk_1", "secret": "a", "secret_base64": "YQ=="},
        {"key_id": "wk 1", "secret": "a"},
    ],
)
async def test_key_without_a_secret_is_refused(sqlite_api: Api, body: dict[str, Any]) -> None:
    """Anybody could sign with an empty secret."""
    sqlite_api.account()
    assert 422 == (await sqlite_api.call("POST /v1/accounts/sms/keys", json=body)).status


async def test_disabled_account_refuses_webhooks_and_says_why_it_was_closed(api: Api) -> None:
    """From then on 404; the note is kept with the event, sealed."""
    api.account("sms", "kpn_sms", wk_1=b"first secret")
    closed = await api.call("POST /v1/accounts/sms/disable", json={"note": "contract ended"})
    assert (200, True) == (closed.status, closed.json["is_disabled"])
    assert 404 == (await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))).status
    event = api.events("account.disabled")[0]
    assert {"note": "contract ended"} == api.system.ledger.values([event])[event.position]
    assert b"contract" not in event.leaf
    assert 422 == (await api.call("POST /v1/accounts/sms/disable", json={})).status


# --- lanes


async def _waiting(api: Api, **record: Any) -> str:
    api.account("mail", "pec_mailbox")
    reply = await api.observe(**{"account": "mail", "operation": "receipt", "body": "no receipt", **record})
    assert 201 == reply.status, reply
    return str((await api.call("GET /v1/lanes")).json["items"][0]["item"])


async def test_lanes_show_what_waits_and_what_is_in_quarantine(api: Api) -> None:
    """An unreadable receipt and a refused webhook, side by side."""
    api.account()
    await api.call(URL, scopes=(), data=REPORT, headers=kpn(REPORT))
    item = await _waiting(api)
    found = (await api.call("GET /v1/lanes")).json
    assert [("unreadable", "mail", "open")] == [(i["lane"], i["account"], i["state"]) for i in found["items"]]
    assert [("sms", len(REPORT))] == [(q["account"], q["body_bytes"]) for q in found["quarantined"]]
    shown = (await api.call(f"GET /v1/lanes/{item}")).json
    assert found["items"][0] == shown
    original = await api.call(f"GET /v1/artifacts/{shown['artifacts'][0]}")
    assert b"no receipt" == original.body


async def test_retry_that_reads_it_no_better_says_so(api: Api) -> None:
    """409; the item goes on waiting, and nothing is written."""
    item = await _waiting(api)
    size = api.size()
    reply = await api.call(f"POST /v1/lanes/{item}/retry", json=NOTE)
    assert (409, "still-waiting", size) == (reply.status, reply.type, api.size())


async def test_claim_says_which_message_an_unmatched_item_belongs_to(api: Api) -> None:
    """A person's word, with a note; the facts are then in that message."""
    api.account()
    message = await api.send("0612340001")
    api.account("fax", "kpn_cloud_fax")
    other = api.of("other")
    other.account()
    theirs = await other.send()
    item = await _unmatched(api)
    foreign = await api.call(f"POST /v1/lanes/{item}/claim", json={**NOTE, "message": theirs})
    assert 404 == foreign.status
    claimed = await api.call(f"POST /v1/lanes/{item}/claim", json={**NOTE, "message": message})
    assert (200, "claimed", [message]) == (claimed.status, claimed.json["state"], claimed.json["messages"])
    await api.caught_up()
    assert [] == (await api.call("GET /v1/lanes")).json["items"]
    assert ["claimed"] == [i["state"] for i in (await api.call("GET /v1/lanes?state=claimed")).json["items"]]


async def _unmatched(api: Api) -> str:
    """A delivery report whose customer left out every name of the message."""
    api.system.accounts.add_secret(api.tenant, "sms", "wk_1", b"first secret")
    body = b'{"Status": 1, "StatusDateTime": 1784541845, "RecipientPhonenumber": "31612340001"}'
    reply = await api.call(URL, scopes=(), data=body, headers=kpn(body))
    assert 200 == reply.status, reply
    await api.caught_up()
    return str((await api.call("GET /v1/lanes")).json["items"][0]["item"])


async def test_dismissed_twice_is_dismissed_once(api: Api) -> None:
    """The note stands in one event; the bytes stay."""
    item = await _waiting(api)
    for _ in range(2):
        reply = await api.call(f"POST /v1/lanes/{item}/dismiss", json=NOTE)
        assert (200, "dismissed") == (reply.status, reply.json["state"])
        await api.caught_up()
    assert 1 == len(api.events("lane.dismissed"))
