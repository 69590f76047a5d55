"""Deleting from a mailbox of PEC Massiva: only what is held as a signed original, or against an operator's reason."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from adapters.providers.calling import Answer, CallFailedError, Watched
from adapters.providers.pec_massiva.client import CLIENT
from adapters.providers.pec_massiva.deletion import (
    Allowed,
    Done,
    Doomed,
    Evidence,
    Held,
    Refused,
    Target,
    carry_out,
    plan,
)
from adapters.providers.pec_massiva.inbox import message_request, read_message
from adapters.providers.pec_massiva.rows import Row
from ledger.events import Event
from ledger.observations import Observation
from tests.providers.pec_massiva_service import NOW, Service, delivered, desk, failed
from tests.world import World

ID = "2026030210150742"
OTHER = "2026030210160713"
SAFE = Evidence(Held.SIGNED_ORIGINAL, is_covered=True, is_read_back=True)
TEXT = Evidence(Held.TEXT, is_covered=True, is_read_back=True)
SENDING = Target("delete_send", ID)


def row(number: int) -> Row:
    return Row(f"CONSEGNA: Prova {number}", "posta-certificata@pec.example", "u@pec.example", "", "today")


def held(safe: bool) -> Callable[[Observation], Evidence]:  # noqa: FBT001  a whole ledger in one word
    return lambda _: SAFE if safe else TEXT


def own(found: World) -> list[Event]:
    """What was written of a deletion."""
    kinds = ("provider_content.deleted", "dispatch.")
    return [event for event in found.ledger.feed(0, 1_000) if event.type.startswith(kinds)]


# --- the decision


@pytest.mark.parametrize(("held_as", "covered", "read_back"), list(product(Held, (False, True), (False, True))))
def test_only_a_signed_original_that_is_covered_and_read_back_may_go(
    held_as: Held, *, covered: bool, read_back: bool
) -> None:
    """Every other combination is a loss, and says why."""
    decision = plan([Doomed(row(1), SAFE), Doomed(row(2), Evidence(held_as, covered, read_back))])
    if held_as is Held.SIGNED_ORIGINAL and covered and read_back:
        assert Allowed(2) == decision
        return
    assert isinstance(decision, Refused)
    assert [row(2)] == [loss.row for loss in decision.losses]
    assert decision.losses[0].why


def test_every_loss_is_named() -> None:
    """One e-mail that is safe does not speak for the others."""
    decision = plan([Doomed(row(1), TEXT), Doomed(row(2), SAFE), Doomed(row(3), TEXT)])
    assert isinstance(decision, Refused)
    assert [row(1), row(3)] == [loss.row for loss in decision.losses]


def test_nothing_to_look_at_is_no_permission() -> None:
    """An empty list is not a proof that nothing would go."""
    decision = plan([])
    assert isinstance(decision, Refused)
    assert () == decision.losses


# --- the act


def test_what_is_held_is_deleted_announced_and_recorded(tmp_path: Path) -> None:
    """The e-mails of this sending, and no other; the events list them without showing them."""
    service = Service([delivered(ID, "a@pec.example"), delivered(OTHER, "b@pec.example")])
    with desk(tmp_path, service) as (mine, found):
        assert Done("provider_content.deleted", 1, Allowed(1)) == carry_out(mine, SENDING, held(safe=True))
        announced, deleted = own(found)
        assert ("dispatch.attempted", "provider_content.deleted") == (announced.type, deleted.type)
        assert ("deletion.evidence_held", {"emails": 1}) == (deleted.fields["rule"], deleted.fields["numbers"])
        said = found.ledger.values([deleted])[deleted.position]
        assert f"CONSEGNA: Prova {ID}" in said["email.0"]
        assert "Operation succefull" == said["answer"]
        assert f"CONSEGNA: Prova {ID}" not in repr(deleted.fields)
    assert [delivered(OTHER, "b@pec.example")] == service.emails


def test_a_deletion_is_told_in_the_story_of_its_message(tmp_path: Path) -> None:
    """The announcement is not: of a message's calls those stand there that send it."""
    service = Service([delivered(ID, "a@pec.example")])
    with desk(tmp_path, service) as (mine, found):
        CLIENT.sweeps[0].run(mine)
        message = found.deliveries()[0].message
        carry_out(mine, SENDING, held(safe=True), message=message)
        streams = {event.type: event.stream.partition("/")[0] for event in own(found)}
        assert {"dispatch.attempted": "account", "provider_content.deleted": message} == streams
        assert "delivered" == found.deliveries()[0].status


def test_a_loss_is_refused_and_nothing_is_called(tmp_path: Path) -> None:
    """The rows that were looked at are in the ledger now; the mailbox is as it was."""
    service = Service([delivered(ID, "a@pec.example")])
    with desk(tmp_path, service) as (mine, found):
        decision = carry_out(mine, SENDING, held(safe=False))
        assert isinstance(decision, Refused)
        assert ["only its row is held, which nobody signed"] == [loss.why for loss in decision.losses]
        assert [] == own(found)
        assert "content.consigned" in {event.type for event in found.ledger.feed(0, 1_000)}
    assert 1 == len(service.emails)
    assert not any(call.startswith("DELETE") for call in service.calls)


def test_an_operator_may_go_on_with_a_reason_that_is_recorded(tmp_path: Path) -> None:
    """With what was lost by it."""
    service = Service([delivered(ID, "a@pec.example")])
    with desk(tmp_path, service) as (mine, found):
        done = carry_out(mine, SENDING, held(safe=False), reason="the mailbox is full, ticket 12")
        assert isinstance(done, Done)
        assert isinstance(done.decision, Refused)
        deleted = own(found)[-1]
        assert ("provider_content.deleted", "deletion.overridden") == (deleted.type, deleted.fields["rule"])
        assert {"emails": 1, "lost": 1} == deleted.fields["numbers"]
        said = found.ledger.values([deleted])[deleted.position]
        assert "the mailbox is full, ticket 12" == said["reason"]
        assert "nobody signed" in said["email.0"]
    assert [] == service.emails


@pytest.mark.parametrize("reason", ["", "go on"])
def test_nothing_there_is_not_deleted_for_any_reason(tmp_path: Path, reason: str) -> None:
    """What comes in meanwhile would go unseen."""
    service = Service()
    with desk(tmp_path, service) as (mine, _):
        assert isinstance(carry_out(mine, SENDING, held(safe=True), reason=reason), Refused)
    assert not any(call.startswith("DELETE") for call in service.calls)


def test_a_receipt_that_comes_in_between_stops_the_deletion(tmp_path: Path) -> None:
    """What was decided on is not what would go any more."""
    service = Service([delivered(ID, "a@pec.example")])

    def one_more(_: str) -> None:
        if len(service.calls) == 1:
            service.emails.append(delivered(ID, "b@pec.example"))

    service.between = one_more
    with desk(tmp_path, service) as (mine, found):
        with pytest.raises(CallFailedError, match="changed"):
            carry_out(mine, SENDING, held(safe=True), reason="whatever")
        assert [] == own(found)
    assert 2 == len(service.emails)


def test_an_inbox_email_is_deleted_only_while_it_has_that_number(tmp_path: Path) -> None:
    """The numbers move: another e-mail under it is left alone."""
    service = Service([delivered(ID, "a@pec.example"), delivered(OTHER, "b@pec.example")])
    with desk(tmp_path, service) as (mine, _):
        request = Target("delete_inbox", "2")
        shown = read_message(
            service.call(mine.client, mine.provider, message_request("2"), mine.access, key=("acme", "massiva"))
        )
        assert shown is not None
        target = request._replace(row=shown)
        del service.emails[0]
        assert isinstance(carry_out(mine, target, held(safe=True)), Refused)
        service.emails.insert(0, delivered(ID, "a@pec.example"))
        assert isinstance(carry_out(mine, target, held(safe=True)), Done)
    assert [delivered(ID, "a@pec.example")] == service.emails


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(401, "Authorization is not valid or empty"), "dispatch.answered"),
        (failed(404, "Email not found"), "dispatch.answered"),
        (failed(200, "no"), "dispatch.answered"),
        (failed(500, "MySQL Error 1"), "dispatch.unclear"),
        (failed(failure="timeout"), "dispatch.unclear"),
        (failed(failure="cut"), "dispatch.unclear"),
        (failed(failure="unreachable"), "dispatch.answered"),
    ],
)
def test_what_became_of_a_deletion_is_told_as_it_is(tmp_path: Path, answer: Answer, kind: str) -> None:
    """Only success is a deletion; doubt is doubt."""
    service = Service([delivered(ID, "a@pec.example")])
    with desk(tmp_path, service) as (mine, found):

        def refuse(path: str) -> None:
            if len(service.calls) == 2:
                service.faults[path] = answer

        service.between = refuse
        done = carry_out(mine, SENDING, held(safe=True))
        assert isinstance(done, Done)
        assert (kind, kind) == (done.kind, own(found)[-1].type)


@pytest.mark.parametrize("answer", [failed(500), failed(401), failed(failure="cut"), Answer(at=NOW, status=200)])
def test_a_mailbox_that_cannot_be_looked_at_is_left_alone(tmp_path: Path, answer: Answer) -> None:
    """Whatever reason is given."""
    service = Service([delivered(ID, "a@pec.example")], faults={f"/send/{ID}": answer})
    with desk(tmp_path, service) as (mine, _), pytest.raises(CallFailedError):
        carry_out(mine, SENDING, held(safe=True), reason="whatever")
    assert not any(call.startswith("DELETE") for call in service.calls)


@pytest.mark.parametrize(
    "target", [Target("delete_send", "../inbox/3"), Target("delete_inbox", "3?x"), Target("delete_inbox", "")]
)
def test_a_path_is_not_built_from_anything_else(tmp_path: Path, target: Target) -> None:
    """A deletion that goes elsewhere is the worst of all."""
    service = Service([delivered(ID, "a@pec.example")])
    with desk(tmp_path, service) as (mine, _), pytest.raises(CallFailedError):
        carry_out(mine, target, held(safe=True))
    assert [] == service.calls


def test_nothing_is_deleted_by_the_clock(tmp_path: Path) -> None:
    """No sweep and no poll knows how."""
    service = Service([delivered(ID, "a@pec.example")])
    with desk(tmp_path, service) as (mine, _):
        for sweep in CLIENT.sweeps:
            if not sweep.setting:
                sweep.run(mine)
        assert CLIENT.poll is not None
        CLIENT.poll(mine, Watched(message="m", references={"message_id": (ID,)}, opened_at=NOW))
    assert {"GET"} == {call.partition(" ")[0] for call in service.calls}
