"""Sending over the API: what is refused before anything is written, how far a send is, and what a person may say about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adapters.conftest import TENANT, Api

NOBODY = "http://127.0.0.1:9"
"""Where nobody listens: no connection comes about, so nothing is ever sent."""
NUMBERS = ({"kind": "phone", "address": "0612340001"},)


def ready(api: Api) -> None:
    """An account that could send, if somebody listened."""
    api.account()
    api.system.accounts.configure(TENANT, "sms", {"base_url": NOBODY})
    api.system.accounts.set_credentials(TENANT, "sms", {"client_id": "id", "client_secret": "hush"})


def wanted(**dispatch: Any) -> dict[str, Any]:
    return {"account": "sms", "recipients": NUMBERS, "dispatch": {"text": "Hello", **dispatch}}


async def test_a_send_is_durable_before_the_provider_is_called_and_waits_while_it_cannot_be_reached(api: Api) -> None:
    """201 with the message; the same key again is the same message; the outbox tries, and says when it tries again."""
    ready(api)
    key = {"Idempotency-Key": "claim-7"}
    reply = await api.call("POST /v1/messages", json=wanted(), headers=key)
    assert 201 == reply.status
    message = reply.json["message"]
    again = await api.call("POST /v1/messages", json=wanted(), headers=key)
    assert (200, message) == (again.status, again.json["message"])
    where = f"GET /v1/messages/{message}/dispatch"
    assert ("queued", []) == ((found := (await api.call(where)).json)["state"], found["calls"])
    await asyncio.to_thread(api.system.outbox.run)
    found = (await api.call(where)).json
    assert ("waiting", ["later"]) == (found["state"], [call["verdict"] for call in found["calls"]])
    assert found["due_at"]
    listed = (await api.call("GET /v1/sends")).json
    assert [(message, "waiting")] == [(each["message"], each["state"]) for each in listed["sends"]]
    assert [] == (await api.call("GET /v1/sends?state=sent")).json["sends"]


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"dispatch": {"text": "x", "options": {"colour": "red"}}}, 422, "colour"),
        ({"dispatch": {"text": "x" * 1_001}}, 422, "1000"),
        ({"documents": [{"sha256": "a" * 64}]}, 422, "documents"),
        ({"occurred_at": "2026-03-01T09:00:00Z"}, 422, "occurred_at"),
        ({"dispatch": {"documents": [{"name": "a", "data": "no base64!"}]}}, 422, "data"),
    ],
    ids=["unknown option", "too long", "digests", "time", "base64"],
)
async def test_what_cannot_be_sent_is_refused_before_anything_is_written(
    sqlite_api: Api, change: dict[str, Any], status: int, word: str
) -> None:
    """The problem names what is wrong; the log does not grow."""
    ready(sqlite_api)
    size = sqlite_api.size()
    reply = await sqlite_api.call("POST /v1/messages", json=wanted() | change)
    assert status == reply.status
    assert word in str(reply.json)
    assert size == sqlite_api.size()


async def test_an_account_without_credentials_says_which_and_how(sqlite_api: Api) -> None:
    """Nothing is written until the account is complete; the text is the command that repairs it, and tells no secret."""
    sqlite_api.account()
    size = sqlite_api.size()
    reply = await sqlite_api.call("POST /v1/messages", json=wanted())
    assert 409 == reply.status
    assert "accounts configure sms --secret client_id=@FILE --secret client_secret=@FILE" in reply.json["detail"]
    assert size == sqlite_api.size()


async def test_a_person_withdraws_what_waits_and_cannot_settle_what_is_not_unclear(sqlite_api: Api) -> None:
    """409 says why; a withdrawn send is never made."""
    ready(sqlite_api)
    message = (await sqlite_api.call("POST /v1/messages", json=wanted())).json["message"]
    await asyncio.to_thread(sqlite_api.system.outbox.run)
    where = f"POST /v1/messages/{message}/dispatch"
    said = {"call": 1, "was_sent": True, "note": "asked them"}
    settled = await sqlite_api.call(f"{where}/resolve", json=said)
    assert (409, "act-refused") == (settled.status, settled.type)
    assert 404 == (await sqlite_api.call(f"{where}/resolve", json=said | {"call": 2})).status
    withdrawn = await sqlite_api.call(f"{where}/cancel", json={"note": "no longer needed"})
    assert (200, "cancelled") == (withdrawn.status, withdrawn.json["state"])
    assert (409, "act-refused") == (
        (late := await sqlite_api.call(f"{where}/cancel", json={"note": "n"})).status,
        late.type,
    )
