"""The keyed digests under which an arrival, and what it says, may be known already."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from functools import cached_property
from typing import NamedTuple

from ledger.addresses import forms
from ledger.application import Ledger
from ledger.events import Event, time_text
from ledger.observations import Arrival, ArrivalKind, Observation
from ledger.sealing import Keyring, undated
from ledger.streams import clean

SAME_BODY_DAYS = 3
"""A webhook without id or time is the same as an equal one of the last 72 hours or more (two windows are compared)."""


class Attestation(NamedTuple):
    """What checking the signature of an arrival's original found.

    Attributes:
        holds: True when it is good; False when it is there and proves wrong; None when it is absent or cut off.
        verdicts: tokens, one for each aspect that was looked at; in the clear.
        texts: signer, issuer …; committed.
        why: for people, when it does not hold.
    """

    holds: bool | None
    verdicts: tuple[str, ...] = ()
    texts: Mapping[str, str] = {}
    why: str = ""


class Settled(NamedTuple):
    """Of an arrival that answers a call of ours: which, and what the answer means.

    Attributes:
        attempt: id of the event that announced the call.
        kind: `dispatch.answered` or `dispatch.unclear`.
        rule: `dispatch.sent`, `dispatch.refused`, `dispatch.later` or `dispatch.unclear`.
        recipient: index of the one recipient the call was for; None: all.
        texts: why; committed.
        numbers: HTTP or SMTP `status`.
    """

    attempt: str
    kind: str
    rule: str
    recipient: int | None = None
    texts: Mapping[str, str] = {}
    numbers: Mapping[str, int] = {}


class Claim(NamedTuple):
    """A person's word that what waits belongs to a message.

    Attributes:
        item: the event that opened the waiting item.
        note: why.
    """

    item: Event
    note: str


class Reading(NamedTuple):
    """An arrival and what its wire module read in it.

    Attributes:
        unreadable: why nothing could be read; the arrival then waits in that lane.
        message: the message it belongs to, when the caller knows.
        actor: id of the API key or person who handed it in, or "".
        stored: ids of the originals, when these bytes are held already and are only read again.
        told: what these stored bytes told when they came, where today's tables read them again; else None.
        item: position of the waiting item that is read again; of its arrival, what waits under other items is left alone.
        attested: what checking its signature found; None where originals are not signed.
        settles: the call of ours that it answers.
        claim: whose word it is that `message` is the one; its observations are those that waited.
    """

    tenant: str
    arrival: Arrival
    observations: tuple[Observation, ...] = ()
    unreadable: str = ""
    message: str = ""
    actor: str = ""
    stored: tuple[str, ...] = ()
    told: tuple[Event, ...] | None = None
    item: int = 0
    attested: Attestation | None = None
    settles: Settled | None = None
    claim: Claim | None = None


class Names:
    """The digests of one reading; those that few decisions ask for are made when one does.

    Attributes:
        body_keys: under which the exact bytes are known; the first is the one to write.
        undated_body_keys: the same as earlier versions wrote them.
        fact_keys: per observation, identity and content: known means the same fact.
        lane_keys: per observation, under which it is known to wait in the lane of the unmatched.
        unreadable_key, unverified_key: under which bytes that nobody can read, or whose signature does not hold, are known to wait.
        told_keys, witnessed_keys: per observation, under which it is known that somebody told us a fact, and that we saw it come later.
        word_keys: per observation, under which a word that the provider's tables do not have is known to the tenant; else None.
        answer_key: under which an answer to the same call of ours is known.
        claim_key: under which it is known that the waiting item was claimed once; None when this is no claim.
        identity_keys: per observation identity alone, where a content is certified; else None.
        chain_keys: of each polled state without a time, the key of the first link of its object's chain.
        references, batches: look-up digests of what it names.
        addresses: those of each recipient it names: the one to write, then those that earlier versions wrote.
    """

    def __init__(self, ledger: Ledger, reading: Reading) -> None:
        self._keyring = ledger.keyring
        self._reading = reading
        self._said = _said(reading.arrival)
        seen = reading.observations
        self.body_keys = self._body_keys()
        self.fact_keys = [self._fact_key(each, index) for index, each in enumerate(seen)]
        self.answer_key = (
            answer_key(self._keyring, reading.tenant, reading.settles.attempt) if reading.settles else None
        )
        self.claim_key = claim_key(self._keyring, reading.tenant, reading.claim.item.id) if reading.claim else None
        self.identity_keys = [self._duplicate("identity", *each.identity) if each.content else None for each in seen]
        self.chain_keys = [self.chain_key(each, 1, with_state=False) for each in seen if self.is_chained(each)]
        words = ledger.vocabulary.get(reading.arrival.provider)
        self.new_words = ["" if words and each.code in words.words else each.texts.get("code", "") for each in seen]
        self.word_keys = [self._word_key(word) if word else None for word in self.new_words]
        names = {r for each in seen for r in each.references}
        self.references = {r: self._lookup("reference", r.kind, clean(r.value.strip())) for r in names}
        batches = {each.batch for each in seen if each.batch}
        self.batches = {b: self._lookup("batch", b.kind, clean(b.value.strip())) for b in batches}
        named = {a for each in seen for a in (*each.declares, each.recipient) if a is not None}
        filed = self._keyring.lookup
        self.addresses = {a: [filed(reading.tenant, "address", a.kind, form) for form in forms(a)] for a in named}

    @cached_property
    def undated_body_keys(self) -> list[bytes]:
        return [undated(key) for key in self.body_keys]

    @cached_property
    def lane_keys(self) -> list[bytes]:
        return self._of_facts("lane")

    @cached_property
    def told_keys(self) -> list[bytes]:
        return self._of_facts("told")

    @cached_property
    def witnessed_keys(self) -> list[bytes]:
        return self._of_facts("witnessed")

    @cached_property
    def unreadable_key(self) -> bytes:
        return self._duplicate("unreadable", *self._said)

    @cached_property
    def unverified_key(self) -> bytes:
        return self._duplicate("unverified", *self._said)

    def _of_facts(self, kind: str) -> list[bytes]:
        return [self._duplicate(kind, key.hex()) for key in self.fact_keys]

    def _lookup(self, kind: str, *parts: str) -> bytes:
        return self._keyring.lookup(self._reading.tenant, kind, self._reading.arrival.account, *parts)

    def _duplicate(self, kind: str, *parts: str, day: date | None = None) -> bytes:
        return self._keyring.duplicate(day, self._reading.tenant, self._reading.arrival.account, kind, *parts)

    def _body_keys(self) -> list[bytes]:
        """Led by the day of the poll, or by the first one of the window."""
        arrival, day = self._reading.arrival, self._reading.arrival.observed_at.date()
        if arrival.kind is ArrivalKind.POLL:
            return [self._duplicate("body", *self._said, time_text(arrival.observed_at), day=day)]
        if arrival.kind is not ArrivalKind.WEBHOOK:
            return [self._duplicate("body", *self._said)]
        windows = (each.toordinal() // SAME_BODY_DAYS for each in (day, day - timedelta(days=SAME_BODY_DAYS)))
        return [
            self._duplicate("body", *self._said, str(window), day=date.fromordinal(window * SAME_BODY_DAYS))
            for window in windows
        ]

    def _fact_key(self, seen: Observation, index: int) -> bytes:
        identity = seen.identity or (*self._said, str(index))
        day = seen.occurred.at.date() if seen.occurred else None
        arrival = self._reading.arrival
        return self._keyring.duplicate(
            day, self._reading.tenant, arrival.account, "fact", *identity, "|", *seen.content
        )

    def _word_key(self, word: str) -> bytes:
        return self._keyring.duplicate(None, self._reading.tenant, "", "word", self._reading.arrival.provider, word)

    def reread_key(self, event_id: str, number: int) -> bytes:
        """Under which the number-th other reading of what an event told is known."""
        return self._duplicate("reread", event_id, str(number))

    def claimed_key(self, index: int) -> bytes:
        """A fact that counts on a person's word, apart from the same fact told by an arrival that says itself where it belongs."""
        return self._duplicate("claimed", self.fact_keys[index].hex(), *self._reading.stored[:1])

    def chain_key(self, seen: Observation, number: int, *, with_state: bool) -> bytes:
        """The number-th state seen of an object whose provider gives no time (the state is the identity's last part)."""
        identity = seen.identity if with_state else seen.identity[:-1]
        return self._duplicate("chain", str(number), str(with_state), *identity)

    def sighting_key(self, index: int) -> bytes:
        """An earlier sighting of a fact without a time."""
        observed_at = time_text(self._reading.arrival.observed_at)
        return self._duplicate("sighted", self.fact_keys[index].hex(), observed_at)

    def is_chained(self, seen: Observation) -> bool:
        """Whether "new" means "differs from the last one seen": a polled state without a time."""
        return self._reading.arrival.kind is ArrivalKind.POLL and seen.occurred is None and len(seen.identity) > 1

    def keys(self) -> set[bytes]:
        """The duplicate keys that say whether anything of the reading is known (further links of chains apart)."""
        optional = (*self.identity_keys, *self.chain_keys, *self.word_keys, self.answer_key, self.claim_key)
        return {*self.body_keys, *self.fact_keys, *(key for key in optional if key)}

    def more_keys(self, known: Collection[bytes]) -> set[bytes]:
        """The others that a decision compares, unless all is new and finds its message by its names: then none of them can be known.

        Args:
            known: those of `keys` that are.
        """
        reading, seen = self._reading, self._reading.observations
        is_named = all(any(r.exclusive for r in each.references) for each in seen)
        is_special = reading.unreadable or reading.attested or reading.told is not None or reading.item or reading.claim
        is_repeated = not {*self.body_keys, *facts_of(self)}.isdisjoint(known)
        if is_named and not (is_special or is_repeated or self.chain_keys):
            return set()
        claimed = map(self.claimed_key, range(len(seen))) if reading.told is not None else ()
        sightings = map(self.sighting_key, range(len(seen)))
        waiting = (self.unreadable_key, self.unverified_key, *self.lane_keys)
        return {*self.undated_body_keys, *waiting, *self.told_keys, *self.witnessed_keys, *sightings, *claimed}


def facts_of(names: Names) -> set[bytes]:
    """The keys under which known facts stand that a reading repeats, rivals or goes on from."""
    return {key for key in (*names.fact_keys, *names.identity_keys, *names.chain_keys) if key}


def answer_key(keyring: Keyring, tenant: str, attempt: str) -> bytes:
    """Under which the event that settles a call of ours is known.

    Args:
        attempt: id of the event that announced the call.
    """
    return keyring.duplicate(None, tenant, "", "answer", attempt)


def claim_key(keyring: Keyring, tenant: str, item: str) -> bytes:
    """Under which the first claim of a waiting item is known.

    Args:
        item: id of the event that opened it.
    """
    return keyring.duplicate(None, tenant, "", "claim", item)


def _said(arrival: Arrival) -> tuple[str, ...]:
    """What was said, and to which question: the same answer to another one is another answer."""
    asked = arrival.name if "/" in arrival.name else ""  # a URL path; by the name of a file nothing is asked
    request = "" if arrival.request is None else hashlib.sha256(arrival.request).hexdigest()
    body = hashlib.sha256(arrival.body).hexdigest()
    return (arrival.provider, arrival.operation, str(arrival.status or ""), asked, request, body)
