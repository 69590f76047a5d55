"""Tokens of openapi.com, both generations: what is asked for, and what the answer says.

Source: the OpenAPI documents "oauth" (`POST /token`) and "oauthv2" (`POST /tokens`) of openapi.com.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import urlsplit

from adapters.providers.calling import Access, Answer, CallFailedError, Request
from adapters.providers.pec_massiva.answers import decode
from adapters.providers.pec_massiva.settings import Settings
from adapters.providers.reading import text, time_epoch, time_iso
from ledger.observations import UnreadableError, ZoneBasis

SCOPES = ("POST:{}/send", "GET:{}/send", "DELETE:{}/send", "GET:{}/inbox", "DELETE:{}/inbox", "GET:{}/quota")
TTL_S = 86_400


def request(access: Access) -> Request:
    """The call that fetches a token for all six operations."""
    settings: Settings = access.settings
    host = settings.scope_host or urlsplit(settings.base_url).netloc
    asked = {"scopes": [scope.format(host) for scope in SCOPES], "ttl": TTL_S}
    pair = f"{access.secrets['email']}:{access.secrets['api_key']}".encode()
    headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}", "content-type": "application/json"}
    body = json.dumps(asked).encode()
    return Request(operation="token", url=settings.token_url(), headers=headers, body=body, kept=b"", may_send=False)


def read(answer: Answer) -> tuple[str, float]:
    """The token, and for how many seconds it holds.

    Raises:
        CallFailedError: there is none in the answer.
    """
    try:
        said = decode(answer.body)
    except UnreadableError:
        said = {}
    token = text(said.get("token"))
    if answer.status not in {200, 201} or not token:
        msg = f"the token service answered {answer.status}, error {text(said.get('error')) or 'unknown'}"
        raise CallFailedError(msg)
    until = time_epoch(said["expire"]) if "expire" in said else time_iso(text(said.get("expireAt")), ZoneBasis.ASSUMED)
    return token, (until.at - answer.at).total_seconds() if until else float(TTL_S)


def authorise(asked: Request, access: Access) -> Request:
    """The request with its token; the mailbox is opened by headers, except in a send, where the body opens it."""
    headers = {**asked.headers, "authorization": f"Bearer {access.token}"}
    if asked.operation != "send":
        headers |= {"x-username": access.secrets["username"], "x-password": access.secrets["password"]}
    return replace(asked, headers=headers)
