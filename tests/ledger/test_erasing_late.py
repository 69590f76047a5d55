"""What comes for somebody who is erased: it is known, written down, and nothing of it is kept that could be read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger import contents, erasing
from ledger.application import Ledger
from ledger.claiming import CLAIMED
from ledger.erasing import Destroyed, Erased
from ledger.errors import ClaimError, ErasedError
from ledger.events import Event
from ledger.intake import Intake
from ledger.names import Claim
from ledger.observations import Address, ArrivalKind, Fingerprint, Observation
from tests.ledger.erasable import (
    Held,
    admit,
    erase,
    events,
    held,
    name,
    phone,
    reading,
    report,
    rows_of,
    say,
    send,
    tell,
)
from tests.ledger.kit import opened
from tests.postgres import Database as Given

ANNA, BO, CLEO = phone(1), phone(2), phone(3)


@pytest.fixture
def ledger(database: Given, tmp_path: Path) -> Iterator[Ledger]:
    with opened(database, tmp_path) as found:
        yield found


def nothing_kept(written: list[Event]) -> bool:
    return bool(written) and all("commit" not in e.fields and "artifacts" not in e.fields for e in written)


LATE: dict[str, tuple[Observation, ...]] = {
    "of the recipient": (report("doc-1", ANNA, "LATE"),),
    "of somebody else": (report("doc-1", CLEO, "LATE"),),
    "of the message": (report("doc-1", None, "LATE"),),
    "declaring recipients": (report("doc-1", None, "LATE", declares=(ANNA, BO)),),
    "with documents and names": (
        report(
            "doc-1",
            ANNA,
            "LATE",
            references=(name("doc-1"), name("doc-1-b"), name("shared")._replace(exclusive=False)),
            documents=(Fingerprint("letter.pdf", "0" * 64),),
        ),
    ),
    "of a batch": (report("doc-1", ANNA, "LATE", batch=name("march")),),
    "two at once": (report("doc-1", ANNA, "LATE"), report("doc-1", BO, "LATER")),
}


@pytest.mark.parametrize("kind", [ArrivalKind.WEBHOOK, ArrivalKind.POLL, ArrivalKind.MAILBOX, ArrivalKind.IMPORT])
@pytest.mark.parametrize("late", LATE)
def test_what_comes_for_an_erased_message_is_written_without_values_and_bytes(
    ledger: Ledger, late: str, kind: ArrivalKind
) -> None:
    """Known by the provider's id: an event, no recipient, no key, no value, no original, nothing to find it by but such ids."""
    message = send(ledger, "doc-1", ANNA, BO)
    intake = Intake(ledger)
    tell(intake, report("doc-1", ANNA, "EARLY"))
    erase(ledger, message)
    before = held(ledger)
    written = [e for e in tell(intake, *LATE[late], kind=kind) if not e.stream.startswith("batch/")]
    assert nothing_kept(written)
    assert {message} == {e.stream for e in written}
    assert not [e for e in written if e.type == "recipients.declared"]
    assert {0} == set(rows_of(ledger, message).values())
    assert {row for row in held(ledger).lookups if row[1] == message and not row[3]} == set()
    assert before.originals == held(ledger).originals


def test_a_name_that_came_late_leads_to_the_erased_message_and_opens_no_new_one(ledger: Ledger) -> None:
    """A provider's id stays known although its value is not kept: what carries it alone finds the message."""
    message = send(ledger, "doc-1", ANNA)
    erase(ledger, message)
    tell(ledger, report("doc-1", None, "one", references=(name("doc-1"), name("second"))))
    written = tell(ledger, report("second", ANNA, "two"))
    assert [message] == [e.stream for e in written]
    assert nothing_kept(written)


def test_the_same_arrival_again_is_known_after_the_erasure(ledger: Ledger) -> None:
    """Keys of duplicates stay: neither the same bytes nor the same fact in other bytes is written again."""
    message = send(ledger, "doc-1", ANNA, BO)
    tell(ledger, report("doc-1", ANNA), body=b"the same")
    erase(ledger, message)
    assert [] == tell(ledger, report("doc-1", ANNA), body=b"the same")
    assert [] == tell(ledger, report("doc-1", ANNA), body=b"other bytes")
    late = tell(ledger, report("doc-1", ANNA, "LATE"), body=b"late")
    assert nothing_kept(late)
    assert [] == tell(ledger, report("doc-1", ANNA, "LATE"), body=b"late")


def test_a_registration_that_comes_again_is_answered_as_the_first_time(ledger: Ledger) -> None:
    """The idempotency key outlives the message; a new send to the same address is a new message."""
    message = send(ledger, "doc-1", ANNA)
    erase(ledger, message)
    size = ledger.head().size
    assert message == send(ledger, "doc-1", ANNA)
    assert size == ledger.head().size
    again = send(ledger, "doc-2", ANNA)
    assert again != message
    assert {"kind": "phone", "address": ANNA.value} in held(ledger).values.values()


# --- one of several recipients


@pytest.fixture(params=["registered", "told by the provider"])
def partly(request: pytest.FixtureRequest, ledger: Ledger) -> str:
    """A message with two recipients, the first of whom is erased."""
    if request.param == "registered":
        message = send(ledger, "doc-1", ANNA, BO)
        tell(ledger, report("doc-1", ANNA, "EARLY"))
    else:
        message = tell(ledger, report("doc-1", None, "EARLY", declares=(ANNA, BO)))[0].stream
    erase(ledger, message, 0)
    return message


def same_but(before: Held, after: Held) -> Held:
    """What is there now and was not before."""
    values = {k: v for k, v in after.values.items() if k not in before.values}
    originals = {k: v for k, v in after.originals.items() if k not in before.originals}
    return Held(values, originals, after.lookups - before.lookups)


@pytest.mark.parametrize("who", [ANNA, CLEO], ids=["who was erased", "a stranger"])
@pytest.mark.parametrize("how", ["recipient", "declares", "copy"])
def test_whom_the_message_does_not_have_any_more_is_not_kept(
    ledger: Ledger, partly: str, who: Address, how: str
) -> None:
    """An address that is no recipient's may be the erased one's: it adds none, and neither values nor bytes are stored."""
    first = Observation(type="relay.accepted", references=(name("doc-1"),), identity=("seen",), content=("c",))
    if how == "copy":
        tell(ledger, first, body=b"before")
    seen = {
        "recipient": report("doc-1", who, "LATE"),
        "declares": report("doc-1", None, "LATE", declares=(BO, who)),
        "copy": Observation(
            type="relay.accepted", references=(name("doc-1"),), identity=("seen",), content=("c",), declares=(who,)
        ),
    }[how]
    before = held(ledger)
    written = tell(ledger, seen, body=f"a letter to {who.value}".encode())
    assert nothing_kept(written)
    assert {partly} == {e.stream for e in written}
    assert Held({}, {}, set()) == same_but(before, held(ledger))


def test_what_comes_for_the_others_is_kept_as_before(ledger: Ledger, partly: str) -> None:
    """Values and original of the recipient who is not erased."""
    before = held(ledger)
    (event,) = tell(ledger, report("doc-1", BO, "LATE"), body=b"of Bo")
    assert f"{partly}/1" == event.stream
    new = same_but(before, held(ledger))
    assert [b"of Bo"] == list(new.originals.values())
    assert "to +31612340002" in new.values.values()


def test_a_message_is_erased_with_the_last_of_its_recipients(ledger: Ledger, partly: str) -> None:
    """Though nobody said so of the whole message, for whose original others have a use: nothing more is kept of it."""
    assert not nothing_kept(tell(ledger, report("doc-1", None, "of all")))
    erase(ledger, partly, 1)
    before = held(ledger)
    for late in (report("doc-1", None, "LATE"), report("doc-1", BO, "LATE"), report("doc-1", CLEO, "LATE")):
        assert nothing_kept(tell(ledger, late))
    assert before == held(ledger)


def test_an_original_of_several_messages_stays_for_the_sake_of_the_others(ledger: Ledger) -> None:
    """A list that tells of an erased message and of another is kept for that one, under a key of its own."""
    gone, other = send(ledger, "doc-1", ANNA), send(ledger, "doc-2", BO)
    erase(ledger, gone)
    written = tell(ledger, report("doc-1", ANNA, "LATE"), report("doc-2", BO, "LATE"), body=b"a list")
    assert {gone, f"{other}/0"} == {e.stream for e in written}
    assert [b"a list"] == list(held(ledger).originals.values())
    assert {"commit"} & written[0].fields.keys() == set()
    both = send(ledger, "doc-3", CLEO)
    erase(ledger, both)
    written = tell(ledger, report("doc-1", ANNA, "END"), report("doc-3", CLEO, "END"), body=b"of the erased alone")
    assert nothing_kept(written)


# --- what was decided before, and is written after


def test_what_this_process_remembers_of_a_message_ends_with_its_erasure(ledger: Ledger) -> None:
    """An intake that looked at the message a moment ago writes nothing that finds it."""
    message, intake = send(ledger, "doc-1", ANNA), Intake(ledger)
    tell(intake, report("doc-1", ANNA, "EARLY"), body=b"early")
    assert [] == tell(intake, report("doc-1", ANNA, "EARLY"), body=b"early")
    erase(ledger, message)
    document = Fingerprint("letter.pdf", "0" * 64)
    assert nothing_kept(tell(intake, report("doc-1", None, "LATE", documents=(document,))))
    assert {0} == set(rows_of(ledger, message).values())


def test_who_decided_on_an_old_reading_of_the_message_decides_again(ledger: Ledger) -> None:
    """An intake that remembers the message as it was before must not write whom it does not find among the recipients."""
    intake = Intake(ledger)
    message = send(ledger, "doc-1", ANNA, BO)
    tell(intake, report("doc-1", CLEO, "EARLY"))
    tell(intake, report("doc-1", CLEO, "AGAIN"))
    erase(ledger, message, 0)  # by another process, as far as this intake knows
    assert nothing_kept(tell(intake, report("doc-1", ANNA, "LATE")))


def test_what_was_decided_before_the_erasure_and_comes_after_it_cannot_be_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values stay sealed under a key that is gone; what of it lies there is found, and goes when it is destroyed again."""
    message = send(ledger, "doc-1", ANNA, BO)
    intake, queue = Intake(ledger), ledger.queue
    said: list[Erased] = []

    def overtaken(*given: Any) -> None:
        monkeypatch.setattr(ledger, "queue", queue)
        said.append(erase(ledger, message, 0))
        queue(*given)

    before = held(ledger)
    monkeypatch.setattr(ledger, "queue", overtaken)
    tell(intake, report("doc-1", ANNA, "LATE"), body=b"of Anna")
    found = erasing.left(ledger.database, said[0])
    assert (2, 1) == (found.values, found.originals)
    erasing.destroy(ledger.database, ledger.artifact_folder, said[0])
    assert Destroyed() == erasing.left(ledger.database, said[0])
    assert before.without(said[0]) == held(ledger)


def test_between_the_event_and_the_destroying_nothing_new_is_kept(ledger: Ledger) -> None:
    """The keys are still there, and are not used any more."""
    message = send(ledger, "doc-1", ANNA, BO)
    tell(ledger, report("doc-1", ANNA, "EARLY"))
    say(ledger, Erased(message, 0))
    assert nothing_kept(tell(ledger, report("doc-1", ANNA, "LATE")))
    say(ledger, Erased(message))
    assert nothing_kept(tell(ledger, report("doc-1", BO, "LATE")))


def test_a_key_is_forgotten_with_its_erasure(ledger: Ledger) -> None:
    """No key that is held in memory seals anything for somebody who was erased."""
    message = send(ledger, "doc-1", ANNA, BO)
    held_key = ledger.person_key(message, 0)
    erase(ledger, message, 0)
    with pytest.raises(ErasedError):
        ledger.person_key(message, 0)
    assert ledger.person_key(message, 1) != held_key
    erase(ledger, message)
    with pytest.raises(ErasedError):
        ledger.person_key(message, 1)


def test_nothing_waits_for_an_erased_message_to_claim_it(ledger: Ledger) -> None:
    """A claim would keep what the item tells under new keys: it is refused for whom the message may have lost."""
    message = send(ledger, "doc-1", ANNA, BO)
    waits = Observation(type="content.consigned", about="recipient", recipient=ANNA, code="DELIVRD", identity=("x",))
    (item,) = [e for e in tell(ledger, waits) if e.type == "lane.opened"]

    def claim() -> list[Event]:
        again = reading(
            waits, message=message, claim=Claim(item, "it is this one"), stored=tuple(item.fields["artifacts"])
        )
        return admit(ledger, again)

    erase(ledger, message, 0)
    with pytest.raises(ClaimError, match="erased"):
        claim()
    erase(ledger, message)
    with pytest.raises(ClaimError, match="erased"):
        claim()
    assert not [e for e in events(ledger) if e.type == CLAIMED]


def test_a_message_that_is_joined_brings_no_recipient_back(ledger: Ledger) -> None:
    """A stream that turns out to be part of a message with an erased recipient declares nobody in it."""
    message = tell(ledger, report("doc-1", None, "EARLY", declares=(ANNA, BO)))[0].stream
    erase(ledger, message, 0)
    tell(ledger, report("doc-9", ANNA, "ELSEWHERE"))
    tell(ledger, report("doc-1", None, "BOTH", references=(name("doc-1"), name("doc-9"))))
    joined = [e for e in events(ledger) if e.type == "streams.joined" and e.stream == message]
    assert 1 == len(joined)
    assert [2] == [e.fields["count"] for e in events(ledger) if e.type == "recipients.declared" and e.stream == message]


def test_contents_of_an_erased_message_are_compared_with_nothing(ledger: Ledger) -> None:
    """What was sent cannot be read any more: nothing is said of what was delivered."""
    sent = (Fingerprint("letter.pdf", "0" * 64),)
    message = send(ledger, "doc-1", ANNA, documents=sent)
    erase(ledger, message)
    written = tell(ledger, report("doc-1", ANNA, documents=sent))
    contents.check(ledger, message)
    assert ["content.consigned"] == [e.type for e in written]
    assert {} == held(ledger).values


def test_an_erased_message_takes_no_other_with_it_and_goes_into_none(ledger: Ledger) -> None:
    """Whatever names it and another tells of the erased one, and is not kept; the other stays as it was."""
    tell(ledger, report("doc-0", CLEO, "EARLY"))
    message = tell(ledger, report("doc-1", ANNA, "EARLY"))[0].stream
    erase(ledger, message)
    before = held(ledger)
    for others in ("doc-0", "doc-9"):
        if others == "doc-9":
            tell(ledger, report("doc-9", CLEO, "EARLY"))
            before = held(ledger)
        written = tell(ledger, report("doc-1", ANNA, others, references=(name("doc-1"), name(others))))
        assert [message] == [e.stream for e in written]
        assert nothing_kept(written)
        assert before == held(ledger)
    assert not [e for e in events(ledger) if e.type == "streams.joined"]


@pytest.mark.parametrize("registers", [False, True], ids=["the provider told", "the sender told"])
def test_who_was_erased_from_a_message_stays_erased_when_it_joins_another(ledger: Ledger, *, registers: bool) -> None:
    """The other message tells the story from then on, and does not know the erased one's address: it takes in no stranger."""
    tell(ledger, report("doc-0", BO, "EARLY"))
    partly = tell(ledger, report("doc-1", None, "EARLY", declares=(ANNA, BO)))[0].stream
    erase(ledger, partly, 0)
    if registers:
        send(ledger, "doc-1", BO)
    else:
        tell(ledger, report("doc-1", None, "BOTH", references=(name("doc-1"), name("doc-0"))))
    assert 2 == len([e for e in events(ledger) if e.type == "streams.joined"])
    before = held(ledger)
    for intake in (Intake(ledger), ledger):
        code = f"LATE {type(intake).__name__}"
        written = tell(intake, report("doc-1", ANNA, code), body=f"a letter to {ANNA.value} {code}".encode())
        assert nothing_kept(written)
    assert before == held(ledger)
    assert tell(ledger, report("doc-1", BO, "LATE"))[-1].fields["commit"]


def test_whoever_tells_while_somebody_is_erased_leaves_nothing_of_that_person(ledger: Ledger) -> None:
    """Many at once, each with what it knew a moment ago: when the erasure is repeated nothing is left, and of the other all is there."""
    message = send(ledger, "doc-1", ANNA, BO)
    said: list[Erased] = []

    def telling(number: int) -> None:
        intake = Intake(ledger)
        for turn in range(6):
            tell(intake, report("doc-1", BO, f"B{number}-{turn}"), body=f"of Bo {number} {turn}".encode())
            tell(intake, report("doc-1", ANNA, f"A{number}-{turn}"), body=f"of Anna {number} {turn}".encode())
            if (number, turn) == (0, 2):
                said.extend(say(ledger, Erased(message, 0)))
                erasing.destroy(ledger.database, ledger.artifact_folder, said[0])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(telling, range(4)))
    (erased,) = said
    erasing.destroy(ledger.database, ledger.artifact_folder, erased)
    assert Destroyed() == erasing.left(ledger.database, erased)
    left = held(ledger)
    assert not [where for where in left.values if (where.owner, where.person) == (message, 0)]
    late = [e for e in events(ledger) if e.position > erased.position and e.stream == f"{message}/0"]
    assert not {a for e in late for a in e.fields.get("artifacts", ())} & left.originals.keys()
    assert ANNA.value not in str(list(left.values.values()))
    assert 24 == len([body for body in left.originals.values() if body.startswith(b"of Bo")])
    assert 24 == len([e for e in events(ledger) if e.stream == f"{message}/1"])


def test_a_key_that_another_process_had_destroyed_is_forgotten_in_time(
    database: Given, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that does not hear of the erasure remembers no key for longer than a minute; what it seals with it nobody can open."""
    message = send(ledger, "doc-1", ANNA, BO)
    with opened(database, tmp_path) as other:
        key = other.person_key(message, 0)
        erase(ledger, message, 0)
        assert key == other.person_key(message, 0)
        monkeypatch.setattr("ledger.application.KEY_KEPT_S", -1.0)
        with pytest.raises(ErasedError):
            other.person_key(message, 0)
