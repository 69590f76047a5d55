"""Read model: messages and deliveries with their folded status.

Holds nothing personal: statuses, codes, times and positions. Addresses, subjects and references are opened from the sealed
values when somebody may see them. Facts are kept per stream, so that a fact about a message or a batch is stored once and
folded into each of its deliveries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from ledger.database import Cursor, Row
from ledger.events import Event, delivery_stream, message_of
from ledger.writer import TOLD_ELSEWHERE
from projections.fold import Fact, fold, to_fact
from projections.runner import Table, Unapplied

CHUNK = 500

_facts = msgspec.json.Decoder(list[Fact])
_encode = msgspec.json.encode


class Joined(msgspec.Struct, frozen=True, array_like=True):
    """A stream that tells part of this message's story; `recipients` pairs its indexes with ours."""

    stream: str
    recipients: tuple[tuple[int, int], ...]


_joined = msgspec.json.Decoder(tuple[Joined, ...])


@dataclass(slots=True)
class MessageRow:
    """A row of read_messages; see `TABLES` for the columns."""

    message: str
    tenant: str
    account: str = ""
    provider: str = ""
    opened_position: int = 0
    opened_at: str = ""
    registered: int = 0
    recipients: int = 0
    batch: str = ""
    joined_into: str = ""
    joined: tuple[Joined, ...] = ()
    first_type: str = ""
    updated_position: int = 0

    def row(self) -> tuple[object, ...]:
        return (
            self.message,
            self.tenant,
            self.account,
            self.provider,
            self.opened_position,
            self.opened_at,
            self.registered,
            self.recipients,
            self.batch,
            self.joined_into,
            _encode(self.joined),
            self.first_type,
            self.updated_position,
        )


MESSAGE_COLUMNS = (
    "message, tenant, account, provider, opened_position, opened_at, registered, recipients, batch, joined_into, joined, "
    "first_type, updated_position"
)
DELIVERY_COLUMNS = (
    "message, recipient, tenant, account, provider, status, sub_status, since, is_final, opened_position, opened_at, "
    "updated_position, folded"
)

TABLES = {
    "facts": Table("stream text NOT NULL, facts bytes NOT NULL", "stream"),
    "messages": Table(
        "message text NOT NULL, tenant text NOT NULL, account text NOT NULL, provider text NOT NULL, opened_position bigint NOT NULL, "
        "opened_at text NOT NULL, registered smallint NOT NULL, recipients integer NOT NULL, batch text NOT NULL, "
        "joined_into text NOT NULL, joined bytes NOT NULL, first_type text NOT NULL, updated_position bigint NOT NULL",
        "message",
        ("tenant, opened_position", "batch"),
    ),
    "deliveries": Table(
        "message text NOT NULL, recipient integer NOT NULL, tenant text NOT NULL, account text NOT NULL, provider text NOT NULL, "
        "status text NOT NULL, sub_status text NOT NULL, since text NOT NULL, is_final smallint NOT NULL, "
        "opened_position bigint NOT NULL, opened_at text NOT NULL, updated_position bigint NOT NULL, folded bytes NOT NULL",
        "message, recipient",
        ("tenant, opened_position, recipient", "tenant, status, opened_position, recipient"),
    ),
}


@dataclass(slots=True)
class _Work:
    """What one batch of events touches."""

    rows: dict[str, MessageRow] = field(default_factory=dict)
    facts: dict[str, list[Fact]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    single: set[tuple[str, int]] = field(default_factory=set)
    batches: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


class StatusModel:
    """Messages, deliveries and the facts behind them."""

    name = "status"
    version = 1
    tables = TABLES

    def apply(self, cursor: Cursor, events: Sequence[Event], table: Callable[[str], str]) -> list[Unapplied]:
        """Fold one batch of events in; content that cannot be read is reported, never raised."""
        tables = _Tables(cursor, table)
        work = _Work(rows=tables.messages({message_of(e.stream) for e in events if _is_message(e.stream)}))
        unapplied: list[Unapplied] = []
        added: dict[str, list[Fact]] = {}
        for event in events:
            try:
                _note(event, work, added)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                unapplied.append(Unapplied(event.position, f"{type(error).__name__} in {event.fields.get('type')}"))
        work.facts = tables.facts(added)
        for stream, facts in added.items():
            work.facts.setdefault(stream, []).extend(facts)
        tables.save_facts({stream: work.facts[stream] for stream in added})
        work.rows |= tables.messages(s for s in _followed(work, tables) if s not in work.rows)
        tables.save_messages(work.rows.values())
        tables.drop_deliveries(work.gone)
        for chunk in _chunks(_affected(work, tables)):
            tables.fold(chunk, work)
        return unapplied


def _is_message(stream: str) -> bool:
    return not stream.startswith(("batch/", "account/", "ledger"))


def _note(event: Event, work: _Work, added: dict[str, list[Fact]]) -> None:
    """What one event changes: rows, facts, and which deliveries must be folded again."""
    stream = event.stream
    if stream.startswith("batch/"):
        fact = to_fact(event, "batch")
        if fact:
            added.setdefault(stream, []).append(fact)
            work.batches.add(stream)
        return
    if not _is_message(stream):
        return
    message, _, index = stream.partition("/")
    row = _row(event, message, work)
    fact = to_fact(event, "recipient" if index else "message")
    if fact:
        added.setdefault(stream, []).append(fact)
    if index:
        work.single.add((message, int(index)))
    elif (
        fact or event.type in {"recipients.declared", "streams.joined", "streams.parted"} or event.fields.get("streams")
    ):
        work.whole.add(message)
    _note_structure(event, row, work)


def _row(event: Event, message: str, work: _Work) -> MessageRow:
    row = work.rows.get(message)
    if row is None:
        row = work.rows[message] = MessageRow(
            message, event.tenant, opened_position=event.position, opened_at=str(event.fields["recorded_at"])
        )
    row.account = row.account or str(event.fields.get("account", ""))
    row.provider = row.provider or str(event.fields.get("provider", ""))
    if event.type != "recipients.declared" and not row.first_type:
        row.first_type = event.type
    row.updated_position = event.position
    return row


def _note_structure(event: Event, row: MessageRow, work: _Work) -> None:
    fields = event.fields
    if event.type == "submission.requested":
        row.registered = 1
    if event.type == "recipients.declared":
        row.recipients = max(row.recipients, fields["first"] + fields["count"])
    if event.type == "streams.joined" and fields.get("rule") != TOLD_ELSEWHERE:
        pairs = tuple((a, b) for a, b in fields.get("recipients", ()))
        row.joined += tuple(Joined(s, pairs) for s in fields["streams"])
    if event.type == "streams.parted":
        row.joined = tuple(j for j in row.joined if j.stream not in fields["streams"])
    for batch in fields.get("streams", ()):
        if batch.startswith("batch/") and not row.batch:
            row.batch = batch
            work.whole.add(row.message)


def _followed(work: _Work, tables: _Tables) -> set[str]:
    """Set where joined messages went, and name the messages that tell their story now."""
    for row in list(work.rows.values()):
        for joined in row.joined:
            other = work.rows.get(joined.stream) or tables.messages([joined.stream]).get(joined.stream)
            if other and other.joined_into != row.message:
                other.joined_into = row.message
                work.rows[joined.stream] = other
                work.gone.add(joined.stream)
                work.whole.add(row.message)
    return {row.joined_into for row in work.rows.values() if row.joined_into}


def _affected(work: _Work, tables: _Tables) -> Iterator[tuple[str, int]]:
    """Deliveries to be folded again, under the message that tells their story."""
    whole = {_teller(message, work, tables) for message in work.whole} | set(tables.in_batches(work.batches))
    single = set()
    for message, index in work.single:
        teller = _teller(message, work, tables)
        if teller not in whole:
            single |= {(teller, n) for n in _mapped(message, index, work.rows[teller])}
    yield from sorted(single)
    rows = tables.messages(m for m in whole if m not in work.rows) | work.rows
    for message in sorted(whole):
        yield from ((message, index) for index in range(rows[message].recipients))
    work.rows = rows


def _teller(message: str, work: _Work, tables: _Tables) -> str:
    passed = set()
    while message not in passed:
        passed.add(message)
        row = work.rows.get(message) or tables.messages([message]).get(message)
        if row is None or not row.joined_into:
            break
        work.rows[message] = row
        message = row.joined_into
        if message not in work.rows:
            work.rows |= tables.messages([message])
    return message


def _mapped(message: str, index: int, teller: MessageRow) -> list[int]:
    if message == teller.message:
        return [index]
    return [b for joined in teller.joined if joined.stream == message for a, b in joined.recipients if a == index]


def _chunks(items: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    chunk: list[tuple[str, int]] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Tables:
    """The model's tables inside one transaction."""

    def __init__(self, cursor: Cursor, table: Callable[[str], str]) -> None:
        self.cursor = cursor
        self.table = table

    def _probe(self, columns: str, name: str, column: str, values: Iterable[str]) -> list[Row]:
        return self.cursor.probe(self.table(name), columns, column, sorted(set(values)))

    def messages(self, wanted: Iterable[str]) -> dict[str, MessageRow]:
        rows = [MessageRow(*r) for r in self._probe(MESSAGE_COLUMNS, "messages", "message", wanted)]  # type: ignore[arg-type]
        for row in rows:
            row.joined = _joined.decode(bytes(row.joined))  # type: ignore[arg-type]  # stored encoded
        return {row.message: row for row in rows}

    def in_batches(self, batches: Iterable[str]) -> list[str]:
        return [str(r[0]) for r in self._probe("message", "messages", "batch", batches)]

    def facts(self, streams: Iterable[str]) -> dict[str, list[Fact]]:
        rows = self._probe("stream, facts", "facts", "stream", streams)
        return {str(stream): _facts.decode(bytes(facts)) for stream, facts in rows}

    def save_facts(self, facts: dict[str, list[Fact]]) -> None:
        sql = f"INSERT INTO {self.table('facts')} (stream, facts) VALUES (?,?) ON CONFLICT (stream) DO UPDATE SET facts = excluded.facts"
        self.cursor.executemany(sql, [(stream, _encode(each)) for stream, each in facts.items()])

    def save_messages(self, rows: Iterable[MessageRow]) -> None:
        self._upsert("messages", MESSAGE_COLUMNS, ("message",), [row.row() for row in rows])

    def drop_deliveries(self, messages: Iterable[str]) -> None:
        self.cursor.executemany(f"DELETE FROM {self.table('deliveries')} WHERE message = ?", [(m,) for m in messages])

    def _upsert(self, name: str, columns: str, key: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
        names = columns.split(", ")
        marks = ",".join("?" * len(names))
        changes = ", ".join(f"{n} = excluded.{n}" for n in names if n not in key)
        sql = f"INSERT INTO {self.table(name)} ({columns}) VALUES ({marks}) ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
        self.cursor.executemany(sql, rows)

    def fold(self, deliveries: Sequence[tuple[str, int]], work: _Work) -> None:
        """Fold deliveries from the facts of their streams and store the rows."""
        rows = work.rows
        streams = {s for message, index in deliveries for s in streams_of(rows[message], index, rows)}
        facts = self.facts(streams - work.facts.keys()) | {s: work.facts[s] for s in streams if s in work.facts}
        stored = []
        for message, index in deliveries:
            row = rows[message]
            mine = [fact for stream in streams_of(row, index, rows) for fact in facts.get(stream, ())]
            folded = fold(mine, sole=row.recipients == 1)
            position = max((fact.position for fact in mine), default=row.opened_position)
            stored.append(
                (
                    *(message, index, row.tenant, row.account, row.provider),
                    *(folded.status, folded.sub_status, folded.since, int(folded.is_final)),
                    *(row.opened_position, row.opened_at, position, _encode(folded)),
                )
            )
        self._upsert("deliveries", DELIVERY_COLUMNS, ("message", "recipient"), stored)


def streams_of(row: MessageRow, index: int, rows: dict[str, MessageRow]) -> list[str]:
    """The streams that tell the story of one delivery: its own, its message's, its batch's, and those joined to them."""
    streams = [delivery_stream(row.message, index), row.message]
    batches = {row.batch}
    for joined in row.joined:
        streams.append(joined.stream)
        streams += [delivery_stream(joined.stream, a) for a, b in joined.recipients if b == index]
        other = rows.get(joined.stream)
        if other is not None:
            batches.add(other.batch)
            for a, b in joined.recipients:
                if b == index:
                    streams += streams_of(other, a, rows)[2:]
    return list(dict.fromkeys([*streams, *(b for b in sorted(batches) if b)]))
