"""Read model: messages and deliveries with their folded status.

Holds nothing personal: statuses, codes, times and positions. Addresses, subjects and references are opened from the sealed
values when somebody may see them. Facts are kept per stream, so that a fact about a message or a batch is stored once and
folded into each of its deliveries. Which streams tell whose story is in `projections.stories`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from ledger.database import Cursor, Reads, Row
from ledger.events import Event, delivery_stream, message_of
from ledger.streams import WHOLE_MESSAGE
from projections.deadlines import RESET, Term, in_force
from projections.facets import PROTECTED, Facet, marks_text
from projections.facts import Fact, home, seen_as, to_fact
from projections.models import Table, Target, Unapplied, insert, upsert
from projections.outlines import told_alike
from projections.rulesets import CURRENT, Ruleset
from projections.stories import Joined, MessageRow, Story, is_claim, missing, note, protected, root

CHUNK = 500

_facts = msgspec.json.Decoder(list[Fact])
_joined = msgspec.json.Decoder(tuple[Joined, ...])
_batches = msgspec.json.Decoder(tuple[str, ...])
_protected = msgspec.json.Decoder(tuple[int, ...])
_encode = msgspec.json.encode

MESSAGE_COLUMNS = (
    "message, tenant, account, provider, opened_position, opened_at, registered, recipients, batches, joined_into, joined, "
    "first_type, updated_position, protected"
)
DELIVERY_COLUMNS = (
    "message, recipient, tenant, account, provider, status, sub_status, since, is_final, opened_position, opened_at, "
    "updated_position, grade, next_due, facet, is_protected, folded"
)
TERM_RULE = "deadline."
"""Begins the rule of `ruleset.changed` where an organisation sets its own terms for an expectation."""

TABLES = {
    "facts": Table("stream text NOT NULL, facts bytes NOT NULL", "stream", whose="stream"),
    "messages": Table(
        "message text NOT NULL, tenant text NOT NULL, account text NOT NULL, provider text NOT NULL, opened_position bigint NOT NULL, "
        "opened_at text NOT NULL, registered smallint NOT NULL, recipients integer NOT NULL, batches bytes NOT NULL, "
        "joined_into text NOT NULL, joined bytes NOT NULL, first_type text NOT NULL, updated_position bigint NOT NULL, "
        "protected bytes NOT NULL",
        "message",
        ("tenant, opened_position", "joined_into WHERE joined_into > ''"),
    ),
    "batch_messages": Table("batch text NOT NULL, message text NOT NULL", "batch, message", whose="batch"),
    "deliveries": Table(
        "message text NOT NULL, recipient integer NOT NULL, tenant text NOT NULL, account text NOT NULL, provider text NOT NULL, "
        "status text NOT NULL, sub_status text NOT NULL, since text NOT NULL, is_final smallint NOT NULL, "
        "opened_position bigint NOT NULL, opened_at text NOT NULL, updated_position bigint NOT NULL, grade text NOT NULL, "
        "next_due text NOT NULL, facet bigint NOT NULL, is_protected smallint NOT NULL, folded bytes NOT NULL",
        "message, recipient",
        (
            # Whole rows are long; what a list looks at is read from these two alone.
            "tenant, opened_position DESC, recipient, message, facet",
            "facet, opened_position DESC, recipient, message",
            "tenant, account, opened_position WHERE is_final = 0",
            "next_due, message, recipient WHERE next_due > ''",
        ),
    ),
    "protected": Table(
        "tenant text NOT NULL, message text NOT NULL, recipient integer NOT NULL", "message, recipient", ("tenant",)
    ),
    "facets": Table(
        "facet bigint NOT NULL, tenant text NOT NULL, provider text NOT NULL, account text NOT NULL, status text NOT NULL, "
        "grade text NOT NULL, marks text NOT NULL",
        "facet",
        ("tenant",),
        may_linger=True,
    ),
    "terms": Table(
        "tenant text NOT NULL, position bigint NOT NULL, name text NOT NULL, account text NOT NULL, warn_s bigint NOT NULL, "
        "breach_s bigint NOT NULL",
        "tenant, position",
    ),
}


def read_row(row: Row) -> MessageRow:
    """A row of read_messages, selected by `MESSAGE_COLUMNS`."""
    values = dict(zip(MESSAGE_COLUMNS.split(", "), row, strict=True))
    values["joined"] = _joined.decode(bytes(values["joined"]))
    values["batches"] = _batches.decode(bytes(values["batches"]))
    values["protected"] = _protected.decode(bytes(values["protected"]))
    return MessageRow(**values)


def stored(row: MessageRow) -> tuple[Any, ...]:
    """A row as it is stored in read_messages, in the order of `MESSAGE_COLUMNS`."""
    values = {name: getattr(row, name) for name in MESSAGE_COLUMNS.split(", ")}
    return tuple(_encode(v) if name in {"joined", "batches", "protected"} else v for name, v in values.items())


def stories(reads: Reads, messages: Iterable[str]) -> dict[str, Story]:
    """The streams that tell the story of each message: its own, and those of the messages that were joined into it."""
    wanted = set(messages)
    rows, tried = _rows(reads, wanted), set(wanted)
    while further := missing(rows) - tried:
        tried |= further
        rows |= _rows(reads, further)
    return {message: Story(rows[message], rows) for message in wanted & rows.keys()}


def _rows(reads: Reads, messages: Iterable[str]) -> dict[str, MessageRow]:
    found = map(read_row, reads.probe("read_messages", MESSAGE_COLUMNS, "message", sorted(messages)))
    return {row.message: row for row in found}


class StatusModel:
    """Messages, deliveries and the facts behind them.

    Args:
        rules: the versions of the tables that judge.
    """

    name = "status"
    version = 6
    wants: frozenset[str] = frozenset()
    tables = TABLES

    def __init__(self, rules: Ruleset = CURRENT) -> None:
        self.rules = rules

    def apply(self, cursor: Cursor, events: Sequence[Event], target: Target) -> list[Unapplied]:
        """Fold one batch of events in; content that cannot be read is reported, never raised."""
        work = _Work(_Tables(cursor, target), events, target.channels, self.rules)
        unapplied = []
        for event in events:
            try:
                work.note(event)
            except ValueError as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.fields.get('type')}"))
        work.store()
        return unapplied

    def finish(self, cursor: Cursor, target: Target) -> None:
        """Tell the stories of messages that were joined, now that all of them are there."""
        tables = _Tables(cursor, target)
        after = ""
        while messages := tables.joined(after):
            work = _Work(tables, (), target.channels, self.rules)
            work.rows = tables.messages(messages)
            work.whole = set(messages)
            work.store()
            after = messages[-1]


def _terms(event: Event) -> list[tuple[str, Term]]:
    """The terms that an event sets, and whose.

    Raises:
        ValueError: it does not have the shape that is expected of it.
    """
    said = msgspec.convert(event.fields, _TermSet)
    if not said.rule.startswith(TERM_RULE):
        return []
    numbers = said.numbers or {"warn_s": RESET, "breach_s": RESET}
    term = Term(
        position=event.position,
        name=said.rule.removeprefix(TERM_RULE),
        account=said.code,
        warn_s=numbers.get("warn_s", 0),
        breach_s=numbers.get("breach_s", 0),
    )
    return [(event.tenant, term)]


class _TermSet(msgspec.Struct):
    """The clear fields of a `ruleset.changed`, in the shapes they must have.

    Attributes:
        code: the only account it holds for; "" for all.
        numbers: `warn_s` and `breach_s`; none take back what was set for that account, or for all.
    """

    rule: str = ""
    code: str = ""
    numbers: dict[str, int] = {}


def _is_message(stream: str) -> bool:
    return not stream.startswith(("batch/", "account/", "ledger"))


class _Work:
    """What one batch of events touches.

    Attributes:
        rows: of the messages concerned, as they are after the events noted so far.
        added: stream -> new facts; `facts`: all facts of the streams read so far.
        touched: messages whose row must be stored.
        whole: messages all deliveries of which must be folded again; `single`: streams of single deliveries.
        batches: streams of batches with new facts.
        parted: messages that were parted from another.
        shielded: messages some of whose recipients became protected, or are no longer.
        terms: that organisations set.
        facets: that deliveries have.
        shared: message -> facts that tell something of each of its deliveries; `judged`: what is said of those that have no others.
    """

    def __init__(self, tables: _Tables, events: Sequence[Event], channels: Mapping[str, str], rules: Ruleset) -> None:
        self.tables = tables
        self.channels = channels
        self.rules = rules
        self.rows = tables.messages(message_of(e.stream) for e in events if _is_message(e.stream))
        self.facts: dict[str, list[Fact]] = {}
        self.added: dict[str, list[Fact]] = {}
        self.touched: set[str] = set()
        self.whole: set[str] = set()
        self.single: set[str] = set()
        self.batches: set[str] = set()
        self.parted: set[str] = set()
        self.shielded: set[str] = set()
        self.protected: dict[str, dict[str, set[int]]] = {}
        self.stories: dict[str, Story] = {}
        self.terms: list[tuple[str, Term]] = []
        self.facets: set[Facet] = set()
        self.shared: dict[str, list[Fact]] = {}
        self.judged: dict[tuple[str, bool], tuple[object, ...]] = {}

    def note(self, event: Event) -> None:
        """What one event changes: rows, facts, and which deliveries must be folded again.

        Raises:
            ValueError: it cannot be read; nothing of it was noted.
        """
        stream = home(event)
        message, slash, index = stream.partition("/")
        if event.type == "ruleset.changed":
            self.terms += _terms(event)
            return
        if stream.startswith("batch/"):
            fact = to_fact(event, "batch")
            self.batches |= {stream} if fact else set()
        elif _is_message(stream):
            if slash and not (index.isascii() and index.isdecimal()):
                msg = f"{index!r} is no index of a recipient"
                raise ValueError(msg)
            fact = to_fact(event, "recipient" if slash else "message")
            self._note_shape(event, message)
            self.single |= {stream} if slash and fact else set()
            self.whole |= {message} if fact and not slash else set()
        else:
            return
        if fact:
            self.added.setdefault(stream, []).append(fact)

    def _note_shape(self, event: Event, message: str) -> None:
        row = self.rows.get(message) or MessageRow(message, event.tenant)
        before, hidden = (row.recipients, row.batches, row.joined), set(row.protected)
        note(row, event)
        self.rows[message] = row
        self.touched.add(message)
        if before != (row.recipients, row.batches, row.joined):
            self.whole.add(message)
            self.parted |= {j.stream for j in before[2]} - {j.stream for j in row.joined}
        if changed := hidden ^ set(row.protected):
            self.shielded.add(message)
            self.single |= {delivery_stream(message, index) for index in changed if index >= 0}
            self.whole |= {message} if WHOLE_MESSAGE in changed else set()

    # --- afterwards

    def store(self) -> None:
        """Store rows, facts, and the deliveries that are another now."""
        self.whole |= set(self.tables.in_batches(self.batches))
        self._complete()
        gone = self._retell()
        self.facts = self.tables.facts(self.added)
        for stream, facts in self.added.items():
            self.facts.setdefault(stream, []).extend(facts)
        self.tables.save_messages([self.rows[message] for message in sorted(self.touched)])
        self.tables.drop_deliveries(sorted(gone))
        self._shield()
        self.tables.save_terms(self.terms)
        for chunk in _chunks(self._affected()):
            self._fold(chunk)
        self.tables.save_facets(sorted(self.facets))
        self.tables.save_facts({stream: self.facts[stream] for stream in self.added})

    def _complete(self) -> None:
        """Read the rows of all messages whose story is told together with one at hand."""
        tried: set[str] = set()
        while wanted := (missing(self.rows) | self.whole | self.parted) - self.rows.keys() - tried:
            tried |= wanted
            self.rows |= self.tables.messages(wanted)

    def _retell(self) -> set[str]:
        """Set which message tells each story now; returns those that tell theirs no longer."""
        parents = {joined.stream: row.message for row in self.rows.values() for joined in row.joined}
        gone = set()
        for message, row in self.rows.items():
            teller = root(message, parents)
            into = "" if teller == message else teller
            if into != row.joined_into:
                row.joined_into = into
                self.touched.add(message)
                self.whole.add(message)
                gone |= {message} if into else set()
        return gone

    def _shield(self) -> None:
        """Say anew whose identity is protected in the stories whose shape, or protection, is another now."""
        tellers = {self._teller(message) for message in (self.shielded | self.whole | self.parted) & self.rows.keys()}
        if not self.tables.shields() and not any(row.protected for row in self.rows.values()):
            return
        told = {stream: teller for teller in tellers for stream in self._story(teller).messages}
        hidden = [
            (self.rows[teller].tenant, stream, index)
            for teller in tellers
            for stream, found in self._protected(teller).items()
            for index in found
        ]
        self.tables.save_protected(told, hidden)

    def _protected(self, teller: str) -> dict[str, set[int]]:
        if teller not in self.protected:
            self.protected[teller] = protected(self._story(teller), self.rows)
        return self.protected[teller]

    def _teller(self, message: str) -> str:
        return self.rows[message].joined_into or message

    def _story(self, teller: str) -> Story:
        if teller not in self.stories:
            self.stories[teller] = Story(self.rows[teller], self.rows)
        return self.stories[teller]

    def _affected(self) -> Iterator[tuple[str, int]]:
        """Deliveries to be folded again, under the message that tells their story."""
        whole = {self._teller(message) for message in self.whole & self.rows.keys()}
        single = set()
        for stream in self.single:
            message, _, own = stream.partition("/")
            teller = self._teller(message)
            index = int(own) if teller == message else self._story(teller).index_of.get(stream)
            if index is None:
                whole.add(teller)
            elif index < self.rows[teller].recipients:
                single.add((teller, index))
        whole = {teller for teller in whole if not is_claim(self.rows[teller])}
        yield from sorted(each for each in single if each[0] not in whole and not is_claim(self.rows[each[0]]))
        for teller in sorted(whole):
            yield from ((teller, index) for index in range(self.rows[teller].recipients))

    def _fold(self, deliveries: Sequence[tuple[str, int]]) -> None:
        """Fold deliveries from the facts of their streams and store the rows."""
        shared = {t.stream for message in {message for message, _ in deliveries} for t in self._story(message).shared()}
        self.facts |= self.tables.facts(shared - self.facts.keys())
        self.facts |= {stream: [] for stream in shared - self.facts.keys()}
        own = {each: self._story(each[0]).own(each[1]) for each in deliveries}
        found = self.tables.facts({stream for streams in own.values() for stream in streams} - self.facts.keys())
        rows = []
        for message, index in deliveries:
            mine = [fact for s in own[message, index] for fact in self.facts.get(s) or found.get(s) or ()]
            is_protected = index in self._protected(message).get(message, ())
            row = self.rows[message]
            judged = self._judged(row, mine, is_protected=is_protected)
            rows.append((message, index, row.tenant, row.account, row.provider, *judged))
        self.tables.save_deliveries(rows)

    def _judged(self, row: MessageRow, own: Sequence[Fact], *, is_protected: bool) -> tuple[object, ...]:
        """What is said of a delivery; the same of all that have no fact of their own."""
        known = None if own else self.judged.get((row.message, is_protected))
        if known is None:
            known = self._judge(row, [*own, *self._shared(row.message)], is_protected=is_protected)
            if not own:
                self.judged[row.message, is_protected] = known
        return known

    def _shared(self, message: str) -> list[Fact]:
        """The facts that tell something of every delivery of a message."""
        if message not in self.shared:
            told = self._story(message).shared()
            self.shared[message] = [seen_as(fact, scope) for stream, scope in told for fact in self.facts[stream]]
        return self.shared[message]

    def _judge(self, row: MessageRow, facts: Sequence[Fact], *, is_protected: bool) -> tuple[object, ...]:
        """A row of the deliveries from `status` on, in the order of `DELIVERY_COLUMNS`."""
        terms = in_force(self.tables.terms(row.tenant), row.account, row.opened_position)
        channel = self.channels.get(row.provider, "")
        told = told_alike(facts, sole=row.recipients == 1, channel=channel, terms=terms, rules=self.rules)
        found = (*told.marks, PROTECTED) if is_protected else told.marks
        facet = Facet(row.tenant, row.provider, row.account, told.status, told.grade, marks_text(found))
        self.facets.add(facet)
        position = max([fact.position for fact in facts], default=row.opened_position)
        return (
            *(told.status, told.sub_status, told.since, int(told.is_final)),
            *(row.opened_position, row.opened_at, position),
            *(told.grade, told.next_due, facet.number(), int(is_protected), told.folded),
        )


def _chunks(items: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    waiting = iter(items)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk


class _Tables:
    """The model's tables inside one transaction."""

    def __init__(self, cursor: Cursor, target: Target) -> None:
        self.cursor = cursor
        self.table = target.table
        self.is_fresh = target.is_fresh
        self._terms: dict[str, list[Term]] = {}

    def _probe(self, columns: str, name: str, column: str, values: Iterable[str]) -> list[Row]:
        return self.cursor.probe(self.table(name), columns, column, sorted(set(values)))

    def messages(self, wanted: Iterable[str]) -> dict[str, MessageRow]:
        if self.is_fresh:
            return {}
        rows = map(read_row, self._probe(MESSAGE_COLUMNS, "messages", "message", wanted))
        return {row.message: row for row in rows}

    def in_batches(self, batches: Iterable[str]) -> list[str]:
        return [str(r[0]) for r in self._probe("message", "batch_messages", "batch", batches)]

    def joined(self, after: str) -> list[str]:
        """The next messages into which others were joined."""
        sql = f"SELECT message FROM {self.table('messages')} WHERE message > ? AND joined <> ? ORDER BY message LIMIT {CHUNK}"
        return [str(message) for (message,) in self.cursor.read(sql, (after, _encode(())))]

    def facts(self, streams: Iterable[str]) -> dict[str, list[Fact]]:
        wanted = (stream for stream in streams if not self.is_fresh or stream.startswith("batch/"))
        rows = self._probe("stream, facts", "facts", "stream", wanted)
        return {str(stream): _facts.decode(bytes(facts)) for stream, facts in rows}

    def terms(self, tenant: str) -> list[Term]:
        """An organisation's own terms; there are few."""
        if tenant not in self._terms:
            sql = f"SELECT {', '.join(Term._fields)} FROM {self.table('terms')} WHERE tenant = ? ORDER BY position"
            self._terms[tenant] = [Term(*row) for row in self.cursor.read(sql, (tenant,))]
        return self._terms[tenant]

    def save_terms(self, terms: Sequence[tuple[str, Term]]) -> None:
        columns = ", ".join(("tenant", *Term._fields))
        insert(self.cursor, self.table("terms"), columns, [(tenant, *term) for tenant, term in terms])

    def save_facets(self, facets: Sequence[Facet]) -> None:
        columns = ", ".join(("facet", *Facet._fields))
        insert(self.cursor, self.table("facets"), columns, [(facet.number(), *facet) for facet in facets])

    def shields(self) -> bool:
        """Whether anybody's identity is protected so far."""
        return bool(self.cursor.read(f"SELECT 1 FROM {self.table('protected')} LIMIT 1"))

    def save_protected(self, messages: Iterable[str], rows: Iterable[tuple[str, str, int]]) -> None:
        """Whose identity is protected in these messages: these, and nobody else."""
        name = self.table("protected")
        self.cursor.executemany(f"DELETE FROM {name} WHERE message = ?", [(m,) for m in sorted(messages)])
        self.cursor.executemany(f"INSERT INTO {name} (tenant, message, recipient) VALUES (?,?,?)", sorted(rows))

    def save_facts(self, facts: Mapping[str, Sequence[Fact]]) -> None:
        rows = [(stream, _encode(facts[stream])) for stream in sorted(facts)]
        self._save("facts", "stream, facts", rows)

    def save_messages(self, rows: Sequence[MessageRow]) -> None:
        self._save("messages", MESSAGE_COLUMNS, [stored(row) for row in rows])
        batches = sorted((batch, row.message) for row in rows for batch in row.batches)
        insert(self.cursor, self.table("batch_messages"), "batch, message", batches)

    def save_deliveries(self, rows: Sequence[tuple[object, ...]]) -> None:
        self._save("deliveries", DELIVERY_COLUMNS, rows)

    def drop_deliveries(self, messages: Iterable[str]) -> None:
        self.cursor.executemany(f"DELETE FROM {self.table('deliveries')} WHERE message = ?", [(m,) for m in messages])

    def _save(self, name: str, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self.is_fresh:
            self.cursor.copy(self.table(name), columns, rows)
        else:
            upsert(self.cursor, self.table(name), columns, TABLES[name].key, rows)
