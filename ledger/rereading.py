"""Decides what today's code makes of an original that was read before: what it reads otherwise takes the place of what was believed.

What was believed stays in the log: the event that takes its place is a normal fact, and an `observation.reread` beside the old one
names what no longer counts. A fact is read again from the original that told it, so every fact has one history, a chain of keys from
its first event on; running it again finds the chain's end as it is and writes nothing. Bytes that today's code cannot read take
nothing away, and what waits for a person goes on waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ledger.appender import Item
from ledger.decision import Change, Decision
from ledger.events import Event, message_of
from ledger.observations import Observation
from ledger.placing import ALONE, CONTRADICTS, Like
from ledger.streams import WHOLE_MESSAGE, Planned, evolve

REREAD = "observation.reread"
SAID = ("code", "reason", "occurred_at", "zone", "part", "numbers", "about")
"""Clear fields that, with the notes, say what a provider's words mean; when one differs, it is read otherwise."""


def is_told(event: Event) -> bool:
    """Whether an event is what a provider's original told, and no verdict or act of ours."""
    return "mapping" in event.fields and "artifacts" in event.fields and "rule" not in event.fields


class Rereading(Decision):
    """Decides one original that is held; used once. Its reading names the events that it told when it came."""

    @property
    def told(self) -> Sequence[Event]:
        return self.reading.told or ()

    def item(self) -> Item | None:
        """The item to store, or None when today's code reads it as before.

        Raises:
            PendingError: see there.
        """
        if self.reading.unreadable or self._is_unverified():
            return None
        confirmed = {
            found for index, seen in enumerate(self.reading.observations) for found in self._again(index, seen)
        }
        self._drop(self._unread(confirmed))
        if not self.plan.events:
            return None
        if self.reading.attested:
            self._attest(self.reading.attested, ())
        self._note_contents(())
        self.outcome.messages += self.placing.messages
        return self._finish(is_held=True)

    def _again(self, index: int, seen: Observation) -> list[str]:
        """Plan what is new of one observation; ids of the events of this original that told it."""
        old = self._told(index, seen)
        if old is not None:
            self._replace(index, seen, old)
            return [old.id]
        if self._is_known(self.names.fact_keys[index]):
            return []  # another original told it, and tells it again
        waits = self.names.lane_keys[index] in self.context.known
        streams = {message_of(event.stream) for event in self.told}
        messages = {stream for stream in streams if not stream.startswith(("batch/", "account/"))}
        if not waits and len(messages) == 1 and not any(r.exclusive for r in seen.references):
            self.placing.reading = self.reading._replace(message=messages.pop())
        before = len(self._facts)
        self._decide(index, seen)
        self.placing.reading = self.reading
        if len(self._facts) > before:
            self.outcome.reread.append(self._change(None, self._facts[-1]))
            self.outcome.settled += [self._event(self.names.lane_keys[index]).id] if waits else []
        return []

    def _told(self, index: int, seen: Observation) -> Event | None:
        """The event by which this very original told an observation."""
        keys = [self.names.fact_keys[index], self.names.sighting_key(index), self.names.claimed_key(index)]
        if self.names.is_chained(seen) and keys[0] in self.context.known:
            keys += self.sightings.links(seen)
        positions = sorted({self.context.known[key] for key in keys if self.context.known.get(key)})
        mine = (event for event in map(self.ledger.event, positions) if is_told(event))
        return next((e for e in mine if e.fields["artifacts"] == list(self.reading.stored)), None)

    def _later(self, event_id: str) -> tuple[list[Event], bytes]:
        """How what an event told was read since, oldest first, and the key for the next reading of it."""
        later: list[Event] = []
        while True:
            key = self.names.reread_key(event_id, len(later) + 1)
            self.context.known |= self.ledger.known([key]) if key not in self.context.known else {}
            if key in self._mine or not self._is_known(key):  # of this plan, or not there
                return later, key
            later.append(self._event(key))

    def _replace(self, index: int, seen: Observation, old: Event) -> None:
        later, key = self._later(old.id)
        now = later[-1] if later else old
        if key in self._mine:  # the body tells it twice
            return
        if now.type == seen.type and _same(now.fields, self.placing.said(seen)[0]):
            return
        rivals = self._rivals(now) if seen.content else ()
        clear, texts = self.placing.said(seen, Like((CONTRADICTS,), rivals) if rivals else ALONE)
        event = self._place(seen, old, clear, texts)
        self._facts.append(event)
        self._claim(event, [key])
        self._new_word(index)
        if now.type != REREAD:
            self._aside([now])
        if self._is_known(self.names.witnessed_keys[index]):
            stream = self.plan.events[event].stream
            about = {k: v for k, v in clear.items() if k in {"about", "recipient"}}
            source = {**self.placing.source(), "rule": "evidence.witnessed", **about}
            self._add_to(Planned("evidence.ingested", stream, source, names=(event,)))
        self.outcome.reread.append(self._change(now, event))
        self.writer.absorb()

    def _place(self, seen: Observation, old: Event, clear: dict[str, Any], texts: dict[str, Any]) -> int:
        """Plan the new event where the old one stands: nothing that became known since moves it."""
        person = old.fields.get("recipient", WHOLE_MESSAGE)
        kept = {k: old.fields[k] for k in ("recipient",) if k in old.fields}
        if old.fields.get("about") == "other_recipient":
            kept["about"] = "other_recipient"
        return self._add_to(Planned(seen.type, old.stream, {**clear, **kept}, {person: texts}))

    def _rivals(self, fact: Event) -> Sequence[str]:
        """Facts with the same identity that say something else, as they are read by now: those it names, and those that name it."""
        named = list(fact.fields.get("events", ())) if CONTRADICTS in fact.fields.get("notes", ()) else []
        naming = (e for e in self.ledger.stream(fact.stream) if CONTRADICTS in e.fields.get("notes", ()))
        named += [e.id for e in naming if fact.id in e.fields.get("events", ())]
        now = ((each, self._later(each)[0][-1:]) for each in dict.fromkeys(named))
        return [last[0].id if last else each for each, last in now if not last or last[0].type != REREAD]

    def _unread(self, confirmed: Collection[str]) -> list[Event]:
        """What this original told once and today does not tell; what took the place of another was told by that one."""
        unread = [event for event in self.told if event.id not in confirmed]
        later = {each.id for event in self.told for each in self._later(event.id)[0]} if unread else set()
        return [event for event in unread if event.id not in later]

    def _drop(self, unread: Sequence[Event]) -> None:
        """Set aside what is no longer told."""
        for old in unread:
            later, key = self._later(old.id)
            now = later[-1] if later else old
            if now.type != REREAD:
                self._claim(self._aside([now]), [key])
                self.outcome.reread.append(self._change(now, None))

    def _aside(self, events: Sequence[Event]) -> int:
        first = events[0]
        kept = {k: first.fields[k] for k in ("about", "recipient") if k in first.fields}
        clear = {**self.placing.source(), **kept, "mapping": self.placing.words.mapping, "rule": "reread"}
        return self._add_to(Planned(REREAD, first.stream, {**clear, "events": [e.id for e in events]}))

    def _add_to(self, planned: Planned) -> int:
        event = self.plan.add(planned)
        message = self.context.messages.get(planned.stream)
        if message is not None:
            self.context.messages[planned.stream] = evolve(message, {"type": planned.kind})
        self.outcome.messages.append(self.context.canonical(message_of(planned.stream)))
        return event

    def _change(self, before: Event | None, after: int | None) -> Change:
        planned = self.plan.events[after] if after is not None else None
        stream = planned.stream if planned else before.stream if before else ""
        said = {} if planned is None else {**planned.clear, "type": planned.kind}
        held = {} if before is None else {**before.fields, "type": before.type}
        return Change(self.context.canonical(message_of(stream)), stream, *_words(held), *_words(said))


def _words(said: Mapping[str, Any]) -> tuple[str, str]:
    return str(said.get("type", "")), str(said.get("reason") or said.get("code") or "")


def _same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether both say the same: whom it concerns was found out when it came, that it has a rival is no part of it."""
    moved = before.get("about") == "other_recipient"
    notes = ([n for n in fields.get("notes", ()) if n != CONTRADICTS] for fields in (before, after))
    return next(notes) == next(notes) and all(
        before.get(name) == after.get(name) for name in SAID if not (moved and name == "about")
    )
