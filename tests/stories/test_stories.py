"""Every story, told in its natural order to a whole ledger on both databases, ends as it was written down by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import Database
from tests.stories import stories as telling
from tests.stories.stories import Story
from tests.world import world

STORIES = telling.stories()


@pytest.mark.parametrize("story", telling.params(STORIES))
def test_story_ends_as_written(story: Story, database: Database, tmp_path: Path) -> None:
    """Statuses, reasons, evidence, waiting items and quarantine are those of the file; telling it again changes nothing."""
    with world(database.url, tmp_path) as opened:
        found = telling.begin(opened, story)
        telling.register(found, story)
        telling.admit(found, story.repeated)
        assert telling.expected(story) == telling.outcome(found)
        assert story.proof == telling.proof(found, story)
        size = found.ledger.head().size
        telling.register(found, story)
        for arrival in story.arrivals:
            telling.admit(found, [arrival])
        assert telling.expected(story) == telling.outcome(found)
        assert size == found.ledger.head().size
        assert [] == found.runner.unapplied()
