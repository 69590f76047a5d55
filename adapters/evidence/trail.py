"""The events that tell a message's story up to a tree size.

A size gives the same answer today and in ten years (`projections.replay`): what was joined, declared or grouped after it is not known
here, and the tables that were in force then judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.application import WHOLE_MESSAGE, Ledger
from ledger.errors import NotFoundError
from ledger.events import Event
from projections.discretion import withheld
from projections.fold import Folded
from projections.replay import Replay
from projections.rulesets import CURRENT, in_force
from projections.stories import MessageRow


@dataclass(slots=True)
class Trail:
    """A story as far as it was told at a tree size.

    Attributes:
        message: the message that tells it; another than was asked for when that one was joined.
        recipients: indexes that it is told for.
        is_whole: for all of them.
        declared: how many recipients the message has.
        streams: the streams that tell it -> last version, 0 where nothing stands.
        events: in the order of the log.
        persons: (stream of a message, index in it) -> index in `message`; joined messages have indexes of their own.
        folded: index -> status and reasons.
    """

    message: str
    recipients: tuple[int, ...]
    is_whole: bool
    declared: int
    streams: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    persons: dict[tuple[str, int], int] = field(default_factory=dict)
    folded: dict[int, Folded] = field(default_factory=dict)


def tell(ledger: Ledger, tenant: str, message: str, size: int, recipients: Sequence[int] | None) -> Trail:
    """The story of a message, or of some of its deliveries, as of a tree size.

    Args:
        recipients: indexes; None for all.

    Raises:
        NotFoundError: at that size the tenant had no such message or recipient.
    """
    log = Replay(ledger, size, in_force(ledger, size).ruleset or CURRENT)
    row = log.teller(tenant, message)
    story = log.story(row)
    hidden = withheld(ledger, story.messages)
    if (row.message, WHOLE_MESSAGE) in hidden:
        msg = f"there is no message {message}"
        raise NotFoundError(msg)
    visible = [index for index in range(row.recipients) if (row.message, index) not in hidden]
    if recipients is None and len(visible) < row.recipients:
        recipients = visible
    unknown = sorted(set(recipients or ()) - set(visible))
    if unknown or (recipients is not None and not recipients):
        msg = f"message {message} has no recipient {unknown[0]}" if unknown else "no recipient was chosen"
        raise NotFoundError(msg)
    chosen = tuple(sorted(set(recipients))) if recipients is not None else tuple(range(row.recipients))
    told = {index: story.of(index) for index in chosen}
    every = [*story.shared(), *(t for each in told.values() for t in each)]
    # What is told of recipients whom nobody declared comes with the whole message only.
    streams = dict.fromkeys(each.stream for each in every if recipients is None or each.scope != "other")
    if recipients is None:
        streams |= dict.fromkeys(story.all())
    log.load([*streams, *(each.stream for each in every)])
    trail = Trail(row.message, chosen, recipients is None, row.recipients)
    trail.streams = {s: len(log.events[s]) for s in sorted(streams)}
    trail.events = sorted((e for s in streams for e in log.events[s]), key=lambda e: e.position)
    trail.persons = _persons(log, row)
    trail.folded = {index: log.folded(row, log.facts(told[index])) for index in chosen}
    return trail


def _persons(log: Replay, row: MessageRow) -> dict[tuple[str, int], int]:
    """Who is who: indexes of joined messages as indexes of this one."""
    found = {(row.message, index): index for index in range(row.recipients)}
    waiting, passed = [row], {row.message}
    while waiting:
        into = waiting.pop()
        for joined in into.joined:
            pairs = {
                (joined.stream, a): found[into.message, b] for a, b in joined.recipients if (into.message, b) in found
            }
            found |= pairs
            if joined.stream not in passed:
                passed.add(joined.stream)
                waiting.append(log.row(joined.stream))
    return found
