"""States without a time of their provider's: which sighting is new.

A polled state is new when it differs from the one seen before it (A→B→A is three facts); "before" goes by our own clock, so that
polls which are handed in late find their place. What is told in other ways is one fact for ever, but an earlier sighting of it
counts too: it says since when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.application import Ledger
from ledger.names import Names
from ledger.observations import Observation
from ledger.writer import Context

CHAIN_PAGE = 32


class Link(NamedTuple):
    """A state in the chain of an object: its number from 1, and when we saw it."""

    number: int
    observed_at: str


class Sightings:
    """What is known of the states that one arrival tells."""

    def __init__(self, ledger: Ledger, context: Context, names: Names, observed_at: str) -> None:
        self._ledger = ledger
        self._context = context
        self._names = names
        self._observed_at = observed_at

    def is_earlier(self, key: bytes) -> bool:
        """Whether this arrival came before the fact that is stored under a key."""
        return self._observed_at < self._seen_at(key)

    def next_keys(self, seen: Observation) -> list[bytes]:
        """The keys of a polled state's link; empty when the one seen before it is this very state."""
        last = self._last(seen)
        if last:
            before: Link | None = Link(last, self._seen_at(self._key(seen, last)))
            if before and self._observed_at < before.observed_at:
                links = (Link(n, self._seen_at(self._key(seen, n))) for n in range(1, last + 1))
                before = max(
                    (k for k in links if k.observed_at <= self._observed_at), key=lambda k: k[::-1], default=None
                )
            if before and self._is_known(self._names.chain_key(seen, before.number, with_state=True)):
                return []
        return [self._names.chain_key(seen, last + 1, with_state=w) for w in (False, True)]

    def links(self, seen: Observation) -> list[bytes]:
        """The keys under which this state may stand in the chain of its object."""
        keys = [self._names.chain_key(seen, n, with_state=True) for n in range(1, self._last(seen) + 1)]
        self._context.known |= {k: p for k, p in self._ledger.known(keys).items() if k not in self._context.known}
        return keys

    def _last(self, seen: Observation) -> int:
        """The number of the link that was written last."""
        last = 0
        while True:
            page = [self._key(seen, n) for n in range(last + 1, last + CHAIN_PAGE + 1)]
            self._context.known |= {k: p for k, p in self._ledger.known(page).items() if k not in self._context.known}
            found = sum(key in self._context.known for key in page)
            last += found
            if found < CHAIN_PAGE:
                return last

    def _key(self, seen: Observation, number: int) -> bytes:
        return self._names.chain_key(seen, number, with_state=False)

    def _is_known(self, key: bytes) -> bool:
        return key in self._context.known or bool(self._ledger.known([key]))

    def _seen_at(self, key: bytes) -> str:
        position = self._context.known[key]
        return str(self._ledger.event(position).fields["observed_at"]) if position else self._context.sighted[key]

    def note(self, keys: Sequence[bytes]) -> None:
        """Remember when what is about to be written was seen."""
        self._context.sighted |= dict.fromkeys(keys, self._observed_at)
