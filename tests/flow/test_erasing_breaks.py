"""Erasing goes wrong in the middle: holds that come in between, breakdowns, what is still to be sent, logins that may not destroy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from adapters import acts, heldquery, keeping, safeguards
from adapters.erasing import certificates
from adapters.erasing.beside import Acts
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Finder, Subject
from adapters.heldquery import HeldQuery
from adapters.jobs.rows import Turn
from adapters.outbox import ActRefusedError
from adapters.safeguards import Safeguards
from ledger import erasing as destroying
from ledger.database import PRIVACY_ROLE, PostgresDatabase
from ledger.errors import ConfigurationError
from ops import erasing, schedule
from ops.system import System
from projections.erasures import unfinished
from tests.adapters.conftest import opened_system
from tests.flow.desk import DELIVERED, admit, report, send, waiting
from tests.flow.officer import ANNA, BERT, TENANT, WHY, bodies, eraser, messages, said, system
from tests.ledger.test_immutability import url_of
from tests.postgres import Database

__all__ = ["eraser", "system"]  # fixtures


def asked(eraser: Eraser, recipient: str = ANNA) -> str:
    """An erasure that is asked for."""
    return eraser.ask(TENANT, Subject(recipient=recipient), WHY).erasure


# --- holds


def test_a_hold_that_comes_after_the_asking_wins(system: System, eraser: Eraser) -> None:
    """Nothing is erased while it stands; once it is released, the erasure goes on."""
    message = send(system, "doc-1", ANNA)
    erasure = asked(eraser)
    hold = keeping.place(system.accounts, system.queries, TENANT, "message", message, "claim 17")
    with pytest.raises(ActRefusedError, match=hold.hold):
        eraser.carry_out(TENANT, erasure)
    assert [message] == messages(system, ANNA)
    assert "ready" == eraser.get(TENANT, erasure).state
    keeping.release(system.accounts, system.queries, TENANT, hold.hold, "settled")
    assert "done" == eraser.carry_out(TENANT, erasure).state
    assert [] == messages(system, ANNA)


def test_a_hold_that_comes_between_the_look_and_the_word_wins(
    system: System, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said rests on the streams of holds: it is refused when one of them moved, and holds are looked at again."""
    message = send(system, "doc-1", ANNA)
    erasure, look = asked(eraser), Finder.forbidding
    looks: list[object] = []

    def looked(*args: Any) -> Any:
        found = look(*args)
        looks.append(found)
        if len(looks) == 2:  # the first look is at everything, the second at this story
            keeping.place(system.accounts, system.queries, TENANT, "recipient", ANNA, "claim 17")
        return found

    monkeypatch.setattr(Finder, "forbidding", looked)
    with pytest.raises(ActRefusedError, match="a hold forbids it"):
        eraser.carry_out(TENANT, erasure)
    assert [message] == messages(system, ANNA)
    assert not [e for e in system.ledger.feed(0, 1_000) if e.type == "evidence.erased"]


def test_a_recipient_who_comes_in_between_is_not_erased_with_the_message(
    system: System, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of a message rests on its stream: a further recipient makes it one of several."""
    admit(system, report(ANNA, DELIVERED, 5, "doc-1"))
    erasure, look = asked(eraser), Finder.forbidding
    looks: list[object] = []

    def looked(*args: Any) -> Any:
        looks.append(args)
        if len(looks) == 2:
            admit(system, report(BERT, DELIVERED, 6, "doc-1"))
        return look(*args)

    monkeypatch.setattr(Finder, "forbidding", looked)
    done = eraser.carry_out(TENANT, erasure)
    assert (0, 1) == (done.numbers.messages, done.numbers.recipients)
    assert (0, 1) == (len(messages(system, ANNA)), len(messages(system, BERT)))
    assert [True] == [BERT.encode() in body for body in bodies(system)]


@pytest.mark.parametrize("is_seen", [False, True])
def test_a_hold_that_comes_while_acts_are_searched_wins(
    system: System, eraser: Eraser, monkeypatch: pytest.MonkeyPatch, *, is_seen: bool
) -> None:
    """What waits and names somebody on hold stays, and the hold goes on saying what it is on, though it names the person, too."""
    waiting(system, report(BERT, DELIVERED, 5, Reference=f"as {ANNA} asked"))
    erasure, search = asked(eraser), Acts.page
    placed: list[keeping.Hold] = []

    def searched(*args: Any) -> Any:
        found = [] if is_seen else [search(*args)]
        if not placed:
            placed.append(keeping.place(system.accounts, system.queries, TENANT, "recipient", BERT, f"as {ANNA} said"))
        return found[0] if found else search(*args)

    monkeypatch.setattr(Acts, "page", searched)
    assert "done" == eraser.carry_out(TENANT, erasure).state
    assert placed == keeping.holds(system.queries, TENANT)
    assert [True] == [BERT.encode() in body for body in bodies(system)]


@pytest.mark.parametrize("scope", ["query", "lost"])
def test_what_waits_is_kept_by_any_hold_that_covers_it(system: System, eraser: Eraser, scope: str) -> None:
    """One on a query for somebody; and one of which nobody can say any more what it is on, so that it is on everything."""
    waiting(system, report(BERT, DELIVERED, 5, Reference=f"as {ANNA} asked"))
    value = heldquery.written(HeldQuery(recipient=BERT)) if scope == "query" else "case 17"
    hold = keeping.place(
        system.accounts, system.queries, TENANT, "query" if scope == "query" else "label", value, "claim 17"
    )
    if scope == "lost":
        with system.ledger.database.writing() as cursor:
            cursor.execute("DELETE FROM sealed_values WHERE position = ?", (hold.position,))
    assert "done" == eraser.carry_out(TENANT, asked(eraser)).state
    assert [True] == [BERT.encode() in body for body in bodies(system)]


# --- what breaks off


@pytest.mark.parametrize("survived", range(3))
def test_broken_off_anywhere_it_goes_on_where_it_was(
    system: System, eraser: Eraser, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """Killed at any destroying: afterwards everything is gone, and it is told once what went."""
    for number in range(2):
        send(system, f"doc-{number}", ANNA, *([BERT] if number else []))
        admit(system, report(ANNA, DELIVERED, 5 + number, f"doc-{number}"))
    erasure, destroy = asked(eraser), destroying.destroy
    calls: list[object] = []

    def dying(*args: Any) -> Any:
        if len(calls) == survived:
            raise KeyboardInterrupt
        calls.append(args)
        return destroy(*args)

    monkeypatch.setattr(destroying, "destroy", dying)
    with pytest.raises(KeyboardInterrupt):
        eraser.carry_out(TENANT, erasure)
    monkeypatch.setattr(destroying, "destroy", destroy)
    done = eraser.carry_out(TENANT, erasure)
    assert ("done", 1, 2, 2) == (done.state, done.numbers.messages, done.numbers.recipients, done.numbers.originals)
    assert [] == bodies(system)
    assert ANNA not in said(system)
    assert [] == list(unfinished(system.ledger))
    assert 1 == len([e for e in system.ledger.feed(0, 1_000) if e.type == "erasure.completed"])


def test_broken_off_before_the_address_is_taken_away_it_is_taken_by_the_clock(
    system: System, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is done and the log says so; what asked for it is not forgotten about."""
    send(system, "doc-1", ANNA)
    erasure = asked(eraser)

    def dying(*_args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Eraser, "_forget", dying)
        with pytest.raises(KeyboardInterrupt):
            eraser.carry_out(TENANT, erasure)
    assert ("done", True) == (eraser.get(TENANT, erasure).state, ANNA in said(system))
    turn = Turn(system.ledger.clock())
    schedule.carry_out_erasures(system, turn)
    assert (1, False) == (turn.found, ANNA in said(system))
    assert [] == eraser.all_ready()


def test_what_is_still_to_be_sent_is_cancelled_first(system: System, eraser: Eraser) -> None:
    """An erasure is refused while something of it waits in the outbox, whose row goes with the message afterwards."""
    message = send(system, "doc-1", ANNA)
    row = (message, TENANT, "sms", "kpn_sms", "queued", "2026-03-02", bytes(16), b"sealed")
    with system.ledger.database.writing() as cursor:
        cursor.execute("INSERT INTO outbox VALUES (?,?,?,?,?,?,?,?)", row)
    assert (message,) == eraser.preview(TENANT, Subject(recipient=ANNA)).unsent
    with pytest.raises(ActRefusedError, match=f"still to be sent: {message}"):
        asked(eraser)
    with system.ledger.database.writing() as cursor:
        cursor.execute("UPDATE outbox SET state = 'cancelled' WHERE message = ?", (message,))
    done = eraser.carry_out(TENANT, asked(eraser))
    assert 1 == done.numbers.sends
    assert [] == system.ledger.database.read("SELECT 1 FROM outbox")


# --- by the clock, and who may


def test_what_was_agreed_to_is_carried_out_by_the_clock(system: System, eraser: Eraser) -> None:
    """The job does it once a second person agreed, and not before."""
    send(system, "doc-1", ANNA)
    safeguards.put(system.accounts, TENANT, Safeguards(("erasure",)).numbers(), "board decision", "key_1")
    erasure = eraser.ask(TENANT, Subject(recipient=ANNA), WHY, "key_1").erasure
    turn = Turn(system.ledger.clock())
    schedule.carry_out_erasures(system, turn)
    assert "waiting" == eraser.get(TENANT, erasure).state
    acts.approve(system.accounts, system.queries, TENANT, erasure, "seen", "key_2")
    schedule.carry_out_erasures(system, turn)
    assert ("done", 1) == (eraser.get(TENANT, erasure).state, turn.found)


@pytest.fixture
def logins(empty_postgresql_database: Database) -> Iterator[tuple[str, str]]:
    """URLs of the database for a login that serves, and for one that may destroy."""
    name = conninfo_to_dict(empty_postgresql_database.url)["dbname"]
    service, privacy = f"{name}_service", f"{name}_privacy"
    with psycopg.connect(empty_postgresql_database.superuser_url, autocommit=True) as admin:
        for login in (service, privacy):
            admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(login)))
        with closing(PostgresDatabase(empty_postgresql_database.url)) as owner:
            owner.migrate(grant_to=service)
        admin.execute(SQL("GRANT {} TO {}").format(Identifier(PRIVACY_ROLE), Identifier(privacy)))
        yield url_of(empty_postgresql_database, service), url_of(empty_postgresql_database, privacy)
        for login in (service, privacy):
            admin.execute(SQL("DROP OWNED BY {}").format(Identifier(login)))
            admin.execute(SQL("DROP ROLE {}").format(Identifier(login)))


def test_without_a_login_that_may_destroy_it_is_said_and_waits_for_one(logins: tuple[str, str], tmp_path: Path) -> None:
    """The person is found until somebody with such a login carries it out; the service itself needs no further right."""
    service, privacy = (Database("postgresql", url) for url in logins)
    with opened_system(service, tmp_path) as system:
        system.accounts.add(TENANT, "sms", "kpn_sms")
        send(system, "doc-1", ANNA)
        eraser = erasing.eraser(system)
        erasure = asked(eraser)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="LEDGER_PRIVACY_DATABASE_URL"):
                eraser.carry_out(TENANT, erasure)
        assert 1 == len([e for e in system.ledger.feed(0, 1_000) if e.type == "evidence.erased"])
        assert "ready" == eraser.get(TENANT, erasure).state
    with opened_system(service, tmp_path, privacy_database_url=privacy.url) as system:
        assert "done" == erasing.eraser(system).carry_out(TENANT, erasure).state
        assert [] == messages(system, ANNA)
        assert ANNA not in said(system)


def test_what_is_shared_with_somebody_on_hold_stays(system: System, eraser: Eraser) -> None:
    """Values of the whole message that name her, and what waits and names both; once the hold is released, they go."""
    subject = f"For {ANNA}"
    message = send(system, "doc-1", ANNA, BERT, texts={"subject": subject})
    waiting(system, report(BERT, DELIVERED, 5, Reference=f"as {ANNA} asked"))
    hold = keeping.place(system.accounts, system.queries, TENANT, "recipient", BERT, "claim 17")
    first = asked(eraser)
    assert "done" == eraser.carry_out(TENANT, first).state
    remains = {each.what: each.count for each in certificates.certificate(eraser, TENANT, first).remains}
    assert 2 == remains["held"]
    assert (subject, 1) == (system.queries.message(TENANT, message).values["subject"], len(bodies(system)))
    assert ([], [message]) == (messages(system, ANNA), messages(system, BERT))
    keeping.release(system.accounts, system.queries, TENANT, hold.hold, "settled")
    assert "done" == eraser.carry_out(TENANT, asked(eraser)).state
    assert [] == bodies(system)
    assert subject not in said(system)
