"""A message goes out and its receipts come in, at a provider who writes what RFC 6109 says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.providers.calling import Access, Document, Request, Submission, judge
from adapters.providers.pec_mailbox import smtp
from adapters.providers.pec_mailbox.client import CLIENT, transport
from adapters.providers.pec_mailbox.sandbox import ACCOUNT, PASSWORD, Clock, Fault, Provider, Sandbox, running
from adapters.providers.pec_mailbox.settings import Settings
from adapters.providers.pec_mailbox.wire import parse
from ledger.observations import Address, Arrival, ArrivalKind, Observation, Reference
from tests.mail.desk import FakeDesk

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROSSI, VERDI = "rossi@pec.altro.example", "verdi@pec.altro.example"
DOCUMENT = Document("diffida.pdf", "application/pdf", b"%PDF-1.7 diffida " * 40)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(provider=Provider({ACCOUNT: PASSWORD}, clock=Clock(NOW))) as service:
        yield service


@pytest.fixture
def access(sandbox: Sandbox, tmp_path: Path) -> Access:
    (tmp_path / "ca.pem").write_bytes(sandbox.ca_pem)
    settings = Settings(
        address=ACCOUNT,
        smtp_host="localhost",
        smtp_port=sandbox.smtps_port,
        imap_host="localhost",
        imap_port=sandbox.imap_port,
        ca_file=str(tmp_path / "ca.pem"),
    )
    return Access(settings=settings, secrets={"imap_user": ACCOUNT, "imap_password": PASSWORD}, now=NOW)


def submission(**said: Any) -> Submission:
    usual = {
        "message": "01959f2e-7b1c-7e55-9c5b-3d3a5f0c1a77",
        "recipients": (Address("email", ROSSI), Address("email", VERDI)),
        "subject": "Diffida n. 7, più",
        "text": "In allegato.\n",
        "documents": (DOCUMENT,),
        "options": smtp.Options(),
        "requested_at": NOW,
    }
    return Submission(**usual | said)


def step(what: Submission, access: Access) -> Request:
    request = CLIENT.next_request(what, [], access)
    assert request is not None
    return request


def collected(access: Access) -> list[Observation]:
    """What all receipts in the mailbox say."""
    desk = FakeDesk(access)
    CLIENT.sweeps[0].run(desk)
    return read(desk)


def read(desk: FakeDesk) -> list[Observation]:
    """What the receipts that were handed in say."""
    arrivals = [
        Arrival(
            provider="pec_mailbox",
            account="ufficio",
            operation=each.operation,
            kind=each.kind,
            observed_at=NOW,
            body=each.body,
        )
        for each in desk.handed
    ]
    return [seen for arrival in arrivals for seen in parse(arrival)]


def test_receipts_name_the_message_as_the_submission_does(sandbox: Sandbox, access: Access) -> None:
    """One Message-ID from the reply of the submission server to the last delivery receipt."""
    what = submission()
    request = step(what, access)
    answer = transport(request, access)
    reply = Arrival(
        provider="pec_mailbox",
        account="ufficio",
        operation=request.operation,
        kind=ArrivalKind.POLL,
        observed_at=NOW,
        body=answer.body,
        status=answer.status,
        request=request.body,
    )
    sandbox.advance(hours=1)
    sandbox.settle()
    seen = [*parse(reply), *collected(access)]
    assert "sent" == judge(CLIENT, request, answer).verdict
    assert ["production.advanced", "submission.accepted", "content.consigned", "content.consigned"] == [
        each.type for each in seen
    ]
    assert {Reference("msgid", smtp.msgid(what, ACCOUNT))} == {each.references[0] for each in seen}
    assert {ROSSI, VERDI} == {each.recipient.value for each in seen if each.recipient}


@pytest.mark.parametrize(("receipt", "kind"), [("", "completa"), ("breve", "breve"), ("sintetica", "sintetica")])
def test_the_kind_of_receipt_that_was_asked_for_comes(
    sandbox: Sandbox, access: Access, receipt: str, kind: str
) -> None:
    """X-TipoRicevuta is heard."""
    transport(step(submission(options=smtp.Options(receipt=receipt)), access), access)
    sandbox.advance(hours=1)
    sandbox.settle()
    kinds = {each.texts["receipt_kind"] for each in collected(access) if each.type == "content.consigned"}
    assert {kind} == kinds


def test_an_unclear_submission_is_cleared_up_by_its_receipt(sandbox: Sandbox, access: Access) -> None:
    """The connection is cut after the provider took it; the mailbox shows that."""
    sandbox.faults.add("DATA", Fault("cut_after"))
    what = submission()
    request = step(what, access)
    answer = transport(request, access)
    assert "unclear" == judge(CLIENT, request, answer).verdict
    sandbox.advance(minutes=30)
    sandbox.settle()
    question = CLIENT.ask(what, [], access)
    assert question is not None
    found = transport(question, access)
    assert "sent" == CLIENT.found(what, found)


def test_a_reply_that_is_no_code_of_smtp_is_unclear(sandbox: Sandbox, access: Access) -> None:
    """After the whole message, whatever is not understood may mean that it was taken."""
    sandbox.faults.add("DATA", Fault("garbage"))
    request = step(submission(), access)
    assert "unclear" == judge(CLIENT, request, transport(request, access)).verdict


def test_each_run_reads_what_came_since(sandbox: Sandbox, access: Access) -> None:
    """Acceptance, the notice after twelve hours, the final one after a day: each once."""
    desk = FakeDesk(access)
    transport(step(submission(recipients=(Address("email", "silent@pec.altro.example"),)), access), access)
    kinds = []
    for hours in (1, 11, 12, 1):
        sandbox.advance(hours=hours)
        sandbox.settle()
        desk.handed.clear()
        CLIENT.sweeps[0].run(desk)
        kinds.append([seen.type for seen in read(desk)])
    assert [["submission.accepted"], ["relay.delayed"], ["relay.failed"], []] == kinds
