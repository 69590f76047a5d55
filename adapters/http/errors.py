"""Errors of the HTTP layer; `problems` says how each is answered, together with those of the ledger.

HttpError
├── UnauthenticatedError   no API key, or one that is not valid
├── ForbiddenError         the key lacks the scope
├── RateError              this API key asks too often; says when to come again
│   └── GuessingError      too many keys that are not good came from this address
├── CrowdedError           this caller has too many requests under way
├── MediaTypeError         a content type that the route does not read
├── BodyTooLargeError      over the limit; nothing was stored
├── BrokenBodyError        the body ended early or its encoding is damaged
├── SlowBodyError          the body did not arrive in time
├── SlowAnswerError        the answer was not ready in time
├── NotReachedError        the read models are behind `min_position`
├── AccountClosedError     the account is disabled
├── AccountTakenError      the account's name belongs to another provider
├── SignatureError         a signed operation whose signature is not good
│   └── WebhookSignatureError  likewise, told to whoever called the webhook
├── NoVersionError         it does not say which version it changes
├── ReasonNeededError      the organisation demands a reason for this, and none is given
├── SecretBodyError        the original carries a secret and is never handed out
├── ErasedPersonError      the original tells of somebody who was erased; it takes a reason
├── MissingOriginalError   the file of an original is gone
└── TooManyRecipientsError the whole message is too long for one answer
"""

from __future__ import annotations

from ledger.errors import LedgerError


class HttpError(LedgerError):
    """An error of the HTTP layer."""


class UnauthenticatedError(HttpError):
    """Send an API key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`; make one with: delivery-ledger keys create SCOPE."""


class ForbiddenError(HttpError):
    """The API key lacks the scope."""


class RateError(HttpError):
    """This API key asks too often; the header Retry-After says when to come again."""

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class GuessingError(RateError):
    """Too many API keys that are not good came from this address; a good one is taken at any time."""


class CrowdedError(HttpError):
    """Too many requests of this caller are under way; send again when some of them are answered."""


class StreamsError(HttpError):
    """As many streams are being taken in as fit; send this one in a moment, or what is in it one by one."""


class MediaTypeError(HttpError):
    """This content type is not read here."""


class BodyTooLargeError(HttpError):
    """The body is over the limit; nothing was stored."""


class BrokenBodyError(HttpError):
    """The body ended early, or its transfer or content encoding is damaged; send it again."""


class SlowBodyError(HttpError):
    """The body did not arrive in time; nothing of it was stored."""


class SlowAnswerError(HttpError):
    """The answer was not ready in time; what was begun may still end, so repeat with the same Idempotency-Key."""


class NotReachedError(HttpError):
    """The read models have not reached the position asked for; ask again in a moment."""


class AccountClosedError(HttpError):
    """The account is closed: nothing is taken for it."""


class AccountTakenError(HttpError):
    """An account of that name exists at another provider; choose another name."""


class SignatureError(HttpError):
    """The provider signs this operation, and no key of the account verifies these headers and bytes."""


class WebhookSignatureError(SignatureError):
    """No key of this account verifies the webhook."""


class NoVersionError(HttpError):
    """Send the ETag of the version that is changed in the header If-Match, so that nobody else's change is lost."""


class ReasonNeededError(HttpError):
    """Say why in the header Access-Reason."""


class ErasedPersonError(HttpError):
    """It tells of somebody who was erased, and is kept for somebody else's sake; say why you need it in the header Access-Reason."""


class MissingOriginalError(HttpError):
    """The file in which the original is kept is gone, though nothing was erased; `delivery-ledger fsck` says more."""


class SecretBodyError(HttpError):
    """The original carries a secret by contract; it is evidence and is never handed out."""


class TooManyRecipientsError(HttpError):
    """The message has too many recipients for one answer; ask delivery by delivery."""
