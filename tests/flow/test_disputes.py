"""Contradictions between final facts, and what a person decides: settled once, opened again by what is new, and withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import settling
from adapters.settling import Dispute, OvertakenError, Settling, SettlingRefusedError
from adapters.strictjson import InvalidError
from ledger.errors import NotFoundError
from ledger.names import Reading
from ledger.observations import Address, Fingerprint, Observation, Reference
from projections.queries import Filters
from tests.flow.desk import DELIVERED, EXPIRED, FAILED, NETWORK, acts, admit, rebuilt, report, send, states
from tests.postgres import Database
from tests.world import TENANT, World, world

PHONE, OTHER = "31612340001", "31612340002"
NOTE = "the recipient showed us the message"


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    """A ledger with one account, on each kind of database."""
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "sms", "kpn_sms")
        yield opened


def desk(world: World, tenant: str = TENANT) -> Settling:
    return Settling(world.ledger, tenant, "key_1")


def disputed(world: World) -> str:
    """A message that was delivered to its first recipient, and failed; its second was never heard of."""
    message = send(world, "doc-1", PHONE, OTHER)
    admit(world, report(PHONE, DELIVERED, 5, "doc-1"))
    admit(world, report(PHONE, FAILED, 7, "doc-1", ErrorCode="006"))
    assert ["disputed", "pending"] == states(world, message)
    return message


def rival(shown: Dispute, says: str) -> str:
    (one,) = [each.event_id for each in shown.rivals if each.says == says]
    return one


# --- both sides


def test_both_sides_are_shown_with_what_would_be_if_one_held(found: World) -> None:
    """Each fact with its time, source, original, the provider's words, and the status and grade that it alone would give."""
    message = disputed(found)
    shown = desk(found).show(message, 0)
    assert ("disputed", 2, ()) == (shown.status, len(shown.rivals), shown.settlements)
    delivered, failed = shown.rivals
    assert (("delivered", "delivered"), ("failed", "failed")) == tuple((r.says, r.alone) for r in shown.rivals)
    assert {"final.contradiction"} == {each.rule for each in shown.rivals}
    assert ("006", "kpn_sms", "sms", "webhook", "verified") == (
        *(failed.reason, failed.provider, failed.account, failed.arrival),
        failed.verdict,
    )
    assert delivered.occurred_at < failed.occurred_at
    assert all(each.artifacts and each.alone_grade == "E2" for each in shown.rivals)
    assert "1772442300" == delivered.words["occurred"]


def test_a_delivery_without_contradiction_has_no_sides(found: World) -> None:
    """It is shown all the same; nobody else's delivery is."""
    message = disputed(found)
    shown = desk(found).show(message, 1)
    assert ("pending", (), ()) == (shown.status, shown.rivals, shown.settlements)
    for tenant, recipient in ((TENANT, 2), ("other", 0)):
        with pytest.raises(NotFoundError):
            desk(found, tenant).show(message, recipient)


# --- settling


def test_what_a_person_sets_aside_counts_no_longer(found: World) -> None:
    """The status is that of what is left, for this delivery alone; the act names the facts and holds the note sealed."""
    message = disputed(found)
    failed = rival(desk(found).show(message, 0), "failed")
    settled = desk(found).resolve(message, 0, [failed], NOTE)
    assert ("delivered", (), "E2") == (settled.status, settled.rivals, settled.grade)
    assert [(True, NOTE, "key_1", (failed,))] == [(s.holds, s.note, s.actor, s.sets_aside) for s in settled.settlements]
    assert ["delivered", "pending"] == states(found, message)
    (act,) = acts(found, "dispute.resolved")
    assert (f"{message}/0", "dispute.person", 0) == (act.stream, act.fields["rule"], act.fields["recipient"])
    assert NOTE.encode() not in act.leaf
    reasons = {r.event_id: r.rule for r in found.queries.delivery(TENANT, message, 0).reasons}
    assert "settled.set_aside" == reasons[failed]
    assert {} == rebuilt(found)


def test_settled_twice_is_settled_once(found: World) -> None:
    """The second time it is answered as the first."""
    message = disputed(found)
    failed = rival(desk(found).show(message, 0), "failed")
    once = desk(found).resolve(message, 0, [failed], NOTE)
    assert once == desk(found).resolve(message, 0, [failed], "again")
    assert 1 == len(acts(found, "dispute.resolved"))


def test_what_does_not_settle_it_is_refused(found: World) -> None:
    """No dispute, a fact that is no rival, nobody's fact, or a contradiction that would remain: nothing is written."""
    message = disputed(found)
    admit(found, report(PHONE, FAILED, 8, "doc-1", ErrorCode="007"))
    shown = desk(found).show(message, 0)
    (requested,) = [e.id for e in acts(found, "submission.requested")]
    size = found.ledger.head().size
    with pytest.raises(SettlingRefusedError, match="not disputed: it is pending"):
        desk(found).resolve(message, 1, shown.rival_ids[:1], NOTE)
    for wrong in ([requested], ["01a1fd8e-f93d-70a6-8da5-105f5469bc25"], []):
        with pytest.raises(InvalidError, match="sets_aside"):
            desk(found).resolve(message, 0, wrong, NOTE)
    failed = [each.event_id for each in shown.rivals if each.says == "failed"]
    with pytest.raises(SettlingRefusedError, match=failed[1]):
        desk(found).resolve(message, 0, failed[:1], NOTE)
    with pytest.raises(NotFoundError):
        desk(found, "other").resolve(message, 0, failed, NOTE)
    assert size == found.ledger.head().size
    assert "delivered" == desk(found).resolve(message, 0, failed, NOTE).status


class Interrupted:
    """Looks at a delivery, and lets something arrive before anything is done about it."""

    def __init__(self, found: World) -> None:
        self.found = found
        self.look = settling.look

    def __call__(self, *asked: object) -> settling.Case:
        case = self.look(*asked)  # type: ignore[arg-type]  # as it was called
        case.rivals  # noqa: B018  it was looked at
        admit(self.found, report(PHONE, NETWORK, 9, "doc-1"))
        return case


def test_what_arrives_meanwhile_is_not_settled_unseen(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and writing, and between the answer that a person saw and the decision."""
    message = disputed(found)
    shown = desk(found).show(message, 0)
    failed = rival(shown, "failed")
    with monkeypatch.context() as patched:
        patched.setattr(settling, "look", Interrupted(found))
        with pytest.raises(OvertakenError):
            desk(found).resolve(message, 0, [failed], NOTE)
    with pytest.raises(OvertakenError):
        desk(found).resolve(message, 0, [failed], NOTE, seen=shown.position)
    assert [] == acts(found, "dispute.resolved")
    seen = desk(found).show(message, 0).position
    assert "delivered" == desk(found).resolve(message, 0, [failed], NOTE, seen=seen).status


# --- what comes later


def test_a_later_fact_that_nobody_named_opens_the_question_again(found: World) -> None:
    """And a second settlement closes it; an old report, delivered again, does not open it."""
    message = disputed(found)
    failed = rival(desk(found).show(message, 0), "failed")
    desk(found).resolve(message, 0, [failed], NOTE)
    admit(found, report(PHONE, FAILED, 7, "doc-1", ErrorCode="006"))
    assert ["delivered", "pending"] == states(found, message)
    admit(found, report(PHONE, FAILED, 12, "doc-1", ErrorCode="007"))
    assert ["disputed", "pending"] == states(found, message)
    shown = desk(found).show(message, 0)
    assert failed not in shown.rival_ids
    desk(found).resolve(message, 0, [rival(shown, "failed")], NOTE)
    assert ["delivered", "pending"] == states(found, message)
    assert {} == rebuilt(found)


def test_an_older_sighting_of_what_was_set_aside_opens_nothing(found: World) -> None:
    """Of a state without a time we hear again, late, that it was seen before: that is no new fact; seen later it is."""
    message = send(found, "doc-1", PHONE)
    admit(found, report(PHONE, DELIVERED, None, "doc-1", seen=5))
    admit(found, report(PHONE, FAILED, None, "doc-1", seen=7))
    desk(found).resolve(message, 0, [rival(desk(found).show(message, 0), "failed")], NOTE)
    admit(found, report(PHONE, FAILED, None, "doc-1", seen=6))
    assert 2 == len(acts(found, "content.consignment_failed"))
    assert ["delivered"] == states(found, message)
    assert {} == rebuilt(found)


def test_all_sightings_of_one_state_are_set_aside_together(found: World) -> None:
    """They are one fact to the fold, so naming one of them names them all."""
    message = send(found, "doc-1", PHONE)
    admit(found, report(PHONE, DELIVERED, None, "doc-1", seen=5))
    for seen in (9, 8, 7):
        admit(found, report(PHONE, FAILED, None, "doc-1", seen=seen))
    settled = desk(found).resolve(message, 0, [rival(desk(found).show(message, 0), "failed")], NOTE)
    assert 3 == len(settled.settlements[0].sets_aside)
    assert ["delivered"] == states(found, message)


# --- taking it back


def test_a_settlement_withdrawn_opens_the_question_again(found: World) -> None:
    """What it set aside counts again; another decision may follow; withdrawn twice is once."""
    message = disputed(found)
    shown = desk(found).show(message, 0)
    settled = desk(found).resolve(message, 0, [rival(shown, "failed")], NOTE)
    (first,) = settled.settlements
    withdrawn = desk(found).withdraw(message, 0, first.event_id, "it was the neighbour's")
    assert ("disputed", [False]) == (withdrawn.status, [each.holds for each in withdrawn.settlements])
    assert withdrawn == desk(found).withdraw(message, 0, first.event_id, "again")
    assert ["disputed", "pending"] == states(found, message)
    other = desk(found).resolve(message, 0, [rival(shown, "delivered")], NOTE)
    assert ("failed", [False, True]) == (other.status, [each.holds for each in other.settlements])
    again = desk(found).resolve(message, 0, [rival(shown, "delivered")], NOTE)
    assert (3, other) == (len(acts(found, "dispute.resolved")), again)
    assert {} == rebuilt(found)


def test_the_same_decision_may_be_made_again_after_it_was_withdrawn(found: World) -> None:
    """A withdrawal is not for ever."""
    message = disputed(found)
    failed = rival(desk(found).show(message, 0), "failed")
    (first,) = desk(found).resolve(message, 0, [failed], NOTE).settlements
    desk(found).withdraw(message, 0, first.event_id, NOTE)
    assert "delivered" == desk(found).resolve(message, 0, [failed], NOTE).status
    assert ["delivered", "pending"] == states(found, message)


def test_only_a_settlement_of_this_delivery_is_withdrawn(found: World) -> None:
    """A fact, a withdrawal, or somebody else's settlement is none."""
    message = disputed(found)
    failed = rival(desk(found).show(message, 0), "failed")
    (first,) = desk(found).resolve(message, 0, [failed], NOTE).settlements
    desk(found).withdraw(message, 0, first.event_id, NOTE)
    withdrawal = acts(found, "dispute.resolved")[-1].id
    for recipient, settlement in ((0, failed), (0, withdrawal), (1, first.event_id)):
        with pytest.raises(NotFoundError):
            desk(found).withdraw(message, recipient, settlement, NOTE)


def test_of_two_originals_with_one_identity_a_person_names_the_wrong_one(found: World) -> None:
    """They say different things under the same identifiers; either may be the one that counts."""
    message = send(found, "doc-1", PHONE)
    for code in ("006", "007"):
        admit(found, report(PHONE, FAILED, 7, "doc-1", ErrorCode=code))
    shown = desk(found).show(message, 0)
    assert ["identity.contradiction"] * 2 == [each.rule for each in shown.rivals]
    wrong = next(each.event_id for each in shown.rivals if each.reason == "007")
    settled = desk(found).resolve(message, 0, [wrong], NOTE)
    assert ("failed", "006") == (settled.status, settled.sub_status)


@pytest.mark.parametrize(("says", "status"), [("", "delivered"), ("delivered", "pending")])
def test_of_another_content_either_the_receipt_or_the_comparison_is_wrong(found: World, says: str, status: str) -> None:
    """The comparison is shown beside the receipt, and either may be set aside."""
    sent, other = (Fingerprint("letter.pdf", sha256=digit * 64) for digit in "ab")
    message = send(found, "doc-1", PHONE, documents=(sent,))
    receipt = Observation(
        type="content.consigned",
        references=(Reference("document_id", "doc-1"),),
        about="recipient",
        recipient=Address("phone", PHONE),
        identity=("receipt",),
        documents=(other,),
    )
    (outcome,) = found.intake.admit([Reading(TENANT, report(PHONE, DELIVERED, 5), (receipt,))])
    assert not isinstance(outcome, Exception)
    shown = desk(found).show(message, 0)
    assert {("content.consigned", "delivered"), ("evidence.verified", "")} == {(r.type, r.says) for r in shown.rivals}
    assert {"content.contradiction"} == {each.rule for each in shown.rivals}
    assert status == desk(found).resolve(message, 0, [rival(shown, says)], NOTE).status
    assert [status] == states(found, message)


def test_a_lapse_of_time_is_no_side_of_a_dispute(found: World) -> None:
    """A definite fact beats it, so there is nothing to settle."""
    message = send(found, "doc-1", PHONE)
    admit(found, report(PHONE, EXPIRED, 5, "doc-1"))
    admit(found, report(PHONE, DELIVERED, 9, "doc-1"))
    assert ["delivered"] == states(found, message)
    assert () == desk(found).show(message, 0).rivals


def test_disputes_are_found_until_they_are_settled(found: World) -> None:
    """The list is that of the status."""
    message = disputed(found)
    listed = found.queries.search(TENANT, Filters(status="disputed")).deliveries
    assert [(message, 0)] == [(view.message, view.recipient) for view in listed]
    desk(found).resolve(message, 0, [rival(desk(found).show(message, 0), "failed")], NOTE)
    found.runner.run()
    assert () == found.queries.search(TENANT, Filters(status="disputed")).deliveries
