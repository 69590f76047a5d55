"""Streams of arrivals beside single ones: who is let in, who is told to come again, whose turn it is, and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from adapters.http.admission import ADMISSION, Admission
from ledger import intake
from ops.system import System
from tests.adapters.conftest import Api, accepted, serving

NDJSON = {"Content-Type": "application/x-ndjson"}


def _line(document: str) -> bytes:
    return json.dumps({"account": "sms", **accepted(document)}).encode() + b"\n"


class Held:
    """A stream of one line that does not end before it may."""

    def __init__(self, document: str) -> None:
        self.may_end = asyncio.Event()
        self._document = document

    async def body(self) -> AsyncIterator[bytes]:
        yield _line(self._document)
        await self.may_end.wait()


async def _stream(api: Api, data: Any) -> Any:
    return await api.call("POST /v1/observations", data=data, headers=NDJSON)


async def _under_way(api: Api, held: Held) -> asyncio.Task[Any]:
    """The stream, once the server has let it in."""
    admission = api.app[ADMISSION]
    before = admission.room
    stream = asyncio.create_task(_stream(api, held.body()))
    async with asyncio.timeout(30):
        while admission.room == before:
            await asyncio.to_thread(int)
    return stream


@pytest.mark.parametrize(
    ("limit", "status", "kind", "again_s"),
    [("streams", 503, "too-many-streams", "2"), ("streams_per_caller", 429, "too-many-requests", "1")],
)
async def test_stream_that_finds_no_room_is_told_when_to_come_again(
    sqlite_system: System, limit: str, status: int, kind: str, again_s: str
) -> None:
    """Nothing of it is stored; single arrivals are taken meanwhile; once there is room, it is taken too."""
    async with serving(sqlite_system, **{limit: 1}) as api:
        api.account()
        held = Held("doc-1")
        first = await _under_way(api, held)
        refused = await _stream(api, _line("doc-2"))
        single = await api.observe(**accepted("doc-3"))
        held.may_end.set()
        assert (status, kind, again_s) == (refused.status, refused.type, refused.headers["Retry-After"])
        assert [201] == [line["status"] for line in (await first).lines]
        assert 201 == single.status
        assert 2 == len(api.events("submission.accepted"))
        assert [201] == [line["status"] for line in (await _stream(api, _line("doc-2"))).lines]


async def test_single_arrivals_are_answered_while_every_turn_is_taken(
    sqlite_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many streams as may work are at it and one more waits; whoever sends one record does not wait for them."""
    admit, at_it, let_go = sqlite_system.intake.admit, threading.Semaphore(0), threading.Event()

    def slow(readings: Sequence[Any]) -> Any:
        if len(readings) > 1:
            at_it.release()
            assert let_go.wait(30)
        return admit(readings)

    monkeypatch.setattr(sqlite_system.intake, "admit", slow)
    async with serving(sqlite_system, stream_turns=2) as api:
        api.account()
        bodies = [_line(f"doc-{number}-a") + _line(f"doc-{number}-b") for number in range(3)]
        streams = [asyncio.create_task(_stream(api, body)) for body in bodies]
        assert [True, True] == [await asyncio.to_thread(at_it.acquire, timeout=30) for _ in range(2)]
        single = await api.observe(**accepted("doc-9"))
        assert not at_it.acquire(blocking=False)
        let_go.set()
        assert 201 == single.status
        assert [[201, 201]] * 3 == [[line["status"] for line in (await each).lines] for each in streams]


async def test_stream_that_had_its_turn_goes_behind_those_that_wait() -> None:
    """Chunks of several streams alternate, however many one of them has."""
    admission, order = Admission(8, 8, 1), list[str]()

    async def stream(name: str, chunks: int) -> None:
        for _ in range(chunks):
            async with admission.turn:
                order.append(name)
                await asyncio.to_thread(int)

    await asyncio.gather(stream("huge", 6), stream("small", 2), stream("other", 1))
    assert ["huge", "small", "other", "huge", "small", "huge", "huge", "huge", "huge"] == order


async def test_what_is_acknowledged_is_stored_whoever_sends_beside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line and each single record once, under streams that take turns and wait for one another."""
    monkeypatch.setattr(intake, "AHEAD", 4)
    api.account()
    bodies = [b"".join(_line(f"doc-{stream}-{number}") for number in range(30)) for stream in range(4)]
    streams = [asyncio.create_task(_stream(api, body)) for body in bodies]
    singles = [await api.observe(**accepted(f"single-{number}")) for number in range(10)]
    lines = [line for each in streams for line in (await each).lines]
    assert {201} == {each.status for each in singles} | {line["status"] for line in lines}
    told = [f for each in singles for f in each.json["facts"]] + [
        f for each in lines for f in each["admitted"]["facts"]
    ]
    assert sorted(told) == sorted(event.id for event in api.events("submission.accepted"))
    assert 130 == len(set(told))
