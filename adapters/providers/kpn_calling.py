"""How the KPN products are called: the token, the credentials, and what an answer to a send means for the send.

What an answer says of a message is read in `kpn_platform`, from the same tables: what is done after an answer and what is said of it
agree. KPN gives no idempotency key and no way to ask for a call by a name of ours. The quota is counted by KPN; its headers stand beside
every stored answer, and one that is used up is waited for until its own period ends.

Source: https://developer.kpn.com/documentation-response-headers, the getting-started pages, and the SwaggerHub definitions, July 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode, urljoin

import msgspec

from adapters.providers.calling import Access, Answer, CallFailedError, Request, Row, Verdict, Wait
from adapters.providers.contract import Retry, Word
from adapters.providers.kpn_platform import ERRORS, HTTP, Product, count, json_repaired, known_code, read_failure
from adapters.providers.reading import json_object, text
from ledger.observations import UnreadableError

HOST = "https://api-prd.kpn.com"
TOKEN_PATH = "/oauth/client_credential/accesstoken?grant_type=client_credentials"  # noqa: S105  an address
"""On the host of the product."""

SECRETS = {
    "client_id": "Client ID of the project in KPN's developer portal (App Consumer Key)",
    "client_secret": "Client Secret of the same project (App Consumer Secret)",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account at any KPN product may say; a product adds its own.

    Attributes:
        base_url: of the product; the token service is on the same host. Test and production differ by the project, not by the address.
        allow_plain_http: for tries on one's own network only.
    """

    base_url: str
    allow_plain_http: bool = False


# --- the token


def token_request(access: Access) -> Request:
    """The call that fetches a token; there is no refresh, a new one is asked for instead."""
    form = urlencode({name: access.secrets[name] for name in SECRETS})
    return Request(
        operation="token",
        url=urljoin(access.settings.base_url, TOKEN_PATH),
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
        body=form.encode(),
        kept=b"",
        may_send=False,
        timeout_s=30.0,
    )


def read_token(answer: Answer) -> tuple[str, float]:
    """The token, and for how many seconds it holds; every value of the answer is a string, numbers too.

    Raises:
        CallFailedError: there is none in the answer.
    """
    try:
        said = json_object(answer.body)
    except UnreadableError:
        said = {}
    token = text(said.get("access_token")).strip()
    if answer.status != 200 or not token:
        msg = f"the token service answered {answer.status}, {known_code(read_failure(said)) or 'no known error'}"
        raise CallFailedError(msg)
    return token, float(count(said.get("expires_in")) or 0)


def authorise(asked: Request, access: Access) -> Request:
    """The request with its token."""
    return replace(asked, headers={**asked.headers, "authorization": f"Bearer {access.token}"})


# --- what an answer to a send means

_MEANS: dict[Retry, tuple[Verdict, Wait]] = {
    "never": ("refused", ""),
    "later": ("later", "retry_after"),
    "person": ("later", "hour"),
    "unclear": ("unclear", ""),
}
"""What a sender may do -> what becomes of the call. What a person must repair is tried again each hour: nothing was sent."""

_TYPES: dict[str, Verdict] = {"submission.rejected": "refused", "dispatch.unclear": "unclear"}

QUOTA: dict[str, Wait] = {"minute": "minute", "hour": "hour", "day": "day", "week": "day", "month": "month"}
"""`quota-time-unit` -> until when to wait. KPN counts in UTC. After several units (`quota-interval`) or a week one tries too early,
and is refused once more."""


def _row(status: str, code: str, word: Word) -> Row:
    verdict, wait = _MEANS[word.retry]
    return Row(status, code, verdict, word.meaning, wait, word.source)


def answers(product: Product) -> tuple[Row, ...]:
    """The table of answers to a send of a product: the body's own code first, because a gateway may replace the HTTP status."""
    kind, note = product.without_id
    http = tuple(word for word in HTTP if word.type)
    return (
        *(Row("", f"quota_{u}", "later", f"the quota of this {u} is used up", wait, "R") for u, wait in QUOTA.items()),
        *(_row("", word.word, word) for word in (*ERRORS, *http)),
        *(_row(word.word, "", word) for word in http),
        Row("2xx", "ok", "sent", f"the answer names the {product.id_kind}", source="R"),
        Row("2xx", note, _TYPES[kind], f"the answer names no {product.id_kind}", source="R"),
        Row("2xx", "", "unclear", "a success in which nothing can be read"),
    )


def code(product: Product) -> Callable[[Request, Answer], str]:
    """What `answers` calls an answer: `ok`, the note of a success without id, a code of the tables, `quota_<unit>`, or ""."""

    def of(_request: Request, answer: Answer) -> str:
        try:
            body = json_repaired(answer.body)[0]
        except UnreadableError:
            body = None
        failure = read_failure(body or {})
        known = known_code(failure)
        if known or not 200 <= answer.status < 300:
            return _quota_code(answer) or known
        if body and product.read_id(body):
            return "ok"
        return "" if body is None or failure else product.without_id[1]

    return of


def _quota_code(answer: Answer) -> str:
    """`quota_<unit>` when the quota of that unit is used up and nothing more exact is said, else ""."""
    said = answer.headers
    used, limit, unit = count(said.get("quota-used")), count(said.get("quota-limit")), said.get("quota-time-unit", "")
    is_used_up = answer.status == 429 and used is not None and limit is not None and used >= limit
    unit = unit.strip().lower()
    return f"quota_{unit}" if is_used_up and unit in QUOTA and "retry-after" not in said else ""
