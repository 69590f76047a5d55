"""Law 6: the status is a function of the set of arrivals, whatever their order, repetition and grouping."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stories import stories as telling
from tests.stories.stories import Story
from tests.world import world

STORIES = telling.stories()
EXAMPLES = 30
EXAMPLES_EACH = 6
"""A story of few arrivals has few orders."""
MAX_REPEATED = 3
REGISTRATION = -1

Call = tuple[int, ...]
"""Arrivals admitted in one call, by index; the registration alone in a call of its own."""


@st.composite
def tellings(draw: st.DrawFn, story: Story) -> tuple[list[Call], list[bool]]:
    """Every arrival at least once, in any order, in any grouping into calls; and after which calls somebody looks."""
    count = len(story.arrivals)
    again = draw(st.lists(st.integers(0, count - 1), max_size=MAX_REPEATED))
    order = draw(st.permutations([*range(count), *again, *([REGISTRATION] if story.registration else [])]))
    breaks = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    calls: list[Call] = []
    for index, is_new_call in zip(order, breaks, strict=True):
        if index == REGISTRATION or is_new_call or not calls or REGISTRATION in calls[-1]:
            calls.append((index,))
        else:
            calls[-1] = (*calls[-1], index)
    return calls, draw(st.lists(st.booleans(), min_size=len(calls), max_size=len(calls)))


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_any_order_and_repetition_ends_the_same(story: Story, empty: Path) -> None:
    """Statuses, times, finality, reasons and evidence are those of the file, however the arrivals are shuffled, doubled and grouped."""
    told_of = len(story.arrivals) + (story.registration is not None)

    @settings(max_examples=min(EXAMPLES, EXAMPLES_EACH * told_of), suppress_health_check=[HealthCheck.too_slow])
    @given(tellings(story))
    def holds(told: tuple[list[Call], list[bool]]) -> None:
        with tempfile.TemporaryDirectory(dir=empty.parent) as name:
            folder = Path(name) / "ledger"
            shutil.copytree(empty, folder)
            with world(f"sqlite:///{folder}/ledger.db", folder) as opened:
                found = telling.begin(opened, story)
                for call, is_looked_at in zip(*told, strict=True):
                    if call == (REGISTRATION,):
                        telling.register(found, story)
                    else:
                        telling.admit(found, [story.arrivals[index] for index in call])
                    if is_looked_at:
                        found.runner.run()
                assert telling.expected(story) == telling.outcome(found)
                assert story.proof == telling.proof(found, story)

    holds()
