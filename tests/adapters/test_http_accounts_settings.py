"""Settings and credentials of an account over HTTP: what an operator sets, is told, and is never shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.adapters.conftest import Api
from tests.adapters.test_configuring import GIVEN, SECRET, known_providers

SETTINGS, PASSWORD = "/v1/accounts/sms/settings", "/v1/accounts/sms/credentials/password"


@pytest.fixture(autouse=True)
def _providers() -> Iterator[None]:
    with known_providers():
        yield


async def test_settings_are_put_whole_and_what_changed_is_told(api: Api) -> None:
    """What is not named has its default again; the event names the key that did it; the same again changes nothing."""
    api.account()
    first = await api.call(f"PUT {SETTINGS}", json={"settings": GIVEN})
    second = await api.call(f"PUT {SETTINGS}", json={"settings": {"base_url": GIVEN["base_url"], "page_rows": 50}})
    again = await api.call(f"PUT {SETTINGS}", json={"settings": {"base_url": GIVEN["base_url"], "page_rows": 50}})
    assert [200] * 3 == [r.status for r in (first, second, again)]
    assert [
        {"name": "mailbox", "before": GIVEN["mailbox"], "after": None},
        {"name": "page_rows", "before": None, "after": 50},
    ] == second.json["changes"]
    assert [] == again.json["changes"]
    shown = (await api.call(f"GET {SETTINGS}")).json
    assert again.json["account"] == shown
    assert ({"base_url": GIVEN["base_url"], "page_rows": 50}, "") == (shown["settings"], shown["defaults"]["mailbox"])
    events = api.events("account.setting_changed")
    assert [api.key("ingest", "read", "evidence", "compliance", "operator").partition(".")[0]] * 2 == [
        e.fields["actor"] for e in events
    ]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({**GIVEN, "mailbx": "x"}, "mailbx"),
        ({**GIVEN, "page_rows": 1000}, "page_rows"),
        ({"base_url": "http://api.example.net"}, "base_url"),
        ({}, "base_url"),
    ],
    ids=["unknown", "beyond", "plain", "missing"],
)
async def test_setting_that_cannot_be_is_422_and_named(sqlite_api: Api, settings: dict[str, Any], field: str) -> None:
    """A problem with the field in `errors`; nothing is written."""
    sqlite_api.account()
    size = sqlite_api.size()
    reply = await sqlite_api.call(f"PUT {SETTINGS}", json={"settings": settings})
    assert (422, "invalid", [field]) == (reply.status, reply.type, [e["field"] for e in reply.json["errors"]])
    assert size == sqlite_api.size()


async def test_credential_is_put_replaced_and_destroyed_and_never_shown(api: Api) -> None:
    """204 without a body; the settings tell only whether it is there."""
    api.account()
    replies = [await api.call(f"PUT {PASSWORD}", json={"value": value}) for value in ("the old one", SECRET)]
    shown = await api.call(f"GET {SETTINGS}")
    replies.append(await api.call(f"DELETE {PASSWORD}"))
    assert [(204, b"")] * 3 == [(r.status, r.body) for r in replies]
    assert SECRET.encode() not in shown.body
    assert ["password"] == [c["name"] for c in shown.json["credentials"] if c["added_at"]]
    assert 404 == (await api.call(f"DELETE {PASSWORD}")).status
    assert [2, 1] == [len(api.events(f"account.key_{done}")) for done in ("added", "retired")]
    after = (await api.call(f"GET {SETTINGS}")).json
    assert "credential password is not set (of the mailbox): --secret password=@FILE" in after["advice"]


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("/v1/accounts/sms/credentials/pin", {"value": SECRET}),
        (PASSWORD, {"value": ""}),
        (PASSWORD, {"value": "\n"}),
        (PASSWORD, {"value": 1}),
        (PASSWORD, {"value": SECRET, "note": SECRET}),
        (PASSWORD, {}),
    ],
    ids=["unknown", "nothing", "empty", "number", "more", "missing"],
)
async def test_credential_that_cannot_be_is_422_and_not_quoted(
    sqlite_api: Api, where: str, body: dict[str, Any]
) -> None:
    """The problem names what is wrong without the value."""
    sqlite_api.account()
    reply = await sqlite_api.call(f"PUT {where}", json=body)
    assert (422, "invalid") == (reply.status, reply.type)
    assert SECRET.encode() not in reply.body


async def test_account_at_a_provider_that_is_never_called_has_no_settings(sqlite_api: Api) -> None:
    """It says so; nothing can be set."""
    sqlite_api.account("fax", "kpn_cloud_fax")
    shown = await sqlite_api.call("GET /v1/accounts/fax/settings")
    assert ["nothing is called at this provider, so it has no settings"] == shown.json["advice"]
    assert 422 == (await sqlite_api.call("PUT /v1/accounts/fax/settings", json={"settings": {}})).status
    assert 422 == (await sqlite_api.call("PUT /v1/accounts/fax/credentials/x", json={"value": "x"})).status
