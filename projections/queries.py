"""Look-ups over the read models and the log; every answer is one tenant's and carries the position it reflects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from ledger.application import Ledger
from ledger.canonical import MAX_INT
from ledger.database import Row
from ledger.errors import NotFoundError
from ledger.events import Event, delivery_stream, message_of, read
from ledger.observations import Address
from ledger.streams import WHOLE_MESSAGE, person_of
from ledger.tree import leaf_hash
from ledger.types import TYPES
from projections import downtimes, listing, searching
from projections.deadlines import due
from projections.declared import Whose
from projections.discretion import addresses, discreet, everything, withheld
from projections.downtimes import Downtime
from projections.fold import Folded, Reason
from projections.glances import plain
from projections.listing import Listed
from projections.rules import EFFECTS, SUB_STATUS
from projections.runner import Runner
from projections.searching import Filters
from projections.status import DELIVERY_COLUMNS, MESSAGE_COLUMNS, read_row
from projections.stories import MessageRow, Story, missing
from projections.views import (
    AddressView,
    DeliveryView,
    DueDeadline,
    Known,
    LaneItem,
    MessageView,
    Page,
    Trail,
    TrailEntry,
    Watching,
)

__all__ = ["DELIVERIES_SHOWN", "MAX_PAGE", "UNKNOWN_EVENT", "Filters", "Queries", "entry_of", "told"]

_folded = msgspec.json.Decoder(Folded)
_COLUMNS = DELIVERY_COLUMNS.split(", ")
MAX_PAGE = 500
DELIVERIES_SHOWN = 100
FEW = 20
"""Recipients of a message that is looked up together with others."""
UNKNOWN_EVENT = "a type that this version does not know"
DECLARED = "recipients.declared"


class Queries:
    """The reading side of one ledger.

    Args:
        shows_protected: also recipients whose identity is protected; otherwise they are not there, whatever is asked.

    Attributes:
        ledger: as `shows_protected` says: discreet (`projections.discretion`), or the ledger itself.
    """

    def __init__(self, ledger: Ledger, runner: Runner, *, shows_protected: bool = False) -> None:
        self.ledger = everything(ledger) if shows_protected else discreet(ledger)
        self.runner = runner
        self.shows_protected = shows_protected
        self._shown = "" if shows_protected else " AND is_protected = 0"

    def position(self) -> int:
        """The log position that answers reflect."""
        return self.runner.position_in(self.ledger.database, self.runner.models[0])

    @contextmanager
    def snapshot(self) -> Iterator[Queries]:
        """Queries that all answer as of one position, however long they take; for one thread, and for reading only."""
        with self.ledger.database.snapshot() as reads:
            yield Queries(self.ledger.seen_through(reads), self.runner, shows_protected=self.shows_protected)

    def seeing_protected(self) -> Queries:
        """The same for somebody who may see whose identity is protected; that they look must be recorded before."""
        return Queries(self.ledger, self.runner, shows_protected=True)

    # --- whose identity is protected

    def is_hidden(self, message: str, recipient: int) -> bool:
        """Whether a recipient is not to be seen; WHOLE_MESSAGE: whether the message is not, as nobody else is in it."""
        return (message, recipient) in withheld(self.ledger, [message])

    def left_out(self, tenant: str) -> int:
        """How many deliveries of a tenant are in no list and no count: of all, so that no question narrows it down to somebody."""
        if self.shows_protected:
            return 0
        sql = (
            "SELECT count(*) FROM read_protected AS p JOIN read_deliveries AS d ON d.message = p.message AND d.recipient = p.recipient "
            "WHERE p.tenant = ?"
        )
        return int(self.ledger.database.read(sql, (tenant,))[0][0])

    def require_shown(self, message: str) -> None:
        """Refuse to tell of a message in which there is nobody else.

        Raises:
            NotFoundError: as for a message that is not there.
        """
        if self.is_hidden(message, WHOLE_MESSAGE):
            raise NotFoundError(_no_message(message))

    def shown(self, message: str, streams: Sequence[str]) -> list[str]:
        """The streams of a story that may be told."""
        hidden = {delivery_stream(*whose) for whose in withheld(self.ledger, {message, *map(message_of, streams)})}
        return [stream for stream in streams if stream not in hidden]

    # --- one message

    def message_row(self, tenant: str, message: str) -> MessageRow:
        """The row of a message, of the one it was joined into if it was.

        Raises:
            NotFoundError: the tenant has no such message.
        """
        found = self._teller(tenant, message)
        self.require_shown(found.message)
        return found

    def _teller(self, tenant: str, message: str) -> MessageRow:
        found = self._rows([message]).get(message)
        if found is None or found.tenant != tenant:
            raise NotFoundError(_no_message(message))
        return self._teller(tenant, found.joined_into) if found.joined_into else found

    def _rows(self, messages: Iterable[str]) -> dict[str, MessageRow]:
        rows = self.ledger.database.probe("read_messages", MESSAGE_COLUMNS, "message", sorted(set(messages)))
        return {row.message: row for row in map(read_row, rows)}

    def _story(self, row: MessageRow) -> Story:
        """Which streams tell the story of a message that tells it itself."""
        rows, tried = {row.message: row}, {row.message}
        while wanted := missing(rows) - tried:
            tried |= wanted
            rows |= self._rows(wanted)
        return Story(row, rows)

    def message(self, tenant: str, message: str) -> MessageView:
        """A message with what is held of it and its first deliveries."""
        row = self.message_row(tenant, message)
        position = self.position()
        story = self._story(row)
        events = self._events(self.shown(row.message, telling(story)))
        values = self.ledger.values([e for e in events if e.type != DECLARED])
        counts = self.ledger.database.read(
            f"SELECT status, count(*) FROM read_deliveries WHERE message = ?{self._shown} GROUP BY status ORDER BY status",
            (row.message,),
        )
        deliveries = self.deliveries(tenant, row.message, limit=DELIVERIES_SHOWN)
        return message_view(
            message, story, told_by=(events, values), statuses=dict(counts), deliveries=deliveries, position=position
        )

    def glance_messages(self, tenant: str, wanted: Sequence[str]) -> list[MessageView | None]:
        """Many messages at once, each question asked for all of them; None for one that `message` has to be asked for.

        Those are plain that have few recipients, tell their own story and nobody else's, and hide nobody.
        """
        known, hidden = self._rows(wanted), {message for message, _ in withheld(self.ledger, wanted)}
        rows = {m: row for m, row in known.items() if row.tenant == tenant and _is_plain(row) and m not in hidden}
        position = self.position()
        stories = {message: Story(row, {message: row}) for message, row in rows.items()}
        events = self._events([stream for story in stories.values() for stream in telling(story)])
        values = self.ledger.values([event for event in events if event.type != DECLARED])
        told_by, deliveries = dict[str, list[Event]](), dict[str, list[DeliveryView]]()
        for event in events:
            told_by.setdefault(message_of(event.stream), []).append(event)
        sql = f"SELECT {DELIVERY_COLUMNS} FROM read_deliveries WHERE message = {{0}} AND tenant = {{1}}{self._shown} ORDER BY recipient"
        found = self.ledger.database.each(sql, [(message, tenant) for message in rows])
        for view in sorted(self._views([tuple(row) for _, *row in found]), key=lambda each: each.recipient):
            deliveries.setdefault(view.message, []).append(view)
        views = {
            message: message_view(
                message,
                story,
                told_by=(told_by.get(message, ()), values),
                statuses=dict(sorted(Counter(view.status for view in deliveries.get(message, ())).items())),
                deliveries=deliveries.get(message, ()),
                position=position,
            )
            for message, story in stories.items()
        }
        return [views.get(message) for message in wanted]

    def _events(self, streams: Sequence[str]) -> list[Event]:
        """All events of some streams, in the order of the log; asked for together, whatever their number."""
        columns = f"{self.ledger.position_column}, state"
        rows = self.ledger.database.probe("stored_events", columns, "originator_id", sorted(set(streams)))
        return [read(position, bytes(state)) for position, state in sorted(rows)]

    def deliveries(
        self, tenant: str, message: str, after: int = -1, limit: int = DELIVERIES_SHOWN
    ) -> list[DeliveryView]:
        """The deliveries of a message by recipient index, after an index."""
        sql = (
            f"SELECT {DELIVERY_COLUMNS} FROM read_deliveries WHERE message = ? AND recipient > ? AND tenant = ?{self._shown} "
            "ORDER BY recipient LIMIT ?"
        )
        return self._views(self.ledger.database.read(sql, (message, after, tenant, min(limit, MAX_PAGE))))

    def delivery(self, tenant: str, message: str, recipient: int) -> DeliveryView:
        """One delivery.

        Raises:
            NotFoundError: the tenant has no such delivery.
        """
        row = self._teller(tenant, message)
        # A number that no database holds is asked of none.
        found = self.deliveries(tenant, row.message, recipient - 1, 1) if 0 <= recipient <= MAX_INT else []
        if not found or found[0].recipient != recipient:
            msg = f"message {message} has no recipient {recipient}"
            raise NotFoundError(msg)
        return found[0]

    def glance(self, tenant: str, wanted: Sequence[Whose]) -> list[DeliveryView | None]:
        """Many deliveries at once; None for one that `delivery` has to be asked for."""
        numbers = [whose for whose in wanted if 0 <= whose[1] <= MAX_INT]
        found = plain(everything(self.ledger), tenant, numbers, shows_protected=self.shows_protected)
        opened = {whose: glance.address for whose, glance in found.items() if glance.address}
        down = self._down(glance.row for glance in found.values() if glance.has_downtimes)
        views = dict(zip(found, self._told([glance.row for glance in found.values()], opened, down), strict=True))
        return [views.get(whose) for whose in wanted]

    def _views(self, rows: Sequence[Row]) -> list[DeliveryView]:
        # Only rows that may be shown come here.
        opened = addresses(everything(self.ledger), [(str(r[0]), int(r[1])) for r in rows])
        return self._told(rows, opened, self._down(rows))

    def _down(self, rows: Iterable[Row]) -> dict[tuple[str, str], list[Downtime]]:
        return downtimes.of_accounts(self.ledger.database, ((str(r[2]), str(r[3])) for r in rows))

    def _told(
        self,
        rows: Sequence[Row],
        opened: Mapping[Whose, Address],
        down: Mapping[tuple[str, str], Sequence[Downtime]],
    ) -> list[DeliveryView]:
        declared = {whose: AddressView(each.kind, each.value) for whose, each in opened.items()}
        views = []
        for row in rows:
            said = dict(zip(_COLUMNS, row, strict=True))
            detail = _folded.decode(bytes(said["folded"]))
            copied = ("message", "recipient", "account", "provider", "status", "sub_status", "since", "opened_at")
            views.append(
                DeliveryView(
                    **{name: said[name] for name in copied},
                    address=declared.get((said["message"], said["recipient"]), AddressView()),
                    is_final=bool(said["is_final"]),
                    position=said["updated_position"],
                    rules=detail.rules,
                    milestones=detail.milestones,
                    reasons=detail.reasons,
                    flags=detail.flags,
                    evidence=detail.evidence,
                    deadlines=detail.deadlines,
                    downtimes=downtimes_of(down.get((said["tenant"], said["account"]), ()), said["opened_at"], detail),
                )
            )
        return views

    def addresses(self, deliveries: Sequence[tuple[str, int]]) -> dict[tuple[str, int], AddressView]:
        """Addresses as declared, nobody else's opened."""
        return {w: AddressView(a.kind, a.value) for w, a in addresses(self.ledger, deliveries).items()}

    # --- trails

    def trail(self, tenant: str, message: str, recipient: int | None = None) -> Trail:
        """Every event of a message, or of one of its deliveries, with what the fold made of each."""
        row = self.message_row(tenant, message)
        story = self._story(row)
        streams = story.all() if recipient is None else [told.stream for told in story.of(recipient)]
        events = self._events(self.shown(row.message, streams))
        views = [self.delivery(tenant, row.message, recipient)] if recipient is not None else []
        if recipient is None and row.recipients <= MAX_PAGE:
            views = self.deliveries(tenant, row.message, limit=MAX_PAGE)
        judged = judgements(reason for view in views for reason in view.reasons)
        head = self.ledger.head()
        values = values_for(self.ledger, events, None if recipient is None else streams)
        entries = tuple(entry_of(e, values.get(e.position, {}), judged.get(e.id, ("", ""))) for e in events)
        return Trail(row.message, recipient, entries, head.size, head.root.hex(), self.position())

    # --- lists

    def search(self, tenant: str, filters: Filters, cursor: str = "", limit: int = 50) -> Page:
        """Deliveries that all filters fit, newest message first.

        Args:
            cursor: `next` of the page before.

        Raises:
            NotFoundError: the cursor is not one of ours.
            ValueError: an unknown status, grade or mark, or a time that is none.
        """
        position = self.position()
        found, following = self.found(tenant, filters, cursor, limit)
        return Page(tuple(view for view, _ in found), following, position)

    def found(
        self, tenant: str, filters: Filters, cursor: str = "", limit: int = 50
    ) -> tuple[list[tuple[DeliveryView, str]], str]:
        """As `search`: deliveries, each with the cursor that continues after it, and the one that continues the list."""
        limit = max(1, min(limit, MAX_PAGE))
        rows, following = searching.found(
            self.ledger, tenant, filters, cursor, limit, shows_protected=self.shows_protected
        )
        views = self._views([row for row, _ in rows])
        return [(view, after) for view, (_, after) in zip(views, rows, strict=True)], following

    def glance_references(self, tenant: str, asked: Sequence[tuple[str, int]]) -> list[Page | None]:
        """Many searches at once; None for one that `search` has to be asked for.

        Args:
            asked: a reference, and the most that its page may show.
        """
        position = self.position()
        limits = [(reference, max(1, min(limit, MAX_PAGE))) for reference, limit in asked]
        found = searching.named(self.ledger, tenant, limits, shows_protected=self.shows_protected)
        rows = {(row[0], row[1]): row for page in found for row in page or ()}
        views = dict(zip(rows, self._views([*rows.values()]), strict=True))
        return [
            None if page is None else Page(tuple(views[row[0], row[1]] for row in page), "", position) for page in found
        ]

    def listed(self, tenant: str, choices: Sequence[Filters], after: str = "") -> Iterator[list[Listed]]:
        """All deliveries that one of several choices of filters in the clear fits; see `projections.listing`."""
        return listing.listed(everything(self.ledger), tenant, choices, after, shows_protected=self.shows_protected)

    # --- what the clock asks for

    def due_deadlines(self, now: str, limit: int = MAX_PAGE) -> list[DueDeadline]:
        """Events about deadlines that are to be written by now, of all tenants, the longest due first.

        Args:
            now: UTC, as it stands in events.
            limit: of deliveries looked at.
        """
        sql = (
            "SELECT tenant, account, provider, message, recipient, folded FROM read_deliveries "
            "WHERE next_due > '' AND next_due <= ? ORDER BY next_due, message, recipient LIMIT ?"
        )
        return [
            DueDeadline(tenant, account, provider, message, recipient, f"deadline.{kind}", rule, at)
            for tenant, account, provider, message, recipient, folded in self.ledger.database.read(sql, (now, limit))
            for kind, rule, at in due(_folded.decode(bytes(folded)).deadlines, now)
        ]

    def watched(
        self, tenant: str, account: str, since: str = "", before: int = MAX_INT, limit: int = 100
    ) -> list[Watching]:
        """The account's messages that have a recipient without a final status, newest first.

        Args:
            since: leave out what was opened earlier, UTC; nobody asks about it any more.
            before: `opened_position` of the last one of the page before.
        """
        # One probe of the index per message, however many recipients it has.
        newest = "SELECT max(opened_position) FROM read_deliveries WHERE tenant = ? AND account = ? AND is_final = 0"
        sql = (
            f"WITH RECURSIVE found(opened) AS (SELECT ({newest} AND opened_position < ?) UNION ALL "
            f"SELECT ({newest} AND opened_position < found.opened) FROM found WHERE found.opened IS NOT NULL) "
            "SELECT opened FROM found WHERE opened IS NOT NULL LIMIT ?"
        )
        rows = self.ledger.database.read(sql, (tenant, account, before, tenant, account, limit))
        found = (self._watching(tenant, account, int(opened)) for (opened,) in rows)
        return [each for each in found if each is not None and each.opened_at >= since]

    def _watching(self, tenant: str, account: str, opened_position: int) -> Watching | None:
        """The message that was opened at a position; None when it was settled since it was found."""
        sql = (
            "SELECT message, recipient, opened_at, sub_status FROM read_deliveries "
            "WHERE tenant = ? AND account = ? AND is_final = 0 AND opened_position = ? ORDER BY recipient"
        )
        rows = self.ledger.database.read(sql, (tenant, account, opened_position))
        if not rows:
            return None
        message, _, opened_at, _ = rows[0]
        story = self._story(self._rows([message])[message])
        ledger = everything(self.ledger)  # what is asked of the provider is about everybody
        events = self._events(telling(story))
        values = ledger.values(events)
        references: dict[str, tuple[str, ...]] = {}
        for each in told(events, values)["references"]:
            references[each["kind"]] = (*references.get(each["kind"], ()), each["value"])
        indexes = range(story.teller.recipients)
        opened = addresses(ledger, [(message, index) for index in indexes])
        declared = {index: AddressView(each.kind, each.value) for (_, index), each in opened.items()}
        return Watching(
            message=message,
            opened_position=opened_position,
            opened_at=opened_at,
            references=references,
            recipients=tuple(declared.get(index, AddressView()) for index in indexes),
            open=tuple(int(row[1]) for row in rows),
            unclear=any(row[3] == SUB_STATUS["dispatch.unclear"] for row in rows),
            named=_named([e for e in events if message_of(e.stream) == message], values),
        )

    # --- lanes

    def lanes(self, tenant: str, state: str = "open", item: str = "", limit: int = MAX_PAGE) -> list[LaneItem]:
        """What waits (or waited, with state "") for a person, oldest first; with `item`, that one."""
        sql = (
            "SELECT item, lane, account, provider, operation, opened_at, state, opened_position FROM read_lanes "
            "WHERE tenant = ? AND (state = ? OR ? = '') AND (item = ? OR ? = '') ORDER BY opened_position LIMIT ?"
        )
        rows = self.ledger.database.read(sql, (tenant, state, state, item, item, limit))
        events = {e.position: e for e in (self.ledger.event(r[7]) for r in rows)}
        values = self.ledger.values(list(events.values()))
        return [
            LaneItem(
                **dict(
                    zip(("item", "lane", "account", "provider", "operation", "opened_at", "state"), row, strict=False)
                ),
                why=str(values.get(row[7], {}).get("text", "")),
                artifacts=tuple(events[row[7]].fields.get("artifacts", ())),
            )
            for row in rows
        ]


def _is_plain(row: MessageRow) -> bool:
    return not (row.joined_into or row.joined) and row.recipients <= FEW


def _no_message(message: str) -> str:
    return f"there is no message {message}"


def judgements(reasons: Iterable[Reason]) -> dict[str, tuple[str, str]]:
    """Event id -> the rule that judged it and what it did; where it did several things, what counts most."""
    judged: dict[str, tuple[str, str]] = {}
    for reason in reasons:
        if judged.get(reason.event_id, ("", "shown"))[1] in {"shown", "agrees"}:
            judged[reason.event_id] = (reason.rule, reason.effect)
    return judged


def downtimes_of(found: Iterable[Downtime], opened_at: str, detail: Folded) -> tuple[Downtime, ...]:
    """The downtimes that overlap a delivery, from its first known step to its end."""
    begun = min([opened_at, *(milestone.at for milestone in detail.milestones.values())])
    return downtimes.touching(found, begun, detail.since if detail.is_final else "")


def values_for(ledger: Ledger, events: Sequence[Event], streams: Sequence[str] | None) -> dict[int, dict[str, Any]]:
    """Position -> what is held of events.

    Args:
        streams: those that tell of one delivery: of a list of recipients nobody else's address is opened. None: everybody's are.
    """
    if streams is None:
        return ledger.values(events)
    found = ledger.values([event for event in events if event.type != DECLARED])
    people = [(message_of(stream), person_of(stream)) for stream in streams if person_of(stream) != WHOLE_MESSAGE]
    lists = {
        whose: event
        for event in events
        for whose in people
        if event.type == DECLARED and event.stream == whose[0] and is_among(whose[1], event)
    }
    for whose, said in ledger.values_of(lists).items():
        found.setdefault(lists[whose].position, {}).update(said)
    return found


def is_among(recipient: int, declared: Event) -> bool:
    """Whether an event declares a recipient."""
    first = int(declared.fields["first"])
    return first <= recipient < first + int(declared.fields["count"])


def telling(story: Story) -> list[str]:
    """The streams of a message, with those of its deliveries while they are few enough to be told with it."""
    if story.teller.recipients > DELIVERIES_SHOWN:
        return story.messages
    return [stream for stream in story.all() if stream not in story.batches]


def message_view(
    asked: str,
    story: Story,
    *,
    told_by: tuple[Sequence[Event], dict[int, dict[str, Any]]],
    statuses: dict[str, int],
    deliveries: Sequence[DeliveryView],
    position: int,
    known: Known | None = None,
) -> MessageView:
    """A message as people see it, now or as of then.

    Args:
        asked: the message that was asked for, which may have been joined into the one that tells the story.
        told_by: the events of `telling`, and their values.
    """
    row, (events, values) = story.teller, told_by
    said = told(events, values)
    return MessageView(
        message=row.message,
        tenant=row.tenant,
        account=row.account,
        provider=row.provider,
        opened_at=row.opened_at,
        registered=bool(row.registered),
        inbound=row.first_type == "inbound.received" and not row.recipients,
        recipients=row.recipients,
        batches=tuple(story.batches),
        values=said["values"],
        references=said["references"],
        labels=said["labels"],
        documents=said["documents"],
        joined=tuple(story.messages[1:]),
        joined_into="" if row.message == asked else row.message,
        statuses=statuses,
        notes=tuple(sorted({n for e in events for n in e.fields.get("notes", ())})),
        deliveries=tuple(deliveries),
        position=position,
        known=known,
    )


def told(events: Sequence[Event], values: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """What was said of the whole message, sorted into kinds; of one name said twice the first stands."""
    said: dict[str, Any] = {}
    references: dict[tuple[str, str], None] = {}
    labels: dict[str, None] = {}
    documents: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda e: e.position):
        for path, value in values.get(event.position, {}).items():
            kind = path.partition(".")[0]
            if kind == "reference":
                references[value["kind"], value["value"]] = None
            elif kind == "label":
                labels[value] = None
            elif kind == "document":
                documents.setdefault(str(value.get("sha256", value)), value)
            elif kind in {"subject", "sender", "name", "sender_name"}:
                said.setdefault(path, value)
    return {
        "values": said,
        "references": tuple({"kind": k, "value": v} for k, v in references),
        "labels": tuple(labels),
        "documents": tuple(documents.values()),
    }


def _named(events: Sequence[Event], values: Mapping[int, dict[str, Any]]) -> dict[str, int]:
    """References of which one recipient alone was told -> that recipient's index."""
    found: dict[str, set[int]] = {}
    for event in events:
        for path, value in values.get(event.position, {}).items():
            if path.startswith("reference."):
                found.setdefault(value["value"], set()).add(event.fields.get("recipient", -1))
    return {value: min(whose) for value, whose in found.items() if len(whose) == 1 and min(whose) >= 0}


def entry_of(event: Event, values: dict[str, Any], judged: tuple[str, str]) -> TrailEntry:
    f = event.fields
    known = TYPES.get(event.type)
    texts = {
        k: str(f.get(k, ""))
        for k in ("occurred_at", "zone", "observed_at", "recorded_at", "provider", "account", "arrival")
    }
    texts |= {k: str(f.get(k, "")) for k in ("verdict", "code", "reason", "erds", "mapping")}
    rule, effect = judged
    return TrailEntry(
        position=event.position,
        event_id=event.id,
        type=event.type,
        meaning=known.meaning if known else UNKNOWN_EVENT,
        stream=event.stream,
        version=int(f.get("version", 0)),
        recipient=f.get("recipient"),
        notes=tuple(f.get("notes", ())),
        artifacts=tuple(f.get("artifacts", ())),
        leaf_hash=leaf_hash(event.leaf).hex(),
        rule=rule or (str(f.get("rule", "")) if event.type not in EFFECTS else ""),
        effect=effect,
        values=values,
        withheld=tuple(sorted(set(f.get("commit", {})) - set(values))),
        **texts,
    )
