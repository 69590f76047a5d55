"""What is asked about the signatures of certified mail; `signatures` answers, and is loaded when it is first asked.

The libraries that it rests on take a third of the time in which a server starts, and who has no certified mail never needs them.
"""

from __future__ import annotations

from adapters.providers.contract import Attested, Trust
from adapters.providers.pec_mailbox.verdicts import Revocation
from ledger.observations import Arrival


def attest(arrival: Arrival, trust: Trust, revocation: Revocation | None = None) -> Attested | None:
    """As `signatures.attest`."""
    from adapters.providers.pec_mailbox import signatures  # noqa: PLC0415  as said above

    return signatures.attest(arrival, trust, revocation)


def certificates(arrival: Arrival) -> tuple[bytes, ...]:
    """As `signatures.certificates`."""
    from adapters.providers.pec_mailbox import signatures  # noqa: PLC0415  as said above

    return signatures.certificates(arrival)
