"""Where was it then: look-ups and searches as of an earlier moment, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from projections.rulesets import CURRENT
from tests.adapters.conftest import Api, accepted


async def _told(api: Api) -> tuple[str, int]:
    """A message, and the last position before anything but its registration was known."""
    api.account()
    recipients = [{"kind": "phone", "address": number} for number in ("0612340001", "0612340002")]
    message = await api.send(recipients=recipients, references=[{"kind": "document_id", "value": "doc-1"}])
    before = api.size()
    await api.observe(**accepted("doc-1", "0612340001"))
    await api.caught_up()
    return message, before


def _then(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer["known"][name] for name in ("position", "rules", "in_force", "used", "today", "differ")}


async def test_every_look_up_answers_as_of_a_position(api: Api) -> None:
    """Message, delivery, both trails and search say what was known, up to where, and by which tables; without it nothing of this."""
    message, before = await _told(api)
    at = f"?position={before}"
    tables = list(CURRENT.tables)
    said = {"position": before, "rules": "then", "in_force": tables, "used": tables, "today": tables, "differ": False}
    then = (await api.call(f"GET /v1/messages/{message}{at}")).json
    assert ({"pending": 2}, said) == (then["statuses"], _then(then))
    one = (await api.call(f"GET /v1/messages/{message}/deliveries/0{at}")).json
    assert ("pending", "0612340001", said) == (one["status"], one["address"]["address"], _then(one))
    for path in (f"{message}/trail", f"{message}/deliveries/0/trail"):
        trail = (await api.call(f"GET /v1/messages/{path}{at}")).json
        assert ([], before, said) == (
            [e["type"] for e in trail["entries"] if e["position"] > before],
            trail["tree_size"],
            _then(trail),
        )
        assert trail["root"] == api.system.ledger.root_at(before).hex()
    page = (await api.call("POST /v1/search", json={"status": "pending", "position": before})).json
    assert (2, said) == (len(page["deliveries"]), _then(page))
    now = (await api.call(f"GET /v1/messages/{message}")).json
    assert ({"accepted": 1, "pending": 1}, None) == (now["statuses"], now["known"])


async def test_a_recorded_and_an_occurred_time_are_taken_with_their_zone(api: Api) -> None:
    """The same moment in another zone is the same question."""
    message, before = await _told(api)
    at = str(api.system.ledger.event(before).fields["recorded_at"])
    offset = at.replace("Z", "%2B00:00")
    for text in (at, offset):
        one = (await api.call(f"GET /v1/messages/{message}/deliveries/0?known_at={text}")).json
        assert ("pending", at) == (one["status"], one["known"]["known_at"])
    early = (await api.call(f"GET /v1/messages/{message}/deliveries/0?occurred_at=2001-01-01T00:00:00Z")).json
    assert ("pending", "2001-01-01T00:00:00.000000Z") == (early["status"], early["known"]["occurred_at"])
    assert before < early["known"]["position"] <= api.size()


async def test_the_tag_of_an_answer_as_of_then_stays_while_the_log_grows(sqlite_api: Api) -> None:
    """What was known then does not change."""
    message, before = await _told(sqlite_api)
    path = f"GET /v1/messages/{message}?position={before}"
    first = await sqlite_api.call(path)
    await sqlite_api.observe(**accepted("doc-1", "0612340002"))
    again = await sqlite_api.call(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (200, 304) == (first.status, again.status)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("position=999999", "position"),
        ("known_at=2999-01-01T00:00:00Z", "known_at"),
        ("known_at=2026-03-01T00:00:00Z&position=1", "known_at"),
        ("known_at=2026-03-01", "known_at"),
        ("occurred_at=soon", "occurred_at"),
        ("rules=best", "rules"),
        ("position=-1", "position"),
    ],
)
async def test_a_moment_that_cannot_be_is_refused(sqlite_api: Api, query: str, field: str) -> None:
    """The field that is wrong is named."""
    message, _ = await _told(sqlite_api)
    reply = await sqlite_api.call(f"GET /v1/messages/{message}?{query}")
    assert (422, [field]) == (reply.status, [each["field"] for each in reply.json["errors"]])


async def test_before_it_was_heard_of_it_is_404_and_says_since_when(sqlite_api: Api) -> None:
    """Also to whoever asks by a time before the log began; nothing of it to another organisation."""
    first, before = await _told(sqlite_api)
    message = await sqlite_api.send("0612340009")
    reply = await sqlite_api.call(f"GET /v1/messages/{message}?position={before}")
    assert (404, "not-found") == (reply.status, reply.type)
    assert "was first heard of at" in reply.json["detail"]
    other = await sqlite_api.of("other").call(f"GET /v1/messages/{message}?position={before}")
    assert "heard of" not in other.json["detail"]
    early = await sqlite_api.call(f"GET /v1/messages/{first}?known_at=2001-01-01T00:00:00Z")
    assert (404, "not-found") == (early.status, early.type)
