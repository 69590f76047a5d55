"""Safeguards over HTTP: off until somebody switches them on, and loosened by two people only."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.conftest import Api, Reply

PRIVACY, OTHER = ("privacy",), ("privacy", "compliance")
OFF = {"four_eyes": [], "reasons": [], "partial_search": False}
WHY = {"reason": "board decision"}


async def _put(api: Api, **wanted: Any) -> Reply:
    return await api.call("PUT /v1/safeguards", scopes=PRIVACY, json={**WHY, **wanted})


async def _get(api: Api, scopes: tuple[str, ...] = PRIVACY) -> Any:
    return (await api.call("GET /v1/safeguards", scopes=scopes)).json


async def test_nothing_is_demanded_until_somebody_says_so(api: Api) -> None:
    """What was said counts at once, is an event with the actor, and only in this organisation; the reason is sealed."""
    assert OFF == await _get(api)
    wanted = {"four_eyes": ["hold.release", "erasure"], "reasons": ["exports"], "partial_search": True}
    said = {"four_eyes": ["erasure", "hold.release"], "reasons": ["exports"], "partial_search": True}
    reply = await _put(api, **wanted)
    assert (200, said) == (reply.status, reply.json)
    assert said == await _get(api, ("compliance",))
    await api.caught_up()
    assert said == await _get(api)
    assert OFF == await _get(api.of("other"))
    (event,) = api.events("ruleset.changed")
    assert (api.key(*PRIVACY).partition(".")[0], b"board" in event.leaf) == (event.fields["actor"], False)
    assert {"note": "board decision"} == api.system.ledger.values([event])[event.position]


async def test_saying_the_same_again_changes_nothing(sqlite_api: Api) -> None:
    """No second event."""
    for _ in range(2):
        await _put(sqlite_api, reasons=["evidence"])
    assert 1 == len(sqlite_api.events("ruleset.changed"))


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"four_eyes": ["erasure", "retention"], "reasons": ["queries"]}, 200),
        ({"four_eyes": ["erasure"], "reasons": ["queries", "exports"]}, 200),
        ({"four_eyes": ["retention"], "reasons": ["queries"]}, 202),
        ({"four_eyes": ["erasure"]}, 202),
        ({"four_eyes": ["erasure"], "reasons": ["queries"], "partial_search": True}, 202),
        ({}, 202),
    ],
)
async def test_loosening_takes_two_while_anything_does(
    sqlite_api: Api, wanted: dict[str, list[str]], status: int
) -> None:
    """More is demanded at once; less, once a second person agrees."""
    before = {**OFF, "four_eyes": ["erasure"], "reasons": ["queries"]}
    await _put(sqlite_api, **before)
    reply = await _put(sqlite_api, **wanted)
    assert status == reply.status
    after = {**OFF, **wanted}
    if status == 200:
        assert after == await _get(sqlite_api)
        return
    assert before == await _get(sqlite_api)
    approve = f"POST /v1/acts/{reply.json['act']}/approve"
    assert 409 == (await sqlite_api.call(approve, scopes=PRIVACY, json=WHY)).status
    assert before == await _get(sqlite_api)
    done = await sqlite_api.call(approve, scopes=OTHER, json=WHY)
    assert (200, "done") == (done.status, done.json["state"])
    assert after == await _get(sqlite_api)


async def test_agreement_changes_only_what_was_asked_for(sqlite_api: Api) -> None:
    """What was tightened between asking and agreeing stays tight."""
    await _put(sqlite_api, four_eyes=["erasure"], partial_search=True)
    act = (await _put(sqlite_api, four_eyes=[], partial_search=True)).json["act"]
    await _put(sqlite_api, four_eyes=["erasure", "retention"], reasons=["exports"])
    await sqlite_api.call(f"POST /v1/acts/{act}/approve", scopes=OTHER, json=WHY)
    assert {"four_eyes": ["retention"], "reasons": ["exports"], "partial_search": False} == await _get(sqlite_api)


async def test_one_person_loosens_what_one_person_set(sqlite_api: Api) -> None:
    """While nothing takes two people, nothing about this does."""
    await _put(sqlite_api, reasons=["queries"])
    assert (200, OFF) == ((reply := await _put(sqlite_api)).status, reply.json)


@pytest.mark.parametrize(
    "body",
    [{"four_eyes": []}, {"reason": ""}, {"reason": " "}, WHY | {"four_eyes": ["everything"]}, WHY | {"reasons": ["x"]}],
)
async def test_what_cannot_be_demanded_is_422(sqlite_api: Api, body: dict[str, Any]) -> None:
    """And nothing is written."""
    reply = await sqlite_api.call("PUT /v1/safeguards", scopes=PRIVACY, json=body)
    assert (422, "invalid") == (reply.status, reply.type)
    assert [] == sqlite_api.events("ruleset.changed")


async def test_only_the_privacy_officer_says_what_is_demanded(sqlite_api: Api) -> None:
    """Compliance looks; nobody else does even that."""
    for scopes, get, put in ((("compliance",), 200, 403), (("operator",), 403, 403), (("auditor",), 200, 403)):
        assert get == (await sqlite_api.call("GET /v1/safeguards", scopes=scopes)).status
        assert put == (await sqlite_api.call("PUT /v1/safeguards", scopes=scopes, json=WHY)).status
