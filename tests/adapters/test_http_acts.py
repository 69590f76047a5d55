"""Acts over HTTP: who sees them, who may agree, and that what was asked for happens once somebody else agreed."""

from __future__ import annotations

from typing import Any

from adapters import acts
from tests.adapters.conftest import Api, Reply

OFFICER, PRIVACY = ("compliance",), ("privacy",)
HOLD = {"scope": "label", "value": "case 7", "reason": "claim 7"}
ALL = {"four_eyes": ["erasure", "hold.release", "retention"], "reason": "board decision"}
WHY = {"reason": "checked"}


async def _demanding(api: Api) -> None:
    reply = await api.call("PUT /v1/safeguards", scopes=PRIVACY, json=ALL)
    assert 200 == reply.status, reply


async def _release_asked(api: Api) -> tuple[str, Any]:
    """A hold whose end was asked for: its id, and the act."""
    hold = (await api.call("POST /v1/holds", scopes=OFFICER, json=HOLD)).json["hold"]
    reply = await api.call(f"POST /v1/holds/{hold}/release", scopes=OFFICER, json={"reason": "settled"})
    assert 202 == reply.status, reply
    assert f"/v1/acts/{reply.json['act']}" == reply.headers["Location"]
    return hold, reply.json


async def _decide(api: Api, act: str, how: str = "approve", scopes: tuple[str, ...] = PRIVACY) -> Reply:
    return await api.call(f"POST /v1/acts/{act}/{how}", scopes=scopes, json=WHY)


async def _holds(api: Api) -> list[str]:
    return [each["hold"] for each in (await api.call("GET /v1/holds", scopes=OFFICER)).json["holds"]]


async def test_hold_stands_until_a_second_person_agrees(api: Api) -> None:
    """Asked for: 202, and the hold is in force; agreed to: it is released, and the events say by whom each was done."""
    await _demanding(api)
    hold, act = await _release_asked(api)
    assert ("waiting", "hold.release", "settled") == (act["state"], act["rule"], act["reason"])
    assert [hold] == await _holds(api)
    refused = await _decide(api, act["act"], scopes=OFFICER)
    assert (409, "act-refused") == (refused.status, refused.type)
    assert [hold] == await _holds(api)
    done = await _decide(api, act["act"])
    assert (200, "done") == (done.status, done.json["state"])
    assert [] == await _holds(api)
    (event,) = api.events("hold.released")
    assert ([hold, act["act"]], act["asked_by"]) == (event.fields["events"], event.fields["actor"])
    assert done.json == (await _decide(api, act["act"])).json
    assert 1 == len(api.events("hold.released"))


async def test_asking_for_the_same_again_is_the_same_act(sqlite_api: Api) -> None:
    """One act waits, however often its asker asks."""
    await _demanding(sqlite_api)
    hold, act = await _release_asked(sqlite_api)
    again = await sqlite_api.call(f"POST /v1/holds/{hold}/release", scopes=OFFICER, json={"reason": "settled, really"})
    assert (202, act) == (again.status, again.json)
    assert 1 == len(sqlite_api.events("act.asked"))


async def test_declined_act_leaves_the_hold(sqlite_api: Api) -> None:
    """Declined or withdrawn: it cannot be agreed to any more."""
    await _demanding(sqlite_api)
    hold, act = await _release_asked(sqlite_api)
    declined = await _decide(sqlite_api, act["act"], "decline", OFFICER)
    assert (200, "declined") == (declined.status, declined.json["state"])
    late = await _decide(sqlite_api, act["act"])
    assert (409, "act-refused") == (late.status, late.type)
    assert "is declined" in late.json["detail"]
    assert [hold] == await _holds(sqlite_api)


async def test_hold_that_one_person_releases_needs_no_act(sqlite_api: Api) -> None:
    """Nothing is demanded until somebody says so."""
    hold = (await sqlite_api.call("POST /v1/holds", scopes=OFFICER, json=HOLD)).json["hold"]
    reply = await sqlite_api.call(f"POST /v1/holds/{hold}/release", scopes=OFFICER, json={"reason": "settled"})
    assert (200, hold) == (reply.status, reply.json["hold"])
    assert [] == sqlite_api.events("act.asked")


async def test_policy_counts_once_a_second_person_agrees(api: Api) -> None:
    """Until then what was said before counts; so it is with the end of a policy, and with one for a label."""
    await _demanding(api)
    for where, said, expected in (
        ("retention", {"keep": "2y", "label": "customer Lind"}, [("2y", "customer Lind")]),
        ("retention", {"keep": "5y"}, [("5y", ""), ("2y", "customer Lind")]),
        ("retention/remove", {"label": "Customer Lind"}, [("5y", "")]),
    ):
        before = (await api.call("GET /v1/retention", scopes=OFFICER)).json
        body = {"provider": "kpn_sms", "reason": "new rules", **said}
        asked = await api.call(f"POST /v1/{where}", scopes=OFFICER, json=body)
        assert (202, "retention.policy") == (asked.status, asked.json["rule"])
        assert before == (await api.call("GET /v1/retention", scopes=OFFICER)).json
        assert "done" == (await _decide(api, asked.json["act"])).json["state"]
        after = (await api.call("GET /v1/retention", scopes=OFFICER)).json["policies"]
        assert expected == [(each["keep"], each["label"]) for each in after]
    assert not any(b"Lind" in event.leaf for event in api.events("act.asked", "ruleset.changed"))


async def test_policy_without_a_reason_is_refused_where_two_are_needed(sqlite_api: Api) -> None:
    """Whoever is to agree must know why; nothing is written."""
    await _demanding(sqlite_api)
    sqlite_api.key(*OFFICER)
    size = sqlite_api.size()
    reply = await sqlite_api.call("POST /v1/retention", scopes=OFFICER, json={"provider": "kpn_sms", "keep": "1y"})
    assert (422, "reason") == (reply.status, reply.json["errors"][0]["field"])
    assert size == sqlite_api.size()


async def test_key_sees_and_decides_what_its_scopes_are_for(sqlite_api: Api) -> None:
    """An erasure is the privacy officer's: a key with compliance neither finds it in the list nor decides it."""
    system = sqlite_api.system
    await _demanding(sqlite_api)
    _, act = await _release_asked(sqlite_api)
    erasure = acts.ask(
        *(system.accounts, system.queries, sqlite_api.tenant, "erasure.recipient", "asked for"), said={"who": "Olga"}
    )
    for scopes, seen in ((OFFICER, [act["act"]]), (PRIVACY, [erasure.act, act["act"]])):
        listed = await sqlite_api.call("GET /v1/acts", scopes=scopes)
        assert seen == [each["act"] for each in listed.json["acts"]]
        assert (b"Olga" in listed.body) == (scopes == PRIVACY)
    for how in ("approve", "decline"):
        assert 403 == (await _decide(sqlite_api, erasure.act, how, OFFICER)).status
    assert 403 == (await sqlite_api.call(f"GET /v1/acts/{erasure.act}", scopes=OFFICER)).status
    assert "approved" == (await _decide(sqlite_api, erasure.act)).json["state"]
    assert [act["act"]] == [
        each["act"] for each in (await sqlite_api.call("GET /v1/acts", scopes=PRIVACY)).json["acts"]
    ]
    every = (await sqlite_api.call("GET /v1/acts?state=all", scopes=PRIVACY)).json
    assert ([erasure.act, act["act"]], 0) == ([each["act"] for each in every["acts"]], every["next"])


async def test_what_cannot_be_opened_any_more_is_not_done(sqlite_api: Api) -> None:
    """A policy for a label whose name was erased would be one for everything."""
    await _demanding(sqlite_api)
    body = {"provider": "kpn_sms", "keep": "1d", "label": "customer Lind", "reason": "new rules"}
    act = (await sqlite_api.call("POST /v1/retention", scopes=OFFICER, json=body)).json
    position = act["position"]
    with sqlite_api.system.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM sealed_values WHERE position = ?", (position,))
    reply = await _decide(sqlite_api, act["act"])
    assert (409, "act-refused") == (reply.status, reply.type)
    assert [] == (await sqlite_api.call("GET /v1/retention", scopes=OFFICER)).json["policies"]
