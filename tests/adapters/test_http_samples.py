"""Audit samples over HTTP."""

from __future__ import annotations

import hashlib

from tests.adapters.conftest import Api

SECRET = "a number that the auditor threw"


async def test_sample_is_asked_for_and_drawn(api: Api) -> None:
    """Asking tells the number; drawing tells what was drawn and from which checkpoint; again is the same."""
    api.account()
    for number in range(4):
        await api.send(f"061234000{number}")
    commitment = hashlib.sha256(SECRET.encode()).hexdigest()
    asked = await api.call("POST /v1/samples", json={"size": 2, "where": {"account": "sms"}, "commitment": commitment})
    question = asked.json
    assert (201, 2, {"account": "sms"}) == (asked.status, question["size"], question["where"])
    path = f"/v1/samples/{question['sample']}"
    assert path == asked.headers["Location"]
    assert question == (await api.call(f"GET {path}")).json
    await api.caught_up()
    wrong = await api.call(f"POST {path}/draw", json={"secret": "another"})
    assert (422, "secret") == (wrong.status, wrong.type)
    drawn = (await api.call(f"POST {path}/draw", json={"secret": SECRET})).json
    assert (4, 2) == (drawn["population"], len(drawn["drawn"]))
    assert drawn == (await api.call(f"POST {path}/draw", json={"secret": SECRET})).json


async def test_sample_of_another_tenant_does_not_exist(sqlite_api: Api) -> None:
    """404, for reading and for drawing."""
    number = (await sqlite_api.call("POST /v1/samples", json={"size": 1})).json["sample"]
    other = sqlite_api.of("other")
    for where in (f"GET /v1/samples/{number}", f"POST /v1/samples/{number}/draw"):
        reply = await other.call(where, json={} if where.startswith("POST") else None)
        assert (404, "not-found") == (reply.status, reply.type)
