"""The tasks of a ledger as those who ask for them see them: asking, cancelling, and what came of one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from adapters.tasks import files
from adapters.tasks.contract import Made, TaskStoppedError
from adapters.tasks.rows import Row, Rows
from ledger.application import Ledger
from ledger.errors import NotFoundError

KEEP_ROWS = timedelta(days=90)


class File(msgspec.Struct, frozen=True):
    """A file that came of a task; its digest is SHA-256, hex, of the plain bytes."""

    name: str
    bytes: int
    sha256: str


class Result(msgspec.Struct, frozen=True):
    """What came of a task.

    Attributes:
        run: the try whose files are kept.
        said: what its kind tells of it.
    """

    run: str
    files: tuple[File, ...]
    said: dict[str, Any]


class Tasks:
    """The queue, and what came of the tasks.

    Args:
        folder: where results are kept, sealed; shared by all processes that hand them out, and of this ledger alone.
        keep: how long they are kept.
    """

    def __init__(self, ledger: Ledger, folder: Path, keep: timedelta) -> None:
        self.ledger = ledger
        self.rows = Rows(ledger)
        self.folder = folder
        self.keep = keep

    def ask(
        self,
        tenant: str,
        kind: str,
        request: Mapping[str, Any],
        *,
        owner: str = "",
        scopes: Sequence[str] = (),
        once: Sequence[str] = (),
    ) -> Row:
        """Put a task in the queue; see `Rows.ask`."""
        return self.rows.ask(tenant, kind, request, owner=owner, scopes=scopes, once=once)

    def cancel(self, tenant: str, task: str) -> Row:
        """Cancel a task; what it made so far is deleted. One that ended stays as it is.

        Raises:
            NotFoundError: the tenant has none of that id.
        """
        now = self.ledger.clock()
        self.rows.cancel(self.rows.get(tenant, task), now, now + self.keep)
        return self.rows.get(tenant, task)

    def result(self, row: Row) -> Result | None:
        """What came of a task; None before its end and after it expired."""
        found = self.rows.result(row)
        return msgspec.convert(found, Result) if found else None

    def file(self, row: Row, name: str) -> tuple[File, Iterator[bytes]]:
        """A file that came of a task, and its plain bytes; the first of them were read and checked.

        Raises:
            NotFoundError: there is none of that name, not yet or not any more.
            CorruptError: it was altered.
        """
        result, key = self.result(row), self.rows.key(row)
        found = next((file for file in result.files if file.name == name), None) if result else None
        if result is None or found is None or key is None or row.state not in {"running", "done"}:
            names = ", ".join(file.name for file in result.files) if result else "none"
            msg = f"task {row.task} has no file {name!r}; there are: {names}"
            raise NotFoundError(msg)
        return found, _begun(files.read(self._kept(result.run) / name, key))

    # --- for the runner

    def keep_result(self, row: Row, made: Made, is_stopped: Callable[[], bool]) -> None:
        """Seal the files of a try and write down what came of it.

        Raises:
            TaskStoppedError: meanwhile it was cancelled, or taken over.
        """
        key, found = self.rows.key(row), []
        if made.files:
            files.private_folder(self._kept(row.run))
        for path in made.files:
            if key is None or is_stopped():
                raise TaskStoppedError
            files.write(path, self._kept(row.run) / path.name, key)
            with path.open("rb") as plain:
                digest = hashlib.file_digest(plain, "sha256").hexdigest()
            found.append(File(path.name, path.stat().st_size, digest))
        result = Result(row.run, tuple(found), dict(made.said))
        if not self.rows.keep_result(row, msgspec.to_builtins(result)):
            raise TaskStoppedError

    def drop_files(self, run: str) -> None:
        """Delete what a try kept."""
        if run:
            shutil.rmtree(self._kept(run), ignore_errors=True)

    def expire(self) -> None:
        """Delete what has reached its time: the files, then the key, and long after that the row."""
        now = self.ledger.clock()
        for row in self.rows.expired(now):
            self.drop_files(row.run)
            self.rows.expire(row)
        self.rows.forget(now - KEEP_ROWS)

    def making(self) -> Path:
        """The private folder in which the plain files of the tries that go on lie, one folder each."""
        return files.private_folder(files.private_folder(self.folder) / "making")

    def _kept(self, run: str) -> Path:
        return self.folder / run


def _begun(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same, with its first part read already: what cannot be opened is told before anything leaves."""
    first = next(parts, b"")
    return _after(first, parts)


def _after(first: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from parts
