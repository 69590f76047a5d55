"""What a report is asked for with, what a format is, and what was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from adapters.compliance.contract import Header
from ledger.errors import LedgerError

Format = Literal["csv", "jsonl", "xlsx", "pdf"]
Language = Literal["en", "it", "nl", "sv"]

Progress = Callable[[int, int | None], None]
"""Told (done, total); a total of None is not known."""


class StoppedError(LedgerError):
    """The making of the report was stopped; nothing of it is left."""


class ReportAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is asked for with.

    Attributes:
        query: a compliance query, with its version or without; `messages` is the one for any set of messages.
        parameters: as JSON values or as texts.
        language: of what is written for people: titles, notes, the PDF. Column names in CSV and JSONL are tokens.
        zone: IANA name; a PDF shows times in it. The other formats keep UTC, which has no hour twice.
    """

    tenant: str
    query: str
    parameters: dict[str, Any] = {}
    format: Format = "csv"
    language: Language = "en"
    zone: str = "UTC"


class MadeFile(msgspec.Struct, frozen=True):
    """A file of a report; its digest is SHA-256, hex."""

    name: str
    sha256: str
    size: int


class Made(msgspec.Struct, frozen=True):
    """A report that is whole.

    Attributes:
        files: all that lie in its folder, the one with the rows first.
        query: name and version.
        position: the log position the rows reflect.
        root: of the tree at that position, hex.
        tree_size: of the signed head that the manifest is bound to; at least `position`.
        digest: SHA-256 of the manifest, hex: it stands for the whole report.
    """

    files: tuple[MadeFile, ...]
    query: str
    rows: int
    position: int
    root: str
    tree_size: int
    digest: str


class Look(NamedTuple):
    """How what is written for people looks."""

    language: Language
    zone: ZoneInfo


class Writer(Protocol):
    """Writes the rows of an answer to a new file, in constant memory; returns how many there were."""

    def __call__(self, path: Path, header: Header, rows: Iterable[tuple[Any, ...]], look: Look) -> int: ...
