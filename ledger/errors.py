"""Every error the ledger raises on purpose.

LedgerError
├── ConfigurationError      a setting is wrong; the text names it and its repair
├── UnsafeDatabaseError     the database library or role could damage or change the past
├── InvalidEventError       a draft breaks the event format; nothing was written
├── TooLargeError           an event or an artifact is over its limit
├── BusyError               the append queue is full; try again later
├── ClosedError             the ledger is closing; nothing was written
├── ConflictError           another append came first; decide again
│   ├── VersionTakenError       that version of the stream exists
│   ├── ReferenceTakenError     that exclusive reference names another message
│   └── DuplicateError          that duplicate key exists: the fact is already here
├── HeadMovedError          another process appended; encode again
├── ClockError              our clock and the database's differ by more than 2 s
├── UnclearCommitError      the connection broke during commit and the outcome could not be looked up
├── ErasedError             the key of these values was destroyed
├── NotFoundError           no such message, event, artifact, account or lane item
├── ClaimError              a waiting item cannot be claimed, or its claim not taken back, as it stands
├── IdempotencyError        the same idempotency key came with another body
├── ForkError               the tree contradicts a signed head; appending is refused until `recover`
└── CorruptError            stored bytes contradict the tree; both sides stand in the text
"""

from __future__ import annotations


class LedgerError(Exception):
    """An error of the ledger; the class docstring is the message when none is given."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigurationError(LedgerError):
    """A setting is wrong."""


class UnsafeDatabaseError(LedgerError):
    """This database could damage or change the past."""


class InvalidEventError(LedgerError):
    """A draft breaks the event format; nothing was written."""


class TooLargeError(LedgerError):
    """Over the size limit; nothing was written."""


class BusyError(LedgerError):
    """The append queue is full; try again in a moment."""


class ClosedError(LedgerError):
    """The ledger is closing; nothing was written."""


class ConflictError(LedgerError):
    """Another append came first; nothing was written."""


class VersionTakenError(ConflictError):
    """That version of the stream exists already."""


class ReferenceTakenError(ConflictError):
    """That exclusive reference names another message already.

    Attributes:
        is_settled: the other message is registered, so trying again gives the same answer.
    """

    def __init__(self, message: str = "", *, is_settled: bool = False) -> None:
        super().__init__(message)
        self.is_settled = is_settled


class DuplicateError(ConflictError):
    """That fact is already in the log."""


class HeadMovedError(LedgerError):
    """Another process appended since the head was read."""


class ClockError(LedgerError):
    """Our clock and the database's differ by more than 2 seconds."""


class UnclearCommitError(LedgerError):
    """The connection broke during commit and the outcome could not be looked up."""


class ErasedError(LedgerError):
    """The key of these values was destroyed; they can no longer be shown."""


class NotFoundError(LedgerError):
    """There is nothing of that name here."""


class ClaimError(LedgerError):
    """The waiting item cannot be claimed, or its claim cannot be taken back, as it stands."""


class IdempotencyError(LedgerError):
    """That idempotency key was used with another body."""


class ForkError(LedgerError):
    """The database's tree contradicts a head that was signed before; nothing may be appended to it.

    Repair: `delivery-ledger recover` opens the next epoch and says what was lost. Trying again never helps.
    """


class CorruptError(LedgerError):
    """Stored bytes contradict the tree."""
