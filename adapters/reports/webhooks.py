"""Webhooks that tell of a report, signed as the Standard Webhooks specification has it (version 1.0: HMAC-SHA256, `v1`).

HTTPS only, and only where `reaching` lets us; plain HTTP to this machine, where that is allowed. No redirect is
followed. Keys lie sealed beside the log, several at once while one follows the other: a webhook is signed with each.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ssl
from collections.abc import Mapping

import aiohttp
from yarl import URL

from adapters import reaching
from adapters.accounts import Accounts
from adapters.strictjson import refuse
from ledger.errors import LedgerError
from ledger.events import CLEAR, time_text
from ledger.sealing import KEY_BYTES, seal

TIMEOUT_S = 30.0
SECRET_PREFIX = "whsec_"  # noqa: S105  of every such secret
PSEUDO_ACCOUNT = "report-webhooks"
"""Under which the keys lie beside the webhook secrets of real accounts."""


class WebhookError(LedgerError):
    """The webhook was not taken."""


class GoneError(WebhookError):
    """The address says that it wants no more of them."""


# --- where they may go


def why_not(url: str) -> str:
    """Why a webhook may not go to a URL, in words; "" when it may, as far as can be told without asking for its address."""
    try:
        parsed = URL(url)
        host = parsed.host or ""
    except ValueError:
        return "not a URL"
    if parsed.scheme not in {"https", "http"} or not host or not url.isprintable() or " " in url:
        return "not an https:// URL"
    if parsed.raw_user is not None or parsed.raw_password is not None or parsed.fragment:
        return "a URL without credentials and fragment"
    if parsed.scheme == "http" and not reaching.is_loopback(host):
        return "plain http:// would show it to everybody on the way; use https://"
    return reaching.why_not(host)


# --- signing and sending


def signed(keys: Mapping[str, bytes], number: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook.

    Args:
        number: its id; the same for every try.
        at_s: when this try is made, Unix seconds.
    """
    said = f"{number}.{at_s}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, said, "sha256")).decode() for key in keys.values())
    return {
        "content-type": "application/json",
        "user-agent": "delivery-ledger",
        "webhook-id": number,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def send(url: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext) -> None:
    """Post a webhook; blocks until it is taken.

    Raises:
        GoneError: 410, or it may not go there (any more).
        WebhookError: it was not taken; says why without quoting the other side.
    """
    why = why_not(url)
    if why:
        raise GoneError(why)
    try:
        status = asyncio.run(_post(url, headers, body, tls))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        msg = f"the webhook was not taken: {type(error).__name__}"
        raise WebhookError(msg) from error
    if status == 410:
        msg = "the webhook's address answered 410: it wants no more"
        raise GoneError(msg)
    if not 200 <= status < 300:
        msg = f"the webhook's address answered {status}"
        raise WebhookError(msg)


async def _post(url: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext) -> int:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with (
        aiohttp.ClientSession(connector=reaching.connector(tls), timeout=timeout) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


# --- keys


def keys(accounts: Accounts, tenant: str) -> dict[str, bytes]:
    """The keys in use, by name."""
    return accounts.secrets(tenant, PSEUDO_ACCOUNT)


def add_key(accounts: Accounts, tenant: str, name: str, actor: str) -> str:
    """Make a key; it is shown this once, in the form that verifiers of Standard Webhooks take.

    Raises:
        InvalidError: the name cannot be one, or is taken.
    """
    if not CLEAR["key_id"](name):
        refuse("key_id", "letters, digits and '_.:-' only, at most 63")
    if name in keys(accounts, tenant):
        refuse("key_id", "there is a key of that name; retire it first, or take another name")
    ledger = accounts.ledger
    secret, key_id, key = ledger.random(KEY_BYTES), ledger.random(16), ledger.random(KEY_BYTES)
    row = (key_id, ledger.keyring.wrap(key_id, key), seal(key, secret, key_id), time_text(ledger.clock()))
    with ledger.database.writing() as cursor:
        sql = "INSERT INTO account_secrets VALUES (?,?,?,?,?,?,?)"
        cursor.execute(sql, (tenant, PSEUDO_ACCOUNT, name, *row))
    accounts.record("account.key_added", tenant, PSEUDO_ACCOUNT, actor, {"key_id": name})
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def retire_key(accounts: Accounts, tenant: str, name: str, actor: str) -> None:
    """Destroy a key.

    Raises:
        NotFoundError: there is none of that name.
    """
    accounts.retire_secret(tenant, PSEUDO_ACCOUNT, name, actor)
