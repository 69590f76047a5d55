"""Webhooks of providers: no API key, the provider's own signature instead.

2xx only when the bytes are durable, 5xx for "send it again", 4xx only for a proven bad request. What fails verification goes to the
quarantine beside the log; for an unknown or closed account nothing is read and nothing is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

from adapters.accounts import Account
from adapters.http.dispatch import CALLER, STATE, in_thread, read_body, respond
from adapters.http.errors import WebhookSignatureError
from adapters.http.problems import kind_of
from adapters.http.routes import NO_KEY, Answer, Call, NoQuery, route
from adapters.http.telemetry import Metrics
from adapters.http.types import Received
from adapters.providers import registry
from adapters.providers.contract import Provider
from adapters.receiving import read, verified
from ledger.errors import BusyError, LedgerError, NotFoundError
from ledger.observations import Arrival, ArrivalKind, Verdict

LOG = logging.getLogger(__name__)
ANY_MEDIA = {"*/*": bytes}
UNKNOWN = "no webhook is expected here; the URL is shown by: delivery-ledger accounts check ACCOUNT"


class _Hook(NamedTuple):
    """A webhook address that exists, and the secrets by key id; `operation` is "" where the URL does not name it."""

    account: Account
    secrets: Mapping[str, bytes]
    provider: Provider
    operation: str


@route(
    "POST /v1/hooks/{tenant}/{account}",
    scopes=NO_KEY,
    reads=ANY_MEDIA,
    answers={200: Received},
    problems=(401, 404),
)
async def hook(request: web.Request, call: Call[NoQuery, None]) -> web.StreamResponse:
    """Receive a webhook of the account's provider; which operation it is, is seen from its body.

    The provider's signature is the only credential. A repeated delivery is answered like the first.
    """
    return await _receive(request, call)


@route(
    "POST /v1/hooks/{tenant}/{account}/{operation}",
    scopes=NO_KEY,
    reads=ANY_MEDIA,
    answers={200: Received},
    problems=(401, 404),
)
async def hook_of_operation(request: web.Request, call: Call[NoQuery, None]) -> web.StreamResponse:
    """Receive a webhook of one operation, as `accounts check` shows the URL."""
    return await _receive(request, call)


async def _receive(request: web.Request, call: Call[NoQuery, None]) -> web.StreamResponse:
    found = await in_thread(request, _find, call)
    request[CALLER] = "webhook"
    body = await read_body(request)
    return await respond(request, await in_thread(request, _take, request.app[STATE].metrics, call, found, body))


def _find(call: Call[Any, Any]) -> _Hook:
    """The webhook that a URL names, before anything of the request is read."""
    found = call.services.accounts.receiving(call.path["tenant"], call.path["account"])
    if found is None:
        raise NotFoundError(UNKNOWN)
    account, secrets = found
    provider = registry()[account.provider]
    operation = call.path.get("operation", "")
    if provider.verify is None or (operation and operation not in provider.signed_operations):
        raise NotFoundError(UNKNOWN)
    return _Hook(account, secrets, provider, operation)


def _take(metrics: Metrics, call: Call[Any, Any], hook: _Hook, body: bytes) -> Answer:
    """Verify, admit, and answer when it is durable."""
    services, provider, tenant = call.services, hook.provider, hook.account.tenant
    now = services.ledger.clock()
    arrival = Arrival(
        provider=provider.name,
        account=hook.account.account,
        operation=hook.operation or _operation(provider, body),
        kind=ArrivalKind.WEBHOOK,
        observed_at=now,
        headers={name: value for name, value in call.headers.items() if name in provider.headers},
        body=body,
    )
    arrival, checked = verified(arrival, hook.secrets, now)
    if checked.verdict is not Verdict.VERIFIED:
        services.quarantine.keep(tenant, arrival, checked.why)
        metrics.arrivals.labels(provider.name, "webhook", "refused").inc()
        msg = f"no key of this account verifies it: {checked.why}"
        raise WebhookSignatureError(msg)
    outcome = services.intake.admit([read(tenant, arrival)])[0]
    if isinstance(outcome, Exception):
        raise _again(outcome)
    metrics.arrivals.labels(provider.name, "webhook", "new" if outcome.is_new else "known").inc()
    return Answer(b'{"received":true}')


def _operation(provider: Provider, body: bytes) -> str:
    """What the bytes look like; where that is no signed operation, the first one: what it cannot read waits in its lane."""
    signed = sorted(provider.signed_operations)
    seen = provider.recognise("", body)
    return seen if seen in signed else signed[0]


def _again(error: Exception) -> Exception:
    """Good bytes that could not be stored are never the provider's fault: it must send them again."""
    if kind_of(error).status >= 500:
        return error
    LOG.error("a verified webhook could not be stored: %s", type(error).__name__)
    return BusyError() if isinstance(error, LedgerError) else error
