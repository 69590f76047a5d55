"""Evidence packs over HTTP: who may have one, what is in it, and that its leaving is recorded."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from adapters.evidence import verify
from adapters.evidence.verify import EXIT_VOUCHED, Trust
from tests.adapters.conftest import Api


async def test_a_pack_over_http_verifies_and_its_export_is_recorded(api: Api, tmp_path: Path) -> None:
    """One request gives the sealed pack of one message; the event names who asked."""
    api.account()
    message = await api.send()
    reply = await api.call(f"POST /v1/messages/{message}/evidence", json={"language": "nl"})
    assert (200, "application/vnd.etsi.asic-e+zip") == (reply.status, reply.headers["Content-Type"]), reply.body[:500]
    assert f'filename="evidence-{message}-' in reply.headers["Content-Disposition"]
    path = tmp_path / "pack.asice"
    path.write_bytes(reply.body)
    keys = [verify.parse_key(key.vkey()) for key in api.system.identity.keys]
    assert EXIT_VOUCHED == verify.verify(str(path), Trust(keys=keys)).exit_code
    event = api.events("evidence.exported")[-1]
    assert [message] == event.fields["streams"]
    assert event.fields["actor"].startswith("key_")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"recipients": [7]}, 404),
        ({"at": 999_999}, 404),
        ({"recipients": []}, 422),
        ({"language": "xx"}, 422),
        ({"include_shared": True, "reason": " "}, 422),
        ({"fields": ["../x"]}, 422),
        ({"other": 1}, 422),
    ],
)
async def test_what_cannot_be_given_is_refused_and_not_recorded(
    api: Api, asked: dict[str, object], status: int
) -> None:
    """A refusal leaves no trace of an export that never happened."""
    api.account()
    message = await api.send()
    reply = await api.call(f"POST /v1/messages/{message}/evidence", json=asked)
    assert status == reply.status, reply.body
    assert [] == api.events("evidence.exported")


async def test_a_pack_needs_the_evidence_scope_and_the_own_tenant(api: Api) -> None:
    """Reading statuses is not enough; another tenant's message is not there."""
    api.account()
    message = await api.send()
    where = f"POST /v1/messages/{message}/evidence"
    assert 403 == (await api.call(where, scopes=("read",), json={})).status
    assert 401 == (await api.call(where, scopes=(), json={})).status
    assert 404 == (await api.of("other").call(where, json={})).status
    assert 404 == (await api.call(f"POST /v1/messages/{uuid4()}/evidence", json={})).status
    assert [] == api.events("evidence.exported")
