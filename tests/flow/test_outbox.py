"""The outbox: a request is durable before the call, an answer means what the table says, unclear is never repeated by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters import sending
from adapters.outbox import ActRefusedError, Outbox
from adapters.providers import registry
from adapters.providers.calling import Answer, Submission
from ledger.errors import NotFoundError
from ledger.observations import Address
from ledger.streams import Registration
from tests.flow.carrier import PROVIDER, Clock, Script, answer
from tests.postgres import Database
from tests.world import TENANT, World, world

TO = (Address("phone", "+31612345678"),)
OK = answer(200, b'{"job": "j-1"}')


class Sender:
    """A world with the carrier, one account, and an outbox over scripted calls."""

    def __init__(self, w: World, *answers: Answer | BaseException) -> None:
        self.world = w
        self.clock = Clock()
        w.ledger.clock = self.clock  # type: ignore[method-assign]
        self.calls = Script(self.clock, *answers)
        w.accounts.add(TENANT, "main", "carrier")
        self.outbox = Outbox(w.ledger, w.intake, w.accounts, self.calls, w.queries)

    def ask(self, text: str = "hello") -> str:
        """Ask for a send; its message."""
        registration = Registration(account="main", provider="carrier", recipients=TO)
        submission = Submission(message="", recipients=TO, text=text, options={}, requested_at=self.clock())
        clear = {"arrival": "api"}
        done = sending.dispatch(self.world.intake, self.world.accounts, TENANT, registration, submission, clear=clear)
        return done.message

    def state(self, message: str) -> str:
        return self.outbox.row(TENANT, message).state

    def status(self, message: str) -> tuple[str, str]:
        """Status and sub-status of its one delivery."""
        self.world.runner.run()
        found = self.world.queries.delivery(TENANT, message, 0)
        return found.status, found.sub_status


@pytest.fixture
def sender(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """A sender whose calls are answered 200 unless a test says otherwise."""
    monkeypatch.setitem(registry(), "carrier", PROVIDER)
    with world(database.url, tmp_path) as w:
        yield Sender(w)


@contextmanager
def failing(sender: Sender, kind: str) -> Iterator[None]:
    """The ledger refuses to store events of a kind: the process dies there."""
    append, admit = sender.world.ledger.append, sender.world.intake.admit

    def refuse(item: object) -> object:
        if any(draft.topic.startswith(kind) for draft in item.drafts):  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return append(item)  # type: ignore[arg-type]

    def refuse_answer(_readings: object) -> object:
        raise KeyboardInterrupt

    sender.world.ledger.append = refuse  # type: ignore[method-assign, assignment]
    if kind == "answer":
        sender.world.intake.admit = refuse_answer  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        yield
    sender.world.ledger.append = append  # type: ignore[method-assign]
    sender.world.intake.admit = admit  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("said", "state", "status", "verdict"),
    [
        (OK, "sent", "accepted", "sent"),
        (answer(400, b'{"error": "bad number"}'), "refused", "failed", "refused"),
        (answer(400, b'{"error": "credit"}'), "waiting", "pending", "later"),
        (answer(429, b"{}"), "waiting", "pending", "later"),
        (answer(401, b"<html>"), "waiting", "pending", "later"),
        (answer(failure="unreachable"), "waiting", "pending", "later"),
        (answer(500, b"<html>oops"), "unclear", "pending", "unclear"),
        (answer(302, b"", "redirected"), "unclear", "pending", "unclear"),
        (answer(200, b"not what is documented"), "unclear", "pending", "unclear"),
        (answer(failure="timeout"), "unclear", "pending", "unclear"),
        (answer(failure="cut"), "unclear", "pending", "unclear"),
    ],
)
def test_an_answer_means_what_the_table_says(
    sender: Sender, said: Answer, state: str, status: str, verdict: str
) -> None:
    """Each kind of answer has one meaning for the send and for the delivery, and one call was made."""
    sender.calls.answers = [said]
    message = sender.ask()
    assert 1 == sender.outbox.run()
    assert state == sender.state(message)
    assert status == sender.status(message)[0]
    assert [verdict] == [c.verdict for c in sender.outbox.view(TENANT, message).calls]
    assert 1 == len(sender.calls.asked)


def test_the_request_and_its_digests_are_durable_before_the_provider_is_called(sender: Sender) -> None:
    """When the call is made, the log already holds the request and the announcement."""
    seen: list[list[str]] = []
    call = sender.calls.call

    def watching(*args: object, key: tuple[str, str]) -> Answer:
        seen.append([e.type for e in sender.world.ledger.stream(message)])
        return call(*args, key=key)  # type: ignore[arg-type]

    message = sender.ask()
    sender.calls.answers = [OK]
    sender.calls.call = watching  # type: ignore[method-assign, assignment]
    sender.outbox.run()
    assert [["submission.requested", "recipients.declared", "dispatch.attempted"]] == seen


def test_a_limit_is_waited_for_until_its_own_period_ends(sender: Sender) -> None:
    """A monthly credit is tried again when the next month begins, not before."""
    sender.calls.answers = [answer(400, b'{"error": "credit"}'), OK]
    message = sender.ask()
    sender.outbox.run()
    assert "2026-04-01T00:00:00.000000Z" == sender.outbox.row(TENANT, message).due_at
    assert 0 == sender.outbox.run()
    sender.clock.now = datetime(2026, 4, 1, tzinfo=UTC)
    sender.outbox.run()
    assert "sent" == sender.state(message)
    assert "accepted" == sender.status(message)[0]


@pytest.mark.parametrize("kind", ["dispatch.attempted", "answer"])
def test_what_dies_before_or_after_the_call_is_never_sent_twice(sender: Sender, kind: str) -> None:
    """Before the announcement nothing was sent, so it is sent once; after the call it is unclear, so it is not repeated."""
    sender.calls.answers = [OK, OK]
    message = sender.ask()
    with failing(sender, kind):
        sender.outbox.turn(sender.outbox.row(TENANT, message))
    sender.outbox.run()
    assert 1 == len(sender.calls.asked)
    assert {"dispatch.attempted": "sent", "answer": "unclear"}[kind] == sender.state(message)


def test_an_unclear_call_is_settled_by_asking_where_the_provider_can_be_asked(sender: Sender) -> None:
    """The answer to the question is evidence: it is admitted, and the delivery is accepted."""
    sender.world.accounts.configure(TENANT, "main", {"askable": True})
    sender.calls.answers = [answer(failure="timeout"), answer(200, b'{"job": "j-9"}')]
    message = sender.ask()
    sender.outbox.run()
    assert "unclear" == sender.state(message)
    sender.clock.now = datetime(2026, 3, 2, 9, 2, tzinfo=UTC)
    sender.outbox.run()
    assert "sent" == sender.state(message)
    assert "accepted" == sender.status(message)[0]
    assert ["send", "find"] == [r.operation for r in sender.calls.asked]


def test_an_unclear_call_the_provider_does_not_have_is_made_again(sender: Sender) -> None:
    """Asked and not there: nothing was sent, so it is tried again, once."""
    sender.world.accounts.configure(TENANT, "main", {"askable": True})
    sender.calls.answers = [answer(failure="cut"), answer(404, b"{}"), OK]
    message = sender.ask()
    sender.outbox.run()
    sender.clock.now = datetime(2026, 3, 2, 9, 2, tzinfo=UTC)
    sender.outbox.run()
    assert "sent" == sender.state(message)
    assert ["later", "sent"] == [c.verdict for c in sender.outbox.view(TENANT, message).calls]


def test_what_arrives_later_settles_an_unclear_call(sender: Sender) -> None:
    """A fact about the delivery proves that the provider had taken it."""
    sender.calls.answers = [answer(failure="timeout")]
    message = sender.ask()
    sender.outbox.run()
    from adapters.receiving import read  # noqa: PLC0415  only here
    from ledger.observations import Arrival, ArrivalKind  # noqa: PLC0415

    told = Arrival(
        provider="carrier",
        account="main",
        operation="find",
        kind=ArrivalKind.API,
        observed_at=sender.clock(),
        body=b'{"job": "j-2"}',
    )
    sender.world.intake.admit([read(TENANT, told, message=message)])
    sender.world.runner.run()
    sender.clock.now = datetime(2026, 3, 2, 9, 2, tzinfo=UTC)
    sender.outbox.run()
    assert "sent" == sender.state(message)
    assert 1 == len(sender.calls.asked)


def test_a_person_settles_an_unclear_call_with_a_note(sender: Sender) -> None:
    """Not sent: it is made again. The note stands in the log; the same call is not settled twice."""
    sender.calls.answers = [answer(failure="timeout"), OK]
    message = sender.ask()
    sender.outbox.run()
    sender.outbox.resolve(TENANT, message, 1, "asked their service desk", was_sent=False, actor="key_1")
    with pytest.raises(ActRefusedError, match="not unclear: later"):
        sender.outbox.resolve(TENANT, message, 1, "again", was_sent=True)
    sender.outbox.run()
    view = sender.outbox.view(TENANT, message)
    assert "sent" == view.state
    assert ["asked their service desk", "it has a job"] == [c.why for c in view.calls]


def test_only_what_was_not_taken_can_be_withdrawn(sender: Sender) -> None:
    """A waiting send is withdrawn and never made; an unclear or sent one is not."""
    sender.calls.answers = [answer(429), OK]
    waiting, sent = sender.ask("one"), sender.ask("two")
    sender.outbox.run()
    sender.outbox.cancel(TENANT, waiting, "no longer needed")
    assert "cancelled" == sender.state(waiting)
    assert "cancelled" == sender.status(waiting)[0]
    with pytest.raises(ActRefusedError, match="cannot be withdrawn"):
        sender.outbox.cancel(TENANT, sent, "too late")


def test_the_payload_is_sealed_and_gone_at_the_end(sender: Sender) -> None:
    """No byte of the text stands in the database while it waits, and no payload is left after the end."""
    sender.calls.answers = [answer(429), OK]
    message = sender.ask("a very private text")
    rows = sender.world.ledger.database.read("SELECT sealed FROM outbox")
    assert b"private" not in bytes(rows[0][0])
    sender.outbox.run()
    assert sender.world.ledger.database.read("SELECT sealed FROM outbox") != [(None,)]
    sender.clock.now = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    sender.outbox.run()
    assert "sent" == sender.state(message)
    assert [(None,)] == sender.world.ledger.database.read("SELECT sealed FROM outbox")


def test_another_tenant_knows_nothing_of_a_send(sender: Sender) -> None:
    """Neither the view nor an act of another tenant finds it."""
    message = sender.ask()
    with pytest.raises(NotFoundError):
        sender.outbox.view("other", message)
    with pytest.raises(NotFoundError):
        sender.outbox.cancel("other", message, "not mine")
    assert [] == sender.outbox.list("other")
