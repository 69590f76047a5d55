"""What is erased, and of which of it something is there still: by index probes, whatever was told and however late."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from ledger import erasing
from ledger.appender import Item
from ledger.erasing import Destroyed, Erased
from ledger.events import delivery_stream
from ledger.sealing import OWN_KEY
from ledger.streams import WHOLE_MESSAGE
from projections.erasures import unfinished
from tests.ledger.erasable import erase, name, phone, report, say, send, tell
from tests.postgres import Database
from tests.world import TENANT, World, world

ANNA, BO = phone(1), phone(2)


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as opened:
        yield opened


def left(found: World, newest: int | None = None) -> list[int]:
    """Positions of the erasures that are not carried out."""
    found.runner.run()
    assert [] == found.runner.unapplied()
    return [event.position for event in unfinished(found.ledger, newest)]


def destroy(found: World, *said: Erased) -> None:
    for each in said:
        erasing.destroy(found.ledger.database, found.ledger.artifact_folder, each)


def test_an_erasure_is_unfinished_until_all_of_it_is_destroyed(found: World) -> None:
    """Of a message, of a recipient, of an act: found while something is there, newest first, and not afterwards."""
    whole, partly = send(found.ledger, "doc-1", ANNA), send(found.ledger, "doc-2", ANNA, BO)
    stream = f"account/{TENANT}/holds/2026-03-01"
    row, key = found.ledger.new_key(stream, OWN_KEY)
    act = found.ledger.draft("hold.placed", TENANT, stream, {}, [(key, {"note": "about Anna"})])
    found.ledger.append(Item([act], keys=[row]))
    told = tell(found.ledger, report("doc-3", BO, batch=name("march for Anna")))
    batch = next(event for event in told if event.type == "batch.opened")
    assert [] == left(found)
    said = say(
        found.ledger,
        Erased(batch.stream, events=(batch.id,)),
        Erased(whole),
        Erased(partly, 0),
        Erased(stream, events=(act.id,)),
    )
    second, key = found.ledger.new_key(stream, OWN_KEY)
    later = found.ledger.draft("hold.placed", TENANT, stream, {}, [(key, {"note": "about Bo"})])
    found.ledger.append(Item([later], keys=[second]))
    tell(found.ledger, report("doc-3", None, "of all", about="batch", batch=name("march for Anna")))
    positions = [each.position for each in said][::-1]
    assert positions == left(found)
    assert positions[:1] == left(found, newest=1)
    for number, each in enumerate(said):
        destroy(found, each)
        assert positions[: 3 - number] == left(found)
    rows = found.ledger.database.read("SELECT stream, recipient, rule FROM read_erasures ORDER BY position")
    erased = [(batch.stream, WHOLE_MESSAGE), (whole, WHOLE_MESSAGE), (partly, 0), (stream, WHOLE_MESSAGE)]
    assert erased == [(s, r) for s, r, _ in rows]
    assert {"erasure.recipient"} == {rule for _, _, rule in rows}


def test_what_came_after_the_erasure_makes_it_unfinished_again(found: World) -> None:
    """Somebody who could not know yet wrote values and an original, for the delivery or the whole message."""
    for person in (0, WHOLE_MESSAGE):
        message = send(found.ledger, f"doc-{person}", ANNA, BO)
        key = found.ledger.person_key(message, WHOLE_MESSAGE)
        erased = erase(found.ledger, message, person)
        assert [] == left(found)
        row = found.ledger.seal_original(key, b"late", "text/plain")
        clear = {"artifacts": [row.artifact_id]}
        stream = delivery_stream(message, 0) if person == 0 else message
        draft = found.ledger.draft("content.consigned", TENANT, stream, clear, [(key, {"word": "late"})])
        found.ledger.append(Item([draft], artifacts=[(0, row)]))
        assert [erased.position] == left(found)
        destroy(found, erased)
        assert [] == left(found)


def test_what_is_kept_for_others_leaves_no_erasure_unfinished(found: World) -> None:
    """A list that came late and tells of others, too, stays; so does what comes for the other recipient."""
    gone, other = send(found.ledger, "doc-1", ANNA), send(found.ledger, "doc-2", ANNA, BO)
    erase(found.ledger, gone)
    erase(found.ledger, other, 0)
    tell(found.ledger, report("doc-1", ANNA, "LATE"), report("doc-2", BO, "LATE"))
    tell(found.ledger, report("doc-2", BO, "LATER"))
    assert [] == left(found)
    assert [(1,)] == found.ledger.database.read("SELECT count(*) FROM read_late_arrivals")


def test_a_rebuild_gives_the_same_rows(found: World) -> None:
    """Late arrivals and erasures of one batch, and of many, are found alike."""
    message = send(found.ledger, "doc-1", ANNA)
    tell(found.ledger, report("doc-1", ANNA, "EARLY"))
    erase(found.ledger, message)
    found.runner.run()
    tell(found.ledger, report("doc-1", ANNA, "LATE"), report("doc-2", BO, "LATE"))
    found.runner.run()
    model = next(each for each in found.runner.models if each.name == "erasures")
    assert {"erasures": 0, "late_arrivals": 0} == found.runner.rebuild(model).differences


def test_hundreds_of_erasures_are_looked_through_in_pages(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page, each that is left is found, once."""
    monkeypatch.setattr("projections.erasures.PAGE", 3)
    messages = [send(found.ledger, f"doc-{number}", ANNA) for number in range(8)]
    said = say(found.ledger, *map(Erased, messages))
    destroy(found, *said[::2])
    expected = [each.position for each in said[1::2]][::-1]
    assert expected == left(found)
    assert expected[:1] == [event.position for event in islice(unfinished(found.ledger), 1)]
    assert Destroyed() == erasing.left(found.ledger.database, said[0])


def test_what_no_key_goes_with_is_looked_for_by_name(found: World) -> None:
    """Of a batch, as it is said of one; and of a message with more originals than one event names, whose keys went with the first."""
    told = tell(found.ledger, report("doc-3", BO, batch=name("march for Anna")))
    batch = next(event for event in told if event.type == "batch.opened")
    whole = send(found.ledger, "doc-1", ANNA)
    row, key = found.ledger.new_key(f"account/{TENANT}/sms/2026-03-01", OWN_KEY)
    original = found.ledger.seal_original(key, b"for Anna", "text/plain")
    waits = found.ledger.draft("lane.opened", TENANT, row.stream, {"artifacts": [original.artifact_id]})
    found.ledger.append(Item([waits], keys=[row], artifacts=[(0, original)]))
    said = say(
        found.ledger,
        Erased(batch.stream, 0, events=(batch.id,)),
        Erased(whole),
        Erased(whole, originals=(original.artifact_id,)),
    )
    destroy(found, said[1])
    assert [said[2].position, said[0].position] == left(found)
    destroy(found, *said)
    assert [] == left(found)
