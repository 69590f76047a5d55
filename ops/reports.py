"""The desk that makes reports, constructed from the opened system."""

from __future__ import annotations

from adapters import timestamps
from adapters.evidence import seal
from adapters.reports.making import Desk
from ledger import identity
from ops import keyfiles
from ops.evidence import tsa_roots
from ops.system import System


def desk(system: System) -> Desk:
    """Where this ledger's reports are made; the self-made seal is made with the first PDF.

    Raises:
        ConfigurationError: a time-stamp authority is named without its roots.
    """
    settings = system.settings
    timestamper = timestamps.blocking(settings.tsa_url, tsa_roots(settings)) if settings.tsa_url else None

    def sign(text: str) -> bytes:
        return identity.sign_text(system.leader.identity(), keyfiles.log_keys(settings.key_folder), text)

    return Desk(
        queries=system.queries,
        heads=system.heads,
        signed_head=system.signed_head,
        sign=sign,
        sealer=lambda: seal.load_or_create(settings.key_folder, settings.seal_file),
        timestamper=timestamper,
    )
