"""Named things whose every version is an event: schedules of reports, saved queries. The log is all there is of them.

A thing is found by duplicate keys alone: each version has one, and so has the first version of the n-th thing of a ledger. A key is
taken once, so of two who change the same version only one succeeds, and nothing beside the log could be behind it or contradict it.
What a version says is sealed and opened when it is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ledger.application import OWN_TENANT, Ledger
from ledger.batches import Item
from ledger.errors import DuplicateError, LedgerError, NotFoundError
from ledger.events import Event
from ledger.sealing import OWN_KEY
from ledger.tenants import working_for

ACCOUNT = "reports"
"""The pseudo-account in whose stream of the day everything about reports stands."""
AT_ONCE = 64


class ChangedError(LedgerError):
    """It was changed meanwhile; look at it again, and change what it is now."""


class Entry(NamedTuple):
    """The newest version of a thing.

    Attributes:
        event: id of the event that says so.
        rule: what was done, for example `schedule.created`.
        actor: id of the API key, `console`, or "".
        owner, made_at: who made the first version, and when.
        said: what it is; empty once it was erased.
    """

    name: str
    tenant: str
    version: int
    event: str
    rule: str
    actor: str
    changed_at: str
    owner: str
    made_at: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Register:
    """The things of one kind.

    Attributes:
        kind: type of their events.
        noun: for people; rules begin with it.
    """

    ledger: Ledger
    kind: str
    noun: str

    # --- looking

    def all(self, tenant: str = "") -> list[Entry]:
        """Everything that was not deleted, in the order of making.

        Args:
            tenant: of this organisation only.
        """
        firsts = [event for event in self._firsts() if tenant in {"", event.tenant}]
        names = self.ledger.values(firsts)
        found = (
            self._newest(e.tenant, names[e.position]["name"]) for e in firsts if "name" in names.get(e.position, {})
        )
        return [entry for entry in found if entry and not self._is_deleted(entry)]

    def get(self, tenant: str, name: str) -> Entry:
        """One of them.

        Raises:
            NotFoundError: there is none of that name, or not any more.
        """
        found = self._newest(tenant, name)
        if found is None or self._is_deleted(found):
            msg = f"there is no {self.noun} {name}"
            raise NotFoundError(msg)
        return found

    def newest(self, tenant: str, name: str) -> Entry | None:
        """One of them, also if it was deleted."""
        return self._newest(tenant, name)

    def _is_deleted(self, entry: Entry) -> bool:
        return entry.rule == f"{self.noun}.deleted"

    def _firsts(self) -> list[Event]:
        """The first version of each thing of the ledger, whoever's."""
        with working_for(""):  # one list for all of them, because the scheduler works for all
            return [self.ledger.event(position) for _, position in self._taken(OWN_TENANT, "all")]

    def _newest(self, tenant: str, name: str) -> Entry | None:
        positions = list(self._taken(tenant, "version", name))
        if not positions:
            return None
        first, last = (self.ledger.event(position) for _, position in (positions[0], positions[-1]))
        said = self.ledger.values([last]).get(last.position, {})
        fields = last.fields
        return Entry(
            name=name,
            tenant=tenant,
            version=positions[-1][0],
            event=last.id,
            rule=str(fields["rule"]),
            actor=str(fields.get("actor", "")),
            changed_at=str(fields["recorded_at"]),
            owner=str(first.fields.get("actor", "")),
            made_at=str(first.fields["recorded_at"]),
            said={path: value for path, value in said.items() if path != "name"},
        )

    def _taken(self, tenant: str, *what: str) -> Iterator[tuple[int, int]]:
        """The numbered keys that are taken, from 1 without a hole, each with the position of its event."""
        begin = 1
        while True:
            keys = {self._key(tenant, number, *what): number for number in range(begin, begin + AT_ONCE)}
            known = self.ledger.known(keys)
            yield from ((keys[key], known[key]) for key in keys if key in known)
            if len(known) < AT_ONCE:
                return
            begin += AT_ONCE

    def _key(self, tenant: str, number: int, *what: str) -> bytes:
        return self.ledger.keyring.duplicate(None, tenant, ACCOUNT, self.noun, *what, str(number))

    # --- changing

    def put(self, tenant: str, name: str, version: int, done: str, said: Mapping[str, Any], actor: str) -> Entry:  # noqa: PLR0917  a sentence: whose, which, after what, done, as, by
        """Write the next version; it is durable when this returns.

        Args:
            version: that it follows; 0 for a new thing.
            done: what was done to it, for example `created`.

        Raises:
            ChangedError: another version is the newest.
        """
        day = self.ledger.clock().date().isoformat()
        stream = f"account/{tenant}/{ACCOUNT}/{day}"
        row, key = self.ledger.new_key(stream, OWN_KEY)
        clear = {"account": ACCOUNT, "rule": f"{self.noun}.{done}"} | ({"actor": actor} if actor else {})
        while True:
            draft = self.ledger.draft(self.kind, tenant, stream, clear, [(key, {"name": name, **said})])
            keys = [self._key(tenant, version + 1, "version", name)]
            if not version:
                keys.append(self._key(OWN_TENANT, 1 + len(self._firsts()), "all"))
            try:
                self.ledger.append(Item([draft], keys=[row], duplicates=[(0, each) for each in keys]))
            except DuplicateError:
                if self.ledger.known(keys[:1]):
                    raise ChangedError from None
                continue  # somebody made another thing at this moment
            return self._newest(tenant, name) or self.get(tenant, name)
