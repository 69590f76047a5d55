"""Finds everything that an erasure is about, and what forbids it, a page at a time; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec

from adapters.erasing import beside, stories
from adapters.erasing.spellings import Person
from adapters.erasing.stories import Delivery, Going, MovedError
from adapters.erasing.views import COUNTED, REMAINS, Forbids, Numbers, Preview, Stay, Thing
from adapters.keeping import Covering, Hold
from adapters.outbox import OPEN
from adapters.quarantine import Quarantine
from adapters.strictjson import refuse
from adapters.tasks.store import Tasks
from ledger import regions
from ledger.database import Database
from ledger.erasing import Destroyed
from ledger.errors import BusyError, NotFoundError
from ledger.events import delivery_stream, read
from ledger.streams import WHOLE_MESSAGE
from projections.queries import Queries
from projections.status import stories as told_by

MAX_CHARS = 1_000
TRIES = 10


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who, or what, is to be erased: one of them.

    Attributes:
        recipient: an address, in any spelling.
        kind: of the address; "" tries what it may be.
        message: id of a message.
    """

    recipient: str = ""
    kind: str = ""
    message: str = ""


@dataclass(frozen=True)
class Finder:
    """What is erased for one subject.

    Attributes:
        spared: id of the act that asks for it.
    """

    queries: Queries
    quarantine: Quarantine
    tasks: Tasks
    tenant: str
    subject: Subject
    spared: str = ""

    def __post_init__(self) -> None:
        """Refuse what names nobody.

        Raises:
            InvalidError: not one of an address and a message is given.
        """
        address = self.subject.recipient.strip()
        if bool(address) == bool(self.subject.message):
            refuse("recipient", "give an address, or a message's id: one of them")
        if len(address) > MAX_CHARS:
            refuse("recipient", f"at most {MAX_CHARS} characters")

    @property
    def database(self) -> Database:
        return self.queries.ledger.database

    @cached_property
    def person(self) -> Person | None:
        """Who is meant; None where a message is."""
        if not self.subject.recipient:
            return None
        return Person(regions.meant(self.queries.ledger, self.tenant, self.subject.recipient, self.subject.kind))

    @cached_property
    def digests(self) -> list[bytes]:
        if self.person is None:
            return []
        return regions.digests(self.queries.ledger, self.tenant, self.subject.recipient, self.subject.kind)

    # --- messages

    def messages(self, after: str = "", limit: int = stories.PAGE) -> list[str]:
        """Messages that are meant, by id; streams of one story each for itself.

        Raises:
            NotFoundError: the tenant has no such message.
        """
        if self.subject.message:
            message = self.queries.message_row(self.tenant, self.subject.message).message
            return [message] if message > after else []
        return stories.found(self.database, self.digests, after, limit)

    def going(self, message: str, covering: Covering | None = None) -> Going:
        """What goes of the story that a message belongs to.

        Args:
            covering: what is on hold.

        Raises:
            NotFoundError: the tenant has no such message.
            BusyError: the story moves on and on.
        """
        for _ in range(TRIES):
            try:
                return stories.judge(self.queries, self.tenant, message, self.person, self.digests, covering)
            except MovedError:
                self.queries.runner.run()
        raise BusyError

    def is_first(self, message: str, going: Going) -> bool:
        """Whether it is the first of the story's messages to be met."""
        if self.subject.message:
            return True
        pairs = [(digest, stream) for digest in self.digests for stream in going.streams]
        rows = self.database.probe_pairs("lookups", "stream", ("digest", "stream"), pairs)
        return message <= min((str(stream) for (stream,) in rows), default=message)

    def left_for_others(self) -> list[str]:
        """Messages of which earlier erasures left something, as somebody in them was on hold."""
        begin, end = f"account/{self.tenant}/erasures/", f"account/{self.tenant}/erasures0"  # 0 is what follows /
        column = self.queries.ledger.position_column
        sql = (
            f"SELECT {column}, state FROM stored_events WHERE originator_id > ? AND originator_id < ? AND topic = ? "
            "ORDER BY originator_id, originator_version"
        )
        rows = self.database.read(sql, (begin, end, "erasure.completed/1")) if self.person else []
        events = [read(position, bytes(state)) for position, state in rows]
        return sorted({stream for event in events for stream in event.fields.get("streams", ())})

    # --- what forbids it

    def forbidding(self, messages: Iterable[str], covering: Covering) -> tuple[list[Hold], list[str]]:
        """The holds on what is meant of some messages, and which of them are still to be sent."""
        tellers = {self.queries.message_row(self.tenant, message).message for message in messages}
        told = told_by(self.database, tellers)
        deliveries: list[Delivery] = []
        for message, story in told.items():
            whole = [(message, index) for index in range(story.teller.recipients)]
            found = stories.found_in(self.database, story, self.digests)
            places = {(s, i): story.index_of.get(delivery_stream(s, i), i if s == message else None) for s, i in found}
            mine = whole if self.person is None else [(message, i) for i in places.values() if i is not None]
            deliveries += mine or [(message, WHOLE_MESSAGE)]
        holds = {hold.hold: hold for each in covering.of(deliveries).values() for hold in each}
        streams = sorted({stream for story in told.values() for stream in story.messages})
        waiting = self.database.probe("outbox", "message, state", "message", streams)
        return list(holds.values()), sorted(str(message) for message, state in waiting if state in OPEN)

    # --- everything beside

    def acts(self) -> beside.Acts | None:
        """The acts of people, to be searched; None where a message is meant."""
        return beside.Acts(self.queries, self.tenant, self.person, self.going, self.spared) if self.person else None


class Place(NamedTuple):
    """Where a list goes on: in which part of it, after what."""

    part: str = "m"
    after: str = ""

    def cursor(self) -> str:
        return f"{self.part}.{self.after}"


def place_of(cursor: str) -> Place:
    """The place of a cursor.

    Raises:
        NotFoundError: it is not one of ours.
    """
    if not cursor:
        return Place()
    part, dot, after = cursor.partition(".")
    if not dot or part not in {"m", "a", "b"} or (part == "a" and after and not after.rpartition("#")[2].isdecimal()):
        msg = "that cursor is not one of ours; start the list again without it"
        raise NotFoundError(msg)
    return Place(part, after)


def preview(finder: Finder, cursor: str, limit: int, since: str) -> Preview:
    """What an erasure would do; messages first, then the acts of people, then what lies beside the log.

    Args:
        since: when the oldest key-encryption key came into use.

    Raises:
        NotFoundError: no such message, or a cursor that is not one of ours.
    """
    place = place_of(cursor)
    things, holds, unsent, following = _PARTS[place.part](finder, place.after, limit)
    goes = sum((thing.goes for thing in things), Numbers())
    return Preview(
        things=tuple(things),
        goes=goes,
        stays=stays(_counted(things), since),
        forbidden_by=tuple(Forbids(hold.hold, hold.scope, hold.placed_at) for hold in holds),
        unsent=tuple(unsent),
        is_searchable=finder.person is None or finder.person.is_searchable,
        position=finder.queries.position(),
        next=following.cursor() if following else "",
    )


def together(pages: Sequence[Preview], since: str) -> Preview:
    """All pages as one."""
    things = tuple(thing for page in pages for thing in page.things)
    return Preview(
        things=things,
        goes=sum((page.goes for page in pages), Numbers()),
        stays=stays(_counted(things), since),
        forbidden_by=tuple(dict.fromkeys(each for page in pages for each in page.forbidden_by)),
        unsent=tuple(dict.fromkeys(each for page in pages for each in page.unsent)),
        is_searchable=pages[0].is_searchable,
        position=pages[-1].position,
    )


Page = tuple[list[Thing], list[Hold], list[str], Place | None]


def _of_messages(finder: Finder, after: str, limit: int) -> Page:
    messages = finder.messages(after, limit)
    covering = Covering(finder.queries, finder.tenant)
    found = [(message, finder.going(message, covering)) for message in messages]
    things = [_thing(going) for message, going in found if going.erased and finder.is_first(message, going)]
    holds, unsent = finder.forbidding(messages, covering)
    if len(messages) == limit and finder.person is not None:
        return things, holds, unsent, Place("m", messages[-1])
    return things, holds, unsent, Place("a") if finder.person else None


def _thing(going: Going) -> Thing:
    what = Numbers(messages=int(going.is_whole), recipients=going.recipients, **going.held._asdict())
    return Thing("message" if going.is_whole else "recipient", going.message, goes=what, stays=dict(going.stays))


def _of_acts(finder: Finder, after: str, limit: int) -> Page:
    searched = finder.acts()
    if searched is None:
        return [], [], [], None
    stream, _, version = after.rpartition("#")
    acts, following = searched.page((stream, int(version or 0)), max(limit, beside.PAGE))
    things = [
        Thing(
            "waiting" if act.waits else "act",
            act.event.id,
            act.event.type,
            numbers_of_acts([act], beside.held(finder.queries, beside.said([act]))),
            {act.stays: 1} if act.stays else {},
        )
        for act in acts
    ]
    return things, [], [], Place("a", f"{following[0]}#{following[1]}") if following else Place("b")


def numbers_of_acts(acts: Iterable[beside.Act], held: Destroyed) -> Numbers:
    """How much goes of acts."""
    going = [act for act in acts if not act.stays]
    waiting = sum(act.waits for act in going)
    return Numbers(acts=len(going) - waiting, waiting=waiting, **held._asdict())


def _of_rest(finder: Finder, _after: str, _limit: int) -> Page:
    if finder.person is None:
        return [], [], [], None
    refused = beside.quarantined(finder.quarantine, finder.tenant, finder.person)
    things = [Thing("quarantined", each, goes=Numbers(quarantined=1)) for each in refused]
    removed = beside.tasked(finder.tasks, finder.tenant, finder.person).removed
    return [*things, *(Thing("task", row.task, row.kind, Numbers(tasks=1)) for row in removed)], [], [], None


_PARTS = {"m": _of_messages, "a": _of_acts, "b": _of_rest}


def _counted(things: Iterable[Thing]) -> dict[str, int]:
    found: dict[str, int] = {}
    for thing in things:
        for why, count in thing.stays.items():
            found[why] = found.get(why, 0) + count
    return found


def stays(counted: Mapping[str, int], since: str) -> tuple[Stay, ...]:
    """What remains: what was counted, and what always does."""
    some = [Stay(what, REMAINS[what], counted[what]) for what in COUNTED if counted.get(what)]
    always = [Stay(what, why, since=since if what == "backups" else "") for what, why in REMAINS.items()]
    return (*some, *(each for each in always if each.what not in COUNTED))
