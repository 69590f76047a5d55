"""What is held survives every attempt to erase it: whoever tries, by whatever way, in whatever order, broken off or racing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from adapters import keeping
from adapters.erasing.carrying import Eraser
from adapters.erasing.finding import Finder, Subject
from adapters.outbox import ActRefusedError
from ledger import erasing as destroying
from ledger.errors import ErasedError, LedgerError, NotFoundError
from ledger.events import Event
from ledger.observations import Reference
from ops import erasing
from ops.system import System
from tests.adapters.conftest import opened_system, serving
from tests.flow.desk import DELIVERED, NETWORK, admit, report, send, waiting
from tests.postgres import Database

PHONES = ("+31612340001", "+31612340002", "+31612340003")
REASON = "asked for under article 17"
Deliveries = set[tuple[str, int]]


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """An opened ledger on each kind of database."""
    with opened_system(database, tmp_path) as found:
        yield found


class Held:
    """An organisation of its own in a ledger, what it holds, and what of that can be read."""

    def __init__(self, system: System, tenant: str) -> None:
        self.system, self.tenant = system, tenant
        self.eraser: Eraser = erasing.eraser(system)
        self.messages: dict[str, tuple[str, ...]] = {}
        self.holds: dict[str, Deliveries] = {}
        self.items: list[str] = []
        system.accounts.add(tenant, "sms", "kpn_sms")

    # --- what is held

    def covered(self) -> Deliveries:
        """Deliveries under a hold that stands."""
        return set().union(*self.holds.values())

    def content(self) -> dict[tuple[str, object], object]:
        """Everything that tells of what is held: of each delivery its own, of its message what is not another recipient's."""
        found: dict[tuple[str, object], object] = {}
        for message, recipient in self.covered():
            whole = all((message, index) in self.covered() for index in range(len(self.messages[message])))
            events = self.system.ledger.stream(message)
            batches = sorted({s for e in events for s in e.fields.get("streams", ()) if s.startswith("batch/")})
            for stream in (f"{message}/{recipient}", *batches):
                events += self.system.ledger.stream(stream)
            for event in events:
                found |= self._told(event, None if whole else recipient)
        return found

    def _told(self, event: Event, recipient: int | None) -> dict[tuple[str, object], object]:
        values = self.system.ledger.values([event]).get(event.position, {})
        kept = {
            p: v
            for p, v in values.items()
            if recipient is None or not p.startswith("recipient.") or p == f"recipient.{recipient}"
        }
        found: dict[tuple[str, object], object] = {(event.id, path): json.dumps(value) for path, value in kept.items()}
        for artifact in event.fields.get("artifacts", ()):
            with suppress(ErasedError, NotFoundError):
                found["original", artifact] = self.system.ledger.artifact(artifact).body
        return found

    # --- what happens

    def send(self, first: int, count: int) -> None:
        ident = f"{self.tenant}-{len(self.messages)}"
        phones = tuple(PHONES[(first + n) % len(PHONES)] for n in range(1 + count % len(PHONES)))
        batch = Reference("batch", f"parcels for {PHONES[first % 3]}", exclusive=False)
        texts = {"subject": f"for {' and '.join(phones)}", "content": "Your parcel"}
        message = send(self.system, ident, *phones, tenant=self.tenant, batch=batch, texts=texts, labels=("case 1",))
        self.messages[message] = phones
        for phone in phones:
            admit(self.system, report(phone, NETWORK, 1, ident), self.tenant)

    def deliver(self, which: int, whom: int) -> None:
        for message in self._nth(which):
            phones, number = self.messages[message], list(self.messages).index(message)
            admit(
                self.system,
                report(phones[whom % len(phones)], DELIVERED, 2 + whom, f"{self.tenant}-{number}"),
                self.tenant,
            )

    def hold(self, which: int, whom: int) -> None:
        """By message, by recipient, or by the label that all have."""
        for message in self._nth(which):
            scope = ("message", "recipient", "label")[whom % 3]
            value = {"message": message, "recipient": PHONES[which % 3], "label": "case 1"}[scope]
            self.place(scope, value)

    def place(self, scope: str, value: str) -> None:
        self.system.runner.run()
        placed = keeping.place(self.system.accounts, self.system.queries, self.tenant, scope, value, "claim")
        self.holds[placed.hold] = {
            (message, index)
            for message, phones in self.messages.items()
            for index, phone in enumerate(phones)
            if value in {message, phone, "case 1"}
        }
        self.system.runner.run()

    def release(self, which: int, _whom: int) -> None:
        for hold in list(self.holds)[which : which + 1]:
            keeping.release(self.system.accounts, self.system.queries, self.tenant, hold, "settled")
            del self.holds[hold]

    def claim(self, which: int, whom: int) -> None:
        """A report that nobody could match is claimed for a message, and every other time let go again."""
        for message in self._nth(which):
            item = waiting(self.system, report(self.messages[message][0], DELIVERED, 3 + len(self.items)), self.tenant)
            self.items.append(item)
            with suppress(LedgerError):
                self.system.lanes.claim(self.tenant, item, message, "hers")
                if whom % 2:
                    self.system.runner.run()
                    self.system.lanes.unclaim(self.tenant, item, "not hers")

    def erase_recipient(self, which: int, _whom: int) -> None:
        self.erase(Subject(recipient=PHONES[which % 3]))

    def erase_message(self, which: int, _whom: int) -> None:
        for message in self._nth(which):
            self.erase(Subject(message=message))

    def erase(self, subject: Subject) -> None:
        self.system.runner.run()
        with suppress(ActRefusedError):
            self.eraser.carry_out(self.tenant, self.eraser.ask(self.tenant, subject, REASON).erasure)

    def erase_and_crash(self, which: int, whom: int) -> None:
        """The process dies before some destroying, and another one goes on."""
        left = whom

        def dies(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return destroy(*args)

        destroy = destroying.destroy
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(destroying, "destroy", dies)
            with suppress(KeyboardInterrupt):
                self.erase_recipient(which, whom)
        self.finish()

    def erase_and_race(self, which: int, whom: int) -> None:
        """A hold is placed when the erasing has looked at the holds, and before it has said anything."""
        looked, holds = (
            Finder.forbidding,
            iter([("recipient", PHONES[which % 3])] * (whom % 2) or [("label", "case 1")]),
        )
        before: dict[tuple[str, object], object] = {}

        def races(finder: Finder, *args: Any) -> Any:
            found = looked(finder, *args)
            for scope, value in holds:
                self.place(scope, value)
                before.update(self.content())
                break
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Finder, "forbidding", races)
            self.erase_recipient(which, whom)
        assert before == {key: value for key, value in self.content().items() if key in before}

    def finish(self) -> None:
        """Go on with whatever was begun."""
        for erasure in self.eraser.newest(self.tenant)[0]:
            with suppress(ActRefusedError):
                self.eraser.carry_out(self.tenant, erasure.erasure)

    def _nth(self, which: int) -> list[str]:
        return list(self.messages)[which % len(self.messages) :][:1] if self.messages else []


STEPS = (
    Held.send, Held.send, Held.deliver, Held.hold, Held.hold, Held.release, Held.claim,
    Held.erase_recipient, Held.erase_recipient, Held.erase_message, Held.erase_and_crash, Held.erase_and_race,
)  # fmt: skip
NUMBERS = iter(range(1_000_000))


@hypothesis.settings(
    max_examples=25,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 3)), min_size=6, max_size=14)
)
def test_what_is_held_is_as_it_was_after_every_attempt(system: System, steps: list[tuple[Any, int, int]]) -> None:
    """Byte for byte: values and originals of whatever is held when somebody tries, shared ones of the message and its batch included."""
    held = Held(system, f"tenant-{next(NUMBERS)}")
    held.send(0, 1)
    for step, which, whom in steps:
        before = held.content() if step is not Held.release else {}
        step(held, which, whom)
        after = held.content()
        lost = sorted(str(key) for key in before if key not in after or before[key] != after[key])
        assert [] == lost, step.__name__


async def test_nobody_is_let_past_a_hold(system: System) -> None:
    """The API refuses by address and by message, naming the hold; nothing was begun that could be gone on with."""
    async with serving(system) as api:
        held = Held(system, api.tenant)
        held.send(0, 1)
        held.hold(0, 0)
        before = held.content()
        for subject in (
            {"recipient": PHONES[0]},
            {"recipient": "0031 6 12340002"},
            {"message": next(iter(held.messages))},
        ):
            reply = await api.call("POST /v1/erasures", json={**subject, "reason": REASON}, scopes=("privacy",))
            assert 409 == reply.status, reply
            assert next(iter(held.holds)) in reply.json["detail"]
        held.finish()
        assert before == held.content()
