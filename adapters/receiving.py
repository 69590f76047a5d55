"""From bytes to the ledger: verify, read with the provider's wire module, admit. No network here.

The one place where a provider's code meets the ledger. Whatever a wire module does wrong, the bytes are kept: an exception that it
should not raise is treated like bytes it cannot read.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from adapters.providers import registry
from adapters.providers.contract import Checked, Trust
from adapters.providers.pec_mailbox import attesting
from adapters.providers.pec_mailbox.verdicts import Revocation
from ledger.application import Words
from ledger.errors import ConfigurationError
from ledger.names import Attestation, Reading
from ledger.observations import Arrival, UnreadableError, Verdict

LOG = logging.getLogger(__name__)


def vocabulary() -> dict[str, Words]:
    """What of each provider's vocabulary may stand in the clear in events."""
    return {
        name: Words(provider.mapping, provider.words(), provider.channel, provider.region)
        for name, provider in registry().items()
    }


def verified(arrival: Arrival, keys: Mapping[str, bytes], now: datetime) -> tuple[Arrival, Checked]:
    """The arrival with its verdict, by the provider's own signature check where the operation is signed.

    Args:
        keys: webhook secrets by key id.
        now: our clock.
    """
    provider = registry().get(arrival.provider)
    if provider is None or provider.verify is None or arrival.operation not in provider.signed_operations:
        return dataclasses.replace(arrival, verdict=Verdict.UNSIGNED), Checked(Verdict.UNSIGNED)
    checked = provider.verify(arrival, keys, now)
    return dataclasses.replace(arrival, verdict=checked.verdict, key_id=checked.key_id), checked


def attester(
    roots: Callable[[], tuple[bytes, ...]], said: Callable[[Arrival], Revocation] = lambda _arrival: Revocation()
) -> Callable[[Arrival], Attestation | None]:
    """What checks the signatures of originals, each by its provider's rules.

    Args:
        roots: the certificates, in DER, that signers' chains may lead to.
        said: what authorities said of the signer of an arrival.
    """

    def attest(arrival: Arrival) -> Attestation | None:
        provider = registry().get(arrival.provider)
        if provider is None or provider.attest is None:
            return None
        try:
            trusted = roots()
        except ConfigurationError as error:  # the bytes are kept, and nothing is claimed of their signature
            LOG.error("signatures cannot be checked: %s", error)  # noqa: TRY400  the text says it all
            trusted = ()
        trust = Trust(trusted, arrival.observed_at)
        is_certified = provider.attest is attesting.attest  # the signatures that revocations are known of
        found = attesting.attest(arrival, trust, said(arrival)) if is_certified else provider.attest(arrival, trust)
        return None if found is None else Attestation(found.holds, found.verdicts, found.texts, found.why)

    return attest


def read(tenant: str, arrival: Arrival, *, message: str = "", actor: str = "", stored: tuple[str, ...] = ()) -> Reading:
    """What the provider's wire module reads in an arrival; unreadable bytes say why."""
    if arrival.provider not in registry():
        why = "no provider recognises these bytes"
        return Reading(tenant, arrival, unreadable=why, message=message, actor=actor, stored=stored)
    try:
        observations = registry()[arrival.provider].parse(arrival)
    except UnreadableError as error:
        return Reading(
            tenant, arrival, unreadable=str(error) or "unreadable", message=message, actor=actor, stored=stored
        )
    except Exception as error:  # noqa: BLE001  a defect in a wire module must not lose bytes
        # Only the kind of failure is told: its text may quote what a person wrote.
        why = f"the reader failed: {type(error).__name__}"
        LOG.error("%s, operation %s: %s", arrival.provider, arrival.operation, why)  # noqa: TRY400  see above
        return Reading(tenant, arrival, unreadable=why, message=message, actor=actor, stored=stored)
    return Reading(tenant, arrival, observations, message=message, actor=actor, stored=stored)
