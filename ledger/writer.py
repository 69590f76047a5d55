"""From plans to items: finds and makes keys, skips look-ups that exist, joins streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from uuid_utils import uuid7

from ledger.addresses import forms, kept, normal
from ledger.appender import Item
from ledger.application import Ledger, PersonKey
from ledger.errors import ErasedError
from ledger.events import Draft, message_of
from ledger.names import Names
from ledger.observations import Address, Reference
from ledger.probes import Probe
from ledger.recorders import KeyRow, LookupRow
from ledger.sealing import OWN_KEY
from ledger.streams import (
    JOINS_ERASED,
    PROTECTED,
    SOMEBODY,
    UNPROTECTED,
    WHOLE_MESSAGE,
    Message,
    Plan,
    Planned,
    clean,
    person_of,
    plan_recipients,
    plan_whole_protection,
)

TOLD_ELSEWHERE = "told_elsewhere"
"""Rule of the joining event in the stream whose story another stream tells from now on."""
WITHOUT_ORIGINAL = frozenset(
    {
        "recipients.declared",
        "streams.joined",
        "reference.conflict",
        "batch.opened",
        "message.linked",
        "vocabulary.new",
        "lane.claimed",
        PROTECTED,
        UNPROTECTED,
    }
)
"""Types that carry no original of their own: another event of the same item does."""
_JOINED_INTO = "coalesce((SELECT joined_into FROM joins WHERE joins.stream = lookups.stream ORDER BY joins.position DESC LIMIT 1), '')"
MAX_PAIRS = 1_000
"""Of recipients that one joining event pairs."""


@dataclass(slots=True)
class Context:
    """What is known while deciding: read from the database, plus what this call is about to write.

    Attributes:
        lookups: digest -> streams it leads to.
        recipients: (message, address digest) -> index.
        addresses: (message, index) -> recipient, as far as declared in this call.
        known: duplicate key -> position of its fact; 0 while that is still being written.
        sighted: duplicate key that is still being written -> when we saw it.
        homes: key of a known fact -> the message in which it stands.
        joined: stream -> the one it was joined into.
        messages: what decisions need of each message.
        keys: person keys made in this call.
        opened: message and batch streams opened in this call.
        protections: (tenant, address) -> how often its protection was taken back, and whether it is protected now.
        probed, asked: digests, and pairs of address digest and message, already read.
        names: by id() of the reading.
    """

    lookups: dict[bytes, set[str]] = field(default_factory=dict)
    recipients: dict[tuple[str, bytes], int] = field(default_factory=dict)
    addresses: dict[tuple[str, int], Address] = field(default_factory=dict)
    known: dict[bytes, int] = field(default_factory=dict)
    sighted: dict[bytes, str] = field(default_factory=dict)
    homes: dict[bytes, str] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    keys: dict[tuple[str, int], PersonKey] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    protections: dict[tuple[str, Address], tuple[int, bool]] = field(default_factory=dict)
    probed: set[bytes] = field(default_factory=set)
    asked: set[tuple[bytes, str]] = field(default_factory=set)
    names: dict[int, Names] = field(default_factory=dict)

    def canonical(self, stream: str) -> str:
        """The message that tells this stream's story: follows joinings to their end."""
        passed = set()
        while (into := self.joined.get(stream)) and stream not in passed:
            passed.add(stream)
            stream = into
        return stream


def led_by(digests: Iterable[bytes]) -> Probe:
    """Asks where keyed digests lead, and where those streams were joined into ("" nowhere)."""
    return Probe("lookups", f"digest, stream, {_JOINED_INTO}, position", ("digest",), [(each,) for each in digests])


def note_led(ledger: Ledger, context: Context, rows: Sequence[Sequence[Any]]) -> None:
    """Take what `led_by` found into account."""
    for digest, stream, into, _ in rows:
        context.lookups.setdefault(bytes(digest), set()).add(stream)
        if into:
            context.joined[stream] = into
    probe_joins(ledger, context, {into for _, _, into, _ in rows if into} - context.joined.keys())


def probe_digests(ledger: Ledger, context: Context, digests: Iterable[bytes]) -> None:
    """Read where keyed digests lead, and where those streams were joined into."""
    wanted = sorted(set(digests) - context.probed)
    context.probed |= set(wanted)
    note_led(ledger, context, *ledger.database.several([led_by(wanted)]))


def probe_joins(ledger: Ledger, context: Context, streams: Iterable[str]) -> None:
    wanted = set(streams)
    while wanted:
        step = {stream: into for stream, into in ledger.joined(sorted(wanted)).items() if into}
        context.joined |= step
        wanted = set(step.values()) - context.joined.keys()


def indexed(pairs: Iterable[tuple[bytes, str]]) -> Probe:
    """Asks for the index of addresses in messages."""
    return Probe("lookups", "digest, stream, recipient", ("digest", "stream"), list(pairs))


def note_indexed(context: Context, rows: Iterable[Sequence[Any]]) -> None:
    """Take what `indexed` found into account."""
    context.recipients |= {(stream, bytes(digest)): recipient for digest, stream, recipient in rows}


def probe_recipients(ledger: Ledger, context: Context, pairs: Iterable[tuple[bytes, str]]) -> None:
    """Read the index of addresses in messages."""
    wanted = sorted(set(pairs) - context.asked)
    context.asked |= set(wanted)
    note_indexed(context, *ledger.database.several([indexed(wanted)]))


def probe_protections(ledger: Ledger, context: Context, whose: Iterable[tuple[str, Address]]) -> None:
    """Read whether the identity behind addresses of tenants is protected."""
    waiting = dict.fromkeys(set(whose) - context.protections.keys(), 0)
    while waiting:
        is_protected = _filed(ledger, PROTECTED, waiting)
        is_over = _filed(ledger, UNPROTECTED, {each: waiting[each] for each in is_protected})
        ended = {each: generation for each, generation in waiting.items() if each not in is_over}
        context.protections |= {each: (generation, each in is_protected) for each, generation in ended.items()}
        waiting = {each: waiting[each] + 1 for each in is_over}


def _filed(ledger: Ledger, kind: str, asked: Mapping[tuple[str, Address], int]) -> set[tuple[str, Address]]:
    """Those addresses of tenants of which a generation of protection, or of its end, is written."""
    digests = {
        (tenant, address): ledger.keyring.lookup(tenant, kind, address.kind, normal(address), str(generation))
        for (tenant, address), generation in asked.items()
    }
    rows = ledger.database.probe("lookups", "DISTINCT digest", "digest", sorted(set(digests.values())))
    known = {bytes(digest) for (digest,) in rows}
    return {each for each, digest in digests.items() if digest in known}


class Writer:
    """Collects one item.

    Attributes:
        plan: what is to be written; events are added to it by the decisions.
        names: digests computed already, of the arrival that is decided.
    """

    def __init__(self, ledger: Ledger, context: Context, tenant: str, account: str, names: Names | None = None) -> None:
        self.names = names
        self.ledger = ledger
        self.context = context
        self.tenant = tenant
        self.account = account
        self.plan = Plan()
        self._lookups: list[tuple[int, LookupRow]] = []
        self._absorbed = 0
        self._keys: list[KeyRow] = []

    def digest(self, kind: str, *parts: str) -> bytes:
        return self.ledger.keyring.lookup(self.tenant, kind, *parts)

    def reference_digest(self, reference: Reference) -> bytes:
        known = self.names.references.get(reference) if self.names else None
        return known or self.digest("reference", self.account, reference.kind, clean(reference.value.strip()))

    def address_digests(self, address: Address) -> Sequence[bytes]:
        known = self.names.addresses.get(address) if self.names else None
        return known or [self.digest("address", address.kind, form) for form in forms(address)]

    def account_stream(self) -> str:
        return f"account/{self.tenant}/{self.account}/{self.ledger.clock().date().isoformat()}"

    def open_message(self, *, registered: bool = False) -> Message:
        message = Message(str(uuid7()), registered=registered)
        self.plan.opened.add(message.stream)
        self.context.opened.add(message.stream)
        self.context.messages[message.stream] = message
        return message

    def batch_stream(self, batch: Reference, source: Mapping[str, Any], message: str = "") -> str:
        """The stream of a batch, new or known; `message`, if given, becomes findable under it."""
        value = clean(batch.value.strip())
        parts = (self.account, batch.kind, value)
        digest = self.digest("batch", *parts)
        probe_digests(self.ledger, self.context, [digest])
        stream = next(iter(self.context.lookups.get(digest, ())), "")
        if not stream:
            stream = f"batch/{uuid7()}"
            self.plan.opened.add(stream)
            self.context.opened.add(stream)
            named = {WHOLE_MESSAGE: {"reference.0": {"kind": batch.kind, "value": value}}}
            opened = self.plan.add(Planned("batch.opened", stream, dict(source), named))
            self._add_lookup(opened, "batch", parts, stream, WHOLE_MESSAGE, exclusive=True)
        if message:
            self._add_lookup(0, "in_batch", (value,), message, WHOLE_MESSAGE, exclusive=False)
        return stream

    def declare(self, message: Message, recipients: Sequence[Address], source: Mapping[str, Any]) -> Message:
        """Declare recipients from the message's next index on."""
        self.context.addresses |= {
            (message.stream, message.recipients + i): address for i, address in enumerate(recipients)
        }
        message = plan_recipients(self.plan, message, recipients, source, self.protected(recipients))
        self.context.messages[message.stream] = message
        self.absorb()
        return message

    def protected(self, recipients: Sequence[Address], named: Sequence[Address] = ()) -> dict[Address, int]:
        """Those of some recipients who are known to be protected, or are named as such; see `streams.Generations`."""
        probe_protections(self.ledger, self.context, ((self.tenant, each) for each in recipients))
        said = {(each.kind, normal(each)) for each in named}
        found = {each: self.context.protections[self.tenant, each] for each in recipients}
        return {a: g for a, (g, is_protected) in found.items() if is_protected or (a.kind, normal(a)) in said}

    def protect_whole(self, message: Message, recipients: Sequence[Address], source: Mapping[str, Any]) -> Message:
        """Say, once, that everybody to whom a message goes is protected.

        Args:
            recipients: those who are known.
        """
        if WHOLE_MESSAGE in message.protected | message.unprotected:
            return message
        self.expect(message)
        indexes = {i: each for each in recipients if (i := self.recipient(message.stream, each)) is not None}
        generations = self.protected(recipients, recipients)
        message = plan_whole_protection(self.plan, message, indexes, source, generations)
        self.context.messages[message.stream] = message
        self.absorb()
        return message

    def expect(self, message: Message) -> None:
        """The decision rests on the message's version: what it will be when this item's turn comes."""
        if message.stream not in self.plan.opened:
            mine = sum(1 for e in self.plan.events if e.stream == message.stream)
            self.plan.expect.setdefault(message.stream, message.version - mine)

    def recipient(self, message: str, address: Address) -> int | None:
        digests = self.address_digests(address)
        if (found := self.context.recipients.get((message, digests[0]))) is not None:
            return found
        pairs = [(digest, message) for digest in digests]
        if not self.context.asked.issuperset(pairs) and message not in self.context.opened:
            probe_recipients(self.ledger, self.context, pairs)
        indexes = (self.context.recipients.get((message, digest)) for digest in digests)
        return next((index for index in indexes if index is not None), None)

    def absorb(self) -> None:
        """Take the plan's new look-ups into account, so that what is decided next knows them."""
        for index, kind, parts, stream, recipient, exclusive in self.plan.lookups[self._absorbed :]:
            self._add_lookup(index, kind, parts, stream, recipient, exclusive=exclusive)
        self._absorbed = len(self.plan.lookups)

    def _add_lookup(
        self, index: int, kind: str, parts: tuple[str, ...], stream: str, recipient: int, *, exclusive: bool
    ) -> None:
        if not exclusive and not self._keeps(stream, recipient):
            return
        digest = self.digest(kind, *parts)
        if kind == "address":
            is_new = self.context.recipients.setdefault((stream, digest), recipient) == recipient
        else:
            streams = self.context.lookups.setdefault(digest, set())
            is_new = stream not in streams and not (exclusive and streams)
            streams.update({stream} if is_new else ())
        if is_new:
            self._lookups.append((index, LookupRow(digest, stream, recipient, int(exclusive))))

    def join(self, other: Message, into: Message, source: Mapping[str, Any], rule: str) -> Message:
        """Say that `other` is part of `into`'s story: the whole message, and recipient for recipient.

        Returns:
            `into` as it is then.
        """
        self.expect(into)
        self.expect(other)
        held = self.recipients_of(other)
        probe_recipients(self.ledger, self.context, [(digest, into.stream) for digest in held])
        missing = sorted(r for d, r in held.items() if (into.stream, d) not in self.context.recipients)
        if missing and not into.registered and not into.erased:
            addresses = self._declared(other.stream)
            into = self.declare(into, [addresses[r] for r in missing if r in addresses], source)
        first = len(self.plan.events)
        self.tell_together(other, into, source, rule)
        self.plan.joins.append((first, other.stream, into.stream))
        self.context.joined[other.stream] = into.stream
        self.context.messages[other.stream] = replace(other, version=other.version + 1)
        erased = into.erased | ({SOMEBODY} if other.erased else set())
        into = replace(into, version=into.version + len(self.plan.events) - first - 1, erased=erased)
        self.context.messages[into.stream] = into
        return into

    def tell_together(self, other: Message, into: Message, source: Mapping[str, Any], rule: str) -> list[list[int]]:
        """Plan the events by which `other` becomes part of `into`'s story.

        Returns:
            The pairs of their recipients.
        """
        held = self.recipients_of(other)
        probe_recipients(self.ledger, self.context, [(digest, into.stream) for digest in held])
        paired = sorted(
            [r, self.context.recipients[into.stream, d]]
            for d, r in held.items()
            if (into.stream, d) in self.context.recipients
        )
        for start in range(0, max(1, len(paired)), MAX_PAIRS):
            chunk = paired[start : start + MAX_PAIRS]
            clear = {**source, "streams": [other.stream], "rule": rule} | ({"recipients": chunk} if chunk else {})
            clear |= {"notes": [JOINS_ERASED]} if other.erased else {}
            self.plan.add(Planned("streams.joined", into.stream, clear))
        # Moves the version of the joined stream on: whoever was about to declare a recipient there decides again.
        self.plan.add(
            Planned("streams.joined", other.stream, {**source, "streams": [into.stream], "rule": TOLD_ELSEWHERE})
        )
        return paired

    def recipients_of(self, message: Message) -> dict[bytes, int]:
        """Digest of an address -> index, of a message."""
        sql = "SELECT digest, recipient FROM lookups WHERE stream = ? AND recipient >= 0"
        held = {bytes(d): r for d, r in self.ledger.database.read(sql, (message.stream,))}
        return held | {d: r for (stream, d), r in self.context.recipients.items() if stream == message.stream}

    def _declared(self, stream: str) -> dict[int, Address]:
        """The recipients of a message as they were declared, those that are not erased."""
        events = [e for e in self.ledger.stream(stream) if e.type == "recipients.declared"]
        values = [item for said in self.ledger.values(events).values() for item in said.items()]
        written = {int(path.partition(".")[2]): kept(v) for path, v in values if path.startswith("recipient.")}
        return written | {index: a for (message, index), a in self.context.addresses.items() if message == stream}

    def key(self, owner: str, person: int, *, declared: bool = False) -> PersonKey | None:
        """A person's key; None when it was destroyed, or is to be, so that nothing more is kept of an erased person."""
        if not self._keeps(owner, person):
            return None
        known = self.context.keys.get((owner, person))
        if known is not None:
            return known
        if owner not in self.plan.opened and not declared:
            try:
                return self.ledger.person_key(owner, person)
            except ErasedError:
                if not owner.startswith(("batch/", "account/")):
                    return None
        row, key = self.ledger.new_key(owner, person)
        self._keys.append(row)
        self.context.keys[owner, person] = key
        return key

    def _keeps(self, stream: str, person: int) -> bool:
        message = self.context.messages.get(stream)
        return message is None or message.keeps(person)

    def sole_owner(self) -> str:
        """The one message that the original is about; "" when it is about several, or none."""
        owners = {message_of(e.stream) for e in self.plan.events if e.kind not in WITHOUT_ORIGINAL}
        owner = owners.pop() if len(owners) == 1 else ""
        return "" if owner.startswith(("batch/", "account/")) else owner

    def original_key(self) -> PersonKey | None:
        """An original of one message is sealed under that message's key, any other under its own.

        None when it tells of somebody who was erased: of one message, at all; of several, and of nobody else.
        """
        streams = {e.stream for e in self.plan.events if e.kind not in WITHOUT_ORIGINAL}
        kept = [self._keeps(message_of(stream), person_of(stream)) for stream in streams]
        owner = self.sole_owner()
        if owner:
            return self.key(owner, WHOLE_MESSAGE) if all(kept) else None
        if not any(kept):
            return None
        row, key = self.ledger.new_key(self.account_stream(), OWN_KEY)
        self._keys.append(row)
        return key

    def item(self) -> Item:
        """The item of the plan."""
        self.absorb()
        for stream in self.plan.opened:
            self.key(stream, WHOLE_MESSAGE)
        drafts: list[Draft] = []
        for planned in self.plan.events:
            if planned.names:
                named = [drafts[index].id for index in planned.names]
                planned.clear["events"] = [*planned.clear.get("events", ()), *named]
            drafts.append(self._draft(planned))
        others = {s for planned in self.plan.events for s in planned.clear.get("streams", ())}
        touched = {message_of(draft.stream) for draft in drafts} | others
        return Item(
            drafts,
            new_streams=set(self.plan.opened),
            needs=(touched & self.context.opened) - self.plan.opened,
            expect=dict(self.plan.expect),
            keys=self._keys,
            lookups=self._unknown(self._lookups),
            joins=list(self.plan.joins),
        )

    def _unknown(self, rows: list[tuple[int, LookupRow]]) -> list[tuple[int, LookupRow]]:
        """Those of the look-ups that are not written yet."""
        pairs = [(row.digest, row.stream) for _, row in rows if row.stream not in self.context.opened]
        found = self.ledger.database.probe_pairs("lookups", "digest, stream, recipient", ("digest", "stream"), pairs)
        written = {(bytes(digest), stream, recipient) for digest, stream, recipient in found}
        return [(index, row) for index, row in rows if (row.digest, row.stream, row.recipient) not in written]

    def _draft(self, planned: Planned) -> Draft:
        owner = message_of(planned.stream)
        declared = planned.kind == "recipients.declared"
        keyed = [(self.key(owner, person, declared=declared), said) for person, said in planned.values.items() if said]
        values = [(key, said) for key, said in keyed if key is not None]
        return self.ledger.draft(planned.kind, self.tenant, planned.stream, planned.clear, values)
