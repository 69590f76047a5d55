"""What a provider folder says about calling its service: values and pure decisions, no network and no clock.

A send is a chain of requests. `Client.next_request` looks at what was asked and answered so far, all of it from the ledger, and
gives the next one; `judge` looks up what an answer means in the client's one table. So a send that was cut off at any point goes on
where it was, and nothing is asked twice that might have been taken. What happens by the clock (`poll`, `sweeps`) is given a `Desk`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from ledger.decision import Outcome
from ledger.observations import Address, ArrivalKind, Observation

Failure = Literal["", "unreachable", "timeout", "cut", "redirected", "too_large"]
"""Why there is no answer. Only `unreachable` proves that nothing was sent: no connection came about."""

Verdict = Literal["sent", "refused", "later", "unclear"]
"""sent = the provider took it; refused = not sent, and the same request would be refused again; later = not sent, may be tried
again; unclear = it may have been sent, so it is never repeated before that is known."""

Wait = Literal["", "retry_after", "minute", "hour", "day", "month"]
"""How long `later` means: what the answer's Retry-After says (else a minute), or until the next minute, hour, day or month begins."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be sent."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is to be sent.

    Attributes:
        message: id of the message's stream; unique for ever, so it serves as the caller's id where the provider takes one.
        recipients: in the order of their index.
        text: the body; `text_type` its media type.
        options: of the provider's own kind, as `Client.options` validated them.
        requested_at: when the send was asked for.
    """

    message: str
    recipients: tuple[Address, ...]
    sender: str = ""
    subject: str = ""
    text: str = ""
    text_type: str = "text/plain"
    documents: tuple[Document, ...] = ()
    options: Any = None
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a call may use.

    Attributes:
        settings: the account's, as `Client.settings` validated them.
        secrets: the account's credentials by name; never to be put into anything that is kept.
        token: of the provider's token service, or "".
        now: our clock, aware.
    """

    settings: Any
    secrets: Mapping[str, str] = field(repr=False)
    now: datetime
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call.

    Attributes:
        operation: as in Provider.operations and Arrival.operation.
        method: HTTP method, or `SMTP`.
        url: path and query below the account's base URL, or a whole URL.
        body: exact bytes, credentials and all.
        kept: the body as it may be kept; None: `body` itself. Must not hold a credential.
        name: path and query as they may be kept (Arrival.name); "": `url` itself, if it is a path.
        recipient: index of the one recipient it is for; None: all.
        may_send: taking it may cause a send or another thing that must not happen twice.
        timeout_s: of the whole call.
        needs_token: of the provider's token service, where it has one.
    """

    operation: str
    method: str = "POST"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    kept: bytes | None = None
    name: str = ""
    recipient: int | None = None
    may_send: bool = True
    timeout_s: float = 60.0
    needs_token: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a call.

    Attributes:
        status: HTTP or SMTP status; 0 without one.
        headers: lower-case names.
        at: our clock when it came, aware.
    """

    at: datetime
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: Failure = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A step of a send, as the ledger knows it.

    Attributes:
        verdict: what became of it; a step that is to be tried again is not in the list.
        answer: None when none came, or it is erased.
    """

    operation: str
    recipient: int | None
    verdict: Verdict
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a client's table of answers; the first that fits holds.

    Attributes:
        status: `200`, `2xx`, or a Failure.
        code: the provider's own code in the answer (`Client.code`), or "" for any.
        verdict: see `Verdict`.
        why: for people.
        wait: see `Wait`.
        source: how we know: R, C, 3P, CMP or A (see `contract.Source`).
    """

    status: str
    code: str
    verdict: Verdict
    why: str
    wait: Wait = ""
    source: str = "A"


DEFAULTS: tuple[Row, ...] = (
    Row("unreachable", "", "later", "no connection came about, so nothing was sent", "minute"),
    Row("timeout", "", "unclear", "no answer came in time; the provider may have taken it"),
    Row("cut", "", "unclear", "the connection broke before the answer; the provider may have taken it"),
    Row("redirected", "", "unclear", "the provider pointed elsewhere, and a send is never repeated there by itself"),
    Row("too_large", "", "unclear", "the answer is larger than any that is documented"),
    Row("401", "", "later", "the provider does not accept our credentials", "hour"),
    Row("403", "", "later", "the provider does not let this account do this", "hour"),
    Row("429", "", "later", "too many calls", "retry_after"),
    Row("4xx", "", "refused", "the provider refused the request"),
    Row("5xx", "", "unclear", "the provider failed; it may have taken it before"),
    Row("", "", "unclear", "an answer that no table knows"),
)
"""Close every client's table; a client says what its provider does differently."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer means.

    Attributes:
        retry_at: for `later`.
        code: the provider's own code in the answer, or "".
    """

    verdict: Verdict
    why: str
    code: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A message whose fate is not settled, as far as polling needs to know it.

    Attributes:
        references: kind -> values, all that are known of it.
        named: value of a reference -> index of the one recipient whom it is about, where a call was for one.
        opened_at: when we first heard of it.
        recipients: address by index.
        open: indexes of the recipients without a final status.
        unclear: whether a call of ours may or may not have been taken.
    """

    message: str
    references: Mapping[str, Sequence[str]]
    opened_at: datetime
    recipients: Sequence[Address] = ()
    open: Sequence[int] = ()
    unclear: bool = False
    named: Mapping[str, int] = field(default_factory=dict)


class Desk(Protocol):
    """What a poll or a sweep may do; each act is paced, logged and recorded by whoever provides it."""

    access: Access
    account: str
    state: MutableMapping[str, Any]
    """Of this sweep and account (JSON values); kept between runs, saved after each admit and at the end."""

    def call(self, request: Request) -> Answer:
        """Make a call; a failure is an answer, not an exception."""
        ...

    def admit(self, request: Request, answer: Answer) -> Outcome:
        """Hand an answer to the ledger, raw first; durable when this returns. Raises LedgerError."""
        ...

    def admit_bytes(
        self,
        operation: str,
        kind: ArrivalKind,
        body: bytes,
        *,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        message: str = "",
    ) -> Outcome:
        """Hand in bytes that did not come by `call` (a mail, a fetched document)."""
        ...

    def record(
        self,
        kind: str,
        clear: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        message: str = "",
        once: Sequence[str] = (),
    ) -> None:
        """Append an event of our own to the account's stream of today, or to a message's.

        Args:
            once: of an event of the account, what makes it the same as an earlier one, which is then not written again.
        """
        ...

    def known(self, kind: str, since: datetime, until: datetime, also: Collection[str] = ()) -> Mapping[str, str]:
        """References of a kind -> the message they name: of the account's messages of that time, and those of `also`."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """Something done for a whole account by the clock.

    Attributes:
        name: token; the job's name is `<name> <account>`.
        every_s: how often.
        run: does it once. Raises CallFailedError to be tried again sooner.
        title: for people.
        setting: of the account's settings, the one that must be set; "" = always on.
    """

    name: str
    every_s: int
    run: Callable[[Desk], None]
    title: str
    setting: str = ""


class CallFailedError(Exception):
    """A call that a poll or sweep cannot do without failed; the text says which and how."""


class Holding(NamedTuple):
    """What the ledger holds of an e-mail or document at a provider.

    Attributes:
        is_text: what it says was read.
        is_signed: its bytes are held, with a signature that holds.
        is_covered: a signed head outside the database covers it.
        is_read_back: the stored bytes were read again and are those that were committed to.
    """

    is_text: bool = False
    is_signed: bool = False
    is_covered: bool = False
    is_read_back: bool = False


class Deletion(NamedTuple):
    """What became of a wish to delete something at a provider.

    Attributes:
        is_done: the provider says it is gone.
        why: in plain words.
        losses: evidence that would be lost, or was; each in one line.
    """

    is_done: bool
    why: str
    losses: tuple[str, ...] = ()


Cadence = tuple[tuple[timedelta, timedelta], ...]
"""(while a message is younger than this, ask every so often); after the last row it is not asked any more."""

DEFAULT_CADENCE: Cadence = (
    (timedelta(minutes=10), timedelta(minutes=1)),
    (timedelta(hours=2), timedelta(minutes=10)),
    (timedelta(days=2), timedelta(hours=1)),
    (timedelta(days=30), timedelta(hours=12)),
)


def no_request(_submission: Submission, _done: Sequence[Exchange], _access: Access) -> Request | None:
    return None


def no_code(_request: Request, _answer: Answer) -> str:
    return ""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No options of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How to call one provider.

    Attributes:
        settings: msgspec type of the account's settings (nothing secret); has `base_url` for HTTP.
        secrets: names of credentials -> what they are.
        needs: those of them that an account with these settings must have; None: all.
        options: msgspec type of `dispatch.options`.
        check: why a submission cannot be sent through this account ("" when it can); asked before anything is written.
        protects: whether a submission says that the identity of its recipients is protected.
        next_request: the next step of a send, or None when nothing (more) can be asked now.
        answers: the provider's own rows of the table of answers; DEFAULTS follow.
        code: the provider's own code in an answer; `sent` is for the table to name, for example `ok`.
        ask: a question whose answer tells whether an unclear step was taken, or None when the provider cannot be asked.
        found: what the answer to `ask` tells.
        poll: asks about one message; None where the provider can only push.
        cadence: how often `poll` is asked for.
        sweeps: what is done for the whole account.
        delete: deletes what `name` says at the provider (desk, name, what is held of it, an operator's reason to go on though
            evidence is lost or "", the message it is about or ""); never called by the clock. None: nothing is deleted from here.
        token_request: the call that fetches a token; None without tokens, and where it gives None for an account's settings.
        read_token: (token, seconds it lasts) in its answer. Raises CallFailedError.
        authorise: the request with credentials in its headers; told to nobody.
        transport: makes the call where it is not HTTP.
        pace_s: least time between two calls of one account that may send something.
        zone: where the provider's days and months begin.
    """

    settings: type[msgspec.Struct]
    secrets: Mapping[str, str] = field(default_factory=dict)
    needs: Callable[[Any], Collection[str]] | None = None
    options: type[msgspec.Struct] = NoOptions
    check: Callable[[Submission, Access], str] = lambda _submission, _access: ""
    protects: Callable[[Submission], bool] = lambda _submission: False
    next_request: Callable[[Submission, Sequence[Exchange], Access], Request | None] = no_request
    answers: tuple[Row, ...] = ()
    code: Callable[[Request, Answer], str] = no_code
    ask: Callable[[Submission, Sequence[Exchange], Access], Request | None] = no_request
    found: Callable[[Submission, Answer], Verdict] = lambda _submission, _answer: "unclear"
    poll: Callable[[Desk, Watched], None] | None = None
    cadence: Cadence = DEFAULT_CADENCE
    sweeps: tuple[Sweep, ...] = ()
    delete: Callable[[Desk, str, Callable[[Observation], Holding], str, str], Deletion] | None = None
    token_request: Callable[[Access], Request | None] | None = None
    read_token: Callable[[Answer], tuple[str, float]] | None = None
    authorise: Callable[[Request, Access], Request] = lambda request, _access: request
    transport: Callable[[Request, Access], Answer] | None = None
    pace_s: float = 0.0
    zone: str = "UTC"

    def missing(self, settings: Any, held: Collection[str]) -> list[str]:
        """Credentials that an account with these settings must have and has not, in the order of `secrets`."""
        needed = self.secrets if self.needs is None else self.needs(settings)
        return [name for name in self.secrets if name in needed and name not in held]

    def can_send(self) -> bool:
        return self.next_request is not no_request


def judge(client: Client, request: Request, answer: Answer) -> Judged:
    """What an answer means, by the client's table and the default rows; the first that fits."""
    code = "" if answer.failure else client.code(request, answer)
    row = next(r for r in (*client.answers, *DEFAULTS) if _fits(r, answer, code))
    retry_at = _retry_at(row.wait or "minute", client.zone, answer) if row.verdict == "later" else None
    return Judged(row.verdict, row.why, code, retry_at)


def _fits(row: Row, answer: Answer, code: str) -> bool:
    said = answer.failure or str(answer.status)
    is_class = row.status.endswith("xx") and not answer.failure and said[:1] == row.status[0] and len(said) == 3
    return (row.status in {"", said} or is_class) and row.code in {"", code}


def _retry_at(wait: Wait, zone: str, answer: Answer) -> datetime:
    if wait == "retry_after":
        return _retry_after(answer) or answer.at + timedelta(minutes=1)
    local = answer.at.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0)
    match wait:
        case "hour":
            return local.replace(minute=0) + timedelta(hours=1)
        case "day":
            return local.replace(hour=0, minute=0) + timedelta(days=1)
        case "month":
            return (local.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
        case _:
            return local + timedelta(minutes=1)


def _retry_after(answer: Answer) -> datetime | None:
    """RFC 9110 section 10.2.3: seconds or a date; at most a day is believed."""
    said = answer.headers.get("retry-after", "").strip()
    try:
        until = answer.at + timedelta(seconds=int(said)) if said.isdigit() else parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        return None
    return min(max(until, answer.at), answer.at + timedelta(days=1))
