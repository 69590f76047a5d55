"""One table from errors to RFC 9457 problem details. A problem says what to do and quotes nothing personal."""

from __future__ import annotations

import logging
import traceback
from typing import NamedTuple

import msgspec
from eventsourcing.persistence import InterfaceError, OperationalError

from adapters.http import errors as http
from adapters.lanes import StillWaitingError
from adapters.outbox import ActRefusedError
from adapters.partial import PartialSearchError
from adapters.reports.register import ChangedError
from adapters.reports.saved import NotOwnerError
from adapters.sampling import BehindError, SecretError
from adapters.sending import NotSendableError
from adapters.settling import OvertakenError, SettlingRefusedError
from adapters.strictjson import InvalidError, NotJsonError, RefusedError
from ledger import errors as ledger
from ledger.identity import NotLeaderError
from projections.discretion import ProtectedError

LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """How one kind of error is answered.

    Attributes:
        slug: end of the type URI `/problems/…`.
        title: the same for every occurrence.
        advice: what to do; with `speaks`, added to the error's own text, which is safe to show.
        speaks: whether the error's text is shown.
        retry_after_s: 0 when trying again gives the same answer.
    """

    status: int
    slug: str
    title: str
    advice: str = ""
    speaks: bool = True
    retry_after_s: int = 0


class FieldError(msgspec.Struct, frozen=True):
    """One field that cannot be taken."""

    field: str
    why: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details.

    Attributes:
        type: relative to this API; a page there explains the kind.
        instance: id of the request, as in the log and in the header X-Request-Id.
        errors: fields that cannot be taken.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    errors: tuple[FieldError, ...] = ()


_AGAIN = "send the request again in a moment"
_UNCLEAR = "whether it was stored is not known; send the same again, with the same Idempotency-Key: it is stored once"
_DOWN = Kind(503, "unavailable", "The database does not answer", _AGAIN, speaks=False, retry_after_s=2)
_OVERTAKEN = Kind(503, "busy", "Too much at once", _AGAIN, speaks=False, retry_after_s=1)
_BEHIND = Kind(503, "not-reached", "The read models are not there yet", retry_after_s=1)
INTERNAL = Kind(500, "internal", "A defect of this service", "the log line of this instance says more", speaks=False)
NOT_FOUND = Kind(404, "not-found", "There is nothing of that name here")
INVALID = Kind(422, "invalid", "A value cannot be taken")
NOT_HTTP = Kind(
    400, "not-http", "This is no HTTP request that is read here", "send HTTP/1.1: lines of at most 8 KiB, 100 headers"
)

TABLE: dict[type[BaseException], Kind] = {
    http.UnauthenticatedError: Kind(401, "unauthenticated", "An API key is needed"),
    http.ForbiddenError: Kind(403, "forbidden", "The API key may not do this"),
    http.RateError: Kind(429, "rate", "Too many requests"),
    http.GuessingError: Kind(429, "guessing", "Too many keys that are not good"),
    http.CrowdedError: Kind(429, "too-many-requests", "Too many requests at once", retry_after_s=1),
    http.StreamsError: Kind(503, "too-many-streams", "Too many streams at once", retry_after_s=2),
    http.MediaTypeError: Kind(415, "media-type", "The content type is not read here"),
    http.BodyTooLargeError: Kind(413, "too-large", "The body is too large"),
    http.BrokenBodyError: Kind(400, "broken-body", "The body is incomplete or damaged"),
    http.SlowBodyError: Kind(408, "slow-body", "The body took too long"),
    http.SlowAnswerError: Kind(503, "slow-answer", "The answer took too long", retry_after_s=2),
    http.NotReachedError: _BEHIND,
    BehindError: _BEHIND,
    SecretError: Kind(422, "secret", "The secret is another one"),
    http.AccountClosedError: Kind(409, "account-closed", "The account is closed"),
    http.AccountTakenError: Kind(409, "account-taken", "The account's name is taken"),
    http.SignatureError: Kind(422, "signature", "The provider's signature is not good"),
    http.WebhookSignatureError: Kind(401, "webhook-signature", "The webhook's signature is not good"),
    http.NoVersionError: Kind(428, "no-version", "Say which version is changed"),
    ChangedError: Kind(412, "changed", "It was changed meanwhile"),
    NotOwnerError: Kind(403, "not-owner", "It is somebody else's"),
    http.ReasonNeededError: Kind(428, "reason-needed", "Say why"),
    http.ErasedPersonError: Kind(403, "erased-person", "It tells of somebody who was erased"),
    http.MissingOriginalError: Kind(410, "missing-original", "The original is gone"),
    http.SecretBodyError: Kind(403, "secret-body", "The original carries a secret"),
    http.TooManyRecipientsError: Kind(422, "too-many-recipients", "Too much for one answer"),
    NotJsonError: Kind(400, "not-json", "The body is not JSON"),
    InvalidError: INVALID,
    RefusedError: INVALID,
    StillWaitingError: Kind(
        409,
        "still-waiting",
        "The item goes on waiting",
        "today's code reads it no better; claim or dismiss it",
        speaks=False,
    ),
    ledger.ConfigurationError: Kind(409, "not-configured", "A setting or credential is missing or wrong"),
    ledger.ClaimError: Kind(409, "claim", "The item cannot be claimed or given back so"),
    SettlingRefusedError: Kind(409, "cannot-be-settled", "That does not settle it"),
    OvertakenError: Kind(409, "overtaken", "Something was added meanwhile"),
    PartialSearchError: Kind(403, "partial-search", "People are not searched for by a part here"),
    ActRefusedError: Kind(409, "act-refused", "That cannot be done now"),
    NotSendableError: Kind(422, "not-sendable", "This cannot be sent through this account", "nothing was written"),
    ProtectedError: Kind(403, "protected", "It names somebody whose identity is protected"),
    ledger.NotFoundError: NOT_FOUND,
    ledger.ErasedError: Kind(410, "erased", "It was erased"),
    ledger.IdempotencyError: Kind(
        422, "idempotency-key", "The Idempotency-Key was used before", "take a new key for another body"
    ),
    ledger.ReferenceTakenError: Kind(
        409,
        "reference-taken",
        "A reference names another message",
        "a name that several messages share is sent with exclusive: false",
    ),
    ledger.TooLargeError: Kind(413, "too-large", "The body is too large"),
    ledger.InvalidEventError: INVALID,
    ledger.BusyError: _OVERTAKEN,
    ledger.ClosedError: Kind(503, "stopping", "This server is stopping", _AGAIN, speaks=False, retry_after_s=2),
    ledger.ConflictError: _OVERTAKEN,
    ledger.HeadMovedError: _OVERTAKEN,
    ledger.ClockError: Kind(
        503, "clock", "The clocks disagree", "an operator must set this server's clock", speaks=False, retry_after_s=30
    ),
    ledger.ForkError: Kind(
        503, "frozen", "The ledger is frozen", "an operator must run `delivery-ledger recover`", speaks=False
    ),
    NotLeaderError: Kind(503, "no-signed-head", "No signed head covers it yet", _AGAIN, speaks=False, retry_after_s=5),
    ledger.UnclearCommitError: Kind(
        503, "unclear", "The outcome is not known", _UNCLEAR, speaks=False, retry_after_s=5
    ),
    OperationalError: _DOWN,
    InterfaceError: _DOWN,
}
"""Error -> answer; the nearest class counts. What is not here is a defect: 500, and a log line."""

_HTTP = {400: NOT_HTTP, 404: NOT_FOUND, 405: Kind(405, "method", "This method is not for this path")}


def kind_of(error: BaseException) -> Kind:
    """How an error is answered."""
    return next((TABLE[c] for c in type(error).__mro__ if c in TABLE), INTERNAL)


def problem_of(error: BaseException, instance: str = "") -> tuple[Problem, Kind]:
    """An error as problem details; a defect is logged, with the place and without the text, which may be personal."""
    kind = kind_of(error)
    if kind is INTERNAL:
        where = "".join(traceback.format_tb(error.__traceback__)[-8:])
        LOG.error("%s in request %s\n%s", type(error).__name__, instance or "-", where)
    said = str(error) if kind.speaks else ""
    detail = "; ".join(part for part in (said.rstrip("."), kind.advice) if part)
    errors = (FieldError(error.field, error.why),) if isinstance(error, InvalidError) else ()
    return Problem(f"/problems/{kind.slug}", kind.title, kind.status, detail, instance, errors), kind


def problem_of_status(status: int, instance: str = "") -> Problem:
    """A problem that aiohttp found itself: no such path, not this method, or no HTTP at all."""
    kind = INTERNAL if status >= 500 else _HTTP.get(status, INVALID._replace(status=status))
    detail = kind.advice or "see /docs for the paths and methods there are"
    return Problem(f"/problems/{kind.slug}", kind.title, status, detail, instance)


def kinds() -> dict[str, Kind]:
    """All kinds by slug, for the pages behind the type URIs."""
    return {kind.slug: kind for kind in (*TABLE.values(), *_HTTP.values(), INTERNAL)}
