"""Erasing a person or a message: everything that is theirs goes, and nothing that is another's."""

from __future__ import annotations

from pathlib import Path

from adapters.compliance import people
from adapters.erasing import certificates
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Subject
from adapters.evidence.pack import Ask
from ledger import fsck
from ledger.observations import Reference
from ledger.tree import leaf_hash
from ops.evidence import desk
from ops.system import System
from projections.searching import Filters
from tests.flow.desk import DELIVERED, admit, report, send
from tests.flow.officer import ANNA, BERT, TENANT, WHY, bodies, erase, eraser, messages, said, several, system

__all__ = ["eraser", "system"]  # fixtures


def test_a_person_who_is_the_only_recipient_goes_with_the_whole_message(system: System, eraser: Eraser) -> None:
    """Nothing of the message can be opened any more, under whatever spelling she was asked for."""
    message = send(system, "doc-1", ANNA)
    admit(system, report(ANNA, DELIVERED, 5, "doc-1"))
    assert [message] == messages(system, ANNA)
    found = eraser.preview(TENANT, Subject(recipient="06 1234 0001"))
    assert (1, 1, 1) == (found.goes.messages, found.goes.recipients, found.goes.originals)
    erase(eraser, "0031 6 12 34 00 01")
    assert ([], []) == (messages(system, ANNA), bodies(system))
    events = [e for e in system.ledger.feed(0, 1_000) if e.stream.startswith(message)]
    assert {} == system.ledger.values(events)
    assert "12340001" not in said(system)


def test_of_a_message_with_others_only_the_person_goes(system: System, eraser: Eraser) -> None:
    """The other recipient keeps address, status and original; when he is erased, too, the whole message goes."""
    message = send(system, "doc-1", ANNA, BERT, texts={"subject": f"For {ANNA} only", "sender": "Acme"})
    for number in (ANNA, BERT):
        admit(system, report(number, DELIVERED, 5, "doc-1"))
    erase(eraser, ANNA)
    assert ([], [message]) == (messages(system, ANNA), messages(system, BERT))
    views = system.queries.deliveries(TENANT, message)
    assert ["", BERT] == [view.address.address for view in views]
    assert ["delivered", "delivered"] == [view.status for view in views]
    assert [True] == [BERT.encode() in body for body in bodies(system)]
    assert ANNA not in said(system)
    assert BERT in said(system)
    erasure = erase(eraser, BERT)
    assert 1 == eraser.get(TENANT, erasure).numbers.messages
    assert [] == bodies(system)
    assert BERT not in said(system)


def test_a_message_is_erased_with_all_its_recipients(system: System, eraser: Eraser) -> None:
    """Asked for by its id, and once only; another message to the same people stays."""
    gone, kept = send(system, "doc-1", ANNA, BERT), send(system, "doc-2", ANNA)
    erasure = erase(eraser, message=gone)
    assert (1, 2) == (eraser.get(TENANT, erasure).numbers.messages, eraser.get(TENANT, erasure).numbers.recipients)
    assert ([kept], []) == (messages(system, ANNA), messages(system, BERT))
    before = system.ledger.head().size
    assert "done" == eraser.carry_out(TENANT, erasure).state
    assert before == system.ledger.head().size


def test_what_was_joined_to_a_message_goes_with_it(system: System, eraser: Eraser) -> None:
    """Reports that came before the send have a message of their own, which tells the same story."""
    admit(system, report(ANNA, DELIVERED, 5, "doc-1"))
    message = send(system, "doc-1", ANNA)
    assert [message] == messages(system, ANNA)
    found = eraser.preview(TENANT, Subject(recipient=ANNA))
    assert (1, 1) == (found.goes.messages, found.goes.recipients)
    erase(eraser, ANNA)
    assert ([], []) == (messages(system, ANNA), bodies(system))
    assert ANNA not in said(system)


def test_an_original_of_several_messages_stays_until_the_last_of_them_goes(system: System, eraser: Eraser) -> None:
    """While another's delivery rests on it, it is sealed, and the certificate says why it stays."""
    send(system, "doc-1", ANNA)
    theirs = send(system, "doc-2", BERT)
    assert not [each for each in system.intake.admit([several(("doc-1", ANNA), ("doc-2", BERT))]) if not each.facts]  # type: ignore[union-attr]  # an error has none
    first = erase(eraser, ANNA)
    assert 1 == len(bodies(system))
    remains = {each.what: each.count for each in certificates.certificate(eraser, TENANT, first).remains}
    assert 1 == remains["other_messages"]
    pack = desk(system)
    assert pack is not None
    (original,) = pack.issue(Ask(tenant=TENANT, message=theirs)).draft.originals
    assert "erased_person" == original.withheld
    (shown,) = pack.issue(Ask(tenant=TENANT, message=theirs, include_shared=True, reason="court")).draft.originals
    assert "" == shown.withheld
    erase(eraser, BERT)
    assert [] == bodies(system)


def test_what_is_told_of_a_batch_stays_until_all_its_messages_go(system: System, eraser: Eraser) -> None:
    """An original about a batch is about each of its messages."""
    batch = Reference("batch", "July", exclusive=False)
    send(system, "doc-1", ANNA, batch=batch)
    send(system, "doc-2", BERT, batch=batch)
    reading = several(("doc-1", ANNA))
    about = reading.observations[0]
    told = type(about)(type="production.advanced", batch=batch, about="batch", code="1", identity=("July",))
    system.intake.admit([reading._replace(observations=(told,))])
    assert 1 == len(bodies(system))
    erase(eraser, ANNA)
    assert 1 == len(bodies(system))
    erase(eraser, BERT)
    assert [] == bodies(system)


def test_the_same_person_of_another_organisation_stays(system: System, eraser: Eraser) -> None:
    """Erasing in one organisation touches nothing of another."""
    system.accounts.add("other", "sms", "kpn_sms")
    send(system, "doc-1", ANNA, tenant="other")
    send(system, "doc-1", ANNA)
    erase(eraser, ANNA)
    system.runner.run()
    assert 1 == len(system.queries.search("other", _filters(ANNA)).deliveries)


def _filters(recipient: str) -> Filters:
    return Filters(recipient=recipient)


def test_afterwards_fsck_is_clean_and_the_package_of_the_person_is_empty(
    system: System, eraser: Eraser, tmp_path: Path
) -> None:
    """What was erased is explained by the log, and is found by nobody."""
    send(system, "doc-1", ANNA, BERT)
    admit(system, report(ANNA, DELIVERED, 5, "doc-1"))
    erase(eraser, ANNA)
    assert [] == list(fsck.check(system.ledger, system.heads).problems)
    asked = people.Request(tenant=TENANT, address=ANNA, reason=WHY)
    assert 0 == people.export(system.queries, system.accounts, asked, tmp_path / "hers").deliveries


def test_the_certificate_is_made_of_the_log_and_names_no_one(system: System, eraser: Eraser) -> None:
    """What went, what remains, the events and the root; the same bytes again, and no address in them."""
    send(system, "doc-1", ANNA)
    erasure = erase(eraser, ANNA)
    found = certificates.certificate(eraser, TENANT, erasure)
    assert (1, 1) == (found.erased.messages, found.erased.recipients)
    assert found.root == system.ledger.root_at(found.tree_size).hex()
    leaves = {each.position: each.leaf for each in found.events}
    assert leaves == {p: leaf_hash(system.ledger.event(p).leaf).hex() for p in leaves}
    text = certificates.encoded(found)
    assert text == certificates.encoded(certificates.certificate(eraser, TENANT, erasure))
    assert "12340001" not in text.decode()
    assert certificates.pdf(found).startswith(b"%PDF")
    assert certificates.pdf(found) == certificates.pdf(found)
