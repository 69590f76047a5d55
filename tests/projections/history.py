"""Events written past every check, as another version or a defect might write them, and a history of stories."""

from __future__ import annotations

from typing import Any

from ledger.appender import Item
from ledger.events import Draft
from tests.stories import stories as telling
from tests.world import TENANT, World

AT = "2026-03-02T09:00:00.000000Z"


def write(world: World, kind: str, stream: str, **fields: Any) -> str:
    """Append one event as it is, whatever shape it has; returns its id."""
    draft = world.ledger.draft("content.consigned", TENANT, stream, {"observed_at": AT})
    draft.fields |= {"type": f"{kind}/1" if "/" not in kind else kind, **fields}
    world.ledger.appender.submit(Item([Draft(draft.fields, [])])).result()
    return draft.id


def declare(world: World, stream: str, first: int = 0, count: int = 1) -> None:
    write(world, "recipients.declared", stream, first=first, count=count)


def tell(world: World, *names: str, look: bool = True) -> None:
    """Tell stories to one ledger, one arrival after the other; `look`: read models follow each of them."""
    chosen = [story for story in telling.stories() if story.name in names]
    assert len(names) == len(chosen)
    for story in chosen:
        telling.register(world, story)
        for arrival in story.arrivals:
            telling.admit(world, [arrival])
            if look:
                world.runner.run()
