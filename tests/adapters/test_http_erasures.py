"""Erasures over HTTP: seen first, asked for, refused under hold, certified."""

from __future__ import annotations

from adapters import safeguards
from adapters.http.erasures import PDF
from adapters.safeguards import Safeguards
from tests.adapters.conftest import Api

OFFICER = ("privacy",)
ANNA = "+31612340001"
WHY = {"reason": "request of 2026-03-02"}


async def sent(api: Api, number: str = ANNA) -> str:
    """A send to one number; its message."""
    api.account()
    return await api.send(number)


async def test_an_erasure_is_seen_asked_for_done_and_certified(api: Api) -> None:
    """201 when it is done at once; from then on nobody finds her, and the certificate says what went."""
    message = await sent(api)
    seen = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json={"recipient": "06 12340001"})
    assert [("message", message)] == [(t["what"], t["id"]) for t in seen.json["things"] if t["what"] == "message"]
    reply = await api.call("POST /v1/erasures", scopes=OFFICER, json={"recipient": "06 12340001"} | WHY)
    assert (201, "done", 1) == (reply.status, reply.json["state"], reply.json["numbers"]["messages"]), reply
    where = reply.headers["Location"]
    found = await api.call("POST /v1/search", json={"recipient": ANNA})
    assert [] == found.json["deliveries"]
    certificate = await api.call(f"GET {where}/certificate", scopes=("compliance",))
    assert reply.json["numbers"] == certificate.json["erased"]
    assert ANNA.encode()[1:] not in certificate.body
    pdf = await api.call(f"GET {where}/certificate.pdf", scopes=("compliance",))
    assert (200, PDF, True) == (pdf.status, pdf.headers["Content-Type"], pdf.body.startswith(b"%PDF"))
    listed = (await api.call("GET /v1/erasures", scopes=OFFICER)).json
    assert [reply.json["erasure"]] == [each["erasure"] for each in listed["erasures"]]


async def test_under_a_hold_it_is_409_and_nothing_is_erased(api: Api) -> None:
    """The hold is named; the person is still found."""
    message = await sent(api)
    body = {"scope": "message", "value": message, "reason": "claim 17"}
    hold = (await api.call("POST /v1/holds", json=body)).json["hold"]
    seen = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json={"recipient": ANNA})
    assert [hold] == [each["hold"] for each in seen.json["forbidden_by"]]
    for subject in ({"recipient": ANNA}, {"message": message}):
        reply = await api.call("POST /v1/erasures", scopes=OFFICER, json=subject | WHY)
        assert (409, "act-refused") == (reply.status, reply.type)
        assert hold in reply.json["detail"]
    assert [] == api.events("act.asked", "evidence.erased")
    assert 1 == len((await api.call("POST /v1/search", json={"recipient": ANNA})).json["deliveries"])


async def test_where_it_takes_two_people_it_waits_for_the_second(api: Api) -> None:
    """202 and the act waits; there is no certificate yet, and the asker cannot agree."""
    message = await sent(api)
    safeguards.put(api.system.accounts, api.tenant, Safeguards(("erasure",)), "board decision", "key_1")
    reply = await api.call("POST /v1/erasures", scopes=OFFICER, json={"message": message} | WHY)
    assert (202, "waiting", message) == (reply.status, reply.json["state"], reply.json["message"])
    again = await api.call("POST /v1/erasures", scopes=OFFICER, json={"message": message} | WHY)
    assert reply.json["erasure"] == again.json["erasure"]
    where = reply.headers["Location"]
    assert 409 == (await api.call(f"GET {where}/certificate", scopes=OFFICER)).status
    approve = f"POST /v1/acts/{reply.json['erasure']}/approve"
    assert 409 == (await api.call(approve, scopes=OFFICER, json={"reason": "n"})).status
    assert [] == api.events("evidence.erased")


async def test_somebody_or_something_must_be_named_and_only_one_of_them(api: Api) -> None:
    """422 for nobody, for both, and for an address of white space."""
    message = await sent(api)
    for subject in ({}, {"recipient": ANNA, "message": message}, {"recipient": "  "}):
        reply = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json=subject)
        assert (422, "invalid") == (reply.status, reply.type), subject
    bad = await api.call("POST /v1/erasures/preview", scopes=OFFICER, json={"recipient": ANNA, "cursor": "x.y"})
    assert 404 == bad.status
