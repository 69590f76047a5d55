"""What the KPN products share: return codes, error envelopes, quota headers, and how a send call is answered.

Not a provider: the folders `kpn_*` use it. KPN's gateway is Apigee; an error may come from the gateway, from KPN's
proxy behind it, from the token endpoint, or from the product, each in its own envelope. Calls are made in `kpn_calling`.

Source: https://developer.kpn.com/documentation-response-headers and the SwaggerHub definitions of KPN, July 2026.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from adapters.providers.contract import Operation, Word
from adapters.providers.reading import fingerprint, json_object, repaired, text
from ledger.observations import Address, Arrival, Fingerprint, Observation, ProviderTime, Reference, UnreadableError

HTTP: tuple[Word, ...] = (
    Word("200", "", "success; the body decides", "R"),
    Word("201", "", "created; the body decides", "R"),
    Word("202", "", "accepted; the body decides", "R"),
    Word("302", "dispatch.unclear", "found elsewhere; nobody followed", "R", retry="unclear"),
    Word("400", "submission.rejected", "bad request", "R", retry="never"),
    Word("401", "submission.rejected", "unauthorized", "R", retry="person", note="also for want of the product"),
    Word("403", "submission.rejected", "forbidden", "R", retry="person", note="also for want of the product"),
    Word("404", "submission.rejected", "not found", "R", retry="person"),
    Word("405", "submission.rejected", "method not allowed", "R", retry="person"),
    Word("412", "submission.rejected", "precondition failed", "R", retry="never"),
    Word("429", "submission.rejected", "too many requests; the quota headers say when", "R", retry="later"),
    Word("500", "dispatch.unclear", "internal server error", "R", retry="unclear", note="also said of bad tokens"),
    Word("502", "dispatch.unclear", "bad gateway", "R", retry="unclear"),
    Word("503", "dispatch.unclear", "service unavailable", "R", retry="unclear"),
    Word("3xx", "dispatch.unclear", "any other redirection", "A", retry="unclear"),
    Word("4xx", "submission.rejected", "any other refusal", "A", retry="never"),
    Word("5xx", "dispatch.unclear", "any other failure of the server", "A", retry="unclear"),
)

ERRORS: tuple[Word, ...] = (
    Word("oauth.v2.InvalidAccessToken", "submission.rejected", "the token is not valid", "3P", retry="later"),
    Word("oauth.v2.AccessTokenExpired", "submission.rejected", "the token has expired", "3P", retry="later"),
    Word("keymanagement.service.invalid_access_token", "submission.rejected", "token unknown", "3P", retry="later"),
    Word("policies.ratelimit.QuotaViolation", "submission.rejected", "the quota is used up", "C", retry="later"),
    Word("invalid_client", "submission.rejected", "client id or secret is wrong", "3P", retry="person"),
    Word("ApplicationNotFound", "submission.rejected", "no product has this path", "3P", retry="person"),
    Word(
        "messaging.adaptors.http.flow.ApplicationNotFound",
        "submission.rejected",
        "no product has this path",
        "CMP",
        retry="person",
        note="Apigee writes the code with this prefix; seen without it at KPN by a third party",
    ),
)
"""Codes that name the cause ("later" after a bad token means: with a new one). They beat the HTTP
status: a bad token may come as 500 and is a refusal all the same."""

_ROWS: Mapping[str, Word] = {row.word: row for row in HTTP + ERRORS if row.type}

QUOTA_HEADERS = frozenset({"quota-limit", "quota-interval", "quota-time-unit", "quota-used", "quota-reset-utc"})
HEADERS = QUOTA_HEADERS | {"api-version", "content-type", "sunset"}

TOKEN = Operation(
    "token",
    "POST /oauth/client_credential/accesstoken",
    "out_of_scope",
    "its answer is a credential and says nothing of a message",
    "R",
)

NOTES = {
    "answer_unreadable": "the answer to our call was not a JSON object; the HTTP status alone speaks",
    "no_answer": "our call was not answered, or with nothing",
    "not_ok": "the answer names an id and yet does not say OK",
    "request_unreadable": "our own request, or a document in it, could not be read again",
    "sunset_announced": "KPN announces the end of this version of its API; the texts say when",
    "text_repaired": "U+0000 or a lone surrogate was replaced by U+FFFD",
    "time_unreadable": "the provider's time could not be read; it stands in the texts",
}


MAX_ROWS = 100_000
"""A body of 30 MB may name millions of rows; no message here has more recipients, and no ticket more steps."""


class Envelope(NamedTuple):
    """One of the shapes in which an error comes.

    Attributes:
        holder: the member of the body that holds it, or "" for the body itself.
        marks: members of which one must be there.
        codes: paths of the code; the first that a table knows decides.
        texts: field of Observation.texts -> path.
    """

    holder: str
    marks: frozenset[str]
    codes: tuple[tuple[str, ...], ...]
    texts: Mapping[str, tuple[str, ...]]


_KPN_MARKS = frozenset({"transactionId"})
_KPN_CODES = (("status",), ("name",))
_KPN_TEXTS = {"text": ("message",), "name": ("name",), "info": ("info",), "transaction_id": ("transactionId",)}

ENVELOPES: tuple[Envelope, ...] = (
    Envelope("fault", frozenset({"faultstring", "detail"}), (("detail", "errorcode"),), {"text": ("faultstring",)}),
    Envelope("error", _KPN_MARKS, _KPN_CODES, _KPN_TEXTS),
    Envelope("", _KPN_MARKS, _KPN_CODES, _KPN_TEXTS),
    Envelope("errorResponse", frozenset({"code"}), (("code",),), {"text": ("message",), "info": ("info",)}),
    Envelope("", frozenset({"ErrorCode"}), (("ErrorCode",),), {"text": ("Error",)}),
)


class Failure(NamedTuple):
    """An error as the provider put it: its codes, best first, and its texts."""

    codes: tuple[str, ...]
    texts: Mapping[str, str]


class Request(NamedTuple):
    """What a send request of ours says of the message."""

    references: tuple[Reference, ...] = ()
    batch: Reference | None = None
    declares: tuple[Address, ...] = ()
    documents: tuple[Fingerprint, ...] = ()
    texts: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """How one product is asked to send, and answers.

    Attributes:
        id_kind: kind of the reference that a successful answer carries.
        read_id: finds that id in the answer; "" when it is not there.
        read_request: reads our request.
        without_id: type and note of a success that carries no id.
        ok_field: member that says "OK" on success, or "".
        texts: members of the answer that go to the texts.
    """

    id_kind: str
    read_id: Callable[[dict[str, Any]], str]
    read_request: Callable[[dict[str, Any]], Request]
    without_id: tuple[str, str]
    ok_field: str = ""
    texts: tuple[str, ...] = ()


def json_repaired(body: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The JSON object in the body, storable, and the note that says so when something was replaced.

    Raises:
        UnreadableError: the body is no JSON object.
    """
    given = json_object(body)
    if b"\\u" not in body:  # UTF-8 holds no lone surrogates, and JSON no bare U+0000
        return given, ()
    fit: dict[str, Any] = repaired(given)
    return fit, () if fit == given else ("text_repaired",)


def bounded(rows: list[Any]) -> list[Any]:
    """The rows, when a provider may have meant that many.

    Raises:
        UnreadableError: there are more than MAX_ROWS.
    """
    if len(rows) > MAX_ROWS:
        msg = f"{len(rows)} rows; at most {MAX_ROWS} are read"
        raise UnreadableError(msg)
    return rows


def filled(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts that say something."""
    return {name: value for name, value in texts.items() if value.strip()}


def time_said(said: str, occurred: ProviderTime | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Text and note for a time that is there and could not be read."""
    return ({}, ()) if occurred or not said.strip() else ({"time": said}, ("time_unreadable",))


def count(value: object) -> int | None:
    """A small count (pages, parts, attempts) given as a number or as digits; anything else is none."""
    digits = text(value).strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 6 else None


def fingerprints(documents: Iterable[tuple[str, str]]) -> tuple[tuple[Fingerprint, ...], tuple[str, ...]]:
    """Digests of the documents of a request, given as (name, base64 text), and a note when one is not base64."""
    found: list[Fingerprint] = []
    notes: set[str] = set()
    for name, content in documents:
        try:
            found.append(fingerprint(name, content))
        except UnreadableError:
            notes.add("request_unreadable")
    return tuple(found), tuple(notes)


def _at(value: object, path: tuple[str, ...]) -> str:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return text(value).strip()


def read_failure(body: Mapping[str, Any]) -> Failure | None:
    """The error that the body carries in one of the envelopes, or None."""
    for envelope in ENVELOPES:
        held = body.get(envelope.holder) if envelope.holder else body
        if isinstance(held, Mapping) and envelope.marks & held.keys():
            codes = tuple(code for code in (_at(held, path) for path in envelope.codes) if code)
            return Failure(codes, filled({name: _at(held, path) for name, path in envelope.texts.items()}))
    return None


def known_code(failure: Failure | None) -> str:
    """The first of an error's codes that a table knows, or ""."""
    return next((code for code in (failure.codes if failure else ()) if code in _ROWS), "")


def sunset(arrival: Arrival) -> tuple[Observation, ...]:
    """That the end of the API's version is announced in the headers of an answer: a fact about the account, once.

    Source: https://developer.kpn.com/documentation-response-headers: `n/a` by default.
    """
    said, version = (arrival.headers.get(name, "").strip() for name in ("sunset", "api-version"))
    if said.casefold() in {"", "n/a"}:
        return ()
    noted = Observation(
        type="account.setting_changed",
        about="account",
        identity=("sunset", version, said),
        texts=filled({"sunset": said, "api_version": version}),
        notes=("sunset_announced",),
    )
    return (noted,)


def _answered(arrival: Arrival) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    if not arrival.body.strip():
        return None, ("no_answer",)
    try:
        return json_repaired(arrival.body)
    except UnreadableError:
        if arrival.status is None:
            raise
        return None, ("answer_unreadable",)


def _asked(arrival: Arrival, product: Product) -> Request:
    if arrival.request is None:
        return Request()
    try:
        body, notes = json_repaired(arrival.request)
        asked = product.read_request(body)
    except UnreadableError:
        return Request(notes=("request_unreadable",))
    return asked._replace(notes=notes + asked.notes)


def _http_row(status: int | None) -> Word | None:
    """The row of a status that is no success, else None."""
    if status is None or 200 <= status < 300:
        return None
    return _ROWS.get(str(status)) or _ROWS.get(f"{status // 100}xx") or _ROWS["5xx"]


def _row(arrival: Arrival, failure: Failure | None) -> Word | None:
    """What decides: the body's own code before the HTTP status, because a gateway may replace only the latter."""
    return _ROWS.get(known_code(failure)) or _http_row(arrival.status)


def _not_ok(product: Product, body: Mapping[str, Any]) -> str:
    said = text(body.get(product.ok_field)) if product.ok_field else ""
    return "" if said == "OK" else said


def _outcome(
    product: Product, body: dict[str, Any] | None, failure: Failure | None, ident: str
) -> tuple[str, tuple[str, ...]]:
    """Type and notes where no code and no HTTP status decided."""
    if body and ident:
        return "submission.accepted", ("not_ok",) if _not_ok(product, body) else ()
    if body is None or failure:
        return "dispatch.unclear", ()
    return product.without_id[0], (product.without_id[1],)


def _identity(arrival: Arrival, kind: str, ident: str) -> tuple[str, ...]:
    """An accepted message is one object; each refused or unanswered call is one too, even with the same answer."""
    if ident and kind == "submission.accepted":
        return ("send", ident, kind)
    if arrival.request is None:
        return ()
    return ("send", hashlib.sha256(arrival.request).hexdigest(), arrival.observed_at.isoformat(), kind)


def _answer_texts(product: Product, body: Mapping[str, Any], failure: Failure | None) -> dict[str, str]:
    texts = {name: text(body.get(name)) for name in product.texts}
    if failure is None:
        return {**texts, product.ok_field: _not_ok(product, body)}
    unknown = "" if known_code(failure) else " ".join(failure.codes[:1])
    return {**texts, **failure.texts, "code": unknown}


def read_send(arrival: Arrival, product: Product) -> tuple[Observation, ...]:
    """The answer to a send call of ours, as one observation; a second one when KPN announces the end of this API.

    Raises:
        UnreadableError: the body is no JSON object and no HTTP status says more.
    """
    body, body_notes = _answered(arrival)
    asked = _asked(arrival, product)
    failure = read_failure(body or {})
    ident = product.read_id(body or {})
    row = _row(arrival, failure)
    kind, notes = (row.type, ()) if row else _outcome(product, body, failure, ident)
    return (
        Observation(
            type=kind,
            references=((Reference(product.id_kind, ident),) if ident else ()) + asked.references,
            batch=asked.batch,
            declares=asked.declares,
            documents=asked.documents,
            code=row.word if row else "",
            identity=_identity(arrival, kind, ident),
            texts=filled({**asked.texts, **_answer_texts(product, body or {}, failure)}),
            notes=tuple(dict.fromkeys(body_notes + asked.notes + notes)),
        ),
        *sunset(arrival),
    )
