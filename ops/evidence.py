"""The desk that hands out evidence, constructed from the opened system."""

from __future__ import annotations

from adapters.evidence import presenting, seal
from adapters.evidence.desk import Desk
from adapters.stamping import Timestamps
from ops.system import System


def desk(system: System) -> Desk:
    """Where this ledger's evidence is handed out; the self-made seal is made at the first call.

    Raises:
        ConfigurationError: the seal cannot be used.
    """
    sealer = seal.load_or_create(system.settings.key_folder)
    finish = presenting.finish(sealer, Timestamps(system.ledger, None).token)
    return Desk(system.accounts, system.heads, system.signed_head, system.log_keys, finish)
