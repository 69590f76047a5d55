"""Makes a report: asks the query, writes its rows as they come, and signs what the files are.

Everything goes into one new folder; the manifest comes last, so a folder without one is no report. Whatever goes wrong, or when it is
stopped, nothing is left in it. Memory does not grow with the rows, PDF apart, which refuses long answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from adapters.compliance.asking import asked
from adapters.compliance.contract import Header, Values
from adapters.evidence import verify
from adapters.evidence.seal import Sealer, Timestamper
from adapters.reports import csv_, jsonl, pdf, texts, xlsx
from adapters.reports.contract import Format, Look, Made, Progress, ReportAsk, StoppedError, Writer
from adapters.reports.manifest import CHECKPOINT, HEADER, MANIFEST, Manifest, described
from ledger.checkpoints import HeadFile, SignedHead
from ledger.commitments import to_text
from ledger.errors import ConfigurationError
from projections.queries import Queries

VERIFIER, README = "verify.py", "README.txt"
NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Desk:
    """What making reports needs.

    Attributes:
        signed_head: signs what is committed by now, or waits until the process that may has done so.
        sign: a note over a text, by the log keys in use.
        sealer: the operator's seal, for a PDF's signature.
        timestamper: for the time-stamp of that signature.
    """

    queries: Queries
    heads: HeadFile
    signed_head: Callable[[], SignedHead]
    sign: Callable[[str], bytes]
    sealer: Callable[[], Sealer]
    timestamper: Timestamper | None = None

    def writers(self) -> dict[Format, Writer]:
        return {
            "csv": csv_.write,
            "jsonl": jsonl.write,
            "xlsx": xlsx.write,
            "pdf": pdf.writer(self.sealer, self.timestamper),
        }


def make(
    desk: Desk,
    ask: ReportAsk,
    folder: Path,
    progress: Progress = lambda _done, _total: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Made:
    """Make a report in a folder that is empty or not there yet. Blocks for as long as it takes.

    Args:
        progress: told by the query what it has looked at.
        is_stopped: looked at between pages of rows, and whenever the query tells its progress.

    Raises:
        NotFoundError: no such query, or something that its parameters name.
        ValueError: a parameter is wrong.
        ConfigurationError: the folder is not empty, or there is no such zone.
        TooLargeError: too many rows for this format; the text names one that takes them.
        StoppedError: it was stopped.
    """
    look = Look(ask.language, _zone(ask.zone))
    _make_empty(folder)
    try:
        return _make(desk, ask, look, folder, progress, is_stopped)
    except BaseException:
        for path in folder.iterdir():
            path.unlink()
        raise


def _make(  # noqa: PLR0917  as `make`
    desk: Desk, ask: ReportAsk, look: Look, folder: Path, progress: Progress, is_stopped: Callable[[], bool]
) -> Made:
    def told(done: int, total: int | None) -> None:
        _stop_if(is_stopped)
        progress(done, total)

    path = folder / f"report.{ask.format}"
    with asked(desk.queries, desk.heads, ask.tenant, ask.query, ask.parameters, progress=told) as answer:
        header = answer.header
        values = chain.from_iterable(_until_stopped(answer.pages, is_stopped))
        rows = desk.writers()[ask.format](path, header, values, look)
    _write_beside(desk, ask, header, rows, folder)
    return _sign(desk, header, rows, folder, path.name)


def _until_stopped(pages: Iterable[Sequence[Values]], is_stopped: Callable[[], bool]) -> Iterator[Sequence[Values]]:
    for page in pages:
        _stop_if(is_stopped)
        yield page


def _stop_if(is_stopped: Callable[[], bool]) -> None:
    if is_stopped():
        raise StoppedError


def _write_beside(desk: Desk, ask: ReportAsk, header: Header, rows: int, folder: Path) -> None:
    """What the rows mean, and how they are checked."""
    said = msgspec.to_builtins(header) | {
        "columns": [column._asdict() for column in header.columns],
        "rows": rows,
        "format": ask.format,
        "language": ask.language,
        "zone": ask.zone,
        "nonce": to_text(desk.queries.ledger.random(NONCE_BYTES)),
    }
    (folder / HEADER).write_bytes(msgspec.json.format(msgspec.json.encode(said)) + b"\n")
    (folder / README).write_text(texts.readme(ask.language, ask.format, header, rows), encoding="utf-8")
    (folder / VERIFIER).write_bytes(Path(verify.__file__).read_bytes())


def _sign(desk: Desk, header: Header, rows: int, folder: Path, first: str) -> Made:
    """Bind the files to a signed head; durable when this returns."""
    head = desk.signed_head()
    proof = desk.queries.ledger.consistency_proof(header.position, head.checkpoint.size) if header.position else []
    names = [first, *sorted({path.name for path in folder.iterdir()} - {first})]
    files = tuple(described(folder / name) for name in names)
    (folder / CHECKPOINT).write_bytes(head.note)
    (folder / MANIFEST).write_bytes(desk.sign(Manifest(head.checkpoint, header, rows, files, proof).text()))
    _flush(folder)
    beside = (described(folder / CHECKPOINT), described(folder / MANIFEST))
    size = head.checkpoint.size
    return Made((*files, *beside), header.query, rows, header.position, header.root, size, beside[1].sha256)


# --- the folder


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        msg = f"{folder} is not empty; a report needs a new folder"
        raise ConfigurationError(msg)


def _flush(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"there is no time zone {name!r}; write an IANA name, for example Europe/Rome"
        raise ConfigurationError(msg) from error
