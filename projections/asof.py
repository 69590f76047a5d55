"""Answers as of then: what was known of a message at a recorded time, what had happened to it by a time of occurrence, and by which rules.

`Past` answers as `projections.queries.Queries` does, from the log up to a position instead of from the read models. Recipients, batches,
joinings, terms and downtimes are those of then. Values (addresses, subjects …) are shown as far as they are held today, forecasts not at
all. Lists are in `projections.aslists`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from msgspec.structs import replace

from ledger.errors import NotFoundError
from ledger.events import parse_time, time_text
from projections import aslists, downtimes
from projections.aslists import Judged
from projections.discretion import protected
from projections.queries import (
    DELIVERIES_SHOWN,
    MAX_PAGE,
    Queries,
    downtimes_of,
    entry_of,
    judgements,
    message_view,
    telling,
    values_for,
)
from projections.replay import Replay
from projections.rulesets import CURRENT, in_force
from projections.searching import Filters, moment
from projections.stories import MessageRow, Story
from projections.views import AddressView, DeliveryView, Known, MessageView, Page, Trail

Rules = Literal["then", "today"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """Of when an answer is to be; what is empty is now.

    Attributes:
        position: last of the log that is known; or
        known_at: the recorded time, itself included: a day or time, ISO 8601; without a zone it is UTC.
        occurred_at: leave out what happened later, likewise.
        rules: `then` judges by the tables that were in force then, `today` by those of today.
    """

    position: int = 0
    known_at: str = ""
    occurred_at: str = ""
    rules: Rules = "then"

    @property
    def is_past(self) -> bool:
        """Whether anything but now is asked for."""
        return bool(self.position or self.known_at or self.occurred_at)


class Past:
    """The reading side of one ledger as of then.

    Raises:
        NotFoundError: nothing was recorded by then.
        ValueError: the time or position is none, is not over yet, or both are given.
    """

    def __init__(self, queries: Queries, asof: AsOf) -> None:
        self.queries = queries
        self.ledger = queries.ledger
        self.position = _position(queries, asof)
        then = in_force(self.ledger, self.position)
        rules = CURRENT if asof.rules == "today" else then.ruleset or CURRENT
        occurred_by = moment("occurred_at", asof.occurred_at) if asof.occurred_at else ""
        self.replay = Replay(self.ledger, self.position, rules, occurred_by)
        self.known = Known(
            position=self.position,
            recorded_at=self.ledger.recorded_at(self.position),
            known_at=moment("known_at", asof.known_at) if asof.known_at else "",
            occurred_at=occurred_by,
            rules=asof.rules,
            in_force=then.tables,
            used=rules.tables,
            today=CURRENT.tables,
            differ=then.tables != CURRENT.tables,
            vocabularies=then.vocabularies,
        )

    # --- one message

    def message_row(self, tenant: str, message: str) -> MessageRow:
        """The row of a message, of the one that told its story.

        Raises:
            NotFoundError: the tenant had no such message yet; says since when it has.
        """
        row = self.replay.teller(tenant, message)
        self.queries.require_shown(row.message)
        return row

    def message(self, tenant: str, message: str) -> MessageView:
        """A message and its first deliveries; of one with more than 500 recipients the statuses are not counted."""
        row = self.message_row(tenant, message)
        story = self.replay.story(row)
        streams = self.queries.shown(row.message, telling(story))
        self.replay.load(streams)
        events = [e for stream in streams for e in self.replay.events[stream]]
        is_counted = row.recipients <= MAX_PAGE
        told = self._judged(row, story, self.replay.deliveries(row)[: MAX_PAGE if is_counted else DELIVERIES_SHOWN])
        judged = [each for each in told if self.queries.shows_protected or not each.is_protected]
        statuses = Counter(each.folded.status for each in judged) if is_counted else {}
        values = self.ledger.values([e for e in events if e.type != "recipients.declared"])
        return message_view(
            message,
            story,
            told_by=(events, values),
            statuses=dict(sorted(statuses.items())),
            deliveries=self._views(judged[:DELIVERIES_SHOWN]),
            position=self.position,
            known=self.known,
        )

    def delivery(self, tenant: str, message: str, recipient: int) -> DeliveryView:
        """One delivery.

        Raises:
            NotFoundError: the tenant had no such delivery yet.
        """
        row = self.message_row(tenant, message)
        self._require(row, recipient)
        view = self._views(self._judged(row, self.replay.story(row), [recipient]))[0]
        return replace(view, known=self.known)

    def _require(self, row: MessageRow, recipient: int) -> None:
        if recipient not in self.replay.deliveries(row) or self.queries.is_hidden(row.message, recipient):
            msg = f"message {row.message} had no recipient {recipient} at position {self.position}"
            raise NotFoundError(msg)

    def _judged(self, row: MessageRow, story: Story, indexes: Iterable[int]) -> list[Judged]:
        """Deliveries of a message that told its own story."""
        own = {index: [each for each in story.of(index) if each.scope == "recipient"] for index in indexes}
        self.replay.load(each.stream for streams in own.values() for each in streams)
        shared = self.replay.facts(story.shared())
        hidden = protected(self.ledger.database, [row.message])
        judged = []
        for index, streams in own.items():
            facts = [*self.replay.facts(streams), *shared]
            position = max((fact.position for fact in facts), default=row.opened_position)
            folded = self.replay.folded(row, facts)
            judged.append(Judged(row, index, folded, position, (row.message, index) in hidden))
        return judged

    def _views(self, judged: Sequence[Judged]) -> list[DeliveryView]:
        opened = self.queries.addresses([(each.row.message, each.recipient) for each in judged])
        whose = {(each.row.tenant, each.row.account) for each in judged}
        down = downtimes.known_by(self.ledger, whose, self.position, self.replay.occurred_by)
        return [
            DeliveryView(
                message=row.message,
                recipient=recipient,
                address=opened.get((row.message, recipient), AddressView()),
                account=row.account,
                provider=row.provider,
                status=folded.status,
                sub_status=folded.sub_status,
                since=folded.since,
                is_final=folded.is_final,
                opened_at=row.opened_at,
                position=position,
                rules=folded.rules,
                milestones=folded.milestones,
                reasons=folded.reasons,
                flags=folded.flags,
                evidence=folded.evidence,
                deadlines=folded.deadlines,
                downtimes=downtimes_of(down.get((row.tenant, row.account), ()), row.opened_at, folded),
            )
            for row, recipient, folded, position, _ in judged
        ]

    def trail(self, tenant: str, message: str, recipient: int | None = None) -> Trail:
        """Every event that told of a message, or of one of its deliveries, with what the fold made of each."""
        row = self.message_row(tenant, message)
        if recipient is not None:
            self._require(row, recipient)
        story = self.replay.story(row)
        streams = story.all() if recipient is None else [each.stream for each in story.of(recipient)]
        streams = self.queries.shown(row.message, streams)
        self.replay.load(streams)
        found = (e for s in dict.fromkeys(streams) for e in self.replay.events[s] if self.replay.is_told(e))
        events = sorted(found, key=lambda e: e.position)
        indexes = self.replay.deliveries(row) if recipient is None else [recipient]
        told_of = self._judged(row, story, indexes) if len(indexes) <= MAX_PAGE else []
        seen = (each for each in told_of if self.queries.shows_protected or not each.is_protected)
        judged = judgements(reason for each in seen for reason in each.folded.reasons)
        values = values_for(self.ledger, events, None if recipient is None else streams)
        entries = tuple(entry_of(e, values.get(e.position, {}), judged.get(e.id, ("", ""))) for e in events)
        root = self.ledger.root_at(self.position).hex()
        return Trail(row.message, recipient, entries, self.position, root, self.position, self.known)

    # --- lists

    def search(self, tenant: str, filters: Filters, cursor: str = "", limit: int = 50) -> Page:
        """Deliveries that all filters fitted then, newest message first; see `projections.aslists`."""
        limit = max(1, min(limit, MAX_PAGE))
        found, following = aslists.found(
            self.replay, self._judged, tenant, filters, cursor, limit, shows_protected=self.queries.shows_protected
        )
        return Page(tuple(self._views(found)), following, self.position, self.known)


def _position(queries: Queries, asof: AsOf) -> int:
    """The last position that was known."""
    ledger = queries.ledger
    size = ledger.head().size
    if asof.position and asof.known_at:
        msg = "give known_at or position, not both"
        raise ValueError(msg)
    if asof.position:
        if not 0 < asof.position <= size:
            msg = f"position {asof.position} is not there: the log goes from 1 to {size}"
            raise ValueError(msg)
        return asof.position
    if not asof.known_at:
        return queries.position()
    at = moment("known_at", asof.known_at)
    if at > time_text(ledger.clock()):
        msg = f"known_at: {at} is not over yet"
        raise ValueError(msg)
    position = ledger.position_before(time_text(parse_time(at) + timedelta(microseconds=1)))
    if not position:
        msg = f"nothing was recorded by {at}"
        raise NotFoundError(msg)
    return position
