"""An organisation with one of everything that can be named in a request, made through the API."""

from __future__ import annotations

import asyncio
from typing import Any

from adapters import safeguards
from adapters.apikeys import SCOPES
from adapters.safeguards import Safeguards
from tests.adapters.conftest import Api, accepted
from tests.adapters.test_http_hooks import REPORT, URL, kpn
from tests.adapters.test_http_sends import NOBODY

ALL = tuple(scope for scope in SCOPES if scope != "auditor")
"""The scopes of a key that may do everything."""
NUMBER = "0612340001"
DOWN_AT, UP_AT = "2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z"
SCHEDULE = {
    "start_date": "2030-01-31",
    "period": 1,
    "period_unit": "months",
    "zone": "Europe/Rome",
    "time": "06:30",
    "type": "disputed",
    "format": "jsonl",
    "language": "it",
    "recipients": [{"folder": "compliance"}],
}


async def furnish(api: Api) -> dict[str, str]:
    """Make one of everything; its name in paths -> its id."""
    made = await _messages(api) | await _waiting(api) | await _accounts(api) | await _asked(api)
    await asyncio.to_thread(api.system.quarantine.flush_counts, everything=True)
    return made | await _guarded(api, made)


async def _ask(api: Api, where: str, body: Any = None, **how: Any) -> Any:
    reply = await api.call(where, json=body, scopes=ALL, **how)
    assert reply.status < 300, (where, reply)
    return reply.json if reply.body else None


async def _messages(api: Api) -> dict[str, str]:
    """A message with a name of each kind, an original, a sealed answer; another one that waits in the outbox."""
    api.account("sms", "kpn_sms", wk_1=b"first secret")
    await _ask(api, "PUT /v1/accounts/sms/settings", {"settings": {"base_url": NOBODY}})
    for name in ("client_id", "client_secret"):
        await _ask(api, f"PUT /v1/accounts/sms/credentials/{name}", {"value": "hush"})
    body = {
        "account": "sms",
        "recipients": [{"kind": "phone", "address": NUMBER}],
        "references": [{"kind": "document_id", "value": "doc-1"}],
        "batch": {"kind": "own_batch", "value": "march"},
        "labels": ["case 17"],
        "subject": "Your parcel",
    }
    message = (await _ask(api, "POST /v1/messages", body))["message"]
    await _ask(api, "POST /v1/observations", {"account": "sms", **accepted("doc-1")})
    sent = {"account": "sms", "recipients": body["recipients"], "dispatch": {"text": "Hello"}}
    queued = (await _ask(api, "POST /v1/messages", sent, headers={"Idempotency-Key": "claim-7"}))["message"]
    await api.caught_up()
    trail = await _ask(api, f"GET /v1/messages/{message}/trail")
    artifacts = [artifact for entry in trail["entries"] for artifact in entry["artifacts"]]
    return {"message": message, "queued": queued, "artifact": artifacts[0], "recipient": "0"}


async def _waiting(api: Api) -> dict[str, str]:
    """Something in a lane, and something in quarantine."""
    api.account("mail", "pec_mailbox")
    await _ask(api, "POST /v1/observations", {"account": "mail", "operation": "receipt", "body": "no receipt"})
    await api.caught_up()
    url = URL.replace("acme", api.tenant)
    assert 200 == (await api.call(url, scopes=(), data=REPORT, headers=kpn(REPORT))).status
    refused = await api.call(url, scopes=(), data=REPORT + b" ", headers=kpn(REPORT))
    assert 401 == refused.status, refused
    return {"item": (await _ask(api, "GET /v1/lanes"))["items"][0]["item"]}


async def _accounts(api: Api) -> dict[str, str]:
    down = await _ask(api, "POST /v1/downtimes", {"account": "sms", "since": DOWN_AT, "note": "n"})
    key = await _ask(api, "POST /v1/keys", {"scopes": ["read"], "label": "a desk"})
    assert (await api.call("GET /v1/providers", scopes=("read",))).status == 200
    await _ask(api, "PUT /v1/terms/delivery_report", {"warn_s": 60, "breach_s": 120, "note": "n"})
    await _ask(api, "POST /v1/report-webhook-keys", {"key_id": "rk_1"})
    return {"account": "sms", "downtime": down["downtime"], "api_key": key["key"].partition(".")[0]}


async def _asked(api: Api) -> dict[str, str]:
    """Samples, reports, schedules."""
    sample = await _ask(api, "POST /v1/samples", {"size": 1})
    await _ask(api, "PUT /v1/saved-queries/hers", {"query": "disputed"})
    task = await _ask(api, "POST /v1/reports", {"query": "disputed"})
    schedule = await _ask(api, "POST /v1/report-schedules", SCHEDULE)
    return {
        "sample": str(sample["sample"]),
        "saved": "hers",
        "task": task["task"],
        "schedule": schedule["schedule"],
    }


async def _guarded(api: Api, made: dict[str, str]) -> dict[str, str]:
    """A hold, a policy, an act that waits for a second person, and an erasure that does."""
    hold = await _ask(api, "POST /v1/holds", {"scope": "label", "value": "case 18", "reason": "n"})
    await _ask(api, "POST /v1/retention", {"provider": "kpn_sms", "keep": "10y", "reason": "n"})
    recipient = f"/v1/messages/{made['message']}/deliveries/0"
    await _ask(api, f"POST {recipient}/protect", {"reason": "n"})
    await _ask(api, f"POST {recipient}/unprotect", {"reason": "n"})
    demanded = Safeguards(("erasure", "hold.release"), partial_search=True)
    safeguards.put(api.system.accounts, api.tenant, demanded.numbers(), "n", "key_1")
    await api.caught_up()
    other = await _ask(
        api, "POST /v1/messages", {"account": "sms", "recipients": [{"kind": "phone", "address": NUMBER}]}
    )
    await api.caught_up()
    erasure = await _ask(api, "POST /v1/erasures", {"message": other["message"], "reason": "n"})
    await api.caught_up()
    acts = (await _ask(api, "GET /v1/acts"))["acts"]
    return {"hold": hold["hold"], "erasure": erasure["erasure"], "act": acts[0]["act"]}
