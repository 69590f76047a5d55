"""What is told of an erasure: before it, while it is under way, and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

State = Literal["waiting", "ready", "done", "declined", "expired"]
STATES: Mapping[str, str] = {
    "waiting": "waits for a second person, who agrees or declines",
    "ready": "is being carried out, or goes on with the next `erase carry-out`; not while a hold forbids it: ask for a preview",
    "done": "was carried out; its certificate can be fetched",
    "declined": "was declined or withdrawn",
    "expired": "nobody decided in time",
}
REMAINS: Mapping[str, str] = {
    "other_messages": "originals that tell of other messages too; they stay sealed, and leave only by a person's reason",
    "other_persons": "originals that tell of other recipients too; they stay sealed, and leave only by a person's reason",
    "in_force": "acts of people that are in force: holds, retention policies, and saved queries and schedules whose newest version does "
    "not name the person; end them, then ask again",
    "held": "values that several share, and what waits, which name the person and are kept by a hold on somebody else; release it, then "
    "ask again",
    "events": "the events, with commitments that nobody can open any more: proofs that were issued keep verifying",
    "duplicates": "keyed digests by which what comes again is known and not kept again",
    "provider_ids": "keyed digests of the provider's own ids of a message, so that what comes late is known to be of an erased one",
    "journal": "ids of what was erased, outside the database, so that it is erased again in a restored backup",
    "left": "packs, reports and packages that left before; the log says who took them",
    "backups": "backups of the database from before; they end when the key-encryption key is replaced and destroyed: `delivery-ledger keys "
    "kek rotate`, and later `delivery-ledger keys kek drop NAME`",
}
"""What may remain -> what it is and why. The first four only where something of the kind was found."""
COUNTED = ("other_messages", "other_persons", "in_force", "held")


class Stay(msgspec.Struct, frozen=True):
    """Something that remains.

    Attributes:
        count: None where nobody counts it.
        since: for backups: since when the oldest key-encryption key is in use, UTC; "" where that is not known.
    """

    what: str
    why: str
    count: int | None = None
    since: str = ""


class Forbids(msgspec.Struct, frozen=True):
    """A hold that forbids it."""

    hold: str
    scope: str
    placed_at: str


class Numbers(msgspec.Struct, frozen=True):
    """How much goes, or went.

    Attributes:
        messages: as a whole.
        recipients: deliveries, those of whole messages included.
        keys, values, originals, lookups: what is held of them.
        sends: what is kept of sends that are over.
        acts: of people.
        waiting: items of lanes.
        quarantined: refused webhooks.
        tasks: with what came of them.
    """

    messages: int = 0
    recipients: int = 0
    keys: int = 0
    values: int = 0
    originals: int = 0
    lookups: int = 0
    sends: int = 0
    acts: int = 0
    waiting: int = 0
    quarantined: int = 0
    tasks: int = 0

    def __add__(self, other: object) -> Numbers:
        """Both together."""
        if not isinstance(other, Numbers):
            return NotImplemented
        return Numbers(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Thing(msgspec.Struct, frozen=True):
    """One thing that would go.

    Attributes:
        what: `message`: all of it; `recipient`: one or more recipients of a message; `act`, `waiting`, `quarantined`, `task`.
        id: of the message, event, refused webhook or task.
        type: of an act's event, or kind of task.
        stays: reason -> how many originals, or values, that are about it stay; of an act why it stays itself.
    """

    what: Literal["message", "recipient", "act", "waiting", "quarantined", "task"]
    id: str
    type: str = ""
    goes: Numbers = Numbers()
    stays: dict[str, int] = {}


class Preview(msgspec.Struct, frozen=True):
    """What an erasure would do, a page at a time; nothing is changed.

    Attributes:
        things: of this page; `goes` adds them up.
        forbidden_by: holds; while there is one, nothing is erased.
        unsent: messages of this page that are still to be sent; cancel them first.
        is_searchable: whether texts are searched for the address; one that is too short is found by its keyed digest only.
        next: continues; "" at the end.
    """

    things: tuple[Thing, ...]
    goes: Numbers
    stays: tuple[Stay, ...]
    forbidden_by: tuple[Forbids, ...]
    unsent: tuple[str, ...]
    is_searchable: bool
    position: int
    next: str = ""


class Erasure(msgspec.Struct, frozen=True):
    """An erasure that somebody asked for; names no one.

    Attributes:
        erasure: its id, which is also that of the act.
        of: a recipient, found by an address, or a message.
        asked_by, decided_by: id of the API key, or `console`.
        numbers: what went; all 0 before.
    """

    erasure: str
    of: Literal["recipient", "message"]
    state: State
    meaning: str
    asked_at: str
    asked_by: str
    expires_at: str
    decided_at: str = ""
    decided_by: str = ""
    done_at: str = ""
    message: str = ""
    numbers: Numbers = Numbers()
