"""What people decide, over HTTP: disputes, claims and what suggests them, and an organisation's own terms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters.conftest import Api
from tests.adapters.test_http_hooks import URL, kpn

NOTE = {"note": "checked by phone"}
AT = 1_784_541_845


async def report(api: Api, status: int, minute: int, ident: str = "doc-1") -> None:
    """A delivery report, signed."""
    said = {"Status": status, "StatusDateTime": AT + 60 * minute, "RecipientPhonenumber": "31612340001"}
    body = json.dumps(said | ({"DLRID": ident} if ident else {})).encode()
    reply = await api.call(URL, scopes=(), data=body, headers=kpn(body))
    assert 200 == reply.status, reply
    await api.caught_up()


async def sent(api: Api, ident: str = "doc-1") -> str:
    api.account("sms", "kpn_sms", wk_1=b"first secret")
    return await api.send("0612340001", references=[{"kind": "document_id", "value": ident}])


# --- disputes


async def _disputed(api: Api) -> str:
    message = await sent(api)
    await report(api, 1, 0)
    await report(api, 4, 1)
    return f"/v1/messages/{message}/deliveries/0"


async def test_a_dispute_is_listed_shown_settled_and_withdrawn(api: Api) -> None:
    """Each answer is the delivery as it then is; looking needs no more than reading."""
    delivery = await _disputed(api)
    listed = await api.call("GET /v1/disputes", scopes=("read",))
    assert ["disputed"] == [each["status"] for each in listed.json["deliveries"]]
    shown = (await api.call(f"GET {delivery}/dispute", scopes=("compliance",))).json
    failed = next(each["event_id"] for each in shown["rivals"] if each["says"] == "failed")
    body = {**NOTE, "sets_aside": [failed], "position": shown["position"]}
    settled = await api.call(f"POST {delivery}/resolution", scopes=("compliance",), json=body)
    assert (200, "delivered", []) == (settled.status, settled.json["status"], settled.json["rivals"])
    await api.caught_up()
    assert [] == (await api.call("GET /v1/disputes")).json["deliveries"]
    (made,) = settled.json["settlements"]
    assert (NOTE["note"], [failed], True) == (made["note"], made["sets_aside"], made["holds"])
    taken = {**NOTE, "settlement": made["event_id"]}
    back = await api.call(f"POST {delivery}/resolution/withdraw", scopes=("operator",), json=taken)
    assert (200, "disputed") == (back.status, back.json["status"])
    assert {str(made["actor"])} < {str(e.fields["actor"]) for e in api.events("dispute.resolved")}


async def test_what_does_not_settle_a_dispute_says_why(api: Api) -> None:
    """422 for what is no rival, 409 where there is nothing to settle or more is known by now; nothing is written."""
    delivery = await _disputed(api)
    shown = (await api.call(f"GET {delivery}/dispute")).json
    ids, position = [each["event_id"] for each in shown["rivals"]], shown["position"]
    await report(api, 4, 2)
    size = api.size()
    strange = await api.call(f"POST {delivery}/resolution", json={**NOTE, "sets_aside": [shown["message"]]})
    assert (422, "invalid", "sets_aside") == (strange.status, strange.type, strange.json["errors"][0]["field"])
    old = await api.call(f"POST {delivery}/resolution", json={**NOTE, "sets_aside": ids, "position": position})
    assert (409, "overtaken") == (old.status, old.type)
    left = await api.call(f"POST {delivery}/resolution", json={**NOTE, "sets_aside": ids[1:]})
    assert (409, "cannot-be-settled") == (left.status, left.type)
    unknown = await api.call(f"POST {delivery}/resolution/withdraw", json={**NOTE, "settlement": ids[0]})
    assert (404, size) == (unknown.status, api.size())


@pytest.mark.parametrize("body", [{"sets_aside": []}, {"sets_aside": ["x"], **NOTE}, {"sets_aside": [], **NOTE}, NOTE])
async def test_a_settlement_names_facts_and_says_why(sqlite_api: Api, body: dict[str, Any]) -> None:
    """Without either it is none."""
    delivery = await _disputed(sqlite_api)
    assert 422 == (await sqlite_api.call(f"POST {delivery}/resolution", json=body)).status


# --- what waits


async def test_what_waits_is_suggested_claimed_given_back_and_claimed_again(api: Api) -> None:
    """The suggestion names the message; after taking back, the item waits and the message is as it was."""
    first, second = await sent(api), await sent(api, "doc-2")
    await report(api, 1, 0, "")
    (item,) = [each["item"] for each in (await api.call("GET /v1/lanes")).json["items"]]
    found = (await api.call(f"GET /v1/lanes/{item}/suggestions?limit=5")).json
    assert {first, second} == {each["message"] for each in found["suggestions"]}
    assert {"address.same", "account.same", "delivery.open"} <= {
        reason["reason"] for reason in found["suggestions"][0]["reasons"]
    }
    claimed = await api.call(f"POST /v1/lanes/{item}/claim", json={**NOTE, "message": first})
    assert (200, [first]) == (claimed.status, claimed.json["messages"])
    other = await api.call(f"POST /v1/lanes/{item}/claim", json={**NOTE, "message": second})
    assert (409, "claim") == (other.status, other.type)
    back = await api.call(f"POST /v1/lanes/{item}/unclaim", json=NOTE)
    assert (200, "open", [first]) == (back.status, back.json["state"], back.json["messages"])
    await api.caught_up()
    assert {"pending": 1} == (await api.call(f"GET /v1/messages/{first}")).json["statuses"]
    assert 200 == (await api.call(f"POST /v1/lanes/{item}/claim", json={**NOTE, "message": second})).status
    await api.caught_up()
    assert {"delivered": 1} == (await api.call(f"GET /v1/messages/{second}")).json["statuses"]


async def test_what_was_never_claimed_cannot_be_given_back(api: Api) -> None:
    """409, and nothing is written."""
    await sent(api)
    await report(api, 1, 0, "")
    (item,) = [each["item"] for each in (await api.call("GET /v1/lanes")).json["items"]]
    size = api.size()
    reply = await api.call(f"POST /v1/lanes/{item}/unclaim", json=NOTE)
    assert (409, "claim", size) == (reply.status, reply.type, api.size())


# --- terms


def _term(reply: Any, name: str = "delivery_report", account: str = "") -> dict[str, Any]:
    (found,) = [each for each in reply.json["terms"] if (each["name"], each["only_account"]) == (name, account)]
    return dict(found)


async def test_terms_are_set_switched_off_and_taken_back(api: Api) -> None:
    """Each answer lists what holds from now on, with who set it, why, and since which position."""
    api.account()
    table = _term(await api.call("GET /v1/terms", scopes=("read",)))
    assert ("table", 86_400, 259_200, 0) == tuple(table[n] for n in ("origin", "warn_s", "breach_s", "set_at"))
    body = {**NOTE, "warn_s": 21_600, "breach_s": 86_400}
    own = _term(await api.call("PUT /v1/terms/delivery_report", scopes=("compliance",), json=body))
    assert ("own", 21_600, 86_400, NOTE["note"]) == tuple(own[n] for n in ("origin", "warn_s", "breach_s", "why"))
    assert [own["set_at"]] == [e.position for e in api.events("ruleset.changed") if e.tenant == api.tenant]
    again = await api.call("PUT /v1/terms/delivery_report", json={**body, "note": "again"})
    assert (200, own) == (again.status, _term(again))
    off = await api.call("PUT /v1/terms/delivery_report?account=sms", json={**NOTE, "off": True})
    assert ("off", 0) == tuple(_term(off, account="sms")[n] for n in ("origin", "breach_s"))
    assert own == _term(off)
    reset = await api.call("DELETE /v1/terms/delivery_report")
    assert (table, "off") == (_term(reset), _term(reset, account="sms")["origin"])
    assert 3 == len([event for event in api.events("ruleset.changed") if event.tenant == api.tenant])
    assert [] == [each for each in (await api.of("other").call("GET /v1/terms")).json["terms"] if each["set_at"]]


@pytest.mark.parametrize(
    ("where", "body", "status"),
    [
        ("delivery_report", {"warn_s": 10, "breach_s": 5}, 422),
        ("delivery_report", {"warn_s": 0, "breach_s": 5}, 422),
        ("delivery_report", {"warn_s": 5}, 422),
        ("delivery_report", {"breach_s": 5}, 422),
        ("delivery_report", {}, 422),
        ("delivery_report", {"warn_s": 1, "breach_s": 315_360_001}, 422),
        ("delivery_report", {"warn_s": 5, "breach_s": 9, "off": True}, 422),
        ("pigeons", {"warn_s": 5, "breach_s": 9}, 422),
        ("delivery_report?account=none", {"warn_s": 5, "breach_s": 9}, 404),
        ("delivery_report?account=No+Name", {"warn_s": 5, "breach_s": 9}, 422),
    ],
)
async def test_a_term_that_cannot_be_is_refused(sqlite_api: Api, where: str, body: dict[str, Any], status: int) -> None:
    """A known name, an account that is there, and 0 < warn <= breach <= 10 years."""
    assert 200 == (await sqlite_api.call("GET /v1/terms")).status
    size = sqlite_api.size()
    reply = await sqlite_api.call(f"PUT /v1/terms/{where}", json={**NOTE, **body})
    assert (status, size) == (reply.status, sqlite_api.size())
