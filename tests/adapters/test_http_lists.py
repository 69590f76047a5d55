"""Search, labels and the feed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.adapters.conftest import Api, accepted


async def _filled(api: Api) -> list[str]:
    """Three sends on two channels, two of them under one label; newest last."""
    api.account()
    api.account("fax", "kpn_cloud_fax")
    first = await api.send("0612340001", labels=["Claim 7"], references=[{"kind": "own_reference", "value": "a/1"}])
    second = await api.send("0612340002", documents=[{"sha256": "AB".lower() * 32}], batch={"value": "march"})
    faxed = {"account": "fax", "recipients": [{"kind": "fax", "address": "+31 20 555 0101"}], "labels": ["claim 7"]}
    third = (await api.call("POST /v1/messages", json=faxed)).json["message"]
    await api.observe(**accepted("doc-1"), message=first)
    return [first, second, third]


SEARCHES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [2, 1, 0]),
    ({"recipient": "+31 6 1234 0001"}, [0]),
    ({"recipient": "0031612340002", "address_kind": "phone"}, [1]),
    ({"recipient": "0612340003"}, []),
    ({"reference": "a/1"}, [0]),
    ({"label": "claim 7"}, [2, 0]),
    ({"batch": "march"}, [1]),
    ({"document": "ab" * 32}, [1]),
    ({"document": "AB" * 32}, [1]),
    ({"provider": "kpn_cloud_fax"}, [2]),
    ({"account": "sms"}, [1, 0]),
    ({"status": "accepted"}, [0]),
    ({"status": "pending", "label": "claim 7"}, [2]),
    ({"mark": "open"}, [2, 1, 0]),
    ({"mark": "disputed"}, []),
    ({"since": "2026-01-01T00:00:00Z"}, [2, 1, 0]),
    ({"until": "2026-01-01T00:00:00+01:00"}, []),
]


async def test_search_finds_by_what_a_person_knows(api: Api) -> None:
    """Each filter alone and some together; any spelling of a number; newest first."""
    messages = await _filled(api)
    found = []
    for filters, _ in SEARCHES:
        reply = await api.call("POST /v1/search", json=filters)
        found.append([messages.index(d["message"]) for d in reply.json["deliveries"]])
    assert [expected for _, expected in SEARCHES] == found


async def test_everything_under_a_label_comes_from_all_channels(api: Api) -> None:
    """One claim, one list: SMS and fax together, page by page."""
    messages = await _filled(api)
    first = (await api.call("POST /v1/labels/deliveries", json={"label": "CLAIM 7", "limit": 1})).json
    rest = (await api.call("POST /v1/labels/deliveries", json={"label": "claim 7", "cursor": first["next"]})).json
    found = [(d["message"], d["provider"]) for page in (first, rest) for d in page["deliveries"]]
    assert [(messages[2], "kpn_cloud_fax"), (messages[0], "kpn_sms")] == found
    assert "" == rest["next"]


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "lost"},
        {"mark": "red"},
        {"since": "2026-01-01"},
        {"limit": 0},
        {"cursor": "mine"},
        {"document": "abc"},
        {"name": "x"},
    ],
)
async def test_search_that_cannot_be_is_refused(sqlite_api: Api, filters: dict[str, Any]) -> None:
    """422 that names the filter."""
    reply = await sqlite_api.call("POST /v1/search", json=filters)
    assert (422, "invalid") == (reply.status, reply.type)


async def test_feed_gives_every_event_of_the_tenant_once_in_order(api: Api) -> None:
    """Page by page to the end; each leaf hashes to what is said, and nobody else's event is in it."""
    await _filled(api)
    other = api.of("other")
    other.account()
    await other.send()
    await api.send("0612340009")
    positions, after, size = list[int](), 0, api.size()
    while True:
        page = (await api.call(f"GET /v1/events?after={after}&limit=4")).json
        assert len(page["events"]) <= 4
        for event in page["events"]:
            assert hashlib.sha256(b"\0" + event["leaf"].encode()).hexdigest() == event["leaf_hash"]
            assert api.tenant == json.loads(event["leaf"])["tenant"]
        positions += [event["position"] for event in page["events"]]
        after = page["next"]
        if after >= size:
            break
    expected = [e.position for e in api.system.ledger.feed(0, 1_000) if e.tenant == api.tenant and e.position <= size]
    assert expected == positions


async def test_feed_moves_past_what_is_not_the_tenants(api: Api) -> None:
    """A tenant that has nothing but its key gets past everything else."""
    await _filled(api)
    page = (await api.of("other").call("GET /v1/events")).json
    assert (["access.granted/1"], api.size()) == ([json.loads(e["leaf"])["type"] for e in page["events"]], page["next"])
    beyond = (await api.call(f"GET /v1/events?after={10**15}")).json
    assert ([], 10**15) == (beyond["events"], beyond["next"])


async def test_leaves_hold_nothing_personal(api: Api) -> None:
    """The feed is the log: a number, a label or a reference is only committed to."""
    await _filled(api)
    leaves = "".join(e["leaf"] for e in (await api.call("GET /v1/events?limit=500")).json["events"])
    assert [] == [value for value in ("0612340001", "31612340001", "laim 7", "a/1", "march") if value in leaves]
