"""In which country numbers without one belong: that of the account, else that of its provider.

An account's region stands in the clear beside its settings. Where a person searches without saying an account, every region of the
organisation's accounts is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ledger.addresses import candidates, forms, is_national, located, normal
from ledger.application import Ledger
from ledger.names import Reading
from ledger.observations import Address, Observation


def of_provider(ledger: Ledger, provider: str) -> str:
    """Where a provider's national numbers belong; "" when it has none."""
    words = ledger.vocabulary.get(provider)
    return words.region if words else ""


def of_account(ledger: Ledger, tenant: str, account: str, provider: str) -> str:
    """Where national numbers belong that came through an account."""
    sql = "SELECT region FROM account_setup WHERE tenant = ? AND account = ? AND region <> ''"
    rows = ledger.database.read(sql, (tenant, account))
    return str(rows[0][0]) if rows else of_provider(ledger, provider)


def of_tenant(ledger: Ledger, tenant: str) -> tuple[str, ...]:
    """Where national numbers of any of the organisation's accounts may belong."""
    reads = ledger.database
    accounts = dict(reads.read("SELECT account, provider FROM accounts WHERE tenant = ?", (tenant,)))
    own = dict(reads.read("SELECT account, region FROM account_setup WHERE tenant = ?", (tenant,)))
    found = {own.get(account) or of_provider(ledger, provider) for account, provider in accounts.items()}
    return tuple(sorted(found - {""}))


def placed(ledger: Ledger, tenant: str, account: str, provider: str, given: Sequence[Address]) -> tuple[Address, ...]:
    """One spelling of each recipient, the first, in the order that gives the index; national numbers with the account's region."""
    region = of_account(ledger, tenant, account, provider) if any(map(is_national, given)) else ""
    found: dict[tuple[str, str], Address] = {}
    for each in given:
        address = located(each, region)
        found.setdefault((address.kind, normal(address)), address)
    return tuple(found.values())


def read_there(ledger: Ledger, readings: Sequence[Reading]) -> list[Reading]:
    """Arrivals whose national numbers say the region of the account by which they came."""
    known: dict[tuple[str, str, str], str] = {}
    found = []
    for reading in readings:
        came = (reading.tenant, reading.arrival.account, reading.arrival.provider)
        if any(map(is_national, _named(reading.observations))):
            if came not in known:
                known[came] = of_account(ledger, *came)
            seen = tuple(_seen_in(known[came], each) for each in reading.observations)
            found.append(reading._replace(observations=seen))
        else:
            found.append(reading)
    return found


def _named(observations: Iterable[Observation]) -> Iterable[Address]:
    return (a for seen in observations for a in (*seen.declares, seen.recipient) if a is not None)


def _seen_in(region: str, seen: Observation) -> Observation:
    recipient = None if seen.recipient is None else located(seen.recipient, region)
    return replace(seen, recipient=recipient, declares=tuple(located(each, region) for each in seen.declares))


def meant(ledger: Ledger, tenant: str, value: str, kind: str = "") -> list[Address]:
    """Every address that a person may have meant who typed one; a number without a country in every region.

    Args:
        kind: of the address; "" tries what it may be.
    """
    return candidates(value, kind, of_tenant(ledger, tenant))


def digests(ledger: Ledger, tenant: str, value: str, kind: str = "") -> list[bytes]:
    """The keyed digests under which recipients are found whom a person may have meant; as `meant`."""
    found = dict.fromkeys((a.kind, form) for a in meant(ledger, tenant, value, kind) for form in forms(a))
    return [ledger.keyring.lookup(tenant, "address", *each) for each in found]
