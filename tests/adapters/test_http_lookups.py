"""Where is it now, and why."""

from __future__ import annotations

import hashlib

import pytest

from ops.system import System
from projections.rules import RULE_TEXTS, RULES
from tests.adapters.conftest import Api, accepted, serving

NOBODYS = "01a1fd8e-f93d-70a6-8da5-105f5469bc25"
NUMBERS = [f"06123400{n:02}" for n in range(7)]


async def _sent(api: Api) -> str:
    api.account()
    recipients = [{"kind": "phone", "address": number} for number in NUMBERS]
    return await api.send(recipients=recipients, references=[{"kind": "document_id", "value": "doc-1"}])


async def test_deliveries_are_listed_page_by_page(api: Api) -> None:
    """Every delivery once, by index, whatever the size of a page."""
    message = await _sent(api)
    found, cursor = list[str](), ""
    for _ in range(4):
        page = (await api.call(f"GET /v1/messages/{message}/deliveries?limit=3&cursor={cursor}")).json
        found += [d["address"]["address"] for d in page["deliveries"]]
        cursor = page["next"]
        if not cursor:
            break
    assert (NUMBERS, "") == (found, cursor)


@pytest.mark.parametrize(
    "query", ["cursor=?", "cursor=MTIz", "cursor=%00", "limit=0", "limit=501", "limit=x", "other=1"]
)
async def test_page_that_cannot_be_is_refused(sqlite_api: Api, query: str) -> None:
    """A cursor of somebody else's making and a limit out of bounds are 422."""
    message = await _sent(sqlite_api)
    reply = await sqlite_api.call(f"GET /v1/messages/{message}/deliveries?{query}")
    assert (422, "invalid") == (reply.status, reply.type)


@pytest.mark.parametrize("path", ["sends?after=%00", "tasks?before=%00", "downtimes?account=%00"])
async def test_query_with_a_character_that_no_database_holds_is_refused(api: Api, path: str) -> None:
    """On either database: 422, and not a defect of ours."""
    reply = await api.call(f"GET /v1/{path}")
    assert (422, "invalid") == (reply.status, reply.type)


async def test_delivery_is_explained_fact_by_fact(api: Api) -> None:
    """Each fact has its rule in words, and one of them decides."""
    message = await _sent(api)
    await api.observe(**accepted("doc-1", NUMBERS[3]))
    told = (await api.call(f"GET /v1/messages/{message}/deliveries/3/explanation")).json
    assert ("accepted", False, RULES) == (told["status"], told["is_final"], told["rules"])
    decides = [f for f in told["facts"] if f["effect"] == "decides"]
    assert [("submission.accepted", RULE_TEXTS[decides[0]["rule"]])] == [(f["type"], f["rule_text"]) for f in decides]
    assert all(f["meaning"] and f["rule_text"] for f in told["facts"])
    assert {flag: RULE_TEXTS[flag] for flag in told["flags"]} == told["flags"]


async def test_trail_holds_every_event_with_its_leaf_hash(api: Api) -> None:
    """What a delivery's story consists of can be found in the feed and hashed again."""
    message = await _sent(api)
    await api.observe(**accepted("doc-1", NUMBERS[0]))
    trail = (await api.call(f"GET /v1/messages/{message}/deliveries/0/trail")).json
    feed = {e["position"]: e for e in (await api.call("GET /v1/events?limit=500")).json["events"]}
    for entry in trail["entries"]:
        leaf = feed[entry["position"]]["leaf"].encode()
        assert hashlib.sha256(b"\0" + leaf).hexdigest() == entry["leaf_hash"] == feed[entry["position"]]["leaf_hash"]
    types = {e["type"] for e in trail["entries"]}
    assert {"submission.requested", "recipients.declared", "submission.accepted"} <= types
    whole = (await api.call(f"GET /v1/messages/{message}/trail")).json
    assert {e["position"] for e in trail["entries"]} <= {e["position"] for e in whole["entries"]}


async def test_trail_of_one_delivery_opens_nobody_elses_address(api: Api) -> None:
    """Now and as of then: what the same event says of another recipient is withheld. The whole message's tells of all."""
    message = await _sent(api)
    for query in ("", f"?position={api.size()}"):
        told = (await api.call(f"GET /v1/messages/{message}/deliveries/1/trail{query}")).json["entries"]
        (declared,) = [entry for entry in told if entry["type"] == "recipients.declared"]
        assert ["recipient.1"] == list(declared["values"])
        assert "recipient.0" in declared["withheld"]
        assert NUMBERS[0] not in str(told)
        assert NUMBERS[1] in str(told)
        whole = (await api.call(f"GET /v1/messages/{message}/trail{query}")).json["entries"]
        assert {"recipient.0", "recipient.1"} <= {path for entry in whole for path in entry["values"]}


async def test_unchanged_answer_is_304_and_a_new_fact_changes_the_tag(api: Api) -> None:
    """The tag follows what is said, not the log that grows beside it."""
    message = await _sent(api)
    for path in (f"/v1/messages/{message}", f"/v1/messages/{message}/deliveries/0"):
        first = await api.call(f"GET {path}")
        await api.send("0612349999")
        again = await api.call(f"GET {path}", headers={"If-None-Match": f'"x", {first.headers["ETag"]}'})
        assert (304, b"", first.headers["ETag"]) == (again.status, again.body, again.headers["ETag"])
    await api.observe(**accepted("doc-1", NUMBERS[0]))
    for path in (f"/v1/messages/{message}", f"/v1/messages/{message}/deliveries/0"):
        changed = await api.call(f"GET {path}", headers={"If-None-Match": first.headers["ETag"]})
        assert 200 == changed.status


async def test_answers_about_people_are_not_kept_by_caches(sqlite_api: Api) -> None:
    """Private and not to be stored, with the usual protections."""
    message = await _sent(sqlite_api)
    headers = (await sqlite_api.call(f"GET /v1/messages/{message}")).headers
    assert ("private, no-store", "nosniff", "no-referrer", "delivery-ledger") == tuple(
        headers[name] for name in ("Cache-Control", "X-Content-Type-Options", "Referrer-Policy", "Server")
    )


async def test_position_that_is_not_reached_in_time_is_503_with_retry_after(sqlite_system: System) -> None:
    """The wait for the read models ends, and says when to ask again; in a query and in a body."""
    async with serving(sqlite_system, position_wait_s=0.3) as api:
        message = await _sent(api)
        beyond = api.size() + 1_000
        for reply in (
            await api.call(f"GET /v1/messages/{message}?min_position={beyond}"),
            await api.call("POST /v1/search", json={"min_position": beyond}),
        ):
            assert (503, "not-reached", "1") == (reply.status, reply.type, reply.headers["Retry-After"])


async def test_whole_trail_of_very_many_recipients_is_asked_for_one_by_one(sqlite_api: Api) -> None:
    """An answer stays bounded: beyond 500 recipients only single deliveries are told."""
    sqlite_api.account()
    recipients = [{"kind": "email", "address": f"r{n}@example.org"} for n in range(501)]
    message = await sqlite_api.send(recipients=recipients)
    for path in ("trail", "receipts.zip"):
        reply = await sqlite_api.call(f"GET /v1/messages/{message}/{path}")
        assert (422, "too-many-recipients") == (reply.status, reply.type)
    one = await sqlite_api.call(f"GET /v1/messages/{message}/deliveries/500/trail")
    assert (200, 500) == (one.status, one.json["recipient"])
    none = await sqlite_api.call(f"GET /v1/messages/{message}/deliveries/501/trail")
    assert 404 == none.status


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/messages/{NOBODYS}",
        f"/v1/messages/{NOBODYS}/deliveries",
        f"/v1/messages/{NOBODYS}/trail",
        "/v1/messages/{message}/deliveries/7",
        "/v1/messages/{message}/deliveries/7/trail",
        "/v1/messages/{message}/deliveries/07",
        "/v1/messages/{message}/deliveries/x",
        "/v1/messages/anna@example.org",
        "/v1/messages/{message}/",
    ],
)
async def test_what_does_not_exist_is_404(sqlite_api: Api, path: str) -> None:
    """No such message, no such recipient, no such path."""
    message = await _sent(sqlite_api)
    reply = await sqlite_api.call(f"GET {path.format(message=message)}")
    assert (404, "not-found") == (reply.status, reply.type)
