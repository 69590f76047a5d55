"""Disputes: both sides of a contradiction, and what a person decides about it.

Everything is judged from the log as it stands at that moment, not from the read models, and written on the condition that nothing was
added since: a fact that arrives meanwhile is never settled unseen. A settlement is an event that names the facts it sets aside; it is
withdrawn by another one that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from adapters.accounts import CONSOLE
from adapters.strictjson import refuse
from ledger.appender import Item
from ledger.application import Ledger, PersonKey
from ledger.contents import DIFFERS
from ledger.errors import ErasedError, LedgerError, NotFoundError, VersionTakenError
from ledger.events import Event, delivery_stream, time_text
from ledger.streams import WHOLE_MESSAGE, about, clean
from ledger.types import TYPES
from projections.discretion import withheld
from projections.facts import Fact
from projections.fold import Folded
from projections.replay import Replay
from projections.rules import EFFECTS, RESOLVED, RULE_TEXTS, Status
from projections.rulesets import CURRENT
from projections.stories import MessageRow, Told

SETTLED, WITHDRAWN = "dispute.person", "dispute.withdrawn"
"""Rules of the event: what it names is set aside; or is a settlement that holds no longer."""
WORDS = ("code", "reason", "text", "occurred")
"""Paths of the provider's own words."""
RIVALS_SHOWN = 100


class SettlingRefusedError(LedgerError):
    """That cannot be settled so."""


class OvertakenError(LedgerError):
    """Something was added to this delivery meanwhile; look at it again, then decide."""


class Rival(msgspec.Struct, frozen=True):
    """One of the facts that contradict each other, or the comparison that shows it.

    Attributes:
        rule: of the contradiction it is part of; `rule_text` says it in words.
        says: the status it stands for; "" for a comparison.
        words: the provider's own, as far as they are held.
        artifacts: ids of its originals.
        alone, alone_grade: status and grade if, of all rivals, only this one held.
    """

    event_id: str
    position: int
    type: str
    meaning: str
    rule: str
    rule_text: str
    says: str
    occurred_at: str
    zone: str
    observed_at: str
    recorded_at: str
    provider: str
    account: str
    arrival: str
    verdict: str
    code: str
    reason: str
    words: dict[str, str]
    artifacts: tuple[str, ...]
    alone: str
    alone_grade: str


class Settlement(msgspec.Struct, frozen=True):
    """What a person decided; `actor` is the id of an API key, or `console`.

    Attributes:
        sets_aside: ids of the facts that it names.
        holds: whether it was not withdrawn.
    """

    event_id: str
    position: int
    recorded_at: str
    actor: str
    note: str
    sets_aside: tuple[str, ...]
    holds: bool


class Dispute(msgspec.Struct, frozen=True):
    """A delivery as far as somebody who settles a contradiction needs it.

    Attributes:
        rivals: the facts that contradict each other now, the first 100 by time; none when it is not disputed.
        rival_ids: ids of all of them.
        settlements: oldest first.
        position: the size of the log that this was judged at.
    """

    message: str
    recipient: int
    status: str
    sub_status: str
    grade: str
    rivals: tuple[Rival, ...]
    rival_ids: tuple[str, ...]
    settlements: tuple[Settlement, ...]
    position: int


@dataclass(frozen=True)
class Case:
    """One delivery as the log tells it at this moment."""

    ledger: Ledger
    replay: Replay
    row: MessageRow
    told: Sequence[Told]

    @cached_property
    def facts(self) -> list[Fact]:
        return self.replay.facts(self.told)

    @cached_property
    def folded(self) -> Folded:
        return self.replay.folded(self.row, self.facts)

    @cached_property
    def events(self) -> dict[str, Event]:
        return {event.id: event for each in self.told for event in self.replay.events[each.stream]}

    @cached_property
    def rivals(self) -> dict[str, str]:
        """Ids of the facts that contradict each other, and of the comparisons that show it -> rule of the contradiction."""
        if self.folded.status != Status.DISPUTED:
            return {}
        found = {each.event_id: each.rule for each in self.folded.reasons if each.effect == "decides"}
        settled = {each.event_id for each in self.folded.reasons if each.effect == "set_aside"}
        shown = (f for f in self.facts if f.rule == DIFFERS and f.event_id not in settled)
        return found | {f.event_id: "content.contradiction" for f in shown if found.keys() & set(f.events)}

    def alike(self, event_ids: Iterable[str]) -> set[str]:
        """Facts, with all that say the same without a time: the fold takes those for one."""
        said = {f.said() for f in self.facts if f.event_id in set(event_ids) and not (f.occurred_at or f.rule)}
        same = {f.event_id for f in self.facts if not (f.occurred_at or f.rule) and f.said() in said}
        return same | set(event_ids)

    def settled(self, event_ids: Iterable[str]) -> Folded:
        """What the delivery would be if a person set these facts aside."""
        fact = Fact(
            event_id="settled",
            position=self.replay.size + 1,
            type=RESOLVED,
            scope="recipient",
            about="recipient",
            occurred_at="",
            zone="",
            observed_at=time_text(self.ledger.clock()),
            code="",
            reason="",
            provider="",
            events=tuple(sorted(self.alike(event_ids))),
        )
        return self.replay.folded(self.row, [*self.facts, fact])

    @cached_property
    def settlements(self) -> list[Event]:
        """What persons set aside, oldest first."""
        mine = (e for e in self.events.values() if e.type == RESOLVED and e.fields.get("rule") == SETTLED)
        return sorted(mine, key=lambda event: event.position)

    @cached_property
    def withdrawn(self) -> set[str]:
        """Ids of the settlements that hold no longer."""
        return {each.event_id for each in self.folded.reasons if each.rule == "settled.withdrawn"}


def look(ledger: Ledger, tenant: str, message: str, recipient: int) -> Case:
    """A delivery as the log tells it now.

    Raises:
        NotFoundError: the tenant has no such delivery.
    """
    replay = Replay(ledger, ledger.head().size, CURRENT)
    row = replay.teller(tenant, message)
    hidden = withheld(ledger, [row.message])
    if (row.message, WHOLE_MESSAGE) in hidden:
        msg = f"there is no message {message}"
        raise NotFoundError(msg)
    if not 0 <= recipient < row.recipients or (row.message, recipient) in hidden:
        msg = f"message {message} has no recipient {recipient}"
        raise NotFoundError(msg)
    told = replay.story(row).of(recipient)
    replay.load(each.stream for each in told)
    return Case(ledger, replay, row, told)


def show(case: Case, recipient: int) -> Dispute:
    """Both sides of a contradiction, and what was decided before."""
    rivals, settlements = _by_time(case.events[each] for each in case.rivals), case.settlements
    shown = rivals[:RIVALS_SHOWN]
    values = case.ledger.values([*shown, *settlements])
    return Dispute(
        message=case.row.message,
        recipient=recipient,
        status=case.folded.status,
        sub_status=case.folded.sub_status,
        grade=str(case.folded.evidence.grade),
        rivals=tuple(_rival(case, event, values.get(event.position, {})) for event in shown),
        rival_ids=tuple(event.id for event in rivals),
        settlements=tuple(_settlement(case, event, values.get(event.position, {})) for event in settlements),
        position=case.replay.size,
    )


def _by_time(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda e: (e.fields.get("occurred_at") or e.fields["observed_at"], e.id))


def _rival(case: Case, event: Event, values: dict[str, Any]) -> Rival:
    f, rule = event.fields, case.rivals[event.id]
    alone = case.settled(case.rivals.keys() - {event.id})
    effect = EFFECTS[event.type]
    told = ("occurred_at", "zone", "observed_at", "recorded_at", "provider", "account", "arrival", "verdict")
    return Rival(
        event_id=event.id,
        position=event.position,
        type=event.type,
        meaning=TYPES[event.type].meaning,
        rule=rule,
        rule_text=RULE_TEXTS[rule],
        says=str(effect.status or ""),
        words={path: str(values[path]) for path in WORDS if path in values},
        artifacts=tuple(f.get("artifacts", ())),
        alone=alone.status,
        alone_grade=str(alone.evidence.grade),
        **{name: str(f.get(name, "")) for name in (*told, "code", "reason")},
    )


def _settlement(case: Case, event: Event, values: dict[str, Any]) -> Settlement:
    return Settlement(
        event_id=event.id,
        position=event.position,
        recorded_at=str(event.fields["recorded_at"]),
        actor=str(event.fields.get("actor", CONSOLE)),
        note=str(values.get("note", "")),
        sets_aside=tuple(event.fields.get("events", ())),
        holds=event.id not in case.withdrawn,
    )


@dataclass(frozen=True, slots=True)
class Settling:
    """What one person of one organisation does about disputes.

    Attributes:
        actor: id of the API key that acts, or `console`.
    """

    ledger: Ledger
    tenant: str
    actor: str = CONSOLE

    def show(self, message: str, recipient: int) -> Dispute:
        """Both sides of a contradiction.

        Raises:
            NotFoundError: the tenant has no such delivery.
        """
        return show(look(self.ledger, self.tenant, message, recipient), recipient)

    def resolve(
        self, message: str, recipient: int, sets_aside: Sequence[str], note: str, seen: int | None = None
    ) -> Dispute:
        """Set facts aside, so that what is left no longer contradicts itself; the same again is once.

        Args:
            sets_aside: ids of rivals.
            seen: position of the answer that the person looked at; what came later is not settled unseen.

        Raises:
            NotFoundError: the tenant has no such delivery.
            InvalidError: an event is not one of the rivals.
            SettlingRefusedError: the delivery is not disputed, or what is left would still be.
            OvertakenError: something was added meanwhile.
        """
        case = look(self.ledger, self.tenant, message, recipient)
        if self._is_done(case, sets_aside):
            return show(case, recipient)
        if not case.rivals:
            msg = f"the delivery is not disputed: it is {case.folded.status}"
            raise SettlingRefusedError(msg)
        if seen is not None and any(fact.position > seen for fact in case.facts):
            raise OvertakenError
        unknown = sorted(set(sets_aside) - case.alike(case.rivals))
        if unknown or not sets_aside:
            refuse("sets_aside", f"name facts that contradict each other here: {', '.join(case.rivals)}")
        left = case.settled(sets_aside)
        if left.status == Status.DISPUTED:
            rest = ", ".join(each.event_id for each in left.reasons if each.effect == "decides")
            msg = f"what is left would still be disputed: {rest}"
            raise SettlingRefusedError(msg)
        self._write(case, recipient, SETTLED, sorted(case.alike(sets_aside)), note)
        return self.show(message, recipient)

    def _is_done(self, case: Case, sets_aside: Sequence[str]) -> bool:
        """Whether this very settlement stands already."""
        standing = (e for e in case.settlements if e.id not in case.withdrawn)
        return bool(sets_aside) and any(set(sets_aside) <= set(e.fields["events"]) for e in standing)

    def withdraw(self, message: str, recipient: int, settlement: str, note: str) -> Dispute:
        """Take a settlement back: what it set aside counts again; the same again is once.

        Raises:
            NotFoundError: the tenant has no such delivery, or it has no such settlement.
            OvertakenError: something was added meanwhile.
        """
        case = look(self.ledger, self.tenant, message, recipient)
        if settlement not in {event.id for event in case.settlements}:
            msg = f"this delivery has no settlement {settlement}"
            raise NotFoundError(msg)
        if settlement not in case.withdrawn:
            self._write(case, recipient, WITHDRAWN, [settlement], note)
        return self.show(message, recipient)

    def _write(self, case: Case, recipient: int, rule: str, events: list[str], note: str) -> None:
        """Append the act in the delivery's own stream, if none of the streams that tell its story moved on."""
        row = case.row
        stream = delivery_stream(row.message, recipient)
        clear = {"provider": row.provider, "account": row.account, "rule": rule, "events": events, **about(stream)}
        clear |= {"actor": self.actor} if self.actor else {}
        values = [(self._key(row.message, recipient), {"note": clean(note)})]
        draft = self.ledger.draft(RESOLVED, self.tenant, stream, clear, values)
        expect = {each.stream: len(case.replay.events[each.stream]) for each in case.told}
        try:
            self.ledger.append(Item([draft], expect=expect))
        except VersionTakenError as error:
            raise OvertakenError from error

    def _key(self, message: str, recipient: int) -> PersonKey:
        """The note is about the person; where that key was destroyed, it is about what is left of the message."""
        try:
            return self.ledger.person_key(message, recipient)
        except ErasedError:
            return self.ledger.person_key(message, WHOLE_MESSAGE)
