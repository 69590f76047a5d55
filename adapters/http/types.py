"""What requests and answers look like, besides the views of `projections.views`. Types only; they validate and describe."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters.accounts import Account
from adapters.configuring import AccountSettings, Change
from adapters.http.problems import Problem
from adapters.quarantine import Quarantined
from adapters.records import END, AwareTime, MessageId, Name
from adapters.strictjson import fitting
from projections.asof import Rules
from projections.facets import MARK_TEXTS
from projections.grades import Grade
from projections.rules import Status
from projections.views import DeliveryView, LaneItem

MAX_RECIPIENTS = 100_000

Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
Note = Annotated[str, fitting(r"\S", "say why, in 1 to 1000 characters; kept with the event", 1_000)]
Token = Annotated[str, Meta(pattern=f"^[a-z][a-z0-9_.-]{{0,62}}{END}")]
Sha256 = Annotated[str, Meta(pattern=f"^[0-9a-f]{{64}}{END}")]
Sha1 = Annotated[str, Meta(pattern=f"^[0-9a-f]{{40}}{END}")]
KeyId = Annotated[str, Meta(pattern=f"^[A-Za-z0-9_.:-]{{1,63}}{END}")]
Position = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Limit = Annotated[int, Meta(ge=1, le=500, description="at most this many")]
Mark = Annotated[str, Meta(pattern=f"^({'|'.join(map(re.escape, MARK_TEXTS))}){END}")]
AddressKind = Literal["email", "phone", "fax", "postal", "person_number", "organisation", "other"]


class Given(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a caller gives; an unknown field is refused."""


# --- registering a send


class NewAddress(Given):
    """A recipient.

    Attributes:
        protected: the recipient's identity is protected: shown to nobody without the scope `protected`, here and under every later send
            to this address.
    """

    kind: AddressKind
    address: Text
    protected: bool = False


class NewReference(Given):
    """A name of the message.

    Attributes:
        kind: for example `own_reference`, or the provider's name for its id (`message_id`, `document_id`, `ticket_token` …).
        exclusive: it names one message only. Default: true, except for kinds that begin with `own_`.
    """

    kind: Token
    value: Text
    exclusive: bool | None = None


class NewBatch(Given):
    """What groups messages; `kind` is the provider's word where it has one (`campaign_id`, `own_campaign`)."""

    value: Text
    kind: Token = "batch"


class NewDocument(Given):
    """Digests of a document that was sent, never the document: lower-case hex, of its bytes and of its base64 form."""

    sha256: Sha256
    name: Annotated[str, Meta(max_length=500)] = ""
    sha1: Sha1 | None = None
    sha256_base64: Sha256 | None = None
    sha1_base64: Sha1 | None = None
    size: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


class NewLink(Given):
    """This message replaces, follows or reminds another."""

    relation: Literal["replaces", "follows", "reminds"]
    message: MessageId


class NewFile(Given):
    """A document to be sent; `data` in base64."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    data: bytes
    media_type: Annotated[str, Meta(pattern=f"^[a-z0-9.+-]{{1,60}}/[a-z0-9.+-]{{1,100}}{END}")] = (
        "application/octet-stream"
    )


class NewDispatch(Given):
    """What is to be sent through the account, now.

    Attributes:
        text: the body; whether it may be HTML or be left out, the provider says.
        options: of the provider's own kind; `GET /v1/providers/{provider}` lists them.
    """

    text: Annotated[str, Meta(max_length=1_000_000)] = ""
    text_type: Literal["text/plain", "text/html"] = "text/plain"
    documents: Annotated[tuple[NewFile, ...], Meta(max_length=100)] = ()
    options: dict[str, Any] = {}


class NewMessage(Given):
    """A send, as the organisation itself declares it.

    Attributes:
        recipients: their order gives their index; two spellings of one address are one recipient.
        labels: policy, case, customer …
        occurred_at: when it was sent, if it was.
        dispatch: have it sent from here; without it somebody else sends, and this only says so.
    """

    account: Name
    recipients: Annotated[tuple[NewAddress, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    references: Annotated[tuple[NewReference, ...], Meta(max_length=100)] = ()
    batch: NewBatch | None = None
    labels: Annotated[tuple[Text, ...], Meta(max_length=100)] = ()
    subject: Annotated[str, Meta(max_length=1_000)] = ""
    sender: Annotated[str, Meta(max_length=1_000)] = ""
    documents: Annotated[tuple[NewDocument, ...], Meta(max_length=100)] = ()
    links: Annotated[tuple[NewLink, ...], Meta(max_length=100)] = ()
    occurred_at: AwareTime | None = None
    dispatch: NewDispatch | None = None


class Registered(msgspec.Struct, frozen=True):
    """The message; the header Ledger-Position says which position to wait for (`min_position`) to see it."""

    message: str


# --- handing in arrivals


class Admitted(msgspec.Struct, frozen=True):
    """What became of an arrival.

    Attributes:
        facts: ids of the new events.
        seen: what it says that was known already.
        copies: further originals of known facts.
        unmatched, unreadable, unverified: items that wait for a person now.
        messages: messages concerned.
        position: last position written, 0 when nothing was.
    """

    facts: tuple[str, ...]
    seen: int
    copies: int
    unmatched: int
    unreadable: int
    messages: tuple[str, ...]
    position: int
    unverified: int = 0


class LineResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one line: 201 stored, 200 nothing new, else `problem` says why it was refused.

    Attributes:
        line: from 1; empty lines are counted and have no result.
    """

    line: int
    status: int
    admitted: Admitted | None = None
    problem: Problem | None = None


class ForReceipt(Given):
    """Query of a receipt."""

    account: Name
    message: MessageId | None = None


class Received(msgspec.Struct, frozen=True):
    """The webhook is durable."""

    received: bool = True


# --- looking up


class Reading(Given):
    """Query of every look-up.

    Attributes:
        min_position: wait until the answer reflects at least this position.
    """

    min_position: Position = 0


class Then(Given):
    """Query of a look-up that may be answered as of an earlier moment.

    Attributes:
        min_position: wait until the answer reflects at least this position.
        position: as it was known when the log had come so far; 0 does not ask for it.
        known_at: as it was known at this recorded time, itself included.
        occurred_at: without what happened later, as far as it is known.
        rules: of such an answer: judged by the tables in force `then`, or by those of `today`.
    """

    min_position: Position = 0
    position: Position = 0
    known_at: AwareTime | None = None
    occurred_at: AwareTime | None = None
    rules: Rules = "then"


class Paging(Given):
    """Query of a list.

    Attributes:
        cursor: `next` of the page before.
        min_position: wait until the answer reflects at least this position.
    """

    cursor: Annotated[str, Meta(max_length=100)] = ""
    limit: Limit = 100
    min_position: Position = 0


class Deliveries(msgspec.Struct, frozen=True):
    """Deliveries of one message by index; `next` continues the list, "" at its end."""

    deliveries: tuple[DeliveryView, ...]
    next: str
    position: int


class Explaining(Then):
    """Query of an explanation.

    Attributes:
        language: of the whole answer.
        zone: of the times in the paragraph, a name of the IANA database.
        min_position: wait until the answer reflects at least this position.
        position: as it was known when the log had come so far; 0 does not ask for it.
        known_at: as it was known at this recorded time, itself included.
        occurred_at: without what happened later, as far as it is known.
        rules: of such an answer: judged by the tables in force `then`, or by those of `today`.
    """

    language: Literal["en", "it", "nl", "sv"] = "en"
    zone: Annotated[str, Meta(max_length=64)] = "UTC"


class SearchFilters(Given):
    """Filters; all that are given must hold. Personal values belong here, in the body, and nowhere else.

    Attributes:
        recipient: an address in any spelling; `address_kind` says which kind, else it is guessed.
        reference: any reference or provider id, whole.
        grade: of the evidence, E0 to E5.
        mark: what is worth finding about a delivery, for example that it is late or that evidence is missing.
        since, until: bounds on when the ledger first heard of the message.
        document: SHA-1 or SHA-256 of a document or of its base64 form, hex.
    """

    recipient: Annotated[str, Meta(max_length=1_000)] = ""
    address_kind: AddressKind | None = None
    reference: Annotated[str, Meta(max_length=1_000)] = ""
    label: Annotated[str, Meta(max_length=1_000)] = ""
    batch: Annotated[str, Meta(max_length=1_000)] = ""
    provider: Name | None = None
    account: Name | None = None
    status: Status | None = None
    grade: Grade | None = None
    mark: Mark | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None
    document: Annotated[str, Meta(pattern=f"^([0-9A-Fa-f]{{40}}|[0-9A-Fa-f]{{64}})?{END}")] = ""


class Search(SearchFilters):
    """A page of the deliveries that all given filters fit.

    Attributes:
        cursor: `next` of the page before.
        position, known_at, occurred_at, rules: as of an earlier moment, as for one message; pages may then be short, or empty, sooner.
    """

    cursor: Annotated[str, Meta(max_length=100)] = ""
    limit: Limit = 50
    min_position: Position = 0
    position: Position = 0
    known_at: AwareTime | None = None
    occurred_at: AwareTime | None = None
    rules: Rules = "then"


class ByLabel(Given):
    """Everything under one label, across providers and channels."""

    label: Text
    cursor: Annotated[str, Meta(max_length=100)] = ""
    limit: Limit = 50
    min_position: Position = 0


class FeedQuery(Given):
    """Query of the feed.

    Attributes:
        after: `next` of the page before; 0 begins.
    """

    after: Position = 0
    limit: Limit = 100


class FeedEvent(msgspec.Struct, frozen=True):
    """An event as it is stored.

    Attributes:
        leaf: its exact text; its UTF-8 bytes are what is hashed.
        leaf_hash: RFC 6962 leaf hash, hex.
    """

    position: int
    leaf: str
    leaf_hash: str


class Feed(msgspec.Struct, frozen=True):
    """The tenant's events in the order of the log.

    Attributes:
        next: where to go on; it moves past other tenants' events too, so it may grow without any event here.
        tree_size: size of the log when this was answered.
    """

    events: tuple[FeedEvent, ...]
    next: int
    tree_size: int


# --- accounts and lanes


class NewAccount(Given):
    """An account at a provider."""

    account: Name
    provider: Name


class AccountList(msgspec.Struct, frozen=True):
    """The tenant's accounts."""

    accounts: tuple[Account, ...]


class NewKey(Given):
    """A webhook secret; those that are in use stay in use until they are retired.

    Attributes:
        key_id: the provider's id of the key, or a name of your choice where it has none.
        secret: as text; or `secret_base64`, for bytes.
    """

    key_id: KeyId
    secret: Annotated[str, Meta(min_length=1, max_length=1_000)] | None = None
    secret_base64: Annotated[bytes, Meta(min_length=1, max_length=1_000)] | None = None


class KeyAdded(msgspec.Struct, frozen=True):
    """The keys in use now, and what of the quarantine they verified."""

    keys: tuple[str, ...]
    admitted: int
    facts: int


class NewSettings(Given):
    """The settings of an account, all of them: what is not named has its default.

    Attributes:
        settings: setting -> value, as the provider's settings are described; `GET` shows which there are.
    """

    settings: dict[str, Any]


class SettingsChanged(msgspec.Struct, frozen=True):
    """What changed, and what is set now."""

    changes: tuple[Change, ...]
    account: AccountSettings


class NewCredential(Given):
    """A credential; it is sealed and never shown again."""

    value: Annotated[str, Meta(min_length=1, max_length=16_384)]


class Noted(Given):
    """An act of a person."""

    note: Note


class NewDeletion(Given):
    """What is to be deleted at the provider.

    Attributes:
        name: for PEC Massiva `send/MESSAGE_ID` or `inbox/NUMBER`.
        message: the message it is about, in whose trail the deletion then stands.
        override: go on though evidence is lost, and why; recorded with what was lost.
    """

    name: Text
    message: MessageId | None = None
    override: Annotated[str, Meta(max_length=1_000)] = ""


class Deleted(msgspec.Struct, frozen=True):
    """What became of it; `losses` names the evidence that would be lost, or was."""

    is_done: bool
    why: str
    losses: tuple[str, ...]


class Claim(Given):
    """Which message a waiting item belongs to."""

    message: MessageId
    note: Note


class LaneQuery(Given):
    """Query of the lanes.

    Attributes:
        state: what was done about the items; `all` shows every one.
        min_position: wait until the answer reflects at least this position.
    """

    state: Literal["open", "retried", "claimed", "dismissed", "all"] = "open"
    limit: Limit = 100
    min_position: Position = 0


class LaneList(msgspec.Struct, frozen=True):
    """What waits for a person, oldest first, and webhooks that failed verification, newest first."""

    items: tuple[LaneItem, ...]
    quarantined: tuple[Quarantined, ...]
    position: int


class Settled(msgspec.Struct, frozen=True):
    """What came of an act on a waiting item."""

    item: str
    state: str
    facts: tuple[str, ...]
    messages: tuple[str, ...]


# --- operation


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    alive: bool = True


class Readiness(msgspec.Struct, frozen=True):
    """Whether this server can do its work, and what an operator should know.

    Attributes:
        lag: read model -> events it is behind.
        unapplied: events that some read model could not apply.
        stopped: why the read models stand still; "" when they do not.
        frozen: why nothing is appended any more; "" when it is.
        unsafe_rights: what the database role could do to the past; must be empty.
        standby: on PostgreSQL `synchronous` or `none`; on SQLite `not applicable`.
        advice: what to do, in plain words.
    """

    ready: bool
    database: str
    tree_size: int = 0
    lag: dict[str, int] = {}
    unapplied: int = 0
    stopped: str = ""
    frozen: str = ""
    unsafe_rights: tuple[str, ...] = ()
    standby: str = "unknown"
    advice: tuple[str, ...] = ()
