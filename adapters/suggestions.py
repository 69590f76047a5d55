"""To which messages a waiting item may belong: ranked, each with what speaks for it and how much that counts.

Found by what the item itself names (keyed look-ups, within one organisation) and among what its account had under way at that time. Of each
clue and of each list only so many are looked at, so an answer costs the same in a large ledger. It decides nothing: a person does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import NamedTuple

import msgspec

from adapters.lanes import Lanes, StillWaitingError, stored_arrival
from ledger import regions
from ledger.addresses import candidates, forms, normal
from ledger.application import Ledger
from ledger.events import Event, parse_time, time_text
from ledger.observations import Address, Observation
from ledger.streams import WHOLE_MESSAGE, clean
from projections.discretion import withheld
from projections.queries import Filters, Queries
from projections.status import MESSAGE_COLUMNS, read_row
from projections.stories import MessageRow, is_claim
from projections.views import AddressView, MessageView

REASONS: dict[str, tuple[int, str]] = {
    "reference.same": (60, "it names this message by one of its references"),
    "document.same": (50, "it quotes a document of this message"),
    "address.same": (40, "it names a recipient of this message"),
    "address.only_open": (20, "of the deliveries to that address, only this one still awaits something"),
    "subject.same": (20, "its subject is that of this message"),
    "reference.similar": (20, "it names a reference that is much like one of this message"),
    "batch.same": (15, "it names the batch of this message"),
    "address.similar": (15, "it names a number or address that is part of a recipient's, or much like it"),
    "account.same": (10, "it came for the account of this message"),
    "delivery.open": (10, "this delivery still awaits something"),
    "time.hour": (15, "this message was heard of within an hour of it"),
    "time.day": (10, "this message was heard of within a day of it"),
    "time.week": (5, "this message was heard of within a week of it"),
}
"""What may speak for a message -> points, and why in words."""
TIMES = (("time.hour", timedelta(hours=1)), ("time.day", timedelta(days=1)), ("time.week", timedelta(days=7)))
LOOKUPS, NEAR, OPENED, SHOWN = 50, 50, 20, 10
"""At most: look-ups of one clue, messages near in time, messages that are opened to be compared, suggestions."""
TOKENS, TOKEN_BYTES = 100, 64 * 1024
"""Of bytes that nobody can read: names tried, and bytes looked through."""
BEFORE, AFTER = timedelta(days=14), timedelta(hours=1)
ALIKE, SHORTEST = 0.8, 5
"""From which ratio, and with how many characters, two names are much alike."""
_TOKEN = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,253}\w|\+?\d[\d ().-]{6,40}\d|[A-Za-z0-9][\w.:-]{5,63}")


class Reason(msgspec.Struct, frozen=True):
    """What speaks for a message, and how much."""

    reason: str
    points: int
    why: str


class Suggestion(msgspec.Struct, frozen=True):
    """A message to which the item may belong.

    Attributes:
        recipient: index of the delivery that it seems to be about; None when that is not told.
        score: sum of the points, at most 100.
    """

    message: str
    recipient: int | None
    account: str
    provider: str
    opened_at: str
    status: str
    score: int
    reasons: tuple[Reason, ...]


class Suggestions(msgspec.Struct, frozen=True):
    """Messages to which an item may belong, the likeliest first.

    Attributes:
        clues: what could be recognised in it -> how many of each.
    """

    item: str
    clues: dict[str, int]
    suggestions: tuple[Suggestion, ...]
    position: int


@dataclass(slots=True)
class Clues:
    """What an item names."""

    at: datetime
    account: str
    addresses: list[Address] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        names = ("addresses", "references", "batches", "documents", "subjects")
        return {name: len(set(getattr(self, name))) for name in names if getattr(self, name)}


class _Place(NamedTuple):
    """A message, and one of its deliveries; recipient -1: none in particular."""

    message: str
    recipient: int


def suggest(lanes: Lanes, tenant: str, item: str, limit: int = SHOWN) -> Suggestions:
    """To which messages an item may belong.

    Raises:
        NotFoundError: the tenant has no such item.
        ErasedError: its original, or what says how it came, was erased.
    """
    queries, position = lanes.queries, lanes.queries.position()
    event = lanes.item(tenant, item)[1]
    clues = _clues(lanes, tenant, event)
    finder = _Finder(lanes.ledger, queries, tenant, clues)
    finder.look_up()
    finder.look_near()
    finder.compare()
    return Suggestions(item, clues.counts(), tuple(finder.ranked(limit)), position)


# --- what the item names


def _clues(lanes: Lanes, tenant: str, event: Event) -> Clues:
    f = event.fields
    clues, where = (
        Clues(parse_time(str(f["observed_at"])), str(f.get("account", ""))),
        regions.of_tenant(lanes.ledger, tenant),
    )
    if not f.get("artifacts"):
        said = lanes.ledger.values([event]).get(event.position, {}).values()
        _recognise(clues, " ".join(text for text in said if isinstance(text, str)).encode(), where)
        return clues
    try:
        observations = lanes.observed(tenant, event)
    except StillWaitingError:
        _recognise(clues, stored_arrival(lanes.ledger, event).body, where)
        return clues
    for seen in observations:
        _take(clues, seen)
    return clues


def _take(clues: Clues, seen: Observation) -> None:
    clues.at = min(clues.at, seen.occurred.at) if seen.occurred else clues.at
    clues.addresses += [each for each in (seen.recipient, *seen.declares) if each]
    clues.references += [name.value for name in seen.references]
    clues.batches += [seen.batch.value] if seen.batch else []
    clues.documents += [d for each in seen.documents for d in (each.sha256, each.sha1, each.sha256_base64) if d]
    clues.subjects += [text for path, text in seen.texts.items() if path == "subject"]


def _recognise(clues: Clues, body: bytes, where: Sequence[str]) -> None:
    """Names that stand in bytes which nobody can read.

    Args:
        where: regions to which a number without a country may belong.
    """
    text = body[:TOKEN_BYTES].decode("utf-8", "ignore")
    for token in list(dict.fromkeys(_TOKEN.findall(text)))[:TOKENS]:
        clues.references.append(token.rstrip(".-:"))
        if "@" in token or token.lstrip("+")[:1].isdigit():
            clues.addresses += candidates(token, regions=where)


# --- which messages there are


class _Finder:
    """Gathers what speaks for each message.

    Attributes:
        found: message and delivery -> what speaks for it.
        rows: the messages looked at.
    """

    def __init__(self, ledger: Ledger, queries: Queries, tenant: str, clues: Clues) -> None:
        self.ledger = ledger
        self.queries = queries
        self.tenant = tenant
        self.clues = clues
        self.found: dict[_Place, set[str]] = {}
        self.rows: dict[str, MessageRow] = {}
        self.statuses: dict[_Place, tuple[str, bool]] = {}

    def look_up(self) -> None:
        """Messages that the item names."""
        lookup, c = self.ledger.keyring.lookup, self.clues
        forms_of = ((a.kind, form) for a in c.addresses[:TOKENS] for form in forms(a))
        digests = {lookup(self.tenant, "address", *each): "address.same" for each in forms_of}
        digests |= {lookup(self.tenant, "any_reference", _name(r)): "reference.same" for r in c.references[:TOKENS]}
        digests |= {lookup(self.tenant, "in_batch", _name(b)): "batch.same" for b in c.batches[:TOKENS]}
        digests |= {lookup(self.tenant, "document", d.strip().lower()): "document.same" for d in c.documents[:TOKENS]}
        sql = "SELECT stream, recipient FROM lookups WHERE digest = ? ORDER BY stream DESC LIMIT ?"
        told = [(r, _Place(*row)) for d, r in digests.items() for row in self.ledger.database.read(sql, (d, LOOKUPS))]
        self._note(told)
        self._note_only_open()

    def look_near(self) -> None:
        """Messages that the account had under way at that time."""
        near = Filters(
            account=self.clues.account, since=time_text(self.clues.at - BEFORE), until=time_text(self.clues.at + AFTER)
        )
        views = self.queries.search(self.tenant, near, limit=NEAR).deliveries if near.account else ()
        self._note([("account.same", _Place(view.message, view.recipient)) for view in views])

    def _note(self, told: Iterable[tuple[str, _Place]]) -> None:
        places = list(told)
        hidden = withheld(self.queries.ledger, {place.message for _, place in places})
        everybody = {message for message, index in hidden if index == WHOLE_MESSAGE}
        places = [each for each in places if each[1] not in hidden and each[1].message not in everybody]
        self._load({place.message for _, place in places})
        for reason, (stream, recipient) in places:
            row = self.rows.get(stream)
            if row is None:
                continue
            teller = row.joined_into or stream
            if teller in self.rows:  # indexes of a joined message are its own
                index = recipient if teller == stream else -1
                self.found.setdefault(_Place(teller, index), set()).add(reason)
        self._load_statuses()

    def _load(self, messages: set[str]) -> None:
        """The rows of messages, and of those that tell their stories; another organisation's are none."""
        self._read(messages)
        self._read({row.joined_into for row in self.rows.values() if row.joined_into})

    def _read(self, messages: set[str]) -> None:
        wanted = sorted(messages - self.rows.keys())
        rows = map(read_row, self.ledger.database.probe("read_messages", MESSAGE_COLUMNS, "message", wanted))
        mine = (row for row in rows if row.tenant == self.tenant)
        self.rows |= {row.message: row for row in mine if row.joined_into or not is_claim(row)}

    def _load_statuses(self) -> None:
        pairs = {(p.message, 0 if self._is_sole(p) else p.recipient) for p in self.found}
        columns = "message, recipient, status, is_final"
        rows = self.ledger.database.probe_pairs("read_deliveries", columns, ("message", "recipient"), sorted(pairs))
        self.statuses |= {_Place(message, index): (status, bool(final)) for message, index, status, final in rows}

    def _is_sole(self, place: _Place) -> bool:
        return place.recipient < 0 and self.rows[place.message].recipients == 1

    def _note_only_open(self) -> None:
        """Say which delivery is the only one to an address of the item that still awaits something."""
        mine = [place for place, reasons in self.found.items() if "address.same" in reasons]
        still = [place for place in mine if not self.statuses.get(place, ("", True))[1]]
        if len(still) == 1:
            self.found[still[0]].add("address.only_open")

    # --- what else speaks for them

    def compare(self) -> None:
        """Look closer at the likeliest: how alike names are, and the subject."""
        for place in self._by_score()[:OPENED]:
            if place.recipient < 0 and self.rows[place.message].recipients > 1:
                views = self.queries.deliveries(self.tenant, place.message, limit=NEAR)
            else:
                views = self.queries.deliveries(self.tenant, place.message, max(place.recipient, 0) - 1, 1)
            message = self.queries.message(self.tenant, place.message)
            reasons = self.found[place]
            reasons |= _alike_names(self.clues, message) if "reference.same" not in reasons else set()
            addresses = [view.address for view in views]
            reasons |= _alike_addresses(self.clues, addresses) if "address.same" not in reasons else set()
            reasons |= _same_subject(self.clues, message)

    def _reasons(self, place: _Place) -> list[str]:
        row, found = self.rows[place.message], set(self.found[place])
        found |= {"account.same"} if row.account == self.clues.account else set()
        apart = abs(parse_time(row.opened_at) - self.clues.at)
        found |= set([reason for reason, span in TIMES if apart <= span][:1])
        found |= {"delivery.open"} if not self._status(place)[1] else set()
        return [reason for reason in REASONS if reason in found]

    def _status(self, place: _Place) -> tuple[str, bool]:
        return self.statuses.get(_Place(place.message, 0 if self._is_sole(place) else place.recipient), ("", True))

    def _by_score(self) -> list[_Place]:
        points = Counter({place: sum(REASONS[r][0] for r in self._reasons(place)) for place in self.found})
        return sorted(self.found, key=lambda place: (-points[place], -self.rows[place.message].opened_position, place))

    def ranked(self, limit: int) -> list[Suggestion]:
        """The likeliest, each message once."""
        best: dict[str, _Place] = {}
        for place in self._by_score():
            best.setdefault(place.message, place)
        return [self._suggestion(place) for place in list(best.values())[:limit]]

    def _suggestion(self, place: _Place) -> Suggestion:
        row = self.rows[place.message]
        reasons = tuple(Reason(reason, *REASONS[reason]) for reason in self._reasons(place))
        recipient = 0 if self._is_sole(place) else place.recipient
        return Suggestion(
            message=row.message,
            recipient=recipient if recipient >= 0 else None,
            account=row.account,
            provider=row.provider,
            opened_at=row.opened_at,
            status=self._status(place)[0],
            score=min(100, sum(reason.points for reason in reasons)),
            reasons=reasons,
        )


# --- what is much alike


def _name(value: str) -> str:
    return clean(value.strip())


def _alike_names(clues: Clues, message: MessageView) -> set[str]:
    known = [each["value"] for each in message.references]
    return {"reference.similar"} if _any_alike(clues.references, known) else set()


def _alike_addresses(clues: Clues, addresses: Sequence[AddressView]) -> set[str]:
    known = [normal(Address(each.kind, each.address)) for each in addresses if each.address]
    return {"address.similar"} if _any_alike([normal(a) for a in clues.addresses], known) else set()


def _same_subject(clues: Clues, message: MessageView) -> set[str]:
    said: Mapping[str, object] = message.values
    known = " ".join(str(said.get("subject", "")).casefold().split())
    told = (" ".join(subject.casefold().split()) for subject in clues.subjects)
    return {"subject.same"} if len(known) >= SHORTEST and any(known in subject for subject in told) else set()


def _any_alike(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether two names are much alike, or one is the beginning or the end of the other."""
    first, second = ([_bare(name) for name in dict.fromkeys(names)][:OPENED] for names in (ours, theirs))
    return any(_is_alike(a, b) for a in first for b in second if min(len(a), len(b)) >= SHORTEST)


def _is_alike(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return long.startswith(short) or long.endswith(short) or SequenceMatcher(None, a, b).ratio() >= ALIKE


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())[:64]
