"""What reached us, and what a provider's wire module read in it.

An `Arrival` is bytes and how they came. A wire module (a pure function) turns it into
`Observation`s in our words; the ledger decides which of them are new and writes events.
Nothing here knows a provider, a database or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class ArrivalKind(StrEnum):
    """How bytes came to us; stands in the clear in every event (`source.arrival`)."""

    API = "api"  # a person or system of the tenant told us
    WEBHOOK = "webhook"  # the provider called us
    POLL = "poll"  # we asked the provider (answers to our own calls included)
    MAILBOX = "mailbox"  # read from a live mailbox
    IMPORT = "import"  # a person handed us files from elsewhere


class Verdict(StrEnum):
    """What we could establish about the sender of an arrival before reading it."""

    VERIFIED = "verified"  # the provider's signature over these exact bytes is good
    UNSIGNED = "unsigned"  # this provider does not sign here; see Provider.relied_on
    REFUSED = "refused"  # a signature was due and is missing, stale or wrong


class ZoneBasis(StrEnum):
    """How we know the time zone of a provider's time."""

    STATED = "stated"  # the text carries its own offset
    EPOCH = "epoch"  # a count since 1970-01-01T00:00:00Z
    DOCUMENTED = "documented"  # the provider's documentation names the zone
    ASSUMED = "assumed"  # nobody says; we took UTC


class ProviderTime(NamedTuple):
    """A provider's clock reading.

    Attributes:
        at: aware, in UTC.
        original: the exact characters the provider wrote.
        zone: how the zone was known.
    """

    at: datetime
    original: str
    zone: ZoneBasis


class Reference(NamedTuple):
    """A name by which a message is known, within (tenant, account).

    Attributes:
        kind: lower-case token, for example `message_id`, `ticket_token`, `own_reference`, `batch`.
        value: as given; compared as a whole, after strip().
        exclusive: a provider's id names one message; a shared one (own reference, batch) may name many.
    """

    kind: str
    value: str
    exclusive: bool = True


class Address(NamedTuple):
    """Where something is sent. Compared after normalisation (`ledger.addresses`), shown as given.

    Attributes:
        kind: `email`, `phone`, `fax`, `postal`, `person_number`, `organisation` or `other`.
        value: as given by the sender or the provider.
        region: country (ISO 3166-1 alpha-2) in which a number without its country was written; "": not said, or it makes no difference.
    """

    kind: str
    value: str
    region: str = ""


class Fingerprint(NamedTuple):
    """Digests of one document that was sent; lower-case hex.

    Attributes:
        name: file name as given, or "".
        sha256: of the decoded bytes.
        sha1: of the decoded bytes ("" when only a provider's sha256 is known).
        sha256_base64: of the base64 text as it went out ("" when unknown).
        sha1_base64: likewise.
        sha1_forms: of other base64 texts that a receipt may quote: with other line breaks, or without.
        size: decoded bytes; -1 when unknown.
    """

    name: str
    sha256: str
    sha1: str = ""
    sha256_base64: str = ""
    sha1_base64: str = ""
    size: int = -1
    sha1_forms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Exact bytes and how they came.

    Attributes:
        provider: folder name below adapters/providers.
        account: the tenant's account at that provider.
        operation: which of the provider's operations, as named in Provider.operations.
        kind: how it came.
        observed_at: our clock (or the recorded one of an import), aware.
        body: the exact bytes.
        headers: lower-case names; only what the provider's allow-list names.
        status: HTTP status, when `body` answers a call of ours.
        request: the body of that call, credentials removed, or None.
        verdict, key_id: outcome of the signature check and the key that decided it.
        name: file name or URL path it came by, for people only ("" when none).
    """

    provider: str
    account: str
    operation: str
    kind: ArrivalKind
    observed_at: datetime
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    request: bytes | None = None
    verdict: Verdict = Verdict.UNSIGNED
    key_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing a provider says happened, in our words.

    Attributes:
        type: one of `ledger.events.TYPES`, for example `content.consigned`.
        references: names of the message this is about; empty means it cannot be matched.
        batch: the batch the message belongs to, or that this is about when `about` is `batch`.
        about: `message` (all its recipients), `recipient` (exactly one), `batch`, or `account`.
        recipient: the one recipient, when `about` is `recipient` and the provider names it.
        declares: recipients that this arrival says the message has.
        protected: the identity of everybody to whom the message goes is protected.
        occurred: the provider's clock, or None when it gives no time.
        code: the provider's word as a row of the provider's tables, or "" when it has none
            there; it stands in the clear. An unknown word goes to `texts["code"]`.
        reason: a reason code that is a row of the provider's tables, or "".
        identity: what makes two observations the same (provider's event id; else object,
            recipient, code, provider time). Empty: the whole body is the identity.
        content: what must agree when the identity is the same; differing content is a contradiction.
        texts: provider words and descriptions (field path -> text); committed, never in the clear.
        numbers: small counts that identify nobody (pages, parts, attempts); in the clear.
        notes: what was odd while reading (`text_repaired`, `invalid_daticert`, …), tokens of
            Provider.notes; in the clear.
        documents: digests of what was sent, when this arrival carries or quotes them.
        part: (number from 1, total) of a message sent in parts.
        supersedes: identities of earlier observations that this one corrects.
    """

    type: str
    references: tuple[Reference, ...] = ()
    batch: Reference | None = None
    about: str = "message"
    recipient: Address | None = None
    declares: tuple[Address, ...] = ()
    protected: bool = False
    occurred: ProviderTime | None = None
    code: str = ""
    reason: str = ""
    identity: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    documents: tuple[Fingerprint, ...] = ()
    part: tuple[int, int] | None = None
    supersedes: tuple[tuple[str, ...], ...] = ()


class UnreadableError(Exception):
    """The bytes cannot be read as this operation of this provider; they wait in the lane for the unreadable."""
