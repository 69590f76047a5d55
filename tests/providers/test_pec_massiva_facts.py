"""A receipt of PEC Massiva seen as a row and as the signed e-mail behind it: one fact, whichever comes first."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from adapters.providers.pec_mailbox.sandbox import ACCOUNT as MAILBOX
from adapters.providers.pec_mailbox.sandbox import PASSWORD, Clock, Provider
from adapters.providers.pec_massiva import PROVIDER
from adapters.providers.pec_massiva.sandbox import Manners, Service
from adapters.receiving import read
from ledger.events import Event
from ledger.observations import Arrival, ArrivalKind, Observation
from tests.world import TENANT, World, world

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KINDS = ("regular", "unknown", "virus", "delayed", "slow", "esterno", "html", "sha1", "mojibake", "stray", "shouting")


def sent(*recipients: str, subject: str = "Prova perché", texts: str = "receipt") -> tuple[str, Provider, Service]:
    """A call that the sandbox took, two days later."""
    provider = Provider({MAILBOX: PASSWORD}, clock=Clock(NOW))
    service = Service(provider, manners=Manners(texts=texts))  # type: ignore[arg-type]
    asked = {"sender": MAILBOX, "recipient": list(recipients), "subject": subject, "body": "<p>Buongiorno</p>"}
    status, answer = service.send({**asked, "username": MAILBOX, "password": PASSWORD})
    assert 201 == status, answer
    provider.advance(timedelta(days=2))
    return str(answer["message_id"]), provider, service


def as_rows(service: Service, message_id: str) -> Arrival:
    status, said = service.status(MAILBOX, message_id)
    return _arrival("send_status", service.encoded(said), ArrivalKind.POLL, status, f"/send/{message_id}")


def as_mails(provider: Provider) -> list[Arrival]:
    """Without their signatures being looked at: that is another verdict."""
    return [_arrival("receipt", mail.raw, ArrivalKind.MAILBOX) for mail in provider.mailboxes[MAILBOX]]


def _arrival(operation: str, body: bytes, kind: ArrivalKind, status: int | None = None, name: str = "") -> Arrival:
    return Arrival(
        provider="pec_massiva",
        account="a",
        operation=operation,
        kind=kind,
        observed_at=NOW + timedelta(days=3),
        body=body,
        status=status,
        name=name,
    )


def shared(seen: Observation) -> tuple[object, ...]:
    """All of an observation that an event says in the clear, and what makes it the same as another."""
    who = (seen.about, seen.recipient and seen.recipient.value.casefold())
    return (seen.type, *who, seen.code, seen.reason, seen.occurred and seen.occurred.at, seen.identity, seen.content)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [(), ("altro@pec.example",)])
def test_every_row_is_told_by_its_email_too(kind: str, more: tuple[str, ...]) -> None:
    """For each kind of receipt, to one and to several: same identity, and the same in every field that decides."""
    message_id, provider, service = sent(f"{kind}@pec.example", *more)
    rows = {shared(seen) for seen in PROVIDER.parse(as_rows(service, message_id))}
    mails = {shared(seen) for mail in as_mails(provider) for seen in PROVIDER.parse(mail)}
    assert rows
    assert rows <= mails


@pytest.mark.parametrize("kind", ["slow", "esterno", "unknown"])
def test_what_only_the_email_says_is_told_beside_it(kind: str) -> None:
    """The final notice, who is outside, why it failed: in facts of its own, or in the texts."""
    message_id, provider, service = sent(f"{kind}@pec.example")
    rows = {shared(seen) for seen in PROVIDER.parse(as_rows(service, message_id))}
    seen = [each for mail in as_mails(provider) for each in PROVIDER.parse(mail)]
    beside = {each.type for each in seen if shared(each) not in rows}
    told = {each.texts["certified_reason"] for each in seen if "certified_reason" in each.texts}
    assert {"slow": {"relay.failed"}, "esterno": {"nonerds.relayed"}, "unknown": set()}[kind] == beside
    assert {"slow": {"warning_12h", "final_24h"}, "esterno": set(), "unknown": {"no-dest"}}[kind] == told


def test_rows_that_name_nobody_are_facts_of_their_own() -> None:
    """As in the published example, whose rows show the original's text: they claim nothing of anybody."""
    message_id, provider, service = sent("a@pec.example", "b@pec.example", texts="original")
    rows = PROVIDER.parse(as_rows(service, message_id))
    mails = {seen.identity for mail in as_mails(provider) for seen in PROVIDER.parse(mail)}
    assert {("recipient", None, ())} == {(seen.about, seen.recipient, seen.declares) for seen in rows}
    assert len(rows) == len({seen.identity for seen in rows} - mails)


def test_a_subject_that_lies_is_not_followed() -> None:
    """The certification data decides; the e-mail is then no second sighting of its row."""
    message_id, provider, _ = sent("unknown@pec.example")
    mail = next(m for m in as_mails(provider) if b"MANCATA CONSEGNA" in m.body)
    lied = dataclasses.replace(mail, body=mail.body.replace(b"AVVISO DI MANCATA CONSEGNA", b"CONSEGNA", 1))
    assert lied.body != mail.body
    (seen,) = PROVIDER.parse(lied)
    assert "content.consignment_failed" == seen.type
    assert "subject_differs" in seen.notes
    assert message_id in {reference.value for reference in seen.references}


@pytest.mark.parametrize("subject", ["Prova", f"{20260302100000}99 Prova", "Prova20260302100000"])
def test_an_email_without_the_id_at_its_end_is_read_as_any_other(subject: str) -> None:
    """A whole last word, or none."""
    provider = Provider({MAILBOX: PASSWORD}, clock=Clock(NOW))
    head = f"From: {MAILBOX}\r\nTo: a@pec.example\r\nSubject: {subject}\r\nMessage-ID: <m@pec.example>\r\n\r\nciao\r\n"
    provider.submit(MAILBOX, ("a@pec.example",), head.encode())
    provider.advance(timedelta(hours=1))
    for mail in as_mails(provider):
        for seen in PROVIDER.parse(mail):
            assert "message_id" not in {reference.kind for reference in seen.references}


# --- through the whole intake


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    with world(f"sqlite:///{folder}/ledger.db", folder):
        pass
    return folder


def facts(found: World) -> list[Event]:
    return [e for e in found.ledger.feed(0, 1_000) if e.type.startswith(("submission.", "content.", "relay."))]


def admit(found: World, arrivals: Sequence[Arrival]) -> None:
    for arrival in arrivals:
        (outcome,) = found.intake.admit([read(TENANT, arrival)])
        assert not isinstance(outcome, Exception), outcome


def test_rows_and_emails_in_any_order_are_the_same_facts(tmp_path: Path, empty: Path) -> None:
    """Accepted, taken and delivered, each once; the e-mails are kept as further originals when the row came first."""
    message_id, provider, service = sent("Regular@pec.example")
    rows, mails = as_rows(service, message_id), as_mails(provider)
    told = set()
    for number, order in enumerate(permutations([rows, *mails])):
        folder = tmp_path / str(number)
        shutil.copytree(empty, folder)
        with world(f"sqlite:///{folder}/ledger.db", folder) as found:
            admit(found, [*order, *order])
            (delivery,) = found.deliveries()
            reasons = tuple((r.type, r.at, r.rule, r.code) for r in delivery.reasons)
            told.add((delivery.status, delivery.sub_status, delivery.since, reasons))
            held = {
                found.ledger.artifact(a).body for e in found.ledger.feed(0, 99) for a in e.fields.get("artifacts", ())
            }
            assert {mail.body for mail in mails} <= held
            assert ["content.consigned", "submission.accepted"] == sorted(event.type for event in facts(found))
    assert ["delivered"] == [status for status, *_ in told]
