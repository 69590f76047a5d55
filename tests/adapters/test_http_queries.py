"""Compliance queries over HTTP: the list describes them, an answer says what it counts, and who asked is recorded first."""

from __future__ import annotations

from typing import Any

from adapters.compliance.registry import QUERIES
from ledger.intake import Intake
from tests.adapters.conftest import Api
from tests.stories import stories as telling
from tests.world import World

ASK = "POST /v1/queries/disputed/answer"
CONTRADICTION = "pec_mailbox/contradiction"


async def contradicted(api: Api) -> None:
    """A certified e-mail of which its provider said both that it arrived and that it did not."""
    s = api.system
    world = World(s.ledger, Intake(s.ledger), s.runner, s.queries, s.accounts, s.quarantine, s.lanes)
    story = next(story for story in telling.stories() if story.name == CONTRADICTION)
    begun = telling.begin(world, story)
    telling.register(begun, story)
    telling.admit(begun, story.arrivals)
    await api.caught_up()


async def test_list_describes_every_query(sqlite_api: Api) -> None:
    """Name, version and what it counts; parameters with their defaults; columns with their kinds."""
    listed = (await sqlite_api.call("GET /v1/queries")).json["queries"]
    assert [(q.name, q.version, q.counts) for q in QUERIES.values()] == [
        (each["name"], each["version"], each["counts"]) for each in listed
    ]
    for each in listed:
        assert each == (await sqlite_api.call(f"GET /v1/queries/{each['name']}")).json
        assert (
            all("default" in said for said in each["parameters"]["properties"].values())
            or each["parameters"]["required"]
        )
        assert all(column["meaning"] for column in each["columns"])


async def test_answer_says_what_it_counts_and_as_of_which_position(api: Api) -> None:
    """The header names the query, its parameters with defaults, the position and the root of the tree there."""
    await contradicted(api)
    answer = (await api.call(ASK, json={})).json
    header, (row,) = answer["header"], answer["rows"]
    assert ("disputed/1", "acme", api.size() - 1) == (header["query"], header["tenant"], header["position"])
    assert {"since": "", "until": "", "provider": "", "account": ""} == header["parameters"]
    assert api.system.ledger.root_at(header["position"]).hex() == header["root"]
    assert ("disputed", "pec_mailbox", "") == (row["status"], row["provider"], answer["next"])


async def test_who_asked_what_and_why_is_recorded_before_the_answer(api: Api) -> None:
    """One event in the asking key's stream: the query, the position, the reason; the parameters are sealed."""
    await contradicted(api)
    position = (await api.call(ASK, json={"reason": "quarterly review"}, scopes=("compliance",))).json["header"][
        "position"
    ]
    (event,) = api.events("access.recorded")
    key_id = api.key("compliance").partition(".")[0]
    told: dict[str, Any] = {name: event.fields[name] for name in ("rule", "code", "tree_size", "actor", "account")}
    assert {
        "rule": "access.query",
        "code": "disputed/1",
        "tree_size": position,
        "actor": key_id,
        "account": key_id,
    } == told
    values = api.system.ledger.values([event])[event.position]
    assert ("quarterly review", "") == (values["note"], values["parameters"]["since"])


async def test_wrong_parameters_and_cursors_are_refused_with_what_there_is(sqlite_api: Api) -> None:
    """422-like problems name the parameter; an unknown query is 404; nothing is recorded."""
    for body in (
        {"parameters": {"sinse": ""}},
        {"parameters": {"since": "yesterday"}},
        {"parameters": {"provider": 7.5}},
        {"cursor": "nonsense!"},
        {"cursor": "undelivered:LTEuMA"},
        {"limit": 0},
    ):
        reply = await sqlite_api.call(ASK, json=body)
        assert (422, "invalid") == (reply.status, reply.type), body
    assert 404 == (await sqlite_api.call("POST /v1/queries/nothing/answer", json={})).status
    assert [] == sqlite_api.events("access.recorded")


async def test_saved_query_is_asked_by_its_name(sqlite_api: Api) -> None:
    """With the parameters that were saved; those given beside it take their place; of another tenant it does not exist."""
    await contradicted(sqlite_api)
    saving = {"query": "disputed", "parameters": {"provider": "ekopost"}}
    assert 200 == (await sqlite_api.call("PUT /v1/saved-queries/mine", json=saving)).status
    ask = "POST /v1/saved-queries/mine/answer"
    answer = (await sqlite_api.call(ask, json={})).json
    assert ("disputed/1", "ekopost", []) == (
        answer["header"]["query"],
        answer["header"]["parameters"]["provider"],
        answer["rows"],
    )
    assert 1 == len((await sqlite_api.call(ask, json={"parameters": {"provider": ""}})).json["rows"])
    assert 404 == (await sqlite_api.of("other").call(ask, json={})).status
