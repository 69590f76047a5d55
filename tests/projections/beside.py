"""Lists that are long from their second page on, so that another process opens what is on it."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.sealing import Keyring
from projections import listing, opening
from projections.opening import Held


def lengthen(monkeypatch: pytest.MonkeyPatch) -> list[Held]:
    """Make all lists long, and wait until the other process is there; gives back what is opened in this one."""
    taken: list[Held] = []
    ask, opened = opening._Beside.ask, opening.opened  # noqa: SLF001  there is no other way in

    def waiting(self: Any, held: Held) -> bool:
        if not self._is_there:
            self._answered.poll()
        return ask(self, held)

    def noting(keyring: Keyring, held: Held) -> Any:
        taken.append(held)
        return opened(keyring, held)

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(listing, "PAGE", 4)
    monkeypatch.setattr(opening, "LONG", 5)
    monkeypatch.setattr(opening._Beside, "ask", waiting)  # noqa: SLF001  as above
    monkeypatch.setattr(opening, "opened", noting)
    return taken
