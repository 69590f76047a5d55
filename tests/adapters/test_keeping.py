"""Holds and policies as acts: what stands in the log, what is sealed, and what is refused; the same over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters import keeping
from adapters.outbox import ActRefusedError
from adapters.strictjson import InvalidError
from ledger.errors import NotFoundError
from ops.system import System
from tests.adapters.conftest import TENANT, Api

PERSON = "rosa.lind@citizens.example"
WHY = "claim of Rosa Lind against the city"


def _place(
    system: System, scope: str = "recipient", value: str = PERSON, reason: str = WHY, **more: Any
) -> keeping.Hold:
    return keeping.place(system.accounts, system.queries, TENANT, scope, value, reason, **more)


def _release(system: System, hold: str, reason: str = "settled") -> keeping.Hold:
    return keeping.release(system.accounts, system.queries, TENANT, hold, reason)


def _events(system: System, *types: str) -> list[Any]:
    return [event for event in system.ledger.feed() if event.type in types]


# --- acts


def test_hold_says_nothing_of_the_person_in_the_clear(system: System) -> None:
    """The event names the scope, the floor and who placed it; address and reason are sealed beside it."""
    floor = datetime(2031, 5, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    placed = _place(system, floor=floor, actor="key_officer")
    (event,) = _events(system, "hold.placed")
    assert ("hold.recipient", "key_officer", {"floor_s": int(floor.timestamp())}) == tuple(
        event.fields[name] for name in ("rule", "actor", "numbers")
    )
    assert event.stream.startswith(f"account/{TENANT}/holds/")
    assert not any(word.encode() in event.leaf for word in ("rosa", "Rosa", "claim"))
    assert {"value": PERSON, "note": WHY} == system.ledger.values([event])[event.position]
    assert "2031-05-01T10:00:00.000000Z" == placed.floor
    assert [placed] == keeping.holds(system.queries, TENANT)
    system.runner.run()
    assert [placed] == keeping.holds(system.queries, TENANT)


def test_policy_says_nothing_of_its_label_in_the_clear(system: System) -> None:
    """A label may name a customer."""
    policy = keeping.keep(system.accounts, TENANT, "kpn_sms", "18m", "customer Lind", "key_officer")
    (event,) = _events(system, "ruleset.changed")
    assert {"keep_months": 18} == event.fields["numbers"]
    assert b"Lind" not in event.leaf
    assert [policy] == keeping.policies(system.queries, TENANT)
    system.runner.run()
    assert [] == system.runner.unapplied()
    assert [policy] == keeping.policies(system.queries, TENANT)


def test_hold_is_not_released_before_its_floor(system: System) -> None:
    """The refusal says until when; after it the hold can end, once."""
    now = system.ledger.clock()
    held = _place(system, floor=now + timedelta(days=1))
    free = _place(system, floor=now - timedelta(days=1))
    with pytest.raises(ActRefusedError, match="not to be released before"):
        _release(system, held.hold)
    ended = _release(system, free.hold)
    assert ended.released_at >= ended.placed_at
    assert ended == _release(system, free.hold, "again")
    assert 1 == len(_events(system, "hold.released"))
    assert [held.hold] == [hold.hold for hold in keeping.holds(system.queries, TENANT)]


def test_what_nobody_placed_cannot_be_released(system: System) -> None:
    """Another organisation's hold does not exist; releasing it changes nothing."""
    hold = _place(system)
    for tenant, name in ((TENANT, "nothing"), ("other", hold.hold)):
        with pytest.raises(NotFoundError, match="there is no hold"):
            keeping.release(system.accounts, system.queries, tenant, name, "settled")
    assert [] == _events(system, "hold.released")


@pytest.mark.parametrize(
    ("scope", "value", "reason", "field"),
    [
        ("everything", PERSON, WHY, "scope"),
        ("recipient", "  ", WHY, "value"),
        ("recipient", PERSON, "", "reason"),
        ("label", "x" * 1001, WHY, "value"),
    ],
)
def test_hold_on_nothing_is_refused(sqlite_system: System, scope: str, value: str, reason: str, field: str) -> None:
    """The error names the field, and nothing is written."""
    with pytest.raises(InvalidError, match=field):
        _place(sqlite_system, scope, value, reason)
    with pytest.raises(InvalidError, match="floor"):
        _place(sqlite_system, floor=datetime(1960, 1, 1, tzinfo=UTC))
    with pytest.raises(NotFoundError, match="no message"):
        _place(sqlite_system, "message", "01a1fd8e-f93d-70a6-8da5-105f5469bc25")
    assert [] == _events(sqlite_system, "hold.placed")


@pytest.mark.parametrize("term", ["10", "y", "0y", "-1y", "1w", "1y ", "10000y", "1.5y"])
def test_term_that_is_none_is_refused(sqlite_system: System, term: str) -> None:
    """So is a provider that nobody knows; nothing is written."""
    with pytest.raises(InvalidError, match="keep"):
        keeping.keep(sqlite_system.accounts, TENANT, "kpn_sms", term)
    with pytest.raises(InvalidError, match="provider"):
        keeping.keep(sqlite_system.accounts, TENANT, "pigeons", "1y")
    assert [] == _events(sqlite_system, "ruleset.changed")


def test_event_of_another_shape_stops_nothing(sqlite_system: System) -> None:
    """A policy of no days, a floor beyond the calendar, a release of what is none: each is filed or passed over."""
    record = sqlite_system.accounts.record
    for kind, clear in (
        ("ruleset.changed", {"rule": "retention.policy", "provider": "kpn_sms", "numbers": {"keep_days": 0}}),
        ("hold.placed", {"rule": "hold.label", "numbers": {"floor_s": 2**53 - 1}}),
        ("hold.released", {"events": ["01a1fd8e-f93d-70a6-8da5-105f5469bc25"]}),
    ):
        record(kind, TENANT, "holds", "", clear)
    hold = _place(sqlite_system)
    assert [hold] == keeping.holds(sqlite_system.queries, TENANT)
    assert [] == keeping.policies(sqlite_system.queries, TENANT)
    sqlite_system.runner.run()
    assert ["ruleset.changed", "hold.placed"] == [
        why.rpartition(" ")[2] for _, _, why in sqlite_system.runner.unapplied()
    ]
    assert [hold] == keeping.holds(sqlite_system.queries, TENANT)
    assert [] == keeping.policies(sqlite_system.queries, TENANT)


# --- over HTTP

OFFICER = ("compliance",)


async def test_holds_over_http(api: Api) -> None:
    """Placed, listed, found by the query, released."""
    api.account()
    message = await api.send(labels=["case 7"])
    new = {"scope": "label", "value": "Case 7", "reason": WHY}
    reply = await api.call("POST /v1/holds", scopes=OFFICER, json=new)
    assert 201 == reply.status
    hold = reply.json["hold"]
    await api.caught_up()
    asked = await api.call("POST /v1/queries/on_hold/answer", scopes=OFFICER, json={})
    assert [(hold, message)] == [(row["hold"], row["message"]) for row in asked.json["rows"]]
    (listed,) = (await api.call("GET /v1/holds", scopes=OFFICER)).json["holds"]
    assert ("Case 7", WHY, api.key(*OFFICER).partition(".")[0]) == tuple(
        listed[name] for name in ("value", "reason", "placed_by")
    )
    released = await api.call(f"POST /v1/holds/{hold}/release", scopes=OFFICER, json={"reason": "settled"})
    assert (200, True) == (released.status, bool(released.json["released_at"]))
    assert [] == (await api.call("GET /v1/holds", scopes=OFFICER)).json["holds"]
    (ended,) = (await api.call("GET /v1/holds?state=all", scopes=OFFICER)).json["holds"]
    assert released.json["released_at"] == ended["released_at"]


async def test_hold_on_a_query_over_http(api: Api) -> None:
    """On what an account carried in a time to a person, what comes later included; who is sealed."""
    api.account()
    where = {"account": "sms", "since": "2026-01-01", "recipient": "06 1234 0001"}
    reply = await api.call("POST /v1/holds", scopes=OFFICER, json={"scope": "query", "where": where, "reason": WHY})
    assert 201 == reply.status
    assert {**where, "since": "2026-01-01T00:00:00.000000Z"} == json.loads(reply.json["value"])
    assert not any(b"1234" in event.leaf for event in api.events("hold.placed"))
    message = await api.send("+31612340001")
    await api.send("+31612340002")
    asked = await api.call("POST /v1/queries/on_hold/answer", scopes=OFFICER, json={})
    assert [(reply.json["hold"], message)] == [(row["hold"], row["message"]) for row in asked.json["rows"]]
    queries = api.system.queries
    assert [reply.json["hold"]] == [hold.hold for hold in keeping.held(queries, TENANT, message, 0)]


async def test_hold_with_a_floor_is_409_until_then(sqlite_api: Api) -> None:
    """The floor has a zone, and the refusal names it."""
    new = {"scope": "recipient", "value": PERSON, "reason": WHY, "floor": "2999-01-01T00:00:00+01:00"}
    placed = await sqlite_api.call("POST /v1/holds", scopes=OFFICER, json=new)
    assert "2998-12-31T23:00:00.000000Z" == placed.json["floor"]
    release = f"POST /v1/holds/{placed.json['hold']}/release"
    reply = await sqlite_api.call(release, scopes=OFFICER, json={"reason": "settled"})
    assert (409, "act-refused") == (reply.status, reply.type)
    assert "2998-12-31T23:00:00" in reply.json["detail"]


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("POST /v1/holds", {"scope": "person", "value": PERSON, "reason": WHY}),
        ("POST /v1/holds", {"scope": "recipient", "value": PERSON}),
        ("POST /v1/holds", {"scope": "recipient", "value": PERSON, "reason": WHY, "floor": "2031-01-01T00:00:00"}),
        ("POST /v1/holds", {"scope": "recipient", "value": "\t", "reason": WHY}),
        ("POST /v1/holds", {"scope": "recipient", "where": {"recipient": PERSON}, "reason": WHY}),
        ("POST /v1/holds", {"scope": "query", "value": PERSON, "reason": WHY}),
        ("POST /v1/holds", {"scope": "query", "where": {}, "reason": WHY}),
        ("POST /v1/holds", {"scope": "query", "where": {"status": "delivered"}, "reason": WHY}),
        ("POST /v1/holds", {"scope": "query", "where": {"since": "yesterday"}, "reason": WHY}),
        ("POST /v1/retention", {"provider": "kpn_sms", "keep": "forever"}),
        ("POST /v1/retention", {"provider": "pigeons", "keep": "1y"}),
        ("POST /v1/retention/remove", {"provider": "kpn_sms", "keep": "1y"}),
    ],
)
async def test_wrong_acts_are_422_and_quote_nothing(sqlite_api: Api, where: str, body: dict[str, str]) -> None:
    """And nothing is written."""
    sqlite_api.key(*OFFICER)
    size = sqlite_api.size()
    reply = await sqlite_api.call(where, scopes=OFFICER, json=body)
    assert (422, "invalid") == (reply.status, reply.type)
    assert PERSON.encode() not in reply.body
    assert size == sqlite_api.size()


async def test_retention_over_http(api: Api) -> None:
    """Set, set again, listed, removed."""
    for keep, label in (("10y", ""), ("18m", "case 7"), ("5y", "")):
        reply = await api.call(
            "POST /v1/retention", scopes=OFFICER, json={"provider": "kpn_sms", "keep": keep, "label": label}
        )
        assert (200, keep) == (reply.status, reply.json["keep"])
    listed = (await api.call("GET /v1/retention", scopes=OFFICER)).json["policies"]
    assert [("5y", ""), ("18m", "case 7")] == [(policy["keep"], policy["label"]) for policy in listed]
    await api.call("POST /v1/retention/remove", scopes=OFFICER, json={"provider": "kpn_sms", "label": "Case 7"})
    listed = (await api.call("GET /v1/retention", scopes=OFFICER)).json["policies"]
    assert ["5y"] == [policy["keep"] for policy in listed]
    assert [] == (await api.of("other").call("GET /v1/retention", scopes=OFFICER)).json["policies"]
