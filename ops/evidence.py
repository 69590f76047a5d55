"""The desk that hands out evidence, constructed from the opened system."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from adapters import timestamps
from adapters.evidence import presenting, seal
from adapters.evidence.desk import Desk
from adapters.stamping import Timestamps
from ledger.errors import ConfigurationError
from ops.settings import Settings
from ops.system import System


def desk(system: System) -> Desk:
    """Where this ledger's evidence is handed out; the self-made seal is made at the first call.

    Raises:
        ConfigurationError: the seal cannot be used.
    """
    settings = system.settings
    sealer = seal.load_or_create(settings.key_folder, settings.seal_file)
    token = Timestamps(system.ledger, None).token
    if settings.tsa_url:
        roots = tsa_roots(settings)
        pem = b"".join(root.public_bytes(Encoding.PEM) for root in roots)
        finish = presenting.finish(sealer, token, timestamps.blocking(settings.tsa_url, roots), pem)
    else:
        finish = presenting.finish(sealer, token)
    shows = system.queries.shows_protected
    return Desk(system.accounts, system.heads, system.signed_head, system.log_keys, finish, shows)


def tsa_roots(settings: Settings) -> list[Certificate]:
    """The roots that the authority's tokens must lead to.

    Raises:
        ConfigurationError: there are none.
    """
    if settings.tsa_roots is None:
        msg = (
            "tsa_url is set, tsa_roots is not: name a PEM file of the authority's root certificates (LEDGER_TSA_ROOTS)"
        )
        raise ConfigurationError(msg)
    return timestamps.roots_in(settings.tsa_roots)
