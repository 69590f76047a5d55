"""Whether the signers of originals were revoked: asked for after the originals came, and written beside their verdicts.

When an original comes nobody is asked: its verdict then says that nothing is at hand. A job reads the log for such verdicts, asks the
signers' authorities once a day at most, judges the originals again, and writes one further verdict for each that names the first
and holds, as its original, the answer it rests on. Only what is had after an original came settles it, and only what was said
after it was signed: what an authority said before tells nothing of what it revoked in between.

All of it can be done again at any time: the queue follows from the log, and a verdict that was written is found by its duplicate
key. What came lies beside the log. Of signers that were found revoked it counts at once for whatever else they sign.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from asn1crypto import pem
from asn1crypto.x509 import Certificate

from adapters import trust
from adapters.jobs.rows import Turn
from adapters.providers import registry
from adapters.providers.contract import Attested, Trust
from adapters.providers.pec_mailbox import attesting
from adapters.providers.pec_mailbox.verdicts import Revocation
from adapters.trust import Captured
from ledger.appender import Item
from ledger.application import WHOLE_MESSAGE, Ledger, PersonKey, digest_value
from ledger.errors import CorruptError, DuplicateError, ErasedError, InvalidEventError, NotFoundError, TooLargeError
from ledger.events import Event, message_of, parse_time, time_text
from ledger.observations import Arrival, ArrivalKind
from ledger.streams import clean_texts
from projections.grades import ABSENT, GOOD, WRONG

LOG = logging.getLogger(__name__)
ASK_EVERY = timedelta(days=1)
FIRST_RETRY = timedelta(minutes=5)
ASKED_AT_ONCE = 8
PAGE = 1_000
BATCH = 100
LOOK_EVERY = timedelta(minutes=1)
MAX_ERROR = 1_000

OPEN = "revocation_unknown"
REVOKED = frozenset({"revocation_revoked", "revocation_later"})
RULES = {True: GOOD, False: WRONG, None: ABSENT}
_KEPT = ("provider", "account", "mapping", "about", "recipient")
_CURSOR = "revocations"

Ask = Callable[[bytes, Sequence[bytes]], Awaitable[Captured]]
"""A signer's certificate and those that its authority's may be among, in DER -> what the authority said."""


class Decided(NamedTuple):
    """A verdict that leaves nothing open, and the one list or answer it rests on."""

    attested: Attested
    said: bytes
    media_type: str


class _Signer(NamedTuple):
    """A row of `revocations` that is due; its certificate first, then those that came with it, in DER."""

    signer: str
    certificates: tuple[bytes, ...]
    tries: int


@dataclass(frozen=True, slots=True)
class Revocations:
    """The queue of one ledger.

    Args:
        roots: the certificates, in DER, that signers' chains may lead to.
        ask: asks an authority.
    """

    ledger: Ledger
    roots: Callable[[], tuple[bytes, ...]]
    ask: Ask = trust.capture

    # --- what waits

    def collect(self, limit: int = PAGE) -> int:
        """Queue the verdicts that leave it open, among the next events of the log.

        Returns:
            Events read; less than `limit` means that the end was reached.
        """
        events = self.ledger.feed(self.ledger.recorder.max_tracking_id(_CURSOR) or 0, limit)
        if not events:
            return 0
        found = [(event, held) for event in events if _is_open(event) and (held := self._certificates(event))]
        signers = {_name(held): b"".join(pem.armor("CERTIFICATE", der) for der in held) for _, held in found}
        waiting = [(event.position, _name(held), event.fields["recorded_at"]) for event, held in found]
        sql = "INSERT INTO revocations (signer, certificates, asked_at, retry_at, tries, error, is_revoked) VALUES (?,?,'','',0,'',0)"
        with self.ledger.database.writing() as cursor:
            cursor.executemany(f"{sql} ON CONFLICT DO NOTHING", sorted(signers.items()))
            queue = "INSERT INTO revocations_waiting (position, signer, since) VALUES (?,?,?) ON CONFLICT DO NOTHING"
            cursor.executemany(queue, waiting)
            self.ledger.track(cursor, _CURSOR, events[-1].position)
        return len(events)

    def _certificates(self, event: Event) -> tuple[bytes, ...]:
        try:
            return attesting.certificates(self._arrival(event))
        except (ErasedError, NotFoundError):
            return ()
        except (CorruptError, OSError) as error:
            LOG.warning("the original of event %s cannot be read: %s", event.id, error)
            return ()

    def _arrival(self, event: Event) -> Arrival:
        """The arrival behind a verdict, as far as its signature is concerned.

        Raises:
            ErasedError, NotFoundError: nothing is held of it any more.
            CorruptError, OSError: it cannot be read.
        """
        said = event.fields
        return Arrival(
            provider=said["provider"],
            account=said["account"],
            operation=said["operation"],
            kind=ArrivalKind(said["arrival"]),
            observed_at=parse_time(said["observed_at"]),
            body=self.ledger.artifact(said["artifacts"][0]).body,
        )

    # --- asking

    def ask_due(self) -> int:
        """Ask the authorities of a few signers that are due; what fails is tried again, later each time.

        Returns:
            How many were due.
        """
        found, now = self._due(), self.ledger.clock()
        roots = self.roots() if found else ()
        due = [each for each in found if Certificate.load(each.certificates[0]).not_valid_after >= now]
        for ended in (each for each in found if each not in due):
            # Authorities need not remember a certificate that has ended (RFC 5280 section 3.3): their silence proves nothing.
            self._write("DELETE FROM revocations_waiting WHERE signer = ?", ended.signer)

        async def together() -> list[Captured]:
            return await asyncio.gather(*(self.ask(e.certificates[0], (*e.certificates[1:], *roots)) for e in due))

        for each, captured in zip(due, asyncio.run(together()), strict=True):
            self._keep(each, captured)
        return len(found)

    def _due(self) -> list[_Signer]:
        sql = (
            "SELECT signer, certificates, tries FROM revocations r WHERE retry_at <= ? AND EXISTS "
            "(SELECT 1 FROM revocations_waiting w WHERE w.signer = r.signer AND w.since >= r.asked_at) "
            f"ORDER BY retry_at, signer LIMIT {ASKED_AT_ONCE}"
        )
        rows = self.ledger.database.read(sql, (time_text(self.ledger.clock()),))
        return [
            _Signer(signer, tuple(der for _, _, der in pem.unarmor(bytes(held), multiple=True)), tries)
            for signer, held, tries in rows
        ]

    def _keep(self, each: _Signer, captured: Captured) -> None:
        now = self.ledger.clock()
        error = "; ".join(captured.failures)[:MAX_ERROR]
        if captured.crls or captured.ocsps:
            said = [next(iter(kind), None) for kind in (captured.ocsps, captured.crls)]
            sql = "UPDATE revocations SET asked_at = ?, retry_at = ?, tries = 0, ocsp = ?, crl = ?, error = ? WHERE signer = ?"
            self._write(sql, time_text(now), time_text(now + ASK_EVERY), *said, error, each.signer)
            return
        error = error or "its certificate names nobody who could be asked"
        wait = min(FIRST_RETRY * 2 ** min(each.tries, 20), ASK_EVERY)
        LOG.warning("whether signer %s was revoked is not known: %s; trying again in %s", each.signer[:16], error, wait)
        sql = "UPDATE revocations SET retry_at = ?, tries = tries + 1, error = ? WHERE signer = ?"
        self._write(sql, time_text(now + wait), error, each.signer)

    # --- judging again

    def settle(self, limit: int = BATCH) -> tuple[int, int]:
        """Judge again what waited when an authority spoke.

        Returns:
            How many were looked at, and how many further verdicts were written.
        """
        sql = (
            "SELECT w.position, w.signer, r.asked_at FROM revocations r "
            "JOIN revocations_waiting w ON w.signer = r.signer AND w.since < r.asked_at ORDER BY w.signer, w.position LIMIT ?"
        )
        rows = self.ledger.database.read(sql, (limit,))
        roots = self.roots() if rows else ()
        written = 0
        for signer, group in groupby(rows, key=itemgetter(1)):
            ((ocsp, crl),) = self.ledger.database.read("SELECT ocsp, crl FROM revocations WHERE signer = ?", (signer,))
            said = [bytes(one) if one else b"" for one in (ocsp, crl)]
            written += sum(self._settle(position, signer, asked_at, said, roots) for position, _, asked_at in group)
        return len(rows), written

    def _settle(
        self, position: int, signer: str, asked_at: str, said: Sequence[bytes], roots: tuple[bytes, ...]
    ) -> bool:
        """Judge one again; whether a further verdict was written."""
        is_new, is_done = False, True
        try:
            event = self.ledger.event(position)
            decided = self._decide(event, roots, said)
            if decided and REVOKED.intersection(decided.attested.verdicts):
                self._write("UPDATE revocations SET is_revoked = 1 WHERE signer = ?", signer)
            is_new = decided is not None and self._append(event, decided)
            is_done = decided is not None
        except (ErasedError, NotFoundError):
            LOG.debug("position %d: nothing is held of the original any more", position)
        except (CorruptError, InvalidEventError, TooLargeError, OSError) as error:  # one bad item hurts only itself
            LOG.warning("the original behind position %d cannot be judged again: %s", position, error)
            is_done = False
        if is_done:
            self._write("DELETE FROM revocations_waiting WHERE position = ?", position)
        else:  # it waits for what is said next
            self._write("UPDATE revocations_waiting SET since = ? WHERE position = ?", asked_at, position)
        return is_new

    def _decide(self, event: Event, roots: tuple[bytes, ...], said: Sequence[bytes]) -> Decided | None:
        arrival = self._arrival(event)
        for one, given, media_type in _each(*said):
            found = attesting.attest(arrival, Trust(roots, arrival.observed_at), given)
            if found is not None and OPEN not in found.verdicts:
                return Decided(found, one, media_type)
        return None

    def _append(self, event: Event, decided: Decided) -> bool:
        """Write the further verdict, once, with what it rests on; False when it was there already."""
        owner, person = message_of(event.stream), event.fields.get("recipient", WHOLE_MESSAGE)
        whole = self.ledger.person_key(owner, WHOLE_MESSAGE)
        row = self.ledger.seal_original(whole, decided.said, decided.media_type)
        clear = {name: event.fields[name] for name in _KEPT if name in event.fields}
        clear |= {
            "operation": "revocation",
            "rule": RULES[decided.attested.holds],
            "notes": sorted(decided.attested.verdicts),
        }
        clear |= {"events": [*event.fields["events"], event.id], "artifacts": [row.artifact_id]}
        values: dict[PersonKey, dict[str, object]] = {
            whole: {"artifact.0": digest_value(decided.said, decided.media_type, "", "body")}
        }
        texts = {**decided.attested.texts, **({"text": decided.attested.why} if decided.attested.why else {})}
        values.setdefault(self.ledger.person_key(owner, person), {}).update(clean_texts(texts)[0])
        draft = self.ledger.draft("evidence.verified", event.tenant, event.stream, clear, list(values.items()))
        key = self.ledger.keyring.duplicate(None, event.tenant, "", "revocation", event.id)
        try:
            self.ledger.append(Item([draft], needs={event.stream}, artifacts=[(0, row)], duplicates=[(0, key)]))
        except DuplicateError:
            return False
        return True

    def _write(self, sql: str, *values: object) -> None:
        with self.ledger.database.writing() as cursor:
            cursor.execute(sql, values)


def run(queue: Revocations, turn: Turn) -> None:
    """One turn: what is new is queued, a few authorities are asked, and what they settle is written."""
    has_more = queue.collect() == PAGE
    turn.go_on()
    has_more |= queue.ask_due() == ASKED_AT_ONCE
    turn.go_on()
    looked_at, written = queue.settle()
    turn.found += written
    turn.has_more = has_more or looked_at == BATCH


def of_revoked(ledger: Ledger) -> Callable[[Arrival], Revocation]:
    """What authorities said of the signer of an arrival, if it was found revoked; else nothing."""
    known: dict[str, Revocation] = {}
    looked_at = ledger.clock() - LOOK_EVERY

    def said(arrival: Arrival) -> Revocation:
        nonlocal known, looked_at
        if ledger.clock() - looked_at >= LOOK_EVERY:
            looked_at = ledger.clock()
            rows = ledger.database.read("SELECT signer, crl, ocsp FROM revocations WHERE is_revoked = 1")
            known = {
                signer: Revocation((bytes(crl),) if crl else (), (bytes(ocsp),) if ocsp else ())
                for signer, crl, ocsp in rows
            }
        held = attesting.certificates(arrival) if known else ()
        return known.get(_name(held), Revocation()) if held else Revocation()

    return said


def _is_open(event: Event) -> bool:
    """Whether an event says that a good signature was found, and nothing of whether its signer was revoked."""
    provider = registry().get(event.fields.get("provider", ""))
    is_judged = provider is not None and provider.attest is attesting.attest
    return (
        is_judged
        and event.type == "evidence.verified"
        and event.fields.get("rule") == GOOD
        and OPEN in event.fields.get("notes", ())
        and bool(event.fields.get("artifacts"))
    )


def _each(ocsp: bytes, crl: bytes) -> Iterator[tuple[bytes, Revocation, str]]:
    """An answer and a list, each for itself, so that a verdict names the one that it rests on."""
    if ocsp:
        yield ocsp, Revocation(ocsps=(ocsp,)), "application/ocsp-response"
    if crl:
        yield crl, Revocation(crls=(crl,)), "application/pkix-crl"


def _name(certificates: Sequence[bytes]) -> str:
    return hashlib.sha256(certificates[0]).hexdigest()
