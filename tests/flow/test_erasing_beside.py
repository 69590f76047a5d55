"""What names a person beside the messages goes, too: acts of people, what waits, the quarantine, tasks. What names others stays."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from adapters import keeping, safeguards
from adapters.compliance import asking
from adapters.erasing import certificates
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Subject
from adapters.outbox import ActRefusedError
from adapters.reports import reporting, saved
from adapters.reports.contract import ReportAsk
from adapters.reports.schedules import parsed
from adapters.safeguards import Safeguards
from adapters.terms import Terms
from ops import tasks
from ops.system import System
from tests.flow.desk import DELIVERED, report, send, waiting
from tests.flow.officer import ANNA, BERT, TENANT, WHY, bodies, erase, eraser, said, system

__all__ = ["eraser", "system"]  # fixtures

SPELLED = "06-12 34 00 01"
THEIRS = "06-12 34 00 02"


def acts(system: System, address: str, name: str) -> None:
    """Whatever a person can decide or ask with an address in it."""
    why = f"called from {address}"
    held = keeping.place(system.accounts, system.queries, TENANT, "recipient", address, why)
    keeping.release(system.accounts, system.queries, TENANT, held.hold, why)
    Terms(system.accounts, system.queries, TENANT).put("delivery_report", timedelta(hours=1), timedelta(days=1), why)
    with asking.asked(system.queries, system.heads, TENANT, "by_recipient", {"recipient": address}) as answer:
        asking.record(system.accounts, "key_1", answer.header, why)
    saving = saved.Saving(query="by_recipient", parameters={"recipient": address})
    saved.save(system.ledger, TENANT, name, saving, "key_1", ("compliance",))
    given = {"start_date": "2026-01-01", "period": 1, "period_unit": "months", "type": "by_recipient", "title": why}
    given |= {"parameters": {"recipient": address}, "span": "none", "recipients": [{"email": "reports@acme.example"}]}
    tasks.schedules(system).create(TENANT, parsed(given), "key_1")


def test_acts_of_people_that_name_her_go_and_those_that_name_another_stay(system: System, eraser: Eraser) -> None:
    """Holds that ended, terms, questions, saved queries and schedules; the latter two are ended first."""
    acts(system, SPELLED, "hers")
    acts(system, THEIRS, "his")
    seen = eraser.preview(TENANT, Subject(recipient=ANNA), "a.")
    assert {"hold.placed", "query.saved", "report.scheduled"} <= {thing.type for thing in seen.things}
    erase(eraser, ANNA)
    assert SPELLED not in said(system)
    assert THEIRS in said(system)
    assert ["his"] == [each.name for each in saved.all_of(system.ledger, TENANT)]
    assert [THEIRS] == [each[1].parameters["recipient"] for each in tasks.schedules(system).list(TENANT)]


def test_what_is_in_force_stays_and_says_so(system: System, eraser: Eraser) -> None:
    """A hold on something else, whose reason names her, would cover everything without its value."""
    send(system, "doc-1", ANNA)
    keeping.place(system.accounts, system.queries, TENANT, "label", "case 17", f"as {SPELLED} said")
    keeping.keep(system.accounts, TENANT, "kpn_sms", "10y", SPELLED)
    erasure = erase(eraser, ANNA)
    remains = {each.what: each.count for each in certificates.certificate(eraser, TENANT, erasure).remains}
    assert 2 == remains["in_force"]
    (hold,) = keeping.holds(system.queries, TENANT)
    assert ("case 17", "10y") == (hold.value, keeping.policies(system.queries, TENANT)[0].keep)


def test_what_waits_in_lanes_and_names_her_goes(system: System, eraser: Eraser) -> None:
    """It is settled, as there is nothing left to look at; what names another goes on waiting."""
    hers = waiting(system, report(ANNA, DELIVERED, 5))
    his = waiting(system, report(BERT, DELIVERED, 6))
    seen = eraser.preview(TENANT, Subject(recipient=ANNA), "a.")
    assert [("waiting", hers)] == [(thing.what, thing.id) for thing in seen.things]
    erase(eraser, ANNA)
    system.runner.run()
    assert [his] == [item.item for item in system.queries.lanes(TENANT)]
    assert [True] == [BERT.encode() in body for body in bodies(system)]
    assert ANNA not in said(system)


def test_what_waited_and_was_claimed_for_anothers_message_stays(system: System, eraser: Eraser) -> None:
    """It belongs to that message now; when that goes, it goes, too."""
    message = send(system, "doc-1", BERT)
    item = waiting(system, report(BERT, DELIVERED, 5, Reference=f"for {ANNA}"))
    system.lanes.claim(TENANT, item, message, "he said so")
    erase(eraser, ANNA)
    assert 1 == len(bodies(system))
    erase(eraser, message=message)
    erase(eraser, ANNA)
    assert [] == bodies(system)


def test_refused_webhooks_that_name_her_are_deleted(system: System, eraser: Eraser) -> None:
    """Those that name another are kept for their time."""
    for number, minute in ((ANNA, 5), (BERT, 6)):
        system.quarantine.keep(TENANT, dataclasses.replace(report(number, DELIVERED, minute)), "no good signature")
    erasure = erase(eraser, ANNA)
    assert 1 == eraser.get(TENANT, erasure).numbers.quarantined
    ((_, left),) = system.quarantine.kept(TENANT)
    assert BERT.encode() in left.body


def test_what_came_of_tasks_that_may_name_her_is_removed(system: System, eraser: Eraser) -> None:
    """Reports with people in them, and questions about her; a report about providers stays."""
    send(system, "doc-1", ANNA)
    queue = tasks.tasks(system)
    asked = {"by_recipient": {"recipient": BERT}, "disputed": {}, "health": {}}
    rows = {
        q: reporting.ask(queue, ReportAsk(tenant=TENANT, query=q, parameters=given), "key_1")
        for q, given in asked.items()
    }
    tasks.runner(system).run()
    hers = reporting.ask(
        queue, ReportAsk(tenant=TENANT, query="by_recipient", parameters={"recipient": SPELLED}), "key_1"
    )
    erase(eraser, ANNA)
    states = {q: queue.rows.get(TENANT, row.task).state for q, row in rows.items()}
    assert {"by_recipient": "expired", "disputed": "expired", "health": "done"} == states
    assert ("cancelled", {}) == (queue.rows.get(TENANT, hers.task).state, queue.rows.request(hers))


def test_the_address_that_asked_for_it_is_gone_at_the_end(system: System, eraser: Eraser) -> None:
    """And where it waits for a second person it is there, or nobody could carry it out."""
    send(system, "doc-1", ANNA)
    safeguards.put(system.accounts, TENANT, Safeguards(("erasure",)).numbers(), "board decision", "key_1")
    asked = eraser.ask(TENANT, Subject(recipient=SPELLED), WHY, "key_1")
    assert "waiting" == asked.state
    with pytest.raises(ActRefusedError, match="waits for a second person"):
        eraser.carry_out(TENANT, asked.erasure)
    assert SPELLED in said(system)
    _approved(system, asked.erasure)
    assert "done" == eraser.carry_out(TENANT, asked.erasure).state
    assert SPELLED not in said(system)


def _approved(system: System, act: str) -> None:
    from adapters import acts as approving  # noqa: PLC0415  the name is taken here

    approving.approve(system.accounts, system.queries, TENANT, act, "seen", "key_2")
