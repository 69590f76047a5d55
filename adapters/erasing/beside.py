"""What names a person beside the messages: acts of people, what waits in lanes, accounts and batches, the quarantine, the tasks.

All of it lies in streams and tables that no keyed digest leads into, so everything of the organisation is opened and searched, a page at
a time. What is in force is not taken away by the way: a hold without a value would cover everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from adapters import keeping
from adapters.compliance.registry import find
from adapters.erasing.spellings import Person
from adapters.erasing.stories import Going
from adapters.keeping import Covering
from adapters.quarantine import Quarantine
from adapters.reports.register import Register
from adapters.reports.reporting import DELIVERY
from adapters.reports.schedules import REPORT
from adapters.tasks.rows import Row
from adapters.tasks.store import Tasks
from ledger import erasing, regions
from ledger.application import WHOLE_MESSAGE
from ledger.erasing import Destroyed, Erased
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event, read
from projections.originals import WAITS, Concern, concerns
from projections.queries import Queries

PAGE = 500
IN_FORCE = "in_force"
OF_MESSAGE = "other_messages"
HELD = "held"
BATCHES = "batch/"
NOBODY = 0
"""Of a batch some values go, and the batch stays: they are told as a recipient's, whom no batch has."""
LASTING = {"query.saved": "query", "report.scheduled": "schedule"}
"""Types of events that tell of things with versions -> what such a thing is called."""


class Act(NamedTuple):
    """An event of an account's stream, or of a batch's, whose sealed values, or originals, name the person.

    Attributes:
        stays: why it stays; "" when it goes.
        originals: that go with it.
    """

    event: Event
    stays: str
    originals: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it opened an item of a lane."""
        return self.event.type == WAITS


class Acts:
    """The acts of one organisation, searched for one person.

    Args:
        going: what goes of the story of a message.
        spared: id of the act that asked for all this; it goes last.
    """

    def __init__(
        self, queries: Queries, tenant: str, person: Person, going: Callable[[str], Going], spared: str = ""
    ) -> None:
        self._going = going
        self.queries, self.ledger, self.reads = queries, queries.ledger, queries.ledger.database
        self.tenant, self.person, self.spared = tenant, person, spared
        holds, policies = keeping.holds(queries, tenant), keeping.policies(queries, tenant)
        self._in_force = {each.position for each in holds} | {each.position for each in policies}
        self._covering = Covering(queries, tenant) if holds else None
        named = (
            hold.filters().recipient for hold in holds if hold.scope in {"recipient", keeping.QUERY} and hold.value
        )
        self._held = [Person(regions.meant(self.ledger, tenant, value, "")) for value in named if value]

    def page(self, after: tuple[str, int] = ("", 0), limit: int = PAGE) -> tuple[list[Act], tuple[str, int] | None]:
        """What is found among so many events after a place (stream and version), and the place to go on after."""
        # By exact ranges of versions: a LIMIT would be sorted for on a database without statistics.
        sql = (
            f"SELECT {self.ledger.position_column}, state FROM stored_events "
            "WHERE originator_id = ? AND originator_version > ? AND originator_version <= ? ORDER BY originator_version"
        )
        events, stream, version = list[Event](), *after
        while len(events) < limit:
            rows = self.reads.read(sql, (stream, version, version + limit))
            events += [read(p, bytes(state)) for p, state in rows]
            version += limit
            if len(rows) < limit:
                stream, version = self._next(stream), 0
                if not stream:
                    return self._found(events), None
        return self._found(events), (stream, version)

    def _next(self, stream: str) -> str:
        """The stream after one: those of the organisation's accounts, then those of all batches; "" after the last."""
        sql = "SELECT min(originator_id) FROM stored_events WHERE originator_id > ? AND originator_id < ?"
        for begin, end in ((f"account/{self.tenant}/", f"account/{self.tenant}0"), (BATCHES, "batch0")):  # 0 follows /
            if stream < end:
                ((found,),) = self.reads.read(sql, (max(stream, begin), end))
                if found:
                    return str(found)
        return ""

    def _found(self, events: Iterable[Event]) -> list[Act]:
        return list(self._named(each for each in events if each.tenant == self.tenant))

    def _named(self, found: Iterable[Event]) -> Iterator[Act]:
        events = list(found)
        values = self.ledger.values(events)
        for event in events:
            held = values.get(event.position, {})
            if event.id == self.spared:
                continue
            # What did not arrive only names originals: that somebody looked at them.
            originals = event.fields.get("artifacts", ()) if "arrival" in event.fields else ()
            if (held and self.person.in_values(held)) or any(self._names(each, self.person) for each in originals):
                yield self._judged(event, held, tuple(originals))

    def _names(self, artifact: str, person: Person) -> bool:
        """Whether an original names a person."""
        try:
            return person.in_bytes(self.ledger.artifact(artifact).body)
        except (ErasedError, NotFoundError, FileNotFoundError):
            return False

    def _judged(self, event: Event, held: Mapping[str, object], originals: tuple[str, ...]) -> Act:
        if event.position in self._in_force or self._lasts(event, held):
            return Act(event, IN_FORCE)
        told = [each for found in concerns(self.reads, originals).values() for each in found]
        if not all(self._is_gone(each) for each in told if not each.owner.startswith("account/")):
            return Act(event, OF_MESSAGE)
        return Act(event, HELD) if self._is_held(event, held, originals) else Act(event, "", originals)

    def _is_held(self, event: Event, held: Mapping[str, object], originals: Sequence[str]) -> bool:
        """Whether what waits names somebody on hold, or a batch has a delivery on hold."""
        if event.stream.startswith(BATCHES):
            rows = self.reads.probe("read_batch_messages", "message", "batch", [event.stream])
            return self._covering is not None and any(self._are_held([str(message)]) for (message,) in rows)
        return bool(originals) and (
            (self._covering is not None and self._covering.is_of_everything)
            or any(
                each.in_values(held) or any(self._names(artifact, each) for artifact in originals)
                for each in self._held
            )
        )

    def _are_held(self, messages: Sequence[str]) -> bool:
        rows = self.reads.probe("read_deliveries", "message, recipient", "message", messages)
        deliveries = [(str(message), int(recipient)) for message, recipient in rows]
        return self._covering is not None and any(self._covering.of(deliveries).values())

    def _lasts(self, event: Event, held: Mapping[str, object]) -> bool:
        """Whether it is a version of something in force whose newest version does not name the person."""
        noun, name = LASTING.get(event.type), held.get("name")
        if noun is None or not isinstance(name, str):
            return False
        newest = Register(self.ledger, event.type, noun).newest(self.tenant, name)
        return newest is not None and newest.rule != f"{noun}.deleted" and not self.person.in_values(dict(newest.said))

    def _is_gone(self, told: Concern) -> bool:
        """Whether what an original tells of is erased with the person, or was before."""
        if not told.is_message:
            rows = self.reads.probe("read_batch_messages", "message", "batch", [told.owner])
            return all(self._is_gone(told._replace(owner=str(message), recipient=WHOLE_MESSAGE)) for (message,) in rows)
        try:
            return self._going(told.owner).covers(told)
        except NotFoundError:
            return False

    def end(self, act: Act, actor: str) -> None:
        """End what an act made, if it is in force: a saved query or schedule that names the person."""
        noun = LASTING.get(act.event.type)
        name = self.ledger.values([act.event]).get(act.event.position, {}).get("name") if noun else None
        if noun and isinstance(name, str):
            register = Register(self.ledger, act.event.type, noun)
            newest = register.newest(self.tenant, name)
            if newest is not None and newest.rule != f"{noun}.deleted":
                register.put(self.tenant, name, newest.version, "deleted", {}, actor)


def count(queries: Queries, tenant: str, most: int) -> int:
    """How many events would be searched, counted so far."""
    sql = "SELECT count(*) FROM (SELECT 1 FROM stored_events WHERE originator_id > ? AND originator_id < ? LIMIT ?) AS counted"
    rows = queries.ledger.database.read(sql, (f"account/{tenant}/", f"account/{tenant}0", most))
    return int(rows[0][0])


def said(acts: Iterable[Act]) -> list[Erased]:
    """What is to be said of acts that go, stream by stream."""
    found: dict[str, list[Act]] = {}
    for act in acts:
        if not act.stays:
            found.setdefault(act.event.stream, []).append(act)
    return [
        Erased(
            stream,
            NOBODY if stream.startswith(BATCHES) else WHOLE_MESSAGE,
            originals=tuple(a for act in going for a in act.originals),
            events=tuple(a.event.id for a in going),
        )
        for stream, going in found.items()
    ]


def held(queries: Queries, erased: Iterable[Erased]) -> Destroyed:
    """What there is of it."""
    return sum((erasing.left(queries.ledger.database, each) for each in erased), Destroyed())


# --- beside the log


def quarantined(quarantine: Quarantine, tenant: str, person: Person) -> Iterator[str]:
    """Ids of refused webhooks that name the person."""
    for quarantine_id, arrival in quarantine.kept(tenant):
        if person.in_bytes(arrival.body) or person.in_values([dict(arrival.headers), arrival.name]):
            yield quarantine_id


class Tasked(NamedTuple):
    """What is done with tasks: the first are removed with what came of them, the others are begun again."""

    removed: list[Row]
    again: list[Row]


def tasked(tasks: Tasks, tenant: str, person: Person) -> Tasked:
    """The tasks that name the person in what was asked, and those whose results may: nobody can search a sealed spreadsheet."""
    found = Tasked([], [])
    for row in _tasks(tasks, tenant):
        request = tasks.rows.request(row)
        if not request:
            continue
        if person.in_values(request):
            found.removed.append(row)
        elif row.state == "running":
            found.again.append(row)
        elif row.state != "queued" and _may_name(row, request):
            found.removed.append(row)
    return found


def _tasks(tasks: Tasks, tenant: str) -> Iterator[Row]:
    before = ""
    while page := tasks.rows.newest(tenant, before, PAGE):
        yield from page
        before = page[-1].task


def _may_name(row: Row, request: Mapping[str, object]) -> bool:
    if row.kind == DELIVERY:  # it holds no answer itself, and whom it went to was looked at
        return False
    try:
        return row.kind != REPORT or any(column.personal for column in find(str(request.get("query", ""))).columns)
    except NotFoundError:
        return True


def remove(tasks: Tasks, found: Tasked) -> None:
    """Remove what is to be removed, and have the rest begun again."""
    now = tasks.ledger.clock()
    for row in found.removed:
        if row.state in {"queued", "running"}:
            tasks.cancel(row.tenant, row.task)
        tasks.drop_files(row.run)
        tasks.rows.expire(row)
    for row in found.again:
        tasks.rows.put_back(row, now, counts=False)
