"""Streams as functions: `evolve` folds what is written of a message, `plan_*` decide what to write next.

Pure: no database, no clock, no keys. A plan names events, values, look-ups and joins; `ledger.intake` turns it into an
item. Streams: one per message (all its recipients), one per delivery (`message/recipient`), one per batch, one per
account and day. An event stays where it was written; `streams.joined` says that two streams tell one story.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ledger.addresses import normal, value_of
from ledger.canonical import repair_text
from ledger.events import MAX_DECLARED, Event
from ledger.observations import Address, Fingerprint, Reference

MAX_TEXT_CHARS = 8_192
WHOLE_MESSAGE = -1
SOMEBODY = 1_000_000
"""Beyond every index: stands for a recipient of another message, which was joined."""
JOINS_ERASED = "erased"
"""Note of a joining: somebody was erased from the message that is joined."""
PROTECTED, UNPROTECTED = "recipient.protected", "recipient.unprotected"


def person_of(stream: str) -> int:
    """Whose values a stream's events hold: the recipient's of a delivery, else the whole message's."""
    _, slash, recipient = stream.partition("/")
    return int(recipient) if slash and recipient.isdigit() else WHOLE_MESSAGE


def about(stream: str) -> dict[str, Any]:
    """The clear fields that say whom an event in this stream is about."""
    person = person_of(stream)
    return {"about": "message"} if person == WHOLE_MESSAGE else {"about": "recipient", "recipient": person}


@dataclass(frozen=True, slots=True)
class Message:
    """What decisions need to know of a message.

    Attributes:
        stream: its id.
        version: last version of its stream; 0 when it is not written yet.
        registered: a person or system declared the send, so its list of recipients is complete.
        recipients: how many are declared; the next index.
        batches: the streams of the batches that it belongs to.
        tenant: whose it is; "" while it is not written yet.
        protected: indexes of the recipients whose identity is protected; WHOLE_MESSAGE: everybody's.
        unprotected: those of whom a person took it back: no arrival protects them again.
        erased: indexes of the recipients who were erased; WHOLE_MESSAGE: everybody, with all that was kept of it; SOMEBODY: of a
            message that was joined.
    """

    stream: str
    version: int = 0
    registered: bool = False
    recipients: int = 0
    batches: frozenset[str] = frozenset()
    tenant: str = ""
    protected: frozenset[int] = frozenset()
    unprotected: frozenset[int] = frozenset()
    erased: frozenset[int] = frozenset()

    def keeps(self, person: int) -> bool:
        """Whether something of a recipient, or of the whole message, may still be kept."""
        if not self.erased:
            return True
        is_everybody = 0 < self.recipients <= len(self.erased - {SOMEBODY})
        return not is_everybody and not {WHOLE_MESSAGE, person} & self.erased


def evolve(message: Message, event: Event | Mapping[str, Any]) -> Message:
    """The message after one more event of its stream."""
    fields = event.fields if isinstance(event, Event) else event
    kind = str(fields["type"]).partition("/")[0]
    changes: dict[str, Any] = {"version": fields.get("version", message.version + 1)}
    changes["tenant"] = fields.get("tenant", message.tenant)
    if kind == "submission.requested":
        changes["registered"] = True
    if kind == "recipients.declared":
        changes["recipients"] = max(message.recipients, fields["first"] + fields["count"])
    if kind in {PROTECTED, UNPROTECTED}:
        whose = frozenset(indexes(fields))
        added, taken = ("protected", "unprotected") if kind == PROTECTED else ("unprotected", "protected")
        changes |= {added: getattr(message, added) | whose, taken: getattr(message, taken) - whose}
    if kind == "evidence.erased":
        changes["erased"] = message.erased | {fields.get("recipient", WHOLE_MESSAGE)}
    if kind == "streams.joined" and JOINS_ERASED in fields.get("notes", ()):
        changes["erased"] = message.erased | {SOMEBODY}
    batches = {s for s in fields.get("streams", ()) if s.startswith("batch/")}
    return replace(message, batches=message.batches | batches, **changes)


def indexes(fields: Mapping[str, Any]) -> Collection[int]:
    """Whom an event about protection is about: a run of recipients, or the whole message."""
    first = fields.get("first")
    return (WHOLE_MESSAGE,) if first is None else range(first, first + fields.get("count", 1))


def shadow(recipient: int) -> int:
    """The index under which the look-ups stand that show that a recipient is protected: they find nobody."""
    return -2 - recipient


@dataclass(slots=True)
class Planned:
    """An event to be written.

    Attributes:
        kind: type without version.
        stream: where.
        clear: fields of the table of clear fields.
        values: person (index in the message, or -1) -> field path -> value.
        names: indexes of earlier events of the same plan that it names, besides those in `clear`.
    """

    kind: str
    stream: str
    clear: dict[str, Any] = field(default_factory=dict)
    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    names: tuple[int, ...] = ()


@dataclass(slots=True)
class Plan:
    """What one decision writes; indexes point into `events`.

    Attributes:
        lookups: (index, kind, parts, stream, recipient, exclusive).
        joins: (index, stream, joined into).
        opened: message and batch streams that must not exist yet.
        expect: streams whose version the decision rested on.
    """

    events: list[Planned] = field(default_factory=list)
    lookups: list[tuple[int, str, tuple[str, ...], str, int, bool]] = field(default_factory=list)
    joins: list[tuple[int, str, str]] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    expect: dict[str, int] = field(default_factory=dict)

    def add(self, event: Planned) -> int:
        self.events.append(event)
        return len(self.events) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A send as the organisation itself declares it.

    Attributes:
        account: the tenant's account at the provider.
        provider: the provider's name.
        recipients: in the order that gives them their index; at least one.
        references: names it is known by (own reference, provider ids already known).
        protected: those of the recipients whose identity is protected.
        batch: what groups it, or None.
        labels: policy, case, customer …
        texts: subject, sender …; committed.
        documents: fingerprints of what was sent.
        follows: (relation, message stream): `replaces`, `follows` or `reminds` another message.
    """

    account: str
    provider: str
    recipients: tuple[Address, ...]
    protected: tuple[Address, ...] = ()
    references: tuple[Reference, ...] = ()
    batch: Reference | None = None
    labels: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    documents: tuple[Fingerprint, ...] = ()
    follows: tuple[tuple[str, str], ...] = ()


def clean_texts(texts: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Texts as they can be committed, with notes of what had to be done: nothing hostile stops the log.

    The original bytes keep what is cut or replaced here.
    """
    cleaned: dict[str, str] = {}
    notes: set[str] = set()
    for path, text in texts.items():
        if len(text) <= MAX_TEXT_CHARS and text.isascii() and "\0" not in text:
            cleaned[path] = text
            continue
        fixed, repaired = repair_text(text)
        if repaired:
            notes.add("text_repaired")
        if len(fixed) > MAX_TEXT_CHARS:
            notes.add("text_cut")
        cleaned[path] = fixed[:MAX_TEXT_CHARS]
    return cleaned, sorted(notes)


Generations = Mapping[Address, int]
"""Recipients whose identity is protected -> how often that was taken back before, of their address."""


def plan_recipients(
    plan: Plan,
    message: Message,
    recipients: Sequence[Address],
    clear: Mapping[str, Any],
    protected: Generations | None = None,
) -> Message:
    """Declare recipients from the message's next index on, at most 400 an event, and say who of them is protected."""
    before = message.recipients
    for start in range(0, len(recipients), MAX_DECLARED):
        chunk = recipients[start : start + MAX_DECLARED]
        first = message.recipients
        values = {
            first + i: {f"recipient.{first + i}": value_of(a._replace(value=clean(a.value)))}
            for i, a in enumerate(chunk)
        }
        declared = Planned(
            "recipients.declared", message.stream, {**clear, "first": first, "count": len(chunk)}, values
        )
        index = plan.add(declared)
        for i, address in enumerate(chunk):
            parts = (address.kind, normal(address))
            plan.lookups.append((index, "address", parts, message.stream, first + i, False))
        message = replace(message, recipients=first + len(chunk), version=message.version + 1)
    told = {before + i: address for i, address in enumerate(recipients) if address in (protected or {})}
    return plan_protection(plan, message, told, clear, protected or {})


def plan_protection(  # noqa: PLR0917  as `plan_recipients`
    plan: Plan,
    message: Message,
    recipients: Mapping[int, Address | None],
    clear: Mapping[str, Any],
    generations: Generations,
    kind: str = PROTECTED,
) -> Message:
    """Say that recipients are protected, or no longer, and make what is sent to their addresses later known to be theirs."""
    for first, count in _runs(recipients):
        fields = {**clear, "about": "recipient", "first": first, "count": count}
        event = plan.add(Planned(kind, message.stream, fields))
        message = evolve(message, {**fields, "type": kind, "version": message.version + 1})
        for index in range(first, first + count):
            if (address := recipients[index]) is not None:
                plan.lookups += _known(event, kind, message.stream, index, address, generations)
    return message


def plan_whole_protection(  # noqa: PLR0917  as `plan_recipients`
    plan: Plan,
    message: Message,
    recipients: Mapping[int, Address],
    clear: Mapping[str, Any],
    generations: Generations,
    kind: str = PROTECTED,
) -> Message:
    """The same of everybody to whom a message goes; recipients: those of them who are known."""
    fields = {**clear, "about": "message"}
    event = plan.add(Planned(kind, message.stream, fields))
    for index, address in sorted(recipients.items()):
        plan.lookups += _known(event, kind, message.stream, index, address, generations)
    return evolve(message, {**fields, "type": kind, "version": message.version + 1})


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and length of each run of consecutive numbers."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    yield from ((first, count) for first, count in runs)


def _known(  # noqa: PLR0917  as `Plan.lookups`
    event: int, kind: str, stream: str, index: int, address: Address, generations: Generations
) -> Iterator[tuple[int, str, tuple[str, ...], str, int, bool]]:
    """Look-ups that show it of an address; an earlier generation stands wherever a later one does, whatever is erased."""
    last = generations.get(address, 0)
    for generation in range(last + 1) if kind == PROTECTED else (last,):
        parts = (address.kind, normal(address), str(generation))
        yield event, kind, parts, stream, shadow(index), False


def clean(text: str) -> str:
    return repair_text(text)[0][:MAX_TEXT_CHARS]


def plan_names(
    plan: Plan,
    index: int,
    message: str,
    account: str,
    *,
    references: Iterable[Reference] = (),
    documents: Iterable[Fingerprint] = (),
    labels: Iterable[str] = (),
) -> None:
    """Values and look-ups of the names by which an event makes its message findable."""
    values = plan.events[index].values.setdefault(WHOLE_MESSAGE, {})
    for i, reference in enumerate(references):
        kind, value = reference.kind, clean(reference.value.strip())
        values[f"reference.{i}"] = {"kind": kind, "value": value}
        if reference.exclusive:  # a shared name says nothing of which message it is about: it only finds
            plan.lookups.append((index, "reference", (account, kind, value), message, WHOLE_MESSAGE, True))
        plan.lookups.append((index, "any_reference", (value,), message, WHOLE_MESSAGE, False))
    for i, document in enumerate(documents):
        said = {
            k: clean(v) if isinstance(v, str) else v for k, v in document._asdict().items() if v not in ("", -1, ())
        }
        digests = {str(v) for k, v in said.items() if k.startswith("sha") and isinstance(v, str)}
        values[f"document.{i}"] = {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}
        for digest in sorted(digests):
            plan.lookups.append((index, "document", (digest,), message, WHOLE_MESSAGE, False))
    for i, label in enumerate(labels):
        values[f"label.{i}"] = clean(label)
        plan.lookups.append((index, "label", (clean(label).casefold(),), message, WHOLE_MESSAGE, False))


def plan_registration(  # noqa: PLR0917  as `plan_recipients`
    plan: Plan,
    message: Message,
    registration: Registration,
    source: Mapping[str, Any],
    batch_stream: str,
    protected: Generations,
) -> None:
    """Write a registered send: request, recipients, labels and links."""
    texts, notes = clean_texts(registration.texts)
    said = (
        {**source, "about": "message"}
        | ({"notes": notes} if notes else {})
        | ({"streams": [batch_stream]} if batch_stream else {})
    )
    requested = plan.add(Planned("submission.requested", message.stream, said, {WHOLE_MESSAGE: dict(texts)}))
    plan_names(
        plan,
        requested,
        message.stream,
        registration.account,
        references=registration.references,
        documents=registration.documents,
    )
    plan_recipients(plan, message, registration.recipients, source, protected)
    for label in registration.labels:
        labelled = plan.add(Planned("message.labelled", message.stream, dict(source)))
        plan_names(plan, labelled, message.stream, registration.account, labels=(label,))
    for relation, other in registration.follows:
        plan.add(Planned("message.linked", message.stream, {**source, "rule": relation, "streams": [other]}))
