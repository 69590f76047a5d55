"""API keys over HTTP: made, used, rotated, ended; and how often anybody may ask."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.apikeys import SCOPES
from adapters.http.authentication import KeyCache
from adapters.http.throttling import MAX_BUCKETS, Buckets, peer
from adapters.strictjson import InvalidError
from ops.system import System
from tests.adapters.conftest import EVERYTHING, TENANT, Api, Failing, serving


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def made(api: Api, *scopes: str, **more: Any) -> Any:
    reply = await api.call("POST /v1/keys", json={"scopes": scopes, **more})
    assert 201 == reply.status, reply
    return reply.json


async def status(api: Api, key: str, where: str = "GET /v1/lanes") -> int:
    return (await api.call(where, scopes=(), headers={"X-Api-Key": key})).status


# --- the life of a key


async def test_key_is_shown_once_and_kept_as_a_digest(api: Api) -> None:
    """Nothing that is kept, listed or logged as an event gives the key back."""
    new = await made(api, "read", label="support", days=30, note="desk opened")
    secret = new["key"].partition(".")[2]
    listed = await api.call("GET /v1/keys")
    one = await api.call(f"GET /v1/keys/{new['api_key']['api_key_id']}")
    assert new["api_key"] == one.json
    assert one.json in listed.json["keys"]
    assert (43, 32) == (len(secret), len(api.system.ledger.database.read("SELECT digest FROM api_keys")[0][0]))
    assert secret.encode() not in listed.body + one.body + b"".join(e.leaf for e in api.events("access.granted"))


async def test_the_same_name_makes_one_key_and_never_shows_it_again(api: Api) -> None:
    """200 with an empty key: whoever lost the first answer ends it or rotates it; another body under the name is refused."""
    body, named = {"scopes": ["read"], "label": "support"}, {"headers": {"Idempotency-Key": "desk-1"}}
    first, again = [await api.call("POST /v1/keys", json=body, **named) for _ in range(2)]  # type: ignore[arg-type]
    assert (201, 200, "") == (first.status, again.status, again.json["key"])
    assert first.json["api_key"] == again.json["api_key"]
    assert first.headers["Location"] == again.headers["Location"]
    other = await api.call("POST /v1/keys", json=body | {"scopes": ["evidence"]}, **named)  # type: ignore[arg-type]
    assert (422, "idempotency-key") == (other.status, other.type)
    where = f"POST {first.headers['Location']}/rotate"
    turned, twice = [await api.call(where, json={}, headers={"Idempotency-Key": "turn"}) for _ in range(2)]
    assert (201, 200, "") == (turned.status, twice.status, twice.json["key"])
    assert turned.json["api_key"] == twice.json["api_key"] != first.json["api_key"]
    theirs = await api.call("POST /v1/keys", json=body, scopes=("operator", "read"), **named)
    assert 201 == theirs.status  # a name is its caller's
    unnamed = [await api.call("POST /v1/keys", json=body) for _ in range(2)]
    assert [201, 201] == [reply.status for reply in unnamed]
    assert b"desk-1" not in b"".join(event.leaf for event in api.events("access.granted"))


async def test_a_key_that_was_granted_and_never_kept_is_made_when_it_is_asked_for_again(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event came first and the process died: nobody has seen it, so it is shown now, under the same id."""
    keys, how = sqlite_api.system.api_keys, {"headers": {"Idempotency-Key": "desk-1"}, "json": {"scopes": ["read"]}}
    sqlite_api.key(*EVERYTHING)
    with monkeypatch.context() as patched:
        patched.setattr(keys, "_put", Failing(OSError()))
        assert 500 == (await sqlite_api.call("POST /v1/keys", **how)).status  # type: ignore[arg-type]
    made = await sqlite_api.call("POST /v1/keys", **how)  # type: ignore[arg-type]
    (granted,) = [e for e in sqlite_api.events("access.granted") if e.fields["notes"] == ["read"]]
    assert (201, granted.fields["key_id"]) == (made.status, made.json["api_key"]["api_key_id"])
    assert 403 == await status(sqlite_api, made.json["key"])


async def test_each_act_on_a_key_is_an_event_of_who_what_and_until_when(api: Api) -> None:
    """Scopes and end stand in the clear, label and note sealed; an act that changes nothing is no event."""
    new = (await made(api, "read", "evidence", label="Anna's key", note="joined today"))["api_key"]
    for _ in range(2):
        ended = await api.call(f"DELETE /v1/keys/{new['api_key_id']}")
        assert ended.json["revoked_at"]
    granted, revoked = api.events("access.granted", "access.revoked")[-2:]
    actor = api.key(*EVERYTHING).partition(".")[0]
    ends = int(datetime.fromisoformat(new["expires_at"]).timestamp())
    for event in (granted, revoked):
        assert (actor, new["api_key_id"]) == (event.fields["actor"], event.fields["key_id"])
        assert ["read", "evidence"] == event.fields["notes"]
        assert b"Anna" not in event.leaf
    assert ends == granted.fields["numbers"]["ends_unix_s"] > revoked.fields["numbers"]["ends_unix_s"]
    said = api.system.ledger.values([granted])[granted.position]
    assert {"label": "Anna's key", "note": "joined today"} == said
    assert 1 == len(api.events("access.revoked"))


async def test_nobody_grants_what_he_does_not_hold(sqlite_api: Api) -> None:
    """Neither by making a key nor by rotating one whose scopes are more than his own; at the console everything goes."""
    record, _ = sqlite_api.system.api_keys.create(TENANT, ["privacy"])
    for where, body in (
        ("POST /v1/keys", {"scopes": ["read", "privacy"]}),
        (f"POST /v1/keys/{record.api_key_id}/rotate", {}),
    ):
        reply = await sqlite_api.call(where, json=body)
        assert (422, "scopes") == (reply.status, reply.json["errors"][0]["field"])
        assert "privacy" in reply.json["detail"]
    assert "" == sqlite_api.system.api_keys.get(TENANT, record.api_key_id).revoked_at


@pytest.mark.parametrize(
    "body",
    [{"scopes": []}, {"scopes": ["root"]}, {"scopes": ["read"], "days": 0}, {"scopes": ["read"], "days": 4_000}, {}],
)
async def test_key_that_cannot_be_is_422(sqlite_api: Api, body: Any) -> None:
    """No scope, an unknown one, no day, too many; nothing is made."""
    before = len(sqlite_api.system.api_keys.list(TENANT)) + (sqlite_api.size() > 0)
    assert 422 == (await sqlite_api.call("POST /v1/keys", json=body)).status
    assert before == len(sqlite_api.system.api_keys.list(TENANT))


def test_key_ends_after_a_year_and_an_auditors_after_ninety_days(sqlite_system: System) -> None:
    """Unless an earlier end is said; an auditor's key for longer is refused."""
    keys, now = sqlite_system.api_keys, datetime.now(UTC)
    for scope, days in (("read", 365), ("auditor", 90)):
        record, _ = keys.create(TENANT, [scope])
        assert timedelta(days=days) == _span(record.created_at, record.expires_at)
    with pytest.raises(InvalidError, match="within 90 days"):
        keys.create(TENANT, ["auditor", "protected"], expires_at=now + timedelta(days=91))


def test_auditors_key_has_no_scope_that_writes(sqlite_system: System) -> None:
    """It may see protected identities, if that is granted; whatever else it had would make it more than an auditor's."""
    for scope in set(SCOPES) - {"auditor", "protected"}:
        with pytest.raises(InvalidError, match="changes nothing"):
            sqlite_system.api_keys.create(TENANT, ["auditor", scope])
    record, _ = sqlite_system.api_keys.create(TENANT, ["auditor", "protected"])
    assert ("auditor", "protected") == record.scopes


def _span(since: str, until: str) -> timedelta:
    between = datetime.fromisoformat(until) - datetime.fromisoformat(since)
    return timedelta(seconds=round(between.total_seconds()))


async def test_rotated_key_works_beside_the_new_one_until_the_overlap_ends(sqlite_api: Api) -> None:
    """The new one has the same scopes, label and span; the old one's end is brought forward, never put off."""
    old = await made(sqlite_api, "operator", label="sync", days=10)
    where = f"POST /v1/keys/{old['api_key']['api_key_id']}/rotate"
    new = (await sqlite_api.call(where, json={"overlap_hours": 24})).json
    assert [200, 200] == [await status(sqlite_api, each["key"]) for each in (old, new)]
    for name in ("scopes", "label"):
        assert old["api_key"][name] == new["api_key"][name]
    assert timedelta(days=10) == _span(new["api_key"]["created_at"], new["api_key"]["expires_at"])
    ends = (await sqlite_api.call(f"GET /v1/keys/{old['api_key']['api_key_id']}")).json["expires_at"]
    assert timedelta(hours=24) == _span(new["api_key"]["created_at"], ends)
    assert 201 == (await sqlite_api.call(where, json={"overlap_hours": 720})).status
    assert ends == (await sqlite_api.call(f"GET /v1/keys/{old['api_key']['api_key_id']}")).json["expires_at"]


async def test_rotation_without_overlap_ends_the_old_key_now_and_ended_keys_do_not_rotate(sqlite_api: Api) -> None:
    """What was remembered of the old key does not help it."""
    old = await made(sqlite_api, "operator")
    assert 200 == await status(sqlite_api, old["key"])
    where = f"POST /v1/keys/{old['api_key']['api_key_id']}/rotate"
    new = (await sqlite_api.call(where, json={"overlap_hours": 0})).json
    assert [401, 200] == [await status(sqlite_api, each["key"]) for each in (old, new)]
    assert 422 == (await sqlite_api.call(where, json={})).status


async def test_revoked_key_stops_at_once_in_this_process(sqlite_api: Api) -> None:
    """The cache of good keys, which it is in, does not carry it on."""
    new = await made(sqlite_api, "operator")
    assert 200 == await status(sqlite_api, new["key"])
    assert 200 == (await sqlite_api.call(f"DELETE /v1/keys/{new['api_key']['api_key_id']}")).status
    assert 401 == await status(sqlite_api, new["key"])


def test_key_found_before_a_revocation_is_not_remembered_after_it(sqlite_system: System) -> None:
    """A look-up that overlaps the revocation of its key may answer once, and is not believed again."""
    revision, clock = [0], Seconds()
    cache = KeyCache(2.0, clock, lambda: revision[0])
    record, key = sqlite_system.api_keys.create(TENANT, ["read"])
    cache.put(key, record, cache.revision())
    assert record == cache.get(key)
    revision[0] += 1
    assert cache.get(key) is None
    cache.put(key, record, 0)
    assert cache.get(key) is None
    cache.put(key, record, 1)
    clock.now += 2.0
    assert cache.get(key) is None


def test_last_use_is_kept_to_the_minute_and_written_once_in_it(sqlite_system: System) -> None:
    """However often a key is used; a key that is not good leaves no trace."""
    keys = sqlite_system.api_keys
    record, key = keys.create(TENANT, ["read"])
    assert (None, 0) == (keys.authenticate(f"{record.api_key_id}.{'A' * 43}"), keys.flush())
    assert keys.get(TENANT, record.api_key_id).last_used_at == ""
    written = []
    for _ in range(3):
        assert keys.authenticate(key)
        written.append(keys.flush())
    used = keys.get(TENANT, record.api_key_id).last_used_at
    assert written[0] == 1
    assert sum(written) <= 2  # the minute may end between two of them
    assert used.endswith(":00.000000Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(used)) < timedelta(minutes=2)


# --- how often


async def test_guesses_are_slowed_and_a_good_key_is_never_locked_out(sqlite_system: System) -> None:
    """Beyond the limit a bad key is 429 with Retry-After; a good one from the same address is answered as ever."""
    async with serving(sqlite_system, failures_per_minute=3) as api:
        good = api.key(*EVERYTHING)
        replies = [
            await api.call("GET /v1/lanes", scopes=(), headers={"X-Api-Key": f"key_{n:020}.guess"}) for n in range(5)
        ]
        assert [401, 401, 401, 429, 429] == [r.status for r in replies]
        assert "guessing" == replies[-1].type
        assert 1 <= int(replies[-1].headers["Retry-After"]) <= 20
        assert 200 == await status(api, good)
        assert 401 == (await api.call("GET /v1/lanes", scopes=())).status  # no key is no guess
        assert 429 == await status(api, "x", "GET /log/checkpoint")


async def test_key_that_asks_too_often_is_told_when_to_come_again(sqlite_system: System) -> None:
    """Every answer to a key says its limit and what is left of it; another key has its own."""
    async with serving(sqlite_system, rate_per_minute=3) as api:
        replies = [await api.call("GET /v1/providers") for _ in range(4)]
        assert [200, 200, 200, 429] == [r.status for r in replies]
        assert {'"key";q=3;w=60'} == {r.headers["RateLimit-Policy"] for r in replies}
        assert ['"key";r=2', '"key";r=1', '"key";r=0', '"key";r=0'] == [
            r.headers["RateLimit"].partition(";t=")[0] for r in replies
        ]
        assert "rate" == replies[-1].type
        assert (
            "This API key asks too often; the header Retry-After says when to come again" == replies[-1].json["detail"]
        )
        assert 1 <= int(replies[-1].headers["Retry-After"]) <= 20
        assert 200 == (await api.call("GET /v1/providers", scopes=("read",))).status
        assert "RateLimit" not in (await api.call("GET /healthz", scopes=())).headers


async def test_small_request_is_answered_while_another_key_fills_its_threads(sqlite_system: System) -> None:
    """One key's many slow requests work beside, not before, everybody else's."""
    async with serving(sqlite_system, threads=4) as api:
        going, full = asyncio.Event(), asyncio.Event()
        loop, waiting = asyncio.get_running_loop(), []
        original = api.system.accounts.list

        def slow(tenant: str) -> Any:
            if tenant == TENANT:
                waiting.append(tenant)
                if len(waiting) == 4:
                    loop.call_soon_threadsafe(full.set)
                asyncio.run_coroutine_threadsafe(going.wait(), loop).result(30)
            return original(tenant)

        api.system.accounts.list = slow  # type: ignore[method-assign]
        other = api.of("other")
        crowd = [asyncio.ensure_future(api.call("GET /v1/accounts")) for _ in range(20)]
        await full.wait()
        assert 200 == (await other.call("GET /v1/accounts")).status
        going.set()
        assert {200} == {r.status for r in await asyncio.gather(*crowd)}


def test_bucket_fills_evenly_and_knows_no_lockout() -> None:
    """After waiting as long as it says there is a token; trying in vain does not make it longer."""
    clock = Seconds()
    buckets = Buckets(60, clock)
    assert [0] * 60 == [_wait(buckets, "a") for _ in range(60)]
    assert [1] * 5 == [_wait(buckets, "a") for _ in range(5)]
    assert 0 == _wait(buckets, "b")
    clock.now += 1
    assert [0, 1] == [_wait(buckets, "a") for _ in range(2)]
    clock.now += 3_600
    assert [0] * 60 + [1] == [_wait(buckets, "a") for _ in range(61)]
    assert Buckets(0, clock).take("a") is None


def test_buckets_of_any_number_of_addresses_take_bounded_memory() -> None:
    """The one longest untouched is forgotten."""
    buckets = Buckets(1, Seconds())
    for n in range(MAX_BUCKETS + 1):
        assert 0 == _wait(buckets, str(n))
    assert [0, 60] == [_wait(buckets, "0"), _wait(buckets, str(MAX_BUCKETS))]


def _wait(buckets: Buckets, name: str) -> int:
    taken = buckets.take(name)
    assert taken
    return taken.wait_s


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("nonsense", ""),
        (None, ""),
    ],
)
def test_guesses_are_counted_by_address_or_by_the_network_of_one_subscriber(address: str | None, expected: str) -> None:
    """An IPv6 subscriber has 2^64 addresses; they count as one."""
    assert expected == peer(address)
