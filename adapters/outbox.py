"""Sends what waits: asks each client for the next step, announces it, makes the call, and admits the answer raw.

The table `outbox` only says what to look at and when; what was done is in the log (`adapters.journal`), so a send that was cut off
at any point goes on where it was. One process sends at a time (`ops` sees to it); should there be two, each call is announced by
one of them only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from adapters import sending
from adapters.accounts import CONSOLE, Accounts
from adapters.desk import Calls, arrival_of
from adapters.journal import CUT_OFF, Call, Journal
from adapters.providers import registry
from adapters.providers.calling import Access, Answer, Client, Judged, Request, Submission, judge
from adapters.providers.contract import Provider
from adapters.receiving import read
from ledger.application import Ledger
from ledger.errors import ConfigurationError, DuplicateError, ErasedError, LedgerError, NotFoundError
from ledger.events import time_text
from ledger.intake import Intake
from ledger.observations import Observation
from ledger.sealing import unseal_artifact
from projections.discretion import discreet
from projections.queries import Queries

LOG = logging.getLogger(__name__)

STATES = {
    "queued": "to be sent, or being sent",
    "waiting": "not sent yet; tried again at due_at",
    "unclear": "a call may or may not have been taken; looked at again at due_at, or settled by a person",
    "sent": "the provider took it for every recipient",
    "partly": "the provider took it for some recipients and refused it for others",
    "refused": "the provider refused it",
    "cancelled": "withdrawn before it was sent",
    "erased": "its content was erased before it was sent",
}
OPEN = ("queued", "waiting", "unclear")

LOOK_EVERY_S = 1.0
SLICE_S = 20.0
"""A send of many calls lets others have their turn after so long."""
ACCOUNTS_AT_ONCE = 8
LOOK_AGAIN = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 720))
"""When an unclear call is looked at again, counted from the call; the last step repeats."""
STOP_LOOKING = timedelta(days=30)
NOT_READY = timedelta(minutes=5)
UNTOLD = frozenset({"pending", "unknown"})
NO_NEWS: dict[str, frozenset[str]] = {
    "sent": frozenset({"dispatch.attempted"}),
    "refused": frozenset({"dispatch.attempted"}),
    "later": frozenset({"dispatch.attempted", "submission.rejected"}),
    "unclear": frozenset({"dispatch.attempted", "submission.rejected"}),
}
"""What an answer to a call of ours does not tell of the message: that the call was made is known, and who asks to wait refuses nothing."""


class ActRefusedError(LedgerError):
    """That cannot be done with a send in this state; nothing was changed."""


class Row(NamedTuple):
    """A row of the queue."""

    message: str
    tenant: str
    account: str
    provider: str
    state: str
    due_at: str


@dataclass(frozen=True, slots=True)
class CallView:
    """One call, as people see it.

    Attributes:
        recipient: index of the one it was for; None: all.
        verdict: sent, refused, later or unclear.
        why: what the answer means, or what a person noted.
        event: id of the event that announced it.
    """

    number: int
    at: str
    operation: str
    recipient: int | None
    verdict: str
    why: str
    status: int
    event: str


@dataclass(frozen=True, slots=True)
class DispatchView:
    """How far a send is.

    Attributes:
        due_at: when it is next looked at; "" when nothing more is done by itself.
        meaning: the state in plain words.
    """

    message: str
    account: str
    provider: str
    state: str
    meaning: str
    due_at: str
    calls: tuple[CallView, ...] = ()


class Outbox:
    """The sends of one ledger.

    Args:
        queries: tell by what arrived since whether the provider took an unclear call after all.
        keep: how long a payload is kept after the end.
    """

    def __init__(
        self,
        ledger: Ledger,
        intake: Intake,
        accounts: Accounts,
        calls: Calls,
        queries: Queries,
        *,
        keep: timedelta = timedelta(0),
    ) -> None:
        self.ledger = ledger
        self.intake = intake
        self.accounts = accounts
        self.calls = calls
        self.queries = queries
        self.keep = keep
        self.stopping = threading.Event()
        self._woken = threading.Event()

    # --- working

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    def work(self, may_send: Callable[[], bool]) -> None:
        """Send what is due until `stop`; for a thread of its own.

        Args:
            may_send: whether this process is the one that sends.
        """
        while not self.stopping.is_set():
            self._woken.wait(LOOK_EVERY_S)
            self._woken.clear()
            try:
                if may_send():
                    self.run()
            except Exception:
                LOG.exception("the outbox could not look at what is due; it looks again in a moment")

    def stop(self) -> None:
        """End after the call that is being made."""
        self.stopping.set()
        self.wake()

    # --- the queue

    def due(self, limit: int = 1_000) -> list[Row]:
        """What is to be looked at now, the longest due first."""
        sql = f"SELECT {_COLUMNS} FROM outbox WHERE due_at <> '' AND due_at <= ? ORDER BY due_at, message LIMIT ?"
        return [Row(*r) for r in self.ledger.database.read(sql, (time_text(self.ledger.clock()), limit))]

    def run(self) -> int:
        """Look at everything that is due, accounts side by side; one bad send hurts only itself.

        Returns:
            How many were looked at.
        """
        by_account: dict[tuple[str, str], list[Row]] = {}
        for row in self.due():
            by_account.setdefault((row.tenant, row.account), []).append(row)
        if not by_account:
            return 0
        with ThreadPoolExecutor(min(ACCOUNTS_AT_ONCE, len(by_account)), "outbox") as pool:
            return sum(pool.map(self._run_account, by_account.values()))

    def _run_account(self, rows: Sequence[Row]) -> int:
        for number, row in enumerate(rows):
            if self.stopping.is_set():
                return number
            try:
                self.turn(row)
            except Exception as error:  # noqa: BLE001  as the docstring says
                # Only the kind of failure is told: its text may quote what a person wrote.
                LOG.error("send %s: %s", row.message, type(error).__name__)  # noqa: TRY400
                self._set(row, row.state, self.ledger.clock() + NOT_READY)
        return len(rows)

    def row(self, tenant: str, message: str) -> Row:
        """The queue's row of a message.

        Raises:
            NotFoundError: the tenant has no send of that message from here.
        """
        found = self.ledger.database.read(f"SELECT {_COLUMNS} FROM outbox WHERE message = ?", (message,))
        if not found or found[0][1] != tenant:
            msg = f"message {message} was not sent from here"
            raise NotFoundError(msg)
        return Row(*found[0])

    def list(self, tenant: str, states: Sequence[str] = OPEN, after: str = "", limit: int = 100) -> list[Row]:
        """Sends in these states, by message id (which is by time)."""
        marks = ",".join("?" * len(states))
        sql = f"SELECT {_COLUMNS} FROM outbox WHERE tenant = ? AND state IN ({marks}) AND message > ? ORDER BY message LIMIT ?"
        return [Row(*r) for r in self.ledger.database.read(sql, (tenant, *states, after, limit))]

    def _set(self, row: Row, state: str, due_at: datetime | None) -> str:
        """Move a row of the queue on; at the end its payload goes, at once or when its time has come."""
        ended = state not in OPEN
        drop_at = self.ledger.clock() + self.keep if ended and self.keep and row.state in OPEN else None
        due = due_at or drop_at
        with self.ledger.database.writing() as cursor:
            cursor.execute(
                "UPDATE outbox SET state = ?, due_at = ? WHERE message = ?",
                (state, time_text(due) if due else "", row.message),
            )
            if ended and due is None:
                cursor.execute("UPDATE outbox SET sealed = NULL WHERE message = ?", (row.message,))
        return state

    # --- one send

    def turn(self, row: Row) -> str:
        """Go on with a send until nothing more can be done now.

        Returns:
            Its state then.
        """
        if row.state not in OPEN:
            return self._set(row, row.state, None)
        provider = registry()[row.provider]
        client = sending.sender_of(provider)
        journal = Journal(self.ledger, row.tenant, row.account, row.provider, row.message)
        try:
            submission = self._submission(row, client, journal.requested_at)
            access = self._access(row, client)
        except ErasedError:
            return self._set(row, "erased", None)
        except (ConfigurationError, NotFoundError) as error:
            LOG.warning("send %s waits: %s", row.message, error)
            return self._set(row, "waiting", self.ledger.clock() + NOT_READY)
        send = _Send(row, provider, client, submission, access, journal)
        self._clear_up(send)
        end = self.ledger.clock() + timedelta(seconds=SLICE_S)
        while not self.stopping.is_set() and self.ledger.clock() < end:
            request = client.next_request(submission, journal.exchanges(), send.access)
            if request is None:
                return self._end(send)
            judged = self._call(send, request)
            if judged.verdict == "later" or (judged.verdict == "unclear" and not request.may_send):
                return self._set(row, "waiting", judged.retry_at or self.ledger.clock() + NOT_READY)
        return self._set(row, "queued", self.ledger.clock())

    def _submission(self, row: Row, client: Client, requested_at: datetime) -> Submission:
        found = self.ledger.database.read("SELECT sealed FROM outbox WHERE message = ?", (row.message,))
        key = self.ledger.person_key(row.message, -1)
        if found[0][0] is None:
            raise ErasedError(row.message)
        payload = unseal_artifact(key.key, bytes(found[0][0]), row.message.encode())
        return sending.decode(payload, client, row.message, requested_at)

    def _access(self, row: Row, client: Client) -> Access:
        access = self.accounts.access(row.tenant, row.account, self.ledger.clock())
        sending.check_secrets(client, access, row.account)
        return access

    def _clear_up(self, send: _Send) -> None:
        """Settle what is unclear: by what arrived since, or by asking the provider where it can be asked."""
        for call in send.journal.unclear():
            if call.outcome is None:
                call = send.journal.settle(call, CUT_OFF)  # noqa: PLW2901  the same call, as the log knows it now
            if self._took(send.row.message, call.recipient):
                send.journal.resolve(
                    call, was_sent=True, rule_text="what arrived since shows that the provider took it"
                )
            else:
                self._ask(send, call)

    def _took(self, message: str, recipient: int | None) -> bool:
        """Whether every delivery that a call was for is known to have gone on since."""
        sql = "SELECT status FROM read_deliveries WHERE message = ?"
        only = () if recipient is None else (recipient,)
        found = self.ledger.database.read(sql + (" AND recipient = ?" if only else ""), (message, *only))
        return bool(found) and all(status not in UNTOLD for (status,) in found)

    def _ask(self, send: _Send, call: Call) -> None:
        request = send.client.ask(send.submission, send.journal.exchanges(), send.access)
        if request is None:
            return
        answer = self.calls.call(send.client, send.provider, request, send.access, key=send.key)
        if answer.failure:
            return
        found = send.client.found(send.submission, answer)
        if found == "sent":
            self._admit(send, request, answer, None, Judged("sent", ""))
            send.journal.resolve(call, was_sent=True, rule_text="the provider was asked and has it")
        elif found in {"refused", "later"}:
            send.journal.resolve(call, was_sent=False, rule_text="the provider was asked and does not have it")

    def _call(self, send: _Send, request: Request) -> Judged:
        """Announce a call, make it, and keep what came of it."""
        call = send.journal.announce(request)
        answer = self.calls.call(send.client, send.provider, request, send.access, key=send.key)
        judged = judge(send.client, request, answer)
        if answer.status:
            self._admit(send, request, answer, call, judged)
            send.journal.refresh(call)
        else:
            send.journal.settle(call, judged)
        return judged

    def _admit(self, send: _Send, request: Request, answer: Answer, call: Call | None, judged: Judged) -> None:
        """Keep an answer raw, with what it tells; one that is not final tells nothing of the message yet."""
        arrival = arrival_of(send.provider, send.row.account, request, answer)
        reading = read(send.row.tenant, arrival, message=send.row.message)
        if call is not None:
            reading = reading._replace(settles=send.journal.settled(call, judged, answer.status), unreadable="")
        told = [seen for seen in reading.observations if seen.type not in NO_NEWS[judged.verdict]]
        if judged.verdict == "refused" and not any(seen.type == "submission.rejected" for seen in told):
            told.append(_refused(send, request, judged))
        reading = reading._replace(observations=tuple(told))
        outcome = self.intake.admit([reading])[0]
        if isinstance(outcome, Exception):
            raise outcome

    def _end(self, send: _Send) -> str:
        """Nothing more can be asked now: say how it ended, or when to look again."""
        calls = [c for c in send.journal.calls if c.verdict != "later"]
        unclear = [c for c in calls if c.verdict == "unclear"]
        if unclear:
            return self._set(send.row, "unclear", self._look_again(min(c.at for c in unclear)))
        verdicts = {c.verdict for c in calls if c.may_send}
        state = "partly" if verdicts == {"sent", "refused"} else "sent" if verdicts == {"sent"} else "refused"
        return self._set(send.row, state, None)

    def _look_again(self, since: datetime) -> datetime | None:
        now = self.ledger.clock()
        if now - since > STOP_LOOKING:
            return None
        step = next((after for after in LOOK_AGAIN if since + after > now), None)
        return since + step if step else now + LOOK_AGAIN[-1]

    # --- people

    def view(self, tenant: str, message: str) -> DispatchView:
        """How far a send is, call by call.

        Raises:
            NotFoundError: the tenant has no send of that message from here.
        """
        row = self.row(tenant, message)
        journal = Journal(self.ledger, tenant, row.account, row.provider, message)
        events = [e for c in journal.calls for e in (c.outcome, c.resolution) if e is not None]
        values = discreet(self.ledger).values(events)

        def why(call: Call) -> str:
            said = [values.get(e.position, {}) for e in (call.resolution, call.outcome) if e is not None]
            return next((str(text) for each in said for text in (each.get("note"), each.get("text")) if text), "")

        views = tuple(
            CallView(
                c.number,
                c.event.fields["observed_at"],
                c.operation,
                c.recipient,
                c.verdict,
                why(c) or (CUT_OFF.why if c.outcome is None else ""),
                c.outcome.fields.get("numbers", {}).get("status", 0) if c.outcome else 0,
                c.event.id,
            )
            for c in journal.calls
        )
        return DispatchView(message, row.account, row.provider, row.state, STATES[row.state], row.due_at, views)

    def resolve(
        self, tenant: str, message: str, number: int, note: str, *, was_sent: bool, actor: str = CONSOLE
    ) -> str:
        """A person says what became of an unclear call; one that was not sent is tried again.

        Raises:
            NotFoundError: no such call.
            ActRefusedError: it is not unclear.
        """
        row = self.row(tenant, message)
        journal = Journal(self.ledger, tenant, row.account, row.provider, message)
        call = next((c for c in journal.calls if c.number == number), None)
        if call is None:
            msg = f"message {message} has no call {number}"
            raise NotFoundError(msg)
        if call.verdict != "unclear":
            msg = f"call {number} is not unclear: {call.verdict}"
            raise ActRefusedError(msg)
        journal.resolve(call, was_sent=was_sent, rule_text=note, actor=actor)
        return self._set(row, "queued", self.ledger.clock())

    def cancel(self, tenant: str, message: str, note: str, actor: str = CONSOLE) -> str:
        """Withdraw a send of which nothing was taken yet.

        Raises:
            ActRefusedError: something was sent, or may have been.
        """
        row = self.row(tenant, message)
        journal = Journal(self.ledger, tenant, row.account, row.provider, message)
        taken = [c for c in journal.calls if c.may_send and c.verdict in {"sent", "unclear"}]
        if row.state not in OPEN or taken:
            why = f"call {taken[0].number} is {taken[0].verdict}" if taken else f"it is {row.state}"
            msg = f"message {message} cannot be withdrawn: {why}"
            raise ActRefusedError(msg)
        try:
            journal.withdraw(note, actor)
        except DuplicateError as error:
            msg = f"message {message} cannot be withdrawn: it is being sent at this moment"
            raise ActRefusedError(msg) from error
        return self._set(row, "cancelled", None)


def _refused(send: _Send, request: Request, judged: Judged) -> Observation:
    """A refusal that the provider's reader takes for less: for a send of ours it is final."""
    whom = None if request.recipient is None else send.submission.recipients[request.recipient]
    return Observation(
        type="submission.rejected",
        about="message" if whom is None else "recipient",
        recipient=whom,
        identity=("refused", send.row.message, str(len(send.journal.calls))),
        texts={"text": judged.why} | ({"reason": judged.code} if judged.code else {}),
    )


@dataclass(slots=True)
class _Send:
    """One send while it is worked on."""

    row: Row
    provider: Provider
    client: Client
    submission: Submission
    access: Access
    journal: Journal

    @property
    def key(self) -> tuple[str, str]:
        return self.row.tenant, self.row.account


_COLUMNS = "message, tenant, account, provider, state, due_at"
