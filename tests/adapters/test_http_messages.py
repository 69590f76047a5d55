"""Registering a send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters.conftest import Api, accepted

FULL: dict[str, Any] = {
    "account": "sms",
    "recipients": [{"kind": "phone", "address": "0612340001"}, {"kind": "phone", "address": "0612340002"}],
    "references": [{"kind": "own_reference", "value": "claim-7/1"}],
    "batch": {"value": "march"},
    "labels": ["claim-7"],
    "subject": "Your claim",
    "sender": "Acme",
    "documents": [{"name": "letter.pdf", "sha256": "ab" * 32, "sha1": "cd" * 20, "size": 12}],
    "occurred_at": "2026-03-01T10:00:00+01:00",
}


async def test_registered_send_is_shown_as_it_was_declared(api: Api) -> None:
    """What the organisation says of a send is found again: recipients, names, labels, texts, digests."""
    api.account()
    reply = await api.call("POST /v1/messages", json=FULL)
    assert (201, f"/v1/messages/{reply.json['message']}") == (reply.status, reply.headers["Location"])
    shown = await api.call(f"GET {reply.headers['Location']}?min_position={reply.headers['Ledger-Position']}")
    view = shown.json
    assert (True, 2, ["claim-7"]) == (view["registered"], view["recipients"], view["labels"])
    assert {"subject": "Your claim", "sender": "Acme"} == view["values"]
    assert [{"kind": "own_reference", "value": "claim-7/1"}] == view["references"]
    assert FULL["documents"] == view["documents"]
    assert ["0612340001", "0612340002"] == [d["address"]["address"] for d in view["deliveries"]]
    assert {"pending": 2} == view["statuses"]
    requested = api.events("submission.requested")[0].fields
    assert ("2026-03-01T09:00:00.000000Z", "stated", "api") == tuple(
        requested[f] for f in ("occurred_at", "zone", "arrival")
    )
    assert requested["actor"].startswith("key_")


async def test_same_idempotency_key_and_body_is_answered_like_the_first_time(api: Api) -> None:
    """A repeated call changes nothing and names the same message, however it is spelled."""
    api.account()
    headers = {"Idempotency-Key": "order 66"}
    first = await api.call("POST /v1/messages", json=FULL, headers=headers)
    size = api.size()
    spelled = json.dumps(dict(reversed(FULL.items())), indent=2).encode()
    again = await api.call(
        "POST /v1/messages", data=spelled, headers={**headers, "Content-Type": "application/json; charset=utf-8"}
    )
    assert (201, 200, size) == (first.status, again.status, api.size())
    assert first.json == again.json
    assert first.headers["Location"] == again.headers["Location"]


async def test_same_idempotency_key_with_another_body_is_refused(api: Api) -> None:
    """A key names one body; another one under it is a mistake of the caller, and nothing is written."""
    api.account()
    await api.call("POST /v1/messages", json=FULL, headers={"Idempotency-Key": "order 66"})
    size = api.size()
    other = await api.call(
        "POST /v1/messages", json={**FULL, "subject": "Another"}, headers={"Idempotency-Key": "order 66"}
    )
    assert (422, "idempotency-key", size) == (other.status, other.type, api.size())


async def test_idempotency_keys_of_two_tenants_do_not_meet(api: Api) -> None:
    """A key belongs to its tenant."""
    other = api.of("other")
    for each in (api, other):
        each.account()
    replies = [
        await each.call("POST /v1/messages", json=FULL, headers={"Idempotency-Key": "1"}) for each in (api, other)
    ]
    assert [201, 201] == [reply.status for reply in replies]


@pytest.mark.parametrize("key", ["x" * 256, "caf\xe9"])
async def test_idempotency_key_outside_its_bounds_is_refused(sqlite_api: Api, key: str) -> None:
    """Printable ASCII, at most 255 characters."""
    sqlite_api.account()
    reply = await sqlite_api.call("POST /v1/messages", json=FULL, headers={"Idempotency-Key": key})
    assert (422, "Idempotency-Key") == (reply.status, reply.json["errors"][0]["field"])


async def test_second_claim_on_an_exclusive_reference_is_a_conflict(api: Api) -> None:
    """A provider's id names one message; the problem says how a shared name is sent."""
    api.account()
    named = {**FULL, "references": [{"kind": "document_id", "value": "doc-1"}]}
    first = await api.call("POST /v1/messages", json=named)
    second = await api.call("POST /v1/messages", json=named)
    assert (201, 409, "reference-taken") == (first.status, second.status, second.type)
    assert "exclusive: false" in second.json["detail"]
    shared = {**FULL, "references": [{"kind": "document_id", "value": "doc-2", "exclusive": False}]}
    assert [201, 201] == [(await api.call("POST /v1/messages", json=shared)).status for _ in range(2)]


async def test_receipt_that_came_first_joins_the_send_that_names_it(api: Api) -> None:
    """The provider's answer may be handed in before the send is registered; they become one story."""
    api.account()
    early = await api.observe(**accepted("doc-9"))
    message = await api.send(references=[{"kind": "document_id", "value": "doc-9"}])
    view = (await api.call(f"GET /v1/messages/{message}")).json
    assert early.json["messages"] == view["joined"]
    assert {"accepted": 1} == view["statuses"]


async def test_unknown_account_says_how_to_add_it(sqlite_api: Api) -> None:
    """A 404 that tells the command."""
    reply = await sqlite_api.call("POST /v1/messages", json=FULL)
    assert (404, "not-found") == (reply.status, reply.type)
    assert "accounts add sms" in reply.json["detail"]


async def test_closed_account_takes_no_sends(sqlite_api: Api) -> None:
    """After `disable` nothing is taken for the account."""
    sqlite_api.account()
    sqlite_api.system.accounts.disable(sqlite_api.tenant, "sms", "contract ended")
    reply = await sqlite_api.call("POST /v1/messages", json=FULL)
    assert (409, "account-closed") == (reply.status, reply.type)


async def test_link_to_a_message_is_kept_and_another_tenants_message_does_not_exist(api: Api) -> None:
    """`reminds` names a message of one's own; somebody else's is not found."""
    other = api.of("other")
    for each in (api, other):
        each.account()
    mine, theirs = await api.send(), await other.send()
    good = {**FULL, "links": [{"relation": "reminds", "message": mine}]}
    bad = {**FULL, "links": [{"relation": "reminds", "message": theirs}]}
    assert 201 == (await api.call("POST /v1/messages", json=good)).status
    assert 404 == (await api.call("POST /v1/messages", json=bad)).status
    assert [[mine]] == [e.fields["streams"] for e in api.events("message.linked")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"occurred_at": "2026-03-01T10:00:00"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+23:59"}, "occurred_at"),
        ({"recipients": []}, "recipients"),
        ({"recipients": [{"kind": "pigeon", "address": "roof"}]}, "recipients[0].kind"),
        ({"recipients": [{"kind": "phone", "address": ""}]}, "recipients[0].address"),
        ({"references": [{"kind": "Own Reference", "value": "1"}]}, "references[0].kind"),
        ({"documents": [{"sha256": "AB" * 32}]}, "documents[0].sha256"),
        ({"links": [{"relation": "reminds", "message": "1"}]}, "links[0].message"),
        ({"account": "SMS\n"}, "account"),
        ({"account": "sms\n"}, "account"),
        ({"surprise": 1}, ""),
    ],
)
async def test_value_that_cannot_be_taken_is_named_and_nothing_is_written(
    sqlite_api: Api, change: dict[str, Any], field: str
) -> None:
    """422 with the path of the field; the log stays as it was."""
    sqlite_api.account()
    size = sqlite_api.size()
    reply = await sqlite_api.call("POST /v1/messages", json={**FULL, **change})
    assert (422, "invalid", size) == (reply.status, reply.type, sqlite_api.size())
    assert [field] == [error["field"] for error in reply.json["errors"]]
