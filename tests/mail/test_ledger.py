"""A real mailbox at the desk of a real ledger: what was read twice is there once, what could not be had waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.desk import AccountDesk
from adapters.providers.calling import Access, Answer, Client, Request, Submission
from adapters.providers.contract import Provider
from adapters.providers.mailbox import mailbox_sweep
from adapters.providers.pec_mailbox import PROVIDER
from adapters.providers.pec_mailbox.client import CLIENT
from adapters.providers.pec_mailbox.sandbox import Clock
from adapters.providers.pec_mailbox.sandbox import Provider as Sender
from adapters.providers.pec_mailbox.settings import Settings
from adapters.providers.pec_mailbox.smtp import Options, envelope
from ledger.observations import Address
from tests.mail.dovecot import PASSWORD, Dovecot
from tests.world import TENANT, World, world

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ACCOUNT = "ufficio"
SENDER = "ufficio@pec.prova.example"
SWEEP = mailbox_sweep()


class NoCalls:
    """A sweep of a mailbox makes no call."""

    def call(
        self, client: Client, provider: Provider, request: Request, access: Access, *, key: tuple[str, str]
    ) -> Answer:
        raise NotImplementedError


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    with world(f"sqlite:///{tmp_path}/ledger.db", tmp_path) as found:
        found.accounts.add(TENANT, ACCOUNT, "pec_mailbox")
        yield found


def desk(ledger: World, dovecot: Dovecot, user: str, **settings: object) -> AccountDesk:
    given = {"imap_host": "localhost", "imap_port": dovecot.plain, "imap_security": "plain", **settings}
    secrets = {"imap_user": user, "imap_password": PASSWORD}
    access = Access(settings=Settings(**given), secrets=secrets, now=NOW)  # type: ignore[arg-type]
    return AccountDesk(TENANT, ACCOUNT, PROVIDER, CLIENT, access, ledger.accounts, ledger.intake, calls=NoCalls())


def submission() -> Request:
    """A message to two recipients, of whom one is never reached, as it is submitted."""
    what = Submission(
        message="01959f2e-7b1c-7e55-9c5b-3d3a5f0c1a77",
        recipients=(Address("email", "rossi@pec.altro.example"), Address("email", "silent@pec.altro.example")),
        subject="Diffida",
        options=Options(),
        requested_at=NOW,
    )
    request = CLIENT.next_request(what, [], Access(settings=Settings(address=SENDER), secrets={}, now=NOW))
    assert request is not None
    return request


def receipts() -> list[bytes]:
    """All that comes back for it within a day."""
    provider = Sender({SENDER: PASSWORD}, clock=Clock(NOW))
    provider.submit(SENDER, envelope(submission().body).recipients, submission().body)
    provider.advance(timedelta(hours=25))
    return [each.raw for each in provider.mailboxes[SENDER]]


def told(ledger: World) -> dict[str, str]:
    return {each.address.address: each.status for each in ledger.deliveries()}


def test_receipts_settle_each_recipient(ledger: World, dovecot: Dovecot, user: str) -> None:
    """From the bytes in a mailbox to a status, without anything in between."""
    dovecot.deliver(user, receipts())
    SWEEP.run(desk(ledger, dovecot, user))
    assert {"rossi@pec.altro.example": "delivered", "silent@pec.altro.example": "failed"} == told(ledger)


def test_reply_and_receipts_are_of_one_message(ledger: World, dovecot: Dovecot, user: str) -> None:
    """The submission server's reply is found together with the receipts, by the Message-ID, whichever comes first."""
    dovecot.deliver(user, receipts())
    one = desk(ledger, dovecot, user)
    reply = Answer(at=NOW, status=250, body=b"DATA\r\n250 2.0.0 accodato\r\n")
    before = one.admit(submission(), reply)
    SWEEP.run(one)
    assert 1 == len(before.messages)
    assert set(before.messages) == {each.message for each in ledger.deliveries()}
    assert 2 == len(told(ledger))


def test_what_is_read_again_changes_nothing(ledger: World, dovecot: Dovecot, user: str) -> None:
    """A state that was lost costs the reading, no event and no byte."""
    dovecot.deliver(user, receipts())
    SWEEP.run(desk(ledger, dovecot, user))
    before = ledger.ledger.head().size
    SWEEP.run(desk(ledger, dovecot, user))
    assert before == ledger.ledger.head().size


def test_the_original_is_kept_byte_for_byte(ledger: World, dovecot: Dovecot, user: str) -> None:
    """As an e-mail, which its media type says."""
    mails = receipts()
    dovecot.deliver(user, mails)
    SWEEP.run(desk(ledger, dovecot, user))
    events = [ledger.ledger.event(position) for position in range(1, ledger.ledger.head().size + 1)]
    kept = {
        body.body
        for event in events
        for name in event.fields.get("artifacts", ())
        if (body := ledger.ledger.artifact(name))
    }
    assert set(mails) == kept


def test_what_cannot_be_had_waits_for_a_person(ledger: World, dovecot: Dovecot, user: str) -> None:
    """One item in the lane, also when it is tried again and again."""
    dovecot.deliver(user, receipts())
    for days in range(3):
        one = desk(ledger, dovecot, user, imap_message_bytes=10)
        one.access = replace(one.access, now=NOW + timedelta(days=days))
        SWEEP.run(one)
    ledger.runner.run()
    assert len(receipts()) == len(ledger.queries.lanes(TENANT, "open"))
    assert {"skipped"} == {item.operation for item in ledger.queries.lanes(TENANT, "open")}
