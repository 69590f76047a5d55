"""The stories are many, different, and of every kind that can come about."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from adapters.providers import registry
from tests.stories import stories as telling
from tests.stories.kinds import IMPOSSIBLE, KINDS, Shape, claimed_in_vain, shape
from tests.stories.stories import Story

STORIES = telling.stories()
LEAST_OF_A_PROVIDER, LEAST = 10, 60


def test_every_provider_has_ten_stories_and_all_have_sixty() -> None:
    """A new provider cannot come without stories."""
    count = Counter(story.provider for story in STORIES)
    assert {} == {name: count[name] for name in registry() if count[name] < LEAST_OF_A_PROVIDER}
    assert count.total() >= LEAST


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_story_shows_what_it_claims(story: Story) -> None:
    """A story that calls itself an example of a kind has what makes that kind."""
    assert set() == claimed_in_vain(story)


def test_every_provider_has_every_kind_that_can_come_about() -> None:
    """Normal, refused, expired, doubled, reversed and so on: each is told of each provider, or the table says why it cannot be."""
    told = {(story.provider, kind) for story in STORIES for kind in story.kinds}
    due = {(provider, kind) for provider in registry() for kind in KINDS}
    assert set(IMPOSSIBLE) == due - told


def test_no_two_stories_differ_only_in_values() -> None:
    """With addresses, ids, texts and times taken away, no two stories of a provider are the same."""
    alike: dict[tuple[str, Shape], list[str]] = defaultdict(list)
    for story in STORIES:
        alike[story.provider, shape(story)].append(story.name)
    assert [] == [names for names in alike.values() if len(names) > 1]
