"""A person planted everywhere in requests: not found in logs, metrics, problems or headers."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from typing import Any

import pytest

from ops.logs import log_to_stderr
from tests.adapters.conftest import TENANT, Api, accepted
from tests.adapters.test_http_hooks import REPORT, URL, kpn

PERSON = "anna.jansson@example.org"
NUMBER = "0612345678"
PLANTED = (PERSON, "anna.jansson", "Jansson", NUMBER, "31612345678", "612345678")


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Logs as `serve` writes them."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    log_to_stderr()
    return written


async def _raw(api: Api, request: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request.encode())
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def _everything(api: Api) -> list[Any]:
    """Good requests and bad ones, with the person in every place where one could stand."""
    recipients = [{"kind": "email", "address": PERSON}, {"kind": "phone", "address": NUMBER}]
    send: dict[str, Any] = {
        "account": "sms",
        "recipients": recipients,
        "subject": f"For Anna Jansson {NUMBER}",
        "labels": [PERSON],
    }
    message = await api.send(recipients=recipients, subject=send["subject"], labels=send["labels"])
    record = accepted("doc-1", NUMBER)
    asked = [
        ("POST /v1/messages", send),
        ("POST /v1/messages", {**send, PERSON: 1}),
        ("POST /v1/messages", {**send, NUMBER: 1}),
        ("POST /v1/messages", {**send, "account": PERSON}),
        ("POST /v1/messages", {**send, "recipients": [{"kind": PERSON, "address": NUMBER}]}),
        ("POST /v1/messages", {**send, "occurred_at": PERSON}),
        ("POST /v1/messages", {**send, "references": [{"kind": "id", "value": PERSON}]}),
        ("POST /v1/messages", {**send, "references": [{"kind": "id", "value": PERSON}]}),
        ("POST /v1/observations", {"account": "sms", **record}),
        ("POST /v1/observations", {"account": "sms", **record, "operation": PERSON}),
        ("POST /v1/observations", {"account": "sms", **record, "message": PERSON}),
        ("POST /v1/observations", {"account": "mail", "operation": "receipt", "body": PERSON}),
        ("POST /v1/search", {"recipient": PERSON}),
        ("POST /v1/search", {"status": PERSON}),
        ("POST /v1/search", {"cursor": NUMBER}),
        ("POST /v1/labels/deliveries", {"label": PERSON}),
        (f"GET /v1/messages/{PERSON}", None),
        (f"GET /v1/messages/{message}/{PERSON}", None),
        (f"GET /v1/messages/{message}?recipient={PERSON}", None),
        (f"GET /v1/messages/{message}?min_position={NUMBER}x", None),
        (f"GET /{PERSON}?{NUMBER}", None),
        (f"DELETE /v1/accounts/{PERSON}/keys/{NUMBER}", None),
        ("POST /v1/accounts/sms/keys", {"key_id": PERSON, "secret": NUMBER}),
        ("POST /v1/accounts", {"account": f"x{NUMBER}", "provider": PERSON}),
        (f"GET /v1/providers/x{NUMBER}", None),
        (f"PATCH /v1/{PERSON}", None),
    ]
    replies = [await api.call(where, json=body) for where, body in asked]
    lines = b"\n".join(
        json.dumps({"account": "sms", **record, name: PERSON}).encode() for name in ("kind", "status", PERSON)
    )
    replies.append(
        await api.call("POST /v1/observations", data=lines, headers={"Content-Type": "application/x-ndjson"})
    )
    replies.append(await api.call(URL, scopes=(), data=REPORT + NUMBER.encode(), headers=kpn(REPORT)))
    replies.append(await api.call(URL, scopes=(), data=REPORT, headers={**kpn(REPORT), "X-KPN-Webhook-Key-Id": PERSON}))
    replies.append(
        await api.call("GET /v1/accounts", scopes=(), headers={"X-Api-Key": PERSON, "Idempotency-Key": NUMBER})
    )
    for line in (
        f"GET /{PERSON} HTTP/9.9",
        f"{PERSON} / HTTP/1.1",
        f"GET / HTTP/1.1\r\nBad Header {PERSON}: x",
        PERSON,
    ):
        await _raw(api, f"{line}\r\nHost: x\r\n\r\n")
    return replies


async def test_nothing_personal_leaves_by_logs_metrics_or_problems(logs: io.StringIO, sqlite_api: Api) -> None:
    """As `serve` logs: every line on stderr, every metric, every problem, every header of an answer."""
    sqlite_api.account("sms", "kpn_sms", wk_1=b"first secret")
    sqlite_api.account("mail", "pec_mailbox")
    replies = await _everything(sqlite_api)
    problems = [r for r in replies if r.status >= 400]
    assert len(problems) > 15
    metrics = (await sqlite_api.call("GET /metrics", scopes=())).body.decode()
    logged = logs.getvalue()
    assert '"route":"/v1/messages/{message}"' in logged
    assert "refused a request that is not HTTP" in logged
    told = [logged, metrics, *(r.body.decode() for r in problems), *(str(r.headers) for r in replies)]
    told += [line for r in replies if r.headers["Content-Type"].endswith("ndjson") for line in [r.body.decode()]]
    assert [] == [
        (value, text[max(0, text.find(value) - 200) :][:400]) for text in told for value in PLANTED if value in text
    ]
    assert [] == [line for line in metrics.splitlines() if TENANT in line or '"sms"' in line]


async def test_access_log_names_route_key_and_status(logs: io.StringIO, sqlite_api: Api) -> None:
    """What an operator needs to find a request, and the id that the answer carries."""
    reply = await sqlite_api.call("GET /v1/providers/pec_mailbox", scopes=("read",))
    lines = [json.loads(line) for line in logs.getvalue().splitlines() if "/v1/providers/{provider}" in line]
    expected = ("GET", 200, sqlite_api.key("read").partition(".")[0], reply.headers["X-Request-Id"])
    assert [expected] == [(line["method"], line["status"], line["key"], line["request"]) for line in lines]
