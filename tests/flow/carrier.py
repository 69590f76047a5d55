"""A made-up carrier with a client, and calls to it that answer as a test says: what the outbox needs to be tried without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from adapters.providers.calling import Access, Answer, Client, Exchange, Request, Row, Submission
from adapters.providers.contract import Operation, Provider, Word
from ledger.observations import Arrival, Observation, Reference, UnreadableError


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None that matters."""

    base_url: str = "https://carrier.example"
    askable: bool = False


class Said(msgspec.Struct):
    """An answer of the carrier."""

    job: str = ""
    error: str = ""


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """A job id is an acceptance, an error a refusal."""
    try:
        said = msgspec.json.decode(arrival.body, type=Said)
    except msgspec.DecodeError as error:
        raise UnreadableError(str(error)) from error
    if said.job:
        accepted = Observation(type="submission.accepted", references=(Reference("job", said.job),), code="accepted")
        return (accepted,)
    return (Observation(type="submission.rejected", code="rejected", texts={"reason": said.error}),)


def next_request(submission: Submission, done: Sequence[Exchange], _access: Access) -> Request | None:
    """One call, once."""
    return None if done else Request(operation="send", url="/send", body=submission.text.encode(), kept=b"kept")


def ask(submission: Submission, _done: Sequence[Exchange], access: Access) -> Request | None:
    """Whether it has the message, where the account's settings say that it can be asked."""
    if not access.settings.askable:
        return None
    return Request(operation="find", method="GET", url=f"/find/{submission.message}", may_send=False)


def code(_request: Request, answer: Answer) -> str:
    """The carrier's word."""
    try:
        said = msgspec.json.decode(answer.body, type=Said)
    except msgspec.DecodeError:
        return ""
    return "ok" if said.job else said.error


CLIENT = Client(
    settings=Settings,
    next_request=next_request,
    answers=(
        Row("200", "ok", "sent", "it has a job"),
        Row("400", "credit", "later", "the month's credit is used up", "month"),
    ),
    code=code,
    ask=ask,
    found=lambda _submission, answer: (
        "sent" if answer.status == 200 else "later" if answer.status == 404 else "unclear"
    ),
)
PROVIDER = Provider(
    name="carrier",
    title="Carrier",
    channel="sms",
    mapping="carrier/1",
    documentation="made up",
    relied_on="TLS",
    operations=(
        Operation("send", "POST /send", "used", "a job", "A"),
        Operation("find", "GET /find", "used", "a job", "A"),
    ),
    tables={
        "status": (
            Word("accepted", "submission.accepted", "taken", "A"),
            Word("rejected", "submission.rejected", "refused", "A"),
        )
    },
    parse=parse,
    recognise=lambda _name, _body: "",
    client=CLIENT,
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


class Script:
    """Calls that are answered in turn; what was asked is kept."""

    def __init__(self, clock: Callable[[], datetime], *answers: Answer | BaseException) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.asked: list[Request] = []

    def call(
        self, _client: Client, _provider: Provider, request: Request, _access: Access, *, key: tuple[str, str]
    ) -> Answer:
        """The next answer, or the failure that a test planned."""
        assert key
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(
            at=self.clock(),
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            failure=answer.failure,
        )


def answer(status: int = 0, body: bytes = b"", failure: str = "", **headers: str) -> Answer:
    """An answer to be given."""
    return Answer(at=datetime.now(UTC), status=status, body=body, failure=failure, headers=headers)  # type: ignore[arg-type]
