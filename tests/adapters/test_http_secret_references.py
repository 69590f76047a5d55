"""Names that open something to whoever knows them are shown to few."""

from __future__ import annotations

import json

import pytest

from tests.adapters.conftest import Api

TOKEN = "K.QZ7t-x"  # a ticket of the sandbox
URL = f"https://omgeving.example/webservice/dashboard/?ticket_token={TOKEN}&action=ticket_html"


async def _ticket(api: Api) -> str:
    """A registered e-mail whose ticket is known from the provider's answer; its message."""
    api.account("mail", "kpn_registered_email")
    request = {"recipient_email": "m.jansen@bedrijf.example", "x-own-id": "dossier-78"}
    reply = await api.observe(
        account="mail",
        operation="send",
        observed_at="2026-03-02T10:00:01Z",
        status=200,
        request=json.dumps(request),
        body=json.dumps({"ticket_token": TOKEN, "ticket_url": URL, "message": "OK"}),
    )
    assert 201 == reply.status
    (event,) = api.events("submission.accepted")
    return str(event.stream).partition("/")[0]


@pytest.mark.parametrize("scope", ["read", "compliance"])
@pytest.mark.parametrize("what", ["", "/trail", "/deliveries/0/trail"])
async def test_a_ticket_token_is_masked_for_who_may_not_see_originals(sqlite_api: Api, scope: str, what: str) -> None:
    """Of the token two characters are left, of its address nothing; with the scope for evidence both are shown."""
    message = await _ticket(sqlite_api)
    path = f"GET /v1/messages/{message}{what}"
    masked = (await sqlite_api.call(path, scopes=(scope,))).body.decode()
    shown = (await sqlite_api.call(path, scopes=(scope, "evidence"))).body.decode()
    assert (0, True) == (masked.count(TOKEN), TOKEN in shown)
    assert '"K.…"' in masked
    assert "dossier-78" in masked


async def test_the_tag_of_a_masked_answer_is_its_own(sqlite_api: Api) -> None:
    """Who held the masked answer does not take it for the whole one."""
    message = await _ticket(sqlite_api)
    path = f"GET /v1/messages/{message}"
    masked = await sqlite_api.call(path, scopes=("read",))
    held = {"If-None-Match": masked.headers["ETag"]}
    whole = await sqlite_api.call(path, scopes=("read", "evidence"), headers=held)
    assert (200, 304) == (whole.status, (await sqlite_api.call(path, scopes=("read",), headers=held)).status)
