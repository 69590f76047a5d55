"""Import: what a person hands us from elsewhere, through the same wire modules and append path as everything else.

Bare files are recognised by the providers' own `recognise`; `.ndjson` holds arrival records; a CSV holds past sends. Running it
again continues where it was: what is held already is seen, not stored.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from adapters import records
from adapters.accounts import Accounts
from adapters.providers import registry
from adapters.quarantine import Quarantine
from adapters.receiving import read, verified
from adapters.sources import LINE_SUFFIXES, Source, files, items
from ledger.application import Ledger
from ledger.decision import Outcome
from ledger.errors import LedgerError
from ledger.events import time_text
from ledger.intake import Intake
from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Fingerprint, Reference, Verdict
from ledger.streams import Registration

CHUNK_READINGS = 200
CHUNK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 96 * 1024 * 1024
UNKNOWN_PROVIDER = "unknown"
IMPORT_ACCOUNT = "import"
CSV_COLUMNS = (
    "account",
    "provider",
    "recipient",
    "recipient_kind",
    "sent_at",
    "reference",
    "subject",
    "label",
    "batch",
    "sha256",
)
"""Columns of a CSV of past sends. `recipient`, `reference` (kind:value) and `label` may hold several, separated by `;`."""
ADDRESS_KINDS = ("email", "phone", "fax", "postal", "person_number", "organisation", "other")
CSV_REQUIRED = frozenset({"account", "recipient", "sent_at"})


@dataclass(slots=True)
class Report:
    """What an import did.

    Attributes:
        files: items of a kind that is read.
        new: of them (and of the lines in them) those not held before; `seen`: held already.
        facts: new facts; copies: further originals of known facts.
        messages: messages concerned, old or new.
        registered: sends declared by CSV rows.
        unmatched, unreadable: of the new ones, those that wait in a lane.
        quarantined: webhooks whose signature did not verify; beside the log.
        skipped: names of files of a kind that is not read.
        problems: `name: what is wrong`, one a line or file.
    """

    files: int = 0
    new: int = 0
    seen: int = 0
    facts: int = 0
    copies: int = 0
    registered: int = 0
    unmatched: int = 0
    unreadable: int = 0
    quarantined: int = 0
    messages: set[str] = field(default_factory=set)
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Importer:
    """Imports for one tenant."""

    def __init__(
        self,
        ledger: Ledger,
        intake: Intake,
        accounts: Accounts,
        quarantine: Quarantine,
        tenant: str,
        *,
        account: str = "",
        actor: str = "",
    ) -> None:
        self.ledger = ledger
        self.intake = intake
        self.accounts = accounts
        self.quarantine = quarantine
        self.tenant = tenant
        self.account = account
        self.actor = actor
        self.report = Report()
        self._known = {a.account: a.provider for a in accounts.list(tenant)}
        self._waiting: list[tuple[str, Reading]] = []
        self._waiting_bytes = 0

    def run(self, paths: Sequence[Path], progress: Callable[[int, int], None] = lambda *_: None) -> Report:
        """Import everything below the paths.

        Args:
            progress: called with (files done, files in all).
        """
        found = files(paths)
        for done, path in enumerate(found):
            progress(done, len(found))
            for source in items(path):
                self._take(source)
        self._flush()
        progress(len(found), len(found))
        return self.report

    def _take(self, source: Source) -> None:
        if source.skipped:
            self.report.skipped.append(source.name)
            return
        self.report.files += 1
        if source.problem:
            self.report.problems.append(f"{source.name}: {source.problem}")
        elif source.suffix == ".csv":
            self._take_csv(source)
        elif source.suffix in LINE_SUFFIXES:
            self._take_lines(source)
        else:
            self._take_file(source.name, source.body or b"")

    # --- bare files

    def _take_file(self, name: str, body: bytes) -> None:
        provider, operation = recognise(name, body)
        account = IMPORT_ACCOUNT if provider == UNKNOWN_PROVIDER else self.account or provider
        if provider != UNKNOWN_PROVIDER and not self._ensure_account(name, account, provider):
            return
        arrival = Arrival(
            provider=provider,
            account=account,
            operation=operation,
            kind=ArrivalKind.IMPORT,
            observed_at=self.ledger.clock(),
            body=body,
            name=Path(name.rpartition("!")[2]).name,
        )
        self._take_arrival(name, arrival, "")

    def _ensure_account(self, name: str, account: str, provider: str) -> bool:
        if account not in self._known:
            try:
                self._known[account] = self.accounts.add(self.tenant, account, provider, self.actor).provider
            except LedgerError as error:
                self.report.problems.append(f"{name}: {error}")
                return False
        if self._known[account] != provider:
            self.report.problems.append(
                f"{name}: account {account!r} is at {self._known[account]}, this is of {provider}"
            )
            return False
        return True

    # --- records

    def _take_lines(self, source: Source) -> None:
        with _open(source) as file:
            for number, line in enumerate(_lines(file), 1):
                if line.strip():
                    self._take_record(f"{source.name}:{number}", line)

    def _take_record(self, name: str, line: bytes) -> None:
        try:
            record = records.decode(line, self.ledger.clock(), lambda account: self._known.get(account, ""))
        except records.RecordError as error:
            self.report.problems.append(f"{name}: {error}")
            return
        if self._ensure_account(name, record.arrival.account, record.arrival.provider):
            self._take_arrival(name, record.arrival, record.message)

    def _take_arrival(self, name: str, arrival: Arrival, message: str) -> None:
        """Verify as of the time it came, then queue; what fails goes to the quarantine, never into the log."""
        keys = self.accounts.secrets(self.tenant, arrival.account)
        arrival, checked = verified(arrival, keys, arrival.observed_at)
        if checked.verdict is Verdict.REFUSED:
            is_kept = self.quarantine.keep(self.tenant, arrival, checked.why)
            self.report.quarantined += is_kept
            self.report.seen += not is_kept
            return
        self._waiting.append((name, read(self.tenant, arrival, message=message, actor=self.actor)))
        self._waiting_bytes += len(arrival.body)
        if len(self._waiting) >= CHUNK_READINGS or self._waiting_bytes >= CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        outcomes = self.intake.admit([reading for _, reading in self._waiting])
        for (name, _), outcome in zip(self._waiting, outcomes, strict=True):
            self._count(name, outcome)
        self._waiting.clear()
        self._waiting_bytes = 0

    def _count(self, name: str, outcome: Outcome | Exception) -> None:
        report = self.report
        if isinstance(outcome, Exception):
            report.problems.append(f"{name}: {outcome}")
            return
        report.new += outcome.is_new
        report.seen += not outcome.is_new
        report.facts += len(outcome.facts)
        report.copies += outcome.copies
        report.unmatched += bool(outcome.unmatched)
        report.unreadable += bool(outcome.unreadable)
        report.messages |= set(outcome.messages)

    # --- past sends

    def _take_csv(self, source: Source) -> None:
        """Register each row; a damaged one, of which other bytes than UTF-8 are kept as marks, hurts only itself."""
        with _open(source) as file:
            text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
            rows = csv.DictReader(text, strict=True)
            wrong = _header_problem(rows)
            if wrong:
                self.report.problems.append(f"{source.name}:1: {wrong}")
                return
            while True:
                try:
                    row = next(rows, None)
                except csv.Error as error:
                    self.report.problems.append(f"{source.name}:{rows.reader.line_num}: not CSV: {error}")
                    continue
                if row is None:
                    return
                self._take_row(f"{source.name}:{rows.line_num}", row)

    def _take_row(self, name: str, row: dict[str, str]) -> None:
        try:
            registration, sent_at = past_send(row, self._known)
            if not self._ensure_account(name, registration.account, registration.provider):
                return
            identity = hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()
            clear: dict[str, Any] = {
                "arrival": str(ArrivalKind.IMPORT),
                "occurred_at": time_text(sent_at),
                "zone": "stated",
            }
            clear |= {"actor": self.actor} if self.actor else {}
            registered = self.intake.register(self.tenant, registration, clear, (f"csv {identity}", identity))
        except (LedgerError, ValueError) as error:
            self.report.problems.append(f"{name}: {error}")
            return
        self.report.new += registered.is_new
        self.report.seen += not registered.is_new
        self.report.registered += registered.is_new
        self.report.messages.add(registered.message)


def _header_problem(rows: csv.DictReader[str]) -> str:
    """What is wrong with the columns of a CSV, or ""."""
    try:
        columns = set(rows.fieldnames or ())
    except csv.Error as error:
        return f"not CSV: {error}"
    wrong = [f"unknown column {c!r}" for c in sorted(columns - set(CSV_COLUMNS))]
    wrong += [f"column {c!r} is missing" for c in sorted(CSV_REQUIRED - columns)]
    return f"{'; '.join(wrong)}; columns are {', '.join(CSV_COLUMNS)}" if wrong else ""


def recognise(name: str, body: bytes) -> tuple[str, str]:
    """The provider and operation that these bytes are of; (`unknown`, `file`) when nobody knows them."""
    for provider in registry().values():
        operation = provider.recognise(name, body)
        if operation:
            return provider.name, operation
    return UNKNOWN_PROVIDER, "file"


def past_send(row: dict[str, str], accounts: dict[str, str]) -> tuple[Registration, datetime]:
    """A registration from a CSV row, and when it was sent.

    Raises:
        ValueError: names the column and what is wrong.
    """
    if None in row or None in row.values():
        msg = "the row has another number of fields than the header"
        raise ValueError(msg)
    if not all(_is_text(cell) for cell in row.values()):
        msg = "not in UTF-8; save the file in that encoding"
        raise ValueError(msg)
    cells = {column: (row.get(column) or "").strip() for column in CSV_COLUMNS}
    missing = sorted(c for c in CSV_REQUIRED if not cells[c].strip("; "))
    if missing:
        msg = f"{', '.join(missing)} is empty"
        raise ValueError(msg)
    provider = cells["provider"] or accounts.get(cells["account"], "")
    if provider not in registry():
        msg = f"provider: {provider!r} is unknown; there are {', '.join(registry())}"
        raise ValueError(msg)
    try:
        sent_at = datetime.fromisoformat(cells["sent_at"])
        sent_at.astimezone(UTC)
    except (ValueError, OverflowError):
        msg = "sent_at: not a time; write 2026-03-01T09:00:00+01:00"
        raise ValueError(msg) from None
    if sent_at.tzinfo is None:
        msg = "sent_at: no time zone; write 2026-03-01T09:00:00+01:00 or …Z"
        raise ValueError(msg)
    kind = cells["recipient_kind"] or _KINDS[registry()[provider].channel]
    if kind not in ADDRESS_KINDS:
        msg = f"recipient_kind: {kind!r} is unknown; there are {', '.join(ADDRESS_KINDS)}"
        raise ValueError(msg)
    registration = Registration(
        account=cells["account"],
        provider=provider,
        recipients=tuple(Address(kind, value) for value in _several(cells["recipient"])),
        references=tuple(_reference(value) for value in _several(cells["reference"])),
        batch=Reference("batch", cells["batch"], exclusive=False) if cells["batch"] else None,
        labels=tuple(_several(cells["label"])),
        texts={"subject": cells["subject"]} if cells["subject"] else {},
        documents=tuple(_document(value) for value in _several(cells["sha256"])),
    )
    return registration, sent_at


_KINDS = {"registered_email": "email", "certified_email": "email", "sms": "phone", "fax": "fax", "post": "postal"}


def _is_text(cell: str) -> bool:
    """Whether a cell was UTF-8: bytes that are not stand in it as lone surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in cell)


def _several(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _reference(text: str) -> Reference:
    kind, colon, value = text.partition(":")
    if not colon or not value.strip() or not kind.strip().isidentifier():
        msg = f"reference: write kind:value, for example message_id:2026030109000001, not {text!r}"
        raise ValueError(msg)
    return Reference(
        kind.strip().lower(),
        value.strip(),
        exclusive=kind.strip().lower() not in {"own_reference", "own_id", "own_guid"},
    )


def _document(digest: str) -> Fingerprint:
    if len(digest) != 64 or not set(digest.lower()) <= set("0123456789abcdef"):
        msg = "sha256: not 64 hex characters"
        raise ValueError(msg)
    return Fingerprint("", digest.lower())


def _open(source: Source) -> IO[bytes]:
    return source.path.open("rb") if source.path else io.BytesIO(source.body or b"")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines, none longer than the limit; a longer one comes in pieces, which are reported as bad lines."""
    while line := file.readline(MAX_LINE_BYTES):
        yield line
