"""A long list is opened beside: whoever opens an address, and whatever becomes of the other process, the list is the same."""

from __future__ import annotations

import io
import marshal
import subprocess
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from ledger.errors import CorruptError
from projections import declared, opening
from projections.listing import Listed
from projections.opening import Held
from projections.queries import Filters
from tests.projections.beside import lengthen
from tests.projections.listing import fill
from tests.world import KEYRING, TENANT, World

MESSAGES = 20


@pytest.fixture
def found(found: World) -> World:
    fill(found, MESSAGES)
    return found


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Held]:
    """Lists are long; gives back what is opened in this process."""
    return lengthen(monkeypatch)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    started: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen

    def noting(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        started.append(begin(*args, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noting)
    return started


def everything(world: World) -> Iterator[list[Listed]]:
    return world.queries.listed(TENANT, [Filters()])


def alone(world: World) -> list[Listed]:
    """All of it, without another process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.cpu_count", lambda: 1)
        return [each for page in everything(world) for each in page]


def test_a_long_list_is_the_same_and_opened_elsewhere(
    found: World, here: list[Held], processes: list[subprocess.Popen[bytes]]
) -> None:
    """Row by row with its address, in order; only what came before it was long is opened here, and no key stands where others can read."""
    expected = alone(found)
    assert not processes
    here.clear()
    pages = list(everything(found))
    assert expected == [each for page in pages for each in page]
    assert all(each.address.address for each in expected)
    assert len(pages) > len(here) + 3
    (process,) = processes
    assert process.returncode is not None
    assert not any(key.hex() in " ".join(process.args) for key in KEYRING.keks.values())  # type: ignore[arg-type]  # a list of texts


def test_when_it_ends_the_list_goes_on(
    found: World, here: list[Held], processes: list[subprocess.Popen[bytes]]
) -> None:
    """What it did not open is opened here."""
    expected = alone(found)
    here.clear()
    pages = everything(found)
    told = [next(pages), next(pages)]
    processes[0].kill()
    assert expected == [each for page in (*told, *pages) for each in page]
    assert len(here) > 1


def test_an_altered_address_ends_the_list_all_the_same(
    found: World, here: list[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process does not open it, so it is opened here, and the error says what is wrong."""
    expected, held, asked = alone(found), declared.held, 0

    def altered(*ask: Any) -> Held:
        nonlocal asked
        sealed = held(*ask)
        asked += len(sealed.values)
        if sealed.values and asked >= 12:
            number, position, key_id, wrapped, values = sealed.values[0]
            sealed.values[0] = (number, position, key_id, wrapped, bytes(len(values)))
        return sealed

    monkeypatch.setattr(declared, "held", altered)
    here.clear()
    told: list[Listed] = []
    with pytest.raises(CorruptError):
        told.extend(chain.from_iterable(everything(found)))
    assert expected[: len(told)] == told
    assert len(told) > 5
    assert not here[-1].values[0][-1].strip(b"\0")


def test_a_list_that_is_left_leaves_no_process(
    found: World,
    here: list[Held],
    processes: list[subprocess.Popen[bytes]],
) -> None:
    """It ends with the list, in the middle of which it has work to do; another list may have one again."""
    for number in (1, 2):
        pages = everything(found)
        next(pages), next(pages)
        pages.close()  # type: ignore[attr-defined]  # it is a generator
        assert number == len(processes)
        assert processes[-1].returncode is not None


def test_two_lists_have_one_process(found: World, here: list[Held], processes: list[subprocess.Popen[bytes]]) -> None:
    """The other processors are for other work."""
    expected = alone(found)
    first = everything(found)
    told = [next(first), next(first)]
    here.clear()
    assert expected == [each for page in everything(found) for each in page]
    assert len(here) > 3
    assert expected == [each for page in (*told, *first) for each in page]
    assert 1 == len(processes)


def test_a_short_list_starts_no_process(found: World, processes: list[subprocess.Popen[bytes]]) -> None:
    """Starting one takes longer than opening it."""
    assert list(everything(found))
    assert not processes


def test_the_other_process_opens_what_it_is_given(found: World) -> None:
    """And says of what it cannot open that it cannot."""
    whose = [(each.message, each.recipient) for page in everything(found) for each in page]
    held = declared.held(found.ledger, whose)
    foreign = Held(held.recipients, held.values, dict.fromkeys(held.events, b"{}"))
    answers = io.BytesIO()
    opening.serve(framed(dict(KEYRING.keks), tuple(held), tuple(foreign), tuple(held)), answers)
    every = [declared.addresses(found.ledger, [each])[each] for each in whose]
    told = [each.kind for each in every], [each.value for each in every]
    assert framed({}, told, None, told).getvalue() == answers.getvalue()


def framed(*said: object) -> io.BytesIO:
    data = [marshal.dumps(each, opening.FORMAT) for each in said]  # type: ignore[arg-type]  # all of it can be
    return io.BytesIO(b"".join(len(each).to_bytes(8, "big") + each for each in data))
