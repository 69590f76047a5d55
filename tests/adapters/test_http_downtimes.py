"""Downtimes and explanations over HTTP."""

from __future__ import annotations

import pytest

from tests.adapters.conftest import Api, accepted

SINCE, UNTIL = "2026-03-02T10:00:00+01:00", "2026-03-02T12:00:00+01:00"
NOBODYS = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"


async def test_downtime_is_entered_ended_withdrawn_and_listed(api: Api) -> None:
    """Each act answers what the list then shows; the same again is the same."""
    api.account()
    body = {"account": "sms", "since": SINCE, "note": "told on the telephone"}
    entered = await api.call("POST /v1/downtimes", json=body)
    assert (201, "open", "downtime.entered") == (entered.status, entered.json["state"], entered.json["rule"])
    assert entered.json == (await api.call("POST /v1/downtimes", json=body)).json
    await api.caught_up()
    path = f"/v1/downtimes/{entered.json['downtime']}"
    ended = await api.call(f"POST {path}/end", json={"until": UNTIL, "note": "over"})
    assert (200, "ended", "2026-03-02T11:00:00.000000Z") == (ended.status, ended.json["state"], ended.json["until"])
    await api.caught_up()
    again = await api.call(f"POST {path}/end", json={"until": UNTIL, "note": "over"})
    assert (409, "act-refused") == (again.status, again.type)
    withdrawn = await api.call(f"POST {path}/withdraw", json={"note": "wrong"})
    await api.caught_up()
    listed = (await api.call(f"GET /v1/downtimes?account=sms&min_position={api.size()}")).json["downtimes"]
    assert [(withdrawn.json, ["told on the telephone", "over", "wrong"])] == [
        (each["downtime"], each["notes"]) for each in listed
    ]
    assert [] == (await api.call("GET /v1/downtimes?account=other")).json["downtimes"]
    assert [] == (await api.of("other").call("GET /v1/downtimes")).json["downtimes"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "2026-03-02T10:00:00"},
        {"since": "2999-03-02T10:00:00Z"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": SINCE},
        {"note": ""},
        {"note": " "},
        {"note": "\n\u3000"},
        {"note": None},
        {"account": "SMS"},
        {"why": "x"},
    ],
)
async def test_downtime_that_cannot_be_is_refused(sqlite_api: Api, wrong: dict[str, object]) -> None:
    """422, and nothing is written."""
    sqlite_api.account()
    size = sqlite_api.size()
    body = {"account": "sms", "since": SINCE, "until": UNTIL, "note": "n"} | wrong
    reply = await sqlite_api.call("POST /v1/downtimes", json=body)
    assert (422, "invalid") == (reply.status, reply.type)
    assert size == sqlite_api.size()


async def test_downtime_of_no_account_is_404(sqlite_api: Api) -> None:
    """Neither of one that is not, nor an act on one that is not."""
    body = {"account": "sms", "since": SINCE, "note": "n"}
    assert 404 == (await sqlite_api.call("POST /v1/downtimes", json=body)).status
    path = f"/v1/downtimes/{NOBODYS}"
    assert 404 == (await sqlite_api.call(f"POST {path}/withdraw", json={"note": "n"})).status


async def test_delivery_is_explained_with_the_downtime_that_touches_it(api: Api) -> None:
    """In the language and zone of the question; and the delivery itself shows it."""
    api.account()
    message = await api.send("0612340001", references=[{"kind": "document_id", "value": "doc-1"}])
    await api.observe(**accepted("doc-1", "0612340001"))
    await api.call("POST /v1/downtimes", json={"account": "sms", "since": SINCE, "note": "n"})
    await api.caught_up()
    path = f"/v1/messages/{message}/deliveries/0"
    shown = (await api.call(f"GET {path}")).json["downtimes"]
    assert ["downtime.entered"] == [each["rule"] for each in shown]
    told = (await api.call(f"GET {path}/explanation?language=sv&zone=Europe/Stockholm")).json
    assert ("sv", "Europe/Stockholm") == (told["language"], told["zone"])
    assert told["text"].startswith("Leverantören tog hand om sms:et till 0612340001 den ")
    assert "fungerar leverantörens tjänst inte som den ska sedan den 2 mars 2026 kl. 10.00" in told["text"]
    assert told["text"].endswith("Alla tider är lokala tider i tidszonen Europe/Stockholm.")
    assert "Avgör status" in {fact["effect_text"] for fact in told["facts"]}


@pytest.mark.parametrize("query", ["language=de", "zone=Rome", "zone=../etc/passwd", "zone=", "tongue=en"])
async def test_explanation_in_no_language_or_zone_is_422(sqlite_api: Api, query: str) -> None:
    """And names what is wrong."""
    sqlite_api.account()
    message = await sqlite_api.send()
    reply = await sqlite_api.call(f"GET /v1/messages/{message}/deliveries/0/explanation?{query}")
    assert (422, "invalid") == (reply.status, reply.type)
