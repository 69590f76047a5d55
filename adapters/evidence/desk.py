"""Where evidence is handed out: a pack is made, then its export is recorded, then it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.accounts import CONSOLE, Accounts
from adapters.evidence.pack import Ask, Finish, Pack, build, head_at, record_export
from ledger import identity, notes
from ledger.checkpoints import HeadFile, SignedHead
from ledger.errors import ConfigurationError
from projections.discretion import discreet


@dataclass(frozen=True, slots=True)
class Desk:
    """What handing out evidence needs.

    Attributes:
        heads: all signed heads.
        signed_head: signs what is committed by now, where this process may.
        log_keys: private log keys that are here.
        finish: the report and the seal.
        shows_protected: also what names those whose identity is protected.
    """

    accounts: Accounts
    heads: HeadFile
    signed_head: Callable[[], SignedHead]
    log_keys: Sequence[Ed25519PrivateKey]
    finish: Finish
    shows_protected: bool = False

    def issue(self, ask: Ask, at: int | None = None, actor: str = CONSOLE) -> Pack:
        """Make a pack and record that it leaves.

        Args:
            at: tree size of a signed head; today's without it.
            actor: who asked: id of an API key, or `console`.

        Raises:
            NotFoundError: no such message, recipient or signed head.
            ConfigurationError: see `build`; or no log key in use is here.
        """
        ledger = self.accounts.ledger if self.shows_protected else discreet(self.accounts.ledger)
        head = self.signed_head() if at is None else head_at(ledger, self.heads, at)
        pack = build(ledger, ask, head, self._keys_in_use(), self.finish)
        record_export(self.accounts, pack, actor)
        return pack

    def _keys_in_use(self) -> list[Ed25519PrivateKey]:
        """A key that was retired or revoked signs nothing any more, not even about the past."""
        known = identity.read(self.accounts.ledger)
        active = {key.public for key in known.keys} if known else set()
        held = [key for key in self.log_keys if notes.public_of(key) in active]
        if not held:
            msg = "no log key in use is in the key folder; restore its file to hand out evidence"
            raise ConfigurationError(msg)
        return held
