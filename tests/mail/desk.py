"""What a sweep is given, without a ledger behind it: remembers what was handed in and in which order things became durable."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from adapters.providers.calling import Access, Answer, Request
from ledger.decision import Outcome
from ledger.observations import ArrivalKind


class Handed(NamedTuple):
    """One arrival."""

    operation: str
    kind: ArrivalKind
    body: bytes
    name: str
    headers: Mapping[str, str]


@dataclass
class FakeDesk:
    """A `calling.Desk`.

    Attributes:
        before: called with each arrival before it is durable; may raise.
        saved: the state as a new process would find it.
    """

    access: Access
    before: Callable[[Handed], None] = lambda _handed: None
    account: str = "ufficio"
    state: dict[str, Any] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)

    def call(self, request: Request) -> Answer:
        raise NotImplementedError

    def admit(self, request: Request, answer: Answer) -> Outcome:
        raise NotImplementedError

    def admit_bytes(
        self,
        operation: str,
        kind: ArrivalKind,
        body: bytes,
        *,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        message: str = "",
    ) -> Outcome:
        handed = Handed(operation, kind, body, name, dict(headers or {}))
        self.before(handed)
        self.handed.append(handed)
        self.saved = copy.deepcopy(self.state)
        return Outcome()

    def record(
        self,
        kind: str,
        clear: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        message: str = "",
        once: Sequence[str] = (),
    ) -> None:
        raise NotImplementedError

    def known(self, kind: str, since: datetime, until: datetime, also: Collection[str] = ()) -> Mapping[str, str]:
        raise NotImplementedError

    def bodies(self, operation: str = "receipt") -> list[bytes]:
        return [each.body for each in self.handed if each.operation == operation]
