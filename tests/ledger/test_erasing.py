"""Destroying what an event says is erased: all of it, nothing of others, however often and wherever it is broken off."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import application, erasing
from ledger.appender import Item
from ledger.application import Ledger
from ledger.database import PRIVACY_ROLE, SERVICE_ROLE, Database, connect
from ledger.erasing import Destroyed, Erased
from ledger.errors import ConfigurationError
from ledger.events import delivery_stream
from ledger.sealing import OWN_KEY
from ledger.streams import WHOLE_MESSAGE
from tests.ledger.erasable import (
    Breaking,
    Killed,
    erase,
    events,
    files,
    held,
    originals_of,
    phone,
    report,
    rows_of,
    say,
    send,
    tell,
)
from tests.ledger.kit import TENANT, check_log, opened
from tests.ledger.test_immutability import login, url_of
from tests.postgres import Database as Given

__all__ = ["login"]  # a fixture

ANNA, BO, CLEO = phone(1), phone(2), phone(3)
NOTHING = Destroyed()


@pytest.fixture
def ledger(database: Given, tmp_path: Path) -> Iterator[Ledger]:
    with opened(database, tmp_path) as found:
        yield found


def destroy(ledger: Ledger, *erased: Erased) -> Destroyed:
    done = NOTHING
    for each in erased:
        done += erasing.destroy(ledger.database, ledger.artifact_folder, each)
    return done


# --- one recipient, one message


def test_an_erased_recipient_leaves_only_what_tells_of_others(ledger: Ledger) -> None:
    """The key, the values, the look-ups and the original of the one person go; everything of the other opens as before."""
    message = send(ledger, "doc-1", ANNA, BO)
    tell(ledger, report("doc-1", ANNA))
    tell(ledger, report("doc-1", BO))
    before = held(ledger)
    erased = erase(ledger, message, 0)
    assert 1 == len(erased.originals)
    assert before.without(erased) == held(ledger)
    assert NOTHING == erasing.left(ledger.database, erased)


def test_of_an_erased_message_only_the_log_and_the_ids_of_the_provider_are_left(ledger: Ledger) -> None:
    """No key, value, original, file or entry that finds it is there; the id by which late arrivals are known is."""
    message, other = send(ledger, "doc-1", ANNA, BO), send(ledger, "doc-2", ANNA)
    for ident in ("doc-1", "doc-2"):
        tell(ledger, report(ident, ANNA))
    theirs = {where: value for where, value in held(ledger).values.items() if where.owner == other}
    erase(ledger, message)
    assert {0} == set(rows_of(ledger, message).values())
    assert theirs == held(ledger).values
    assert [(message, WHOLE_MESSAGE)] == ledger.database.read(
        "SELECT stream, recipient FROM lookups WHERE stream = ?", (message,)
    )
    check_log(cast(Any, ledger.database))


def test_destroying_twice_is_the_same_as_once(ledger: Ledger) -> None:
    """The second time there is nothing left to be destroyed, and it is said so."""
    message = send(ledger, "doc-1", ANNA, BO)
    tell(ledger, report("doc-1", ANNA))
    (said,) = say(ledger, Erased(message))
    there = erasing.left(ledger.database, said)
    assert there == destroy(ledger, said)
    assert NOTHING != there
    assert NOTHING == destroy(ledger, said)


def test_an_act_that_names_a_person_loses_its_values_and_its_key(ledger: Ledger) -> None:
    """Acts of people have a key each: it goes with the values, and the acts beside it stay readable."""
    first, _ = act(ledger, "about Anna"), act(ledger, "about Bo")
    (said,) = say(ledger, Erased(f"account/{TENANT}/holds/2026-03-01", events=(first,)), why="act")
    assert Destroyed(keys=1, values=1) == destroy(ledger, said)
    assert ["about Bo"] == list(held(ledger).values.values())
    assert NOTHING == destroy(ledger, said)


def test_values_of_the_whole_message_go_where_the_event_is_named(ledger: Ledger) -> None:
    """A subject that names the person is sealed for all recipients: it goes by name, the others' own values stay."""
    message = send(ledger, "doc-1", ANNA, BO, texts={"subject": "for Anna"})
    (request,) = [e for e in events(ledger) if e.type == "submission.requested"]
    (said,) = say(ledger, Erased(message, 0, events=(request.id,)))
    destroy(ledger, said)
    left = {(where.position, where.person, where.path) for where in held(ledger).values}
    assert 1 == request.position
    assert {(2, 1, "recipient.1"), (3, WHOLE_MESSAGE, "label.0")} == left


def test_an_original_that_came_to_the_delivery_after_the_event_goes_too(ledger: Ledger) -> None:
    """Whoever decided before the erasure and appended after it wrote an original under the message's key: it is found and goes."""
    message = send(ledger, "doc-1", ANNA, BO)
    (said,) = say(ledger, Erased(message, 0))
    row = ledger.seal_original(ledger.person_key(message, WHOLE_MESSAGE), b"late", "text/plain")
    late = ledger.draft("content.consigned", TENANT, delivery_stream(message, 0), {"artifacts": [row.artifact_id]})
    ledger.append(Item([late], artifacts=[(0, row)]))
    assert 1 == destroy(ledger, said).originals
    assert {} == held(ledger).originals


# --- any of it, in any order, broken off anywhere

PEOPLE = (ANNA, BO, CLEO)
ARRIVALS = st.lists(
    st.one_of(
        st.tuples(st.just("one"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("all"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("both"), st.integers(0, 1), st.integers(0, 2)),
        st.tuples(st.just("join"), st.integers(0, 2), st.integers(0, 2)),
    ),
    max_size=6,
)
ERASURES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([WHOLE_MESSAGE, 0, 1, 2])), min_size=1, max_size=5)


def build(ledger: Ledger, begin: str, told: list[tuple[str, int, int]]) -> list[str]:
    """Messages with one, two and three recipients, and what was told of them; small originals, and large ones in files."""
    idents = [f"{begin}-{number}" for number in range(3)]
    messages = [send(ledger, ident, *PEOPLE[: number + 1]) for number, ident in enumerate(idents)]
    for number, (kind, which, who) in enumerate(told):
        person, code = PEOPLE[min(who, which)], f"c{number}"
        body = f"original {begin} {number} ".encode() * (1 if number % 2 else 9)
        if kind == "one":
            tell(ledger, report(idents[which], person, code), body=body)
        elif kind == "all":
            tell(ledger, report(idents[which], None, code), body=body)
        elif kind == "both":
            tell(ledger, report(idents[which], person, code), report(idents[2], CLEO, code), body=body)
        else:  # an orphan that turns out to be the message
            orphan = f"{begin}-orphan-{number}"
            tell(ledger, report(orphan, person, code), body=body)
            names = (*report(orphan, None).references, *report(idents[which], None).references)
            tell(ledger, report(orphan, None, f"{code}-joined", references=names))
    return messages


def act(ledger: Ledger, note: str) -> str:
    """What somebody did, under a key of its own; the event's id."""
    stream = f"account/{TENANT}/holds/2026-03-01"
    row, key = ledger.new_key(stream, OWN_KEY)
    draft = ledger.draft("hold.placed", TENANT, stream, {}, [(key, {"note": note})])
    ledger.append(Item([draft], keys=[row]))
    return draft.id


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=ARRIVALS,
    chosen=ERASURES,
    acts=st.sets(st.integers(0, 2)),
    breaks=st.lists(st.integers(1, 40), max_size=3),
    run=st.uuids(),
)
def test_any_subset_goes_and_all_the_rest_stays(
    ledger: Ledger,
    *,
    told: list[tuple[str, int, int]],
    chosen: list[tuple[int, int]],
    acts: set[int],
    breaks: list[int],
    run: object,
) -> None:
    """Whatever was told, whatever is erased in whatever order, killed at any statement and done again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "IN_DATABASE_BYTES", 100)
        messages = build(ledger, str(run), told)
    joined = [
        (e.fields["streams"][0], e.stream)
        for e in events(ledger)
        if e.type == "streams.joined" and e.stream in messages
    ]
    erased: list[Erased] = []
    for which, person in chosen:
        whole = person == WHOLE_MESSAGE or person > which
        message = messages[which]
        streams = [message, *(a for a, b in joined if b == message)] if whole else [message]
        for stream in streams:
            named = () if whole else originals_of(ledger, delivery_stream(message, person))
            erased += say(ledger, Erased(stream, WHOLE_MESSAGE if whole else person, named))
    stream, ids = f"account/{TENANT}/holds/2026-03-01", [act(ledger, f"about {run} {number}") for number in range(3)]
    acted = {ids[number] for number in acts}
    erased += say(ledger, Erased(stream, events=tuple(sorted(acted))), why="act") if acted else []
    gone = {e.stream for e in erased if e.is_message}
    owned = dict(
        ledger.database.read(
            "SELECT a.artifact_id, k.stream FROM artifacts a JOIN person_keys k ON k.key_id = a.key_id"
        )
    )
    before = held(ledger)
    left = before.without(*erased)
    forgotten = {event.position for event in events(ledger) if event.id in acted}
    left = left._replace(values={w: value for w, value in left.values.items() if w.position not in forgotten})
    left = left._replace(originals={a: body for a, body in left.originals.items() if owned[a] not in gone})
    for at in breaks:
        with pytest.raises(Killed):  # noqa: PT012  until a break is too late to be one
            for each in erased:
                erasing.destroy(cast(Database, Breaking(ledger.database, at)), ledger.artifact_folder, each)
            raise Killed
    destroy(ledger, *erased)
    assert left == held(ledger)
    assert [NOTHING] * len(erased) == [erasing.left(ledger.database, each) for each in erased]
    assert NOTHING == destroy(ledger, *erased)
    assert files(ledger.artifact_folder) <= left.originals.keys()


def test_memory_does_not_grow_with_the_recipients(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the recipients take no more memory: they are looked at a page at a time."""
    monkeypatch.setattr(erasing, "PAGE_EVENTS", 2)
    peaks = []
    for size in (1_200, 4_800):
        message = send(ledger, f"doc-{size}", *(phone(number) for number in range(size)))
        (said,) = say(ledger, Erased(message))
        tracemalloc.start()
        done = destroy(ledger, said)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert size + 1 == done.keys
    assert peaks[1] < 1.5 * peaks[0]


# --- who may


def test_only_the_privacy_role_destroys_and_the_service_role_is_told_what_to_do(
    empty_postgresql_database: Given, tmp_path: Path, login: Any
) -> None:
    """On PostgreSQL a login with nothing but the privacy role erases; the one that serves is refused, and nothing is gone."""
    with opened(empty_postgresql_database, tmp_path) as ledger:
        message = send(ledger, "doc-1", ANNA, BO)
        tell(ledger, report("doc-1", ANNA))
        (said,) = say(ledger, Erased(message))
        service = connect(url_of(empty_postgresql_database, login("service", SERVICE_ROLE)))
        try:
            with pytest.raises(ConfigurationError, match="LEDGER_PRIVACY_DATABASE_URL"):
                erasing.require_rights(service)
            with pytest.raises(ConfigurationError, match="LEDGER_PRIVACY_DATABASE_URL"):
                erasing.destroy(service, ledger.artifact_folder, said)
            assert NOTHING != erasing.left(service, said)
        finally:
            service.close()
        privacy = connect(url_of(empty_postgresql_database, login("privacy", PRIVACY_ROLE)))
        try:
            erasing.require_rights(privacy)
            assert 3 == erasing.destroy(privacy, ledger.artifact_folder, said).keys
        finally:
            privacy.close()
        assert {0} == set(rows_of(ledger, message).values())
