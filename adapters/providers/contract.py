"""What a provider folder must offer; the same for all of them.

A provider is one folder: `PROVIDER = Provider(...)` in its `__init__.py`, a sans-I/O `wire.py`,
word tables in `statuses.py`, and `samples/`. Adding one edits nothing outside its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from adapters.providers.calling import Client
from ledger.observations import Arrival, Observation, Verdict

Source = Literal["R", "C", "3P", "CMP", "A"]
"""R real (the provider's own documentation), C seen in a client's code, 3P a third party's summary,
CMP a comparable provider, A our assumption."""

Retry = Literal["", "never", "later", "person", "unclear"]
"""What a sender may do after this word: "" does not arise; never = the same request fails again;
later = wait, then again; person = somebody must repair something first; unclear = it may have been sent."""


@dataclass(frozen=True, slots=True)
class Word:
    """One row of a provider's vocabulary.

    Attributes:
        word: exactly as the provider writes it.
        type: our event type, or "" where the word only qualifies another (a reason code, a limit).
        meaning: one plain English line.
        source: how we know the word.
        reason: our reason code, or "".
        retry: what a sender may do after it.
        note: why an odd row is as it is.
    """

    word: str
    type: str
    meaning: str
    source: Source
    reason: str = ""
    retry: Retry = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the provider's API, or one kind of document it sends.

    Attributes:
        name: our token, as in Arrival.operation (`send`, `webhook.dlr`, `receipt`); for an
            operation the ledger does not use, the provider's own name for it.
        method: for example `POST /send`, `webhook`, `mailbox`.
        use: `used` (parse() reads it), `recorded` (kept as evidence, not parsed) or `out_of_scope`.
        why: for `out_of_scope` and `recorded` the reason; for `used` what is read from it.
        source: how we know the operation.
    """

    name: str
    method: str
    use: Literal["used", "recorded", "out_of_scope"]
    why: str
    source: Source


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome of a signature check.

    Attributes:
        verdict: VERIFIED or REFUSED.
        key_id: the id of the key that verified it, or the one that was claimed.
        why: for people, when refused.
    """

    verdict: Verdict
    key_id: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a signature on an original is judged by.

    Attributes:
        roots: certificates in DER that a signer's chain may lead to.
        moment: our clock when the original reached us: its signature was made before.
    """

    roots: tuple[bytes, ...]
    moment: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What checking the signature of an original found.

    Attributes:
        holds: True when it is good; False when it is there and proves wrong; None when it is absent or cut off.
        verdicts: one token for each aspect that was looked at (integrity, signer, algorithm …), words of Provider.notes; in the clear.
        texts: signer, issuer, why …; committed.
        why: for people, when it does not hold.
    """

    holds: bool | None
    verdicts: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Everything the rest of the system may know about one provider.

    Attributes:
        name: the folder's name; stands in the clear in events.
        title: for people.
        channel: `registered_email`, `certified_email`, `post`, `sms` or `fax`.
        mapping: name and version of the word tables, for example `kpn_sms/1`; written into events.
        documentation: where the facts come from, and when last checked.
        relied_on: where the provider does not sign, what is relied on instead.
        operations: all operations of its API.
        tables: word tables by name (`status`, `error`, `http`, `reason`, `address_type`, `limit`, …).
        notes: token -> what it means, for Observation.notes.
        headers: lower-case names of the headers that may be kept.
        parse: bytes in, observations out; pure. Raises UnreadableError.
        recognise: (file name, bytes) -> operation name, or "" when these bytes are not this
            provider's; used by `import` on bare files.
        verify: for providers that sign webhooks: (arrival, secrets by key id, now) -> Checked; else None.
        signed_operations: operations for which `verify` must pass.
        secret_bodies: operations whose body carries a secret by contract; never exported.
        secret_references: kinds of references whose value opens something to whoever knows it; shown to those who may see originals.
        attest: for providers whose originals carry a third party's signature: what checking it found; None for an
            original that is none. Pure; never raises for what is in the bytes.
        client: how to call its service; None where nothing is called.
        region: country to which its national telephone numbers belong (ISO 3166-1 alpha-2); an account's setting may say another.
    """

    name: str
    title: str
    channel: str
    mapping: str
    documentation: str
    relied_on: str
    operations: tuple[Operation, ...]
    tables: Mapping[str, tuple[Word, ...]]
    parse: Callable[[Arrival], tuple[Observation, ...]]
    recognise: Callable[[str, bytes], str]
    notes: Mapping[str, str] = field(default_factory=dict)
    headers: frozenset[str] = frozenset()
    verify: Callable[[Arrival, Mapping[str, bytes], datetime], Checked] | None = None
    signed_operations: frozenset[str] = frozenset()
    secret_bodies: frozenset[str] = frozenset()
    secret_references: frozenset[str] = frozenset()
    attest: Callable[[Arrival, Trust], Attested | None] | None = None
    client: Client | None = None
    region: str = ""

    def words(self) -> frozenset[str]:
        """Every word and reason that may stand in the clear in an event of this provider."""
        rows = [row for table in self.tables.values() for row in table]
        return frozenset(w for row in rows for w in (row.word, row.reason) if w)
