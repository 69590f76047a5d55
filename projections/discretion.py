"""A ledger that keeps protected identities to itself: what it opens is what anybody may see who may see the rest.

Withheld are the values of a protected recipient, those of a message all of whose recipients are protected, every other value that names
a protected person of that organisation by an address, and originals that name one, or in which nobody can look. Events themselves hold
nothing personal. Which deliveries are left out of lists is decided in `projections.queries`. Who may see more looks through the ledger
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ledger.appender import Appended, Item
from ledger.application import PAGE, WHOLE_MESSAGE, Artifact, Ledger, Opened
from ledger.database import Reads
from ledger.errors import LedgerError
from ledger.events import Event, message_of
from ledger.observations import Address
from ledger.recorders import Head
from ledger.streams import PROTECTED, Message, evolve, indexes, person_of
from projections import declared
from projections.declared import Whose
from projections.naming import BINARY, Needles, UnsearchableError, needles, texts, texts_in

NOBODYS = ("account/", "batch/")
"""Begin the streams of what concerns nobody in particular, so that it may concern anybody."""


class ProtectedError(LedgerError):
    """The original names, or may name, somebody whose identity is protected; the scope protected and a reason open it."""


@dataclass(frozen=True, slots=True)
class _Hidden:
    """Who is protected, as far as some events can tell of it.

    Attributes:
        persons: in the messages concerned.
        named: what names any protected person of the organisation.
    """

    persons: frozenset[Whose]
    named: Needles

    def is_person(self, owner: str, person: int) -> bool:
        return (owner, person) in self.persons or (owner, WHOLE_MESSAGE) in self.persons

    def is_withheld(self, path: str, opened: Opened) -> bool:
        """Whether a value may not be shown."""
        if self.is_person(opened.owner, opened.person):
            return True
        is_own = opened.person >= 0 and path == f"recipient.{opened.person}"  # as that delivery shows it
        return not is_own and self.named.are_in(texts_in(opened.value))

    def are_alone(self, owner: str, telling: Sequence[Event]) -> bool:
        """Whether an original tells of protected people and of nobody else.

        Args:
            owner: the stream whose key seals it.
            telling: the events that rest on it.
        """
        places = _places(telling)
        return self.is_person(owner, WHOLE_MESSAGE) or (bool(places) and all(self.is_person(*each) for each in places))

    def may_be_named(self, owner: str, telling: Sequence[Event], body: bytes) -> bool:
        """Whether an original names somebody protected, or tells of them and cannot be searched."""
        if self.named.are_in([body.decode("utf-8", "replace"), body.decode("latin-1")]):
            return True
        try:
            if not body.startswith(BINARY):
                return self.named.are_in(texts(body))
        except (UnsearchableError, RecursionError):
            pass
        told_of = {owner, *(message for message, _ in _places(telling))}
        return any(each.startswith(NOBODYS) for each in told_of) or bool(told_of & {m for m, _ in self.persons})


def discreet(ledger: Ledger) -> Ledger:
    """The same ledger for those who may not see protected identities."""
    if isinstance(ledger, _Discreet):
        return ledger
    view = _Discreet.__new__(_Discreet)
    vars(view).update(whole=ledger, opened={})
    return view


def everything(ledger: Ledger) -> Ledger:
    """The ledger behind a discreet one."""
    return ledger.whole if isinstance(ledger, _Discreet) else ledger


def withheld(ledger: Ledger, messages: Iterable[str]) -> frozenset[Whose]:
    """Who in some messages is not to be seen through this ledger."""
    return protected(ledger.database, messages) if isinstance(ledger, _Discreet) else frozenset()


def protected(reads: Reads, messages: Iterable[str]) -> frozenset[Whose]:
    """Whose identity is protected in some messages."""
    rows = reads.probe("read_protected", "message, recipient", "message", sorted(set(messages)))
    return frozenset((str(message), int(recipient)) for message, recipient in rows)


def addresses(ledger: Ledger, deliveries: Iterable[Whose]) -> dict[Whose, Address]:
    """Addresses as declared, nobody else's opened; an erased one has none."""
    wanted = set(deliveries)
    hidden = withheld(ledger, (message for message, _ in wanted))
    everybody = {message for message, person in hidden if person == WHOLE_MESSAGE}
    seen = sorted(whose for whose in wanted - hidden if whose[0] not in everybody)
    return declared.addresses(everything(ledger), seen)


class _Discreet(Ledger):
    """See `discreet`.

    Attributes:
        whole: the ledger itself.
        opened: tenant -> addresses of protected recipients, as far as they were needed and are not erased.
    """

    whole: Ledger
    opened: dict[str, dict[Whose, Address]]

    def __getattr__(self, name: str) -> Any:
        """What the ledger itself has, as it is now: its clock, and whether it is frozen."""
        return getattr(vars(self)["whole"], name)

    def seen_through(self, reads: Reads) -> Ledger:
        return discreet(self.whole.seen_through(reads))

    def head(self) -> Head:
        return self.whole.head()

    def submit(self, item: Item) -> Any:
        return self.whole.submit(item)

    def append(self, item: Item) -> Appended:
        return self.whole.append(item)

    def close(self) -> None:
        """Nothing is open that is not the ledger's own."""

    # --- what is withheld

    def values(self, events: Sequence[Event]) -> dict[int, dict[str, Any]]:
        if not self._hidden(events):
            return self.whole.values(events)
        found = self.disclosures(events)
        return {position: {path: each.value for path, each in said.items()} for position, said in found.items()}

    def disclosures(self, events: Sequence[Event]) -> dict[int, dict[str, Opened]]:
        hidden, found = self._hidden(events), self.whole.disclosures(events)
        tenants = {event.position: event.tenant for event in events}
        return {
            position: {
                path: each
                for path, each in said.items()
                if tenants[position] not in hidden or not hidden[tenants[position]].is_withheld(path, each)
            }
            for position, said in found.items()
        }

    def values_of(self, told: Mapping[Whose, Event]) -> dict[Whose, dict[str, Any]]:
        hidden = protected(self.database, (message for message, _ in told))
        everybody = {message for message, person in hidden if person == WHOLE_MESSAGE}
        return self.whole.values_of(
            {whose: e for whose, e in told.items() if whose not in hidden and whose[0] not in everybody}
        )

    def artifact(self, artifact_id: str) -> Artifact:
        """Original bytes by artifact id.

        Raises:
            NotFoundError, ErasedError: as the ledger's own.
            ProtectedError: it tells of protected people alone, or may name one.
        """
        position, owner = self.artifact_place(artifact_id)
        found = self.whole.artifact(artifact_id)
        for hidden in self._hidden([self.event(position)]).values():
            # Stored with the first event of its item, which may be one that names no original.
            item = self.whole.between(position - 1, position - 1 + PAGE)
            telling = [event for event in item if artifact_id in event.fields.get("artifacts", ())]
            if hidden.are_alone(owner, telling) or hidden.may_be_named(owner, telling, found.body):
                raise ProtectedError
        return found

    def _hidden(self, events: Sequence[Event]) -> dict[str, _Hidden]:
        """Tenant -> who is protected; empty where nobody is."""
        found = {}
        for tenant in {event.tenant for event in events}:
            rows = self.database.read("SELECT message, recipient FROM read_protected WHERE tenant = ?", (tenant,))
            everybody = frozenset((str(message), int(recipient)) for message, recipient in rows)
            # Read models may be a moment behind the events at hand, which may have been taken back since: the log says how it is.
            said = {(e.stream, i) for e in events if e.type == PROTECTED for i in indexes(e.fields)}
            for stream in {stream for stream, _ in said - everybody}:
                now = reduce(evolve, self.stream(stream), Message(stream))
                everybody |= {(stream, index) for index in now.protected}
            if everybody:
                found[tenant] = _Hidden(everybody, self._needles(tenant, everybody))
        return found

    def _needles(self, tenant: str, whose: frozenset[Whose]) -> Needles:
        people = sorted(each for each in whose if each[1] != WHOLE_MESSAGE)
        held = self.database.probe_pairs("person_keys", "stream, person", ("stream", "person"), people)
        there = {(str(stream), int(person)) for stream, person in held}
        found = {each: address for each, address in self.opened.get(tenant, {}).items() if each in there}
        missing = there - found.keys()
        found |= addresses(self.whole, missing) if missing else {}
        self.opened[tenant] = found  # whole, and never changed afterwards: other threads look too
        return needles(found.values())


def _places(telling: Iterable[Event]) -> set[Whose]:
    return {(message_of(event.stream), person_of(event.stream)) for event in telling}
