"""Calls that wait are answered together, and none pays for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.http import dispatch
from adapters.http.errors import SlowAnswerError
from adapters.http.gathering import MOST, Gathering
from ledger.tenants import tenant, working_for
from projections.queries import Queries
from tests.adapters.conftest import Api


class Slow:
    """Answers with the call and the number of its group; the first group waits until it may go on."""

    def __init__(self) -> None:
        self.groups: list[list[object]] = []
        self.tenants: list[str] = []
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, calls: Sequence[object]) -> list[object]:
        self.groups.append(list(calls))
        self.tenants.append(tenant())
        self.has_begun.set()
        assert self.may_end.wait(30)
        return [ValueError(call) if call == "bad" else (call, len(self.groups)) for call in calls]


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.may_end.set()


@pytest.fixture
def gathering() -> Iterator[Gathering]:
    with ThreadPoolExecutor(4) as threads:
        yield Gathering(threads, 30.0)


async def _waiting(slow: Slow, gathering: Gathering, *later: object) -> list[asyncio.Task[object]]:
    """One call that is being answered, and others that came since."""
    first = asyncio.create_task(gathering.answer("kind", slow, "first"))
    await asyncio.to_thread(slow.has_begun.wait, 30)
    others = [asyncio.create_task(gathering.answer("kind", slow, call)) for call in later]
    await asyncio.sleep(0)
    return [first, *others]


async def test_calls_that_came_meanwhile_go_together(slow: Slow, gathering: Gathering) -> None:
    """The first goes at once and alone; each is given its own answer."""
    tasks = await _waiting(slow, gathering, "a", "b", "c")
    slow.may_end.set()
    assert [("first", 1), ("a", 2), ("b", 2), ("c", 2)] == await asyncio.gather(*tasks)
    assert [["first"], ["a", "b", "c"]] == slow.groups


async def test_a_group_has_a_most(slow: Slow, gathering: Gathering) -> None:
    """What is more waits for the next."""
    tasks = await _waiting(slow, gathering, *range(MOST + 1))
    slow.may_end.set()
    await asyncio.gather(*tasks)
    assert [1, MOST, 1] == [len(group) for group in slow.groups]


async def test_every_group_works_for_whom_its_calls_work(slow: Slow, gathering: Gathering) -> None:
    """Also one that is begun when the one before has ended, by nobody's call."""
    with working_for("acme"):
        tasks = await _waiting(slow, gathering, "a")
    slow.may_end.set()
    await asyncio.gather(*tasks)
    assert ["acme", "acme"] == slow.tenants


async def test_calls_of_another_kind_do_not_wait(slow: Slow, gathering: Gathering) -> None:
    """One organisation does not stand in the way of another."""
    tasks = await _waiting(slow, gathering)
    assert [7] == [await gathering.answer("other", lambda calls: [7 for _ in calls], "x")]
    slow.may_end.set()
    await asyncio.gather(*tasks)


async def test_an_exception_is_an_answer_to_its_call_alone(slow: Slow, gathering: Gathering) -> None:
    """The others of its group have theirs."""
    tasks = await _waiting(slow, gathering, "a", "bad", "b")
    slow.may_end.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [("first", 1), ("a", 2), ("b", 2)] == [each for each in answers if isinstance(each, tuple)]
    assert isinstance(answers[2], ValueError)


async def test_a_caller_that_went_away_harms_nobody(slow: Slow, gathering: Gathering) -> None:
    """Its call is answered to nobody."""
    tasks = await _waiting(slow, gathering, "gone", "a")
    tasks[1].cancel()
    slow.may_end.set()
    assert [("first", 1), ("a", 2)] == [await tasks[0], await tasks[2]]


async def test_a_call_does_not_wait_longer_than_it_may(slow: Slow) -> None:
    """Whether it is being answered or waits to be."""
    with ThreadPoolExecutor(1) as threads:
        tasks = await _waiting(slow, Gathering(threads, 0.0), "a")
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        slow.may_end.set()
    assert [SlowAnswerError, SlowAnswerError] == [type(answer) for answer in answers]


async def test_where_together_fails_each_is_answered_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery of which something is damaged hurts only itself."""
    api.account()
    message = await api.send()

    def broken(*_: object) -> list[object]:
        raise ZeroDivisionError

    expected = await api.call(f"GET /v1/messages/{message}/deliveries/0")
    monkeypatch.setattr(Queries, "glance", broken)
    reply = await api.call(f"GET /v1/messages/{message}/deliveries/0")
    assert (200, expected.body) == (reply.status, reply.body)
    assert 404 == (await api.call(f"GET /v1/messages/{message}/deliveries/9")).status


async def test_each_look_is_recorded_whether_or_not_it_went_with_others(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many looks as there were answers."""
    api.account()
    message = await api.send()
    groups: list[int] = []
    answers = dispatch._answers  # noqa: SLF001  what goes to a thread together

    def counted(*args: object) -> object:
        groups.append(len(args[2]))  # type: ignore[arg-type]  # the calls
        return answers(*args)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr(dispatch, "_answers", counted)
    paths = [f"GET /v1/messages/{message}/deliveries/0"] * 12
    assert {200} == {reply.status for reply in await asyncio.gather(*map(api.call, paths))}
    assert len(paths) == sum(groups) > len(groups)
    api.app[dispatch.STATE].access.flush(everything=True)
    (looked,) = api.events("access.recorded")
    assert (len(paths), [message]) == (looked.fields["numbers"]["looks"], looked.fields["streams"])
