"""Whether what a receipt says was delivered is what was sent: digests against digests, written as an event that names both facts.

It is decided whenever the second of the two becomes known, the receipt or the request, so the order of their arrival makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ledger.appender import Item
from ledger.application import Ledger
from ledger.errors import DuplicateError, ErasedError
from ledger.events import Event, delivery_stream, message_of
from ledger.streams import WHOLE_MESSAGE, about

TELLING, COPIED = frozenset({"content.consigned", "consignment.accepted"}), "evidence.ingested"
"""Types of facts that may say what was delivered; the type of a further original of one."""
MATCHES, DIFFERS = "content.matches", "content.differs"
UNTOLD = frozenset({"content_sintetica", "original_missing", "original_damaged", "content_partial"})
"""Notes of a receipt that does not tell all of the content: what it does not show may have been delivered all the same."""
DIGESTS = ("sha256", "sha1", "sha256_base64", "sha1_base64")


class Comparison(NamedTuple):
    """What a comparison found.

    Attributes:
        rule: MATCHES, DIFFERS, or "" when nothing can be said.
        sent, found: how many documents were sent, and how many of them the receipt shows.
        missing: names of the others.
    """

    rule: str
    sent: int
    found: int
    missing: tuple[str, ...]


def compare(
    sent: Sequence[Mapping[str, Any]], delivered: Sequence[Mapping[str, Any]], notes: Iterable[str]
) -> Comparison:
    """Compare the documents of a send with those that a receipt tells of; order and names do not matter.

    Args:
        sent, delivered: values of `ledger.observations.Fingerprint`, without what is unknown.
        notes: of the receipt.
    """
    told = {document[name] for document in delivered for name in DIGESTS if name in document}
    missing = [d for d in sent if told.isdisjoint([*(d[n] for n in DIGESTS if n in d), *d.get("sha1_forms", ())])]
    is_partial = bool(UNTOLD.intersection(notes)) or not delivered
    rule = "" if not sent or (missing and is_partial) else DIFFERS if missing else MATCHES
    return Comparison(rule, len(sent), len(sent) - len(missing), tuple(str(d.get("name", "")) for d in missing))


def check(
    ledger: Ledger, message: str, streams: Sequence[str] = (), beside: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Compare each receipt of a message with what was sent, once; writes what was found.

    Args:
        message: the one that tells the story; nothing is done while it is not registered.
        streams: of the deliveries to look at. Default: all that tell of it.
        beside: stream of a receipt -> stream in which what was found is written, where that is another one.
    """
    requests = [e for e in ledger.stream(message) if e.type == "submission.requested"]
    if not requests or not (sent := _documents(ledger, requests[:1]).get(requests[0].position)):
        return
    told = [e for stream in streams or _deliveries(ledger, message) for e in ledger.stream(stream)]
    facts = [e for e in told if e.type in TELLING]
    originals = {
        e.id: [e, *(c for c in told if c.type == COPIED and e.id in c.fields.get("events", ()))] for e in facts
    }
    keys = {e.id: ledger.keyring.duplicate(None, e.tenant, "", "content", e.id, requests[0].id) for e in facts}
    known = ledger.known(keys.values())
    fresh = [e for e in facts if keys[e.id] not in known]
    shown = _documents(ledger, [e for fact in fresh for e in originals[fact.id]])
    for fact in fresh:
        delivered = [document for e in originals[fact.id] for document in shown.get(e.position, [])]
        notes = [note for e in originals[fact.id] for note in e.fields.get("notes", ())]
        found = compare(sent, delivered, notes)
        if found.rule:
            _write(ledger, requests[0], fact, found, keys[fact.id], beside.get(fact.stream, fact.stream))


def _documents(ledger: Ledger, events: Sequence[Event]) -> dict[int, list[dict[str, Any]]]:
    values = ledger.values(events)
    return {p: [v for path, v in said.items() if path.startswith("document.")] for p, said in values.items()}


def _deliveries(ledger: Ledger, message: str) -> list[str]:
    """The delivery streams of a message and of those that were joined into it."""
    messages, wanted = [message], [message]
    while wanted:
        found = {str(s) for (s,) in ledger.database.probe("joins", "stream", "joined_into", wanted)} - set(messages)
        wanted = sorted(found)
        messages += wanted
    declared = [e for m in messages for e in ledger.stream(m) if e.type == "recipients.declared"]
    return [
        delivery_stream(e.stream, index)
        for e in declared
        for index in range(e.fields["first"], e.fields["first"] + e.fields["count"])
    ]


def _write(  # noqa: PLR0917  what was compared, what was found, where it is written
    ledger: Ledger, request: Event, fact: Event, found: Comparison, key: bytes, stream: str
) -> None:
    same = ("about", "recipient", "provider", "account", "mapping")
    clear = {name: fact.fields[name] for name in same if name in fact.fields}
    clear |= about(stream) if stream != fact.stream else {}
    clear |= {"rule": found.rule, "events": [fact.id, request.id]}
    clear["numbers"] = {"documents": found.sent, "found": found.found}
    owner, person = message_of(stream), clear.get("recipient", WHOLE_MESSAGE)
    said = {"missing": list(found.missing)} if found.missing else {}
    try:
        values = [(ledger.person_key(owner, person), said)] if said else []
        draft = ledger.draft("evidence.verified", fact.tenant, stream, clear, values)
        ledger.append(Item([draft], needs={fact.stream}, duplicates=[(0, key)]))
    except (DuplicateError, ErasedError):
        return  # another process was faster, or there is nothing left to be compared
