"""What people are shown of the evidence for a delivery: in plain words, each with its opposite."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from ledger.observations import ZoneBasis
from ledger.types import TYPES
from ops import show
from projections.deadlines import Deadline, State
from projections.fold import Reason
from projections.grades import Evidence, Grade, Missing
from projections.queries import UNKNOWN_EVENT
from projections.rules import RULE_TEXTS, RULES
from projections.views import AddressView, DeliveryView, MessageView, Page

AT = "2026-03-02T08:00:00.000000Z"
WARN_AT, BREACH_AT = "2026-03-02T20:00:00.000000Z", "2026-03-03T08:00:00.000000Z"
DELIVERY = DeliveryView(
    message="message 1",
    recipient=0,
    address=AddressView("email", "studio@pec.colle.example"),
    account="main",
    provider="pec_mailbox",
    status="accepted",
    sub_status="accettazione",
    since=AT,
    is_final=False,
    opened_at=AT,
    position=3,
    rules=RULES,
    milestones={},
    reasons=(),
    evidence=Evidence(
        Grade.E4,
        ("accepted", "signed"),
        ("reached",),
        (Missing("delivery_receipt"), Missing("signed_original", "2026-05-01T00:00:00.000000Z")),
    ),
)


def printed(*deadlines: Deadline, reasons: tuple[Reason, ...] = ()) -> list[str]:
    """What is printed of a message with one delivery, line by line."""
    view = MessageView(
        message="message 1",
        tenant="acme",
        account="main",
        provider="pec_mailbox",
        opened_at=AT,
        registered=True,
        inbound=False,
        recipients=1,
        batches=(),
        values={},
        references=(),
        labels=(),
        documents=(),
        joined=(),
        joined_into="",
        statuses={"accepted": 1},
        notes=(),
        deliveries=(msgspec.structs.replace(DELIVERY, deadlines=deadlines, reasons=reasons),),
        position=3,
    )
    paper = StringIO()
    show.message(Console(file=paper, width=200), view)
    return [line.strip() for line in paper.getvalue().splitlines()]


def test_evidence_is_shown_with_what_it_proves_and_what_it_does_not() -> None:
    """The grade in words; then what is proven, what is not, what is missing and by when it must be fetched."""
    lines = printed()
    first = next(n for n, line in enumerate(lines) if line.startswith("evidence"))
    assert [
        "evidence E4: a third party's signed original says it, and its signature was checked",
        "proven: the provider took charge of the message",
        "proven: the signed original of this statement is held, and its signature was checked and holds",
        "not proven: that it reached the recipient's mailbox or address",
        "missing: the delivery receipt",
        "missing: the signed original of the receipt, to be fetched by 2026-05-01 00:00:00Z",
    ] == lines[first:]


@pytest.mark.parametrize("kind", ["relay.accepted", "not.known"])
def test_a_fact_is_said_in_words_and_its_zone_too(kind: str) -> None:
    """Who answers the telephone reads no names of types; the provider's own word stands beside ours."""
    reason = Reason("e-1", 3, kind, AT, "progress.furthest", "decides", "250 OK")
    (line,) = [line for line in printed(reasons=(reason,)) if "250 OK" in line]
    said = TYPES[kind].meaning if kind in TYPES else UNKNOWN_EVENT
    assert f"2026-03-02 08:00:00Z  {said} (250 OK) — decides: {RULE_TEXTS['progress.furthest']}" == line
    assert set(ZoneBasis) == set(show.ZONE_TEXTS)


@pytest.mark.parametrize("state", State)
def test_each_state_of_a_deadline_is_said_in_words(state: State) -> None:
    """Which deadline, where it stands, and a time that the reader needs for it."""
    last = printed(Deadline("delivery_receipt", WARN_AT, BREACH_AT, state))[-1]
    assert last.startswith("deadline delivery_receipt: ")
    assert (state is not State.VOID) == ("2026-03-03 08:00:00Z" in last)


def test_a_list_of_deliveries_shows_their_grades() -> None:
    """A person who looks for the weak ones sees them."""
    paper = StringIO()
    show.page(Console(file=paper, width=200), Page((DELIVERY,), "", 3))
    assert "E4" in paper.getvalue().split()
