"""Faults on demand, for all parts of the sandbox."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Literal

Kind = Literal["status", "redirect", "cut_before", "cut_after", "slow_before", "slow_after", "garbage"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call.

    Attributes:
        kind: status = answered with `status`, nothing is done; redirect = answered 302; cut_before, cut_after = the
            connection ends without an answer, before or after the work is done; slow_before, slow_after = the answer
            comes `seconds` late; garbage = the work is done and the answer is not what was promised.
        text: of the answer, or what it is replaced by.
    """

    kind: Kind
    status: int = 500
    text: str = ""
    seconds: float = 3600.0


class Faults:
    """Which faults wait for which operation; each strikes once, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, operation: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next calls of an operation (`DATA`, `POST /send` …) fail."""
        self._waiting[operation].extend([fault] * times)

    def take(self, operation: str) -> Fault | None:
        """The fault that strikes this call, if any."""
        waiting = self._waiting[operation]
        return waiting.popleft() if waiting else None
