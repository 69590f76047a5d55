"""What must be kept: legal holds, and how long an organisation keeps what a provider carried. Says so, and finds what it covers.

A hold is on a message, or on whatever is found under a recipient's address, a label, a batch or a query: what comes later is covered, too.
What it is on is sealed; deliveries are found by keyed digests, so no address is ever compared in the clear. Nothing is removed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec

from adapters import heldquery
from adapters.accounts import CONSOLE, Accounts
from adapters.heldquery import HeldQuery
from adapters.outbox import ActRefusedError
from adapters.providers import registry
from adapters.strictjson import refuse
from ledger import regions
from ledger.application import Ledger
from ledger.database import Reads
from ledger.errors import NotFoundError
from ledger.events import Event, parse_time, time_text
from ledger.streams import WHOLE_MESSAGE, clean
from projections import keeping
from projections.deadlines import LATEST
from projections.keeping import HOLD_COLUMNS, HOLD_RULE, POLICY_COLUMNS, POLICY_RULE, UNITS, KeepingModel
from projections.queries import Queries
from projections.searching import Filters
from projections.status import stories
from projections.stories import Story

HOLDS, RETENTION = "holds", "retention"
"""Whose stream, besides the day's, the acts stand in."""
MAX_CHARS = 1_000
EARLIEST = "0001-01-01T00:00:00.000000Z"
KEEP = re.compile(r"([1-9][0-9]{0,3})([ymd])")
KEEP_ADVICE = "a number and y, m or d: for example 10y, 18m or 90d"

Delivery = tuple[str, int]
"""A message that tells its own story, and the index of a recipient."""


class Hold(msgspec.Struct, frozen=True):
    """A legal hold.

    Attributes:
        scope: `message`, `recipient`, `batch`, `label` or `query`.
        value: what it is on; "" when its key was destroyed, and then it covers everything.
        floor: it is not released before then, UTC; "" when it may be at any time.
        placed_by, released_by: id of the API key; "" at the command line.
    """

    hold: str
    scope: str
    value: str
    reason: str
    floor: str
    placed_at: str
    placed_by: str
    position: int
    released_at: str = ""
    released_by: str = ""

    def filters(self) -> Filters:
        """What finds the deliveries that it covers, where it is not on one message."""
        if self.scope == QUERY:
            return (heldquery.read(self.value) or HeldQuery()).filters()
        return Filters(recipient=self.value) if self.scope == "recipient" else Filters(**{self.scope: self.value})


class Policy(msgspec.Struct, frozen=True):
    """How long what a provider carried is kept, counted from when the ledger first heard of a message.

    Attributes:
        keep: as in `10y`, `18m` or `90d`.
        label: only what bears it; "" for everything that no policy with a label is for.
    """

    provider: str
    keep: str
    label: str
    set_at: str
    set_by: str
    position: int


_DIGESTS: dict[str, Callable[[Ledger, str, str], list[bytes]]] = {
    "recipient": lambda ledger, tenant, value: regions.digests(ledger, tenant, clean(value)),
    "label": lambda ledger, tenant, value: [ledger.keyring.lookup(tenant, "label", clean(value).casefold())],
    "batch": lambda ledger, tenant, value: [ledger.keyring.lookup(tenant, "in_batch", clean(value.strip()))],
}
"""Scope -> the keyed digests under which a delivery of it is found."""
QUERY = "query"
SCOPES = ("message", *_DIGESTS, QUERY)


# --- holds


def place(  # noqa: PLR0917  whose, on what, then why and until when
    accounts: Accounts,
    queries: Queries,
    tenant: str,
    scope: str,
    value: str,
    reason: str,
    floor: datetime | None = None,
    actor: str = CONSOLE,
) -> Hold:
    """Place a hold; what it is on and why are sealed.

    Args:
        value: id of a message; an address, label or batch as it is searched for; or a query as `heldquery.written` gives it.
        floor: aware; the hold cannot be released before.

    Raises:
        InvalidError: there is no such scope, or nothing is said.
        NotFoundError: the tenant has no such message.
    """
    if scope not in SCOPES:
        refuse("scope", f"there are {', '.join(SCOPES)}")
    value, reason = _said("value", value), _said("reason", reason)
    clear: dict[str, object] = {"rule": f"{HOLD_RULE}{scope}"}
    if scope == QUERY and heldquery.read(value) is None:
        refuse("value", "no query that a hold can be on")
    if scope == "message":
        value = queries.message_row(tenant, value).message
        clear["streams"] = [value]
    if floor is not None:
        clear["numbers"] = {"floor_s": _floor_s(floor)}
    said = {} if scope == "message" else {"value": value}
    position = accounts.record("hold.placed", tenant, HOLDS, actor, clear, reason, said)
    event = accounts.ledger.event(position)
    until = time_text(floor.replace(microsecond=0)) if floor else ""
    return Hold(event.id, scope, value, reason, until, str(event.fields["recorded_at"]), actor, position)


def _said(field: str, text: str) -> str:
    found = clean(text.strip())
    if not found or len(found) > MAX_CHARS:
        refuse(field, f"1 to {MAX_CHARS} characters")
    return found


def _floor_s(floor: datetime) -> int:
    seconds = int(floor.timestamp())
    if seconds < 0:
        refuse("floor", "not before 1970")
    return seconds


def holds(queries: Queries, tenant: str, *, released: bool = False) -> list[Hold]:
    """The holds in force, oldest first; `released`: those that ended, too."""
    names, unread = HOLD_COLUMNS.split(", "), _unread(queries, tenant)  # first, so that nothing falls between the two
    sql = f"SELECT {HOLD_COLUMNS} FROM read_holds WHERE tenant = ? ORDER BY position"
    found = {row[0]: dict(zip(names, row, strict=True)) for row in queries.ledger.database.read(sql, (tenant,))}
    for event in unread:
        with suppress(*keeping.UNREADABLE):
            if event.type == "hold.placed":
                found[event.id] = dict(zip(names, keeping.placed(event), strict=True))
            elif event.type == "hold.released":
                for at, actor, hold in keeping.released(event):
                    found.get(hold, {}).update(released_at=at, released_by=actor)
    rows = [row for row in found.values() if released or not row["released_at"]]
    said = _values(queries, [row["position"] for row in rows])
    return [
        Hold(
            hold=row["hold"],
            scope=row["scope"],
            value=row["message"] or said[row["position"]].get("value", ""),
            reason=said[row["position"]].get("note", ""),
            floor=row["floor"],
            placed_at=row["placed_at"],
            placed_by=row["actor"],
            position=row["position"],
            released_at=row["released_at"],
            released_by=row["released_by"],
        )
        for row in rows
    ]


def _unread(queries: Queries, tenant: str) -> Iterator[Event]:
    """What the read model has not read yet: a hold counts from the moment it stands in the log."""
    return (event for event in queries.runner.unread(queries.ledger, KeepingModel.name) if event.tenant == tenant)


def _values(queries: Queries, positions: Sequence[int]) -> Mapping[int, dict[str, str]]:
    """What is sealed with events, by position; nothing for what is not held any more."""
    opened = queries.ledger.values(queries.ledger.events_at(positions))
    return {position: opened.get(position, {}) for position in positions}


def releasable(queries: Queries, tenant: str, hold: str) -> Hold:
    """A hold that has ended, or may be ended now.

    Raises:
        NotFoundError: the tenant has no such hold.
        ActRefusedError: its floor is not reached.
    """
    found = next((each for each in holds(queries, tenant, released=True) if each.hold == hold), None)
    if found is None:
        msg = f"there is no hold {hold}"
        raise NotFoundError(msg)
    now = time_text(queries.ledger.clock())
    if not found.released_at and now < found.floor:
        msg = f"hold {hold} is not to be released before {found.floor}; it is {now}"
        raise ActRefusedError(msg)
    return found


def release(  # noqa: PLR0917  whose, which, why
    accounts: Accounts, queries: Queries, tenant: str, hold: str, reason: str, actor: str = CONSOLE, *, act: str = ""
) -> Hold:
    """End a hold; one that has ended stays as it is. Whether that takes two people is told in `adapters.carrying`.

    Args:
        act: the act by which it was agreed to.

    Raises:
        NotFoundError, ActRefusedError: see `releasable`.
    """
    found = releasable(queries, tenant, hold)
    if found.released_at:
        return found
    clear, once = {"events": [hold, *([act] if act else [])]}, ("hold.released", hold)
    position = accounts.record("hold.released", tenant, HOLDS, actor, clear, _said("reason", reason), once=once)
    ended = accounts.ledger.event(position).fields
    return msgspec.structs.replace(found, released_at=ended["recorded_at"], released_by=ended.get("actor", ""))


# --- policies


def keep(  # noqa: PLR0917  whose, of what, how long
    accounts: Accounts,
    tenant: str,
    provider: str,
    term: str,
    label: str = "",
    actor: str = CONSOLE,
    *,
    reason: str = "",
    act: str = "",
) -> Policy:
    """Say how long to keep; of the same provider and label the last word counts.

    Args:
        term: as in `10y`, `18m` or `90d`; "": no policy any more.
        act: the act by which it was agreed to, and which is carried out once.

    Raises:
        InvalidError: an unknown provider, or a term that is none.
    """
    about, said = policy_said(provider, term, label)
    clear = {**about, "rule": POLICY_RULE, **({"events": [act]} if act else {})}
    once = ("act", act) if act else ()
    position = accounts.record("ruleset.changed", tenant, RETENTION, actor, clear, reason, said, once)
    set_at = str(accounts.ledger.event(position).fields["recorded_at"])
    return Policy(provider, term, said.get("label", ""), set_at, actor, position)


def policy_said(provider: str, term: str, label: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What an event about a policy says in the clear, and what is sealed with it.

    Raises:
        InvalidError: an unknown provider, or a term that is none.
    """
    if provider not in registry():
        refuse("provider", f"unknown; there are {', '.join(registry())}")
    if term and not KEEP.fullmatch(term):
        refuse("keep", KEEP_ADVICE)
    label = _said("label", label) if label else ""
    names = {unit: name for name, unit in UNITS.items()}
    numbers: dict[str, Any] = {"numbers": {names[term[-1]]: int(term[:-1])}} if term else {}
    return {"provider": provider, **numbers}, {"label": label} if label else {}


def term_of(numbers: Mapping[str, int]) -> str:
    """A term as people write it, from the numbers of an event; "" without one."""
    return next((f"{numbers[name]}{unit}" for name, unit in UNITS.items() if name in numbers), "")


def policies(queries: Queries, tenant: str) -> list[Policy]:
    """The policies in force, by provider and label."""
    last = {(policy.provider, policy.label.casefold()): policy for policy in ever_said(queries, tenant)}
    return [last[key] for key in sorted(last) if last[key].keep]


def ever_said(queries: Queries, tenant: str) -> list[Policy]:
    """Everything that was said about how long to keep, oldest first; `keep` is "" where a policy ended.

    One for a label that nobody can open any more is for nothing: left out, it is not taken for one for everything.
    """
    unread = _unread(queries, tenant)  # first, so that nothing falls between the two
    sql = f"SELECT {POLICY_COLUMNS} FROM read_policies WHERE tenant = ? ORDER BY position"
    rows = {row[1]: row for row in queries.ledger.database.read(sql, (tenant,))}
    for event in filter(keeping.is_policy, unread):
        with suppress(*keeping.UNREADABLE):
            rows[event.position] = keeping.policy(event)
    events = queries.ledger.events_at(rows)
    opened = queries.ledger.values(events)
    found = []
    for event in events:
        _, position, set_at, provider, term, actor = rows[event.position]
        label = opened.get(position, {}).get("label", "")
        if label or "label" not in event.fields.get("commit", {}):
            found.append(Policy(provider, term, label, set_at, actor, position))
    return found


def due_at(opened_at: str, term: str) -> str:
    """When the term of something that was first heard of at a time is over: UTC, never earlier than the whole term.

    Args:
        opened_at: UTC, as it stands in events.
        term: as in `10y`, `18m` or `90d`.
    """
    try:
        return time_text(_moved(parse_time(opened_at), int(term[:-1]), term[-1]))
    except (OverflowError, ValueError):
        return LATEST


def opened_before(due: str, term: str) -> str:
    """A time, at most a day too late, before which everything was first heard of whose term is over by then.

    Args:
        due: UTC, as it stands in events.
    """
    try:
        return time_text(_moved(parse_time(due), -int(term[:-1]), term[-1]) + timedelta(days=1))
    except (OverflowError, ValueError):
        return EARLIEST


def _moved(at: datetime, number: int, unit: str) -> datetime:
    """So many years, months or days on; the day after its end where a month has no such day."""
    if unit == "d":
        return at + timedelta(days=number)
    months = at.month - 1 + number * (12 if unit == "y" else 1)
    first = at.replace(year=at.year + months // 12, month=months % 12 + 1, day=1)
    found = first + timedelta(days=at.day - 1)
    return found if found.month == first.month else found.replace(day=1)


# --- what they cover


class Covering:
    """The holds of a tenant, opened once, and which deliveries they cover."""

    def __init__(self, queries: Queries, tenant: str) -> None:
        self._queries = queries
        self._by_message: dict[str, list[Hold]] = {}
        self._by_digest: dict[bytes, list[Hold]] = {}
        self._by_query: list[tuple[Hold, HeldQuery, list[set[bytes]]]] = []
        self._all: list[Hold] = []
        for hold in holds(queries, tenant):
            if hold.scope == "message" and hold.value:
                self._by_message.setdefault(hold.value, []).append(hold)
            elif hold.scope in _DIGESTS and hold.value:
                for digest in _DIGESTS[hold.scope](queries.ledger, tenant, hold.value):
                    self._by_digest.setdefault(digest, []).append(hold)
            elif hold.scope == QUERY and (asked := heldquery.read(hold.value)) is not None:
                given = [(name, getattr(asked, name)) for name in heldquery.DIGESTED if getattr(asked, name)]
                digests = [set(_DIGESTS[name](queries.ledger, tenant, value)) for name, value in given]
                self._by_query.append((hold, asked, digests))
            else:  # nobody can say any more what it is on
                self._all.append(hold)

    @property
    def is_of_everything(self) -> bool:
        """Whether there is a hold of which nobody can say any more what it is on."""
        return bool(self._all)

    def of(self, deliveries: Sequence[Delivery]) -> dict[Delivery, tuple[Hold, ...]]:
        """The holds on each delivery, oldest first."""
        by_name = bool(self._by_digest or self._by_query)
        if not (self._by_message or by_name):
            return dict.fromkeys(deliveries, tuple(self._all))
        told = stories(self._queries.ledger.database, [message for message, _ in deliveries])
        names = found_under(self._queries.ledger.database, deliveries, told) if by_name else {}
        return {each: self._on(told[each[0]], names.get(each, set())) for each in deliveries}

    def _on(self, story: Story, digests: set[bytes]) -> tuple[Hold, ...]:
        found = {hold.hold: hold for hold in self._all}
        found |= {hold.hold: hold for stream in story.messages for hold in self._by_message.get(stream, ())}
        found |= {hold.hold: hold for digest in digests for hold in self._by_digest.get(digest, ())}
        for hold, asked, wanted in self._by_query:
            if asked.fits(story.teller) and all(digests & each for each in wanted):
                found[hold.hold] = hold
        return tuple(sorted(found.values(), key=lambda hold: hold.position))


def held(queries: Queries, tenant: str, message: str, recipient: int) -> tuple[Hold, ...]:
    """The holds on a delivery; nothing of it may be removed while there is one.

    Raises:
        NotFoundError: the tenant has no such message.
    """
    each = (queries.message_row(tenant, message).message, recipient)
    return Covering(queries, tenant).of([each])[each]


def label_digest(queries: Queries, tenant: str, label: str) -> bytes:
    """The keyed digest under which whatever bears a label is found."""
    return _DIGESTS["label"](queries.ledger, tenant, label)[0]


def found_under(reads: Reads, deliveries: Sequence[Delivery], told: Mapping[str, Story]) -> dict[Delivery, set[bytes]]:
    """The keyed digests under which each delivery is found: its address, in each message of its story, and whatever names these.

    Whom only a message that was joined into it knows is everybody's: nobody can say whose.

    Args:
        told: as `stories` gives it.
    """
    messages = {message for message, _ in deliveries}
    own = {each: [each, *_elsewhere(told[each[0]].index_of, each[1])] for each in deliveries}
    shared = {m: [*((s, WHOLE_MESSAGE) for s in told[m].messages), *map(_delivery, told[m].others)] for m in messages}
    wanted = {place for places in (*own.values(), *shared.values()) for place in places}
    rows = reads.probe_pairs("lookups", "digest, stream, recipient", ("stream", "recipient"), sorted(wanted))
    named: dict[Delivery, set[bytes]] = {}
    for digest, stream, recipient in rows:
        named.setdefault((str(stream), int(recipient)), set()).add(bytes(digest))
    common = {m: set().union(*(named.get(place, ()) for place in places)) for m, places in shared.items()}
    return {each: common[each[0]].union(*(named.get(place, ()) for place in own[each])) for each in deliveries}


def _elsewhere(index_of: Mapping[str, int], recipient: int) -> list[Delivery]:
    """The same recipient in the messages that were joined into this one."""
    return [_delivery(stream) for stream, index in index_of.items() if index == recipient]


def _delivery(stream: str) -> Delivery:
    message, _, recipient = stream.partition("/")
    return message, int(recipient)


def versions(ledger: Ledger, tenant: str) -> dict[str, int]:
    """The streams in which holds and policies are said around now, and their last versions.

    Whoever reads them first, then what they say, and has both expected by what he appends, knows that none came in between.
    """
    today = ledger.clock().date()
    days = [(today + timedelta(days=each)).isoformat() for each in (-1, 0, 1)]
    streams = [f"account/{tenant}/{account}/{day}" for account in (HOLDS, RETENTION) for day in days]
    return dict.fromkeys(streams, 0) | ledger.versions(streams)
